//! Keeps the objects of the memory cluster and counts resource versions.
//!
//! In: objects by place · Out: objects by place, kind or uid · Touches: nothing

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::domain::object::Json;

/// Where an object is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// [`super::kinds::Kind::storage`].
    pub storage: String,
    /// Namespace, `""` for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Slot {
    /// Storage, namespace (`""` for none) and name.
    pub fn new(storage: &str, namespace: &str, name: &str) -> Self {
        Self { storage: storage.into(), namespace: namespace.into(), name: name.into() }
    }
}

/// All objects. An object changes only by being put again, which gives it a new resource version.
#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<Slot, Arc<Json>>,
    by_uid: HashMap<String, Slot>,
    owned: BTreeSet<Slot>,
    version: u64,
    drawn: u64,
    changed: bool,
}

impl Store {
    /// The object.
    pub fn get(&self, slot: &Slot) -> Option<&Arc<Json>> {
        self.objects.get(slot)
    }

    /// Objects of one kind, by namespace and name.
    pub fn of(&self, storage: &str) -> impl Iterator<Item = (&Slot, &Arc<Json>)> {
        let from = Slot::new(storage, "", "");
        self.objects
            .range((Bound::Included(from), Bound::Unbounded))
            .take_while(move |(s, _)| s.storage == storage)
    }

    /// Objects of one kind in one namespace, by name.
    pub fn within(&self, storage: &str, namespace: &str) -> impl Iterator<Item = (&Slot, &Arc<Json>)> {
        let from = Slot::new(storage, namespace, "");
        let here = move |s: &Slot| s.storage == storage && s.namespace == namespace;
        self.objects.range((Bound::Included(from), Bound::Unbounded)).take_while(move |(s, _)| here(s))
    }

    /// Everything, by kind, namespace and name.
    pub fn all(&self) -> impl Iterator<Item = (&Slot, &Arc<Json>)> {
        self.objects.iter()
    }

    /// Places of objects with owner references.
    pub fn owned(&self) -> impl Iterator<Item = &Slot> {
        self.owned.iter()
    }

    /// The object with this uid.
    pub fn by_uid(&self, uid: &str) -> Option<(&Slot, &Arc<Json>)> {
        self.objects.get_key_value(self.by_uid.get(uid)?)
    }

    /// Keeps an object under a new resource version and gives it back.
    pub fn put(&mut self, slot: Slot, mut object: Json) -> Arc<Json> {
        self.version += 1;
        self.changed = true;
        object["metadata"]["resourceVersion"] = Json::from(self.version.to_string());
        if let Some(uid) = object.pointer("/metadata/uid").and_then(Json::as_str) {
            self.by_uid.insert(uid.to_owned(), slot.clone());
        }
        if object.pointer("/metadata/ownerReferences").is_some() {
            self.owned.insert(slot.clone());
        } else {
            self.owned.remove(&slot);
        }
        let object = Arc::new(object);
        self.objects.insert(slot, Arc::clone(&object));
        object
    }

    /// Forgets an object.
    pub fn remove(&mut self, slot: &Slot) {
        if let Some(object) = self.objects.remove(slot) {
            self.version += 1;
            self.changed = true;
            self.owned.remove(slot);
            if let Some(uid) = object.pointer("/metadata/uid").and_then(Json::as_str) {
                self.by_uid.remove(uid);
            }
        }
    }

    /// The newest resource version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether anything has changed since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// A number that was not drawn before.
    pub fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    /// A uid that was not drawn before.
    pub fn draw_uid(&mut self) -> String {
        let number = self.draw();
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{:08x}-{:04x}-4000-8000-{:012x}", mixed >> 32, mixed & 0xffff, number)
    }
}
