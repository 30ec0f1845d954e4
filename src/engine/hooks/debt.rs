//! What a run owes once its first hook has run: the hooks after it, and workloads to be scaled back. The cluster remembers it,
//! so that the next start can pay what a run that was killed still owes.
//!
//! In: a run with hooks · Out: `Debt` · Touches: cluster (read and write), clock

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::report::Phase;
use crate::engine::journal::{self, Book, Desk, Entry, HEARTBEAT, Shelf, Worker};
use crate::engine::reach::Reach;

/// What the journal says of a run with hooks. It holds names only: what hooks do may be secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owed {
    /// The run, such as `policy shop`.
    pub run: String,
    /// When it started.
    pub started: Timestamp,
    /// Running while something is owed.
    pub phase: Phase,
    /// Names of the hooks that are owed.
    pub hooks: Vec<String>,
    /// Whether hooks that pods ask for by annotation are owed.
    pub annotations: bool,
    /// Whether workloads may be scaled down.
    pub scaled: bool,
    /// The namespaces of the run; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
}

impl Owed {
    /// What is owed, for people.
    pub fn told(&self) -> String {
        let hooks = (!self.hooks.is_empty()).then(|| format!("hooks ({})", self.hooks.join(", ")));
        let asked = self.annotations.then(|| "hooks of pods' annotations".to_owned());
        let scaled = self.scaled.then(|| "workloads to be scaled back".to_owned());
        hooks.into_iter().chain(asked).chain(scaled).collect::<Vec<_>>().join(", ")
    }

    /// Whether a run without these would owe nothing.
    pub fn is_nothing(&self) -> bool {
        self.hooks.is_empty() && !self.annotations && !self.scaled
    }
}

/// Why a run with hooks cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be used: hooks that could not be remembered do not run.
    #[error("cannot run hooks that have to be undone without remembering them")]
    Journal(#[from] journal::Error),
    /// Another run is at work, between its hooks.
    #[error("cannot begin: {worker} is at work on {run}, since {since}")]
    Held {
        /// The run.
        run: String,
        /// Who.
        worker: Worker,
        /// Since when.
        since: Timestamp,
    },
}

/// A run that owes something, as it is remembered.
#[derive(Debug)]
pub struct Debt {
    /// What.
    pub owed: Owed,
    desk: Desk,
}

/// Debts of runs whose processes are gone, and those of runs that are at work.
#[derive(Debug, Default)]
pub struct Open {
    /// Nobody works on them.
    pub left: Vec<(Shelf, Entry<Owed>)>,
    /// Somebody does.
    pub held: Vec<Entry<Owed>>,
}

/// Finds all debts. `is_gone` answers for workers of this machine; silent ones of others are watched for a while.
///
/// # Errors
/// The journal cannot be read.
pub async fn open(
    reach: &Reach<'_>,
    namespace: &str,
    is_gone: &(dyn Fn(&Worker) -> bool + Sync),
) -> Result<Open, journal::Error> {
    let mut open = Open::default();
    for entry in journal::all::<Owed>(reach, Book::Hooks, namespace).await? {
        let entry = entry?;
        if entry.run.phase == Phase::Finished {
            continue;
        }
        let shelf = Shelf::of(Book::Hooks, &slug(&entry.run.run), namespace);
        if is_gone(&entry.worker) || journal::is_silent(reach, &shelf, &entry).await? {
            open.left.push((shelf, entry));
        } else {
            open.held.push(entry);
        }
    }
    Ok(open)
}

/// Remembers what a run will owe, before its first hook runs.
///
/// # Errors
/// [`Error`]; no hook may run then.
pub async fn begin(
    reach: &Reach<'_>,
    (namespace, worker): (&str, Worker),
    owed: Owed,
    is_gone: &(dyn Fn(&Worker) -> bool + Sync),
) -> Result<Debt, Error> {
    let shelf = Shelf::of(Book::Hooks, &slug(&owed.run), namespace);
    let before = journal::read::<Owed>(reach, &shelf).await?;
    if let Some(entry) = before.as_ref().filter(|entry| entry.run.phase != Phase::Finished)
        && entry.worker != worker
        && !is_gone(&entry.worker)
        && !journal::is_silent(reach, &shelf, entry).await?
    {
        let (run, worker, since) = (entry.run.run.clone(), entry.worker.clone(), entry.run.started);
        return Err(Error::Held { run, worker, since });
    }
    let desk = Desk::take(reach, shelf, worker, before.as_ref(), &owed).await?;
    Ok(Debt { owed, desk })
}

/// Takes over a debt that was left.
///
/// # Errors
/// Somebody else was faster, or the journal cannot be written.
pub async fn take_over(
    reach: &Reach<'_>,
    worker: Worker,
    (shelf, entry): (Shelf, Entry<Owed>),
) -> Result<Debt, journal::Error> {
    let desk = Desk::take(reach, shelf, worker, Some(&entry), &entry.run).await?;
    Ok(Debt { owed: entry.run, desk })
}

impl Debt {
    /// Gives signs of life for as long as it is asked to.
    pub async fn keep(&self, reach: &Reach<'_>) -> std::convert::Infallible {
        loop {
            reach.clock.sleep(HEARTBEAT).await;
            // The next sign of life tells it again; a run does not depend on one.
            self.desk.note(reach, &self.owed).await.ok();
        }
    }

    /// Nothing is owed any more.
    ///
    /// # Errors
    /// The journal cannot be written: the next start pays again.
    pub async fn close(self, reach: &Reach<'_>) -> Result<(), journal::Error> {
        let owed = Owed { phase: Phase::Finished, ..self.owed };
        self.desk.close(reach, &owed).await
    }
}

/// `policy shop` as part of a name.
fn slug(run: &str) -> String {
    run.replace(' ', "-")
}
