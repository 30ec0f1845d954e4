//! Finds what a hook runs for: pods, workloads, namespaces, or the run itself.
//!
//! In: a hook, `Seen` · Out: `Target`s · Touches: nothing

use std::collections::BTreeMap;

use super::container::choose;
use super::pod::Pod;
use super::velero;
use crate::domain::hook::{HookScope, HookSpec, HookWhen};
use crate::domain::hook_report::HookTarget;
use crate::domain::labels::LabelSelector;
use crate::domain::object::{Manifest, ObjectKey};
use crate::domain::pattern::NameMatcher;

/// What there is in the namespaces of a run.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Namespaces of the run, with their labels.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Their pods that have not ended, sorted by key.
    pub pods: Vec<Pod>,
    /// Their `Deployment`s, `StatefulSet`s and `DaemonSet`s, sorted by key.
    pub workloads: Vec<Workload>,
}

/// A workload as hooks see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Identity.
    pub key: ObjectKey,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Which pods are its own.
    pub selector: LabelSelector,
}

/// One thing that a hook does.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// For whom.
    pub target: HookTarget,
    /// The pod in which a command runs.
    pub pod: Option<Pod>,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// What runs, where a pod itself asks for it.
    pub own: Option<HookSpec>,
    /// Why it cannot be done, where that is known already.
    pub fault: Option<Fault>,
}

/// Why a hook cannot be carried out on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The pod has no such container.
    NoContainer(String),
    /// The workload has no pod.
    NoPod,
    /// The pod's annotations are wrong.
    Annotation(String),
}

impl Workload {
    /// Reads a workload; one whose selector cannot be read has no pods.
    pub fn read(object: &Manifest) -> Self {
        let labels = object.labels().into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        let selector = object.at("/spec/selector").cloned().unwrap_or_default();
        Self {
            key: object.key(),
            labels: labels.collect(),
            selector: serde_json::from_value(selector).unwrap_or_default(),
        }
    }

    /// Whether a pod is its own.
    pub fn owns(&self, pod: &Pod) -> bool {
        let empty = self.selector.match_labels.is_empty() && self.selector.match_expressions.is_empty();
        !empty && pod.key.namespace == self.key.namespace && matches(&self.selector, &pod.labels)
    }
}

fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.matches(|key| labels.get(key).map(String::as_str))
}

/// Everything a hook runs for, sorted.
pub fn targets(hook: &HookSpec, seen: &Seen, sidecar: &dyn Fn(&str) -> bool) -> Vec<Target> {
    let names = Names::of(hook);
    let labels = |labels: &BTreeMap<String, String>| {
        hook.label_selector.as_ref().is_none_or(|selector| matches(selector, labels))
    };
    let here = |key: &ObjectKey| key.namespace.as_deref().is_some_and(|name| names.has(name));
    match hook.scope() {
        HookScope::Run => vec![Target::plain(None)],
        HookScope::Namespace => {
            let meant = seen.namespaces.iter().filter(|(name, found)| names.has(name) && labels(found));
            meant.map(|(name, _)| Target::plain(Some(namespace(name)))).collect()
        }
        HookScope::Pod => {
            // What is being deleted is nobody's target: during a rollout there is another one.
            let meant = seen.pods.iter().filter(|pod| !pod.deleting && here(&pod.key) && labels(&pod.labels));
            meant.map(|pod| in_pod(hook, pod, None, sidecar)).collect()
        }
        HookScope::Workload => {
            let meant = seen.workloads.iter().filter(|found| here(&found.key) && labels(&found.labels));
            let scale = hook.scale.is_some();
            let meant = meant.filter(|found| !scale || found.key.kind != "DaemonSet");
            meant
                .map(|found| {
                    if scale {
                        Target::plain(Some(found.key.clone()))
                    } else {
                        in_workload(hook, found, seen, sidecar)
                    }
                })
                .collect()
        }
    }
}

/// What pods ask for by annotation at a moment; `meant` says which of them belong to the run.
pub fn annotated(
    when: HookWhen,
    seen: &Seen,
    meant: &dyn Fn(&Pod) -> bool,
    sidecar: &dyn Fn(&str) -> bool,
) -> Vec<Target> {
    let asked = seen.pods.iter().filter(|pod| !pod.deleting && meant(pod));
    let asked = asked.filter_map(|pod| Some((pod, velero::hook(pod, when)?)));
    let target = |(pod, hook): (&Pod, Result<HookSpec, String>)| match hook {
        Ok(hook) => Target { own: Some(hook.clone()), ..in_pod(&hook, pod, None, sidecar) },
        Err(wrong) => {
            Target { fault: Some(Fault::Annotation(wrong)), ..Target::plain(Some(pod.key.clone())) }
        }
    };
    asked.map(target).collect()
}

impl Target {
    fn plain(key: Option<ObjectKey>) -> Self {
        let target = HookTarget { key, pod: None, container: None };
        Self { target, pod: None, notes: Vec::new(), own: None, fault: None }
    }
}

fn in_pod(hook: &HookSpec, pod: &Pod, of: Option<&Workload>, sidecar: &dyn Fn(&str) -> bool) -> Target {
    let wanted = hook.exec.as_ref().and_then(|exec| exec.container.as_deref());
    let key = of.map_or(&pod.key, |workload| &workload.key);
    let name = of.map(|_| pod.key.name.clone());
    let plain = Target { pod: Some(pod.clone()), ..Target::plain(Some(key.clone())) };
    let target = |container| HookTarget { key: Some(key.clone()), pod: name.clone(), container };
    match choose(pod, wanted, sidecar) {
        Ok(choice) => {
            let notes = choice.note.into_iter().collect();
            Target { target: target(Some(choice.container)), notes, ..plain }
        }
        Err(container) => {
            Target { target: target(None), fault: Some(Fault::NoContainer(container)), ..plain }
        }
    }
}

/// In the pod of a workload that is the most likely to answer: ready ones first, then by name.
fn in_workload(hook: &HookSpec, workload: &Workload, seen: &Seen, sidecar: &dyn Fn(&str) -> bool) -> Target {
    let own = seen.pods.iter().filter(|pod| workload.owns(pod) && !pod.deleting);
    match own.min_by_key(|pod| (!pod.ready, pod.phase != "Running", &pod.key.name)) {
        Some(pod) => in_pod(hook, pod, Some(workload), sidecar),
        None => Target { fault: Some(Fault::NoPod), ..Target::plain(Some(workload.key.clone())) },
    }
}

fn namespace(name: &str) -> ObjectKey {
    ObjectKey { group: String::new(), kind: "Namespace".into(), namespace: None, name: name.to_owned() }
}

/// Namespaces by pattern. Patterns were checked when the hook was read; one that cannot be read matches nothing.
struct Names {
    include: NameMatcher,
    exclude: NameMatcher,
}

impl Names {
    fn of(hook: &HookSpec) -> Self {
        let read = |patterns: &[String]| NameMatcher::new(patterns).unwrap_or_default();
        Self { include: read(&hook.namespaces), exclude: read(&hook.exclude_namespaces) }
    }

    fn has(&self, name: &str) -> bool {
        !self.exclude.matches(name) && (self.include.is_empty() || self.include.matches(name))
    }
}
