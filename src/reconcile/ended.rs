//! Takes in how runs and restores ended.
//!
//! In: `Ran`, `Restored` · Out: a changed `Desk`, `Action`s · Touches: nothing

use jiff::Timestamp;

use super::desk::{AGAIN, Desk, PRUNE_PAUSE};
use super::event::{Action, News, Ran, Restored, Tone};
use super::resource::Key;
use crate::domain::report::{BackupReport, KindResult, Outcome};
use crate::domain::snapshot::SnapshotRecord;
use crate::domain::status::{LastRun, short, whole};
use crate::engine::retry::after;

/// Letters of a message in a status.
const MESSAGE: usize = 1_000;

/// A run has ended.
pub fn ran(
    desk: &mut Desk,
    name: &str,
    (due, started): (Option<Timestamp>, Timestamp),
    result: Ran,
    now: Timestamp,
) -> Vec<Action> {
    let draining = desk.draining;
    let Some(policy) = desk.policies.get_mut(name) else { return Vec::new() };
    let run = policy.run.take();
    if let (true, Ran::Nothing(reason)) = (draining, &result) {
        // The process ends. What is written down of the run makes the next leader go on with it.
        tracing::info!(policy = name, "the run is left to the next leader: {reason}");
        return Vec::new();
    }
    policy.status.running = None;
    let replaced = run.as_ref().is_some_and(|run| run.stopping);
    if let Some(request) = run.and_then(|run| run.request) {
        policy.status.last_handled_request = Some(request);
    }
    let last = match result {
        Ran::Report(report) => LastRun { due, ..of_report(&report) },
        Ran::Made(record) => {
            LastRun { due, message: "another replica has made it".into(), ..last_run(&record) }
        }
        Ran::Nothing(message) => LastRun {
            snapshot: None,
            due,
            started: whole(started),
            finished: whole(now),
            outcome: Outcome::Failed,
            objects: 0,
            bytes: 0,
            message: if replaced { format!("it was replaced by the next one: {message}") } else { message },
        },
    };
    let news = told(name, &last);
    if last.outcome == Outcome::Complete {
        policy.status.last_complete = Some(last.clone());
    }
    tracing::info!(policy = name, outcome = ?last.outcome, objects = last.objects, bytes = last.bytes, "{}", news.message);
    policy.status.last_run = Some(last);
    let force = desk.force.clone();
    if !force.set.policies.contains_key(name) {
        // It left the repository while it ran.
        desk.policies.remove(name);
        return vec![Action::announce(news)];
    }
    for location in force.set.policies.get(name).iter().flat_map(|spec| &spec.locations) {
        if let Some(location) = desk.locations.get_mut(location) {
            let soon = after(now, PRUNE_PAUSE);
            location.prune_at = location.prune_at.map(|moment| moment.min(soon)).or(Some(soon));
        }
    }
    vec![Action::announce(news)]
}

fn told(name: &str, last: &LastRun) -> News {
    let about = Key::new("BackupPolicy", name);
    let what = last
        .snapshot
        .as_ref()
        .map_or_else(|| "no snapshot was made".to_owned(), |id| format!("snapshot {id}"));
    let (tone, reason) = match last.outcome {
        Outcome::Complete => (Tone::Normal, "BackupComplete"),
        Outcome::Partial => (Tone::Warning, "BackupPartial"),
        Outcome::Failed => (Tone::Warning, "BackupFailed"),
    };
    let message = match last.message.as_str() {
        "" => format!("{what}, {} objects", last.objects),
        message => format!("{what}: {message}"),
    };
    News { about, tone, reason, message }
}

/// A run as its report tells; the message says what is missing, without names of objects.
fn of_report(report: &BackupReport) -> LastRun {
    let locations = report.locations.iter().filter(|location| location.outcome != Outcome::Complete);
    let mut missing: Vec<String> =
        locations.map(|one| format!("location {}: {}", one.location, one.detail)).collect();
    for kind in &report.kinds {
        if let KindResult::Failed { reason } = &kind.result {
            missing.push(format!("{}: {reason}", kind.resource));
        }
    }
    missing.extend(report.undiscovered.iter().map(|(group, reason)| format!("{group}: {reason}")));
    let hooks = report.hooks.iter().filter(|hook| hook.outcome.spoils());
    missing.extend(hooks.map(|hook| format!("hook {}: {:?}", hook.name, hook.outcome)));
    LastRun {
        snapshot: (report.outcome != Outcome::Failed).then(|| report.snapshot.clone()),
        due: None,
        started: whole(report.started),
        finished: whole(report.finished),
        outcome: report.outcome,
        objects: report.objects,
        bytes: report.locations.iter().map(|location| location.bytes).sum(),
        message: short(&missing.join("; "), MESSAGE),
    }
}

/// A run as its record tells.
pub fn last_run(record: &SnapshotRecord) -> LastRun {
    let files = record.parts.iter().chain([&record.index, &record.report]);
    LastRun {
        snapshot: Some(record.id.clone()),
        due: None,
        started: whole(record.started),
        finished: whole(record.finished),
        outcome: record.outcome,
        objects: record.objects,
        bytes: files.map(|file| file.bytes).sum(),
        message: String::new(),
    }
}

/// Whether the cluster was empty when a request was first seen.
pub fn looked(desk: &mut Desk, name: &str, empty: Result<bool, String>, now: Timestamp) {
    let Some(restore) = desk.restores.get_mut(name) else { return };
    restore.busy = false;
    match empty {
        Ok(empty) => {
            restore.status.cluster_was_empty = Some(empty);
            restore.failed = None;
        }
        Err(reason) => {
            restore.failed = Some(reason);
            restore.try_at = Some(after(now, AGAIN));
        }
    }
}

/// A request was carried out, or not.
pub fn restored(
    desk: &mut Desk,
    name: &str,
    result: Result<Restored, String>,
    now: Timestamp,
) -> Vec<Action> {
    let Some(restore) = desk.restores.get_mut(name) else { return Vec::new() };
    restore.busy = false;
    restore.stop = None;
    let about = Key::new("RestoreRequest", name);
    let (outcome, source) = match result {
        Ok(Restored::Now(report)) => (report.outcome, report.source.clone()),
        Ok(Restored::Before(run)) => (run.outcome.unwrap_or(Outcome::Failed), run.source.clone()),
        Err(message) => {
            tracing::warn!(request = name, "cannot restore: {message}");
            let news = News { about, tone: Tone::Warning, reason: "RestoreFailed", message: message.clone() };
            let told = restore.failed.as_ref() == Some(&message);
            restore.failed = Some(message);
            restore.failures += 1;
            restore.try_at = Some(after(now, AGAIN));
            return if told { Vec::new() } else { vec![Action::announce(news)] };
        }
    };
    restore.failed = None;
    restore.status.finished = Some(whole(now));
    restore.status.outcome = Some(outcome);
    let message = format!("restored from {source}");
    restore.status.source = source;
    let (tone, reason) = match outcome {
        Outcome::Complete => (Tone::Normal, "RestoreComplete"),
        Outcome::Partial => (Tone::Warning, "RestorePartial"),
        Outcome::Failed => (Tone::Warning, "RestoreFailed"),
    };
    tracing::info!(request = name, outcome = ?outcome, "{message}");
    vec![Action::announce(News { about, tone, reason, message })]
}
