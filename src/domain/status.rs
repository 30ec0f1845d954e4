//! What is shown of a document under `status`: conditions that kstatus reads, and what came of the last run.
//!
//! In: results of runs · Out: `PolicyStatus`, `LocationStatus`, `RestoreStatus`, `RepositoryStatus` · Touches: nothing

use std::collections::BTreeMap;

use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::SnapshotId;
use super::report::Outcome;

/// What `observedGeneration` says of a document before anybody has looked at it: no generation is that old.
pub const UNSEEN: i64 = -1;

/// One condition, as Kubernetes has them. `Ready`, `Reconciling` and `Stalled` mean what kstatus says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which one, such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When `status` changed last.
    pub last_transition_time: Timestamp,
    /// The generation of the object that the condition is about.
    #[serde(default)]
    pub observed_generation: i64,
}

/// What a condition should say from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which one.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: Truth,
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl Truth {
    fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Conditions that are claimed now, sorted by type. One that is not claimed any more is gone; one whose status stays keeps its time.
pub fn conditions(before: &[Condition], claims: &[Claim], generation: i64, now: Timestamp) -> Vec<Condition> {
    let mut after: Vec<Condition> = claims
        .iter()
        .map(|claim| {
            let status = claim.holds.word().to_owned();
            let same = before.iter().find(|old| old.kind == claim.kind && old.status == status);
            Condition {
                kind: claim.kind.to_owned(),
                reason: claim.reason.to_owned(),
                message: claim.message.clone(),
                last_transition_time: same.map_or_else(|| whole(now), |old| old.last_transition_time),
                observed_generation: generation,
                status,
            }
        })
        .collect();
    after.sort_by(|a, b| a.kind.cmp(&b.kind));
    after
}

/// A text of so many letters at most.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A moment in whole seconds, as the API server's times are.
pub fn whole(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).or_else(|_| moment.round(Unit::Second)).unwrap_or(moment)
}

/// Status of a `BackupPolicy`. It is also the reconciler's memory: what was due last, and what is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Schedule and time zone that `scheduledSince` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// From when on the schedule counts: when it was first seen, was changed, or was resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_since: Option<Timestamp>,
    /// The newest time at which the policy was due and which is dealt with: carried out, begun or missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_due: Option<Timestamp>,
    /// When it runs next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run: Option<Timestamp>,
    /// The run that is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// The last run that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// The last run that was Complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_complete: Option<LastRun>,
    /// Due times that passed without a run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed_runs: u64,
    /// The value of the annotation `backstay.dev/requestedAt` that was dealt with last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_request: Option<String>,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// A run that is at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// When it was due; absent for a run on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When it started.
    pub started: Timestamp,
    /// Which replica works on it.
    pub by: String,
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Name of its snapshot; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub snapshot: Option<SnapshotId>,
    /// When it was due; absent for a run on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it went.
    pub outcome: Outcome,
    /// Objects in it.
    #[serde(default)]
    pub objects: u64,
    /// Bytes sent to all locations.
    #[serde(default)]
    pub bytes: u64,
    /// What is missing, or why there is nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Status of a `BackupLocation`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocationStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `Ready`: whether the location can be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// When it was reached last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reached: Option<Timestamp>,
    /// Snapshots of this cluster, by policy. Archives only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<String, u64>,
    /// The last verification of each policy's newest Complete snapshot. Archives only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verified: BTreeMap<String, LastVerified>,
    /// When snapshots that no rule keeps were deleted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_prune: Option<LastPrune>,
}

/// The last time that a snapshot was read back and compared with its digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastVerified {
    /// Which snapshot.
    #[schemars(with = "String")]
    pub snapshot: SnapshotId,
    /// When.
    pub finished: Timestamp,
    /// When the last one that found nothing wrong ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<Timestamp>,
    /// That one: it is kept until a newer one was found sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sound_snapshot: Option<SnapshotId>,
    /// What is wrong with it; empty for a sound snapshot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The last time that snapshots were deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastPrune {
    /// When.
    pub finished: Timestamp,
    /// Snapshots and leftovers that were deleted.
    pub deleted: u64,
    /// Those that could not be.
    #[serde(default)]
    pub failed: u64,
    /// Why, for the first one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Status of a `RestoreRequest`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The token of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// How it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Where the objects came from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Whether the cluster was found empty when the request was first seen; only asked with `when: EmptyCluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_was_empty: Option<bool>,
}

/// Status of a `PolicyRepository`: where policy comes from, and which revision is in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `Ready`: whether the newest revision is in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The commit that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The newest commit that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// Everything that is wrong with it, with file and line; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Documents that a custom resource of the same name stands in for, and others that are not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The value of the annotation `backstay.dev/requestedAt` that was dealt with last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_request: Option<String>,
}

/// Status of a document that has nothing to do by itself: `HookTemplate`, `Catalog`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlainStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// `Ready`: whether it is in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millisecond(second * 1_000 + 250).unwrap()
    }

    fn ready(holds: Truth, reason: &'static str) -> Claim {
        Claim { kind: "Ready", holds, reason, message: String::new() }
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let first = conditions(&[], &[ready(Truth::True, "Complete")], 1, at(10));
        assert_eq!(first[0].last_transition_time.to_string(), "1970-01-01T00:00:10Z");
        let second = conditions(&first, &[ready(Truth::True, "Scheduled")], 2, at(20));
        assert_eq!((second[0].last_transition_time, second[0].observed_generation), (whole(at(10)), 2));
        assert_eq!(second[0].reason, "Scheduled");
        let third = conditions(&second, &[ready(Truth::False, "Failed")], 2, at(30));
        assert_eq!(third[0].last_transition_time, whole(at(30)));
    }

    #[test]
    fn a_condition_that_nobody_claims_any_more_is_gone() {
        let stalled = Claim { kind: "Stalled", holds: Truth::True, reason: "Invalid", message: "no".into() };
        let both = conditions(&[], &[stalled, ready(Truth::False, "Invalid")], 1, at(0));
        assert_eq!(both.iter().map(|c| c.kind.as_str()).collect::<Vec<_>>(), ["Ready", "Stalled"]);
        assert_eq!(conditions(&both, &[ready(Truth::True, "Complete")], 1, at(1)).len(), 1);
    }

    #[test]
    fn an_empty_status_has_no_fields() {
        assert_eq!(serde_json::to_string(&PolicyStatus::default()).unwrap(), "{}");
        assert_eq!(serde_json::to_string(&RepositoryStatus::default()).unwrap(), "{}");
    }
}
