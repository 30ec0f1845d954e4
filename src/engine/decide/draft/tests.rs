//! In which version objects come back, on the memory cluster.

use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::engine::restore::apply::tests::{World, manifests};

/// A definition of widgets that serves these versions, the first one stored.
fn widgets(versions: &[&str], conversion: &str) -> String {
    let version = |(at, name): (usize, &&str)| {
        let stored = at == 0;
        format!(
            "  - {{name: {name}, served: true, storage: {stored}, schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}\n"
        )
    };
    let versions: String = versions.iter().enumerate().map(version).collect();
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.example.org}}
spec:
  group: example.org
  scope: Cluster
  names: {{plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}}
  conversion: {conversion}
  versions:
{versions}"
    )
}

fn widget(version: &str) -> String {
    format!(
        "{{apiVersion: example.org/{version}, kind: Widget, metadata: {{name: one}}, spec: {{size: 3}}}}\n"
    )
}

const LABEL: &str = "{strategy: None}";
const WEBHOOK: &str = "{strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {service: {namespace: shop, name: converter}}}}";

async fn world(versions: &[&str], conversion: &str) -> World {
    let world = World::new();
    world.kubectl(&widgets(versions, conversion)).await;
    world.clock.advance(Duration::from_secs(5));
    world
}

/// A state of one widget, saved by a cluster that served these versions.
fn saved(version: &str, served: &[&str]) -> State {
    let object = manifests(&widget(version)).remove(0);
    let resource = Resource {
        gvk: object.gvk(),
        plural: "widgets".into(),
        namespaced: false,
        verbs: Vec::new(),
        served: served.iter().map(|v| (*v).to_owned()).collect(),
    };
    State::held("snapshot test".into(), [(Arc::new(resource), object)])
}

/// The notes of the only planned object, or why it stays out.
async fn told(world: &World, state: &State) -> String {
    let plan = world.plan(state, "{}").await;
    let planned = plan.waves.iter().flat_map(|wave| &wave.objects);
    let notes = planned.map(|object| format!("{}: {}", object.resource.gvk, object.notes.join("; ")));
    let left = plan.left_out.iter().map(|o| format!("{:?}: {}", o.action, o.reason.as_deref().unwrap()));
    notes.chain(left).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_saved_version_that_is_served_is_sent_whatever_the_cluster_prefers() {
    // Velero scenario "API group versions" A: source v1, target v1 and v2, v2 preferred.
    let world = world(&["v2", "v1"], WEBHOOK).await;
    assert_snapshot!(told(&world, &saved("v1", &["v1"])).await, @"example.org/v1 Widget: ");
}

#[tokio::test]
async fn a_version_that_is_not_served_becomes_one_that_is_where_only_the_label_changes() {
    // Velero scenario "API group versions" B, where the POST fails: no matches for kind.
    let world = world(&["v2", "v1alpha1"], LABEL).await;
    let state = saved("v1", &["v1"]);
    assert_snapshot!(told(&world, &state).await, @"example.org/v2 Widget: saved as example.org/v1, sent as example.org/v2");
    let report = world.restore(&state, "{}").await;
    assert!(report.starts_with("Complete"), "{report}");
    assert_eq!(world.object("Widget", "one").unwrap().at("/spec/size"), Some(&serde_json::json!(3)));
    let again = world.restore(&state, "{}").await;
    assert!(again.contains("Unchanged Widget.example.org one"), "{again}");
}

#[tokio::test]
async fn a_version_that_both_clusters_serve_comes_before_a_newer_one() {
    // Velero scenario "API group versions" C: source prefers v2beta1, target lacks it, both know v1.
    let world = world(&["v3", "v1"], LABEL).await;
    let state = saved("v2beta1", &["v1", "v2beta1"]);
    assert_snapshot!(told(&world, &state).await, @"example.org/v1 Widget: saved as example.org/v2beta1, sent as example.org/v1");
}

#[tokio::test]
async fn what_only_a_webhook_can_convert_stays_out_and_the_reason_names_it() {
    // Velero scenario "API group versions" D: nothing in common.
    let world = world(&["v2"], WEBHOOK).await;
    let state = saved("v1", &["v1"]);
    assert_snapshot!(told(&world, &state).await, @"Failed: it was saved as example.org/v1, and of this kind the cluster serves only v2; its definition widgets.example.org converts by webhook (service shop/converter), which only the API server asks, and only between versions that it serves: let it serve v1 until the object is back, then restore again");
}

#[tokio::test]
async fn the_definition_of_the_saved_state_has_a_say_as_well() {
    let world = world(&["v2"], LABEL).await;
    let text = format!("{}---\n{}", widgets(&["v1"], WEBHOOK), widget("v1"));
    let all = manifests(&text).into_iter().map(|object| {
        let resource = crate::engine::saved::manifests::guess(object.gvk(), false);
        (Arc::new(resource), object)
    });
    let state = State::held("snapshot test".into(), all);
    let told = told(&world, &state).await;
    assert!(told.contains("converts by webhook (service shop/converter)"), "{told}");
}

#[tokio::test]
async fn a_definition_that_this_restore_brings_decides_where_the_cluster_has_none() {
    let text = format!("{}---\n{}", widgets(&["v2"], LABEL), widget("v1"));
    let world = World::new();
    let state = world.state(&text).await;
    let told = told(&world, &state).await;
    assert!(
        told.contains("example.org/v2 Widget: saved as example.org/v1, sent as example.org/v2"),
        "{told}"
    );
    let report = world.restore(&state, "{}").await;
    assert!(report.starts_with("Complete") && world.object("Widget", "one").is_some(), "{report}");
}

#[tokio::test]
async fn built_in_kinds_come_back_by_the_rules_of_the_catalog_also_into_another_group() {
    let world = World::new();
    let text = "
{apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: web, namespace: shop}, spec: {minAvailable: 1, selector: {}}}
---
{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: web, namespace: shop}, spec: {backend: {serviceName: web, servicePort: 80}}}
---
{apiVersion: policy/v1beta1, kind: PodSecurityPolicy, metadata: {name: gone}}
";
    let state = world.state(text).await;
    assert_snapshot!(told(&world, &state).await, @"
    v1 Namespace: the saved state does not have it: made without labels and annotations
    networking.k8s.io/v1 Ingress: saved as extensions/v1beta1, sent as networking.k8s.io/v1
    policy/v1 PodDisruptionBudget: saved as policy/v1beta1, sent as policy/v1
    Failed: the cluster does not serve policy/v1beta1 PodSecurityPolicy, and this restore brings no definition of it
    ");
    world.restore(&state, "{}").await;
    let ingress = world.object("Ingress", "shop/web").unwrap();
    assert_eq!(ingress.at("/spec/defaultBackend/service/port/number"), Some(&serde_json::json!(80)));
    assert!(world.object("PodDisruptionBudget", "shop/web").unwrap().at("/spec/selector").is_none());
}

#[tokio::test]
async fn one_object_that_was_saved_under_two_groups_comes_back_once() {
    // Velero drops the double at backup, by a list of kinds ("cohabitating resources").
    let world = World::new();
    let text = "
{apiVersion: extensions/v1beta1, kind: NetworkPolicy, metadata: {name: p, namespace: shop, uid: u}, spec: {podSelector: {}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop, uid: u}, spec: {podSelector: {}}}
";
    let state = world.state(text).await;
    assert_snapshot!(told(&world, &state).await, @"
    v1 Namespace: the saved state does not have it: made without labels and annotations
    networking.k8s.io/v1 NetworkPolicy: 
    Skipped: it is NetworkPolicy.networking.k8s.io shop/p, which is restored, under another API group
    ");
}

#[tokio::test]
async fn owners_are_named_in_the_version_they_are_sent_in() {
    let world = world(&["v2"], LABEL).await;
    let text = "
{apiVersion: example.org/v1, kind: Widget, metadata: {name: one, uid: old}, spec: {size: 3}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: default, ownerReferences: [{apiVersion: example.org/v1, kind: Widget, name: one, uid: old}]}}
";
    let state = world.state(text).await;
    world.restore(&state, "{}").await;
    let owner = world.object("ConfigMap", "default/c").unwrap();
    assert_eq!(
        owner.at("/metadata/ownerReferences/0/apiVersion"),
        Some(&serde_json::json!("example.org/v2"))
    );
    let uid = world.object("Widget", "one").unwrap().uid().unwrap().to_owned();
    assert_eq!(owner.at("/metadata/ownerReferences/0/uid"), Some(&serde_json::json!(uid)));
}
