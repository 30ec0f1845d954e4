//! Claims about who manages an object.

#![expect(clippy::needless_pass_by_value, reason = "calls read better without `&` before each literal")]

use serde_json::json;

use super::*;
use crate::domain::rules::Catalog;

fn object(rest: Json) -> Manifest {
    let mut tree = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
    json_patch::merge(&mut tree, &rest);
    Manifest::parse(tree).unwrap()
}

fn named(rest: Json) -> Vec<String> {
    let catalog = Catalog::builtin();
    let tools = catalog.tools();
    let line = |claim: Claim| {
        let namespace = claim.owner.namespace.unwrap_or_else(|| "*".to_owned());
        format!("{} {namespace}/{}", tools[claim.tool].name, claim.owner.name)
    };
    claims(tools, &object(rest)).into_iter().map(line).collect()
}

fn annotated(id: &str) -> Json {
    json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": id}}})
}

#[test]
fn labels_and_annotations_of_the_known_tools_name_the_owner() {
    let flux = |tool: &str| {
        json!({"metadata": {"labels": {format!("{tool}.toolkit.fluxcd.io/name"): "apps",
            format!("{tool}.toolkit.fluxcd.io/namespace"): "flux-system"}}})
    };
    assert_eq!(named(flux("kustomize")), ["flux/kustomization flux-system/apps"]);
    assert_eq!(named(flux("helm")), ["flux/helm-release flux-system/apps"]);
    let half = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}});
    assert!(named(half).is_empty(), "one label of two names nobody");
    let label = json!({"metadata": {"labels": {"argocd.argoproj.io/instance": "shop"}}});
    assert_eq!(named(label), ["argo-cd/application */shop"]);
    let release = |by: &str| {
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": by},
            "annotations": {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}}})
    };
    assert_eq!(named(release("Helm")), ["helm/release shop/web"]);
    assert!(named(release("somebody")).is_empty());
    assert!(named(json!({"metadata": {"labels": {"app.kubernetes.io/instance": "shop"}}})).is_empty());
}

#[test]
fn a_tracking_id_counts_only_on_the_object_it_names() {
    assert_eq!(named(annotated("shop:apps/Deployment:shop/web")), ["argo-cd/application */shop"]);
    assert_eq!(named(annotated("team_shop:apps/Deployment:shop/web")), ["argo-cd/application team/shop"]);
    for other in [
        "shop:apps/Deployment:copy/web",
        "shop:apps/Deployment:shop/other",
        "shop:apps/StatefulSet:shop/web",
        "shop:/Deployment:shop/web",
        "shop",
        "",
    ] {
        assert!(named(annotated(other)).is_empty(), "{other}");
    }
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "system:a", "namespace": null,
            "annotations": {"argocd.argoproj.io/tracking-id": "shop:rbac.authorization.k8s.io/ClusterRole:any/system:a"}}});
    assert_eq!(
        named(role),
        ["argo-cd/application */shop"],
        "a cluster-scoped object has no namespace to compare"
    );
}

#[test]
fn the_application_set_owns_its_applications() {
    let reference = |kind: &str| {
        let owner = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "name": "all", "uid": "u"});
        json!({"metadata": {"ownerReferences": [owner]}})
    };
    assert_eq!(named(reference("ApplicationSet")), ["argo-cd/application-set shop/all"]);
    assert!(named(reference("AppProject")).is_empty());
}

#[test]
fn inventories_name_objects_in_the_form_of_their_tool() {
    let catalog = Catalog::builtin();
    let tool = |name: &str| catalog.tools().iter().find(|tool| tool.name == name).unwrap();
    let flux = object(json!({"status": {"inventory": {"entries": [
        {"id": "shop_web_apps_Deployment", "v": "v1"},
        {"id": "_system__reader_rbac.authorization.k8s.io_ClusterRole", "v": "v1"},
        {"id": "shop_c_ _"}, {"id": "shop_c__ConfigMap", "v": "v1"}, {"id": "x"}, {}, 7,
    ]}}}));
    let known = |tool: &Tool, owner: &Manifest| {
        tool.known_to(owner).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let listed =
        "ConfigMap shop/c, ClusterRole.rbac.authorization.k8s.io system:reader, Deployment.apps shop/web";
    let mut wanted: Vec<&str> = listed.split(", ").collect();
    let told = known(tool("flux/kustomization"), &flux);
    let mut told: Vec<&str> = told.split(", ").collect();
    wanted.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, wanted);
    let argo = object(json!({"status": {"resources": [
        {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web"},
        {"version": "v1", "kind": "Namespace", "name": "shop"}, {"kind": "Nameless"},
    ]}}));
    assert_eq!(known(tool("argo-cd/application"), &argo), "Namespace shop, Deployment.apps shop/web");
}

#[test]
fn an_application_prunes_what_it_does_not_know_only_when_it_is_told_to() {
    let catalog = Catalog::builtin();
    let tool = catalog.tools().iter().find(|tool| tool.name == "argo-cd/application").unwrap();
    let prunes = |policy: Json| tool.prunes_unknown(&object(json!({"spec": {"syncPolicy": policy}})));
    assert!(prunes(json!({"automated": {"prune": true}})));
    assert!(prunes(json!({"automated": {"prune": true, "enabled": true}})));
    assert!(!prunes(json!({"automated": {"prune": true, "enabled": false}})));
    assert!(!prunes(json!({"automated": {"selfHeal": true}})));
    assert!(!prunes(json!({})));
}

#[test]
fn every_mistake_of_an_entry_is_named() {
    let text = "
name: mine
kinds: ['/']
when: object.
marks: [{name: labels, namespace: '/metadata/labels/*'}]
stripAlso: [/kind]
suspend: {path: /status/paused, value: true}
inventory: {path: /spec/list, form: Ids, restore: true}
prunesUnknown: '1 +'";
    let spec: OwnerSpec = serde_saphyr::from_str(text).unwrap();
    let errors = Tool::compile(&spec).unwrap_err();
    let pointers: Vec<String> = errors.iter().map(|error| error.pointer.clone()).collect();
    insta::assert_snapshot!(pointers.join(" "), @"/kinds /when /marks/0/name /marks/0/namespace /stripAlso/0 /prunesUnknown /suspend/path /inventory/path");
    let bare: OwnerSpec = serde_saphyr::from_str("{name: bare, suspend: {path: /spec/x, value: 1}}").unwrap();
    let told: Vec<String> =
        Tool::compile(&bare).unwrap_err().iter().map(|error| error.pointer.clone()).collect();
    assert_eq!(told, ["/suspend", "/marks"]);
}
