//! The kinds that every API server serves, as a table, and those that definitions add.
//!
//! In: custom resource definitions · Out: `Kind` · Touches: nothing

use std::sync::Arc;

use crate::domain::object::{Gvk, Json, Resource};
use crate::domain::version::priority;

/// One kind that the memory cluster serves.
#[derive(Clone, Debug)]
pub struct Kind {
    /// What discovery says about it.
    pub resource: Resource,
    /// Name under which its objects are kept; two kinds may share their objects, as `events` do.
    pub storage: String,
    /// Whether it has a status subresource.
    pub status: bool,
    /// Whether it has a scale subresource.
    pub scale: bool,
    /// `openAPIV3Schema` of a custom resource, per version in the order of `resource.served`.
    pub schemas: Vec<Option<Arc<Json>>>,
}

const ALL: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Group and versions, kind, plural, and marks: `n`amespaced, `s`tatus, sc`a`le, `c`reate only, `r`ead only.
const TABLE: [(&str, &str, &str, &str); 58] = [
    ("/v1", "Binding", "bindings", "nc"),
    ("/v1", "ComponentStatus", "componentstatuses", "r"),
    ("/v1", "ConfigMap", "configmaps", "n"),
    ("/v1", "Endpoints", "endpoints", "n"),
    ("/v1", "Event", "events", "n"),
    ("/v1", "LimitRange", "limitranges", "n"),
    ("/v1", "Namespace", "namespaces", "s"),
    ("/v1", "Node", "nodes", "s"),
    ("/v1", "PersistentVolume", "persistentvolumes", "s"),
    ("/v1", "PersistentVolumeClaim", "persistentvolumeclaims", "ns"),
    ("/v1", "Pod", "pods", "ns"),
    ("/v1", "PodTemplate", "podtemplates", "n"),
    ("/v1", "ReplicationController", "replicationcontrollers", "nsa"),
    ("/v1", "ResourceQuota", "resourcequotas", "ns"),
    ("/v1", "Secret", "secrets", "n"),
    ("/v1", "Service", "services", "ns"),
    ("/v1", "ServiceAccount", "serviceaccounts", "n"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", ""),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "s"),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "",
    ),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", "s"),
    ("apiregistration.k8s.io/v1", "APIService", "apiservices", "s"),
    ("apps/v1", "ControllerRevision", "controllerrevisions", "n"),
    ("apps/v1", "DaemonSet", "daemonsets", "ns"),
    ("apps/v1", "Deployment", "deployments", "nsa"),
    ("apps/v1", "ReplicaSet", "replicasets", "nsa"),
    ("apps/v1", "StatefulSet", "statefulsets", "nsa"),
    ("authentication.k8s.io/v1", "TokenReview", "tokenreviews", "c"),
    ("authorization.k8s.io/v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", "nc"),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "c"),
    ("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", "c"),
    ("autoscaling/v2,v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "ns"),
    ("batch/v1", "CronJob", "cronjobs", "ns"),
    ("batch/v1", "Job", "jobs", "ns"),
    ("certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests", "s"),
    ("coordination.k8s.io/v1", "Lease", "leases", "n"),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", "n"),
    ("events.k8s.io/v1", "Event", "events", "n"),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "flowschemas", "s"),
    ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", "s"),
    ("networking.k8s.io/v1", "Ingress", "ingresses", "ns"),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses", ""),
    ("networking.k8s.io/v1", "IPAddress", "ipaddresses", ""),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "n"),
    ("networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", "s"),
    ("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", ""),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", "ns"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", ""),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", ""),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", "n"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", "n"),
    ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", ""),
    ("storage.k8s.io/v1", "CSIDriver", "csidrivers", ""),
    ("storage.k8s.io/v1", "CSINode", "csinodes", ""),
    ("storage.k8s.io/v1", "CSIStorageCapacity", "csistoragecapacities", "n"),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", ""),
    ("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", "s"),
];

/// The kinds of a fresh cluster.
pub fn builtin() -> Vec<Kind> {
    TABLE.iter().map(|(versions, kind, plural, marks)| row(versions, kind, plural, marks)).collect()
}

fn row(versions: &str, kind: &str, plural: &str, marks: &str) -> Kind {
    let (group, versions) = versions.split_once('/').unwrap_or(("", versions));
    let mut served: Vec<String> = versions.split(',').map(Into::into).collect();
    let version = served[0].clone();
    served.sort();
    let verbs: &[&str] = match marks {
        m if m.contains('c') => &["create"],
        m if m.contains('r') => &["get", "list"],
        _ => &ALL,
    };
    let resource = Resource {
        gvk: Gvk { group: group.into(), version, kind: kind.into() },
        plural: plural.into(),
        namespaced: marks.contains('n'),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        served,
    };
    let storage = if plural == "events" { "events".to_owned() } else { resource.full_name() };
    let schemas = vec![None; resource.served.len()];
    Kind { storage, status: marks.contains('s'), scale: marks.contains('a'), schemas, resource }
}

/// The kind that a `CustomResourceDefinition` adds; `None` where it serves no version.
pub fn custom(definition: &Json) -> Option<Kind> {
    let spec = definition.get("spec")?;
    let text = |pointer: &str| spec.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
    let all = spec.get("versions")?.as_array()?;
    let mut versions: Vec<(&str, &Json)> = all
        .iter()
        .filter(|v| v.get("served") == Some(&Json::Bool(true)))
        .filter_map(|v| Some((v.get("name")?.as_str()?, v)))
        .collect();
    versions.sort_by_key(|(name, _)| *name);
    let (preferred, first) = versions.iter().max_by_key(|(name, _)| priority(name))?;
    let resource = Resource {
        gvk: Gvk { group: text("/group")?, version: (*preferred).to_owned(), kind: text("/names/kind")? },
        plural: text("/names/plural")?,
        namespaced: text("/scope").as_deref() == Some("Namespaced"),
        verbs: ALL.iter().map(|verb| (*verb).to_owned()).collect(),
        served: versions.iter().map(|(name, _)| (*name).to_owned()).collect(),
    };
    let schema = |v: &Json| v.pointer("/schema/openAPIV3Schema").cloned().map(Arc::new);
    Some(Kind {
        storage: resource.full_name(),
        status: first.pointer("/subresources/status").is_some(),
        scale: first.pointer("/subresources/scale").is_some(),
        schemas: versions.iter().map(|(_, v)| schema(v)).collect(),
        resource,
    })
}
