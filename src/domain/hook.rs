//! What runs around a backup or a restore: hooks, read and checked here, carried out later.
//!
//! In: YAML through serde · Out: `HookUse`, `HookSpec` · Touches: nothing

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::labels::LabelSelector;

/// A hook of a policy or restore: a `HookTemplate` by name, or one written in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookUse {
    /// Name of the hook in reports.
    pub name: String,
    /// Name of a `HookTemplate`. Exactly one of `template` and `hook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Values for the template's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The hook itself. Exactly one of `template` and `hook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookSpec>,
}

/// A reusable hook with parameters: the `HookTemplate` document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookTemplateSpec {
    /// Parameters, used in texts of the hook as `$(name)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<HookParameter>,
    /// The hook.
    pub hook: HookSpec,
}

/// One parameter of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookParameter {
    /// Name, as in `$(name)`.
    pub name: String,
    /// Value when a use gives none. Absent: a value is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// One line for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What runs, when and where. Exactly one of `exec`, `job`, `scale` and `http`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookSpec {
    /// When it runs.
    pub when: HookWhen,
    /// What it runs for. Default: Pod.
    #[serde(default)]
    pub scope: HookScope,
    /// Namespaces by name or glob. Absent: those of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Pods or workloads by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// A command in a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecHook>,
    /// A Job that must succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobHook>,
    /// Scales workloads down before and back after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleHook>,
    /// An HTTP request that must answer 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpHook>,
    /// Lower runs first; equal weights in order of name. Default: 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: i32,
    /// Ends the hook after this long. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What a failure means for the run. Default: Fail.
    #[serde(default)]
    pub on_error: OnError,
    /// Further attempts after a failure. Default: 0.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub retries: u32,
    /// Makes it a failure when nothing matched. Default: false, reported as a warning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &i32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero_u32(n: &u32) -> bool {
    *n == 0
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HookWhen {
    /// Before objects are read.
    PreBackup,
    /// After objects were read, also when that failed.
    PostBackup,
    /// Before objects are written.
    PreRestore,
    /// After objects were written.
    PostRestore,
}

/// What a hook runs for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HookScope {
    /// Once for the run.
    Run,
    /// Once for each namespace.
    Namespace,
    /// Once for each workload, in one of its pods.
    Workload,
    /// Once for each pod.
    #[default]
    Pod,
}

/// What a failure means for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnError {
    /// The run is not Complete.
    #[default]
    Fail,
    /// The run goes on with a warning.
    Continue,
}

/// A command in a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecHook {
    /// Container. Absent: the pod's default container, never a known sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Program and arguments; no shell unless one is named.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
}

/// A Job that must succeed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobHook {
    /// Image of the only container.
    pub image: String,
    /// Program and arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Service account. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

/// Scales the matched workloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleHook {
    /// Replicas while the run lasts.
    pub replicas: u32,
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpHook {
    /// Address; `http` and `https`.
    pub url: String,
    /// Method. Default: POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}
