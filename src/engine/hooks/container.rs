//! Chooses the container in which a command runs.
//!
//! In: a `Pod`, the catalog's sidecars · Out: `Choice` · Touches: nothing

use super::pod::{DEFAULT_CONTAINER, Pod};

/// The container that is meant, and how it was found where that is not plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub container: String,
    /// What the reader should know.
    pub note: Option<String>,
}

/// Chooses: the container that is asked for, else the one that the annotation of kubectl names, else the only one that is no
/// known sidecar, else the first that is none, with a note.
///
/// # Errors
/// The name that the pod does not have.
pub fn choose(pod: &Pod, wanted: Option<&str>, sidecar: impl Fn(&str) -> bool) -> Result<Choice, String> {
    let has = |name: &str| pod.containers.iter().any(|part| part.name == name);
    let found = |name: &str, note: Option<String>| Choice { container: name.to_owned(), note };
    if let Some(name) = wanted {
        return if has(name) { Ok(found(name, None)) } else { Err(name.to_owned()) };
    }
    let stale = match pod.annotations.get(DEFAULT_CONTAINER) {
        Some(name) if has(name) => {
            return Ok(found(name, Some(format!("container {name}: annotation {DEFAULT_CONTAINER}"))));
        }
        Some(name) => {
            Some(format!("annotation {DEFAULT_CONTAINER} names {name}, which the pod does not have"))
        }
        None => None,
    };
    let names = pod.containers.iter().map(|part| part.name.as_str());
    let own: Vec<&str> = names.clone().filter(|name| !sidecar(name)).collect();
    let told = |name: &str, why: Option<String>| {
        let all: Vec<String> = stale.iter().cloned().chain(why).collect();
        found(name, (!all.is_empty()).then(|| all.join("; ")))
    };
    match own.as_slice() {
        [only] if pod.containers.len() == 1 => Ok(told(only, None)),
        [only] => Ok(told(only, Some(format!("container {only}: the others are known sidecars")))),
        [first, others @ ..] => {
            let why = format!("container {first}: the first; {} could be meant too", others.join(", "));
            Ok(told(first, Some(why)))
        }
        [] => match names.clone().next() {
            Some(first) => Ok(told(first, Some(format!("container {first}: all are known sidecars")))),
            None => Err("of any name".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::object::{Gvk, ObjectKey};
    use crate::domain::rules::Catalog;
    use crate::engine::hooks::pod::Part;

    fn pod(containers: &[&str], default: Option<&str>) -> Pod {
        let part = |name: &&str| Part { name: (*name).to_owned(), running: true };
        let annotations = default.map(|name| (DEFAULT_CONTAINER.to_owned(), name.to_owned()));
        Pod {
            key: ObjectKey {
                group: String::new(),
                kind: Gvk::new("v1", "Pod").kind,
                namespace: Some("shop".into()),
                name: "db-0".into(),
            },
            uid: String::new(),
            labels: BTreeMap::new(),
            annotations: annotations.into_iter().collect(),
            controller: None,
            phase: "Running".into(),
            ready: true,
            deleting: false,
            containers: containers.iter().map(part).collect(),
            secrets: Vec::new(),
        }
    }

    fn chosen(containers: &[&str], default: Option<&str>, wanted: Option<&str>) -> String {
        match choose(&pod(containers, default), wanted, |name| Catalog::builtin().is_sidecar(name)) {
            Ok(Choice { container, note }) => format!("{container} ({})", note.unwrap_or_default()),
            Err(name) => format!("no container {name}"),
        }
    }

    #[test]
    fn a_command_never_ends_up_in_a_known_sidecar_by_chance() {
        assert_eq!(chosen(&["db"], None, None), "db ()");
        assert_eq!(
            chosen(&["istio-proxy", "db"], None, None),
            "db (container db: the others are known sidecars)"
        );
        assert_eq!(
            chosen(&["linkerd-proxy", "a", "vault-agent", "b"], None, None),
            "a (container a: the first; b could be meant too)"
        );
        assert_eq!(
            chosen(&["istio-proxy"], None, None),
            "istio-proxy (container istio-proxy: all are known sidecars)"
        );
    }

    #[test]
    fn who_says_which_one_gets_it_or_hears_that_it_is_not_there() {
        assert_eq!(chosen(&["istio-proxy", "db"], None, Some("istio-proxy")), "istio-proxy ()");
        assert_eq!(chosen(&["a", "b"], None, Some("c")), "no container c");
        let annotated = "b (container b: annotation kubectl.kubernetes.io/default-container)";
        assert_eq!(chosen(&["a", "b"], Some("b"), None), annotated);
        let stale =
            "a (annotation kubectl.kubernetes.io/default-container names z, which the pod does not have)";
        assert_eq!(chosen(&["a"], Some("z"), None), stale);
    }
}
