//! `prune`: shows what no retention rule keeps, and deletes it with `--yes`.
//!
//! In: policies, archives · Out: plan or report · Touches: through `App`

use std::io::{self, Write};

use crate::app::wiring::App;
use crate::domain::location::AccessMode;
use crate::engine::keep::prune::{Deletion, PrunePlan, PruneReport};
use crate::work::failure::{Exit, Failure};
use crate::work::keep::{Deed, Pruned, prune_archive, rules};
use crate::work::{archives, repository};

use super::args::PruneArgs;
use super::done::Done;
use super::print::{Show, bytes, count, table};

/// The plan of each archive, and what was done about it.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub struct PrunedArchives(Vec<PrunedArchive>);

/// One archive.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct PrunedArchive {
    location: String,
    plan: PrunePlan,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<PruneReport>,
}

impl Show for PrunedArchives {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        for archive in &self.0 {
            writeln!(out, "archive {}", archive.location)?;
            if !quiet && !archive.plan.verdicts.is_empty() {
                let row = |v: &crate::engine::keep::retain::Verdict| {
                    let kept = v.kept.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    let verdict =
                        if v.kept.is_empty() { "delete".to_owned() } else { format!("keep: {kept}") };
                    vec![v.snapshot.to_string(), v.started.to_string(), format!("{:?}", v.outcome), verdict]
                };
                let rows: Vec<Vec<String>> = archive.plan.verdicts.iter().map(row).collect();
                table(out, &["SNAPSHOT", "STARTED", "OUTCOME", "VERDICT"], &rows)?;
            }
            for note in archive.plan.notes.iter().filter(|_| !quiet) {
                writeln!(out, "note: {note}")?;
            }
            match &archive.report {
                None => show_plan(&archive.plan, out)?,
                Some(report) => show_report(report, out)?,
            }
        }
        Ok(())
    }
}

fn show_plan(plan: &PrunePlan, out: &mut dyn Write) -> io::Result<()> {
    for leftover in &plan.leftovers {
        writeln!(out, "delete what an interrupted run left: {}", leftover.snapshot)?;
    }
    let doomed: Vec<&Deletion> = plan.snapshots.iter().chain(&plan.leftovers).collect();
    if doomed.is_empty() {
        return writeln!(out, "nothing to delete");
    }
    let size = bytes(doomed.iter().map(|d| d.bytes).sum());
    writeln!(
        out,
        "would delete {}, {size}; carry it out with --yes",
        count(plan.snapshots.len() as u64, "snapshot")
    )
}

fn show_report(report: &PruneReport, out: &mut dyn Write) -> io::Result<()> {
    let size = bytes(report.deleted.iter().map(|d| d.bytes).sum());
    writeln!(out, "deleted {}, {size}", count(report.deleted.len() as u64, "snapshot"))?;
    for (deletion, reason) in &report.failed {
        writeln!(out, "not deleted: {}: {reason}", deletion.snapshot)?;
    }
    Ok(())
}

/// Plans for every writable archive of this cluster, and carries the plans out if asked.
pub async fn prune(app: &App, args: &PruneArgs) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let rules = rules(&set, args.policy.as_deref())?;
    let mut pruned = Vec::new();
    for (name, spec) in archives::archives(&set, args.location.location.as_deref())? {
        match spec.access_mode {
            AccessMode::ReadWrite => {}
            AccessMode::ReadOnly if args.location.location.is_none() => continue,
            AccessMode::ReadOnly => {
                return Err(Failure::usage(format!(
                    "cannot prune location {name}: its accessMode is ReadOnly"
                )));
            }
        }
        let deed = if args.yes { Deed::Carry } else { Deed::Show };
        let Pruned { plan, report, records: _ } =
            prune_archive(app, (name, spec), &rules, (&deed, &[])).await?;
        pruned.push(PrunedArchive { location: name.to_owned(), plan, report });
    }
    let failed = |archive: &PrunedArchive| archive.report.as_ref().is_some_and(|r| !r.failed.is_empty());
    let exit = if pruned.iter().any(failed) { Exit::Different } else { Exit::Fine };
    Ok(Done::new(exit, PrunedArchives(pruned)))
}
