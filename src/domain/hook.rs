//! What runs around a backup or a restore: hooks, read and checked here, carried out later.
//!
//! In: YAML through serde · Out: `HookSpec` · Touches: nothing

use std::collections::BTreeMap;
use std::fmt;
use std::time;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::field::FieldError;
use super::labels::LabelSelector;
use super::object::Json;
use super::pattern::NameMatcher;

/// How long an attempt may take where nothing else is said.
const SHORT: time::Duration = time::Duration::from_secs(30);

/// The same for what starts or ends pods.
const LONG: time::Duration = time::Duration::from_mins(10);

/// What runs, when and where. Exactly one of `exec`, `job`, `scale`, `http` and `init`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookSpec {
    /// When it runs.
    pub when: HookWhen,
    /// What it runs for. Default: Pod for `exec` and `init`, Workload for `scale`, Run for `job` and `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<HookScope>,
    /// Namespaces by name or glob; of a restore by their new names. Absent: those of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Namespaces that are left out, by name or glob.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_namespaces: Vec<String>,
    /// Pods, workloads or namespaces by label, as the scope says. Absent: all of them.
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
    /// Containers that run in restored pods before their own containers start. Only with `when: PostRestore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitHook>,
    /// What a pod is waited for before a command runs in it. Default: of a backup nothing, a pod that does not run is a failure;
    /// of a restore `{until: Running, timeout: 5m}`. Only with `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<PodWait>,
    /// Lower runs first; equal weights in order of name. Default: 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: i32,
    /// Ends one attempt on one target after this long. Default: 30s; 10m for `job` and `scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What a failure means for the run. Default: Fail. A hook that fails before a restore writes anything ends the restore;
    /// everywhere else the run goes on and is Partial.
    #[serde(default)]
    pub on_error: OnError,
    /// Further attempts after a failure. Default: 0.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub retries: u32,
    /// Makes it a failure when nothing matched. Default: false: it is reported as a warning.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum HookWhen {
    /// Before objects are read.
    PreBackup,
    /// After objects were read, also when that failed.
    PostBackup,
    /// Before objects are written.
    PreRestore,
    /// After objects were written and fixups ran.
    PostRestore,
}

impl fmt::Display for HookWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreBackup => "before the backup",
            Self::PostBackup => "after the backup",
            Self::PreRestore => "before the restore",
            Self::PostRestore => "after the restore",
        })
    }
}

/// What a hook runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HookScope {
    /// Once for the run.
    Run,
    /// Once for each namespace.
    Namespace,
    /// Once for each `Deployment`, `StatefulSet` and `DaemonSet`, in one of its running pods.
    Workload,
    /// Once for each pod that has not ended.
    Pod,
}

/// What annotations of pods mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HookAnnotations {
    /// Velero's are carried out.
    #[default]
    Velero,
    /// They mean nothing.
    Ignore,
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
    /// Container. Absent: the one that annotation `kubectl.kubernetes.io/default-container` names, else the only one that is
    /// no known sidecar, else the first, with a note in the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Program and arguments; no shell unless one is named.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
}

/// A Job that must succeed. It has one pod, is deleted afterwards, and stays out of backups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobHook {
    /// Image of the only container.
    pub image: String,
    /// Program and arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Namespace of the Job under the scope Run. Default: Backstay's own. Under the scope Namespace it is made in each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Service account. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Secret of the same namespace whose keys become environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_from_secret: Option<String>,
    /// User number. Default: the image's. Namespaces under the restricted Pod Security Standard ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<u32>,
}

/// Scales workloads down before, and back to what they were after the run, also after a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleHook {
    /// Replicas while the run lasts. Default: 0.
    #[serde(default)]
    pub replicas: u32,
}

/// An HTTP request that must be answered with 2xx.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpHook {
    /// Address; `http` and `https`.
    pub url: String,
    /// Method. Default: POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
    /// Headers by name. They never appear in reports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Body of the request. Absent: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// How an HTTP hook asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET.
    Get,
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// Containers that run first in restored pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InitHook {
    /// Init containers as in a pod, each with `name`, `image` and `command`; they come before those the pod has.
    #[schemars(length(min = 1))]
    pub containers: Vec<serde_json::Map<String, Json>>,
}

/// What a pod is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodWait {
    /// What is waited for.
    pub until: PodState,
    /// How long.
    pub timeout: Duration,
}

/// How far a pod has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodState {
    /// The container runs.
    Running,
    /// The pod is Ready.
    Ready,
}

impl HookSpec {
    /// What it runs for.
    pub fn scope(&self) -> HookScope {
        let usual = match (&self.scale, &self.exec, &self.init) {
            (Some(_), _, _) => HookScope::Workload,
            (None, Some(_), _) | (None, None, Some(_)) => HookScope::Pod,
            (None, None, None) => HookScope::Run,
        };
        self.scope.unwrap_or(usual)
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> time::Duration {
        let usual = if self.job.is_some() || self.scale.is_some() { LONG } else { SHORT };
        self.timeout.map_or(usual, Duration::as_std)
    }

    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let given = [
            self.exec.is_some(),
            self.job.is_some(),
            self.scale.is_some(),
            self.http.is_some(),
            self.init.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            let message = "a hook needs exactly one of `exec`, `job`, `scale`, `http` and `init`";
            errors.push(FieldError::new("", message));
        } else if let Some(message) = self.misplaced() {
            errors.push(message);
        }
        for (field, names) in
            [("/namespaces", &self.namespaces), ("/excludeNamespaces", &self.exclude_namespaces)]
        {
            for (index, text) in names.iter().enumerate() {
                if let Err(error) = NameMatcher::new(std::slice::from_ref(text)) {
                    errors.push(FieldError::new(format!("{field}/{index}"), error));
                }
            }
        }
        let labels = self.label_selector.iter().flat_map(LabelSelector::check);
        errors.extend(labels.map(|e| e.under("/labelSelector")));
        if self.timeout.is_some_and(|t| t.as_seconds() == 0) {
            errors.push(FieldError::new("/timeout", "a timeout must be longer than 0s"));
        }
        if let Some(http) = &self.http
            && !http.url.starts_with("http://")
            && !http.url.starts_with("https://")
        {
            errors.push(FieldError::new("/http/url", "the address must begin with `http://` or `https://`"));
        }
        errors.extend(self.init.iter().flat_map(InitHook::check));
        errors
    }

    /// What stands where it has no meaning.
    fn misplaced(&self) -> Option<FieldError> {
        let scope = self.scope();
        let wrong = |field: &str, text: &str| Some(FieldError::new(field, text));
        if self.exec.is_some() && matches!(scope, HookScope::Run | HookScope::Namespace) {
            return wrong("/scope", "`exec` needs the scope `Pod` or `Workload`");
        }
        if self.init.is_some() && scope != HookScope::Pod {
            return wrong("/scope", "`init` needs the scope `Pod`");
        }
        if self.scale.is_some() && scope != HookScope::Workload {
            return wrong("/scope", "`scale` needs the scope `Workload`");
        }
        if (self.job.is_some() || self.http.is_some())
            && !matches!(scope, HookScope::Run | HookScope::Namespace)
        {
            return wrong("/scope", "`job` and `http` need the scope `Run` or `Namespace`");
        }
        if self.init.is_some() && self.when != HookWhen::PostRestore {
            return wrong("/when", "`init` needs `when: PostRestore`: it changes pods that come back");
        }
        if self.scale.is_some() && matches!(self.when, HookWhen::PostBackup | HookWhen::PostRestore) {
            return wrong("/when", "`scale` stands before the run; afterwards it scales back by itself");
        }
        if self.wait.is_some() && self.exec.is_none() {
            return wrong("/wait", "only `exec` waits for pods");
        }
        let places = !self.namespaces.is_empty() || self.label_selector.is_some();
        if scope == HookScope::Run && places {
            return wrong("/scope", "under the scope `Run` there are no namespaces and labels to choose by");
        }
        None
    }
}

impl InitHook {
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, container) in self.containers.iter().enumerate() {
            for field in ["name", "image", "command"] {
                if !container.contains_key(field) {
                    let message = format!("an init container needs `{field}`");
                    errors.push(FieldError::new(format!("/init/containers/{index}"), message));
                }
            }
        }
        errors
    }
}
