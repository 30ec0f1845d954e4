//! Which cluster writes under a name: two clusters of one name would prune and overwrite each other's snapshots.
//!
//! Owners stand in `clusters/<cluster>/owners/0001.json`, `0002.json`, and so on: create-only, the last one counts.
//!
//! In: `ClusterRef`, a bucket · Out: `Owner` · Touches: bucket

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout;
use super::part;
use crate::domain::identity::ClusterRef;
use crate::domain::snapshot::FORMAT;
use crate::ports::bucket::{self, Bucket};

/// Why a cluster may not write under its name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another cluster does.
    #[error(
        "cannot back up as cluster {name} to {place}: another cluster of this name, with the uid {uid}, does so since {since}"
    )]
    Other {
        /// The name of both.
        name: String,
        /// Which archive.
        place: String,
        /// Uid of the other one's namespace kube-system.
        uid: String,
        /// Since when.
        since: Timestamp,
    },
    /// The archive cannot be looked at.
    #[error("cannot find out which cluster the archive belongs to")]
    Archive(#[from] layout::Error),
    /// The claim cannot be written.
    #[error("cannot write {key} to {place}")]
    Write {
        /// Key.
        key: String,
        /// Which archive.
        place: String,
        /// Why.
        source: bucket::Error,
    },
}

/// What is done about a name that another cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Name {
    /// It is left to that one.
    #[default]
    Respect,
    /// It is taken over from a cluster that has it since before this moment: that cluster is gone, and this one stands in its
    /// place. Whoever took it later is respected, so that two clusters never take it from each other in turn.
    TakeOver(Timestamp),
}

impl Name {
    /// Whether the name is taken from a cluster that has it since then.
    pub fn takes(self, since: Timestamp) -> bool {
        match self {
            Self::Respect => false,
            Self::TakeOver(before) => since < before,
        }
    }
}

/// A cluster that writes under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    format: u32,
    /// Uid of namespace kube-system.
    pub uid: String,
    /// Since when.
    pub since: Timestamp,
}

/// The cluster that writes under a name, and the number of its claim; archives that know none are judged by their newest record.
///
/// # Errors
/// The archive cannot be read.
pub async fn current(bucket: &dyn Bucket, cluster: &str) -> Result<Option<(Owner, u32)>, layout::Error> {
    let folder = owners_of(cluster);
    let read =
        |what: &str, source| layout::Error::Read { what: what.to_owned(), place: bucket.describe(), source };
    let claims = bucket.list(&folder).await.map_err(|e| read(&folder, e))?;
    let number =
        |key: &str| key.strip_prefix(&format!("{folder}/"))?.strip_suffix(".json")?.parse::<u32>().ok();
    if let Some(number) = claims.iter().filter_map(|claim| number(&claim.key)).max() {
        let key = key(cluster, number);
        let text = bucket.read(&key).await.map_err(|e| read(&key, e))?;
        layout::check_format(&text, &key, &bucket.describe())?;
        let owner = serde_json::from_slice(&text).map_err(|e| layout::Error::Garbled {
            what: key.clone(),
            place: bucket.describe(),
            reason: format!("it names no owner: {e}"),
        })?;
        return Ok(Some((owner, number)));
    }
    let listing = layout::list(bucket, Some(cluster)).await?;
    let newest = listing.records.into_iter().max_by_key(|record| record.started);
    Ok(newest.map(|record| (Owner { format: FORMAT, uid: record.cluster.uid, since: record.started }, 0)))
}

/// Makes sure that a cluster may write under its name, and says so to others.
///
/// # Errors
/// [`Error::Other`] where another cluster has the name and it is not taken over.
pub async fn claim(
    bucket: &dyn Bucket,
    cluster: &ClusterRef,
    name: Name,
    now: Timestamp,
) -> Result<(), Error> {
    loop {
        let found = current(bucket, &cluster.name).await?;
        let next = match found {
            Some((owner, number)) if owner.uid == cluster.uid && number > 0 => return Ok(()),
            Some((owner, number)) if owner.uid == cluster.uid || name.takes(owner.since) => number + 1,
            Some((owner, _)) => return Err(other(bucket, &cluster.name, owner)),
            None => 1,
        };
        let owner = Owner { format: FORMAT, uid: cluster.uid.clone(), since: now };
        let (key, place) = (key(&cluster.name, next), bucket.describe());
        let text = part::plain_json(&owner).map_err(|e| layout::Error::Garbled {
            what: key.clone(),
            place: place.clone(),
            reason: e.to_string(),
        })?;
        match bucket.create(&key, Bytes::from(text)).await {
            Ok(()) => return Ok(()),
            Err(bucket::Error::AlreadyExists(_)) => {} // somebody was faster: look who
            Err(source) => return Err(Error::Write { key, place, source }),
        }
    }
}

fn other(bucket: &dyn Bucket, name: &str, owner: Owner) -> Error {
    Error::Other { name: name.to_owned(), place: bucket.describe(), uid: owner.uid, since: owner.since }
}

fn owners_of(cluster: &str) -> String {
    format!("clusters/{cluster}/owners")
}

fn key(cluster: &str, number: u32) -> String {
    format!("{}/{number:04}.json", owners_of(cluster))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::memory::bucket::MemoryBucket;
    use crate::domain::report::Outcome;
    use crate::engine::archive::store::tests::{Stage, config_maps};

    const NOW: &str = "2026-11-27T10:00:00Z";

    fn cluster(uid: &str) -> ClusterRef {
        ClusterRef { name: "prod".into(), uid: uid.into(), version: "v1.36.1".into() }
    }

    async fn claimed(bucket: &MemoryBucket, uid: &str, name: Name) -> String {
        match claim(bucket, &cluster(uid), name, NOW.parse().unwrap()).await {
            Ok(()) => "ours".into(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_second_cluster_of_the_same_name_is_refused_until_it_takes_the_name_over() {
        let bucket = MemoryBucket::new();
        assert_eq!(claimed(&bucket, "u-1", Name::Respect).await, "ours");
        assert_eq!(claimed(&bucket, "u-1", Name::Respect).await, "ours");
        assert_eq!(bucket.creates(), 1, "a claim is written once");
        let refused = claimed(&bucket, "u-2", Name::Respect).await;
        assert!(refused.contains("another cluster of this name, with the uid u-1"), "{refused}");
        let later = |text: &str| Name::TakeOver(text.parse().unwrap());
        let too_early = claimed(&bucket, "u-2", later(NOW)).await;
        assert!(
            too_early.contains("with the uid u-1"),
            "it has the name since that very moment: {too_early}"
        );
        assert_eq!(claimed(&bucket, "u-2", later("2026-11-27T10:00:01Z")).await, "ours");
        let back = claimed(&bucket, "u-1", Name::Respect).await;
        assert!(back.contains("with the uid u-2"), "the old cluster sees that its name is taken: {back}");
    }

    #[tokio::test]
    async fn an_archive_without_claims_belongs_to_the_cluster_of_its_newest_record() {
        let stage = Stage::new();
        let record =
            stage.store("2026-11-21T06:30:00Z", Outcome::Complete, vec![config_maps(&["web"], "1")]).await;
        let refused = claimed(&stage.bucket, "u-9", Name::Respect).await;
        assert!(refused.contains(&record.cluster.uid), "{refused}");
        assert_eq!(claimed(&stage.bucket, &record.cluster.uid, Name::Respect).await, "ours");
        assert_eq!(current(stage.bucket.as_ref(), "prod").await.unwrap().unwrap().1, 1);
    }

    #[tokio::test]
    async fn a_claim_that_cannot_be_read_is_nobodys() {
        let bucket = MemoryBucket::new();
        bucket.put("clusters/prod/owners/0001.json", Some(b"{\"format\":1}".to_vec()));
        let refused = claimed(&bucket, "u-1", Name::TakeOver(Timestamp::MAX)).await;
        assert_eq!(refused, "cannot find out which cluster the archive belongs to");
    }
}
