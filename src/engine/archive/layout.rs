//! The layout of an archive: where everything stands, and which snapshots there are.
//!
//! In: a bucket · Out: keys, records, listings · Touches: bucket (read)

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use serde::Deserialize;

use crate::domain::identity::SnapshotId;
use crate::domain::snapshot::{FORMAT, SnapshotRecord};
use crate::ports::bucket::{self, Bucket, Entry};

/// The format marker at the top of an archive.
pub const MARKER: &str = "backstay.json";
/// Name of a record.
pub const RECORD: &str = "snapshot.json";
/// Name of the index of a snapshot.
pub const INDEX: &str = "index.json.zst.age";
/// Name of the report of a snapshot.
pub const REPORT: &str = "report.json.zst.age";

const RECORD_BYTES: u64 = 64 << 20;
const AT_ONCE: usize = 8;

/// Why an archive cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The storage gave no answer.
    #[error("cannot read {what} in {place}")]
    Read {
        /// Key or folder.
        what: String,
        /// Which archive.
        place: String,
        /// Why.
        source: bucket::Error,
    },
    /// A file is not what its name says.
    #[error("cannot understand {what} in {place}: {reason}")]
    Garbled {
        /// Key.
        what: String,
        /// Which archive.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A later version of Backstay wrote it.
    #[error("{what} in {place} has format {found}, this version of Backstay reads format {FORMAT} at most")]
    Newer {
        /// Key.
        what: String,
        /// Which archive.
        place: String,
        /// Its format.
        found: u64,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot {id} of cluster {cluster} in {place}")]
    NoSnapshot {
        /// What was asked for.
        id: String,
        /// Of which cluster.
        cluster: String,
        /// Which archive.
        place: String,
    },
    /// The name cannot stand in a key.
    #[error("{0:?} cannot name a cluster in an archive: use letters, digits, `.`, `_` and `-`")]
    ClusterName(String),
}

/// Folder of one snapshot: `clusters/<cluster>/snapshots/<id>`.
///
/// # Errors
/// [`Error::ClusterName`] for names that cannot stand in a key.
pub fn folder(cluster: &str, id: &SnapshotId) -> Result<String, Error> {
    Ok(format!("{}/{id}", snapshots_of(cluster)?))
}

/// Name of a part with objects; the first is number 0. `attempt` tells the files of several attempts at one snapshot apart.
pub fn part_name(number: usize, attempt: Option<&str>) -> String {
    tagged(&format!("objects-{:04}.tar.zst.age", number + 1), attempt)
}

/// A file's name with the attempt in it: `index-kwpa.json.zst.age`.
pub fn tagged(file: &str, attempt: Option<&str>) -> String {
    match (attempt, file.split_once('.')) {
        (Some(attempt), Some((name, ending))) => format!("{name}-{attempt}.{ending}"),
        (Some(_) | None, _) => file.to_owned(),
    }
}

/// Whether a file may be what another attempt at the same snapshot has left behind: `objects-0001-kwpa.tar.zst.age`.
pub fn is_of_an_attempt(file: &str) -> bool {
    let Some((name, ending)) = file.split_once('.') else { return false };
    let Some((rest, letters)) = name.rsplit_once('-') else { return false };
    let tag = letters.len() == 4 && letters.bytes().all(|byte| byte.is_ascii_lowercase());
    let number =
        rest.strip_prefix("objects-").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    match ending {
        "tar.zst.age" => tag && number,
        "json.zst.age" => tag && ["index", "report"].contains(&rest),
        _ => false,
    }
}

fn snapshots_of(cluster: &str) -> Result<String, Error> {
    let bad = cluster.contains('/') || cluster.len() > 253 || bucket::check_key(cluster).is_err();
    if bad {
        Err(Error::ClusterName(cluster.to_owned()))
    } else {
        Ok(format!("clusters/{cluster}/snapshots"))
    }
}

#[derive(Deserialize)]
struct Marker {
    format: u64,
}

/// Reads the `format` field of a file before anything else of it, so that a newer format is named as such.
///
/// # Errors
/// [`Error::Garbled`] and [`Error::Newer`].
pub fn check_format(text: &[u8], what: &str, place: &str) -> Result<(), Error> {
    let (what, place) = (what.to_owned(), place.to_owned());
    match serde_json::from_slice::<Marker>(text) {
        Ok(Marker { format }) if format == u64::from(FORMAT) => Ok(()),
        Ok(Marker { format: found }) if found > u64::from(FORMAT) => Err(Error::Newer { what, place, found }),
        Ok(_) => Err(Error::Garbled { what, place, reason: "its format number is unknown".into() }),
        Err(_) => Err(Error::Garbled { what, place, reason: "it has no format number".into() }),
    }
}

/// The record of one snapshot.
///
/// # Errors
/// [`Error::NoSnapshot`] where there is none, else why it cannot be read.
pub async fn record(bucket: &dyn Bucket, cluster: &str, id: &SnapshotId) -> Result<SnapshotRecord, Error> {
    let key = format!("{}/{RECORD}", folder(cluster, id)?);
    match read_record(bucket, cluster, id.as_str(), &key).await? {
        Some(record) => Ok(record),
        None => Err(Error::NoSnapshot {
            id: id.to_string(),
            cluster: cluster.to_owned(),
            place: bucket.describe(),
        }),
    }
}

/// A record, or `None` where there is no such key.
async fn read_record(
    bucket: &dyn Bucket,
    cluster: &str,
    id: &str,
    key: &str,
) -> Result<Option<SnapshotRecord>, Error> {
    let place = bucket.describe();
    let text = match bucket.read(key).await {
        Ok(text) => text,
        Err(bucket::Error::NotFound(_)) => return Ok(None),
        Err(source) => return Err(Error::Read { what: key.to_owned(), place, source }),
    };
    check_format(&text, key, &place)?;
    let garbled = |reason: String| Error::Garbled { what: key.to_owned(), place: place.clone(), reason };
    let record: SnapshotRecord =
        serde_json::from_slice(&text).map_err(|error| garbled(format!("it is no record: {error}")))?;
    let names = record.parts.iter().chain([&record.index, &record.report]).map(|part| part.name.as_str());
    if record.id.as_str() != id || record.cluster.name != cluster {
        return Err(garbled(format!("it is the record of {} of cluster {}", record.id, record.cluster.name)));
    }
    if let Some(bad) = names.into_iter().find(|name| name.contains('/') || bucket::check_key(name).is_err()) {
        return Err(garbled(format!("it names the part {bad:?}")));
    }
    Ok(Some(record))
}

/// What an archive holds, sorted by cluster and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Snapshots, oldest first.
    pub records: Vec<SnapshotRecord>,
    /// Records that are there but cannot be used, such as those of a later version.
    pub unreadable: Vec<Unreadable>,
    /// Folders without a record: runs that are at work or were broken off.
    pub unfinished: Vec<Unfinished>,
    /// Files of every folder with a snapshot or an unfinished one, by folder, with keys from the top.
    pub files: BTreeMap<String, Vec<Entry>>,
}

/// A record that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Cluster.
    pub cluster: String,
    /// Name of the snapshot's folder.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// A folder without a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Cluster.
    pub cluster: String,
    /// Name of the snapshot's folder.
    pub id: String,
}

/// Finds the snapshots of one cluster, or of all. Reads records only, no part.
///
/// A record that cannot be understood is named in the listing; one that cannot be read ends it.
///
/// # Errors
/// The storage gave no answer, or the marker is one of a later version.
pub async fn list(bucket: &dyn Bucket, cluster: Option<&str>) -> Result<Listing, Error> {
    list_anew(bucket, cluster, &[]).await
}

/// The same, where some records were read before: records never change, so those are not read again.
///
/// # Errors
/// As [`list`].
pub async fn list_anew(
    bucket: &dyn Bucket,
    cluster: Option<&str>,
    known: &[SnapshotRecord],
) -> Result<Listing, Error> {
    check_marker(bucket).await?;
    let place = bucket.describe();
    let clusters = match cluster {
        Some(cluster) => vec![cluster.to_owned()],
        None => bucket.folders("clusters").await.map_err(|source| Error::Read {
            what: "clusters".into(),
            place: place.clone(),
            source,
        })?,
    };
    let mut listing = Listing::default();
    for cluster in clusters {
        list_cluster(bucket, &cluster, known, &mut listing).await?;
    }
    let order = |record: &SnapshotRecord| (record.cluster.name.clone(), record.started, record.id.clone());
    listing.records.sort_by_key(order);
    Ok(listing)
}

async fn list_cluster(
    bucket: &dyn Bucket,
    cluster: &str,
    known: &[SnapshotRecord],
    listing: &mut Listing,
) -> Result<(), Error> {
    let top = snapshots_of(cluster)?;
    let files = bucket.list(&top).await.map_err(|source| Error::Read {
        what: top.clone(),
        place: bucket.describe(),
        source,
    })?;
    let mut folders: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for file in files {
        if let Some((id, _)) = file.key[top.len() + 1..].split_once('/') {
            folders.entry(id.to_owned()).or_default().push(file);
        }
    }
    let has_record = |id: &str| folders[id].iter().any(|file| file.key == format!("{top}/{id}/{RECORD}"));
    let (with, without): (BTreeSet<String>, BTreeSet<String>) =
        folders.keys().cloned().partition(|id| has_record(id));
    let unfinished = without.into_iter().map(|id| Unfinished { cluster: cluster.to_owned(), id });
    listing.unfinished.extend(unfinished);
    let known: BTreeMap<&str, &SnapshotRecord> =
        known.iter().filter(|one| one.cluster.name == cluster).map(|one| (one.id.as_str(), one)).collect();
    let (old, new): (Vec<String>, Vec<String>) =
        with.into_iter().partition(|id| known.contains_key(id.as_str()));
    listing.records.extend(old.iter().map(|id| known[id.as_str()].clone()));
    let reads = futures::stream::iter(new).map(|id| {
        let key = format!("{top}/{id}/{RECORD}");
        let bytes = folders[&id].iter().find(|file| file.key == key).map_or(0, |file| file.bytes);
        async move {
            let answer = read_listed(bucket, cluster, &id, (&key, bytes)).await;
            (id, answer)
        }
    });
    let answers: Vec<_> = reads.buffered(AT_ONCE).collect().await;
    for (id, answer) in answers {
        match answer {
            Ok(record) => listing.records.extend(record),
            Err(error @ Error::Read { .. }) => return Err(error),
            Err(error) => {
                let reason = error.to_string();
                listing.unreadable.push(Unreadable { cluster: cluster.to_owned(), id, reason });
            }
        }
    }
    listing.files.extend(folders.into_iter().map(|(id, files)| (format!("{top}/{id}"), files)));
    Ok(())
}

/// A record that a listing has named; `None` where it was deleted since.
async fn read_listed(
    bucket: &dyn Bucket,
    cluster: &str,
    id: &str,
    (key, bytes): (&str, u64),
) -> Result<Option<SnapshotRecord>, Error> {
    if bytes > RECORD_BYTES {
        let reason = format!("it has {bytes} bytes, more than a record");
        return Err(Error::Garbled { what: key.to_owned(), place: bucket.describe(), reason });
    }
    read_record(bucket, cluster, id, key).await
}

/// Accepts an archive that has a marker of this format, or none yet.
///
/// # Errors
/// Why the marker cannot be read, or that it is one of a later version.
pub async fn check_marker(bucket: &dyn Bucket) -> Result<bool, Error> {
    let place = bucket.describe();
    match bucket.read(MARKER).await {
        Ok(text) => check_format(&text, MARKER, &place).map(|()| true),
        Err(bucket::Error::NotFound(_)) => Ok(false),
        Err(source) => Err(Error::Read { what: MARKER.into(), place, source }),
    }
}

/// The newest Complete snapshot; of one policy, if one is named. Never fails.
pub fn newest<'a>(records: &'a [SnapshotRecord], policy: Option<&str>) -> Option<&'a SnapshotRecord> {
    use crate::domain::report::Outcome;
    let fits = |record: &&SnapshotRecord| {
        record.outcome == Outcome::Complete && policy.is_none_or(|policy| record.policy.name == policy)
    };
    records.iter().filter(fits).max_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)))
}

#[cfg(test)]
mod tests;
