//! What a restore does about the tools that manage objects, such as Flux and Argo CD, and how such a tool is described.
//!
//! In: YAML through serde · Out: `Owners`, `OwnerSpec` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::object::Json;
use super::policy::KindPattern;

/// What a restore does about the owners of its objects: Flux Kustomizations, Argo CD Applications, Helm releases.
///
/// Absent: marks of ownership stay on objects that go home, and are left out of those that go to another cluster or
/// namespace. Owners that are at work are named, because they may revert what is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Owners {
    /// Marks stay, even on objects that go to another cluster or namespace.
    Keep,
    /// Marks are left out everywhere: the objects belong to nobody.
    Strip,
    /// Marks as if the field were absent. The owners of the restored objects, and their owners, are suspended before the
    /// first write and resumed at the end, each to what it was before.
    Pause,
}

/// How a tool that manages objects is known, suspended and resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnerSpec {
    /// Name of the entry, unique in its catalog.
    pub name: String,
    /// Kinds of the owners. Empty: no object of the cluster is the owner, as with Helm; nothing can be paused then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindPattern>,
    /// CEL expression over `object`, a managed one: marks count only where it is true. Absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Where a managed object names its owner. The first mark that is there counts. `owners: Strip` leaves them all out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<MarkSpec>,
    /// Fields that are left out together with the marks under `owners: Strip`. JSON pointers with globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strip_also: Vec<String>,
    /// Whether an owner reference to one of the kinds marks an object as well. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owner_references: bool,
    /// What suspends an owner. Absent: it cannot be paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<SuspendSpec>,
    /// Where an owner lists what it manages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventorySpec>,
    /// CEL expression over `object`, an owner: where it is true, the owner deletes objects that carry its mark and that it
    /// does not know. Absent: such objects stay, and are never pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prunes_unknown: Option<String>,
    /// Where the knowledge comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Where a managed object names its owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkSpec {
    /// Field with the owner's name: a JSON pointer.
    pub name: String,
    /// Field with the owner's namespace: a JSON pointer. Absent: the name tells, or the owner may be in any namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How the name is written. Default: Name.
    #[serde(default)]
    pub form: MarkForm,
}

/// How a mark writes the name of an owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MarkForm {
    /// The name, or `namespace_name`.
    #[default]
    Name,
    /// `name:group/Kind:namespace/name` or `namespace_name:…`, as Argo CD's tracking id. One that names another object than
    /// the one it stands on does not count.
    TrackingId,
}

/// What suspends an owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuspendSpec {
    /// Field that suspends it: a JSON pointer.
    pub path: String,
    /// The field's value while it is suspended.
    pub value: Json,
}

/// Where an owner lists what it manages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InventorySpec {
    /// The list: a JSON pointer.
    pub path: String,
    /// How an entry names an object.
    pub form: InventoryForm,
    /// Whether a restore that makes the owner anew brings its list back, so that it still prunes. Only below `/status`.
    /// Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restore: bool,
}

/// How an entry of an inventory names an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InventoryForm {
    /// `id: <namespace>_<name>_<group>_<Kind>`, as Flux writes it.
    Ids,
    /// Fields `group`, `kind`, `namespace` and `name`, as Argo CD writes it.
    Fields,
}
