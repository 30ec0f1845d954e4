//! The doors of a cluster that is written to, how hard to knock, and where it is told how far the work is.
//!
//! In: ports · Out: `Reach` · Touches: nothing

use crate::domain::hook_report::HookReport;
use crate::domain::report::{FixupReport, ObjectReport};
use crate::engine::retry::Patience;
use crate::ports::clock::Clock;
use crate::ports::cluster::{Reader, Writer};

/// Calls to the API server that run at the same time, where nothing else is asked for.
pub const CONCURRENCY: usize = 16;

/// Hears how far a restore is. Called from one task, and must return at once.
pub trait Progress: Send + Sync {
    /// A wave starts, with so many objects.
    fn wave(&self, _name: &str, _objects: usize) {}

    /// Something happened to an object of the wave.
    fn object(&self, _report: &ObjectReport) {}

    /// The restore waits for this, such as `CustomResourceDefinition widgets.example.org: Established is False`.
    fn waiting(&self, _what: &str) {}

    /// A fixup starts.
    fn fixup(&self, _name: &str, _what: &str) {}

    /// A fixup has ended.
    fn mended(&self, _report: &FixupReport) {}

    /// A hook starts.
    fn hook(&self, _name: &str) {}

    /// A hook has ended.
    fn hooked(&self, _report: &HookReport) {}

    /// Pods of these uids, which ask for hooks, were there before anything was written.
    fn there(&self, _pods: &[String]) {}
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {}

/// A cluster that is written to.
#[derive(Clone, Copy)]
pub struct Reach<'a> {
    /// Reads from it.
    pub reader: &'a dyn Reader,
    /// Writes to it.
    pub writer: &'a dyn Writer,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Who hears how far it is.
    pub progress: &'a dyn Progress,
    /// How long failing calls are repeated.
    pub patience: Patience,
    /// Calls at the same time, at least 1.
    pub concurrency: usize,
}

impl<'a> Reach<'a> {
    /// The usual pace, and nobody listening.
    pub fn new(reader: &'a dyn Reader, writer: &'a dyn Writer, clock: &'a dyn Clock) -> Self {
        let patience = Patience::default();
        Self { reader, writer, clock, progress: &Silent, patience, concurrency: CONCURRENCY }
    }
}
