//! Carries out a restore plan, wave after wave, and writes down what became of every object.
//!
//! In: `RestorePlan`, `State` · Out: `RestoreReport` · Touches: cluster (read and write), clock, what the state is read from

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures::{StreamExt, stream};

use super::finalizers::{Held, put_back};
use super::links::{Link, Missing, Uids, link};
use super::remove::remove;
use super::settle::discovered;
use super::wave::{Finished, Ground};
use super::webhooks;
use crate::domain::conflict::Existing;
use crate::domain::object::{Gvk, ObjectKey};
use crate::domain::report::{ObjectAction, ObjectReport, Outcome, Phase, RestoreReport, WaveReport};
use crate::engine::decide::draft::{PlannedObject, PlannedWave, is_namespace};
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::reach::Reach;
use crate::engine::retry::{after, persist};
use crate::engine::saved::open::{self, State};
use crate::ports::cluster;

/// How long an object that a webhook blocks is tried again after the last one that passed.
const BLOCKED: Duration = Duration::from_mins(2);

/// How often it is tried.
const LOOK: Duration = Duration::from_secs(2);

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
        unpruned: Vec::new(),
        hooks: Vec::new(),
        fixups: Vec::new(),
        owners: Vec::new(),
        mentions: plan.mentions.clone(),
        notes: plan.notes.clone(),
    };
    let there = there(plan, reach).await?;
    if there.is_empty() {
        report.waves = Run::new(plan, state, reach).waves().await;
        if let Some(surplus) = &plan.surplus {
            report.waves.push(remove(surplus, reach).await);
            report.unpruned.clone_from(&surplus.unknown);
        }
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
    ground: Ground<'a>,
    reports: Vec<WaveReport>,
    /// Objects whose owners may have to be linked.
    links: Vec<Link<'a>>,
    /// Objects whose finalizers come back.
    held: Vec<Held<'a>>,
    /// Objects that a webhook blocks: position of the wave, the object, the webhook.
    blocked: Vec<(usize, &'a PlannedObject, String)>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a RestorePlan, state: &'a State, reach: &'a Reach<'a>) -> Self {
        let (unserved, homeless) = (BTreeSet::new(), BTreeMap::new());
        let mut ground = Ground { plan, state, reach, unserved, homeless, uids: Uids::default() };
        for object in plan.waves.iter().flat_map(|wave| &wave.objects) {
            if let (Some(uid), Some(recast)) = (ground.old_uid(object), &object.recast) {
                ground.uids.recast(uid, recast.api_version());
            }
        }
        Self { ground, reports: Vec::new(), links: Vec::new(), held: Vec::new(), blocked: Vec::new() }
    }

    async fn waves(mut self) -> Vec<WaveReport> {
        let waves = &self.ground.plan.waves;
        for (at, wave) in waves.iter().enumerate() {
            // The last wave may bring webhooks that refuse every further write.
            if at > 0 && at + 1 == waves.len() {
                self.unblock().await;
                let (early, late) =
                    std::mem::take(&mut self.links).into_iter().partition(|l| self.ground.uids.all(l));
                self.links = late;
                self.link(early).await;
            }
            self.ground.reach.progress.wave(&wave.name, wave.objects.len());
            let finished = self.ground.wave(&wave.name, wave.objects.iter().collect()).await;
            self.take(at, finished);
            self.wait_for_kinds(wave, &waves[at + 1..]).await;
        }
        self.unblock().await;
        let links = std::mem::take(&mut self.links);
        self.link(links).await;
        let (settings, reach) = (&self.ground.plan.settings, self.ground.reach);
        hold(&mut self.reports, put_back(reach, self.held, settings.finalizers(), settings.served()).await);
        self.reports
    }

    /// Takes in what became of a wave, or of some of its objects that were tried again.
    fn take(&mut self, at: usize, finished: Finished<'a>) {
        let Finished { report, uids, links, held, standing, blocked } = finished;
        for (old, new) in &uids {
            self.ground.uids.learn(old, new);
        }
        self.links.extend(links);
        self.held.extend(held);
        for space in report.objects.iter().filter(|object| is_namespace(&object.key)) {
            let by = blocked.iter().find(|(object, _)| object.key == space.key).map(|(_, name)| name.clone());
            if space.action == ObjectAction::Failed && !standing.contains(&&space.key) {
                self.ground.homeless.insert(space.key.name.clone(), by);
            } else {
                self.ground.homeless.remove(&space.key.name);
            }
        }
        self.blocked.extend(blocked.into_iter().map(|(object, webhook)| (at, object, webhook)));
        match self.reports.get_mut(at) {
            None => self.reports.push(report),
            Some(before) => {
                before.objects.retain(|old| !report.objects.iter().any(|new| new.key == old.key));
                before.objects.extend(report.objects);
                before.objects.sort_by(|a, b| a.key.cmp(&b.key));
                before.not_ready.extend(report.not_ready);
            }
        }
    }

    async fn link(&mut self, open: Vec<Link<'a>>) {
        let Ground { plan, reach, uids, .. } = &self.ground;
        let missing = link(reach, open, uids, plan.settings.served()).await;
        tell(&mut self.reports, missing);
    }

    /// Tries again what a webhook blocked: its backend may be among what was restored since.
    ///
    /// One object of each webhook is tried until it passes, then all others.
    async fn unblock(&mut self) {
        let mut deadline = after(self.ground.reach.clock.now(), BLOCKED);
        while let Some(blocked) = webhooks::first_of_each(&self.blocked) {
            let reach = self.ground.reach;
            reach.progress.waiting(&format!("webhook {}", blocked.webhooks.join(", ")));
            let before = self.blocked.len();
            self.again(&blocked.probes).await;
            if self.blocked.len() < before {
                let rest: Vec<usize> = (0..self.blocked.len()).collect();
                self.again(&rest).await;
                deadline = after(reach.clock.now(), BLOCKED);
            } else if reach.clock.now() >= deadline {
                break;
            } else {
                reach.clock.sleep(LOOK).await;
            }
        }
        self.give_up_blocked().await;
    }

    /// Writes some of the blocked objects, by position, wave by wave.
    async fn again(&mut self, positions: &[usize]) {
        let mut waves: BTreeMap<usize, Vec<&'a PlannedObject>> = BTreeMap::new();
        for position in positions {
            let (at, object, _) = &self.blocked[*position];
            waves.entry(*at).or_default().push(object);
        }
        let mut position = 0;
        self.blocked.retain(|_| {
            position += 1;
            !positions.contains(&(position - 1))
        });
        for (at, objects) in waves {
            let name = &self.ground.plan.waves[at].name;
            let finished = self.ground.wave(name, objects).await;
            self.take(at, finished);
        }
    }

    /// Names the webhooks that still block, and whose they are.
    async fn give_up_blocked(&mut self) {
        let blocked = std::mem::take(&mut self.blocked);
        if blocked.is_empty() {
            return;
        }
        let (reach, served) = (self.ground.reach, self.ground.plan.settings.served());
        let known = webhooks::known(reach, served).await;
        for (at, planned, webhook) in blocked {
            let found = self.reports[at].objects.iter_mut().find(|object| object.key == planned.key);
            if let Some(object) = found {
                object.reason = Some(webhooks::advice(&webhook, &known));
                reach.progress.object(object);
            }
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
            let late = discovered(self.ground.reach, needed.into_iter().collect()).await;
            self.ground.unserved = late.into_iter().collect();
        }
    }
}

/// Writes down which objects lack a finalizer: nothing that is built upon them may rely on it.
fn hold(waves: &mut [WaveReport], lacking: Vec<(ObjectKey, String)>) {
    for (key, reason) in lacking {
        let place = |wave: &&mut WaveReport| wave.objects.iter().any(|object| object.key == key);
        if let Some(wave) = waves.iter_mut().find(place) {
            let action =
                wave.objects.iter().find(|o| o.key == key).map_or(ObjectAction::Created, |o| o.action);
            wave.not_ready.push(ObjectReport { key, action, reason: Some(reason) });
        }
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

#[cfg(test)]
pub(crate) mod tests;
