//! Stores a snapshot in an archive: parts while collecting, index and report after it, the record last.
//!
//! In: `Clean` batches, recipients · Out: `SnapshotRecord` · Touches: bucket

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::layout::{self, INDEX, MARKER, RECORD, REPORT};
use super::part::{self, OBJECT_BYTES, PartWriter, Sealed};
use crate::domain::hook_report::HookReport;
use crate::domain::identity::SnapshotId;
use crate::domain::location::AccessMode;
use crate::domain::object::{ObjectKey, Resource};
use crate::domain::report::BackupReport;
use crate::domain::snapshot::{FORMAT, Index, IndexEntry, PartRef, SnapshotRecord};
use crate::engine::clean::sanitize::{Clean, CleanObject};
use crate::engine::pool::compute;
use crate::engine::seal::age::Recipients;
use crate::ports::bucket::{self, Bucket};

/// Size at which a part is cut, where the location says nothing.
pub const PART_BYTES: u64 = 8 << 20;

/// Why a snapshot could not be stored. It does not exist then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location may only be read.
    #[error("cannot back up to {0}: its accessMode is ReadOnly")]
    ReadOnly(String),
    /// The archive is none, or one of a later version, or its place has no name.
    #[error("cannot use the archive")]
    Archive(#[from] layout::Error),
    /// A file could not be made.
    #[error("cannot make {file}")]
    Make {
        /// Its name.
        file: String,
        /// Why.
        source: part::Error,
    },
    /// A file could not be written.
    #[error("cannot write {key} to {place}")]
    Write {
        /// Its key.
        key: String,
        /// Which archive.
        place: String,
        /// Why.
        source: bucket::Error,
    },
    /// Another run writes, or has written, a snapshot of this name.
    #[error("cannot write {key} to {place}: another run has taken the name of this snapshot")]
    Taken {
        /// Key that was there.
        key: String,
        /// Which archive.
        place: String,
    },
}

/// Where a snapshot is stored, and for whom.
#[derive(Clone)]
pub struct Destination {
    /// The archive.
    pub bucket: Arc<dyn Bucket>,
    /// Whether it may be written.
    pub access: AccessMode,
    /// Who can open what is stored.
    pub recipients: Recipients,
    /// Size at which a part is cut, after encryption.
    pub part_bytes: u64,
}

/// A snapshot that is being written. Dropped before [`ArchiveDraft::finish`] it leaves parts, but no snapshot.
pub struct ArchiveDraft {
    to: Destination,
    folder: String,
    attempt: Option<String>,
    open: Option<PartWriter>,
    parts: Vec<PartRef>,
    /// At most one part, on its way while the next is made; aborted when the draft is dropped.
    uploads: JoinSet<Result<(), Error>>,
    /// Identities of the objects that are in.
    taken: HashSet<String>,
    entries: Vec<IndexEntry>,
    resources: Vec<Arc<Resource>>,
}

/// Begins a snapshot; makes the archive's marker where there is none.
///
/// `attempt` stands in the names of all files but the record: of several attempts at one snapshot, the one that writes the
/// record first has made it, and the others have made nothing.
///
/// # Errors
/// A read-only location, an archive of a later version, a cluster name that cannot stand in a key, storage that fails.
pub async fn begin(
    to: Destination,
    cluster: &str,
    (id, attempt): (&SnapshotId, Option<&str>),
) -> Result<ArchiveDraft, Error> {
    let folder = layout::folder(cluster, id)?;
    match to.access {
        AccessMode::ReadWrite => {}
        AccessMode::ReadOnly => return Err(Error::ReadOnly(to.bucket.describe())),
    }
    if !layout::check_marker(to.bucket.as_ref()).await? {
        let marker = Bytes::from(format!("{{\"format\":{FORMAT}}}\n"));
        create(to.bucket.as_ref(), MARKER, marker).await?;
    }
    Ok(ArchiveDraft {
        to,
        folder,
        attempt: attempt.map(ToOwned::to_owned),
        open: None,
        parts: Vec::new(),
        uploads: JoinSet::new(),
        taken: HashSet::new(),
        entries: Vec::new(),
        resources: Vec::new(),
    })
}

impl ArchiveDraft {
    /// Adds a batch. Returns when it is compressed and sealed, while at most one full part is still being uploaded.
    ///
    /// An object that was put before is left out. Gives back the objects that are too large to be stored, which is none
    /// in practice: the limit is far above that of an API server.
    ///
    /// # Errors
    /// What went wrong with this batch or with the upload of an earlier one.
    pub async fn put(&mut self, clean: Arc<Clean>) -> Result<Vec<ObjectKey>, Error> {
        let kind = self.kind(clean.resource());
        let (news, large) = self.news(&clean);
        let mut start = 0;
        while start < news.len() {
            let (writer, digests) = self.fill(&clean, &news[start..]).await?;
            for (position, sha256) in news[start..].iter().zip(digests) {
                self.entries.push(entry(&clean.objects()[*position], kind, self.parts.len(), sha256));
                start += 1;
            }
            if writer.is_full(self.to.part_bytes) {
                self.close(writer).await?;
            } else {
                self.open = Some(writer);
            }
        }
        Ok(large)
    }

    fn kind(&mut self, resource: &Arc<Resource>) -> usize {
        let known = self.resources.iter().rposition(|known| known == resource);
        known.unwrap_or_else(|| {
            self.resources.push(resource.clone());
            self.resources.len() - 1
        })
    }

    /// Positions of the objects that were not put before, and the keys of those that are too large.
    fn news(&mut self, clean: &Clean) -> (Vec<usize>, Vec<ObjectKey>) {
        let (mut news, mut large) = (Vec::new(), Vec::new());
        for (position, object) in clean.objects().iter().enumerate() {
            if object.archive.len() as u64 > OBJECT_BYTES {
                large.push(object.key.clone());
            } else if self.taken.insert(object.key.to_string()) {
                news.push(position);
            }
        }
        (news, large)
    }

    /// Adds objects to the open part until it is full; gives the part and the digests of those that went in.
    async fn fill(&mut self, clean: &Arc<Clean>, news: &[usize]) -> Result<(PartWriter, Vec<String>), Error> {
        let (open, clean, news) = (self.open.take(), clean.clone(), news.to_vec());
        let (recipients, limit) = (self.to.recipients.clone(), self.to.part_bytes);
        let filled = compute(move || {
            let mut writer = open.map_or_else(|| PartWriter::begin(&recipients), Ok)?;
            let kind = clean.resource().full_name();
            let mut digests = Vec::with_capacity(news.len());
            for object in news.iter().map(|position| &clean.objects()[*position]) {
                writer.add(&path(&kind, object), &object.archive)?;
                digests.push(part::sha256(&object.archive));
                if writer.is_full(limit) {
                    break;
                }
            }
            Ok((writer, digests))
        });
        let file = || layout::part_name(self.parts.len(), self.attempt.as_deref());
        filled.await.map_err(|source| Error::Make { file: file(), source })
    }

    /// Closes a part and sends it on its way, after the one before has arrived.
    async fn close(&mut self, writer: PartWriter) -> Result<(), Error> {
        let file = layout::part_name(self.parts.len(), self.attempt.as_deref());
        let sealed = compute(|| writer.finish()).await;
        let sealed = sealed.map_err(|source| Error::Make { file: file.clone(), source })?;
        self.arrive().await?;
        self.parts.push(reference(&file, &sealed));
        let (bucket, key) = (self.to.bucket.clone(), format!("{}/{file}", self.folder));
        self.uploads.spawn(async move { create(bucket.as_ref(), &key, sealed.bytes).await });
        Ok(())
    }

    /// Waits for the upload that is under way.
    async fn arrive(&mut self) -> Result<(), Error> {
        while let Some(done) = self.uploads.join_next().await {
            match done.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(result) => result?,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(_)) => std::future::pending().await, // the runtime is shutting down
            }
        }
        Ok(())
    }

    /// Writes what is left, index and report, and last the record, with which the snapshot comes into being.
    ///
    /// # Errors
    /// What could not be written; the snapshot does not exist then.
    pub async fn finish(mut self, report: &BackupReport) -> Result<SnapshotRecord, Error> {
        if let Some(writer) = self.open.take() {
            self.close(writer).await?;
        }
        self.arrive().await?;
        let index = Arc::new(index(std::mem::take(&mut self.entries), &self.resources));
        let objects = index.objects.len() as u64;
        let index = self.small(INDEX, index).await?;
        let report_file = self.small(REPORT, Arc::new(report.clone())).await?;
        let record = SnapshotRecord {
            format: FORMAT,
            id: report.snapshot.clone(),
            policy: report.policy.clone(),
            cluster: report.cluster.clone(),
            started: report.started,
            finished: report.finished,
            outcome: report.outcome,
            objects,
            kinds: report.kinds.clone(),
            undiscovered: report.undiscovered.clone(),
            hooks: report.hooks.iter().map(HookReport::summary).collect(),
            parts: self.parts,
            index,
            report: report_file,
            recipients: self.to.recipients.names().map(ToOwned::to_owned).collect(),
        };
        let text =
            part::plain_json(&record).map_err(|source| Error::Make { file: RECORD.to_owned(), source })?;
        create(self.to.bucket.as_ref(), &format!("{}/{RECORD}", self.folder), text.into()).await?;
        Ok(record)
    }

    async fn small<T: serde::Serialize + Send + Sync + 'static>(
        &self,
        file: &str,
        value: Arc<T>,
    ) -> Result<PartRef, Error> {
        let file = &layout::tagged(file, self.attempt.as_deref());
        let recipients = self.to.recipients.clone();
        let sealed = compute(move || part::seal_json(value.as_ref(), &recipients)).await;
        let sealed = sealed.map_err(|source| Error::Make { file: file.to_owned(), source })?;
        let reference = reference(file, &sealed);
        create(self.to.bucket.as_ref(), &format!("{}/{file}", self.folder), sealed.bytes).await?;
        Ok(reference)
    }
}

fn path(kind: &str, object: &CleanObject) -> String {
    part::path(kind, object.key.namespace.as_deref(), &object.key.name)
}

fn entry(object: &CleanObject, resource: usize, part: usize, sha256: String) -> IndexEntry {
    IndexEntry {
        key: object.key.clone(),
        resource,
        part,
        sha256,
        uid: object.uid.clone(),
        labels: object.labels.clone(),
        controller: object.controller.clone(),
    }
}

fn reference(file: &str, sealed: &Sealed) -> PartRef {
    PartRef { name: file.to_owned(), sha256: sealed.sha256.clone(), bytes: sealed.bytes.len() as u64 }
}

/// Sorts objects by key and kinds by name, so that equal snapshots have equal indexes.
fn index(mut objects: Vec<IndexEntry>, resources: &[Arc<Resource>]) -> Index {
    let sorted: BTreeSet<&Resource> = resources.iter().map(AsRef::as_ref).collect();
    let position: BTreeMap<&Resource, usize> =
        sorted.iter().enumerate().map(|(position, resource)| (*resource, position)).collect();
    for object in &mut objects {
        object.resource = position[resources[object.resource].as_ref()];
    }
    objects.sort_by(|a, b| (&a.key, a.resource).cmp(&(&b.key, b.resource)));
    Index { objects, resources: sorted.into_iter().cloned().collect() }
}

/// Writes a file that must be new. One that is there with these very bytes is our own, whose answer got lost.
async fn create(bucket: &dyn Bucket, key: &str, content: Bytes) -> Result<(), Error> {
    let place = bucket.describe();
    match bucket.create(key, content.clone()).await {
        Ok(()) => Ok(()),
        Err(bucket::Error::AlreadyExists(_)) => match bucket.read(key).await {
            Ok(found) if found == content => Ok(()),
            _ => Err(Error::Taken { key: key.to_owned(), place }),
        },
        Err(source) => Err(Error::Write { key: key.to_owned(), place, source }),
    }
}

#[cfg(test)]
pub(crate) mod tests;
