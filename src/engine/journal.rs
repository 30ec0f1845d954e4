//! The state of work that must not be forgotten, kept in the cluster itself: one `ConfigMap` for each restore request and for
//! each policy with hooks in Backstay's namespace. One process at a time writes an entry.
//!
//! In: a run · Out: `Entry`, `Answer` · Touches: cluster (read and write), clock

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::reach::Reach;
use super::retry::persist;
use crate::domain::object::{Json, Manifest, Placed, Resource};
use crate::ports::cluster::{self, ListRequest, Mode, Patch, Place, Scope};

/// Entries of a list that are read at once.
const PAGE: u32 = 500;

/// Label of everything that belongs to the journal; it stays out of backups.
pub const LABEL: &str = "backstay.dev/journal";

/// Annotation that asks a run to stop.
const CANCEL: &str = "backstay.dev/cancel";

/// A worker that was not heard of for so long is gone. Workers are heard of every [`HEARTBEAT`].
const LEASE: Duration = Duration::from_secs(15);

/// The longest time between two signs of life.
pub const HEARTBEAT: Duration = Duration::from_secs(4);

/// How often a silent worker is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster does not let it be read or written.
    #[error("cannot use the journal, ConfigMap {place}")]
    Cluster {
        /// Namespace and name.
        place: String,
        /// Why not.
        source: cluster::Error,
    },
    /// Somebody else changed it.
    #[error("cannot read the journal, ConfigMap {0}: it was changed by hand; delete it to start anew")]
    Garbled(String),
    /// Somebody else was faster.
    #[error("cannot begin: another process has just taken the work over")]
    Raced,
}

/// A process at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// Its machine, as the process itself sees it.
    pub machine: String,
    /// Its process number there.
    pub process: u32,
    /// What tells it from earlier processes of the same number.
    pub since: String,
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.machine)
    }
}

/// What the cluster knows of a piece of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<T> {
    /// Its last run.
    pub run: T,
    /// Who works on it, or did.
    pub worker: Worker,
    /// When the worker was last heard of, as it said.
    pub heard: String,
    /// Who wants it cancelled, and since when.
    pub cancel: Option<String>,
    /// Version of the entry.
    pub version: String,
}

/// What is written about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Book {
    /// Restores, by the names of their requests.
    Restores,
    /// What runs with hooks still owe, by the names of the runs.
    Hooks,
}

impl Book {
    fn word(self) -> &'static str {
        match self {
            Self::Restores => "restore",
            Self::Hooks => "hooks",
        }
    }
}

/// Where the journal of one piece of work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    namespace: String,
    name: String,
    book: Book,
}

impl Shelf {
    /// The shelf of a request or policy in Backstay's namespace.
    pub fn of(book: Book, name: &str, namespace: &str) -> Self {
        let name = format!("backstay-{}-{name}", book.word());
        Self { namespace: namespace.to_owned(), name, book }
    }

    fn place(&self) -> Place<'_> {
        Place { namespace: Some(&self.namespace), name: &self.name, subresource: "" }
    }

    fn failed(&self, source: cluster::Error) -> Error {
        Error::Cluster { place: format!("{}/{}", self.namespace, self.name), source }
    }
}

/// Reads what the cluster knows of a piece of work; `None` where it knows nothing.
///
/// # Errors
/// [`Error::Cluster`] and [`Error::Garbled`].
pub async fn read<T: DeserializeOwned>(reach: &Reach<'_>, shelf: &Shelf) -> Result<Option<Entry<T>>, Error> {
    let call = async || reach.reader.get(&config_maps(), Some(&shelf.namespace), &shelf.name).await;
    let found = persist(reach.clock, reach.patience, call).await.result.map_err(|e| shelf.failed(e))?;
    found.map(|map| entry(&map)).transpose()
}

/// Everything of a book that the cluster knows of, sorted by the names of its entries.
///
/// # Errors
/// [`Error::Cluster`]; an entry that cannot be read is an error of its own among the results.
pub async fn all<T: DeserializeOwned>(
    reach: &Reach<'_>,
    book: Book,
    namespace: &str,
) -> Result<Vec<Result<Entry<T>, Error>>, Error> {
    let labels = format!("{LABEL}={}", book.word());
    let first = ListRequest { labels, ..ListRequest::new(Scope::Namespace(namespace.to_owned()), PAGE) };
    let (mut found, mut next) = (Vec::new(), Some(first));
    while let Some(request) = next {
        let call = async || reach.reader.list(&config_maps(), &request).await;
        let page = persist(reach.clock, reach.patience, call).await.result;
        let page = page.map_err(|source| Error::Cluster { place: format!("{namespace}/*"), source })?;
        found.extend(page.objects);
        next = page.next.map(|token| ListRequest { token: Some(token), ..request });
    }
    found.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(found.iter().map(entry).collect())
}

/// Finds out whether the worker of an entry is gone: it is silent for [`LEASE`] while somebody watches.
///
/// Clocks of two machines are never compared.
///
/// # Errors
/// The journal cannot be read.
pub async fn is_silent<T: DeserializeOwned>(
    reach: &Reach<'_>,
    shelf: &Shelf,
    seen: &Entry<T>,
) -> Result<bool, Error> {
    reach.progress.waiting(&format!("a sign of life of {}", seen.worker));
    let mut waited = Duration::ZERO;
    while waited < LEASE {
        reach.clock.sleep(LOOK).await;
        waited += LOOK;
        match read::<T>(reach, shelf).await? {
            Some(now) if now.version == seen.version => {}
            Some(_) => return Ok(false),
            None => return Ok(true),
        }
    }
    Ok(true)
}

/// Asks the worker of an entry to stop.
///
/// # Errors
/// [`Error::Cluster`].
pub async fn ask_to_stop(reach: &Reach<'_>, shelf: &Shelf, who: &str) -> Result<(), Error> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {CANCEL: who}}}));
    let call = async || reach.writer.patch(&config_maps(), shelf.place(), &patch, Mode::Real).await;
    persist(reach.clock, reach.patience, call).await.result.map(drop).map_err(|e| shelf.failed(e))
}

/// What the journal says when something is written into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was written.
    Noted,
    /// It was written, and somebody wants the run to stop.
    Cancel(String),
    /// Somebody else works on it now; nothing was written.
    TakenOver,
}

/// One process at work on one entry.
#[derive(Clone, Debug)]
pub struct Desk {
    shelf: Shelf,
    worker: Worker,
}

impl Desk {
    /// Sits down: writes the run and the worker, if nobody did since `before` was read.
    ///
    /// Backstay's namespace is made where it is missing.
    ///
    /// # Errors
    /// [`Error::Raced`] and [`Error::Cluster`].
    pub async fn take<T: Serialize>(
        reach: &Reach<'_>,
        shelf: Shelf,
        worker: Worker,
        before: Option<&Entry<T>>,
        run: &T,
    ) -> Result<Self, Error> {
        let desk = Self { shelf, worker };
        let made = match before {
            None => desk.create(reach, run).await,
            Some(before) => {
                let patch = Patch::Merge(desk.content(reach, run, Some(&before.version)));
                reach.writer.patch(&config_maps(), desk.shelf.place(), &patch, Mode::Real).await.map(drop)
            }
        };
        match made {
            Ok(()) => Ok(desk),
            Err(cluster::Error::AlreadyExists | cluster::Error::Conflict(_)) => Err(Error::Raced),
            Err(error) => Err(desk.shelf.failed(error)),
        }
    }

    async fn create<T: Serialize>(&self, reach: &Reach<'_>, run: &T) -> Result<(), cluster::Error> {
        let object = manifest(self.content(reach, run, None))?;
        let kind = config_maps();
        match reach.writer.create(&kind, &object, Mode::Real).await {
            Err(cluster::Error::NotFound(_)) => {
                make_namespace(reach, &self.shelf.namespace).await?;
                reach.writer.create(&kind, &object, Mode::Real).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Writes how far the run is.
    ///
    /// # Errors
    /// [`Error::Cluster`]. The run may go on: it is idempotent with or without its journal.
    pub async fn note<T: Serialize>(&self, reach: &Reach<'_>, run: &T) -> Result<Answer, Error> {
        let patch = Patch::Json(vec![
            json!({"op": "test", "path": "/data/worker", "value": text(&self.worker)}),
            json!({"op": "replace", "path": "/data/heard", "value": reach.clock.now().to_string()}),
            json!({"op": "replace", "path": "/data/run", "value": text(run)}),
        ]);
        match reach.writer.patch(&config_maps(), self.shelf.place(), &patch, Mode::Real).await {
            Ok(stored) => {
                Ok(stored.annotation(CANCEL).map_or(Answer::Noted, |who| Answer::Cancel(who.to_owned())))
            }
            Err(cluster::Error::NotFound(_)) => {
                self.create(reach, run).await.map(|()| Answer::Noted).map_err(|e| self.shelf.failed(e))
            }
            Err(error @ cluster::Error::Invalid(_)) => match read::<Json>(reach, &self.shelf).await? {
                Some(entry) if entry.worker != self.worker => Ok(Answer::TakenOver),
                _ => Err(self.shelf.failed(error)),
            },
            Err(error) => Err(self.shelf.failed(error)),
        }
    }

    /// Writes the end of the run, and insists.
    ///
    /// # Errors
    /// [`Error::Cluster`].
    pub async fn close<T: Serialize>(&self, reach: &Reach<'_>, run: &T) -> Result<(), Error> {
        let mut last = self.note(reach, run).await;
        let mut tries = 1;
        while last.is_err() && tries < 5 {
            reach.clock.sleep(LOOK).await;
            last = self.note(reach, run).await;
            tries += 1;
        }
        last.map(drop)
    }

    fn content<T: Serialize>(&self, reach: &Reach<'_>, run: &T, version: Option<&str>) -> Json {
        let Shelf { namespace, name, book } = &self.shelf;
        let mut tree = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {LABEL: book.word(), "app.kubernetes.io/managed-by": "backstay"},
                "annotations": {CANCEL: null},
            },
            "data": {"worker": text(&self.worker), "heard": reach.clock.now().to_string(), "run": text(run)},
        });
        match version {
            Some(version) => tree["metadata"]["resourceVersion"] = json!(version),
            None => tree["metadata"]["annotations"] = json!({}),
        }
        tree
    }
}

async fn make_namespace(reach: &Reach<'_>, name: &str) -> Result<(), cluster::Error> {
    // Its default service account and the like are nobody's policy either.
    let labels =
        json!({LABEL: "home", "app.kubernetes.io/managed-by": "backstay", "backstay.dev/exclude": "true"});
    let metadata = json!({"name": name, "labels": labels});
    let object = manifest(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))?;
    let namespaces = Resource::well_known("v1", "Namespace", "namespaces", Placed::InCluster);
    match reach.writer.create(&namespaces, &object, Mode::Real).await {
        Ok(_) | Err(cluster::Error::AlreadyExists) => Ok(()),
        Err(error) => Err(error),
    }
}

fn entry<T: DeserializeOwned>(map: &Manifest) -> Result<Entry<T>, Error> {
    let data = |key: &str| map.at(&format!("/data/{key}")).and_then(Json::as_str);
    let read = || {
        Some(Entry {
            run: serde_json::from_str(data("run")?).ok()?,
            worker: serde_json::from_str(data("worker")?).ok()?,
            heard: data("heard")?.to_owned(),
            cancel: map.annotation(CANCEL).map(str::to_owned),
            version: map.at("/metadata/resourceVersion").and_then(Json::as_str)?.to_owned(),
        })
    };
    read().ok_or_else(|| Error::Garbled(map.key().place()))
}

fn manifest(tree: Json) -> Result<Manifest, cluster::Error> {
    Manifest::parse(tree).map_err(|error| cluster::Error::Garbled(error.to_string()))
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn config_maps() -> Resource {
    Resource::well_known("v1", "ConfigMap", "configmaps", Placed::InNamespaces)
}
