//! What a drill showed, and its form for people.
//!
//! In: the parts of a drill · Out: text · Touches: nothing

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Timestamp;

use crate::domain::report::{ObjectAction, Outcome, RestoreReport};
use crate::engine::decide::missing::ReferenceReport;
use crate::engine::difference::render;
use crate::engine::restore::preview::PreviewedObject;

use super::compare::palette;
use super::print::{Show, count};

/// What a drill showed.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillReport {
    /// Name of the drill.
    pub drill: String,
    /// How it went: Complete when everything came back and is as it was saved.
    pub outcome: Outcome,
    /// When it started.
    pub started: Timestamp,
    /// When the comparison ended.
    pub finished: Timestamp,
    /// Scratch namespaces by the names that were saved; none in a cluster of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, String>,
    /// The restore.
    pub restore: RestoreReport,
    /// Objects that are not as they were saved, changes for the drill apart.
    pub different: Vec<PreviewedObject>,
    /// What the saved objects name and the state does not hold.
    pub references: ReferenceReport,
    /// Scratch namespaces that are left, on purpose or because they would not go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

impl DrillReport {
    /// Complete when nothing is missing or different; what the state lacks is told, but was not there to be restored.
    pub fn judge(restore: &RestoreReport, different: &[PreviewedObject]) -> Outcome {
        match restore.outcome {
            Outcome::Complete if different.is_empty() => Outcome::Complete,
            Outcome::Complete | Outcome::Partial => Outcome::Partial,
            Outcome::Failed => Outcome::Failed,
        }
    }
}

impl Show for DrillReport {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        let took = self.finished.duration_since(self.started).as_secs_f64();
        let objects: usize = self.restore.waves.iter().map(|wave| wave.objects.len()).sum();
        let objects = count(objects as u64, "object");
        writeln!(
            out,
            "{:?}: {} of {} restored for trial in {took:.1} s",
            self.outcome, objects, self.restore.source
        )?;
        if !quiet {
            for (old, new) in &self.namespaces {
                writeln!(out, "  namespace {old} as {new}")?;
            }
        }
        let failed = |action| action == ObjectAction::Failed;
        let all = self.restore.waves.iter().flat_map(|wave| wave.objects.iter().chain(&wave.not_ready));
        for object in all.chain(&self.restore.left_out).filter(|object| failed(object.action)) {
            writeln!(out, "  failed: {}: {}", object.key, object.reason.as_deref().unwrap_or_default())?;
        }
        for object in self.restore.waves.iter().flat_map(|wave| &wave.not_ready) {
            writeln!(out, "  not ready: {}: {}", object.key, object.reason.as_deref().unwrap_or_default())?;
        }
        for object in &self.different {
            writeln!(out, "  different: {}", object.report.key)?;
            if let Some(change) = &object.change {
                write!(out, "{}", render::object(change, &palette()))?;
            }
        }
        if !self.references.missing.is_empty() {
            let missing = count(self.references.missing.len() as u64, "object");
            writeln!(
                out,
                "  the saved objects name {missing} that the snapshot lacks: see `backstay verify --references`"
            )?;
        }
        for name in &self.left {
            writeln!(out, "  left: namespace {name}; `backstay drill --clean` deletes it")?;
        }
        if quiet {
            Ok(())
        } else {
            self.restore.notes.iter().try_for_each(|note| writeln!(out, "  note: {note}"))
        }
    }
}

/// The end of scratch namespaces.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleaned {
    /// Namespaces that were deleted.
    pub deleted: Vec<String>,
    /// Namespaces that are still there.
    pub left: Vec<String>,
}

impl Show for Cleaned {
    fn show(&self, out: &mut dyn Write, _quiet: bool) -> io::Result<()> {
        for name in &self.deleted {
            writeln!(out, "deleted: namespace {name}")?;
        }
        for name in &self.left {
            writeln!(out, "still there: namespace {name}; look at what is in it and at its finalizers")?;
        }
        if self.deleted.is_empty() && self.left.is_empty() {
            writeln!(out, "no drill left anything")
        } else {
            Ok(())
        }
    }
}
