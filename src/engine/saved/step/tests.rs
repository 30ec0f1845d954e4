use serde_json::json;

use super::*;

#[test]
fn an_object_must_have_the_identity_the_index_says() {
    let key = ObjectKey {
        group: String::new(),
        kind: "Secret".into(),
        namespace: Some("shop".into()),
        name: "db".into(),
    };
    let check = |tree: Json| {
        let bytes = serde_json::to_vec(&tree).unwrap();
        object(&key, &part::sha256(&bytes), &bytes).map(|_| ())
    };
    let meta = json!({"name": "db", "namespace": "shop"});
    assert_eq!(check(json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta})), Ok(()));
    let moved = json!({"name": "db", "namespace": "kube-system"});
    let answer = check(json!({"apiVersion": "v1", "kind": "Secret", "metadata": moved}));
    assert_eq!(answer.unwrap_err(), "it is Secret kube-system/db");
    assert_eq!(check(json!(["no object"])).unwrap_err(), "a Kubernetes object must be a mapping");
    assert_eq!(object(&key, "0", b"{}").unwrap_err(), "its digest is not the one in the index");
}
