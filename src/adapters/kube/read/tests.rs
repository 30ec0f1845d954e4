use std::time::Duration;

use super::super::call::stub::{Told, stub, told};
use super::*;
use crate::domain::object::Gvk;

fn config() -> Resource {
    Resource {
        gvk: Gvk::new("v1", "ConfigMap"),
        plural: "configmaps".into(),
        namespaced: true,
        verbs: Vec::new(),
        served: Vec::new(),
    }
}

fn everything() -> ListRequest {
    ListRequest::new(Scope::All, 500)
}

async fn listed(answer: impl Fn() -> Told + Send + Sync + 'static) -> Result<Page, Error> {
    let (server, _) = stub(move |_| answer()).await;
    server.list(&config(), &everything()).await
}

#[test]
fn a_list_asks_for_place_labels_limit_and_token() {
    assert_eq!(list_path(&config(), &everything()), "/api/v1/configmaps?limit=500");
    let narrow = ListRequest {
        labels: "tier in (a, b),!c".into(),
        token: Some("eyJ2+/=".into()),
        ..ListRequest::new(Scope::Namespace("shop".into()), 2)
    };
    assert_eq!(
        list_path(&config(), &narrow),
        "/api/v1/namespaces/shop/configmaps?limit=2&labelSelector=tier+in+%28a%2C+b%29%2C%21c&continue=eyJ2%2B%2F%3D"
    );
}

#[tokio::test]
async fn requests_say_who_asks_and_want_plain_json() {
    let (server, asked) = stub(|_| told(200, r#"{"items":[]}"#)).await;
    server.list(&config(), &everything()).await.unwrap();
    let headers = asked.lock().unwrap()[0].headers.clone();
    assert!(headers.contains(concat!("user-agent: backstay/", env!("CARGO_PKG_VERSION"))), "{headers}");
    assert!(headers.contains("accept: application/json\n"), "{headers}");
    assert!(!headers.contains("accept-encoding"), "{headers}");
}

#[tokio::test]
async fn a_server_that_is_busy_says_when_to_come_back() {
    let busy = listed(|| (429, "Retry-After: 7\r\n", "{}".into())).await;
    let Err(Error::Busy { after, .. }) = busy else { panic!("{busy:?}") };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_expired_list_gives_the_token_to_go_on_with() {
    let gone =
        listed(|| told(410, r#"{"reason":"Expired","metadata":{"continue":"next"},"code":410}"#)).await;
    assert!(matches!(gone, Err(Error::Expired { next: Some(token) }) if token == "next"));
}

#[tokio::test]
async fn answers_that_make_no_sense_are_garbled() {
    for body in ["", "{", "<html>hunter2</html>", r#"{"items":[{"metadata":{}}]}"#] {
        let garbled = listed(move || told(200, body)).await;
        let Err(Error::Garbled(text)) = garbled else { panic!("{garbled:?}") };
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn silence_and_a_lost_connection_are_worth_another_attempt() {
    for (code, reason) in [(0, ""), (1, "no answer in time")] {
        let lost = listed(move || told(code, "")).await;
        let Err(Error::Busy { reason: text, .. }) = lost else { panic!("{lost:?}") };
        assert!(text.starts_with("http://127.0.0.1:") && text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}").parse().unwrap();
    let server = ApiServer::over(kube::Config::new(url), None).await.unwrap();
    let Err(Error::Unreachable(text)) = server.server().await else { panic!("reached") };
    assert!(text.contains(&closed.to_string()) && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn an_absent_object_is_none_and_an_absent_kind_is_an_error() {
    let (server, _) = stub(|asked| match asked.line.as_str() {
        "GET /api/v1/namespaces/shop/configmaps/x" => {
            told(404, r#"{"details":{"name":"x","kind":"configmaps"}}"#)
        }
        _ => told(404, "404 page not found"),
    })
    .await;
    assert_eq!(server.get(&config(), Some("shop"), "x").await.unwrap(), None);
    assert!(matches!(server.get(&config(), Some("shop"), "y").await, Err(Error::NotFound(_))));
}
