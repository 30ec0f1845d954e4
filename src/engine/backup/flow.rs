//! Carries out one policy: plan, collect, sanitize, encrypt, and one snapshot at each location.
//!
//! Hooks run before the first object is read and after the last one; what they leave behind is stored with everything else.
//!
//! In: `BackupOrder`, targets, hooks · Out: `BackupReport` · Touches: cluster (read), Git, bucket, clock; hooks touch more

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;

use super::target::{Draft, Run, Target};
use crate::domain::hook_report::HookReport;
use crate::domain::identity::{ClusterRef, PolicyRef, SnapshotId};
use crate::domain::policy::{DEFAULT_TIMEOUT, PolicySpec};
use crate::domain::report::{BackupReport, KindReport, KindResult, LocationReport, Outcome, Phase};
use crate::domain::rules::Catalog;
use crate::domain::selection::{SelectSpec, Selection};
use crate::engine::archive::owner::Name;
use crate::engine::clean::sanitize::{Clean, Sanitizer, sanitize};
use crate::engine::gather::collect::{Event, collect};
use crate::engine::gather::plan::{BackupPlan, plan};
use crate::engine::hooks::around::Around;
use crate::engine::pool::compute;
use crate::ports::clock::Clock;
use crate::ports::cluster::{self, Reader};

/// Pages that are sanitized ahead of the writers.
const AHEAD: usize = 2;

/// Why a backup left nothing behind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not say who it is.
    #[error("cannot ask the API server for its version and the namespace kube-system")]
    Server(#[source] cluster::Error),
    /// Nothing could be discovered at all.
    #[error("cannot discover what the API server serves")]
    Discover(#[source] cluster::Error),
    /// The policy's time-out has passed.
    #[error("cannot finish the backup within {0}, the policy's timeout")]
    TimedOut(crate::domain::duration::Duration),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct BackupOrder {
    /// Name, digest and revision of the policy.
    pub policy: PolicyRef,
    /// The policy.
    pub spec: PolicySpec,
    /// Its selection.
    pub selection: Selection,
    /// What is known about kinds.
    pub catalog: Arc<Catalog>,
    /// How its objects are cleaned.
    pub sanitizer: Arc<Sanitizer>,
    /// Name of the cluster.
    pub cluster: String,
    /// Why it runs now.
    pub occasion: Occasion,
}

/// Why a policy is carried out now, and as whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occasion {
    /// When the run was due; absent for a run on request. Of all runs for one due time, one makes a snapshot.
    pub due: Option<Timestamp>,
    /// What is done where another cluster has the name.
    pub name: Name,
}

/// Decides what a backup would collect. Asks for nothing but discovery.
pub async fn plan_backup(order: &BackupOrder, reader: &dyn Reader) -> Result<BackupPlan, Error> {
    let discovery = reader.discover().await.map_err(Error::Discover)?;
    Ok(plan(order.selection.clone(), order.catalog.clone(), &discovery))
}

/// Runs one policy and leaves one snapshot at each location that works.
///
/// A location that fails is in the report; the others go on. Dropping the future leaves no snapshot behind; whoever drops it, or
/// gets an error, has to settle the hooks.
///
/// # Errors
/// Only where there is nothing to report on: the cluster does not answer, or the time-out has passed.
pub async fn backup(
    order: &BackupOrder,
    targets: Vec<Target>,
    (reader, around): (&dyn Reader, &dyn Around),
    clock: &dyn Clock,
) -> Result<BackupReport, Error> {
    let limit = order.spec.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let work = pin!(backup_untimed(order, targets, (reader, around), clock));
    let timer = pin!(clock.sleep(limit.as_std()));
    match futures::future::select(work, timer).await {
        futures::future::Either::Left((result, _)) => result,
        futures::future::Either::Right(((), work)) => {
            // A command that was begun would go on, and undo what the hooks after it undo.
            let calm = pin!(around.calm());
            futures::future::select(work, calm).await;
            Err(Error::TimedOut(limit))
        }
    }
}

async fn backup_untimed(
    order: &BackupOrder,
    targets: Vec<Target>,
    (reader, around): (&dyn Reader, &dyn Around),
    clock: &dyn Clock,
) -> Result<BackupReport, Error> {
    let started = clock.now();
    let server = reader.server().await.map_err(Error::Server)?;
    let plan = plan_backup(order, reader).await?;
    let run = Run {
        snapshot: match order.occasion.due {
            Some(due) => SnapshotId::due(&order.policy.name, due, &server.uid),
            None => SnapshotId::new(&order.policy.name, started, &clock.letters()),
        },
        policy: order.policy.clone(),
        cluster: ClusterRef { name: order.cluster.clone(), uid: server.uid, version: server.version },
        started,
        name: order.occasion.name,
        attempt: order.occasion.due.map(|_| clock.letters()),
    };
    let mut drafts = begin(targets, &run).await;
    let mut hooks = around.before().await;
    let mut tally = transfer(&plan, &order.sanitizer, &mut drafts, reader, clock).await;
    hooks.extend(around.after().await);
    tally.hooks = hooks;
    let report = tally.report(run, (&plan, order.spec.select.clone()), clock.now());
    Ok(finish(drafts, report, clock).await)
}

/// Opens every location at the same time.
async fn begin(targets: Vec<Target>, run: &Run) -> Vec<Draft> {
    futures::future::join_all(targets.into_iter().map(|target| Draft::begin(target, run))).await
}

/// Streams everything the plan names from the cluster to the drafts.
async fn transfer(
    plan: &BackupPlan,
    sanitizer: &Arc<Sanitizer>,
    drafts: &mut [Draft],
    reader: &dyn Reader,
    clock: &dyn Clock,
) -> Tally {
    let mut tally = Tally::default();
    let cleaned = collect(plan, reader, clock).map(|event| clean(event, sanitizer.clone())).buffered(AHEAD);
    let mut cleaned = pin!(cleaned);
    while let Some(step) = cleaned.next().await {
        match step {
            Step::Clean(batch) => {
                tally.learn(&batch);
                futures::future::join_all(drafts.iter_mut().map(|draft| draft.put(batch.clone()))).await;
            }
            Step::Other(event) => tally.note(event),
        }
        if drafts.iter().all(Draft::has_failed) {
            break; // nobody would keep the rest
        }
    }
    tally
}

enum Step {
    Clean(Arc<Clean>),
    Other(Event),
}

async fn clean(event: Event, sanitizer: Arc<Sanitizer>) -> Step {
    match event {
        Event::Batch(batch) => Step::Clean(Arc::new(compute(move || sanitize(batch, &sanitizer)).await)),
        other => Step::Other(other),
    }
}

/// Finishes mirrors first, so that the archive's report tells about them, then archives, their records last.
async fn finish(drafts: Vec<Draft>, mut report: BackupReport, clock: &dyn Clock) -> BackupReport {
    let order: Vec<String> = drafts.iter().map(|draft| draft.location().to_owned()).collect();
    let (archives, mirrors): (Vec<Draft>, Vec<Draft>) = drafts.into_iter().partition(Draft::is_archive);
    for stage in [mirrors, archives] {
        let told = report.clone();
        let done = futures::future::join_all(stage.into_iter().map(|draft| draft.finish(&told, clock))).await;
        report.locations.extend(done);
    }
    report.locations.sort_by_key(|l: &LocationReport| order.iter().position(|name| *name == l.location));
    report.outcome = overall(report.outcome, &report.locations);
    report.finished = clock.now();
    report
}

/// Failed where no location took the snapshot; Partial where the collection or a location is not whole.
fn overall(collected: Outcome, locations: &[LocationReport]) -> Outcome {
    let failed = locations.iter().filter(|l| l.outcome == Outcome::Failed).count();
    if failed == locations.len() {
        return Outcome::Failed;
    }
    locations.iter().map(|l| l.outcome).fold(collected, |a, b| a.max(b.min(Outcome::Partial)))
}

/// What collecting told so far.
#[derive(Debug, Default)]
struct Tally {
    kinds: Vec<KindReport>,
    left_out: BTreeMap<String, u64>,
    notes: BTreeSet<String>,
    hooks: Vec<HookReport>,
}

impl Tally {
    fn learn(&mut self, batch: &Clean) {
        self.notes.extend(batch.notes().iter().cloned());
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Batch(_) => {}
            Event::Kind(kind) => self.kinds.push(kind),
            Event::LeftOut { reason, count } => *self.left_out.entry(reason).or_default() += count,
            Event::Note(note) => drop(self.notes.insert(note)),
        }
    }

    fn report(
        self,
        run: Run,
        (plan, select): (&BackupPlan, SelectSpec),
        finished: Timestamp,
    ) -> BackupReport {
        let mut kinds = self.kinds;
        kinds.extend_from_slice(plan.skipped());
        kinds.sort_by(|a, b| a.resource.cmp(&b.resource));
        let failed = kinds.iter().any(|k| matches!(k.result, KindResult::Failed { .. }));
        let hooked = !self.hooks.iter().any(|hook| hook.outcome.spoils());
        let whole = !failed && hooked && plan.broken().is_empty();
        let count = |kind: &KindReport| match kind.result {
            KindResult::Collected { objects } => objects,
            KindResult::Skipped { .. } | KindResult::Failed { .. } => 0,
        };
        BackupReport {
            snapshot: run.snapshot,
            policy: run.policy,
            cluster: run.cluster,
            phase: Phase::Finished,
            outcome: if whole { Outcome::Complete } else { Outcome::Partial },
            started: run.started,
            finished,
            objects: kinds.iter().map(count).sum(),
            select: Some(select),
            kinds,
            undiscovered: plan.broken().clone(),
            left_out: self.left_out,
            hooks: self.hooks,
            locations: Vec::new(),
            notes: self.notes.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(outcome: Outcome) -> LocationReport {
        LocationReport { location: "a".into(), outcome, detail: String::new(), bytes: 0 }
    }

    #[test]
    fn one_failed_location_of_two_makes_the_run_partial() {
        let cases = [
            (Outcome::Complete, vec![Outcome::Complete, Outcome::Complete], Outcome::Complete),
            (Outcome::Complete, vec![Outcome::Complete, Outcome::Failed], Outcome::Partial),
            (Outcome::Partial, vec![Outcome::Complete], Outcome::Partial),
            (Outcome::Complete, vec![Outcome::Failed, Outcome::Failed], Outcome::Failed),
        ];
        for (collected, locations, expected) in cases {
            let locations: Vec<_> = locations.into_iter().map(location).collect();
            assert_eq!(overall(collected, &locations), expected);
        }
    }
}
