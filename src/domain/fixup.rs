//! What is mended after a restore: one step each, by a declared action on declared objects.
//!
//! In: YAML through serde · Out: `FixupSpec` · Touches: nothing

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel::Expression;
use super::duration::Duration;
use super::field::FieldError;
use super::hook::OnError;
use super::labels::{LabelSelector, wrong_key, wrong_value};
use super::object::Json;
use super::path::escape;
use super::pattern::wrong_name;
use super::transform::check_patch;

/// One step that mends something after a restore. Exactly one of the actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FixupSpec {
    /// Name of the step in reports.
    pub name: String,
    /// CEL expression over `object`: only targets for which it is true are touched. Absent: all targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// How long the step may take, its verification included. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What a failure means: `Fail` ends the fixups, `Continue` goes on with a warning. Default: Fail.
    #[serde(default)]
    pub on_error: OnError,
    /// What the step does.
    #[serde(flatten)]
    pub action: FixupAction,
}

/// What a fixup does. Every action is verified: the object is read again until it shows the effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FixupAction {
    /// Sets and removes labels.
    Label(MetadataFixup),
    /// Sets and removes annotations.
    Annotate(MetadataFixup),
    /// Applies a JSON Patch or a merge patch.
    Patch(PatchFixup),
    /// Sets the number of replicas through the scale subresource.
    Scale(ScaleFixup),
    /// Deletes objects and waits until they are gone.
    Delete(DeleteFixup),
    /// Restarts a workload the way `kubectl rollout restart` does and waits for it.
    Restart(RestartFixup),
    /// Waits until objects are ready.
    Wait(WaitFixup),
}

/// Labels or annotations to set and remove.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetadataFixup {
    /// Which objects.
    pub target: Target,
    /// Keys and their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Keys that must not be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A change of fields. Exactly one of `json` and `merge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchFixup {
    /// Which objects.
    pub target: Target,
    /// JSON Patch (RFC 6902): a list of operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Vec<Json>>,
    /// JSON merge patch (RFC 7386): a mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Json>,
}

/// A number of replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleFixup {
    /// Which workloads.
    pub target: Target,
    /// How many replicas.
    pub replicas: u32,
}

/// Objects to delete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteFixup {
    /// Which objects.
    pub target: Target,
    /// What becomes of what they own. Default: Background.
    #[serde(default)]
    pub propagation: Propagation,
}

/// Workloads to restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestartFixup {
    /// Which workloads.
    pub target: Target,
}

/// What to wait for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitFixup {
    /// Which objects. At least one must match.
    pub target: Target,
    /// CEL expression over `object` that must become true. Absent: ready by the rules of kstatus.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// Objects of one kind, by name or by label, in one namespace or in all that were restored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// Group and version, such as `apps/v1`. Absent: the kind must be served by one group only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind, such as `StatefulSet`.
    pub kind: String,
    /// Namespace after mapping. Required for namespaced kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name. At least one of `name` and `labelSelector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
}

/// What becomes of the objects that a deleted one owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Propagation {
    /// They are deleted after it.
    #[default]
    Background,
    /// They are deleted before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// How long a fixup may take when it says nothing.
pub const DEFAULT_FIXUP_TIMEOUT: Duration = Duration::seconds(60);

impl FixupSpec {
    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(error) = self.when.as_deref().and_then(|text| Expression::parse(text).err()) {
            errors.push(FieldError::new("/when", error));
        }
        if self.timeout.is_some_and(|t| t.as_seconds() == 0) {
            errors.push(FieldError::new("/timeout", "a timeout must be longer than 0s"));
        }
        let (name, target, found) = match &self.action {
            FixupAction::Label(fixup) => ("label", &fixup.target, fixup.check(&wrong_value)),
            FixupAction::Annotate(fixup) => ("annotate", &fixup.target, fixup.check(&|_| None)),
            FixupAction::Patch(fixup) => ("patch", &fixup.target, fixup.check()),
            FixupAction::Scale(fixup) => ("scale", &fixup.target, Vec::new()),
            FixupAction::Delete(fixup) => ("delete", &fixup.target, Vec::new()),
            FixupAction::Restart(fixup) => ("restart", &fixup.target, Vec::new()),
            FixupAction::Wait(fixup) => ("wait", &fixup.target, fixup.check()),
        };
        errors.extend(found.into_iter().map(|e| e.under(&format!("/{name}"))));
        errors.extend(target.check().into_iter().map(|e| e.under(&format!("/{name}/target"))));
        errors
    }
}

impl MetadataFixup {
    fn check(&self, wrong: &dyn Fn(&str) -> Option<String>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.set.is_empty() && self.remove.is_empty() {
            errors.push(FieldError::new("", "it needs `set` or `remove`"));
        }
        for (key, value) in &self.set {
            let at = format!("/set/{}", escape(key));
            errors.extend(
                [wrong_key(key), wrong(value)].into_iter().flatten().map(|e| FieldError::new(&at, e)),
            );
        }
        for (index, key) in self.remove.iter().enumerate() {
            let at = format!("/remove/{index}");
            errors.extend(wrong_key(key).map(|e| FieldError::new(&at, e)));
            if self.set.contains_key(key) {
                errors.push(FieldError::new(at, format!("`{key}` is set and removed")));
            }
        }
        errors
    }
}

impl PatchFixup {
    fn check(&self) -> Vec<FieldError> {
        check_patch(self.json.as_ref(), self.merge.as_ref(), "a patch")
    }
}

impl WaitFixup {
    fn check(&self) -> Vec<FieldError> {
        let error = self.condition.as_deref().and_then(|text| Expression::parse(text).err());
        error.map(|e| FieldError::new("/for", e)).into_iter().collect()
    }
}

impl Target {
    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.kind.is_empty() || !self.kind.chars().all(|c| c.is_ascii_alphanumeric()) {
            errors.push(
                FieldError::new("/kind", format!("{:?} is no kind", self.kind)).help("such as `StatefulSet`"),
            );
        }
        if self.name.is_none() && self.label_selector.is_none() {
            errors.push(FieldError::new("", "a target needs `name` or `labelSelector`"));
        }
        let namespace = self.namespace.as_deref().and_then(wrong_name);
        errors.extend(namespace.map(|e| FieldError::new("/namespace", e)));
        let labels = self.label_selector.iter().flat_map(LabelSelector::check);
        errors.extend(labels.map(|e| e.under("/labelSelector")));
        errors
    }
}
