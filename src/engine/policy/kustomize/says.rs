//! What a kustomization may say, as far as it is read.
//!
//! In: YAML through serde · Out: `Kustomization` · Touches: nothing

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::object::JsonMap;

/// What a kustomization says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Kustomization {
    /// `kustomize.config.k8s.io/v1beta1`, for a component `v1alpha1`.
    pub api_version: String,
    /// `Kustomization`, or `Component`.
    pub kind: String,
    /// Not used.
    pub metadata: JsonMap,
    /// Files and folders.
    pub resources: Vec<String>,
    /// Folders: the old name.
    pub bases: Vec<String>,
    /// Folders with components.
    pub components: Vec<String>,
    /// Comes before every name.
    pub name_prefix: String,
    /// Comes after every name.
    pub name_suffix: String,
    /// Namespace of every object.
    pub namespace: String,
    /// Labels.
    pub labels: Vec<Labels>,
    /// Labels that also select.
    pub common_labels: BTreeMap<String, String>,
    /// Annotations.
    pub common_annotations: BTreeMap<String, String>,
    /// Patches of both kinds.
    pub patches: Vec<Patch>,
    /// Strategic merge patches: the old name. Files or texts.
    pub patches_strategic_merge: Vec<String>,
    /// JSON patches: the old name.
    pub patches_json6902: Vec<Patch>,
    /// Config maps to make.
    pub config_map_generator: Vec<Generator>,
    /// Secrets to make.
    pub secret_generator: Vec<Generator>,
    /// Options for all that is made.
    pub generator_options: GeneratorOptions,
    /// Other images for workloads.
    pub images: Vec<Image>,
    /// Values copied from one object to others.
    pub replacements: Vec<Replacement>,
    /// Order of the objects.
    pub sort_options: Option<SortOptions>,
}

/// Labels and where they go.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Labels {
    /// The labels.
    pub pairs: BTreeMap<String, String>,
    /// Also into selectors and templates.
    pub include_selectors: bool,
    /// Also into templates.
    pub include_templates: bool,
    /// Also into these fields.
    pub fields: Vec<LabelField>,
}

/// A further field for labels.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelField {
    /// Names between `/`.
    pub path: String,
    /// Whether it is made where it is missing.
    pub create: bool,
    /// API group; empty for any.
    pub group: String,
    /// Version; empty for any.
    pub version: String,
    /// Kind; empty for any.
    pub kind: String,
}

/// A patch in a file or a text.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Patch {
    /// Its file.
    pub path: String,
    /// The patch itself.
    pub patch: String,
    /// What it changes.
    pub target: Option<Selector>,
    /// What it may change besides.
    pub options: PatchOptions,
}

/// What a patch may change besides.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PatchOptions {
    /// Names.
    pub allow_name_change: bool,
    /// Kinds.
    pub allow_kind_change: bool,
}

/// Which objects: every field that is there must match, as a regular expression for the whole text.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selector {
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Labels, such as `a=b,c in (d,e)`.
    pub label_selector: String,
    /// Annotations, in the same way.
    pub annotation_selector: String,
}

/// A config map or secret to make.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Generator {
    /// Name, before the hash.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// What to do with one that is there already.
    pub behavior: Behavior,
    /// `key=value`.
    pub literals: Vec<String>,
    /// `file` or `key=file`.
    pub files: Vec<String>,
    /// Files with lines `KEY=value`.
    pub envs: Vec<String>,
    /// One such file: the old name.
    pub env: String,
    /// Type of a secret.
    #[serde(rename = "type")]
    pub secret_type: String,
    /// Options.
    pub options: GeneratorOptions,
}

/// What to do with one that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Behavior {
    /// An error.
    #[default]
    Create,
    /// The new one takes its place.
    Replace,
    /// The new data is added.
    Merge,
}

/// Options for what is made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GeneratorOptions {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// No hash at the end of the name.
    pub disable_name_suffix_hash: bool,
    /// Whether it can never change.
    pub immutable: bool,
}

/// Another image for workloads.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// Which image.
    pub name: String,
    /// Its new name.
    pub new_name: String,
    /// Its new tag.
    pub new_tag: String,
    /// What is put behind its tag.
    pub tag_suffix: String,
    /// Its new digest.
    pub digest: String,
}

/// A value copied from one object to others, or a file that says so.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Replacement {
    /// File with one or more replacements.
    pub path: String,
    /// Where the value comes from.
    pub source: Option<Source>,
    /// The value itself.
    pub source_value: Option<String>,
    /// Where it goes.
    pub targets: Vec<Target>,
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Source {
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Names between dots; default `metadata.name`.
    pub field_path: String,
    /// Which part of it.
    pub options: Cut,
}

/// Where a value goes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Target {
    /// These objects,
    pub select: Option<Selector>,
    /// without these.
    pub reject: Vec<Selector>,
    /// Names between dots; default `metadata.name`.
    pub field_paths: Vec<String>,
    /// Which part of them.
    pub options: Cut,
}

/// A part of a text.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cut {
    /// What stands between parts.
    pub delimiter: String,
    /// Which part, from 0.
    pub index: i64,
    /// Whether the field is made where it is missing.
    pub create: bool,
}

/// Order of the objects.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SortOptions {
    /// By kind, or as they appear.
    #[serde(default)]
    pub order: SortOrder,
    /// Which kinds come first and last.
    pub legacy_sort_options: Option<LegacySort>,
}

/// How objects are put in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SortOrder {
    /// By kind and name.
    Legacy,
    /// As they appear.
    #[default]
    Fifo,
}

/// Which kinds come first and last.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LegacySort {
    /// First.
    pub order_first: Vec<String>,
    /// Last.
    pub order_last: Vec<String>,
}
