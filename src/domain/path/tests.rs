use serde_json::json;

use super::*;

fn without(path: &str, mut value: Json) -> String {
    FieldPath::parse(path).unwrap().remove(&mut value);
    value.to_string()
}

#[test]
fn a_star_reaches_every_list_element_and_every_key() {
    let ports = json!({"spec":{"ports":[{"port":80,"nodePort":30080},{"port":81}]}});
    assert_eq!(without("/spec/ports/*/nodePort", ports), r#"{"spec":{"ports":[{"port":80},{"port":81}]}}"#);
    let data = json!({"data":{"ca.crt":"a","tls.crt":"b","tls.key":"c"}});
    assert_eq!(without("/data/*.crt", data), r#"{"data":{"tls.key":"c"}}"#);
}

#[test]
fn a_slash_in_a_name_is_written_as_tilde_one() {
    let object = json!({"metadata":{"name":"a","annotations":{"kubectl.kubernetes.io/x":"1","k":"v"}}});
    assert_eq!(
        without("/metadata/annotations/kubectl.kubernetes.io~1*", object),
        r#"{"metadata":{"name":"a","annotations":{"k":"v"}}}"#
    );
}

#[test]
fn annotations_that_became_empty_are_gone_but_those_that_were_empty_stay() {
    let path = "/metadata/annotations/a";
    assert_eq!(without(path, json!({"metadata":{"annotations":{"a":"1"}}})), r#"{"metadata":{}}"#);
    let empty = json!({"metadata":{"annotations":{}}});
    assert_eq!(without(path, empty), r#"{"metadata":{"annotations":{}}}"#);
}

#[test]
fn a_number_names_one_list_element() {
    assert_eq!(without("/a/1", json!({"a":[1,2,3]})), r#"{"a":[1,3]}"#);
    assert_eq!(without("/a/*", json!({"a":[1,2,3]})), r#"{"a":[]}"#);
}

#[test]
fn a_field_is_set_only_where_its_parent_is() {
    let path = FieldPath::parse("/webhooks/*/sideEffects").unwrap();
    let mut value = json!({"webhooks":[{"name":"a"},{"name":"b","sideEffects":"Some"}]});
    assert_eq!(path.set(&mut value, &json!("None")), 2);
    assert_eq!(
        value.to_string(),
        r#"{"webhooks":[{"name":"a","sideEffects":"None"},{"name":"b","sideEffects":"None"}]}"#
    );
    let mut other = json!({"spec":{}});
    assert_eq!(path.set(&mut other, &json!("None")), 0);
    assert_eq!(other.to_string(), r#"{"spec":{}}"#);
}

#[test]
fn a_field_is_filled_in_or_renamed_only_where_nothing_is_in_its_place() {
    let mut value = json!({"webhooks":[{"name":"a"},{"name":"b","timeoutSeconds":5}]});
    FieldPath::parse("/webhooks/*/timeoutSeconds").unwrap().fill(&mut value, &json!(30));
    assert_eq!(
        value.to_string(),
        r#"{"webhooks":[{"name":"a","timeoutSeconds":30},{"name":"b","timeoutSeconds":5}]}"#
    );
    let path = FieldPath::parse("/spec/backend").unwrap();
    let mut value = json!({"spec":{"backend":1}});
    path.rename(&mut value, "defaultBackend");
    assert_eq!(value.to_string(), r#"{"spec":{"defaultBackend":1}}"#);
    let mut value = json!({"spec":{"backend":1,"defaultBackend":2}});
    path.rename(&mut value, "defaultBackend");
    assert_eq!(value.to_string(), r#"{"spec":{"backend":1,"defaultBackend":2}}"#);
}

#[test]
fn what_is_found_is_shown_with_its_pointer_and_what_it_is_in() {
    let path = FieldPath::parse("/spec/*ontainers/*/envFrom/*/secretRef/name").unwrap();
    let value = json!({"spec": {"containers": [{"envFrom": [{}, {"secretRef": {"name": "db", "optional": true}}]}],
        "initContainers": [{"envFrom": [{"secretRef": {"name": "up"}}]}, {}], "volumes": [{"name": "v"}]}});
    let mut found = Vec::new();
    path.find(&value, &mut |place, inside, value| found.push(format!("{place} {inside} {value}")));
    insta::assert_snapshot!(found.join("\n"), @r#"
    /spec/containers/0/envFrom/1/secretRef/name {"name":"db","optional":true} "db"
    /spec/initContainers/0/envFrom/0/secretRef/name {"name":"up"} "up"
    "#);
}

#[test]
fn removing_keeps_the_order_of_the_other_keys() {
    assert_eq!(without("/b", json!({"c":1,"b":2,"a":3,"d":4})), r#"{"c":1,"a":3,"d":4}"#);
}

#[test]
fn a_pointer_is_covered_by_the_path_above_it() {
    let path = FieldPath::parse("/spec/ports/*").unwrap();
    assert!(path.covers("/spec/ports/0/nodePort") && path.matches("/spec/ports/0"));
    assert!(!path.matches("/spec/ports/0/nodePort") && !path.covers("/spec/ports"));
}

#[test]
fn a_path_prints_as_it_was_written() {
    for text in ["/spec/ports/*/nodePort", "/metadata/annotations/a.b~1c*", "/x~0y/*z*"] {
        assert_eq!(FieldPath::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn what_is_no_pointer_or_takes_the_identity_is_refused() {
    let bad = ["", "/", "spec", "/a~2", "/a~", "/kind", "/metadata", "/*", "/metadata/*", "/metadata/n*e"];
    let told: Vec<String> = bad.iter().map(|b| FieldPath::parse(b).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    a field path is a JSON pointer such as /spec/replicas, not ""
    a field path is a JSON pointer such as /spec/replicas, not "/"
    a field path is a JSON pointer such as /spec/replicas, not "spec"
    in a field path ~ is written ~0 and / is written ~1: "/a~2"
    in a field path ~ is written ~0 and / is written ~1: "/a~"
    the field path "/kind" would remove the identity of the object
    the field path "/metadata" would remove the identity of the object
    the field path "/*" would remove the identity of the object
    the field path "/metadata/*" would remove the identity of the object
    the field path "/metadata/n*e" would remove the identity of the object
    "#);
}
