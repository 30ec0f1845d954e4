//! `restore plan` and `restore apply`.
//!
//! In: a request by name, or options · Out: plan with preview, `RestoreReport` · Touches: through `App`

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::wiring::App;
use crate::domain::conflict::Existing;
use crate::domain::document::PolicySet;
use crate::domain::owners::Owners;
use crate::domain::report::{Outcome, OwnerAction, OwnerReport, RestoreReport};
use crate::domain::restore_request::{RestoreSource, RestoreSpec};
use crate::engine::clean::hide::Marks;
use crate::engine::decide::gitops::{Asked, PausePlan};
use crate::engine::decide::reach::{Progress, Reach, Silent};
use crate::engine::decide::restore_plan;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::decide::survey::survey;
use crate::engine::mend::fixup_plan::Fixup;
use crate::engine::mend::fixups;
use crate::engine::restore::apply;
use crate::engine::restore::pause;
use crate::engine::restore::preview;
use crate::engine::saved::open::State;

use super::choose::{self, StateName};
use super::done::Done;
use super::failure::{Exit, Failure};
use super::print::count;
use super::progress::Bar;
use super::restore_args::{ApplyArgs, ExistingArg, OwnersArg, RestoreArgs};
use super::show_plan::Shown;
use super::states::{self, Search};
use super::stop::Stop;
use super::{compare, repository, snapshots};

/// A decided restore: nothing is left to find out.
struct Job {
    state: State,
    plan: RestorePlan,
    pause: PausePlan,
    fixups: Vec<Fixup>,
    marks: Marks,
}

/// Shows what a restore would do; exit code 1 when that is anything.
pub async fn plan(app: &App, args: &RestoreArgs) -> Result<Done, Failure> {
    let reach = reach(app, &Silent).await?;
    let job = prepare(app, args, &reach).await?;
    let looked = preview::preview(&job.plan, &job.state, &job.marks, &reach).await;
    let preview = looked.map_err(|e| Failure::closed(&e))?;
    let fixups = fixups::preview(&job.fixups, &reach).await;
    let shown = Shown { plan: job.plan, owners: job.pause, preview, fixups };
    Ok(Done::new(if shown.changes_nothing() { Exit::Fine } else { Exit::Different }, shown))
}

/// What helps after a restore that could not end in order.
pub const AGAIN_AND_RESUME: &str = "run the same command again: it goes on where it stopped; or `backstay restore resume` for owners that are still paused";

/// Carries a restore out, its fixups after the waves. Owners that it pauses are resumed however it ends.
pub async fn apply(app: &App, args: &ApplyArgs, progress: bool, stop: &Stop) -> Result<Done, Failure> {
    let bar = progress.then(Bar::default);
    let heard: &dyn Progress = match &bar {
        Some(bar) => bar,
        None => &Silent,
    };
    let reach = Reach { concurrency: usize::from(args.concurrency), ..reach(app, heard).await? };
    let decided = stop.before(prepare(app, &args.restore, &reach)).await;
    let job = decided.ok_or_else(|| Failure::stopped("interrupted; nothing was written"))??;
    let ended = stop.before(carry_out(&job, &reach)).await;
    let owners = pause::resume(&job.pause, &reach).await;
    drop(bar);
    let Some(ended) = ended else { return Err(interrupted(&owners)) };
    let mut report = ended.map_err(|failure| failure.with(&still_paused(&owners)))?;
    report.owners = owners;
    if report.outcome == Outcome::Complete {
        report.outcome = report.judge();
    }
    report.finished = app.clock.now();
    Ok(Done::new(exit(&report), report))
}

/// Pauses, applies the waves, mends.
async fn carry_out(job: &Job, reach: &Reach<'_>) -> Result<RestoreReport, Failure> {
    pause::pause(&job.pause, reach).await.map_err(|e| Failure::failed(&e).hint(e.next()))?;
    let done = apply::apply(&job.plan, &job.state, reach).await;
    let mut report = done.map_err(|e| Failure::closed(&e))?;
    if report.outcome == Outcome::Failed {
        report
            .notes
            .extend((!job.fixups.is_empty()).then(|| "no fixup ran, because the restore failed".to_owned()));
    } else {
        report.fixups = fixups::run(&job.fixups, reach).await;
        report.outcome = report.judge();
    }
    Ok(report)
}

/// Owners that could not be resumed, each with the reason.
fn still_paused(owners: &[OwnerReport]) -> Vec<String> {
    let still = owners.iter().filter(|owner| owner.action == OwnerAction::StillPaused);
    still
        .map(|owner| {
            format!("{} is still paused: {}", owner.key, owner.reason.as_deref().unwrap_or_default())
        })
        .collect()
}

fn interrupted(owners: &[OwnerReport]) -> Failure {
    let resumed = owners.iter().filter(|owner| owner.action == OwnerAction::Resumed).count();
    let text = match resumed {
        0 => "interrupted".to_owned(),
        some => format!("interrupted; {} resumed", count(some as u64, "owner")),
    };
    let failure = Failure::stopped(text).with(&still_paused(owners));
    failure.hint("run the same command again: it goes on where it stopped")
}

fn exit(report: &RestoreReport) -> Exit {
    match report.outcome {
        Outcome::Complete => Exit::Fine,
        Outcome::Partial => Exit::Different,
        Outcome::Failed => Exit::Failed,
    }
}

async fn reach<'a>(app: &'a App, progress: &'a dyn Progress) -> Result<Reach<'a>, Failure> {
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let reach = Reach::new(cluster.reader.as_ref(), cluster.writer.as_ref(), app.clock.as_ref());
    Ok(Reach { progress, ..reach })
}

/// Everything that is read and decided before anything is written.
async fn prepare(app: &App, args: &RestoreArgs, reach: &Reach<'_>) -> Result<Job, Failure> {
    let set = repository::load(app).await?;
    let spec = spec(&set, args)?;
    let compiled = fixups::compile(&spec.fixups).map_err(|e| Failure::misused(&e))?;
    let survey = survey(reach).await.map_err(|e| Failure::failed(&e))?;
    let search = Search {
        app,
        set: &set,
        served: &survey.discovery.resources,
        sealed: false,
        cluster: match &spec.from.cluster {
            Some(name) => name.clone(),
            None => snapshots::cluster_name(app).await?,
        },
    };
    let wanted = spec.from.snapshot.as_deref().or(spec.from.commit.as_deref()).unwrap_or("latest");
    let state = states::at(&search, &spec.from.location, wanted).await?.state;
    let catalog = Arc::new(repository::catalog(&set)?);
    let plan = restore_plan::plan(&state, &spec, &catalog, &survey).await;
    let mut plan = plan.map_err(|e| refused(&e))?;
    refuse_empty(&plan, args)?;
    let asked = Asked { owners: spec.owners, restore: &name(args) };
    let looked = pause::look(&mut plan, asked, reach).await;
    let pause = looked.map_err(|e| Failure::failed(&e).hint(e.next()))?;
    let marked: Vec<_> = set.policies.values().flat_map(|policy| policy.encrypt.clone()).collect();
    let marks = Marks::new(&marked).map_err(|e| Failure::misused(&e))?;
    Ok(Job { state, plan, pause, fixups: compiled, marks })
}

/// A restore that means nothing is a mistake, and so is a name that was typed and is nowhere.
fn refuse_empty(plan: &RestorePlan, args: &RestoreArgs) -> Result<(), Failure> {
    if args.from.is_some() && !plan.unmatched.is_empty() {
        return Err(Failure::usage(format!("{}: {}", plan.source, plan.unmatched.join("; "))));
    }
    if plan.waves.is_empty() && plan.left_out.is_empty() {
        let failure = Failure::usage(format!("nothing of {} is selected", plan.source));
        return Err(failure.hint("compare `select` of the request with `backstay show SNAPSHOT --objects`"));
    }
    Ok(())
}

fn refused(error: &restore_plan::Error) -> Failure {
    match error {
        restore_plan::Error::Select(_)
        | restore_plan::Error::Existing(_)
        | restore_plan::Error::Transform(..)
        | restore_plan::Error::Hooks => Failure::misused(error),
        restore_plan::Error::State(..) => Failure::closed(error),
    }
}

/// The request of this name, or one made of the options.
fn spec(set: &PolicySet, args: &RestoreArgs) -> Result<RestoreSpec, Failure> {
    let mut spec = match (&args.request, &args.from) {
        (Some(name), _) => choose::restore(set, name)?.1.clone(),
        (None, Some(from)) => RestoreSpec {
            from: source(set, from)?,
            select: compare::only(&args.only_namespace, &args.only_kind),
            namespace_mapping: mapping("--map-namespace", &args.map_namespace)?,
            storage_class_mapping: mapping("--map-storage-class", &args.map_storage_class)?,
            image_mapping: mapping("--map-image", &args.map_image)?,
            transforms: Vec::new(),
            existing: Existing::default(),
            existing_for: Vec::new(),
            owners: None,
            hooks: Vec::new(),
            fixups: Vec::new(),
        },
        (None, None) => return Err(Failure::usage("name a restore request, or say --from LOCATION@STATE")),
    };
    if let Some(existing) = args.existing {
        spec.existing = match existing {
            ExistingArg::Skip => Existing::Skip,
            ExistingArg::Update => Existing::Update,
            ExistingArg::Recreate => Existing::Recreate,
            ExistingArg::RecreateAlways => Existing::RecreateAlways,
            ExistingArg::Fail => Existing::Fail,
        };
    }
    if let Some(owners) = args.owners {
        spec.owners = Some(match owners {
            OwnersArg::Keep => Owners::Keep,
            OwnersArg::Strip => Owners::Strip,
            OwnersArg::Pause => Owners::Pause,
        });
    }
    Ok(spec)
}

/// What a restore is called on the owners it pauses: the same command has the same name.
fn name(args: &RestoreArgs) -> String {
    let RestoreArgs { request, from, existing: _, owners: _, .. } = args;
    if let Some(request) = request {
        return format!("request {request}");
    }
    let lists = [
        ("-n", &args.only_namespace),
        ("--only-kind", &args.only_kind),
        ("--map-namespace", &args.map_namespace),
        ("--map-storage-class", &args.map_storage_class),
        ("--map-image", &args.map_image),
    ];
    let mut words: Vec<&str> = from.iter().map(String::as_str).collect();
    for (option, values) in lists {
        words.extend(values.iter().flat_map(|value| [option, value.as_str()]));
    }
    words.join(" ")
}

fn source(set: &PolicySet, from: &str) -> Result<RestoreSource, Failure> {
    match StateName::parse(from, |_| false)? {
        StateName::At { location, state } => {
            let (_, found) = choose::location(set, &location)?;
            let (snapshot, commit) =
                if found.archive.is_some() { (Some(state), None) } else { (None, Some(state)) };
            Ok(RestoreSource { location, snapshot, commit, cluster: None })
        }
        StateName::Cluster | StateName::Folder(_) => {
            Err(Failure::usage(format!("cannot restore from {from:?}"))
                .hint("name LOCATION@SNAPSHOT or LOCATION@COMMIT"))
        }
    }
}

fn mapping(option: &str, pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let parse = |pair: &String| match pair.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err(Failure::usage(format!("cannot use {option} {pair:?}")).hint("write OLD=NEW")),
    };
    let mut mapping = BTreeMap::new();
    for pair in pairs {
        let (old, new) = parse(pair)?;
        if let Some(other) = mapping.insert(old.clone(), new).filter(|other| mapping[&old] != *other) {
            let text = format!("{option} gives {old} two new names, {other} and {}", mapping[&old]);
            return Err(Failure::usage(text));
        }
    }
    Ok(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_has_the_same_name_whatever_it_does_with_what_exists() {
        let args = RestoreArgs {
            request: None,
            from: Some("archive@latest".into()),
            only_namespace: vec!["shop".into(), "db".into()],
            only_kind: vec!["Secret".into()],
            map_namespace: vec!["shop=copy".into()],
            map_storage_class: Vec::new(),
            map_image: Vec::new(),
            existing: Some(ExistingArg::Update),
            owners: Some(OwnersArg::Pause),
        };
        let wanted = "archive@latest -n shop -n db --only-kind Secret --map-namespace shop=copy";
        assert_eq!(name(&args), wanted);
        assert_eq!(name(&RestoreArgs { request: Some("back".into()), from: None, ..args }), "request back");
    }
}
