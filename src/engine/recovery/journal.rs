//! The state of restores, kept in the cluster itself: one `ConfigMap` for each request in Backstay's namespace.
//!
//! In: `RestoreRun` · Out: `Entry`, `Answer` · Touches: cluster (read and write), clock

use std::time::Duration;

use serde_json::json;

use super::claim::{Entry, Worker};
use crate::domain::object::{Gvk, Json, Manifest, Resource};
use crate::domain::restore_run::RestoreRun;
use crate::engine::decide::listing;
use crate::engine::decide::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{self, Mode, Patch, Place, Scope};

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
    #[error("cannot use the journal of the restore, ConfigMap {place}")]
    Cluster {
        /// Namespace and name.
        place: String,
        /// Why not.
        source: cluster::Error,
    },
    /// Somebody else changed it.
    #[error(
        "cannot read the journal of the restore, ConfigMap {0}: it was changed by hand; delete it to start anew"
    )]
    Garbled(String),
    /// Somebody else was faster.
    #[error("cannot begin: another process has just taken the request over")]
    Raced,
}

/// Where the journal of one request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    namespace: String,
    name: String,
}

impl Shelf {
    /// The shelf of a request in Backstay's namespace.
    pub fn of(request: &str, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: format!("backstay-restore-{request}") }
    }

    fn place(&self) -> Place<'_> {
        Place { namespace: Some(&self.namespace), name: &self.name, subresource: "" }
    }

    fn failed(&self, source: cluster::Error) -> Error {
        Error::Cluster { place: format!("{}/{}", self.namespace, self.name), source }
    }
}

/// Reads what the cluster knows of a request; `None` where it knows nothing.
///
/// # Errors
/// [`Error::Cluster`] and [`Error::Garbled`].
pub async fn read(reach: &Reach<'_>, shelf: &Shelf) -> Result<Option<Entry>, Error> {
    let call = async || reach.reader.get(&config_maps(), Some(&shelf.namespace), &shelf.name).await;
    let found = persist(reach.clock, reach.patience, call).await.result.map_err(|e| shelf.failed(e))?;
    found.map(|map| entry(&map)).transpose()
}

/// Every request the cluster knows of, sorted by name.
///
/// # Errors
/// [`Error::Cluster`]; an entry that cannot be read is an error of its own among the results.
pub async fn all(reach: &Reach<'_>, namespace: &str) -> Result<Vec<Result<Entry, Error>>, Error> {
    let scope = Scope::Namespace(namespace.to_owned());
    let mut found = Vec::new();
    let take = |map: Manifest| found.push(map);
    let listed = listing::each(reach.reader, &config_maps(), &scope, &format!("{LABEL}=restore"), take).await;
    listed.map_err(|source| Error::Cluster { place: format!("{namespace}/*"), source })?;
    found.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(found.iter().map(entry).collect())
}

/// Finds out whether the worker of an entry is gone: it is silent for [`LEASE`] while somebody watches.
///
/// Clocks of two machines are never compared.
///
/// # Errors
/// The journal cannot be read.
pub async fn is_silent(reach: &Reach<'_>, shelf: &Shelf, seen: &Entry) -> Result<bool, Error> {
    reach.progress.waiting(&format!("a sign of life of {}", seen.worker));
    let mut waited = Duration::ZERO;
    while waited < LEASE {
        reach.clock.sleep(LOOK).await;
        waited += LOOK;
        match read(reach, shelf).await? {
            Some(now) if now.version == seen.version => {}
            Some(_) => return Ok(false),
            None => return Ok(true),
        }
    }
    Ok(true)
}

/// Asks the worker of a request to stop.
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
    /// Somebody else works on the request now; nothing was written.
    TakenOver,
}

/// One process at work on one request.
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
    pub async fn take(
        reach: &Reach<'_>,
        shelf: Shelf,
        worker: Worker,
        before: Option<&Entry>,
        run: &RestoreRun,
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

    async fn create(&self, reach: &Reach<'_>, run: &RestoreRun) -> Result<(), cluster::Error> {
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
    pub async fn note(&self, reach: &Reach<'_>, run: &RestoreRun) -> Result<Answer, Error> {
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
            Err(error @ cluster::Error::Invalid(_)) => match read(reach, &self.shelf).await? {
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
    pub async fn close(&self, reach: &Reach<'_>, run: &RestoreRun) -> Result<(), Error> {
        let mut last = self.note(reach, run).await;
        let mut tries = 1;
        while last.is_err() && tries < 5 {
            reach.clock.sleep(LOOK).await;
            last = self.note(reach, run).await;
            tries += 1;
        }
        last.map(drop)
    }

    fn content(&self, reach: &Reach<'_>, run: &RestoreRun, version: Option<&str>) -> Json {
        let Shelf { namespace, name } = &self.shelf;
        let mut tree = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {LABEL: "restore", "app.kubernetes.io/managed-by": "backstay"},
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
    match reach.writer.create(&core("Namespace", "namespaces"), &object, Mode::Real).await {
        Ok(_) | Err(cluster::Error::AlreadyExists) => Ok(()),
        Err(error) => Err(error),
    }
}

fn entry(map: &Manifest) -> Result<Entry, Error> {
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
    core("ConfigMap", "configmaps")
}

fn core(kind: &str, plural: &str) -> Resource {
    Resource {
        gvk: Gvk::new("v1", kind),
        plural: plural.to_owned(),
        namespaced: kind == "ConfigMap",
        verbs: Vec::new(),
        served: vec!["v1".to_owned()],
    }
}
