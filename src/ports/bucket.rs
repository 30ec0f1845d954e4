//! The door to object storage: create-only writes, reads, listings, deletes.
//!
//! In: keys and bytes · Out: bytes and listings · Touches: nothing (traits only)

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

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
    /// The text is no key: empty segments, `.`, `..`, or characters other than `[A-Za-z0-9._/-]`.
    #[error("{0:?} cannot be a key in the storage")]
    BadKey(String),
}

/// Accepts a key: segments of `[A-Za-z0-9._-]`, none empty, `.` or `..`, with single `/` between them.
///
/// # Errors
/// [`Error::BadKey`] for everything else.
pub fn check_key(key: &str) -> Result<(), Error> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.chars().all(fine);
    if key.split('/').all(segment) { Ok(()) } else { Err(Error::BadKey(key.to_owned())) }
}

/// Accepts the name of a folder: a key, with or without `/` at its end, or nothing for the top. Gives it without that `/`.
///
/// # Errors
/// [`Error::BadKey`] for everything else.
pub fn check_folder(folder: &str) -> Result<&str, Error> {
    let trimmed = folder.strip_suffix('/').unwrap_or(folder);
    if !trimmed.is_empty() || folder == "/" {
        check_key(trimmed)?;
    }
    Ok(trimmed)
}

/// One key of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key relative to the location's prefix, `/` between segments.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was written, as the storage says; absent where it does not.
    pub modified: Option<Timestamp>,
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

#[cfg(test)]
pub mod contract;
