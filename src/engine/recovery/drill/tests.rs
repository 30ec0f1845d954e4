//! Claims about the restore of a drill, on the memory cluster.

use super::*;
use crate::engine::recovery::scratch as ends;
use crate::engine::restore::apply::tests::World;

fn from() -> RestoreSource {
    RestoreSource { location: "archive".into(), snapshot: Some("latest".into()), commit: None, cluster: None }
}

#[test]
fn every_transform_of_the_data_compiles() {
    let meant =
        Meant { found: vec!["shop".into()], all: true, shared: Vec::new(), own: vec!["kube-system".into()] };
    let spec = request(from(), &meant, &Ground::Namespaces("drill-abcd".into()), Workloads::Still);
    assert!(spec.check().is_empty(), "{:?}", spec.check());
    assert!(spec.transforms.len() > 5);
    let running = request(from(), &meant, &Ground::Cluster, Workloads::Run);
    assert!(running.transforms.is_empty() && running.namespace_mapping.is_empty());
}

#[test]
fn a_scratch_namespace_has_a_name_that_the_server_takes() {
    assert_eq!(scratch("drill-abcd", "shop"), "drill-abcd-shop");
    let long = format!("{}-{}", "a".repeat(51), "b".repeat(10));
    let name = scratch("drill-abcd", &long);
    assert!(name.len() <= 63 && !name.ends_with('-'), "{name}");
}

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: blue}}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}], externalTrafficPolicy: Cluster}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: 'web:1'}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: web}
rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: web}
subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
";

#[tokio::test]
async fn a_copy_stands_still_beside_the_original_and_goes_without_a_trace() {
    let world = World::new();
    world.kubectl(&SHOP.replacen("kube-system", "other", 1)).await;
    let state = world.state(SHOP).await;
    let meant = Meant::of(&state, |_| true);
    assert_eq!((meant.found.as_slice(), meant.all), (&["shop".to_owned()][..], true));
    assert_eq!(meant.own, ["kube-system"]);
    let ground = Ground::Namespaces("drill-abcd".into());
    let spec = request(from(), &meant, &ground, Workloads::Still);
    let told = world.restore(&state, &serde_json::to_string(&spec).unwrap()).await;
    assert!(told.starts_with("Complete"), "{told}");
    assert!(
        told.contains("RoleBinding") && !told.contains("ClusterRole"),
        "the original's cluster-scoped objects stay as they are: {told}"
    );
    let copy = |kind: &str| world.object(kind, "drill-abcd-shop/web").unwrap();
    assert_eq!(copy("Deployment").at("/spec/replicas"), Some(&json!(0)));
    assert_eq!(copy("Service").at("/spec/type"), Some(&json!("ClusterIP")));
    let namespace = world.object("Namespace", "drill-abcd-shop").unwrap();
    assert_eq!((namespace.label(LABEL), namespace.label("team")), (Some("drill-abcd"), Some("blue")));
    assert_eq!(namespace.label("backstay.dev/exclude"), Some("true"));

    assert_eq!(ends::clean(&world.reach(), Some("drill-efgh")).await.unwrap(), Vec::<String>::new());
    assert!(world.object("Namespace", "drill-abcd-shop").is_some(), "another drill's stay");
    assert_eq!(ends::clean(&world.reach(), None).await.unwrap(), Vec::<String>::new());
    assert!(world.object("Deployment", "drill-abcd-shop/web").is_none());
    assert_eq!(world.object("Deployment", "shop/web").unwrap().at("/spec/replicas"), Some(&json!(2)));
}

#[test]
fn a_scratch_cluster_gets_what_is_meant_and_keeps_what_it_has() {
    let some =
        Meant { found: vec!["shop".into()], all: false, shared: Vec::new(), own: vec!["kube-system".into()] };
    let spec = request(from(), &some, &Ground::Cluster, Workloads::Still);
    assert_eq!(
        (spec.existing, spec.select.namespaces.include.as_slice()),
        (Existing::Skip, &["shop".to_owned()][..])
    );
    let all = request(from(), &Meant { all: true, ..some }, &Ground::Cluster, Workloads::Still);
    assert!(all.select.namespaces.include.is_empty());
    assert_eq!(all.select.namespaces.exclude, ["kube-system"]);
}
