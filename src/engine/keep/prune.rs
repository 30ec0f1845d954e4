//! Deletes what no rule keeps: a plan first, then, if wanted, the deed.
//!
//! The record goes first, so that nobody sees a snapshot whose parts are gone; a run that breaks off after that leaves files
//! without a record, which a later one clears away.
//!
//! In: `Listing`, rules, now · Out: `PrunePlan`, `PruneReport` · Touches: bucket

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::retain::{Reason, Rule, Verdict, retain, unjudged};
use crate::domain::duration::Duration;
use crate::domain::identity::SnapshotId;
use crate::domain::location::AccessMode;
use crate::domain::snapshot::SnapshotRecord;
use crate::engine::archive::layout::{self, Listing, RECORD, Unfinished};
use crate::ports::bucket::{self, Bucket};

/// How long files without a record are left alone: their run may still be at work.
pub const GRACE: Duration = Duration::seconds(24 * 3_600);

/// What would be deleted, and why everything else is not.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrunePlan {
    /// Every snapshot: by cluster and policy, newest first.
    pub verdicts: Vec<Verdict>,
    /// Snapshots that no rule keeps.
    pub snapshots: Vec<Deletion>,
    /// Files that broken-off runs left, older than the grace.
    pub leftovers: Vec<Deletion>,
    /// What is left alone although it is no snapshot that can be used.
    pub notes: Vec<String>,
}

/// The files of one snapshot, or of a run that never became one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Cluster.
    pub cluster: String,
    /// Name of the snapshot or of the run's folder.
    pub snapshot: String,
    /// Keys from the top of the archive, sorted.
    pub files: Vec<String>,
    /// Size of the files.
    pub bytes: u64,
}

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneReport {
    /// Deleted snapshots and leftovers, in the plan's order.
    pub deleted: Vec<Deletion>,
    /// What could not be deleted, or not wholly, with the reason.
    pub failed: Vec<(Deletion, String)>,
}

/// Why nothing is deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location may only be read.
    #[error("cannot prune {0}: its accessMode is ReadOnly")]
    ReadOnly(String),
}

/// Plans what to delete. `rules` holds the policies by name; snapshots of other policies are kept.
///
/// Snapshots of other clusters than `uid` are kept, whatever their name; with `None` all are of one.
///
/// Never fails, deletes nothing. The listing must be whole: [`layout::list`] gives an error rather than a part of it.
pub fn plan(
    listing: &Listing,
    (rules, grace): (&BTreeMap<String, Rule>, Duration),
    uid: Option<&str>,
    now: Timestamp,
) -> PrunePlan {
    let mut groups: BTreeMap<(&str, &str), Vec<SnapshotRecord>> = BTreeMap::new();
    let (ours, earlier): (Vec<_>, Vec<_>) =
        listing.records.iter().partition(|record| uid.is_none_or(|uid| uid == record.cluster.uid));
    for record in ours {
        let group = (record.cluster.name.as_str(), record.policy.name.as_str());
        groups.entry(group).or_default().push(record.clone());
    }
    let mut plan = PrunePlan::default();
    for ((_, policy), records) in groups {
        plan.verdicts.extend(match rules.get(policy) {
            Some(rule) => retain(&records, rule, now),
            None => records.iter().rev().map(of_no_policy).collect(),
        });
    }
    let kept = |record: &&SnapshotRecord| Verdict { kept: vec![Reason::Earlier], ..unjudged(record) };
    plan.verdicts.extend(earlier.iter().rev().map(kept));
    let dropped = plan.verdicts.iter().filter(|verdict| verdict.kept.is_empty());
    plan.snapshots = dropped.filter_map(|v| deletion(listing, &v.cluster, v.snapshot.as_str())).collect();
    for folder in &listing.unfinished {
        match last_sign(listing, folder).map(|started| now.duration_since(started)) {
            Some(age) if !age.is_negative() && age.unsigned_abs() >= grace.as_std() => {
                plan.leftovers.extend(deletion(listing, &folder.cluster, &folder.id));
            }
            Some(_) => plan.notes.push(format!(
                "{} of cluster {} has no record: its run is at work, or broke off less than {grace} ago",
                folder.id, folder.cluster
            )),
            None => plan.notes.push(format!(
                "{} of cluster {} has no record and no name of a snapshot, it is left alone",
                folder.id, folder.cluster
            )),
        }
    }
    let unreadable = listing.unreadable.iter();
    plan.notes.extend(unreadable.map(|u| format!("{} is left alone: {}", u.id, u.reason)));
    plan
}

/// When a run without a record was heard of last: its newest file, else the time in its name. `None` for what is no run.
fn last_sign(listing: &Listing, folder: &Unfinished) -> Option<Timestamp> {
    let named = SnapshotId::parse(&folder.id).and_then(|id| id.started())?;
    let files = listing.files.get(&format!("clusters/{}/snapshots/{}", folder.cluster, folder.id));
    let written = files.into_iter().flatten().filter_map(|file| file.modified).max();
    Some(written.map_or(named, |written| written.max(named)))
}

fn of_no_policy(record: &SnapshotRecord) -> Verdict {
    Verdict { kept: vec![Reason::NoPolicy], ..unjudged(record) }
}

fn deletion(listing: &Listing, cluster: &str, snapshot: &str) -> Option<Deletion> {
    let files = listing.files.get(&format!("clusters/{cluster}/snapshots/{snapshot}"))?;
    Some(Deletion {
        cluster: cluster.to_owned(),
        snapshot: snapshot.to_owned(),
        files: files.iter().map(|file| file.key.clone()).collect(),
        bytes: files.iter().map(|file| file.bytes).sum(),
    })
}

/// Deletes what the plan names, one snapshot after the other: its record, then the rest. Goes on where one fails.
///
/// # Errors
/// [`Error::ReadOnly`]; everything else is in the report.
pub async fn prune(plan: &PrunePlan, access: AccessMode, bucket: &dyn Bucket) -> Result<PruneReport, Error> {
    match access {
        AccessMode::ReadWrite => {}
        AccessMode::ReadOnly => return Err(Error::ReadOnly(bucket.describe())),
    }
    let mut report = PruneReport::default();
    for snapshot in &plan.snapshots {
        note(&mut report, snapshot, delete_snapshot(snapshot, bucket).await);
    }
    for leftover in &plan.leftovers {
        note(&mut report, leftover, delete_leftover(leftover, bucket).await);
    }
    Ok(report)
}

fn note(report: &mut PruneReport, deletion: &Deletion, result: Result<(), String>) {
    match result {
        Ok(()) => report.deleted.push(deletion.clone()),
        Err(reason) => report.failed.push((deletion.clone(), reason)),
    }
}

async fn delete_snapshot(snapshot: &Deletion, bucket: &dyn Bucket) -> Result<(), String> {
    let (record, rest): (Vec<String>, Vec<String>) =
        snapshot.files.iter().cloned().partition(|key| key.ends_with(&format!("/{RECORD}")));
    bucket.delete(&record).await.map_err(|error| format!("nothing was deleted: {error}"))?;
    bucket.delete(&rest).await.map_err(|error| format!("only its record was deleted: {error}"))
}

/// Looks once more for a record, which a slow run may have written since the plan was made.
async fn delete_leftover(leftover: &Deletion, bucket: &dyn Bucket) -> Result<(), String> {
    let id = SnapshotId::parse(&leftover.snapshot).ok_or("its name is not one of a snapshot")?;
    match layout::record(bucket, &leftover.cluster, &id).await {
        Err(layout::Error::NoSnapshot { .. }) => {}
        Ok(_) | Err(layout::Error::Newer { .. } | layout::Error::Garbled { .. }) => {
            return Err("it has a record by now".into());
        }
        Err(error) => return Err(error.to_string()),
    }
    bucket.delete(&leftover.files).await.map_err(|error: bucket::Error| error.to_string())
}

#[cfg(test)]
mod tests;
