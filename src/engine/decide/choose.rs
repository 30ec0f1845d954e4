//! Chooses which objects of a saved state a restore means, and says why it leaves the others.
//!
//! Every object that may be meant is read once: conditions of the request and of the catalog look at its content.
//!
//! In: `State`, selection, catalog · Out: `Chosen` · Touches: what the state is read from

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error as _;
use std::sync::Arc;

use futures::StreamExt;

use super::definition::{Definition, definition};
use super::mentions::OldNames;
use super::owners::RulesByKind;
use super::prepare::{self, Destination, Mapped, Preparation, prepare};
use crate::domain::mention::Mention;
use crate::domain::object::{Gvk, Json, Manifest, ObjectKey, OwnerReference, Resource};
use crate::domain::owners::Owners;
use crate::domain::related::{self, Related};
use crate::domain::report::{ObjectAction, ObjectReport};
use crate::domain::rules::{Catalog, KindRules};
use crate::domain::selection::{ObjectChoice, Selection};
use crate::domain::tool::{Claim, claims};
use crate::engine::saved::open::{Error, State};
use crate::ports::cluster::Discovery;

/// What decides.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Which objects are meant.
    pub selection: &'a Selection,
    /// What is known about kinds.
    pub catalog: &'a Catalog,
    /// What the cluster serves.
    pub served: &'a Discovery,
    /// Where the objects go.
    pub to: Destination<'a>,
}

/// What a restore means.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Objects that are meant, in the order of the state's entries.
    pub taken: Vec<Taken>,
    /// Objects that are meant but stay out, and why. Those that should come back and cannot are `Failed`.
    pub left: Vec<ObjectReport>,
    /// How many objects are not meant, by reason.
    pub unselected: BTreeMap<String, u64>,
    /// Kinds that definitions among the taken objects add.
    pub definitions: Vec<Definition>,
    /// Old names of mappings that stood in the taken objects.
    pub mapped: BTreeSet<Mapped>,
}

/// One object that is meant.
#[derive(Debug)]
pub struct Taken {
    /// Position in [`State::entries`].
    pub at: usize,
    /// Identity in the cluster it goes to.
    pub key: ObjectKey,
    /// Group, version and kind as it was saved.
    pub gvk: Gvk,
    /// Its owners as they were saved.
    pub owners: Vec<OwnerReference>,
    /// What the reader should know of it.
    pub notes: Vec<String>,
    /// Whose it is, where other tools manage objects.
    pub managed: Managed,
    /// Where old names still stand in it.
    pub mentions: Vec<Mention>,
    /// Names of hooks whose init containers it got.
    pub inits: Vec<String>,
}

/// What ties an object to tools that manage objects.
#[derive(Clone, Debug, Default)]
pub struct Managed {
    /// Owners that know it: those it names where it goes, and where it keeps its place those it named when it was saved.
    pub claims: Vec<Claim>,
    /// Those of them that it still names after the restore.
    pub stays: Vec<Claim>,
    /// Of an owner that comes back under its own name: the list of what it manages.
    pub inventory: Option<Json>,
}

/// Reads what may be meant and decides.
///
/// # Errors
/// The state cannot be read. One object that cannot be decided is an entry in [`Chosen::left`].
pub async fn choose(state: &State, rules: Rules<'_>) -> Result<Chosen, Error> {
    let mut run = Run {
        state,
        rules,
        kinds: RulesByKind::new(rules.catalog),
        resources: BTreeMap::new(),
        related: Related::default(),
        waiting: BTreeMap::new(),
        old_names: OldNames::new(rules.to.mapping, &state.entries),
        chosen: Chosen::default(),
    };
    let meant = run.by_index();
    run.pass(meant).await?;
    for round in 0..related::ROUNDS {
        let asked = run.asked_in(round);
        run.pass(asked).await?;
    }
    for reason in std::mem::take(&mut run.waiting).into_values() {
        *run.chosen.unselected.entry(reason).or_default() += 1;
    }
    run.chosen.taken.sort_by_key(|taken| taken.at);
    note_owners(state, &mut run.chosen.taken);
    run.chosen.left.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(run.chosen)
}

/// Says of whom an object had as its owner that is not meant. Controllers are judged later.
fn note_owners(state: &State, taken: &mut [Taken]) {
    let uids = taken.iter().filter_map(|one| state.entries[one.at].uid.as_deref());
    let uids: HashSet<&str> = uids.collect();
    for one in taken {
        let absent =
            |owner: &&OwnerReference| !owner.controls() && !uids.contains(owner.owner().uid.as_str());
        for owner in one.owners.iter().filter(absent) {
            let owner = owner.owner().key(one.key.namespace.as_deref());
            one.notes.push(format!("its owner {owner} is not restored: linked to it if the cluster has it"));
        }
    }
}

struct Run<'a> {
    state: &'a State,
    rules: Rules<'a>,
    kinds: RulesByKind<'a>,
    resources: BTreeMap<Gvk, Arc<Resource>>,
    related: Related,
    /// Objects that come along only if a taken one needs them, and why they do not otherwise.
    waiting: BTreeMap<usize, String>,
    /// Absent where nothing gets a new name.
    old_names: Option<OldNames<'a>>,
    chosen: Chosen,
}

impl Run<'_> {
    /// What the index alone says: positions of the objects that must be read.
    fn by_index(&mut self) -> Vec<usize> {
        let mut meant = Vec::new();
        for (at, entry) in self.state.entries.iter().enumerate() {
            let resource = self.resource(at);
            match self.rules.selection.entry(&resource, &entry.key, &entry.labels) {
                ObjectChoice::Take => meant.push(at),
                ObjectChoice::OnlyRelated(reason) => {
                    self.waiting.insert(at, reason);
                }
                ObjectChoice::Skip(reason) => *self.chosen.unselected.entry(reason).or_default() += 1,
            }
        }
        meant
    }

    /// The kind of an entry as the cluster knows it, in the version that was saved.
    fn resource(&mut self, at: usize) -> Arc<Resource> {
        let saved = &self.state.entries[at].resource;
        let found = self.resources.entry(saved.gvk.clone()).or_insert_with(|| {
            let same = |r: &&Resource| r.gvk.group == saved.gvk.group && r.gvk.kind == saved.gvk.kind;
            match self.rules.served.resources.iter().find(same) {
                Some(served) => Arc::new(Resource { gvk: saved.gvk.clone(), ..served.clone() }),
                None => saved.clone(),
            }
        });
        found.clone()
    }

    fn asked_in(&mut self, round: usize) -> Vec<usize> {
        let waiting: Vec<usize> = self.waiting.keys().copied().collect();
        let last = round + 1 == related::ROUNDS;
        let asked = waiting.into_iter().filter(|at| {
            let resource = self.resource(*at);
            if last { self.related.again(&resource) } else { related::round(&resource) == round }
        });
        asked.collect()
    }

    async fn pass(&mut self, wanted: Vec<usize>) -> Result<(), Error> {
        let state = self.state;
        let mut objects = std::pin::pin!(state.objects(wanted));
        while let Some(read) = objects.next().await {
            let (at, object) = read?;
            let resource = self.resource(at);
            if self.waiting.contains_key(&at) {
                if let Some(why) = self.related.wants(&resource, &object) {
                    self.waiting.remove(&at);
                    self.take(at, &resource, object, Some(why));
                }
                continue;
            }
            match self.rules.selection.object(&resource, &object) {
                Ok(ObjectChoice::Take) => self.take(at, &resource, object, None),
                Ok(ObjectChoice::OnlyRelated(reason)) => {
                    self.waiting.insert(at, reason);
                }
                Ok(ObjectChoice::Skip(reason)) => *self.chosen.unselected.entry(reason).or_default() += 1,
                Err(error) => {
                    let reason = format!("cannot evaluate `where`: {error}");
                    self.leave(object.key(), ObjectAction::Failed, reason);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, at: usize, resource: &Resource, object: Manifest, why: Option<String>) {
        let saved = object.key();
        let rules = self.kinds.of(resource);
        let (claimed, inventory) =
            (claims(rules.tools(), &object), inventory(&object, rules, &self.rules.to));
        self.related.learn(rules, &object);
        match prepare(object, rules, &self.rules.to) {
            Ok(Preparation::Send(prepared)) => {
                let stays = claims(rules.tools(), prepared.manifest());
                let notes = why.into_iter().chain(prepared.notes().iter().cloned()).collect();
                self.chosen.definitions.extend(definition(prepared.manifest()));
                self.chosen.mapped.extend(prepared.mapped().iter().cloned());
                let key = prepared.manifest().key();
                let (gvk, owners) = (prepared.manifest().gvk(), prepared.owners().to_vec());
                let managed = managed(key == saved, claimed, stays, inventory);
                let mentions = self.old_names.as_ref().map(|names| names.find(prepared.manifest()));
                let mentions = mentions.unwrap_or_default();
                let inits = prepared.inits().to_vec();
                self.chosen.taken.push(Taken { at, key, gvk, owners, notes, managed, mentions, inits });
            }
            Ok(Preparation::Leave(reason)) => self.leave(saved, ObjectAction::Skipped, reason),
            Err(error) => self.leave(saved, ObjectAction::Failed, chain(&error)),
        }
    }

    fn leave(&mut self, key: ObjectKey, action: ObjectAction, reason: String) {
        self.chosen.left.push(ObjectReport { key, action, reason: Some(reason) });
    }
}

/// What of an object's ties counts where it goes.
fn managed(in_place: bool, claimed: Vec<Claim>, stays: Vec<Claim>, inventory: Option<Json>) -> Managed {
    let mut claims = if in_place { claimed } else { Vec::new() };
    claims.extend(stays.iter().cloned());
    claims.sort();
    claims.dedup();
    Managed { claims, stays, inventory: inventory.filter(|_| in_place) }
}

/// What an owner listed as its own when it was saved, where that comes back.
fn inventory(object: &Manifest, rules: &KindRules<'_>, to: &Destination<'_>) -> Option<Json> {
    let inventory = rules.tool()?.inventory.as_ref().filter(|inventory| inventory.restore)?;
    let found = object.at(&inventory.path).filter(|_| to.owners != Some(Owners::Strip));
    found.cloned()
}

/// An error and all its causes in one line.
fn chain(error: &prepare::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
