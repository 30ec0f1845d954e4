//! Builds the overlays of a repository.
//!
//! In: `Repository`, identities · Out: documents, decrypted and patched · Touches: nothing

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::kustomize::build::build;
use super::kustomize::emit::emit;
use super::kustomize::path::{NAMES, join, shown};
use super::kustomize::shelf::Shelf;
use super::node::{Fault, Node, Place};
use super::opened::{bytes, open};
use super::repository::{Reached, Repository, Role};
use crate::domain::problem::Problem;
use crate::engine::seal::age::Identities;

/// What came of an overlay.
#[derive(Debug, Default)]
pub struct Built {
    /// Its documents.
    pub nodes: Vec<Node>,
    /// Texts that were encrypted; no message may repeat them.
    pub secrets: BTreeSet<String>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// Builds one overlay; without identities what is encrypted stays so.
pub fn overlay(repository: &Repository, folder: &str, identities: Option<&Identities>) -> Built {
    let files = Files { repository, identities, secrets: RefCell::default() };
    let result = build(folder, &files);
    let secrets = files.secrets.into_inner();
    match result {
        Ok(nodes) => Built { nodes, secrets, faults: Vec::new() },
        Err(faults) => Built { nodes: Vec::new(), secrets, faults },
    }
}

/// What `kustomize build` prints for the only overlay of a repository.
///
/// # Errors
/// Everything that is wrong; a repository without overlay, or with more than one.
pub fn print(repository: &Repository, folder: &str) -> Result<String, Vec<Problem>> {
    let only = repository.overlays.iter().find(|overlay| overlay.folder == folder);
    let Some(only) = only else {
        let message = format!("there is no kustomization in `{}`", shown(folder));
        let there: Vec<&str> = repository.overlays.iter().map(|overlay| shown(&overlay.folder)).collect();
        let problem = Problem::file(&join(folder, NAMES[0]), message);
        let help = format!("name one of: {}", there.join(", "));
        return Err(vec![if there.is_empty() { problem } else { problem.help(help) }]);
    };
    let built = overlay(repository, &only.folder, None);
    if built.faults.is_empty() {
        return Ok(emit(&built.nodes));
    }
    Err(built.faults.into_iter().map(|fault| problem(repository, fault)).collect())
}

/// A fault with the name of its file.
pub fn problem(repository: &Repository, fault: Fault) -> Problem {
    let file = repository.files.get(fault.place.file).map_or("", |file| &file.path);
    let problem = Problem::file(file, fault.message).at(fault.place.line, fault.place.column);
    match fault.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The overlays that cannot be read together, because they use the same files; none where all is well.
pub fn rivals(repository: &Repository) -> Vec<&Reached> {
    let overlays = &repository.overlays;
    let plain = |path: &String| {
        repository.position(path).is_some_and(|index| repository.files[index].part == Role::Plain)
    };
    let shares = |one: &Reached| {
        let other = |other: &&Reached| other.folder != one.folder && !other.files.is_disjoint(&one.files);
        one.files.iter().any(plain) || overlays.iter().any(|o| other(&o))
    };
    let rivals: Vec<&Reached> = overlays.iter().filter(|overlay| shares(overlay)).collect();
    let own = |overlay: &Reached| NAMES.map(|name| join(&overlay.folder, name));
    let is_outer = |one: &&Reached| {
        !rivals
            .iter()
            .any(|other| other.folder != one.folder && own(one).iter().any(|path| other.files.contains(path)))
    };
    let outer: Vec<&Reached> = rivals.iter().copied().filter(is_outer).collect();
    if outer.is_empty() { rivals } else { outer }
}

struct Files<'a> {
    repository: &'a Repository,
    identities: Option<&'a Identities>,
    secrets: RefCell<BTreeSet<String>>,
}

impl Shelf for Files<'_> {
    fn file(&self, path: &str, asked: Place) -> Result<Option<(usize, &[u8])>, Fault> {
        let Some(index) = self.repository.position(path) else { return Ok(None) };
        Ok(Some((index, bytes(&self.repository.files[index], asked)?)))
    }

    fn documents(&self, path: &str) -> Result<Vec<Node>, Fault> {
        let Some(index) = self.repository.position(path) else { return Ok(Vec::new()) };
        let opened = open(&self.repository.files[index], index, self.identities)?;
        self.secrets.borrow_mut().extend(opened.secrets);
        opened.locked.into_iter().next().map_or(Ok(opened.nodes), Err)
    }
}
