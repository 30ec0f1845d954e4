//! What the memory cluster does with one write: checks, defaults, owners of fields, versions, finalizers.
//!
//! In: objects and patches · Out: stored objects, or why not · Touches: nothing

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::fields::{self, Manager};
use super::kinds::{self, Kind};
use super::metadata::{content, deleting, finalizers, hold, keep_identity, put_or_remove, same, wish};
use super::store::{Slot, Store};
use super::{admit, network};
use crate::domain::fixup::Propagation;
use crate::domain::object::{Json, JsonMap, Resource};
use crate::ports::cluster::{Conflicts, Error, Mode};

/// Finalizer that holds an object until what it owns is gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer that holds a definition until its objects are gone.
pub const CUSTOM_CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The whole cluster.
#[derive(Debug)]
pub struct State {
    /// Its objects.
    pub store: Store,
    /// What it serves, built-in kinds first.
    pub kinds: Vec<Arc<Kind>>,
    /// The built-in ones.
    pub builtin: Vec<Arc<Kind>>,
    /// Those of definitions, each with the definition that it was made of.
    pub custom: BTreeMap<Slot, (Arc<Json>, Arc<Kind>)>,
    /// What it thinks the time is.
    pub now: Timestamp,
}

/// Who writes, and whether it counts.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Field manager.
    pub manager: &'a str,
    /// `""`, `"status"` or `"scale"`.
    pub subresource: &'a str,
    /// Whether it is stored.
    pub mode: Mode,
}

impl State {
    /// A cluster with nothing in it, not even namespaces.
    pub fn new(now: Timestamp) -> Self {
        let builtin: Vec<_> = kinds::builtin().into_iter().map(Arc::new).collect();
        let (kinds, custom) = (builtin.clone(), BTreeMap::new());
        Self { store: Store::default(), kinds, builtin, custom, now }
    }

    /// The present time as objects hold it.
    pub fn time(&self) -> String {
        self.now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The kind, if it is served in this version.
    pub fn kind(&self, resource: &Resource) -> Result<Arc<Kind>, Error> {
        let served = self.kinds.iter().find(|k| {
            k.resource.gvk.group == resource.gvk.group
                && k.resource.plural == resource.plural
                && k.resource.served.contains(&resource.gvk.version)
        });
        let missing = || {
            Error::NotFound(format!(
                "the server does not serve {} {}",
                resource.gvk.api_version(),
                resource.plural
            ))
        };
        served.cloned().ok_or_else(missing)
    }

    /// The served kind of this name.
    pub fn kind_named(&self, group: &str, kind: &str) -> Option<Arc<Kind>> {
        self.kinds.iter().find(|k| k.resource.gvk.group == group && k.resource.gvk.kind == kind).cloned()
    }

    /// The served kind kept under this name.
    pub fn stored(&self, storage: &str) -> Option<Arc<Kind>> {
        self.kinds.iter().find(|k| k.storage == storage).cloned()
    }

    /// Creates an object.
    pub fn create(&mut self, kind: &Kind, object: Json, by: By<'_>) -> Result<Json, Error> {
        if object.pointer("/metadata/resourceVersion").is_some() {
            let text = "resourceVersion should not be set on objects to be created";
            return Err(Error::Invalid(text.into()));
        }
        let slot = self.place(kind, &object)?;
        let object = declared(kind, object)?;
        if self.store.get(&slot).is_some() {
            return Err(Error::AlreadyExists);
        }
        let mut object = self.fresh(kind, object);
        let who = self.manager(by, &object);
        fields::record(None, &mut object, who.borrow());
        self.finish_create(kind, slot, object, by.mode)
    }

    /// Server-side apply.
    pub fn apply(
        &mut self,
        kind: &Kind,
        wanted: Json,
        conflicts: Conflicts,
        by: By<'_>,
    ) -> Result<Json, Error> {
        if wanted.pointer("/metadata/managedFields").is_some_and(|m| !m.is_null()) {
            return Err(Error::Invalid("metadata.managedFields must be nil".into()));
        }
        let slot = self.place(kind, &wanted)?;
        let mut wanted = declared(kind, wanted)?;
        if kind.status {
            put_or_remove(&mut wanted, "status", None);
        }
        let who = self.manager(by, &wanted);
        let force = conflicts == Conflicts::Force;
        let conflict = |text: Vec<String>| Error::Conflict(text.join("; "));
        match self.store.get(&slot).cloned() {
            None => {
                let base = self.fresh(kind, wanted.clone());
                let empty = serde_json::json!({"metadata": base["metadata"]});
                let owners = fields::apply(&empty, &wanted, who.borrow(), force).map_err(conflict)?;
                let mut object = base;
                object["metadata"]["managedFields"] = owners["metadata"]["managedFields"].clone();
                self.finish_create(kind, slot, object, by.mode)
            }
            Some(live) => {
                same(&live, &wanted, "uid")?;
                same(&live, &wanted, "resourceVersion")?;
                let merged = fields::apply(&live, &wanted, who.borrow(), force).map_err(conflict)?;
                self.finish_change(kind, slot, merged, by.mode)
            }
        }
    }

    /// Replaces an object by a changed copy; what the subresource does not cover stays as it was.
    pub fn replace(&mut self, kind: &Kind, slot: Slot, after: Json, by: By<'_>) -> Result<Json, Error> {
        let before = self.live(&slot)?;
        same(&before, &after, "uid")?;
        same(&before, &after, "resourceVersion")?;
        let mut after = declared(kind, after)?;
        match (by.subresource, kind.status) {
            ("status", _) => {
                let status = after.get("status").cloned();
                let managed = after["metadata"]["managedFields"].clone();
                after = (*before).clone();
                put_or_remove(&mut after, "status", status);
                after["metadata"]["managedFields"] = managed;
            }
            (_, true) => put_or_remove(&mut after, "status", before.get("status").cloned()),
            (_, false) => {}
        }
        let who = self.manager(by, &after);
        fields::record(Some(&before), &mut after, who.borrow());
        self.finish_change(kind, slot, after, by.mode)
    }

    /// Starts to delete an object; it is gone when nothing holds it.
    pub fn delete(&mut self, slot: &Slot, propagation: Propagation) -> Result<(), Error> {
        let live = self.live(slot)?;
        if deleting(&live) {
            return Ok(());
        }
        let mut object = (*live).clone();
        match propagation {
            Propagation::Background => {}
            Propagation::Foreground => hold(&mut object, FOREGROUND),
            Propagation::Orphan => self.orphan(&object),
        }
        if slot.storage == "customresourcedefinitions.apiextensions.k8s.io" {
            hold(&mut object, CUSTOM_CLEANUP);
        }
        let namespace = slot.storage == "namespaces";
        if !namespace && finalizers(&object).is_empty() {
            self.store.remove(slot);
            return Ok(());
        }
        object["metadata"]["deletionTimestamp"] = self.time().into();
        if namespace {
            object["status"]["phase"] = "Terminating".into();
        } else {
            object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        }
        self.store.put(slot.clone(), object);
        Ok(())
    }

    /// The object at a place.
    pub fn live(&self, slot: &Slot) -> Result<Arc<Json>, Error> {
        let missing = || Error::NotFound(format!("{} \"{}\" not found", slot.storage, slot.name));
        self.store.get(slot).cloned().ok_or_else(missing)
    }

    fn place(&self, kind: &Kind, object: &Json) -> Result<Slot, Error> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let name = text("/metadata/name");
        admit::check_name(kind, name).map_err(Error::Invalid)?;
        let namespace = text("/metadata/namespace");
        if !kind.resource.namespaced {
            return match namespace {
                "" => Ok(Slot::new(&kind.storage, "", name)),
                _ => Err(Error::Invalid("metadata.namespace: the kind is cluster-scoped".into())),
            };
        }
        if namespace.is_empty() {
            return Err(Error::Invalid("metadata.namespace: Required value".into()));
        }
        let home = self.live(&Slot::new("namespaces", "", namespace))?;
        let slot = Slot::new(&kind.storage, namespace, name);
        if deleting(&home) && self.store.get(&slot).is_none() {
            return Err(Error::Forbidden(format!("namespace {namespace} is being terminated")));
        }
        Ok(slot)
    }

    fn fresh(&mut self, kind: &Kind, mut object: Json) -> Json {
        if kind.status {
            put_or_remove(&mut object, "status", None);
        }
        let uid = self.store.draw_uid();
        let time = self.time();
        if let Some(Json::Object(metadata)) = object.get_mut("metadata") {
            for field in
                ["selfLink", "managedFields", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"]
            {
                metadata.shift_remove(field);
            }
            metadata.insert("uid".into(), uid.into());
            metadata.insert("creationTimestamp".into(), time.into());
            if counts_generations(kind) {
                metadata.insert("generation".into(), 1.into());
            }
        }
        object
    }

    fn finish_create(
        &mut self,
        kind: &Kind,
        slot: Slot,
        mut object: Json,
        mode: Mode,
    ) -> Result<Json, Error> {
        admit::complete(kind, &mut object);
        if let Some(finalizer) = admit::protection(kind) {
            hold(&mut object, finalizer);
        }
        structural(kind, &mut object);
        check(kind, &object)?;
        network::allocate(&self.store, &slot, &mut object).map_err(Error::Invalid)?;
        match mode {
            Mode::DryRun => Ok(object),
            Mode::Real => Ok((*self.store.put(slot, object)).clone()),
        }
    }

    fn finish_change(&mut self, kind: &Kind, slot: Slot, mut after: Json, mode: Mode) -> Result<Json, Error> {
        let before = self.live(&slot)?;
        keep_identity(&before, &mut after)?;
        admit::complete(kind, &mut after);
        structural(kind, &mut after);
        check(kind, &after)?;
        admit::check_change(kind, &before, &after).map_err(Error::Invalid)?;
        network::allocate(&self.store, &slot, &mut after).map_err(Error::Invalid)?;
        if content(&before) == content(&after) {
            return Ok((*before).clone());
        }
        if counts_generations(kind) && wish(&before) != wish(&after) {
            let generation = before.pointer("/metadata/generation").and_then(Json::as_u64).unwrap_or(1);
            after["metadata"]["generation"] = (generation + 1).into();
        }
        if mode == Mode::DryRun {
            return Ok(after);
        }
        if deleting(&before) && finalizers(&after).is_empty() && slot.storage != "namespaces" {
            self.store.remove(&slot);
            return Ok(after);
        }
        Ok((*self.store.put(slot, after)).clone())
    }

    fn orphan(&mut self, owner: &Json) {
        let uid = owner.pointer("/metadata/uid").cloned();
        let slots: Vec<Slot> = self.store.owned().cloned().collect();
        for slot in slots {
            let Some(child) = self.store.get(&slot).cloned() else { continue };
            let mut child = (*child).clone();
            if let Some(Json::Array(owners)) = child.pointer_mut("/metadata/ownerReferences") {
                let count = owners.len();
                owners.retain(|o| o.get("uid") != uid.as_ref());
                if owners.len() < count {
                    if owners.is_empty() {
                        put_or_remove(&mut child["metadata"], "ownerReferences", None);
                    }
                    self.store.put(slot, child);
                }
            }
        }
    }

    fn manager<'a>(&self, by: By<'a>, object: &Json) -> Writing<'a> {
        let version = object.get("apiVersion").and_then(Json::as_str).unwrap_or_default().to_owned();
        Writing { by, version, time: self.time() }
    }
}

struct Writing<'a> {
    by: By<'a>,
    version: String,
    time: String,
}

impl Writing<'_> {
    fn borrow(&self) -> Manager<'_> {
        Manager {
            name: self.by.manager,
            version: &self.version,
            subresource: self.by.subresource,
            time: &self.time,
        }
    }
}

fn counts_generations(kind: &Kind) -> bool {
    let custom = kind.schemas.iter().any(Option::is_some);
    custom
        || (!kind.resource.gvk.group.is_empty() && !kind.storage.starts_with("leases."))
        || kind.storage == "pods"
}

fn check(kind: &Kind, object: &Json) -> Result<(), Error> {
    admit::check(kind, object).map_err(Error::Invalid)?;
    let errors = schema(kind, object).map(|s| admit::schema_errors(object, s)).unwrap_or_default();
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors.join("; "))) }
}

fn schema<'a>(kind: &'a Kind, object: &Json) -> Option<&'a Json> {
    let (_, version) = object.get("apiVersion")?.as_str()?.rsplit_once('/')?;
    let position = kind.resource.served.iter().position(|v| v == version)?;
    kind.schemas.get(position)?.as_deref()
}

fn structural(kind: &Kind, object: &mut Json) {
    let Some(schema) = schema(kind, object).cloned() else { return };
    let mut content = object.clone();
    let identity: JsonMap = ["apiVersion", "kind", "metadata"]
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), content.as_object_mut()?.shift_remove(field)?)))
        .collect();
    admit::prune(&mut content, &schema);
    let mut whole = identity;
    whole.extend(content.as_object().cloned().unwrap_or_default());
    *object = Json::Object(whole);
}

/// Refuses fields that are not in the schema, as strict validation does; for built-in kinds, of a few.
fn declared(kind: &Kind, wanted: Json) -> Result<Json, Error> {
    let known: &[&str] = match kind.storage.as_str() {
        "configmaps" => &["data", "binaryData", "immutable"],
        "secrets" => &["data", "stringData", "immutable", "type"],
        "namespaces" => &["spec", "status"],
        _ => &[],
    };
    let mut pruned = wanted.clone();
    structural(kind, &mut pruned);
    let always = ["apiVersion", "kind", "metadata"];
    let mut stray = wanted.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let stray = stray.find(|key| !known.is_empty() && !known.contains(key) && !always.contains(key));
    match stray {
        Some(key) => Err(Error::Invalid(format!(".{key}: field not declared in schema"))),
        None => match lost(&wanted, &pruned) {
            Some(path) => Err(Error::Invalid(format!("{path}: field not declared in schema"))),
            None => Ok(wanted),
        },
    }
}

/// The path of the first field that the other tree lacks.
fn lost(wanted: &Json, pruned: &Json) -> Option<String> {
    match (wanted, pruned) {
        (Json::Object(all), Json::Object(some)) => all.iter().find_map(|(key, child)| {
            let rest = some.get(key).map_or(Some(String::new()), |other| lost(child, other))?;
            Some(format!(".{key}{rest}"))
        }),
        (Json::Array(all), Json::Array(some)) => {
            all.iter().zip(some).enumerate().find_map(|(i, (a, b))| Some(format!("[{i}]{}", lost(a, b)?)))
        }
        _ => None,
    }
}
