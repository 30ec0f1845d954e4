//! The cluster of the demo: filled from `examples/demo`, damaged and half lost by command.
//!
//! In: manifests · Out: an `App` on the memory adapter · Touches: memory only

use std::sync::Arc;

use super::settings::Settings;
use super::wiring::{App, Connected};
use crate::adapters::clock::SystemClock;
use crate::adapters::memory::clock::FakeClock;
use crate::adapters::memory::cluster::Cluster;
use crate::adapters::memory::exec::Containers;
use crate::domain::fixup::Propagation;
use crate::domain::object::{Json, Malformed, Manifest, Resource};
use crate::engine::yaml;
use crate::ports::clock::Clock;
use crate::ports::cluster::{self, Mode, Patch, Place, Reader, Writer};

const MANIFESTS: &str = include_str!("../../examples/demo/cluster.yaml");

/// Why the demo's cluster is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifests cannot be read.
    #[error("cannot read the manifests of the demo")]
    Yaml(#[from] yaml::Error),
    /// One of them is no object.
    #[error("cannot use a manifest of the demo")]
    Malformed(#[from] Malformed),
    /// The cluster refused a call.
    #[error("cannot {what}")]
    Cluster {
        /// What was tried.
        what: String,
        /// Why not.
        source: cluster::Error,
    },
    /// A kind of the manifests is not served.
    #[error("cannot create {0}: the cluster does not serve the kind")]
    NotServed(String),
}

/// An application on a cluster in memory that holds the demo's manifests. Time passes quickly there.
pub async fn filled(settings: Settings) -> Result<App, Error> {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::at(SystemClock.now()));
    let cluster = Arc::new(Cluster::new(clock.clone()));
    let person = Arc::new(cluster.writing_as("kubectl"));
    for tree in yaml::parse_all(MANIFESTS)? {
        create(&Manifest::parse(tree)?, person.as_ref(), clock.as_ref()).await?;
    }
    let exec = Arc::new(Containers::new(cluster.as_ref().clone(), clock.clone()));
    let connected = Connected { reader: cluster.clone(), writer: cluster, exec, name: "demo".into() };
    Ok(App::with_cluster(settings, clock, connected))
}

/// Creates an object once its kind is served: definitions take a moment.
async fn create(manifest: &Manifest, cluster: &Cluster, clock: &dyn Clock) -> Result<(), Error> {
    let cannot = |source| Error::Cluster { what: format!("create {}", manifest.key()), source };
    for _ in 0..20 {
        let served = cluster.discover().await.map_err(cannot)?.resources;
        let Some(resource) = served.iter().find(|r| r.gvk == manifest.gvk()) else {
            clock.sleep(std::time::Duration::from_secs(1)).await;
            continue;
        };
        return match cluster.create(resource, manifest, Mode::Real).await {
            Ok(_) | Err(cluster::Error::AlreadyExists) => Ok(()),
            Err(e) => Err(cannot(e)),
        };
    }
    Err(Error::NotServed(manifest.key().to_string()))
}

/// Somebody changes a password, edits a page and deletes a service.
pub async fn damage(app: &App) -> Result<(), Error> {
    let hands = Hands::of(app).await?;
    let page = r#"{"data":{"page.html":"<html>\n  <body>Wine, delivered on Saturday.</body>\n</html>\n"}}"#;
    hands.merge("Secret", "shop", "db", r#"{"data":{"password":"dHJvdWJhZG9y"}}"#).await?;
    hands.merge("ConfigMap", "shop", "web", page).await?;
    hands.delete("Service", Some("shop"), "db").await
}

/// The namespace of the shop is deleted, and the one of the ingress loses its label.
pub async fn lose(app: &App) -> Result<(), Error> {
    let hands = Hands::of(app).await?;
    hands.delete("Namespace", None, "shop").await?;
    hands.merge("Namespace", "", "ingress", r#"{"metadata":{"labels":{"purpose":null}}}"#).await
}

/// Somebody with rights on the cluster.
struct Hands {
    served: Vec<Resource>,
    writer: Arc<dyn Writer>,
}

impl Hands {
    async fn of(app: &App) -> Result<Self, Error> {
        let what = || "reach the cluster of the demo".to_owned();
        let unreachable = || cluster::Error::Unreachable("it is in memory, this cannot be".into());
        let connected =
            app.cluster().await.map_err(|_| Error::Cluster { what: what(), source: unreachable() })?;
        let found =
            connected.reader.discover().await.map_err(|source| Error::Cluster { what: what(), source })?;
        Ok(Self { served: found.resources, writer: connected.writer.clone() })
    }

    fn resource(&self, kind: &str) -> Result<&Resource, Error> {
        self.served.iter().find(|r| r.gvk.kind == kind).ok_or_else(|| Error::NotServed(kind.to_owned()))
    }

    async fn merge(&self, kind: &str, namespace: &str, name: &str, patch: &str) -> Result<(), Error> {
        let tree: Json = patch.parse().unwrap_or_default();
        let place = Place { namespace: (!namespace.is_empty()).then_some(namespace), name, subresource: "" };
        let done = self.writer.patch(self.resource(kind)?, place, &Patch::Merge(tree), Mode::Real).await;
        done.map(drop).map_err(|source| Error::Cluster { what: format!("patch {kind} {name}"), source })
    }

    async fn delete(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<(), Error> {
        let place = Place { namespace, name, subresource: "" };
        let done = self.writer.delete(self.resource(kind)?, place, Propagation::Background).await;
        done.map_err(|source| Error::Cluster { what: format!("delete {kind} {name}"), source })
    }
}
