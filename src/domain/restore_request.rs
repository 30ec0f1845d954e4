//! What a human wants put back: the `RestoreRequest` document and its fixups.
//!
//! In: YAML through serde · Out: `RestoreSpec`, `FixupSpec` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel::Expression;
use super::conflict::{Existing, ExistingFor};
use super::duration::Duration;
use super::field::FieldError;
use super::hook::{HookUse, OnError, check_uses};
use super::identity::SnapshotId;
use super::labels::{LabelSelector, wrong_key, wrong_value};
use super::object::Json;
use super::path::escape;
use super::pattern::wrong_name;
use super::policy::check_kinds;
use super::selection::{SelectSpec, Selection};
use super::transform::{Transform, TransformSpec, check_patch};

/// Which state is put back, how, and what is mended afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreSpec {
    /// Where the objects come from.
    pub from: RestoreSource,
    /// Which of them. Absent: all.
    #[serde(default)]
    pub select: SelectSpec,
    /// New names of namespaces: `old: new`. Role binding subjects follow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_mapping: BTreeMap<String, String>,
    /// New names of storage classes: `old: new`, wherever the catalog knows such a name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_class_mapping: BTreeMap<String, String>,
    /// New names of images: `old: new`. `old` is a whole image or its beginning up to a `/`, `:` or `@`, such as
    /// `registry.example.org/team`; the longest one counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub image_mapping: BTreeMap<String, String>,
    /// Changes of objects on their way, in this order, after the mappings. An object that cannot be changed so is not
    /// restored in another form: it fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<TransformSpec>,
    /// What happens to objects that exist already. Labels and annotations of namespaces are merged in every case but Fail.
    #[serde(default)]
    pub existing: Existing,
    /// Another answer than `existing` for some kinds; the first entry that names a kind counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub existing_for: Vec<ExistingFor>,
    /// Hooks around the run. Until hooks are carried out, a request with hooks is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookUse>,
    /// What is mended after the waves, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixups: Vec<FixupSpec>,
}

/// A state at a location: a snapshot of an archive or a commit of a mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreSource {
    /// Name of the location.
    pub location: String,
    /// Snapshot name, or `latest` for the newest Complete one. Exactly one of `snapshot` and `commit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Commit, tag or branch of a mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Name of the cluster that was saved. Absent: the cluster restored into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

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

impl RestoreSpec {
    /// Everything that is wrong with it, but for the documents it names.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors: Vec<_> = self.from.check().into_iter().map(|e| e.under("/from")).collect();
        let select = Selection::compile(&self.select).err().unwrap_or_default();
        errors.extend(select.into_iter().map(|e| e.under("/select")));
        errors.extend(self.check_mapping().into_iter().map(|e| e.under("/namespaceMapping")));
        for (index, rule) in self.existing_for.iter().enumerate() {
            let wrong = check_kinds("/kinds", &rule.kinds);
            errors.extend(wrong.into_iter().map(|e| e.under(&format!("/existingFor/{index}"))));
        }
        errors.extend(self.check_transforms().into_iter().map(|e| e.under("/transforms")));
        errors.extend(check_uses(&self.hooks).into_iter().map(|e| e.under("/hooks")));
        let mut seen = BTreeSet::new();
        for (index, fixup) in self.fixups.iter().enumerate() {
            let at = format!("/fixups/{index}");
            errors.extend(fixup.check().into_iter().map(|e| e.under(&at)));
            if !seen.insert(&fixup.name) {
                errors.push(FieldError::new(at + "/name", format!("there are two fixups `{}`", fixup.name)));
            }
        }
        errors
    }

    fn check_transforms(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, spec) in self.transforms.iter().enumerate() {
            let wrong = Transform::compile(spec).err().unwrap_or_default();
            errors.extend(wrong.into_iter().map(|e| e.under(&format!("/{index}"))));
            if !seen.insert(&spec.name) {
                let message = format!("there are two transforms `{}`", spec.name);
                errors.push(FieldError::new(format!("/{index}/name"), message));
            }
        }
        errors
    }

    fn check_mapping(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
        for (old, new) in &self.namespace_mapping {
            let at = format!("/{}", escape(old));
            errors.extend(
                [old, new].into_iter().filter_map(|n| wrong_name(n)).map(|e| FieldError::new(&at, e)),
            );
            if let Some(other) = taken.insert(new, old) {
                errors.push(FieldError::new(&at, format!("`{other}` and `{old}` both become `{new}`")));
            }
        }
        errors
    }
}

impl RestoreSource {
    fn check(&self) -> Vec<FieldError> {
        match (&self.snapshot, &self.commit) {
            (Some(name), None) if SnapshotId::parse(name).is_none() => {
                let help = "`latest`, or a name as `backstay snapshots` prints it";
                vec![FieldError::new("/snapshot", format!("{name:?} is no name of a snapshot")).help(help)]
            }
            (Some(_), None) | (None, Some(_)) => Vec::new(),
            _ => vec![FieldError::new("", "a source needs exactly one of `snapshot` and `commit`")],
        }
    }
}

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
    fn check(&self) -> Vec<FieldError> {
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
