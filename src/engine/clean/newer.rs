//! What newer versions of an API say in another form than older ones.
//!
//! In: an object's tree in the old form · Out: in the new form · Touches: nothing

use serde_json::json;

use crate::domain::object::{Json, JsonMap};

/// Mutable elements of a list; none where it is no list.
pub fn list(value: Option<&mut Json>) -> impl Iterator<Item = &mut Json> {
    value.and_then(Json::as_array_mut).into_iter().flatten()
}

/// Says in the schema what a flag of `apiextensions.k8s.io/v1beta1` said. As velero.io/crd-preserve-fields.
pub fn preserve_unknown_fields(object: &mut Json) {
    if object.get("apiVersion").and_then(Json::as_str) == Some("apiextensions.k8s.io/v1beta1") {
        return; // there the flag is what counts
    }
    if let Some(spec) = spec(object) {
        say_in_schemas(spec);
    }
}

fn say_in_schemas(spec: &mut JsonMap) {
    if spec.get("preserveUnknownFields") != Some(&Json::Bool(true)) {
        return;
    }
    spec.insert("preserveUnknownFields".into(), Json::Bool(false));
    for version in list(spec.get_mut("versions")).filter_map(Json::as_object_mut) {
        let schema = version.entry("schema").or_insert_with(|| json!({}));
        let Some(schema) = schema.as_object_mut() else { continue };
        let root = schema.entry("openAPIV3Schema").or_insert_with(|| json!({}));
        if let Some(root) = root.as_object_mut() {
            root.entry("type").or_insert_with(|| json!("object"));
            root.insert("x-kubernetes-preserve-unknown-fields".into(), Json::Bool(true));
        }
    }
}

/// Puts into each version what `apiextensions.k8s.io/v1beta1` says once for all. What is said once is dropped by the catalog.
///
/// A definition that does not say so keeps unknown fields there, and says it in its schema here.
pub fn definition_versions(object: &mut Json) {
    let Some(spec) = spec(object) else { return };
    if !spec.contains_key("versions")
        && let Some(name) = spec.get("version")
    {
        let only = json!([{"name": name, "served": true, "storage": true}]);
        spec.insert("versions".into(), only);
    }
    for (common, own) in [
        ("validation", "schema"),
        ("subresources", "subresources"),
        ("additionalPrinterColumns", "additionalPrinterColumns"),
    ] {
        let Some(value) = spec.get(common).cloned() else { continue };
        for version in list(spec.get_mut("versions")).filter_map(Json::as_object_mut) {
            version.entry(own).or_insert_with(|| value.clone());
        }
    }
    for version in list(spec.get_mut("versions")) {
        for column in list(version.get_mut("additionalPrinterColumns")).filter_map(Json::as_object_mut) {
            rename(column, "JSONPath", "jsonPath");
        }
    }
    if let Some(conversion) = spec.get_mut("conversion").and_then(Json::as_object_mut) {
        webhook_of_conversion(conversion);
    }
    spec.entry("preserveUnknownFields").or_insert(Json::Bool(true));
    say_in_schemas(spec);
}

fn webhook_of_conversion(conversion: &mut JsonMap) {
    let client = conversion.shift_remove("webhookClientConfig");
    let versions = conversion.shift_remove("conversionReviewVersions");
    if let Some(client) = client {
        let versions = versions.unwrap_or_else(|| json!(["v1beta1"]));
        let webhook = json!({"clientConfig": client, "conversionReviewVersions": versions});
        conversion.insert("webhook".into(), webhook);
    }
}

/// `serviceName` and `servicePort` become `service`.
pub fn ingress_backends(object: &mut Json) {
    let Some(spec) = object.get_mut("spec") else { return };
    if let Some(backend) = spec.get_mut("defaultBackend") {
        ingress_backend(backend);
    }
    for rule in list(spec.get_mut("rules")) {
        for path in list(rule.pointer_mut("/http/paths")) {
            if let Some(backend) = path.get_mut("backend") {
                ingress_backend(backend);
            }
        }
    }
}

fn ingress_backend(backend: &mut Json) {
    let Some(backend) = backend.as_object_mut() else { return };
    let Some(name) = backend.shift_remove("serviceName") else { return };
    let mut service = json!({"name": name});
    match backend.shift_remove("servicePort") {
        Some(Json::String(port)) => service["port"] = json!({"name": port}),
        Some(port) => service["port"] = json!({"number": port}),
        None => {}
    }
    backend.insert("service".into(), service);
}

/// Names and targets of metrics become `metric` and `target`.
pub fn autoscaler_metrics(object: &mut Json) {
    for metric in list(object.pointer_mut("/spec/metrics")) {
        for source in ["resource", "containerResource", "pods", "object", "external"] {
            if let Some(source) = metric.get_mut(source).and_then(Json::as_object_mut) {
                autoscaler_metric(source);
            }
        }
    }
}

fn autoscaler_metric(source: &mut JsonMap) {
    if let Some(name) = source.shift_remove("metricName") {
        // The object that is measured was called the target.
        rename(source, "target", "describedObject");
        let mut metric = json!({"name": name});
        if let Some(selector) =
            source.shift_remove("metricSelector").or_else(|| source.shift_remove("selector"))
        {
            metric["selector"] = selector;
        }
        source.insert("metric".into(), metric);
    }
    for (old, kind, new) in [
        ("targetAverageUtilization", "Utilization", "averageUtilization"),
        ("targetValue", "Value", "value"),
        ("targetAverageValue", "AverageValue", "averageValue"),
        ("averageValue", "AverageValue", "averageValue"),
    ] {
        if let Some(value) = source.shift_remove(old) {
            source.insert("target".into(), json!({"type": kind, new: value}));
        }
    }
}

/// An empty selector becomes none.
pub fn empty_selector(object: &mut Json) {
    let Some(spec) = spec(object) else { return };
    let is_empty = |selector: &Json| {
        let parts = selector.as_object().into_iter().flat_map(JsonMap::values);
        parts.filter(|part| !part.is_null()).all(|part| *part == json!({}) || *part == json!([]))
    };
    if spec.get("selector").is_some_and(is_empty) {
        spec.shift_remove("selector");
    }
}

/// A workload without a selector gets the labels of its template.
pub fn selector_of_template(object: &mut Json) {
    let Some(spec) = spec(object) else { return };
    let labels = spec.get("template").and_then(|template| template.pointer("/metadata/labels")).cloned();
    if let Some(labels) = labels.filter(|_| spec.get("selector").is_none_or(Json::is_null)) {
        spec.insert("selector".into(), json!({"matchLabels": labels}));
    }
}

/// Node and zone of an endpoint get fields of their own. The rest of its topology is dropped by the catalog.
pub fn endpoint_topology(object: &mut Json) {
    for endpoint in list(object.get_mut("endpoints")).filter_map(Json::as_object_mut) {
        let Some(topology) = endpoint.get("topology").and_then(Json::as_object).cloned() else { continue };
        for (label, field) in
            [("kubernetes.io/hostname", "nodeName"), ("topology.kubernetes.io/zone", "zone")]
        {
            if let Some(value) = topology.get(label) {
                endpoint.entry(field).or_insert_with(|| value.clone());
            }
        }
    }
}

/// What a request asks for stands under `exactly`.
pub fn exact_requests(object: &mut Json) {
    for pointer in ["/spec/devices/requests", "/spec/spec/devices/requests"] {
        for request in list(object.pointer_mut(pointer)).filter_map(Json::as_object_mut) {
            if request.contains_key("exactly") || request.contains_key("firstAvailable") {
                continue;
            }
            let name = request.shift_remove("name");
            let exactly = std::mem::take(request);
            request.extend(name.map(|name| ("name".to_owned(), name)));
            request.insert("exactly".into(), exactly.into());
        }
    }
}

fn spec(object: &mut Json) -> Option<&mut JsonMap> {
    object.get_mut("spec")?.as_object_mut()
}

fn rename(map: &mut JsonMap, old: &str, new: &str) {
    if let Some(value) = map.shift_remove(old) {
        map.insert(new.to_owned(), value);
    }
}
