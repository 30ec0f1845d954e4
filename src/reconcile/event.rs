//! What is to be done, and what came of it: the two closed lists that the reconciler works with.
//!
//! In: decisions, results · Out: `Action`, `Event` · Touches: nothing

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::lease::Seat;
use super::resource::{Key, Resource};
use crate::domain::coverage::Coverage;
use crate::domain::object::Json;
use crate::domain::report::{BackupReport, Outcome, RestoreReport};
use crate::domain::restore_run::RestoreRun;
use crate::domain::snapshot::SnapshotRecord;
use crate::engine::archive::owner::Name;
use crate::engine::keep::prune::PruneReport;
use crate::engine::policy::repository::Repository;
use crate::ports::http::Post;
use crate::work::stop::Stop;

/// One thing to do. Each is answered by one [`Event`].
#[derive(Debug)]
pub enum Action {
    /// Takes or keeps the lead.
    Lead,
    /// Fetches the policy repository; an older revision, where one is named.
    Fetch(Option<String>),
    /// Lists the custom resources; views of snapshots as well, where nothing is known yet.
    List(Views),
    /// Asks the archives of a policy for its newest snapshots.
    Recall(String),
    /// Carries a policy out.
    Run {
        /// Which.
        policy: String,
        /// When it was due; absent for a request.
        due: Option<Timestamp>,
        /// What is done where another cluster has the name.
        name: Name,
        /// Hears when it has to stop.
        stop: Stop,
    },
    /// Looks whether a location can be reached.
    Check(String),
    /// Lists an archive, and deletes what no rule keeps.
    Prune(String),
    /// Reads a snapshot of an archive back, and compares it with its digests.
    Verify(String, Box<SnapshotRecord>),
    /// Looks whether the cluster is empty.
    Look(String),
    /// Carries a request out.
    Restore(String, Stop),
    /// Looks for what no policy covers.
    Cover,
    /// Tells people.
    Tell(Telling),
}

/// One thing that people are told.
#[derive(Debug)]
pub enum Telling {
    /// Writes a status.
    Write(Key, Json),
    /// Makes or changes a view: spec and status.
    Show(Key, Json),
    /// Deletes a view.
    Hide(Key),
    /// Lets go of a view that is somebody else's now.
    Release(Key),
    /// Tells the leader that the policy repository has changed.
    Knock,
    /// Tells people, as an event of the cluster.
    Announce(News),
    /// Tells a receiver outside of the cluster.
    Notify(Notice),
}

impl Action {
    /// Tells people, as an event of the cluster.
    pub fn announce(news: News) -> Self {
        Self::Tell(Telling::Announce(news))
    }
}

/// Something that people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// About which document.
    pub about: Key,
    /// Whether it is bad.
    pub tone: Tone,
    /// One word for programs, such as `BackupFailed`.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// What one receiver is sent. Its `Debug` shows no address.
#[derive(Clone, PartialEq)]
pub struct Notice {
    /// Name of the receiver.
    pub receiver: String,
    /// What it is about.
    pub news: Arc<News>,
    /// The request.
    pub post: Post,
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notice({} to {})", self.news.reason, self.receiver)
    }
}

/// Whether news is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
    /// As it should be, and as far as is known it always was: it only ends what another process, or another place, may have begun.
    Quiet,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ran {
    /// It has a report.
    Report(Box<BackupReport>),
    /// Another replica has made the snapshot of this due time.
    Made(Box<SnapshotRecord>),
    /// It left nothing behind, for this reason.
    Nothing(String),
}

/// How a restore ended.
#[derive(Debug)]
pub enum Restored {
    /// It was carried out with its token before.
    Before(Box<RestoreRun>),
    /// It was carried out.
    Now(Box<RestoreReport>),
}

/// Whether views of snapshots are listed as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// They are.
    Listed,
    /// They are known.
    Known,
}

/// The custom resources of Backstay's namespace.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those of people, and views of documents in Git.
    pub resources: Vec<Resource>,
    /// Whether the API server serves our kinds.
    pub served: bool,
    /// Views of snapshots, by name: spec and status.
    pub snapshots: BTreeMap<String, Json>,
}

/// What an archive holds of this cluster.
#[derive(Debug)]
pub struct Held {
    /// Snapshots, oldest first; without those that were deleted.
    pub records: Vec<SnapshotRecord>,
    /// What was deleted; absent where nothing may be.
    pub pruned: Option<PruneReport>,
}

/// Why no revision of the policy repository came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfetched {
    /// What is wrong.
    pub why: String,
    /// The commit that is not signed by anybody who may, where that is why.
    pub distrusts: Option<String>,
}

impl From<String> for Unfetched {
    fn from(why: String) -> Self {
        Self { why, distrusts: None }
    }
}

/// The answer to an [`Action`], and signals from outside.
#[derive(Debug)]
pub enum Event {
    /// Who leads, as asked at a moment, or why that is not known.
    Led(Timestamp, Result<Seat, String>),
    /// The policy repository.
    Fetched(Result<Repository, Unfetched>),
    /// A revision that was in force before.
    Remembered(Result<Repository, Unfetched>),
    /// The custom resources.
    Listed(Result<Listing, String>),
    /// The newest snapshots of a policy: the newest one, and the newest Complete one.
    Recalled(String, Result<Vec<SnapshotRecord>, String>),
    /// A run has ended.
    Ran {
        /// Of which policy.
        policy: String,
        /// When it was due.
        due: Option<Timestamp>,
        /// When it started.
        started: Timestamp,
        /// How it ended.
        result: Ran,
    },
    /// A location was looked at.
    Checked(String, Result<(), String>),
    /// An archive was listed and pruned.
    Pruned(String, Result<Held, String>),
    /// A snapshot of an archive was read back; what is wrong with it.
    Verified(String, Box<SnapshotRecord>, Result<Vec<String>, String>),
    /// Whether the cluster is empty.
    Looked(String, Result<bool, String>),
    /// A request was carried out.
    Restored(String, Result<Restored, String>),
    /// What no policy covers.
    Covered(Result<Coverage, String>),
    /// A status or view was written.
    Written(Key, Json, Result<(), String>),
    /// A view stands with this content, or is gone.
    Shown(Key, Option<Json>, Result<(), String>),
    /// People were told.
    Announced(Result<(), String>),
    /// A receiver was told, or not.
    Notified(Notice, Result<(), String>),
}

/// How many snapshots there are, by policy.
pub fn counts(records: &[SnapshotRecord]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(record.policy.name.clone()).or_default() += 1;
    }
    counts
}

/// The newest record, and the newest Complete one.
pub fn newest(records: &[SnapshotRecord]) -> (Option<&SnapshotRecord>, Option<&SnapshotRecord>) {
    let latest = |wanted: fn(&SnapshotRecord) -> bool| {
        records.iter().filter(|record| wanted(record)).max_by_key(|record| record.started)
    };
    (latest(|_| true), latest(|record| record.outcome == Outcome::Complete))
}
