//! The forms for people of a backup's plan and report, of snapshots, and of a verification.
//!
//! In: reports · Out: text · Touches: nothing

use std::io::{self, Write};

use crate::domain::report::{BackupReport, KindResult};
use crate::domain::snapshot::SnapshotRecord;
use crate::engine::gather::plan::BackupPlan;

use super::print::{Show, bytes, count, table};
use super::show_hooks::show_hooks;

impl Show for BackupPlan {
    fn show(&self, out: &mut dyn Write, _quiet: bool) -> io::Result<()> {
        write!(out, "{self}")
    }
}

impl Show for BackupReport {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        let took = self.finished.duration_since(self.started);
        writeln!(
            out,
            "{:?}: snapshot {} of cluster {}, {} in {:.1} s",
            self.outcome,
            self.snapshot,
            self.cluster.name,
            count(self.objects, "object"),
            took.as_secs_f64()
        )?;
        for location in &self.locations {
            let size =
                if location.bytes == 0 { String::new() } else { format!(", {}", bytes(location.bytes)) };
            writeln!(out, "  {} ({:?}): {}{size}", location.location, location.outcome, location.detail)?;
        }
        show_hooks(&self.hooks, out, quiet)?;
        for (group, reason) in &self.undiscovered {
            writeln!(out, "  not discovered: {group}: {reason}")?;
        }
        for kind in &self.kinds {
            if let KindResult::Failed { reason } = &kind.result {
                writeln!(out, "  not complete: {} {}: {reason}", kind.version, kind.resource)?;
            }
        }
        if quiet {
            return Ok(());
        }
        for (reason, number) in &self.left_out {
            writeln!(out, "  left out: {}: {reason}", count(*number, "object"))?;
        }
        for note in &self.notes {
            writeln!(out, "  note: {note}")?;
        }
        Ok(())
    }
}

/// Snapshots of one or more locations, newest last.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub struct SnapshotList(pub Vec<LocatedSnapshot>);

/// A snapshot and where it is.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocatedSnapshot {
    /// Name of the location.
    pub location: String,
    /// The record.
    #[serde(flatten)]
    pub record: SnapshotRecord,
}

impl Show for SnapshotList {
    fn show(&self, out: &mut dyn Write, _quiet: bool) -> io::Result<()> {
        if self.0.is_empty() {
            return writeln!(out, "no snapshots");
        }
        let row = |s: &LocatedSnapshot| {
            vec![
                s.record.id.to_string(),
                s.record.policy.name.clone(),
                s.record.cluster.name.clone(),
                s.record.started.to_string(),
                format!("{:?}", s.record.outcome),
                s.record.objects.to_string(),
                bytes(s.record.parts.iter().map(|p| p.bytes).sum()),
                s.location.clone(),
            ]
        };
        let header = ["SNAPSHOT", "POLICY", "CLUSTER", "STARTED", "OUTCOME", "OBJECTS", "SIZE", "LOCATION"];
        table(out, &header, &self.0.iter().map(row).collect::<Vec<_>>())
    }
}

/// One snapshot, and its objects if the identity was given.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotDetail {
    /// The record.
    #[serde(flatten)]
    pub record: SnapshotRecord,
    /// Objects as text, sorted; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<Vec<String>>,
}

impl Show for SnapshotDetail {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        let r = &self.record;
        let revision = r.policy.revision.as_deref().unwrap_or("none");
        writeln!(out, "snapshot    {}", r.id)?;
        writeln!(out, "outcome     {:?}", r.outcome)?;
        writeln!(out, "policy      {} (revision {revision})", r.policy.name)?;
        writeln!(out, "cluster     {} {} (uid {})", r.cluster.name, r.cluster.version, r.cluster.uid)?;
        writeln!(out, "time        {} to {}", r.started, r.finished)?;
        let size = bytes(r.parts.iter().map(|p| p.bytes).sum());
        writeln!(
            out,
            "content     {} in {}, {size}",
            count(r.objects, "object"),
            count(r.parts.len() as u64, "part")
        )?;
        for recipient in &r.recipients {
            writeln!(out, "recipient   {recipient}")?;
        }
        for (group, reason) in &r.undiscovered {
            writeln!(out, "missing     {group}: {reason}")?;
        }
        if !quiet {
            writeln!(out)?;
            let rows: Vec<Vec<String>> = r.kinds.iter().map(kind_row).collect();
            table(out, &["RESOURCE", "VERSION", "OBJECTS", "WHY NOT"], &rows)?;
        }
        if let Some(contents) = &self.contents {
            writeln!(out)?;
            for line in contents {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

fn kind_row(kind: &crate::domain::report::KindReport) -> Vec<String> {
    let (objects, reason) = match &kind.result {
        KindResult::Collected { objects } => (objects.to_string(), String::new()),
        KindResult::Skipped { reason } => ("-".into(), reason.clone()),
        KindResult::Failed { reason } => ("failed".into(), reason.clone()),
    };
    vec![kind.resource.clone(), kind.version.clone(), objects, reason]
}
