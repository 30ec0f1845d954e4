//! The door to Git repositories: a branch at one commit, changed in the object database, pushed if nobody was faster.
//!
//! In: remotes and edits · Out: trees and commits · Touches: nothing (traits only)

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::location::Author;

/// A Git object id, lower-case hex.
pub type Oid = String;

/// Why a Git call gave no result. No message holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The remote could not be reached.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// Address without credentials.
        url: String,
        /// What the transport said.
        reason: String,
    },
    /// The remote does not accept the credentials, the host key or the certificate.
    #[error("{url} refuses access: {reason}")]
    Denied {
        /// Address without credentials.
        url: String,
        /// What the transport said.
        reason: String,
    },
    /// Branch, tag or commit is not there.
    #[error("{url} has no {reference}")]
    NoReference {
        /// Address without credentials.
        url: String,
        /// What was asked for.
        reference: String,
    },
    /// The remote refused the new commit for another reason than a lost race.
    #[error("{url} refuses the commit: {reason}")]
    Rejected {
        /// Address without credentials.
        url: String,
        /// What the remote said.
        reason: String,
    },
    /// The local object database failed.
    #[error("cannot use the local Git cache: {0}")]
    Local(String),
    /// The edits or the author cannot be written.
    #[error("cannot make the commit: {0}")]
    Commit(String),
    /// The commit is not signed by anybody who may.
    #[error("commit {commit} of {url} is not to be trusted: {reason}")]
    Untrusted {
        /// Address without credentials.
        url: String,
        /// Its id.
        commit: String,
        /// Why.
        reason: String,
    },
    /// A file of allowed signers cannot be used.
    #[error("cannot use the allowed signers in {file}: {reason}")]
    Signers {
        /// Its name.
        file: String,
        /// The line, and what is wrong with it.
        reason: String,
        /// What to do about it, where that is known.
        next: Option<&'static str>,
    },
    /// The signing key cannot be used.
    #[error("cannot sign the commit: {0}")]
    Sign(String),
}

/// A repository and how to get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `https://`, `http://`, `ssh://`, `git@host:path`, `file://` or a path.
    pub url: String,
    /// What to open.
    pub reference: Reference,
    /// PEM file with certificate authorities.
    pub ca_cert: Option<String>,
}

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The remote's default branch.
    Default,
    /// A branch that must exist.
    Branch(String),
    /// A branch that is empty where it does not exist yet.
    BranchOrEmpty(String),
    /// A branch, tag or commit id by any of its names.
    Any(String),
}

/// New content of paths: a blob, or `None` to delete.
pub type Edits = BTreeMap<String, Option<Oid>>;

/// Message, author and signature of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitDraft {
    /// Whole message with trailers.
    pub message: String,
    /// Author and committer.
    pub author: Author,
    /// Time of the commit.
    pub time: Timestamp,
    /// File with an OpenSSH private key; absent for an unsigned commit.
    pub signing_key: Option<String>,
}

/// A file of those who may sign commits: lines as `ssh-keygen` has them, ASCII-armored OpenPGP public keys, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    /// Its name, for messages.
    pub file: String,
    /// What it says.
    pub text: String,
}

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The branch is at the commit now.
    Landed,
    /// The branch has moved since it was opened; nothing was changed.
    LostRace,
}

/// Opens repositories.
#[async_trait]
pub trait Git: Send + Sync {
    /// Fetches and opens a reference at its present commit.
    async fn open(&self, remote: &Remote) -> Result<Box<dyn Tree>, Error>;
}

/// A repository at one commit. Everything but `push` is local and quick, but blocking.
#[async_trait]
pub trait Tree: Send + Sync {
    /// The commit; `None` for a branch that does not exist yet.
    fn commit_id(&self) -> Option<&str>;

    /// Who signed the commit, one of these allowed signers.
    ///
    /// # Errors
    /// [`Error::Untrusted`] where nobody of them did, [`Error::Signers`] where it cannot be read who they are.
    fn signer(&self, allowed: &[Signers], now: Timestamp) -> Result<String, Error>;

    /// Regular files under a folder (`""`: all), by path from the top, with their blobs.
    fn files(&self, under: &str) -> Result<BTreeMap<String, Oid>, Error>;

    /// The blob of one regular file, by its path from the top.
    fn file(&self, path: &str) -> Result<Option<Oid>, Error> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Ok(self.files(folder)?.remove(path))
    }

    /// Content of a blob.
    fn read(&self, blob: &str) -> Result<Vec<u8>, Error>;

    /// Bytes of a blob, without reading them.
    fn size(&self, blob: &str) -> Result<u64, Error> {
        Ok(self.read(blob)?.len() as u64)
    }

    /// The id a blob with this content has, without storing it.
    fn blob_id(&self, content: &[u8]) -> Oid;

    /// Stores a blob.
    fn write(&self, content: &[u8]) -> Result<Oid, Error>;

    /// Commits edits on top of the opened commit; all other files stay as they are. Pushes nothing.
    fn commit(&self, edits: &Edits, draft: &CommitDraft) -> Result<Oid, Error>;

    /// Moves the branch from the opened commit to this one, if it is still there.
    async fn push(&self, commit: &str) -> Result<Pushed, Error>;
}

#[cfg(test)]
pub mod contract;
