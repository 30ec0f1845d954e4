//! Init containers that hooks put in front of restored pods.
//!
//! In: `init` hooks of a request, a Pod as it is sent · Out: the Pod with more init containers · Touches: nothing

use crate::domain::hook::{HookAnnotations, HookSpec};
use crate::domain::hook_template::Hook;
use crate::domain::labels::LabelSelector;
use crate::domain::object::{Json, JsonMap, Manifest};
use crate::domain::pattern::NameMatcher;
use crate::engine::hooks::pod::Pod;
use crate::engine::hooks::velero;

/// Which pods get which init containers.
#[derive(Clone, Debug, Default)]
pub struct Inits {
    hooks: Vec<Init>,
    annotations: HookAnnotations,
}

#[derive(Clone, Debug)]
struct Init {
    name: String,
    include: NameMatcher,
    exclude: NameMatcher,
    labels: Option<LabelSelector>,
    containers: Vec<JsonMap>,
}

impl Inits {
    /// Of the hooks of a request, those that have `init`, by weight and name.
    pub fn new(hooks: &[Hook], annotations: HookAnnotations) -> Self {
        let mut wanted: Vec<&Hook> = hooks.iter().filter(|hook| hook.spec.init.is_some()).collect();
        wanted.sort_by_key(|hook| (hook.spec.weight, &hook.name));
        let names = |patterns: &[String]| NameMatcher::new(patterns).unwrap_or_default();
        let read = |hook: &Hook| {
            let HookSpec { namespaces, exclude_namespaces, label_selector, init, .. } = &hook.spec;
            Init {
                name: hook.name.clone(),
                include: names(namespaces),
                exclude: names(exclude_namespaces),
                labels: label_selector.clone(),
                containers: init.as_ref().map(|init| init.containers.clone()).unwrap_or_default(),
            }
        };
        Self { hooks: wanted.into_iter().map(read).collect(), annotations }
    }

    /// The hooks that mean this Pod, and their containers in order.
    ///
    /// # Errors
    /// An annotation of the Pod is wrong.
    pub fn of(&self, pod: &Manifest) -> Result<Vec<(String, Vec<JsonMap>)>, String> {
        let namespace = pod.namespace().unwrap_or_default();
        let fits = |hook: &&Init| {
            !hook.exclude.matches(namespace)
                && (hook.include.is_empty() || hook.include.matches(namespace))
                && hook.labels.as_ref().is_none_or(|labels| labels.matches(|key| pod.label(key)))
        };
        let own = self.hooks.iter().filter(fits);
        let mut found: Vec<_> = own.map(|hook| (hook.name.clone(), hook.containers.clone())).collect();
        if self.annotations == HookAnnotations::Velero
            && let Some(asked) = velero::init(&Pod::read(pod))
        {
            found.push((velero::NAME.to_owned(), asked?.containers));
        }
        Ok(found)
    }
}

/// Puts containers in front of those that a Pod has; one that is there already stays as it is.
pub fn put(pod: &mut Json, containers: &[JsonMap]) {
    let Some(spec) = pod.get_mut("spec").and_then(Json::as_object_mut) else { return };
    let old = spec.get("initContainers").and_then(Json::as_array).cloned().unwrap_or_default();
    let there = |container: &&JsonMap| old.iter().any(|other| other.get("name") == container.get("name"));
    let new = containers.iter().filter(|container| !there(container));
    let all: Vec<Json> = new.map(|container| Json::Object(container.clone())).chain(old.clone()).collect();
    spec.insert("initContainers".to_owned(), Json::Array(all));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(annotations: &Json) -> Manifest {
        Manifest::parse(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "db-0", "namespace": "shop", "labels": {"app": "db"}, "annotations": annotations},
            "spec": {"initContainers": [{"name": "own"}], "containers": [{"name": "db"}]}}))
        .unwrap()
    }

    fn hook(text: &str) -> Hook {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn hooks_choose_pods_and_come_first_in_order() {
        let hooks = [
            hook("{name: b, spec: {when: PostRestore, namespaces: [shop], init: {containers: [{name: b}]}}}"),
            hook(
                "{name: a, spec: {when: PostRestore, weight: 1, labelSelector: {matchLabels: {app: db}}, init: {containers: [{name: a}, {name: own}]}}}",
            ),
            hook(
                "{name: c, spec: {when: PostRestore, excludeNamespaces: [sh*], init: {containers: [{name: c}]}}}",
            ),
        ];
        let asks = json!({"init.hook.restore.velero.io/command": "[\"sh\"]",
            "init.hook.restore.velero.io/container-image": "busybox", "init.hook.restore.velero.io/container-name": "v"});
        let found = Inits::new(&hooks, HookAnnotations::Velero).of(&pod(&asks)).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a", "velero-annotations"]);
        assert_eq!(Inits::new(&hooks, HookAnnotations::Ignore).of(&pod(&asks)).unwrap().len(), 2);
        let containers: Vec<JsonMap> = found.into_iter().flat_map(|(_, containers)| containers).collect();
        let mut tree = pod(&asks).into_json();
        put(&mut tree, &containers);
        let names: Vec<&str> = tree["spec"]["initContainers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["b", "a", "v", "own"]);
    }
}
