//! Takes in what happened: the desk knows it afterwards, and people are told what they want to know.
//!
//! In: `Event` · Out: a changed `Desk`, `Action`s · Touches: nothing

use std::sync::Arc;

use jiff::Timestamp;

use super::desk::{AGAIN, CHECK, Desk, LIST, PRUNE, Recall};
use super::ended::{self, last_run};
use super::event::{Action, Event, Held, Listing, News, Tone, counts, newest};
use super::lease::{self, Seat};
use super::merge::{Merged, merge};
use super::resource::{Key, Resource};
use crate::domain::object::Json;
use crate::domain::snapshot::SnapshotRecord;
use crate::domain::status::{LastPrune, LastVerified, RepositoryStatus, whole};
use crate::engine::policy::repository::Repository;
use crate::engine::retry::after;
use crate::engine::seal::age::Identities;

/// Name of the view of the policy repository.
pub const REPOSITORY: &str = "policy";

/// Problems of a revision that are shown.
const SHOWN: usize = 20;

/// Takes in one event.
pub fn hear(desk: &mut Desk, event: Event, identities: &Identities, now: Timestamp) -> Vec<Action> {
    match event {
        Event::Led(seat) => led(desk, seat, now),
        Event::Fetched(fetched) => self::fetched(desk, fetched, identities, now),
        Event::Remembered(repository) => remembered(desk, repository, identities, now),
        Event::Listed(listed) => self::listed(desk, listed, identities, now),
        Event::Recalled(policy, records) => recalled(desk, &policy, &records, now),
        Event::Ran { policy, due, started, result } => {
            return ended::ran(desk, &policy, (due, started), result, now);
        }
        Event::Checked(location, reached) => return checked(desk, &location, reached, now),
        Event::Pruned(location, held) => return pruned(desk, &location, held, now),
        Event::Verified(location, record, found) => return verified(desk, &location, &record, found, now),
        Event::Looked(request, empty) => ended::looked(desk, &request, empty, now),
        Event::Restored(request, result) => return ended::restored(desk, &request, result, now),
        Event::Covered(found) => {
            let about = covers(desk);
            return desk.cover.ends(found, about, now).map(Action::announce).into_iter().collect();
        }
        Event::Written(key, json, result) => match result {
            Ok(()) => drop(desk.written.insert(key, Some(json))),
            Err(reason) => unwritten(desk, &key, &reason, now),
        },
        Event::Shown(key, json, result) => shown(desk, &key, json, result, now),
        Event::Notified(notice, Err(reason)) => {
            tracing::warn!(receiver = notice.receiver, "cannot tell of {}: {reason}", notice.news.reason);
        }
        Event::Notified(_, Ok(())) => {}
        Event::Announced(result) => {
            if let Err(reason) = result {
                tracing::warn!("cannot write an event: {reason}");
            }
        }
    }
    Vec::new()
}

/// Which document is told about what no policy covers: the repository, else the first policy.
fn covers(desk: &Desk) -> Option<Key> {
    let first = || desk.force.set.policies.keys().next().map(|name| Key::new("BackupPolicy", name));
    let repository = desk.repository_view.as_ref().map(|_| Key::new("PolicyRepository", REPOSITORY));
    repository.or_else(first)
}

/// A view stands as it should, or is gone.
fn shown(desk: &mut Desk, key: &Key, json: Option<Json>, result: Result<(), String>, now: Timestamp) {
    desk.showing.remove(key);
    if let Err(reason) = result {
        return unwritten(desk, key, &reason, now);
    }
    match (key.kind, json) {
        ("Snapshot", Some(json)) => drop(desk.shown.insert(key.name.clone(), json)),
        ("Snapshot", None) => drop(desk.shown.remove(&key.name)),
        // Everything else is seen with the next list.
        _ if desk.list_at.is_some() => desk.list_at = Some(now),
        _ => {}
    }
}

fn unwritten(desk: &mut Desk, key: &Key, reason: &str, now: Timestamp) {
    tracing::warn!("cannot write {key}: {reason}");
    desk.written.remove(key);
    desk.write_at = after(now, AGAIN);
}

fn led(desk: &mut Desk, seat: Result<Seat, String>, now: Timestamp) {
    desk.lead_at = Some(after(now, lease::PACE));
    match seat {
        Ok(Seat::Ours) => {
            if !desk.leads(now) {
                tracing::info!("this replica leads: {}", desk.settings.replica);
                desk.step_down(now);
            }
            desk.leads_until = Some(after(now, lease::TRUST));
            desk.leader.clone_from(&desk.settings.replica);
        }
        Ok(Seat::Taken(by)) => {
            if desk.leads(now) {
                tracing::warn!("{by} leads now");
            }
            desk.leads_until = None;
            desk.leader = by;
        }
        Err(reason) => tracing::warn!("cannot look who leads: {reason}"),
    }
}

fn fetched(desk: &mut Desk, fetched: Result<Repository, String>, identities: &Identities, now: Timestamp) {
    desk.git.fetch_at = Some(after(now, desk.settings.interval));
    let repository = match fetched {
        Ok(repository) => repository,
        Err(reason) => {
            tracing::warn!("cannot fetch the policy repository: {reason}");
            desk.git.unreachable = Some(reason);
            return;
        }
    };
    desk.git.unreachable = None;
    desk.git.fetched = Some(now);
    let view = desk.resource(&Key::new("PolicyRepository", REPOSITORY)).cloned();
    desk.git.handled = view.and_then(|view| view.requested).or(desk.git.handled.take());
    let same = desk.git.newest.as_ref().is_some_and(|newest| {
        newest.revision.is_some() && newest.revision == repository.revision
            || newest.files == repository.files
    });
    if same {
        return;
    }
    desk.git.newest = Some(Arc::new(repository));
    merge_anew(desk, identities, now);
}

/// The revision that was in force before this process began.
fn remembered(desk: &mut Desk, repository: Option<Repository>, identities: &Identities, now: Timestamp) {
    desk.git.remembered = None;
    if desk.git.good.is_none() {
        desk.git.good = repository.map(Arc::new);
        merge_anew(desk, identities, now);
    }
}

fn listed(desk: &mut Desk, listed: Result<Listing, String>, identities: &Identities, now: Timestamp) {
    desk.list_at = Some(after(now, LIST));
    let Listing { mut resources, served, snapshots } = match listed {
        Ok(listed) => listed,
        Err(reason) => return tracing::warn!("cannot list custom resources: {reason}"),
    };
    if !desk.settings.resources {
        resources.retain(|resource| resource.is_view);
    }
    desk.served = served;
    desk.shown.extend(snapshots);
    let wanted = |resources: &[Resource]| -> Vec<(Key, i64, bool, Option<String>)> {
        let one = |r: &Resource| (r.key.clone(), r.generation, r.is_view, r.requested.clone());
        resources.iter().map(one).collect()
    };
    let first = desk.resources.is_none();
    desk.forget_replaced(&resources);
    let changed = desk.resources.as_ref().is_none_or(|before| wanted(before) != wanted(&resources));
    desk.resources = Some(resources);
    if first {
        let view = desk.resource(&Key::new("PolicyRepository", REPOSITORY));
        let status =
            view.and_then(|view| serde_json::from_value::<RepositoryStatus>(view.status.clone()).ok());
        desk.git.remembered = status.and_then(|status| status.revision);
    }
    let asked =
        desk.resource(&Key::new("PolicyRepository", REPOSITORY)).and_then(|view| view.requested.clone());
    if asked.is_some() && asked != desk.git.handled && desk.git.fetch_at.is_some() {
        desk.git.fetch_at = Some(now);
    }
    if changed {
        merge_anew(desk, identities, now);
    }
}

/// Makes policy of what is known. Before the repository has answered for the first time nothing is in force.
fn merge_anew(desk: &mut Desk, identities: &Identities, now: Timestamp) {
    let Some(resources) = &desk.resources else { return };
    if desk.settings.git && desk.git.newest.is_none() {
        return;
    }
    let Merged { in_force, rejected, wrong } =
        merge(desk.git.newest.as_deref(), desk.git.good.as_deref(), resources, identities);
    desk.git.problems = rejected.iter().take(SHOWN).map(ToString::to_string).collect();
    for problem in &desk.git.problems {
        tracing::error!("the newest revision is not in force: {problem}");
    }
    let text = |problems: Vec<crate::domain::problem::Problem>| {
        problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect::<Vec<_>>()
            .join("; ")
    };
    desk.wrong = wrong.into_iter().map(|(key, problems)| (key, text(problems))).collect();
    if rejected.is_empty() {
        desk.git.good.clone_from(&desk.git.newest);
    }
    if let Some(force) = in_force {
        let revision = force.set.revision.clone().unwrap_or_default();
        tracing::info!(revision, policies = force.set.policies.len(), "policy is in force");
        desk.enforce(force, now);
    }
}

/// Earlier runs of a policy whose status says nothing.
fn recalled(desk: &mut Desk, name: &str, records: &[SnapshotRecord], now: Timestamp) {
    let Some(policy) = desk.policies.get_mut(name) else { return };
    policy.recall = Recall::Done;
    let (newest, complete) = newest(records);
    policy.status.last_run = newest.map(last_run);
    policy.status.last_complete = complete.map(last_run);
    policy.status.scheduled_since = Some(newest.map_or(now, |record| record.started.min(now)));
    policy.status.last_due = newest.map(|record| record.id.started().unwrap_or(record.started));
}

fn checked(desk: &mut Desk, name: &str, reached: Result<(), String>, now: Timestamp) -> Vec<Action> {
    let interval = desk.force.set.locations.get(name).and_then(|spec| spec.validation_interval);
    let Some(location) = desk.locations.get_mut(name) else { return Vec::new() };
    let pause = interval.map_or(CHECK, crate::domain::duration::Duration::as_std);
    location.check_at = (!pause.is_zero()).then(|| after(now, pause));
    if reached.is_ok() {
        location.status.last_reached = Some(whole(now));
    }
    let before = location.reached.replace(reached.clone());
    let about = Key::new("BackupLocation", name);
    match (before, reached) {
        (None | Some(Ok(())), Err(message)) => {
            vec![Action::announce(News {
                about,
                tone: Tone::Warning,
                reason: "LocationUnreachable",
                message,
            })]
        }
        (Some(Err(_)), Ok(())) => {
            let message = "the location can be reached again".to_owned();
            vec![Action::announce(News { about, tone: Tone::Normal, reason: "LocationReached", message })]
        }
        (None | Some(Ok(())), Ok(())) | (Some(Err(_)), Err(_)) => Vec::new(),
    }
}

fn pruned(desk: &mut Desk, name: &str, held: Result<Held, String>, now: Timestamp) -> Vec<Action> {
    let Some(location) = desk.locations.get_mut(name) else { return Vec::new() };
    let sooner = location.prune_at.take();
    location.prune_at = sooner.or(Some(after(now, PRUNE)));
    let about = Key::new("BackupLocation", name);
    let held = match held {
        Ok(held) => held,
        Err(message) => {
            return vec![Action::announce(News {
                about,
                tone: Tone::Warning,
                reason: "PruneFailed",
                message,
            })];
        }
    };
    location.status.snapshots = counts(&held.records);
    location.status.verified.retain(|policy, _| location.status.snapshots.contains_key(policy));
    location.records = Arc::new(held.records);
    location.listed = true;
    let Some(report) = held.pruned.filter(|report| !report.deleted.is_empty() || !report.failed.is_empty())
    else {
        return Vec::new();
    };
    let message =
        report.failed.first().map(|(what, why)| format!("{}: {why}", what.snapshot)).unwrap_or_default();
    location.status.last_prune = Some(LastPrune {
        finished: whole(now),
        deleted: report.deleted.len() as u64,
        failed: report.failed.len() as u64,
        message: message.clone(),
    });
    if report.failed.is_empty() {
        let message = format!("{} snapshots that no rule keeps were deleted", report.deleted.len());
        vec![Action::announce(News { about, tone: Tone::Normal, reason: "Pruned", message })]
    } else {
        vec![Action::announce(News { about, tone: Tone::Warning, reason: "PruneFailed", message })]
    }
}

/// A snapshot was read back.
fn verified(
    desk: &mut Desk,
    name: &str,
    record: &SnapshotRecord,
    found: Result<Vec<String>, String>,
    now: Timestamp,
) -> Vec<Action> {
    let Some(location) = desk.locations.get_mut(name) else { return Vec::new() };
    let findings = match found {
        Ok(findings) => findings,
        Err(reason) => {
            tracing::warn!(location = name, "cannot verify {}: {reason}", record.id);
            location.verify_at = Some(after(now, AGAIN));
            return Vec::new();
        }
    };
    location.verify_at = Some(now);
    let before = location.status.verified.get(&record.policy.name).and_then(|last| last.sound);
    let sound = if findings.is_empty() { Some(whole(now)) } else { before };
    let message = findings.join("; ");
    let last =
        LastVerified { snapshot: record.id.clone(), finished: whole(now), sound, message: message.clone() };
    location.status.verified.insert(record.policy.name.clone(), last);
    if findings.is_empty() {
        return Vec::new();
    }
    let about = Key::new("BackupLocation", name);
    let message = format!("snapshot {} is damaged: {message}", record.id);
    vec![Action::announce(News { about, tone: Tone::Warning, reason: "VerifyFailed", message })]
}
