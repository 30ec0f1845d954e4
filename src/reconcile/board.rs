//! What the pages of a replica show: metrics and health, written by the reconciler and read by the server.
//!
//! In: `Desk` · Out: `Board` · Touches: nothing

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::desk::Desk;
use super::event::Event;
use super::metrics::Metrics;

/// Metrics and health of one replica.
#[derive(Default)]
pub struct Board {
    metrics: Metrics,
    health: Mutex<Health>,
}

/// How a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When it looked around last.
    pub alive: Option<Timestamp>,
    /// Why it can do nothing; absent when it can, or need not.
    pub unready: Option<String>,
}

impl Board {
    /// Writes down how things stand.
    pub fn post(&self, desk: &Desk, now: Timestamp) {
        self.metrics.set(desk, now);
        let unready = if desk.leader.is_empty() {
            Some("it is not known which replica leads".to_owned())
        } else if desk.leads(now) && !desk.is_ready() {
            Some("policy is not loaded yet".to_owned())
        } else {
            None
        };
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = Health { alive: Some(now), unready };
    }

    /// Counts what happened.
    pub fn count(&self, event: &Event) {
        self.metrics.count(event);
    }

    /// Metrics as Prometheus reads them.
    pub fn metrics(&self) -> String {
        self.metrics.text()
    }

    /// How the replica is.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
