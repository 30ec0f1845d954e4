//! The objects of a measurement: a mix of kinds, sizes as in ordinary clusters, spread over namespaces.

use serde_json::{Value, json};

/// Objects in one namespace at most.
const PER_NAMESPACE: usize = 180;

/// One object and where it is posted.
#[derive(Clone, Debug)]
pub struct Made {
    /// Collection in the URL, such as `/api/v1/namespaces/a/configmaps`.
    pub collection: String,
    /// Its namespace.
    pub namespace: String,
    /// The object.
    pub object: Value,
}

/// So many objects, the same for the same count.
pub fn mixed(prefix: &str, count: usize) -> Vec<Made> {
    (0..count).map(|n| one(&format!("{prefix}-{:03}", n / PER_NAMESPACE), n)).collect()
}

/// The same mix, spread evenly over so many namespaces.
pub fn spread(prefix: &str, count: usize, namespaces: usize) -> Vec<Made> {
    (0..count).map(|n| one(&format!("{prefix}-{:03}", n % namespaces), n)).collect()
}

/// So many Secrets in one namespace, of the size that they mostly have.
pub fn secrets(prefix: &str, count: usize) -> Vec<Made> {
    let namespace = format!("{prefix}-000");
    let secret = |n: usize| {
        let metadata = json!({"name": format!("item-{n:05}"), "namespace": namespace});
        let data = json!({"password": text(n, 24), "token": text(n + 1, 600)});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
    };
    let collection = format!("/api/v1/namespaces/{namespace}/secrets");
    let made = |n| Made { collection: collection.clone(), namespace: namespace.clone(), object: secret(n) };
    (0..count).map(made).collect()
}

fn one(namespace: &str, n: usize) -> Made {
    let (group, plural, mut object) = match n % 10 {
        0..=2 => {
            ("api/v1", "configmaps", json!({"kind": "ConfigMap", "data": {"settings.yaml": text(n, 900)}}))
        }
        3..=5 => (
            "api/v1",
            "secrets",
            json!({"kind": "Secret", "stringData": {"password": text(n, 24), "token": text(n + 1, 600)}}),
        ),
        6 => ("api/v1", "serviceaccounts", json!({"kind": "ServiceAccount"})),
        7 => (
            "apis/rbac.authorization.k8s.io/v1",
            "roles",
            json!({"kind": "Role", "rules": [
            {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list", "watch"]}]}),
        ),
        8 => (
            "apis/networking.k8s.io/v1",
            "networkpolicies",
            json!({"kind": "NetworkPolicy", "spec": {
            "podSelector": {"matchLabels": {"app": format!("a{n}")}}, "policyTypes": ["Ingress"]}}),
        ),
        _ => ("apis/apps/v1", "deployments", deployment(n)),
    };
    object["apiVersion"] = json!(group.trim_start_matches("apis/").trim_start_matches("api/"));
    object["metadata"] = json!({
        "name": format!("item-{n:05}"), "namespace": namespace,
        "labels": {"app.kubernetes.io/name": format!("a{n}"), "app.kubernetes.io/part-of": "bench"},
    });
    Made {
        collection: format!("/{group}/namespaces/{namespace}/{plural}"),
        namespace: namespace.into(),
        object,
    }
}

fn deployment(n: usize) -> Value {
    let app = json!({"app": format!("a{n}")});
    let environment: Vec<Value> =
        (0..10).map(|v| json!({"name": format!("SETTING_{v}"), "value": text(n + v, 20)})).collect();
    json!({"kind": "Deployment", "spec": {
        "replicas": 0, "paused": true, "selector": {"matchLabels": app},
        "template": {"metadata": {"labels": app}, "spec": {"containers": [{
            "name": "main", "image": "registry.example.org/app:1", "env": environment,
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        }]}},
    }})
}

/// Letters that hardly compress.
fn text(seed: usize, length: usize) -> String {
    let mut state = seed as u64 + 1;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap_or(0))
        })
        .collect()
}
