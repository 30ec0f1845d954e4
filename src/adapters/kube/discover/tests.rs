use serde_json::json;

use super::super::call::stub::{stub, told};
use super::*;
use crate::domain::object::Resource;

#[tokio::test]
async fn on_an_older_server_one_dead_group_does_not_hide_the_others() {
    let (server, _) = stub(|asked| {
        let group = |name: &str, version: &str| {
            let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
            json!({"name": name, "versions": [version], "preferredVersion": version})
        };
        let types = |plural: &str, kind: &str| {
            json!({"kind": "APIResourceList", "groupVersion": "x", "resources": [
            {"name": plural, "kind": kind, "namespaced": true, "singularName": "", "verbs": ["watch", "list"]}]})
        };
        let document = match asked.line.as_str() {
            "GET /api" => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
            "GET /apis" => {
                json!({"kind": "APIGroupList", "groups": [group("apps", "v1"), group("metrics.k8s.io", "v1beta1"), group("odd.io", "v1")]})
            }
            "GET /api/v1" => types("pods", "Pod"),
            "GET /apis/apps/v1" => types("deployments", "Deployment"),
            "GET /apis/odd.io/v1" => json!("<html>"),
            _ => return told(503, "service unavailable\n"),
        };
        told(200, &document.to_string())
    })
    .await;
    let found = discover(&server).await.unwrap();
    let names: Vec<String> =
        found.resources.iter().map(|r| format!("{} {}", r.full_name(), r.verbs.join(","))).collect();
    assert_eq!(names, ["deployments.apps list,watch", "pods list,watch"]);
    assert_eq!(found.broken.keys().collect::<Vec<_>>(), ["metrics.k8s.io/v1beta1", "odd.io/v1"]);
    assert_eq!(
        found.broken["metrics.k8s.io/v1beta1"],
        "the API server cannot answer now: service unavailable"
    );
}

fn aggregated(group: &str, freshness: &str) -> String {
    json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": group}, "versions": [
        {"version": "v1", "freshness": freshness, "resources": [{"resource": "things", "scope": "Cluster",
            "responseKind": {"kind": "Thing"}, "verbs": ["list"]}]}]}]})
    .to_string()
}

#[tokio::test]
async fn a_stale_group_is_asked_again_and_named_when_it_does_not_answer() {
    let (server, asked) = stub(|asked| match asked.line.as_str() {
        "GET /api" => told(200, &aggregated("", "Current")),
        "GET /apis" => told(200, &aggregated("metrics.k8s.io", "Stale")),
        _ => told(503, "service unavailable\n"),
    })
    .await;
    let found = discover(&server).await.unwrap();
    assert_eq!(found.resources.iter().map(Resource::full_name).collect::<Vec<_>>(), ["things"]);
    assert_eq!(found.broken.keys().collect::<Vec<_>>(), ["metrics.k8s.io/v1"]);
    assert_eq!(asked.lock().unwrap().len(), 3, "one request each, nothing repeated");
}

#[tokio::test]
async fn without_the_list_of_groups_there_is_no_discovery() {
    for (code, body) in [(403, "{}"), (200, "<html>"), (200, r#"{"kind":"Status"}"#)] {
        let (server, _) = stub(move |asked| match asked.line.as_str() {
            "GET /apis" => told(code, body),
            _ => told(200, &aggregated("", "Current")),
        })
        .await;
        assert!(discover(&server).await.is_err(), "{code} {body}");
    }
}

#[tokio::test]
async fn a_cluster_that_hides_its_identity_is_forbidden_ground() {
    let (hidden, _) = stub(|asked| match asked.line.as_str() {
        "GET /version" => told(200, r#"{"major":"1","gitVersion":"v1.36.1"}"#),
        _ => told(403, r#"{"message":"namespaces \"kube-system\" is forbidden","code":403}"#),
    })
    .await;
    assert!(matches!(server(&hidden).await, Err(Error::Forbidden(_))));
}
