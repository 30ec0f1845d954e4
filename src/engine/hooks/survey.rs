//! Looks at what hooks may run for.
//!
//! In: namespaces of a run, hooks · Out: `Seen` · Touches: cluster (read)

use std::collections::BTreeSet;

use super::doors::Doors;
use super::pod::Pod;
use super::targets::{Seen, Workload};
use crate::domain::hook::{HookScope, HookSpec};
use crate::domain::object::{Manifest, Placed, Resource};
use crate::domain::selection::excluded_by_label;
use crate::engine::gather::listing;
use crate::engine::retry::persist;
use crate::ports::cluster::{Error, Scope};

/// So many namespaces are listed one by one, so that an account that sees only them is enough.
const FEW: usize = 50;

/// Which parts of a cluster belong to a run.
pub struct Places<'a> {
    /// The namespaces, where they are known without asking the cluster.
    pub known: Option<Vec<String>>,
    /// Whether a namespace belongs to it.
    pub has: &'a (dyn Fn(&str) -> bool + Sync),
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for what hooks run for: listing {what}")]
pub struct Blind {
    what: String,
    source: Error,
}

/// Reads what these hooks need: pods for commands and annotations, workloads and namespaces where a hook is for them.
///
/// # Errors
/// A list that fails.
pub async fn survey(
    doors: &Doors<'_>,
    places: &Places<'_>,
    hooks: &[&HookSpec],
    annotations: bool,
) -> Result<Seen, Blind> {
    let has = |scope: HookScope| hooks.iter().any(|hook| hook.scope() == scope);
    let mut seen = Seen::default();
    let mut excluded = BTreeSet::new();
    if annotations || hooks.iter().any(|hook| hook.scope() != HookScope::Run) {
        let read = |object: &Manifest| {
            let labels = Workload::read(object).labels;
            let out = excluded_by_label(object).is_some();
            (places.has)(object.name()).then(|| (object.name().to_owned(), labels, out))
        };
        let namespaces = Resource::well_known("v1", "Namespace", "namespaces", Placed::InCluster);
        match list(doors, &namespaces, &Scope::All, &read).await {
            Ok(found) => {
                for (name, labels, out) in found {
                    if out {
                        excluded.insert(name);
                    } else {
                        seen.namespaces.insert(name, labels);
                    }
                }
            }
            // Whoever may not list namespaces names them; hooks for each namespace need the list.
            Err(Blind { source: Error::Forbidden(_), .. }) if !has(HookScope::Namespace) => {}
            Err(error) => return Err(error),
        }
    }
    let mine = |name: &str| (places.has)(name) && !excluded.contains(name);
    let here = |object: &Manifest| object.namespace().is_some_and(mine);
    for scope in scopes_of(places) {
        if annotations || hooks.iter().any(|hook| hook.exec.is_some()) {
            let read =
                |object: &Manifest| here(object).then(|| Pod::read(object)).filter(|pod| !pod.has_ended());
            seen.pods.extend(list(doors, &pods(), &scope, &read).await?);
        }
        if has(HookScope::Workload) {
            let read = |object: &Manifest| here(object).then(|| Workload::read(object));
            let commands = hooks.iter().any(|h| h.scope() == HookScope::Workload && h.exec.is_some());
            let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
            for kind in &kinds[..if commands { 3 } else { 2 }] {
                seen.workloads.extend(list(doors, &workload(kind), &scope, &read).await?);
            }
        }
    }
    seen.pods.sort_by(|a, b| a.key.cmp(&b.key));
    seen.workloads.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(seen)
}

/// Where lists look.
pub fn scopes_of(places: &Places<'_>) -> Vec<Scope> {
    match &places.known {
        // Many namespaces are read faster in one list.
        Some(names) if names.len() <= FEW => names.iter().cloned().map(Scope::Namespace).collect(),
        Some(_) | None => vec![Scope::All],
    }
}

/// What is read of the objects of a list; the objects themselves are not kept.
pub async fn list<T>(
    doors: &Doors<'_>,
    resource: &Resource,
    scope: &Scope,
    read: &(dyn Fn(&Manifest) -> Option<T> + Sync),
) -> Result<Vec<T>, Blind> {
    let reach = doors.reach;
    let call = async || {
        let mut found = Vec::new();
        listing::each(reach.reader, resource, scope, "", |object| found.extend(read(&object))).await?;
        Ok(found)
    };
    let listed = persist(reach.clock, reach.patience, call).await.result;
    listed.map_err(|source| Blind { what: resource.full_name(), source })
}

/// Pods.
pub fn pods() -> Resource {
    Resource::well_known("v1", "Pod", "pods", Placed::InNamespaces)
}

/// Secrets.
pub fn secrets() -> Resource {
    Resource::well_known("v1", "Secret", "secrets", Placed::InNamespaces)
}

/// A kind of workload.
pub fn workload(kind: &str) -> Resource {
    let plural = format!("{}s", kind.to_ascii_lowercase());
    Resource::well_known("apps/v1", kind, &plural, Placed::InNamespaces)
}
