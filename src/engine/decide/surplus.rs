//! Finds what the cluster has and a snapshot does not: what `prune: true` deletes.
//!
//! In: `State`, the request, the live cluster · Out: `Surplus` · Touches: cluster (read), what the state is read from, clock

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use serde::Serialize;

use super::draft::is_namespace;
use super::survey::Survey;
use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::domain::report::{KindResult, ObjectAction, ObjectReport};
use crate::domain::restore_request::RestoreSpec;
use crate::domain::rules::{Catalog, KindRules};
use crate::domain::selection::{ObjectChoice, Selection};
use crate::engine::gather::collect::{Event, collect};
use crate::engine::gather::plan::plan;
use crate::engine::reach::Reach;
use crate::engine::saved::open::{self, State};

/// Why it cannot be said what is surplus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only a record says what was looked for when the state was saved.
    #[error("cannot prune by {0}: only a snapshot of an archive tells what was looked for and not there")]
    NoRecord(String),
    /// The snapshot was made before reports said what was selected.
    #[error(
        "cannot prune by {0}: it does not tell what its policy selected; make a new snapshot with this version"
    )]
    NoSelection(String),
    /// Its report cannot be read.
    #[error("cannot read the report of {0}")]
    Report(String, #[source] Box<open::Error>),
    /// A selection cannot be read.
    #[error("cannot read the selection of {0}: {1}")]
    Select(String, String),
}

/// What is deleted after the waves of a restore, and what only would be.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Surplus {
    /// Objects to delete, those first that came last in a restore.
    pub objects: Vec<Unwanted>,
    /// Whether only some kinds or labels were looked at, so that what belongs to an object may not have been seen.
    #[serde(skip)]
    pub narrow: bool,
    /// Objects that the snapshot does not have and that stay, and why.
    pub stays: Vec<ObjectReport>,
    /// Kinds about which nothing can be said, and why.
    pub unknown: Vec<String>,
}

/// One object that the snapshot does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unwanted {
    /// Identity.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Its uid: another object of this name is not deleted.
    pub uid: String,
    /// Kind.
    #[serde(skip)]
    pub resource: Arc<Resource>,
}

/// Finds the surplus. Objects count that the request and the policy of the snapshot both mean, of kinds that were listed
/// to the end, in namespaces that the snapshot has, and cluster-scoped ones where the request is not about namespaces.
///
/// Never: what a controller made, what is never collected or not restored anyway, what holds data or other objects.
///
/// # Errors
/// The snapshot does not say what was looked for. A list of the cluster that fails is in [`Surplus::unknown`].
pub async fn surplus(
    state: &State,
    spec: &RestoreSpec,
    (catalog, survey): (&Arc<Catalog>, &Survey),
    reach: &Reach<'_>,
) -> Result<Surplus, Error> {
    let judge = Judge::new(state, spec).await?;
    let plan = plan(judge.listed.clone(), catalog.clone(), &survey.discovery);
    let mut found = Found::default();
    let mut events = pin!(collect(&plan, reach.reader, reach.clock));
    while let Some(event) = events.next().await {
        match event {
            Event::Batch(batch) => {
                let (resource, objects) = batch.into_parts();
                let rules = catalog.kind(&resource);
                for object in objects {
                    judge.object(&resource, &rules, &object, &mut found);
                }
            }
            Event::Kind(kind) => {
                if let KindResult::Failed { reason } = kind.result {
                    found.surplus.unknown.push(format!("{}: {reason}", kind.resource));
                }
            }
            Event::LeftOut { .. } | Event::Note(_) => {}
        }
    }
    let select = &spec.select;
    let kinds = &select.namespaced_resources;
    let labels = select.label_selector.is_some() || !select.or_label_selectors.is_empty();
    found.surplus.narrow = labels || !kinds.include.is_empty() || !kinds.exclude.is_empty();
    Ok(found.sorted(&judge))
}

/// What is known of the snapshot and the request.
struct Judge<'a> {
    request: Selection,
    policy: Selection,
    /// What the cluster is asked for.
    listed: Selection,
    /// Old names of namespaces by new ones.
    homes: BTreeMap<String, String>,
    /// Everything that the snapshot has, under its new name.
    saved: BTreeSet<ObjectKey>,
    /// Kinds that were listed to the end, by full name.
    complete: BTreeSet<String>,
    /// Kinds that were not, and why.
    incomplete: BTreeMap<String, String>,
    state: &'a State,
}

impl<'a> Judge<'a> {
    async fn new(state: &'a State, spec: &RestoreSpec) -> Result<Self, Error> {
        let name = || state.describe.clone();
        let record = state.record.as_ref().ok_or_else(|| Error::NoRecord(name()))?;
        let report = state.report().await.map_err(|error| Error::Report(name(), error.into()))?;
        let selected = report.and_then(|report| report.select).ok_or_else(|| Error::NoSelection(name()))?;
        let compile = |what: String, spec| {
            let all = |errors: Vec<_>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Selection::compile(spec).map_err(|errors| Error::Select(what, all(errors)))
        };
        let request = compile("the restore request".into(), &spec.select)?;
        let policy = compile(name(), &selected)?;
        let new = |old: &str| spec.namespace_mapping.get(old).map_or(old, String::as_str).to_owned();
        let mut homes = BTreeMap::new();
        for entry in &state.entries {
            let own = is_namespace(&entry.key).then_some(&entry.key.name);
            for home in own.into_iter().chain(&entry.key.namespace).filter(|home| request.namespace(home)) {
                homes.insert(new(home), home.clone());
            }
        }
        let mut listed = spec.select.clone();
        listed.filter = None;
        if !listed.namespaces.include.is_empty() {
            listed.namespaces.include = homes.keys().cloned().collect();
        }
        listed.namespaces.exclude.clear();
        let listed = compile("the restore request".into(), &listed)?;
        let (mut complete, mut incomplete) = (BTreeSet::new(), BTreeMap::new());
        for kind in &record.kinds {
            match &kind.result {
                KindResult::Collected { .. } => {
                    complete.insert(kind.resource.clone());
                }
                KindResult::Skipped { .. } => {}
                KindResult::Failed { reason } => {
                    incomplete.insert(kind.resource.clone(), reason.clone());
                }
            }
        }
        let saved = state.entries.iter().map(|entry| renamed(&entry.key, new)).collect();
        Ok(Self { request, policy, listed, homes, saved, complete, incomplete, state })
    }

    fn object(&self, resource: &Arc<Resource>, rules: &KindRules<'_>, object: &Manifest, found: &mut Found) {
        let key = object.key();
        let before = found.objects.len();
        self.judge(resource, rules, object, found);
        let holds =
            || rules.restore(object).is_ok_and(|edits| edits.iter().any(|e| e.never_recreate.is_some()));
        let stays = found.objects.len() == before;
        if stays && (self.saved.contains(&key) || object.controller().is_none() || holds()) {
            let owners = object.owners();
            let uids = owners.iter().map(|reference| reference.owner().uid.clone());
            found.needed.extend(uids.map(|uid| (uid, key.clone())));
        }
    }

    fn judge(&self, resource: &Arc<Resource>, rules: &KindRules<'_>, object: &Manifest, found: &mut Found) {
        let key = object.key();
        if self.saved.contains(&key) || object.controller().is_some() || !self.is_meant(resource, object) {
            return;
        }
        let kind = resource.full_name();
        if let Some(reason) = self.incomplete.get(&kind) {
            found.unlisted.insert(kind, reason.clone());
            return;
        }
        let Ok(edits) = rules.restore(object) else { return };
        let left = edits.iter().any(|edit| edit.skip.is_some());
        if left || !self.complete.contains(&kind) || !resource.can("delete") {
            return;
        }
        if let Some(why) = edits.iter().rev().find_map(|edit| edit.never_recreate.as_ref()) {
            let reason = Some(format!("the snapshot does not have it; it stays: {why}"));
            found.surplus.stays.push(ObjectReport { key, action: ObjectAction::Skipped, reason });
        } else {
            let uid = object.uid().unwrap_or_default().to_owned();
            found.objects.push((rules.wave(object), Unwanted { key, uid, resource: resource.clone() }));
        }
    }

    /// Whether request and policy both mean it, under the name that it would have in the snapshot.
    fn is_meant(&self, resource: &Resource, object: &Manifest) -> bool {
        let mut home = object.clone();
        let place = if is_namespace(&object.key()) { Some(object.name()) } else { object.namespace() };
        if let Some(place) = place {
            let Some(old) = self.homes.get(place) else { return false };
            let field = if object.namespace().is_some() { "/metadata/namespace" } else { "/metadata/name" };
            let renamed = home.edit(|tree| {
                if let Some(name) = tree.pointer_mut(field) {
                    *name = old.clone().into();
                }
            });
            match renamed {
                Ok(renamed) => home = renamed,
                Err(_) => return false,
            }
        }
        let means =
            |selection: &Selection| matches!(selection.object(resource, &home), Ok(ObjectChoice::Take));
        means(&self.request) && means(&self.policy)
    }
}

#[derive(Default)]
struct Found {
    /// Objects and the position of their wave.
    objects: Vec<(usize, Unwanted)>,
    unlisted: BTreeMap<String, String>,
    /// Uids of owners of what stays, and one object that would go with them.
    needed: BTreeMap<String, ObjectKey>,
    surplus: Surplus,
}

impl Found {
    /// An object is not deleted while something that stays belongs to it: the garbage collector would take that along.
    ///
    /// What a controller made goes with it, as it would be made anew; what the restore keeps does not.
    fn spare_owners(&mut self) {
        let needed = &self.needed;
        let (spared, objects): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.objects).into_iter().partition(|(_, one)| needed.contains_key(&one.uid));
        self.objects = objects;
        self.surplus.stays.extend(spared.into_iter().map(|(_, one)| {
            let dependent = &self.needed[&one.uid];
            let reason = format!(
                "the snapshot does not have it; it stays: {dependent} belongs to it and would go too"
            );
            ObjectReport { key: one.key, action: ObjectAction::Skipped, reason: Some(reason) }
        }));
    }

    fn sorted(mut self, judge: &Judge<'_>) -> Surplus {
        self.spare_owners();
        self.objects.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.key.cmp(&other.key)));
        self.surplus.objects = self.objects.into_iter().map(|(_, one)| one).collect();
        self.surplus.stays.sort_by(|a, b| a.key.cmp(&b.key));
        let missed = self.unlisted.into_iter();
        let source = &judge.state.describe;
        self.surplus
            .unknown
            .extend(missed.map(|(kind, why)| format!("{kind}: not complete in {source}: {why}")));
        self.surplus.unknown.sort();
        self.surplus
    }
}

fn renamed(key: &ObjectKey, new: impl Fn(&str) -> String) -> ObjectKey {
    let name = if is_namespace(key) { new(&key.name) } else { key.name.clone() };
    ObjectKey { namespace: key.namespace.as_deref().map(new), name, ..key.clone() }
}

#[cfg(test)]
mod tests;
