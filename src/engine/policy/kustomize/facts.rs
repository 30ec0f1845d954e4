//! What kustomize knows of built-in kinds, from two files of data.
//!
//! In: `policies/kustomize/*.yaml` (embedded) · Out: scopes, rules to merge lists, fields · Touches: nothing

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::object::Gvk;
use crate::engine::yaml;

/// The types of a kind's fields, as far as there are lists in them that a patch merges.
pub type Shape = BTreeMap<String, Rule>;

/// How a patch changes a field.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Rule {
    /// A mapping of this type.
    Of(String),
    /// A list whose elements are merged.
    List {
        /// The fields that tell elements apart; none for plain values.
        by: Vec<String>,
        /// Type of the elements.
        of: Option<String>,
    },
}

/// Fields of some kinds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Names between `/`.
    pub path: String,
    /// Kinds; none means all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// API group; empty for any.
    #[serde(default)]
    pub group: String,
    /// Version; empty for any.
    #[serde(default)]
    pub version: String,
    /// Whether the field is made where it is missing.
    #[serde(default)]
    pub create: bool,
}

impl Spec {
    /// Whether objects of a kind have these fields.
    pub fn selects(&self, gvk: &Gvk) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&gvk.kind))
            && (self.group.is_empty() || self.group == gvk.group)
            && (self.version.is_empty() || self.version == gvk.version)
    }
}

/// Fields that hold names of objects of one kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct References {
    /// What is named.
    pub to: Named,
    /// Where.
    pub from: Vec<Referrer>,
}

/// A kind that is named; empty fields mean any.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Kind.
    pub kind: String,
    /// API group.
    #[serde(default)]
    pub group: String,
    /// Version.
    #[serde(default)]
    pub version: String,
}

/// Kinds whose fields name others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Referrer {
    /// Kinds.
    pub kinds: Vec<String>,
    /// API group; empty for any.
    #[serde(default)]
    pub group: String,
    /// Version; empty for any.
    #[serde(default)]
    pub version: String,
    /// Paths of the fields.
    pub paths: Vec<String>,
}

/// The file of fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// Labels that select.
    pub selectors: Vec<Spec>,
    /// Labels of objects and of templates in them.
    pub templates: Vec<Spec>,
    /// Annotations of objects and of templates in them.
    pub annotations: Vec<Spec>,
    /// Names of other objects.
    pub references: Vec<References>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    cluster: BTreeMap<String, Vec<String>>,
    types: BTreeMap<String, Shape>,
    #[serde(rename = "kinds")]
    types_of: BTreeMap<String, BTreeMap<String, String>>,
}

static KINDS: LazyLock<Kinds> =
    LazyLock::new(|| embedded(include_str!("../../../../policies/kustomize/kinds.yaml")));
static FIELDS: LazyLock<Fields> =
    LazyLock::new(|| embedded(include_str!("../../../../policies/kustomize/fields.yaml")));

fn embedded<T: DeserializeOwned>(text: &str) -> T {
    let tree = yaml::parse(text).expect("the embedded file is YAML: a test reads it");
    serde_json::from_value(tree).expect("the embedded file has the right form: a test reads it")
}

/// Fields that a kustomization changes.
pub fn fields() -> &'static Fields {
    &FIELDS
}

/// Whether objects of a kind have no namespace. Kinds that are not built in count as having one.
pub fn is_cluster_scoped(gvk: &Gvk) -> bool {
    KINDS.cluster.get(&gvk.api_version()).is_some_and(|kinds| kinds.contains(&gvk.kind))
}

/// The rules of a built-in kind.
pub fn shape_of(gvk: &Gvk) -> Option<&'static Shape> {
    KINDS.types_of.get(&gvk.api_version())?.get(&gvk.kind).and_then(|name| shape(name))
}

/// The rules of a type.
pub fn shape(name: &str) -> Option<&'static Shape> {
    KINDS.types.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_there() {
        let named = KINDS.types.values().flat_map(BTreeMap::values).filter_map(|rule| match rule {
            Rule::Of(name) => Some(name),
            Rule::List { of, .. } => of.as_ref(),
        });
        let missing: Vec<_> = named
            .chain(KINDS.types_of.values().flat_map(BTreeMap::values))
            .filter(|name| shape(name).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(fields().references.len() > 10);
    }

    #[test]
    fn kinds_have_a_scope_and_custom_ones_a_namespace() {
        let cluster = |version: &str, kind: &str| is_cluster_scoped(&Gvk::new(version, kind));
        assert!(cluster("v1", "Namespace") && cluster("rbac.authorization.k8s.io/v1", "ClusterRole"));
        assert!(!cluster("v1", "Secret") && !cluster("backstay.dev/v1alpha1", "BackupPolicy"));
    }
}
