use serde_json::json;

use super::*;
use crate::domain::object::Gvk;

fn compiled(spec: Json) -> Selection {
    Selection::compile(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn errors(spec: Json) -> Vec<String> {
    let spec = serde_json::from_value(spec).unwrap();
    Selection::compile(&spec).unwrap_err().iter().map(ToString::to_string).collect()
}

/// `apps/v1 Deployment deployments` in a namespace, `v1 Namespace namespaces -` in the cluster.
fn resource(text: &str) -> Resource {
    let words: Vec<&str> = text.split(' ').collect();
    Resource {
        gvk: Gvk::new(words[0], words[1]),
        plural: words[2].into(),
        namespaced: words.len() == 3,
        verbs: vec![],
        served: vec![],
    }
}

const DEPLOYMENT: &str = "apps/v1 Deployment deployments";
const SECRET: &str = "v1 Secret secrets";
const NAMESPACE: &str = "v1 Namespace namespaces -";
const ROLE: &str = "rbac.authorization.k8s.io/v1 ClusterRole clusterroles -";

/// What becomes of an object: `take`, `related`, or the reason why not.
fn object(selection: &Selection, kind: &str, namespace: &str, metadata: &Json) -> String {
    let resource = resource(kind);
    let mut value =
        json!({"apiVersion": resource.gvk.api_version(), "kind": resource.gvk.kind, "metadata": metadata});
    if !namespace.is_empty() {
        value["metadata"]["namespace"] = json!(namespace);
    }
    match selection.object(&resource, &Manifest::parse(value).unwrap()) {
        Ok(ObjectChoice::Take) => "take".into(),
        Ok(ObjectChoice::OnlyRelated(_)) => "related".into(),
        Ok(ObjectChoice::Skip(reason)) => reason,
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn nothing_said_means_everything() {
    let all = compiled(json!({}));
    for kind in [DEPLOYMENT, SECRET, NAMESPACE, ROLE] {
        assert_eq!(all.kind(&resource(kind)), KindChoice::Take, "{kind}");
        assert_eq!(object(&all, kind, "", &json!({"name": "a"})), "take", "{kind}");
    }
    assert_eq!(all.namespace_list(), None);
}

#[test]
fn an_exclude_wins_over_an_include() {
    let selection = compiled(json!({"namespaces": {"include": ["shop-*"], "exclude": ["shop-old"]},
        "namespacedResources": {"include": ["*"], "exclude": ["Secret"]}}));
    assert!(matches!(selection.kind(&resource(SECRET)), KindChoice::Skip(_)));
    assert_eq!(object(&selection, DEPLOYMENT, "shop-eu", &json!({"name": "a"})), "take");
    assert_eq!(
        object(&selection, DEPLOYMENT, "shop-old", &json!({"name": "a"})),
        "its namespace is not selected"
    );
}

#[test]
fn with_a_namespace_list_cluster_scoped_objects_come_along_only_when_needed() {
    let selection = compiled(json!({"namespaces": {"include": ["shop"]}}));
    assert_eq!(selection.kind(&resource(ROLE)), KindChoice::OnlyRelated);
    assert_eq!(object(&selection, ROLE, "", &json!({"name": "view"})), "related");
    assert_eq!(object(&selection, NAMESPACE, "", &json!({"name": "shop"})), "take");
    assert_eq!(object(&selection, NAMESPACE, "", &json!({"name": "other"})), "its namespace is not selected");
    assert_eq!(selection.namespace_list(), Some(vec!["shop".to_owned()]));
}

#[test]
fn a_named_cluster_kind_is_taken_in_full_even_with_a_namespace_list() {
    let selection = compiled(
        json!({"namespaces": {"include": ["shop"]}, "clusterResources": {"include": ["clusterroles"]}}),
    );
    assert_eq!(object(&selection, ROLE, "", &json!({"name": "view"})), "take");
    let class = resource("storage.k8s.io/v1 StorageClass storageclasses -");
    assert_eq!(selection.kind(&class), KindChoice::OnlyRelated);
    let without =
        compiled(json!({"namespaces": {"include": ["shop"]}, "clusterResources": {"exclude": ["*"]}}));
    assert!(matches!(without.kind(&resource(NAMESPACE)), KindChoice::Skip(_)));
}

#[test]
fn all_namespaces_by_star_is_no_namespace_list() {
    let selection = compiled(json!({"namespaces": {"include": ["*"]}}));
    assert_eq!(selection.kind(&resource(ROLE)), KindChoice::Take);
    assert_eq!(selection.namespace_list(), None);
    let but_one = compiled(json!({"namespaces": {"exclude": ["kube-*"]}}));
    assert_eq!(but_one.kind(&resource(ROLE)), KindChoice::Take);
    assert_eq!(
        object(&but_one, NAMESPACE, "", &json!({"name": "kube-system"})),
        "its namespace is not selected"
    );
}

#[test]
fn labels_choose_namespaced_objects_and_leave_the_rest_to_relations() {
    let selection = compiled(json!({"labelSelector": {"matchLabels": {"app": "shop"}}}));
    let (shop, other) = (json!({"name": "a", "labels": {"app": "shop"}}), json!({"name": "a"}));
    assert_eq!(object(&selection, DEPLOYMENT, "x", &shop), "take");
    assert_eq!(object(&selection, DEPLOYMENT, "x", &other), "it does not have the selected labels");
    assert_eq!(object(&selection, ROLE, "", &other), "related");
    assert_eq!(object(&selection, ROLE, "", &shop), "take");
    assert_eq!(selection.server_labels(&resource(DEPLOYMENT)).as_deref(), Some("app=shop"));
    assert_eq!(selection.server_labels(&resource(ROLE)), None);
}

#[test]
fn one_of_several_label_selectors_is_enough() {
    let selection =
        compiled(json!({"orLabelSelectors": [{"matchLabels": {"a": "1"}}, {"matchLabels": {"b": "1"}}]}));
    assert_eq!(object(&selection, SECRET, "x", &json!({"name": "s", "labels": {"b": "1"}})), "take");
    assert_ne!(object(&selection, SECRET, "x", &json!({"name": "s", "labels": {"c": "1"}})), "take");
    assert_eq!(selection.server_labels(&resource(SECRET)), None);
}

#[test]
fn exclude_labels_and_deletion_leave_an_object_out() {
    let all = compiled(json!({}));
    for label in EXCLUDE_LABELS {
        let reason = object(&all, SECRET, "x", &json!({"name": "s", "labels": {label: "true"}}));
        assert_eq!(reason, format!("it has the label {label}=true"));
        assert_eq!(object(&all, SECRET, "x", &json!({"name": "s", "labels": {label: "false"}})), "take");
    }
    let deleting = json!({"name": "s", "deletionTimestamp": "2026-11-21T00:00:00Z"});
    assert_eq!(object(&all, SECRET, "x", &deleting), "it is being deleted");
}

#[test]
fn a_condition_is_asked_about_what_is_left() {
    let selection = compiled(
        json!({"namespacedResources": {"exclude": ["Secret"]}, "where": "object.spec.replicas > 1"}),
    );
    assert_eq!(
        object(&selection, DEPLOYMENT, "x", &json!({"name": "a"})),
        "error: the object has no field \"spec\"; ask with has() first"
    );
    assert_eq!(object(&selection, SECRET, "x", &json!({"name": "a"})), "the selection excludes this kind");
    let named = compiled(json!({"where": "object.metadata.name.startsWith('shop')"}));
    assert_eq!(object(&named, DEPLOYMENT, "x", &json!({"name": "shop-1"})), "take");
    assert_eq!(object(&named, DEPLOYMENT, "x", &json!({"name": "other"})), "`where` is not true for it");
    assert_eq!(object(&named, ROLE, "", &json!({"name": "other"})), "related");
}

#[test]
fn an_index_entry_is_judged_as_the_object_is() {
    let selection =
        compiled(json!({"namespaces": {"include": ["shop"]}, "labelSelector": {"matchLabels": {"a": "1"}}}));
    let key = |namespace: &str| ObjectKey {
        group: String::new(),
        kind: "Secret".into(),
        namespace: Some(namespace.into()),
        name: "s".into(),
    };
    let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    assert_eq!(selection.entry(&resource(SECRET), &key("shop"), &labels), ObjectChoice::Take);
    assert_ne!(selection.entry(&resource(SECRET), &key("other"), &labels), ObjectChoice::Take);
    assert_ne!(selection.entry(&resource(SECRET), &key("shop"), &BTreeMap::new()), ObjectChoice::Take);
}

#[test]
fn patterns_that_match_nothing_are_named() {
    let selection = compiled(json!({"namespaces": {"include": ["shop", "shpo-*"]},
        "namespacedResources": {"exclude": ["Secret", "Sercet"]}, "clusterResources": {"include": ["Deployment"]}}));
    let notes =
        selection.unmatched(&[resource(SECRET), resource(DEPLOYMENT), resource(ROLE)], &["shop".into()]);
    assert_eq!(
        notes,
        [
            "namespaces.include: \"shpo-*\" matches nothing",
            "namespacedResources.exclude: \"Sercet\" matches nothing",
            "clusterResources.include: \"Deployment\" matches nothing",
        ]
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let found = errors(json!({"namespaces": {"include": ["a", "**"], "exclude": ["{x}"]},
        "clusterResources": {"include": ["rbac/v1"]}, "labelSelector": {"matchLabels": {"a": "b"}},
        "orLabelSelectors": [{}], "where": "object."}));
    let pointers: Vec<&str> = found.iter().filter_map(|e| e.split(':').next()).collect();
    assert_eq!(
        pointers,
        [
            "/clusterResources/include/0",
            "/namespaces/include/1",
            "/namespaces/exclude/0",
            "/orLabelSelectors",
            "/orLabelSelectors/0",
            "/where"
        ]
    );
}
