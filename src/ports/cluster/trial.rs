//! A cluster under test, and short ways to use it.
//!
//! In: a cluster · Out: `World` · Touches: cluster (read and write), clock

#![expect(clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::json;

use crate::domain::fixup::Propagation;
use crate::domain::object::{Gvk, Json, Manifest, Resource};
use crate::ports::clock::Clock;
use crate::ports::cluster::{
    Conflicts, Discovery, Error, ListRequest, Mode, Page, Patch, Place, Reader, Scope, Writer,
};

/// A cluster under test and a namespace of its own.
pub struct World<'a> {
    /// Reads.
    pub reader: &'a dyn Reader,
    /// Writes.
    pub writer: &'a dyn Writer,
    /// Waits.
    pub clock: &'a dyn Clock,
    /// What the cluster serves.
    pub served: Discovery,
    /// The namespace.
    pub home: String,
}

impl World<'_> {
    /// The served kind.
    pub fn resource(&self, api_version: &str, kind: &str) -> Resource {
        let gvk = Gvk::new(api_version, kind);
        let found = self.served.resources.iter().find(|r| r.gvk.group == gvk.group && r.gvk.kind == kind);
        found.unwrap_or_else(|| panic!("{gvk} is not served")).clone()
    }

    /// A `ConfigMap` in the namespace.
    pub fn config(&self, name: &str, data: &Json) -> Json {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": self.home}, "data": data})
    }

    /// The kind of an object.
    pub fn of(&self, object: &Json) -> Resource {
        self.resource(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap())
    }

    /// Creates an object.
    pub async fn create(&self, object: Json) -> Result<Manifest, Error> {
        let resource = self.of(&object);
        self.writer.create(&resource, &Manifest::parse(object).unwrap(), Mode::Real).await
    }

    /// Applies an object.
    pub async fn apply(&self, object: &Json, conflicts: Conflicts) -> Result<Manifest, Error> {
        let manifest = Manifest::parse(object.clone()).unwrap();
        self.writer.apply(&self.of(object), &manifest, conflicts, Mode::Real).await
    }

    /// Reads an object of the namespace, or a cluster-scoped one.
    pub async fn get(&self, kind: (&str, &str), name: &str) -> Option<Manifest> {
        let resource = self.resource(kind.0, kind.1);
        let namespace = resource.namespaced.then_some(self.home.as_str());
        self.reader.get(&resource, namespace, name).await.unwrap()
    }

    /// Patches an object of the namespace.
    pub async fn patch(
        &self,
        kind: (&str, &str),
        name: &str,
        sub: &str,
        patch: Patch,
    ) -> Result<Manifest, Error> {
        let resource = self.resource(kind.0, kind.1);
        let place = Place { namespace: Some(&self.home), name, subresource: sub };
        self.writer.patch(&resource, place, &patch, Mode::Real).await
    }

    /// Deletes an object of the namespace, or a cluster-scoped one.
    pub async fn delete(
        &self,
        kind: (&str, &str),
        name: &str,
        propagation: Propagation,
    ) -> Result<(), Error> {
        let resource = self.resource(kind.0, kind.1);
        let namespace = resource.namespaced.then_some(self.home.as_str());
        self.writer.delete(&resource, Place { namespace, name, subresource: "" }, propagation).await
    }

    /// One page of the `ConfigMap` objects of the namespace.
    pub async fn list(&self, labels: &str, limit: u32, token: Option<String>) -> Result<Page, Error> {
        let scope = Scope::Namespace(self.home.clone());
        let request = ListRequest { labels: labels.into(), token, ..ListRequest::new(scope, limit) };
        self.reader.list(&self.resource("v1", "ConfigMap"), &request).await
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, kind: (&str, &str), name: &str) {
        self.until(name, async || self.get(kind, name).await.is_none()).await;
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, met: impl AsyncFn() -> bool) {
        for _ in 0..300 {
            if met().await {
                return;
            }
            self.clock.sleep(Duration::from_millis(100)).await;
        }
        panic!("waited in vain: {what}");
    }

    /// A Deployment of Pods that nothing can start.
    pub fn web(&self, name: &str, replicas: u32) -> Json {
        let labels = json!({"app": name});
        let container = json!({"name": "web", "image": "backstay.invalid/none", "imagePullPolicy": "Never"});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": self.home},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}})
    }

    /// The definition of `sails` in a group: namespaced, with a whole number and a status.
    pub fn definition(group: &str) -> Json {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"area": {"type": "integer"}}},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
        let versions = json!([{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema}}]);
        let names = json!({"kind": "Sail", "plural": "sails", "singular": "sail", "listKind": "SailList"});
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("sails.{group}")},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions}})
    }
}
