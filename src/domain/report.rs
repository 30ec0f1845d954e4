//! What happened: to every kind, object and step, with reasons.
//!
//! In: results of the steps · Out: `BackupReport`, `RestoreReport` · Touches: nothing

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hook_report::HookReport;
use super::identity::{ClusterRef, PolicyRef, SnapshotId};
use super::mention::Mention;
use super::object::ObjectKey;
use super::selection::SelectSpec;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It has not started.
    Pending,
    /// It is at work.
    Running,
    /// It has ended; the outcome says how.
    Finished,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// Everything that was asked for was done.
    Complete,
    /// Something is missing, and the report names it.
    Partial,
    /// There is no result.
    Failed,
}

/// What became of one kind in a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KindReport {
    /// `deployments.apps`.
    pub resource: String,
    /// `apps/v1`.
    pub version: String,
    /// Count, or why not.
    #[serde(flatten)]
    pub result: KindResult,
}

/// Count of a kind, or why it was not collected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "result")]
pub enum KindResult {
    /// It was listed to the end.
    Collected {
        /// Objects taken into the snapshot.
        objects: u64,
    },
    /// It was left out on purpose.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It could not be listed to the end; this makes the outcome Partial.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What happened in a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupReport {
    /// The snapshot's name.
    pub snapshot: SnapshotId,
    /// The policy.
    pub policy: PolicyRef,
    /// The cluster.
    pub cluster: ClusterRef,
    /// Where the run is.
    pub phase: Phase,
    /// How it went.
    pub outcome: Outcome,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Objects taken.
    pub objects: u64,
    /// What the policy selected. Absent in reports of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<SelectSpec>,
    /// Every kind that was seen, sorted.
    pub kinds: Vec<KindReport>,
    /// API groups whose discovery failed: `group/version` and the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undiscovered: BTreeMap<String, String>,
    /// Objects of collected kinds that were left out, counted by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
    /// What came of each hook, in the order in which they ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookReport>,
    /// What became of each location, in the policy's order.
    pub locations: Vec<LocationReport>,
    /// What the reader should know although it is no failure, such as a pattern that matched nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What became of one location in a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocationReport {
    /// Name of the location.
    pub location: String,
    /// How it went there.
    pub outcome: Outcome,
    /// What was written, such as `commit 3f2a… (2 changed, 1 removed)`, or why nothing was.
    pub detail: String,
    /// Bytes sent.
    #[serde(default)]
    pub bytes: u64,
}

/// What happened in a restore.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    /// Where the objects came from, such as `snapshot shop-… at location archive`.
    pub source: String,
    /// Where the run is.
    pub phase: Phase,
    /// How it went.
    pub outcome: Outcome,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Waves in the order they were applied.
    pub waves: Vec<WaveReport>,
    /// Objects that were left out before any wave, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<ObjectReport>,
    /// Kinds in which nothing was pruned although the request wanted it, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpruned: Vec<String>,
    /// What came of each hook, in the order in which they ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookReport>,
    /// Fixups in the order they ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixups: Vec<FixupReport>,
    /// Owners that were paused meanwhile, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<OwnerReport>,
    /// Fields in which old names of namespaces and storage classes still stand, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// What the reader should know although it is no failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl RestoreReport {
    /// How the restore went, by what its parts say: Complete when nothing is missing, Failed when nothing was achieved.
    pub fn judge(&self) -> Outcome {
        let objects = || self.waves.iter().flat_map(|wave| &wave.objects);
        let failed = |object: &ObjectReport| object.action == ObjectAction::Failed;
        let late = self.waves.iter().any(|wave| !wave.not_ready.is_empty());
        let unmended = self.fixups.iter().any(|fixup| match fixup.outcome {
            FixupOutcome::Verified | FixupOutcome::NotNeeded | FixupOutcome::Warned => false,
            FixupOutcome::Failed | FixupOutcome::NotRun => true,
        });
        let asleep = self.owners.iter().any(|owner| owner.action == OwnerAction::StillPaused);
        let missing = objects().any(failed) || self.left_out.iter().any(failed) || !self.unpruned.is_empty();
        let unhooked = self.hooks.iter().any(|hook| hook.outcome.spoils());
        if !missing && !late && !unmended && !asleep && !unhooked {
            return Outcome::Complete;
        }
        if objects().any(|object| !failed(object)) { Outcome::Partial } else { Outcome::Failed }
    }
}

/// One wave of a restore.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveReport {
    /// Name of the wave.
    pub wave: String,
    /// Objects, sorted by key.
    pub objects: Vec<ObjectReport>,
    /// Why the wave did not become ready in time, if so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<ObjectReport>,
}

/// What became of one owner that was paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReport {
    /// Identity.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// What happened.
    pub action: OwnerAction,
    /// Why, where it is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of an owner that was paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerAction {
    /// It is what it was before it was paused, or what was saved of it.
    Resumed,
    /// It could not be resumed.
    StillPaused,
}

/// What happened to one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// Identity after namespace mapping.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// What happened.
    pub action: ObjectAction,
    /// Why, where it is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What happened to one object of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ObjectAction {
    /// It was not there and is now.
    Created,
    /// It was there and was changed.
    Updated,
    /// It was there, was deleted, and was made anew.
    Recreated,
    /// It was there and is not any more.
    Deleted,
    /// It was there and equal.
    Unchanged,
    /// It was left as it is.
    Skipped,
    /// It could not be written.
    Failed,
}

/// What happened in one fixup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FixupReport {
    /// Name of the step.
    pub name: String,
    /// How it went.
    pub outcome: FixupOutcome,
    /// Objects it touched, sorted by key.
    pub objects: Vec<ObjectKey>,
    /// Why it failed or did nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a fixup went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FixupOutcome {
    /// It took effect, and that was seen.
    Verified,
    /// Nothing had to be done: the effect was there already, or `when` was true for no target.
    NotNeeded,
    /// It did not take effect, and `onError: Continue` let the run go on.
    Warned,
    /// It did not take effect.
    Failed,
    /// An earlier fixup failed, so it did not run.
    NotRun,
}
