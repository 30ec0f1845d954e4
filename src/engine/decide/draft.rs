//! Puts the chosen objects into waves: as which kind each is sent, what comes back by itself, what must be made first.
//!
//! In: `Chosen`, `Survey`, `Catalog` · Out: `PlannedWave`s and what stays out · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::choose::{Chosen, Definition, Managed, Taken};
use super::owners::{Member, Verdict, owners};
use super::survey::Survey;
use super::waves::waves;
use crate::domain::conflict::{Existing, ExistingRules};
use crate::domain::object::{Gvk, ObjectKey, Resource};
use crate::domain::report::{ObjectAction, ObjectReport};
use crate::domain::rule::Ready;
use crate::domain::rules::Catalog;
use crate::engine::saved::open::{State, StateEntry};

/// Objects that are applied together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedWave {
    /// Name.
    pub name: String,
    /// What it is for, in a few words.
    pub description: String,
    /// Objects, sorted by key.
    pub objects: Vec<PlannedObject>,
}

/// One object that is applied.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedObject {
    /// Identity in the cluster it goes to.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// What the reader should know of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What comes earlier in the plan and must be there first, so that a preview cannot ask the server about the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Position in the state; absent for a namespace that the state does not have.
    #[serde(skip)]
    pub entry: Option<usize>,
    /// Kind, in the version it is sent in.
    #[serde(skip)]
    pub resource: Arc<Resource>,
    /// Whether a definition of this plan adds its kind.
    #[serde(skip)]
    pub new_kind: bool,
    /// What the next wave waits for.
    #[serde(skip)]
    pub ready: Option<Ready>,
    /// What happens to an object that exists.
    #[serde(skip)]
    pub existing: Existing,
    /// Whose it is, where other tools manage objects.
    #[serde(skip)]
    pub managed: Managed,
}

/// Where the objects go.
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// What is known of the cluster.
    pub survey: &'a Survey,
    /// What is known about kinds.
    pub catalog: &'a Catalog,
    /// What happens to objects that exist.
    pub existing: &'a ExistingRules,
}

/// An object on its way into the plan.
struct Drafted<'a> {
    key: ObjectKey,
    notes: Vec<String>,
    after: Option<String>,
    entry: Option<(usize, &'a StateEntry)>,
    resource: Arc<Resource>,
    new_kind: bool,
    managed: Managed,
}

impl Drafted<'_> {
    /// What owners and waves look at; a namespace that the state does not have is a plain one.
    fn member<'d>(&'d self, no_labels: &'d BTreeMap<String, String>) -> Member<'d> {
        let entry = self.entry.map(|(_, entry)| entry);
        Member {
            key: entry.map_or(&self.key, |entry| &entry.key),
            resource: &self.resource,
            uid: entry.and_then(|entry| entry.uid.as_deref()),
            labels: entry.map_or(no_labels, |entry| &entry.labels),
            controller: entry.and_then(|entry| entry.controller.as_ref()),
        }
    }
}

/// Makes the waves, and says what stays out although it is meant.
pub fn draft(state: &State, chosen: Chosen, cluster: &Cluster<'_>) -> (Vec<PlannedWave>, Vec<ObjectReport>) {
    let kinds = cluster.survey.discovery.resources.iter();
    let served = kinds.map(|r| ((r.gvk.group.as_str(), r.gvk.kind.as_str()), r)).collect();
    let mut draft = Draft { state, cluster, served, left: Vec::new() };
    let objects = draft.objects(chosen);
    let mut objects = draft.without_made(objects);
    draft.namespaces(&mut objects);
    draft.left.sort_by(|a, b| a.key.cmp(&b.key));
    (order(objects, cluster), draft.left)
}

/// What decides about kinds and namespaces.
struct Draft<'a> {
    state: &'a State,
    cluster: &'a Cluster<'a>,
    served: BTreeMap<(&'a str, &'a str), &'a Resource>,
    left: Vec<ObjectReport>,
}

impl<'a> Draft<'a> {
    /// Every object whose kind can be sent.
    fn objects(&mut self, chosen: Chosen) -> Vec<Drafted<'a>> {
        let Chosen { taken, left, unselected: _, definitions } = chosen;
        self.left = left;
        let mut objects = Vec::new();
        let mut seen: BTreeSet<ObjectKey> = BTreeSet::new();
        for one in taken {
            let saved = &self.state.entries[one.at].key;
            match self.place(&one, &definitions) {
                Err(reason) => self.leave(saved, ObjectAction::Failed, reason),
                Ok(_) if !seen.insert(one.key.clone()) => {
                    let reason =
                        format!("another object becomes {} too, through `namespaceMapping`", one.key);
                    self.leave(saved, ObjectAction::Failed, reason);
                }
                Ok((resource, definition)) => objects.push(Drafted {
                    key: one.key,
                    notes: one.notes,
                    after: definition.map(|name| format!("CustomResourceDefinition {name}")),
                    entry: Some((one.at, &self.state.entries[one.at])),
                    new_kind: definition.is_some(),
                    resource,
                    managed: one.managed,
                }),
            }
        }
        objects
    }

    /// The kind an object is sent as, and the definition that adds it first.
    fn place<'d>(
        &self,
        one: &Taken,
        definitions: &'d [Definition],
    ) -> Result<(Arc<Resource>, Option<&'d str>), String> {
        let Gvk { group, version, kind } = &one.gvk;
        if let Some(served) = self.served.get(&(group.as_str(), kind.as_str())) {
            if !served.served.contains(version) && served.gvk.version != *version {
                let known = served.served.join(", ");
                return Err(format!(
                    "the cluster does not serve {} of this kind, only {known}",
                    one.gvk.api_version()
                ));
            }
            if !served.can("create") {
                return Err("the API server lets nobody create objects of this kind".to_owned());
            }
            return Ok((Arc::new(Resource { gvk: one.gvk.clone(), ..(*served).clone() }), None));
        }
        let fits = |d: &&Definition| d.resource.gvk.group == *group && d.resource.gvk.kind == *kind;
        if let Some(definition) = definitions.iter().find(fits) {
            if !definition.resource.served.contains(version) {
                let known = definition.resource.served.join(", ");
                return Err(format!(
                    "its definition {} does not serve {version}, only {known}",
                    definition.name
                ));
            }
            let resource = Resource { gvk: one.gvk.clone(), ..definition.resource.clone() };
            return Ok((Arc::new(resource), Some(&definition.name)));
        }
        let broken = self
            .cluster
            .survey
            .discovery
            .broken
            .iter()
            .find(|(version, _)| Gvk::new(version, "").group == *group);
        Err(match broken {
            Some((version, reason)) => format!("the cluster's {version} cannot be discovered: {reason}"),
            None => {
                format!("the cluster does not serve {}, and this restore brings no definition of it", one.gvk)
            }
        })
    }

    /// Leaves out what comes back by itself, because its controller does.
    fn without_made(&mut self, objects: Vec<Drafted<'a>>) -> Vec<Drafted<'a>> {
        let none = BTreeMap::new();
        let members: Vec<Member<'_>> = objects.iter().map(|object| object.member(&none)).collect();
        let verdicts = owners(&members, self.cluster.catalog);
        let mut kept = Vec::with_capacity(objects.len());
        for (mut object, verdict) in objects.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Restore => kept.push(object),
                Verdict::RestoreOwned(why) => {
                    object.notes.push(why);
                    kept.push(object);
                }
                Verdict::Leave(reason) => {
                    let saved = object.entry.map_or(&object.key, |(_, entry)| &entry.key).clone();
                    self.leave(&saved, ObjectAction::Skipped, reason);
                }
            }
        }
        kept
    }

    /// Adds namespaces that neither the plan nor the cluster has, and notes which objects wait for a new namespace.
    fn namespaces(&self, objects: &mut Vec<Drafted<'a>>) {
        let known = self.cluster.survey.namespaces.as_ref();
        let there = |name: &String| known.is_none_or(|known| known.get(name) == Some(&false));
        let planned: BTreeSet<String> =
            objects.iter().filter(|o| is_namespace(&o.key)).map(|o| o.key.name.clone()).collect();
        let mut bare = BTreeSet::new();
        for object in objects.iter_mut() {
            let Some(namespace) = object.key.namespace.clone().filter(|name| !there(name)) else { continue };
            object.after.get_or_insert_with(|| format!("Namespace {namespace}"));
            if !planned.contains(&namespace) {
                bare.insert(namespace);
            }
        }
        let Some(kind) = self.served.get(&("", "Namespace")) else { return };
        objects.extend(bare.into_iter().map(|name| Drafted {
            key: ObjectKey { group: String::new(), kind: "Namespace".into(), namespace: None, name },
            notes: vec!["the saved state does not have it: made without labels and annotations".into()],
            after: None,
            entry: None,
            resource: Arc::new((*kind).clone()),
            new_kind: false,
            managed: Managed::default(),
        }));
    }

    fn leave(&mut self, key: &ObjectKey, action: ObjectAction, reason: String) {
        self.left.push(ObjectReport { key: key.clone(), action, reason: Some(reason) });
    }
}

/// Whether an object is a namespace.
pub fn is_namespace(key: &ObjectKey) -> bool {
    key.group.is_empty() && key.kind == "Namespace"
}

fn order(objects: Vec<Drafted<'_>>, cluster: &Cluster<'_>) -> Vec<PlannedWave> {
    let (catalog, rules) = (cluster.catalog, cluster.existing);
    let none = BTreeMap::new();
    let members: Vec<Member<'_>> = objects.iter().map(|object| object.member(&none)).collect();
    let waves = waves(&members, catalog);
    drop(members);
    let mut objects: Vec<Option<Drafted<'_>>> = objects.into_iter().map(Some).collect();
    let mut planned = Vec::with_capacity(waves.len());
    for wave in waves {
        let mut awaited: BTreeMap<usize, Ready> = wave.awaited.into_iter().collect();
        let members = wave.members.into_iter();
        let mut wave_objects: Vec<PlannedObject> = members
            .filter_map(|at| {
                let Drafted { key, notes, after, entry, resource, new_kind, managed } = objects[at].take()?;
                let (entry, ready) = (entry.map(|(entry, _)| entry), awaited.remove(&at));
                let existing = rules.of(&resource);
                Some(PlannedObject { key, notes, after, entry, resource, new_kind, ready, existing, managed })
            })
            .collect();
        wave_objects.sort_by(|a, b| a.key.cmp(&b.key));
        planned.push(PlannedWave { name: wave.name, description: wave.description, objects: wave_objects });
    }
    planned
}
