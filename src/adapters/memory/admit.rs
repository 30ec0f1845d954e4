//! Checks and completes what is written, as far as a restore can notice: names, required and fixed fields, defaults.
//!
//! In: an object and its kind · Out: the object as it is stored, or the fields that are wrong · Touches: nothing

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::kinds::Kind;
use crate::domain::object::{Json, JsonMap};

/// Refuses names that the API server refuses.
pub fn check_name(kind: &Kind, name: &str) -> Result<(), String> {
    let path_only = kind.resource.gvk.group == "rbac.authorization.k8s.io";
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fine = if path_only {
        !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%'])
    } else {
        name.chars().all(plain) && edge(name.chars().next()) && edge(name.chars().last())
    };
    if fine && name.len() <= 253 { Ok(()) } else { Err("metadata.name: Invalid value".into()) }
}

/// Refuses objects that the API server refuses. Messages name fields and no values.
pub fn check(kind: &Kind, object: &Json) -> Result<(), String> {
    let need = |pointer: &str| match object.pointer(pointer) {
        Some(value) if !value.is_null() => Ok(()),
        _ => Err(format!("{}: Required value", pointer[1..].replace('/', "."))),
    };
    match kind.storage.as_str() {
        "configmaps" => texts(object, "data"),
        "secrets" => {
            texts(object, "data")?;
            let encoded = |v: &Json| v.as_str().is_none_or(|v| STANDARD.decode(v).is_ok());
            let data = object.get("data").and_then(Json::as_object);
            unless(data.is_none_or(|d| d.values().all(encoded)), "data: illegal base64 data")
        }
        "deployments.apps" | "replicasets.apps" | "statefulsets.apps" | "daemonsets.apps" => {
            need("/spec/selector")?;
            let wanted = object.pointer("/spec/selector/matchLabels").and_then(Json::as_object);
            let labels = object.pointer("/spec/template/metadata/labels");
            let same = |(key, value)| labels.and_then(|l| l.get(key)) == Some(value);
            let reason = "spec.template.metadata.labels: Invalid value: `selector` does not match";
            unless(wanted.into_iter().flatten().all(same), reason)
        }
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            need("/roleRef/name")
        }
        "persistentvolumeclaims" => {
            need("/spec/accessModes")?;
            need("/spec/resources/requests/storage")
        }
        "customresourcedefinitions.apiextensions.k8s.io" => {
            need("/spec/group")?;
            need("/spec/names/kind")?;
            need("/spec/names/plural")?;
            need("/spec/versions")
        }
        _ => Ok(()),
    }
}

fn texts(object: &Json, field: &str) -> Result<(), String> {
    let Some(data) = object.get(field).filter(|d| !d.is_null()) else { return Ok(()) };
    let fine = data.as_object().is_some_and(|d| d.values().all(Json::is_string));
    unless(fine, &format!("{field}: must hold text values"))
}

fn unless(fine: bool, reason: &str) -> Result<(), String> {
    if fine { Ok(()) } else { Err(reason.to_owned()) }
}

/// Refuses changes of fields that cannot change.
pub fn check_change(kind: &Kind, before: &Json, after: &Json) -> Result<(), String> {
    let fixed: &[&str] = match kind.storage.as_str() {
        "deployments.apps" | "daemonsets.apps" | "replicasets.apps" => &["/spec/selector"],
        "statefulsets.apps" => &["/spec/selector", "/spec/serviceName", "/spec/volumeClaimTemplates"],
        "services" if !after.pointer("/spec/clusterIP").is_none_or(|ip| ip == "") => &["/spec/clusterIP"],
        "jobs.batch" => &["/spec/template", "/spec/selector", "/spec/completions"],
        "persistentvolumeclaims" if before.pointer("/spec/volumeName").is_some() => {
            &["/spec/volumeName", "/spec/accessModes", "/spec/storageClassName"]
        }
        "persistentvolumeclaims" => &["/spec/accessModes", "/spec/storageClassName"],
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            &["/roleRef"]
        }
        "storageclasses.storage.k8s.io" => {
            &["/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"]
        }
        "secrets" if before.get("immutable") == Some(&Json::Bool(true)) => &["/data", "/immutable"],
        "configmaps" if before.get("immutable") == Some(&Json::Bool(true)) => {
            &["/data", "/binaryData", "/immutable"]
        }
        "secrets" => &["/type"],
        _ => &[],
    };
    match fixed.iter().find(|p| before.pointer(p) != after.pointer(p)) {
        Some(p) => Err(format!("{}: Invalid value: field is immutable", p[1..].replace('/', "."))),
        None => Ok(()),
    }
}

/// Takes unknown fields out of a custom resource, as its schema says.
pub fn prune(value: &mut Json, schema: &Json) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Json::Bool(true)) {
        return;
    }
    match value {
        Json::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    prune(item, schema);
                }
            }
        }
        Json::Object(map) => {
            let properties = schema.get("properties").and_then(Json::as_object);
            let more = schema.get("additionalProperties").filter(|m| **m != Json::Bool(false));
            if properties.is_none() && more.is_none() && schema.get("type") != Some(&json!("object")) {
                return;
            }
            map.retain(|key, _| more.is_some() || properties.is_some_and(|p| p.contains_key(key)));
            for (key, child) in map.iter_mut() {
                if let Some(schema) = properties.and_then(|p| p.get(key)).or(more) {
                    prune(child, schema);
                }
            }
        }
        _ => {}
    }
}

/// Fields of a custom resource that break its schema, without their values.
pub fn schema_errors(object: &Json, schema: &Json) -> Vec<String> {
    let mut schema = schema.clone();
    allow_nulls(&mut schema);
    let Ok(validator) = jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(&schema) else {
        return Vec::new();
    };
    let field = |path: String| path.trim_start_matches('/').replace('/', ".");
    let mut errors: Vec<String> = validator
        .iter_errors(object)
        .map(|e| {
            format!("{}: breaks {}", field(e.instance_path().to_string()), field(e.schema_path().to_string()))
        })
        .collect();
    errors.sort();
    errors
}

fn allow_nulls(schema: &mut Json) {
    match schema {
        Json::Object(map) => {
            if map.get("nullable") == Some(&Json::Bool(true))
                && let Some(kind) = map.get("type").cloned()
            {
                map.insert("type".into(), json!([kind, "null"]));
            }
            map.values_mut().for_each(allow_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(allow_nulls),
        _ => {}
    }
}

/// The finalizer that a new object of this kind gets.
pub fn protection(kind: &Kind) -> Option<&'static str> {
    match kind.storage.as_str() {
        "persistentvolumeclaims" => Some("kubernetes.io/pvc-protection"),
        "persistentvolumes" => Some("kubernetes.io/pv-protection"),
        _ => None,
    }
}

/// Fills in what the API server fills in.
pub fn complete(kind: &Kind, object: &mut Json) {
    match kind.storage.as_str() {
        "namespaces" => {
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            default(object, "/spec", "finalizers", json!(["kubernetes"]));
            default(object, "/status", "phase", json!("Active"));
        }
        "secrets" => {
            if let Some(Json::Object(texts)) =
                object.as_object_mut().and_then(|o| o.shift_remove("stringData"))
            {
                for (key, value) in texts {
                    object["data"][key] = STANDARD.encode(value.as_str().unwrap_or_default()).into();
                }
            }
            default(object, "", "type", json!("Opaque"));
        }
        "deployments.apps" => {
            default(object, "/spec", "replicas", json!(1));
            default(object, "/spec", "revisionHistoryLimit", json!(10));
            default(object, "/spec", "progressDeadlineSeconds", json!(600));
            pod(object, "/spec/template/spec");
        }
        "statefulsets.apps" | "replicasets.apps" | "replicationcontrollers" => {
            default(object, "/spec", "replicas", json!(1));
            pod(object, "/spec/template/spec");
        }
        "daemonsets.apps" | "jobs.batch" => pod(object, "/spec/template/spec"),
        "cronjobs.batch" => {
            default(object, "/spec", "concurrencyPolicy", json!("Allow"));
            default(object, "/spec", "suspend", json!(false));
            pod(object, "/spec/jobTemplate/spec/template/spec");
        }
        "pods" => {
            pod(object, "/spec");
            default(object, "/status", "phase", json!("Pending"));
        }
        "services" => {
            default(object, "/spec", "type", json!("ClusterIP"));
            default(object, "/spec", "sessionAffinity", json!("None"));
        }
        "persistentvolumeclaims" => {
            default(object, "/spec", "volumeMode", json!("Filesystem"));
            default(object, "/status", "phase", json!("Pending"));
        }
        "persistentvolumes" => {
            default(object, "/spec", "persistentVolumeReclaimPolicy", json!("Retain"));
            default(object, "/status", "phase", json!("Available"));
        }
        _ => {}
    }
}

fn pod(object: &mut Json, at: &str) {
    default(object, at, "restartPolicy", json!("Always"));
    default(object, at, "dnsPolicy", json!("ClusterFirst"));
    default(object, at, "terminationGracePeriodSeconds", json!(30));
    default(object, at, "schedulerName", json!("default-scheduler"));
}

/// Sets a field where it is absent; makes the mapping it stands in where that is one level below what exists.
fn default(object: &mut Json, at: &str, field: &str, value: Json) {
    if object.pointer(at).is_none()
        && let Some((parent, key)) = at.rsplit_once('/')
        && let Some(Json::Object(parent)) = object.pointer_mut(parent)
    {
        parent.insert(key.to_owned(), Json::Object(JsonMap::new()));
    }
    if let Some(Json::Object(map)) = object.pointer_mut(at)
        && map.get(field).is_none_or(Json::is_null)
    {
        map.insert(field.to_owned(), value);
    }
}
