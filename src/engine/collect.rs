//! Lists the planned kinds in pages, several at a time, and passes on what the selection means.
//!
//! In: `BackupPlan` · Out: a stream of `Event` · Touches: cluster (read), clock

use std::sync::Arc;

use crate::domain::object::{Manifest, Resource};
use crate::domain::report::KindReport;

/// Objects of one kind, at most one page of them, that are meant to be saved.
#[derive(Debug)]
pub struct Collected {
    resource: Arc<Resource>,
    objects: Vec<Manifest>,
}

impl Collected {
    /// The kind of all these objects.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The objects as the API server gave them, in its order.
    pub fn objects(&self) -> &[Manifest] {
        &self.objects
    }

    /// Takes the page apart.
    pub fn into_parts(self) -> (Arc<Resource>, Vec<Manifest>) {
        (self.resource, self.objects)
    }

    /// A page for the tests of later steps.
    #[cfg(test)]
    pub fn of(resource: Arc<Resource>, objects: Vec<Manifest>) -> Self {
        Self { resource, objects }
    }
}

/// What collecting tells while it goes on.
#[derive(Debug)]
pub enum Event {
    /// Objects to save.
    Batch(Collected),
    /// A kind is done: its count, or why it could not be listed to the end. Batches that came before a failure are
    /// good to keep, but such a kind is not complete. Comes once for every planned kind; skipped ones are in the plan.
    Kind(KindReport),
    /// Objects of listed kinds that were left out, and why.
    LeftOut {
        /// Why.
        reason: String,
        /// How many.
        count: u64,
    },
    /// What the reader should know although it is no failure.
    Note(String),
}
