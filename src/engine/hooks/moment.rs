//! All hooks of one moment, in order: by weight, then by name.
//!
//! In: `Hook`s, the ground of a run · Out: `HookReport`s · Touches: containers, cluster, services, clock

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;

use super::doors::Doors;
use super::pod::Pod;
use super::reveal::reveal;
use super::scale;
use super::step::{Stepped, step};
use super::survey::{Places, survey};
use super::targets::{Seen, Target, annotated, targets};
use super::velero;
use crate::domain::hook::{HookSpec, HookWhen, OnError, ScaleHook};
use crate::domain::hook_report::{HookOutcome, HookReport, HookResult, HookTarget};
use crate::domain::hook_template::Hook;
use crate::engine::retry::after;

/// Targets whose output is held at the same time.
const CHUNK: usize = 256;

/// How often it is looked for pods that are not there yet.
const LOOK: Duration = Duration::from_secs(2);

/// The hooks of a run, and where it takes place.
pub struct Ground<'a> {
    /// All hooks of the run.
    pub hooks: &'a [Hook],
    /// Its namespaces.
    pub places: Places<'a>,
    /// Whether pods may ask for hooks by annotation, and which of them belong to the run.
    pub annotations: Option<&'a (dyn Fn(&Pod) -> bool + Sync)>,
    /// Names of hooks that ran before the run was interrupted, and are not repeated.
    pub done: BTreeSet<String>,
    /// Whom a workload that is scaled down remembers, such as `policy shop`.
    pub by: &'a str,
}

/// One hook in its place, as it will be carried out.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The hook; that of annotations has no action of its own.
    pub hook: Hook,
    /// What it runs for.
    pub targets: Vec<Target>,
}

/// The hooks of a moment in order; for those that pods ask for by annotation `None`.
fn order<'a>(ground: &'a Ground<'_>, when: HookWhen) -> Vec<Option<&'a Hook>> {
    let own = ground.hooks.iter().filter(|hook| {
        hook.spec.when == when && hook.spec.init.is_none() && !ground.done.contains(&hook.name)
    });
    let mut order: Vec<Option<&Hook>> = own.map(Some).collect();
    order.extend(ground.annotations.filter(|_| !ground.done.contains(velero::NAME)).map(|_| None));
    order.sort_by_key(|hook| match hook {
        Some(hook) => (hook.spec.weight, hook.name.as_str()),
        None => (0, velero::NAME),
    });
    order
}

/// What would run at a moment, in order. Reads only.
///
/// # Errors
/// What could not be looked at.
pub async fn plan(doors: &Doors<'_>, ground: &Ground<'_>, when: HookWhen) -> Result<Vec<Planned>, String> {
    let order = order(ground, when);
    let seen = look(doors, ground, &order).await?;
    Ok(order.into_iter().filter_map(|hook| planned(doors, ground, (hook, when), &seen)).collect())
}

/// A hook and its targets; `None` where no pod asks for one.
fn planned(
    doors: &Doors<'_>,
    ground: &Ground<'_>,
    (hook, when): (Option<&Hook>, HookWhen),
    seen: &Seen,
) -> Option<Planned> {
    let sidecar = |name: &str| doors.catalog.is_sidecar(name);
    if let Some(hook) = hook {
        return Some(Planned { hook: hook.clone(), targets: targets(&hook.spec, seen, &sidecar) });
    }
    let targets = annotated(when, seen, ground.annotations?, &sidecar);
    let spec = targets.iter().find_map(|target| target.own.clone());
    let spec = spec.or_else(|| (!targets.is_empty()).then(|| velero::nothing(when)))?;
    Some(Planned { hook: Hook { name: velero::NAME.to_owned(), spec }, targets })
}

async fn look(doors: &Doors<'_>, ground: &Ground<'_>, hooks: &[Option<&Hook>]) -> Result<Seen, String> {
    let specs: Vec<&HookSpec> = hooks.iter().flatten().map(|hook| &hook.spec).collect();
    let annotations = hooks.iter().any(Option::is_none);
    survey(doors, &ground.places, &specs, annotations).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    })
}

/// Carries out the hooks of a moment. One that fails stops no other.
pub async fn run(doors: &Doors<'_>, ground: &Ground<'_>, when: HookWhen) -> Vec<HookReport> {
    let order = order(ground, when);
    let mut seen = None;
    let mut reports = Vec::new();
    for (index, hook) in order.iter().enumerate() {
        if doors.calm.is_asked() {
            reports.push(blind(*hook, when, "the run was stopped before it"));
            continue;
        }
        if seen.is_none() {
            seen = look(doors, ground, &order[index..]).await.ok();
        }
        // What one hook may not look at must not keep the others from running.
        let alone = match &seen {
            Some(_) => None,
            None => match look(doors, ground, &order[index..=index]).await {
                Ok(found) => Some(found),
                Err(why) => {
                    reports.push(blind(*hook, when, &why));
                    continue;
                }
            },
        };
        let known = seen.as_ref().or(alone.as_ref());
        let Some(planned) = known.and_then(|seen| planned(doors, ground, (*hook, when), seen)) else {
            continue;
        };
        // What starts and ends pods changes what the next hook finds.
        if planned.hook.spec.exec.is_none() {
            seen = None;
        }
        doors.reach.progress.hook(&planned.hook.name);
        let planned = appeared(doors, ground, planned).await;
        let report = carry_out(doors, planned, ground.by).await;
        doors.reach.progress.hooked(&report);
        reports.push(report);
    }
    reports
}

/// Looks again for what a restored operator may still be making, for as long as the hook waits for pods.
async fn appeared(doors: &Doors<'_>, ground: &Ground<'_>, planned: Planned) -> Planned {
    let spec = &planned.hook.spec;
    let Some(wait) = spec.wait.filter(|_| spec.when == HookWhen::PostRestore && planned.targets.is_empty())
    else {
        return planned;
    };
    let clock = doors.reach.clock;
    let deadline = after(clock.now(), wait.timeout.as_std());
    let sidecar = |name: &str| doors.catalog.is_sidecar(name);
    while clock.now() < deadline {
        doors.reach.progress.waiting(&format!("pods for hook {}", planned.hook.name));
        clock.sleep(LOOK).await;
        let Ok(seen) = look(doors, ground, &[Some(&planned.hook)]).await else { continue };
        let targets = targets(&planned.hook.spec, &seen, &sidecar);
        if !targets.is_empty() {
            return Planned { targets, ..planned };
        }
    }
    planned
}

fn blind(hook: Option<&Hook>, when: HookWhen, why: &str) -> HookReport {
    let name = hook.map_or(velero::NAME, |hook| &hook.name);
    let report = HookReport::not_run(name, when, why.to_owned());
    let lenient = hook.is_some_and(|hook| hook.spec.on_error == OnError::Continue);
    if lenient { HookReport { outcome: HookOutcome::Warned, ..report } } else { report }
}

async fn carry_out(doors: &Doors<'_>, planned: Planned, by: &str) -> HookReport {
    let Planned { hook, targets } = planned;
    let Hook { name, spec } = &hook;
    let when = spec.when;
    if targets.is_empty() {
        let outcome = if spec.required { HookOutcome::Failed } else { HookOutcome::Warned };
        let reason = Some("nothing matched: no pod, workload or namespace is meant".to_owned());
        return HookReport { name: name.clone(), when, outcome, reason, runs: Vec::new() };
    }
    let mut runs = Vec::new();
    let mut outcome = HookOutcome::Succeeded;
    let mut left = targets.into_iter().peekable();
    while left.peek().is_some() {
        let chunk: Vec<Target> = left.by_ref().take(CHUNK).collect();
        let work = chunk.into_iter().map(|target| async {
            let own = target.own.clone();
            let stepped = step(doors, (name, own.as_ref().unwrap_or(spec)), &target, by).await;
            (target, stepped)
        });
        let done: Vec<(Target, Stepped)> =
            stream::iter(work).buffer_unordered(doors.reach.concurrency.max(1)).collect().await;
        for (target, stepped) in &done {
            outcome = outcome.max(judged(target.own.as_ref().unwrap_or(spec), stepped.attempt.result));
        }
        runs.extend(reveal(doors, spec, done).await);
    }
    HookReport { name: name.clone(), when, outcome, reason: None, runs }
}

fn judged(spec: &HookSpec, result: HookResult) -> HookOutcome {
    match (result, spec.on_error) {
        (HookResult::Succeeded, _) => HookOutcome::Succeeded,
        (_, OnError::Continue) => HookOutcome::Warned,
        (_, OnError::Fail) => HookOutcome::Failed,
    }
}

/// Scales back what the run has scaled down; nothing where none of its hooks scales.
pub async fn scale_back(doors: &Doors<'_>, ground: &Ground<'_>, when: HookWhen) -> Vec<HookReport> {
    match ground.hooks.iter().find(|hook| hook.spec.scale.is_some()) {
        Some(hook) => scale_back_as(doors, ground, (hook, when)).await,
        None => Vec::new(),
    }
}

/// Scales back what an earlier run has scaled down, also where the hook that did it is gone.
pub async fn scale_back_owed(doors: &Doors<'_>, ground: &Ground<'_>, when: HookWhen) -> Vec<HookReport> {
    let scale = Some(ScaleHook { replicas: 0 });
    let gone = Hook { name: "scale".to_owned(), spec: HookSpec { scale, ..velero::nothing(when) } };
    let hook = ground.hooks.iter().find(|hook| hook.spec.scale.is_some());
    scale_back_as(doors, ground, (hook.unwrap_or(&gone), when)).await
}

async fn scale_back_as(
    doors: &Doors<'_>,
    ground: &Ground<'_>,
    (hook, when): (&Hook, HookWhen),
) -> Vec<HookReport> {
    let name = format!("{} (back)", hook.name);
    let keys = match scale::scaled(doors, &ground.places, ground.by).await {
        Ok(keys) => keys,
        Err(error) => return vec![HookReport::not_run(&name, when, error.to_string())],
    };
    if keys.is_empty() {
        return Vec::new();
    }
    let timeout = hook.spec.timeout();
    let work = keys.into_iter().map(|key| async move {
        let started = doors.reach.clock.now();
        let attempt = scale::back(doors, &key, timeout).await;
        let took = doors.reach.clock.now().duration_since(started);
        let target = HookTarget { key: Some(key), pod: None, container: None };
        let target = Target { target, pod: None, notes: Vec::new(), own: None, fault: None };
        (target, Stepped { attempt, took: took.try_into().unwrap_or_default(), attempts: 1 })
    });
    let done: Vec<_> = stream::iter(work).buffer_unordered(doors.reach.concurrency.max(1)).collect().await;
    let results = done.iter().map(|(_, stepped)| judged(&hook.spec, stepped.attempt.result));
    let outcome = results.max().unwrap_or(HookOutcome::Succeeded);
    let runs = reveal(doors, &hook.spec, done).await;
    vec![HookReport { name, when, outcome, reason: None, runs }]
}

#[cfg(test)]
pub(in crate::engine) mod tests;
