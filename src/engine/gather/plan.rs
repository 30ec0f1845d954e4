//! Decides which kinds of objects a backup lists, how, and why it leaves the others alone.
//!
//! In: a selection, the catalog, what the server serves · Out: `BackupPlan` · Touches: nothing

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::domain::duration::Duration;
use crate::domain::object::Resource;
use crate::domain::related;
use crate::domain::report::{KindReport, KindResult};
use crate::domain::rules::Catalog;
use crate::domain::selection::{KindChoice, Selection};
use crate::ports::cluster::{Discovery, ManagedFields};

/// How many lists run at the same time.
const CONCURRENCY: usize = 8;

/// How long one page is asked for again before its kind counts as failed.
const PATIENCE: Duration = Duration::seconds(60);

/// The same objects served twice: plural, the group that is read, the group that is left alone.
const TWINS: [(&str, &str, &str); 6] = [
    ("events", "events.k8s.io", ""),
    ("daemonsets", "apps", "extensions"),
    ("deployments", "apps", "extensions"),
    ("replicasets", "apps", "extensions"),
    ("ingresses", "networking.k8s.io", "extensions"),
    ("networkpolicies", "networking.k8s.io", "extensions"),
];

/// What a backup will ask the API server for. Every type the server serves is in `kinds` or in `skipped`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupPlan {
    concurrency: usize,
    patience: Duration,
    kinds: Vec<PlannedKind>,
    skipped: Vec<KindReport>,
    broken: BTreeMap<String, String>,
    #[serde(skip)]
    served: Vec<Resource>,
    #[serde(skip)]
    selection: Selection,
    #[serde(skip)]
    catalog: Arc<Catalog>,
}

/// One kind that is listed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedKind {
    /// The kind, in the version it is read in.
    #[serde(serialize_with = "inner")]
    pub resource: Arc<Resource>,
    /// When it is listed.
    pub round: Round,
    /// Namespaces it is listed in, one list each; Namespaces themselves are then read one by one. Absent: one list of everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Label selector that the API server applies; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Objects per page.
    pub page_size: u32,
    /// Whether the archive wants to know who wrote which field.
    #[serde(skip)]
    pub managed_fields: ManagedFields,
    /// Why its objects are looked at but not taken: Namespaces that are not selected still tell what is left out in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<String>,
}

/// When a kind is listed. Later rounds need what earlier ones have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Round {
    /// Namespaces: they tell which namespaces are left out as a whole.
    Namespaces,
    /// What is meant in its own right.
    Selected,
    /// Cluster-scoped kinds that may come along and name others, such as volumes and role bindings.
    Needing,
    /// Cluster-scoped kinds that may come along and are named, such as storage classes and roles.
    Needed,
}

/// Plans a backup: what the catalog and the selection say of every type that the server serves.
///
/// Kinds are sorted by round and name. Never fails: what cannot be discovered is in [`BackupPlan::broken`].
pub fn plan(selection: Selection, catalog: Arc<Catalog>, discovery: &Discovery) -> BackupPlan {
    let mut kinds = Vec::new();
    let mut skipped = Vec::new();
    for resource in &discovery.resources {
        match decide(resource, &selection, &catalog, discovery) {
            Ok(kind) => kinds.push(kind),
            Err(reason) => skipped.push(report(resource, KindResult::Skipped { reason })),
        }
    }
    kinds.sort_by_cached_key(|kind| (kind.round, kind.resource.full_name()));
    skipped.sort_by(|a, b| a.resource.cmp(&b.resource));
    BackupPlan {
        concurrency: CONCURRENCY,
        patience: PATIENCE,
        kinds,
        skipped,
        broken: discovery.broken.clone(),
        served: discovery.resources.clone(),
        selection,
        catalog,
    }
}

/// The line of a report about one kind.
pub fn report(resource: &Resource, result: KindResult) -> KindReport {
    KindReport { resource: resource.full_name(), version: resource.gvk.api_version(), result }
}

fn decide(
    resource: &Resource,
    selection: &Selection,
    catalog: &Catalog,
    discovery: &Discovery,
) -> Result<PlannedKind, String> {
    if !resource.can("list") {
        return Err("the server does not list it".into());
    }
    if !resource.can("create") {
        return Err("it cannot be created, so it could not be restored".into());
    }
    let rules = catalog.kind(resource);
    if let Some(reason) = rules.never_listed() {
        return Err(reason.into());
    }
    if let Some(twin) = twin(resource, discovery) {
        return Err(format!("the same objects are served as {twin}"));
    }
    let is_namespace = resource.gvk.group.is_empty() && resource.gvk.kind == "Namespace";
    let looked_at = match selection.kind(resource) {
        KindChoice::Take | KindChoice::OnlyRelated => None,
        KindChoice::Skip(reason) if is_namespace => Some(reason),
        KindChoice::Skip(reason) => return Err(reason),
    };
    let by_namespace = is_namespace || resource.namespaced;
    let round = match related::round(resource) {
        _ if is_namespace => Round::Namespaces,
        _ if resource.namespaced || !selection.may_need_related() => Round::Selected,
        0 => Round::Needing,
        _ => Round::Needed,
    };
    Ok(PlannedKind {
        round,
        namespaces: if by_namespace { selection.namespace_list() } else { None },
        labels: selection.server_labels(resource).unwrap_or_default(),
        page_size: rules.page_size(),
        managed_fields: if rules.keep_managed_fields() { ManagedFields::Whole } else { ManagedFields::Names },
        looked_at,
        resource: Arc::new(resource.clone()),
    })
}

/// The full name under which the same objects are read.
fn twin(resource: &Resource, discovery: &Discovery) -> Option<String> {
    let older =
        |(plural, _, left): &&(&str, &str, &str)| resource.plural == *plural && resource.gvk.group == *left;
    let (plural, group, _) = TWINS.iter().find(older)?;
    let read = discovery.resources.iter().find(|r| r.plural == *plural && r.gvk.group == *group)?;
    Some(read.full_name())
}

fn inner<S: Serializer>(resource: &Arc<Resource>, serializer: S) -> Result<S::Ok, S::Error> {
    resource.as_ref().serialize(serializer)
}

impl BackupPlan {
    /// Kinds that are listed, by round and name.
    pub fn kinds(&self) -> &[PlannedKind] {
        &self.kinds
    }

    /// Kinds that are not listed, with the reason, sorted by name.
    pub fn skipped(&self) -> &[KindReport] {
        &self.skipped
    }

    /// `group/version` whose discovery failed, and the reason. Makes the outcome Partial.
    pub fn broken(&self) -> &BTreeMap<String, String> {
        &self.broken
    }

    /// How many lists run at the same time.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// How long one page is asked for again before its kind counts as failed.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Every type the server serves.
    pub fn served(&self) -> &[Resource] {
        &self.served
    }

    /// Which objects are meant.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// What is known about kinds.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }
}

impl fmt::Display for BackupPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "listed, {} kinds at a time", self.concurrency)?;
        for kind in &self.kinds {
            write!(f, "  {} {}", kind.resource.full_name(), kind.resource.gvk.api_version())?;
            match kind.round {
                Round::Namespaces | Round::Selected => {}
                Round::Needing | Round::Needed => write!(f, ", as far as needed")?,
            }
            if let Some(namespaces) = &kind.namespaces {
                write!(f, ", in {}", namespaces.join(", "))?;
            }
            if !kind.labels.is_empty() {
                write!(f, ", with {}", kind.labels)?;
            }
            if let Some(reason) = &kind.looked_at {
                write!(f, ", not saved: {reason}")?;
            }
            writeln!(f)?;
        }
        if !self.skipped.is_empty() {
            writeln!(f, "not listed")?;
        }
        for kind in &self.skipped {
            if let KindResult::Skipped { reason } = &kind.result {
                writeln!(f, "  {} {}: {reason}", kind.resource, kind.version)?;
            }
        }
        if !self.broken.is_empty() {
            writeln!(f, "not discovered; the backup will be Partial")?;
        }
        for (version, reason) in &self.broken {
            writeln!(f, "  {version}: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
