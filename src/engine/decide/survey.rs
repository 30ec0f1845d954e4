//! Finds out what a restore must know of a cluster before it plans.
//!
//! In: a cluster, `State` · Out: `Survey` · Touches: cluster (read), what the state is read from

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use super::definition::{Definition, definition};
use crate::domain::object::{Json, Manifest, ObjectKey, Resource};
use crate::engine::clean::rewrite::Volume;
use crate::engine::gather::listing;
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::engine::saved::open::{State, StateEntry};
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
    /// Definitions of kinds that a state holds in versions that are not served: the cluster's and the state's.
    pub definitions: Vec<Definition>,
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
    let mut survey = Survey {
        server,
        discovery,
        namespaces: None,
        volumes: BTreeMap::new(),
        definitions: Vec::new(),
        notes: Vec::new(),
    };
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

impl Survey {
    /// With what has to be known of the cluster to bring back this very state: how versions that it does not serve become
    /// others. A definition that cannot be read becomes a note.
    #[must_use]
    pub async fn for_state(mut self, state: &State, reach: &Reach<'_>) -> Self {
        let names = self.unserved(state);
        if names.is_empty() {
            return self;
        }
        let is_definition = |key: &ObjectKey| {
            key.group == "apiextensions.k8s.io"
                && key.kind == "CustomResourceDefinition"
                && names.contains(&key.name)
        };
        let entries = state.entries.iter().enumerate();
        let saved: Vec<usize> = entries.filter(|(_, e)| is_definition(&e.key)).map(|(at, _)| at).collect();
        let mut objects = std::pin::pin!(state.objects(saved));
        while let Some(read) = objects.next().await {
            match read {
                Ok((_, object)) => self.definitions.extend(definition(&object)),
                Err(error) => {
                    self.notes.push(format!("cannot read a definition of the saved state: {error}"));
                }
            }
        }
        let definitions = "customresourcedefinitions.apiextensions.k8s.io";
        let kind = self.discovery.resources.iter().find(|r| r.full_name() == definitions);
        let Some(kind) = kind.cloned() else { return self };
        for name in &names {
            let call = async || reach.reader.get(&kind, None, name).await;
            match persist(reach.clock, reach.patience, call).await.result {
                Ok(live) => self.definitions.extend(live.as_ref().and_then(definition)),
                Err(error) => self.notes.push(format!("cannot read definition {name}: {error}")),
            }
        }
        self
    }

    /// Names of the definitions of kinds that the state holds in a version that is not served, while others are.
    fn unserved(&self, state: &State) -> BTreeSet<String> {
        let kinds = self.discovery.resources.iter();
        let served: BTreeMap<(&str, &str), &Resource> =
            kinds.map(|r| ((r.gvk.group.as_str(), r.gvk.kind.as_str()), r)).collect();
        let unserved = |entry: &StateEntry| {
            let kind = served.get(&(entry.key.group.as_str(), entry.key.kind.as_str()))?;
            (!kind.serves(&entry.version)).then(|| kind.full_name())
        };
        state.entries.iter().filter_map(unserved).collect()
    }
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
