//! Finds the commit a reference means.
//!
//! In: a repository, a reference · Out: commit and branch · Touches: the object database

use git2::{ErrorCode, Oid, Repository};

use super::failure;
use crate::ports::git::{Error, Reference};

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
        Reference::Any(name) => {
            if let Some(commit) = tip(repository, name)? {
                return Ok(Position { commit: Some(commit), branch: Some(name.clone()) });
            }
            let found = repository.revparse_single(name).and_then(|object| object.peel_to_commit());
            match found {
                Ok(commit) => Ok(Position { commit: Some(commit.id()), branch: None }),
                Err(error) if error.code() == ErrorCode::Ambiguous => {
                    Err(missing(format!("one commit `{name}`, but several; write more of it")))
                }
                Err(_) => Err(missing(format!("branch, tag or commit `{name}`"))),
            }
        }
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
    let found = repository.find_reference(&full_name(branch)).and_then(|found| found.peel_to_commit());
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
