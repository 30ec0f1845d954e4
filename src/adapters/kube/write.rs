//! Writes to an API server.
//!
//! A field that the server does not know is an error that names it (`fieldValidation=Strict`): nothing that was asked
//! for is dropped without a word. Server-side apply is as strict by itself.
//!
//! In: manifests, patches · Out: what the server stored · Touches: the API server

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::call::{Call, collection, item, send, with_query};
use super::connect::ApiServer;
use super::scrub::Content;
use super::{flow, page};
use crate::domain::fixup::Propagation;
use crate::domain::object::{Json, Manifest, Resource};
use crate::ports::cluster::{Conflicts, Error, FIELD_MANAGER, Mode, Patch, Place, Writer};

#[async_trait]
impl Writer for ApiServer {
    async fn create(&self, resource: &Resource, object: &Manifest, mode: Mode) -> Result<Manifest, Error> {
        let resource = &in_version_of(resource, object);
        // Refuses what has no place in a URL before anything is sent.
        item(resource, object.namespace(), object.name())?;
        let path = with_query(&collection(resource, object.namespace()), &options(mode));
        let body = self.write(resource, Method::POST, path, ("application/json", object.to_bytes())).await?;
        page::one(resource, &body)
    }

    async fn apply(
        &self,
        resource: &Resource,
        object: &Manifest,
        conflicts: Conflicts,
        mode: Mode,
    ) -> Result<Manifest, Error> {
        let resource = &in_version_of(resource, object);
        let mut query = options(mode);
        match conflicts {
            Conflicts::Refuse => {}
            Conflicts::Force => query.push(("force", "true")),
        }
        let path = with_query(&item(resource, object.namespace(), object.name())?, &query);
        // The one media type that every served version of Kubernetes takes.
        let sent = ("application/apply-patch+yaml", flow::yaml(object.as_json()));
        let body = self.write(resource, Method::PATCH, path, sent).await?;
        page::one(resource, &body)
    }

    async fn patch(
        &self,
        resource: &Resource,
        place: Place<'_>,
        patch: &Patch,
        mode: Mode,
    ) -> Result<Manifest, Error> {
        let mut url = item(resource, place.namespace, place.name)?;
        if !place.subresource.is_empty() {
            url = format!("{url}/{}", place.subresource);
        }
        let sent = match patch {
            Patch::Json(operations) => {
                ("application/json-patch+json", Json::Array(operations.clone()).to_string().into_bytes())
            }
            Patch::Merge(fields) => ("application/merge-patch+json", fields.to_string().into_bytes()),
        };
        let body = self.write(resource, Method::PATCH, with_query(&url, &options(mode)), sent).await?;
        page::one(resource, &body)
    }

    async fn delete(
        &self,
        resource: &Resource,
        place: Place<'_>,
        propagation: Propagation,
    ) -> Result<(), Error> {
        let propagation = match propagation {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        };
        let path = item(resource, place.namespace, place.name)?;
        let path = with_query(&path, &[("propagationPolicy", propagation)]);
        let call = Call { method: Method::DELETE, ..Call::get(path) };
        send(self, call).await?.success(Content::of(resource)).map(drop)
    }

    async fn delete_as_read(&self, resource: &Resource, read: &Manifest) -> Result<(), Error> {
        let path = item(resource, read.namespace(), read.name())?;
        let only = |field: &str| read.as_json()["metadata"][field].clone();
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": only("uid"), "resourceVersion": only("resourceVersion")},
        });
        let body = ("application/json", options.to_string().into_bytes());
        self.write(resource, Method::DELETE, path, body).await.map(drop)
    }
}

impl ApiServer {
    async fn write(
        &self,
        resource: &Resource,
        method: Method,
        path: String,
        (kind, body): (&'static str, Vec<u8>),
    ) -> Result<Bytes, Error> {
        send(self, Call::write(method, path, kind, body)).await?.success(Content::of(resource))
    }
}

/// The resource in the version in which the object is written: URL and body have to agree.
fn in_version_of(resource: &Resource, object: &Manifest) -> Resource {
    let mut resource = resource.clone();
    resource.gvk.version = object.gvk().version;
    resource
}

fn options(mode: Mode) -> Vec<(&'static str, &'static str)> {
    let mut query = vec![("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")];
    match mode {
        Mode::Real => {}
        Mode::DryRun => query.push(("dryRun", "All")),
    }
    query
}

#[cfg(test)]
mod tests;
