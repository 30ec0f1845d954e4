//! The hooks of a run: those before it, those after it, and those after it although it was given up.
//!
//! In: `Ground`, a moment before and one after · Out: `HookReport`s · Touches: containers, cluster, services, clock

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::debt::Owed;
use super::doors::Doors;
use super::moment::{self, Ground};
use super::survey::{Blind, survey};
use super::velero;
use crate::domain::hook::HookWhen;
use crate::domain::hook_report::{HookOutcome, HookReport, HookResult};
use crate::domain::report::Phase;

/// What runs around the reading of a backup.
#[async_trait(?Send)]
pub trait Around: Send + Sync {
    /// What runs before.
    async fn before(&self) -> Vec<HookReport>;

    /// What runs after, also when the reading failed.
    async fn after(&self) -> Vec<HookReport>;
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
}

/// The hooks of one run. Those after it run once, whoever comes to them first.
pub struct Hooks<'a> {
    doors: Doors<'a>,
    ground: Ground<'a>,
    moments: [HookWhen; 2],
    settled: AtomicBool,
}

impl<'a> Hooks<'a> {
    /// Prepares the hooks of a run. Nothing runs yet.
    pub fn new(doors: Doors<'a>, ground: Ground<'a>, moments: [HookWhen; 2]) -> Self {
        Self { doors, ground, moments, settled: AtomicBool::new(false) }
    }

    /// What the run will owe once its first hook has run: nothing where no hook runs before it.
    ///
    /// # Errors
    /// Pods that may ask for hooks cannot be looked at.
    pub async fn owed(&self, namespaces: Option<Vec<String>>) -> Result<Owed, Blind> {
        let [before, after] = self.moments;
        let Doors { reach, .. } = self.doors;
        let Ground { hooks, places, annotations, done: _, by } = &self.ground;
        let (mut early, mut late) = (false, false);
        if let Some(meant) = annotations {
            let seen = survey(&self.doors, places, &[], true).await?;
            let asks = |when| seen.pods.iter().any(|pod| meant(pod) && velero::hook(pod, when).is_some());
            (early, late) = (asks(before), asks(after));
        }
        let at = |when: HookWhen| hooks.iter().filter(move |hook| hook.spec.when == when);
        let begins = early || at(before).next().is_some();
        let hooks = at(after).filter(|hook| hook.spec.init.is_none()).map(|hook| hook.name.clone());
        Ok(Owed {
            run: (*by).to_owned(),
            started: reach.clock.now(),
            phase: Phase::Running,
            hooks: if begins { hooks.collect() } else { Vec::new() },
            annotations: begins && late,
            scaled: at(before).any(|hook| hook.spec.scale.is_some()),
            namespaces,
        })
    }

    /// Runs the hooks after the run, unless they ran already.
    pub async fn settle(&self) -> Vec<HookReport> {
        if self.settled.swap(true, Ordering::SeqCst) {
            return Vec::new();
        }
        let [_, when] = self.moments;
        let mut reports = moment::scale_back(&self.doors, &self.ground, when).await;
        reports.extend(moment::run(&self.doors, &self.ground, when).await);
        reports
    }
}

#[async_trait(?Send)]
impl Around for Hooks<'_> {
    async fn before(&self) -> Vec<HookReport> {
        let [when, _] = self.moments;
        moment::run(&self.doors, &self.ground, when).await
    }

    async fn after(&self) -> Vec<HookReport> {
        self.settle().await
    }
}

/// Runs what an earlier run owes: those of its hooks that the repository still has. Says which ones it has no more.
pub async fn pay(doors: &Doors<'_>, ground: &Ground<'_>, owed: &Owed, when: HookWhen) -> Vec<HookReport> {
    let told = format!("owed by the run of {}, which was interrupted", owed.started);
    let mut reports = moment::scale_back(doors, ground, when).await;
    reports.extend(moment::run(doors, ground, when).await);
    let absent = owed.hooks.iter().filter(|name| !ground.hooks.iter().any(|hook| hook.name == **name));
    reports.extend(absent.map(|name| {
        HookReport::not_run(name, when, "the policy repository does not have it any more".into())
    }));
    for report in &mut reports {
        let reason = report.reason.take().map(|reason| format!("; {reason}")).unwrap_or_default();
        report.reason = Some(format!("{told}{reason}"));
    }
    reports
}

/// Whether the next start should try again: something could not be reached.
pub fn stays_owed(reports: &[HookReport]) -> bool {
    let unreached = |report: &HookReport| {
        let blind = report.outcome == HookOutcome::NotRun && report.runs.is_empty();
        blind || report.runs.iter().any(|run| run.result == HookResult::Unreachable)
    };
    reports.iter().any(unreached)
}
