//! Decides what is to be done now, and when to look again. Changes the desk only in what it has decided.
//!
//! In: `Desk`, now · Out: `Action`s, a moment · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::desk::{Desk, Fallback, LIST, Location, Policy, Recall, Restore, Run, VERIFY};
use super::due::Verdict;
use super::event::{Action, News, Tone, Views};
use super::lease;
use super::resource::{Key, REPOSITORY};
use crate::domain::policy::PolicySpec;
use crate::domain::report::Outcome;
use crate::domain::restore_request::RestoreWhen;
use crate::domain::schedule::ConcurrencyPolicy;
use crate::domain::snapshot::SnapshotRecord;
use crate::domain::status::{Running, whole};
use crate::engine::archive::owner::Name;
use crate::engine::retry::after;
use crate::work::stop::Stop;

/// After so many attempts at a restore that came to nothing, schedules start without it.
const PATIENCE: u32 = 20;

/// How often it is looked whether there is something to verify.
const VERIFY_LOOK: Duration = Duration::from_secs(30);

/// How old a run may be that another replica has left behind.
const LEFT: Duration = Duration::from_hours(24);

/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Everything that is due. Marks it as begun.
pub fn next(desk: &mut Desk, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    if take(&mut desk.lead_at, now, Some(lease::PACE)) {
        actions.push(Action::Lead);
    }
    if !desk.leads(now) {
        return actions;
    }
    if take(&mut desk.list_at, now, Some(LIST)) {
        let views = if desk.resources.is_none() { Views::Listed } else { Views::Known };
        actions.push(Action::List(views));
    }
    if desk.resources.is_some() && take(&mut desk.git.fetch_at, now, None) {
        let view = desk.resource(&Key::new("PolicyRepository", REPOSITORY));
        desk.git.asked = view.and_then(|view| view.requested.clone());
        actions.push(Action::Fetch(None));
    }
    let broken = desk.git.good.is_none() && !desk.git.problems.is_empty();
    let refused = desk.git.newest.is_none() && desk.git.unreachable.is_some() && !desk.git.is_as_remembered();
    if broken || desk.git.doubted || refused && desk.settings.fallback != Fallback::Views {
        // The newest revision was no good before this process began: the one that was in force stays so.
        if take(&mut desk.git.recall_at, now, None) {
            actions.extend(desk.git.remembered.clone().map(|revision| Action::Fetch(Some(revision))));
        }
    }
    if !desk.is_ready() || desk.draining {
        return actions;
    }
    actions.extend(locations(desk, now));
    if desk.cover.begins(now) {
        actions.push(Action::Cover);
    }
    actions.extend(restores(desk, now));
    actions.extend(policies(desk, now));
    actions
}

/// How long to wait before looking again: a tick, because news may come from anywhere.
pub fn pause(desk: &Desk, now: Timestamp) -> Duration {
    let starts = desk.policies.values().filter_map(|policy| policy.status.next_run);
    let soonest = starts.chain(desk.lead_at).filter(|moment| *moment > now).min();
    let until = soonest.map_or(LOOK, |moment| moment.duration_since(now).unsigned_abs());
    until.clamp(Duration::from_millis(10), LOOK)
}

/// Whether a moment has come; it is taken then. One that lies further ahead than it ever does means that the clock went back.
fn take(moment: &mut Option<Timestamp>, now: Timestamp, most: Option<Duration>) -> bool {
    let ahead = |moment: Timestamp| most.is_some_and(|most| moment > after(now, most));
    let due = moment.is_some_and(|moment| moment <= now || ahead(moment));
    if due {
        *moment = None;
    }
    due
}

fn locations(desk: &mut Desk, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for (name, location) in &mut desk.locations {
        if take(&mut location.check_at, now, None) {
            actions.push(Action::Check(name.clone()));
        }
        if location.verify_at.is_some_and(|moment| moment <= now) {
            location.verify_at = Some(after(now, VERIFY_LOOK));
            if let Some(record) = unverified(location, now) {
                location.verify_at = None;
                actions.push(Action::Verify(name.clone(), Box::new(record)));
            }
        }
        let archive = desk.force.set.locations.get(name).is_some_and(|spec| spec.archive.is_some());
        if archive && take(&mut location.prune_at, now, None) {
            actions.push(Action::Prune(name.clone()));
        }
    }
    actions
}

/// A newest Complete snapshot that was not read back for a day: one at a time, so that backups have the line for themselves.
fn unverified(location: &Location, now: Timestamp) -> Option<SnapshotRecord> {
    let mut newest: BTreeMap<&str, &SnapshotRecord> = BTreeMap::new();
    for record in location.records.iter().filter(|record| record.outcome == Outcome::Complete) {
        newest.insert(&record.policy.name, record);
    }
    let stale = |policy: &str| {
        let last = location.status.verified.get(policy);
        last.is_none_or(|last| now >= after(last.finished, VERIFY))
    };
    newest.into_iter().find(|(policy, _)| stale(policy)).map(|(_, record)| record.clone())
}

/// Requests that nobody has to type, once for each token.
fn restores(desk: &mut Desk, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    if !desk.settings.restores {
        return actions;
    }
    let force = desk.force.clone();
    let written: BTreeSet<String> =
        desk.restores.keys().filter(|name| desk.says_empty(name)).cloned().collect();
    let durable = |name: &String| written.contains(name);
    for (name, restore) in &mut desk.restores {
        let Some(spec) = force.set.restores.get(name) else { continue };
        if spec.when == RestoreWhen::Manual
            || restore.busy
            || restore.try_at.is_some_and(|moment| moment > now)
        {
            continue;
        }
        if restore.status.token != spec.token {
            restore.status.token.clone_from(&spec.token);
            (restore.status.finished, restore.status.outcome, restore.status.cluster_was_empty) =
                (None, None, None);
            restore.status.source = String::new();
        }
        if restore.status.finished.is_some() {
            continue;
        }
        match (spec.when, restore.status.cluster_was_empty) {
            (RestoreWhen::EmptyCluster, None) => actions.push(Action::Look(name.clone())),
            (RestoreWhen::EmptyCluster, Some(false)) | (RestoreWhen::Manual, _) => continue,
            // Whoever follows has to know it: it would find the cluster half restored.
            (RestoreWhen::EmptyCluster, Some(true)) if !durable(name) => continue,
            (RestoreWhen::EmptyCluster, Some(true)) | (RestoreWhen::Always, _) => {
                let (asks, stop) = Stop::pair();
                restore.stop = Some(asks);
                actions.push(Action::Restore(name.clone(), stop));
            }
        }
        restore.busy = true;
    }
    actions
}

/// Whether a cluster that is empty has yet to be filled: until then nothing of it is saved.
pub fn is_bootstrapping(desk: &Desk) -> bool {
    let waits = |(name, restore): (&String, &Restore)| {
        let Some(spec) = desk.force.set.restores.get(name) else { return false };
        let decided = spec.token == restore.status.token
            && (restore.status.finished.is_some() || restore.status.cluster_was_empty == Some(false));
        spec.when == RestoreWhen::EmptyCluster && !decided && restore.failures < PATIENCE
    };
    desk.settings.restores && desk.restores.iter().any(waits)
}

fn policies(desk: &mut Desk, now: Timestamp) -> Vec<Action> {
    let bootstrapping = is_bootstrapping(desk);
    let name = name_of(desk);
    let force = desk.force.clone();
    let mut busy = desk.policies.values().filter(|policy| policy.run.is_some()).count();
    let mut actions = Vec::new();
    for (policy_name, policy) in &mut desk.policies {
        let Some(spec) = force.set.policies.get(policy_name) else { continue };
        match policy.recall {
            Recall::Needed if policy.recall_at.is_some_and(|moment| moment > now) => continue,
            Recall::Needed => {
                policy.recall = Recall::Asked;
                actions.push(Action::Recall(policy_name.clone()));
                continue;
            }
            Recall::Asked => continue,
            Recall::Done => {}
        }
        let (start, missed) = decide(policy, spec, now);
        if let Some(message) = missed {
            let about = Key::new("BackupPolicy", policy_name);
            actions.push(Action::announce(News { about, tone: Tone::Warning, reason: "RunMissed", message }));
        }
        let Some(start) =
            start.filter(|_| policy.run.is_none() && !bootstrapping && busy < desk.settings.runs)
        else {
            continue;
        };
        busy += 1;
        let stop = begin(policy, &start, &desk.settings.replica, now);
        actions.push(Action::Run { policy: policy_name.clone(), due: start.due, name, stop });
    }
    actions
}

/// A run that could start.
struct Start {
    due: Option<Timestamp>,
    missed: u64,
    request: Option<String>,
}

/// What a policy is to do; and what people should know of runs that it missed.
fn decide(policy: &mut Policy, spec: &PolicySpec, now: Timestamp) -> (Option<Start>, Option<String>) {
    let verdict =
        policy.timing.as_ref().map_or(Verdict::Wait(None), |timing| timing.decide(policy.memory(now), now));
    policy.status.next_run =
        policy.timing.as_ref().filter(|_| !spec.suspend).and_then(|timing| match verdict {
            Verdict::Wait(until) => until,
            Verdict::Run { due, .. } if policy.run.is_none() => Some(timing.start(due)),
            Verdict::Run { .. } | Verdict::Pass { .. } => timing.next(now),
        });
    if let Some(due) = left_behind(policy, now) {
        return (Some(Start { due: Some(due), missed: 0, request: None }), None);
    }
    match verdict {
        Verdict::Run { due, missed } if policy.run.is_some() => {
            overlap(policy, spec.concurrency_policy, due, missed)
        }
        Verdict::Run { due, missed } => (Some(Start { due: Some(due), missed, request: None }), None),
        Verdict::Pass { due, missed } => {
            policy.status.last_due = Some(due);
            policy.status.missed_runs += missed;
            let late = format!(
                "{missed} due times passed without a run, the last one at {due}: it was too late to start"
            );
            (None, (missed > 0).then_some(late))
        }
        Verdict::Wait(_) => {
            let handled = policy.status.last_handled_request.as_ref();
            let asked = policy.requested.clone().filter(|request| handled != Some(request));
            (asked.map(|request| Start { due: None, missed: 0, request: Some(request) }), None)
        }
    }
}

/// A run that another replica has left behind goes on here, under the same name, if it is of today. One on request is asked for
/// by its annotation anyway.
fn left_behind(policy: &mut Policy, now: Timestamp) -> Option<Timestamp> {
    if policy.run.is_some() {
        return None;
    }
    let due = policy.status.running.as_ref()?.due.filter(|due| now < after(*due, LEFT));
    if due.is_none() {
        policy.status.running = None;
    }
    due
}

/// A run is due while another is at work.
fn overlap(
    policy: &mut Policy,
    rule: ConcurrencyPolicy,
    due: Timestamp,
    missed: u64,
) -> (Option<Start>, Option<String>) {
    match rule {
        ConcurrencyPolicy::Forbid => {
            policy.status.last_due = Some(due);
            policy.status.missed_runs += missed + 1;
            (None, Some(format!("the run that was due at {due} was left out: another run is not finished")))
        }
        ConcurrencyPolicy::Replace => {
            if let Some(run) = policy.run.as_mut().filter(|run| !run.stopping) {
                run.stopping = true;
                run.stop.send(true).ok();
            }
            (None, None)
        }
    }
}

fn begin(policy: &mut Policy, start: &Start, replica: &str, now: Timestamp) -> Stop {
    let (asks, stop) = Stop::pair();
    if let Some(due) = start.due {
        policy.status.last_due = policy.status.last_due.max(Some(due));
        policy.status.missed_runs += start.missed;
        policy.status.next_run = policy.timing.as_ref().and_then(|timing| timing.next(now));
    }
    policy.status.running = Some(Running { due: start.due, started: whole(now), by: replica.to_owned() });
    policy.run = Some(Run { request: start.request.clone(), stop: asks, stopping: false });
    stop
}

/// A cluster that was restored by its repository stands in the place of the one that it was restored from.
fn name_of(desk: &Desk) -> Name {
    let ours = |name: &str| {
        let from = desk.force.set.restores.get(name).map(|spec| &spec.from);
        from.is_some_and(|from| from.cluster.as_ref().is_none_or(|cluster| *cluster == desk.settings.cluster))
    };
    let restores = desk.restores.iter().filter(|(name, _)| ours(name)).map(|(_, restore)| &restore.status);
    let made = restores.filter(|status| {
        status.cluster_was_empty == Some(true)
            && status.outcome.is_some_and(|outcome| outcome != Outcome::Failed)
    });
    made.filter_map(|status| status.finished).max().map_or(Name::Respect, Name::TakeOver)
}

#[cfg(test)]
mod tests;
