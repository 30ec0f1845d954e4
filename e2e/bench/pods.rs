//! Commands in many pods: hooks against raw execs of the same command at the same concurrency.

use std::error::Error;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::measure::{Bench, Row};
use crate::{CONCURRENCY, ROUNDS};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The namespace of the pods.
const HOME: &str = "bench-hooks";

/// What runs in each of them.
const COMMAND: [&str; 3] = ["sh", "-c", "echo done"];

/// A hook in so many pods, 16 at a time.
pub async fn hooks(dir: &std::path::Path, count: usize) -> Result<Vec<Row>> {
    let client = Client::try_default().await?;
    let image = std::env::var("BACKSTAY_E2E_IMAGE")?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), HOME);
    make(&client, &pods, &image, count).await?;
    let mut bench = Bench::new(&dir.join("hooks"), "hooks", &[])?;
    bench.objects = count;
    bench.hook(&format!(
        "{{name: done, hook: {{when: PreBackup, namespaces: [{HOME}], exec: {{command: [sh, -c, echo done]}}}}}}"
    ))?;
    let mut raw = Vec::new();
    for _ in 0..ROUNDS {
        raw.push(execs(&pods, count).await?);
    }
    raw.sort();
    bench.against("raw execs, 16 at a time", raw[raw.len() / 2]);
    bench.rounds("hooks test", 1.3, async |bench, _| bench.hooks()).await?;
    pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
    Ok(bench.rows)
}

async fn make(client: &Client, pods: &Api<Pod>, image: &str, count: usize) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}});
    let request = http::Request::post("/api/v1/namespaces")
        .header("content-type", "application/json")
        .body(namespace.to_string().into_bytes())?;
    client.request_text(request).await.ok();
    // The default service account of a new namespace takes a moment.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for number in 0..count {
        let pod: Pod = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("pod-{number:03}"), "labels": {"app": "bench"}},
            "spec": {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false, "containers": [
                {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "inf"]}]},
        }))?;
        pods.create(&PostParams::default(), &pod).await?;
    }
    let deadline = Instant::now() + Duration::from_mins(15);
    loop {
        let all = pods.list(&ListParams::default()).await?;
        let running = all
            .items
            .iter()
            .filter(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"));
        if running.count() == count {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("the pods do not run".into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One command in every pod, read to its end; the wall time.
async fn execs(pods: &Api<Pod>, count: usize) -> Result<Duration> {
    let started = Instant::now();
    futures::stream::iter(0..count)
        .map(|number| one(pods, format!("pod-{number:03}")))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(started.elapsed())
}

async fn one(pods: &Api<Pod>, name: String) -> Result<()> {
    let params = AttachParams::default().container("main").stdin(false).stdout(true).stderr(true);
    let mut process = pods.exec(&name, COMMAND, &params).await?;
    let (output, errors) = (process.stdout().ok_or("no output")?, process.stderr().ok_or("no errors")?);
    let status = process.take_status().ok_or("no status")?;
    let (text, _, status) = futures::join!(read(output), read(errors), status);
    match status.and_then(|status| status.status) {
        Some(word) if word == "Success" && text? == "done\n" => Ok(()),
        other => Err(format!("{name}: {other:?}").into()),
    }
}

async fn read(mut stream: impl tokio::io::AsyncRead + Unpin) -> Result<String> {
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await?;
    Ok(text)
}
