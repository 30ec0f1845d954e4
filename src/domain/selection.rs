//! Which objects a policy or a restore means.
//!
//! In: `SelectSpec` · Out: `Selection` and its decisions · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::labels::LabelSelector;

/// Which objects are meant. Everything is optional; an absent list means all, and an exclude always wins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectSpec {
    /// Namespaces by name or glob. With an include list, only related cluster-scoped objects come along.
    #[serde(default)]
    pub namespaces: Patterns,
    /// Namespaced kinds, by Kind or `resource.group`, globs allowed.
    #[serde(default)]
    pub namespaced_resources: Patterns,
    /// Cluster-scoped kinds, by Kind or `resource.group`, globs allowed.
    #[serde(default)]
    pub cluster_resources: Patterns,
    /// Labels every object must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Label selectors of which at least one must match. Not together with `labelSelector`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub or_label_selectors: Vec<LabelSelector>,
    /// CEL expression over `object` that must be true, such as `object.metadata.name.startsWith('shop-')`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// What is taken in and left out, by name or glob (`*`, `?`, `[abc]`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patterns {
    /// Taken in. Absent or empty: all. A pattern that matches nothing selects nothing and is reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Left out, whatever is taken in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}
