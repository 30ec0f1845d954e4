//! Changes of objects that catalog data cannot say: each named rewriter is one function here.
//!
//! In: an object's tree, what surrounds it · Out: the tree, changed · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::newer::{self, list};
use crate::domain::catalog::Rewriter;
use crate::domain::object::{Json, JsonMap};

/// What rewriters may have to know besides the object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// New names of namespaces.
    pub namespaces: Option<&'a BTreeMap<String, String>>,
    /// Persistent volumes that the restore brings back or the cluster has, by name.
    pub volumes: Option<&'a BTreeMap<String, Volume>>,
}

/// A persistent volume that a claim may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Namespace and name of the claim it is bound to, or kept for. Absent for one that the restore brings back.
    pub claim: Option<(String, String)>,
    /// Uid of that claim where it is gone and the volume was kept (phase `Released`).
    pub released_from: Option<String>,
}

impl Surroundings<'_> {
    /// The new name of a namespace, if it gets one.
    pub fn renamed(&self, namespace: &str) -> Option<&str> {
        self.namespaces?.get(namespace).map(String::as_str)
    }
}

/// Carries out one rewriter. Objects of another shape than it expects stay as they are.
pub fn rewrite(rewriter: Rewriter, object: &mut Json, around: &Surroundings<'_>) {
    match rewriter {
        Rewriter::ServiceNodePorts => service_node_ports(object),
        Rewriter::PodTokenVolumes => pod_token_volumes(object),
        Rewriter::ServiceAccountTokens => service_account_tokens(object),
        Rewriter::CrdPreserveUnknownFields => newer::preserve_unknown_fields(object),
        Rewriter::WebhookSideEffects => webhook_side_effects(object),
        Rewriter::SubjectNamespaces => subject_namespaces(object, around),
        Rewriter::NamespaceSelectors => namespace_selectors(object, around),
        Rewriter::ClaimVolume => claim_volume(object, around),
        Rewriter::IngressBackends => newer::ingress_backends(object),
        Rewriter::AutoscalerMetrics => newer::autoscaler_metrics(object),
        Rewriter::EmptySelector => newer::empty_selector(object),
        Rewriter::SelectorOfTemplate => newer::selector_of_template(object),
        Rewriter::EndpointTopology => newer::endpoint_topology(object),
        Rewriter::DefinitionVersions => newer::definition_versions(object),
        Rewriter::ExactRequests => newer::exact_requests(object),
    }
}

/// Keeps the node ports a person asked for. As velero.io/service.
fn service_node_ports(object: &mut Json) {
    let Some(asked) = AskedPorts::read(object) else { return };
    let Some(spec) = object.get_mut("spec").and_then(Json::as_object_mut) else { return };
    if !asked.health_check {
        spec.shift_remove("healthCheckNodePort");
    }
    for port in list(spec.get_mut("ports")) {
        if !asked.ports.contains(&port_key(port))
            && let Some(port) = port.as_object_mut()
        {
            port.shift_remove("nodePort");
        }
    }
}

/// Node ports that were set on purpose: by port and protocol.
#[derive(Default)]
struct AskedPorts {
    ports: BTreeSet<(u64, String)>,
    health_check: bool,
}

impl AskedPorts {
    /// `None` where the object does not tell: it has neither managed fields nor a last-applied configuration.
    fn read(object: &Json) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let applied = metadata.pointer("/annotations/kubectl.kubernetes.io~1last-applied-configuration");
        let managed = metadata.get("managedFields").and_then(Json::as_array).filter(|m| !m.is_empty());
        if applied.is_none() && managed.is_none() {
            return None;
        }
        let mut asked = Self::default();
        if let Some(tree) = applied.and_then(Json::as_str).and_then(|t| t.parse::<Json>().ok()) {
            asked.add_applied(&tree);
        }
        for entry in managed.into_iter().flatten() {
            asked.add_managed(entry);
        }
        Some(asked)
    }

    fn add_applied(&mut self, tree: &Json) {
        self.health_check |= tree.pointer("/spec/healthCheckNodePort").is_some();
        let ports = tree.pointer("/spec/ports").and_then(Json::as_array);
        for port in ports.into_iter().flatten().filter(|p| p.get("nodePort").is_some_and(|n| n != 0)) {
            self.ports.insert(port_key(port));
        }
    }

    fn add_managed(&mut self, entry: &Json) {
        self.health_check |= entry.pointer("/fieldsV1/f:spec/f:healthCheckNodePort").is_some();
        let ports = entry.pointer("/fieldsV1/f:spec/f:ports").and_then(Json::as_object);
        for (key, fields) in ports.into_iter().flatten() {
            if fields.get("f:nodePort").is_some()
                && let Some(port) = key.strip_prefix("k:").and_then(|k| k.parse::<Json>().ok())
            {
                self.ports.insert(port_key(&port));
            }
        }
    }
}

fn port_key(port: &Json) -> (u64, String) {
    let number = port.get("port").and_then(Json::as_u64).unwrap_or_default();
    let protocol = port.get("protocol").and_then(Json::as_str).unwrap_or("TCP");
    (number, protocol.into())
}

/// Drops volumes with legacy tokens, and their mounts. As velero.io/pod.
fn pod_token_volumes(object: &mut Json) {
    let account = object.pointer("/spec/serviceAccountName").and_then(Json::as_str).unwrap_or("default");
    let prefix = format!("{account}-token-");
    let Some(spec) = object.get_mut("spec").and_then(Json::as_object_mut) else { return };
    let is_token = |volume: &Json| volume.get("secret").is_some() && name(volume).starts_with(&prefix);
    let mut dropped = BTreeSet::new();
    if let Some(volumes) = spec.get_mut("volumes").and_then(Json::as_array_mut) {
        dropped = volumes.iter().filter(|v| is_token(v)).map(|v| name(v).to_owned()).collect();
        volumes.retain(|volume| !dropped.contains(name(volume)));
    }
    for field in ["containers", "initContainers"] {
        for container in list(spec.get_mut(field)) {
            let Some(container) = container.as_object_mut() else { continue };
            retain(container, "volumeMounts", |mount| !dropped.contains(name(mount)));
        }
    }
    retain(spec, "volumes", |_| true);
}

/// Drops references to generated Secrets. As velero.io/service-account and crane.
fn service_account_tokens(object: &mut Json) {
    let account = object.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default().to_owned();
    let generated = [format!("{account}-token-"), format!("{account}-dockercfg-")];
    let Some(map) = object.as_object_mut() else { return };
    for field in ["secrets", "imagePullSecrets"] {
        retain(map, field, |secret| {
            !generated.iter().any(|prefix| name(secret).starts_with(prefix.as_str()))
        });
    }
}

/// Replaces side effects that only `v1beta1` knew. As velero.io/admission-webhook-configuration.
fn webhook_side_effects(object: &mut Json) {
    for webhook in list(object.get_mut("webhooks")).filter_map(Json::as_object_mut) {
        let effects = webhook.get("sideEffects").and_then(Json::as_str);
        if !matches!(effects, Some("None" | "NoneOnDryRun")) {
            webhook.insert("sideEffects".into(), json!("None"));
        }
    }
}

/// Maps the namespace inside the names of service-account users and groups. Velero forgets them.
fn subject_namespaces(object: &mut Json, around: &Surroundings<'_>) {
    for subject in list(object.get_mut("subjects")).filter_map(Json::as_object_mut) {
        let old = subject.get("name").and_then(Json::as_str).unwrap_or_default();
        let new = match subject.get("kind").and_then(Json::as_str) {
            Some("Group") => old
                .strip_prefix("system:serviceaccounts:")
                .and_then(|namespace| around.renamed(namespace))
                .map(|namespace| format!("system:serviceaccounts:{namespace}")),
            Some("User") => old
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
                .and_then(|(namespace, account)| Some((around.renamed(namespace)?, account)))
                .map(|(namespace, account)| format!("system:serviceaccount:{namespace}:{account}")),
            _ => None,
        };
        if let Some(new) = new {
            subject.insert("name".into(), Json::String(new));
        }
    }
}

/// Maps namespaces in every `namespaceSelector` of the tree. Velero forgets them.
fn namespace_selectors(tree: &mut Json, around: &Surroundings<'_>) {
    let rename = |place: &mut Json| {
        if let Some(new) = place.as_str().and_then(|old| around.renamed(old)) {
            *place = Json::String(new.to_owned());
        }
    };
    if let Some(selector) = tree.get_mut("namespaceSelector") {
        selector.pointer_mut("/matchLabels/kubernetes.io~1metadata.name").map(rename);
        for expression in list(selector.get_mut("matchExpressions")) {
            if expression.get("key").and_then(Json::as_str) == Some("kubernetes.io/metadata.name") {
                list(expression.get_mut("values")).for_each(rename);
            }
        }
    }
    match tree {
        Json::Object(map) => map.values_mut().for_each(|value| namespace_selectors(value, around)),
        Json::Array(values) => values.iter_mut().for_each(|value| namespace_selectors(value, around)),
        _ => {}
    }
}

/// Lets a claim be provisioned anew when its volume does not come back, or is another claim's. As velero.io/pvc.
fn claim_volume(object: &mut Json, around: &Surroundings<'_>) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let namespace = text("/metadata/namespace");
    let namespace = around.renamed(namespace).unwrap_or(namespace).to_owned();
    let claim = (namespace, text("/metadata/name").to_owned());
    let Some(spec) = object.get_mut("spec").and_then(Json::as_object_mut) else { return };
    let free = |volume: &Volume| volume.claim.as_ref().is_none_or(|other| *other == claim);
    let there = |name: &str| around.volumes.is_some_and(|volumes| volumes.get(name).is_some_and(free));
    if spec.get("volumeName").and_then(Json::as_str).is_some_and(|volume| !there(volume)) {
        spec.shift_remove("volumeName");
    }
}

fn name(value: &Json) -> &str {
    value.get("name").and_then(Json::as_str).unwrap_or_default()
}

/// Keeps the list elements for which the test is true; a list that is empty afterwards goes.
fn retain(map: &mut JsonMap, field: &str, keep: impl Fn(&Json) -> bool) {
    let Some(values) = map.get_mut(field).and_then(Json::as_array_mut) else { return };
    values.retain(keep);
    if values.is_empty() {
        map.shift_remove(field);
    }
}
