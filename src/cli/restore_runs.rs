//! `restore status` and `restore cancel`: what the cluster knows of restores.
//!
//! In: a request by name · Out: `Ran` · Touches: through `App`

use std::io::{self, Write};
use std::time::Duration;

use crate::app::process;
use crate::app::wiring::App;
use crate::domain::report::{FixupOutcome, Outcome, Phase};
use crate::domain::restore_run::RestoreRun;
use crate::engine::journal::{self, Book, Shelf};
use crate::engine::reach::{Reach, Silent};
use crate::engine::recovery::cancel;
use crate::engine::recovery::claim::Entry;
use crate::work::doors::reach;
use crate::work::failure::{Exit, Failure};

use super::done::Done;
use super::print::{Show, count};
use super::restore_args::{CancelArgs, StatusArgs};

/// How often `--watch` looks.
const LOOK: Duration = Duration::from_secs(2);

/// Runs of restore requests, one for each request.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ran {
    /// What is said before the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Runs, sorted by request.
    pub runs: Vec<RestoreRun>,
    /// Journals that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

impl Ran {
    /// A request that was carried out before.
    pub fn again(run: RestoreRun) -> Self {
        let token = run.token.as_deref().unwrap_or_default();
        let how = run.outcome.map(|outcome| format!(", and ended {outcome:?}")).unwrap_or_default();
        let note = format!(
            "token {token:?} was used already{how}; nothing was done. For another run, give it a new token"
        );
        Self { note: Some(note), runs: vec![run], unreadable: Vec::new() }
    }
}

impl Show for Ran {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        for note in self.note.iter().filter(|_| !quiet) {
            writeln!(out, "{note}")?;
        }
        self.runs.iter().try_for_each(|run| show(run, out, quiet))?;
        self.unreadable.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        if self.runs.is_empty() && self.unreadable.is_empty() {
            writeln!(out, "no restore has run")?;
        }
        Ok(())
    }
}

fn show(run: &RestoreRun, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
    let state = match (run.phase, run.outcome) {
        (Phase::Finished, Some(outcome)) => format!("{outcome:?}"),
        (phase, _) => format!("{phase:?}"),
    };
    let token = run.token.as_ref().map(|token| format!(", token {token:?}")).unwrap_or_default();
    writeln!(out, "{}: {state}: {}{token}", run.request, run.source)?;
    let ended = run.finished.map(|at| format!(", ended {at}")).unwrap_or_default();
    let attempts = if run.attempts > 1 { format!(", attempt {}", run.attempts) } else { String::new() };
    writeln!(out, "  begun {}{ended}{attempts}", run.started)?;
    if let Some(wave) = run.wave.as_ref().filter(|_| run.phase != Phase::Finished) {
        writeln!(
            out,
            "  wave {} of {}: {}, {} of {}",
            wave.number, run.waves, wave.name, wave.done, wave.objects
        )?;
    }
    if !run.objects.is_empty() {
        let counts: Vec<String> = run
            .objects
            .iter()
            .map(|(action, n)| format!("{n} {}", format!("{action:?}").to_lowercase()))
            .collect();
        writeln!(out, "  {}", counts.join(", "))?;
    }
    if let Some(what) = &run.waiting {
        writeln!(out, "  waiting for {what}")?;
    }
    for failure in &run.failures {
        writeln!(out, "  failed: {}: {}", failure.key, failure.reason.as_deref().unwrap_or_default())?;
    }
    let named = run.failures.len() as u64;
    let all = run.objects.get(&crate::domain::report::ObjectAction::Failed).copied().unwrap_or_default();
    if all > named {
        writeln!(out, "  failed: {} more", count(all - named, "object"))?;
    }
    for (name, outcome) in run.fixups.iter().filter(|(_, o)| !quiet || **o == FixupOutcome::Failed) {
        writeln!(out, "  fixup {name} ({outcome:?})")?;
    }
    if quiet { Ok(()) } else { run.notes.iter().try_for_each(|note| writeln!(out, "  note: {note}")) }
}

/// Shows one request, or all.
pub async fn status(app: &App, args: &StatusArgs) -> Result<Done, Failure> {
    let reach = reach(app, &Silent).await?;
    loop {
        let ran = look(app, args, &reach).await?;
        let busy = ran.runs.iter().any(|run| run.phase != Phase::Finished);
        if !args.watch || !busy {
            let exit = if args.request.is_some() { exit(&ran) } else { Exit::Fine };
            return Ok(Done::new(exit, ran));
        }
        let mut text = Vec::new();
        ran.show(&mut text, true).map_err(|e| Failure::failed(&e))?;
        anstream::eprint!("{}", String::from_utf8_lossy(&text));
        app.clock.sleep(LOOK).await;
    }
}

async fn look(app: &App, args: &StatusArgs, reach: &Reach<'_>) -> Result<Ran, Failure> {
    let namespace = &app.settings.namespace;
    let mut ran = Ran { note: None, runs: Vec::new(), unreadable: Vec::new() };
    match &args.request {
        Some(name) => ran.runs.push(entry(app, name, reach).await?.run),
        None => {
            for read in
                journal::all(reach, Book::Restores, namespace).await.map_err(|e| Failure::failed(&e))?
            {
                match read {
                    Ok(entry) => ran.runs.push(told(entry)),
                    Err(error) => ran.unreadable.push(error.to_string()),
                }
            }
        }
    }
    Ok(ran)
}

/// The entry of a request that is there.
async fn entry(app: &App, name: &str, reach: &Reach<'_>) -> Result<Entry, Failure> {
    let namespace = &app.settings.namespace;
    let read = journal::read(reach, &Shelf::of(Book::Restores, name, namespace))
        .await
        .map_err(|e| Failure::failed(&e))?;
    let missing = || {
        Failure::usage(format!(
            "no restore of request {name:?} has run with Backstay's namespace {namespace}"
        ))
        .hint("`backstay restore status` lists those that have; choose another namespace with --namespace")
    };
    let entry = read.ok_or_else(missing)?;
    Ok(Entry { run: told(entry.clone()), ..entry })
}

/// The run, and what is known of its worker.
fn told(entry: Entry) -> RestoreRun {
    let mut run = entry.run;
    if run.phase != Phase::Finished {
        let (worker, heard) = (&entry.worker, &entry.heard);
        run.notes.push(if process::is_gone(worker) {
            format!("interrupted: {worker} is gone; `backstay restore apply` goes on with it")
        } else {
            format!("{worker} was at work on it at {heard}")
        });
        run.notes.extend(entry.cancel.map(|who| format!("to be cancelled, says {who}")));
    }
    run
}

fn exit(ran: &Ran) -> Exit {
    let failed = |run: &RestoreRun| run.outcome == Some(Outcome::Failed);
    let partial = |run: &RestoreRun| run.outcome == Some(Outcome::Partial);
    if ran.runs.iter().any(failed) || !ran.unreadable.is_empty() {
        Exit::Failed
    } else if ran.runs.iter().any(partial) {
        Exit::Different
    } else {
        Exit::Fine
    }
}

/// Ends a run: its worker stops between two objects. A run whose worker is gone is ended here.
pub async fn cancel(app: &App, args: &CancelArgs) -> Result<Done, Failure> {
    let reach = reach(app, &Silent).await?;
    let shelf = Shelf::of(Book::Restores, &args.request, &app.settings.namespace);
    if entry(app, &args.request, &reach).await?.run.phase == Phase::Finished {
        return Err(Failure::usage(format!("the restore of {} has ended already", args.request)));
    }
    let who = app.settings.variable("USER").unwrap_or("somebody");
    let who = format!("{who} at {}", app.clock.now());
    let ended = cancel::cancel(&reach, &shelf, (&who, process::this()), &process::is_gone).await;
    let runs = ended.map_err(|e| Failure::failed(&e))?.into_iter().collect();
    Ok(Done::fine(Ran { note: None, runs, unreadable: Vec::new() }))
}
