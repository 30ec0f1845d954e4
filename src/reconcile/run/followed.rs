//! The whole reconciler, followed by a collector of OpenTelemetry that is there, and by one that is not.

use std::time::Instant;

use axum::http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use super::world::*;
use super::*;
use crate::adapters::otlp::tests::{Fake, exporter};
use crate::ports::trace::Traces;

const MINUTES: &str = "{schedule: '* * * * *', locations: [vault], retention: {keepLast: 3}}";

async fn two_runs(world: &World) {
    world.policy("minutely", MINUTES);
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), async {
        world.until("two runs", async || world.records("vault").len() >= 2).await;
        world.pass(Duration::from_mins(2)).await;
    })
    .await;
}

#[tokio::test]
async fn a_collector_hears_what_was_done_and_no_secret() {
    let mut world = World::new().await;
    let fake = Fake::new(StatusCode::OK).await;
    let exporter = Arc::new(exporter(&format!("http://{}/v1/traces", fake.address)).unwrap());
    world.traces = Some(exporter.clone());
    let db = json!({"name": "db", "namespace": HOME});
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": db, "stringData": {"password": "hunter2"}});
    world.make(secret).await;
    two_runs(&world).await;
    world.write("broken.yaml", "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nhunter2: [\n");
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), world.pass(Duration::from_mins(2))).await;
    exporter.close().await;
    let told = fake.told();
    let run = world.records("vault").last().unwrap().id.to_string();
    for wanted in [
        "k8s.cluster.name=prod service.instance.id=backstay-0 service.name=backstay service.version=",
        "policy fetch 0 s backstay.outcome=Complete",
        "policy load 0 s backstay.outcome=Complete backstay.problems=0",
        "policy load 0 s backstay.outcome=Failed backstay.problems=",
        &format!("backstay.run={run}"),
        "backstay.locations=[vault Complete]",
        "prune 0 s backstay.deleted=0 backstay.location=vault",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in\n{told}");
    }
    let bodies = fake.bodies.lock().unwrap();
    let shows =
        |secret: &[u8]| bodies.iter().any(|body| body.windows(secret.len()).any(|part| part == secret));
    assert!(shows(b"minutely") && !shows(b"hunter2") && !shows(b"AGE-SECRET-KEY"), "{told}");
}

#[tokio::test]
async fn a_collector_that_never_answers_stops_nothing() {
    let mut world = World::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/traces", silent.local_addr().unwrap());
    let exporter = Arc::new(exporter(&url).unwrap());
    world.traces = Some(exporter.clone());
    two_runs(&world).await;
    assert!(world.records("vault").len() >= 2);
    let began = Instant::now();
    exporter.close().await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}
