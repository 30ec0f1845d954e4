//! Finds the commit a reference means.
//!
//! In: a repository, a reference · Out: commit and branch · Touches: the object database

use git2::{ErrorCode, Oid, Repository};

use super::failure;
use crate::ports::git::{Error, Reference};

/// Digits of a whole id.
const FULL: usize = 40;

/// Where a repository is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The commit; none for a branch to come.
    pub commit: Option<Oid>,
    /// The branch, without `refs/heads/`, if a branch was asked for.
    pub branch: Option<String>,
}

/// Finds a reference in a repository that has all of it.
pub fn find(repository: &Repository, reference: &Reference, url: &str) -> Result<Position, Error> {
    let missing = |what: String| Error::NoReference { url: url.to_owned(), reference: what };
    match reference {
        Reference::Default => default(repository, missing),
        Reference::Branch(name) => {
            let commit = tip(repository, name)?;
            let commit = Some(commit.ok_or_else(|| missing(format!("branch `{name}`")))?);
            Ok(Position { commit, branch: Some(name.clone()) })
        }
        Reference::BranchOrEmpty(name) => {
            Ok(Position { commit: tip(repository, name)?, branch: Some(name.clone()) })
        }
        Reference::Any(name) => any(repository, name, missing),
    }
}

/// A full id is that commit. Any other name may be of a branch, a tag and a commit at once: who may push only one of them must not
/// decide what the name means to everybody, so they have to agree. `refs/heads/…` and `refs/tags/…` say which is meant.
fn any(repository: &Repository, name: &str, missing: impl Fn(String) -> Error) -> Result<Position, Error> {
    let at = |commit| Position { commit: Some(commit), branch: None };
    let is_hex = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commit = |found: Result<git2::Object<'_>, git2::Error>| match found {
        Ok(object) => Ok(object.peel_to_commit().ok().map(|commit| commit.id())),
        Err(error) if error.code() == ErrorCode::Ambiguous => {
            Err(missing(format!("one commit `{name}`, but several; write more of it")))
        }
        Err(_) => Ok(None),
    };
    if is_hex && name.len() == FULL {
        let found = commit(repository.find_object_by_prefix(name, None))?;
        return found.map(at).ok_or_else(|| missing(format!("commit `{name}`")));
    }
    if let Some(branch) = name.strip_prefix("refs/heads/")
        && let Some(found) = tip(repository, branch)?
    {
        return Ok(Position { commit: Some(found), branch: Some(branch.to_owned()) });
    }
    let branch = tip(repository, name)?;
    let tag = target(repository, &format!("refs/tags/{name}"))?;
    let id = if is_hex { commit(repository.find_object_by_prefix(name, None))? } else { None };
    let meanings: Vec<(&str, Oid)> = [("branch", branch), ("tag", tag), ("commit", id)]
        .into_iter()
        .filter_map(|(kind, found)| Some((kind, found?)))
        .collect();
    match meanings.as_slice() {
        [] => {
            let found = commit(repository.revparse_single(name))?;
            found.map(at).ok_or_else(|| missing(format!("branch, tag or commit `{name}`")))
        }
        [(_, first), others @ ..] => match others.iter().find(|(_, other)| other != first) {
            None => Ok(Position { commit: Some(*first), branch: branch.map(|_| name.to_owned()) }),
            Some((other, _)) => {
                let kind = meanings[0].0;
                Err(missing(format!(
                    "single `{name}`: {kind} and {other} of that name are different commits; write refs/heads/{name}, \
                     refs/tags/{name} or the whole id of the commit"
                )))
            }
        },
    }
}

fn default(repository: &Repository, missing: impl Fn(String) -> Error) -> Result<Position, Error> {
    let head = repository.find_reference("HEAD").map_err(failure::local)?;
    let target = head.symbolic_target().ok().flatten().and_then(|t| t.strip_prefix("refs/heads/"));
    let Some(branch) = target else {
        let commit = head.peel_to_commit().map_err(failure::local)?.id();
        return Ok(Position { commit: Some(commit), branch: None });
    };
    match tip(repository, branch)? {
        Some(commit) => Ok(Position { commit: Some(commit), branch: Some(branch.to_owned()) }),
        None => Err(missing(format!("commit on its default branch `{branch}`"))),
    }
}

/// Commit a branch is at; none where there is no such branch.
pub fn tip(repository: &Repository, branch: &str) -> Result<Option<Oid>, Error> {
    target(repository, &full_name(branch))
}

/// Commit that a reference leads to, by its full name; none where there is no such reference.
fn target(repository: &Repository, name: &str) -> Result<Option<Oid>, Error> {
    let found = repository.find_reference(name).and_then(|found| found.peel_to_commit());
    match found {
        Ok(commit) => Ok(Some(commit.id())),
        Err(error) if [ErrorCode::NotFound, ErrorCode::InvalidSpec].contains(&error.code()) => Ok(None),
        Err(error) => Err(failure::local(error)),
    }
}

/// `main` as `refs/heads/main`.
pub fn full_name(branch: &str) -> String {
    format!("refs/heads/{branch}")
}
