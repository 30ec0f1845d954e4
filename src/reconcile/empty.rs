//! Decides whether a cluster is empty: nothing is in it but what Kubernetes, Backstay and its installer bring along.
//!
//! In: namespaces · Out: whether there is anything else · Touches: nothing

use crate::domain::object::Manifest;

/// Label of further namespaces that do not count, such as those of an ingress controller that a cluster is made with.
pub const BOOTSTRAP: &str = "backstay.dev/bootstrap";

/// Namespaces that a cluster has before anybody uses it.
const THERE: [&str; 8] = [
    "default",
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "flux-system",
    "argocd",
    "local-path-storage",
    "gatekeeper-system",
];

/// The first namespace, by name, that tells that a cluster is used; `None` for an empty one.
pub fn used_by<'a>(namespaces: &'a [Manifest], home: &str) -> Option<&'a str> {
    let counts = |namespace: &&Manifest| {
        let name = namespace.name();
        !THERE.contains(&name)
            && name != home
            && !name.starts_with("openshift-")
            && !["openshift"].contains(&name)
            && namespace.label(BOOTSTRAP) != Some("true")
    };
    namespaces.iter().filter(counts).map(Manifest::name).min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(name: &str, bootstrap: &str) -> Manifest {
        let metadata = json!({"name": name, "labels": {BOOTSTRAP: bootstrap}});
        Manifest::parse(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})).unwrap()
    }

    #[test]
    fn a_cluster_is_empty_until_it_has_a_namespace_of_its_own() {
        let mut all: Vec<Manifest> = THERE.iter().map(|name| namespace(name, "")).collect();
        all.push(namespace("backstay", ""));
        all.push(namespace("ingress", "true"));
        all.push(namespace("openshift-dns", ""));
        assert_eq!(used_by(&all, "backstay"), None);
        assert_eq!(used_by(&all, "elsewhere"), Some("backstay"));
        all.extend([namespace("web", ""), namespace("shop", "false")]);
        assert_eq!(used_by(&all, "backstay"), Some("shop"));
    }
}
