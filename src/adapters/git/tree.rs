//! A repository at one commit.
//!
//! In: an opened repository · Out: files and commits · Touches: the object database, the remote

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use git2::{ObjectType, Oid, TreeWalkMode, TreeWalkResult};
use jiff::Timestamp;

use super::cache::InUse;
use super::handles::Handles;
use super::pending::Pending;
use super::push::{self, Target};
use super::reference::Position;
use super::verify::signature::{self, Signed};
use super::{failure, write};
use crate::ports::git::{self, CommitDraft, Edits, Error, Pushed, Signers};

/// An opened repository. What it writes nobody sees until it is pushed.
pub struct Tree {
    handles: Arc<Handles>,
    pending: Pending,
    commit: Option<(Oid, String)>,
    target: Target,
    _in_use: Option<InUse>,
}

impl Tree {
    /// A repository at a position.
    pub fn new(handles: Handles, position: &Position, target: Target, in_use: Option<InUse>) -> Self {
        let commit = position.commit.map(|id| (id, id.to_string()));
        Self { handles: Arc::new(handles), pending: Pending::default(), commit, target, _in_use: in_use }
    }

    fn parent(&self) -> Option<Oid> {
        self.commit.as_ref().map(|(id, _)| *id)
    }
}

#[async_trait]
impl git::Tree for Tree {
    fn commit_id(&self) -> Option<&str> {
        self.commit.as_ref().map(|(_, text)| text.as_str())
    }

    fn signer(&self, allowed: &[Signers], now: Timestamp) -> Result<String, Error> {
        let untrusted = |commit: &str, reason: &str| Error::Untrusted {
            url: self.target.url.clone(),
            commit: commit.to_owned(),
            reason: reason.to_owned(),
        };
        let allowed = signature::read(allowed)?;
        let Some((id, text)) = &self.commit else { return Err(untrusted("(none)", "there is no commit")) };
        self.handles.with(|repository| {
            let database = repository.odb().map_err(failure::local)?;
            // There libgit2 ends what is signed; what follows would be in the commit all the same.
            if database.read(*id).map_err(failure::local)?.data().contains(&0) {
                return Err(untrusted(text, "it holds a NUL byte, after which nothing is signed"));
            }
            let Ok((signature, signed)) = repository.extract_signature(id, None) else {
                return Err(untrusted(text, "it is not signed"));
            };
            let seconds = repository.find_commit(*id).map_err(failure::local)?.time().seconds();
            let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
            let signature = String::from_utf8_lossy(&signature);
            let signed = Signed { content: &signed, signature: &signature, time };
            signature::signer(&signed, &allowed, now).map_err(|reason| untrusted(text, &reason))
        })
    }

    fn files(&self, under: &str) -> Result<BTreeMap<String, git::Oid>, Error> {
        let Some(commit) = self.parent() else { return Ok(BTreeMap::new()) };
        self.handles.with(|repository| files(repository, commit, under.trim_matches('/')))
    }

    fn file(&self, path: &str) -> Result<Option<git::Oid>, Error> {
        let Some(commit) = self.parent() else { return Ok(None) };
        self.handles.with(|repository| {
            let tree = repository.find_commit(commit).and_then(|c| c.tree()).map_err(failure::local)?;
            let found = tree.get_path(Path::new(path)).ok().filter(|entry| is_regular(entry.filemode_raw()));
            Ok(found.map(|entry| entry.id().to_string()))
        })
    }

    fn read(&self, blob: &str) -> Result<Vec<u8>, Error> {
        let id = Oid::from_str(blob).map_err(failure::local)?;
        if let Some(content) = self.pending.read(id) {
            return Ok(content);
        }
        self.handles.with(|repository| {
            let blob = repository.find_blob(id).map_err(failure::local)?;
            Ok(blob.content().to_vec())
        })
    }

    fn size(&self, blob: &str) -> Result<u64, Error> {
        let id = Oid::from_str(blob).map_err(failure::local)?;
        if let Some(content) = self.pending.read(id) {
            return Ok(content.len() as u64);
        }
        self.handles.with(|repository| {
            let header = repository.odb().and_then(|database| database.read_header(id));
            header.map(|(bytes, _)| bytes as u64).map_err(failure::local)
        })
    }

    fn blob_id(&self, content: &[u8]) -> git::Oid {
        Oid::hash_object(ObjectType::Blob, content).unwrap_or(Oid::ZERO_SHA1).to_string()
    }

    fn write(&self, content: &[u8]) -> Result<git::Oid, Error> {
        self.handles.with(|repository| {
            let id = self.pending.write(repository, content)?;
            Ok(id.to_string())
        })
    }

    fn commit(&self, edits: &Edits, draft: &CommitDraft) -> Result<git::Oid, Error> {
        self.handles.with(|repository| {
            self.pending.store(repository)?;
            let id = write::commit(repository, self.parent(), edits, draft)?;
            Ok(id.to_string())
        })
    }

    async fn push(&self, commit: &str) -> Result<Pushed, Error> {
        let commit = Oid::from_str(commit).map_err(failure::local)?;
        let (handles, parent, target) = (self.handles.clone(), self.parent(), self.target.clone());
        let pushing = tokio::task::spawn_blocking(move || {
            handles.with(|repository| push::push(repository, (parent, commit), &target))
        });
        pushing.await.map_err(|error| Error::Local(error.to_string()))?
    }
}

/// 0o100644, 0o100755 and, in old repositories, 0o100664; links and submodules are no regular files.
fn is_regular(mode: i32) -> bool {
    mode & 0o170_000 == 0o100_000
}

fn files(
    repository: &git2::Repository,
    commit: Oid,
    under: &str,
) -> Result<BTreeMap<String, git::Oid>, Error> {
    let mut tree = repository.find_commit(commit).and_then(|c| c.tree()).map_err(failure::local)?;
    for part in under.split('/').filter(|part| !part.is_empty()) {
        let folder = tree.get_name(part).filter(|entry| entry.kind() == Some(ObjectType::Tree));
        let Some(id) = folder.map(|entry| entry.id()) else { return Ok(BTreeMap::new()) };
        tree = repository.find_tree(id).map_err(failure::local)?;
    }
    let above = if under.is_empty() { String::new() } else { format!("{under}/") };
    let mut found = BTreeMap::new();
    let walk = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if is_regular(entry.filemode_raw()) {
            let name = String::from_utf8_lossy(entry.name_bytes());
            found.insert(format!("{above}{folder}{name}"), entry.id().to_string());
        }
        TreeWalkResult::Ok
    });
    walk.map_err(failure::local)?;
    Ok(found)
}
