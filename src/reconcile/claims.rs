//! What the conditions of a document say, as kstatus and people read them.
//!
//! In: specs, what is known · Out: `Claim`s · Touches: nothing

use super::desk::{Location, Policy, Restore, Source};
use crate::domain::location::{AccessMode, LocationSpec};
use crate::domain::policy::PolicySpec;
use crate::domain::report::Outcome;
use crate::domain::restore_request::{RestoreSpec, RestoreWhen};
use crate::domain::status::{Claim, Truth};

fn claim(kind: &'static str, holds: Truth, reason: &'static str, message: impl Into<String>) -> Claim {
    Claim { kind, holds, reason, message: message.into() }
}

/// A document that only has to stand there.
pub fn in_force() -> Claim {
    claim("Ready", Truth::True, "InForce", "the document is in force")
}

/// A document with errors.
pub fn stalled(reason: &str) -> [Claim; 2] {
    [claim("Ready", Truth::False, "Invalid", reason), claim("Stalled", Truth::True, "Invalid", reason)]
}

/// A policy: `Ready` when it is in force, `Running`, and `Complete` when its last run was.
pub fn policy(spec: &PolicySpec, policy: &Policy, bootstrapping: bool) -> Vec<Claim> {
    let (reason, message) = match (&spec.schedule, spec.suspend) {
        (Some(_), true) => ("Suspended", "the schedule is suspended; runs on request work".to_owned()),
        (Some(_), false) if bootstrapping => {
            ("WaitsForRestore", "the cluster is restored first; the schedule starts after that".to_owned())
        }
        (Some(schedule), false) => {
            ("Scheduled", format!("runs at {schedule} ({})", spec.time_zone.as_deref().unwrap_or("UTC")))
        }
        (None, _) => ("OnRequest", "runs on request only".to_owned()),
    };
    let mut claims = vec![claim("Ready", Truth::True, reason, message)];
    if let Some(running) = &policy.status.running {
        let what = running.due.map_or_else(|| "on request".to_owned(), |due| format!("due at {due}"));
        claims.push(claim(
            "Running",
            Truth::True,
            "Running",
            format!("a run {what} is at work on {}", running.by),
        ));
    }
    claims.push(match &policy.status.last_run {
        None => claim("Complete", Truth::Unknown, "NoRun", "it has not run yet"),
        Some(last) => {
            let snapshot =
                last.snapshot.as_ref().map_or_else(|| "no snapshot".to_owned(), ToString::to_string);
            match last.outcome {
                Outcome::Complete => claim("Complete", Truth::True, "Complete", snapshot),
                Outcome::Partial => {
                    claim("Complete", Truth::False, "Partial", format!("{snapshot}: {}", last.message))
                }
                Outcome::Failed => claim("Complete", Truth::False, "Failed", last.message.clone()),
            }
        }
    });
    claims
}

/// A location: `Ready` when it can be reached.
pub fn location(spec: &LocationSpec, location: &Location) -> Vec<Claim> {
    let access = match spec.access_mode {
        AccessMode::ReadWrite => "the location can be reached",
        AccessMode::ReadOnly => "the location can be reached; it is only read",
    };
    let mut claims = vec![match &location.reached {
        None => claim("Ready", Truth::Unknown, "NotChecked", "the location was not looked at yet"),
        Some(Ok(())) => claim("Ready", Truth::True, "Reached", access),
        Some(Err(reason)) => claim("Ready", Truth::False, "Unreachable", reason.clone()),
    }];
    let verified = &location.status.verified;
    if let Some((policy, damaged)) = verified.iter().find(|(_, last)| !last.message.is_empty()) {
        let message = format!("policy {policy}: snapshot {}: {}", damaged.snapshot, damaged.message);
        claims.push(claim("Verified", Truth::False, "Damaged", message));
    } else if !verified.is_empty() {
        claims.push(claim("Verified", Truth::True, "Sound", "the newest snapshots are what was written"));
    }
    claims
}

/// A request: `Ready` when there is nothing left to do, `Reconciling` while there is, `Stalled` when it failed for good.
pub fn restore(spec: &RestoreSpec, restore: &Restore, allowed: bool) -> Vec<Claim> {
    let token = spec.token.as_deref().unwrap_or_default();
    let status = &restore.status;
    if spec.when == RestoreWhen::Manual {
        return vec![claim("Ready", Truth::True, "Manual", "waits for `backstay restore apply`")];
    }
    if !allowed {
        let message =
            "restores are switched off for this installation; `backstay restore apply` carries it out";
        return vec![claim("Ready", Truth::True, "SwitchedOff", message)];
    }
    if status.token.as_deref() == Some(token) && status.cluster_was_empty == Some(false) {
        let message = "the cluster was not empty: the request is for an empty one";
        return vec![claim("Ready", Truth::True, "ClusterNotEmpty", message)];
    }
    let from = format!("token {token:?}: restored from {}", status.source);
    match (status.finished, status.outcome) {
        (Some(_), Some(Outcome::Complete)) => vec![claim("Ready", Truth::True, "Complete", from)],
        (Some(_), Some(Outcome::Partial)) => {
            let message = format!("{from}; something is missing: see `backstay restore status`");
            vec![claim("Ready", Truth::True, "Partial", message)]
        }
        (Some(_), Some(Outcome::Failed) | None) => {
            // The cluster is not empty any more: another token would find that, and do nothing.
            let next = match spec.when {
                RestoreWhen::EmptyCluster => {
                    "go on with `backstay restore apply --token NEW`, or say `when: Always` and change the token"
                }
                RestoreWhen::Always | RestoreWhen::Manual => "change the token",
            };
            let message = format!("{from}; it failed: see `backstay restore status`, then {next}");
            vec![
                claim("Ready", Truth::False, "Failed", message.clone()),
                claim("Stalled", Truth::True, "Failed", message),
            ]
        }
        (None, _) => {
            let message = restore.failed.clone().unwrap_or_else(|| "the restore is at work".to_owned());
            let reason = if restore.failed.is_some() { "TriesAgain" } else { "Restoring" };
            vec![
                claim("Ready", Truth::False, reason, message.clone()),
                claim("Reconciling", Truth::True, reason, message),
            ]
        }
    }
}

/// The policy repository: `Ready` when its newest revision is in force.
pub fn repository(git: &Source) -> Vec<Claim> {
    let revision = |repository: &Option<std::sync::Arc<crate::engine::policy::repository::Repository>>| {
        let revision = repository.as_ref().and_then(|repository| repository.revision.clone());
        revision.map_or_else(|| "no revision".to_owned(), |id| id.chars().take(12).collect())
    };
    let good = revision(&git.good);
    if let Some(reason) = &git.unreachable {
        let message = match &git.good {
            Some(_) => format!("{reason}; {good} stays in force"),
            None => format!("{reason}; no revision of it is in force"),
        };
        return vec![claim("Ready", Truth::False, "FetchFailed", message)];
    }
    if let Some(first) = git.problems.first() {
        let more = git.problems.len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let message = format!("{} is not in force, {good} stays: {first}{more}", revision(&git.newest));
        return vec![
            claim("Ready", Truth::False, "InvalidRevision", message.clone()),
            claim("Stalled", Truth::True, "InvalidRevision", message),
        ];
    }
    match &git.good {
        Some(_) => vec![claim("Ready", Truth::True, "InForce", format!("{good} is in force"))],
        None => vec![claim("Ready", Truth::Unknown, "Fetching", "the repository was not fetched yet")],
    }
}
