//! A drill: what a restore would bring back, restored for trial under other names, and compared.
//!
//! In: a state, which namespaces are meant · Out: `RestoreSpec` for scratch namespaces · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::json;

use crate::domain::conflict::Existing;
use crate::domain::hook::HookAnnotations;
use crate::domain::restore_request::{RestoreSource, RestoreSpec};
use crate::domain::selection::{Patterns, SelectSpec};
use crate::domain::transform::TransformSpec;
use crate::engine::decide::draft::is_namespace;
use crate::engine::saved::open::State;

/// Label of everything that a drill makes; its value names the drill.
pub const LABEL: &str = "backstay.dev/drill";

/// Namespaces that every cluster has: a copy of them proves nothing, and could do harm.
const OWN: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// What keeps copies from running.
static STILL: LazyLock<Vec<TransformSpec>> = LazyLock::new(|| {
    let text = include_str!("../../../policies/drill.yaml");
    serde_saphyr::from_str(text).unwrap_or_else(|error| unreadable(&error.to_string()))
});

#[expect(clippy::panic, reason = "the file is part of the program, and a test reads it")]
fn unreadable(error: &str) -> ! {
    panic!("the built-in policies/drill.yaml is broken: {error}")
}

/// Longest name of a namespace.
const LONGEST: usize = 63;

/// Whether what is restored for trial runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workloads {
    /// Nothing runs: no replicas, suspended jobs, no load balancers. So a copy cannot act upon the world.
    Still,
    /// Everything runs, and is waited for.
    Run,
}

/// Where a drill takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// In scratch namespaces of the same cluster, by the name of the drill.
    Namespaces(String),
    /// In a cluster of its own, under the same names, cluster-scoped objects included.
    Cluster,
}

/// The namespaces of a state that a drill means: those that match, but never those of Kubernetes itself.
fn namespaces(state: &State, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let meant = of(state).into_iter().filter(|name| !OWN.contains(name) && wanted(name));
    meant.map(str::to_owned).collect()
}

/// Every namespace of a state.
fn of(state: &State) -> BTreeSet<&str> {
    let named = state.entries.iter().flat_map(|entry| {
        let itself = is_namespace(&entry.key).then_some(entry.key.name.as_str());
        itself.into_iter().chain(entry.key.namespace.as_deref())
    });
    named.collect()
}

/// The name of a scratch namespace.
pub fn scratch(drill: &str, namespace: &str) -> String {
    let name = format!("{drill}-{namespace}");
    name.chars().take(LONGEST).collect::<String>().trim_end_matches('-').to_owned()
}

/// Cluster-scoped kinds of a state, but for namespaces, as patterns for a selection.
fn shared(state: &State) -> Vec<String> {
    let kinds =
        state.entries.iter().filter(|entry| entry.key.namespace.is_none() && !is_namespace(&entry.key));
    let names: BTreeSet<String> = kinds.map(|entry| entry.resource.full_name()).collect();
    names.into_iter().collect()
}

/// What of a state a drill means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// Its namespaces.
    pub found: Vec<String>,
    /// Whether those are all, so that cluster-scoped objects which nothing needs are meant too.
    pub all: bool,
    /// Cluster-scoped kinds of the state.
    pub shared: Vec<String>,
    /// Namespaces of Kubernetes itself that the state has; they are not meant.
    pub own: Vec<String>,
}

impl Meant {
    /// The namespaces that match, but never those of Kubernetes itself.
    pub fn of(state: &State, wanted: impl Fn(&str) -> bool) -> Self {
        let found = namespaces(state, wanted);
        let all = found.len() == namespaces(state, |_| true).len();
        let own = OWN.iter().filter(|name| of(state).contains(**name)).map(|name| (*name).to_owned());
        Self { found, all, shared: shared(state), own: own.collect() }
    }
}

/// The restore of a drill. In a cluster of its own it overwrites nothing that is there.
pub fn request(from: RestoreSource, meant: &Meant, ground: &Ground, workloads: Workloads) -> RestoreSpec {
    let mut select = SelectSpec {
        namespaces: Patterns { include: meant.found.clone(), exclude: Vec::new() },
        ..SelectSpec::default()
    };
    let mut mapping = BTreeMap::new();
    let mut transforms = Vec::new();
    match ground {
        Ground::Namespaces(drill) => {
            // Copies share cluster-scoped objects with their originals: those stay as they are.
            select.cluster_resources.exclude.clone_from(&meant.shared);
            mapping.extend(meant.found.iter().map(|name| (name.clone(), scratch(drill, name))));
            transforms.push(marked(drill));
        }
        Ground::Cluster if meant.all => {
            select.namespaces = Patterns { include: Vec::new(), exclude: meant.own.clone() };
        }
        Ground::Cluster => {}
    }
    let existing = match ground {
        Ground::Namespaces(_) => Existing::Update,
        Ground::Cluster => Existing::Skip,
    };
    if workloads == Workloads::Still {
        transforms.extend(STILL.iter().cloned());
    }
    RestoreSpec {
        select,
        namespace_mapping: mapping,
        transforms,
        existing, // A trial runs no hooks: they could load yesterday's dump into today's database.
        hook_annotations: HookAnnotations::Ignore,
        ..RestoreSpec::of(from)
    }
}

/// Scratch namespaces are told apart, and stay out of backups.
fn marked(drill: &str) -> TransformSpec {
    let labels = json!({LABEL: drill, "backstay.dev/exclude": "true"});
    TransformSpec {
        name: "marked as a drill".to_owned(),
        kinds: vec!["namespaces".to_owned()],
        when: None,
        json: None,
        merge: Some(json!({"metadata": {"labels": labels}})),
        on_failed_test: None,
    }
}

#[cfg(test)]
mod tests;
