//! What hooks need to know of a pod: a few hundred bytes, whatever the pod holds.
//!
//! In: a Pod · Out: `Pod` · Touches: nothing

use std::collections::BTreeMap;

use crate::domain::hook::PodState;
use crate::domain::object::{Json, Manifest, ObjectKey, Owner};

/// A pod as hooks see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Identity.
    pub key: ObjectKey,
    /// Uid: a pod of the same name that was made anew has another one.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations that may ask for hooks.
    pub annotations: BTreeMap<String, String>,
    /// Its controller, if it has one.
    pub controller: Option<Owner>,
    /// `status.phase`.
    pub phase: String,
    /// Whether its condition Ready is True.
    pub ready: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Containers in order, without init containers.
    pub containers: Vec<Part>,
    /// Values of environment variables whose names say that they are secret.
    pub secrets: Vec<String>,
}

/// One container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name.
    pub name: String,
    /// Whether it runs now.
    pub running: bool,
}

/// Annotations that are kept: Velero's, and the one that names a container.
const KEPT: [&str; 5] = [
    "hook.backup.velero.io/",
    "pre.hook.backup.velero.io/",
    "post.hook.backup.velero.io/",
    "post.hook.restore.velero.io/",
    "init.hook.restore.velero.io/",
];

/// The annotation that names the container which commands without a choice mean.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

impl Pod {
    /// Reads a pod.
    pub fn read(pod: &Manifest) -> Self {
        let texts = |at: &str, keep: &dyn Fn(&str) -> bool| {
            let all = pod.at(at).and_then(Json::as_object).into_iter().flatten();
            let kept = all.filter(|(key, _)| keep(key));
            kept.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        };
        let wanted =
            |key: &str| key == DEFAULT_CONTAINER || KEPT.iter().any(|prefix| key.starts_with(prefix));
        let text = |at: &str| pod.at(at).and_then(Json::as_str).unwrap_or_default().to_owned();
        let conditions = pod.at("/status/conditions").and_then(Json::as_array).into_iter().flatten();
        let ready = conditions.clone().any(|c| c["type"] == "Ready" && c["status"] == "True");
        Self {
            key: pod.key(),
            uid: pod.uid().unwrap_or_default().to_owned(),
            labels: texts("/metadata/labels", &|_| true),
            annotations: texts("/metadata/annotations", &wanted),
            controller: pod.controller(),
            phase: text("/status/phase"),
            ready,
            deleting: pod.is_deleting(),
            containers: parts(pod),
            secrets: secrets(pod),
        }
    }

    /// Whether it has ended and will not run again.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Why a command cannot run in this container yet, if so.
    pub fn lacks(&self, container: &str, until: PodState) -> Option<String> {
        let runs = self.containers.iter().any(|part| part.name == container && part.running);
        if !runs {
            return Some(format!("container {container} does not run; the pod is {}", self.phase));
        }
        (until == PodState::Ready && !self.ready).then(|| "the pod is not Ready".to_owned())
    }
}

fn parts(pod: &Manifest) -> Vec<Part> {
    let list = |at: &str| pod.at(at).and_then(Json::as_array).into_iter().flatten();
    let running = |name: &str| {
        let mut statuses = list("/status/containerStatuses");
        statuses.any(|status| status["name"] == name && status["state"]["running"].is_object())
    };
    let names = list("/spec/containers").filter_map(|container| container["name"].as_str());
    names.map(|name| Part { name: name.to_owned(), running: running(name) }).collect()
}

/// Plain values under names such as `DB_PASSWORD`.
fn secrets(pod: &Manifest) -> Vec<String> {
    let containers = pod.at("/spec/containers").and_then(Json::as_array).into_iter().flatten();
    let vars = containers.flat_map(|container| container["env"].as_array().into_iter().flatten());
    let secret = |name: &str| {
        let name = name.to_ascii_uppercase();
        ["PASS", "SECRET", "TOKEN", "KEY", "AUTH", "CREDENTIAL", "PWD"].iter().any(|word| name.contains(word))
    };
    let named = vars.filter(|var| var["name"].as_str().is_some_and(secret));
    named.filter_map(|var| var["value"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_hooks_need_is_kept() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "db-0", "namespace": "shop", "uid": "u", "labels": {"app": "db"},
                "annotations": {"pre.hook.backup.velero.io/command": "[\"sync\"]", "checksum/config": "abc"}},
            "spec": {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}], "containers": [
                {"name": "db", "env": [{"name": "PGPASSWORD", "value": "hunter2"}, {"name": "LANG", "value": "C"}]},
                {"name": "web"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{"name": "db", "state": {"running": {}}}, {"name": "web", "state": {"waiting": {}}}]}});
        let pod = Pod::read(&Manifest::parse(pod).unwrap());
        assert_eq!(pod.annotations.keys().collect::<Vec<_>>(), ["pre.hook.backup.velero.io/command"]);
        assert_eq!(pod.secrets, ["hunter2"]);
        assert_eq!(pod.lacks("db", PodState::Running), None);
        assert_eq!(pod.lacks("db", PodState::Ready).unwrap(), "the pod is not Ready");
        assert_eq!(
            pod.lacks("web", PodState::Running).unwrap(),
            "container web does not run; the pod is Running"
        );
    }
}
