//! Claims about whose the objects of a restore are, on the memory cluster.

use insta::assert_snapshot;
use serde_json::json;

use crate::engine::restore::apply::apply;
use crate::engine::restore::apply::tests::lose_shop;
use crate::engine::restore::pause::tests::{FLUX, PAUSED_SHOP, decided, delivered, owners, whole, writes};
use crate::engine::restore::pause::{pause, resume};

#[tokio::test]
async fn an_owner_that_somebody_else_suspended_stays_suspended_and_a_loop_ends() {
    let (world, state) = delivered().await;
    world.kubectl(&FLUX.replace("path: ./clusters}", "path: ./clusters, suspend: true}")).await;
    let looped = "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: root
  namespace: argocd
  annotations: {argocd.argoproj.io/tracking-id: 'shop:argoproj.io/Application:argocd/root'}
spec: {project: default}
";
    world.kubectl(looped).await;
    let before = owners(&world);
    let (decided, _) = decided(&world, &state, PAUSED_SHOP).await.unwrap();
    assert_snapshot!(decided, @"
    owner Application argocd/root (applies Application argocd/shop): is paused until the end
    owner Application argocd/shop (applies 1 of these objects, Application argocd/root): is paused until the end
    owner Kustomization flux-system/root (applies Kustomization flux-system/apps): is suspended already, and stays so
    owner Kustomization flux-system/apps (applies 1 of these objects): is paused until the end
    ");
    whole(&world, &state, PAUSED_SHOP, &world.reach()).await.unwrap();
    assert_eq!(owners(&world), before);
}

#[tokio::test]
async fn a_restore_of_something_else_leaves_the_owners_alone() {
    let (world, state) = delivered().await;
    lose_shop(&world).await;
    let from = world.cluster.calls().len();
    let spec =
        "{owners: Pause, select: {namespaces: {include: [shop]}, namespacedResources: {include: [Secret]}}}";
    let report = whole(&world, &state, spec, &world.reach()).await.unwrap();
    assert!(report.owners.is_empty());
    assert!(
        writes(&world, from).iter().all(|call| !call.contains("flux-system/")),
        "{:?}",
        writes(&world, from)
    );
}

#[tokio::test]
async fn an_object_without_marks_belongs_to_the_owner_that_lists_it() {
    let (world, _) = delivered().await;
    let bare = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: shop}, data: {a: '2'}}";
    let state = world.state(bare).await;
    let (first, _) = decided(&world, &state, "{owners: Pause}").await.unwrap();
    let names: Vec<String> = first.owners.iter().map(|owner| owner.key.place()).collect();
    assert_eq!(names, ["flux-system/root", "flux-system/apps"]);
    let unlisted = bare.replace("name: web", "name: new");
    let state = world.state(&unlisted).await;
    world
        .kubectl(&unlisted.replace(
            "}, data",
            ", labels: {kustomize.toolkit.fluxcd.io/name: other, \
        kustomize.toolkit.fluxcd.io/namespace: flux-system}}, data",
        ))
        .await;
    let spec = "{owners: Pause, existing: Update}";
    let (decided, _) = decided(&world, &state, spec).await.unwrap();
    assert_eq!(
        decided.owners.iter().map(|owner| owner.key.place()).collect::<Vec<_>>(),
        ["flux-system/other"]
    );
}

#[tokio::test]
async fn the_application_set_that_made_an_application_is_paused_before_it() {
    let (world, state) = delivered().await;
    let set = "
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: all, namespace: argocd}
spec: {generators: []}
";
    world.kubectl(set).await;
    let uid = world.object("ApplicationSet", "argocd/all").unwrap().uid().unwrap().to_owned();
    let owned = format!(
        "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: shop
  namespace: argocd
  ownerReferences:
  - {{apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, name: all, uid: {uid}, controller: true}}
spec: {{project: default}}
"
    );
    world.kubectl(&owned).await;
    let before = owners(&world);
    let (decided, plan) = decided(&world, &state, PAUSED_SHOP).await.unwrap();
    let names: Vec<String> = decided.owners.iter().map(|owner| owner.key.to_string()).collect();
    assert_eq!(names[..2], ["ApplicationSet.argoproj.io argocd/all", "Application.argoproj.io argocd/shop"]);
    pause(&decided, &world.reach()).await.unwrap();
    let all = || world.object("ApplicationSet", "argocd/all").unwrap();
    assert_eq!(all().at("/spec/syncPolicy/applicationsSync"), Some(&json!("create-only")));
    apply(&plan, &state, &world.reach()).await.unwrap();
    resume(&decided, &world.reach()).await;
    assert_eq!(all().at("/spec/syncPolicy"), None);
    assert_eq!(owners(&world), before);
}
