//! Finds what the objects of a saved state name and the state does not hold.
//!
//! What a restore leaves to its controller, or never brings back, is not asked: it names nothing that anybody needs.
//!
//! In: `State`, `Catalog` · Out: `ReferenceReport` · Touches: what the state is read from

use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error as _;

use futures::StreamExt;
use serde::Serialize;

use super::init::Inits;
use super::owners::{Member, RulesByKind, Verdict, owners};
use super::prepare::{Cluster, Destination, Mapping, Preparation, prepare};
use crate::domain::names::{Named, Scope};
use crate::domain::object::{Gvk, Json, Manifest, ObjectKey, Owner, Resource};
use crate::domain::pattern::KindMatcher;
use crate::domain::report::KindResult;
use crate::domain::rules::Catalog;
use crate::domain::snapshot::SnapshotRecord;
use crate::engine::clean::rewrite::Volume;
use crate::engine::saved::manifests::guess;
use crate::engine::saved::open::{Error, State};

const DEFINITION: (&str, &str) = ("apiextensions.k8s.io", "CustomResourceDefinition");
const API_SERVICE: (&str, &str) = ("apiregistration.k8s.io", "APIService");

/// What a saved state lacks of what its objects name. Nothing, if `missing` is empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceReport {
    /// What was looked at, such as `snapshot shop-20261121t063000z-kwpa`.
    pub source: String,
    /// Objects that were looked into.
    pub objects: u64,
    /// What is missing, sorted by key.
    pub missing: Vec<Missing>,
    /// What the reader should know, such as that the snapshot is Partial.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One object that is named and not there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Identity.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Why it is not there, where the state tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Fields that name it, sorted. For a namespace or a definition the first object that needs it.
    pub named_by: Vec<NamedBy>,
    /// How many more objects need the namespace or definition.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// A field that names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedBy {
    /// The object it is in.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// JSON pointer of the field.
    pub field: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Reads a state and finds what is missing. One object at a time is in memory, besides the index.
///
/// # Errors
/// The state cannot be read. An object that a catalog rule has no answer for is a note.
pub async fn missing(state: &State, catalog: &Catalog) -> Result<ReferenceReport, Error> {
    let restored = restored(state, catalog);
    let mut search = Search::new(state, catalog);
    search.namespaces(&restored);
    search.definitions(&restored);
    let mut objects = std::pin::pin!(state.objects(restored));
    while let Some(read) = objects.next().await {
        let (at, object) = read?;
        search.look(at, object);
    }
    Ok(search.report())
}

/// Positions of the objects that their controllers do not make again.
fn restored(state: &State, catalog: &Catalog) -> Vec<usize> {
    let members = state.entries.iter().map(|entry| Member {
        wanted: false,
        key: &entry.key,
        resource: &entry.resource,
        uid: entry.uid.as_deref(),
        labels: &entry.labels,
        controller: entry.controller.as_ref(),
    });
    let verdicts = owners(&members.collect::<Vec<_>>(), catalog, &KindMatcher::default());
    let kept = verdicts.iter().enumerate().filter(|(_, verdict)| match verdict {
        Verdict::Restore | Verdict::RestoreOwned(_) => true,
        Verdict::Leave(_) => false,
    });
    kept.map(|(at, _)| at).collect()
}

/// Fields that name something that is not there.
#[derive(Default)]
struct Lack {
    reason: Option<String>,
    named_by: Vec<NamedBy>,
    more: u64,
}

struct Search<'a> {
    state: &'a State,
    catalog: &'a Catalog,
    kinds: RulesByKind<'a>,
    there: HashSet<&'a ObjectKey>,
    /// Kinds of the state by group and kind.
    known: HashMap<(&'a str, &'a str), &'a Resource>,
    /// Namespaces of which the state holds anything.
    namespaces: HashSet<&'a str>,
    /// Absent objects that nobody misses.
    not_missed: HashSet<ObjectKey>,
    lacks: BTreeMap<ObjectKey, Lack>,
    objects: u64,
    notes: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(state: &'a State, catalog: &'a Catalog) -> Self {
        let entries = || state.entries.iter();
        let kind = |r: &'a Resource| ((r.gvk.group.as_str(), r.gvk.kind.as_str()), r);
        Self {
            state,
            catalog,
            kinds: RulesByKind::new(catalog),
            there: entries().map(|entry| &entry.key).collect(),
            known: entries().map(|entry| kind(&entry.resource)).collect(),
            namespaces: entries().filter_map(|entry| entry.key.namespace.as_deref()).collect(),
            not_missed: HashSet::new(),
            lacks: BTreeMap::new(),
            objects: 0,
            notes: state.notes.clone(),
        }
    }

    /// Every object needs its namespace.
    fn namespaces(&mut self, restored: &[usize]) {
        for at in restored {
            let from = &self.state.entries[*at].key;
            if let Some(namespace) = &from.namespace {
                self.need_once(cluster_scoped(("", "Namespace"), namespace), from, "/metadata/namespace");
            }
        }
    }

    /// Every kind that an API server does not serve by itself needs its definition, or an `APIService` of its group.
    fn definitions(&mut self, restored: &[usize]) {
        let services = self.state.entries.iter().filter(|entry| is(&entry.key, API_SERVICE));
        let aggregated: HashSet<&str> =
            services.filter_map(|entry| Some(entry.key.name.split_once('.')?.1)).collect();
        for at in restored {
            let entry = &self.state.entries[*at];
            if aggregated.contains(entry.resource.gvk.group.as_str())
                || self.kinds.of(&entry.resource).built_in()
            {
                continue;
            }
            let group = &entry.resource.gvk.group;
            let service = match self.reason(&cluster_scoped(API_SERVICE, group)) {
                None => format!("no APIService of {group} is there either"),
                Some(why) => format!("an APIService of {group} may do as well, but {why}"),
            };
            let definition = cluster_scoped(DEFINITION, &entry.resource.full_name());
            if let Some(lack) = self.need_once(definition, &entry.key, "/apiVersion") {
                lack.reason = Some(match lack.reason.take() {
                    Some(why) => format!("{why}; {service}"),
                    None => service,
                });
            }
        }
    }

    /// Notes that an object needs another one, and gives the note when it is the first that does: only that is named.
    fn need_once(&mut self, wanted: ObjectKey, from: &ObjectKey, field: &str) -> Option<&mut Lack> {
        if !self.is_missed(&wanted) {
            return None;
        }
        let reason = self.reason(&wanted);
        let lack = self.lacks.entry(wanted).or_default();
        if lack.named_by.is_empty() {
            lack.reason = reason;
            lack.named_by.push(NamedBy { key: from.clone(), field: field.to_owned() });
            return Some(lack);
        }
        lack.more += 1;
        None
    }

    /// Looks up what one object names, as far as a restore sends it.
    fn look(&mut self, at: usize, object: Manifest) {
        let entry = &self.state.entries[at];
        let rules = self.kinds.of(&entry.resource);
        let references = rules.references(&object);
        let volume = object.at("/spec/volumeName").and_then(Json::as_str);
        // The claim shall keep the name of its volume, whether that is there or not.
        let volumes = volume.map(|name| (name.to_owned(), Volume::default())).into_iter().collect();
        let mapping = Mapping::default();
        let to = Destination {
            inits: &Inits::default(),
            cluster: Cluster::Same,
            owners: None,
            mapping: &mapping,
            transforms: &[],
            volumes: &volumes,
        };
        let prepared = match prepare(object, rules, &to) {
            Ok(Preparation::Send(prepared)) => prepared,
            Ok(Preparation::Leave(_)) => return,
            Err(error) => {
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                return self.notes.push(format!("{} was not looked into: {error}{cause}", entry.key));
            }
        };
        self.objects += 1;
        for named in references.iter().flat_map(|reference| reference.names(prepared.manifest())) {
            self.check(&entry.key, named);
        }
        for (index, owner) in prepared.owners().iter().enumerate() {
            self.check(&entry.key, owner_named(owner.owner(), index, entry.key.namespace.as_deref()));
        }
    }

    fn check(&mut self, from: &ObjectKey, named: Named) {
        let in_cluster = named.in_cluster();
        if named.optional || in_cluster.as_ref().is_some_and(|key| self.there.contains(key)) {
            return;
        }
        let Named { field, key, scope: _, optional: _ } = named;
        let namespaced = self.known.get(&(key.group.as_str(), key.kind.as_str())).map(|kind| kind.namespaced);
        let wanted = match (in_cluster, namespaced) {
            (Some(other), Some(false)) => other,
            (Some(_) | None, _) => key,
        };
        if self.is_missed(&wanted) {
            let reason = self.reason(&wanted);
            let lack = self.lacks.entry(wanted).or_insert_with(|| Lack { reason, ..Lack::default() });
            lack.named_by.push(NamedBy { key: from.clone(), field });
        }
    }

    /// Whether an object is not there and should be.
    fn is_missed(&mut self, key: &ObjectKey) -> bool {
        if self.there.contains(key) || self.not_missed.contains(key) {
            return false;
        }
        if self.lacks.contains_key(key) {
            return true;
        }
        let outline = Manifest::outline(&unversioned(key), key, &BTreeMap::new(), None);
        let rules = self.catalog.kind(&self.resource(key));
        let missed = rules.not_missed(&outline).is_none();
        if !missed {
            self.not_missed.insert(key.clone());
        }
        missed
    }

    /// The kind of an object that may be absent; its plural name is a guess where the state does not have the kind.
    fn resource(&self, key: &ObjectKey) -> Resource {
        let known = self.known.get(&(key.group.as_str(), key.kind.as_str()));
        known.map_or_else(|| guess(unversioned(key), key.namespace.is_some()), |known| (*known).clone())
    }

    /// Why an object is not there, as far as the state tells.
    fn reason(&self, key: &ObjectKey) -> Option<String> {
        let kind = self.state.record.as_ref().and_then(|record| of_kind(record, &self.resource(key)));
        let namespace = key.namespace.as_deref().filter(|name| !self.namespaces.contains(name));
        kind.or(namespace.map(|name| format!("nothing of namespace {name} is there")))
    }

    fn report(self) -> ReferenceReport {
        let missing = self.lacks.into_iter().map(|(key, Lack { reason, mut named_by, more })| {
            named_by.sort();
            named_by.dedup();
            Missing { key, reason, named_by, more }
        });
        let (objects, notes) = (self.objects, self.notes);
        ReferenceReport { source: self.state.describe.clone(), objects, missing: missing.collect(), notes }
    }
}

/// What the record says of a kind that was not collected.
fn of_kind(record: &SnapshotRecord, resource: &Resource) -> Option<String> {
    let name = resource.full_name();
    if let Some(kind) = record.kinds.iter().find(|kind| kind.resource == name) {
        return match &kind.result {
            KindResult::Collected { .. } => None,
            KindResult::Skipped { reason } => Some(format!("{name} were not collected: {reason}")),
            KindResult::Failed { reason } => Some(format!("{name} could not be listed to the end: {reason}")),
        };
    }
    let group = &resource.gvk.group;
    let broken = record.undiscovered.iter().find(|(version, _)| Gvk::new(version, "").group == *group);
    Some(match broken {
        Some((version, reason)) => format!("{version} could not be discovered: {reason}"),
        None => format!("the cluster served no {name}"),
    })
}

fn owner_named(owner: &Owner, index: usize, namespace: Option<&str>) -> Named {
    Named {
        field: format!("/metadata/ownerReferences/{index}/name"),
        key: owner.key(namespace),
        scope: Scope::Unknown,
        optional: false,
    }
}

fn unversioned(key: &ObjectKey) -> Gvk {
    Gvk { group: key.group.clone(), version: String::new(), kind: key.kind.clone() }
}

fn cluster_scoped((group, kind): (&str, &str), name: &str) -> ObjectKey {
    ObjectKey { group: group.into(), kind: kind.into(), namespace: None, name: name.into() }
}

fn is(key: &ObjectKey, (group, kind): (&str, &str)) -> bool {
    key.group == group && key.kind == kind
}

#[cfg(test)]
mod tests;
