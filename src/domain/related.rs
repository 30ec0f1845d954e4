//! Which cluster-scoped objects the selected ones need: they come along when only some namespaces are saved.
//!
//! In: taken objects, one by one, and what the catalog knows of their kinds · Out: answers of `Related` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use super::labels::LabelSelector;
use super::names::Scope;
use super::object::{Json, Manifest, ObjectKey, Resource};
use super::rules::KindRules;

const RBAC: &str = "rbac.authorization.k8s.io";
const VOLUME: (&str, &str) = ("", "PersistentVolume");
const CONTENT: (&str, &str) = ("snapshot.storage.k8s.io", "VolumeSnapshotContent");

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
    pub fn learn(&mut self, rules: &KindRules<'_>, object: &Manifest) {
        let (resource, key) = (rules.resource(), object.key());
        if let Some(namespace) = &key.namespace {
            self.need(cluster_scoped(("", "Namespace"), namespace), &key);
        }
        if !resource.gvk.group.is_empty() {
            let definition = ("apiextensions.k8s.io", "CustomResourceDefinition");
            self.need(cluster_scoped(definition, &resource.full_name()), &key);
        }
        let references = rules.references(object).into_iter();
        for reference in references.filter(|reference| reference.scope() == Scope::Cluster) {
            for named in reference.names(object) {
                self.need(named.key, &key);
            }
        }
        match (key.group.as_str(), key.kind.as_str()) {
            ("", "ServiceAccount") => self.learn_account(&key),
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

    fn need(&mut self, wanted: ObjectKey, by: &ObjectKey) {
        self.needed.entry(wanted).or_insert_with(|| by.to_string());
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

fn cluster_scoped((group, kind): (&str, &str), name: &str) -> ObjectKey {
    ObjectKey { group: group.into(), kind: kind.into(), namespace: None, name: name.into() }
}

#[cfg(test)]
mod tests;
