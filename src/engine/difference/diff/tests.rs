//! Claims about the comparison of objects.
#![expect(clippy::needless_pass_by_value, reason = "json! literals read best as values")]

use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::engine::clean::hide::LAST_APPLIED;

fn object(mut value: Json) -> Manifest {
    let map = value.as_object_mut().unwrap();
    map.entry("apiVersion").or_insert("v1".into());
    map.entry("kind").or_insert("ConfigMap".into());
    map.entry("metadata").or_insert(json!({"name": "a", "namespace": "shop"}));
    Manifest::parse(value).unwrap()
}

fn secret(data: Json) -> Manifest {
    object(json!({"kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "data": data}))
}

fn text(before: Option<&Manifest>, after: Option<&Manifest>) -> String {
    let hidden = Hidden::of(after.or(before).unwrap(), []);
    let Some(change) = compare(before, after, &hidden) else { return "equal".into() };
    let show = |value: &Option<Json>| value.as_ref().map_or("(absent)".into(), Json::to_string);
    let fields =
        change.fields.iter().map(|f| format!("{}: {} -> {}", f.path, show(&f.before), show(&f.after)));
    let head = format!("{:?} {}", change.change, change.key);
    [head].into_iter().chain(fields).collect::<Vec<_>>().join("\n")
}

fn changed(before: Json, after: Json) -> String {
    text(Some(&object(json!({ "spec": before }))), Some(&object(json!({ "spec": after }))))
}

#[test]
fn containers_are_found_by_name_and_not_by_place() {
    let before = json!({"containers": [{"name": "web", "image": "a:1"}, {"name": "log", "image": "l:1"}]});
    let after = json!({"containers": [{"name": "sidecar"}, {"name": "web", "image": "a:2"}, {"name": "log", "image": "l:1"}]});
    assert_snapshot!(changed(before, after), @r#"
    Changed ConfigMap shop/a
    /spec/containers/name=sidecar: (absent) -> {"name":"sidecar"}
    /spec/containers/name=web/image: "a:1" -> "a:2"
    "#);
}

#[test]
fn one_port_number_with_two_protocols_is_two_ports() {
    let ports = |udp: u32| json!({"ports": [{"port": 53, "protocol": "TCP", "targetPort": 53}, {"port": 53, "protocol": "UDP", "targetPort": udp}]});
    assert_snapshot!(changed(ports(53), ports(5353)), @r"
    Changed ConfigMap shop/a
    /spec/ports/port=53,protocol=UDP/targetPort: 53 -> 5353
    ");
}

#[test]
fn a_new_order_of_init_containers_is_a_change() {
    let before = json!({"initContainers": [{"name": "first"}, {"name": "second"}]});
    let after = json!({"initContainers": [{"name": "second"}, {"name": "first"}]});
    assert_snapshot!(changed(before, after), @r#"
    Changed ConfigMap shop/a
    /spec/initContainers: ["name=first","name=second"] -> ["name=second","name=first"]
    "#);
}

#[test]
fn an_argument_put_in_between_is_one_change() {
    assert_snapshot!(changed(json!({"args": ["a", "b", "c"]}), json!({"args": ["a", "x", "b", "c"]})), @r#"
    Changed ConfigMap shop/a
    /spec/args/1: (absent) -> "x"
    "#);
}

#[test]
fn elements_with_the_same_name_twice_are_compared_by_place() {
    let before = json!({"subjects": [{"name": "a", "kind": "User"}, {"name": "a", "kind": "Group"}]});
    let after = json!({"subjects": [{"name": "a", "kind": "User"}, {"name": "a", "kind": "ServiceAccount"}]});
    assert_snapshot!(changed(before, after), @r#"
    Changed ConfigMap shop/a
    /spec/subjects/1/kind: "Group" -> "ServiceAccount"
    "#);
}

#[test]
fn keys_with_slashes_are_escaped() {
    assert_snapshot!(changed(json!({"a/b~c": 1}), json!({"a/b~c": 2})), @r"
    Changed ConfigMap shop/a
    /spec/a~1b~0c: 1 -> 2
    ");
}

#[test]
fn equal_objects_are_no_change_whatever_the_order_of_keys() {
    assert_eq!(changed(json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1})), "equal");
}

#[test]
fn a_secret_names_the_keys_and_shows_neither_value() {
    let before = secret(json!({"same": "c2FtZQ==", "password": "aHVudGVyMg==", "old": "b2xk"}));
    let after = secret(json!({"same": "c2FtZQ==", "password": "Y29ycmVjdA==", "new": "bmV3"}));
    assert_snapshot!(text(Some(&before), Some(&after)), @r#"
    Changed Secret shop/db
    /data/new: (absent) -> "***"
    /data/old: "***" -> (absent)
    /data/password: "*** (before)" -> "*** (after)"
    "#);
}

#[test]
fn a_new_secret_and_its_last_applied_annotation_are_masked() {
    let mut after = secret(json!({"password": "aHVudGVyMg=="})).into_json();
    after["metadata"]["annotations"] =
        json!({LAST_APPLIED: "{\"data\":{\"password\":\"aHVudGVyMg==\"}}", "team": "a"});
    after["stringData"] = json!({"plain": "hunter2"});
    let shown = text(None, Some(&Manifest::parse(after).unwrap()));
    assert_snapshot!(shown, @r#"
    Added Secret shop/db
    /metadata/annotations: (absent) -> {"kubectl.kubernetes.io/last-applied-configuration":"***","team":"a"}
    /data: (absent) -> {"password":"***"}
    /stringData: (absent) -> {"plain":"***"}
    "#);
    assert!(!shown.contains("aHVudGVyMg") && !shown.contains("hunter2"));
}

#[test]
fn data_that_comes_or_goes_as_a_whole_is_masked() {
    let without = object(json!({"kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}}));
    assert_snapshot!(text(Some(&without), Some(&secret(json!({"password": "aHVudGVyMg=="})))), @r#"
    Changed Secret shop/db
    /data/password: (absent) -> "***"
    "#);
    assert_snapshot!(text(Some(&secret(json!(["aHVudGVyMg=="]))), Some(&secret(json!("aHVudGVyMg==")))), @r#"
    Changed Secret shop/db
    /data: "*** (before)" -> "*** (after)"
    "#);
}

#[test]
fn marked_fields_show_no_value_and_no_length_of_a_list() {
    let before = object(json!({"spec": {"tokens": ["a", "b"], "level": 1}}));
    let after = object(json!({"spec": {"tokens": ["a"], "level": 1}}));
    let change = compare(Some(&before), Some(&after), &Hidden::of(&after, ["spec".to_owned()])).unwrap();
    assert_eq!(change.fields.len(), 1);
    assert_eq!(change.fields[0].path, "/spec/tokens");
    assert_eq!(change.fields[0].before, Some("*** (before)".into()));
}

proptest::proptest! {
    #[test]
    fn no_secret_value_is_ever_shown(before in proptest::option::of("[g-z]{8,20}"), after in proptest::option::of("[g-z]{8,20}"), key in "[a-f]{1,3}") {
        let make = |value: &Option<String>| secret(json!({ key.clone(): value, "nested": { "deep": [value] } }));
        let (old, new) = (make(&before), make(&after));
        for (old, new) in [(Some(&old), Some(&new)), (None, Some(&new)), (Some(&old), None)] {
            let shown = text(old, new);
            for value in [&before, &after].into_iter().flatten() {
                proptest::prop_assert!(!shown.contains(value.as_str()));
            }
        }
    }
}
