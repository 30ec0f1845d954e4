//! The newest commit of a mirror's branch, as far as one cluster is concerned.
//!
//! In: a repository · Out: `Tip` · Touches: Git

use std::collections::BTreeMap;
use std::sync::Arc;

use super::path::cluster_folder;
use super::state::{self, MirrorState, SOPS_FILE, STATE_FILE};
use crate::domain::location::MirrorTarget;
use crate::engine::pool::compute;
use crate::ports::git::{self, Git, Oid, Reference, Remote, Tree};

/// Why a mirror cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
        source: state::Error,
    },
}

/// A mirror at the newest commit of its branch.
pub struct Tip {
    /// The commit.
    pub tree: Arc<dyn Tree>,
    /// The cluster's folder from the top of the repository, with a `/` at its end.
    pub folder: String,
    /// Files below the cluster's folder, but for the state.
    pub files: BTreeMap<String, Oid>,
    /// The state.
    pub state: MirrorState,
    /// The settings of `sops` at the top of the mirror.
    pub settings: Option<Oid>,
}

/// Opens a mirror for writing; a branch that does not exist is empty.
pub async fn open(git: &dyn Git, target: &MirrorTarget, cluster: &str) -> Result<Tip, Error> {
    let remote = Remote {
        url: target.url.clone(),
        reference: Reference::BranchOrEmpty(target.branch.clone()),
        ca_cert: target.ca_cert.clone(),
    };
    let tree: Arc<dyn Tree> = Arc::from(git.open(&remote).await.map_err(Error::Open)?);
    let (top, cluster) = (top(&target.path), cluster_folder(cluster));
    compute(move || read(tree, &top, &cluster)).await
}

/// A folder in a repository with a `/` at its end; empty for the top.
pub fn top(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() { String::new() } else { format!("{path}/") }
}

fn read(tree: Arc<dyn Tree>, top: &str, cluster: &str) -> Result<Tip, Error> {
    let folder = format!("{top}{cluster}");
    let failed = |path: &str| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let found = tree.files(&folder).map_err(failed(&folder))?;
    let below = |(path, blob): (String, Oid)| Some((path.strip_prefix(&folder)?.to_owned(), blob));
    let mut files: BTreeMap<String, Oid> = found.into_iter().filter_map(below).collect();
    let path = format!("{folder}{STATE_FILE}");
    let state = match files.remove(STATE_FILE) {
        None => MirrorState::default(),
        Some(blob) => {
            let bytes = tree.read(&blob).map_err(failed(&path))?;
            MirrorState::parse(&bytes).map_err(|source| Error::State { path, source })?
        }
    };
    let settings = tree.file(&format!("{top}{SOPS_FILE}")).map_err(failed(SOPS_FILE))?;
    Ok(Tip { tree, folder, files, state, settings })
}
