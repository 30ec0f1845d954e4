//! Reads plain manifests as a state: a folder, or a cluster's folder in a mirror at one commit.
//!
//! In: files, `Identities` · Out: `State` · Touches: the file system, Git

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::commit_objects::{self, Depth};
use super::open::State;
use crate::domain::document::API_VERSION;
use crate::domain::object::{Gvk, Json, Manifest, Resource};
use crate::engine::seal::age::Identities;
use crate::engine::seal::sops;
use crate::engine::yaml;
use crate::ports::git::Tree;

/// Why manifests cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The commit cannot be read.
    #[error("cannot read {0} of the mirror")]
    Mirror(String, #[source] commit_objects::Error),
    /// A file is no YAML.
    #[error("cannot read {0}")]
    Yaml(String, #[source] yaml::Error),
    /// A file is no text.
    #[error("cannot read {0}: it is not UTF-8")]
    NotText(String),
    /// An encrypted file cannot be opened.
    #[error("cannot open {0}")]
    Closed(String, #[source] sops::Error),
    /// There is nothing of this cluster.
    #[error("cannot find anything of cluster {cluster} in {place}")]
    NoCluster {
        /// The cluster.
        cluster: String,
        /// Repository and commit.
        place: String,
    },
}

/// Reads every `.yaml`, `.yml` and `.json` file below a folder; documents that are no Kubernetes objects are left out.
///
/// `served` tells the names of kinds; for others they are guessed.
pub fn folder(top: &Path, served: &[Resource], identities: &Identities) -> Result<State, Error> {
    let mut found = Vec::new();
    for path in files(top)? {
        let bytes = fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        found.extend(objects(&path.display().to_string(), &bytes, served, identities)?);
    }
    Ok(State::held(format!("folder {}", top.display()), found))
}

/// Reads what a mirror holds of a cluster at the tree's commit. Blocking: call it on the pool.
pub fn commit(
    tree: &dyn Tree,
    under: &str,
    cluster: &str,
    served: &[Resource],
    depth: Depth<'_>,
) -> Result<State, Error> {
    let id = tree.commit_id().map_or("an empty branch", |id| &id[..id.len().min(12)]).to_owned();
    let place = format!("commit {id}");
    let entries =
        commit_objects::entries(tree, under, cluster).map_err(|e| Error::Mirror(place.clone(), e))?;
    if entries.is_empty() {
        return Err(Error::NoCluster { cluster: cluster.to_owned(), place });
    }
    let mut found = Vec::new();
    for entry in &entries {
        let manifest =
            commit_objects::object(tree, entry, depth).map_err(|e| Error::Mirror(place.clone(), e))?;
        let gvk = manifest.gvk();
        let known = served.iter().find(|r| r.gvk.group == gvk.group && r.gvk.kind == gvk.kind).cloned();
        let resource = known.unwrap_or_else(|| Resource {
            gvk,
            plural: entry.place.plural.clone(),
            namespaced: manifest.namespace().is_some(),
            verbs: Vec::new(),
            served: Vec::new(),
        });
        found.push((Arc::new(resource), manifest));
    }
    let mut state = State::held(place, found);
    state.commit = tree.commit_id().map(str::to_owned);
    Ok(state)
}

fn is_manifest(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| ["yaml", "yml", "json"].contains(&e))
}

/// Manifest files below a folder, or the file itself, sorted; hidden folders such as `.git` are left out.
fn files(top: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |path: &Path, source| Error::Read { path: path.to_owned(), source };
    if fs::metadata(top).map_err(|e| unreadable(top, e))?.is_file() {
        return Ok(vec![top.to_owned()]);
    }
    let mut found = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| unreadable(&folder, e))? {
            let path = entry.map_err(|e| unreadable(&folder, e))?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden {
                open.push(path);
            } else if is_manifest(&path) && !hidden {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

type Found = (Arc<Resource>, Manifest);

fn objects(
    place: &str,
    bytes: &[u8],
    served: &[Resource],
    identities: &Identities,
) -> Result<Vec<Found>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::NotText(place.to_owned()))?;
    let mut found = Vec::new();
    for tree in yaml::parse_all(text).map_err(|e| Error::Yaml(place.to_owned(), e))? {
        let tree = if sops::is_encrypted(&tree) {
            sops::decrypt(tree, identities).map_err(|e| Error::Closed(place.to_owned(), e))?
        } else {
            tree
        };
        found.extend(items(tree).into_iter().filter_map(|tree| object(tree, served)));
    }
    Ok(found)
}

/// The elements of a `List`, or the object itself.
fn items(mut tree: Json) -> Vec<Json> {
    let is_list = tree.get("kind").and_then(Json::as_str).is_some_and(|kind| kind.ends_with("List"));
    match tree.get_mut("items").and_then(Json::as_array_mut) {
        Some(items) if is_list => std::mem::take(items),
        _ => vec![tree],
    }
}

/// A manifest with its kind; our own documents and what is no object are left out.
fn object(tree: Json, served: &[Resource]) -> Option<Found> {
    let manifest = Manifest::parse(tree).ok()?;
    let gvk = manifest.gvk();
    if gvk.api_version() == API_VERSION {
        return None;
    }
    let known = served.iter().find(|r| r.gvk.group == gvk.group && r.gvk.kind == gvk.kind);
    let resource = known.cloned().unwrap_or_else(|| guess(gvk, manifest.namespace().is_some()));
    Some((Arc::new(resource), manifest))
}

/// A kind of which only Kind and group are known: with the English plural, as `kubectl` guesses it.
pub fn guess(gvk: Gvk, namespaced: bool) -> Resource {
    let kind = gvk.kind.to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if kind.ends_with(['s', 'x']) || kind.ends_with("ch") || kind.ends_with("sh") => {
            format!("{kind}es")
        }
        _ => format!("{kind}s"),
    };
    Resource { gvk, plural, namespaced, verbs: Vec::new(), served: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plural_is_guessed_the_way_kubectl_does() {
        let plural = |kind: &str| guess(Gvk::new("v1", kind), false).plural;
        let guessed = ["NetworkPolicy", "Ingress", "Gateway", "Secret", "Switch"].map(plural);
        assert_eq!(guessed, ["networkpolicies", "ingresses", "gateways", "secrets", "switches"]);
    }

    #[test]
    fn a_folder_holds_objects_lists_and_other_things() {
        let dir = tempfile::tempdir().unwrap();
        let text = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a, namespace: shop}}\n---\nhello: world\n";
        fs::write(dir.path().join("a.yaml"), text).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/b.yaml"), "a: [").unwrap();
        let state = folder(dir.path(), &[], &Identities::default()).unwrap();
        let keys: Vec<String> = state.entries.iter().map(|e| e.key.to_string()).collect();
        assert_eq!(keys, ["Secret shop/a"]);
    }
}
