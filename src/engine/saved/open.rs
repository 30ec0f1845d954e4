//! Opens a saved state: a snapshot of an archive, or manifests that are at hand. One way to read them all.
//!
//! Everything that is read from an archive is checked before it is used: the digest of the part before it is decrypted, the
//! digest of the object before it is parsed, the object's identity before it is given away.
//!
//! In: a bucket, an id, identities · Out: `State` · Touches: bucket (read)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt, TryStreamExt};

use super::files::{self, Files};
use super::step::{Expected, Failure, Read, Step};
use crate::domain::identity::SnapshotId;
use crate::domain::object::{Json, Manifest, ObjectKey, Owner, Resource};
use crate::domain::report::{BackupReport, Outcome};
use crate::domain::snapshot::{IndexEntry, SnapshotRecord};
use crate::engine::archive::layout;
use crate::engine::archive::part;
use crate::engine::pool::compute;
use crate::engine::seal::age::Identities;
use crate::ports::bucket::Bucket;

/// Why a state cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is newer than the newest readable snapshot cannot be read.
    #[error(
        "cannot tell which snapshot in {place} is the latest: the record of {id} cannot be read: {reason}"
    )]
    LatestUnreadable {
        /// Its name.
        id: String,
        /// What is wrong with it.
        reason: String,
        /// Which archive.
        place: String,
    },
    /// The archive or the record cannot be used.
    #[error("cannot open the archive")]
    Archive(#[from] layout::Error),
    /// There is nothing that `latest` could mean.
    #[error("there is no Complete snapshot of cluster {cluster} in {place}")]
    NoLatest {
        /// Cluster.
        cluster: String,
        /// Which archive.
        place: String,
    },
    /// A file of the snapshot cannot be used.
    #[error(transparent)]
    File(#[from] files::Error),
    /// An object is missing, changed, or another one than the index says.
    #[error("cannot use {key} in {file} of snapshot {snapshot}: {reason}")]
    Object {
        /// Identity as the index has it.
        key: Box<ObjectKey>,
        /// Its part.
        file: String,
        /// Snapshot.
        snapshot: SnapshotId,
        /// What is wrong with it.
        reason: String,
    },
    /// A state made of manifests cannot give one of them back.
    #[error("cannot read {place}: {reason}")]
    Manifest {
        /// File or object.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Which snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest Complete one; of this policy, if one is named.
    Latest(Option<String>),
    /// This one, whatever its outcome.
    Id(SnapshotId),
}

/// One object of a state, without its content.
#[derive(Clone, Debug, PartialEq)]
pub struct StateEntry {
    /// Identity.
    pub key: ObjectKey,
    /// Kind. For plain manifests the plural name is a guess, and verbs and versions are empty.
    pub resource: Arc<Resource>,
    /// Version it was saved in, such as `v1beta1`.
    pub version: String,
    /// Uid in the cluster it came from.
    pub uid: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its controller, if it has one.
    pub controller: Option<Owner>,
}

/// A saved state: what it holds, and a way to its objects.
pub struct State {
    /// What it is for people, such as `snapshot shop-20261121t063000z-kwpa`.
    pub describe: String,
    /// Objects, sorted by key.
    pub entries: Vec<StateEntry>,
    /// What the reader should know, such as that the snapshot is Partial.
    pub notes: Vec<String>,
    /// The record, for a snapshot.
    pub record: Option<SnapshotRecord>,
    /// The commit, for a mirror.
    pub commit: Option<String>,
    source: Source,
}

enum Source {
    Archive(Snapshot),
    Held(Vec<Box<[u8]>>),
}

/// A snapshot and the way to each of its objects.
struct Snapshot {
    files: Files,
    identities: Arc<Identities>,
    /// Part and digest of every entry, in the same order.
    places: Vec<(usize, String)>,
}

impl State {
    /// Opens a snapshot of an archive.
    ///
    /// # Errors
    /// No such snapshot, a wrong identity, an index that was changed or contradicts the record.
    pub async fn archive(
        bucket: Arc<dyn Bucket>,
        cluster: &str,
        which: &Which,
        identities: Arc<Identities>,
    ) -> Result<Self, Error> {
        let record = find(bucket.as_ref(), cluster, which).await?;
        let files = Files::of(bucket, record.clone())?;
        let index = files.index(&identities).await?;
        let resources: Vec<Arc<Resource>> = index.resources.into_iter().map(Arc::new).collect();
        let places = index.objects.iter().map(|entry| (entry.part, entry.sha256.clone())).collect();
        let missing =
            format!("snapshot {} is {:?}: the report names what is missing", record.id, record.outcome);
        let notes = match record.outcome {
            Outcome::Complete => Vec::new(),
            Outcome::Partial | Outcome::Failed => vec![missing],
        };
        Ok(Self {
            describe: format!("snapshot {}", record.id),
            entries: index.objects.into_iter().map(|entry| state_entry(entry, &resources)).collect(),
            notes,
            record: Some(record),
            commit: None,
            source: Source::Archive(Snapshot { files, identities, places }),
        })
    }

    /// Makes a state of manifests that are at hand. Of manifests with the same key the last one counts.
    pub fn held(describe: String, manifests: impl IntoIterator<Item = (Arc<Resource>, Manifest)>) -> Self {
        let mut sorted = BTreeMap::new();
        for (resource, manifest) in manifests {
            sorted.insert(manifest.key(), (resource, manifest));
        }
        let mut entries = Vec::with_capacity(sorted.len());
        let mut held = Vec::with_capacity(sorted.len());
        for (key, (resource, manifest)) in sorted {
            entries.push(StateEntry {
                key,
                resource,
                version: manifest.gvk().version,
                uid: manifest.uid().map(Into::into),
                labels: labels(&manifest),
                controller: manifest.controller(),
            });
            held.push(manifest.to_bytes().into_boxed_slice());
        }
        Self { describe, entries, notes: Vec::new(), record: None, commit: None, source: Source::Held(held) }
    }

    /// The very snapshot or commit; `None` for plain files.
    pub fn pinned(&self) -> Option<&str> {
        self.record.as_ref().map(|record| record.id.as_str()).or(self.commit.as_deref())
    }

    /// Reads objects by their positions in `entries`; in the state's own order, not in the order of the question.
    ///
    /// At most one part and a step of decoded objects are in memory. The first error ends the stream.
    pub fn objects(
        &self,
        wanted: impl IntoIterator<Item = usize>,
    ) -> impl Stream<Item = Result<Read, Error>> + Send {
        let wanted: BTreeSet<usize> = wanted.into_iter().filter(|at| *at < self.entries.len()).collect();
        match &self.source {
            Source::Held(held) => {
                let read = move |at: usize| self.held_object(held, at).map(|object| (at, object));
                stream::iter(wanted).map(read).left_stream()
            }
            Source::Archive(snapshot) => {
                let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
                for at in wanted {
                    parts.entry(snapshot.places[at].0).or_default().push(at);
                }
                stream::iter(parts)
                    .then(|(part, wanted)| self.part_objects(snapshot, part, wanted))
                    .try_flatten()
                    .right_stream()
            }
        }
    }

    /// The report of the backup that made it; `None` for a mirror and for plain files.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn report(&self) -> Result<Option<BackupReport>, Error> {
        match &self.source {
            Source::Archive(snapshot) => Ok(Some(snapshot.files.report(&snapshot.identities).await?)),
            Source::Held(_) => Ok(None),
        }
    }

    /// Reads every wanted object once and throws it away: nothing that fails here is found out half-way.
    ///
    /// # Errors
    /// The first part or object that cannot be used.
    pub async fn check(&self, wanted: impl IntoIterator<Item = usize>) -> Result<(), Error> {
        self.objects(wanted).try_for_each(|_| std::future::ready(Ok(()))).await
    }

    fn held_object(&self, held: &[Box<[u8]>], at: usize) -> Result<Manifest, Error> {
        let place = || self.entries[at].key.to_string();
        let tree: Json = serde_json::from_slice(&held[at])
            .map_err(|error| Error::Manifest { place: place(), reason: error.to_string() })?;
        Manifest::parse(tree).map_err(|error| Error::Manifest { place: place(), reason: error.to_string() })
    }

    /// Fetches, checks and opens one part and gives the wanted objects of it, step by step.
    async fn part_objects<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        part: usize,
        wanted: Vec<usize>,
    ) -> Result<impl Stream<Item = Result<Read, Error>> + 'a, Error> {
        let file = &snapshot.files.record().parts[part];
        let reader = snapshot.files.part(file, &snapshot.identities).await?;
        let left = wanted.into_iter().map(|at| {
            let StateEntry { key, resource, .. } = &self.entries[at];
            let path = part::path(&resource.full_name(), key.namespace.as_deref(), &key.name);
            (path, Expected { at, key: key.clone(), sha256: snapshot.places[at].1.clone() })
        });
        let start = Step::new(reader, left.collect());
        let steps = stream::try_unfold(start, move |step| async move {
            if step.is_done() {
                return Ok(None);
            }
            let (step, result) = compute(move || step.decode()).await;
            match result {
                Ok(batch) => Ok(Some((stream::iter(batch.into_iter().map(Ok)), step))),
                Err(failure) => Err(snapshot.name(failure, part)),
            }
        });
        Ok(steps.try_flatten())
    }
}

impl Snapshot {
    /// Says of which object or file a failure speaks.
    fn name(&self, failure: Failure, part: usize) -> Error {
        let record = self.files.record();
        let file = &record.parts[part];
        match failure {
            Failure::Part(source) => self.files.broken(file, source).into(),
            Failure::Object(key, reason) => Error::Object {
                key: key.into(),
                file: file.name.clone(),
                snapshot: record.id.clone(),
                reason,
            },
        }
    }
}

/// The record that is meant.
///
/// # Errors
/// No such snapshot, or why it cannot be looked up.
pub async fn find(bucket: &dyn Bucket, cluster: &str, which: &Which) -> Result<SnapshotRecord, Error> {
    match which {
        Which::Id(id) => {
            layout::check_marker(bucket).await?;
            Ok(layout::record(bucket, cluster, id).await?)
        }
        Which::Latest(policy) => {
            let listing = layout::list(bucket, Some(cluster)).await?;
            let newest = layout::newest(&listing.records, policy.as_deref()).cloned();
            if let Some(later) = unreadable_since(&listing, newest.as_ref(), policy.as_deref()) {
                let (id, reason) = (later.id.clone(), later.reason.clone());
                return Err(Error::LatestUnreadable { id, reason, place: bucket.describe() });
            }
            newest.ok_or_else(|| Error::NoLatest { cluster: cluster.to_owned(), place: bucket.describe() })
        }
    }
}

/// A record that cannot be read and may be newer than the newest that can.
fn unreadable_since<'l>(
    listing: &'l layout::Listing,
    newest: Option<&SnapshotRecord>,
    policy: Option<&str>,
) -> Option<&'l layout::Unreadable> {
    let later = |one: &&layout::Unreadable| {
        let id = SnapshotId::parse(&one.id);
        let started = id.as_ref().and_then(SnapshotId::started);
        let of_policy = policy.is_none_or(|policy| one.id.starts_with(&format!("{policy}-")));
        let second = newest.map(|record| record.started.as_second());
        of_policy && started.map(jiff::Timestamp::as_second).is_none_or(|s| second.is_none_or(|n| s >= n))
    };
    listing.unreadable.iter().rfind(later)
}

fn state_entry(entry: IndexEntry, resources: &[Arc<Resource>]) -> StateEntry {
    let IndexEntry { key, resource, part: _, sha256: _, uid, labels, controller } = entry;
    let resource = resources[resource].clone();
    StateEntry { key, version: resource.gvk.version.clone(), resource, uid, labels, controller }
}

fn labels(manifest: &Manifest) -> BTreeMap<String, String> {
    let text = |(key, value): (&String, &Json)| Some((key.clone(), value.as_str()?.to_owned()));
    manifest.labels().into_iter().flatten().filter_map(text).collect()
}

#[cfg(test)]
mod tests;
