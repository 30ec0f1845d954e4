//! Claims about previews, on the memory cluster.

use insta::assert_snapshot;

use super::*;
use crate::engine::difference::render::{self, Palette};
use crate::engine::restore::apply::apply;
use crate::engine::restore::apply::tests::{ONLY_SHOP, SHOP, World, lose_shop, with_shop};

async fn tried(world: &World, state: &State, spec: &str) -> RestorePreview {
    let plan = world.plan(state, spec).await;
    preview(&plan, state, &Marks::default(), &world.reach()).await.unwrap()
}

fn shown(preview: &RestorePreview) -> String {
    let mut lines = Vec::new();
    for object in preview.waves.iter().flat_map(|wave| &wave.objects) {
        let ObjectReport { key, action, reason } = &object.report;
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("{action:?} {key}{reason}"));
        lines.extend(object.change.iter().map(|change| render::object(change, &Palette::default())));
    }
    lines.join("\n")
}

#[tokio::test]
async fn a_lost_namespace_is_shown_object_by_object_and_nothing_is_written() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    let (objects, writes) = (world.cluster.objects(), world.writes());
    assert_snapshot!(shown(&tried(&world, &state, ONLY_SHOP).await), @"
    Created Namespace shop
    Created ServiceAccount shop/default: the server cannot check it yet: Namespace shop comes earlier in this plan
    Created ServiceAccount shop/web: the server cannot check it yet: Namespace shop comes earlier in this plan
    Created RoleBinding.rbac.authorization.k8s.io shop/web: the server cannot check it yet: Namespace shop comes earlier in this plan
    Created Secret shop/db: the server cannot check it yet: Namespace shop comes earlier in this plan
    Created Service shop/web: the server cannot check it yet: Namespace shop comes earlier in this plan
    Created Deployment.apps shop/web: the server cannot check it yet: Namespace shop comes earlier in this plan
    ");
    assert_eq!((world.cluster.objects(), world.writes()), (objects, writes));
}

#[tokio::test]
async fn an_update_shows_the_fields_and_no_secret() {
    let (world, state) = with_shop().await;
    world.kubectl(&SHOP.replace("aHVudGVyMg==", "bmV3").replace("replicas: 2", "replicas: 5")).await;
    let (objects, writes) = (world.cluster.objects(), world.writes());
    let update = shown(&tried(&world, &state, &format!("{{existing: Update, {ONLY_SHOP}}}")).await);
    assert_snapshot!(update, @"
    Unchanged Namespace shop
    Unchanged ServiceAccount shop/default
    Unchanged ServiceAccount shop/web
    Unchanged RoleBinding.rbac.authorization.k8s.io shop/web
    Updated Secret shop/db
    ~ Secret shop/db
        /data/password
        - *** (before)
        + *** (after)

    Unchanged Service shop/web
    Updated Deployment.apps shop/web
    ~ Deployment.apps shop/web
        /spec/replicas
        - 5
        + 2
    ");
    assert!(!update.contains("aHVudGVyMg") && !update.contains("bmV3"));
    assert_snapshot!(shown(&tried(&world, &state, ONLY_SHOP).await), @"
    Unchanged Namespace shop
    Unchanged ServiceAccount shop/default
    Unchanged ServiceAccount shop/web
    Unchanged RoleBinding.rbac.authorization.k8s.io shop/web
    Skipped Secret shop/db: it exists and is different
    ~ Secret shop/db
        /data/password
        - *** (before)
        + *** (after)

    Unchanged Service shop/web
    Skipped Deployment.apps shop/web: it exists and is different
    ~ Deployment.apps shop/web
        /spec/replicas
        - 5
        + 2
    ");
    assert_eq!((world.cluster.objects(), world.writes()), (objects, writes));
}

#[tokio::test]
async fn what_a_preview_says_is_what_happens() {
    for existing in ["Skip", "Update", "Fail"] {
        for lost in [true, false] {
            let (world, state) = with_shop().await;
            world
                .kubectl(&SHOP.replace("replicas: 2", "replicas: 5").replace("team: blue", "size: big"))
                .await;
            if lost {
                lose_shop(&world).await;
            }
            let spec = format!("{{existing: {existing}, {ONLY_SHOP}}}");
            let said = tried(&world, &state, &spec).await;
            assert_eq!(said.blocked > 0, existing == "Fail" && !lost, "{existing}, lost: {lost}");
            let plan = world.plan(&state, &spec).await;
            let done = apply(&plan, &state, &world.reach()).await.unwrap();
            let said = said.waves.iter().flat_map(|wave| &wave.objects).map(|o| &o.report);
            // The cluster makes the default account of a new namespace before the restore comes to it.
            let counts = |o: &&ObjectReport| o.key.name != "default";
            let said: Vec<_> = said.filter(counts).map(|o| (&o.key, o.action)).collect();
            let done = done.waves.iter().flat_map(|wave| &wave.objects);
            let done: Vec<_> = done.filter(counts).map(|o| (&o.key, o.action)).collect();
            assert_eq!(said, done, "{existing}, lost: {lost}");
        }
    }
}
