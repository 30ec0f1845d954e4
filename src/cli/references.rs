//! `verify --references`: what the objects of a saved state name and the state does not hold.
//!
//! In: a snapshot or commit by name · Out: `ReferenceReport` · Touches: through `App`

use std::io::{self, Write};

use crate::app::wiring::App;
use crate::engine::decide::missing::{Missing, ReferenceReport, missing};
use crate::work::choose::{self, StateName};
use crate::work::failure::{Exit, Failure};
use crate::work::states::{self, Search};
use crate::work::{archives, repository};

use super::args::VerifyArgs;
use super::done::Done;
use super::print::{Show, count};

/// Missing objects of a kind, and fields that name one, that the text names; all of them are in JSON.
const NAMED: usize = 20;

/// Looks a snapshot through, `latest` where none is named; exit code 1 when something is missing.
pub async fn references(app: &App, args: &VerifyArgs) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let wanted = args.snapshot.as_deref().unwrap_or("latest");
    let (location, state) = if wanted.contains('@') {
        match StateName::parse(wanted, |_| false)? {
            StateName::At { location, state } => (location, state),
            StateName::Cluster | StateName::Folder(_) => {
                return Err(Failure::usage(format!("{wanted:?} is no name of a snapshot or commit")));
            }
        }
    } else {
        let (name, _) = choose::archive(&set, args.location.location.as_deref())?;
        (name.to_owned(), wanted.to_owned())
    };
    let cluster = archives::cluster_name(app).await?;
    let search = Search { app, set: &set, served: &[], sealed: true, cluster };
    let state = states::at(&search, &location, &state).await?.state;
    let catalog = repository::catalog(&set)?;
    let report = missing(&state, &catalog).await.map_err(|e| Failure::closed(&e))?;
    Ok(Done::new(if report.missing.is_empty() { Exit::Fine } else { Exit::Different }, report))
}

impl Show for ReferenceReport {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        for of_kind in
            self.missing.chunk_by(|a, b| (&a.key.group, &a.key.kind) == (&b.key.group, &b.key.kind))
        {
            for one in of_kind.iter().take(NAMED) {
                show_missing(one, out)?;
            }
            if let Some(more) = of_kind.len().checked_sub(NAMED).filter(|more| *more > 0) {
                writeln!(out, "missing: {more} more of kind {}", of_kind[0].key.kind)?;
            }
        }
        for note in self.notes.iter().filter(|_| !quiet) {
            writeln!(out, "note: {note}")?;
        }
        let looked = count(self.objects, "object");
        match self.missing.len() {
            0 if quiet => Ok(()),
            0 => writeln!(out, "{}: {looked}; nothing they name is missing", self.source),
            number => writeln!(out, "{}: {looked}; missing: {number}", self.source),
        }
    }
}

fn show_missing(one: &Missing, out: &mut dyn Write) -> io::Result<()> {
    let reason = one.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    writeln!(out, "missing: {}{reason}", one.key)?;
    for by in one.named_by.iter().take(NAMED) {
        writeln!(out, "  {} {}", by.key, by.field)?;
    }
    match one.more + one.named_by.len().saturating_sub(NAMED) as u64 {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more"),
    }
}
