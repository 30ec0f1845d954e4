//! One custom resource of Backstay as it was read: what it wants, and what its status says.
//!
//! In: manifests · Out: `Resource` · Touches: nothing

use std::fmt;

use serde_json::json;

use crate::domain::custom_resource::{Author, Kind};
use crate::domain::document::API_VERSION;
use crate::domain::object::{Json, Manifest};
use crate::domain::status::UNSEEN;
use crate::engine::policy::origin::FileContent;
use crate::engine::policy::repository::{Role, SourceFile};
use crate::ports::cluster::FIELD_MANAGER;

/// Label of custom resources that Backstay made of documents in Git, for people to look at.
pub const SOURCE: &str = "backstay.dev/source";

/// Annotation that asks for something now; a new value means once more, as Flux has it.
pub const REQUESTED: &str = "backstay.dev/requestedAt";

/// Annotation of `kubectl apply` and of Argo CD where they do not apply on the server.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Name of the view of the policy repository.
pub const REPOSITORY: &str = "policy";

/// Which document: kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Such as `BackupPolicy`.
    pub kind: &'static str,
    /// Name.
    pub name: String,
}

impl Key {
    /// A document by kind and name.
    pub fn new(kind: &'static str, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A custom resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Kind and name.
    pub key: Key,
    /// Its uid; empty in tests.
    pub uid: String,
    /// Counts changes of its spec.
    pub generation: i64,
    /// Whether Backstay made it of a document in Git, and nobody has applied one of their own over it.
    pub is_view: bool,
    /// What Backstay has to let go of where it was a view and is somebody else's now.
    pub held: Option<Held>,
    /// The value of [`REQUESTED`].
    pub requested: Option<String>,
    /// What it wants.
    pub spec: Json,
    /// What was written about it.
    pub status: Json,
}

/// What Backstay lets go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Everything that it applied: somebody else has applied all that is theirs on the server.
    Fields,
    /// Its labels. Who applies on the client sends only what is different, so nobody owns the rest but Backstay.
    Labels,
}

impl Resource {
    /// Reads an object of one of our kinds; `None` for any other, and for one that is being deleted.
    pub fn read(object: &Manifest) -> Option<Self> {
        let Kind { kind, written_by, .. } = Kind::of(object.gvk().kind.as_str())?;
        if object.at("/metadata/deletionTimestamp").is_some() {
            return None;
        }
        let text = |pointer: &str| object.at(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
        Some(Self {
            key: Key::new(kind, object.name()),
            uid: text("/metadata/uid"),
            generation: object.at("/metadata/generation").and_then(Json::as_i64).unwrap_or_default(),
            is_view: written_by == Author::Backstay || object.label(SOURCE).is_some() && !applied(object),
            held: if written_by == Author::People { held(object) } else { None },
            requested: object.annotation(REQUESTED).map(str::to_owned),
            spec: object.at("/spec").cloned().unwrap_or(Json::Null),
            status: object.at("/status").filter(|status| written(status)).cloned().unwrap_or(Json::Null),
        })
    }

    /// The resource as a file of a policy repository, so that it is checked like one.
    pub fn file(&self) -> SourceFile {
        let document = json!({
            "apiVersion": API_VERSION,
            "kind": self.key.kind,
            "metadata": {"name": self.key.name},
            "spec": self.spec,
        });
        let content = FileContent::Bytes(document.to_string().into_bytes());
        SourceFile { path: path(&self.key), content, part: Role::Plain }
    }
}

/// Whether somebody else applies it, such as Flux or Argo CD: then it is theirs, whatever its labels say.
fn applied(object: &Manifest) -> bool {
    object.annotation(LAST_APPLIED).is_some() || appliers(object).any(|manager| manager != FIELD_MANAGER)
}

/// What is left of a view. Labels that somebody's own document has are theirs.
fn held(object: &Manifest) -> Option<Held> {
    object.label(SOURCE)?;
    if let Some(document) = object.annotation(LAST_APPLIED) {
        return (!document.contains(SOURCE)).then_some(Held::Labels);
    }
    let (ours, others): (Vec<_>, Vec<_>) = appliers(object).partition(|manager| *manager == FIELD_MANAGER);
    (!ours.is_empty() && !others.is_empty()).then_some(Held::Fields)
}

/// Who applies the object, by the field managers that the API server keeps; its status is not meant.
fn appliers(object: &Manifest) -> impl Iterator<Item = &str> {
    let entries = object.at("/metadata/managedFields").and_then(Json::as_array);
    let whole = |entry: &&Json| entry["operation"] == "Apply" && entry["subresource"].is_null();
    entries.into_iter().flatten().filter(whole).filter_map(|entry| entry["manager"].as_str())
}

/// Whether somebody has written the status; if not, it says what the definition lets it say.
fn written(status: &Json) -> bool {
    *status != json!({"observedGeneration": UNSEEN})
}

/// What a custom resource is called where a file is named.
pub fn path(key: &Key) -> String {
    format!("custom resource {key}")
}

/// The custom resource that a problem is about, if it is about one.
pub fn of_path(path: &str) -> Option<Key> {
    let (kind, name) = path.strip_prefix("custom resource ")?.split_once(' ')?;
    Some(Key::new(Kind::of(kind)?.kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_nobody_has_written_is_none() {
        let status = |status: Json| {
            let object = json!({
                "apiVersion": API_VERSION, "kind": "BackupPolicy", "metadata": {"name": "nightly", "generation": 1},
                "spec": {"locations": ["a"]}, "status": status,
            });
            Resource::read(&Manifest::parse(object).unwrap()).unwrap().status
        };
        assert_eq!(status(json!({"observedGeneration": -1})), Json::Null);
        assert_eq!(status(json!({"observedGeneration": 1})), json!({"observedGeneration": 1}));
    }

    #[test]
    fn a_resource_is_read_and_named() {
        let object = json!({
            "apiVersion": API_VERSION, "kind": "BackupPolicy",
            "metadata": {"name": "nightly", "generation": 3, "annotations": {REQUESTED: "1"}, "labels": {SOURCE: "git"}},
            "spec": {"locations": ["a"]},
        });
        let resource = Resource::read(&Manifest::parse(object.clone()).unwrap()).unwrap();
        assert_eq!((resource.generation, resource.is_view), (3, true));
        assert_eq!(resource.requested.as_deref(), Some("1"));
        assert_eq!(of_path(&resource.file().path), Some(resource.key));
        assert_eq!(of_path("policies/nightly.yaml"), None);
        let mut gone = object;
        gone["metadata"]["deletionTimestamp"] = json!("2026-11-27T10:00:00Z");
        assert_eq!(Resource::read(&Manifest::parse(gone).unwrap()), None);
    }

    /// Whether a view with these field managers, annotations and labels is still one, and what is left of it.
    fn told(managers: &[(&str, &str)], applied: Option<&str>, label: bool) -> (bool, Option<Held>) {
        let entry = |(manager, operation): &(&str, &str)| json!({"manager": manager, "operation": operation});
        let mut object = json!({
            "apiVersion": API_VERSION, "kind": "BackupPolicy",
            "metadata": {"name": "nightly", "managedFields": managers.iter().map(entry).collect::<Vec<_>>()},
        });
        if label {
            object["metadata"]["labels"] = json!({SOURCE: "git"});
        }
        if let Some(document) = applied {
            object["metadata"]["annotations"] = json!({LAST_APPLIED: document});
        }
        let read = Resource::read(&Manifest::parse(object).unwrap()).unwrap();
        (read.is_view, read.held)
    }

    #[test]
    fn a_view_is_whose_who_applies_it_and_nothing_of_theirs_is_let_go_of() {
        let (ours, flux) = (("backstay", "Apply"), ("kustomize-controller", "Apply"));
        let edit = ("kubectl-edit", "Update");
        assert_eq!(told(&[ours], None, true), (true, None));
        assert_eq!(told(&[ours, edit], None, true), (true, None));
        assert_eq!(told(&[ours, flux], None, true), (false, Some(Held::Fields)));
        // Let go of already; the label is of Flux's own document.
        assert_eq!(told(&[flux], None, true), (false, None));
        let client = ("kubectl-client-side-apply", "Update");
        assert_eq!(told(&[ours, client], Some("{}"), true), (false, Some(Held::Labels)));
        let copied = format!("{{\"labels\":{{\"{SOURCE}\":\"git\"}}}}");
        assert_eq!(told(&[ours, client], Some(&copied), true), (false, None));
        // Restored by Backstay, or made a person's own by taking the label away.
        assert_eq!(told(&[ours, flux], None, false), (false, None));
        assert_eq!(told(&[ours], None, false), (false, None));
    }

    #[test]
    fn what_backstay_alone_writes_is_always_a_view() {
        let object =
            json!({"apiVersion": API_VERSION, "kind": "PolicyRepository", "metadata": {"name": "policy"}});
        let read = Resource::read(&Manifest::parse(object).unwrap()).unwrap();
        assert_eq!((read.is_view, read.held), (true, None));
    }
}
