//! `diff`: what changed between two states.
//!
//! In: two `StateName`s · Out: `ChangeSet` · Touches: through `App`

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};

use crate::app::wiring::{App, Connected};
use crate::domain::change::ChangeSet;
use crate::domain::document::PolicySet;
use crate::domain::object::{Manifest, Resource};
use crate::domain::rules::Catalog;
use crate::domain::selection::{Patterns, SelectSpec, Selection};
use crate::engine::clean::hide::Marks;
use crate::engine::decide::draft::is_namespace;
use crate::engine::difference::compare::{Live, Side, View, compare_states};
use crate::engine::difference::render::{self, Palette};
use crate::engine::gather::listing::each;
use crate::engine::gather::plan::{BackupPlan, plan};
use crate::ports::cluster::{Discovery, Scope};
use crate::work::choose::StateName;
use crate::work::failure::{Exit, Failure};
use crate::work::states::{self, Saved, Search};
use crate::work::{archives, repository};

use super::args::DiffArgs;
use super::done::Done;
use super::print::Show;

impl Show for ChangeSet {
    fn show(&self, out: &mut dyn Write, _quiet: bool) -> io::Result<()> {
        write!(out, "{}", render::text(self, &palette()))
    }
}

/// Colours for people; the output takes them out where they are not wanted.
pub fn palette() -> Palette {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    Palette {
        header: Style::new().bold(),
        path: colour(AnsiColor::Cyan),
        added: colour(AnsiColor::Green),
        removed: colour(AnsiColor::Red),
    }
}

/// Compares two states.
pub async fn diff(app: &App, args: &DiffArgs) -> Result<Done, Failure> {
    let exists = |path: &str| Path::new(path).exists();
    let (before, after) = (StateName::parse(&args.before, exists)?, StateName::parse(&args.after, exists)?);
    if before == StateName::Cluster && after == StateName::Cluster {
        return Err(Failure::usage("the cluster is always equal to itself").hint("name a saved state first"));
    }
    let needs_set = [&before, &after].into_iter().any(|name| matches!(name, StateName::At { .. }));
    let set = if needs_set { repository::load(app).await? } else { PolicySet::default() };
    let live = live(app, &before, &after).await?;
    let search = Search {
        app,
        set: &set,
        served: live.as_ref().map_or(&[], |(_, discovery)| discovery.resources.as_slice()),
        sealed: both_mirrors(&set, &before, &after),
        cluster: if needs_set { archives::cluster_name(app).await? } else { String::new() },
    };
    let (first, second) = (open(&search, &before).await?, open(&search, &after).await?);
    let catalog = Arc::new(repository::catalog(&set)?);
    let policies: Vec<&str> =
        first.iter().chain(&second).flat_map(|s| &s.policies).map(String::as_str).collect();
    let plans = match &live {
        Some((_, discovery)) if !policies.is_empty() => plans(&set, &policies, &catalog, discovery)?,
        _ => Vec::new(),
    };
    let view = view(args, &set, &policies, catalog)?;
    refuse_what_matches_nothing(&view.selection, [first.as_ref(), second.as_ref()], live.as_ref()).await?;
    let before = side(first.as_ref(), live.as_ref(), &plans, app)?;
    let after = side(second.as_ref(), live.as_ref(), &plans, app)?;
    let set = compare_states(before, after, &view).await.map_err(|e| Failure::closed(&e))?;
    let same = set.changes.is_empty() && set.unknown.is_empty();
    Ok(Done::new(if same { Exit::Fine } else { Exit::Different }, set))
}

/// A misspelt name would make any two states equal.
async fn refuse_what_matches_nothing(
    selection: &Selection,
    saved: [Option<&Saved>; 2],
    live: Option<&(&Connected, Discovery)>,
) -> Result<(), Failure> {
    let entries = || saved.iter().flatten().flat_map(|saved| &saved.state.entries);
    let mut kinds: BTreeSet<Resource> = entries().map(|entry| entry.resource.as_ref().clone()).collect();
    let own = entries().filter(|entry| is_namespace(&entry.key)).map(|entry| &entry.key.name);
    let mut names: BTreeSet<String> =
        entries().filter_map(|entry| entry.key.namespace.as_ref()).chain(own).cloned().collect();
    if let Some((connected, discovery)) = live {
        kinds.extend(discovery.resources.iter().cloned());
        let namespaces =
            discovery.resources.iter().find(|r| r.gvk.group.is_empty() && r.gvk.kind == "Namespace");
        let Some(namespaces) = namespaces else { return Ok(()) };
        let take = |object: Manifest| {
            names.insert(object.name().to_owned());
        };
        if each(connected.reader.as_ref(), namespaces, &Scope::All, "", take).await.is_err() {
            return Ok(()); // who may not list namespaces cannot be told which there are
        }
    }
    let kinds: Vec<Resource> = kinds.into_iter().collect();
    let notes = selection.unmatched(&kinds, &names.into_iter().collect::<Vec<_>>());
    if notes.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(notes.join("; ")).hint("names and globs are looked for in both states"))
}

/// Two commits can be compared without an identity: encrypted values are compared as they are.
fn both_mirrors(set: &PolicySet, before: &StateName, after: &StateName) -> bool {
    [before, after].into_iter().all(|name| match name {
        StateName::At { location, .. } => {
            set.locations.get(location).is_some_and(|spec| spec.mirror.is_some())
        }
        StateName::Cluster | StateName::Folder(_) => false,
    })
}

/// The cluster and what it serves, if one side is the cluster.
async fn live<'a>(
    app: &'a App,
    before: &StateName,
    after: &StateName,
) -> Result<Option<(&'a Connected, Discovery)>, Failure> {
    if *before != StateName::Cluster && *after != StateName::Cluster {
        return Ok(None);
    }
    let connected = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let discovery = connected.reader.discover().await.map_err(|e| Failure::failed(&e))?;
    Ok(Some((connected, discovery)))
}

async fn open(search: &Search<'_>, name: &StateName) -> Result<Option<Saved>, Failure> {
    match name {
        StateName::Cluster => Ok(None),
        StateName::Folder(path) => states::folder(search, path).map(Some),
        StateName::At { location, state } => states::at(search, location, state).await.map(Some),
    }
}

fn side<'a>(
    saved: Option<&'a Saved>,
    live: Option<&'a (&'a Connected, Discovery)>,
    plans: &'a [BackupPlan],
    app: &'a App,
) -> Result<Side<'a>, Failure> {
    match (saved, live) {
        (Some(saved), _) => Ok(Side::Saved(&saved.state)),
        (None, Some((connected, discovery))) => Ok(Side::Live(Live {
            name: &connected.name,
            plans,
            served: &discovery.resources as &[Resource],
            reader: connected.reader.as_ref(),
            clock: app.clock.as_ref(),
        })),
        (None, None) => Err(Failure::stopped("no cluster is connected")),
    }
}

/// What the live cluster is asked for: what the policies of the saved side mean.
fn plans(
    set: &PolicySet,
    policies: &[&str],
    catalog: &Arc<Catalog>,
    discovery: &Discovery,
) -> Result<Vec<BackupPlan>, Failure> {
    let mut plans = Vec::new();
    for name in policies {
        let select = set.policies.get(*name).map(|spec| spec.select.clone()).unwrap_or_default();
        plans.push(plan(selection(&select)?, catalog.clone(), discovery));
    }
    Ok(plans)
}

fn view(args: &DiffArgs, set: &PolicySet, policies: &[&str], catalog: Arc<Catalog>) -> Result<View, Failure> {
    let marked =
        policies.iter().filter_map(|name| set.policies.get(*name)).flat_map(|spec| spec.encrypt.clone());
    let marks = Marks::new(&marked.collect::<Vec<_>>()).map_err(|e| Failure::misused(&e))?;
    let select = only(&args.only_namespace, &args.only_kind);
    Ok(View { catalog, selection: Arc::new(selection(&select)?), marks })
}

/// A selection of these namespaces and kinds.
pub fn only(namespaces: &[String], kinds: &[String]) -> SelectSpec {
    let include = |names: &[String]| Patterns { include: names.to_vec(), exclude: Vec::new() };
    SelectSpec {
        namespaces: include(namespaces),
        namespaced_resources: include(kinds),
        cluster_resources: include(kinds),
        ..SelectSpec::default()
    }
}

/// A compiled selection.
pub fn selection(spec: &SelectSpec) -> Result<Selection, Failure> {
    Selection::compile(spec).map_err(|errors| {
        Failure::usage(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })
}
