//! What a human wants put back: the `RestoreRequest` document.
//!
//! In: YAML through serde · Out: `RestoreSpec` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conflict::{Existing, ExistingFor};
use super::duration::Duration;
use super::field::{FieldError, closest};
use super::fixup::{FixupSpec, Target};
use super::hook::{HookAnnotations, HookWhen};
use super::hook_template::{HookUse, check_uses};
use super::identity::SnapshotId;
use super::owners::Owners;
use super::path::escape;
use super::pattern::wrong_name;
use super::policy::{KindPattern, check_kinds};
use super::selection::{SelectSpec, Selection};
use super::transform::{Transform, TransformSpec};

/// Which state is put back, how, and what is mended afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreSpec {
    /// Where the objects come from.
    pub from: RestoreSource,
    /// The request is carried out once for each token; a new value means a new run. Absent: whenever somebody applies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub token: Option<String>,
    /// When `backstay run` carries the request out by itself, once for each token. Default: Manual.
    #[serde(default, skip_serializing_if = "RestoreWhen::is_manual")]
    pub when: RestoreWhen,
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
    /// Kinds that are restored even where the controller that made them is, such as `Pod` and `ReplicaSet`: they come before
    /// their controllers, which adopt them. Absent: controllers make their objects anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<KindPattern>,
    /// How long the restore waits after single waves, other than the catalog says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveWait>,
    /// Finalizers that are put back after the waves, once their controller is ready. All others stay off, and the report names
    /// them: a controller that is there sets its own again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<FinalizerRule>,
    /// Deletes, after the waves, what the snapshot does not have: objects that this request and the policy of the snapshot
    /// both select, in namespaces that the snapshot has. Never what a controller made, and never namespaces, definitions,
    /// volumes and claims. `restore plan` shows them; `restore apply` deletes only with `--yes`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prune: bool,
    /// Kinds that get back the status they were saved with, such as `certificates.cert-manager.io`: written after the object,
    /// through its status subresource where it has one. A controller may write another one at once. The annotation
    /// `velero.io/restore-status` (`"true"` or `"false"`) of an object says otherwise for it. Mirrors hold no status. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restore_status_of: Vec<KindPattern>,
    /// What happens to marks of Flux, Argo CD and Helm, and whether their owners are suspended meanwhile. Absent: marks stay
    /// on objects that go home, and owners that may revert the restore are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<Owners>,
    /// What runs before objects are written (`PreRestore`) and after the fixups (`PostRestore`): templates by name, or hooks
    /// written in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookUse>,
    /// Whether pods that this restore brings may ask for hooks by Velero's annotations, such as
    /// `post.hook.restore.velero.io/command`. Default: Velero: they may.
    #[serde(default)]
    pub hook_annotations: HookAnnotations,
    /// What is mended after the waves, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixups: Vec<FixupSpec>,
}

/// When a request is carried out without a person who types it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestoreWhen {
    /// Never: `backstay restore apply` does it.
    #[default]
    Manual,
    /// When the cluster holds nothing yet but itself, Backstay, and the namespaces of Flux and Argo CD.
    EmptyCluster,
    /// At once.
    Always,
}

impl RestoreWhen {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_manual(&self) -> bool {
        *self == Self::Manual
    }
}

/// When hooks of a request run.
pub const RESTORE: [HookWhen; 2] = [HookWhen::PreRestore, HookWhen::PostRestore];

/// How long a restore waits until what a wave brought is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaveWait {
    /// Name of the wave, as the catalog and `restore plan` have it.
    pub name: String,
    /// How long; `0s` does not wait at all. Kinds for which the catalog has no `ready` are not waited for.
    pub timeout: Duration,
}

/// Which controller answers for which finalizers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FinalizerRule {
    /// Finalizers, by name or by what they begin with, such as `widgets.example.org/*`.
    #[schemars(length(min = 1))]
    pub finalizers: Vec<String>,
    /// The controller: a workload that must be there and ready.
    pub controller: Target,
    /// How long to wait for it. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl FinalizerRule {
    /// Whether the rule is about this finalizer.
    pub fn names(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => finalizer.starts_with(start),
            None => finalizer == pattern,
        })
    }

    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.finalizers.is_empty() {
            errors.push(FieldError::new("/finalizers", "needs at least one finalizer"));
        }
        let inside = |pattern: &String| {
            pattern.strip_suffix('*').unwrap_or(pattern).contains('*') || pattern.is_empty()
        };
        for (index, _) in self.finalizers.iter().enumerate().filter(|(_, pattern)| inside(pattern)) {
            let at = format!("/finalizers/{index}");
            errors.push(FieldError::new(at, "a finalizer is a name; a `*` may stand at its end only"));
        }
        errors.extend(self.controller.check().into_iter().map(|e| e.under("/controller")));
        errors
    }
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
    /// Everything of a state, with nothing else asked for.
    pub fn of(from: RestoreSource) -> Self {
        Self {
            from,
            token: None,
            when: RestoreWhen::Manual,
            select: SelectSpec::default(),
            namespace_mapping: BTreeMap::new(),
            storage_class_mapping: BTreeMap::new(),
            image_mapping: BTreeMap::new(),
            transforms: Vec::new(),
            existing: Existing::default(),
            existing_for: Vec::new(),
            children: Vec::new(),
            waves: Vec::new(),
            finalizers: Vec::new(),
            prune: false,
            restore_status_of: Vec::new(),
            owners: None,
            hooks: Vec::new(),
            hook_annotations: HookAnnotations::default(),
            fixups: Vec::new(),
        }
    }

    /// Waves that are none of these.
    pub fn check_waves(&self, known: &[&str]) -> Vec<FieldError> {
        let unknown = self.waves.iter().enumerate();
        let unknown = unknown.filter(|(_, wanted)| !known.contains(&wanted.name.as_str()));
        let told = unknown.map(|(index, wanted)| {
            let message = format!("the catalog has no wave `{}`", wanted.name);
            let error = FieldError::new(format!("/waves/{index}/name"), message);
            match closest(&wanted.name, known.iter().copied()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            }
        });
        told.collect()
    }

    /// Everything that is wrong with it, but for the documents it names.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors: Vec<_> = self.from.check().into_iter().map(|e| e.under("/from")).collect();
        if self.token.as_ref().is_some_and(|token| token.is_empty() || token.len() > 128) {
            errors.push(FieldError::new("/token", "a token has 1 to 128 characters"));
        }
        if self.when != RestoreWhen::Manual && self.token.is_none() {
            let help = "write `token: first`; another value means another run";
            let message = "needs a `token`: without one it would be carried out again and again";
            errors.push(FieldError::new("/when", message).help(help));
        }
        let select = Selection::compile(&self.select).err().unwrap_or_default();
        errors.extend(select.into_iter().map(|e| e.under("/select")));
        errors.extend(self.check_mapping().into_iter().map(|e| e.under("/namespaceMapping")));
        for (index, rule) in self.existing_for.iter().enumerate() {
            let wrong = check_kinds("/kinds", &rule.kinds);
            errors.extend(wrong.into_iter().map(|e| e.under(&format!("/existingFor/{index}"))));
        }
        if self.prune && !self.namespace_mapping.is_empty() {
            let message = "`prune` cannot stand beside `namespaceMapping`: what else is in the new namespace is nobody's surplus";
            errors.push(FieldError::new("/prune", message));
        }
        errors.extend(check_kinds("/children", &self.children));
        for (index, rule) in self.finalizers.iter().enumerate() {
            errors.extend(rule.check().into_iter().map(|e| e.under(&format!("/finalizers/{index}"))));
        }
        errors.extend(check_kinds("/restoreStatusOf", &self.restore_status_of));
        errors.extend(self.check_transforms().into_iter().map(|e| e.under("/transforms")));
        errors.extend(check_uses(&self.hooks, RESTORE).into_iter().map(|e| e.under("/hooks")));
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
