//! What one attempt of a hook came to, before its output is masked.
//!
//! In: results of the doors · Out: `Attempt` · Touches: nothing

use std::error::Error as _;

use super::wrapped::STILL;
use crate::domain::hook_report::HookResult;
use crate::ports::{cluster, exec};

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// How it ended.
    pub result: HookResult,
    /// What is to be said of that, without contents.
    pub reason: Option<String>,
    /// Exit code or HTTP status.
    pub code: Option<i32>,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// The end of standard output, and whether something before it is missing. Not masked.
    pub stdout: (Vec<u8>, bool),
    /// The end of standard error.
    pub stderr: (Vec<u8>, bool),
}

impl Attempt {
    /// Whether it may be tried again: it failed, nobody has stopped it, and no command of it may still run.
    pub fn is_worth_another(&self, command: bool) -> bool {
        let still = self.reason.as_deref().is_some_and(|reason| reason.contains(STILL));
        match self.result {
            HookResult::Succeeded | HookResult::Interrupted => false,
            HookResult::Unreachable => !command,
            _ => !still,
        }
    }

    /// One that succeeded and printed nothing.
    pub fn fine() -> Self {
        Self {
            result: HookResult::Succeeded,
            reason: None,
            code: None,
            notes: Vec::new(),
            stdout: (Vec::new(), false),
            stderr: (Vec::new(), false),
        }
    }

    /// One that failed.
    pub fn failed(result: HookResult, reason: impl Into<String>) -> Self {
        Self { result, reason: Some(reason.into()), ..Self::fine() }
    }

    /// One that the cluster did not let happen; `what` was tried.
    pub fn refused(what: &str, error: &cluster::Error) -> Self {
        let text = format!("{what}: {error}");
        // An admission policy and a webhook choose their own status code.
        let denied = text.contains("denied request") || text.contains("denied the request");
        let result = match error {
            _ if denied => HookResult::Denied,
            cluster::Error::Forbidden(reason) if reason.contains("violates PodSecurity") => {
                HookResult::Denied
            }
            cluster::Error::Forbidden(_) | cluster::Error::Unauthorized(_) => HookResult::Forbidden,
            cluster::Error::Unreachable(_) | cluster::Error::Busy { .. } => HookResult::Unreachable,
            _ => HookResult::Error,
        };
        Self::failed(result, text)
    }

    /// A command that has no end.
    pub fn unended(error: &exec::Error) -> Self {
        let text = error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        let result = match error {
            exec::Error::Cluster(error @ cluster::Error::NotFound(_)) => {
                return Self::failed(HookResult::PodGone, error.to_string());
            }
            exec::Error::Cluster(error) => {
                let attempt = Self::refused("running a command", error);
                // The API server does not always say what it misses.
                let missing = "the account needs get and create on pods/exec here";
                let reason = attempt
                    .reason
                    .clone()
                    .map(|said| format!("{}; {missing}", said.trim_end_matches([':', ' '])));
                let reason = reason.filter(|_| attempt.result == HookResult::Forbidden);
                return Self {
                    reason: reason.or_else(|| Some(format!("running a command: {error}"))),
                    ..attempt
                };
            }
            exec::Error::Denied(_) => HookResult::Denied,
            exec::Error::NoContainer(_) => HookResult::NoSuchContainer,
            exec::Error::NotRunning(_) => HookResult::NotRunning,
            exec::Error::NoProgram(_) => HookResult::CommandNotFound,
            exec::Error::Lost(_) => HookResult::Unreachable,
        };
        Self::failed(result, text)
    }
}
