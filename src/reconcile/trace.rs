//! Tells what was done, and how long it took: one span for each action that people ask about.
//!
//! In: `Action`, `Event` · Out: `Span` · Touches: through `App`

use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use jiff::Timestamp;

use super::act::{Hands, act};
use super::desk::Source;
use super::event::{Action, Event, Held, Ran, Restored, Unfetched};
use super::under::Under;
use crate::domain::report::{BackupReport, Outcome, RestoreReport};
use crate::engine::policy::repository::Repository;
use crate::ports::clock::Clock;
use crate::ports::trace::{Span, Traces, Value};

/// The longest text of an attribute, and of a reason.
const TEXT: usize = 256;
const REASON: usize = 512;

/// What an action is about.
type Attributes = Vec<(&'static str, Value)>;

/// Carries an action out, and tells of it if somebody follows.
pub fn traced(hands: &Hands, under: Under, action: Action) -> LocalBoxFuture<'static, Event> {
    let Some(traces) = hands.app.traces.clone() else { return act(hands, under, action) };
    let Some((name, attributes)) = begun(&action) else { return act(hands, under, action) };
    let clock = hands.app.clock.clone();
    let open = Open { traces, began: clock.now(), clock, name, attributes };
    let acting = act(hands, under, action);
    async move {
        let event = acting.await;
        open.end(&event);
        event
    }
    .boxed_local()
}

/// Tells of a revision that was taken in, with what is wrong with it.
pub fn loaded(hands: &Hands, began: Timestamp, git: &Source) {
    let (Some(traces), Some(newest)) = (&hands.app.traces, &git.newest) else { return };
    let problems = git.problems.len();
    let (outcome, failure) = match problems {
        0 => (Outcome::Complete, None),
        _ => (Outcome::Failed, Some(format!("{problems} problems: nothing of it is in force"))),
    };
    let mut attributes = revision(newest);
    attributes.push(("backstay.problems", Value::Number(problems as u64)));
    attributes.push(ended_as(outcome));
    let ended = hands.app.clock.now();
    traces.tell(Span { name: "policy load", began, ended, attributes, failure });
}

/// An action at work. One that is given up is told as well, when it is dropped.
struct Open {
    traces: Arc<dyn Traces>,
    clock: Arc<dyn Clock>,
    began: Timestamp,
    name: &'static str,
    attributes: Attributes,
}

impl Open {
    fn end(mut self, event: &Event) {
        let (attributes, failure) = came(event);
        self.attributes.extend(attributes);
        self.tell(failure);
    }

    /// Without a name, it is told already.
    fn tell(&mut self, failure: Option<String>) {
        let name = std::mem::take(&mut self.name);
        if name.is_empty() {
            return;
        }
        let attributes = std::mem::take(&mut self.attributes);
        let failure = failure.map(|why| short(&why, REASON));
        self.traces.tell(Span { name, began: self.began, ended: self.clock.now(), attributes, failure });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.attributes.push(text("backstay.outcome", "GivenUp"));
        self.tell(Some("it was given up before its end".to_owned()));
    }
}

/// What an action is called and about; `None` for those that nobody asks about.
fn begun(action: &Action) -> Option<(&'static str, Attributes)> {
    Some(match action {
        Action::Fetch(None) => ("policy fetch", Vec::new()),
        Action::Fetch(Some(revision)) => ("policy fetch", vec![text("backstay.revision", revision)]),
        Action::Run { policy, due, name: _, stop: _ } => {
            let due = due.map(|due| text("backstay.due", &due.to_string()));
            ("backup", [text("backstay.policy", policy)].into_iter().chain(due).collect())
        }
        Action::Prune(location) => ("prune", vec![text("backstay.location", location)]),
        Action::Verify(location, record) => {
            let policy = text("backstay.policy", &record.policy.name);
            ("read back", vec![text("backstay.location", location), policy, run(record.id.as_str())])
        }
        Action::Restore(request, _) => ("restore", vec![text("backstay.request", request)]),
        Action::Lead
        | Action::List(_)
        | Action::Recall(_)
        | Action::Check(_)
        | Action::Look(_)
        | Action::Cover
        | Action::Tell(_) => return None,
    })
}

/// What came of it, and why it did not go well.
fn came(event: &Event) -> (Attributes, Option<String>) {
    match event {
        Event::Fetched(Ok(repository)) | Event::Remembered(Ok(repository)) => {
            let mut attributes = revision(repository);
            attributes.push(ended_as(Outcome::Complete));
            (attributes, None)
        }
        Event::Ran { result: Ran::Report(report), .. } => backed_up(report),
        Event::Ran { result: Ran::Made(record), .. } => {
            (vec![run(record.id.as_str()), text("backstay.outcome", "MadeByAnother")], None)
        }
        Event::Pruned(_, Ok(held)) => pruned(held),
        Event::Verified(_, _, Ok(damaged)) if damaged.is_empty() => (vec![ended_as(Outcome::Complete)], None),
        Event::Verified(_, _, Ok(damaged)) => {
            (vec![ended_as(Outcome::Failed)], Some(format!("{} places are damaged", damaged.len())))
        }
        Event::Restored(_, Ok(Restored::Before(before))) => (
            vec![text("backstay.source", &before.source), text("backstay.outcome", "CarriedOutBefore")],
            None,
        ),
        Event::Restored(_, Ok(Restored::Now(report))) => restored(report),
        Event::Ran { result: Ran::Nothing(why), .. }
        | Event::Fetched(Err(Unfetched { why, .. }))
        | Event::Remembered(Err(Unfetched { why, .. }))
        | Event::Pruned(_, Err(why))
        | Event::Verified(_, _, Err(why))
        | Event::Restored(_, Err(why)) => (vec![ended_as(Outcome::Failed)], Some(why.clone())),
        Event::Led(..)
        | Event::Listed(_)
        | Event::Recalled(..)
        | Event::Checked(..)
        | Event::Looked(..)
        | Event::Covered(_)
        | Event::Written(..)
        | Event::Shown(..)
        | Event::Announced(_)
        | Event::Notified(..) => (Vec::new(), None),
    }
}

fn backed_up(report: &BackupReport) -> (Attributes, Option<String>) {
    let locations =
        report.locations.iter().map(|one| short(&format!("{} {:?}", one.location, one.outcome), TEXT));
    let bytes = report.locations.iter().map(|one| one.bytes).sum();
    let attributes = vec![
        run(report.snapshot.as_str()),
        ("backstay.locations", Value::Texts(locations.collect())),
        ("backstay.objects", Value::Number(report.objects)),
        ("backstay.bytes", Value::Number(bytes)),
        ended_as(report.outcome),
    ];
    (attributes, lacks(report.outcome))
}

fn pruned(held: &Held) -> (Attributes, Option<String>) {
    let (deleted, failed) =
        held.pruned.as_ref().map_or((0, 0), |report| (report.deleted.len(), report.failed.len()));
    let outcome = if failed == 0 { Outcome::Complete } else { Outcome::Partial };
    let attributes = vec![
        ("backstay.snapshots", Value::Number(held.records.len() as u64)),
        ("backstay.deleted", Value::Number(deleted as u64)),
        ended_as(outcome),
    ];
    (attributes, (failed > 0).then(|| format!("{failed} could not be deleted")))
}

fn restored(report: &RestoreReport) -> (Attributes, Option<String>) {
    let objects: usize = report.waves.iter().map(|wave| wave.objects.len()).sum();
    let attributes = vec![
        text("backstay.source", &report.source),
        ("backstay.objects", Value::Number(objects as u64)),
        ended_as(report.outcome),
    ];
    (attributes, lacks(report.outcome))
}

fn lacks(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Complete => None,
        Outcome::Partial => Some("something is missing, and the report names it".to_owned()),
        Outcome::Failed => Some("it came to nothing, and the report says why".to_owned()),
    }
}

fn revision(repository: &Repository) -> Attributes {
    repository.revision.iter().map(|revision| text("backstay.revision", revision)).collect()
}

fn run(snapshot: &str) -> (&'static str, Value) {
    text("backstay.run", snapshot)
}

fn ended_as(outcome: Outcome) -> (&'static str, Value) {
    text("backstay.outcome", &format!("{outcome:?}"))
}

fn text(name: &'static str, value: &str) -> (&'static str, Value) {
    (name, Value::Text(short(value, TEXT)))
}

fn short(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

#[cfg(test)]
mod tests;
