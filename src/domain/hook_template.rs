//! Hooks with parameters: templates, and how policies and requests use them.
//!
//! In: YAML through serde · Out: `Hook` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::field::{FieldError, closest};
use super::hook::{HookSpec, HookWhen, OnError};
use super::labels::LabelSelector;
use super::object::Json;
use super::path::escape;

/// A hook of a policy or restore: a `HookTemplate` by name, or one written in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookUse {
    /// Name of the hook in reports.
    pub name: String,
    /// Name of a `HookTemplate`, of the policy repository or built in. Exactly one of `template` and `hook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Values for the template's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Namespaces, instead of the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Pods, workloads or namespaces by label, instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Container of an `exec`, instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Weight, instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Timeout, instead of the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What a failure means, instead of what the template says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// Whether it is a failure when nothing matched, instead of what the template says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The hook itself. Exactly one of `template` and `hook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookSpec>,
}

/// A reusable hook with parameters: the `HookTemplate` document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookTemplateSpec {
    /// One line for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Parameters, used in texts of the hook as `$(name)`. `$$(name)` stays `$(name)`, for shells.
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

/// A hook as it is carried out: its name, and what it does, parameters filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// Name in reports.
    pub name: String,
    /// What it does.
    pub spec: HookSpec,
}

impl HookUse {
    /// A hook that stands in place.
    pub fn of(hook: Hook) -> Self {
        Self {
            name: hook.name,
            template: None,
            parameters: BTreeMap::new(),
            namespaces: Vec::new(),
            label_selector: None,
            container: None,
            weight: None,
            timeout: None,
            on_error: None,
            required: None,
            hook: Some(hook.spec),
        }
    }

    /// Everything that is wrong with it, but for the template it names.
    pub fn check(&self) -> Vec<FieldError> {
        match (&self.template, &self.hook) {
            (None, Some(hook)) => {
                let mut errors: Vec<_> = hook.check().into_iter().map(|e| e.under("/hook")).collect();
                let given = [
                    ("/parameters", !self.parameters.is_empty()),
                    ("/namespaces", !self.namespaces.is_empty()),
                    ("/labelSelector", self.label_selector.is_some()),
                    ("/container", self.container.is_some()),
                    ("/weight", self.weight.is_some()),
                    ("/timeout", self.timeout.is_some()),
                    ("/onError", self.on_error.is_some()),
                    ("/required", self.required.is_some()),
                ];
                for (field, _) in given.into_iter().filter(|(_, given)| *given) {
                    let message = match field {
                        "/parameters" => "only a `template` has parameters",
                        _ => "this goes with a `template`; here it stands inside `hook`",
                    };
                    errors.push(FieldError::new(field, message));
                }
                errors
            }
            (Some(_), None) => Vec::new(),
            _ => vec![FieldError::new("", "a hook needs exactly one of `template` and `hook`")],
        }
    }

    /// What is wrong with its use of this template: parameters that are unknown or missing, and what does not fit once they
    /// are filled in.
    pub fn check_template(&self, template: &HookTemplateSpec) -> Vec<FieldError> {
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
        let errors: Vec<FieldError> = unknown.chain(missing).collect();
        if !errors.is_empty() {
            return errors;
        }
        let wrong = self.filled(template).spec.check();
        let told = wrong.into_iter().map(|error| {
            let text = format!("the hook it makes is wrong at {}: {}", error.pointer, error.message);
            FieldError::new("", text)
        });
        told.collect()
    }

    /// The hook that this use of a template means.
    pub fn filled(&self, template: &HookTemplateSpec) -> Hook {
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        for parameter in &template.parameters {
            if let Some(value) = self.parameters.get(&parameter.name).or(parameter.default.as_ref()) {
                values.insert(&parameter.name, value);
            }
        }
        let mut spec = template.hook.clone();
        spec.each_text(&mut |_, text| *text = fill(text, &values));
        if !self.namespaces.is_empty() {
            spec.namespaces.clone_from(&self.namespaces);
        }
        if self.label_selector.is_some() {
            spec.label_selector.clone_from(&self.label_selector);
        }
        if let (Some(exec), Some(container)) = (&mut spec.exec, &self.container) {
            exec.container = Some(container.clone());
        }
        spec.weight = self.weight.unwrap_or(spec.weight);
        spec.timeout = self.timeout.or(spec.timeout);
        spec.on_error = self.on_error.unwrap_or(spec.on_error);
        spec.required = self.required.unwrap_or(spec.required);
        Hook { name: self.name.clone(), spec }
    }
}

/// Everything that is wrong with the hooks of a policy (`PreBackup`, `PostBackup`) or a request (`PreRestore`, `PostRestore`).
pub fn check_uses(hooks: &[HookUse], around: [HookWhen; 2]) -> Vec<FieldError> {
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (index, hook) in hooks.iter().enumerate() {
        errors.extend(hook.check().into_iter().map(|e| e.under(&format!("/{index}"))));
        if let Some(spec) = &hook.hook
            && let Some(message) = out_of_place(spec.when, around)
        {
            errors.push(FieldError::new(format!("/{index}/hook/when"), message));
        }
        if !seen.insert(&hook.name) {
            errors.push(FieldError::new(
                format!("/{index}/name"),
                format!("there are two hooks `{}`", hook.name),
            ));
        }
    }
    errors
}

/// Why a hook cannot run then, if so.
pub fn out_of_place(when: HookWhen, around: [HookWhen; 2]) -> Option<String> {
    let [before, after] = around;
    (!around.contains(&when)).then(|| format!("{when:?} never comes here: write `{before:?}` or `{after:?}`"))
}

impl HookTemplateSpec {
    /// Everything that is wrong with it, whatever its parameters are.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut known = BTreeMap::new();
        for (index, parameter) in self.parameters.iter().enumerate() {
            if known.insert(parameter.name.as_str(), "x").is_some() {
                let message = format!("there are two parameters `{}`", parameter.name);
                errors.push(FieldError::new(format!("/parameters/{index}/name"), message));
            }
        }
        let mut hook = self.hook.clone();
        hook.each_text(&mut |pointer, text| {
            for name in uses(text).filter(|name| !known.contains_key(name)) {
                let message = format!("`$({name})` is no parameter of the template");
                let help = format!("write `$$({name})` where a shell shall see `$({name})`");
                errors.push(FieldError::new(format!("/hook{pointer}"), message).help(help));
            }
            *text = fill(text, &known);
        });
        if let Some(http) = self.hook.http.as_ref().filter(|http| http.url.starts_with("$(")) {
            // The address is a parameter: what it begins with is seen where the template is used.
            hook.http = Some(super::hook::HttpHook { url: "https://x".into(), ..http.clone() });
        }
        errors.extend(hook.check().into_iter().map(|e| e.under("/hook")));
        errors
    }
}

/// The pieces of a text: plain ones, and names of parameters.
fn pieces(text: &str) -> Vec<Result<&str, &str>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("$(") {
        let name = rest[at + 2..].split_once(')').map(|(name, _)| name).filter(|name| is_name(name));
        match name {
            Some(name) if rest[..at].ends_with('$') => {
                // `$$(name)` means `$(name)`.
                let end = at + 2 + name.len() + 1;
                found.extend([Ok(&rest[..at - 1]), Ok(&rest[at..end])]);
                rest = &rest[end..];
            }
            Some(name) => {
                found.extend([Ok(&rest[..at]), Err(name)]);
                rest = &rest[at + 2 + name.len() + 1..];
            }
            None => {
                found.push(Ok(&rest[..at + 2]));
                rest = &rest[at + 2..];
            }
        }
    }
    found.push(Ok(rest));
    found
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// The names of the parameters a text uses: `a` and `b` in `$(a)-$(b)`.
fn uses(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(Result::err)
}

/// The text with values in place of names; a name without a value stays.
fn fill(text: &str, values: &BTreeMap<&str, &str>) -> String {
    let piece = |piece: Result<&str, &str>| match piece {
        Ok(plain) => plain.to_owned(),
        Err(name) => values.get(name).map_or_else(|| format!("$({name})"), |value| (*value).to_owned()),
    };
    pieces(text).into_iter().map(piece).collect()
}

impl HookSpec {
    /// Hands over every text in which parameters stand, with its pointer.
    fn each_text(&mut self, hear: &mut dyn FnMut(&str, &mut String)) {
        for (index, text) in self.namespaces.iter_mut().enumerate() {
            hear(&format!("/namespaces/{index}"), text);
        }
        for (index, text) in self.exclude_namespaces.iter_mut().enumerate() {
            hear(&format!("/excludeNamespaces/{index}"), text);
        }
        for (index, container) in self.init.iter_mut().flat_map(|init| &mut init.containers).enumerate() {
            for (key, value) in container.iter_mut() {
                leaves(&format!("/init/containers/{index}/{}", escape(key)), value, hear);
            }
        }
        for (key, text) in self.label_selector.iter_mut().flat_map(|s| &mut s.match_labels) {
            hear(&format!("/labelSelector/matchLabels/{}", escape(key)), text);
        }
        if let Some(exec) = &mut self.exec {
            exec.container.iter_mut().for_each(|text| hear("/exec/container", text));
            numbered("/exec/command", &mut exec.command, hear);
        }
        if let Some(job) = &mut self.job {
            hear("/job/image", &mut job.image);
            numbered("/job/command", &mut job.command, hear);
            job.namespace.iter_mut().for_each(|text| hear("/job/namespace", text));
            job.service_account.iter_mut().for_each(|text| hear("/job/serviceAccount", text));
            job.env_from_secret.iter_mut().for_each(|text| hear("/job/envFromSecret", text));
        }
        if let Some(http) = &mut self.http {
            hear("/http/url", &mut http.url);
            for (name, text) in &mut http.headers {
                hear(&format!("/http/headers/{}", escape(name)), text);
            }
            http.body.iter_mut().for_each(|text| hear("/http/body", text));
        }
    }
}

/// The texts in a tree.
fn leaves(at: &str, value: &mut Json, hear: &mut dyn FnMut(&str, &mut String)) {
    match value {
        Json::String(text) => hear(at, text),
        Json::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                leaves(&format!("{at}/{index}"), item, hear);
            }
        }
        Json::Object(map) => {
            for (key, item) in map.iter_mut() {
                leaves(&format!("{at}/{}", escape(key)), item, hear);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn numbered(at: &str, texts: &mut [String], hear: &mut dyn FnMut(&str, &mut String)) {
    for (index, text) in texts.iter_mut().enumerate() {
        hear(&format!("{at}/{index}"), text);
    }
}

#[cfg(test)]
mod tests;
