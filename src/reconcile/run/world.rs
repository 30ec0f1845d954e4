//! A cluster in memory, a folder as policy repository and one as archive, and replicas at work on them.

use std::fs;
use std::path::PathBuf;

use futures::future::{Either, select};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::adapters::memory::clock::FakeClock;
use crate::adapters::memory::cluster::Cluster;
use crate::adapters::memory::exec::Containers;
use crate::app::settings;
use crate::app::wiring::Connected;
use crate::domain::custom_resource::{KINDS, Kind};
use crate::domain::hook::HttpHook;
use crate::domain::object::{Manifest, Placed, Resource};
use crate::domain::snapshot::SnapshotRecord;
use crate::engine::seal::age::generate;
use crate::ports::clock::Clock;
use crate::ports::cluster::{Conflicts, ListRequest, Mode, Patch, Place, Reader, Scope, Writer};
use crate::ports::http::{Answer, Http, Post, Unanswered};
use crate::ports::trace::Traces;
use crate::reconcile::desk::Fallback;

pub const HOME: &str = "backstay";

/// A cluster, a folder with policy, and a folder for snapshots.
pub struct World {
    pub clock: Arc<FakeClock>,
    pub cluster: Arc<Cluster>,
    pub folder: TempDir,
    pub recipient: String,
    pub identity: PathBuf,
    pub posts: Arc<Posts>,
    pub traces: Option<Arc<dyn Traces>>,
}

/// Takes everything that is posted.
#[derive(Default)]
pub struct Posts(pub std::sync::Mutex<Vec<Json>>);

#[async_trait::async_trait]
impl Http for Posts {
    async fn call(&self, _: &HttpHook) -> Result<Answer, Unanswered> {
        Err(Unanswered("no hook asks".into()))
    }

    async fn post(&self, post: &Post) -> Result<Answer, Unanswered> {
        self.0.lock().unwrap().push(serde_json::from_str(&post.body).unwrap());
        Ok(Answer { status: 200 })
    }
}

impl World {
    pub async fn new() -> Self {
        let clock = Arc::new(FakeClock::at("2026-11-27T10:00:30Z".parse().unwrap()));
        let cluster = Arc::new(Cluster::new(clock.clone()));
        let folder = tempfile::tempdir().unwrap();
        let pair = generate(clock.now());
        let identity = folder.path().join("key.txt");
        fs::write(&identity, &pair.file).unwrap();
        fs::create_dir(folder.path().join("policy")).unwrap();
        let world = Self {
            clock,
            cluster,
            folder,
            recipient: pair.recipient,
            identity,
            posts: Arc::default(),
            traces: None,
        };
        world.make(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})).await;
        for kind in KINDS {
            world.make(kind.definition()).await;
        }
        world.clock.sleep(Duration::from_secs(20)).await;
        world.location("vault", "ReadWrite");
        world
    }

    pub async fn make(&self, object: Json) {
        let object = Manifest::parse(object).unwrap();
        let served = self.cluster.discover().await.unwrap().resources;
        let kind = served.into_iter().find(|kind| kind.gvk == object.gvk()).expect("the kind is served");
        self.cluster.writing_as("kubectl").create(&kind, &object, Mode::Real).await.unwrap();
    }

    pub fn policy(&self, name: &str, spec: &str) {
        let text = format!(
            "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        );
        self.write(&format!("{name}.yaml"), &text);
    }

    pub fn location(&self, name: &str, access: &str) {
        let url = format!("file://{}", self.folder.path().join(name).display());
        let text = format!(
            "apiVersion: backstay.dev/v1alpha1\nkind: BackupLocation\nmetadata: {{name: {name}}}\nspec: {{archive: {{url: {url}}}, recipients: [{}], accessMode: {access}}}\n",
            self.recipient
        );
        self.write(&format!("location-{name}.yaml"), &text);
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join("policy").join(file), text).unwrap();
    }

    pub fn settings(replica: &str) -> Settings {
        Settings {
            replica: replica.into(),
            git: true,
            resources: true,
            interval: Duration::from_secs(10),
            restores: true,
            runs: 4,
            cluster: "prod".into(),
            fallback: Fallback::Views,
        }
    }

    pub fn app(&self) -> Arc<App> {
        let path = |name: &str| self.folder.path().join(name);
        let settings = settings::Settings {
            policy_repo: path("policy").display().to_string(),
            has_policy_repo: true,
            policy_ref: None,
            policy_path: None,
            cluster_name: Some("prod".into()),
            kubeconfig: None,
            context: None,
            namespace: HOME.into(),
            identities: vec![self.identity.clone()],
            cache: path("cache"),
            state: path("state"),
            keys: settings::Keys::Cluster,
            allowed_signers: None,
            variables: std::collections::BTreeMap::new(),
        };
        let exec = Arc::new(Containers::new(self.cluster.as_ref().clone(), self.clock.clone()));
        let connected = Connected {
            reader: self.cluster.clone(),
            writer: self.cluster.clone(),
            exec,
            name: "prod".into(),
        };
        let mut app = App::with_cluster(settings, self.clock.clone(), connected);
        app.http = self.posts.clone();
        app.traces = self.traces.clone();
        Arc::new(app)
    }

    /// A replica at work, until it is dropped.
    pub fn replica(
        &self,
        name: &str,
        board: &Arc<Board>,
    ) -> impl Future<Output = Result<(), Failure>> + use<> {
        self.replica_until(name, board, Stop::never())
    }

    pub fn replica_until(
        &self,
        name: &str,
        board: &Arc<Board>,
        stop: Stop,
    ) -> impl Future<Output = Result<(), Failure>> + use<> {
        let (app, settings, board) = (self.app(), Self::settings(name), board.clone());
        let receiver = json!({"name": "team", "type": "webhook", "url": "http://team"});
        let receiver = serde_json::from_value(receiver).unwrap();
        let receivers = vec![Known { receiver, authorities: None }];
        let repository = Some(json!({"url": "folder", "interval": "10s"}));
        async move {
            let (_knock, knocks) = mpsc::channel(1);
            run(app, settings, Lines { board, knocks, stop, receivers, repository }).await
        }
    }

    pub async fn pass(&self, length: Duration) {
        let until = after(self.clock.now(), length);
        while self.clock.now() < until {
            self.clock.sleep(Duration::from_millis(500)).await;
        }
    }

    /// Waits, for ten minutes at most.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..1_200 {
            if holds().await {
                return;
            }
            self.clock.sleep(Duration::from_millis(500)).await;
        }
        panic!("it never came about: {what}");
    }

    pub fn records(&self, location: &str) -> Vec<SnapshotRecord> {
        let top = self.folder.path().join(location).join("clusters/prod/snapshots");
        let folders = fs::read_dir(top).into_iter().flatten().map(|entry| entry.unwrap().path());
        let records = folders.filter_map(|folder| fs::read(folder.join("snapshot.json")).ok());
        let mut records: Vec<SnapshotRecord> =
            records.map(|text| serde_json::from_slice(&text).unwrap()).collect();
        records.sort_by_key(|record| record.id.started());
        records
    }

    pub async fn namespaces(&self) -> Vec<String> {
        let kind = Resource::well_known("v1", "Namespace", "namespaces", Placed::InCluster);
        let request = ListRequest::new(Scope::All, 500);
        let page = self.cluster.list(&kind, &request).await.unwrap();
        page.objects.iter().map(|namespace| namespace.name().to_owned()).collect()
    }

    pub async fn get(&self, kind: &str, name: &str) -> Option<Manifest> {
        let kind = Kind::of(kind).unwrap().resource();
        self.cluster.get(&kind, Some(HOME), name).await.unwrap()
    }

    /// The status of a condition and its reason, such as `True Scheduled`.
    pub async fn condition(&self, kind: &str, name: &str, condition: &str) -> String {
        let Some(object) = self.get(kind, name).await else { return "no object".into() };
        let all = object.at("/status/conditions").and_then(Json::as_array).cloned().unwrap_or_default();
        let found = all.into_iter().find(|one| one["type"] == condition);
        found.map_or_else(
            || "no condition".into(),
            |one| format!("{} {}", one["status"].as_str().unwrap(), one["reason"].as_str().unwrap()),
        )
    }

    /// Applies a document as somebody else, such as Flux, whatever it takes.
    pub async fn apply_as(&self, manager: &str, object: Json) {
        let object = Manifest::parse(object).unwrap();
        let kind = Kind::of(&object.gvk().kind).unwrap().resource();
        let writer = self.cluster.writing_as(manager);
        writer.apply(&kind, &object, Conflicts::Force, Mode::Real).await.unwrap();
    }

    pub async fn annotate(&self, kind: &str, name: &str, value: &str) {
        let resource = Kind::of(kind).unwrap().resource();
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"backstay.dev/requestedAt": value}}}));
        let place = Place { namespace: Some(HOME), name, subresource: "" };
        self.cluster.writing_as("kubectl").patch(&resource, place, &patch, Mode::Real).await.unwrap();
    }
}

/// Lets replicas work until the script is over.
pub async fn during(replicas: impl Future<Output = Result<(), Failure>>, script: impl Future<Output = ()>) {
    match select(Box::pin(replicas), Box::pin(script)).await {
        Either::Left((Ok(()), _)) | Either::Right(((), _)) => {}
        Either::Left((Err(failure), _)) => panic!("{failure}"),
    }
}
