//! Converts `spec.hooks` of Velero's Backups, Schedules and Restores into hooks of a policy or request.
//!
//! Source: <https://velero.io/docs/main/backup-hooks/> and <https://velero.io/docs/main/restore-hooks/>
//!
//! In: the text of a file · Out: `ConvertedHooks` · Touches: nothing

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::duration::Duration;
use crate::domain::field::FieldError;
use crate::domain::hook::{ExecHook, HookSpec, HookWhen, InitHook, OnError, PodState, PodWait};
use crate::domain::hook_template::{Hook, HookUse};
use crate::domain::labels::LabelSelector;
use crate::domain::object::{Json, JsonMap};
use crate::domain::problem::Problem;
use crate::domain::schema::schema_of_type;
use crate::engine::hooks::velero::{self, WAIT};
use crate::engine::policy::check::{Part, Shape};
use crate::engine::policy::node::Node;
use crate::engine::policy::source;
use crate::engine::yaml;

/// Hooks, and what the reader should know about them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConvertedHooks {
    /// In the order of the file.
    pub hooks: Vec<HookUse>,
    /// What was left out, or means something unexpected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `hooks` as Velero has it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VeleroHooks {
    /// Hooks by the pods they are for.
    #[serde(default)]
    resources: Vec<ResourceHooks>,
}

/// Hooks for some pods.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResourceHooks {
    name: String,
    #[serde(default)]
    included_namespaces: Vec<String>,
    #[serde(default)]
    excluded_namespaces: Vec<String>,
    #[serde(default)]
    included_resources: Vec<String>,
    #[serde(default)]
    excluded_resources: Vec<String>,
    #[serde(default)]
    label_selector: Option<LabelSelector>,
    #[serde(default)]
    pre: Vec<BackupHook>,
    #[serde(default)]
    post: Vec<BackupHook>,
    #[serde(default)]
    post_hooks: Vec<RestoreHook>,
}

/// A command around a backup.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BackupHook {
    exec: BackupExec,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BackupExec {
    #[serde(default)]
    container: Option<String>,
    #[schemars(length(min = 1))]
    command: Vec<String>,
    #[serde(default)]
    on_error: Option<OnError>,
    #[serde(default)]
    timeout: Option<String>,
}

/// A command, or init containers, after a restore.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RestoreHook {
    #[serde(default)]
    exec: Option<RestoreExec>,
    #[serde(default)]
    init: Option<RestoreInit>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RestoreExec {
    #[serde(default)]
    container: Option<String>,
    #[schemars(length(min = 1))]
    command: Vec<String>,
    #[serde(default)]
    on_error: Option<OnError>,
    #[serde(default)]
    exec_timeout: Option<String>,
    #[serde(default)]
    wait_timeout: Option<String>,
    #[serde(default)]
    wait_for_ready: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RestoreInit {
    #[schemars(length(min = 1))]
    init_containers: Vec<JsonMap>,
    #[serde(default)]
    timeout: Option<String>,
}

static SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::new(schema_of_type::<VeleroHooks>()));

/// Converts the hooks of a Backup, Schedule or Restore, or hooks that stand alone.
///
/// # Errors
/// Everything that is wrong, sorted by place; nothing is converted then.
pub fn convert(file: &str, text: &str) -> Result<ConvertedHooks, Vec<Problem>> {
    let node = one(file, text).map_err(|problem| vec![problem])?;
    let tree = node.to_json();
    let at = place(&tree).map_err(|error| vec![problem(file, &node, (error, Part::Value))])?;
    let sub = tree.pointer(at).cloned().unwrap_or_default();
    let misfits = SHAPE.misfits(&sub);
    let mut problems: Vec<Problem> = misfits
        .into_iter()
        .filter(|misfit| misfit.part != Part::Said)
        .map(|misfit| problem(file, &node, (misfit.error.under(at), misfit.part)))
        .collect();
    if problems.is_empty() {
        let read: Result<VeleroHooks, _> = serde_json::from_value(sub);
        match read {
            Err(error) => {
                problems.push(problem(file, &node, (FieldError::new(at, error), Part::Value)));
            }
            Ok(hooks) => match converted(&hooks) {
                Ok(converted) => return Ok(converted),
                Err(errors) => {
                    let under = errors.into_iter().map(|error| error.under(at));
                    problems.extend(under.map(|error| problem(file, &node, (error, Part::Value))));
                }
            },
        }
    }
    problems.sort();
    problems.dedup();
    Err(problems)
}

/// Where the hooks stand in the document.
fn place(tree: &Json) -> Result<&'static str, FieldError> {
    let at = match tree["kind"].as_str() {
        Some("Backup" | "Restore") => "/spec/hooks",
        Some("Schedule") => "/spec/template/hooks",
        Some(kind) => {
            let help = "give a Backup, a Schedule, a Restore, or `hooks` alone";
            return Err(FieldError::new("/kind", format!("a {kind} of Velero has no hooks")).help(help));
        }
        None if tree.get("hooks").is_some() => "/hooks",
        None => "",
    };
    match tree.pointer(at) {
        Some(found) if found.get("resources").is_some() => Ok(at),
        _ => Err(FieldError::new("", "there are no hooks in it: `hooks.resources` is missing")),
    }
}

fn converted(hooks: &VeleroHooks) -> Result<ConvertedHooks, Vec<FieldError>> {
    let (mut converted, mut errors) = (ConvertedHooks::default(), Vec::new());
    for (index, resource) in hooks.resources.iter().enumerate() {
        if !resource.means_pods() {
            let note = format!("{} is left out: Velero runs hooks for pods only", resource.name);
            converted.notes.push(note);
            continue;
        }
        // Velero keeps the order of the file; here weights do, and names only among equals.
        for (weight, (part, made)) in (0..).zip(resource.hooks()) {
            let made = made.map(|spec| HookSpec { weight, ..spec });
            if resource.forgets(&part) {
                converted.notes.push(format!(
                    "{}: the `timeout` of `init` has no effect, as with Velero",
                    resource.name
                ));
            }
            let name = format!("{}-{}", resource.name, part.replace('/', "-").to_ascii_lowercase());
            match made {
                Ok(spec) => {
                    let wrong = spec.check();
                    let at = format!("/resources/{index}/{part}");
                    errors.extend(wrong.into_iter().map(|error| FieldError::new(&at, error)));
                    converted.hooks.push(HookUse::of(Hook { name, spec }));
                }
                Err(error) => errors.push(error.under(&format!("/resources/{index}/{part}"))),
            }
        }
    }
    if errors.is_empty() { Ok(converted) } else { Err(errors) }
}

impl ResourceHooks {
    fn means_pods(&self) -> bool {
        let pods = |list: &[String]| {
            list.iter().any(|name| ["*", "pods", "pod", "po"].contains(&name.to_ascii_lowercase().as_str()))
        };
        (self.included_resources.is_empty() || pods(&self.included_resources))
            && !pods(&self.excluded_resources)
    }

    /// Whether an `init` hook has a timeout.
    fn forgets(&self, part: &str) -> bool {
        let index = part.strip_prefix("postHooks/").and_then(|index| index.parse::<usize>().ok());
        let hook = index.and_then(|index| self.post_hooks.get(index));
        hook.is_some_and(|hook| hook.init.as_ref().is_some_and(|init| init.timeout.is_some()))
    }

    /// Every hook, with its place such as `pre/0`.
    fn hooks(&self) -> Vec<(String, Result<HookSpec, FieldError>)> {
        let mut made = Vec::new();
        for (list, when, hooks) in
            [("pre", HookWhen::PreBackup, &self.pre), ("post", HookWhen::PostBackup, &self.post)]
        {
            for (index, hook) in hooks.iter().enumerate() {
                made.push((format!("{list}/{index}"), self.backup(when, &hook.exec)));
            }
        }
        for (index, hook) in self.post_hooks.iter().enumerate() {
            let place = format!("postHooks/{index}");
            let spec = match (&hook.exec, &hook.init) {
                (Some(exec), None) => self.restore(exec),
                (None, Some(init)) => self.init(init),
                _ => Err(FieldError::new("", "needs exactly one of `exec` and `init`")),
            };
            made.push((place, spec));
        }
        made
    }

    fn backup(&self, when: HookWhen, exec: &BackupExec) -> Result<HookSpec, FieldError> {
        let command = ExecHook { container: exec.container.clone(), command: exec.command.clone() };
        let timeout = length("/exec/timeout", exec.timeout.as_deref())?;
        Ok(HookSpec { on_error: exec.on_error.unwrap_or(OnError::Fail), timeout, ..self.spec(when, command) })
    }

    fn restore(&self, exec: &RestoreExec) -> Result<HookSpec, FieldError> {
        let command = ExecHook { container: exec.container.clone(), command: exec.command.clone() };
        let until = if exec.wait_for_ready == Some(true) { PodState::Ready } else { PodState::Running };
        let bound = length("/exec/waitTimeout", exec.wait_timeout.as_deref())?;
        Ok(HookSpec {
            on_error: exec.on_error.unwrap_or(OnError::Continue),
            timeout: length("/exec/execTimeout", exec.exec_timeout.as_deref())?,
            wait: Some(PodWait { until, timeout: bound.unwrap_or(WAIT) }),
            ..self.spec(HookWhen::PostRestore, command)
        })
    }

    fn init(&self, init: &RestoreInit) -> Result<HookSpec, FieldError> {
        length("/init/timeout", init.timeout.as_deref())?;
        let nothing = ExecHook { container: None, command: Vec::new() };
        Ok(HookSpec {
            exec: None,
            init: Some(InitHook { containers: init.init_containers.clone() }),
            ..self.spec(HookWhen::PostRestore, nothing)
        })
    }

    fn spec(&self, when: HookWhen, exec: ExecHook) -> HookSpec {
        let named = |list: &[String]| list.iter().filter(|name| *name != "*").cloned().collect();
        HookSpec {
            scope: None,
            namespaces: named(&self.included_namespaces),
            exclude_namespaces: self.excluded_namespaces.clone(),
            label_selector: self.label_selector.clone(),
            ..velero::spec(when, exec)
        }
    }
}

/// A duration as Go writes it; none where it is 0.
fn length(pointer: &str, text: Option<&str>) -> Result<Option<Duration>, FieldError> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || FieldError::new(pointer, format!("{text:?} is no duration such as `1m30s`"));
    Ok(Some(velero::length(text).ok_or_else(wrong)?).filter(|length| length.as_seconds() > 0))
}

fn one(file: &str, text: &str) -> Result<Node, Problem> {
    let unreadable =
        |e: yaml::Error| Problem::file(file, format!("cannot read YAML: {}", e.message)).at(e.line, e.column);
    let mut nodes = source::read(text).map_err(unreadable)?;
    match (nodes.pop(), nodes.is_empty()) {
        (Some(node), true) => Ok(node),
        (None, _) => Err(Problem::file(file, "there is no document in it")),
        (Some(_), false) => Err(Problem::file(file, "there is more than one document in it")),
    }
}

fn problem(file: &str, node: &Node, (error, part): (FieldError, Part)) -> Problem {
    let tree = node.to_json();
    let scalar = tree.pointer(&error.pointer).is_some_and(|value| !value.is_object() && !value.is_array());
    let place = if part == Part::Value && scalar {
        node.value_at(&error.pointer)
    } else {
        node.key_at(&error.pointer)
    };
    Problem::field(file, (place.line, place.column), error)
}

#[cfg(test)]
mod tests;
