//! What every document's status should say, and which views there should be.
//!
//! In: `Desk` · Out: `Telling`s that write what is different · Touches: nothing

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::claims;
use super::desk::{Desk, Recall};
use super::event::Telling;
use super::resource::{Key, REPOSITORY};
use crate::domain::custom_resource::{Author, KINDS};
use crate::domain::object::Json;
use crate::domain::status::{PlainStatus, RepositoryStatus, conditions};

/// Writes that are begun at once, at most.
const BURST: usize = 32;

/// Everything that is to be written now; marks it as begun.
pub fn tell(desk: &mut Desk, now: Timestamp) -> Vec<Telling> {
    if !desk.served || !desk.is_ready() {
        return Vec::new();
    }
    desk.again.retain(|_, moment| *moment > now);
    let mut actions = statuses(desk, now);
    actions.extend(views(desk));
    actions.extend(snapshots(desk));
    actions
}

/// Statuses that are not as they should be.
fn statuses(desk: &mut Desk, now: Timestamp) -> Vec<Telling> {
    let mut actions = Vec::new();
    for (key, wanted) in wanted(desk, now) {
        if actions.len() >= BURST {
            break;
        }
        if desk.again.contains_key(&key) {
            continue;
        }
        let Some(resource) = desk.resource(&key) else { continue };
        let same = match desk.written.get(&key) {
            Some(None) => continue,
            Some(Some(written)) => *written == wanted,
            None => resource.status == wanted,
        };
        if !same {
            desk.written.insert(key.clone(), None);
            actions.push(Telling::Write(key, wanted));
        }
    }
    actions
}

fn wanted(desk: &mut Desk, now: Timestamp) -> BTreeMap<Key, Json> {
    let mut all = BTreeMap::new();
    let mut put = |key: Key, status: Json| drop(all.insert(key, status));
    let bootstrapping = super::next::is_bootstrapping(desk);
    let force = desk.force.clone();
    for (name, spec) in &force.set.policies {
        let Some(policy) = desk.policies.get_mut(name) else { continue };
        let claims = claims::policy(spec, policy, bootstrapping);
        let generation = policy.generation;
        policy.status.conditions = conditions(&policy.status.conditions, &claims, generation, now);
        policy.status.observed_generation = generation;
        // A policy without a memory yet must not look like one that never ran.
        if policy.recall == Recall::Done {
            put(Key::new("BackupPolicy", name), json!(policy.status));
        }
    }
    for (name, spec) in &force.set.locations {
        let Some(location) = desk.locations.get_mut(name) else { continue };
        let claims = claims::location(spec, location);
        let generation = location.generation;
        location.status.conditions = conditions(&location.status.conditions, &claims, generation, now);
        location.status.observed_generation = generation;
        put(Key::new("BackupLocation", name), json!(location.status));
    }
    for (name, spec) in &force.set.restores {
        let Some(restore) = desk.restores.get_mut(name) else { continue };
        let claims = claims::restore(spec, restore, desk.settings.restores);
        let generation = restore.generation;
        restore.status.conditions = conditions(&restore.status.conditions, &claims, generation, now);
        restore.status.observed_generation = generation;
        put(Key::new("RestoreRequest", name), json!(restore.status));
    }
    let plain = force.set.hooks.keys().map(|name| Key::new("HookTemplate", name));
    let plain = plain.chain(force.set.catalogs.keys().map(|name| Key::new("Catalog", name)));
    for key in plain {
        put(key.clone(), stands(desk, &key, now));
    }
    for (key, reason) in &desk.wrong {
        put(key.clone(), stalled(desk, key, reason, now));
    }
    let key = Key::new("PolicyRepository", REPOSITORY);
    if desk.resource(&key).is_some() {
        put(key.clone(), repository(desk, &key, now));
    }
    all
}

/// What was said last of a document: as it was written, or as it stood there before.
fn last(desk: &Desk, key: &Key) -> Json {
    match desk.written.get(key) {
        Some(Some(written)) => written.clone(),
        Some(None) | None => desk.resource(key).map(|found| found.status.clone()).unwrap_or_default(),
    }
}

fn read<T: Default + serde::de::DeserializeOwned>(status: &Json) -> T {
    serde_json::from_value(status.clone()).unwrap_or_default()
}

fn stands(desk: &Desk, key: &Key, now: Timestamp) -> Json {
    let generation = desk.resource(key).map_or(0, |resource| resource.generation);
    let before: PlainStatus = read(&last(desk, key));
    let conditions = conditions(&before.conditions, &[claims::in_force()], generation, now);
    json!(PlainStatus { observed_generation: generation, conditions })
}

/// The status of a document that cannot be in force; what it remembers is kept.
fn stalled(desk: &Desk, key: &Key, reason: &str, now: Timestamp) -> Json {
    let generation = desk.resource(key).map_or(0, |resource| resource.generation);
    let mut status = last(desk, key);
    let before: PlainStatus = read(&status);
    if !status.is_object() {
        status = json!({});
    }
    status["conditions"] = json!(conditions(&before.conditions, &claims::stalled(reason), generation, now));
    status["observedGeneration"] = json!(generation);
    status
}

fn repository(desk: &Desk, key: &Key, now: Timestamp) -> Json {
    let generation = desk.resource(key).map_or(0, |resource| resource.generation);
    let before: RepositoryStatus = read(&last(desk, key));
    let revision = |repository: &Option<std::sync::Arc<crate::engine::policy::repository::Repository>>| {
        repository.as_ref().and_then(|repository| repository.revision.clone())
    };
    let shadowed = desk.force.shadowed.iter().map(|key| format!("{key}: a custom resource stands in for it"));
    let sealed =
        desk.force.sealed.iter().map(|key| format!("{key}: it is encrypted in Git and not shown here"));
    let hidden = desk.views.keys().filter(|key| desk.theirs.contains_key(*key));
    let hidden = hidden.map(|key| {
        format!("{key}: it is not shown, a custom resource has its name; that one is no policy: delete it")
    });
    json!(RepositoryStatus {
        observed_generation: generation,
        conditions: conditions(&before.conditions, &claims::repository(&desk.git), generation, now),
        // What was in force before is remembered until something else is.
        revision: revision(&desk.git.good).or_else(|| desk.git.remembered.clone()),
        last_attempted_revision: revision(&desk.git.newest),
        problems: desk.git.problems.clone(),
        notes: shadowed.chain(sealed).chain(hidden).collect(),
        last_handled_request: desk.git.handled.clone(),
    })
}

/// Documents of Git as custom resources, and the repository itself.
fn views(desk: &mut Desk) -> Vec<Telling> {
    let mut wanted: BTreeMap<&Key, &Json> = BTreeMap::new();
    let views = desk.views.clone();
    wanted.extend(views.iter());
    let key = Key::new("PolicyRepository", REPOSITORY);
    let repository = desk.repository_view.clone();
    wanted.extend(repository.as_ref().map(|spec| (&key, spec)));
    let mut actions = Vec::new();
    for (key, spec) in &wanted {
        let as_wanted = desk.resource(key).is_some_and(|found| found.is_view && found.spec == **spec);
        // What others write is not written over: two who do so never end.
        if !as_wanted && !desk.theirs.contains_key(*key) && desk.may_show(key) && actions.len() < BURST {
            actions.push(Telling::Show((*key).clone(), (*spec).clone()));
        }
    }
    let stale =
        desk.resources.iter().flatten().filter(|found| found.is_view && !wanted.contains_key(&found.key));
    let stale = stale.map(|found| found.key.clone()).filter(|key| desk.may_show(key));
    // While the repository has not answered, nothing is known to be stale.
    if desk.settled {
        actions.extend(stale.take(BURST).map(Telling::Hide));
    }
    let held = desk.theirs.iter().filter(|(key, held)| **held && desk.may_show(key)).take(BURST);
    actions.extend(held.map(|(key, _)| Telling::Release(key.clone())));
    for action in &actions {
        if let Telling::Show(key, _) | Telling::Hide(key) | Telling::Release(key) = action {
            desk.showing.insert(key.clone());
        }
    }
    actions
}

/// The newest snapshots of every policy as custom resources.
fn snapshots(desk: &mut Desk) -> Vec<Telling> {
    let listed = desk.locations.iter().map(|(name, location)| (name.clone(), location.records.clone()));
    let wanted = desk.snapshot_views.of(listed.collect());
    let listed = desk.settled && desk.locations.values().all(|location| location.listed);
    let mut actions = Vec::new();
    for (name, wanted) in wanted.iter() {
        let key = Key::new("Snapshot", name);
        if desk.shown.get(name) != Some(wanted) && desk.may_show(&key) && actions.len() < BURST {
            actions.push(Telling::Show(key, wanted.clone()));
        }
    }
    if listed {
        let stale = desk
            .shown
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .map(|name| Key::new("Snapshot", name));
        actions.extend(stale.filter(|key| desk.may_show(key)).take(BURST).map(Telling::Hide));
    }
    for action in &actions {
        if let Telling::Show(key, _) | Telling::Hide(key) = action {
            desk.showing.insert(key.clone());
        }
    }
    actions
}

/// Kinds that are listed every time: those of people, and the repository.
pub fn listed_kinds() -> impl Iterator<Item = crate::domain::custom_resource::Kind> {
    KINDS.into_iter().filter(|kind| kind.written_by == Author::People || kind.kind == "PolicyRepository")
}
