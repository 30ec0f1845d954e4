//! Reads from an API server.
//!
//! In: resources, list requests · Out: pages, manifests · Touches: the API server

use async_trait::async_trait;

use super::call::{Call, collection, item, send, with_query};
use super::connect::ApiServer;
use super::scrub::Content;
use super::{discover, page};
use crate::domain::object::{Manifest, Resource};
use crate::ports::cluster::{Discovery, Error, ListRequest, Page, Reader, Scope, Server};

#[async_trait]
impl Reader for ApiServer {
    async fn server(&self) -> Result<Server, Error> {
        discover::server(self).await
    }

    async fn discover(&self) -> Result<Discovery, Error> {
        discover::discover(self).await
    }

    async fn list(&self, resource: &Resource, request: &ListRequest) -> Result<Page, Error> {
        let reply = send(self, Call::get(list_path(resource, request))).await?;
        page::page(resource, &reply.success(Content::of(resource))?, request.managed_fields)
    }

    async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Manifest>, Error> {
        let reply = send(self, Call::get(item(resource, namespace, name)?)).await?;
        if reply.refusal().names_absent(name) {
            return Ok(None);
        }
        page::one(resource, &reply.success(Content::of(resource))?).map(Some)
    }
}

/// The whole question as path and query.
fn list_path(resource: &Resource, request: &ListRequest) -> String {
    let ListRequest { scope, labels, managed_fields: _, limit, token } = request;
    let namespace = match scope {
        Scope::All => None,
        Scope::Namespace(name) => Some(name.as_str()),
    };
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    if !labels.is_empty() {
        query.push(("labelSelector", labels));
    }
    if let Some(token) = token {
        query.push(("continue", token));
    }
    with_query(&collection(resource, namespace), &query)
}

#[cfg(test)]
mod tests;
