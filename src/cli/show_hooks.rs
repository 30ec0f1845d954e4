//! The forms for people of hooks: what would run, what ran, and which templates there are.
//!
//! In: plans, reports, templates · Out: text · Touches: nothing

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::domain::hook::{HookSpec, HookWhen, PodState};
use crate::domain::hook_report::{HookOutcome, HookReport, HookResult, HookRun};
use crate::domain::hook_template::HookTemplateSpec;
use crate::engine::hooks::moment::Planned;
use crate::engine::hooks::targets::{Fault, Target};
use crate::engine::hooks::wrapped::plain_program;

use super::print::{Show, count};

/// Runs of one hook that are shown although they succeeded.
const NAMED: usize = 20;

/// What would run around a backup.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookList {
    /// The policy.
    pub policy: String,
    /// Hooks in order.
    pub hooks: Vec<ListedHook>,
}

/// One hook that would run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedHook {
    /// Name.
    pub name: String,
    /// When.
    pub when: HookWhen,
    /// Weight.
    pub weight: i32,
    /// What it does, such as `exec pg_dump`.
    pub what: String,
    /// For whom.
    pub targets: Vec<ListedTarget>,
}

/// One target of a hook.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedTarget {
    /// Such as `Pod shop/db-0, container db`.
    pub target: String,
    /// Why it would be so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it would fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails: Option<String>,
}

impl ListedHook {
    /// Of a planned hook.
    pub fn of(planned: &Planned, when: HookWhen) -> Self {
        Self {
            name: planned.hook.name.clone(),
            when,
            weight: planned.hook.spec.weight,
            what: what(&planned.hook.spec),
            targets: planned.targets.iter().map(listed).collect(),
        }
    }
}

fn listed(target: &Target) -> ListedTarget {
    let fails = target.fault.as_ref().map(|fault| match fault {
        Fault::NoContainer(name) => format!("the pod has no container {name}"),
        Fault::NoPod => "the workload has no pod".to_owned(),
        Fault::Annotation(wrong) => wrong.clone(),
    });
    let idle = target.pod.as_ref().filter(|_| fails.is_none());
    let idle = idle.and_then(|pod| pod.lacks(target.target.container.as_deref()?, PodState::Running));
    let asked = target.own.as_ref().map(what);
    let notes = asked.into_iter().chain(target.notes.iter().cloned()).chain(idle);
    ListedTarget { target: target.target.to_string(), notes: notes.collect(), fails }
}

/// What a hook does, without its arguments, which may be secret.
pub fn what(spec: &HookSpec) -> String {
    if let Some(exec) = &spec.exec {
        let program = exec.command.first().map(String::as_str).unwrap_or_default();
        return format!("exec {}", plain_program(program));
    }
    if let Some(job) = &spec.job {
        return format!("job {}", job.image);
    }
    match (&spec.scale, &spec.http) {
        (Some(scale), _) => format!("scale to {}", scale.replicas),
        (None, Some(http)) => format!("http {}", host(&http.url)),
        (None, None) => "init containers".to_owned(),
    }
}

/// Scheme and host of an address: path, query and password may be secret.
fn host(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| Some(format!("{}://{}", url.scheme(), url.host_str()?)));
    host.unwrap_or_else(|| "a service".to_owned())
}

impl Show for HookList {
    fn show(&self, out: &mut dyn Write, _quiet: bool) -> io::Result<()> {
        if self.hooks.is_empty() {
            return writeln!(out, "policy {} has no hooks, and no pod asks for one", self.policy);
        }
        show_listed(&self.hooks, out)
    }
}

/// Hooks in order, each with its targets and why they are.
pub fn show_listed(hooks: &[ListedHook], out: &mut dyn Write) -> io::Result<()> {
    for hook in hooks {
        writeln!(out, "{}: hook {} ({}, weight {})", hook.when, hook.name, hook.what, hook.weight)?;
        for target in &hook.targets {
            let notes = if target.notes.is_empty() {
                String::new()
            } else {
                format!(" ({})", target.notes.join("; "))
            };
            let fails = target.fails.as_ref().map(|why| format!(": would fail: {why}")).unwrap_or_default();
            writeln!(out, "  {}{notes}{fails}", target.target)?;
        }
        if hook.targets.is_empty() {
            writeln!(out, "  nothing matches now")?;
        }
    }
    Ok(())
}

/// What came of hooks that were run by themselves.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookRuns {
    /// Hooks in the order in which they ran.
    pub hooks: Vec<HookReport>,
}

impl Show for HookRuns {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        if self.hooks.is_empty() {
            return writeln!(out, "nothing ran");
        }
        show_hooks(&self.hooks, out, quiet)
    }
}

/// Hooks and their runs; quietly, only what failed.
pub fn show_hooks(hooks: &[HookReport], out: &mut dyn Write, quiet: bool) -> io::Result<()> {
    for hook in hooks {
        if quiet && hook.outcome == HookOutcome::Succeeded {
            continue;
        }
        let reason = hook.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        writeln!(out, "  hook {} {} ({:?}){reason}", hook.name, hook.when, hook.outcome)?;
        let (failed, fine): (Vec<&HookRun>, Vec<&HookRun>) =
            hook.runs.iter().partition(|run| run.result != HookResult::Succeeded);
        for run in &failed {
            show_run(run, out)?;
        }
        if quiet {
            continue;
        }
        for run in fine.iter().take(NAMED) {
            show_run(run, out)?;
        }
        if fine.len() > NAMED {
            writeln!(out, "    and {} more that succeeded", fine.len() - NAMED)?;
        }
    }
    Ok(())
}

fn show_run(run: &HookRun, out: &mut dyn Write) -> io::Result<()> {
    let seconds = f64::from(u32::try_from(run.millis).unwrap_or(u32::MAX)) / 1000.0;
    let tries = if run.attempts > 1 { format!(", {} attempts", run.attempts) } else { String::new() };
    let reason = run.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    writeln!(out, "    {}: {:?} in {seconds:.1} s{tries}{reason}", run.target, run.result)?;
    for note in &run.notes {
        writeln!(out, "      note: {note}")?;
    }
    for (name, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        for line in text.lines() {
            writeln!(out, "      {name}: {line}")?;
        }
    }
    Ok(())
}

/// Templates by name, and where they come from.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Templates(pub BTreeMap<String, ListedTemplate>);

/// One template.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedTemplate {
    /// Whether it is built in.
    pub built_in: bool,
    /// The template.
    #[serde(flatten)]
    pub template: HookTemplateSpec,
}

impl Show for Templates {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        for (name, ListedTemplate { built_in, template }) in &self.0 {
            let origin = if *built_in { "" } else { " (of the policy repository)" };
            let text = template.description.as_deref().unwrap_or("no description");
            writeln!(out, "{name}{origin}, {}: {text}", template.hook.when)?;
            if quiet {
                continue;
            }
            for parameter in &template.parameters {
                let default = match &parameter.default {
                    Some(default) => format!(" [{default}]"),
                    None => " (needed)".to_owned(),
                };
                let text = parameter.description.as_deref().unwrap_or_default();
                writeln!(out, "  {}{default}: {text}", parameter.name)?;
            }
        }
        writeln!(out, "{}", count(self.0.len() as u64, "template"))
    }
}
