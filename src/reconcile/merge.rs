//! Makes one policy set of the repository and of custom resources; what is wrong in one place does not stop the rest.
//!
//! In: files, `Resource`s · Out: `InForce` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::resource::{Key, Resource, of_path};
use crate::domain::document::PolicySet;
use crate::domain::object::Json;
use crate::domain::problem::Problem;
use crate::engine::policy::load::{Beside, Loaded, load_beside};
use crate::engine::policy::repository::Repository;
use crate::engine::seal::age::Identities;

/// Where a document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The policy repository.
    Git,
    /// A custom resource that people wrote.
    Resource,
}

/// The policy that is in force.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// Everything it says.
    pub set: PolicySet,
    /// Where each document comes from.
    pub origins: BTreeMap<Key, Origin>,
    /// Documents that were encrypted in Git: they are not shown in the cluster.
    pub sealed: BTreeSet<Key>,
    /// Documents in Git for which a custom resource of the same name stands in.
    pub shadowed: BTreeSet<Key>,
}

/// The outcome of a merge.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// What is in force; `None` where nothing can be: what was in force before stays.
    pub in_force: Option<InForce>,
    /// Why the newest revision is not in force; empty where it is.
    pub rejected: Vec<Problem>,
    /// Why single custom resources are not in force.
    pub wrong: BTreeMap<Key, Vec<Problem>>,
}

/// Merges. A custom resource that people wrote comes before a document of the same name in Git. Of revisions, the newest that
/// has no problem is in force: all of it, or nothing.
///
/// Never fails: what cannot be in force is in the result, with file and line.
pub fn merge(
    newest: Option<&Repository>,
    good: Option<&Repository>,
    resources: &[Resource],
    identities: &Identities,
) -> Merged {
    let mut merged = Merged::default();
    let mut people: Vec<&Resource> = resources.iter().filter(|resource| !resource.is_view).collect();
    let mut older = good.filter(|_| newest.is_some());
    let mut repository = newest;
    loop {
        let problems = match attempt(repository, &people, identities) {
            Ok(in_force) => {
                merged.in_force = Some(in_force);
                return merged;
            }
            Err(problems) => problems,
        };
        let (resources, files): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|problem| is_of(&people, problem));
        if !resources.is_empty() {
            for problem in resources {
                if let Some(key) = of_path(&problem.file) {
                    people.retain(|resource| resource.key != key);
                    merged.wrong.entry(key).or_default().push(problem);
                }
            }
            continue;
        }
        if merged.rejected.is_empty() {
            merged.rejected = files;
        }
        match older.take() {
            Some(good) => repository = Some(good),
            None => return merged,
        }
    }
}

/// Whether a problem is one of a custom resource; a file in Git may be called like one.
fn is_of(people: &[&Resource], problem: &Problem) -> bool {
    of_path(&problem.file).is_some_and(|key| people.iter().any(|resource| resource.key == key))
}

fn attempt(
    repository: Option<&Repository>,
    people: &[&Resource],
    identities: &Identities,
) -> Result<InForce, Vec<Problem>> {
    let files: Vec<_> = people.iter().map(|resource| resource.file()).collect();
    let instead: BTreeSet<(&str, &str)> =
        people.iter().map(|one| (one.key.kind, one.key.name.as_str())).collect();
    let nothing = Repository::default();
    let beside = Beside { files: &files, instead: &instead };
    let loaded = load_beside(repository.unwrap_or(&nothing), &beside, identities)
        .map_err(|invalid| invalid.problems)?;
    Ok(in_force(loaded, &instead))
}

fn in_force(loaded: Loaded, people: &BTreeSet<(&str, &str)>) -> InForce {
    let Loaded { set, sealed, shadowed, notes: _, files: _ } = loaded;
    let key = |(kind, name): (&'static str, String)| Key { kind, name };
    let origin = |key: &Key| {
        if people.contains(&(key.kind, key.name.as_str())) { Origin::Resource } else { Origin::Git }
    };
    let origins = keys(&set).into_iter().map(|key| (key.clone(), origin(&key))).collect();
    InForce {
        origins,
        sealed: sealed.into_iter().map(key).collect(),
        shadowed: shadowed.into_iter().map(key).collect(),
        set,
    }
}

/// Every document of a set.
pub fn keys(set: &PolicySet) -> Vec<Key> {
    let PolicySet { policies, locations, restores, hooks, catalogs, revision: _ } = set;
    let of = |kind: &'static str, names: Vec<&String>| {
        names.into_iter().map(move |name| Key::new(kind, name)).collect::<Vec<_>>()
    };
    [
        of("BackupPolicy", policies.keys().collect()),
        of("BackupLocation", locations.keys().collect()),
        of("RestoreRequest", restores.keys().collect()),
        of("HookTemplate", hooks.keys().collect()),
        of("Catalog", catalogs.keys().collect()),
    ]
    .concat()
}

/// The spec of every document of a set.
pub fn documents(set: &PolicySet) -> BTreeMap<Key, Json> {
    let mut all = BTreeMap::new();
    all.extend(set.policies.iter().map(|(name, spec)| (Key::new("BackupPolicy", name), json!(spec))));
    all.extend(set.locations.iter().map(|(name, spec)| (Key::new("BackupLocation", name), json!(spec))));
    all.extend(set.restores.iter().map(|(name, spec)| (Key::new("RestoreRequest", name), json!(spec))));
    all.extend(set.hooks.iter().map(|(name, spec)| (Key::new("HookTemplate", name), json!(spec))));
    all.extend(set.catalogs.iter().map(|(name, spec)| (Key::new("Catalog", name), json!(spec))));
    all
}

#[cfg(test)]
mod tests;
