//! How far a restore is: what anybody needs to show it, or to take it up where another process left it.
//!
//! In: what a restore tells · Out: `RestoreRun` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hook::HookWhen;
use super::hook_report::HookOutcome;
use super::report::{FixupOutcome, FixupReport, ObjectAction, ObjectReport, Outcome, Phase, RestoreReport};

/// Failures that a run names one by one; further ones are counted.
pub const NAMED: usize = 50;

/// Tokens that are remembered.
pub const TOKENS: usize = 200;

/// One run of a restore request, as it is kept in the cluster.
///
/// It holds names, counts and reasons, never the content of an object, and its size does not grow with the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreRun {
    /// Name of the request.
    pub request: String,
    /// Token of the request, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Tokens of earlier runs that are used up, the oldest first; the last [`TOKENS`] are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<String>,
    /// SHA-256 of the request without its token, lower-case hex.
    pub digest: String,
    /// What is restored, such as `snapshot shop-20261121t063000z-kwpa`.
    pub source: String,
    /// The very snapshot or commit, so that a run that is taken up again does not take a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// Where the run is.
    pub phase: Phase,
    /// How it went, once it is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it was begun.
    pub started: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// How often it was begun or taken up again.
    pub attempts: u32,
    /// How many waves there are.
    pub waves: usize,
    /// The wave it is in, or was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<WaveProgress>,
    /// Objects of the present attempt, by what happened to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<ObjectAction, u64>,
    /// Objects that failed in the present attempt, the first [`NAMED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<ObjectReport>,
    /// What is being waited for, or which fixup is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// Fixups that have ended, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixups: BTreeMap<String, FixupOutcome>,
    /// Hooks that have ended, by moment and name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<HookWhen, BTreeMap<String, HookOutcome>>,
    /// Uids of pods that ask for hooks and were there before the restore wrote anything; absent where none was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there: Option<Vec<String>>,
    /// What the reader should know, such as who cancelled the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How far a wave is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveProgress {
    /// Name.
    pub name: String,
    /// Its number, from 1.
    pub number: usize,
    /// Objects in it.
    pub objects: usize,
    /// Objects that were dealt with.
    pub done: usize,
}

/// What a restore tells while it is at work.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A wave starts.
    Wave {
        /// Name.
        name: String,
        /// Objects in it.
        objects: usize,
    },
    /// Something happened to an object.
    Object(ObjectReport),
    /// Something is being waited for.
    Waiting(String),
    /// A fixup starts.
    Fixup(String),
    /// A fixup has ended.
    Mended(FixupReport),
    /// A hook starts.
    Hook(String),
    /// A hook has ended.
    Hooked(HookWhen, String, HookOutcome),
    /// Pods that were there before.
    There(Vec<String>),
}

impl RestoreRun {
    /// A run that begins now, for the first time.
    pub fn new(request: String, source: &str, waves: usize, now: Timestamp) -> Self {
        Self {
            request,
            token: None,
            used: Vec::new(),
            digest: String::new(),
            source: source.to_owned(),
            pinned: None,
            phase: Phase::Running,
            outcome: None,
            started: now,
            finished: None,
            attempts: 1,
            waves,
            wave: None,
            objects: BTreeMap::new(),
            failures: Vec::new(),
            waiting: None,
            fixups: BTreeMap::new(),
            hooks: BTreeMap::new(),
            there: None,
            notes: Vec::new(),
        }
    }

    /// The same run, taken up again: counts start anew, because every object is looked at again; fixups that have ended
    /// stay ended.
    #[must_use]
    pub fn again(self) -> Self {
        Self {
            attempts: self.attempts.saturating_add(1),
            wave: None,
            objects: BTreeMap::new(),
            failures: Vec::new(),
            waiting: None,
            ..self
        }
    }

    /// The tokens that nobody may use after this run.
    pub fn used_up(&self) -> Vec<String> {
        let own = self.token.iter().filter(|_| self.phase == Phase::Finished && !self.is_void());
        let all: Vec<String> = self.used.iter().chain(own).cloned().collect();
        all[all.len().saturating_sub(TOKENS)..].to_vec()
    }

    /// Whether a finished run ended before it did anything, which does not use its token up.
    pub fn is_void(&self) -> bool {
        self.outcome == Some(Outcome::Failed) && self.objects.is_empty()
    }

    /// Takes one piece of news in.
    pub fn hear(&mut self, news: &News) {
        match news {
            News::Wave { name, objects } => {
                let number = self.wave.as_ref().map_or(1, |wave| wave.number + 1);
                self.wave = Some(WaveProgress { name: name.clone(), number, objects: *objects, done: 0 });
                self.waiting = None;
            }
            News::Object(report) => self.hear_object(report),
            News::Waiting(what) => self.waiting = Some(what.clone()),
            News::Fixup(what) => self.waiting = Some(format!("fixup {what}")),
            News::Mended(report) => {
                self.fixups.insert(report.name.clone(), report.outcome);
                self.waiting = None;
            }
            News::Hook(name) => self.waiting = Some(format!("hook {name}")),
            News::Hooked(when, name, outcome) => {
                self.hooks.entry(*when).or_default().insert(name.clone(), *outcome);
                self.waiting = None;
            }
            News::There(pods) => self.there = Some(pods.clone()),
        }
    }

    fn hear_object(&mut self, report: &ObjectReport) {
        if let Some(wave) = &mut self.wave {
            wave.done += 1;
        }
        *self.objects.entry(report.action).or_default() += 1;
        if report.action == ObjectAction::Failed && self.failures.len() < NAMED {
            self.failures.push(report.clone());
        }
    }

    /// Whether a fixup has ended in a way that need not be repeated.
    pub fn has_mended(&self, fixup: &str) -> bool {
        self.fixups.get(fixup).is_some_and(|outcome| match outcome {
            FixupOutcome::Verified | FixupOutcome::NotNeeded | FixupOutcome::Warned => true,
            FixupOutcome::Failed | FixupOutcome::NotRun => false,
        })
    }

    /// Hooks of a moment that have ended in a way that need not be repeated.
    pub fn hooked(&self, when: HookWhen) -> BTreeSet<String> {
        let ended = self.hooks.get(&when).into_iter().flatten();
        ended.filter(|(_, outcome)| !outcome.spoils()).map(|(name, _)| name.clone()).collect()
    }

    /// Ends the run with its report.
    pub fn finish(&mut self, report: &RestoreReport) {
        let objects = || report.waves.iter().flat_map(|wave| &wave.objects);
        self.phase = Phase::Finished;
        self.outcome = Some(report.outcome);
        self.finished = Some(report.finished);
        (self.waiting, self.wave) = (None, None);
        self.objects.clear();
        for object in objects() {
            *self.objects.entry(object.action).or_default() += 1;
        }
        let failed = |object: &&ObjectReport| object.action == ObjectAction::Failed;
        let failures = objects().chain(&report.left_out).filter(failed);
        self.failures = failures.take(NAMED).cloned().collect();
        self.fixups = report.fixups.iter().map(|fixup| (fixup.name.clone(), fixup.outcome)).collect();
        self.hooks.clear();
        for hook in &report.hooks {
            self.hooks.entry(hook.when).or_default().insert(hook.name.clone(), hook.outcome);
        }
        self.there = None;
        self.notes.clone_from(&report.notes);
    }

    /// Ends the run without a report: it was cancelled, and why nothing more is known.
    pub fn give_up(&mut self, why: &str, now: Timestamp) {
        self.phase = Phase::Finished;
        self.outcome = Some(if self.objects.is_empty() { Outcome::Failed } else { Outcome::Partial });
        self.finished = Some(now);
        self.waiting = None;
        self.notes.push(why.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::object::ObjectKey;

    fn run() -> RestoreRun {
        let now = "2026-11-26T06:30:00Z";
        serde_json::from_value(
            json!({"request": "shop", "digest": "d", "source": "snapshot a", "phase": "Running",
            "started": now, "attempts": 1, "waves": 2}),
        )
        .unwrap()
    }

    fn object(name: &str, action: ObjectAction) -> News {
        let key =
            ObjectKey { group: String::new(), kind: "Secret".into(), namespace: None, name: name.into() };
        News::Object(ObjectReport { key, action, reason: Some("why".into()) })
    }

    #[test]
    fn news_add_up() {
        let mut run = run();
        for news in [
            News::Wave { name: "one".into(), objects: 2 },
            object("a", ObjectAction::Created),
            News::Wave { name: "two".into(), objects: 1 },
            object("b", ObjectAction::Failed),
            News::Waiting("Namespace shop".into()),
        ] {
            run.hear(&news);
        }
        let wave = run.wave.clone().unwrap();
        assert_eq!((wave.name.as_str(), wave.number, wave.done), ("two", 2, 1));
        assert_eq!(run.objects, BTreeMap::from([(ObjectAction::Created, 1), (ObjectAction::Failed, 1)]));
        assert_eq!(run.failures[0].key.name, "b");
        assert_eq!(run.waiting.as_deref(), Some("Namespace shop"));
    }

    #[test]
    fn its_size_has_a_bound() {
        let mut run = run();
        for number in 0..NAMED * 3 {
            run.hear(&object(&number.to_string(), ObjectAction::Failed));
        }
        assert_eq!(run.failures.len(), NAMED);
        assert_eq!(run.objects[&ObjectAction::Failed], NAMED as u64 * 3);
    }

    #[test]
    fn a_run_that_is_taken_up_again_keeps_only_its_fixups() {
        let mut before = run();
        before.hear(&object("a", ObjectAction::Failed));
        let outcomes = [("done", FixupOutcome::Verified), ("broken", FixupOutcome::Failed)];
        for (name, outcome) in outcomes {
            let report = FixupReport { name: name.into(), outcome, objects: Vec::new(), reason: None };
            before.hear(&News::Mended(report));
        }
        let after = before.again();
        assert_eq!((after.attempts, after.failures.len(), after.objects.len()), (2, 0, 0));
        assert!(after.has_mended("done") && !after.has_mended("broken") && !after.has_mended("other"));
    }
}
