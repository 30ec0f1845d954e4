//! What a human wants put back: the `RestoreRequest` document.
//!
//! In: YAML through serde · Out: `RestoreSpec` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conflict::{Existing, ExistingFor};
use super::field::FieldError;
use super::fixup::FixupSpec;
use super::hook::{HookUse, check_uses};
use super::identity::SnapshotId;
use super::owners::Owners;
use super::path::escape;
use super::pattern::wrong_name;
use super::policy::check_kinds;
use super::selection::{SelectSpec, Selection};
use super::transform::{Transform, TransformSpec};

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
    /// What happens to marks of Flux, Argo CD and Helm, and whether their owners are suspended meanwhile. Absent: marks stay
    /// on objects that go home, and owners that may revert the restore are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Owners>,
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
