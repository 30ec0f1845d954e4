//! What is surplus, judged after a real backup of the memory cluster.

use serde_json::json;

use super::*;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::identity::PolicyRef;
use crate::domain::ignore::MirrorFilter;
use crate::domain::policy::PolicySpec;
use crate::engine::archive::store::tests::Stage;
use crate::engine::backup::flow::{BackupOrder, backup};
use crate::engine::backup::target::Target;
use crate::engine::clean::sanitize::{Sanitizer, Wants};
use crate::engine::decide::survey::survey;
use crate::engine::hooks::around::Nothing;
use crate::engine::restore::apply::tests::{World, request, with_shop};
use crate::engine::saved::open::Which;
use crate::engine::yaml;

/// Backs the cluster up with a policy of this selection, and opens the snapshot.
async fn saved(world: &World, select: &str) -> State {
    let stage = Stage::new();
    let select: serde_json::Value = yaml::parse(select).unwrap();
    let spec: PolicySpec =
        serde_json::from_value(json!({"locations": ["archive"], "select": select})).unwrap();
    let catalog = Arc::new(Catalog::builtin());
    let order = BackupOrder {
        spec: spec.clone(),
        policy: PolicyRef { name: "all".into(), digest: "00".into(), revision: None },
        selection: Selection::compile(&spec.select).unwrap(),
        sanitizer: Arc::new(Sanitizer {
            catalog: catalog.clone(),
            filter: MirrorFilter::compile(&spec.mirror).unwrap(),
            wants: Wants::Archive,
        }),
        catalog,
        cluster: "prod".into(),
        occasion: crate::engine::backup::flow::Occasion::default(),
    };
    let targets = vec![Target::Archive { location: "archive".into(), to: stage.to() }];
    let report = backup(&order, targets, (&world.cluster, &Nothing), &*world.clock).await.unwrap();
    let which = Which::Id(report.snapshot);
    State::archive(stage.bucket.clone(), "prod", &which, stage.identities.clone()).await.unwrap()
}

const LATER: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: later, namespace: shop, labels: {app: new}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: later, namespace: shop}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: later, namespace: shop}
spec:
  selector: {matchLabels: {app: later}}
  template: {metadata: {labels: {app: later}}, spec: {containers: [{name: web, image: 'web:1'}]}}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: elsewhere, namespace: other}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: later}
";

async fn found(world: &World, state: &State, spec: &str) -> Surplus {
    let reach = world.reach();
    let known = survey(&reach).await.unwrap();
    surplus(state, &request(spec), (&Arc::new(Catalog::builtin()), &known), &reach).await.unwrap()
}

fn names(surplus: &Surplus) -> Vec<String> {
    surplus.objects.iter().map(|one| one.key.to_string()).collect()
}

#[tokio::test]
async fn what_came_later_is_surplus_where_the_snapshot_looked_for_it() {
    let (world, _) = with_shop().await;
    let state = saved(&world, "{}").await;
    assert_eq!(names(&found(&world, &state, "{}").await), Vec::<String>::new());
    world.kubectl(LATER).await;
    let all = found(&world, &state, "{}").await;
    assert_eq!(
        names(&all),
        ["Deployment.apps shop/later", "ConfigMap shop/later", "ClusterRole.rbac.authorization.k8s.io later"]
    );
    let stays: Vec<String> = all.stays.iter().map(|one| one.key.to_string()).collect();
    assert_eq!(stays, ["PersistentVolumeClaim shop/later"]);
}

#[tokio::test]
async fn the_request_and_the_policy_both_have_to_mean_it() {
    let (world, _) = with_shop().await;
    let whole = saved(&world, "{}").await;
    let part =
        saved(&world, "{namespaces: {include: [shop]}, namespacedResources: {exclude: [ConfigMap]}}").await;
    world.kubectl(LATER).await;
    let deployment = ["Deployment.apps shop/later"];
    assert_eq!(names(&found(&world, &part, "{}").await), deployment);
    let request = "select: {namespaces: {include: [shop]}, namespacedResources: {include: [Deployment]}}";
    assert_eq!(names(&found(&world, &whole, request).await), deployment);
    let labels = "select: {labelSelector: {matchLabels: {app: new}}}";
    assert_eq!(names(&found(&world, &whole, labels).await), ["ConfigMap shop/later"]);
    assert!(found(&world, &whole, "select: {namespaces: {include: [other]}}").await.objects.is_empty());
}

/// Something that belongs to an object of its own kind's namespace, and holds data.
const OWNED: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: owned
  namespace: shop
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: later, uid: UID}]
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

#[tokio::test]
async fn the_owner_of_something_that_stays_is_not_deleted() {
    for controls in ["false", "true"] {
        let (world, _) = with_shop().await;
        let state = saved(&world, "{}").await;
        world.kubectl(LATER).await;
        let uid = world.object("ConfigMap", "shop/later").unwrap().uid().unwrap().to_owned();
        world.kubectl(&OWNED.replace("UID", &format!("{uid}, controller: {controls}"))).await;
        let all = found(&world, &state, "select: {namespaces: {include: [shop]}}").await;
        assert_eq!(names(&all), ["Deployment.apps shop/later"], "controller: {controls}");
        let spared = all.stays.iter().find(|one| one.key.kind == "ConfigMap").unwrap();
        let why = spared.reason.as_ref().unwrap();
        assert!(why.contains("PersistentVolumeClaim shop/owned belongs to it"), "{why}");
    }
}

#[tokio::test]
async fn it_is_known_whether_everything_was_looked_at() {
    let (world, _) = with_shop().await;
    let state = saved(&world, "{}").await;
    for (select, narrow) in [
        ("{namespaces: {include: [shop]}}", false),
        ("{namespacedResources: {include: [ConfigMap]}}", true),
        ("{labelSelector: {matchLabels: {a: b}}}", true),
    ] {
        assert_eq!(found(&world, &state, &format!("select: {select}")).await.narrow, narrow, "{select}");
    }
}

#[test]
fn prune_and_new_names_do_not_go_together() {
    let wrong = request("{prune: true, namespaceMapping: {shop: copy}}").check();
    assert_eq!(wrong[0].pointer, "/prune");
}

#[tokio::test]
async fn a_list_that_fails_on_either_side_deletes_nothing() {
    let (world, _) = with_shop().await;
    world.cluster.inject(Fault::always(Verb::List, "configmaps", Effect::Forbidden));
    let partial = saved(&world, "{}").await;
    world.cluster.mend();
    world.kubectl(LATER).await;
    let select = "select: {namespaces: {include: [shop]}}";
    let missed = found(&world, &partial, select).await;
    assert_eq!(names(&missed), ["Deployment.apps shop/later"]);
    assert!(missed.unknown[0].starts_with("configmaps: not complete in snapshot"), "{:?}", missed.unknown);

    let whole = saved(&world, "{}").await;
    world.kubectl(&LATER.replace("later", "latest")).await;
    world.cluster.inject(Fault::always(Verb::List, "configmaps", Effect::Forbidden));
    let missed = found(&world, &whole, select).await;
    assert_eq!(names(&missed), ["Deployment.apps shop/latest"]);
    assert!(missed.unknown[0].starts_with("configmaps: "), "{:?}", missed.unknown);
}

#[tokio::test]
async fn without_a_record_nothing_is_surplus() {
    let (world, held) = with_shop().await;
    let reach = world.reach();
    let known = survey(&reach).await.unwrap();
    let error =
        surplus(&held, &request("{}"), (&Arc::new(Catalog::builtin()), &known), &reach).await.unwrap_err();
    assert!(matches!(error, Error::NoRecord(_)), "{error}");
}
