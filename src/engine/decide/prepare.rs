//! Makes of a saved object what a restore sends to the API server.
//!
//! In: a saved object, `KindRules`, `Destination` · Out: `Preparation` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use super::hold::{self, Hold};
use super::init::{self, Inits};
use crate::domain::object::{Json, Malformed, Manifest, OwnerReference};
use crate::domain::owners::Owners;
use crate::domain::path::FieldPath;
use crate::domain::rule::{Edit, Unclear};
use crate::domain::rules::KindRules;
use crate::domain::transform::{self, Transform};
use crate::engine::clean::rewrite::{Surroundings, Volume, rewrite};

/// Where objects go.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Whether it is the cluster they were saved from.
    pub cluster: Cluster,
    /// New names.
    pub mapping: &'a Mapping,
    /// What happens to marks of who manages the objects.
    pub owners: Option<Owners>,
    /// Changes that a person wants made, in this order.
    pub transforms: &'a [Transform],
    /// What hooks put in front of pods.
    pub inits: &'a Inits,
    /// Persistent volumes that the restore brings back or the cluster has. Claims of others get new volumes.
    pub volumes: &'a BTreeMap<String, Volume>,
}

/// New names by the old ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Of namespaces.
    pub namespaces: BTreeMap<String, String>,
    /// Of storage classes.
    pub storage_classes: BTreeMap<String, String>,
    /// Of images, or of what they begin with.
    pub images: BTreeMap<String, String>,
}

impl Mapping {
    /// The image's new name and the old beginning, if it gets one; the longest beginning counts.
    pub fn image(&self, old: &str) -> Option<(&str, String)> {
        let fits = |key: &str| {
            let rest = old.strip_prefix(key)?;
            (rest.is_empty() || key.ends_with('/') || rest.starts_with(['/', ':', '@'])).then_some(rest)
        };
        let found = self.images.iter().filter_map(|(key, new)| Some((key, new, fits(key)?)));
        let longest = found.max_by_key(|(key, _, _)| key.len());
        longest.map(|(key, new, rest)| (key.as_str(), format!("{new}{rest}")))
    }
}

/// A name of a mapping that stood in an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mapped {
    /// Of a storage class.
    StorageClass(String),
    /// Of an image, or its beginning.
    Image(String),
}

/// Whether a restore goes home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// Into the cluster the objects were saved from.
    Same,
    /// Into another one, or nobody knows.
    Other,
}

/// What is done with a saved object.
#[derive(Clone, Debug, PartialEq)]
pub enum Preparation {
    /// It is sent.
    Send(Prepared),
    /// It is left out, and why.
    Leave(String),
}

/// An object as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    manifest: Manifest,
    merge_existing: bool,
    never_recreate: Option<String>,
    owners: Vec<OwnerReference>,
    finalizers: Vec<String>,
    mapped: BTreeSet<Mapped>,
    inits: Vec<String>,
    notes: Vec<String>,
}

impl Prepared {
    /// The object, keys sorted, under its new namespace.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Gives the object away.
    pub fn into_manifest(self) -> Manifest {
        self.manifest
    }

    /// Its owners as they were saved; the object itself names none, because their uids are of the past.
    pub fn owners(&self) -> &[OwnerReference] {
        &self.owners
    }

    /// The finalizers that were left out of it, but for those that every object of its kind gets.
    pub fn finalizers(&self) -> &[String] {
        &self.finalizers
    }

    /// Old names of mappings that stood in it.
    pub fn mapped(&self) -> &BTreeSet<Mapped> {
        &self.mapped
    }

    /// Names of hooks whose init containers it got.
    pub fn inits(&self) -> &[String] {
        &self.inits
    }

    /// The object with these owner references.
    #[must_use]
    pub fn owned(mut self, references: Vec<Json>) -> Self {
        if !references.is_empty() {
            self.manifest = self.manifest.owned_by(references).sorted();
        }
        self
    }

    /// The object after a last change.
    ///
    /// # Errors
    /// Those of the change.
    pub fn changed<E>(self, change: impl FnOnce(Manifest) -> Result<Manifest, E>) -> Result<Self, E> {
        let manifest = change(self.manifest)?;
        Ok(Self { manifest, ..self })
    }

    /// The object as it is sent while the restore runs, if it is an owner that is kept quiet.
    #[must_use]
    pub fn held_by(mut self, hold: Option<&Hold>) -> Self {
        if let Some(hold) = hold {
            self.manifest = hold.keep(self.manifest);
        }
        self
    }

    /// Whether it is added to an object that exists, even under `existing: Skip`: the cluster makes such objects by itself.
    pub fn merges_into_existing(&self) -> bool {
        self.merge_existing
    }

    /// Why an object that exists is never deleted to make way for it.
    pub fn never_recreated(&self) -> Option<&str> {
        self.never_recreate.as_deref()
    }

    /// What was left out of it that the reader should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Why an object cannot be prepared. It must not be restored in another form.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A catalog rule has no answer for it.
    #[error("cannot decide how the object is restored")]
    Rule(#[from] Unclear),
    /// A transform of the request does not fit.
    #[error(transparent)]
    Transform(#[from] transform::Error),
    /// A pod asks for a hook in a way that is not understood.
    #[error("cannot use the hook that the pod asks for: {0}")]
    Init(String),
    /// The changes left no object behind.
    #[error("cannot use the object after the changes of the catalog")]
    Malformed(#[from] Malformed),
}

/// Prepares an object of the rules' kind. Pure; nothing is kept between calls.
///
/// Rules and conditions see the object as it was saved, an owner that was paused then as it was before. Rewriters come first, then what is dropped, what makes sense only
/// at home, what is set, new names, and transforms last. Never typed: fields this program does not know stay.
///
/// # Errors
/// [`Error`] where a rule has no answer, or a transform does not fit.
pub fn prepare(object: Manifest, rules: &KindRules<'_>, to: &Destination<'_>) -> Result<Preparation, Error> {
    if let Some(reason) = rules.never_listed().or_else(|| rules.never(&object)) {
        return Ok(Preparation::Leave(reason.into()));
    }
    let object = match rules.tool().and_then(|tool| tool.suspend.as_ref()) {
        Some(suspend) => hold::awake(object, suspend),
        None => object,
    };
    let edits = rules.restore(&object)?;
    if let Some(reason) = edits.iter().find_map(|edit| edit.skip.as_ref()) {
        return Ok(Preparation::Leave(reason.clone()));
    }
    let owners = object.owners();
    let mut finalizers = object.finalizers();
    finalizers.retain(|finalizer| !is_common(finalizer));
    let merge_existing = edits.iter().rev().find_map(|edit| edit.merge_existing).unwrap_or_default();
    let never_recreate = edits.iter().rev().find_map(|edit| edit.never_recreate.clone());
    let is_namespace = object.gvk().group.is_empty() && object.kind() == "Namespace";
    let mut transforms = Vec::new();
    for transform in to.transforms {
        if transform.counts(rules.resource(), &object)? {
            transforms.push(transform);
        }
    }
    let stripped = stripped(&object, rules, to.owners);
    let mut mapped = BTreeSet::new();
    let mut manifest = object.edit(|tree| {
        change(tree, &edits, to, is_namespace);
        mapped = map(tree, &edits, to.mapping);
        for path in stripped {
            path.remove(tree);
        }
    })?;
    for transform in transforms {
        manifest = transform.change(manifest)?;
    }
    let is_pod = manifest.gvk().group.is_empty() && manifest.kind() == "Pod";
    let mut inits = Vec::new();
    if is_pod {
        let (names, containers): (Vec<_>, Vec<_>) =
            to.inits.of(&manifest).map_err(Error::Init)?.into_iter().unzip();
        if !names.is_empty() {
            manifest = manifest.edit(|tree| init::put(tree, &containers.concat()))?;
        }
        inits = names;
    }
    let manifest = manifest.sorted();
    let kept = manifest.finalizers();
    finalizers.retain(|finalizer| !kept.contains(finalizer));
    let mut notes = notes(&finalizers);
    notes.extend(inits.iter().map(|hook| format!("init containers of hook {hook} run first")));
    Ok(Preparation::Send(Prepared {
        manifest,
        merge_existing,
        never_recreate,
        owners,
        finalizers,
        mapped,
        inits,
        notes,
    }))
}

fn change(tree: &mut Json, edits: &[&Edit], to: &Destination<'_>, is_namespace: bool) {
    let around = Surroundings { namespaces: Some(&to.mapping.namespaces), volumes: Some(to.volumes) };
    for rewriter in edits.iter().flat_map(|edit| &edit.rewrite) {
        rewrite(*rewriter, tree, &around);
    }
    for path in edits.iter().flat_map(|edit| &edit.drop) {
        path.remove(tree);
    }
    // The API server refuses these whatever the catalog says.
    for field in ["managedFields", "resourceVersion", "uid"] {
        tree.get_mut("metadata").and_then(Json::as_object_mut).and_then(|map| map.shift_remove(field));
    }
    let moved = move_namespace(tree, &around, is_namespace);
    if moved || to.cluster == Cluster::Other {
        for path in edits.iter().flat_map(|edit| &edit.home_only) {
            path.remove(tree);
        }
    }
    if loses_marks(to, moved) {
        for path in edits.iter().flat_map(|edit| &edit.marks) {
            path.remove(tree);
        }
    }
    for (path, value) in edits.iter().flat_map(|edit| &edit.set) {
        path.set(tree, value);
    }
    for path in edits.iter().flat_map(|edit| &edit.namespaces) {
        path.each(tree, &mut |field| rename(field, &around));
    }
    for path in edits.iter().flat_map(|edit| &edit.namespaced_names) {
        path.each(tree, &mut |field| replace(field, |old| moved_name(old, &around)));
    }
}

/// Gives storage classes and images their new names, and says which old ones were there.
fn map(tree: &mut Json, edits: &[&Edit], mapping: &Mapping) -> BTreeSet<Mapped> {
    let mut mapped = BTreeSet::new();
    for path in edits.iter().flat_map(|edit| &edit.storage_classes) {
        path.each(tree, &mut |field| {
            replace(field, |old| {
                let new = mapping.storage_classes.get(old)?;
                mapped.insert(Mapped::StorageClass(old.to_owned()));
                Some(new.clone())
            });
        });
    }
    for path in edits.iter().flat_map(|edit| &edit.images) {
        path.each(tree, &mut |field| {
            replace(field, |old| {
                let (key, new) = mapping.image(old)?;
                mapped.insert(Mapped::Image(key.to_owned()));
                Some(new)
            });
        });
    }
    mapped
}

/// Whether an object loses the marks of who manages it.
fn loses_marks(to: &Destination<'_>, moved: bool) -> bool {
    match to.owners {
        Some(Owners::Keep) => false,
        Some(Owners::Strip) => true,
        Some(Owners::Pause) | None => moved || to.cluster == Cluster::Other,
    }
}

/// Marks of tools that go although they would stay at home.
fn stripped<'c>(object: &Manifest, rules: &KindRules<'c>, owners: Option<Owners>) -> Vec<&'c FieldPath> {
    match owners {
        Some(Owners::Strip) => rules.tools().iter().flat_map(|tool| tool.marks_of(object)).collect(),
        Some(Owners::Keep | Owners::Pause) | None => Vec::new(),
    }
}

/// Puts the object into its new namespace, or gives a namespace its new name; says whether it has one.
fn move_namespace(tree: &mut Json, around: &Surroundings<'_>, is_namespace: bool) -> bool {
    let field = if is_namespace { "/metadata/name" } else { "/metadata/namespace" };
    let Some(place) = tree.pointer_mut(field) else { return false };
    let before = place.clone();
    rename(place, around);
    *place != before
}

fn rename(field: &mut Json, around: &Surroundings<'_>) {
    replace(field, |old| around.renamed(old).map(Into::into));
}

/// `NAMESPACE/NAME` under the namespace's new name.
fn moved_name(old: &str, around: &Surroundings<'_>) -> Option<String> {
    let (namespace, name) = old.split_once('/')?;
    Some(format!("{}/{name}", around.renamed(namespace)?))
}

fn replace(field: &mut Json, new: impl FnOnce(&str) -> Option<String>) {
    if let Some(new) = field.as_str().and_then(new) {
        *field = Json::String(new);
    }
}

/// Finalizers that Kubernetes itself puts on every object of a kind; nobody misses them.
fn is_common(finalizer: &str) -> bool {
    finalizer.starts_with("kubernetes.io/")
        || ["foregroundDeletion", "orphan", "kubernetes"].contains(&finalizer)
}

/// What is left out of the object and may be missed.
fn notes(finalizers: &[String]) -> Vec<String> {
    let all = finalizers.join(", ");
    let note = format!("without its finalizers ({all}): their controllers set them again");
    (!finalizers.is_empty()).then_some(note).into_iter().collect()
}

#[cfg(test)]
mod tests;
