//! The door to object storage: create-only writes, reads, listings, deletes.
//!
//! In: keys and bytes · Out: bytes and listings · Touches: nothing (traits only)

use async_trait::async_trait;
use bytes::Bytes;

/// Why a call to object storage gave no result. No message holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such key.
    #[error("{0} is not there")]
    NotFound(String),
    /// A create-only write found the key taken.
    #[error("{0} exists already")]
    AlreadyExists(String),
    /// Credentials are missing, wrong, expired or too weak.
    #[error("access denied: {0}")]
    Denied(String),
    /// The storage cannot be reached, the bucket does not exist, or it failed after retries.
    #[error("cannot use the storage: {0}")]
    Unavailable(String),
}

/// One key of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key relative to the location's prefix, `/` between segments.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// One prefix in object storage. Keys are relative to it and hold only `[A-Za-z0-9._/-]`.
#[async_trait]
pub trait Bucket: Send + Sync {
    /// What it is for people, such as `s3://bucket/prefix`.
    fn describe(&self) -> String;

    /// Writes a new key, all of it or nothing; [`Error::AlreadyExists`] where it is taken.
    async fn create(&self, key: &str, content: Bytes) -> Result<(), Error>;

    /// Reads a key.
    async fn read(&self, key: &str) -> Result<Bytes, Error>;

    /// Every key below a folder, sorted.
    async fn list(&self, under: &str) -> Result<Vec<Entry>, Error>;

    /// Names of the folders directly below a folder, sorted.
    async fn folders(&self, under: &str) -> Result<Vec<String>, Error>;

    /// Deletes keys; keys that are not there count as deleted.
    async fn delete(&self, keys: &[String]) -> Result<(), Error>;
}
