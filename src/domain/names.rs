//! Which fields of an object name another one, as data, and the names found in them.
//!
//! In: `ReferenceSpec` of a catalog, an object · Out: `Named` · Touches: nothing

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::FieldError;
use super::object::{Gvk, Json, Manifest, ObjectKey};
use super::path::FieldPath;

/// Fields that name another object.
///
/// A field `namespace` beside the name says in which namespace that object is; without it, it is in the object's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceSpec {
    /// Kind of what is named, with its group: `Secret`, `StorageClass.storage.k8s.io`. Absent: the field `kind` beside
    /// the name says it, together with `apiVersion`, `apiGroup` or `group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is named is in no namespace; it comes along with a backup or restore of some namespaces. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cluster_scoped: bool,
    /// Fields that hold the name: JSON pointers, each segment may hold the glob `*`.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Counts only where the fields beside the name have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub beside: BTreeMap<String, String>,
    /// Nobody misses what is named where it is not there. A field `optional: true` beside the name says the same.
    /// Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Fields that name another object, read.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Group and kind; absent: the object says it.
    kind: Option<(String, String)>,
    cluster_scoped: bool,
    paths: Vec<FieldPath>,
    beside: BTreeMap<String, String>,
    optional: bool,
}

/// A name in an object, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// JSON pointer of the field.
    pub field: String,
    /// What is named. Where nobody knows whether it is in a namespace, it is taken to be in that of the object.
    pub key: ObjectKey,
    /// Whether it is in a namespace.
    pub scope: Scope,
    /// Whether nobody misses it where it is not there.
    pub optional: bool,
}

/// Where something that is named can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the namespace of the key.
    Namespace,
    /// In no namespace.
    Cluster,
    /// In one of both.
    Unknown,
}

impl Named {
    /// The same name in no namespace, where it can be that.
    pub fn in_cluster(&self) -> Option<ObjectKey> {
        match self.scope {
            Scope::Namespace => None,
            Scope::Cluster | Scope::Unknown => Some(ObjectKey { namespace: None, ..self.key.clone() }),
        }
    }
}

impl Reference {
    /// Reads kind and paths.
    ///
    /// # Errors
    /// Every field that is wrong, with its pointer below the reference.
    pub fn compile(spec: &ReferenceSpec) -> Result<Self, Vec<FieldError>> {
        let ReferenceSpec { kind, cluster_scoped, paths, beside, optional } = spec;
        let mut errors = Vec::new();
        let kind = kind.as_ref().and_then(|text| {
            let read = read_kind(text);
            if read.is_none() {
                let wrong = format!("{text:?} is no Kind; write `Secret` or `StorageClass.storage.k8s.io`");
                errors.push(FieldError::new("/kind", wrong));
            }
            read
        });
        if paths.is_empty() {
            errors.push(FieldError::new("/paths", "needs at least one field path"));
        }
        let mut read = Vec::new();
        for (index, text) in paths.iter().enumerate() {
            match FieldPath::parse(text) {
                Ok(path) => read.push(path),
                Err(error) => errors.push(FieldError::new(format!("/paths/{index}"), error)),
            }
        }
        let reference = Self {
            kind,
            cluster_scoped: *cluster_scoped,
            paths: read,
            beside: beside.clone(),
            optional: *optional,
        };
        if errors.is_empty() { Ok(reference) } else { Err(errors) }
    }

    /// Where what is named can be.
    pub fn scope(&self) -> Scope {
        match (&self.kind, self.cluster_scoped) {
            (_, true) => Scope::Cluster,
            (Some(_), false) => Scope::Namespace,
            (None, false) => Scope::Unknown,
        }
    }

    /// The names that an object holds in these fields, in the order of the paths. Empty ones are none.
    pub fn names(&self, object: &Manifest) -> Vec<Named> {
        let mut found = Vec::new();
        for path in &self.paths {
            path.find(object.as_json(), &mut |field, inside, value| {
                found.extend(self.named(object, field, (inside, value)));
            });
        }
        found
    }

    fn named(&self, object: &Manifest, field: &str, (inside, value): (&Json, &Json)) -> Option<Named> {
        let text = |name: &str| inside.get(name).and_then(Json::as_str);
        let name = value.as_str().filter(|name| !name.is_empty())?;
        if self.beside.iter().any(|(field, wanted)| text(field) != Some(wanted.as_str())) {
            return None;
        }
        let (group, kind) = match &self.kind {
            Some(known) => known.clone(),
            None => told(inside)?,
        };
        let scope = self.scope();
        let namespace = match scope {
            Scope::Cluster => None,
            Scope::Namespace | Scope::Unknown => {
                text("namespace").filter(|ns| !ns.is_empty()).or(object.namespace())
            }
        };
        Some(Named {
            field: field.to_owned(),
            key: ObjectKey { group, kind, namespace: namespace.map(Into::into), name: name.into() },
            scope,
            optional: self.optional || inside.get("optional") == Some(&Json::Bool(true)),
        })
    }
}

/// Group and kind of `Secret` or `StorageClass.storage.k8s.io`.
fn read_kind(text: &str) -> Option<(String, String)> {
    let (kind, group) = text.split_once('.').unwrap_or((text, ""));
    let is_kind = kind.starts_with(|c: char| c.is_ascii_uppercase())
        && kind.chars().all(|c| c.is_ascii_alphanumeric())
        && !text.ends_with('.');
    let is_group = group.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    (is_kind && is_group).then(|| (group.to_owned(), kind.to_owned()))
}

/// Group and kind as the fields beside a name tell them.
fn told(inside: &Json) -> Option<(String, String)> {
    let text = |name: &str| inside.get(name).and_then(Json::as_str);
    let kind = text("kind").filter(|kind| !kind.is_empty())?;
    let group = match text("apiVersion") {
        Some(version) => Gvk::new(version, kind).group,
        None => text("apiGroup").or(text("group")).unwrap_or_default().to_owned(),
    };
    Some((group, kind.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(reference: &str, object: Json) -> String {
        let spec: ReferenceSpec = serde_saphyr::from_str(reference).unwrap();
        let found = Reference::compile(&spec).unwrap().names(&Manifest::parse(object).unwrap());
        let line = |n: &Named| {
            let optional = if n.optional { ", optional" } else { "" };
            format!("{} {} ({:?}{optional})", n.field, n.key, n.scope)
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn of(namespace: Option<&str>, spec: &Json) -> Json {
        json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "namespace": namespace}, "spec": spec})
    }

    #[test]
    fn a_name_means_an_object_of_the_same_namespace_or_of_the_one_beside_it() {
        let found = names(
            "{kind: Secret, paths: ['/spec/*/name']}",
            of(
                Some("shop"),
                &json!({"a": {"name": "one", "optional": true}, "b": {"name": "two", "namespace": "other"},
                "c": {"name": ""}, "d": {"name": 7}}),
            ),
        );
        insta::assert_snapshot!(found, @"
        /spec/a/name Secret shop/one (Namespace, optional)
        /spec/b/name Secret other/two (Namespace)
        ");
    }

    #[test]
    fn what_lives_in_no_namespace_has_none_whatever_stands_beside_its_name() {
        let spec = json!({"className": "fast", "namespace": "other"});
        let found = names(
            "{kind: StorageClass.storage.k8s.io, clusterScoped: true, paths: [/spec/className]}",
            of(Some("shop"), &spec),
        );
        assert_eq!(found, "/spec/className StorageClass.storage.k8s.io fast (Cluster)");
    }

    #[test]
    fn the_object_itself_may_say_which_kind_it_names() {
        let found = names(
            "{paths: ['/spec/*/name']}",
            of(
                Some("shop"),
                &json!({"a": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "b": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"},
                "c": {"group": "", "kind": "Service", "name": "web"}, "d": {"name": "no kind"}}),
            ),
        );
        insta::assert_snapshot!(found, @"
        /spec/a/name Deployment.apps shop/web (Unknown)
        /spec/b/name VolumeSnapshot.snapshot.storage.k8s.io shop/s (Unknown)
        /spec/c/name Service shop/web (Unknown)
        ");
    }

    #[test]
    fn fields_beside_the_name_can_rule_it_out() {
        let subjects = json!([{"kind": "User", "name": "bob"}, {"kind": "ServiceAccount", "name": "ci", "namespace": "build"}]);
        let found = names(
            "{kind: ServiceAccount, paths: ['/spec/*/name'], beside: {kind: ServiceAccount}}",
            of(None, &subjects),
        );
        assert_eq!(found, "/spec/1/name ServiceAccount build/ci (Namespace)");
    }

    #[test]
    fn what_is_wrong_with_a_reference_is_told_with_its_place() {
        let told = |text: &str| {
            let errors = Reference::compile(&serde_saphyr::from_str(text).unwrap()).unwrap_err();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        insta::assert_snapshot!(told("{kind: secrets, paths: [spec, /kind]}"), @r#"/kind: "secrets" is no Kind; write `Secret` or `StorageClass.storage.k8s.io`; /paths/0: a field path is a JSON pointer such as /spec/replicas, not "spec"; /paths/1: the field path "/kind" would remove the identity of the object"#);
        insta::assert_snapshot!(told("{kind: A.b/c, paths: []}"), @r#"/kind: "A.b/c" is no Kind; write `Secret` or `StorageClass.storage.k8s.io`; /paths: needs at least one field path"#);
    }
}
