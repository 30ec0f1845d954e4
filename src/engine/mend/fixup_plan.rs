//! Decides what a fixup has to do to one object, and whether an object read again shows the effect.
//!
//! In: `FixupSpec`, objects · Out: `Step`, `Readiness` · Touches: nothing

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::json;

use crate::domain::cel::{BadExpression, EvalError, Expression};
use crate::domain::duration::Duration;
use crate::domain::fixup::{
    DEFAULT_FIXUP_TIMEOUT, FixupAction, FixupSpec, MetadataFixup, PatchFixup, Propagation, Target,
};
use crate::domain::hook::OnError;
use crate::domain::object::{Gvk, Json, JsonMap, Manifest, Resource};
use crate::engine::restore::readiness::{Readiness, judge, kstatus};
use crate::ports::cluster::{Discovery, Patch};

/// Where `kubectl rollout restart` leaves its mark in a pod template.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Why a fixup cannot be carried out as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{field}` of fixup {fixup}")]
pub struct Error {
    fixup: String,
    field: &'static str,
    source: BadExpression,
}

/// A fixup with its expressions compiled.
#[derive(Clone)]
pub struct Fixup {
    spec: FixupSpec,
    when: Option<Expression>,
    until: Option<Expression>,
}

/// What has to be done to one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing: the effect is there.
    Done,
    /// A patch of the object, or of its subresource `scale`.
    Patch(Patch, &'static str),
    /// A deletion.
    Delete(Propagation),
    /// Only looking.
    Wait,
}

impl Fixup {
    /// Compiles the expressions of a fixup.
    ///
    /// # Errors
    /// Names the fixup and the field whose expression is not CEL.
    pub fn compile(spec: &FixupSpec) -> Result<Self, Error> {
        let parse = |field: &'static str, text: Option<&String>| {
            let bad = |source| Error { fixup: spec.name.clone(), field, source };
            text.map(|text| Expression::parse(text).map_err(bad)).transpose()
        };
        let until = if let FixupAction::Wait(wait) = &spec.action { wait.condition.as_ref() } else { None };
        Ok(Self { spec: spec.clone(), when: parse("when", spec.when.as_ref())?, until: parse("for", until)? })
    }

    /// Name of the step.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        self.spec.timeout.unwrap_or(DEFAULT_FIXUP_TIMEOUT)
    }

    /// What its failure means.
    pub fn on_error(&self) -> OnError {
        self.spec.on_error
    }

    /// Which objects it is for.
    pub fn target(&self) -> &Target {
        match &self.spec.action {
            FixupAction::Label(fixup) | FixupAction::Annotate(fixup) => &fixup.target,
            FixupAction::Patch(fixup) => &fixup.target,
            FixupAction::Scale(fixup) => &fixup.target,
            FixupAction::Delete(fixup) => &fixup.target,
            FixupAction::Restart(fixup) => &fixup.target,
            FixupAction::Wait(fixup) => &fixup.target,
        }
    }

    /// Whether it deletes, so that having no target is fine.
    pub fn is_delete(&self) -> bool {
        matches!(self.spec.action, FixupAction::Delete(_))
    }

    /// Whether it only waits.
    pub fn is_wait(&self) -> bool {
        matches!(self.spec.action, FixupAction::Wait(_))
    }

    /// What it does, in a few words: `scale to 0`.
    pub fn describe(&self) -> String {
        match &self.spec.action {
            FixupAction::Label(fixup) => metadata_words("label", fixup),
            FixupAction::Annotate(fixup) => metadata_words("annotation", fixup),
            FixupAction::Patch(_) => "patch".to_owned(),
            FixupAction::Scale(fixup) => format!("scale to {}", fixup.replicas),
            FixupAction::Delete(fixup) => format!("delete ({:?})", fixup.propagation),
            FixupAction::Restart(_) => "restart".to_owned(),
            FixupAction::Wait(fixup) => match &fixup.condition {
                Some(condition) => format!("wait for {condition}"),
                None => "wait until ready".to_owned(),
            },
        }
    }

    /// Whether `when` is true for the object.
    ///
    /// # Errors
    /// The expression has no answer for this object.
    pub fn applies(&self, object: &Manifest) -> Result<bool, EvalError> {
        self.when.as_ref().map_or(Ok(true), |when| when.test(object))
    }

    /// What has to be done to the object. `now` is the mark of a restart.
    pub fn step(&self, object: &Manifest, now: Timestamp) -> Step {
        match &self.spec.action {
            FixupAction::Label(fixup) => metadata_step("labels", object.labels(), fixup),
            FixupAction::Annotate(fixup) => metadata_step("annotations", object.annotations(), fixup),
            FixupAction::Patch(fixup) => patch_step(object, fixup),
            FixupAction::Scale(fixup) => {
                let there = object.at("/spec/replicas").and_then(Json::as_u64) == Some(fixup.replicas.into());
                let patch = Patch::Merge(json!({ "spec": { "replicas": fixup.replicas } }));
                if there { Step::Done } else { Step::Patch(patch, "scale") }
            }
            FixupAction::Delete(fixup) => Step::Delete(fixup.propagation),
            FixupAction::Restart(_) => Step::Patch(restart_patch(now), ""),
            FixupAction::Wait(_) => Step::Wait,
        }
    }

    /// Whether the effect is there: `now` is what the object is now, `uid` which one was touched at `started`.
    ///
    /// A deleted object is gone when there is none of its name, or one with another uid: an operator may have made
    /// it anew at once.
    pub fn effect(&self, now: Option<&Manifest>, uid: Option<&str>, started: Timestamp) -> Readiness {
        let Some(object) = now else {
            let gone = Readiness::Waiting("it is gone".to_owned());
            return if self.is_delete() { Readiness::Ready } else { gone };
        };
        match &self.spec.action {
            FixupAction::Delete(_) if object.uid() != uid => Readiness::Ready,
            FixupAction::Delete(_) => Readiness::Waiting(still_there(object)),
            FixupAction::Restart(_) => restarted(object, started),
            FixupAction::Wait(_) => judge(object, self.until.as_ref()),
            FixupAction::Label(_)
            | FixupAction::Annotate(_)
            | FixupAction::Patch(_)
            | FixupAction::Scale(_) => match self.step(object, started) {
                Step::Done => Readiness::Ready,
                Step::Patch(..) | Step::Delete(_) | Step::Wait => Readiness::Waiting(
                    "the change is not there; another program may have undone it".to_owned(),
                ),
            },
        }
    }
}

/// The kind a target means, in the version it asks for.
///
/// # Errors
/// Says what the target has to say to be clear, or that no such kind is served.
pub fn resolve(target: &Target, served: &Discovery) -> Result<Resource, String> {
    let wanted = target.api_version.as_deref().map(|version| Gvk::new(version, &target.kind));
    let fits = |resource: &&Resource| match &wanted {
        None => resource.gvk.kind == target.kind,
        Some(wanted) => {
            resource.gvk.kind == wanted.kind
                && resource.gvk.group == wanted.group
                && (resource.gvk.version == wanted.version || resource.served.contains(&wanted.version))
        }
    };
    let name = wanted.as_ref().map_or_else(|| target.kind.clone(), Gvk::to_string);
    let found: Vec<&Resource> = served.resources.iter().filter(fits).collect();
    let mut resource = match found.as_slice() {
        [] => return Err(format!("the cluster serves no kind {name}")),
        [one] => (*one).clone(),
        many => {
            let all: Vec<String> = many.iter().map(|resource| resource.gvk.api_version()).collect();
            return Err(format!("{name} is served by {}: say which with `apiVersion`", all.join(" and ")));
        }
    };
    match (resource.namespaced, &target.namespace) {
        (true, None) => return Err(format!("{name} lives in namespaces: say which with `namespace`")),
        (false, Some(_)) => return Err(format!("{name} is cluster-scoped: leave `namespace` out")),
        (true, Some(_)) | (false, None) => {}
    }
    resource.gvk = wanted.unwrap_or(resource.gvk);
    Ok(resource)
}

/// A target for people: `StatefulSet monitoring/prometheus`, `Pod shop/* (app=web)`.
pub fn describe_target(target: &Target) -> String {
    let name = target.name.as_deref().unwrap_or("*");
    let place = target.namespace.as_ref().map_or_else(|| name.to_owned(), |ns| format!("{ns}/{name}"));
    let labels = target.label_selector.as_ref().map(|selector| format!(" ({})", selector.query()));
    format!("{} {place}{}", target.kind, labels.unwrap_or_default())
}

fn metadata_words(what: &str, fixup: &MetadataFixup) -> String {
    let set = fixup.set.iter().map(|(key, value)| format!("set {what} {key}={value}"));
    set.chain(fixup.remove.iter().map(|key| format!("remove {what} {key}"))).collect::<Vec<_>>().join(", ")
}

fn metadata_step(field: &str, present: Option<&JsonMap>, fixup: &MetadataFixup) -> Step {
    let value = |key: &str| present.and_then(|map| map.get(key)).and_then(Json::as_str);
    let has = |key: &str| present.is_some_and(|map| map.contains_key(key));
    let set = fixup.set.iter().filter(|(key, wanted)| value(key) != Some(wanted));
    let set = set.map(|(key, wanted)| (key.clone(), Json::from(wanted.as_str())));
    let gone = fixup.remove.iter().filter(|key| has(key)).map(|key| (key.clone(), Json::Null));
    let changes: BTreeMap<String, Json> = set.chain(gone).collect();
    if changes.is_empty() {
        return Step::Done;
    }
    Step::Patch(Patch::Merge(json!({ "metadata": { field: changes } })), "")
}

fn patch_step(object: &Manifest, fixup: &PatchFixup) -> Step {
    if let Some(operations) = &fixup.json {
        let done = operations.iter().all(|operation| holds(object, operation));
        return if done { Step::Done } else { Step::Patch(Patch::Json(operations.clone()), "") };
    }
    let patch = in_stored_form(object, fixup.merge.clone().unwrap_or_default());
    let mut merged = object.as_json().clone();
    json_patch::merge(&mut merged, &patch);
    if &merged == object.as_json() { Step::Done } else { Step::Patch(Patch::Merge(patch), "") }
}

/// A merge patch as the server stores its effect: it folds `stringData` of a Secret into `data`.
fn in_stored_form(object: &Manifest, mut patch: Json) -> Json {
    let is_secret = object.kind() == "Secret" && object.gvk().group.is_empty();
    let Some(map) = patch.as_object_mut().filter(|_| is_secret) else { return patch };
    let Some(Json::Object(texts)) = map.shift_remove("stringData") else { return patch };
    let data = map.entry("data").or_insert_with(|| json!({}));
    if let Some(data) = data.as_object_mut() {
        let encoded = |value: &Json| value.as_str().map_or(Json::Null, |text| BASE64.encode(text).into());
        data.extend(texts.iter().map(|(key, value)| (key.clone(), encoded(value))));
    }
    patch
}

/// Whether the object looks as if the operation had been carried out.
fn holds(object: &Manifest, operation: &Json) -> bool {
    let text = |field: &str| operation.get(field).and_then(Json::as_str).unwrap_or_default();
    let (path, from, value) = (text("path"), text("from"), operation.get("value"));
    match (text("op"), path.strip_suffix("/-")) {
        ("add", Some(list)) => {
            let list = object.at(list).and_then(Json::as_array);
            list.is_some_and(|list| list.iter().any(|element| Some(element) == value))
        }
        ("add" | "replace" | "test", _) => object.at(path).is_some() && object.at(path) == value,
        ("remove", _) => object.at(path).is_none(),
        ("move", _) => object.at(from).is_none() && object.at(path).is_some(),
        ("copy", _) => object.at(path).is_some() && object.at(path) == object.at(from),
        _ => false,
    }
}

/// Ready when the mark of this restart is there and the rollout has ended.
fn restarted(object: &Manifest, started: Timestamp) -> Readiness {
    let mark = object.at("/spec/template/metadata/annotations").and_then(|a| a.get(RESTARTED));
    if mark.and_then(Json::as_str) == Some(stamp(started).as_str()) {
        kstatus(object)
    } else {
        let why = "the mark of the restart is not there; another program may have undone it";
        Readiness::Waiting(why.to_owned())
    }
}

fn restart_patch(now: Timestamp) -> Patch {
    let annotations = json!({ RESTARTED: stamp(now) });
    Patch::Merge(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}))
}

fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn still_there(object: &Manifest) -> String {
    let held = object.at("/metadata/finalizers").and_then(Json::as_array).filter(|list| !list.is_empty());
    let Some(held) = held else { return "it is still there".to_owned() };
    let names: Vec<&str> = held.iter().filter_map(Json::as_str).collect();
    format!("it is still there, held by the finalizers {}", names.join(", "))
}

#[cfg(test)]
mod tests;
