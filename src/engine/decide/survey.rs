//! Finds out what a restore must know of a cluster before it plans.
//!
//! In: a cluster · Out: `Survey` · Touches: cluster (read)

use std::collections::BTreeMap;

use super::listing;
use super::reach::Reach;
use crate::domain::object::{Json, Manifest, Resource};
use crate::engine::clean::rewrite::Volume;
use crate::engine::retry::persist;
use crate::ports::cluster::{Discovery, Error, Reader, Scope, Server};

/// What is known of the cluster that is restored into.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Who it is.
    pub server: Server,
    /// What it serves.
    pub discovery: Discovery,
    /// Its namespaces, and whether each is being deleted; `None` where nobody may list them.
    pub namespaces: Option<BTreeMap<String, bool>>,
    /// Its persistent volumes by name.
    pub volumes: BTreeMap<String, Volume>,
    /// What could not be found out, and what that means.
    pub notes: Vec<String>,
}

/// Looks at a cluster.
///
/// # Errors
/// Only when the server cannot be asked at all; lists that are forbidden become notes.
pub async fn survey(reach: &Reach<'_>) -> Result<Survey, Error> {
    let reader = reach.reader;
    let server = persist(reach.clock, reach.patience, async || reader.server().await).await.result?;
    let discovery = persist(reach.clock, reach.patience, async || reader.discover().await).await.result?;
    let mut survey =
        Survey { server, discovery, namespaces: None, volumes: BTreeMap::new(), notes: Vec::new() };
    match list(reach, &survey.discovery, "Namespace", |o| (o.name().to_owned(), o.is_deleting())).await {
        Ok(found) => survey.namespaces = Some(found.into_iter().collect()),
        Err(error) => {
            survey.notes.push(format!("cannot list namespaces, so all are taken to be there: {error}"));
        }
    }
    match list(reach, &survey.discovery, "PersistentVolume", |o| (o.name().to_owned(), volume(&o))).await {
        Ok(found) => survey.volumes = found.into_iter().collect(),
        Err(error) => {
            let meaning = "claims of volumes that are not restored get new ones";
            survey.notes.push(format!("cannot list persistent volumes, so {meaning}: {error}"));
        }
    }
    Ok(survey)
}

/// Whose a volume is.
fn volume(object: &Manifest) -> Volume {
    let text = |pointer: &str| object.at(pointer).and_then(Json::as_str).map(str::to_owned);
    let released = text("/status/phase").as_deref() == Some("Released");
    Volume {
        claim: text("/spec/claimRef/namespace").zip(text("/spec/claimRef/name")),
        released_from: text("/spec/claimRef/uid").filter(|_| released),
    }
}

/// Something of every object of a core kind; nothing where the server does not serve it.
async fn list<T>(
    reach: &Reach<'_>,
    served: &Discovery,
    kind: &str,
    part: impl Fn(Manifest) -> T,
) -> Result<Vec<T>, Error> {
    let core = |r: &&Resource| r.gvk.group.is_empty() && r.gvk.kind == kind;
    let Some(resource) = served.resources.iter().find(core) else { return Ok(Vec::new()) };
    let reader: &dyn Reader = reach.reader;
    let call = async || {
        let mut found = Vec::new();
        listing::each(reader, resource, &Scope::All, "", |object| found.push(part(object))).await?;
        Ok(found)
    };
    persist(reach.clock, reach.patience, call).await.result
}
