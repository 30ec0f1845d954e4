//! Claims about owners, on the memory cluster.

use super::*;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::engine::restore::apply::tests::{World, manifests};

fn object(references: &Json) -> Manifest {
    let metadata = json!({"name": "a", "resourceVersion": "7", "ownerReferences": references});
    Manifest::parse(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).unwrap()
}

#[test]
fn only_missing_owners_are_added_and_the_others_stay() {
    let now = object(&json!([{"uid": "1", "kind": "A"}]));
    assert_eq!(additions(&now, &[json!({"uid": "1", "kind": "A", "controller": true})]), None);
    let patch = additions(&now, &[json!({"uid": "1"}), json!({"uid": "2"})]).unwrap();
    let wanted = json!([{"uid": "1", "kind": "A"}, {"uid": "2"}]);
    assert_eq!(patch, json!({"metadata": {"ownerReferences": wanted, "resourceVersion": "7"}}));
}

#[test]
fn whoever_controls_an_object_keeps_it() {
    let now = object(&json!([{"uid": "1", "controller": true}]));
    assert_eq!(additions(&now, &[json!({"uid": "2", "controller": true})]), None);
    assert!(additions(&now, &[json!({"uid": "2", "controller": false})]).is_some());
}

/// A claim that its workload owns, which comes in a later wave; a Secret with two owners; and one whose owner is gone.
const OWNED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, uid: old-shop}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop, uid: old-db}
spec: {serviceName: db, replicas: 0, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: 'db:1'}]}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: old-db, blockOwnerDeletion: true}]
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Secret
metadata: {name: first, namespace: shop, uid: old-first}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: both
  namespace: shop
  ownerReferences:
    - {apiVersion: v1, kind: Secret, name: first, uid: old-first}
    - {apiVersion: apps/v1, kind: StatefulSet, name: db, uid: old-db}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: orphan
  namespace: shop
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: gone, uid: old-gone}]
";

const WORKLOAD: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {serviceName: db, replicas: 0, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: 'db:1'}]}}}
";

fn owners(world: &World, kind: &str, place: &str) -> Vec<(String, String)> {
    let object = world.object(kind, place).unwrap();
    let text = |tree: &Json, field: &str| tree[field].as_str().unwrap().to_owned();
    let references = object.at("/metadata/ownerReferences").and_then(Json::as_array).cloned();
    references.unwrap_or_default().iter().map(|r| (text(r, "kind"), text(r, "uid"))).collect()
}

fn uid(world: &World, kind: &str, place: &str) -> (String, String) {
    (kind.to_owned(), world.object(kind, place).unwrap().uid().unwrap().to_owned())
}

#[tokio::test]
async fn restored_objects_belong_to_their_restored_owners() {
    let world = World::new();
    let state = world.state(OWNED).await;
    let told = world.restore(&state, "{}").await;
    let (db, first) = (uid(&world, "StatefulSet", "shop/db"), uid(&world, "Secret", "shop/first"));
    assert_eq!(owners(&world, "PersistentVolumeClaim", "shop/data"), std::slice::from_ref(&db));
    let mut both = owners(&world, "ConfigMap", "shop/both");
    both.sort();
    assert_eq!(both, [first, db]);
    assert_eq!(owners(&world, "ConfigMap", "shop/orphan"), []);
    let orphan = "Created ConfigMap shop/orphan: without its owner ConfigMap shop/gone, which is not there";
    assert!(told.starts_with("Complete") && told.contains(orphan), "{told}");
    let before = world.writes();
    world.restore(&state, "{}").await;
    assert_eq!(world.writes() - before, told.matches("Created").count(), "a second run only tries to create");
}

#[tokio::test]
async fn an_owner_that_was_not_restored_is_found_by_its_name() {
    let world = World::new();
    world.kubectl("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").await;
    world.kubectl("{apiVersion: v1, kind: ConfigMap, metadata: {name: gone, namespace: shop}}").await;
    let state = world.state(OWNED).await;
    world.restore(&state, "select: {namespacedResources: {include: [configmaps]}}").await;
    assert_eq!(owners(&world, "ConfigMap", "shop/orphan"), [uid(&world, "ConfigMap", "shop/gone")]);
}

#[tokio::test]
async fn a_new_namespace_takes_its_owners_along() {
    let world = World::new();
    let state = world.state(OWNED).await;
    world.restore(&state, "namespaceMapping: {shop: copy}").await;
    let db = uid(&world, "StatefulSet", "copy/db");
    assert_eq!(owners(&world, "PersistentVolumeClaim", "copy/data"), [db]);
}

#[tokio::test]
async fn a_link_that_cannot_be_made_is_a_failure_and_a_second_run_makes_it() {
    let world = World::new();
    let state = world.state(OWNED).await;
    world.cluster.inject(Fault::always(Verb::Patch, "persistentvolumeclaims", Effect::Forbidden));
    let told = world.restore(&state, "{}").await;
    assert!(told.starts_with("Partial"), "{told}");
    assert!(
        told.contains("Failed PersistentVolumeClaim shop/data: written, but without its owners: "),
        "{told}"
    );
    world.cluster.mend();
    assert!(world.restore(&state, "{}").await.starts_with("Complete"));
    assert_eq!(owners(&world, "PersistentVolumeClaim", "shop/data"), [uid(&world, "StatefulSet", "shop/db")]);
}

#[tokio::test]
async fn another_that_writes_meanwhile_loses_nothing() {
    let world = World::new();
    let state = world.state(OWNED).await;
    world.restore(&state, "select: {namespacedResources: {include: [persistentvolumeclaims]}}").await;
    let seen = world.object("PersistentVolumeClaim", "shop/data").unwrap();
    world.kubectl("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: shop, labels: {a: b}}}").await;
    world.kubectl(WORKLOAD).await;
    let mut uids = Uids::default();
    uids.learn("old-db", &uid(&world, "StatefulSet", "shop/db").1);
    let owned = manifests(OWNED).into_iter().find(|object| object.name() == "data").unwrap();
    let resource = world.resource(&seen).await;
    let key = seen.key();
    let job = Link { key: &key, resource: &resource, owners: owned.owners(), now: seen };
    assert_eq!(link(&world.reach(), vec![job], &uids, &[]).await, []);
    let now = world.object("PersistentVolumeClaim", "shop/data").unwrap();
    assert_eq!(now.label("a"), Some("b"));
    assert_eq!(now.at("/metadata/ownerReferences/0/blockOwnerDeletion"), Some(&json!(true)));
}

#[tokio::test]
async fn a_plan_says_which_owners_are_not_restored() {
    let world = World::new();
    let state = world.state(OWNED).await;
    let plan = world.plan(&state, "select: {namespacedResources: {include: [configmaps, secrets]}}").await;
    let notes: Vec<String> =
        plan.waves.iter().flat_map(|w| &w.objects).flat_map(|o| o.notes.clone()).collect();
    let absent = |owner| format!("its owner {owner} is not restored: linked to it if the cluster has it");
    assert_eq!(notes, [absent("StatefulSet.apps shop/db"), absent("ConfigMap shop/gone")]);
}
