//! What only a real API server can show: the contract of a cluster, and its own discovery.
//!
//! In: `$KUBECONFIG` · Out: a panic that names the broken claim · Touches: the API server

use std::time::Duration;

use serde_json::json;

use super::call::{Call, send};
use super::connect::{Access, ApiServer};
use crate::adapters::clock::SystemClock;
use crate::domain::fixup::Propagation;
use crate::domain::object::{Manifest, Placed, Resource};
use crate::ports::clock::Clock;
use crate::ports::cluster::{ListRequest, Mode, Place, Reader, Scope, Writer, contract};
use crate::ports::exec::{self, Container};

async fn real() -> ApiServer {
    ApiServer::connect(&Access::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real API server; run by e2e"]
async fn a_real_api_server_keeps_the_contract() {
    let cluster = real().await;
    contract::holds(&cluster, &cluster, &SystemClock).await;
}

/// A pod on a real node, in a namespace of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real node; run by e2e"]
async fn real_containers_keep_the_contract() {
    let cluster = real().await;
    let image = std::env::var("BACKSTAY_E2E_IMAGE").unwrap();
    let home = format!("backstay-exec-{}", SystemClock.letters());
    let manifest = |tree: serde_json::Value| Manifest::parse(tree).unwrap();
    let namespace = manifest(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}}));
    let namespaces = Resource::well_known("v1", "Namespace", "namespaces", Placed::InCluster);
    let pods = Resource::well_known("v1", "Pod", "pods", Placed::InNamespaces);
    cluster.create(&namespaces, &namespace, Mode::Real).await.unwrap();
    let pod =
        manifest(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": home},
        "spec": {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false, "containers": [
            {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "inf"]}]}}));
    let running = async || {
        let found = cluster.get(&pods, Some(&home), "web").await.unwrap();
        found.is_some_and(|pod| pod.at("/status/phase").is_some_and(|phase| phase == "Running"))
    };
    for _ in 0..60 {
        // The default service account of a new namespace takes a moment.
        if running().await || cluster.create(&pods, &pod, Mode::Real).await.is_err() && running().await {
            break;
        }
        SystemClock.sleep(Duration::from_millis(500)).await;
    }
    let container = Container { namespace: home.clone(), pod: "web".into(), name: "main".into() };
    exec::contract::holds(&cluster, &container).await;
    let place = Place { namespace: None, name: &home, subresource: "" };
    cluster.delete(&namespaces, place, Propagation::Background).await.unwrap();
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
    let one = ListRequest::new(Scope::All, 1);
    for resource in listable {
        let page = cluster.list(&resource, &one).await.unwrap();
        let Some(first) = page.objects.first() else { continue };
        assert_eq!(first.gvk(), resource.gvk);
        let read = cluster.get(&resource, first.namespace(), first.name()).await.unwrap();
        assert_eq!(read.map(|object| object.key()), Some(first.key()));
    }
}
