//! Compares two whole states: digests first, contents only of what differs.
//!
//! In: two `Side`s · Out: `ChangeSet` · Touches: cluster (read), bucket, clock

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use super::diff::compare;
use crate::domain::change::{Change, ChangeSet};
use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::domain::report::KindResult;
use crate::domain::rules::Catalog;
use crate::domain::selection::{ObjectChoice, Selection};
use crate::engine::clean::hide::Marks;
use crate::engine::clean::sanitize::{MirrorForm, mirror_view};
use crate::engine::gather::collect::{Event, collect};
use crate::engine::gather::plan::BackupPlan;
use crate::engine::pool::compute;
use crate::engine::saved::open::{self, State};
use crate::ports::clock::Clock;
use crate::ports::cluster::{self, Reader};

/// Objects whose contents are in memory at a time, of each side.
const AT_ONCE: usize = 1_000;
/// Single objects read from the cluster at the same time.
const GETS: usize = 16;
/// Objects digested in one step on the pool.
const STEP: usize = 256;

/// Why two states cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A saved state cannot be read.
    #[error("cannot read {0}")]
    State(String, #[source] open::Error),
    /// An object of the cluster cannot be read.
    #[error("cannot read {0} from the cluster")]
    Object(Box<ObjectKey>, #[source] cluster::Error),
}

/// One of the two states.
#[derive(Clone, Copy)]
pub enum Side<'a> {
    /// A snapshot, a commit or a folder.
    Saved(&'a State),
    /// The live cluster.
    Live(Live<'a>),
}

/// The live cluster, and which part of it is meant.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    /// Name of the cluster.
    pub name: &'a str,
    /// What is listed; of an object that two plans list, one is taken. Empty: only what the other side has.
    pub plans: &'a [BackupPlan],
    /// What the server serves, for single objects.
    pub served: &'a [Resource],
    /// Reads.
    pub reader: &'a dyn Reader,
    /// For retries.
    pub clock: &'a dyn Clock,
}

impl Side<'_> {
    fn describe(&self) -> String {
        match self {
            Self::Saved(state) => state.describe.clone(),
            Self::Live(live) => format!("cluster {}", live.name),
        }
    }
}

/// What counts in a comparison.
#[derive(Clone)]
pub struct View {
    /// What is known about kinds: server-made fields and controller-made objects do not count.
    pub catalog: Arc<Catalog>,
    /// Which objects are compared.
    pub selection: Arc<Selection>,
    /// Fields besides those of Secrets whose values nobody may see.
    pub marks: Marks,
}

/// Compares two states. What one side could not list is named as unknown, and not taken for deleted.
///
/// # Errors
/// A side cannot be read at all.
pub async fn compare_states(before: Side<'_>, after: Side<'_>, view: &View) -> Result<ChangeSet, Error> {
    let (first, second) = outlines(before, after, view).await?;
    let mut set = ChangeSet { from: before.describe(), to: after.describe(), ..ChangeSet::default() };
    set.unknown = first.unknown.iter().chain(&second.unknown).cloned().collect();
    let mut different = Vec::new();
    let keys: BTreeSet<&ObjectKey> = first.objects.keys().chain(second.objects.keys()).collect();
    for key in keys {
        let seen = first.objects.get(key).or(second.objects.get(key));
        if seen.is_some_and(|seen| first.cannot_tell(&seen.resource) || second.cannot_tell(&seen.resource)) {
            continue;
        }
        match (first.objects.get(key), second.objects.get(key)) {
            (Some(a), Some(b)) if a.digest == b.digest => set.equal += 1,
            _ => different.push(key.clone()),
        }
    }
    for keys in different.chunks(AT_ONCE) {
        let old = contents(before, &first, keys, view).await?;
        let new = contents(after, &second, keys, view).await?;
        set.changes.extend(keys.iter().filter_map(|key| change(old.get(key), new.get(key), view)));
    }
    Ok(set)
}

fn change(
    before: Option<&(Arc<Resource>, Manifest)>,
    after: Option<&(Arc<Resource>, Manifest)>,
    view: &View,
) -> Option<Change> {
    let (resource, object) = after.or(before)?;
    let hidden = view.marks.hidden(resource, object);
    compare(before.map(|(_, m)| m), after.map(|(_, m)| m), &hidden)
}

/// What a side holds, without contents.
#[derive(Default)]
struct Outline {
    objects: BTreeMap<ObjectKey, Seen>,
    unknown: Vec<String>,
    /// Kinds that were not listed to the end, by full name, and groups that were not discovered.
    unlisted: BTreeSet<String>,
    undiscovered: BTreeSet<String>,
}

struct Seen {
    resource: Arc<Resource>,
    digest: [u8; 32],
    position: usize,
}

impl Outline {
    fn cannot_tell(&self, kind: &Resource) -> bool {
        self.undiscovered.contains(&kind.gvk.group)
            || !self.unlisted.is_empty() && self.unlisted.contains(&kind.full_name())
    }

    /// Notes that nothing of a group is known.
    fn miss_group(&mut self, side: &str, version: &str, why: &str) {
        self.unknown.push(format!("{side}: {version}: {why}"));
        self.undiscovered.extend(version.split_once('/').map(|(group, _)| group.to_owned()));
    }

    /// Notes that not everything of a kind is known.
    fn miss_kind(&mut self, side: &str, kind: &str, why: &str) {
        self.unknown.push(format!("{side}: {kind}: {why}"));
        self.unlisted.insert(kind.to_owned());
    }
}

async fn outlines(before: Side<'_>, after: Side<'_>, view: &View) -> Result<(Outline, Outline), Error> {
    match (before, after) {
        (Side::Live(live), other) if live.plans.is_empty() => {
            let second = outline(other, view).await?;
            Ok((mirrored(live, &second, view).await?, second))
        }
        (other, Side::Live(live)) if live.plans.is_empty() => {
            let first = outline(other, view).await?;
            let second = mirrored(live, &first, view).await?;
            Ok((first, second))
        }
        (before, after) => Ok((outline(before, view).await?, outline(after, view).await?)),
    }
}

async fn outline(side: Side<'_>, view: &View) -> Result<Outline, Error> {
    match side {
        Side::Saved(state) => saved(state, view).await,
        Side::Live(live) => listed(live, view).await,
    }
}

/// Whether an object is compared at all, by its identity and labels.
fn meant(view: &View, resource: &Resource, key: &ObjectKey, labels: &BTreeMap<String, String>) -> bool {
    matches!(view.selection.entry(resource, key, labels), ObjectChoice::Take)
}

async fn saved(state: &State, view: &View) -> Result<Outline, Error> {
    let wanted: Vec<usize> = (0..state.entries.len())
        .filter(|at| {
            let entry = &state.entries[*at];
            meant(view, &entry.resource, &entry.key, &entry.labels)
        })
        .collect();
    let mut outline = Outline::default();
    let unreadable = |source| Error::State(state.describe.clone(), source);
    let objects = state.objects(wanted).map_err(unreadable);
    let mut steps = pin!(objects.try_chunks(STEP).map_err(|e| e.1));
    while let Some(step) = steps.try_next().await? {
        let kinds =
            step.into_iter().map(|(at, object)| (at, state.entries[at].resource.clone(), object)).collect();
        outline.objects.extend(digests(kinds, view).await);
    }
    if let Some(record) = &state.record {
        for (version, why) in &record.undiscovered {
            outline.miss_group(&state.describe, version, why);
        }
        for kind in &record.kinds {
            if let KindResult::Failed { reason } = &kind.result {
                outline.miss_kind(&state.describe, &kind.resource, reason);
            }
        }
    }
    Ok(outline)
}

/// Digests of the mirror forms, on the pool; objects that no mirror shows are left out.
async fn digests(objects: Vec<(usize, Arc<Resource>, Manifest)>, view: &View) -> Vec<(ObjectKey, Seen)> {
    let catalog = view.catalog.clone();
    compute(move || {
        let digest = |(position, resource, object): (usize, Arc<Resource>, Manifest)| {
            let key = object.key();
            let MirrorForm::Manifest(form) = mirror_view(object, &catalog.kind(&resource)) else {
                return None;
            };
            let digest = Sha256::digest(form.to_bytes()).into();
            Some((key, Seen { resource, digest, position }))
        };
        objects.into_iter().filter_map(digest).collect()
    })
    .await
}

async fn listed(live: Live<'_>, view: &View) -> Result<Outline, Error> {
    let mut outline = Outline::default();
    for plan in live.plans {
        let mut events = pin!(collect(plan, live.reader, live.clock));
        while let Some(event) = events.next().await {
            match event {
                Event::Batch(batch) => {
                    let (resource, objects) = batch.into_parts();
                    let wanted = |object: &Manifest| meant(view, &resource, &object.key(), &labels(object));
                    let objects =
                        objects.into_iter().filter(wanted).map(|o| (0, resource.clone(), o)).collect();
                    outline.objects.extend(digests(objects, view).await);
                }
                Event::Kind(kind) => {
                    if let KindResult::Failed { reason } = kind.result {
                        outline.miss_kind(&format!("cluster {}", live.name), &kind.resource, &reason);
                    }
                }
                Event::LeftOut { .. } | Event::Note(_) => {}
            }
        }
        for (version, why) in plan.broken() {
            outline.miss_group(&format!("cluster {}", live.name), version, why);
        }
    }
    Ok(outline)
}

/// What the cluster has of the other side's objects.
async fn mirrored(live: Live<'_>, other: &Outline, view: &View) -> Result<Outline, Error> {
    let keys: Vec<&ObjectKey> = other.objects.keys().collect();
    let mut outline = Outline::default();
    for keys in keys.chunks(AT_ONCE) {
        let keys: Vec<ObjectKey> = keys.iter().map(|key| (*key).clone()).collect();
        let found = gets(live, &keys).await?;
        let objects = found.into_iter().map(|(resource, object)| (0, resource, object)).collect();
        outline.objects.extend(digests(objects, view).await);
    }
    Ok(outline)
}

/// The mirror forms of these objects, as far as the side has them.
async fn contents(
    side: Side<'_>,
    outline: &Outline,
    keys: &[ObjectKey],
    view: &View,
) -> Result<BTreeMap<ObjectKey, (Arc<Resource>, Manifest)>, Error> {
    let there: Vec<(&ObjectKey, &Seen)> =
        keys.iter().filter_map(|k| outline.objects.get_key_value(k)).collect();
    let objects: Vec<(Arc<Resource>, Manifest)> = match side {
        Side::Saved(state) => {
            let read = state.objects(there.iter().map(|(_, seen)| seen.position));
            let unreadable = |source| Error::State(state.describe.clone(), source);
            let named = |(at, object): (usize, Manifest)| (state.entries[at].resource.clone(), object);
            read.map_ok(named).map_err(unreadable).try_collect().await?
        }
        Side::Live(live) => {
            let keys: Vec<ObjectKey> = there.iter().map(|(key, _)| (*key).clone()).collect();
            let resource = |key: &ObjectKey| outline.objects.get(key).map(|seen| seen.resource.clone());
            let found = gets(live, &keys).await?;
            found.into_iter().map(|(kind, o)| (resource(&o.key()).unwrap_or(kind), o)).collect()
        }
    };
    let form = |(resource, object): (Arc<Resource>, Manifest)| {
        let key = object.key();
        match mirror_view(object, &view.catalog.kind(&resource)) {
            MirrorForm::Manifest(form) => Some((key, (resource, form))),
            MirrorForm::Out(_) => None,
        }
    };
    Ok(objects.into_iter().filter_map(form).collect())
}

/// Single objects from the cluster, in the version it prefers; what is gone, or of a kind it does not serve, is left out.
async fn gets(live: Live<'_>, keys: &[ObjectKey]) -> Result<Vec<(Arc<Resource>, Manifest)>, Error> {
    let get = |key: &ObjectKey| {
        let key = key.clone();
        let served = live.served.iter().find(|r| r.gvk.group == key.group && r.gvk.kind == key.kind).cloned();
        async move {
            let Some(resource) = served else { return Ok(None) };
            match live.reader.get(&resource, key.namespace.as_deref(), &key.name).await {
                Ok(found) => Ok(found.map(|object| (Arc::new(resource), object))),
                Err(cluster::Error::NotFound(_)) => Ok(None),
                Err(source) => Err(Error::Object(key.into(), source)),
            }
        }
    };
    let found: Vec<Option<_>> =
        futures::stream::iter(keys.iter().map(get)).buffered(GETS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

fn labels(object: &Manifest) -> BTreeMap<String, String> {
    let texts = object.labels().into_iter().flatten();
    texts.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
