//! The hooks of a run: those before it, those after it, and those after it although it was given up.
//!
//! In: `Ground`, a moment before and one after · Out: `HookReport`s · Touches: containers, cluster, services, clock

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::debt::Owed;
use super::doors::Doors;
use super::moment::{self, Ground};
use super::survey::{Places, survey};
use super::velero;
use crate::domain::hook::HookWhen;
use crate::domain::hook_report::{HookOutcome, HookReport, HookResult};
use crate::domain::report::Phase;
use crate::engine::reach::{Progress, Reach};

/// What runs around the reading of a backup.
#[async_trait(?Send)]
pub trait Around: Send + Sync {
    /// What runs before.
    async fn before(&self) -> Vec<HookReport>;

    /// What runs after, also when the reading failed.
    async fn after(&self) -> Vec<HookReport>;

    /// Asks what is at work to end, and waits for it, while somebody polls it.
    async fn calm(&self);
}

/// Nothing runs.
pub struct Nothing;

#[async_trait(?Send)]
impl Around for Nothing {
    async fn before(&self) -> Vec<HookReport> {
        Vec::new()
    }

    async fn after(&self) -> Vec<HookReport> {
        Vec::new()
    }

    async fn calm(&self) {}
}

/// The hooks of one run. Those after it run once, whoever comes to them first, and only if those before it were begun.
pub struct Hooks<'a> {
    doors: Doors<'a>,
    ground: Ground<'a>,
    moments: [HookWhen; 2],
    /// Whether pods ask for hooks at these moments.
    asked: [bool; 2],
    begun: AtomicBool,
    /// Whether everything after the run has run.
    settled: AtomicBool,
    /// Whether something after the run could not be reached.
    unreached: AtomicBool,
    ears: Ears<'a>,
}

/// Hears which hooks after the run have ended, so that they are not repeated when the others are run later.
struct Ears<'a> {
    outer: &'a dyn Progress,
    after: HookWhen,
    ended: Mutex<BTreeSet<String>>,
}

impl Progress for Ears<'_> {
    fn waiting(&self, what: &str) {
        self.outer.waiting(what);
    }

    fn hook(&self, name: &str) {
        self.outer.hook(name);
    }

    fn hooked(&self, report: &HookReport) {
        let interrupted = report.runs.iter().any(|run| run.result == HookResult::Interrupted);
        if report.when == self.after && !interrupted {
            self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(report.name.clone());
        }
        self.outer.hooked(report);
    }
}

impl<'a> Hooks<'a> {
    /// Prepares the hooks of a run, and finds out whether pods ask for any. Nothing runs yet.
    ///
    /// Never fails: where the pods cannot be looked at, the moment before the run says so.
    pub async fn new(doors: Doors<'a>, ground: Ground<'a>, moments: [HookWhen; 2]) -> Self {
        let asked = match ground.annotations {
            None => [false; 2],
            Some(meant) => match survey(&doors, &ground.places, &[], true).await {
                Ok(seen) => moments
                    .map(|when| seen.pods.iter().any(|pod| meant(pod) && velero::hook(pod, when).is_some())),
                Err(_) => [true, false],
            },
        };
        let [begun, settled, unreached] = [false; 3].map(AtomicBool::new);
        let ears = Ears { outer: doors.reach.progress, after: moments[1], ended: Mutex::default() };
        Self { doors, ground, moments, asked, begun, settled, unreached, ears }
    }

    /// What the run will owe once its first hook has run: nothing where no hook runs before it.
    pub fn owed(&self) -> Owed {
        let [before, after] = self.moments;
        let [early, late] = self.asked;
        let Ground { hooks, places, annotations: _, done: _, by } = &self.ground;
        let at = |when: HookWhen| hooks.iter().filter(move |hook| hook.spec.when == when);
        let begins = early || at(before).next().is_some();
        let hooks = at(after).filter(|hook| hook.spec.init.is_none()).map(|hook| hook.name.clone());
        Owed {
            run: (*by).to_owned(),
            started: self.doors.reach.clock.now(),
            phase: Phase::Running,
            hooks: if begins { hooks.collect() } else { Vec::new() },
            annotations: begins && late,
            scaled: at(before).any(|hook| hook.spec.scale.is_some()),
            namespaces: places.known.clone(),
        }
    }

    /// Runs the hooks after the run that have not ended yet, unless nothing was begun. Whoever drops it may call it again.
    pub async fn settle(&self) -> Vec<HookReport> {
        if !self.begun.load(Ordering::SeqCst) || self.settled.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let [_, when] = self.moments;
        let ground = self.ground(self.asked[1]);
        let doors = Doors { reach: Reach { progress: &self.ears, ..self.doors.reach }, ..self.doors };
        let mut reports = moment::scale_back(&doors, &ground, when).await;
        reports.extend(moment::run(&doors, &ground, when).await);
        if !self.doors.calm.is_asked() {
            self.settled.store(true, Ordering::SeqCst);
            self.unreached.store(stays_owed(&reports), Ordering::SeqCst);
        }
        reports
    }

    /// Whether the next start should try again.
    pub fn still_owes(&self) -> bool {
        self.unreached.load(Ordering::SeqCst)
    }

    /// Lets what is at work come to an end.
    pub async fn calm(&self) {
        self.doors.calm.ask();
        self.doors.calm.idle(self.doors.reach.clock).await;
    }

    /// The ground, without annotations where no pod asks.
    fn ground(&self, asked: bool) -> Ground<'a> {
        let Ground { hooks, places, annotations, done, by } = &self.ground;
        Ground {
            hooks,
            places: Places { known: places.known.clone(), has: places.has },
            annotations: annotations.filter(|_| asked),
            done: done
                .union(&self.ears.ended.lock().unwrap_or_else(PoisonError::into_inner))
                .cloned()
                .collect(),
            by,
        }
    }
}

#[async_trait(?Send)]
impl Around for Hooks<'_> {
    async fn before(&self) -> Vec<HookReport> {
        self.begun.store(true, Ordering::SeqCst);
        let [when, _] = self.moments;
        moment::run(&self.doors, &self.ground(self.asked[0]), when).await
    }

    async fn after(&self) -> Vec<HookReport> {
        self.settle().await
    }

    async fn calm(&self) {
        Hooks::calm(self).await;
    }
}

/// Runs what an earlier run owes: those of its hooks that the repository still has. Says which ones it has no more.
pub async fn pay(doors: &Doors<'_>, ground: &Ground<'_>, owed: &Owed, when: HookWhen) -> Vec<HookReport> {
    let told = format!("owed by the run of {}, which was interrupted", owed.started);
    let mut reports = Vec::new();
    if owed.scaled {
        reports = moment::scale_back_owed(doors, ground, when).await;
    }
    reports.extend(moment::run(doors, ground, when).await);
    let absent = owed.hooks.iter().filter(|name| !ground.hooks.iter().any(|hook| hook.name == **name));
    reports.extend(absent.map(|name| {
        let reason = "the policy repository does not have it any more".to_owned();
        HookReport { outcome: HookOutcome::Failed, ..HookReport::not_run(name, when, reason) }
    }));
    for report in &mut reports {
        let reason = report.reason.take().map(|reason| format!("; {reason}")).unwrap_or_default();
        report.reason = Some(format!("{told}{reason}"));
    }
    reports
}

/// Whether the next start should try again: something could not be reached, or this account may not do it.
pub fn stays_owed(reports: &[HookReport]) -> bool {
    let unreached = |report: &HookReport| {
        let blind = report.outcome == HookOutcome::NotRun && report.runs.is_empty();
        let later = [HookResult::Unreachable, HookResult::Forbidden, HookResult::Denied];
        blind || report.runs.iter().any(|run| later.contains(&run.result))
    };
    reports.iter().any(unreached)
}

#[cfg(test)]
mod tests;
