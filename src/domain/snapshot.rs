//! One finished backup: the record that makes it exist, and the index of its objects.
//!
//! In: what a run collected · Out: `SnapshotRecord`, `Index` · Touches: nothing

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hook_report::HookSummary;
use super::identity::{ClusterRef, PolicyRef, SnapshotId};
use super::object::{ObjectKey, Owner, Resource};
use super::report::{KindReport, Outcome};

/// The format of records, indexes and parts that this version writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// The record of a snapshot: `snapshot.json`, written last and create-only. No object names are in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotRecord {
    /// Format version, [`FORMAT`].
    pub format: u32,
    /// Name.
    pub id: SnapshotId,
    /// Which policy was carried out.
    pub policy: PolicyRef,
    /// Which cluster was saved.
    pub cluster: ClusterRef,
    /// When the run started.
    pub started: Timestamp,
    /// When its last part was written.
    pub finished: Timestamp,
    /// How it went.
    pub outcome: Outcome,
    /// How many objects it holds.
    pub objects: u64,
    /// Every kind that was seen: its count, or why it was not collected.
    pub kinds: Vec<KindReport>,
    /// API groups whose discovery failed: `group/version` and the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undiscovered: BTreeMap<String, String>,
    /// What came of the hooks, without names of objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookSummary>,
    /// Parts with objects, in order.
    pub parts: Vec<PartRef>,
    /// The index.
    pub index: PartRef,
    /// The full report.
    pub report: PartRef,
    /// Public keys everything is encrypted to, sorted.
    pub recipients: Vec<String>,
}

/// One stored file and its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartRef {
    /// File name in the snapshot's folder, such as `objects-0001.tar.zst.age`.
    pub name: String,
    /// SHA-256 of the stored bytes, lower-case hex.
    pub sha256: String,
    /// Size of the stored bytes.
    pub bytes: u64,
}

/// Every object of a snapshot and every kind that was seen: `index.json.zst.age`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Objects, sorted by key.
    pub objects: Vec<IndexEntry>,
    /// The kinds the objects are of; entries point here.
    pub resources: Vec<Resource>,
}

/// One object of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexEntry {
    /// Identity.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Position of its kind in [`Index::resources`].
    pub resource: usize,
    /// Position of its part in [`SnapshotRecord::parts`].
    pub part: usize,
    /// SHA-256 of its JSON as stored, lower-case hex.
    pub sha256: String,
    /// Uid in the cluster it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its controller, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<Owner>,
}
