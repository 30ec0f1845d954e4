//! Claims about restored status, on the memory cluster.

use std::time::Duration;

use serde_json::json;

use crate::domain::object::Json;
use crate::engine::clean::hide::Marks;
use crate::engine::restore::apply::tests::World;
use crate::engine::restore::preview::preview;
use crate::engine::saved::open::State;

/// A kind with a status subresource, and one without.
const KINDS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: withs.example.org}
spec:
  group: example.org
  scope: Cluster
  names: {plural: withs, singular: with, kind: With, listKind: WithList}
  versions:
  - {name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: withouts.example.org}
spec:
  group: example.org
  scope: Cluster
  names: {plural: withouts, singular: without, kind: Without, listKind: WithoutList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
";

const OBJECTS: &str = "
{apiVersion: example.org/v1, kind: With, metadata: {name: a}, spec: {x: 1}, status: {serial: 9007199254740993, unknown: {stays: true}}}
---
{apiVersion: example.org/v1, kind: With, metadata: {name: not, annotations: {velero.io/restore-status: 'false'}}, spec: {x: 1}, status: {serial: 2}}
---
{apiVersion: example.org/v1, kind: Without, metadata: {name: b}, spec: {x: 1}, status: {serial: 3}}
---
{apiVersion: example.org/v1, kind: Without, metadata: {name: asked, annotations: {velero.io/restore-status: 'true'}}, spec: {x: 1}, status: {serial: 4}}
";

async fn world() -> (World, State) {
    let world = World::new();
    world.kubectl(KINDS).await;
    world.clock.advance(Duration::from_secs(5));
    let state = world.state(OBJECTS).await;
    (world, state)
}

fn status(world: &World, kind: &str, name: &str) -> Option<Json> {
    world.object(kind, name).unwrap().at("/status").cloned()
}

#[tokio::test]
async fn no_status_is_restored_unless_it_is_asked_for() {
    let (world, state) = world().await;
    let report = world.restore(&state, "{}").await;
    assert!(report.starts_with("Complete"), "{report}");
    assert_eq!(status(&world, "With", "a"), None);
    assert_eq!(status(&world, "Without", "b"), None);
    assert_eq!(status(&world, "Without", "asked"), Some(json!({"serial": 4})), "its annotation asks for it");
}

#[tokio::test]
async fn the_status_of_chosen_kinds_comes_back_with_every_field() {
    let (world, state) = world().await;
    world.restore(&state, "restoreStatusOf: [With]").await;
    let saved = json!({"serial": 9_007_199_254_740_993_i64, "unknown": {"stays": true}});
    assert_eq!(status(&world, "With", "a"), Some(saved));
    assert_eq!(status(&world, "With", "not"), None, "its annotation speaks against it");
    assert_eq!(status(&world, "Without", "b"), None);
}

#[tokio::test]
async fn a_kind_without_a_status_subresource_gets_it_as_a_field() {
    // Velero issue 7993: UpdateStatus fails for such kinds.
    let (world, state) = world().await;
    let report = world.restore(&state, "restoreStatusOf: ['*.example.org']").await;
    assert!(report.starts_with("Complete"), "{report}");
    assert_eq!(status(&world, "Without", "b"), Some(json!({"serial": 3})));
}

#[tokio::test]
async fn the_status_of_an_object_that_exists_as_it_was_saved_comes_back_too() {
    // Velero issue 7994: only of objects that were created. A run that was killed in between is finished by the next.
    let (world, state) = world().await;
    world.restore(&state, "{}").await;
    assert_eq!(status(&world, "With", "a"), None);
    world.restore(&state, "restoreStatusOf: [With]").await;
    assert!(status(&world, "With", "a").is_some());
    let before = world.writes();
    let report = world.restore(&state, "restoreStatusOf: [With]").await;
    assert!(report.contains("Unchanged With.example.org a"), "{report}");
    let patches = world.cluster.calls().iter().filter(|call| call.starts_with("patch withs")).count();
    assert_eq!((world.writes() - before, patches), (4, 1), "only the creates are tried again");
}

#[tokio::test]
async fn an_object_that_stays_different_keeps_its_status() {
    let (world, state) = world().await;
    world.kubectl("{apiVersion: example.org/v1, kind: With, metadata: {name: a}, spec: {x: 2}}").await;
    let report = world.restore(&state, "restoreStatusOf: [With]").await;
    assert!(report.contains("Skipped With.example.org a: it exists and is different"), "{report}");
    assert_eq!(status(&world, "With", "a"), None);
}

#[tokio::test]
async fn a_preview_says_that_the_status_is_written_and_writes_nothing() {
    let (world, state) = world().await;
    let plan = world.plan(&state, "restoreStatusOf: [With]").await;
    let marks = Marks::new(&[]).unwrap();
    let before = world.writes();
    let shown = preview(&plan, &state, &marks, &world.reach()).await.unwrap();
    let reasons: Vec<String> = shown.waves[0]
        .objects
        .iter()
        .map(|o| format!("{}: {}", o.report.key, o.report.reason.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        reasons,
        [
            "With.example.org a: its saved status is written too",
            "With.example.org not: ",
            "Without.example.org asked: its saved status is written too",
            "Without.example.org b: "
        ]
    );
    assert_eq!(world.writes(), before);
}
