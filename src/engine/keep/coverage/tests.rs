use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::domain::object::{Gvk, Json};

fn resource(api_version: &str, kind: &str, plural: &str, namespaced: bool) -> Resource {
    let gvk = Gvk::new(api_version, kind);
    let served = vec![gvk.version.clone()];
    let verbs = ["create", "delete", "get", "list"].map(str::to_owned).to_vec();
    Resource { gvk, plural: plural.into(), namespaced, verbs, served }
}

fn served() -> Discovery {
    let resources = vec![
        resource("v1", "ConfigMap", "configmaps", true),
        resource("v1", "Event", "events", true),
        resource("v1", "Namespace", "namespaces", false),
        resource("v1", "Node", "nodes", false),
        resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
        resource("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
    ];
    Discovery { resources, broken: BTreeMap::new() }
}

/// Policies by name; two locations: `vault`, and `old`, which is only read.
fn set(policies: &[(&str, Json)]) -> PolicySet {
    let location = |access: &str| {
        let spec = json!({"archive": {"url": "file:///vault"}, "recipients": ["age1"], "accessMode": access});
        serde_json::from_value(spec).unwrap()
    };
    let policy = |(name, spec): &(&str, Json)| {
        let mut spec = spec.clone();
        let all = spec.as_object_mut().unwrap();
        all.entry("locations").or_insert(json!(["vault"]));
        all.entry("schedule").or_insert(json!("@daily"));
        all.retain(|_, value| !value.is_null());
        ((*name).to_owned(), serde_json::from_value(spec).unwrap())
    };
    PolicySet {
        policies: policies.iter().map(policy).collect(),
        locations: [("vault".into(), location("ReadWrite")), ("old".into(), location("ReadOnly"))].into(),
        ..PolicySet::default()
    }
}

/// A cluster with namespaces `bank`, `shop` and `till`, each with one claim; those that are marked have a label that leaves them out.
fn look(policies: &[(&str, Json)], marked: &[&str]) -> Coverage {
    let set = set(policies);
    let labels = |name: &str| {
        let left_out = if marked.contains(&name) { "true" } else { "false" };
        json!({"backstay.dev/exclude": left_out, "size": if name == "shop/data" { "small" } else { "big" }})
    };
    let mut watch = Watch::new(&set, Arc::new(Catalog::builtin()), &served());
    for name in ["bank", "shop", "till"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels(name)}});
        watch.namespace(&Manifest::parse(namespace).unwrap());
    }
    for home in ["bank", "shop", "till"] {
        let metadata = json!({"name": "data", "namespace": home, "labels": labels(&format!("{home}/data"))});
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata});
        watch.claim(&Manifest::parse(claim).unwrap());
    }
    watch.finish()
}

fn told(policies: &[(&str, Json)], marked: &[&str]) -> String {
    let Coverage { seen: _, uncovered, left_out, in_part, unknown: _ } = look(policies, marked);
    let mut lines = Vec::new();
    for (title, gaps) in [("uncovered", uncovered), ("left out", left_out), ("in part", in_part)] {
        lines.extend(gaps.iter().map(|gap| format!("{title}: {gap}")));
    }
    lines.join("\n")
}

fn only(names: &[&str]) -> Json {
    json!({"namespaces": {"include": names}})
}

fn without(names: &[&str]) -> Json {
    json!({"namespaces": {"exclude": names}})
}

#[test]
fn without_a_policy_nothing_is_covered_and_what_is_never_restored_does_not_count() {
    assert_snapshot!(told(&[], &[]), @"
    uncovered: namespace bank: no policy selects it
    uncovered: namespace shop: no policy selects it
    uncovered: namespace till: no policy selects it
    uncovered: kind configmaps: no policy selects it
    uncovered: kind namespaces: no policy selects it
    uncovered: kind persistentvolumeclaims: no policy selects it
    uncovered: kind storageclasses.storage.k8s.io: no policy selects it
    uncovered: claim bank/data: no policy selects it
    uncovered: claim shop/data: no policy selects it
    uncovered: claim till/data: no policy selects it
    ");
    let counted = look(&[], &[]);
    assert_eq!([What::Namespace, What::Kind, What::Claim].map(|what| counted.count(what)), [3, 4, 3]);
}

#[test]
fn a_policy_for_everything_covers_everything() {
    assert_eq!(told(&[("daily", json!({}))], &[]), "");
}

#[test]
fn a_policy_for_one_namespace_covers_its_claims_and_of_cluster_scoped_kinds_only_what_they_need() {
    assert_snapshot!(told(&[("shop", json!({"select": only(&["shop"])}))], &[]), @"
    uncovered: namespace bank: no policy selects it
    uncovered: namespace till: no policy selects it
    uncovered: kind storageclasses.storage.k8s.io: policy shop takes only those that its objects need
    uncovered: claim bank/data: no policy selects it
    uncovered: claim till/data: no policy selects it
    ");
}

#[test]
fn policies_that_do_not_run_by_themselves_or_may_not_write_cover_nothing() {
    let policies = [
        ("asked", json!({"schedule": null, "select": only(&["bank"])})),
        ("paused", json!({"suspend": true, "select": only(&["shop"])})),
        ("read", json!({"locations": ["old"], "select": only(&["till"])})),
        (
            "rest",
            json!({"select": {"namespaces": {"include": ["none"]}, "clusterResources": {"include": ["*"]}}}),
        ),
    ];
    assert_snapshot!(told(&policies, &[]), @"
    uncovered: namespace bank: only policy asked selects it, which runs on request only
    uncovered: namespace shop: only policy paused selects it, which is suspended
    uncovered: namespace till: only policy read selects it, whose locations are ReadOnly
    uncovered: kind configmaps: only policy asked selects it, which runs on request only
    uncovered: kind persistentvolumeclaims: only policy asked selects it, which runs on request only
    uncovered: claim bank/data: only policy asked selects it, which runs on request only
    uncovered: claim shop/data: only policy paused selects it, which is suspended
    uncovered: claim till/data: only policy read selects it, whose locations are ReadOnly
    ");
}

#[test]
fn one_location_that_can_be_written_is_enough() {
    assert_eq!(told(&[("daily", json!({"locations": ["old", "vault"]}))], &[]), "");
}

#[test]
fn labels_and_excludes_leave_out_on_purpose() {
    assert_snapshot!(told(&[("daily", json!({"select": without(&["bank"])}))], &["shop/data", "till"]), @"
    left out: namespace bank: policy daily excludes it
    left out: namespace till: it has the label backstay.dev/exclude=true
    left out: claim bank/data: policy daily excludes it
    left out: claim shop/data: it has the label backstay.dev/exclude=true
    left out: claim till/data: its namespace has the label backstay.dev/exclude=true
    ");
}

#[test]
fn what_a_policy_names_is_wanted_although_another_one_excludes_it() {
    let paused = json!({"suspend": true, "select": only(&["bank"])});
    let policies = [("daily", json!({"select": without(&["bank"])})), ("bank", paused)];
    assert_snapshot!(told(&policies, &[]), @"
    uncovered: namespace bank: only policy bank selects it, which is suspended
    uncovered: claim bank/data: only policy bank selects it, which is suspended
    ");
    let asked = json!({"schedule": null});
    let policies = [("daily", json!({"select": without(&["bank"])})), ("everything", asked)];
    assert_snapshot!(told(&policies, &[]), @"
    left out: namespace bank: policy daily excludes it
    left out: claim bank/data: policy daily excludes it
    ");
}

#[test]
fn labels_and_conditions_of_a_policy_count_for_each_claim() {
    let small = json!({"select": {"labelSelector": {"matchLabels": {"size": "small"}}}});
    assert_snapshot!(told(&[("small", small)], &[]), @"
    uncovered: claim bank/data: policy small does not take it: it does not have the selected labels
    uncovered: claim till/data: policy small does not take it: it does not have the selected labels
    in part: namespace bank: no policy takes all of its configmaps, persistentvolumeclaims
    in part: namespace shop: no policy takes all of its configmaps, persistentvolumeclaims
    in part: namespace till: no policy takes all of its configmaps, persistentvolumeclaims
    ");
    let odd = json!({"select": {"where": "object.spec.size == 'small'"}});
    assert!(
        told(&[("odd", odd)], &[])
            .contains("claim till/data: policy odd does not take it: `where` has no answer")
    );
}

#[test]
fn a_namespace_of_which_a_kind_is_missing_is_covered_in_part() {
    let maps = json!({"select": {"namespaces": {"include": ["bank"]}, "namespacedResources": {"include": ["configmaps"]}}});
    let policies = [("bank", maps), ("rest", json!({"select": without(&["bank"])}))];
    assert_snapshot!(told(&policies, &[]), @"
    uncovered: claim bank/data: policy bank does not take it: the selection does not include this kind
    in part: namespace bank: no policy takes all of its persistentvolumeclaims
    ");
    let purpose = json!({"select": {"namespacedResources": {"exclude": ["persistentvolumeclaims"]}}});
    assert_snapshot!(told(&[("daily", purpose)], &[]), @"
    left out: kind persistentvolumeclaims: policy daily excludes it
    left out: claim bank/data: policy daily excludes it
    left out: claim shop/data: policy daily excludes it
    left out: claim till/data: policy daily excludes it
    ");
}

#[test]
fn what_is_being_deleted_does_not_count() {
    let set = set(&[]);
    let mut watch = Watch::new(&set, Arc::new(Catalog::builtin()), &served());
    let metadata = json!({"name": "gone", "deletionTimestamp": "2026-11-27T10:00:00Z"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
    watch.namespace(&Manifest::parse(namespace).unwrap());
    let metadata = json!({"name": "data", "namespace": "gone"});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata});
    watch.claim(&Manifest::parse(claim).unwrap());
    let found = watch.finish();
    assert_eq!([What::Namespace, What::Claim].map(|what| found.count(what)), [0, 0]);
}

#[test]
fn the_sentence_for_an_event_names_a_few() {
    assert_snapshot!(look(&[], &[]), @"10 are covered by no policy: namespace bank: no policy selects it; namespace shop: no policy selects it; namespace till: no policy selects it; kind configmaps: no policy selects it; kind namespaces: no policy selects it; kind persistentvolumeclaims: no policy selects it; kind storageclasses.storage.k8s.io: no policy selects it; claim bank/data: no policy selects it; and 2 more: `backstay coverage` lists them");
    assert_snapshot!(look(&[("daily", json!({}))], &[]), @"policies cover every namespace, kind and claim that is not left out on purpose");
}
