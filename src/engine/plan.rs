//! Decides which kinds of objects a backup lists, how, and why it leaves the others alone.
//!
//! In: a policy's selection, the catalog, what the server serves · Out: `BackupPlan` · Touches: nothing

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::duration::Duration;
use crate::domain::object::Resource;
use crate::domain::report::KindReport;

/// What a backup will ask the API server for. Every type the server serves is in `kinds` or in `skipped`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupPlan {
    kinds: Vec<PlannedKind>,
    skipped: Vec<KindReport>,
    broken: BTreeMap<String, String>,
    concurrency: usize,
    patience: Duration,
}

impl BackupPlan {
    /// Kinds that are listed, in the order in which their lists start.
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
    /// Namespaces it is listed in, one list each. Empty: one list of everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Label selector that the API server applies; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Objects per page.
    pub page_size: u32,
}

/// When a kind is listed. Later rounds need what earlier ones have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Round {
    /// Namespaces: they tell which namespaces are left out as a whole.
    Namespaces,
    /// Everything that is meant in its own right.
    Selected,
    /// Cluster-scoped objects that come along because selected ones need them.
    Related,
}

fn inner<S: serde::Serializer>(resource: &Arc<Resource>, serializer: S) -> Result<S::Ok, S::Error> {
    resource.as_ref().serialize(serializer)
}
