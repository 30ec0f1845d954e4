use serde_json::json;

use super::*;
use crate::domain::object::Gvk;
use crate::domain::rules::Catalog;

fn resource(api_version: &str, kind: &str, plural: &str, namespaced: bool) -> Resource {
    Resource {
        gvk: Gvk::new(api_version, kind),
        plural: plural.into(),
        namespaced,
        verbs: vec![],
        served: vec![],
    }
}

fn taken(related: &mut Related, namespaced: bool, value: Json) {
    let object = Manifest::parse(value).unwrap();
    let kind = object.kind().to_lowercase();
    let plural = if kind.ends_with('s') { format!("{kind}es") } else { format!("{kind}s") };
    let resource = resource(&object.gvk().api_version(), object.kind(), &plural, namespaced);
    related.learn(&Catalog::builtin().kind(&resource), &object);
}

fn wants(related: &Related, value: Json) -> String {
    let object = Manifest::parse(value).unwrap();
    let resource = resource(&object.gvk().api_version(), object.kind(), "x", false);
    related.wants(&resource, &object).unwrap_or_else(|| "no".into())
}

fn named(related: &Related, api_version: &str, kind: &str, name: &str) -> String {
    wants(related, json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}))
}

fn binding(subject: &Json) -> Json {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "reader"}, "subjects": [{"kind": "User", "name": "bob"}, subject]})
}

#[test]
fn a_namespace_comes_along_with_anything_in_it() {
    let mut related = Related::default();
    taken(
        &mut related,
        true,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}}),
    );
    assert_eq!(named(&related, "v1", "Namespace", "shop"), "needed by Secret shop/s");
    assert_eq!(named(&related, "v1", "Namespace", "other"), "no");
}

#[test]
fn a_definition_comes_along_with_its_custom_resources() {
    let mut related = Related::default();
    taken(
        &mut related,
        true,
        json!({"apiVersion": "shop.dev/v1", "kind": "Basket", "metadata": {"name": "b", "namespace": "x"}}),
    );
    let wanted = named(&related, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "baskets.shop.dev");
    assert_eq!(wanted, "needed by Basket.shop.dev x/b");
}

#[test]
fn a_volume_comes_with_its_claim_and_brings_its_class() {
    let mut related = Related::default();
    taken(
        &mut related,
        true,
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop"}, "spec": {"volumeName": "pv1"}}),
    );
    assert_eq!(named(&related, "v1", "PersistentVolume", "pv1"), "needed by PersistentVolumeClaim shop/data");
    assert_eq!(named(&related, "storage.k8s.io/v1", "StorageClass", "fast"), "no");
    taken(
        &mut related,
        false,
        json!({"apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": "pv1"}, "spec": {"storageClassName": "fast"}}),
    );
    assert_eq!(
        named(&related, "storage.k8s.io/v1", "StorageClass", "fast"),
        "needed by PersistentVolume pv1"
    );
    assert_eq!(named(&related, "v1", "PersistentVolume", "pv1"), "no", "it was taken already");
}

#[test]
fn bindings_come_along_for_accounts_groups_and_user_names() {
    let mut related = Related::default();
    taken(
        &mut related,
        true,
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "shop"}}),
    );
    for (subject, wanted) in [
        (
            json!({"kind": "ServiceAccount", "name": "web", "namespace": "shop"}),
            "binds system:serviceaccount:shop:web",
        ),
        (
            json!({"kind": "User", "name": "system:serviceaccount:shop:web"}),
            "binds system:serviceaccount:shop:web",
        ),
        (json!({"kind": "Group", "name": "system:serviceaccounts"}), "binds system:serviceaccounts"),
        (
            json!({"kind": "Group", "name": "system:serviceaccounts:shop"}),
            "binds system:serviceaccounts:shop",
        ),
        (json!({"kind": "Group", "name": "system:serviceaccounts:other"}), "no"),
        (json!({"kind": "ServiceAccount", "name": "web", "namespace": "other"}), "no"),
        (json!({"kind": "Group", "name": "system:authenticated"}), "no"),
    ] {
        assert_eq!(wants(&related, binding(&subject)), wanted);
    }
}

#[test]
fn a_cluster_role_comes_with_bindings_and_brings_the_parts_it_is_made_of() {
    let mut related = Related::default();
    let rbac = "rbac.authorization.k8s.io/v1";
    taken(
        &mut related,
        true,
        json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": "b", "namespace": "shop"},
        "roleRef": {"kind": "ClusterRole", "name": "view"}}),
    );
    taken(&mut related, false, binding(&json!({"kind": "Group", "name": "x"})));
    assert_eq!(
        named(&related, rbac, "ClusterRole", "view"),
        "needed by RoleBinding.rbac.authorization.k8s.io shop/b"
    );
    assert_eq!(
        named(&related, rbac, "ClusterRole", "reader"),
        "needed by ClusterRoleBinding.rbac.authorization.k8s.io b"
    );
    let role = resource(rbac, "ClusterRole", "clusterroles", false);
    assert!(!related.again(&role));
    taken(
        &mut related,
        false,
        json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": "view"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]}}),
    );
    assert!(related.again(&role));
    let part = json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": "p", "labels": {"to-view": "true"}}});
    assert_eq!(wants(&related, part), "part of ClusterRole.rbac.authorization.k8s.io view");
}

#[test]
fn classes_come_along_with_what_names_them() {
    let mut related = Related::default();
    taken(
        &mut related,
        true,
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "j", "namespace": "x"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {"priorityClassName": "high", "runtimeClassName": "gvisor"}}}}}}),
    );
    taken(
        &mut related,
        true,
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "x"},
        "spec": {"volumeClaimTemplates": [{"spec": {}}, {"spec": {"storageClassName": "fast"}}]}}),
    );
    taken(
        &mut related,
        true,
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata":
        {"name": "i", "namespace": "x", "annotations": {"kubernetes.io/ingress.class": "old"}}, "spec": {"ingressClassName": "nginx"}}),
    );
    taken(
        &mut related,
        true,
        json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "v", "namespace": "x"}, "spec": {"volumeSnapshotClassName": "csi"},
        "status": {"boundVolumeSnapshotContentName": "content"}}),
    );
    for (api_version, kind, name) in [
        ("scheduling.k8s.io/v1", "PriorityClass", "high"),
        ("node.k8s.io/v1", "RuntimeClass", "gvisor"),
        ("storage.k8s.io/v1", "StorageClass", "fast"),
        ("networking.k8s.io/v1", "IngressClass", "nginx"),
        ("networking.k8s.io/v1", "IngressClass", "old"),
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass", "csi"),
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshotContent", "content"),
    ] {
        assert_ne!(named(&related, api_version, kind, name), "no", "{kind} {name}");
    }
}

#[test]
fn kinds_that_name_others_are_read_first() {
    assert_eq!(
        round(&resource("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false)),
        0
    );
    assert_eq!(round(&resource("v1", "PersistentVolume", "persistentvolumes", false)), 0);
    assert_eq!(round(&resource("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false)), 1);
}
