//! Makes of an object what is stored of it: full-fidelity JSON for the archive, a reviewable manifest for the mirror.
//!
//! In: `Collected`, `Sanitizer` · Out: `Clean` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use super::rewrite::{Surroundings, rewrite};
use crate::domain::ignore::{KindFilter, MirrorFilter};
use crate::domain::object::{Json, Manifest, ObjectKey, Owner, Resource};
use crate::domain::rule::Edit;
use crate::domain::rules::{Catalog, KindRules};
use crate::engine::gather::collect::Collected;
use crate::engine::hooks::replicas;

/// What is known and wanted when objects are cleaned.
#[derive(Clone, Debug)]
pub struct Sanitizer {
    /// What is known about kinds.
    pub catalog: Arc<Catalog>,
    /// What the policy leaves out of its mirror.
    pub filter: MirrorFilter,
    /// Which forms are made.
    pub wants: Wants,
}

/// Which forms of an object are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The archive's.
    Archive,
    /// The mirror's.
    Mirror,
    /// Both.
    Both,
}

/// Objects of one kind, ready to be encrypted and stored.
#[derive(Debug)]
pub struct Clean {
    resource: Arc<Resource>,
    objects: Vec<CleanObject>,
    notes: BTreeSet<String>,
}

impl Clean {
    /// The kind of all these objects.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The objects, in the order in which they were collected.
    pub fn objects(&self) -> &[CleanObject] {
        &self.objects
    }

    /// Catalog rules that could not be evaluated, and why; each once.
    pub fn notes(&self) -> &BTreeSet<String> {
        &self.notes
    }

    /// A batch for the tests of later steps.
    #[cfg(test)]
    pub fn of(resource: Arc<Resource>, objects: Vec<CleanObject>) -> Self {
        Self { resource, objects, notes: BTreeSet::new() }
    }
}

/// One object in the forms in which it is stored.
#[derive(Debug)]
pub struct CleanObject {
    /// Identity.
    pub key: ObjectKey,
    /// Uid in the cluster it came from.
    pub uid: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its controller, if it has one.
    pub controller: Option<Owner>,
    /// The whole object as compact JSON with sorted keys; `managedFields` reduced to the names of the managers unless the
    /// catalog keeps them. Empty where no archive is wanted.
    pub archive: Vec<u8>,
    /// What a mirror shows of it.
    pub mirror: MirrorForm,
}

/// What a mirror shows of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum MirrorForm {
    /// This manifest, keys sorted. Secrets in it are not yet encrypted.
    Manifest(Manifest),
    /// Nothing, and why.
    Out(String),
}

/// Cleans a batch. Heavy on the CPU: call it on the pool. Never fails.
pub fn sanitize(batch: Collected, sanitizer: &Sanitizer) -> Clean {
    let (resource, objects) = batch.into_parts();
    let filter = sanitizer.filter.kind(&resource);
    let step = Step { rules: sanitizer.catalog.kind(&resource), filter, wants: sanitizer.wants };
    let mut notes = BTreeSet::new();
    let objects = objects.into_iter().map(|object| step.clean(object, &mut notes)).collect();
    Clean { resource, objects, notes }
}

/// The mirror form of an object of this kind, whether or not a mirror would show it: what diffs compare.
pub fn normalise(object: Manifest, rules: &KindRules<'_>) -> Manifest {
    let object = replicas::restored(object);
    let (edits, _) = rules.mirror(&object);
    mirror_form(object, &edits, &KindFilter::default())
}

/// What a mirror shows of an object of this kind when the policy has no rules of its own: what diffs compare.
pub fn mirror_view(object: Manifest, rules: &KindRules<'_>) -> MirrorForm {
    let object = replicas::restored(object);
    let controller = object.controller();
    let step = Step { rules: rules.clone(), filter: KindFilter::default(), wants: Wants::Mirror };
    step.mirror(object, controller.as_ref(), &mut BTreeSet::new())
}

struct Step<'s> {
    rules: KindRules<'s>,
    filter: KindFilter<'s>,
    wants: Wants,
}

impl Step<'_> {
    fn clean(&self, object: Manifest, notes: &mut BTreeSet<String>) -> CleanObject {
        // What a hook has scaled down is saved as it was before.
        let object = replicas::restored(object);
        let (key, controller) = (object.key(), object.controller());
        let uid = object.uid().map(Into::into);
        let labels = labels(&object);
        let (archive, object) = match self.wants {
            Wants::Mirror => (Vec::new(), object),
            Wants::Archive | Wants::Both => archive_form(object, self.rules.keep_managed_fields()),
        };
        let mirror = match self.wants {
            Wants::Archive => MirrorForm::Out("no mirror is wanted".into()),
            Wants::Mirror | Wants::Both => self.mirror(object, controller.as_ref(), notes),
        };
        CleanObject { key, uid, labels, controller, archive, mirror }
    }

    fn mirror(
        &self,
        object: Manifest,
        controller: Option<&Owner>,
        notes: &mut BTreeSet<String>,
    ) -> MirrorForm {
        if self.filter.ignored {
            return MirrorForm::Out("the policy ignores it".into());
        }
        let (edits, unclear) = self.rules.mirror(&object);
        notes.extend(unclear.into_iter().map(|u| format!("{u}: {}", u.source)));
        if !self.filter.included {
            if let Some(reason) = edits.iter().find_map(|edit| edit.skip.as_ref()) {
                return MirrorForm::Out(reason.clone());
            }
            if let Some(owner) = controller {
                return MirrorForm::Out(format!("made by {}", owner.key(object.namespace())));
            }
        }
        MirrorForm::Manifest(mirror_form(object, &edits, &self.filter))
    }
}

fn labels(object: &Manifest) -> BTreeMap<String, String> {
    let texts = object.labels().into_iter().flatten();
    texts.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The archive's bytes, and the object with its managed fields as they were.
fn archive_form(object: Manifest, keep_managed_fields: bool) -> (Vec<u8>, Manifest) {
    let mut managed = None;
    let object = changed(object, |tree| {
        if !keep_managed_fields && let Some(fields) = tree.pointer_mut("/metadata/managedFields") {
            let names = managers(fields);
            managed = Some(std::mem::replace(fields, names));
        }
    });
    let object = object.sorted();
    let bytes = object.to_bytes();
    let object = changed(object, |tree| {
        if let (Some(managed), Some(place)) = (managed, tree.pointer_mut("/metadata/managedFields")) {
            *place = managed;
        }
    });
    (bytes, object)
}

/// Who wrote the object, each manager and operation once, sorted.
fn managers(fields: &Json) -> Json {
    let text = |entry: &Json, field| entry.get(field).and_then(Json::as_str).unwrap_or_default().to_owned();
    let entries = fields.as_array().into_iter().flatten();
    let names: BTreeSet<_> = entries.map(|e| (text(e, "manager"), text(e, "operation"))).collect();
    names
        .into_iter()
        .map(|(manager, operation)| json!({"manager": manager, "operation": operation}))
        .collect()
}

fn mirror_form(object: Manifest, edits: &[&Edit], filter: &KindFilter<'_>) -> Manifest {
    changed(object, |tree| {
        // Rewriters first: some read managed fields and annotations that are dropped below.
        for rewriter in edits.iter().flat_map(|edit| &edit.rewrite) {
            rewrite(*rewriter, tree, &Surroundings::default());
        }
        for path in edits.iter().flat_map(|edit| &edit.drop).chain(filter.drop.iter().copied()) {
            path.remove(tree);
        }
    })
    .sorted()
}

fn changed(object: Manifest, change: impl FnOnce(&mut Json)) -> Manifest {
    object.edit(change).expect("field paths cannot take the identity away, and rewriters do not touch it")
}

#[cfg(test)]
mod tests;
