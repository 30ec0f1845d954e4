//! Claims about owners that come back, on the memory cluster.

use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::fixup::Propagation;
use crate::domain::report::Outcome;
use crate::engine::restore::apply::apply;
use crate::engine::restore::apply::tests::{World, lose_shop, shown};
use crate::engine::restore::pause::tests::{FLUX, decided, delivered, owners, status, whole};
use crate::engine::restore::pause::{pause, resume};
use crate::ports::cluster::Writer;

use super::*;

async fn lose(world: &World, kind: &str, place: &str) {
    let object = world.object(kind, place).unwrap();
    let resource = world.resource(&object).await;
    let place = Place { namespace: object.namespace(), name: object.name(), subresource: "" };
    world.cluster.delete(&resource, place, Propagation::Background).await.unwrap();
}

#[tokio::test]
async fn an_owner_that_comes_back_is_quiet_until_the_end_and_knows_what_it_manages() {
    let (world, state) = delivered().await;
    let before = owners(&world);
    lose_shop(&world).await;
    for name in ["root", "apps", "other"] {
        lose(&world, "Kustomization", &format!("flux-system/{name}")).await;
    }
    lose(&world, "Application", "argocd/shop").await;
    let (decided, plan) = decided(&world, &state, "owners: Pause").await.unwrap();
    pause(&decided, &world.reach()).await.unwrap();
    let report = apply(&plan, &state, &world.reach()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Complete, "{}", shown(&report));
    let quiet = |kind: &str, place: &str, field: &str| {
        world.object(kind, place).unwrap().at(field).cloned().unwrap_or_default()
    };
    assert_eq!(quiet("Kustomization", "flux-system/apps", "/spec/suspend"), true);
    assert_eq!(quiet("Kustomization", "flux-system/other", "/spec/suspend"), true);
    let skip = "/metadata/annotations/argocd.argoproj.io~1skip-reconcile";
    assert_eq!(quiet("Application", "argocd/shop", skip), "true");
    resume(&decided, &world.reach()).await;
    assert_eq!(owners(&world), before, "the inventory is part of it");
}

#[tokio::test]
async fn a_controller_that_was_quicker_keeps_its_entries() {
    let (world, state) = delivered().await;
    lose(&world, "Kustomization", "flux-system/apps").await;
    let plan = world.plan(&state, "{}").await;
    let object = plan.waves.iter().flat_map(|wave| &wave.objects).find(|o| o.key.name == "apps").unwrap();
    let newer = FLUX.replace("name: apps", "name: apps\n  annotations: {made: anew}");
    world.kubectl(&newer).await;
    let made = world.object("Kustomization", "flux-system/apps").unwrap();
    let quick = json!([{"id": "shop_new__ConfigMap", "v": "v1"}]);
    status(&world, "Kustomization", "flux-system/apps", json!({"inventory": {"entries": quick}})).await;
    let created = crate::domain::report::ObjectAction::Created;
    let written = crate::engine::restore::put::Written {
        reason: None,
        stored: Some(made),
        ..crate::engine::restore::put::Written::told(created, "", None)
    };
    let catalog = Catalog::builtin();
    let told =
        crate::engine::restore::inventory::with_inventory(&world.reach(), object, &catalog, written).await;
    assert_eq!(told.reason.as_deref(), Some("knows again what it manages: 2 entries"));
    let apps = world.object("Kustomization", "flux-system/apps").unwrap();
    let ids: Vec<&str> = apps
        .at("/status/inventory/entries")
        .and_then(Json::as_array)
        .unwrap()
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["shop_new__ConfigMap", "shop_web__ConfigMap"]);
}

#[tokio::test]
async fn an_inventory_that_could_not_be_written_comes_back_with_the_next_run() {
    let (world, state) = delivered().await;
    let before = owners(&world);
    lose(&world, "Kustomization", "flux-system/apps").await;
    world.cluster.inject(Fault::first(
        1,
        Verb::Patch,
        "kustomizations.kustomize.toolkit.fluxcd.io",
        Effect::Forbidden,
    ));
    let report = whole(&world, &state, "{}", &world.reach()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Partial);
    assert!(shown(&report).contains("written, but without its inventory: forbidden"), "{}", shown(&report));
    whole(&world, &state, "{}", &world.reach()).await.unwrap();
    assert_eq!(owners(&world), before);
}
