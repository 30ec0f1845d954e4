use std::sync::Mutex;

use serde_json::json;

use super::super::call::stub::{Asked, stub, told};
use super::*;
use crate::domain::object::Gvk;

fn web() -> Resource {
    Resource {
        gvk: Gvk::new("apps/v1", "Deployment"),
        plural: "deployments".into(),
        namespaced: true,
        verbs: Vec::new(),
        served: Vec::new(),
    }
}

fn object() -> Manifest {
    let metadata = json!({"name": "web", "namespace": "shop"});
    Manifest::parse(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})).unwrap()
}

const PLACE: Place<'static> = Place { namespace: Some("shop"), name: "web", subresource: "" };

fn shown(asked: &Mutex<Vec<Asked>>) -> String {
    let asked = asked.lock().unwrap();
    let last = asked.last().unwrap();
    let kind = last.headers.lines().find_map(|h| h.strip_prefix("content-type: ")).unwrap_or("-");
    format!("{} {kind} {}", last.line, last.body)
}

const SENT: &str =
    r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"}}"#;
const COMMON: &str = "fieldManager=backstay&fieldValidation=Strict";

#[tokio::test]
async fn writes_name_the_manager_and_let_no_field_drop() {
    let (server, asked) = stub(|_| told(200, SENT)).await;
    server.create(&web(), &object(), Mode::DryRun).await.unwrap();
    assert_eq!(
        shown(&asked),
        format!("POST /apis/apps/v1/namespaces/shop/deployments?{COMMON}&dryRun=All application/json {SENT}")
    );
    server.apply(&web(), &object(), Conflicts::Force, Mode::Real).await.unwrap();
    assert_eq!(
        shown(&asked),
        format!(
            "PATCH /apis/apps/v1/namespaces/shop/deployments/web?{COMMON}&force=true application/apply-patch+yaml {}",
            SENT.replace("\":", "\": ")
        )
    );
    let scale = Place { subresource: "scale", ..PLACE };
    server.patch(&web(), scale, &Patch::Merge(json!({"a": 1})), Mode::Real).await.unwrap();
    assert_eq!(
        shown(&asked),
        format!(
            "PATCH /apis/apps/v1/namespaces/shop/deployments/web/scale?{COMMON} application/merge-patch+json {{\"a\":1}}"
        )
    );
    server.patch(&web(), PLACE, &Patch::Json(vec![json!({"op": "x"})]), Mode::Real).await.unwrap();
    assert_eq!(
        shown(&asked),
        format!(
            "PATCH /apis/apps/v1/namespaces/shop/deployments/web?{COMMON} application/json-patch+json [{{\"op\":\"x\"}}]"
        )
    );
    server.delete(&web(), PLACE, Propagation::Orphan).await.unwrap();
    assert_eq!(
        shown(&asked),
        "DELETE /apis/apps/v1/namespaces/shop/deployments/web?propagationPolicy=Orphan - "
    );
}

#[tokio::test]
async fn an_object_is_written_in_its_own_version() {
    let (server, asked) = stub(|_| told(200, SENT)).await;
    let mut newer = web();
    newer.gvk.version = "v2".into();
    server.create(&newer, &object(), Mode::Real).await.unwrap();
    assert!(shown(&asked).starts_with("POST /apis/apps/v1/"), "{}", shown(&asked));
}

#[tokio::test]
async fn what_has_no_place_is_refused_before_it_is_sent() {
    let (server, asked) = stub(|_| told(200, SENT)).await;
    for metadata in [json!({"name": "web"}), json!({"name": "../x", "namespace": "shop"})] {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
        let object = Manifest::parse(object).unwrap();
        let refused = server.create(&web(), &object, Mode::Real).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_of_a_secret_does_not_repeat_it() {
    let (server, _) =
        stub(|_| told(400, r#"{"message":"cannot handle: 'hunter2' of `hunter2`","code":400}"#)).await;
    let mut secrets = web();
    secrets.gvk = Gvk::new("v1", "Secret");
    let Err(Error::Invalid(text)) = server.patch(&secrets, PLACE, &Patch::Merge(json!({})), Mode::Real).await
    else {
        panic!("taken")
    };
    assert_eq!(text, "cannot handle: … of …");
}
