//! What came of hooks: which ran where, how each ended, and what it printed.
//!
//! In: results of the steps · Out: `HookReport`, `HookSummary` · Touches: nothing

use std::fmt;

use serde::{Deserialize, Serialize};

use super::hook::HookWhen;
use super::object::ObjectKey;

/// What came of one hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookReport {
    /// Name of the hook; `velero-annotations` for all that pods ask for by annotation.
    pub name: String,
    /// When it ran.
    pub when: HookWhen,
    /// How it went.
    pub outcome: HookOutcome,
    /// Why, where its runs do not say it: nothing matched, or it did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What ran, sorted by target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<HookRun>,
}

/// How a hook went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HookOutcome {
    /// Everything that ran succeeded.
    Succeeded,
    /// Something failed under `onError: Continue`, or nothing matched.
    Warned,
    /// Something failed; the run is not Complete.
    Failed,
    /// It did not run; the run is not Complete.
    NotRun,
}

impl HookOutcome {
    /// Whether it keeps the run from being Complete.
    pub fn spoils(self) -> bool {
        match self {
            Self::Succeeded | Self::Warned => false,
            Self::Failed | Self::NotRun => true,
        }
    }
}

/// What a hook ran for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookTarget {
    /// The pod, workload or namespace; absent for the run itself.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub key: Option<ObjectKey>,
    /// The pod in which the command ran for a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The container in which the command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

impl fmt::Display for HookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key}")?,
            None => f.write_str("the run")?,
        }
        if let Some(pod) = &self.pod {
            write!(f, ", pod {pod}")?;
        }
        match &self.container {
            Some(container) => write!(f, ", container {container}"),
            None => Ok(()),
        }
    }
}

/// What came of a hook on one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookRun {
    /// Where.
    #[serde(flatten)]
    pub target: HookTarget,
    /// How it ended.
    pub result: HookResult,
    /// What is to be said of that, without contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the reader should know although it is no failure, such as how the container was chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Exit code of the command or HTTP status, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// How long the last attempt took, in milliseconds.
    pub millis: u64,
    /// Attempts, from 1; 0 where it came to none.
    pub attempts: u32,
    /// The end of what it printed to standard output, secrets masked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// The end of what it printed to standard error, secrets masked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}

/// How a hook ended on one target. Each way to fail has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HookResult {
    /// Exit code 0, a Job that completed, replicas as asked for, or an answer 2xx.
    Succeeded,
    /// The command ended with another exit code.
    ExitCode,
    /// It took longer than its timeout.
    TimedOut,
    /// The run was stopped meanwhile, and it was ended.
    Interrupted,
    /// The container has no such program, or no shell for a command that needs one.
    CommandNotFound,
    /// The pod has no container of this name.
    NoSuchContainer,
    /// The pod or its container does not run.
    NotRunning,
    /// The pod did not become running or ready within the time it was waited for.
    NotReadyInTime,
    /// The pod was deleted before the command ended.
    PodGone,
    /// A workload has no pod in which the command could run.
    NoPod,
    /// RBAC does not allow it.
    Forbidden,
    /// An admission policy or webhook does not allow it.
    Denied,
    /// The Job failed.
    JobFailed,
    /// The answer was not 2xx.
    HttpStatus,
    /// There was no answer.
    Unreachable,
    /// The replicas did not become what was asked for.
    NotScaled,
    /// Anything else, said in the reason.
    Error,
}

/// What the record of a snapshot says of a hook: no names of objects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookSummary {
    /// Name of the hook.
    pub name: String,
    /// When it ran.
    pub when: HookWhen,
    /// How it went.
    pub outcome: HookOutcome,
    /// For how many targets.
    pub targets: u64,
    /// For how many of them it failed.
    pub failed: u64,
}

impl HookReport {
    /// A hook that did not run.
    pub fn not_run(name: &str, when: HookWhen, reason: String) -> Self {
        let outcome = HookOutcome::NotRun;
        Self { name: name.to_owned(), when, outcome, reason: Some(reason), runs: Vec::new() }
    }

    /// Why it failed, in one line.
    pub fn told(&self) -> String {
        let first = self.failures().next();
        let run = first.map(|run| {
            let reason = run.reason.as_deref().unwrap_or_default();
            format!("{}: {:?}: {reason}", run.target, run.result)
        });
        self.reason.iter().cloned().chain(run).collect::<Vec<_>>().join("; ")
    }

    /// What the record of a snapshot says of it.
    pub fn summary(&self) -> HookSummary {
        HookSummary {
            name: self.name.clone(),
            when: self.when,
            outcome: self.outcome,
            targets: self.runs.len() as u64,
            failed: self.failures().count() as u64,
        }
    }

    /// Targets on which it did not succeed.
    pub fn failures(&self) -> impl Iterator<Item = &HookRun> {
        self.runs.iter().filter(|run| run.result != HookResult::Succeeded)
    }
}
