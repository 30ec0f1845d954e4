//! What a replica knows: policy in force, runs at work, what it has seen and what it has written.
//!
//! In: settings · Out: `Desk` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::cover::Cover;
use super::due::{Memory, Timing};
use super::lease;
use super::merge::InForce;
use super::resource::{Key, Resource};
use super::snapshot_views::SnapshotViews;
use crate::domain::object::Json;
use crate::domain::snapshot::SnapshotRecord;
use crate::domain::status::{LocationStatus, PolicyStatus, RestoreStatus};
use crate::engine::policy::repository::Repository;
use crate::engine::retry::after;

/// How the process was told to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this replica in the Lease.
    pub replica: String,
    /// Whether there is a policy repository.
    pub git: bool,
    /// Whether custom resources that people write are policy.
    pub resources: bool,
    /// How often the policy repository is fetched.
    pub interval: Duration,
    /// Whether requests may be carried out.
    pub restores: bool,
    /// Runs at the same time, at most.
    pub runs: usize,
    /// Name of the cluster.
    pub cluster: String,
    /// What is in force where the repository has not given a revision to this process yet.
    pub fallback: Fallback,
}

/// What is in force while a repository cannot be reached or its newest commit is not trusted, and none was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The views of its documents. Whoever may write custom resources can make one that looks like a view.
    Views,
    /// The revision that was in force last, as it is at hand or read from Git again: where custom resources are no policy.
    Revision,
    /// The same, but only read from Git and checked again: where commits are signed.
    Signed,
}

/// How often custom resources are listed.
pub const LIST: Duration = Duration::from_secs(5);
/// How often an archive is listed and pruned, at most, but after runs.
pub const PRUNE: Duration = Duration::from_hours(1);
/// The shortest time between two looks at an archive.
pub const PRUNE_PAUSE: Duration = Duration::from_mins(1);
/// How often a location is looked at where it says nothing.
pub const CHECK: Duration = Duration::from_mins(5);
/// How often the newest Complete snapshot of a policy is read back.
pub const VERIFY: Duration = Duration::from_hours(24);
/// How long after a failure something is tried again.
pub const AGAIN: Duration = Duration::from_secs(30);

/// Everything one replica knows.
pub struct Desk {
    /// How it was told to work.
    pub settings: Settings,
    /// When the seat is looked at next; `None` while it is.
    pub lead_at: Option<Timestamp>,
    /// Whether this replica leads, and until when that is sure.
    pub leads_until: Option<Timestamp>,
    /// Who leads, if it is known.
    pub leader: String,
    /// Whether nothing new is begun, because the process ends.
    pub draining: bool,
    /// The policy repository.
    pub git: Source,
    /// The custom resources, as last listed; `None` before the first list.
    pub resources: Option<Vec<Resource>>,
    /// Whether the API server serves our kinds.
    pub served: bool,
    /// When they are listed next; `None` while they are.
    pub list_at: Option<Timestamp>,
    /// What is in force.
    pub force: Arc<InForce>,
    /// Documents of Git that are shown as custom resources.
    pub views: Arc<BTreeMap<Key, Json>>,
    /// Whether it is all there is: the repository has answered since this replica leads, or there is none.
    pub settled: bool,
    /// Why single custom resources are not.
    pub wrong: BTreeMap<Key, String>,
    /// Policies in force.
    pub policies: BTreeMap<String, Policy>,
    /// Locations in force.
    pub locations: BTreeMap<String, Location>,
    /// Requests in force.
    pub restores: BTreeMap<String, Restore>,
    /// What no policy covers.
    pub cover: Cover,
    /// What was written last of each status; `None` while it is being written.
    pub written: BTreeMap<Key, Option<Json>>,
    /// Views that are being written or deleted.
    pub showing: BTreeSet<Key>,
    /// Views of snapshots, as they stand in the cluster.
    pub shown: BTreeMap<String, Json>,
    /// Custom resources that others write, and whether there is something in them to let go of: they were views once.
    pub theirs: BTreeMap<Key, bool>,
    /// Snapshots as they should be shown.
    pub snapshot_views: SnapshotViews,
    /// What is shown of the policy repository.
    pub repository_view: Option<Json>,
    /// What could not be written, and when it is tried again.
    pub again: BTreeMap<Key, Timestamp>,
}

/// The policy repository.
#[derive(Default)]
pub struct Source {
    /// The newest revision.
    pub newest: Option<Arc<Repository>>,
    /// The revision in force.
    pub good: Option<Arc<Repository>>,
    /// Why it cannot be fetched, at present.
    pub unreachable: Option<String>,
    /// What is wrong with the newest revision.
    pub problems: Vec<String>,
    /// When it is fetched next; `None` while it is.
    pub fetch_at: Option<Timestamp>,
    /// When it was fetched last.
    pub fetched: Option<Timestamp>,
    /// The request that the last fetch has dealt with.
    pub handled: Option<String>,
    /// The request that the fetch at work deals with.
    pub asked: Option<String>,
    /// Whether somebody said that it has changed while it was being fetched.
    pub knocked: bool,
    /// The revision that was in force before this process led: looked for where the newest one is broken.
    pub remembered: Option<String>,
    /// When that revision is looked for; `None` while it is, or need not be.
    pub recall_at: Option<Timestamp>,
    /// Whether the revision in force is looked for as well: a newer commit is not trusted, and who may sign may have changed.
    pub doubted: bool,
}

impl Source {
    /// Whether the revision that was in force last is at hand.
    pub fn is_as_remembered(&self) -> bool {
        self.good.as_ref().is_some_and(|good| self.remembered.is_none() || good.revision == self.remembered)
    }
}

/// A policy in force.
pub struct Policy {
    /// Counts changes of its custom resource.
    pub generation: i64,
    /// When it runs by itself.
    pub timing: Option<Timing>,
    /// The longest time between two runs.
    pub period: Option<Duration>,
    /// What is remembered; also what is shown.
    pub status: PolicyStatus,
    /// Whether the archives were asked for earlier runs.
    pub recall: Recall,
    /// When they are asked again: they could not be.
    pub recall_at: Option<Timestamp>,
    /// The run at work.
    pub run: Option<Run>,
    /// What is asked for by annotation.
    pub requested: Option<String>,
    /// Runs that were missed before this process knew the policy.
    pub missed_before: u64,
}

/// Whether the archives were asked for earlier runs of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// Its status says nothing.
    Needed,
    /// They are being asked.
    Asked,
    /// All is known that can be.
    Done,
}

/// A run at work in this process.
pub struct Run {
    /// Which request it answers.
    pub request: Option<String>,
    /// Asks it to stop.
    pub stop: watch::Sender<bool>,
    /// Whether it was asked.
    pub stopping: bool,
}

/// A location in force.
#[derive(Default)]
pub struct Location {
    /// Counts changes of its custom resource.
    pub generation: i64,
    /// What is shown.
    pub status: LocationStatus,
    /// Whether it could be reached; `None` before the first look.
    pub reached: Option<Result<(), String>>,
    /// When it is looked at next; `None` while it is, or never.
    pub check_at: Option<Timestamp>,
    /// When it is listed and pruned next; `None` while it is, or never.
    pub prune_at: Option<Timestamp>,
    /// Whether it was listed; never for mirrors, which need not be.
    pub listed: bool,
    /// Whether what was to be deleted was, the last time; `None` before the first time.
    pub prunes: Option<bool>,
    /// When a snapshot is read back next; `None` while one is.
    pub verify_at: Option<Timestamp>,
    /// Snapshots of this cluster, as last listed.
    pub records: Arc<Vec<SnapshotRecord>>,
}

/// A restore request in force.
#[derive(Default)]
pub struct Restore {
    /// Counts changes of its custom resource.
    pub generation: i64,
    /// What is remembered; also what is shown.
    pub status: RestoreStatus,
    /// Whether this process works on it.
    pub busy: bool,
    /// Asks it to stop.
    pub stop: Option<watch::Sender<bool>>,
    /// Why the last attempt has no result.
    pub failed: Option<String>,
    /// How often it had none.
    pub failures: u32,
    /// Not tried before.
    pub try_at: Option<Timestamp>,
}

impl Desk {
    /// Knows nothing yet.
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        Self {
            git: Source { fetch_at: settings.git.then_some(now), ..Source::default() },
            settings,
            lead_at: Some(now),
            leads_until: None,
            leader: String::new(),
            draining: false,
            resources: None,
            served: false,
            list_at: Some(now),
            force: Arc::new(InForce::default()),
            views: Arc::default(),
            settled: false,
            wrong: BTreeMap::new(),
            policies: BTreeMap::new(),
            locations: BTreeMap::new(),
            restores: BTreeMap::new(),
            cover: Cover::default(),
            written: BTreeMap::new(),
            showing: BTreeSet::new(),
            shown: BTreeMap::new(),
            theirs: BTreeMap::new(),
            snapshot_views: SnapshotViews::default(),
            repository_view: None,
            again: BTreeMap::new(),
        }
    }

    /// Whether this replica leads.
    pub fn leads(&self, now: Timestamp) -> bool {
        // A seat that is sure for longer than ever: the clock went back.
        self.leads_until.is_some_and(|until| now < until && until <= after(now, lease::TRUST))
    }

    /// Whether everything is known that a leader needs: one list after it began to lead, and one answer of the repository.
    pub fn is_ready(&self) -> bool {
        self.resources.is_some()
            && (!self.settings.git || self.git.fetched.is_some() || self.git.unreachable.is_some())
    }

    /// Forgets what another leader may have changed; runs must have ended.
    pub fn step_down(&mut self, now: Timestamp) {
        self.leads_until = None;
        self.resources = None;
        self.list_at = Some(now);
        self.policies.clear();
        self.locations.clear();
        self.restores.clear();
        self.cover = Cover::default();
        self.written.clear();
        self.showing.clear();
        self.shown.clear();
        self.snapshot_views = SnapshotViews::default();
        self.again.clear();
        // What this replica knew of Git may be old: it is nothing but the last resort now.
        let good = self.git.good.take().filter(|_| self.settings.fallback != Fallback::Signed);
        self.git = Source { good, fetch_at: self.settings.git.then_some(now), ..Source::default() };
        self.force = Arc::new(InForce::default());
        self.views = Arc::default();
        self.settled = false;
    }

    /// Somebody says that the policy repository has changed.
    pub fn knock(&mut self) {
        match &mut self.git.fetch_at {
            Some(moment) => *moment = Timestamp::MIN,
            None => self.git.knocked = true,
        }
    }

    /// A custom resource that was deleted, or made anew under its name, has nothing of what was written before.
    pub fn forget_replaced(&mut self, listed: &[Resource]) {
        let before: BTreeMap<&Key, &str> =
            self.resources.iter().flatten().map(|one| (&one.key, one.uid.as_str())).collect();
        let same: BTreeSet<&Key> = listed
            .iter()
            .filter(|one| before.get(&one.key) == Some(&one.uid.as_str()))
            .map(|one| &one.key)
            .collect();
        self.written.retain(|key, _| same.contains(key));
        let empty = listed.iter().filter(|one| one.status.is_null()).map(|one| &one.key);
        empty.for_each(|key| drop(self.written.remove(key)));
    }

    /// A custom resource as it was listed.
    pub fn resource(&self, key: &Key) -> Option<&Resource> {
        self.resources.iter().flatten().find(|resource| resource.key == *key)
    }

    /// Whether it is written in the cluster that it was empty when a request was first seen; a request that is not shown there
    /// has no place for it.
    pub fn says_empty(&self, request: &str) -> bool {
        let key = Key::new("RestoreRequest", request);
        let Some(resource) = self.resource(&key) else {
            return !self.served || self.force.sealed.contains(&key);
        };
        let says = |status: &Json| status["clusterWasEmpty"] == Json::Bool(true);
        says(&resource.status) || self.written.get(&key).and_then(Option::as_ref).is_some_and(says)
    }

    /// Whether a view may be written or deleted now.
    pub fn may_show(&self, key: &Key) -> bool {
        !self.showing.contains(key) && !self.again.contains_key(key)
    }
}

impl Policy {
    /// What its schedule goes by.
    pub fn memory(&self, now: Timestamp) -> Memory {
        Memory { since: self.status.scheduled_since.unwrap_or(now), last_due: self.status.last_due }
    }
}
