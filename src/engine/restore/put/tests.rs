//! Claims about objects that exist already, and about servers that do not answer, on the memory cluster.

use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::fixup::Propagation;
use crate::engine::restore::apply::tests::{ONLY_SHOP, SHOP, World, lose_shop, manifests, with_shop};
use crate::ports::clock::Clock;
use crate::ports::cluster::{Patch, Writer};

#[tokio::test]
async fn an_update_changes_what_differs_and_nothing_else() {
    let (world, state) = with_shop().await;
    world
        .kubectl(
            "{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}, data: {password: bmV3}}",
        )
        .await;
    assert_snapshot!(world.restore(&state, ONLY_SHOP).await, @"
    Complete
    namespaces:
      Unchanged Namespace shop
    accounts and roles:
      Unchanged ServiceAccount shop/default
      Unchanged ServiceAccount shop/web
    bindings:
      Unchanged RoleBinding.rbac.authorization.k8s.io shop/web
    configuration:
      Skipped Secret shop/db: it exists and is different
    services:
      Unchanged Service shop/web
    workloads:
      Unchanged Deployment.apps shop/web
    ");
    let update = format!("{{existing: Update, {ONLY_SHOP}}}");
    assert_snapshot!(world.restore(&state, &update).await, @"
    Complete
    namespaces:
      Unchanged Namespace shop
    accounts and roles:
      Unchanged ServiceAccount shop/default
      Unchanged ServiceAccount shop/web
    bindings:
      Unchanged RoleBinding.rbac.authorization.k8s.io shop/web
    configuration:
      Updated Secret shop/db
    services:
      Unchanged Service shop/web
    workloads:
      Unchanged Deployment.apps shop/web
    ");
    let secret = world.object("Secret", "shop/db").unwrap();
    assert_eq!(secret.at("/data/password"), Some(&json!("aHVudGVyMg==")));
    assert!(world.restore(&state, &update).await.lines().all(|line| !line.contains("Updated")));
}

#[tokio::test]
async fn a_namespace_that_exists_gets_the_labels_it_lacks_and_keeps_its_own() {
    let world = World::new();
    world.kubectl("{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: red}}}").await;
    let saved = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: blue, purpose: shop}, annotations: {a: b}}}";
    let state = world.state(saved).await;
    assert_snapshot!(world.restore(&state, "{}").await, @"
    Complete
    namespaces:
      Updated Namespace shop: it exists; what it lacked was added
    ");
    let namespace = world.object("Namespace", "shop").unwrap();
    assert_eq!((namespace.label("team"), namespace.label("purpose")), (Some("red"), Some("shop")));
    assert_eq!(namespace.annotation("a"), Some("b"));
    world.restore(&state, "existing: Update").await;
    assert_eq!(world.object("Namespace", "shop").unwrap().label("team"), Some("blue"));
}

#[tokio::test]
async fn a_namespace_that_is_being_deleted_is_waited_for() {
    let (world, state) = with_shop().await;
    world.kubectl("{apiVersion: v1, kind: ConfigMap, metadata: {name: slow, namespace: shop, finalizers: [example.org/hold]}}").await;
    let namespace = manifests("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").remove(0);
    let resource = world.resource(&namespace).await;
    let place = Place { namespace: None, name: "shop", subresource: "" };
    world.cluster.delete(&resource, place, Propagation::Background).await.unwrap();
    let held = world.restore(&state, ONLY_SHOP).await;
    assert!(held.contains("Failed Namespace shop: one of the same name is being deleted"), "{held}");
    assert!(held.contains("Failed Secret shop/db: its namespace shop could not be made"), "{held}");
    let slow =
        manifests("{apiVersion: v1, kind: ConfigMap, metadata: {name: slow, namespace: shop}}").remove(0);
    let resource = world.resource(&slow).await;
    let release = async {
        world.clock.sleep(Duration::from_secs(30)).await;
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let place = Place { namespace: Some("shop"), name: "slow", subresource: "" };
        world.cluster.patch(&resource, place, &patch, Mode::Real).await.unwrap();
    };
    let (done, ()) = futures::join!(world.restore(&state, ONLY_SHOP), release);
    assert!(done.starts_with("Complete"), "{done}");
}

#[tokio::test]
async fn busy_servers_and_lost_connections_are_tried_again() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    let busy = Effect::TooMany(Some(Duration::from_secs(2)));
    world.cluster.inject(Fault::first(3, Verb::Create, "secrets", busy));
    world.cluster.inject(Fault::first(2, Verb::Create, "deployments.apps", Effect::Broken));
    world.cluster.inject(Fault::first(2, Verb::Create, "namespaces", Effect::Unreachable));
    let report = world.restore(&state, ONLY_SHOP).await;
    assert!(report.starts_with("Complete"), "{report}");
}

#[tokio::test]
async fn a_field_that_cannot_be_changed_is_named_with_the_next_step() {
    let (world, state) = with_shop().await;
    let changed = SHOP.replace("app: web", "app: other");
    lose_shop(&world).await;
    world.kubectl(&changed).await;
    let report = world.restore(&state, &format!("{{existing: Update, {ONLY_SHOP}}}")).await;
    let line = report.lines().find(|line| line.contains("Deployment")).unwrap().to_owned();
    assert_snapshot!(line, @"  Failed Deployment.apps shop/web: invalid: spec.selector: Invalid value: field is immutable; a field of it cannot be changed in place: restore it with `existing: Recreate`");
}

#[tokio::test]
async fn fail_writes_nothing_when_one_object_exists() {
    let (world, state) = with_shop().await;
    let secret = manifests(SHOP).remove(2);
    let resource = world.resource(&secret).await;
    let place = Place { namespace: Some("shop"), name: "db", subresource: "" };
    world.cluster.delete(&resource, place, Propagation::Background).await.unwrap();
    let before = world.writes();
    let spec = format!("{{existing: Fail, {ONLY_SHOP}}}");
    assert_snapshot!(world.restore(&state, &spec).await, @"
    Failed
    namespaces:
      Failed Namespace shop: it exists
    accounts and roles:
      Failed ServiceAccount shop/default: it exists
      Failed ServiceAccount shop/web: it exists
    bindings:
      Failed RoleBinding.rbac.authorization.k8s.io shop/web: it exists
    services:
      Failed Service shop/web: it exists
    workloads:
      Failed Deployment.apps shop/web: it exists
    ");
    assert_eq!(world.writes(), before);
    lose_shop(&world).await;
    let fresh = world.restore(&state, &spec).await;
    assert!(fresh.starts_with("Complete"), "{fresh}");
}

#[tokio::test]
async fn one_object_that_fails_is_an_entry() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    world.cluster.inject(Fault::always(Verb::Create, "secrets", Effect::Forbidden));
    let report = world.restore(&state, ONLY_SHOP).await;
    assert!(report.starts_with("Partial"), "{report}");
    assert!(report.contains("Failed Secret shop/db: forbidden"), "{report}");
    assert!(report.contains("Created Deployment.apps shop/web"), "{report}");
}
