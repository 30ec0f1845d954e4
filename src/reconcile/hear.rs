//! Takes in what happened: the desk knows it afterwards, and people are told what they want to know.
//!
//! In: `Event` · Out: a changed `Desk`, `Action`s · Touches: nothing

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::desk::{AGAIN, CHECK, Desk, PRUNE, Recall};
use super::ended::{self, last_run};
use super::event::{Action, Event, Held, News, Tone, counts, newest};
use super::learn;
use super::lease::{self, Seat};
use super::resource::{Key, REPOSITORY};
use crate::domain::object::Json;
use crate::domain::snapshot::SnapshotRecord;
use crate::domain::status::{LastPrune, LastVerified, whole};
use crate::engine::retry::after;
use crate::engine::seal::age::Identities;

/// How soon a list may follow another one.
const SOON: Duration = Duration::from_secs(1);

/// Takes in one event.
pub fn hear(desk: &mut Desk, event: Event, identities: &Identities, now: Timestamp) -> Vec<Action> {
    match event {
        Event::Led(asked, seat) => led(desk, (asked, seat), now),
        Event::Fetched(fetched) => learn::fetched(desk, fetched, identities, now),
        Event::Remembered(repository) => learn::remembered(desk, repository, identities, now),
        Event::Listed(listed) => learn::listed(desk, listed, identities, now),
        Event::Recalled(policy, records) => recalled(desk, &policy, records, now),
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
    if let Err(reason) = result {
        desk.showing.remove(key);
        return unwritten(desk, key, &reason, now);
    }
    match (key.kind, json) {
        ("Snapshot", Some(json)) => drop(desk.shown.insert(key.name.clone(), json)),
        ("Snapshot", None) => drop(desk.shown.remove(&key.name)),
        // Everything else is seen with the next list, which is soon, but never at once: somebody may fight for a view.
        _ => {
            desk.list_at = desk.list_at.map(|moment| moment.min(after(now, SOON)));
            return;
        }
    }
    desk.showing.remove(key);
}

fn unwritten(desk: &mut Desk, key: &Key, reason: &str, now: Timestamp) {
    tracing::warn!("cannot write {key}: {reason}");
    desk.written.remove(key);
    desk.again.insert(key.clone(), after(now, AGAIN));
}

fn led(desk: &mut Desk, (asked, seat): (Timestamp, Result<Seat, String>), now: Timestamp) {
    desk.lead_at = Some(after(now, lease::PACE));
    match seat {
        Ok(Seat::Ours) => {
            if !desk.leads(now) {
                tracing::info!("this replica leads: {}", desk.settings.replica);
                desk.step_down(now);
            }
            // Sure from when it was asked for, not from when the answer was heard.
            desk.leads_until = Some(after(asked, lease::TRUST));
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

/// Earlier runs of a policy whose status says nothing.
fn recalled(desk: &mut Desk, name: &str, records: Result<Vec<SnapshotRecord>, String>, now: Timestamp) {
    let Some(policy) = desk.policies.get_mut(name) else { return };
    let records = match records {
        Ok(records) => records,
        Err(reason) => {
            tracing::warn!(policy = name, "cannot look for earlier snapshots: {reason}");
            policy.recall = Recall::Needed;
            policy.recall_at = Some(after(now, AGAIN));
            return;
        }
    };
    policy.recall = Recall::Done;
    let (newest, complete) = newest(&records);
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
        (None, Ok(())) => {
            let message = "the location can be reached".to_owned();
            vec![Action::announce(News { about, tone: Tone::Quiet, reason: "LocationReached", message })]
        }
        (Some(Ok(())), Ok(())) | (Some(Err(_)), Err(_)) => Vec::new(),
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
            location.prunes = Some(false);
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
    let before = location.prunes.replace(held.pruned.as_ref().is_none_or(|report| report.failed.is_empty()));
    let Some(report) = held.pruned.filter(|report| !report.deleted.is_empty() || !report.failed.is_empty())
    else {
        if before == Some(true) {
            return Vec::new();
        }
        let message = "there is nothing left to delete".to_owned();
        return vec![Action::announce(News { about, tone: Tone::Quiet, reason: "Pruned", message })];
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
    if !location.records.iter().any(|one| one.id == record.id) {
        // It was deleted while it was read.
        location.verify_at = Some(now);
        return Vec::new();
    }
    let findings = match found {
        Ok(findings) => findings,
        Err(reason) => {
            tracing::warn!(location = name, "cannot verify {}: {reason}", record.id);
            location.verify_at = Some(after(now, AGAIN));
            return Vec::new();
        }
    };
    location.verify_at = Some(now);
    let before = location.status.verified.remove(&record.policy.name);
    let (sound, sound_snapshot) = if findings.is_empty() {
        (Some(whole(now)), Some(record.id.clone()))
    } else {
        before.map(|last| (last.sound, last.sound_snapshot)).unwrap_or_default()
    };
    let message = findings.join("; ");
    let (snapshot, finished) = (record.id.clone(), whole(now));
    let last = LastVerified { snapshot, finished, sound, sound_snapshot, message: message.clone() };
    location.status.verified.insert(record.policy.name.clone(), last);
    if findings.is_empty() {
        return Vec::new();
    }
    let about = Key::new("BackupLocation", name);
    let message = format!("snapshot {} is damaged: {message}", record.id);
    vec![Action::announce(News { about, tone: Tone::Warning, reason: "VerifyFailed", message })]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::keep::prune::PruneReport;
    use crate::reconcile::event::Telling;
    use crate::reconcile::learn::tests::signed;

    fn told(desk: &mut Desk, event: Event) -> Vec<(Tone, &'static str)> {
        let now = "2026-11-27T10:00:00Z".parse().unwrap();
        let news = |action: Action| match action {
            Action::Tell(Telling::Announce(news)) => Some((news.tone, news.reason)),
            _ => None,
        };
        hear(desk, event, &Identities::default(), now).into_iter().filter_map(news).collect()
    }

    fn reached(desk: &mut Desk, reached: Result<(), String>) -> Vec<(Tone, &'static str)> {
        told(desk, Event::Checked("vault".into(), reached))
    }

    fn pruned(desk: &mut Desk, held: Result<Held, String>) -> Vec<(Tone, &'static str)> {
        told(desk, Event::Pruned("vault".into(), held))
    }

    #[test]
    fn the_first_good_look_ends_what_was_told_by_another_process_or_of_another_place() {
        let mut desk = signed();
        assert_eq!(reached(&mut desk, Ok(())), [(Tone::Quiet, "LocationReached")]);
        assert_eq!(reached(&mut desk, Ok(())), []);
        assert_eq!(reached(&mut desk, Err("refused".into())), [(Tone::Warning, "LocationUnreachable")]);
        assert_eq!(reached(&mut desk, Ok(())), [(Tone::Normal, "LocationReached")]);
    }

    #[test]
    fn a_prune_that_works_again_ends_one_that_did_not() {
        let held = || Held { records: Vec::new(), pruned: Some(PruneReport::default()) };
        let mut desk = signed();
        assert_eq!(pruned(&mut desk, Ok(held())), [(Tone::Quiet, "Pruned")]);
        assert_eq!(pruned(&mut desk, Ok(held())), []);
        assert_eq!(pruned(&mut desk, Err("no answer".into())), [(Tone::Warning, "PruneFailed")]);
        assert_eq!(pruned(&mut desk, Ok(held())), [(Tone::Quiet, "Pruned")]);
    }
}
