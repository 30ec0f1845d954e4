//! What is different between two states.
//!
//! In: two states · Out: `ChangeSet` · Touches: nothing

use serde::{Deserialize, Serialize};

use super::object::{Json, ObjectKey};

/// Everything that is different between two states, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeSet {
    /// What the `before` side is, such as `snapshot shop-20261121t063000z-kwpa`.
    pub from: String,
    /// What the `after` side is, such as `cluster prod`.
    pub to: String,
    /// Objects that are different.
    pub changes: Vec<Change>,
    /// How many objects are equal.
    pub equal: u64,
    /// What could not be compared, with the reason; such a diff is not complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

impl ChangeSet {
    /// Whether nothing is different, as far as could be compared.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many objects are different in this way.
    pub fn count(&self, kind: ChangeKind) -> usize {
        self.changes.iter().filter(|change| change.change == kind).count()
    }
}

/// One object that is different.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Identity.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// How it is different.
    pub change: ChangeKind,
    /// Fields that differ, in the order of the object's sorted keys; for added and removed objects all
    /// top-level fields but the identity, secrets masked.
    pub fields: Vec<FieldChange>,
}

/// How an object is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChangeKind {
    /// Only the later state has it.
    Added,
    /// Only the earlier state has it.
    Removed,
    /// Both have it, with different content.
    Changed,
}

/// One field that differs. A masked value is the text `***`, `*** (before)` or `*** (after)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// JSON pointer (RFC 6901), where `name=web` stands for the list element with that key:
    /// `/spec/template/spec/containers/name=web/image`.
    pub path: String,
    /// Earlier value; absent where the field was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Json>,
    /// Later value; absent where the field is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Json>,
}
