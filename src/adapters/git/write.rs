//! Makes commits in the object database, without a work tree.
//!
//! In: a commit, edits · Out: a new commit · Touches: the object database

use std::collections::BTreeMap;
use std::path::Path;

use git2::{ObjectType, Oid, Repository, Signature, Time, Tree, TreeBuilder};

use super::failure;
use super::sign::sign;
use crate::ports::git::{CommitDraft, Edits, Error};

const FILE: i32 = 0o100_644;
const FOLDER: i32 = 0o040_000;

/// What happens in one folder, by name.
type Folder<'a> = BTreeMap<&'a str, Change<'a>>;

/// What happens to one name: to the file, and to what lies below it.
#[derive(Default)]
struct Change<'a> {
    file: File,
    below: Folder<'a>,
}

/// What happens to a file.
#[derive(Clone, Copy, Default)]
enum File {
    #[default]
    Stays,
    Goes,
    Becomes(Oid),
}

/// Stores a commit with a parent, if there is one, and edits.
///
/// Folders without edits are not read and keep their bytes. To write a file where a folder is, or a folder where a file
/// is, is refused, unless the same edits delete what is there. Deleting what is not there does nothing.
pub fn commit(
    repository: &Repository,
    parent: Option<Oid>,
    edits: &Edits,
    draft: &CommitDraft,
) -> Result<Oid, Error> {
    let parent = parent.map(|id| repository.find_commit(id)).transpose().map_err(failure::local)?;
    let base = parent.as_ref().map(git2::Commit::tree).transpose().map_err(failure::local)?;
    let tree = rewrite(repository, base.as_ref(), &sorted(edits)?, "")?;
    let tree = match tree {
        Some(tree) => tree,
        None => repository.treebuilder(None).and_then(|empty| empty.write()).map_err(failure::local)?,
    };
    let tree = repository.find_tree(tree).map_err(failure::local)?;
    let parents: Vec<_> = parent.iter().collect();
    store(repository, &tree, &parents, draft)
}

fn store(
    repository: &Repository,
    tree: &Tree,
    parents: &[&git2::Commit],
    draft: &CommitDraft,
) -> Result<Oid, Error> {
    let time = Time::new(draft.time.as_second(), 0);
    let author = Signature::new(&draft.author.name, &draft.author.email, &time);
    let author = author.map_err(|error| {
        let (name, email) = (&draft.author.name, &draft.author.email);
        Error::Commit(format!("`{name} <{email}>` cannot be an author: {}", error.message()))
    })?;
    let Some(key) = &draft.signing_key else {
        let id = repository.commit(None, &author, &author, &draft.message, tree, parents);
        return id.map_err(failure::local);
    };
    let buffer = repository.commit_create_buffer(&author, &author, &draft.message, tree, parents);
    let buffer = buffer.map_err(failure::local)?;
    let text = std::str::from_utf8(&buffer).map_err(|error| Error::Local(error.to_string()))?;
    let signature = sign(text.as_bytes(), Path::new(key))?;
    repository.commit_signed(text, &signature, Some("gpgsig")).map_err(failure::local)
}

fn sorted(edits: &Edits) -> Result<Folder<'_>, Error> {
    let mut top = Folder::new();
    for (path, blob) in edits {
        if path.split('/').any(str::is_empty) {
            return Err(Error::Commit(format!("{path:?} is no path of a file")));
        }
        let blob = blob.as_deref().map(Oid::from_str).transpose().map_err(failure::local)?;
        let (folders, name) = path.rsplit_once('/').map_or((None, path.as_str()), |(f, n)| (Some(f), n));
        let mut folder = &mut top;
        for part in folders.into_iter().flat_map(|folders| folders.split('/')) {
            folder = &mut folder.entry(part).or_default().below;
        }
        folder.entry(name).or_default().file = blob.map_or(File::Goes, File::Becomes);
    }
    Ok(top)
}

/// The new tree; none if nothing is left in it.
fn rewrite(
    repository: &Repository,
    base: Option<&Tree>,
    changes: &Folder,
    path: &str,
) -> Result<Option<Oid>, Error> {
    let mut builder = repository.treebuilder(base).map_err(failure::local)?;
    for (name, change) in changes {
        let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}/{name}") };
        change_one(repository, &mut builder, (name, &path), change)?;
    }
    if builder.is_empty() {
        return Ok(None);
    }
    builder.write().map(Some).map_err(failure::local)
}

fn change_one(
    repository: &Repository,
    builder: &mut TreeBuilder,
    (name, path): (&str, &str),
    change: &Change,
) -> Result<(), Error> {
    let found = builder.get(name).map_err(|error| unfit(path, &error))?;
    let found = found.map(|entry| (entry.kind(), entry.id()));
    let folder = match found {
        Some((Some(ObjectType::Tree), id)) => Some(repository.find_tree(id).map_err(failure::local)?),
        Some(_) | None => None,
    };
    let is_file = found.is_some() && folder.is_none();
    let below = match &folder {
        Some(tree) if change.below.is_empty() => Some(tree.id()),
        None if change.below.is_empty() => None,
        _ => rewrite(repository, folder.as_ref(), &change.below, path)?,
    };
    let entry = match (change.file, below) {
        (File::Stays, None) if is_file => return Ok(()),
        (File::Stays, Some(_)) if is_file => return Err(in_the_way(path, "a file", "a folder")),
        (File::Becomes(_), Some(_)) => return Err(in_the_way(path, "a folder", "a file")),
        (File::Becomes(blob), None) => Some((blob, FILE)),
        (File::Stays | File::Goes, Some(tree)) => Some((tree, FOLDER)),
        (File::Stays | File::Goes, None) => None,
    };
    match entry {
        Some((id, mode)) => builder.insert(name, id, mode).map(drop).map_err(|error| unfit(path, &error)),
        None if found.is_some() => builder.remove(name).map_err(failure::local),
        None => Ok(()),
    }
}

fn unfit(path: &str, error: &git2::Error) -> Error {
    Error::Commit(format!("`{path}` cannot be written: {}", error.message()))
}

fn in_the_way(path: &str, found: &str, wanted: &str) -> Error {
    Error::Commit(format!("`{path}` is {found} in the repository, and {wanted} is to be written there"))
}
