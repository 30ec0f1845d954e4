//! Moves a branch to a new commit if nobody else has moved it.
//!
//! In: a commit and its parent · Out: whether it landed · Touches: the remote

use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository};

use super::address::Server;
use super::reference::full_name;
use super::server::{self, Way};
use crate::ports::git::{Error, Pushed};

/// Where a push goes.
#[derive(Clone)]
pub struct Target {
    /// Address without its password.
    pub url: String,
    /// The branch; none where a tag or a commit was opened.
    pub branch: Option<String>,
    /// The server; none for a repository in a folder.
    pub server: Option<(Server, Way)>,
}

/// How often a lock that another process holds on the branch is tried again.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Moves the target's branch from the first commit to the second.
pub fn push(repository: &Repository, step: (Option<Oid>, Oid), target: &Target) -> Result<Pushed, Error> {
    let Some(branch) = &target.branch else {
        return Err(refused(target, "it was opened at a commit, and only a branch can be pushed to"));
    };
    match &target.server {
        None => into_folder(repository, branch, step, target),
        Some((remote, way)) => to_server(repository, branch, step, (remote, way)),
    }
}

/// The objects are there already: the folder's own object database took them.
fn into_folder(
    repository: &Repository,
    branch: &str,
    (from, to): (Option<Oid>, Oid),
    target: &Target,
) -> Result<Pushed, Error> {
    for hook in ["pre-receive", "update"] {
        let file = repository.path().join("hooks").join(hook);
        if file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0) {
            let reason = format!("its {hook} hook only runs over https or ssh; use such an address");
            return Err(refused(target, &reason));
        }
    }
    let name = full_name(branch);
    let head = repository.find_reference("HEAD");
    let is_head = head.is_ok_and(|head| head.symbolic_target().ok().flatten() == Some(name.as_str()));
    if is_head && !repository.is_bare() {
        let reason = format!("`{branch}` is checked out there; use a bare repository or another branch");
        return Err(refused(target, &reason));
    }
    for _ in 0..TRIES {
        let moved = match from {
            Some(from) => repository.reference_matching(&name, to, true, from, "backstay: push"),
            None => repository.reference(&name, to, false, "backstay: push"),
        };
        match moved.map_err(|error| (error.code(), error)) {
            Ok(_) => return Ok(Pushed::Landed),
            Err((ErrorCode::Modified | ErrorCode::Exists | ErrorCode::NotFound, _)) => {
                return Ok(Pushed::LostRace);
            }
            Err((ErrorCode::Locked, _)) => thread::sleep(PAUSE),
            Err((_, error)) => return Err(refused(target, error.message())),
        }
    }
    let lock = repository.path().join(format!("{name}.lock"));
    Err(refused(target, &format!("another process holds {}; if none does, delete it", lock.display())))
}

fn to_server(
    repository: &Repository,
    branch: &str,
    (from, to): (Option<Oid>, Oid),
    (remote, way): (&Server, &Way),
) -> Result<Pushed, Error> {
    let result = server::push(repository, branch, (from, to), (remote, way));
    let Err(problem) = result else { return Ok(Pushed::Landed) };
    // The branch itself says what happened: somebody was faster, or the answer got lost after the push had landed.
    match server::tip(repository, branch, (remote, way)) {
        Ok(now) if now == Some(to) => Ok(Pushed::Landed),
        Ok(now) if now != from => Ok(Pushed::LostRace),
        Ok(_) | Err(_) => Err(problem),
    }
}

fn refused(target: &Target, reason: &str) -> Error {
    Error::Rejected { url: target.url.clone(), reason: reason.to_owned() }
}
