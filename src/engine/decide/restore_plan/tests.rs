//! Claims about plans, on the memory cluster.

use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::domain::object::Json;
use crate::engine::decide::draft::PlannedObject;
use crate::engine::restore::apply::tests::{ONLY_SHOP, World, lose_shop, with_shop};

const MIXED: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: a, labels: {tier: gold}}
data: {level: '1'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two, namespace: a}
data: {level: '2'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: b}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: a}
spec: {priorityClassName: high, containers: [{name: x, image: x}]}
status: {phase: Succeeded}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: a}
spec: {storageClassName: fast}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: example.org/disks
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: slow}
provisioner: example.org/disks
";

async fn text(world: &World, state: &State, spec: &str) -> String {
    world.plan(state, spec).await.to_string()
}

#[tokio::test]
async fn a_plan_says_what_comes_back_in_which_order_and_what_stays_out() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    let plan = text(&world, &state, ONLY_SHOP).await;
    // Names of Pods are drawn by chance.
    let plan: Vec<&str> =
        plan.lines().filter(|line| !line.starts_with("  ") || line.contains(": 1 ")).collect();
    assert_snapshot!(plan.join("\n"), @"
    snapshot test: 7 objects in 6 waves; objects that exist stay as they are
      1  namespaces: 1 Namespace
      3  bindings: 1 RoleBinding
      4  configuration: 1 Secret
      5  services: 1 Service
      6  workloads: 1 Deployment
    left out: 5
    not meant: 12, because its namespace is not selected
    ");
}

#[tokio::test]
async fn with_some_namespaces_only_the_cluster_scoped_objects_they_need_come_along() {
    let world = World::new();
    let state = world.state(MIXED).await;
    assert_snapshot!(text(&world, &state, "select: {namespaces: {include: [a]}}").await, @"
    snapshot test: 5 objects in 4 waves; objects that exist stay as they are
      1  namespaces: 1 Namespace
      2  classes: 1 StorageClass
      3  claims: 1 PersistentVolumeClaim
      4  configuration: 2 ConfigMap
    left out: 1
      Pod a/done: the pod has finished; it would run again
    not meant: 1, because its namespace is not selected
    not meant: 1, because nothing that was selected needs it
    ");
}

#[tokio::test]
async fn labels_and_conditions_choose_objects_and_an_unanswerable_one_is_named() {
    let world = World::new();
    let state = world.state(MIXED).await;
    let spec = "select: {namespacedResources: {include: [ConfigMap]}, where: object.data.level == '2'}";
    assert_snapshot!(text(&world, &state, spec).await, @r#"
    snapshot test: 2 objects in 2 waves; objects that exist stay as they are
      1  namespaces: 1 Namespace
      2  configuration: 1 ConfigMap
    cannot come back: 3
      ConfigMap b/one: cannot evaluate `where`: the object has no field "data"; ask with has() first
      StorageClass.storage.k8s.io fast: cannot evaluate `where`: the object has no field "data"; ask with has() first
      StorageClass.storage.k8s.io slow: cannot evaluate `where`: the object has no field "data"; ask with has() first
    not meant: 1, because `where` is not true for it
    not meant: 2, because the selection does not include this kind
    "#);
    let spec = "select: {labelSelector: {matchLabels: {tier: gold}}}";
    assert_snapshot!(text(&world, &state, spec).await, @"
    snapshot test: 2 objects in 2 waves; objects that exist stay as they are
      1  namespaces: 1 Namespace
      2  configuration: 1 ConfigMap
    not meant: 6, because it does not have the selected labels
    ");
}

#[tokio::test]
async fn a_pattern_that_matches_nothing_is_told() {
    let world = World::new();
    let state = world.state(MIXED).await;
    let plan = text(&world, &state, "select: {namespaces: {include: [shpo]}}").await;
    assert!(plan.contains("note: namespaces.include: \"shpo\" matches nothing"), "{plan}");
}

#[tokio::test]
async fn two_namespaces_mapped_to_one_do_not_overwrite_each_other() {
    let world = World::new();
    let state = world.state(MIXED).await;
    let plan = text(
        &world,
        &state,
        "{namespaceMapping: {a: c, b: c}, select: {namespacedResources: {include: [ConfigMap]}}}",
    )
    .await;
    assert_snapshot!(plan, @"
    snapshot test: 5 objects in 3 waves; objects that exist stay as they are
      1  namespaces: 1 Namespace
      2  classes: 2 StorageClass
      3  configuration: 2 ConfigMap
    cannot come back: 1
      ConfigMap b/one: another object becomes ConfigMap c/one too, through `namespaceMapping`
    not meant: 2, because the selection does not include this kind
    ");
}

#[tokio::test]
async fn a_pod_that_gets_init_containers_comes_back_itself() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    let without = world.plan(&state, ONLY_SHOP).await;
    assert!(!without.waves.iter().flat_map(|wave| &wave.objects).any(|object| object.key.kind == "Pod"));
    let spec = format!(
        "{{hooks: [{{name: load, hook: {{when: PostRestore, init: {{containers: [{{name: load, image: i, command: [c]}}]}}}}}}], {ONLY_SHOP}}}"
    );
    let plan = world.plan(&state, &spec).await;
    let objects = || plan.waves.iter().flat_map(|wave| &wave.objects);
    let pods: Vec<&PlannedObject> = objects().filter(|object| object.key.kind == "Pod").collect();
    assert_eq!(pods.len(), 2);
    assert!(
        pods.iter().all(|pod| pod.inits == ["load"] && pod.notes.iter().any(|n| n.contains("hook load")))
    );
}

const CLAIMS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  replicas: 0
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      initContainers: [{name: init, image: 'registry.example.org/tools:1'}]
      containers:
        - {name: db, image: 'registry.example.org/shop/db@sha256:0'}
        - {name: other, image: 'registry.example.organisation/x'}
  volumeClaimTemplates:
    - {metadata: {name: data}, spec: {storageClassName: gp2, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {storageClassName: gp2, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

#[tokio::test]
async fn storage_classes_and_images_get_new_names_where_the_catalog_knows_them() {
    let world = World::new();
    let state = world.state(CLAIMS).await;
    world
        .restore(
            &state,
            "{storageClassMapping: {gp2: fast}, imageMapping: {registry.example.org: a.example.net, registry.example.org/shop: b.example.net/x}}",
        )
        .await;
    let claim = world.object("PersistentVolumeClaim", "shop/data").unwrap();
    assert_eq!(claim.at("/spec/storageClassName"), Some(&json!("fast")));
    let db = world.object("StatefulSet", "shop/db").unwrap();
    let at = |pointer: &str| db.at(pointer).and_then(Json::as_str).unwrap().to_owned();
    assert_eq!(at("/spec/volumeClaimTemplates/0/spec/storageClassName"), "fast");
    assert_eq!(at("/spec/template/spec/initContainers/0/image"), "a.example.net/tools:1");
    assert_eq!(at("/spec/template/spec/containers/0/image"), "b.example.net/x/db@sha256:0");
    assert_eq!(at("/spec/template/spec/containers/1/image"), "registry.example.organisation/x");
}

#[tokio::test]
async fn transforms_come_last_and_in_order() {
    let world = World::new();
    let state = world.state(CLAIMS).await;
    let spec = "
namespaceMapping: {shop: copy}
storageClassMapping: {gp2: fast}
transforms:
  - {name: first, kinds: [PersistentVolumeClaim], when: object.metadata.namespace == 'shop', merge: {spec: {storageClassName: first}}}
  - {name: second, kinds: [persistentvolumeclaims], json: [{op: test, path: /spec/storageClassName, value: first}, {op: add, path: /metadata/labels, value: {a: b}}]}
";
    world.restore(&state, spec).await;
    let claim = world.object("PersistentVolumeClaim", "copy/data").unwrap();
    assert_eq!((claim.at("/spec/storageClassName"), claim.label("a")), (Some(&json!("first")), Some("b")));
}

#[tokio::test]
async fn an_object_that_a_transform_does_not_fit_stays_out() {
    // Velero lets it through as it was.
    let world = World::new();
    let state = world.state(CLAIMS).await;
    let spec = "transforms: [{name: size, kinds: [PersistentVolumeClaim, StatefulSet], json: [{op: replace, path: /spec/replicas, value: 1}]}]";
    let told = world.restore(&state, spec).await;
    let reason = "Failed PersistentVolumeClaim shop/data: cannot carry out transform \"size\": operation 1 at /spec/replicas does not fit";
    assert!(told.starts_with("Partial") && told.contains(reason), "{told}");
    assert!(world.object("PersistentVolumeClaim", "shop/data").is_none());
    assert_eq!(world.object("StatefulSet", "shop/db").unwrap().at("/spec/replicas"), Some(&json!(1)));
}

#[tokio::test]
async fn old_names_that_still_stand_are_told_of_what_comes_back_and_of_nothing_else() {
    let world = World::new();
    let template = "{spec: {containers: [{name: c, image: x, env: [{name: DB, value: db.shop.svc}]}]}}";
    let state = world
        .state(&format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{name: web, namespace: shop}}
data: {{url: 'http://db.shop.svc/', team: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop, uid: d}}
spec: {{selector: {{matchLabels: {{a: b}}}}, template: {template}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-1
  namespace: shop
  ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}}]
spec: {{selector: {{matchLabels: {{a: b}}}}, template: {template}}}
"
        ))
        .await;
    let plan = text(&world, &state, "namespaceMapping: {shop: copy}").await;
    let told: Vec<&str> = plan.lines().skip_while(|line| !line.starts_with("the old name")).collect();
    assert_snapshot!(told.join("\n"), @"
    the old name of namespace copy (shop) still stands in 2 fields:
      ConfigMap copy/web /data/url (a DNS name)
      Deployment.apps copy/web /spec/template/spec/containers/0/env/0/value (a DNS name)
    ");
    assert!(world.plan(&state, "{}").await.mentions.is_empty());
}
