//! Puts finalizers back once the controller that answers for them is there.
//!
//! A finalizer without its controller makes an object that nobody can delete, so a restore leaves them out until then.
//!
//! In: finalizers as saved, `FinalizerRule`s · Out: which could not be put back, and why · Touches: cluster (read and write), clock

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;

use super::bound::change;
use super::readiness::{Readiness, kstatus};
use crate::domain::duration;
use crate::domain::fixup::Target;
use crate::domain::object::{Json, Manifest, ObjectKey, Resource};
use crate::domain::restore_request::FinalizerRule;
use crate::engine::gather::listing::targets;
use crate::engine::reach::Reach;
use crate::engine::retry::after;
use crate::ports::cluster::{Mode, Place};

/// How often a controller is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a controller may take where its rule says nothing.
const READY: Duration = Duration::from_mins(1);

/// An object that was written without finalizers that it had.
#[derive(Debug)]
pub struct Held<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// Its kind.
    pub resource: &'a Resource,
    /// The finalizers.
    pub finalizers: Vec<String>,
    /// The object as it is now.
    pub now: Manifest,
}

/// Puts back what the rules name. Finalizers that no rule names stay off; objects that have them already cost no call.
///
/// Gives back the objects that lack one, with the reason, sorted by key.
pub async fn put_back(
    reach: &Reach<'_>,
    held: Vec<Held<'_>>,
    rules: &[FinalizerRule],
    served: &[Resource],
) -> Vec<(ObjectKey, String)> {
    let mut lacking = Vec::new();
    let mut back: Vec<(Held<'_>, Vec<String>)> = held.into_iter().map(|one| (one, Vec::new())).collect();
    for rule in rules {
        let named = |one: &Held<'_>| {
            one.finalizers.iter().filter(|name| rule.names(name)).cloned().collect::<Vec<_>>()
        };
        if !back.iter().any(|(one, _)| !named(one).is_empty()) {
            continue;
        }
        let absent = controller(reach, rule, served).await.err();
        for (one, wanted) in &mut back {
            let wanted_now = named(one);
            match &absent {
                Some(why) if !wanted_now.is_empty() => {
                    lacking.push((one.key.clone(), format!("without {}: {why}", wanted_now.join(", "))));
                }
                _ => wanted.extend(wanted_now),
            }
        }
    }
    let jobs = back.into_iter().filter(|(_, wanted)| !wanted.is_empty());
    let jobs = stream::iter(jobs).map(|(one, wanted)| add(reach, one, wanted));
    let failed: Vec<Option<_>> = jobs.buffer_unordered(reach.concurrency.max(1)).collect().await;
    lacking.extend(failed.into_iter().flatten());
    lacking.sort();
    lacking
}

/// Waits until the controller of a rule is ready; else why not.
async fn controller(reach: &Reach<'_>, rule: &FinalizerRule, served: &[Resource]) -> Result<(), String> {
    let Target { kind, namespace, name, .. } = &rule.controller;
    let what = [Some(kind), namespace.as_ref(), name.as_ref()].into_iter().flatten();
    let what = what.map(String::as_str).collect::<Vec<_>>().join(" ");
    let group = |r: &Resource| rule.controller.api_version.as_ref().is_none_or(|v| *v == r.gvk.api_version());
    let Some(resource) = served.iter().find(|r| r.gvk.kind == *kind && group(r)) else {
        return Err(format!("its controller {what} cannot be found: the cluster does not serve this kind"));
    };
    let limit = rule.timeout.map_or(READY, duration::Duration::as_std);
    let deadline = after(reach.clock.now(), limit);
    loop {
        let why = match targets(reach.reader, resource, &rule.controller).await {
            Ok(found) if found.is_empty() => "it is not there".to_owned(),
            Ok(found) => match found.iter().map(kstatus).find(|state| *state != Readiness::Ready) {
                None => return Ok(()),
                Some(Readiness::Waiting(why) | Readiness::Stuck(why)) => why,
                Some(Readiness::Ready) => "it is ready".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        if reach.clock.now() >= deadline {
            return Err(format!("its controller {what} is not ready: {why}"));
        }
        reach.progress.waiting(&format!("{what}, which answers for finalizers: {why}"));
        reach.clock.sleep(LOOK).await;
    }
}

async fn add(reach: &Reach<'_>, held: Held<'_>, wanted: Vec<String>) -> Option<(ObjectKey, String)> {
    let Held { key, resource, finalizers: _, now } = held;
    let place = Place { namespace: key.namespace.as_deref(), name: &key.name, subresource: "" };
    let lacks = |now: &Manifest| additions(now, &wanted);
    let error = change(reach, (resource, place, Mode::Real), now, lacks).await.err()?;
    Some((key.clone(), format!("without {}: {error}; restore again to finish", wanted.join(", "))))
}

/// The merge patch that adds the finalizers an object lacks, bound to its version; `None` where it has them all.
fn additions(now: &Manifest, wanted: &[String]) -> Option<Json> {
    let there = now.finalizers();
    let lacks: Vec<&String> = wanted.iter().filter(|name| !there.contains(name)).collect();
    if lacks.is_empty() {
        return None;
    }
    let all: Vec<&String> = there.iter().chain(lacks).collect();
    Some(json!({"metadata": {"finalizers": all, "resourceVersion": now.at("/metadata/resourceVersion")}}))
}

#[cfg(test)]
mod tests;
