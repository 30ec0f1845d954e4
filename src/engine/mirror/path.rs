//! Says where an object stands in a mirror, and which object stands at a path.
//!
//! `clusters/<cluster>/namespaces/<namespace>/<group|core>/<resource>/<name>.yaml`, or `…/cluster/…` for objects without a
//! namespace. Bytes that a file system may not like are written as `%3A`, which no Kubernetes name can hold itself.
//!
//! In: cluster, resource, key · Out: paths and back · Touches: nothing

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::domain::object::{ObjectKey, Resource};

/// The longest name most file systems take.
const LONGEST: usize = 255;

/// The end of every file of an object.
const END: &str = ".yaml";

/// The folder of a cluster, with a `/` at its end.
pub fn cluster_folder(cluster: &str) -> String {
    format!("clusters/{}/", escape(cluster))
}

/// The place of an object below the cluster's folder.
pub fn object_path(resource: &Resource, key: &ObjectKey) -> String {
    let group = if key.group.is_empty() { "core" } else { &key.group };
    let place = match &key.namespace {
        Some(namespace) => format!("namespaces/{}", escape(namespace)),
        None => "cluster".to_owned(),
    };
    format!("{place}/{}/{}/{}", escape(group), escape(&resource.plural), file_name(&key.name))
}

fn file_name(name: &str) -> String {
    let whole = escape(name) + END;
    if whole.len() <= LONGEST {
        return whole;
    }
    // Too long for a file system: `%~` marks that the name has to be looked up in the file.
    let digest = format!("{:x}", Sha256::digest(name.as_bytes()));
    let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(180).collect();
    format!("{kept}%~{}{END}", &digest[..32])
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let dot_at_an_end = byte == b'.' && (at == 0 || at == last);
        if (byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) && !dot_at_an_end {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        bytes.push(u8::from_str_radix(rest.get(at + 1..at + 3)?, 16).ok()?);
        rest = &rest[at + 3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// What a path below a cluster's folder says about the object in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name of the kind.
    pub plural: String,
    /// Namespace; absent for objects without one.
    pub namespace: Option<String>,
    /// Name; absent where it was too long for a file.
    pub name: Option<String>,
}

impl Place {
    /// Reads a path below a cluster's folder; `None` where it is no place of an object.
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let (namespace, rest) = match parts.as_slice() {
            ["cluster", rest @ ..] => (None, rest),
            ["namespaces", namespace, rest @ ..] => (Some(unescape(namespace)?), rest),
            _ => return None,
        };
        let [group, plural, file] = rest else { return None };
        let stem = file.strip_suffix(END)?;
        let name = if stem.contains("%~") { None } else { Some(unescape(stem)?) };
        let group = unescape(group).filter(|group| group != "core").unwrap_or_default();
        Some(Self { group, plural: unescape(plural)?, namespace, name })
    }

    /// `deployments.apps`, `secrets`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::object::Gvk;

    fn resource(group: &str, plural: &str, namespaced: bool) -> Resource {
        let gvk = Gvk { group: group.into(), version: "v1".into(), kind: "Any".into() };
        Resource { gvk, plural: plural.into(), namespaced, verbs: Vec::new(), served: Vec::new() }
    }

    fn path(group: &str, plural: &str, namespace: Option<&str>, name: &str) -> String {
        let key = ObjectKey {
            group: group.into(),
            kind: "Any".into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
        };
        object_path(&resource(group, plural, namespace.is_some()), &key)
    }

    #[test]
    fn objects_stand_by_namespace_group_kind_and_name() {
        assert_eq!(
            path("apps", "deployments", Some("shop"), "web"),
            "namespaces/shop/apps/deployments/web.yaml"
        );
        assert_eq!(path("", "secrets", Some("shop"), "db"), "namespaces/shop/core/secrets/db.yaml");
        assert_eq!(
            path("rbac.authorization.k8s.io", "clusterroles", None, "system:node"),
            "cluster/rbac.authorization.k8s.io/clusterroles/system%3Anode.yaml"
        );
        assert_eq!(cluster_folder("../prod"), "clusters/%2E.%2Fprod/");
    }

    #[test]
    fn no_name_leaves_its_folder_or_hides() {
        for name in [".", "..", "../../x", "/etc", ".git", "a/b", "a\\b", "a\0b", "git~1"] {
            let path = path("", "things", Some(name), name);
            let parts: Vec<&str> = path.split('/').collect();
            assert_eq!(parts.len(), 5, "{path}");
            assert!(
                parts.iter().all(|part| !part.starts_with('.') && !part.contains(['\\', '\0', '~'])),
                "{path}"
            );
        }
    }

    #[test]
    fn a_name_too_long_for_a_file_is_cut_but_stays_unique() {
        let (one, two) = ("a".repeat(253), "a".repeat(252) + "b");
        let paths = [path("", "pods", Some("n"), &one), path("", "pods", Some("n"), &two)];
        assert_ne!(paths[0], paths[1]);
        assert!(paths.iter().all(|p| p.rsplit('/').next().unwrap().len() <= LONGEST));
        assert_eq!(Place::parse(&paths[0]).unwrap().name, None);
    }

    #[test]
    fn foreign_files_are_no_places() {
        for path in [
            "backstay.yaml",
            "namespaces/shop/README.md",
            "namespaces/shop/core/secrets/db.yml",
            "namespaces/shop/core/secrets/deep/db.yaml",
            "cluster/core/nodes/%zz.yaml",
            "other/core/nodes/a.yaml",
            "",
        ] {
            assert_eq!(Place::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_path_tells_its_object(group in "[a-z.:]{0,12}", plural in "[a-z]{1,9}", namespace in proptest::option::of("[a-z.-]{1,9}"), name in "[^%/]{1,20}") {
            prop_assume!(group != "core");
            let place = Place::parse(&path(&group, &plural, namespace.as_deref(), &name)).unwrap();
            prop_assert_eq!(place, Place { group, plural, namespace, name: Some(name) });
        }
    }
}
