//! Reads a mirror back: which objects it holds at a commit, and each of them decrypted.
//!
//! In: a tree, identities · Out: `MirrorEntry`, manifests · Touches: Git

use crate::domain::object::{Json, Malformed, Manifest};
use crate::engine::mirror::path::{Place, cluster_folder};
use crate::engine::mirror::tip::top;
use crate::engine::seal::age::Identities;
use crate::engine::seal::sops;
use crate::engine::yaml;
use crate::ports::git::{self, Oid, Tree};

/// Why an object of a mirror cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository cannot be read.
    #[error("cannot read {path} of the mirror")]
    Read {
        /// File or folder.
        path: String,
        /// Why it failed.
        source: git::Error,
    },
    /// The file is no YAML.
    #[error("cannot read {path} of the mirror")]
    Yaml {
        /// The file.
        path: String,
        /// Why it failed.
        source: yaml::Error,
    },
    /// The file cannot be decrypted.
    #[error("cannot decrypt {path} of the mirror")]
    Decrypt {
        /// The file.
        path: String,
        /// Why it failed.
        source: sops::Error,
    },
    /// The file holds no object.
    #[error("cannot use {path} of the mirror")]
    Malformed {
        /// The file.
        path: String,
        /// Why it failed.
        source: Malformed,
    },
    /// The file holds another object than its path says.
    #[error("cannot use {path} of the mirror: it holds {found}")]
    Misplaced {
        /// The file.
        path: String,
        /// The object in it.
        found: String,
    },
}

/// One object's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorEntry {
    /// Path from the top of the repository.
    pub path: String,
    /// Its content.
    pub blob: Oid,
    /// What the path says about the object.
    pub place: Place,
}

/// The objects of a cluster, sorted by path. `folder` is the location's `path`.
pub fn entries(tree: &dyn Tree, folder: &str, cluster: &str) -> Result<Vec<MirrorEntry>, Error> {
    let base = top(folder) + &cluster_folder(cluster);
    let files = tree.files(&base).map_err(|source| Error::Read { path: base.clone(), source })?;
    let entry = |(path, blob): (String, Oid)| {
        let place = Place::parse(path.strip_prefix(&base)?)?;
        Some(MirrorEntry { path, blob, place })
    };
    Ok(files.into_iter().filter_map(entry).collect())
}

/// The names of the clusters in a mirror as folders, sorted.
pub fn clusters(tree: &dyn Tree, folder: &str) -> Result<Vec<String>, Error> {
    let base = top(folder) + "clusters/";
    let files = tree.files(&base).map_err(|source| Error::Read { path: base.clone(), source })?;
    let mut found: Vec<String> = files
        .into_keys()
        .filter_map(|path| path.strip_prefix(&base)?.split_once('/').map(|(cluster, _)| cluster.to_owned()))
        .collect();
    found.dedup();
    Ok(found)
}

/// How much of an encrypted object is read.
#[derive(Clone, Copy, Debug)]
pub enum Depth<'a> {
    /// Everything; needs a private key where anything is encrypted.
    Opened(&'a Identities),
    /// Encrypted values stay as they are.
    Sealed,
}

/// Reads an object's file.
///
/// # Errors
/// A file that is no YAML, cannot be decrypted, or holds another object than its path says.
pub fn object(tree: &dyn Tree, entry: &MirrorEntry, depth: Depth<'_>) -> Result<Manifest, Error> {
    let path = || entry.path.clone();
    let bytes = tree.read(&entry.blob).map_err(|source| Error::Read { path: path(), source })?;
    let parsed = yaml::parse(&String::from_utf8_lossy(&bytes));
    let document = parsed.map_err(|source| Error::Yaml { path: path(), source })?;
    let opened = match depth {
        Depth::Opened(identities) if sops::is_encrypted(&document) => {
            sops::decrypt(document, identities).map_err(|source| Error::Decrypt { path: path(), source })?
        }
        Depth::Opened(_) => document,
        Depth::Sealed => without_block(document),
    };
    let object = Manifest::parse(opened).map_err(|source| Error::Malformed { path: path(), source })?;
    let key = object.key();
    let Place { group, plural: _, namespace, name } = &entry.place;
    let named = name.as_ref().is_none_or(|name| *name == key.name);
    if named && *group == key.group && *namespace == key.namespace {
        Ok(object)
    } else {
        Err(Error::Misplaced { path: path(), found: key.to_string() })
    }
}

fn without_block(document: Json) -> Json {
    let Json::Object(mut map) = document else { return document };
    map.shift_remove("sops");
    Json::Object(map)
}

#[cfg(test)]
mod tests;
