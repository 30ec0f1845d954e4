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

use super::age::Recipients;
use super::encrypt::{self, DigestKey, Encryptor, Rules};
use super::mirror_change::{Changes, Facts, Tip, Wanted, changes};
use super::mirror_path::{cluster_folder, object_path};
use super::mirror_state::{self, MirrorState, SOPS_FILE, STATE_FILE, sops_settings};
use super::pool::compute;
use super::sanitize::{Clean, CleanObject, MirrorForm};
use crate::domain::location::{AccessMode, Author, MirrorTarget};
use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::domain::report::BackupReport;
use crate::ports::clock::Clock;
use crate::ports::git::{self, CommitDraft, Edits, Git, Oid, Pushed, Reference, Remote, Tree};

/// How often a commit is rebuilt because somebody else was faster.
const ATTEMPTS: u32 = 12;

/// Why a backup is not in the mirror.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location may only be read.
    #[error("cannot write to a location with accessMode ReadOnly")]
    ReadOnly,
    /// The repository cannot be opened.
    #[error("cannot open the mirror")]
    Open(#[source] git::Error),
    /// The repository opened before cannot be read.
    #[error("cannot read {path} of the mirror")]
    Read {
        /// What was read.
        path: String,
        /// Why it failed.
        source: git::Error,
    },
    /// Backstay's own file in it cannot be used.
    #[error("cannot use {path} of the mirror")]
    State {
        /// The file.
        path: String,
        /// Why it failed.
        source: mirror_state::Error,
    },
    /// An object cannot be stored.
    #[error("cannot store {key} in the mirror")]
    Write {
        /// The object.
        key: Box<ObjectKey>,
        /// Why it failed.
        source: git::Error,
    },
    /// The commit cannot be made.
    #[error("cannot commit to the mirror")]
    Commit(#[source] git::Error),
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

/// An object that is not in the mirror because it cannot be stored safely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The object.
    pub key: ObjectKey,
    /// Why, without any content.
    pub reason: String,
}

/// A backup on its way into a mirror. Nobody sees anything of it before [`MirrorDraft::finish`].
pub struct MirrorDraft {
    place: Place,
    policy: String,
    started: Timestamp,
    encryptor: Arc<Encryptor>,
    tip: Arc<Tip>,
    wanted: BTreeMap<String, Wanted>,
    refused: Vec<(String, Refused)>,
}

/// Where in which repository.
struct Place {
    git: Arc<dyn Git>,
    target: MirrorTarget,
    cluster: String,
}

/// What a backup did to the mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorResult {
    /// The commit; absent where nothing changed.
    pub commit: Option<Oid>,
    /// Files that are new.
    pub added: usize,
    /// Files that are different.
    pub changed: usize,
    /// Files that are gone.
    pub removed: usize,
    /// Files that are as they were.
    pub unchanged: usize,
    /// Objects that were not stored.
    pub refused: Vec<Refused>,
    /// What the reader should know although it is no failure.
    pub notes: Vec<String>,
}

impl fmt::Display for MirrorResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.commit {
            None => f.write_str("nothing changed")?,
            Some(id) => {
                let short = id.get(..12).unwrap_or(id);
                write!(
                    f,
                    "commit {short} ({} added, {} changed, {} removed)",
                    self.added, self.changed, self.removed
                )?;
            }
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
    if to.access == AccessMode::ReadOnly {
        return Err(Error::ReadOnly);
    }
    let place = Place { git: to.git, target: to.target, cluster: cluster.to_owned() };
    let tip = place.open().await?;
    Ok(MirrorDraft {
        place,
        policy: policy.to_owned(),
        started,
        encryptor: Arc::new(Encryptor::new(to.rules, to.recipients, to.key)),
        tip: Arc::new(tip),
        wanted: BTreeMap::new(),
        refused: Vec::new(),
    })
}

impl Place {
    /// The folder that `clusters/` stands in, with a `/` at its end unless it is the top.
    fn top(&self) -> String {
        top(&self.target.path)
    }

    async fn open(&self) -> Result<Tip, Error> {
        let target = &self.target;
        let remote = Remote {
            url: target.url.clone(),
            reference: Reference::BranchOrEmpty(target.branch.clone()),
            ca_cert: target.ca_cert.clone(),
        };
        let tree: Arc<dyn Tree> = Arc::from(self.git.open(&remote).await.map_err(Error::Open)?);
        let folder = self.top() + &cluster_folder(&self.cluster);
        compute(move || read_tip(tree, folder)).await
    }
}

/// A folder in a repository with a `/` at its end; empty for the top.
pub fn top(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() { String::new() } else { format!("{path}/") }
}

fn read_tip(tree: Arc<dyn Tree>, folder: String) -> Result<Tip, Error> {
    let found = tree.files(&folder).map_err(|source| Error::Read { path: folder.clone(), source })?;
    let below = |(path, blob): (String, Oid)| Some((path.strip_prefix(&folder)?.to_owned(), blob));
    let mut files: BTreeMap<String, Oid> = found.into_iter().filter_map(below).collect();
    let path = format!("{folder}{STATE_FILE}");
    let state = match files.remove(STATE_FILE) {
        None => MirrorState::default(),
        Some(blob) => {
            let bytes = tree.read(&blob).map_err(|source| Error::Read { path: path.clone(), source })?;
            MirrorState::parse(&bytes).map_err(|source| Error::State { path, source })?
        }
    };
    Ok(Tip { tree, folder, files, state })
}

impl MirrorDraft {
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
        let Self { place, policy, encryptor, wanted, refused, mut tip, started: _ } = self;
        let (refused_paths, mut refused): (BTreeSet<String>, Vec<Refused>) = refused.into_iter().unzip();
        refused.sort_by(|a, b| a.key.cmp(&b.key));
        let recipients = encryptor.recipients();
        let facts =
            Arc::new(Facts { policy, recipients, wanted, refused: refused_paths, report: report.clone() });
        let writing = Arc::new(Writing::new(&place, facts));
        for attempt in 0..ATTEMPTS {
            let (on, writing) = (tip.clone(), writing.clone());
            let (commit, mut result) = compute(move || writing.commit(&on)).await?;
            result.refused.clone_from(&refused);
            let Some(commit) = commit else { return Ok(result) };
            match tip.tree.push(&commit).await.map_err(Error::Push)? {
                Pushed::Landed => return Ok(MirrorResult { commit: Some(commit), ..result }),
                Pushed::LostRace => clock.sleep(pause(attempt, &clock.letters())).await,
            }
            tip = Arc::new(place.open().await?);
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

/// What storing a batch needs.
struct Desk {
    tip: Arc<Tip>,
    encryptor: Arc<Encryptor>,
    now: Timestamp,
}

#[derive(Default)]
struct Stored {
    wanted: Vec<(String, Wanted)>,
    refused: Vec<(String, Refused)>,
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
    fn store(&self, batch: &Clean) -> Result<Stored, Error> {
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
                Err(Failure::Git(source)) => return Err(Error::Write { key: Box::new(key.clone()), source }),
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

/// What a commit needs, however often it is built.
struct Writing {
    facts: Arc<Facts>,
    top: String,
    cluster: String,
    author: Author,
    signing_key: Option<String>,
}

impl Writing {
    fn new(place: &Place, facts: Arc<Facts>) -> Self {
        let nobody = || Author { name: "Backstay".into(), email: "backstay@localhost".into() };
        Self {
            facts,
            top: place.top(),
            cluster: place.cluster.clone(),
            author: place.target.author.clone().unwrap_or_else(nobody),
            signing_key: place.target.signing_key.clone(),
        }
    }

    /// Commits on a tip what differs there.
    fn commit(&self, tip: &Tip) -> Result<(Option<Oid>, MirrorResult), Error> {
        let Changes { edits, state, added, changed, removed, unchanged, mut notes } =
            changes(&self.facts, tip);
        let mut edits: Edits =
            edits.into_iter().map(|(path, blob)| (tip.folder.clone() + &path, blob)).collect();
        self.settings(tip, &state, &mut edits, &mut notes)?;
        let result =
            MirrorResult { commit: None, added, changed, removed, unchanged, refused: Vec::new(), notes };
        if edits.is_empty() && state.same_files(&tip.state) {
            return Ok((None, result));
        }
        let path = format!("{}{STATE_FILE}", tip.folder);
        let bytes = state.to_bytes().map_err(|source| Error::State { path: path.clone(), source })?;
        edits.insert(path, Some(tip.tree.write(&bytes).map_err(Error::Commit)?));
        let draft = CommitDraft {
            message: self.message(&result),
            author: self.author.clone(),
            time: self.facts.report.finished,
            signing_key: self.signing_key.clone(),
        };
        let commit = tip.tree.commit(&edits, &draft).map_err(Error::Commit)?;
        Ok((Some(commit), result))
    }

    /// Brings `.sops.yaml` up to date, unless it is somebody else's.
    fn settings(
        &self,
        tip: &Tip,
        state: &MirrorState,
        edits: &mut Edits,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        let path = format!("{}{SOPS_FILE}", self.top);
        let failed = |source| Error::Read { path: path.clone(), source };
        let blob = tip.tree.files(&self.top).map_err(failed)?.remove(&path);
        let before = blob.as_deref().map(|blob| tip.tree.read(blob)).transpose().map_err(failed)?;
        match sops_settings(before.as_deref(), &self.cluster, state) {
            None => notes.push(format!("{path} is not Backstay's and was left alone")),
            Some(after) if before.as_deref() == Some(after.as_slice()) => {}
            Some(after) => {
                let blob = tip.tree.write(&after).map_err(Error::Commit)?;
                edits.insert(path, Some(blob));
            }
        }
        Ok(())
    }

    fn message(&self, result: &MirrorResult) -> String {
        let MirrorResult { added, changed, removed, .. } = result;
        let Facts { report, policy, .. } = self.facts.as_ref();
        format!(
            "backup {}: {added} added, {changed} changed, {removed} removed\n\n\
             Backstay-Snapshot: {}\nBackstay-Policy: {policy}\nBackstay-Cluster: {}\nBackstay-Outcome: {:?}\n",
            self.cluster, report.snapshot, self.cluster, report.outcome
        )
    }
}
