//! What the reconciler knows, in numbers that Prometheus reads. Labels are names of documents in force: nothing grows without end.
//!
//! In: `Desk`, `Event`s · Out: `Metrics` · Touches: nothing

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::desk::{Desk, Location, Policy, Recall};
use super::event::{Event, Ran, Restored};
use super::figures::Figures;
use super::series::{
    OfBoth, OfLocation, OfPolicy, OfRevision, OfVersion, PolicyOutcome, RequestOutcome, Word,
};
use crate::domain::hook_report::HookReport;
use crate::domain::policy::PolicySpec;
use crate::domain::report::Outcome;

type Number = Gauge;

/// Every metric, and the registry that writes them out.
pub struct Metrics {
    registry: Registry,
    leader: Number,
    repository_ready: Number,
    repository_fetched: Number,
    revision: Family<OfRevision, Number>,
    policy_ready: Family<OfPolicy, Number>,
    policy_suspended: Family<OfPolicy, Number>,
    next_run: Family<OfPolicy, Number>,
    last_run: Family<OfPolicy, Number>,
    last_complete: Family<OfPolicy, Number>,
    period: Family<OfPolicy, Number>,
    running: Family<OfPolicy, Number>,
    run_objects: Family<OfPolicy, Number>,
    run_bytes: Family<OfPolicy, Number>,
    missed: Family<OfPolicy, Counter>,
    missed_before: Mutex<BTreeMap<String, u64>>,
    runs: Family<PolicyOutcome, Counter>,
    duration: Family<OfPolicy, Histogram>,
    hooks: Family<PolicyOutcome, Counter>,
    available: Family<OfLocation, Number>,
    snapshots: Family<OfBoth, Number>,
    verified: Family<OfBoth, Number>,
    pruned: Family<OfLocation, Counter>,
    prune_failures: Family<OfLocation, Counter>,
    fixups: Family<RequestOutcome, Counter>,
    restores: Family<RequestOutcome, Counter>,
    figures: Figures,
    events_failed: Counter,
}

/// A number that is shown; beyond what fits it stays at the largest one.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Seconds that runs take, from one second to a bit more than two hours.
fn durations() -> Histogram {
    Histogram::new([1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("backstay"),
            leader: Gauge::default(),
            repository_ready: Gauge::default(),
            repository_fetched: Gauge::default(),
            revision: Family::default(),
            policy_ready: Family::default(),
            policy_suspended: Family::default(),
            next_run: Family::default(),
            last_run: Family::default(),
            last_complete: Family::default(),
            period: Family::default(),
            running: Family::default(),
            run_objects: Family::default(),
            run_bytes: Family::default(),
            missed: Family::default(),
            missed_before: Mutex::default(),
            runs: Family::default(),
            duration: Family::new_with_constructor(durations as fn() -> Histogram),
            hooks: Family::default(),
            available: Family::default(),
            snapshots: Family::default(),
            verified: Family::default(),
            pruned: Family::default(),
            prune_failures: Family::default(),
            fixups: Family::default(),
            restores: Family::default(),
            figures: Figures::default(),
            events_failed: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let version = Family::<OfVersion, Number>::default();
        version.get_or_create(&OfVersion { version: env!("CARGO_PKG_VERSION") }).set(1);
        let all = &mut self.registry;
        all.register("build_info", "Version of the program", version);
        all.register("leader", "Whether this replica leads", self.leader.clone());
        all.register(
            "policy_repository_ready",
            "Whether the newest revision is in force",
            self.repository_ready.clone(),
        );
        all.register(
            "policy_repository_last_fetch_timestamp_seconds",
            "When the policy repository was fetched last",
            self.repository_fetched.clone(),
        );
        all.register("policy_revision_info", "The revision that is in force", self.revision.clone());
        all.register("policy_ready", "Whether a policy is in force", self.policy_ready.clone());
        all.register(
            "policy_suspended",
            "Whether a policy's schedule is suspended",
            self.policy_suspended.clone(),
        );
        all.register("next_run_timestamp_seconds", "When a policy runs next", self.next_run.clone());
        all.register("last_run_timestamp_seconds", "When a policy's last run ended", self.last_run.clone());
        all.register(
            "last_complete_timestamp_seconds",
            "When a policy's last Complete run ended",
            self.last_complete.clone(),
        );
        all.register("period_seconds", "Longest gap between two due times of a policy", self.period.clone());
        all.register("running", "Whether a run is at work", self.running.clone());
        all.register("run_objects", "Objects in the last run", self.run_objects.clone());
        all.register("run_bytes", "Bytes sent by the last run", self.run_bytes.clone());
        all.register("missed_runs", "Due times that passed without a run", self.missed.clone());
        all.register("runs", "Runs that ended", self.runs.clone());
        all.register("run_duration_seconds", "How long runs took", self.duration.clone());
        all.register("hooks", "Hooks of runs that ended", self.hooks.clone());
        all.register("location_available", "Whether a location can be reached", self.available.clone());
        all.register(
            "last_verified_timestamp_seconds",
            "When the newest snapshots were last known to be sound",
            self.verified.clone(),
        );
        all.register("snapshots", "Snapshots of this cluster at a location", self.snapshots.clone());
        all.register("pruned", "Snapshots and leftovers that were deleted", self.pruned.clone());
        all.register(
            "prune_failures",
            "Snapshots and leftovers that could not be deleted",
            self.prune_failures.clone(),
        );
        all.register("fixups", "Fixups of restores that ended", self.fixups.clone());
        all.register("restores", "Restores that ended", self.restores.clone());
        all.register("events_failed", "Events that could not be written", self.events_failed.clone());
        self.figures.register(all);
    }

    /// All of it, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text never fails.
        encode(&mut text, &self.registry).ok();
        text
    }

    /// Counts what happened.
    pub fn count(&self, event: &Event) {
        match event {
            Event::Ran { policy, started: _, due: _, result } => self.ran(policy, result),
            Event::Pruned(location, Ok(held)) => {
                if let Some(report) = &held.pruned {
                    let of = OfLocation { location: location.clone() };
                    self.pruned.get_or_create(&of).inc_by(report.deleted.len() as u64);
                    self.prune_failures.get_or_create(&of).inc_by(report.failed.len() as u64);
                }
            }
            Event::Pruned(location, Err(_)) => {
                self.prune_failures.get_or_create(&OfLocation { location: location.clone() }).inc();
            }
            Event::Restored(request, result) => self.restored(request, result),
            Event::Notified(notice, told) => self.figures.notified(&notice.receiver, told),
            Event::Announced(Err(_)) => drop(self.events_failed.inc()),
            Event::Led(..)
            | Event::Fetched(_)
            | Event::Remembered(_)
            | Event::Listed(_)
            | Event::Recalled(..)
            | Event::Checked(..)
            | Event::Verified(..)
            | Event::Looked(..)
            | Event::Covered(_)
            | Event::Written(..)
            | Event::Shown(..)
            | Event::Announced(Ok(())) => {}
        }
    }

    fn ran(&self, policy: &str, result: &Ran) {
        let outcome = match result {
            Ran::Report(report) => report.outcome,
            Ran::Made(record) => record.outcome,
            Ran::Nothing(_) => Outcome::Failed,
        };
        let of = |outcome| PolicyOutcome { policy: policy.to_owned(), outcome };
        self.runs.get_or_create(&of(Word::of(outcome))).inc();
        if let Ran::Report(report) = result {
            let seconds = report.finished.duration_since(report.started).as_secs_f64();
            self.duration.get_or_create(&OfPolicy { policy: policy.to_owned() }).observe(seconds);
            self.hooked(&of, &report.hooks);
        }
    }

    fn hooked(&self, of: &dyn Fn(Word) -> PolicyOutcome, hooks: &[HookReport]) {
        for hook in hooks {
            self.hooks.get_or_create(&of(Word::of(hook.outcome))).inc();
        }
    }

    fn restored(&self, request: &str, result: &Result<Restored, String>) {
        let of = |outcome| RequestOutcome { request: request.to_owned(), outcome };
        let outcome = match result {
            Ok(Restored::Now(report)) => {
                for fixup in &report.fixups {
                    self.fixups.get_or_create(&of(Word::of(fixup.outcome))).inc();
                }
                report.outcome
            }
            Ok(Restored::Before(_)) => return,
            Err(_) => Outcome::Failed,
        };
        self.restores.get_or_create(&of(Word::of(outcome))).inc();
    }

    /// Writes down how things stand. What is not in force any more is gone.
    pub fn set(&self, desk: &Desk, now: Timestamp) {
        let seconds = |moment: Timestamp| moment.as_second();
        let flag = i64::from;
        self.leader.set(flag(desk.leads(now)));
        self.clear();
        if !desk.leads(now) {
            return;
        }
        self.repository_ready.set(i64::from(!desk.settings.git));
        if desk.settings.git {
            let good =
                desk.git.good.is_some() && desk.git.problems.is_empty() && desk.git.unreachable.is_none();
            self.repository_ready.set(flag(good));
            self.repository_fetched.set(desk.git.fetched.map_or(0, seconds));
            let revision = desk.git.good.as_ref().and_then(|good| good.revision.clone());
            if let Some(revision) = revision {
                self.revision.get_or_create(&OfRevision { revision }).set(1);
            }
        }
        self.figures.uncovered(desk.cover.found());
        for (name, policy) in &desk.policies {
            if policy.recall != Recall::Done {
                // It runs once its archives have said when it ran last.
                self.policy_ready.get_or_create(&OfPolicy { policy: name.clone() }).set(0);
                continue;
            }
            let suspended = desk.force.set.policies.get(name).is_some_and(|spec| spec.suspend);
            self.policy(name, policy, suspended);
        }
        for key in desk.wrong.keys().filter(|key| key.kind == "BackupPolicy") {
            self.policy_ready.get_or_create(&OfPolicy { policy: key.name.clone() }).set(0);
        }
        for (name, location) in &desk.locations {
            if let Some(reached) = &location.reached {
                let of = OfLocation { location: name.clone() };
                self.available.get_or_create(&of).set(flag(reached.is_ok()));
            }
            for (policy, count) in &location.status.snapshots {
                let of = OfBoth { policy: policy.clone(), location: name.clone() };
                self.snapshots.get_or_create(&of).set(number(*count));
            }
            self.soundness(desk, name, location);
        }
    }

    /// When the snapshots of each policy at a location were known to be sound. What Git fetches is compared with its digests
    /// every time: a mirror is as sound as it could be reached.
    fn soundness(&self, desk: &Desk, name: &str, location: &Location) {
        let put = |policy: &str, moment: Timestamp| {
            let of = OfBoth { policy: policy.to_owned(), location: name.to_owned() };
            self.verified.get_or_create(&of).set(moment.as_second());
        };
        for (policy, last) in &location.status.verified {
            if let Some(sound) = last.sound {
                put(policy, sound);
            }
        }
        let is_mirror = desk.force.set.locations.get(name).is_some_and(|spec| spec.mirror.is_some());
        if let Some(reached) = location.status.last_reached.filter(|_| is_mirror) {
            let goes_there = |spec: &PolicySpec| spec.locations.iter().any(|one| one == name);
            let policies = desk.force.set.policies.iter().filter(|(_, spec)| goes_there(spec));
            policies.for_each(|(policy, _)| put(policy, reached));
        }
    }

    fn policy(&self, name: &str, policy: &Policy, suspended: bool) {
        let of = OfPolicy { policy: name.to_owned() };
        let put = |family: &Family<OfPolicy, Number>, value: i64| {
            family.get_or_create(&of).set(value);
        };
        let status = &policy.status;
        put(&self.policy_ready, 1);
        put(&self.policy_suspended, i64::from(suspended));
        put(&self.running, i64::from(status.running.is_some()));
        let missed = self.missed.get_or_create_owned(&of);
        // A counter of this process: what was missed before it led is in the status.
        let mut before = self.missed_before.lock().unwrap_or_else(PoisonError::into_inner);
        let base = *before.entry(name.to_owned()).or_insert(policy.missed_before);
        missed.inc_by(status.missed_runs.saturating_sub(base).saturating_sub(missed.get()));
        if let Some(next) = status.next_run {
            put(&self.next_run, next.as_second());
        }
        if let Some(last) = &status.last_run {
            put(&self.last_run, last.finished.as_second());
            put(&self.run_objects, number(last.objects));
            put(&self.run_bytes, number(last.bytes));
        }
        if let Some(last) = &status.last_complete {
            put(&self.last_complete, last.finished.as_second());
        }
        if let Some(period) = policy.period {
            put(&self.period, number(period.as_secs()));
        }
    }

    fn clear(&self) {
        let of_policies = [
            &self.policy_ready,
            &self.policy_suspended,
            &self.next_run,
            &self.last_run,
            &self.last_complete,
            &self.period,
            &self.running,
            &self.run_objects,
            &self.run_bytes,
        ];
        of_policies.into_iter().for_each(Family::clear);
        self.revision.clear();
        self.available.clear();
        self.snapshots.clear();
        self.verified.clear();
        self.figures.uncovered(None);
        self.repository_ready.set(0);
        self.repository_fetched.set(0);
    }
}
