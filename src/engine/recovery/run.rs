//! A restore from beginning to end: waves, then fixups, while its journal is kept and heard.
//!
//! In: `Job` · Out: `RestoreReport` · Touches: cluster (read and write), clock, what the state is read from

use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::{Either, select};
use jiff::Timestamp;

use crate::domain::hook_report::HookReport;
use crate::domain::report::{
    FixupOutcome, FixupReport, ObjectReport, Outcome, OwnerReport, Phase, RestoreReport, WaveReport,
};
use crate::domain::restore_run::{News, RestoreRun};
use crate::engine::decide::gitops::PausePlan;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::journal::{Answer, Desk, HEARTBEAT};
use crate::engine::mend::fixup_plan::Fixup;
use crate::engine::mend::fixups;
use crate::engine::reach::{Progress, Reach};
use crate::engine::recovery::hooked::{Hooking, RestoreHooks, undo};
use crate::engine::recovery::inits;
use crate::engine::restore::apply::{self, apply};
use crate::engine::restore::pause;
use crate::engine::retry::after;
use crate::engine::saved::open::State;

/// How often news is written into the journal, at most.
const TICK: Duration = Duration::from_secs(1);

/// A decided restore: nothing is left to find out.
pub struct Job {
    /// What is restored.
    pub state: State,
    /// What is done.
    pub plan: RestorePlan,
    /// Owners that are paused meanwhile.
    pub pause: PausePlan,
    /// What is mended afterwards.
    pub fixups: Vec<Fixup>,
}

/// A run and the desk where its journal is written.
pub struct Log {
    /// The run as far as it is known.
    pub run: RestoreRun,
    /// Where it is written; absent where no journal can be kept.
    pub desk: Option<Desk>,
}

/// Why a run has no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An owner cannot be paused.
    #[error(transparent)]
    Pause(#[from] pause::Error),
    /// Nothing was written.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// It is not known which pods are there before.
    #[error("cannot run the hooks of the restore; nothing was written: {0}")]
    Hooks(String),
    /// A hook failed before anything was written.
    #[error("hook {0} failed, so nothing was written: {1}")]
    Hook(String, String),
}

/// A run without a report, and what became of the owners that it had paused.
#[derive(Debug)]
pub struct Broken {
    /// Why.
    pub error: Error,
    /// Owners.
    pub owners: Vec<OwnerReport>,
    /// Workloads that were scaled back.
    pub hooks: Vec<HookReport>,
}

/// Why the work has no report, and what was undone.
struct Undone {
    error: Error,
    hooks: Vec<HookReport>,
}

impl<E: Into<Error>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self { error: error.into(), hooks: Vec::new() }
    }
}

/// Carries out a restore: pauses owners, writes the waves, mends, and resumes the owners however it went. Fixups that had ended before the run was interrupted are not carried out again.
///
/// The run stops between two objects when its journal says that it was cancelled or taken over by another process; the
/// report then holds what was done until then.
///
/// Whoever drops the future has to resume the owners: [`pause::resume`].
///
/// # Errors
/// An owner cannot be paused, or as [`apply`]; nothing was restored then.
pub async fn run(
    job: &Job,
    (reach, hooks): (&Reach<'_>, Option<RestoreHooks<'_>>),
    log: &mut Log,
) -> Result<RestoreReport, Broken> {
    let (sender, receiver) = unbounded();
    let ears = Ears { outer: reach.progress, sender };
    let mut desk = Listener { receiver, waves: Vec::new(), changed: false, written: reach.clock.now() };
    let before = log.run.clone();
    let result = {
        let inner = Reach { progress: &ears, ..*reach };
        let work = Box::pin(work(job, (&inner, hooks), &before));
        let keep = std::pin::pin!(desk.keep(reach, log));
        match select(work, keep).await {
            Either::Left((done, _)) => Ended::Done(Box::new(done)),
            Either::Right((why, work)) => {
                if let Some(hooks) = hooks {
                    // A command that was begun would go on, whatever is undone.
                    hooks.doors.calm.ask();
                    select(work, std::pin::pin!(hooks.doors.calm.idle(reach.clock))).await;
                    hooks.doors.calm.again();
                }
                Ended::Stopped(why)
            }
        }
    };
    let owners = pause::resume(&job.pause, reach).await;
    let report = match result {
        Ended::Stopped(why) => {
            let undone = match (&why, hooks) {
                (Stop::Cancelled(_), Some(hooks)) => undo(hooks, *reach, &job.plan).await,
                _ => Vec::new(),
            };
            let report = desk.stopped(job, log, why, reach.clock.now());
            RestoreReport { hooks: undone, ..report }
        }
        Ended::Done(done) => match *done {
            Ok(report) => report,
            Err(Undone { error, hooks }) => {
                log.run.give_up(&error.to_string(), reach.clock.now());
                close(reach, log).await;
                return Err(Broken { error, owners, hooks });
            }
        },
    };
    let notes = report.notes.iter().chain(&before.notes).cloned().collect();
    let mut report = RestoreReport { owners, notes, ..report };
    if report.outcome == Outcome::Complete {
        report.outcome = report.judge();
    }
    log.run.finish(&report);
    report.notes.extend(close(reach, log).await);
    Ok(report)
}

enum Ended {
    Done(Box<Result<RestoreReport, Undone>>),
    Stopped(Stop),
}

/// Why a run stops before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stop {
    Cancelled(String),
    TakenOver,
}

/// Owners, hooks, waves, fixups, and hooks again.
async fn work(
    job: &Job,
    (reach, hooks): (&Reach<'_>, Option<RestoreHooks<'_>>),
    before: &RestoreRun,
) -> Result<RestoreReport, Undone> {
    pause::pause(&job.pause, reach).await?;
    let Some(hooks) = hooks else { return Ok(waves(job, reach, before).await?) };
    let hooking = Hooking::begin(hooks, *reach, &job.plan, before).await.map_err(Error::Hooks)?;
    let early = hooking.before(before).await;
    if let Some(failed) = early.iter().find(|hook| hook.outcome.spoils()) {
        let error = Error::Hook(failed.name.clone(), failed.told());
        // Hooks after a restore load data: they do not run where nothing was restored.
        return Err(Undone { error, hooks: hooking.undo().await });
    }
    let mut report = match waves(job, reach, before).await {
        Ok(report) => report,
        Err(error) => return Err(Undone { error, hooks: hooking.undo().await }),
    };
    report.hooks = early;
    if report.outcome == Outcome::Failed {
        report.notes.push("no hook ran after the restore, because it failed".to_owned());
        report.hooks.extend(hooking.undo().await);
    } else {
        report.hooks.extend(inits::reports(&job.plan, &report.waves, hooks.hooks));
        report.hooks.extend(hooking.after(before).await);
    }
    if report.outcome == Outcome::Complete {
        report.outcome = report.judge();
    }
    report.finished = reach.clock.now();
    Ok(report)
}

/// Waves and fixups.
async fn waves(job: &Job, reach: &Reach<'_>, before: &RestoreRun) -> Result<RestoreReport, Error> {
    let mut report = apply(&job.plan, &job.state, reach).await?;
    if report.outcome == Outcome::Failed {
        let note = "no fixup ran, because the restore failed";
        report.notes.extend((!job.fixups.is_empty()).then(|| note.to_owned()));
    } else {
        let done = job.fixups.iter().take_while(|fixup| before.has_mended(fixup.name())).count();
        let (done, open) = job.fixups.split_at(done);
        report.fixups = done.iter().map(|fixup| mended(fixup, before)).collect();
        report.fixups.extend(fixups::run(open, reach).await);
        report.outcome = report.judge();
    }
    report.finished = reach.clock.now();
    Ok(report)
}

fn mended(fixup: &Fixup, before: &RestoreRun) -> FixupReport {
    let outcome = before.fixups.get(fixup.name()).copied().unwrap_or(FixupOutcome::Verified);
    let reason = Some("it had ended before the restore was interrupted".to_owned());
    FixupReport { name: fixup.name().to_owned(), outcome, objects: Vec::new(), reason }
}

/// Writes the end of a run; what that failed for is a note.
async fn close(reach: &Reach<'_>, log: &Log) -> Option<String> {
    let desk = log.desk.as_ref()?;
    let failed = desk.close(reach, &log.run).await.err()?;
    let cause = std::error::Error::source(&failed).map(|cause| format!(": {cause}")).unwrap_or_default();
    Some(format!("the end of the run is not in its journal: {failed}{cause}"))
}

/// Hears what a restore tells, passes it on, and keeps it for the journal.
struct Ears<'a> {
    outer: &'a dyn Progress,
    sender: UnboundedSender<News>,
}

impl Ears<'_> {
    fn keep(&self, news: News) {
        // Nobody listens any more only when the run is over.
        self.sender.unbounded_send(news).ok();
    }
}

impl Progress for Ears<'_> {
    fn wave(&self, name: &str, objects: usize) {
        self.keep(News::Wave { name: name.to_owned(), objects });
        self.outer.wave(name, objects);
    }

    fn object(&self, report: &ObjectReport) {
        self.keep(News::Object(report.clone()));
        self.outer.object(report);
    }

    fn waiting(&self, what: &str) {
        self.keep(News::Waiting(what.to_owned()));
        self.outer.waiting(what);
    }

    fn fixup(&self, name: &str, what: &str) {
        self.keep(News::Fixup(format!("{name}: {what}")));
        self.outer.fixup(name, what);
    }

    fn mended(&self, report: &FixupReport) {
        self.keep(News::Mended(report.clone()));
        self.outer.mended(report);
    }

    fn hook(&self, name: &str) {
        self.keep(News::Hook(name.to_owned()));
        self.outer.hook(name);
    }

    fn hooked(&self, report: &HookReport) {
        self.keep(News::Hooked(report.when, report.name.clone(), report.outcome));
        self.outer.hooked(report);
    }

    fn there(&self, pods: &[String]) {
        self.keep(News::There(pods.to_vec()));
        self.outer.there(pods);
    }
}

/// Writes news into the journal, and hears what the journal says.
struct Listener {
    receiver: UnboundedReceiver<News>,
    /// What is known of the waves, should the run stop early.
    waves: Vec<WaveReport>,
    changed: bool,
    written: Timestamp,
}

impl Listener {
    /// Works until the run has to stop.
    async fn keep(&mut self, reach: &Reach<'_>, log: &mut Log) -> Stop {
        loop {
            reach.clock.sleep(TICK).await;
            self.listen(&mut log.run);
            let due = self.changed || reach.clock.now() >= after(self.written, HEARTBEAT);
            let Some(desk) = log.desk.as_ref().filter(|_| due) else { continue };
            match desk.note(reach, &log.run).await {
                Ok(Answer::Cancel(who)) => return Stop::Cancelled(who),
                Ok(Answer::TakenOver) => return Stop::TakenOver,
                Ok(Answer::Noted) => {
                    self.changed = false;
                    self.written = reach.clock.now();
                }
                // The run does not depend on it. Whether its end is written is in the report.
                Err(_) => {}
            }
        }
    }

    fn listen(&mut self, run: &mut RestoreRun) {
        while let Ok(news) = self.receiver.try_recv() {
            run.hear(&news);
            self.changed = true;
            match news {
                News::Wave { name, .. } => {
                    self.waves.push(WaveReport { wave: name, objects: Vec::new(), not_ready: Vec::new() });
                }
                News::Object(report) => {
                    if let Some(wave) = self.waves.last_mut() {
                        wave.objects.push(report);
                    }
                }
                News::Waiting(_)
                | News::Fixup(_)
                | News::Mended(_)
                | News::Hook(_)
                | News::Hooked(..)
                | News::There(_) => {}
            }
        }
    }

    /// The report of a run that was stopped.
    fn stopped(mut self, job: &Job, log: &mut Log, why: Stop, now: Timestamp) -> RestoreReport {
        self.listen(&mut log.run);
        let planned: usize = job.plan.waves.iter().map(|wave| wave.objects.len()).sum();
        let done: usize = self.waves.iter().map(|wave| wave.objects.len()).sum();
        let note = match why {
            Stop::Cancelled(who) => {
                format!("cancelled by {who}: {} of {planned} objects were not looked at", planned - done)
            }
            Stop::TakenOver => {
                log.desk = None;
                "another process has taken the restore over; this one stopped".to_owned()
            }
        };
        for wave in &mut self.waves {
            wave.objects.sort_by(|a, b| a.key.cmp(&b.key));
        }
        RestoreReport {
            source: job.plan.source.clone(),
            phase: Phase::Finished,
            outcome: if done == 0 { Outcome::Failed } else { Outcome::Partial },
            started: log.run.started,
            finished: now,
            waves: self.waves,
            left_out: job.plan.left_out.clone(),
            unpruned: Vec::new(),
            hooks: Vec::new(),
            fixups: Vec::new(),
            owners: Vec::new(),
            mentions: job.plan.mentions.clone(),
            notes: job.plan.notes.iter().cloned().chain([note]).collect(),
        }
    }
}

#[cfg(test)]
pub(in crate::engine) mod tests;
