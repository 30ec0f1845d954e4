//! Decides who may carry out a request: once per token, one process at a time, and an interrupted run goes on.
//!
//! In: what the cluster knows of the request · Out: `Claim` · Touches: nothing

use crate::domain::report::Phase;
use crate::domain::restore_run::RestoreRun;
use crate::engine::journal;

/// What the cluster knows of a request.
pub type Entry = journal::Entry<RestoreRun>;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Token of the request.
    pub token: Option<&'a str>,
    /// Digest of the request without its token.
    pub digest: &'a str,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim<'e> {
    /// A new run; the note says what becomes of an old one.
    Begin(Option<String>),
    /// The run that was interrupted goes on, if its worker is gone.
    Resume(&'e Entry),
    /// The request was carried out with this token; the note says so.
    Done(&'e RestoreRun),
}

/// Decides. Whether the worker of an unfinished run is gone is for the caller to find out.
pub fn claim<'e>(entry: Option<&'e Entry>, ask: &Ask<'_>) -> Claim<'e> {
    let Some(entry) = entry else { return Claim::Begin(None) };
    let run = &entry.run;
    let same = run.token.as_deref() == ask.token && run.digest == ask.digest;
    match run.phase {
        Phase::Finished if ask.token.is_some_and(|token| run.used_up().iter().any(|used| used == token)) => {
            Claim::Done(run)
        }
        Phase::Finished => Claim::Begin(None),
        Phase::Pending | Phase::Running if same => Claim::Resume(entry),
        Phase::Pending | Phase::Running => {
            let old = run.token.as_ref().map(|token| format!(" with token {token:?}")).unwrap_or_default();
            Claim::Begin(Some(format!("an unfinished run of an older form of the request{old} was given up")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::journal::Worker;

    fn entry(phase: &str, token: Option<&str>) -> Entry {
        let run = json!({"request": "shop", "digest": "d", "source": "s", "phase": phase, "token": token,
            "started": "2026-11-26T06:30:00Z", "attempts": 1, "waves": 2});
        let worker = Worker { machine: "host".into(), process: 7, since: "1".into() };
        let run = serde_json::from_value(run).unwrap();
        Entry { run, worker, heard: String::new(), cancel: None, version: "1".into() }
    }

    fn decided(entry: Option<&Entry>, token: Option<&str>, digest: &str) -> &'static str {
        match claim(entry, &Ask { token, digest }) {
            Claim::Begin(None) => "begin",
            Claim::Begin(Some(_)) => "begin, give up",
            Claim::Resume(_) => "resume",
            Claim::Done(_) => "done",
        }
    }

    #[test]
    fn a_request_runs_once_for_each_token() {
        let finished = entry("Finished", Some("one"));
        assert_eq!(decided(None, Some("one"), "d"), "begin");
        assert_eq!(decided(Some(&finished), Some("one"), "d"), "done");
        assert_eq!(decided(Some(&finished), Some("one"), "changed"), "done");
        assert_eq!(decided(Some(&finished), Some("two"), "d"), "begin");
        assert_eq!(decided(Some(&finished), None, "d"), "begin");
    }

    #[test]
    fn a_token_stays_used_when_others_came_after_it() {
        let mut finished = entry("Finished", Some("two"));
        finished.run.used = vec!["one".into()];
        for token in ["one", "two"] {
            assert_eq!(decided(Some(&finished), Some(token), "d"), "done", "{token}");
        }
        assert_eq!(decided(Some(&finished), Some("three"), "d"), "begin");
    }

    #[test]
    fn a_run_that_ended_before_it_did_anything_uses_no_token_up() {
        let mut failed = entry("Finished", Some("one"));
        failed.run.outcome = Some(crate::domain::report::Outcome::Failed);
        assert_eq!(decided(Some(&failed), Some("one"), "d"), "begin");
        failed.run.objects.insert(crate::domain::report::ObjectAction::Failed, 1);
        assert_eq!(decided(Some(&failed), Some("one"), "d"), "done");
    }

    #[test]
    fn without_a_token_it_runs_whenever_somebody_asks() {
        assert_eq!(decided(Some(&entry("Finished", None)), None, "d"), "begin");
    }

    #[test]
    fn an_unfinished_run_goes_on_unless_another_one_is_asked_for() {
        let running = entry("Running", Some("one"));
        assert_eq!(decided(Some(&running), Some("one"), "d"), "resume");
        assert_eq!(decided(Some(&running), Some("two"), "d"), "begin, give up");
        assert_eq!(decided(Some(&running), Some("one"), "changed"), "begin, give up");
        assert_eq!(decided(Some(&entry("Running", None)), None, "d"), "resume");
    }
}
