//! `verify`: every part and digest; with the identity also every object.
//!
//! In: snapshots · Out: findings · Touches: through `App`

use std::io::{self, Write};

use crate::app::wiring::App;
use crate::engine::archive::layout;
use crate::engine::saved::open;
use crate::engine::saved::verify::{Depth, VerifyReport, verify as verify_snapshot};
use crate::work::failure::{Exit, Failure};
use crate::work::{archives, repository};

use super::args::VerifyArgs;
use super::done::Done;
use super::print::{Show, bytes, count};

/// What was looked at, one report for each snapshot.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Snapshots that were read.
    pub snapshots: Vec<VerifyReport>,
    /// Records that cannot be read at all.
    pub unreadable: Vec<String>,
}

impl Show for Verified {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        for report in &self.snapshots {
            let verdict = match (&report.locked, report.is_good()) {
                (_, false) => "DAMAGED",
                (Some(_), true) => "LOCKED",
                (None, true) => "good",
            };
            let objects = match report.depth {
                Depth::Digests if report.locked.is_some() => "objects not looked into".into(),
                Depth::Digests => "objects not looked into (no identity)".into(),
                Depth::Objects => count(report.objects, "object"),
            };
            if !quiet || verdict != "good" {
                let (files, size) = (count(report.files, "file"), bytes(report.bytes));
                writeln!(out, "{verdict}: {}: {files}, {size}, {objects}", report.snapshot)?;
            }
            if let Some(why) = &report.locked {
                writeln!(out, "  {why}")?;
            }
            for finding in &report.findings {
                writeln!(out, "  {}: {}", finding.place, finding.problem)?;
            }
        }
        for line in &self.unreadable {
            writeln!(out, "DAMAGED: {line}")?;
        }
        if self.snapshots.is_empty() && self.unreadable.is_empty() {
            writeln!(out, "no snapshots")?;
        }
        Ok(())
    }
}

/// Verifies one snapshot, or all of this cluster at one archive.
pub async fn verify(app: &App, args: &VerifyArgs) -> Result<Done, Failure> {
    let which = args.snapshot.as_deref().map(archives::which).transpose()?;
    let set = repository::load(app).await?;
    let identities = app.identities().map_err(|e| Failure::of(&e))?;
    let identities = (!identities.is_empty()).then_some(identities);
    let cluster = archives::cluster_name(app).await?;
    let mut verified = Verified { snapshots: Vec::new(), unreadable: Vec::new() };
    for (name, spec) in archives::archives(&set, args.location.location.as_deref())? {
        let bucket = archives::bucket(app, name, spec).await?;
        let records = if let Some(which) = &which {
            vec![open::find(bucket.as_ref(), &cluster, which).await.map_err(|e| Failure::failed(&e))?]
        } else {
            let listing = layout::list(bucket.as_ref(), Some(&cluster)).await;
            let listing = listing.map_err(|e| Failure::failed(&e))?;
            let unreadable = listing.unreadable.iter().map(|u| format!("{} at {name}: {}", u.id, u.reason));
            verified.unreadable.extend(unreadable);
            listing.records
        };
        for record in records {
            verified.snapshots.push(verify_snapshot(bucket.clone(), record, identities.clone()).await);
        }
    }
    let good = verified.unreadable.is_empty() && verified.snapshots.iter().all(VerifyReport::is_good);
    let locked = verified.snapshots.iter().any(|report| report.locked.is_some());
    let exit = match (good, locked) {
        (false, _) => Exit::Different,
        (true, true) => Exit::Failed,
        (true, false) => Exit::Fine,
    };
    Ok(Done::new(exit, verified))
}
