//! Gives restored objects their owners back: an owner reference names a uid, and a restored owner has a new one.
//!
//! An owner that was restored earlier is named when its object is written. The others are added after the last wave, so
//! that no reference to an owner that is not there ever lets the garbage collector take the object.
//!
//! In: references as saved, what was written · Out: `Uids`, why a link is missing · Touches: cluster (read and write), clock

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, stream};
use serde_json::json;

use super::bound::change;
use crate::domain::object::{Json, Manifest, ObjectKey, Owner, OwnerReference, Resource};
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{Mode, Place};

/// New uids by old ones.
#[derive(Debug, Default)]
pub struct Uids {
    new: HashMap<String, String>,
    /// `apiVersion`s of objects that were saved under another one.
    versions: HashMap<String, String>,
}

impl Uids {
    /// Notes which uid an object has now.
    pub fn learn(&mut self, old: &str, new: &str) {
        if !old.is_empty() && !new.is_empty() {
            self.new.insert(old.to_owned(), new.to_owned());
        }
    }

    /// Notes that an object is sent under another `apiVersion` than it was saved under.
    pub fn recast(&mut self, old: &str, api_version: &str) {
        self.versions.insert(old.to_owned(), api_version.to_owned());
    }

    fn of(&self, reference: &OwnerReference) -> Option<&str> {
        self.new.get(&reference.owner().uid).map(String::as_str)
    }

    /// The reference to an owner that has this uid now.
    fn renewed(&self, reference: &OwnerReference, uid: &str) -> Json {
        let mut renewed = reference.with_uid(uid);
        if let Some(version) = self.versions.get(&reference.owner().uid) {
            renewed["apiVersion"] = json!(version);
        }
        renewed
    }

    /// Whether the new uid of every owner of an object is known.
    pub fn all(&self, link: &Link<'_>) -> bool {
        link.owners.iter().all(|reference| self.of(reference).is_some())
    }

    /// The references of which the new uid is known, as they are written.
    pub fn known(&self, references: &[OwnerReference]) -> Vec<Json> {
        references.iter().filter_map(|reference| Some(self.renewed(reference, self.of(reference)?))).collect()
    }
}

/// An object that was written and may lack an owner.
#[derive(Debug)]
pub struct Link<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// Its kind.
    pub resource: &'a Resource,
    /// Its owners as they were saved.
    pub owners: Vec<OwnerReference>,
    /// The object as it is now.
    pub now: Manifest,
}

/// Why an object is without an owner that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is nothing to point to: that is no failure.
    Owner(String),
    /// The cluster refused, or did not answer.
    Link(String),
}

/// Adds the owner references that objects lack, several at a time. Those that are there already cost no call.
///
/// An owner that was not restored is looked up by kind, namespace and name. Gives back what is missing, sorted by key.
pub async fn link(
    reach: &Reach<'_>,
    links: Vec<Link<'_>>,
    uids: &Uids,
    served: &[Resource],
) -> Vec<(ObjectKey, Missing)> {
    let mut owners = Owners { uids, served, others: BTreeMap::new() };
    owners.others = others(reach, &links, &owners).await;
    let owners = &owners;
    let jobs = stream::iter(links).map(|link| one(reach, link, owners));
    let mut missing: Vec<_> = jobs.buffer_unordered(reach.concurrency.max(1)).concat().await;
    missing.sort_by(|a, b| a.0.cmp(&b.0));
    missing
}

/// What is known about the owners of all objects.
struct Owners<'a> {
    uids: &'a Uids,
    served: &'a [Resource],
    /// Those that were not restored: their uid, or why there is none.
    others: BTreeMap<ObjectKey, Result<String, Missing>>,
}

impl Owners<'_> {
    /// The kind and the identity of an owner, which is beside its object or cluster-scoped.
    fn place(&self, object: &ObjectKey, owner: &Owner) -> (ObjectKey, Option<&Resource>) {
        let kind = self.served.iter().find(|r| r.gvk.group == owner.group && r.gvk.kind == owner.kind);
        let beside = kind.is_none_or(|kind| kind.namespaced);
        (owner.key(object.namespace.as_deref().filter(|_| beside)), kind)
    }

    /// The owner's uid now.
    fn uid(&self, object: &ObjectKey, reference: &OwnerReference) -> Result<&str, Missing> {
        if let Some(uid) = self.uids.of(reference) {
            return Ok(uid);
        }
        let (key, _) = self.place(object, reference.owner());
        let looked_up = self.others.get(&key).ok_or_else(|| absent(&key))?;
        looked_up.as_deref().map_err(Clone::clone)
    }
}

fn absent(key: &ObjectKey) -> Missing {
    Missing::Owner(format!("its owner {key}, which is not there"))
}

async fn others(
    reach: &Reach<'_>,
    links: &[Link<'_>],
    owners: &Owners<'_>,
) -> BTreeMap<ObjectKey, Result<String, Missing>> {
    let mut wanted = BTreeMap::new();
    for link in links {
        let unknown = link.owners.iter().filter(|reference| owners.uids.of(reference).is_none());
        wanted.extend(unknown.map(|reference| owners.place(link.key, reference.owner())));
    }
    let looks = stream::iter(wanted).map(|(key, kind)| async move {
        let uid = look(reach, &key, kind).await;
        (key, uid)
    });
    looks.buffer_unordered(reach.concurrency.max(1)).collect().await
}

async fn look(reach: &Reach<'_>, key: &ObjectKey, kind: Option<&Resource>) -> Result<String, Missing> {
    let Some(kind) = kind else {
        return Err(Missing::Owner(format!("its owner {key}, whose kind is not served")));
    };
    let call = async || reach.reader.get(kind, key.namespace.as_deref(), &key.name).await;
    match persist(reach.clock, reach.patience, call).await.result {
        Ok(Some(owner)) if !owner.is_deleting() => Ok(owner.uid().unwrap_or_default().to_owned()),
        Ok(_) => Err(absent(key)),
        Err(error) => Err(Missing::Link(format!("its owner {key}: {error}"))),
    }
}

async fn one(reach: &Reach<'_>, link: Link<'_>, owners: &Owners<'_>) -> Vec<(ObjectKey, Missing)> {
    let Link { key, resource, owners: references, now } = link;
    let (mut wanted, mut missing) = (Vec::new(), Vec::new());
    for reference in &references {
        match owners.uid(key, reference) {
            Ok(uid) => wanted.push(owners.uids.renewed(reference, uid)),
            Err(why) => missing.push((key.clone(), why)),
        }
    }
    let place = Place { namespace: key.namespace.as_deref(), name: &key.name, subresource: "" };
    let lacks = |now: &Manifest| additions(now, &wanted);
    if let Err(error) = change(reach, (resource, place, Mode::Real), now, lacks).await {
        missing.push((key.clone(), Missing::Link(format!("its owners: {error}; restore again to finish"))));
    }
    missing
}

/// The merge patch that adds the references an object lacks; `None` where it has them all.
///
/// It is bound to the version it was made for. An object has one controller: who has it already keeps it.
fn additions(now: &Manifest, wanted: &[Json]) -> Option<Json> {
    let there: Vec<Json> =
        now.at("/metadata/ownerReferences").and_then(Json::as_array).cloned().unwrap_or_default();
    let controls = |reference: &Json| reference.get("controller") == Some(&Json::Bool(true));
    let controlled = there.iter().any(controls);
    let lacks = |reference: &&Json| {
        let known = there.iter().any(|other| other.get("uid") == reference.get("uid"));
        !(known || controlled && controls(reference))
    };
    let lacks: Vec<Json> = wanted.iter().filter(lacks).cloned().collect();
    if lacks.is_empty() {
        return None;
    }
    let all: Vec<Json> = there.iter().cloned().chain(lacks).collect();
    let version = now.at("/metadata/resourceVersion");
    Some(json!({"metadata": {"ownerReferences": all, "resourceVersion": version}}))
}

#[cfg(test)]
mod tests;
