//! Opens what a person names as a state: a snapshot, a commit, or a folder.
//!
//! In: `StateName` · Out: `State` · Touches: through `App`

use std::path::Path;

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::location::LocationSpec;
use crate::domain::object::Resource;
use crate::engine::pool;
use crate::engine::saved::commit_objects::Depth;
use crate::engine::saved::manifests;
use crate::engine::saved::open::State;

use super::archives;
use super::choose;
use super::failure::Failure;

/// A saved state, and the policies whose objects it holds.
pub struct Saved {
    /// The state.
    pub state: State,
    /// Names of policies; empty where that is not known.
    pub policies: Vec<String>,
}

/// Where a state is looked for.
pub struct Search<'a> {
    /// The wiring.
    pub app: &'a App,
    /// Locations.
    pub set: &'a PolicySet,
    /// Kinds that the cluster serves, as far as it was asked.
    pub served: &'a [Resource],
    /// Whether encrypted values of a mirror may stay as they are where there is no identity.
    pub sealed: bool,
    /// Name of the cluster that was saved.
    pub cluster: String,
}

/// Opens a folder of manifests.
pub fn folder(search: &Search<'_>, path: &str) -> Result<Saved, Failure> {
    let identities = search.app.identities().map_err(|e| Failure::of(&e))?;
    let state =
        manifests::folder(Path::new(path), search.served, &identities).map_err(|e| Failure::closed(&e))?;
    Ok(Saved { state, policies: Vec::new() })
}

/// Opens a snapshot of an archive or a commit of a mirror.
pub async fn at(search: &Search<'_>, location: &str, state: &str) -> Result<Saved, Failure> {
    let (name, spec) = choose::location(search.set, location)?;
    if spec.archive.is_some() {
        let bucket = archives::bucket(search.app, name, spec).await?;
        let which = archives::which(state)?;
        let identities = search.app.identities().map_err(|e| Failure::of(&e))?;
        let opened = State::archive(bucket, &search.cluster, &which, identities).await;
        let state = opened.map_err(|e| Failure::closed(&e))?;
        let policies = state.record.iter().map(|record| record.policy.name.clone()).collect();
        return Ok(Saved { state, policies });
    }
    commit(search, name, spec, state).await
}

async fn commit(
    search: &Search<'_>,
    name: &str,
    spec: &LocationSpec,
    reference: &str,
) -> Result<Saved, Failure> {
    let Some(target) = &spec.mirror else {
        return Err(Failure::usage(format!("location {name} is neither an archive nor a mirror")));
    };
    let reference = if reference == "latest" { &target.branch } else { reference };
    let tree = search.app.mirror_tree(name, spec, target, reference).await.map_err(|e| Failure::of(&e))?;
    let identities = search.app.identities().map_err(|e| Failure::of(&e))?;
    let (path, cluster, served) = (target.path.clone(), search.cluster.clone(), search.served.to_vec());
    let sealed = search.sealed && identities.is_empty();
    let read = pool::compute(move || {
        let depth = if sealed { Depth::Sealed } else { Depth::Opened(&identities) };
        manifests::commit(tree.as_ref(), &path, &cluster, &served, depth)
    });
    let read = read.await;
    let state = read.map_err(|e| Failure::closed(&e))?;
    let writes = |spec: &crate::domain::policy::PolicySpec| spec.locations.iter().any(|l| l == name);
    let policies = search.set.policies.iter().filter(|(_, spec)| writes(spec)).map(|(name, _)| name.clone());
    Ok(Saved { state, policies: policies.collect() })
}
