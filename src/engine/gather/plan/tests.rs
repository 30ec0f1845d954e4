use insta::assert_snapshot;

use super::*;
use crate::domain::object::Gvk;
use crate::domain::selection::{Patterns, SelectSpec};

fn resource(api_version: &str, kind: &str, plural: &str, namespaced: bool) -> Resource {
    let gvk = Gvk::new(api_version, kind);
    let served = vec![gvk.version.clone()];
    let verbs = ["create", "delete", "get", "list"].map(str::to_owned).to_vec();
    Resource { gvk, plural: plural.into(), namespaced, verbs, served }
}

fn discovery() -> Discovery {
    let mut review = resource("authentication.k8s.io/v1", "TokenReview", "tokenreviews", false);
    review.verbs = vec!["create".into()];
    let mut status = resource("v1", "ComponentStatus", "componentstatuses", false);
    status.verbs = vec!["get".into(), "list".into()];
    let resources = vec![
        status,
        resource("v1", "ConfigMap", "configmaps", true),
        resource("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
        resource("apps/v1", "Deployment", "deployments", true),
        resource("extensions/v1beta1", "Deployment", "deployments", true),
        resource("v1", "Namespace", "namespaces", false),
        resource("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
        review,
    ];
    let broken = [("metrics.k8s.io/v1beta1".to_owned(), "stale".to_owned())].into();
    Discovery { resources, broken }
}

fn planned(spec: &SelectSpec) -> BackupPlan {
    let selection = Selection::compile(spec).unwrap();
    plan(selection, Arc::new(Catalog::builtin()), &discovery())
}

#[test]
fn everything_is_listed_or_named_with_a_reason() {
    let plan = planned(&SelectSpec::default());
    assert_eq!(plan.kinds().len() + plan.skipped().len(), discovery().resources.len());
    assert_snapshot!(plan, @"
    listed, 8 kinds at a time
      namespaces v1
      clusterrolebindings.rbac.authorization.k8s.io rbac.authorization.k8s.io/v1
      configmaps v1
      deployments.apps apps/v1
      storageclasses.storage.k8s.io storage.k8s.io/v1
    not listed
      componentstatuses v1: it cannot be created, so it could not be restored
      deployments.extensions extensions/v1beta1: the same objects are served as deployments.apps
      tokenreviews.authentication.k8s.io authentication.k8s.io/v1: the server does not list it
    not discovered; the backup will be Partial
      metrics.k8s.io/v1beta1: stale
    ");
}

#[test]
fn with_namespaces_by_name_every_kind_is_listed_in_them_only() {
    let namespaces = Patterns { include: vec!["shop".into(), "till".into()], exclude: vec![] };
    let cluster_resources = Patterns { include: vec![], exclude: vec!["Namespace".into()] };
    let plan = planned(&SelectSpec { namespaces, cluster_resources, ..SelectSpec::default() });
    assert_snapshot!(plan, @"
    listed, 8 kinds at a time
      namespaces v1, in shop, till, not saved: the selection excludes this kind
      configmaps v1, in shop, till
      deployments.apps apps/v1, in shop, till
      clusterrolebindings.rbac.authorization.k8s.io rbac.authorization.k8s.io/v1, as far as needed
      storageclasses.storage.k8s.io storage.k8s.io/v1, as far as needed
    not listed
      componentstatuses v1: it cannot be created, so it could not be restored
      deployments.extensions extensions/v1beta1: the same objects are served as deployments.apps
      tokenreviews.authentication.k8s.io authentication.k8s.io/v1: the server does not list it
    not discovered; the backup will be Partial
      metrics.k8s.io/v1beta1: stale
    ");
}

#[test]
fn a_plan_can_be_printed_as_json() {
    let json = serde_json::to_value(planned(&SelectSpec::default())).unwrap();
    assert_eq!(json["kinds"][0]["resource"]["plural"], "namespaces");
    assert_eq!(json["skipped"].as_array().unwrap().len(), 3);
    assert_eq!(json["broken"]["metrics.k8s.io/v1beta1"], "stale");
}
