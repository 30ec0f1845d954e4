//! Fetches the files of one snapshot and checks each against the record before anything is done with it.
//!
//! In: a record, identities · Out: parts, index, report · Touches: bucket (read)

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::domain::identity::SnapshotId;
use crate::domain::report::BackupReport;
use crate::domain::snapshot::{Index, PartRef, SnapshotRecord};
use crate::engine::archive::layout;
use crate::engine::archive::part::{self, PartReader};
use crate::engine::pool::compute;
use crate::engine::seal::age::{self, Identities};
use crate::ports::bucket::{self, Bucket};

/// Why a file of a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster's name cannot stand in a key.
    #[error("cannot find the files of snapshot {0}")]
    Place(SnapshotId, #[source] layout::Error),
    /// It cannot be fetched.
    #[error("cannot read {file} of snapshot {snapshot}")]
    Read {
        /// Its name.
        file: String,
        /// Snapshot.
        snapshot: SnapshotId,
        /// Why.
        source: bucket::Error,
    },
    /// It is not what was written, or it does not open.
    #[error("cannot use {file} of snapshot {snapshot}")]
    Use {
        /// Its name.
        file: String,
        /// Snapshot.
        snapshot: SnapshotId,
        /// Why.
        source: part::Error,
    },
    /// The given identities belong to none of the recipients.
    #[error("cannot decrypt snapshot {snapshot} with the given identities, it is encrypted to {recipients}")]
    WrongIdentity {
        /// Snapshot.
        snapshot: SnapshotId,
        /// Public keys of the record.
        recipients: String,
    },
    /// The index contradicts the record or itself.
    #[error("cannot use the index of snapshot {snapshot}: {reason}")]
    Index {
        /// Snapshot.
        snapshot: SnapshotId,
        /// What is wrong with it.
        reason: String,
    },
}

/// The files of one snapshot.
#[derive(Clone)]
pub struct Files {
    bucket: Arc<dyn Bucket>,
    folder: String,
    record: Arc<SnapshotRecord>,
}

impl Files {
    /// The files that a record names.
    ///
    /// # Errors
    /// [`Error::Place`].
    pub fn of(bucket: Arc<dyn Bucket>, record: SnapshotRecord) -> Result<Self, Error> {
        let folder = layout::folder(&record.cluster.name, &record.id);
        let folder = folder.map_err(|error| Error::Place(record.id.clone(), error))?;
        Ok(Self { bucket, folder, record: Arc::new(record) })
    }

    /// The record.
    pub fn record(&self) -> &SnapshotRecord {
        &self.record
    }

    /// Fetches a file; its size and digest are those of the record.
    ///
    /// # Errors
    /// Why it cannot be fetched, or that it was changed.
    pub async fn read(&self, file: &PartRef) -> Result<Bytes, Error> {
        let answer = self.bucket.read(&format!("{}/{}", self.folder, file.name)).await;
        let bytes = answer.map_err(|source| Error::Read {
            file: file.name.clone(),
            snapshot: self.record.id.clone(),
            source,
        })?;
        let (stored, expected) = (bytes.clone(), file.clone());
        let checked = compute(move || part::check(&stored, &expected)).await;
        checked.map(|()| bytes).map_err(|source| self.broken(file, source))
    }

    /// Fetches and opens a part with objects.
    ///
    /// # Errors
    /// As [`Files::read`], and why it does not open.
    pub async fn part(&self, file: &PartRef, identities: &Arc<Identities>) -> Result<PartReader, Error> {
        let (sealed, identities) = (self.read(file).await?, identities.clone());
        let opened = compute(move || PartReader::open(sealed, &identities)).await;
        opened.map_err(|source| self.broken(file, source))
    }

    /// Fetches and opens the index, and compares it with the record.
    ///
    /// # Errors
    /// As [`Files::part`], and where index and record contradict each other.
    pub async fn index(&self, identities: &Arc<Identities>) -> Result<Index, Error> {
        let index: Index = self.json(&self.record.index, identities).await?;
        match contradiction(&self.record, &index) {
            None => Ok(index),
            Some(reason) => Err(Error::Index { snapshot: self.record.id.clone(), reason }),
        }
    }

    /// Fetches and opens the report.
    ///
    /// # Errors
    /// As [`Files::part`].
    pub async fn report(&self, identities: &Arc<Identities>) -> Result<BackupReport, Error> {
        self.json(&self.record.report, identities).await
    }

    async fn json<T: DeserializeOwned + Send + 'static>(
        &self,
        file: &PartRef,
        identities: &Arc<Identities>,
    ) -> Result<T, Error> {
        let (sealed, identities) = (self.read(file).await?, identities.clone());
        let opened = compute(move || part::open_json(sealed, &identities)).await;
        opened.map_err(|source| self.broken(file, source))
    }

    /// Names the file, and for a wrong identity the recipients.
    pub fn broken(&self, file: &PartRef, source: part::Error) -> Error {
        let snapshot = self.record.id.clone();
        match source {
            part::Error::Open(age::Error::WrongIdentity) => {
                Error::WrongIdentity { snapshot, recipients: self.record.recipients.join(", ") }
            }
            source => Error::Use { file: file.name.clone(), snapshot, source },
        }
    }
}

/// What of an index cannot be true.
fn contradiction(record: &SnapshotRecord, index: &Index) -> Option<String> {
    if index.objects.len() as u64 != record.objects {
        return Some(format!("it names {} objects, the record {}", index.objects.len(), record.objects));
    }
    for entry in &index.objects {
        if entry.resource >= index.resources.len() {
            return Some(format!("{} is of a kind that is not in it", entry.key));
        }
        if entry.part >= record.parts.len() {
            return Some(format!("{} is in part {} of {}", entry.key, entry.part + 1, record.parts.len()));
        }
    }
    let double = index.objects.windows(2).find(|pair| pair[0].key >= pair[1].key);
    double.map(|pair| format!("{} is out of order or there twice", pair[1].key))
}
