//! What only a real API server can show: the contract of a cluster, its own discovery, and its speed.
//!
//! In: `$KUBECONFIG` · Out: a panic that names the broken claim · Touches: the API server

use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::call::{Call, collection, send};
use super::connect::{Access, ApiServer};
use crate::adapters::clock::SystemClock;
use crate::domain::object::{Gvk, Manifest, Resource};
use crate::domain::restore_request::Propagation;
use crate::ports::clock::Clock;
use crate::ports::cluster::{Error, ListRequest, Mode, Place, Reader, Scope, Writer, contract};

async fn real() -> ApiServer {
    ApiServer::connect(&Access::default()).await.unwrap()
}

fn resource(served: &[Resource], api_version: &str, kind: &str) -> Resource {
    let gvk = Gvk::new(api_version, kind);
    served.iter().find(|r| r.gvk == gvk).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real API server; run by e2e"]
async fn a_real_api_server_keeps_the_contract() {
    let cluster = real().await;
    contract::holds(&cluster, &cluster, &SystemClock).await;
}

/// The older documents and the aggregated one must say the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real API server; run by e2e"]
async fn both_forms_of_discovery_agree() {
    let cluster = real().await;
    let aggregated = cluster.discover().await.unwrap();
    assert!(aggregated.broken.is_empty(), "{:?}", aggregated.broken);
    let get = async |path: &str| {
        let reply = send(&cluster, Call::get(path.into())).await.unwrap();
        reply.success(super::scrub::Content::None).unwrap()
    };
    let mut groups = super::served::groups(&get("/api").await).unwrap();
    groups.extend(super::served::groups(&get("/apis").await).unwrap());
    for version in groups.iter_mut().flat_map(|group| &mut group.versions) {
        let root = if version.name.contains('/') { "/apis" } else { "/api" };
        let body = get(&format!("{root}/{}", version.name)).await;
        version.types = Some(super::served::types(&body).unwrap());
    }
    assert_eq!(super::served::resources(groups), aggregated.resources);
}

/// Every type that can be listed is listed once, and one object of each page is read back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real API server; run by e2e"]
async fn what_is_listed_can_be_read_one_by_one() {
    let cluster = real().await;
    let served = cluster.discover().await.unwrap().resources;
    let listable: Vec<Resource> = served.into_iter().filter(|r| r.can("list") && r.can("get")).collect();
    assert!(listable.len() > 40, "{}", listable.len());
    let one = ListRequest { scope: Scope::All, labels: String::new(), limit: 1, token: None };
    for resource in listable {
        let page = cluster.list(&resource, &one).await.unwrap();
        let Some(first) = page.objects.first() else { continue };
        assert_eq!(first.gvk(), resource.gvk);
        let read = cluster.get(&resource, first.namespace(), first.name()).await.unwrap();
        assert_eq!(read.map(|object| object.key()), Some(first.key()));
    }
}

/// Prints seconds: creating, listing raw and listing through the adapter, 16 requests in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real API server; prints figures"]
async fn speed() {
    let cluster = real().await;
    let home = format!("backstay-speed-{}", SystemClock.letters());
    let served = cluster.discover().await.unwrap().resources;
    let namespaces = resource(&served, "v1", "Namespace");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}});
    cluster.create(&namespaces, &Manifest::parse(namespace).unwrap(), Mode::Real).await.unwrap();
    let objects: Vec<(Resource, Manifest)> = (0..3600)
        .map(|i| {
            let object = sample(i, &home);
            (resource(&served, &object.gvk().api_version(), object.kind()), object)
        })
        .collect();
    let start = Instant::now();
    let made = stream::iter(&objects).map(|(r, o)| cluster.create(r, o, Mode::Real));
    made.buffer_unordered(16).try_for_each(|_| async { Ok(()) }).await.unwrap();
    println!("create 3600 through the adapter  {:6.3} s", start.elapsed().as_secs_f64());
    for round in 0..3 {
        for (name, parse) in [("raw", false), ("adapter", true)] {
            let start = Instant::now();
            let kinds = served.iter().filter(|r| r.can("list"));
            let counts = kinds.map(|r| all_pages(&cluster, r, parse));
            let found: usize = stream::iter(counts)
                .buffer_unordered(16)
                .try_fold(0, |a, b| async move { Ok(a + b) })
                .await
                .unwrap();
            println!("round {round}: list {name:8} {found:8} {:6.3} s", start.elapsed().as_secs_f64());
        }
    }
    let place = Place { namespace: None, name: &home, subresource: "" };
    cluster.delete(&namespaces, place, Propagation::Background).await.unwrap();
}

async fn all_pages(cluster: &ApiServer, resource: &Resource, parse: bool) -> Result<usize, Error> {
    let mut request = ListRequest { scope: Scope::All, labels: String::new(), limit: 500, token: None };
    let mut found = 0;
    loop {
        let next = if parse {
            let page = cluster.list(resource, &request).await?;
            found += page.objects.len();
            page.next
        } else {
            let path = super::call::with_query(
                &collection(resource, None),
                &[("limit", "500"), ("continue", request.token.as_deref().unwrap_or_default())],
            );
            let body = send(cluster, Call::get(path)).await?.success(super::scrub::Content::Plain)?;
            found += body.len();
            let head = std::str::from_utf8(&body[..body.len().min(2000)]).unwrap_or_default();
            let token = head.split_once("\"continue\":\"").and_then(|(_, rest)| rest.split_once('"'));
            token.map(|(token, _)| token.to_owned()).filter(|token| !token.is_empty())
        };
        match next {
            Some(token) => request.token = Some(token),
            None => return Ok(found),
        }
    }
}

/// Six kinds of objects of usual sizes.
fn sample(i: usize, namespace: &str) -> Manifest {
    let labels =
        json!({"app.kubernetes.io/name": format!("app-{}", i % 40), "tier": "web", "suite": "speed"});
    let metadata = json!({"name": format!("sample-{i:04}"), "namespace": namespace, "labels": labels});
    let env: Vec<_> =
        (0..12).map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("value {n}")})).collect();
    let object = match i % 6 {
        0 | 1 => {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"app.yaml": "key: value\n".repeat(120)}})
        }
        2 => {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "x".repeat(40)}})
        }
        3 => {
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": false})
        }
        4 => json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
            "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}]}),
        _ => {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 0,
            "selector": {"matchLabels": {"app": format!("a{i}")}}, "template": {"metadata": {"labels": {"app": format!("a{i}")}},
            "spec": {"containers": [{"name": "main", "image": "example.invalid/app:1", "env": env}]}}}})
        }
    };
    Manifest::parse(object).unwrap()
}
