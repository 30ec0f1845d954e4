//! The hooks of a restore: before the first write, and after the fixups.
//!
//! Pods ask for hooks by annotation only if this restore has brought them: those that were there before are remembered.
//!
//! In: hooks of a request, `RestorePlan`, `RestoreRun` · Out: `HookReport`s · Touches: containers, cluster, services, clock

use std::collections::BTreeSet;

use crate::domain::hook::{HookAnnotations, HookWhen};
use crate::domain::hook_report::HookReport;
use crate::domain::hook_template::Hook;
use crate::domain::restore_request::RESTORE;
use crate::domain::restore_run::RestoreRun;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::hooks::doors::Doors;
use crate::engine::hooks::moment::{self, Ground, Planned};
use crate::engine::hooks::pod::Pod;
use crate::engine::hooks::survey::{Places, survey};
use crate::engine::hooks::velero;
use crate::engine::reach::Reach;

/// Kinds that bring pods.
const BRING: [&str; 8] = [
    "Pod",
    "ReplicaSet",
    "ReplicationController",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
];

/// The hooks of a restore, and what they act through.
#[derive(Clone, Copy)]
pub struct RestoreHooks<'a> {
    /// The doors; the restore itself hears how far they are.
    pub doors: Doors<'a>,
    /// Hooks, their parameters filled in.
    pub hooks: &'a [Hook],
    /// Whether pods may ask for hooks.
    pub annotations: HookAnnotations,
    /// Whom a workload that is scaled down remembers, such as `restore move-the-shop`.
    pub by: &'a str,
}

/// Hooks at work in one attempt of a restore.
pub struct Hooking<'a> {
    hooks: RestoreHooks<'a>,
    namespaces: BTreeSet<String>,
    there: BTreeSet<String>,
    /// Whether pods may ask for hooks after this restore.
    asked: bool,
}

/// Scales back what a restore has scaled down, where it stops before its end.
pub async fn undo(hooks: RestoreHooks<'_>, reach: Reach<'_>, plan: &RestorePlan) -> Vec<HookReport> {
    let doors = Doors { reach, ..hooks.doors };
    undo_in(&RestoreHooks { doors, ..hooks }, &namespaces(plan)).await
}

/// What the hooks of a restore would run for, as the cluster is now: pods that the restore brings are not there yet.
///
/// # Errors
/// What could not be looked at.
pub async fn preview(
    hooks: RestoreHooks<'_>,
    plan: &RestorePlan,
) -> Result<Vec<(HookWhen, Planned)>, String> {
    let namespaces = namespaces(plan);
    let has = |name: &str| namespaces.contains(name);
    let ground = Ground {
        hooks: hooks.hooks,
        places: Places { known: Some(namespaces.iter().cloned().collect()), has: &has },
        annotations: None,
        done: BTreeSet::new(),
        by: hooks.by,
    };
    let mut planned = Vec::new();
    for when in RESTORE {
        let hooks = moment::plan(&hooks.doors, &ground, when).await?;
        planned.extend(hooks.into_iter().map(|hook| (when, hook)));
    }
    Ok(planned)
}

async fn undo_in(hooks: &RestoreHooks<'_>, namespaces: &BTreeSet<String>) -> Vec<HookReport> {
    let has = |name: &str| namespaces.contains(name);
    let ground = Ground {
        hooks: hooks.hooks,
        places: Places { known: Some(namespaces.iter().cloned().collect()), has: &has },
        annotations: None,
        done: BTreeSet::new(),
        by: hooks.by,
    };
    moment::scale_back(&hooks.doors, &ground, HookWhen::PostRestore).await
}

/// The namespaces that a restore writes into.
fn namespaces(plan: &RestorePlan) -> BTreeSet<String> {
    let objects = plan.waves.iter().flat_map(|wave| &wave.objects);
    let names = objects.filter_map(|object| match &object.key.namespace {
        None if object.key.kind == "Namespace" => Some(object.key.name.clone()),
        other => other.clone(),
    });
    names.collect()
}

impl<'a> Hooking<'a> {
    /// Finds out which pods are there before anything is written; an interrupted run remembers them.
    ///
    /// # Errors
    /// The pods cannot be looked at: nothing may be written then, because nobody could tell them from new ones.
    pub async fn begin(
        hooks: RestoreHooks<'a>,
        reach: Reach<'a>,
        plan: &RestorePlan,
        run: &RestoreRun,
    ) -> Result<Self, String> {
        let doors = Doors { reach, ..hooks.doors };
        let objects = || plan.waves.iter().flat_map(|wave| &wave.objects);
        let brings = objects().any(|object| BRING.contains(&object.key.kind.as_str()));
        let asked = brings && hooks.annotations == HookAnnotations::Velero;
        let mut hooking = Self {
            hooks: RestoreHooks { doors, ..hooks },
            namespaces: namespaces(plan),
            there: BTreeSet::new(),
            asked,
        };
        if asked {
            hooking.there = match &run.there {
                Some(there) => there.iter().cloned().collect(),
                None => hooking.look().await?,
            };
        }
        Ok(hooking)
    }

    async fn look(&self) -> Result<BTreeSet<String>, String> {
        let has = |name: &str| self.namespaces.contains(name);
        let places = Places { known: Some(self.namespaces.iter().cloned().collect()), has: &has };
        let seen = survey(&self.hooks.doors, &places, &[], true).await.map_err(|error| {
            let cause = std::error::Error::source(&error);
            format!("{error}{}", cause.map(|cause| format!(": {cause}")).unwrap_or_default())
        })?;
        let asks = |pod: &&Pod| velero::hook(pod, HookWhen::PostRestore).is_some();
        let there: Vec<String> = seen.pods.iter().filter(asks).map(|pod| pod.uid.clone()).collect();
        self.hooks.doors.reach.progress.there(&there);
        Ok(there.into_iter().collect())
    }

    /// Runs the hooks before the restore that have not run yet.
    pub async fn before(&self, run: &RestoreRun) -> Vec<HookReport> {
        self.at(HookWhen::PreRestore, run).await
    }

    /// Scales back, and runs the hooks after the restore that have not run yet.
    pub async fn after(&self, run: &RestoreRun) -> Vec<HookReport> {
        self.at(HookWhen::PostRestore, run).await
    }

    /// Scales back, and nothing else.
    pub async fn undo(&self) -> Vec<HookReport> {
        undo_in(&self.hooks, &self.namespaces).await
    }

    async fn at(&self, when: HookWhen, run: &RestoreRun) -> Vec<HookReport> {
        let has = |name: &str| self.namespaces.contains(name);
        let new = |pod: &Pod| !self.there.contains(&pod.uid);
        let RestoreHooks { doors, hooks, annotations: _, by } = &self.hooks;
        let ground = Ground {
            hooks,
            places: Places { known: Some(self.namespaces.iter().cloned().collect()), has: &has },
            annotations: if self.asked { Some(&new) } else { None },
            done: run.hooked(when),
            by,
        };
        let ended =
            run.hooks.get(&when).into_iter().flatten().filter(|(name, _)| ground.done.contains(*name));
        let mut reports: Vec<HookReport> = ended
            .map(|(name, outcome)| HookReport {
                name: name.clone(),
                when,
                outcome: *outcome,
                reason: Some("it had ended before the restore was interrupted".to_owned()),
                runs: Vec::new(),
            })
            .collect();
        if when == HookWhen::PostRestore {
            reports.extend(moment::scale_back(doors, &ground, when).await);
        }
        reports.extend(moment::run(doors, &ground, when).await);
        reports
    }
}
