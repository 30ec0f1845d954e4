//! Puts the chosen objects into waves: as which kind each is sent, what comes back by itself, what must be made first.
//!
//! In: `Chosen`, `Survey`, `Catalog` · Out: `PlannedWave`s and what stays out · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::choose::{Chosen, Managed, Taken};
use super::definition::Definition;
use super::owners::{Member, Verdict, owners};
use super::survey::Survey;
use super::versions::{self, Offer, Recast, best, labels_only};
use super::waves::waves;
use crate::domain::conflict::{Existing, ExistingRules};
use crate::domain::duration::Duration;
use crate::domain::object::{Gvk, ObjectKey, Resource};
use crate::domain::pattern::KindMatcher;
use crate::domain::report::{ObjectAction, ObjectReport};
use crate::domain::rule::{Ready, Way};
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
    /// Names of hooks whose init containers it got.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inits: Vec<String>,
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
    /// How it becomes one of the version it is sent in, where that is not the one it was saved in.
    #[serde(skip)]
    pub recast: Option<Recast>,
    /// Whose it is, where other tools manage objects.
    #[serde(skip)]
    pub managed: Managed,
}

impl PlannedObject {
    /// The kind that rules and conditions go by: as it was saved.
    pub fn saved_as(&self) -> &Resource {
        self.recast.as_ref().map_or(&self.resource, |recast| &recast.saved)
    }
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
    /// Kinds that are restored although their controller is.
    pub children: &'a KindMatcher,
    /// How long single waves are waited for, by name.
    pub waits: &'a BTreeMap<String, Duration>,
}

/// An object on its way into the plan.
struct Drafted<'a> {
    key: ObjectKey,
    notes: Vec<String>,
    after: Option<String>,
    entry: Option<(usize, &'a StateEntry)>,
    resource: Arc<Resource>,
    new_kind: bool,
    recast: Option<Recast>,
    managed: Managed,
    inits: Vec<String>,
}

/// As what an object is sent.
struct Placed {
    resource: Resource,
    definition: Option<String>,
    recast: Option<Recast>,
}

impl Placed {
    fn as_saved(gvk: &Gvk, kind: &Resource, definition: Option<&str>) -> Result<Self, String> {
        if definition.is_none() && !kind.can("create") {
            return Err("the API server lets nobody create objects of this kind".to_owned());
        }
        let resource = Resource { gvk: gvk.clone(), ..kind.clone() };
        Ok(Self { resource, definition: definition.map(str::to_owned), recast: None })
    }
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
            wanted: !self.inits.is_empty(),
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
        let Chosen { taken, left, unselected: _, definitions, mapped: _ } = chosen;
        self.left = left;
        let mut objects = Vec::new();
        let mut placed = Vec::new();
        for one in taken {
            match self.place(&one, &definitions) {
                Err(reason) => self.leave(&self.saved(&one).key.clone(), ObjectAction::Failed, reason),
                Ok(place) => placed.push((one, place)),
            }
        }
        // An older API server shows one object under two groups: the one that is sent as it was saved counts.
        placed.sort_by_key(|(_, place)| place.recast.is_some());
        let mut seen: BTreeMap<ObjectKey, Option<&str>> = BTreeMap::new();
        for (one, Placed { resource, definition, recast }) in placed {
            let entry = self.saved(&one);
            let key = ObjectKey { group: resource.gvk.group.clone(), ..one.key };
            let uid = entry.uid.as_deref();
            if let Some(other) = seen.get(&key) {
                let (action, reason) = if uid.is_some() && *other == uid {
                    (
                        ObjectAction::Skipped,
                        format!("it is {key}, which is restored, under another API group"),
                    )
                } else {
                    let by = if recast.is_some() { "its new version" } else { "`namespaceMapping`" };
                    (ObjectAction::Failed, format!("another object becomes {key} too, through {by}"))
                };
                self.leave(&entry.key, action, reason);
                continue;
            }
            seen.insert(key.clone(), uid);
            let notes = one.notes.into_iter().chain(recast.as_ref().map(Recast::note)).collect();
            objects.push(Drafted {
                key,
                notes,
                after: definition.as_ref().map(|name| format!("CustomResourceDefinition {name}")),
                entry: Some((one.at, entry)),
                new_kind: definition.is_some(),
                resource: Arc::new(resource),
                recast,
                managed: one.managed,
                inits: one.inits,
            });
        }
        objects.sort_by_key(|object| object.entry.map(|(at, _)| at));
        objects
    }

    fn saved(&self, one: &Taken) -> &'a StateEntry {
        &self.state.entries[one.at]
    }

    /// The kind an object is sent as, the definition that adds it first, and how it becomes one of another version.
    fn place(&self, one: &Taken, definitions: &[Definition]) -> Result<Placed, String> {
        let Gvk { group, version, kind } = &one.gvk;
        let served = self.kind(group, kind);
        if let Some(served) = served.filter(|served| served.serves(version)) {
            return Placed::as_saved(&one.gvk, served, None);
        }
        let fits = |d: &&Definition| d.resource.gvk.group == *group && d.resource.gvk.kind == *kind;
        let definition = definitions.iter().find(fits);
        if let Some(definition) = definition.filter(|d| served.is_none() && d.resource.serves(version)) {
            return Placed::as_saved(&one.gvk, &definition.resource, Some(&definition.name));
        }
        let (offers, wrong) = self.offers(one, served, definition);
        let saved = Resource { gvk: one.gvk.clone(), ..(*self.saved(one).resource).clone() };
        if let Some(offer) = best(&one.gvk, &saved.served, &offers) {
            let recast = Recast::new(saved, offer);
            let placed = Placed::as_saved(&offer.resource.gvk, &offer.resource, offer.definition.as_deref());
            return placed.map(|placed| Placed { recast: Some(recast), ..placed });
        }
        let known = served.or(definition.map(|d| &d.resource)).map(|kind| kind.served.as_slice());
        Err(known.map_or_else(
            || self.unknown(&one.gvk),
            |known| versions::no_way(&one.gvk, known, wrong.as_deref()),
        ))
    }

    /// Versions that are served and known to take the object, and the webhook that alone could make it fit others.
    fn offers(
        &self,
        one: &Taken,
        served: Option<&Resource>,
        definition: Option<&Definition>,
    ) -> (Vec<Offer>, Option<String>) {
        let saved = Resource { gvk: one.gvk.clone(), ..(*self.saved(one).resource).clone() };
        let rules = self.cluster.catalog.kind(&saved);
        let offer =
            |kind: &Resource, version: &str, way: Option<&Way>, definition: Option<&Definition>| Offer {
                resource: Resource {
                    gvk: Gvk { version: version.to_owned(), ..kind.gvk.clone() },
                    ..kind.clone()
                },
                way: way.cloned(),
                definition: definition.map(|d| d.name.clone()),
            };
        let mut offers = Vec::new();
        for way in rules.ways(&one.gvk.api_version()) {
            let to = Gvk::new(&way.to, &one.gvk.kind);
            let there = self.kind(&to.group, &to.kind).filter(|kind| kind.serves(&to.version));
            offers.extend(there.map(|kind| offer(kind, &to.version, Some(way), None)));
        }
        let Some(kind) = served.or(definition.map(|d| &d.resource)) else { return (offers, None) };
        let brought = if served.is_some() { None } else { definition };
        let named = kind.full_name();
        let known = self.cluster.survey.definitions.iter().filter(|d| d.name == named);
        let known: Vec<&Definition> = known.chain(definition).collect();
        match labels_only(&known) {
            Ok(()) => {
                offers.extend(kind.served.iter().map(|version| offer(kind, version, None, brought)));
                (offers, None)
            }
            Err(webhook) => (offers, webhook),
        }
    }

    fn kind(&self, group: &str, kind: &str) -> Option<&'a Resource> {
        self.served.get(&(group, kind)).copied()
    }

    /// Why nothing can be sent of a kind that the cluster does not know.
    fn unknown(&self, gvk: &Gvk) -> String {
        let mut broken = self.cluster.survey.discovery.broken.iter();
        match broken.find(|(version, _)| Gvk::new(version, "").group == gvk.group) {
            Some((version, reason)) => format!("the cluster's {version} cannot be discovered: {reason}"),
            None => format!("the cluster does not serve {gvk}, and this restore brings no definition of it"),
        }
    }

    /// Leaves out what comes back by itself, because its controller does.
    fn without_made(&mut self, objects: Vec<Drafted<'a>>) -> Vec<Drafted<'a>> {
        let none = BTreeMap::new();
        let members: Vec<Member<'_>> = objects.iter().map(|object| object.member(&none)).collect();
        let verdicts = owners(&members, self.cluster.catalog, self.cluster.children);
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
            recast: None,
            managed: Managed::default(),
            inits: Vec::new(),
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

/// The condition with the time that the request gives it; `None` where it gives none at all.
fn wait(ready: Ready, wanted: Option<&Duration>) -> Option<Ready> {
    let timeout = *wanted.unwrap_or(&ready.timeout);
    (timeout.as_seconds() > 0).then_some(Ready { timeout, ..ready })
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
                let Drafted { key, notes, after, entry, resource, new_kind, recast, managed, inits } =
                    objects[at].take()?;
                let ready = awaited.remove(&at).and_then(|ready| wait(ready, cluster.waits.get(&wave.name)));
                let existing = rules.of(&resource);
                Some(PlannedObject {
                    key,
                    notes,
                    inits,
                    after,
                    entry: entry.map(|(entry, _)| entry),
                    resource,
                    new_kind,
                    ready,
                    existing,
                    recast,
                    managed,
                })
            })
            .collect();
        wave_objects.sort_by(|a, b| a.key.cmp(&b.key));
        planned.push(PlannedWave { name: wave.name, description: wave.description, objects: wave_objects });
    }
    planned
}

#[cfg(test)]
mod tests;
