//! Claims about who is named, and what is said of later pruning.

#![expect(clippy::needless_pass_by_value, reason = "calls read better without `&` before each literal")]

use serde_json::json;

use super::*;
use crate::domain::object::{Gvk, Json, Manifest};
use crate::domain::tool::claims;
use crate::engine::decide::owner_nodes;
use crate::engine::restore::apply::tests::{World, request};

fn resource(api_version: &str, kind: &str) -> Arc<Resource> {
    let plural = format!("{}s", kind.to_lowercase());
    let verbs = vec!["list".into()];
    Arc::new(Resource { gvk: Gvk::new(api_version, kind), plural, namespaced: true, verbs, served: vec![] })
}

/// A live owner as the cluster would list it.
fn node(plan: &RestorePlan, tree: Json) -> Node {
    let tools = plan.settings.catalog().tools();
    let owner = Manifest::parse(tree).unwrap();
    let gvk = owner.gvk();
    let resource = resource(&gvk.api_version(), &gvk.kind);
    let tool = tools.iter().position(|tool| tool.owns_as(&resource)).unwrap();
    let path = tools[tool].inventory.as_ref().map(|inventory| inventory.path.clone()).unwrap_or_default();
    Node {
        tool,
        key: owner.key(),
        resource,
        claims: claims(tools, &owner),
        known: owner.at(&path).map(|list| tools[tool].listed(list)),
        prunes_unknown: tools[tool].prunes_unknown(&owner),
        live: Some(owner),
    }
}

async fn notes(state: &str, spec: &str, live: Vec<Json>) -> String {
    let world = World::new();
    let state = world.state(state).await;
    let plan = world.plan(&state, spec).await;
    let nodes: Vec<Node> = live.into_iter().map(|tree| node(&plan, tree)).collect();
    let coming = owner_nodes::planned(&plan, &nodes);
    let nodes: Vec<Node> = nodes.into_iter().chain(coming).collect();
    let asked = Asked { owners: request(spec).owners, restore: "request shop" };
    decide(&plan, &nodes, &BTreeMap::new(), asked).notes.join("\n")
}

fn kustomization(rest: Json) -> Json {
    let mut tree = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "apps", "namespace": "flux-system"}, "spec": {}});
    json_patch::merge(&mut tree, &rest);
    tree
}

fn application(name: &str, rest: Json) -> Json {
    let mut tree = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"}, "spec": {}});
    json_patch::merge(&mut tree, &rest);
    tree
}

fn flux_maps(names: &[&str]) -> String {
    let one = |name: &&str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: shop\n  labels: \
            {{kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}}\n---\n"
        )
    };
    names.iter().map(one).collect()
}

#[tokio::test]
async fn objects_that_flux_would_never_prune_are_named() {
    let inventory = json!({"inventory": {"entries": [{"id": "shop_a__ConfigMap"}]}});
    let live = kustomization(json!({"status": inventory, "spec": {"suspend": true}}));
    let text = flux_maps(&["a", "b", "c"]);
    assert_eq!(
        notes(&text, "owners: Keep", vec![live.clone()]).await,
        "Kustomization flux-system/apps would never prune 2 of these objects: they carry its mark and are not in its \
        inventory: ConfigMap shop/b, ConfigMap shop/c"
    );
    assert_eq!(notes(&text, "owners: Strip", vec![live.clone()]).await, "");
    // The state is of no cluster that is known, so marks are left out by themselves.
    assert_eq!(notes(&text, "{}", vec![live]).await, "");
}

#[tokio::test]
async fn a_copy_that_carries_the_label_of_an_application_would_be_pruned() {
    let text = "
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: shop, labels: {argocd.argoproj.io/instance: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: shop, annotations: {argocd.argoproj.io/tracking-id: 'web:/ConfigMap:shop/b'}}
";
    let prunes = json!({"spec": {"syncPolicy": {"automated": {"prune": true}}},
        "metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}},
        "status": {"resources": [{"kind": "ConfigMap", "namespace": "shop", "name": "a"},
            {"kind": "ConfigMap", "namespace": "shop", "name": "b"}]}});
    let spec = "{owners: Keep, namespaceMapping: {shop: copy}}";
    assert_eq!(
        notes(text, spec, vec![application("web", prunes.clone())]).await,
        "Application argocd/web would prune 1 of these objects: they carry its mark and it does not know them: \
        ConfigMap copy/a",
        "a tracking id that names another object does not count"
    );
    assert_eq!(notes(text, "owners: Keep", vec![application("web", prunes)]).await, "");
    let calm = json!({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}});
    assert_eq!(notes(text, spec, vec![application("web", calm)]).await, "");
}

#[tokio::test]
async fn a_kustomization_from_a_mirror_has_no_inventory_and_one_from_an_archive_has() {
    let owner = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\n";
    let definition = "
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kustomizations.kustomize.toolkit.fluxcd.io}
spec:
  group: kustomize.toolkit.fluxcd.io
  scope: Namespaced
  names: {plural: kustomizations, kind: Kustomization}
  versions: [{name: v1, served: true, storage: true}]
";
    let text = format!("{}{owner}{definition}", flux_maps(&["a", "b"]));
    assert_eq!(
        notes(&text, "owners: Keep", vec![]).await,
        "Kustomization flux-system/apps comes back without its inventory, so it would never prune 2 of these objects"
    );
    let status =
        "status: {inventory: {entries: [{id: shop_a__ConfigMap, v: v1}, {id: shop_b__ConfigMap, v: v1}]}}\n";
    let text = format!("{}{owner}{status}{definition}", flux_maps(&["a", "b"]));
    assert_eq!(notes(&text, "owners: Keep", vec![]).await, "");
}

#[tokio::test]
async fn of_two_applications_of_one_name_the_one_that_knows_the_object_is_meant() {
    let text = "
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: shop, labels: {argocd.argoproj.io/instance: web}}
";
    let elsewhere = |rest: Json| {
        let mut tree = application("web", rest);
        tree["metadata"]["namespace"] = json!("team");
        tree
    };
    let knows = json!({"status": {"resources": [{"kind": "ConfigMap", "namespace": "shop", "name": "a"}]}});
    let told = notes(text, "owners: Keep", vec![application("web", json!({})), elsewhere(knows)]).await;
    assert_eq!(
        told,
        "Application team/web applies 1 of these objects and may revert them: use `owners: Pause`"
    );
    let both = notes(text, "owners: Keep", vec![application("web", json!({})), elsewhere(json!({}))]).await;
    assert_eq!(both.lines().count(), 2, "nobody knows, so both are named");
}

#[tokio::test]
async fn a_tool_of_a_policy_repository_that_nothing_suspends_is_named_with_that() {
    let world = World::new();
    let state = world
        .state("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {by: robot}}}")
        .await;
    let spec: crate::domain::catalog::CatalogSpec = serde_saphyr::from_str(
        "owners: [{name: robot, kinds: [Robot.example.org], marks: [{name: /metadata/labels/by}]}]",
    )
    .unwrap();
    let catalog = crate::domain::rules::Catalog::with(&BTreeMap::from([("mine".to_owned(), spec)])).unwrap();
    let survey = crate::engine::decide::survey::survey(&world.reach()).await.unwrap();
    let wanted = request("owners: Pause");
    let plan = crate::engine::decide::restore_plan::plan(&state, &wanted, &Arc::new(catalog), &survey)
        .await
        .unwrap();
    let robot = json!({"apiVersion": "example.org/v1", "kind": "Robot", "metadata": {"name": "robot", "namespace": "x"}});
    let nodes = vec![node(&plan, robot)];
    let asked = Asked { owners: Some(Owners::Pause), restore: "request shop" };
    let decided = decide(&plan, &nodes, &BTreeMap::new(), asked);
    assert_eq!(
        decided.notes,
        [
            "Robot x/robot applies 1 of these objects and may revert them: nothing is known that suspends it, so stop it yourself"
        ]
    );
    assert_eq!(decided.to_string(), "owner Robot x/robot (applies 1 of these objects): stays at work\n");
}

#[tokio::test]
async fn an_owner_that_this_cluster_does_not_have_is_named_as_out_of_reach() {
    let told = "2 of these objects name flux-system/apps (flux/kustomization) as their owner, which is not in this \
        cluster: if it runs elsewhere, it cannot be paused from here";
    assert_eq!(notes(&flux_maps(&["a", "b"]), "owners: Keep", vec![]).await, told);
    assert_eq!(notes(&flux_maps(&["a", "b"]), "owners: Strip", vec![]).await, "");
    let helm = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: \
        {app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: web, \
        meta.helm.sh/release-namespace: shop}}}";
    assert_eq!(notes(helm, "owners: Keep", vec![]).await, "", "a release is no object");
}
