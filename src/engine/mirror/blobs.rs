//! Turns the objects of a batch into blobs of a mirror's repository; what stands there already is not written again.
//!
//! In: `Clean` batches, `Encryptor`, `Tip` · Out: `Stored` · Touches: Git

use std::sync::Arc;

use jiff::Timestamp;

use super::path::object_path;
use super::tip::Tip;
use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::engine::clean::encrypt::{self, Encryptor};
use crate::engine::clean::sanitize::{Clean, CleanObject, MirrorForm};
use crate::ports::git::{self, Oid};

/// The repository did not take an object.
#[derive(Debug, thiserror::Error)]
#[error("cannot store {key} in the mirror")]
pub struct Error {
    /// The object.
    pub key: Box<ObjectKey>,
    /// Why it failed.
    pub source: git::Error,
}

/// What a run wants to stand at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The content.
    pub blob: Oid,
    /// The keyed digest, where the content is encrypted.
    pub digest: Option<String>,
}

/// An object that is not in the mirror because it cannot be stored safely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The object.
    pub key: ObjectKey,
    /// Why, without any content.
    pub reason: String,
}

/// What storing a batch needs.
pub struct Desk {
    /// What is there already.
    pub tip: Arc<Tip>,
    /// What encrypts.
    pub encryptor: Arc<Encryptor>,
    /// The time written into encrypted files.
    pub now: Timestamp,
}

/// Objects of a batch, by path below the cluster's folder.
#[derive(Debug, Default)]
pub struct Stored {
    /// What is stored.
    pub wanted: Vec<(String, Wanted)>,
    /// What is not.
    pub refused: Vec<(String, Refused)>,
}

enum Failure {
    Object(encrypt::Error),
    Git(git::Error),
}

impl From<encrypt::Error> for Failure {
    fn from(error: encrypt::Error) -> Self {
        Self::Object(error)
    }
}

impl From<git::Error> for Failure {
    fn from(error: git::Error) -> Self {
        Self::Git(error)
    }
}

impl Desk {
    /// Stores the objects of a batch that are new or different.
    ///
    /// # Errors
    /// Only where the repository fails.
    pub fn store(&self, batch: &Clean) -> Result<Stored, Error> {
        let mut stored = Stored::default();
        for CleanObject { key, mirror, .. } in batch.objects() {
            let MirrorForm::Manifest(object) = mirror else { continue };
            let path = object_path(batch.resource(), key);
            match self.store_one(batch.resource(), object, &path) {
                Ok(wanted) => stored.wanted.push((path, wanted)),
                Err(Failure::Object(error)) => {
                    let reason = error_chain(&error);
                    stored.refused.push((path, Refused { key: key.clone(), reason }));
                }
                Err(Failure::Git(source)) => return Err(Error { key: Box::new(key.clone()), source }),
            }
        }
        Ok(stored)
    }

    fn store_one(&self, resource: &Resource, object: &Manifest, path: &str) -> Result<Wanted, Failure> {
        let (tree, before) = (&self.tip.tree, self.tip.files.get(path));
        let Some(fields) = self.encryptor.fields(resource) else {
            let file = self.encryptor.plain(object)?;
            let blob = tree.blob_id(file.bytes());
            if before != Some(&blob) {
                tree.write(file.bytes())?;
            }
            return Ok(Wanted { blob, digest: None });
        };
        if let (Some(blob), Some(known)) = (before, self.tip.state.encrypted.get(path))
            && self.encryptor.digest(&fields, object, blob) == *known
        {
            return Ok(Wanted { blob: blob.clone(), digest: Some(known.clone()) });
        }
        let blob = tree.write(self.encryptor.sealed(&fields, object, self.now)?.bytes())?;
        let digest = self.encryptor.digest(&fields, object, &blob);
        Ok(Wanted { blob, digest: Some(digest) })
    }
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
