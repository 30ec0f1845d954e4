//! Which cluster-scoped objects the selected ones need: they come along when only some namespaces are saved.
//!
//! In: taken objects, one by one · Out: answers of `Related` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use super::labels::LabelSelector;
use super::object::{Json, Manifest, ObjectKey, Resource};

const RBAC: &str = "rbac.authorization.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const SNAPSHOT: &str = "snapshot.storage.k8s.io";

/// A field by which an object names a cluster-scoped one. Empty kind: any object. `*` stands for list elements.
struct Reference {
    from: (&'static str, &'static str),
    field: &'static str,
    to: (&'static str, &'static str),
}

const fn reference(
    from: (&'static str, &'static str),
    field: &'static str,
    to: (&'static str, &'static str),
) -> Reference {
    Reference { from, field, to }
}

const ANY: (&str, &str) = ("", "");
const CLAIM: (&str, &str) = ("", "PersistentVolumeClaim");
const VOLUME: (&str, &str) = ("", "PersistentVolume");
const CLASS: (&str, &str) = (STORAGE, "StorageClass");
const PRIORITY: (&str, &str) = ("scheduling.k8s.io", "PriorityClass");
const RUNTIME: (&str, &str) = ("node.k8s.io", "RuntimeClass");
const INGRESS: (&str, &str) = ("networking.k8s.io", "Ingress");
const INGRESS_CLASS: (&str, &str) = ("networking.k8s.io", "IngressClass");
const SNAPSHOT_CLASS: (&str, &str) = (SNAPSHOT, "VolumeSnapshotClass");
const CONTENT: (&str, &str) = (SNAPSHOT, "VolumeSnapshotContent");

const REFERENCES: [Reference; 22] = [
    reference(CLAIM, "/spec/volumeName", VOLUME),
    reference(CLAIM, "/spec/storageClassName", CLASS),
    reference(CLAIM, "/metadata/annotations/volume.beta.kubernetes.io~1storage-class", CLASS),
    reference(CLAIM, "/spec/volumeAttributesClassName", (STORAGE, "VolumeAttributesClass")),
    reference(VOLUME, "/spec/storageClassName", CLASS),
    reference(("apps", "StatefulSet"), "/spec/volumeClaimTemplates/*/spec/storageClassName", CLASS),
    reference(ANY, "/spec/priorityClassName", PRIORITY),
    reference(ANY, "/spec/template/spec/priorityClassName", PRIORITY),
    reference(ANY, "/spec/jobTemplate/spec/template/spec/priorityClassName", PRIORITY),
    reference(ANY, "/template/spec/priorityClassName", PRIORITY),
    reference(ANY, "/spec/runtimeClassName", RUNTIME),
    reference(ANY, "/spec/template/spec/runtimeClassName", RUNTIME),
    reference(ANY, "/spec/jobTemplate/spec/template/spec/runtimeClassName", RUNTIME),
    reference(ANY, "/template/spec/runtimeClassName", RUNTIME),
    reference(INGRESS, "/spec/ingressClassName", INGRESS_CLASS),
    reference(INGRESS, "/metadata/annotations/kubernetes.io~1ingress.class", INGRESS_CLASS),
    reference(
        ("gateway.networking.k8s.io", "Gateway"),
        "/spec/gatewayClassName",
        ("gateway.networking.k8s.io", "GatewayClass"),
    ),
    reference((SNAPSHOT, "VolumeSnapshot"), "/spec/volumeSnapshotClassName", SNAPSHOT_CLASS),
    reference((SNAPSHOT, "VolumeSnapshot"), "/spec/source/volumeSnapshotContentName", CONTENT),
    reference((SNAPSHOT, "VolumeSnapshot"), "/status/boundVolumeSnapshotContentName", CONTENT),
    reference(CONTENT, "/spec/volumeSnapshotClassName", SNAPSHOT_CLASS),
    reference(
        ("resource.k8s.io", "ResourceClaim"),
        "/spec/devices/requests/*/deviceClassName",
        ("resource.k8s.io", "DeviceClass"),
    ),
];

/// In how many rounds cluster-scoped kinds are read, so that what one names is known when the other is looked at.
pub const ROUNDS: usize = 3;

/// The round, from 0, in which a cluster-scoped kind is looked at.
///
/// First those that name others (volumes, bindings, snapshot contents), then the others, then once more those that may
/// name objects of their own kind: [`Related::again`].
pub fn round(resource: &Resource) -> usize {
    let kind = (resource.gvk.group.as_str(), resource.gvk.kind.as_str());
    usize::from(![VOLUME, CONTENT, (RBAC, "ClusterRoleBinding")].contains(&kind))
}

/// What the objects taken so far need.
#[derive(Clone, Debug, Default)]
pub struct Related {
    /// Cluster-scoped objects by key, with the object that needs them.
    needed: BTreeMap<ObjectKey, String>,
    /// Service accounts taken, as the user names that bindings may have.
    accounts: BTreeSet<String>,
    /// Groups that the taken service accounts are in.
    groups: BTreeSet<String>,
    /// Selectors of the cluster roles that taken ones are made of, with the taken one.
    parts: Vec<(LabelSelector, String)>,
    /// Cluster-scoped objects taken.
    taken: BTreeSet<ObjectKey>,
}

impl Related {
    /// Notes what an object that was taken needs: namespaced or cluster-scoped, selected or come along.
    pub fn learn(&mut self, resource: &Resource, object: &Manifest) {
        let key = object.key();
        if let Some(namespace) = &key.namespace {
            self.need(("", "Namespace"), namespace, &key);
        }
        if !resource.gvk.group.is_empty() {
            self.need(("apiextensions.k8s.io", "CustomResourceDefinition"), &resource.full_name(), &key);
        }
        let kind = (key.group.as_str(), key.kind.as_str());
        for Reference { from, field, to } in &REFERENCES {
            if *from == ANY || *from == kind {
                texts(object.as_json(), field, &mut |name| self.need(*to, name, &key));
            }
        }
        match kind {
            ("", "ServiceAccount") => self.learn_account(&key),
            (RBAC, "RoleBinding" | "ClusterRoleBinding") => {
                let text = |field: &str| object.at(field).and_then(Json::as_str).unwrap_or_default();
                if text("/roleRef/kind") == "ClusterRole" {
                    self.need((RBAC, "ClusterRole"), text("/roleRef/name"), &key);
                }
            }
            (RBAC, "ClusterRole") => self.learn_parts(object, &key),
            _ => {}
        }
        if key.namespace.is_none() {
            self.taken.insert(key);
        }
    }

    /// Why a cluster-scoped object comes along: which taken object needs it. `None`: it does not, or it was taken before.
    pub fn wants(&self, resource: &Resource, object: &Manifest) -> Option<String> {
        let key = object.key();
        if resource.namespaced || self.taken.contains(&key) {
            return None;
        }
        if let Some(by) = self.needed.get(&key) {
            return Some(format!("needed by {by}"));
        }
        match (key.group.as_str(), key.kind.as_str()) {
            (RBAC, "ClusterRoleBinding") => self.bound(object),
            (RBAC, "ClusterRole") => self.part(object),
            _ => None,
        }
    }

    /// Whether objects of this kind must be looked at once more, because ones that were taken may need others of the same kind.
    pub fn again(&self, resource: &Resource) -> bool {
        resource.gvk.group == RBAC && resource.gvk.kind == "ClusterRole" && !self.parts.is_empty()
    }

    fn need(&mut self, (group, kind): (&str, &str), name: &str, by: &ObjectKey) {
        if !name.is_empty() {
            let key =
                ObjectKey { group: group.into(), kind: kind.into(), namespace: None, name: name.into() };
            self.needed.entry(key).or_insert_with(|| by.to_string());
        }
    }

    fn learn_account(&mut self, key: &ObjectKey) {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        self.accounts.insert(format!("system:serviceaccount:{namespace}:{}", key.name));
        self.groups.insert("system:serviceaccounts".into());
        self.groups.insert(format!("system:serviceaccounts:{namespace}"));
    }

    fn learn_parts(&mut self, object: &Manifest, key: &ObjectKey) {
        let selectors = object.at("/aggregationRule/clusterRoleSelectors").and_then(Json::as_array);
        for selector in selectors.into_iter().flatten() {
            if let Ok(selector) = serde_json::from_value(selector.clone()) {
                self.parts.push((selector, key.to_string()));
            }
        }
    }

    /// Whether a cluster role binding is for a service account that was taken.
    fn bound(&self, object: &Manifest) -> Option<String> {
        let subjects = object.at("/subjects")?.as_array()?;
        subjects.iter().find_map(|subject| {
            let text = |field: &str| subject.get(field).and_then(Json::as_str).unwrap_or_default();
            let (user, named) = match text("kind") {
                "ServiceAccount" => {
                    let user = format!("system:serviceaccount:{}:{}", text("namespace"), text("name"));
                    (user.clone(), self.accounts.contains(&user))
                }
                "User" => (text("name").to_owned(), self.accounts.contains(text("name"))),
                "Group" => (text("name").to_owned(), self.groups.contains(text("name"))),
                _ => return None,
            };
            named.then(|| format!("binds {user}"))
        })
    }

    /// Whether a cluster role is a part of an aggregated one that was taken.
    fn part(&self, object: &Manifest) -> Option<String> {
        let label = |key: &str| object.label(key);
        let (_, whole) = self.parts.iter().find(|(selector, _)| selector.matches(label))?;
        Some(format!("part of {whole}"))
    }
}

/// Calls a function with every text at a pointer in which `*` stands for the elements of a list.
fn texts(value: &Json, pointer: &str, found: &mut impl FnMut(&str)) {
    let Some((head, rest)) = pointer.split_once("/*") else {
        value.pointer(pointer).and_then(Json::as_str).into_iter().for_each(found);
        return;
    };
    for element in value.pointer(head).and_then(Json::as_array).into_iter().flatten() {
        texts(element, rest, found);
    }
}

#[cfg(test)]
mod tests;
