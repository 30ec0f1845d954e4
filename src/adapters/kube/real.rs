//! What only a real API server can show: the contract of a cluster, and its own discovery.
//!
//! In: `$KUBECONFIG` · Out: a panic that names the broken claim · Touches: the API server

use super::call::{Call, send};
use super::connect::{Access, ApiServer};
use crate::adapters::clock::SystemClock;
use crate::domain::object::Resource;
use crate::ports::cluster::{ListRequest, Reader, Scope, contract};

async fn real() -> ApiServer {
    ApiServer::connect(&Access::default()).await.unwrap()
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
    let one = ListRequest::new(Scope::All, 1);
    for resource in listable {
        let page = cluster.list(&resource, &one).await.unwrap();
        let Some(first) = page.objects.first() else { continue };
        assert_eq!(first.gvk(), resource.gvk);
        let read = cluster.get(&resource, first.namespace(), first.name()).await.unwrap();
        assert_eq!(read.map(|object| object.key()), Some(first.key()));
    }
}
