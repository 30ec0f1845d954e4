//! What runs around a backup or a restore: hooks, read and checked here, carried out later.
//!
//! In: YAML through serde · Out: `HookUse`, `HookSpec` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::field::{FieldError, closest};
use super::labels::LabelSelector;
use super::path::escape;
use super::pattern::NameMatcher;

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

impl HookUse {
    /// Everything that is wrong with it, but for the template it names.
    pub fn check(&self) -> Vec<FieldError> {
        match (&self.template, &self.hook) {
            (None, Some(hook)) => {
                let mut errors: Vec<_> = hook.check().into_iter().map(|e| e.under("/hook")).collect();
                if !self.parameters.is_empty() {
                    errors.push(FieldError::new("/parameters", "only a `template` has parameters"));
                }
                errors
            }
            (Some(_), None) => Vec::new(),
            _ => vec![FieldError::new("", "a hook needs exactly one of `template` and `hook`")],
        }
    }

    /// What is wrong with the parameters for this template: unknown ones, missing ones.
    pub fn check_parameters(&self, template: &HookTemplateSpec) -> Vec<FieldError> {
        let known: BTreeSet<&str> = template.parameters.iter().map(|p| p.name.as_str()).collect();
        let unknown = self.parameters.keys().filter(|name| !known.contains(name.as_str())).map(|name| {
            let at = format!("/parameters/{}", escape(name));
            let error = FieldError::new(at, format!("the template has no parameter `{name}`"));
            match closest(name, known.iter().copied()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            }
        });
        let missing = template.parameters.iter().filter(|p| p.default.is_none());
        let missing = missing.filter(|p| !self.parameters.contains_key(&p.name)).map(|p| {
            FieldError::new("/parameters", format!("the template needs the parameter `{}`", p.name))
        });
        unknown.chain(missing).collect()
    }
}

/// Everything that is wrong with a list of hooks.
pub fn check_uses(hooks: &[HookUse]) -> Vec<FieldError> {
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (index, hook) in hooks.iter().enumerate() {
        errors.extend(hook.check().into_iter().map(|e| e.under(&format!("/{index}"))));
        if !seen.insert(&hook.name) {
            errors.push(FieldError::new(
                format!("/{index}/name"),
                format!("there are two hooks `{}`", hook.name),
            ));
        }
    }
    errors
}

impl HookTemplateSpec {
    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors: Vec<_> = self.hook.check().into_iter().map(|e| e.under("/hook")).collect();
        let mut known = BTreeSet::new();
        for (index, parameter) in self.parameters.iter().enumerate() {
            if !known.insert(parameter.name.as_str()) {
                let message = format!("there are two parameters `{}`", parameter.name);
                errors.push(FieldError::new(format!("/parameters/{index}/name"), message));
            }
        }
        for (pointer, text) in self.hook.texts() {
            for name in uses(text).filter(|name| !known.contains(name)) {
                let message = format!("`$({name})` is no parameter of the template");
                errors.push(FieldError::new(format!("/hook{pointer}"), message));
            }
        }
        errors
    }
}

/// The names of the parameters a text uses: `a` and `b` in `$(a)-$(b)`.
fn uses(text: &str) -> impl Iterator<Item = &str> {
    text.split("$(").skip(1).filter_map(|rest| rest.split_once(')').map(|(name, _)| name)).filter(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    })
}

impl HookSpec {
    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let given = [self.exec.is_some(), self.job.is_some(), self.scale.is_some(), self.http.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            errors.push(FieldError::new("", "a hook needs exactly one of `exec`, `job`, `scale` and `http`"));
        }
        if self.exec.is_some() && matches!(self.scope, HookScope::Run | HookScope::Namespace) {
            errors.push(FieldError::new("/scope", "`exec` needs the scope `Pod` or `Workload`"));
        }
        for (index, text) in self.namespaces.iter().enumerate() {
            if let Err(error) = NameMatcher::new(std::slice::from_ref(text)) {
                errors.push(FieldError::new(format!("/namespaces/{index}"), error));
            }
        }
        let labels = self.label_selector.iter().flat_map(LabelSelector::check);
        errors.extend(labels.map(|e| e.under("/labelSelector")));
        if self.timeout.is_some_and(|t| t.as_seconds() == 0) {
            errors.push(FieldError::new("/timeout", "a timeout must be longer than 0s"));
        }
        if self
            .http
            .as_ref()
            .is_some_and(|http| !http.url.starts_with("http://") && !http.url.starts_with("https://"))
        {
            errors.push(FieldError::new("/http/url", "the address must begin with `http://` or `https://`"));
        }
        errors
    }

    /// Every text in which parameters are replaced, with its pointer.
    pub fn texts(&self) -> Vec<(String, &str)> {
        let exec = self.exec.iter().flat_map(|exec| {
            let container = exec.container.iter().map(|text| ("/exec/container".to_owned(), text.as_str()));
            container.chain(numbered("/exec/command", &exec.command))
        });
        let job = self.job.iter().flat_map(|job| {
            let image = [("/job/image".to_owned(), job.image.as_str())];
            image.into_iter().chain(numbered("/job/command", &job.command))
        });
        let http = self.http.iter().map(|http| ("/http/url".to_owned(), http.url.as_str()));
        numbered("/namespaces", &self.namespaces).chain(exec).chain(job).chain(http).collect()
    }
}

fn numbered<'a>(at: &'static str, texts: &'a [String]) -> impl Iterator<Item = (String, &'a str)> {
    texts.iter().enumerate().map(move |(index, text)| (format!("{at}/{index}"), text.as_str()))
}
