//! What came of init containers: they ran in the pods that the restore made.
//!
//! In: `RestorePlan`, what happened to its objects · Out: `HookReport`s · Touches: nothing

use std::collections::BTreeMap;

use crate::domain::hook::{HookWhen, OnError};
use crate::domain::hook_report::{HookOutcome, HookReport, HookResult, HookRun, HookTarget};
use crate::domain::hook_template::Hook;
use crate::domain::object::ObjectKey;
use crate::domain::report::{ObjectAction, WaveReport};
use crate::engine::decide::restore_plan::RestorePlan;

/// One report for each hook with `init`, and one for what pods ask for by annotation.
pub fn reports(plan: &RestorePlan, waves: &[WaveReport], hooks: &[Hook]) -> Vec<HookReport> {
    let objects = waves.iter().flat_map(|wave| &wave.objects);
    let actions: BTreeMap<&ObjectKey, ObjectAction> =
        objects.map(|object| (&object.key, object.action)).collect();
    let mut runs: BTreeMap<&str, Vec<HookRun>> = BTreeMap::new();
    for hook in hooks.iter().filter(|hook| hook.spec.init.is_some()) {
        runs.insert(&hook.name, Vec::new());
    }
    for object in plan.waves.iter().flat_map(|wave| &wave.objects) {
        for name in &object.inits {
            let action = actions.get(&object.key).copied();
            runs.entry(name).or_default().push(run(&object.key, action));
        }
    }
    let report = |(name, runs): (&str, Vec<HookRun>)| {
        let spec = hooks.iter().find(|hook| hook.name == name).map(|hook| &hook.spec);
        let lenient = spec.is_some_and(|spec| spec.on_error == OnError::Continue);
        let required = spec.is_some_and(|spec| spec.required);
        let failed = runs.iter().any(|run| run.result != HookResult::Succeeded);
        let (outcome, reason) = match (runs.is_empty(), failed) {
            (true, _) => {
                let outcome = if required { HookOutcome::Failed } else { HookOutcome::Warned };
                (
                    outcome,
                    Some("nothing matched: no saved pod is meant; mirrors hold none that controllers made"),
                )
            }
            (false, false) => (HookOutcome::Succeeded, None),
            (false, true) if lenient => (HookOutcome::Warned, None),
            (false, true) => (HookOutcome::Failed, None),
        };
        let reason = reason.map(str::to_owned);
        HookReport { name: name.to_owned(), when: HookWhen::PostRestore, outcome, reason, runs }
    };
    runs.into_iter().map(report).collect()
}

fn run(key: &ObjectKey, action: Option<ObjectAction>) -> HookRun {
    let (result, reason) = match action {
        Some(ObjectAction::Created | ObjectAction::Recreated) => (HookResult::Succeeded, None),
        Some(ObjectAction::Failed) | None => (HookResult::PodGone, Some("the pod was not restored")),
        Some(_) => (
            HookResult::Error,
            Some("the pod was there already: init containers run only in pods that a restore makes"),
        ),
    };
    HookRun {
        target: HookTarget { key: Some(key.clone()), pod: None, container: None },
        result,
        reason: reason.map(str::to_owned),
        notes: Vec::new(),
        code: None,
        millis: 0,
        attempts: 1,
        stdout: String::new(),
        stderr: String::new(),
    }
}
