//! A snapshot as a custom resource, for people to look at: the `Snapshot` object.
//!
//! In: records · Out: `SnapshotSpec`, `SnapshotStatus` · Touches: nothing

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{KindResult, Outcome};
use super::snapshot::SnapshotRecord;
use super::status::whole;

/// Which snapshot it is, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// The policy that made it.
    pub policy: String,
    /// The cluster that was saved.
    pub cluster: String,
    /// Names of the archives that hold it, sorted.
    pub locations: Vec<String>,
}

/// What is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// When its run started.
    pub started: Timestamp,
    /// When its last part was written.
    pub finished: Timestamp,
    /// How it went.
    pub outcome: Outcome,
    /// How many objects it holds.
    pub objects: u64,
    /// Bytes at each location.
    pub bytes: u64,
    /// Revision of the policy repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Kinds that could not be collected, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_kinds: BTreeMap<String, String>,
}

/// What is shown of a record that stands at these locations.
pub fn view(record: &SnapshotRecord, locations: Vec<String>) -> (SnapshotSpec, SnapshotStatus) {
    let failed = record.kinds.iter().filter_map(|kind| match &kind.result {
        KindResult::Failed { reason } => Some((kind.resource.clone(), reason.clone())),
        KindResult::Collected { .. } | KindResult::Skipped { .. } => None,
    });
    let parts = record.parts.iter().chain([&record.index, &record.report]);
    let spec =
        SnapshotSpec { policy: record.policy.name.clone(), cluster: record.cluster.name.clone(), locations };
    let status = SnapshotStatus {
        started: whole(record.started),
        finished: whole(record.finished),
        outcome: record.outcome,
        objects: record.objects,
        bytes: parts.map(|part| part.bytes).sum(),
        revision: record.policy.revision.clone(),
        failed_kinds: failed.collect(),
    };
    (spec, status)
}
