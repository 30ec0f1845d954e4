//! Says whether an object is ready, by the rules of kstatus or by a condition, from nothing but the object.
//!
//! In: `Manifest`, a condition · Out: `Readiness` · Touches: nothing

use crate::domain::cel::{EvalError, Expression};
use crate::domain::object::{Json, Manifest};

/// Whether an object is ready to be built upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Ready,
    /// Not yet; the text says what is missing.
    Waiting(String),
    /// It will not become ready by itself; the text says why.
    Stuck(String),
}

/// Judges an object by a condition, or by the rules of kstatus where there is none. A field that the condition reads
/// and the object does not have yet means that it is not ready yet.
pub fn judge(object: &Manifest, condition: Option<&Expression>) -> Readiness {
    let Some(condition) = condition else { return kstatus(object) };
    match condition.test(object) {
        Ok(true) => Readiness::Ready,
        Ok(false) | Err(EvalError::MissingField(_)) => {
            Readiness::Waiting(format!("not yet {}", condition.text()))
        }
        Err(error) => Readiness::Waiting(format!("{}: {error}", condition.text())),
    }
}

/// Judges an object by its kind's rule, or by its conditions where there is none.
///
/// Kinds without a rule and without a `Ready` condition are ready once their status is about the current generation.
/// A Job is ready when it has started, as kstatus has it; to wait for its end, wait for its `Complete` condition.
///
/// Source: sigs.k8s.io/cli-utils `pkg/kstatus/status/core.go` and `generic.go`.
pub fn kstatus(object: &Manifest) -> Readiness {
    if object.is_deleting() {
        return waiting("it is being deleted");
    }
    let seen = number(object, "/status/observedGeneration");
    let wanted = number(object, "/metadata/generation");
    if let (Some(seen), Some(wanted)) = (seen, wanted)
        && seen < wanted
    {
        return waiting("its controller has not seen the latest change");
    }
    if let Some(verdict) = abnormal(object) {
        return verdict;
    }
    let group = object.gvk().group;
    match (group.as_str(), object.kind()) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("", "Pod") => pod(object),
        ("batch", "Job") => job(object),
        ("", "PersistentVolumeClaim") => phase(object, "Bound"),
        ("", "Namespace") => phase(object, "Active"),
        ("", "Service") => service(object),
        ("policy", "PodDisruptionBudget") => disruption_budget(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => must_be_true(object, "Available"),
        _ => generic(object),
    }
}

fn waiting(why: &str) -> Readiness {
    Readiness::Waiting(why.to_owned())
}

/// The conditions that are there only while something is not right.
fn abnormal(object: &Manifest) -> Option<Readiness> {
    let said = |kind: &str| condition(object, kind).filter(|c| c.status == "True").map(|c| c.says());
    said("Stalled").map(Readiness::Stuck).or_else(|| said("Reconciling").map(Readiness::Waiting))
}

fn deployment(object: &Manifest) -> Readiness {
    let progress = condition(object, "Progressing");
    if let Some(stuck) = progress.as_ref().filter(|c| c.reason == "ProgressDeadlineExceeded") {
        return Readiness::Stuck(stuck.says());
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let [total, updated, ready, available] =
        counts(object, ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]);
    let fewer =
        enough(&[("updated", updated, wanted), ("ready", ready, wanted), ("available", available, wanted)]);
    if let Some(why) = fewer {
        return Readiness::Waiting(why);
    }
    if total > updated {
        return waiting("old replicas are still running");
    }
    if wanted == 0 && progress.is_none() { Readiness::Ready } else { must_be_true(object, "Available") }
}

fn stateful_set(object: &Manifest) -> Readiness {
    let strategy = text(object, "/spec/updateStrategy/type");
    if strategy == "OnDelete" {
        return Readiness::Ready;
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let held = number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let [total, updated, ready] = counts(object, ["replicas", "updatedReplicas", "readyReplicas"]);
    if let Some(why) = enough(&[("created", total, wanted), ("ready", ready, wanted)]) {
        return Readiness::Waiting(why);
    }
    if total > wanted {
        return waiting("surplus replicas are still running");
    }
    if held > 0 {
        let why = enough(&[("updated", updated, (wanted - held).max(0))]);
        return why.map_or(Readiness::Ready, Readiness::Waiting);
    }
    let update = text(object, "/status/updateRevision");
    if wanted > 0 && update != text(object, "/status/currentRevision") {
        return waiting("its rollout has not ended");
    }
    Readiness::Ready
}

fn daemon_set(object: &Manifest) -> Readiness {
    let Some(wanted) = number(object, "/status/desiredNumberScheduled") else {
        return waiting("its controller has not looked at it");
    };
    let [current, updated, available, ready] = counts(
        object,
        ["currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady"],
    );
    let why = enough(&[
        ("scheduled", current, wanted),
        ("updated", updated, wanted),
        ("available", available, wanted),
        ("ready", ready, wanted),
    ]);
    why.map_or(Readiness::Ready, Readiness::Waiting)
}

fn replica_set(object: &Manifest) -> Readiness {
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|c| c.status == "True") {
        return Readiness::Waiting(failure.says());
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let [total, labelled, available, ready] =
        counts(object, ["replicas", "fullyLabeledReplicas", "availableReplicas", "readyReplicas"]);
    let why =
        enough(&[("labelled", labelled, wanted), ("available", available, wanted), ("ready", ready, wanted)]);
    match why {
        Some(why) => Readiness::Waiting(why),
        None if total > wanted => waiting("surplus replicas are still running"),
        None => Readiness::Ready,
    }
}

fn pod(object: &Manifest) -> Readiness {
    match text(object, "/status/phase") {
        "Succeeded" => Readiness::Ready,
        "Failed" => Readiness::Stuck("it has failed".to_owned()),
        "Running" => must_be_true(object, "Ready"),
        _ => {
            let unscheduled = condition(object, "PodScheduled").filter(|c| c.status == "False");
            unscheduled.map_or_else(|| waiting("it has not started"), |c| Readiness::Waiting(c.says()))
        }
    }
}

fn job(object: &Manifest) -> Readiness {
    let is = |kind: &'static str| condition(object, kind).filter(|c| c.status == "True");
    if let Some(failed) = is("Failed") {
        return Readiness::Stuck(failed.says());
    }
    let suspended = object.at("/spec/suspend") == Some(&Json::Bool(true));
    let started = is("Complete").is_some() || object.at("/status/startTime").is_some();
    if started || suspended { Readiness::Ready } else { waiting("it has not started") }
}

fn service(object: &Manifest) -> Readiness {
    let balanced = text(object, "/spec/type") == "LoadBalancer";
    if balanced && text(object, "/spec/clusterIP").is_empty() {
        return waiting("it has no cluster IP");
    }
    Readiness::Ready
}

fn disruption_budget(object: &Manifest) -> Readiness {
    let [healthy, wanted] = counts(object, ["currentHealthy", "desiredHealthy"]);
    enough(&[("healthy", healthy, wanted)]).map_or(Readiness::Ready, Readiness::Waiting)
}

fn definition(object: &Manifest) -> Readiness {
    if let Some(refused) = condition(object, "NamesAccepted").filter(|c| c.status == "False") {
        return Readiness::Stuck(refused.says());
    }
    match must_be_true(object, "NamesAccepted") {
        Readiness::Ready => must_be_true(object, "Established"),
        not_yet => not_yet,
    }
}

fn phase(object: &Manifest, wanted: &str) -> Readiness {
    match text(object, "/status/phase") {
        now if now == wanted => Readiness::Ready,
        "" => waiting("it has no phase yet"),
        now => Readiness::Waiting(format!("its phase is {now}, not {wanted}")),
    }
}

fn generic(object: &Manifest) -> Readiness {
    match condition(object, "Ready") {
        None => Readiness::Ready,
        Some(ready) if ready.status == "True" => Readiness::Ready,
        Some(ready) => Readiness::Waiting(ready.says()),
    }
}

fn must_be_true(object: &Manifest, kind: &str) -> Readiness {
    match condition(object, kind) {
        Some(found) if found.status == "True" => Readiness::Ready,
        Some(found) => Readiness::Waiting(found.says()),
        None => Readiness::Waiting(format!("it has no condition {kind} yet")),
    }
}

struct Condition<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn says(&self) -> String {
        let parts = [self.reason, self.message].into_iter().filter(|part| !part.is_empty());
        let why = parts.collect::<Vec<_>>().join(": ");
        if why.is_empty() {
            format!("{} is {}", self.kind, self.status)
        } else {
            format!("{} is {} ({why})", self.kind, self.status)
        }
    }
}

fn condition<'a>(object: &'a Manifest, kind: &'a str) -> Option<Condition<'a>> {
    let all = object.at("/status/conditions")?.as_array()?;
    let found = all.iter().find(|c| c.get("type").and_then(Json::as_str) == Some(kind))?;
    let field = |name: &str| found.get(name).and_then(Json::as_str).unwrap_or_default();
    Some(Condition { kind, status: field("status"), reason: field("reason"), message: field("message") })
}

fn enough(checks: &[(&str, i64, i64)]) -> Option<String> {
    let short = checks.iter().find(|(_, have, wanted)| have < wanted);
    short.map(|(what, have, wanted)| format!("{have} of {wanted} {what}"))
}

fn counts<const N: usize>(object: &Manifest, fields: [&str; N]) -> [i64; N] {
    fields.map(|field| number(object, &format!("/status/{field}")).unwrap_or(0))
}

fn number(object: &Manifest, pointer: &str) -> Option<i64> {
    object.at(pointer).and_then(Json::as_i64)
}

fn text<'a>(object: &'a Manifest, pointer: &str) -> &'a str {
    object.at(pointer).and_then(Json::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
