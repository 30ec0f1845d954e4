//! Lets a process begin a restore, or take one up that was interrupted, and nobody else at the same time.
//!
//! In: a request, its journal · Out: `Turn`, `Log` · Touches: cluster (read and write), clock

use super::claim::{Ask, Claim, Entry, claim};
use super::run::Log;
use crate::domain::report::Phase;
use crate::domain::restore_run::RestoreRun;
use crate::engine::journal::{self, Desk, Shelf, Worker, is_silent};
use crate::engine::reach::Reach;
use crate::ports::cluster;

/// Why a request cannot be carried out now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Somebody works on it.
    #[error("cannot restore: {worker} is at work on request {request}, since {since}")]
    Held {
        /// The request.
        request: String,
        /// Who.
        worker: Worker,
        /// Since when.
        since: jiff::Timestamp,
    },
}

/// Whose turn it is.
#[derive(Debug)]
pub enum Turn {
    /// The request was carried out with its token.
    Done(Box<RestoreRun>),
    /// It is ours.
    Ours(Box<Ticket>),
}

/// The right to begin, for as long as nobody else does.
#[derive(Debug, Default)]
pub struct Ticket {
    before: Option<Entry>,
    resumes: Option<RestoreRun>,
    notes: Vec<String>,
    /// Why no journal can be kept; then anybody may begin.
    without: Option<String>,
}

impl Ticket {
    /// The snapshot or commit that an interrupted run was made of.
    pub fn pinned(&self) -> Option<&str> {
        self.resumes.as_ref()?.pinned.as_deref()
    }

    /// What the reader should know.
    pub fn notes(&self) -> Vec<String> {
        let resumed = self
            .resumes
            .as_ref()
            .map(|run| format!("goes on where the run of {} was interrupted", run.started));
        let without = self.without.as_ref().map(|why| format!("no journal is kept: {why}"));
        self.notes.iter().cloned().chain(resumed).chain(without).collect()
    }
}

/// Reads the journal and decides; waits until it is known whether the worker of an unfinished run is gone.
///
/// `is_gone` answers for workers of this machine. A request without a token is carried out without a journal where the
/// cluster forbids one.
///
/// # Errors
/// [`Error::Held`], and a journal that cannot be used.
pub async fn turn(
    reach: &Reach<'_>,
    shelf: &Shelf,
    ask: &Ask<'_>,
    is_gone: &(dyn Fn(&Worker) -> bool + Sync),
) -> Result<Turn, Error> {
    let entry = match journal::read(reach, shelf).await {
        Ok(entry) => entry,
        Err(error) => return excused(error, ask).map(|ticket| Turn::Ours(Box::new(ticket))),
    };
    let (resumes, notes) = match claim(entry.as_ref(), ask) {
        Claim::Done(run) => return Ok(Turn::Done(Box::new(run.clone()))),
        Claim::Begin(note) => (None, note.into_iter().collect()),
        Claim::Resume(entry) => (Some(entry.run.clone()), Vec::new()),
    };
    if let Some(entry) = entry.as_ref().filter(|entry| entry.run.phase != Phase::Finished)
        && !is_gone(&entry.worker)
        && !is_silent(reach, shelf, entry).await?
    {
        let (request, worker) = (entry.run.request.clone(), entry.worker.clone());
        return Err(Error::Held { request, worker, since: entry.run.started });
    }
    Ok(Turn::Ours(Box::new(Ticket { before: entry, resumes, notes, without: None })))
}

/// Begins: writes the run into the journal.
///
/// # Errors
/// As [`turn`]; nothing was begun then.
pub async fn begin(
    reach: &Reach<'_>,
    ticket: Ticket,
    desk: (Shelf, Worker),
    run: RestoreRun,
) -> Result<Log, Error> {
    let run = match ticket.resumes {
        Some(old) => RestoreRun { waves: run.waves, notes: run.notes, ..old.again() },
        None => {
            RestoreRun { used: ticket.before.as_ref().map(|e| e.run.used_up()).unwrap_or_default(), ..run }
        }
    };
    if ticket.without.is_some() {
        return Ok(Log { run, desk: None });
    }
    let (shelf, worker) = desk;
    let ask = Ask { token: run.token.as_deref(), digest: &run.digest };
    match Desk::take(reach, shelf, worker, ticket.before.as_ref(), &run).await {
        Ok(desk) => Ok(Log { run, desk: Some(desk) }),
        Err(error) => {
            let why = excused(error, &ask)?;
            Ok(Log { run: RestoreRun { notes: why.notes(), ..run }, desk: None })
        }
    }
}

/// A request without a token may run without a journal, where the cluster forbids to keep one.
fn excused(error: journal::Error, ask: &Ask<'_>) -> Result<Ticket, Error> {
    match &error {
        journal::Error::Cluster { source: cluster::Error::Forbidden(why), .. } if ask.token.is_none() => {
            Ok(Ticket { without: Some(why.clone()), ..Ticket::default() })
        }
        _ => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
