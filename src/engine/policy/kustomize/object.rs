//! An object on its way through a kustomization: what it is, and what it was called before.
//!
//! In: `Node` · Out: `Object`, `Id`, `Pile` · Touches: nothing

use std::collections::HashSet;

use crate::domain::object::Gvk;
use crate::engine::policy::node::{Content, Fault, Node, Place};

use super::facts::is_cluster_scoped;

/// The namespace of objects that have none.
const NOWHERE: &str = "_non_namespaceable_";

/// What an object is called, or was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// Its kind.
    pub gvk: Gvk,
    /// Its name.
    pub name: String,
    /// Its namespace: `default` where none is written.
    pub namespace: String,
}

impl Id {
    /// For people.
    pub fn shown(&self) -> String {
        match self.namespace.as_str() {
            NOWHERE | "default" => format!("{} {}", self.gvk, self.name),
            namespace => format!("{} {namespace}/{}", self.gvk, self.name),
        }
    }
}

/// A kind, name and namespace of the past.
#[derive(Clone, Debug)]
struct Past {
    kind: String,
    name: String,
    namespace: String,
}

/// An object and its past.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object.
    pub node: Node,
    past: Vec<Past>,
    /// Prefixes its name got, the innermost first.
    pub prefixes: Vec<String>,
    /// Suffixes its name got.
    pub suffixes: Vec<String>,
    /// Whether its name ends with a hash of its content.
    pub hashed: bool,
}

impl Object {
    /// Takes a document, which must have a kind and a name.
    pub fn new(node: Node) -> Result<Self, Fault> {
        let object =
            Self { node, past: Vec::new(), prefixes: Vec::new(), suffixes: Vec::new(), hashed: false };
        let place = object.node.place;
        if !matches!(object.node.content, Content::Map(_)) {
            return Err(Fault::new(place, "the document is no object: it is not a mapping"));
        }
        if object.kind().is_empty() {
            return Err(Fault::new(place, "the document is no object: the field `kind` is missing"));
        }
        if object.name().is_empty() && !object.kind().ends_with("List") {
            let at = object.node.field("metadata").map_or(place, |field| field.place);
            return Err(Fault::new(at, "the object has no name: the field `metadata.name` is missing"));
        }
        Ok(object)
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk::new(self.node.text("apiVersion").unwrap_or_default(), self.kind())
    }

    /// Its kind; empty where none is written.
    pub fn kind(&self) -> &str {
        self.node.text("kind").unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.meta("name")
    }

    /// Its namespace; empty where none is written.
    pub fn namespace(&self) -> String {
        self.meta("namespace")
    }

    fn meta(&self, field: &str) -> String {
        let found = self.node.find(&["metadata", field]).filter(|node| !node.is_null());
        found.and_then(Node::plain).unwrap_or_default()
    }

    /// Its labels or annotations as texts.
    pub fn marks(&self, field: &str) -> Vec<(String, String)> {
        let map = self.node.find(&["metadata", field]).map_or(&[][..], Node::fields);
        map.iter().filter_map(|field| Some((field.key.clone(), field.value.plain()?))).collect()
    }

    /// What it is called now.
    pub fn id(&self) -> Id {
        let gvk = self.gvk();
        let namespace = match self.namespace() {
            _ if is_cluster_scoped(&gvk) => NOWHERE.into(),
            empty if empty.is_empty() => "default".into(),
            named => named,
        };
        Id { gvk, name: self.name(), namespace }
    }

    /// What it was called, the oldest first.
    pub fn past(&self) -> Vec<Id> {
        let gvk = self.gvk();
        let id = |past: &Past| Id {
            gvk: Gvk { kind: past.kind.clone(), ..gvk.clone() },
            name: past.name.clone(),
            namespace: past.namespace.clone(),
        };
        self.past.iter().map(id).collect()
    }

    /// What it was called in its file.
    pub fn origin(&self) -> Id {
        self.past().into_iter().next().unwrap_or_else(|| self.id())
    }

    /// Whether it is or was called so.
    pub fn answers(&self, id: &Id) -> bool {
        !self.is_gone() && (self.id() == *id || self.past().contains(id))
    }

    /// Whether a patch has deleted it.
    pub fn is_gone(&self) -> bool {
        matches!(self.node.content, Content::Empty)
    }

    /// Remembers what it is called, because that is about to change.
    pub fn remember(&mut self) {
        let Id { gvk, name, namespace } = self.id();
        self.past.push(Past { kind: gvk.kind, name, namespace });
    }

    /// Takes over name, namespace and past of another object.
    pub fn succeed(&mut self, other: &Object) {
        self.past.clone_from(&other.past);
        self.prefixes.clone_from(&other.prefixes);
        self.suffixes.clone_from(&other.suffixes);
        self.restore("name", other.node.find(&["metadata", "name"]).cloned());
        self.restore("namespace", other.node.find(&["metadata", "namespace"]).cloned());
    }

    /// Puts a field of the metadata back to what it was, or takes it away.
    pub fn restore(&mut self, field: &str, value: Option<Node>) {
        if value.is_some() && self.node.get("metadata").is_none_or(Node::is_null) {
            self.node.set("metadata", Node::map(self.node.place));
        }
        let Some(metadata) = self.node.get_mut("metadata") else { return };
        match value {
            Some(value) => metadata.set(field, value),
            None => drop(metadata.remove(field)),
        }
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: &str, place: Place) {
        self.restore("name", Some(Node::scalar(name, place)));
    }
}

/// Objects in order, no two with the same name.
#[derive(Debug, Default)]
pub struct Pile {
    /// The objects.
    pub objects: Vec<Object>,
    ids: HashSet<Id>,
}

impl Pile {
    /// Adds an object.
    pub fn append(&mut self, object: Object) -> Result<(), Fault> {
        let id = object.id();
        if self.ids.contains(&id) {
            let place = object.node.value_at("/metadata/name");
            return Err(Fault::new(
                place,
                format!("there is a {} already in this kustomization", id.shown()),
            ));
        }
        self.ids.insert(id);
        self.objects.push(object);
        Ok(())
    }

    /// Adds all objects of another pile.
    pub fn absorb(&mut self, other: Pile) -> Result<(), Fault> {
        other.objects.into_iter().try_for_each(|object| self.append(object))
    }

    /// Drops what was deleted, and checks the names again after a step that may have changed them.
    pub fn settle(&mut self) -> Result<(), Fault> {
        let objects = std::mem::take(self).objects;
        objects.into_iter().filter(|object| !object.is_gone()).try_for_each(|object| self.append(object))
    }
}
