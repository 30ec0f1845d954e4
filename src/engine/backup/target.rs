//! One location during a backup: an archive or a mirror, begun, filled and finished the same way.
//!
//! In: `Target`, `Clean` batches · Out: `LocationReport` · Touches: Git, bucket, clock

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::identity::{ClusterRef, PolicyRef, SnapshotId};
use crate::domain::object::ObjectKey;
use crate::domain::report::{BackupReport, LocationReport, Outcome};
use crate::engine::archive::owner::{self, Name};
use crate::engine::archive::store::{self, ArchiveDraft};
use crate::engine::clean::sanitize::Clean;
use crate::engine::mirror::update::{self, MirrorDraft};
use crate::ports::clock::Clock;

/// Facts about the run that every location gets.
#[derive(Clone, Debug)]
pub struct Run {
    /// Name of the snapshot.
    pub snapshot: SnapshotId,
    /// The policy.
    pub policy: PolicyRef,
    /// The cluster.
    pub cluster: ClusterRef,
    /// When the run started.
    pub started: Timestamp,
    /// Letters that tell this attempt from others at the same snapshot; absent where there can be no others.
    pub attempt: Option<String>,
    /// What is done where another cluster has the name.
    pub name: Name,
}

/// A location and how to write to it.
pub enum Target {
    /// Object storage.
    Archive {
        /// Name of the location.
        location: String,
        /// Bucket, recipients and sizes.
        to: store::Destination,
    },
    /// A Git repository.
    Mirror {
        /// Name of the location.
        location: String,
        /// Repository, recipients and rules.
        to: Box<update::Destination>,
    },
    /// A location that cannot be written at all, such as one without credentials. The others go on.
    Unusable {
        /// Name of the location.
        location: String,
        /// Why.
        reason: String,
    },
}

/// A location that is being written, or why that ended.
pub struct Draft {
    location: String,
    kind: Kind,
    state: Result<State, String>,
    lost: Vec<ObjectKey>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Archive,
    Mirror,
}

enum State {
    Archive(Box<ArchiveDraft>),
    Mirror(Box<MirrorDraft>),
}

impl Draft {
    /// Opens the location; a failure is kept for the report.
    pub async fn begin(target: Target, run: &Run) -> Self {
        let (location, kind, state) = match target {
            Target::Archive { location, to } => (location, Kind::Archive, archive(to, run).await),
            Target::Unusable { location, reason } => (location, Kind::Archive, Err(reason)),
            Target::Mirror { location, to } => (location, Kind::Mirror, mirror(*to, run).await),
        };
        Self { location, kind, state, lost: Vec::new() }
    }

    /// Name of the location.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Whether it is an archive.
    pub fn is_archive(&self) -> bool {
        self.kind == Kind::Archive
    }

    /// Whether nothing more can be written.
    pub fn has_failed(&self) -> bool {
        self.state.is_err()
    }

    /// Writes a batch; after a failure it does nothing.
    pub async fn put(&mut self, batch: Arc<Clean>) {
        let failure = match &mut self.state {
            Err(_) => None,
            Ok(State::Archive(draft)) => match draft.put(batch).await {
                Ok(too_large) => {
                    self.lost.extend(too_large);
                    None
                }
                Err(e) => Some(chain(&e)),
            },
            Ok(State::Mirror(draft)) => draft.put(batch).await.err().map(|e| chain(&e)),
        };
        if let Some(reason) = failure {
            self.state = Err(reason);
        }
    }

    /// Makes the snapshot visible at the location.
    pub async fn finish(mut self, report: &BackupReport, clock: &dyn Clock) -> LocationReport {
        let told = match self.state {
            Err(reason) => Err(reason),
            Ok(State::Archive(draft)) => {
                draft.finish(report).await.map(|r| stored(&r)).map_err(|e| chain(&e))
            }
            Ok(State::Mirror(draft)) => match draft.finish(report, clock).await {
                Ok(done) => {
                    let text = done.to_string();
                    self.lost.extend(done.refused.into_iter().map(|refused| refused.key));
                    Ok((text, 0))
                }
                Err(e) => Err(chain(&e)),
            },
        };
        let (outcome, detail, bytes) = match told {
            Err(detail) => (Outcome::Failed, detail, 0),
            Ok((detail, bytes)) if self.lost.is_empty() => (Outcome::Complete, detail, bytes),
            Ok((detail, bytes)) => (Outcome::Partial, missing(&detail, &self.lost, self.kind), bytes),
        };
        LocationReport { location: self.location, outcome, detail, bytes }
    }
}

/// A mirror names what it refused itself; an archive is told what was too large for it.
fn missing(detail: &str, lost: &[ObjectKey], kind: Kind) -> String {
    match kind {
        Kind::Mirror => detail.to_owned(),
        Kind::Archive => {
            let lost: Vec<String> =
                lost.iter().map(|key| format!("; {key} is too large for an archive")).collect();
            format!("{detail}{}", lost.concat())
        }
    }
}

fn stored(record: &crate::domain::snapshot::SnapshotRecord) -> (String, u64) {
    let files = record.parts.iter().chain([&record.index, &record.report]);
    let parts = record.parts.len();
    let plural = if parts == 1 { "" } else { "s" };
    (format!("snapshot {} in {parts} part{plural}", record.id), files.map(|file| file.bytes).sum())
}

async fn archive(to: store::Destination, run: &Run) -> Result<State, String> {
    let claimed = owner::claim(to.bucket.as_ref(), &run.cluster, run.name, run.started).await;
    claimed.map_err(|e| chain(&e))?;
    let draft = store::begin(to, &run.cluster.name, (&run.snapshot, run.attempt.as_deref())).await;
    draft.map(|draft| State::Archive(Box::new(draft))).map_err(|e| chain(&e))
}

/// A mirror's folder belongs to the cluster that wrote it, until another one takes its name over.
async fn mirror(to: update::Destination, run: &Run) -> Result<State, String> {
    let draft = update::begin(to, &run.cluster.name, &run.policy.name, run.started).await;
    let draft = draft.map_err(|e| chain(&e))?;
    let (owner, since) = draft.owner();
    if owner.is_empty() || owner == run.cluster.uid || run.name.takes(since) {
        return Ok(State::Mirror(Box::new(draft)));
    }
    Err(format!(
        "cannot back up as cluster {}: the mirror's folder is that of another cluster of this name, with the uid {owner}",
        run.cluster.name
    ))
}

/// An error and its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
