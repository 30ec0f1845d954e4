//! Writes one backup as one commit into a Git repository of manifests.
//!
//! Objects become blobs as they come; kept in memory are paths and blob ids. The commit is built upon the newest commit
//! of the branch, again and again while others are faster.
//!
//! In: `Clean` batches, `BackupReport` · Out: a commit · Touches: Git, clock

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::blobs::{self, Desk, Refused, Wanted};
use super::change::{Count, Facts};
use super::commit::{self, Writing};
use super::tip::{self, Tip, open};
use crate::domain::location::{AccessMode, MirrorTarget};
use crate::domain::report::BackupReport;
use crate::engine::clean::encrypt::{DigestKey, Encryptor, Rules};
use crate::engine::clean::sanitize::Clean;
use crate::engine::pool::compute;
use crate::engine::seal::age::Recipients;
use crate::ports::clock::Clock;
use crate::ports::git::{self, Git, Oid, Pushed};

/// How often a commit is rebuilt because somebody else was faster.
const ATTEMPTS: u32 = 12;

/// Why a backup is not in the mirror.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location may only be read.
    #[error("cannot write to a location with accessMode ReadOnly")]
    ReadOnly,
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] tip::Error),
    /// An object cannot be stored.
    #[error(transparent)]
    Store(#[from] blobs::Error),
    /// The commit cannot be made.
    #[error(transparent)]
    Commit(#[from] commit::Error),
    /// The commit cannot be pushed.
    #[error("cannot push to the mirror")]
    Push(#[source] git::Error),
    /// Others were always faster.
    #[error("cannot push to the mirror: others were faster {0} times")]
    Races(u32),
}

/// A mirror and how its files are encrypted.
pub struct Destination {
    /// Opens the repository.
    pub git: Arc<dyn Git>,
    /// Repository, branch and folder.
    pub target: MirrorTarget,
    /// Whether it may be written.
    pub access: AccessMode,
    /// Public keys Secrets are encrypted to.
    pub recipients: Recipients,
    /// Key of the digests.
    pub key: DigestKey,
    /// Which fields are encrypted.
    pub rules: Rules,
}

/// A backup on its way into a mirror. Nobody sees anything of it before [`MirrorDraft::finish`].
pub struct MirrorDraft {
    git: Arc<dyn Git>,
    target: MirrorTarget,
    cluster: String,
    policy: String,
    started: Timestamp,
    encryptor: Arc<Encryptor>,
    tip: Arc<Tip>,
    wanted: BTreeMap<String, Wanted>,
    refused: Vec<(String, Refused)>,
}

/// What a backup did to the mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorResult {
    /// The commit; absent where nothing changed.
    pub commit: Option<Oid>,
    /// Files by what happened to them.
    pub count: Count,
    /// Objects that were not stored, sorted by key.
    pub refused: Vec<Refused>,
    /// What the reader should know although it is no failure.
    pub notes: Vec<String>,
}

impl fmt::Display for MirrorResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.commit {
            None => f.write_str("nothing changed")?,
            Some(id) => write!(f, "commit {} ({})", id.get(..12).unwrap_or(id), self.count)?,
        }
        for refused in &self.refused {
            write!(f, "; {} is not in it: {}", refused.key, refused.reason)?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

/// Opens a mirror for one backup of a cluster by a policy.
///
/// # Errors
/// A location that may only be read, a repository that cannot be opened, a state file that cannot be used.
pub async fn begin(
    to: Destination,
    cluster: &str,
    policy: &str,
    started: Timestamp,
) -> Result<MirrorDraft, Error> {
    let Destination { git, target, access, recipients, key, rules } = to;
    if access == AccessMode::ReadOnly {
        return Err(Error::ReadOnly);
    }
    let tip = open(git.as_ref(), &target, cluster).await?;
    Ok(MirrorDraft {
        git,
        target,
        cluster: cluster.to_owned(),
        policy: policy.to_owned(),
        started,
        encryptor: Arc::new(Encryptor::new(rules, recipients, key)),
        tip: Arc::new(tip),
        wanted: BTreeMap::new(),
        refused: Vec::new(),
    })
}

impl MirrorDraft {
    /// Uid of the cluster that wrote the folder last, and when; empty where none did.
    pub fn owner(&self) -> (&str, Timestamp) {
        let last = self.tip.state.policies.values().map(|written| written.last.finished).max();
        (&self.tip.state.cluster_uid, last.unwrap_or(Timestamp::MIN))
    }

    /// Stores the objects of a batch that are new or different.
    ///
    /// # Errors
    /// Only where the repository fails; an object that cannot be stored safely is in the result.
    pub async fn put(&mut self, batch: Arc<Clean>) -> Result<(), Error> {
        let desk = Desk { tip: self.tip.clone(), encryptor: self.encryptor.clone(), now: self.started };
        let stored = compute(move || desk.store(&batch)).await?;
        self.wanted.extend(stored.wanted);
        self.refused.extend(stored.refused);
        Ok(())
    }

    /// Makes the commit and pushes it; where nothing changed there is none.
    ///
    /// Files of deleted objects go where their kind was listed completely and no other policy has them.
    pub async fn finish(self, report: &BackupReport, clock: &dyn Clock) -> Result<MirrorResult, Error> {
        let Self { git, target, cluster, policy, started: _, encryptor, mut tip, wanted, refused } = self;
        let (paths, mut refused): (BTreeSet<String>, Vec<Refused>) = refused.into_iter().unzip();
        refused.sort_by(|a, b| a.key.cmp(&b.key));
        let recipients = encryptor.recipients();
        let facts = Facts { policy, recipients, wanted, refused: paths, report: report.clone() };
        let writing = Arc::new(Writing::new(facts, &target, &cluster));
        for attempt in 0..ATTEMPTS {
            let (on, writing) = (tip.clone(), writing.clone());
            let built = compute(move || writing.commit(&on)).await?;
            let landed = match &built.commit {
                None => true,
                Some(commit) => tip.tree.push(commit).await.map_err(Error::Push)? == Pushed::Landed,
            };
            if landed {
                let commit::Built { commit, count, notes } = built;
                return Ok(MirrorResult { commit, count, refused, notes });
            }
            clock.sleep(pause(attempt, &clock.letters())).await;
            tip = Arc::new(open(git.as_ref(), &target, &cluster).await?);
        }
        Err(Error::Races(ATTEMPTS))
    }
}

/// Doubles from 50 ms to 3 s; the letters keep two losers from meeting again.
fn pause(attempt: u32, letters: &str) -> Duration {
    let chance = letters.bytes().fold(0_u64, |sum, letter| sum * 26 + u64::from(letter.saturating_sub(b'a')));
    let most = (50_u64 << attempt.min(6)).min(3_000);
    Duration::from_millis(most / 2 + chance % (most / 2 + 1))
}

#[cfg(test)]
pub(in crate::engine) mod tests;
