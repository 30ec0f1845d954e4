//! Carries out a restore plan, wave after wave, and writes down what became of every object.
//!
//! In: `RestorePlan`, `State` · Out: `RestoreReport` · Touches: cluster (read and write), clock, what the state is read from

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt, stream};

use super::existing::{Fingerprint, fingerprint};
use super::links::{Link, Missing, Uids, link};
use super::put::{Order, Written, put};
use super::rebind::{Released, rebind, released};
use super::send::{Parcel, parcels};
use super::settle::{Awaited, discovered, settle};
use crate::domain::conflict::Existing;
use crate::domain::object::{Gvk, Manifest, ObjectKey, OwnerReference, Resource};
use crate::domain::report::{ObjectAction, ObjectReport, Outcome, Phase, RestoreReport, WaveReport};
use crate::engine::decide::draft::{PlannedObject, PlannedWave, is_namespace};
use crate::engine::decide::listing;
use crate::engine::decide::reach::Reach;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::retry::persist;
use crate::engine::saved::open::{self, State};
use crate::ports::cluster::{self, Mode, Scope};

/// Up to so many objects of a kind are looked up one by one, more are listed.
const FEW: usize = 10;

/// Why a restore wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something of the saved state cannot be used.
    #[error("cannot restore {0}; nothing was written")]
    State(String, #[source] open::Error),
    /// It could not be found out which objects exist.
    #[error("cannot find out whether {0} exists; nothing was written")]
    Existing(ObjectKey, #[source] cluster::Error),
}

/// Carries out a plan. Everything that will be sent is read and checked before the first write.
///
/// An object that fails is an entry in the report. Run again, the restore goes on where it ended: what is there is not
/// written again. Fixups are not part of it.
///
/// # Errors
/// Only before the first write: a state that cannot be used, or a cluster that cannot be asked under [`Existing::Fail`].
pub async fn apply(plan: &RestorePlan, state: &State, reach: &Reach<'_>) -> Result<RestoreReport, Error> {
    let started = reach.clock.now();
    let entries = plan.waves.iter().flat_map(|wave| &wave.objects).filter_map(|object| object.entry);
    state.check(entries).await.map_err(|error| Error::State(plan.source.clone(), error))?;
    let mut report = RestoreReport {
        source: plan.source.clone(),
        phase: Phase::Finished,
        outcome: Outcome::Complete,
        started,
        finished: started,
        waves: Vec::new(),
        left_out: plan.left_out.clone(),
        fixups: Vec::new(),
        mentions: plan.mentions.clone(),
        notes: plan.notes.clone(),
    };
    let there = there(plan, reach).await?;
    if there.is_empty() {
        report.waves = Run::new(plan, state, reach).waves().await;
        report.outcome = report.judge();
    } else {
        report.waves = there;
        report.notes.push("objects exist, so nothing was written".to_owned());
        report.outcome = Outcome::Failed;
    }
    report.finished = reach.clock.now();
    Ok(report)
}

/// Objects of the plan that exist and must not, wave by wave.
async fn there(plan: &RestorePlan, reach: &Reach<'_>) -> Result<Vec<WaveReport>, Error> {
    let mut waves = Vec::new();
    for wave in &plan.waves {
        let known = wave.objects.iter().filter(|o| o.existing == Existing::Fail && !o.new_kind);
        let reads = stream::iter(known).map(|object| async move {
            let PlannedObject { key, resource, .. } = object;
            let call = async || reach.reader.get(resource, key.namespace.as_deref(), &key.name).await;
            (key, persist(reach.clock, reach.patience, call).await.result)
        });
        let reads: Vec<_> = reads.buffered(reach.concurrency.max(1)).collect().await;
        let mut objects = Vec::new();
        for (key, read) in reads {
            if read.map_err(|error| Error::Existing(key.clone(), error))?.is_some() {
                let reason = Some("it exists".to_owned());
                objects.push(ObjectReport { key: key.clone(), action: ObjectAction::Failed, reason });
            }
        }
        if !objects.is_empty() {
            waves.push(WaveReport { wave: wave.name.clone(), objects, not_ready: Vec::new() });
        }
    }
    Ok(waves)
}

struct Run<'a> {
    plan: &'a RestorePlan,
    state: &'a State,
    reach: &'a Reach<'a>,
    /// Kinds whose definition did not become established.
    unserved: BTreeSet<Gvk>,
    /// Namespaces that could not be made.
    homeless: BTreeSet<String>,
    /// Uids of what was written.
    uids: Uids,
}

/// What became of a wave.
struct Finished<'p> {
    report: WaveReport,
    /// Old and new uids.
    uids: Vec<(&'p str, String)>,
    /// Objects that have owners.
    links: Vec<Link<'p>>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a RestorePlan, state: &'a State, reach: &'a Reach<'a>) -> Self {
        let (unserved, homeless) = (BTreeSet::new(), BTreeSet::new());
        Self { plan, state, reach, unserved, homeless, uids: Uids::default() }
    }

    async fn waves(mut self) -> Vec<WaveReport> {
        let mut reports = Vec::new();
        let mut open = Vec::new();
        for (at, wave) in self.plan.waves.iter().enumerate() {
            let Finished { report, uids, links } = self.wave(wave).await;
            for (old, new) in &uids {
                self.uids.learn(old, new);
            }
            open.extend(links);
            let failed = report.objects.iter().filter(|o| o.action == ObjectAction::Failed);
            self.homeless.extend(failed.filter(|o| is_namespace(&o.key)).map(|o| o.key.name.clone()));
            reports.push(report);
            self.wait_for_kinds(wave, &self.plan.waves[at + 1..]).await;
        }
        let missing = link(self.reach, open, &self.uids, self.plan.settings.served()).await;
        tell(&mut reports, missing);
        reports
    }

    async fn wave(&self, wave: &'a PlannedWave) -> Finished<'a> {
        let reach = self.reach;
        reach.progress.wave(&wave.name, wave.objects.len());
        let before = fingerprints(wave, reach).await;
        let parcels = parcels(self.plan, wave, self.state);
        let mut writes = std::pin::pin!(
            parcels.map(|parcel| self.write(parcel, &before)).buffer_unordered(reach.concurrency.max(1))
        );
        let mut objects = Vec::with_capacity(wave.objects.len());
        let (mut awaited, mut uids, mut links) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(Done { planned, owners, written }) = writes.next().await {
            let Written { action, reason, stored, live } = written;
            let report = ObjectReport { key: planned.key.clone(), action, reason };
            reach.progress.object(&report);
            objects.push(report);
            if let Some(now) = stored.as_ref().or(live.as_ref()) {
                uids.extend(self.old_uid(planned).zip(now.uid().map(str::to_owned)));
                if !owners.is_empty() && is_as_saved(action) {
                    let PlannedObject { key, resource, .. } = planned;
                    links.push(Link { key, resource, owners, now: now.clone() });
                }
            }
            if let Some(ready) = planned.ready.as_ref().filter(|_| action != ObjectAction::Failed) {
                let PlannedObject { key, resource, .. } = planned;
                awaited.push(Awaited { key, resource, ready, seen: stored.or(live) });
            }
        }
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        let late = settle(reach, awaited).await.into_iter();
        let not_ready = late.map(|(key, reason)| {
            let action = objects.iter().find(|o| o.key == key).map_or(ObjectAction::Created, |o| o.action);
            ObjectReport { key, action, reason: Some(reason) }
        });
        let report = WaveReport { wave: wave.name.clone(), not_ready: not_ready.collect(), objects };
        Finished { report, uids, links }
    }

    fn old_uid(&self, planned: &PlannedObject) -> Option<&'a str> {
        self.state.entries[planned.entry?].uid.as_deref()
    }

    async fn write(&self, parcel: Parcel<'a>, before: &HashMap<ObjectKey, Fingerprint>) -> Done<'a> {
        let Parcel { planned, content } = parcel;
        let failed =
            |reason| Written { action: ObjectAction::Failed, reason: Some(reason), stored: None, live: None };
        if let Some(namespace) = planned.key.namespace.as_ref().filter(|name| self.homeless.contains(*name)) {
            return Done::without_owners(
                planned,
                failed(format!("its namespace {namespace} could not be made")),
            );
        }
        if planned.new_kind && self.unserved.contains(&planned.resource.gvk) {
            let gvk = &planned.resource.gvk;
            let reason = format!("{gvk} is not served: its definition is not established");
            return Done::without_owners(planned, failed(reason));
        }
        match content {
            Err(reason) => Done::without_owners(planned, failed(reason)),
            Ok(prepared) => {
                let owners = prepared.owners().to_vec();
                let prepared = prepared.owned(self.uids.known(&owners));
                let released = released(prepared.manifest(), self.plan.settings.volumes());
                let order = Order {
                    resource: &planned.resource,
                    object: prepared.manifest(),
                    merges: prepared.merges_into_existing(),
                    existing: planned.existing,
                    never_recreated: prepared.never_recreated(),
                    before: before.get(&planned.key).copied(),
                    fresh: planned.after.is_some(),
                    mode: Mode::Real,
                };
                let written = put(self.reach, &order).await;
                Done { planned, owners, written: self.with_volume(written, released).await }
            }
        }
    }

    /// Keeps a released volume for the claim that was written.
    async fn with_volume(&self, written: Written, released: Option<Released<'_>>) -> Written {
        let Some(released) = released.filter(|_| is_as_saved(written.action)) else { return written };
        match rebind(self.reach, released, self.plan.settings.served()).await {
            Ok(told) => Written { reason: Some(told), ..written },
            Err(why) => Written { action: ObjectAction::Failed, reason: Some(why), ..written },
        }
    }

    /// After a wave with definitions: until the server serves the kinds that later waves need.
    async fn wait_for_kinds(&mut self, wave: &PlannedWave, later: &[PlannedWave]) {
        if !wave.objects.iter().any(|object| object.key.kind == "CustomResourceDefinition") {
            return;
        }
        let needed = later.iter().flat_map(|wave| &wave.objects).filter(|object| object.new_kind);
        let needed: BTreeSet<Gvk> = needed.map(|object| object.resource.gvk.clone()).collect();
        if !needed.is_empty() {
            self.unserved = discovered(self.reach, needed.into_iter().collect()).await.into_iter().collect();
        }
    }
}

/// One object after its write.
struct Done<'p> {
    planned: &'p PlannedObject,
    owners: Vec<OwnerReference>,
    written: Written,
}

impl<'p> Done<'p> {
    fn without_owners(planned: &'p PlannedObject, written: Written) -> Self {
        Self { planned, owners: Vec::new(), written }
    }
}

/// Whether an object is now what was saved, so that its owners are those that were saved.
fn is_as_saved(action: ObjectAction) -> bool {
    match action {
        ObjectAction::Created | ObjectAction::Updated | ObjectAction::Recreated | ObjectAction::Unchanged => {
            true
        }
        ObjectAction::Skipped | ObjectAction::Failed => false,
    }
}

/// Writes down which objects are without an owner that they had.
fn tell(waves: &mut [WaveReport], missing: Vec<(ObjectKey, Missing)>) {
    let mut by_key: HashMap<ObjectKey, Vec<Missing>> = HashMap::new();
    for (key, one) in missing {
        by_key.entry(key).or_default().push(one);
    }
    for object in waves.iter_mut().flat_map(|wave| &mut wave.objects) {
        for one in by_key.remove(&object.key).into_iter().flatten() {
            let reason = match one {
                Missing::Owner(owner) => format!("without {owner}"),
                Missing::Link(failure) => {
                    object.action = ObjectAction::Failed;
                    format!("written, but without {failure}")
                }
            };
            let before = object.reason.take();
            object.reason = Some(before.map_or(reason.clone(), |before| format!("{before}; {reason}")));
        }
    }
}

/// What the objects of a wave that may be changed say before anything is written, for those that exist.
///
/// Kinds with more than a few objects are listed, so that an update costs one call per object and not two. What cannot
/// be read is left out: its update is then reported as if the object were new.
async fn fingerprints(wave: &PlannedWave, reach: &Reach<'_>) -> HashMap<ObjectKey, Fingerprint> {
    let mut kinds: BTreeMap<&Resource, BTreeSet<&ObjectKey>> = BTreeMap::new();
    for object in wave.objects.iter().filter(|object| object.existing.writes() && !object.new_kind) {
        kinds.entry(&object.resource).or_default().insert(&object.key);
    }
    let mut found = HashMap::new();
    for (resource, keys) in kinds {
        if keys.len() <= FEW {
            let reads = stream::iter(keys).map(|key| async move {
                let call = async || reach.reader.get(resource, key.namespace.as_deref(), &key.name).await;
                persist(reach.clock, reach.patience, call).await.result.ok().flatten()
            });
            let reads: Vec<Option<Manifest>> = reads.buffered(reach.concurrency.max(1)).collect().await;
            found.extend(reads.into_iter().flatten().map(|live| (live.key(), fingerprint(&live))));
            continue;
        }
        for scope in scopes(&keys) {
            let call = async || {
                let mut of_kind = Vec::new();
                listing::each(reach.reader, resource, &scope, "", |live| {
                    let key = live.key();
                    if keys.contains(&key) {
                        of_kind.push((key, fingerprint(&live)));
                    }
                })
                .await?;
                Ok(of_kind)
            };
            found.extend(persist(reach.clock, reach.patience, call).await.result.unwrap_or_default());
        }
    }
    found
}

/// The namespaces the objects are in, if they are few; else everything.
fn scopes(keys: &BTreeSet<&ObjectKey>) -> Vec<Scope> {
    let namespaces: BTreeSet<Option<&String>> = keys.iter().map(|key| key.namespace.as_ref()).collect();
    if namespaces.len() > FEW {
        return vec![Scope::All];
    }
    let scope =
        |namespace: Option<&String>| namespace.map_or(Scope::All, |name| Scope::Namespace(name.clone()));
    namespaces.into_iter().map(scope).collect()
}

#[cfg(test)]
pub(crate) mod tests;
