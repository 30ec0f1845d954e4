use super::*;

fn manifest(value: Json) -> Manifest {
    Manifest::parse(value).unwrap()
}
#[test]
fn an_object_is_named_by_group_kind_and_place() {
    let web = manifest(
        json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"}}),
    );
    assert_eq!(web.key().to_string(), "Deployment.apps shop/web");
    assert_eq!(web.gvk().to_string(), "apps/v1 Deployment");
    let ns = json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}});
    assert_eq!(manifest(ns).key().to_string(), "Namespace shop");
}

#[test]
fn what_has_no_name_is_not_an_object() {
    for bad in [json!([]), json!({"kind":"A"}), json!({"apiVersion":"v1","kind":"A","metadata":{}})] {
        assert!(Manifest::parse(bad).is_err());
    }
}

#[test]
fn debug_shows_no_content() {
    let secret = manifest(
        json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"p":"aHVudGVyMg=="}}),
    );
    assert_eq!(format!("{secret:?}"), "Manifest(v1 Secret s)");
}

#[test]
fn large_integers_survive() {
    let text =
        r#"{"apiVersion":"v1","kind":"A","metadata":{"name":"n"},"spec":{"b":9223372036854775807,"a":1}}"#;
    let parsed = manifest(serde_json::from_str(text).unwrap());
    assert_eq!(String::from_utf8(parsed.to_bytes()).unwrap(), text);
}
