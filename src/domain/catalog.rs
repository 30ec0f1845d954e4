//! What is known about kinds, as data: what is never collected, what is dropped, in which order it comes back.
//!
//! In: YAML through serde · Out: `CatalogSpec` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::names::ReferenceSpec;
use super::object::Json;
use super::owners::OwnerSpec;
use super::policy::KindPattern;

/// Waves and rules. Every rule that matches an object counts; of single values (`wave`, `ready`, sizes) the last one wins.
///
/// A catalog in a policy repository comes after the built-in one. A rule with the name of a built-in rule replaces it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogSpec {
    /// Waves in order of restore. A catalog in a policy repository adds new ones with `after`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveSpec>,
    /// Rules in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSpec>,
    /// Tools that manage objects, such as Flux and Argo CD. An entry with the name of a built-in one replaces it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<OwnerSpec>,
    /// Containers that stand beside an application's own, so that no hook goes into one of them by chance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<SidecarSpec>,
}

/// A container that belongs to a tool and not to the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarSpec {
    /// Name of the container, or a glob.
    pub name: String,
    /// The tool it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// Objects that a restore may apply together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaveSpec {
    /// Name, as rules and reports use it.
    pub name: String,
    /// Name of the wave it follows. Absent: the one before it in the list; the first of a policy repository needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What the wave is for, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What is known about some kinds, or about those of their objects for which `when` is true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleSpec {
    /// Name of the rule in reports, unique in its catalog.
    pub name: String,
    /// Kinds the rule is for.
    #[schemars(length(min = 1))]
    pub kinds: Vec<KindPattern>,
    /// CEL expression over `object`; the rule counts only where it is true, and not where it asks for a field that the
    /// object does not have. Absent: always. Not together with `pageSize`, `keepManagedFields` and `builtIn`. For `wave`, `ready` and
    /// `restore.evenIfOwned` it sees apiVersion, kind and of the metadata name, namespace, labels and controller only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Reason why these objects are never collected. Without `when`, the kind is not even listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never: Option<String>,
    /// What the mirror leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorRule>,
    /// What a restore leaves out or changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreRule>,
    /// Ways from versions that clusters no longer serve to newer ones. They count for all objects of the kinds, whatever
    /// `when` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionSpec>,
    /// Wave in which a restore applies the objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// What the next wave waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<ReadyRule>,
    /// Objects per page when listed. Default: 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// Keeps `managedFields` in the archive, for kinds whose restore has to know who set a field. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_managed_fields: bool,
    /// Fields that name other objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferenceSpec>,
    /// Why every cluster has these objects by itself, so that nobody misses them in a snapshot. `when` sees apiVersion,
    /// kind, name and namespace only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_every_cluster: Option<String>,
    /// Every API server serves these kinds by itself, so that no object has to define them. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub built_in: bool,
    /// Where the knowledge comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What the mirror leaves out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MirrorRule {
    /// Reason why the objects stay out of the mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// Fields left out: JSON pointers, each segment may hold the glob `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Named rewriters of the program, for what data cannot say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrite: Vec<Rewriter>,
}

/// What a restore leaves out or changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreRule {
    /// Reason why the objects are not restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// Fields left out: JSON pointers, each segment may hold the glob `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Fields that make sense only at home: left out when the object goes to another namespace or cluster. JSON pointers,
    /// each segment may hold the glob `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub home_only: Vec<String>,
    /// Marks of who manages the object: left out when it goes to another namespace or cluster, but under `owners: Keep`;
    /// under `owners: Strip` always. JSON pointers, each segment may hold the glob `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
    /// Fields that hold the name of a namespace: they follow `namespaceMapping`. JSON pointers with globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Fields that hold `NAMESPACE/NAME`: their namespace follows `namespaceMapping`. JSON pointers with globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaced_names: Vec<String>,
    /// Fields that hold the name of a storage class: they follow `storageClassMapping`. JSON pointers with globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage_classes: Vec<String>,
    /// Fields that hold an image: they follow `imageMapping`. JSON pointers with globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Fields set to fixed values, where the parent exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<SetField>,
    /// Named rewriters of the program, for what data cannot say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrite: Vec<Rewriter>,
    /// Restores the object even where its controller is restored, because the controller could not make it again as it
    /// was. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub even_if_owned: Option<bool>,
    /// Adds what was saved to an object that exists, even under `existing: Skip`, because the cluster makes such objects
    /// by itself. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_existing: Option<bool>,
    /// Why an object that exists is never deleted to make way for one that was saved. Absent: it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_recreate: Option<String>,
}

/// A way from one version of a kind to another, for objects that were saved in a version which the cluster does not serve.
///
/// The steps are taken in the order of the fields here, after every other change of the object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VersionSpec {
    /// `apiVersion`s that were saved, such as `policy/v1beta1`.
    #[schemars(length(min = 1))]
    pub from: Vec<String>,
    /// `apiVersion` that is sent, such as `policy/v1`. Its group may be another one.
    pub to: String,
    /// Fields that have another name now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<RenameField>,
    /// Named rewriters of the program, for what data cannot say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrite: Vec<Rewriter>,
    /// Fields that the new version does not have: JSON pointers, each segment may hold the glob `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// What the old version took an absent field for, where the new one takes it for something else: set where the field is
    /// absent and its parent is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<SetField>,
}

/// A field and its new name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenameField {
    /// JSON pointer, each segment but the last may hold the glob `*`.
    pub path: String,
    /// What the last segment becomes.
    pub to: String,
}

/// A field and its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetField {
    /// JSON pointer, each segment may hold the glob `*`.
    pub path: String,
    /// The value.
    pub value: Json,
}

/// A change that data cannot say, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rewriter {
    /// Drops node ports of a Service, but keeps those that a person set: named in `last-applied-configuration` or owned in
    /// `managedFields`. Keeps all of them where there is neither, because then a person wrote the manifest.
    ServiceNodePorts,
    /// Drops the volumes and mounts of a Pod that carry legacy service-account tokens (`<account>-token-*`).
    PodTokenVolumes,
    /// Drops the generated Secrets (`<name>-token-*`, `<name>-dockercfg-*`) from a `ServiceAccount`.
    ServiceAccountTokens,
    /// Turns `preserveUnknownFields: true` of a `CustomResourceDefinition` into the schema field of `apiextensions.k8s.io/v1`.
    CrdPreserveUnknownFields,
    /// Turns side effects of webhooks that `admissionregistration.k8s.io/v1` no longer takes into `None`.
    WebhookSideEffects,
    /// Maps the namespaces in role binding subjects, those in the names of service-account users and groups included.
    SubjectNamespaces,
    /// Maps the namespaces that selectors of namespaces name by the label `kubernetes.io/metadata.name`.
    NamespaceSelectors,
    /// Drops `volumeName` of a claim whose volume is neither restored nor there, or another claim's, so that a new volume is provisioned.
    ClaimVolume,
    /// Puts the backends of an `Ingress` of `v1beta1` into the form of `networking.k8s.io/v1`.
    IngressBackends,
    /// Puts the metrics of a `HorizontalPodAutoscaler` of `autoscaling/v2beta1` into the form of `autoscaling/v2`.
    AutoscalerMetrics,
    /// Drops an empty selector of a `PodDisruptionBudget`: it meant no pod in `policy/v1beta1`, and means every pod in `policy/v1`.
    EmptySelector,
    /// Gives a workload without a selector the labels of its template, as the API groups before `apps/v1` did.
    SelectorOfTemplate,
    /// Keeps node and zone of an `EndpointSlice` of `discovery.k8s.io/v1beta1`, where `v1` has fields for them.
    EndpointTopology,
    /// Puts what a `CustomResourceDefinition` of `apiextensions.k8s.io/v1beta1` says of all versions into each of them.
    DefinitionVersions,
    /// Puts the requests of a resource claim of `resource.k8s.io/v1beta1` into the form of `v1`.
    ExactRequests,
}

/// What the next wave waits for: kstatus, or a CEL expression over `object`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadyRule {
    /// CEL expression over `object` that must become true. Absent: ready by the rules of kstatus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<String>,
    /// How long to wait. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}
