//! Loads a policy repository: every document read, checked by itself and against the others, every error found at once.
//!
//! In: `Repository`, identities · Out: `Loaded` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;

use super::check::{Part, mend, misfits};
use super::documents::{Found, documents};
use super::repository::{Repository, SourceFile};
use crate::domain::document::{Document, PolicySet};
use crate::domain::field::{FieldError, closest};
use crate::domain::hook::HookWhen;
use crate::domain::hook_library;
use crate::domain::hook_template::{HookTemplateSpec, HookUse, out_of_place};
use crate::domain::location::{AccessMode, LocationSpec};
use crate::domain::object::Json;
use crate::domain::policy::{BACKUP, PolicySpec};
use crate::domain::problem::Problem;
use crate::domain::restore_request::{RESTORE, RestoreSpec};
use crate::domain::rules::Catalog;
use crate::engine::seal::age::{Identities, Recipients};

/// A policy repository in which nothing is wrong.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub set: PolicySet,
    /// What was left alone, and why.
    pub notes: Vec<String>,
    /// How many files were read.
    pub files: usize,
    /// Kinds and names of documents that were encrypted.
    pub sealed: Vec<(&'static str, String)>,
    /// Kinds and names of documents that others stand in for.
    pub shadowed: Vec<(&'static str, String)>,
}

/// Documents that come from elsewhere than the repository.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Each as a file of its own.
    pub files: &'a [SourceFile],
    /// Kinds and names of documents of the repository that they stand in for.
    pub instead: &'a BTreeSet<(&'a str, &'a str)>,
}

/// Everything that is wrong with a policy repository, sorted by place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Reads and checks every document.
///
/// # Errors
/// All problems of all files at once; no part of the repository is used then.
pub fn load(repository: &Repository, identities: &Identities) -> Result<Loaded, Invalid> {
    let nothing = Beside { files: &[], instead: &BTreeSet::new() };
    load_beside(repository, &nothing, identities)
}

/// Reads and checks every document of a repository and those beside it, as one.
///
/// # Errors
/// All problems at once, also those of documents beside it; each names its file.
pub fn load_beside(
    repository: &Repository,
    beside: &Beside<'_>,
    identities: &Identities,
) -> Result<Loaded, Invalid> {
    let mut read = documents(repository, identities);
    let shadowed = read.leave_out(beside.instead);
    let mut others = Repository { files: beside.files.to_vec(), ..Repository::default() };
    others.files.sort_by(|a, b| a.path.cmp(&b.path));
    read.join(documents(&others, &Identities::default()));
    let mut desk = Desk { problems: read.problems, ..Desk::default() };
    desk.set.revision.clone_from(&repository.revision);
    for found in &read.found {
        desk.register(found);
    }
    for found in &read.found {
        desk.document(found);
    }
    desk.catalogs(&read.found);
    let Desk { mut problems, set, .. } = desk;
    problems.sort();
    problems.dedup();
    if problems.is_empty() {
        let sealed = read.found.iter().filter(|found| found.is_sealed());
        let sealed = sealed.filter_map(|found| Some((found.kind, name_in(found)?.to_owned()))).collect();
        Ok(Loaded { set, notes: read.notes, files: repository.files.len(), sealed, shadowed })
    } else {
        Err(Invalid { problems })
    }
}

/// What is on the desk while documents are checked.
#[derive(Default)]
struct Desk<'a> {
    set: PolicySet,
    problems: Vec<Problem>,
    /// Every document by kind and name, also those with errors: who names them is not to blame.
    known: BTreeMap<(&'a str, &'a str), &'a Found>,
}

fn name_in(found: &Found) -> Option<&str> {
    found.tree["metadata"]["name"].as_str()
}

impl<'a> Desk<'a> {
    fn register(&mut self, found: &'a Found) {
        let Some(name) = name_in(found) else { return };
        if let Some(first) = self.known.get(&(found.kind, name)) {
            let message = format!("there is a {} `{name}` already, in {}", found.kind, first.place());
            self.problems.push(found.problem(FieldError::new("/metadata/name", message), false));
        } else {
            self.known.insert((found.kind, name), found);
        }
    }

    /// Checks the shape of a document, then its meaning, as far as the shape allows.
    fn document(&mut self, found: &Found) {
        let misfits = misfits(found.kind, &found.tree);
        for misfit in misfits.iter().filter(|misfit| misfit.part != Part::Said) {
            self.problems.push(found.problem(misfit.error.clone(), misfit.part == Part::Key));
        }
        let mended = mend(&found.tree, &misfits);
        let tree = mended.tree.clone();
        let result = match found.kind {
            "BackupPolicy" => self.typed(found, tree, Self::policy, |set| &mut set.policies),
            "BackupLocation" => self.typed(found, tree, Self::location, |set| &mut set.locations),
            "RestoreRequest" => self.typed(found, tree, Self::restore, |set| &mut set.restores),
            "HookTemplate" => {
                self.typed(found, tree, |_, hook: &HookTemplateSpec| hook.check(), |set| &mut set.hooks)
            }
            _ => self.typed(found, tree, |_, _| Vec::new(), |set| &mut set.catalogs),
        };
        match result {
            Ok(errors) => {
                let errors = errors.into_iter().filter(|error| !mended.follows(&error.pointer));
                self.problems.extend(errors.map(|error| found.problem(error, false)));
            }
            Err(reason) if misfits.is_empty() => {
                self.problems.push(found.problem(FieldError::new("", reason), false));
            }
            Err(_) => {} // the misfits are the reason
        }
    }

    /// Turns a tree into its type, checks it, and keeps it; the errors have pointers into the document.
    fn typed<S: DeserializeOwned>(
        &mut self,
        found: &Found,
        tree: Json,
        check: impl Fn(&Self, &S) -> Vec<FieldError>,
        place: impl Fn(&mut PolicySet) -> &mut BTreeMap<String, S>,
    ) -> Result<Vec<FieldError>, String> {
        let document: Document<S> = serde_json::from_value(tree).map_err(|error| error.to_string())?;
        let errors = check(self, &document.spec).into_iter().map(|error| error.under("/spec")).collect();
        if self
            .known
            .get(&(found.kind, document.metadata.name.as_str()))
            .is_some_and(|f| std::ptr::eq(*f, found))
        {
            place(&mut self.set).insert(document.metadata.name, document.spec);
        }
        Ok(errors)
    }

    fn policy(&self, policy: &PolicySpec) -> Vec<FieldError> {
        let mut errors = policy.check();
        for (index, name) in policy.locations.iter().enumerate() {
            let at = format!("/locations/{index}");
            match self.spec_of("BackupLocation", name) {
                None => errors.push(self.absent(&at, "BackupLocation", name)),
                Some(spec) if spec["accessMode"] == format!("{:?}", AccessMode::ReadOnly) => {
                    let message = format!("the location `{name}` is ReadOnly: no backup can go there");
                    errors.push(FieldError::new(at, message));
                }
                Some(_) => {}
            }
        }
        errors.extend(self.hooks(&policy.hooks, BACKUP));
        errors
    }

    #[expect(clippy::unused_self, reason = "one of the checks that `typed` takes")]
    fn location(&self, location: &LocationSpec) -> Vec<FieldError> {
        let mut errors = location.check();
        for (index, text) in location.recipients.iter().enumerate() {
            if let Err(error) = Recipients::parse(std::slice::from_ref(text)) {
                errors.push(FieldError::new(format!("/recipients/{index}"), error));
            }
        }
        errors
    }

    fn restore(&self, restore: &RestoreSpec) -> Vec<FieldError> {
        let mut errors = restore.check();
        let from = &restore.from;
        let spec = self.spec_of("BackupLocation", &from.location);
        match spec {
            None => errors.push(self.absent("/from/location", "BackupLocation", &from.location)),
            Some(spec) if from.commit.is_some() && spec["mirror"].is_null() => {
                let message =
                    format!("the location `{}` is an archive: it has snapshots, no commits", from.location);
                errors.push(FieldError::new("/from/commit", message));
            }
            Some(_) => {}
        }
        errors.extend(self.hooks(&restore.hooks, RESTORE));
        errors
    }

    /// What is wrong with how templates are used, those of the repository and the built-in ones.
    fn hooks(&self, hooks: &[HookUse], around: [HookWhen; 2]) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, hook) in hooks.iter().enumerate() {
            let Some(name) = &hook.template else { continue };
            let at = format!("/hooks/{index}");
            let own = self.spec_of("HookTemplate", name);
            // One that cannot be read has an error of its own.
            let own = own.map(|spec| serde_json::from_value::<HookTemplateSpec>(spec.clone()).ok());
            let Some(found) = own.or_else(|| hook_library::all().get(name).cloned().map(Some)) else {
                errors.push(self.absent_template(&(at + "/template"), name));
                continue;
            };
            let Some(template) = found else { continue };
            let late = out_of_place(template.hook.when, around);
            errors.extend(late.map(|message| FieldError::new(format!("{at}/template"), message)));
            errors.extend(hook.check_template(&template).into_iter().map(|error| error.under(&at)));
        }
        errors
    }

    fn absent_template(&self, pointer: &str, name: &str) -> FieldError {
        let error = self.absent(pointer, "HookTemplate", name);
        match closest(name, hook_library::all().keys().map(String::as_str)) {
            Some(near) if error.help.is_none() => error.help(format!("did you mean the built-in `{near}`?")),
            _ => error,
        }
    }

    /// The catalogs are checked together with the built-in one, which they add to, and requests against all of it.
    fn catalogs(&mut self, all: &[Found]) {
        let errors = match Catalog::with(&self.set.catalogs) {
            Ok(catalog) => return self.waves(&catalog),
            Err(errors) => errors,
        };
        for error in errors {
            let (name, field) = error.pointer.split_once('/').unwrap_or((&error.pointer, ""));
            let of = |found: &&Found| found.kind == "Catalog" && name_in(found) == Some(name);
            let Some(found) = all.iter().find(of) else { continue };
            let pointer = format!("/spec/{field}");
            self.problems.push(found.problem(FieldError { pointer, ..error.clone() }, false));
        }
    }

    /// Requests name waves of the catalog only.
    fn waves(&mut self, catalog: &Catalog) {
        let names: Vec<&str> = catalog.waves().iter().map(|wave| wave.name.as_str()).collect();
        for (name, restore) in &self.set.restores {
            let Some(found) = self.known.get(&("RestoreRequest", name.as_str())) else { continue };
            let errors = restore.check_waves(&names);
            self.problems.extend(errors.into_iter().map(|error| found.problem(error.under("/spec"), false)));
        }
    }

    fn spec_of(&self, kind: &'a str, name: &str) -> Option<&'a Json> {
        let found = self.known.iter().find(|((k, n), _)| *k == kind && *n == name);
        found.map(|(_, found)| &found.tree["spec"])
    }

    fn absent(&self, pointer: &str, kind: &str, name: &str) -> FieldError {
        let names: Vec<&str> = self.known.keys().filter(|(k, _)| *k == kind).map(|(_, name)| *name).collect();
        let error = FieldError::new(pointer, format!("there is no {kind} `{name}`"));
        match closest(name, names.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if names.is_empty() => error.help(format!("add a document of kind {kind}")),
            None => error.help(format!("there are: {}", names.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests;
