//! One custom resource of Backstay as it was read: what it wants, and what its status says.
//!
//! In: manifests · Out: `Resource` · Touches: nothing

use std::fmt;

use serde_json::json;

use crate::domain::custom_resource::Kind;
use crate::domain::document::API_VERSION;
use crate::domain::object::{Json, Manifest};
use crate::domain::status::UNSEEN;
use crate::engine::policy::origin::FileContent;
use crate::engine::policy::repository::{Role, SourceFile};

/// Label of custom resources that Backstay made of documents in Git, for people to look at.
pub const SOURCE: &str = "backstay.dev/source";

/// Annotation that asks for something now; a new value means once more, as Flux has it.
pub const REQUESTED: &str = "backstay.dev/requestedAt";

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
    /// Whether Backstay made it of a document in Git.
    pub is_view: bool,
    /// The value of [`REQUESTED`].
    pub requested: Option<String>,
    /// What it wants.
    pub spec: Json,
    /// What was written about it.
    pub status: Json,
}

impl Resource {
    /// Reads an object of one of our kinds; `None` for any other, and for one that is being deleted.
    pub fn read(object: &Manifest) -> Option<Self> {
        let kind = Kind::of(object.gvk().kind.as_str())?.kind;
        if object.at("/metadata/deletionTimestamp").is_some() {
            return None;
        }
        let text = |pointer: &str| object.at(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
        Some(Self {
            key: Key::new(kind, object.name()),
            uid: text("/metadata/uid"),
            generation: object.at("/metadata/generation").and_then(Json::as_i64).unwrap_or_default(),
            is_view: object.label(SOURCE).is_some(),
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
}
