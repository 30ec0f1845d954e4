//! Waits until what a wave brought can be built upon.
//!
//! In: objects and their `Ready` rules · Out: those that are not ready in time · Touches: cluster (read), clock

use std::time::Duration;

use futures::{StreamExt, stream};

use super::readiness::{Readiness, judge};
use crate::domain::object::{Gvk, Manifest, ObjectKey, Resource};
use crate::domain::rule::Ready;
use crate::engine::reach::Reach;
use crate::engine::retry::after;

/// How often an object is read.
const LOOK: Duration = Duration::from_millis(500);

/// How long new kinds may be missing in discovery after their definitions are established.
const DISCOVERED: Duration = Duration::from_secs(30);

/// An object that is waited for.
pub struct Awaited<'a> {
    /// Identity in the cluster.
    pub key: &'a ObjectKey,
    /// Kind.
    pub resource: &'a Resource,
    /// When it is ready, and how long that may take.
    pub ready: &'a Ready,
    /// The object as it was last seen.
    pub seen: Option<Manifest>,
}

/// Waits until all are ready, each as long as its rule says. Returns those that are not, with what is missing.
pub async fn settle(reach: &Reach<'_>, awaited: Vec<Awaited<'_>>) -> Vec<(ObjectKey, String)> {
    let started = reach.clock.now();
    let mut late = Vec::new();
    let mut open = awaited;
    loop {
        let mut waiting = Vec::new();
        for mut one in open {
            let state = match one.seen.take() {
                Some(object) => judge(&object, one.ready.condition.as_ref()),
                None => Readiness::Waiting("it cannot be read".to_owned()),
            };
            match state {
                Readiness::Ready => {}
                Readiness::Waiting(why) | Readiness::Stuck(why) => {
                    if reach.clock.now() >= after(started, one.ready.timeout.as_std()) {
                        late.push((one.key.clone(), format!("not ready after {}: {why}", one.ready.timeout)));
                    } else {
                        waiting.push((one, why));
                    }
                }
            }
        }
        let Some((first, why)) = waiting.first() else {
            late.sort();
            return late;
        };
        reach.progress.waiting(&format!("{} of {}: {why}", first.key, waiting.len()));
        reach.clock.sleep(LOOK).await;
        let reads = stream::iter(waiting).map(|(one, _)| look(reach, one));
        open = reads.buffered(reach.concurrency.max(1)).collect().await;
    }
}

async fn look<'a>(reach: &Reach<'_>, one: Awaited<'a>) -> Awaited<'a> {
    let read = reach.reader.get(one.resource, one.key.namespace.as_deref(), &one.key.name).await;
    Awaited { seen: read.ok().flatten(), ..one }
}

/// Waits until the server serves these kinds. Returns those that it does not serve in time.
pub async fn discovered(reach: &Reach<'_>, mut missing: Vec<Gvk>) -> Vec<Gvk> {
    let deadline = after(reach.clock.now(), DISCOVERED);
    loop {
        if let Ok(discovery) = reach.reader.discover().await {
            let served = |gvk: &Gvk| {
                discovery.resources.iter().any(|r| r.gvk.group == gvk.group && r.gvk.kind == gvk.kind)
            };
            missing.retain(|gvk| !served(gvk));
        }
        let Some(first) = missing.first() else { return missing };
        if reach.clock.now() >= deadline {
            return missing;
        }
        reach.progress.waiting(&format!("{first}: its definition is there, the kind is not served yet"));
        reach.clock.sleep(LOOK).await;
    }
}
