//! One document of a policy repository: kind, name and content.
//!
//! In: the kinds' specs · Out: `Document`, `PolicySet` · Touches: nothing

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::CatalogSpec;
use super::hook_template::HookTemplateSpec;
use super::location::LocationSpec;
use super::policy::PolicySpec;
use super::restore_request::RestoreSpec;

/// The API version of every document.
pub const API_VERSION: &str = "backstay.dev/v1alpha1";

/// A document of the policy repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document<S> {
    /// Always `backstay.dev/v1alpha1`.
    pub api_version: String,
    /// The document's kind.
    pub kind: String,
    /// Name, labels and annotations.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: S,
}

/// Name, labels and annotations of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// A DNS label: lower-case letters, digits and `-`, at most 63 characters.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Namespace of the custom resource; without meaning in a policy repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Everything a policy repository says, by kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySet {
    /// `BackupPolicy` documents.
    pub policies: BTreeMap<String, PolicySpec>,
    /// `BackupLocation` documents.
    pub locations: BTreeMap<String, LocationSpec>,
    /// `RestoreRequest` documents.
    pub restores: BTreeMap<String, RestoreSpec>,
    /// `HookTemplate` documents.
    pub hooks: BTreeMap<String, HookTemplateSpec>,
    /// `Catalog` documents, which add to the built-in catalog.
    pub catalogs: BTreeMap<String, CatalogSpec>,
    /// Commit the documents were read from; absent for a folder that is no Git repository.
    pub revision: Option<String>,
}
