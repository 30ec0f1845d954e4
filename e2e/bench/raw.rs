//! The baseline: plain API calls, with the connection reuse and concurrency that Backstay has.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use kube::Client;
use serde_json::{Value, json};

use crate::objects::Made;
use crate::{CONCURRENCY, ROUNDS};

/// A plain client of the API server.
pub struct Cluster {
    client: Client,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

impl Cluster {
    /// Connects by `KUBECONFIG`.
    pub async fn connect() -> Result<Self> {
        Ok(Self { client: Client::try_default().await? })
    }

    /// Creates the objects' namespaces and waits for their default service accounts.
    pub async fn create_namespaces(&self, made: &[Made]) -> Result<()> {
        for name in namespaces(made) {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.post("/api/v1/namespaces", &namespace).await?;
        }
        Ok(())
    }

    /// Posts every object, so many at a time; gives the wall time.
    pub async fn create(&self, made: &[Made]) -> Result<Duration> {
        let started = Instant::now();
        futures::stream::iter(made)
            .map(|m| self.post(&m.collection, &m.object))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(started.elapsed())
    }

    /// Server-side applies of every object that only ask (`dryRun=All`), so many at a time; the median of the rounds.
    pub async fn dry_run_applies(&self, made: &[Made]) -> Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let started = Instant::now();
            futures::stream::iter(made)
                .map(|m| self.dry_run_apply(m))
                .buffer_unordered(CONCURRENCY)
                .try_collect::<Vec<_>>()
                .await?;
            times.push(started.elapsed());
        }
        times.sort();
        Ok(times[times.len() / 2])
    }

    async fn dry_run_apply(&self, made: &Made) -> Result<()> {
        let name = made.object["metadata"]["name"].as_str().unwrap_or_default();
        let url = format!("{}/{name}?dryRun=All&force=true&fieldManager=raw", made.collection);
        let request = http::Request::patch(url)
            .header("content-type", "application/apply-patch+yaml")
            .body(made.object.to_string().into_bytes())?;
        self.client.request_text(request).await?;
        Ok(())
    }

    /// Lists every kind the server serves, page by page, and throws the text away; the median of the rounds.
    pub async fn list_everything(&self) -> Result<Duration> {
        let collections = self.collections().await?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let started = Instant::now();
            futures::stream::iter(&collections)
                .map(|url| self.list(url))
                .buffer_unordered(CONCURRENCY)
                .try_collect::<Vec<_>>()
                .await?;
            times.push(started.elapsed());
        }
        times.sort();
        Ok(times[times.len() / 2])
    }

    async fn collections(&self) -> Result<Vec<String>> {
        let mut roots = vec!["/api/v1".to_owned()];
        let groups: Value = self.get("/apis").await?;
        for group in groups["groups"].as_array().into_iter().flatten() {
            roots.push(format!(
                "/apis/{}",
                group["preferredVersion"]["groupVersion"].as_str().unwrap_or_default()
            ));
        }
        let mut found = Vec::new();
        for root in roots {
            let list: Value = self.get(&root).await?;
            for resource in list["resources"].as_array().into_iter().flatten() {
                let name = resource["name"].as_str().unwrap_or_default();
                let lists = resource["verbs"].as_array().is_some_and(|v| v.contains(&json!("list")));
                if lists && !name.contains('/') && name != "events" {
                    found.push(format!("{root}/{name}"));
                }
            }
        }
        Ok(found)
    }

    async fn list(&self, url: &str) -> Result<()> {
        let mut token = String::new();
        loop {
            let request = http::Request::get(format!("{url}?limit=500&continue={token}")).body(Vec::new())?;
            let text = self.client.request_text(request).await?;
            let page: Head = serde_json::from_str(&text)?;
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(next) => token = next,
                None => return Ok(()),
            }
        }
    }

    /// Changes a label of the first objects.
    pub async fn touch(&self, made: &[Made], count: usize, round: usize) -> Result<()> {
        for m in made.iter().take(count) {
            let name = m.object["metadata"]["name"].as_str().unwrap_or_default();
            let request = http::Request::patch(format!("{}/{name}", m.collection))
                .header("content-type", "application/merge-patch+json")
                .body(format!(r#"{{"metadata":{{"labels":{{"touched":"{round}"}}}}}}"#).into_bytes())?;
            self.client.request_text(request).await?;
        }
        Ok(())
    }

    /// Deletes the objects' namespaces and their copies, and waits until they are gone.
    pub async fn delete_namespaces(&self, made: &[Made]) -> Result<()> {
        let mut names: Vec<String> = namespaces(made).into_iter().collect();
        names.extend(names.clone().into_iter().map(|name| format!("{name}-copy")));
        for name in &names {
            let request = http::Request::delete(format!("/api/v1/namespaces/{name}")).body(Vec::new())?;
            self.client.request_text(request).await.ok();
        }
        for name in &names {
            let deadline = Instant::now() + Duration::from_mins(10);
            while self.get::<Value>(&format!("/api/v1/namespaces/{name}")).await.is_ok() {
                if Instant::now() > deadline {
                    return Err(format!("namespace {name} does not go away").into());
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        Ok(())
    }

    async fn post(&self, url: &str, object: &Value) -> Result<()> {
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .body(object.to_string().into_bytes())?;
        self.client.request_text(request).await?;
        Ok(())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T> {
        let text = self.client.request_text(http::Request::get(url).body(Vec::new())?).await?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// The namespaces of the objects.
pub fn namespaces(made: &[Made]) -> BTreeSet<String> {
    made.iter().map(|m| m.namespace.clone()).collect()
}

#[derive(serde::Deserialize)]
struct Head {
    metadata: HeadMetadata,
}

#[derive(serde::Deserialize)]
struct HeadMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}
