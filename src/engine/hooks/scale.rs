//! Scales workloads down before a run and back after it, and waits until it has happened.
//!
//! In: workloads · Out: `Attempt` · Touches: cluster (read and write), clock

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::attempt::Attempt;
use super::doors::Doors;
use super::pod::Pod;
use super::replicas;
use super::survey::{Blind, Places, list, pods, scopes_of, workload};
use super::targets::Workload;
use crate::domain::hook_report::HookResult;
use crate::domain::object::{Json, Manifest, ObjectKey};
use crate::engine::retry::{Pace, after, persist};
use crate::ports::cluster::{Error, Mode, Patch, Place, Scope};

/// How often a workload is read.
const LOOK: Duration = Duration::from_secs(1);

/// Scales one workload down; it remembers what it had before.
pub async fn down(doors: &Doors<'_>, key: &ObjectKey, (by, to): (&str, u32), timeout: Duration) -> Attempt {
    let patch = |now: &Manifest| replicas::down(now, by, to.into());
    match change(doors, key, &patch).await {
        Ok(Some(now)) => {
            let other = replicas::record(&now).filter(|record| record.by != by);
            let note = other.map(|record| format!("{} scaled it down before, and scales it back", record.by));
            let attempt = wait(doors, &now, (to.into(), timeout)).await;
            Attempt { notes: note.into_iter().collect(), ..attempt }
        }
        Ok(None) => Attempt::failed(HookResult::NotScaled, "the workload is gone"),
        Err(error) => Attempt::refused("scaling", &error),
    }
}

/// Scales one workload back to what it remembers.
pub async fn back(doors: &Doors<'_>, key: &ObjectKey, timeout: Duration) -> Attempt {
    let kept = Mutex::new(None);
    let patch = |now: &Manifest| {
        let record = replicas::record(now)?;
        let changed = replicas::replicas(now) != record.to;
        let note =
            format!("somebody changed its replicas meanwhile: they stay at {}", replicas::replicas(now));
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = changed.then_some(note);
        replicas::back(now)
    };
    let changed = change(doors, key, &patch).await;
    let notes = kept.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
    match changed {
        Ok(Some(now)) => Attempt { notes, ..wait(doors, &now, (replicas::replicas(&now), timeout)).await },
        // What is gone needs nothing back.
        Ok(None) => Attempt { notes: vec!["the workload is gone".into()], ..Attempt::fine() },
        Err(error) => Attempt::refused("scaling back", &error),
    }
}

/// Workloads that remember this run, sorted.
///
/// # Errors
/// A list that fails.
pub async fn scaled(doors: &Doors<'_>, places: &Places<'_>, by: &str) -> Result<Vec<ObjectKey>, Blind> {
    let scopes = scopes_of(places);
    let mut found = Vec::new();
    for kind in ["Deployment", "StatefulSet"] {
        for scope in &scopes {
            let read = |object: &Manifest| {
                let ours = replicas::record(object).is_some_and(|record| record.by == by);
                ours.then(|| object.key())
            };
            found.extend(list(doors, &workload(kind), scope, &read).await?);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads and patches, again when somebody else was quicker. Gives the workload as it is then, or nothing where it is gone.
async fn change(
    doors: &Doors<'_>,
    key: &ObjectKey,
    patch: &(dyn Fn(&Manifest) -> Option<Json> + Sync),
) -> Result<Option<Manifest>, Error> {
    let reach = doors.reach;
    let resource = workload(&key.kind);
    let place = Place { namespace: key.namespace.as_deref(), name: &key.name, subresource: "" };
    let mut pauses = Pace::new(reach.patience);
    loop {
        let get = async || reach.reader.get(&resource, place.namespace, place.name).await;
        let Some(now) = persist(reach.clock, reach.patience, get).await.result? else { return Ok(None) };
        let Some(patch) = patch(&now) else { return Ok(Some(now)) };
        match reach.writer.patch(&resource, place, &Patch::Merge(patch), Mode::Real).await {
            Ok(now) => return Ok(Some(now)),
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => match pauses.pause(reach.clock.now(), &error) {
                Some(pause) => reach.clock.sleep(pause).await,
                None => return Err(error),
            },
        }
    }
}

/// Waits until the workload has so many replicas, and no more pods than that, those that are ending included.
async fn wait(doors: &Doors<'_>, changed: &Manifest, (wanted, timeout): (u64, Duration)) -> Attempt {
    let reach = doors.reach;
    let key = changed.key();
    let resource = workload(&key.kind);
    let deadline = after(reach.clock.now(), timeout);
    let mut now = changed.clone();
    loop {
        let why = match lacks(&now, wanted) {
            Some(why) => Some(why),
            None => match surplus(doors, &now, wanted).await {
                Ok(why) => why,
                Err(attempt) => return attempt,
            },
        };
        let Some(why) = why else { return Attempt::fine() };
        if doors.calm.is_asked() {
            return Attempt::failed(HookResult::Interrupted, format!("the run was stopped; {why}"));
        }
        if reach.clock.now() >= deadline {
            let text = format!("{why}; it was waited for {} seconds", timeout.as_secs());
            return Attempt::failed(HookResult::NotScaled, text);
        }
        reach.progress.waiting(&format!("{key}: {why}"));
        reach.clock.sleep(LOOK).await;
        let get = async || reach.reader.get(&resource, key.namespace.as_deref(), &key.name).await;
        match persist(reach.clock, reach.patience, get).await.result {
            Ok(Some(found)) => now = found,
            Ok(None) => return Attempt::failed(HookResult::NotScaled, "the workload is gone"),
            Err(error) => return Attempt::refused("reading the workload", &error),
        }
    }
}

/// What a workload still lacks.
fn lacks(workload: &Manifest, wanted: u64) -> Option<String> {
    let number = |at: &str| workload.at(at).and_then(Json::as_u64);
    let asked = replicas::replicas(workload);
    if asked != wanted {
        return Some(format!("somebody asked for {asked} replicas meanwhile, instead of {wanted}"));
    }
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Some("its controller has not seen the change yet".into());
    }
    let (all, ready) =
        (number("/status/replicas").unwrap_or(0), number("/status/readyReplicas").unwrap_or(0));
    let there = all == wanted && ready >= wanted;
    (!there).then(|| format!("{ready} of {wanted} replicas are ready, {all} are there"))
}

/// Pods of the workload beyond those that are wanted: the counts of its status leave out those that are ending.
async fn surplus(doors: &Doors<'_>, workload: &Manifest, wanted: u64) -> Result<Option<String>, Attempt> {
    let Some(namespace) = workload.namespace() else { return Ok(None) };
    let own = Workload::read(workload);
    let read = |object: &Manifest| Some(Pod::read(object)).filter(|pod| own.owns(pod) && !pod.has_ended());
    let scope = Scope::Namespace(namespace.to_owned());
    let found = list(doors, &pods(), &scope, &read).await;
    let found = found.map_err(|error| Attempt::failed(HookResult::Forbidden, chain(&error)))?;
    let count = found.len() as u64;
    Ok((count > wanted).then(|| format!("{count} pods are still there, those that are ending included")))
}

fn chain(error: &Blind) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
