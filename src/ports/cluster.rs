//! The door to a Kubernetes API server: reading and writing are two traits, so that a backup cannot write.
//!
//! In: resources and keys · Out: pages and manifests · Touches: nothing (traits only)

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::domain::fixup::Propagation;
use crate::domain::object::{Json, Manifest, Resource};

/// When it makes sense to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Within seconds: 429, 5xx, a conflict, a lost connection.
    Soon,
    /// When something else has changed: the kind is not served yet, the server cannot be reached.
    Later,
    /// Not at all: forbidden, invalid.
    Never,
}

/// Why a call to the API server gave no result. No message holds an object's content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection or its set-up failed.
    #[error("cannot reach the API server: {0}")]
    Unreachable(String),
    /// 401: the credentials are not accepted.
    #[error("the API server does not accept the credentials: {0}")]
    Unauthorized(String),
    /// 403.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// 404, for an object or for a kind the server does not serve.
    #[error("not found: {0}")]
    NotFound(String),
    /// 409 with reason `AlreadyExists`.
    #[error("already exists")]
    AlreadyExists,
    /// Any other 409: another writer, or fields owned by other managers, which are named.
    #[error("conflict: {0}")]
    Conflict(String),
    /// 410: the continue token has expired.
    #[error("the list has expired")]
    Expired {
        /// Token with which the server would go on after the last page, in the present state instead of the first page's.
        next: Option<String>,
    },
    /// 400 and 422: the server does not take the object, and says which fields.
    #[error("invalid: {0}")]
    Invalid(String),
    /// 429, 5xx and time-outs.
    #[error("the API server cannot answer now: {reason}")]
    Busy {
        /// What it said.
        reason: String,
        /// The server's Retry-After.
        after: Option<std::time::Duration>,
    },
    /// An answer that cannot be read.
    #[error("the API server gave an answer that cannot be read: {0}")]
    Garbled(String),
}

impl Error {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Conflict(_) | Self::Busy { .. } | Self::Expired { .. } => Retry::Soon,
            Self::Unreachable(_) | Self::NotFound(_) => Retry::Later,
            Self::Unauthorized(_)
            | Self::Forbidden(_)
            | Self::AlreadyExists
            | Self::Invalid(_)
            | Self::Garbled(_) => Retry::Never,
        }
    }
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Version, such as `v1.36.1`.
    pub version: String,
    /// Uid of namespace kube-system.
    pub uid: String,
}

/// What an API server serves, and what could not be found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovery {
    /// Every type with its preferred version, no subresources, sorted by full name.
    pub resources: Vec<Resource>,
    /// `group/version` whose discovery failed or is stale, and the reason.
    pub broken: BTreeMap<String, String>,
}

/// Where a list looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Cluster-scoped objects, or all namespaces.
    All,
    /// One namespace.
    Namespace(String),
}

/// How much of `metadata.managedFields` a list brings: often half of what the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedFields {
    /// Who wrote, without `fieldsV1`.
    Names,
    /// Everything.
    Whole,
}

/// What a list asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Where.
    pub scope: Scope,
    /// Kubernetes label selector text; empty for all.
    pub labels: String,
    /// What is read of `metadata.managedFields`.
    pub managed_fields: ManagedFields,
    /// Objects per page.
    pub limit: u32,
    /// Token of the page before.
    pub token: Option<String>,
}

impl ListRequest {
    /// The first page of everything in a place, with the names of managers only.
    pub fn new(scope: Scope, limit: u32) -> Self {
        Self { scope, labels: String::new(), managed_fields: ManagedFields::Names, limit, token: None }
    }
}

/// One page of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects with apiVersion and kind filled in, in the server's order.
    pub objects: Vec<Manifest>,
    /// Token of the next page; absent at the end.
    pub next: Option<String>,
    /// The list's resource version.
    pub resource_version: String,
}

/// Reads from a cluster.
#[async_trait]
pub trait Reader: Send + Sync {
    /// Version and identity of the cluster.
    async fn server(&self) -> Result<Server, Error>;

    /// What the server serves now; never from a cache. One broken group is no error, it is named in the result.
    async fn discover(&self) -> Result<Discovery, Error>;

    /// One page of a list. Retries nothing.
    async fn list(&self, resource: &Resource, request: &ListRequest) -> Result<Page, Error>;

    /// One object, or `None` where there is no such object.
    async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Manifest>, Error>;
}

/// Whether a write is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Real,
    /// The server does everything but store it (`dryRun=All`).
    DryRun,
}

/// How server-side apply treats fields that other managers own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// They are an error that names the fields.
    Refuse,
    /// They are taken over.
    Force,
}

/// A patch of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// JSON Patch (RFC 6902): a list of operations.
    Json(Vec<Json>),
    /// JSON merge patch (RFC 7386).
    Merge(Json),
}

/// The name under which Backstay writes fields.
pub const FIELD_MANAGER: &str = "backstay";

/// Writes to a cluster. Every method retries nothing and writes as field manager [`FIELD_MANAGER`].
///
/// A field that the server does not know makes the write [`Error::Invalid`], with the field's name: nothing of what was
/// asked for is dropped without a word.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Creates the object; [`Error::AlreadyExists`] where it is there. Gives back what the server stored.
    async fn create(&self, resource: &Resource, object: &Manifest, mode: Mode) -> Result<Manifest, Error>;

    /// Server-side apply: creates the object or changes the fields that are named.
    async fn apply(
        &self,
        resource: &Resource,
        object: &Manifest,
        conflicts: Conflicts,
        mode: Mode,
    ) -> Result<Manifest, Error>;

    /// Patches the object; `subresource` is `""`, `"scale"` or `"status"`.
    async fn patch(
        &self,
        resource: &Resource,
        place: Place<'_>,
        patch: &Patch,
        mode: Mode,
    ) -> Result<Manifest, Error>;

    /// Deletes the object; [`Error::NotFound`] where it is not there.
    async fn delete(
        &self,
        resource: &Resource,
        place: Place<'_>,
        propagation: Propagation,
    ) -> Result<(), Error>;

    /// Deletes the object as it was read; [`Error::Conflict`] where it has changed since, or another one has its name.
    async fn delete_as_read(&self, resource: &Resource, read: &Manifest) -> Result<(), Error>;
}

/// One object's place in the URL of its resource.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Namespace; `None` for cluster-scoped objects.
    pub namespace: Option<&'a str>,
    /// Name.
    pub name: &'a str,
    /// `""`, `"scale"` or `"status"`; only [`Writer::patch`] reads it.
    pub subresource: &'a str,
}

#[cfg(test)]
pub mod contract;
#[cfg(test)]
pub mod lists;
#[cfg(test)]
pub mod trial;
