//! Scales workloads down before a run and back after it, and waits until it has happened.
//!
//! In: workloads · Out: `Attempt` · Touches: cluster (read and write), clock

use std::time::Duration;

use super::attempt::Attempt;
use super::doors::Doors;
use super::replicas;
use super::survey::{Blind, Places, list, scopes_of, workload};
use crate::domain::hook_report::HookResult;
use crate::domain::object::{Json, Manifest, ObjectKey};
use crate::engine::retry::{Pace, after, persist};
use crate::ports::cluster::{Error, Mode, Patch, Place};

/// How often a workload is read.
const LOOK: Duration = Duration::from_secs(1);

/// Scales one workload down; it remembers what it had before.
pub async fn down(doors: &Doors<'_>, key: &ObjectKey, (by, to): (&str, u32), timeout: Duration) -> Attempt {
    let patch = |now: &Manifest| replicas::down(now, by, to.into());
    match change(doors, key, &patch).await {
        Ok(Some(now)) => wait(doors, &now, timeout).await,
        Ok(None) => Attempt::failed(HookResult::NotScaled, "the workload is gone"),
        Err(error) => Attempt::refused("scaling", &error),
    }
}

/// Scales one workload back to what it remembers.
pub async fn back(doors: &Doors<'_>, key: &ObjectKey, timeout: Duration) -> Attempt {
    match change(doors, key, &replicas::back).await {
        Ok(Some(now)) => wait(doors, &now, timeout).await,
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

/// Waits until the workload has as many replicas as it should, none of them older than that.
async fn wait(doors: &Doors<'_>, workload_now: &Manifest, timeout: Duration) -> Attempt {
    let reach = doors.reach;
    let key = workload_now.key();
    let resource = workload(&key.kind);
    let deadline = after(reach.clock.now(), timeout);
    let mut now = workload_now.clone();
    loop {
        let Some(why) = lacks(&now) else { return Attempt::fine() };
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
fn lacks(workload: &Manifest) -> Option<String> {
    let number = |at: &str| workload.at(at).and_then(Json::as_u64);
    let wanted = number("/spec/replicas").unwrap_or(1);
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Some("its controller has not seen the change yet".into());
    }
    let (all, ready) =
        (number("/status/replicas").unwrap_or(0), number("/status/readyReplicas").unwrap_or(0));
    // On the way up, ready ones count; on the way down, those that are not gone.
    let there = all == wanted && ready >= wanted;
    (!there).then(|| format!("{ready} of {wanted} replicas are ready, {all} are there"))
}
