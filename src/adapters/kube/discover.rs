//! Finds out what the API server serves and who it is, from the server each time.
//!
//! Two requests where the server aggregates discovery. What that leaves open, such as a stale group, and everything
//! on older servers is asked for version by version; a version that does not answer is named, and nothing else is lost.
//!
//! In: nothing · Out: `Discovery`, `Server` · Touches: the API server

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryFutureExt, stream};
use http::Method;
use serde::Deserialize;

use super::call::{Call, send};
use super::connect::ApiServer;
use super::scrub::Content;
use super::served::{self, Group, Type};
use crate::ports::cluster::{Discovery, Error, Server};

/// The aggregated forms, newest first, then the older documents.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// How long one version of one group may take: behind it may be a server that is gone.
const ONE_VERSION: Duration = Duration::from_secs(15);

/// Versions asked for at a time.
const AT_A_TIME: usize = 16;

/// What the server serves now.
///
/// # Errors
/// Only where the list of groups itself cannot be had.
pub async fn discover(server: &ApiServer) -> Result<Discovery, Error> {
    let (core, named) = futures::try_join!(groups(server, "/api"), groups(server, "/apis"))?;
    let mut groups: Vec<Group> = core.into_iter().chain(named).collect();
    let open: Vec<String> = groups
        .iter()
        .flat_map(|group| &group.versions)
        .filter(|version| version.types.is_none())
        .map(|version| version.name.clone())
        .collect();
    let ask = async |name: String| (types(server, &name).await, name);
    let answers: Vec<_> = stream::iter(open).map(ask).buffered(AT_A_TIME).collect().await;
    let mut broken = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (answer, name) in answers {
        match answer {
            Ok(types) => _ = found.insert(name, types),
            Err(error) => _ = broken.insert(name, error.to_string()),
        }
    }
    for version in groups.iter_mut().flat_map(|group| &mut group.versions) {
        version.types = version.types.take().or_else(|| found.remove(&version.name));
    }
    Ok(Discovery { resources: served::resources(groups), broken })
}

async fn groups(server: &ApiServer, path: &str) -> Result<Vec<Group>, Error> {
    let call = Call { method: Method::GET, path: path.into(), accept: ACCEPT, body: None };
    let body = send(server, call).await?.success(Content::None)?;
    served::groups(&body).map_err(|error| Error::Garbled(format!("{path}: {error}")))
}

async fn types(server: &ApiServer, version: &str) -> Result<Vec<Type>, Error> {
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let path = format!("{root}/{version}");
    let answer = send(server, Call::get(path.clone())).and_then(async |reply| reply.success(Content::None));
    let Ok(body) = tokio::time::timeout(ONE_VERSION, answer).await else {
        return Err(Error::Busy {
            reason: format!("no answer in {} seconds", ONE_VERSION.as_secs()),
            after: None,
        });
    };
    served::types(&body?).map_err(|error| Error::Garbled(format!("{path}: {error}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

#[derive(Deserialize)]
struct Namespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

/// The server's version, and the uid of namespace kube-system, by which a cluster is told from all others.
///
/// # Errors
/// Also where that namespace must not be read: without its uid a cluster has no identity.
pub async fn server(server: &ApiServer) -> Result<Server, Error> {
    let (version, home) = futures::try_join!(
        read::<Version>(server, "/version"),
        read::<Namespace>(server, "/api/v1/namespaces/kube-system"),
    )?;
    Ok(Server { version: version.git_version, uid: home.metadata.uid })
}

async fn read<T: for<'de> Deserialize<'de>>(server: &ApiServer, path: &str) -> Result<T, Error> {
    let body = send(server, Call::get(path.into())).await?.success(Content::None)?;
    serde_json::from_slice(&body).map_err(|error| Error::Garbled(format!("{path}: {error}")))
}

#[cfg(test)]
mod tests;
