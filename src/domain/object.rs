//! What an object of the cluster is here: a JSON tree with an identity, and nothing a type forgot.
//!
//! In: JSON · Out: `Manifest`, `ObjectKey`, `Gvk`, `Resource` · Touches: nothing

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// Unstructured JSON. Integers stay integers and keys keep their order.
pub type Json = serde_json::Value;

/// A JSON object.
pub type JsonMap = serde_json::Map<String, Json>;

/// Group, version and kind, printed as `apps/v1 Deployment` (core: `v1 Secret`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: String,
    /// API version, such as `v1` or `v1beta1`.
    pub version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
}

impl Gvk {
    /// Takes `apps/v1` or `v1` apart.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// The `apiVersion` field: `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind)
    }
}

/// One type of object that an API server serves, in the version Backstay reads it in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Group, version and kind; the version is the server's preferred one.
    pub gvk: Gvk,
    /// Plural name in the URL, such as `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Verbs the server offers, sorted.
    pub verbs: Vec<String>,
    /// Every version the server serves it in, sorted.
    pub served: Vec<String>,
}

/// Where the objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// In namespaces.
    InNamespaces,
    /// In the cluster itself.
    InCluster,
}

impl Resource {
    /// A kind that every API server of today serves, such as `v1`, `Pod`, `pods`; its verbs are not asked for.
    pub fn well_known(api_version: &str, kind: &str, plural: &str, place: Placed) -> Self {
        let gvk = Gvk::new(api_version, kind);
        let (served, namespaced) = (vec![gvk.version.clone()], place == Placed::InNamespaces);
        Self { gvk, plural: plural.to_owned(), namespaced, verbs: Vec::new(), served }
    }

    /// The name used in patterns and archive paths: `deployments.apps`, `pods`.
    pub fn full_name(&self) -> String {
        if self.gvk.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.gvk.group)
        }
    }

    /// Whether the server serves it in this version.
    pub fn serves(&self, version: &str) -> bool {
        self.gvk.version == version || self.served.iter().any(|v| v == version)
    }

    /// Whether the server offers this verb.
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

/// Which object: group, kind, namespace and name; the version is no part of it.
///
/// Printed as `Deployment.apps shop/web`, `Secret shop/db`, `Namespace shop`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace; absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// `shop/web`, or `web` for a cluster-scoped object.
    pub fn place(&self) -> String {
        match &self.namespace {
            Some(ns) => format!("{ns}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{} {}", self.kind, self.group, self.place())
    }
}

/// Why a JSON value is not a Kubernetes object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a mapping.
    #[error("a Kubernetes object must be a mapping")]
    NotAMapping,
    /// A required field is absent or of the wrong type.
    #[error("a Kubernetes object needs the text field {0}")]
    Missing(&'static str),
}

/// One object as the API server gave it, or as it will be sent: apiVersion, kind and metadata.name are there.
///
/// `Debug` prints the identity only, because the rest may be secret.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Manifest(Json);

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({} {})", self.gvk(), self.key().place())
    }
}

impl Manifest {
    /// Accepts a mapping with text apiVersion, kind and metadata.name.
    ///
    /// # Errors
    /// Names the field that is missing; nothing of the content is repeated.
    pub fn parse(value: Json) -> Result<Self, Malformed> {
        let map = value.as_object().ok_or(Malformed::NotAMapping)?;
        for field in ["apiVersion", "kind"] {
            if map.get(field).and_then(Json::as_str).is_none_or(str::is_empty) {
                return Err(Malformed::Missing(field));
            }
        }
        let name = map.get("metadata").and_then(|m| m.get("name")).and_then(Json::as_str);
        if name.is_none_or(str::is_empty) {
            return Err(Malformed::Missing("metadata.name"));
        }
        Ok(Self(value))
    }

    /// An object of which only the identity, the labels and the controller are known, as indexes keep them.
    pub fn outline(
        gvk: &Gvk,
        key: &ObjectKey,
        labels: &BTreeMap<String, String>,
        controller: Option<&Owner>,
    ) -> Self {
        let mut metadata = json!({"name": key.name, "labels": labels});
        if let Some(namespace) = &key.namespace {
            metadata["namespace"] = json!(namespace);
        }
        if let Some(Owner { group, kind, name, uid }) = controller {
            // The version of an owner is not kept; its group is what tells owners apart.
            let owner =
                json!({"apiVersion": group, "kind": kind, "name": name, "uid": uid, "controller": true});
            metadata["ownerReferences"] = json!([owner]);
        }
        Self(json!({"apiVersion": gvk.api_version(), "kind": gvk.kind, "metadata": metadata}))
    }

    /// The whole tree.
    pub fn as_json(&self) -> &Json {
        &self.0
    }

    /// Gives the tree away.
    pub fn into_json(self) -> Json {
        self.0
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk::new(self.text("/apiVersion"), self.kind())
    }

    /// Kind, such as `Deployment`.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`; an empty one counts as absent.
    pub fn namespace(&self) -> Option<&str> {
        self.at("/metadata/namespace").and_then(Json::as_str).filter(|ns| !ns.is_empty())
    }

    /// `metadata.uid`, if the API server has given one.
    pub fn uid(&self) -> Option<&str> {
        self.at("/metadata/uid").and_then(Json::as_str)
    }

    /// The identity.
    pub fn key(&self) -> ObjectKey {
        let gvk = self.gvk();
        ObjectKey {
            group: gvk.group,
            kind: gvk.kind,
            namespace: self.namespace().map(Into::into),
            name: self.name().into(),
        }
    }

    /// The label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels()?.get(key)?.as_str()
    }

    /// `metadata.labels`.
    pub fn labels(&self) -> Option<&JsonMap> {
        self.at("/metadata/labels")?.as_object()
    }

    /// The annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations()?.get(key)?.as_str()
    }

    /// `metadata.annotations`.
    pub fn annotations(&self) -> Option<&JsonMap> {
        self.at("/metadata/annotations")?.as_object()
    }

    /// The owner reference with `controller: true`: its kind's group, kind, name and uid.
    pub fn controller(&self) -> Option<Owner> {
        let owners = self.at("/metadata/ownerReferences")?.as_array()?;
        owners.iter().find(|o| o.get("controller") == Some(&Json::Bool(true))).map(Owner::read)
    }

    /// All owner references.
    pub fn owners(&self) -> Vec<OwnerReference> {
        let owners = self.at("/metadata/ownerReferences").and_then(Json::as_array);
        let read = |tree: &Json| OwnerReference { owner: Owner::read(tree), tree: tree.clone() };
        owners.into_iter().flatten().map(read).collect()
    }

    /// `metadata.finalizers`.
    pub fn finalizers(&self) -> Vec<String> {
        let all = self.at("/metadata/finalizers").and_then(Json::as_array);
        all.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
    }

    /// The object with these owner references.
    #[must_use]
    pub fn owned_by(mut self, references: Vec<Json>) -> Self {
        if let Some(metadata) = self.0.get_mut("metadata").and_then(Json::as_object_mut) {
            metadata.insert("ownerReferences".into(), references.into());
        }
        self
    }

    /// Whether the object is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.at("/metadata/deletionTimestamp").is_some_and(|v| !v.is_null())
    }

    /// The value at a JSON pointer (RFC 6901).
    pub fn at(&self, pointer: &str) -> Option<&Json> {
        self.0.pointer(pointer)
    }

    /// Changes the tree through a function and checks that it still is an object.
    ///
    /// # Errors
    /// [`Malformed`] when the change took the identity away; the manifest is consumed then.
    pub fn edit(self, change: impl FnOnce(&mut Json)) -> Result<Self, Malformed> {
        let mut value = self.0;
        change(&mut value);
        Self::parse(value)
    }

    /// Sorts every mapping by key, so that equal objects have equal bytes.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_all_objects();
        self
    }

    /// Compact JSON of the tree in its present key order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    fn text(&self, pointer: &str) -> &str {
        self.at(pointer).and_then(Json::as_str).unwrap_or_default()
    }
}

/// The controller of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// API group of the owner; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner, in the same namespace or cluster-scoped.
    pub name: String,
    /// Uid of the owner in the cluster the object came from.
    pub uid: String,
}

impl Owner {
    fn read(reference: &Json) -> Self {
        let text = |field: &str| reference.get(field).and_then(Json::as_str).unwrap_or_default();
        let gvk = Gvk::new(text("apiVersion"), text("kind"));
        Self { group: gvk.group, kind: gvk.kind, name: text("name").into(), uid: text("uid").into() }
    }

    /// The owner's identity, if it lives in this namespace.
    pub fn key(&self, namespace: Option<&str>) -> ObjectKey {
        let Self { group, kind, name, uid: _ } = self;
        let namespace = namespace.map(Into::into);
        ObjectKey { group: group.clone(), kind: kind.clone(), namespace, name: name.clone() }
    }
}

/// One entry of `metadata.ownerReferences`, every field of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnerReference {
    owner: Owner,
    tree: Json,
}

impl OwnerReference {
    /// Whom it names.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether the owner is the controller.
    pub fn controls(&self) -> bool {
        self.tree.get("controller") == Some(&Json::Bool(true))
    }

    /// The same reference to an owner that has this uid.
    pub fn with_uid(&self, uid: &str) -> Json {
        let mut tree = self.tree.clone();
        tree["uid"] = json!(uid);
        tree
    }
}

#[cfg(test)]
mod tests;
