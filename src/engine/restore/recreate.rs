//! Makes way for an object that cannot be changed in place: the one that exists is deleted, so that it can be made anew.
//!
//! Nothing is deleted before the API server has said that it would take the new one.
//!
//! In: what was refused · Out: `Way` · Touches: cluster (read and write), clock

use crate::domain::fixup::Propagation;
use crate::domain::object::{Json, Manifest, Resource};
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{Error, Mode, Place};

/// Words of the API server for fields that are what they are. It has no code for them.
const FIXED: [&str; 10] = [
    "immutable",
    "may not be changed",
    "Forbidden: updates to",
    "updates to statefulset spec",
    "updates to parameters are forbidden",
    "pod updates may not",
    "cannot change roleRef",
    "cannot be changed",
    "may not change",
    "cannot update",
];

/// Whether the server refused a change because a field of the object cannot be changed in place.
pub fn is_fixed(error: &Error) -> bool {
    matches!(error, Error::Invalid(reason) if FIXED.iter().any(|words| reason.contains(words)))
}

/// What became of the object that was in the way.
#[derive(Debug)]
pub enum Way {
    /// It is being deleted, or gone, or would be.
    Free,
    /// It stays, and why.
    Blocked(String),
}

/// Deletes the object that is in the way; what it owns goes or stays as [`dependents`] says. Under [`Mode::DryRun`] it only asks whether it may.
pub async fn make_way(reach: &Reach<'_>, resource: &Resource, object: &Manifest, mode: Mode) -> Way {
    if let Err(reason) = would_be_taken(reach, resource, object).await {
        return Way::Blocked(reason);
    }
    match mode {
        Mode::DryRun => Way::Free,
        Mode::Real => delete(reach, resource, object).await,
    }
}

/// The server's opinion: it looks at the whole of an object before it finds the name taken.
async fn would_be_taken(reach: &Reach<'_>, resource: &Resource, object: &Manifest) -> Result<(), String> {
    let call = async || reach.writer.create(resource, object, Mode::DryRun).await;
    match persist(reach.clock, reach.patience, call).await.result {
        Ok(_) | Err(Error::AlreadyExists) => Ok(()),
        // Its ports and addresses are those of the one that is in the way.
        Err(Error::Invalid(reason)) if reason.contains("already allocated") => Ok(()),
        Err(error) => {
            Err(format!("it cannot be changed in place, and the server would not take a new one: {error}"))
        }
    }
}

async fn delete(reach: &Reach<'_>, resource: &Resource, object: &Manifest) -> Way {
    let place = Place { namespace: object.namespace(), name: object.name(), subresource: "" };
    let call = async || {
        let Some(live) = reach.reader.get(resource, place.namespace, place.name).await? else {
            return Ok(());
        };
        reach.writer.delete(resource, place, dependents(&live)).await
    };
    match persist(reach.clock, reach.patience, call).await.result {
        Ok(()) | Err(Error::NotFound(_)) => Way::Free,
        Err(error) => Way::Blocked(format!("it cannot be changed in place, and not be deleted: {error}")),
    }
}

/// What becomes of what an object owns when it makes way. Pods and sets of workloads go, because their controller makes
/// them anew. Anything else stays: it may hold data, and is linked to the new object again if it was saved. So do the
/// claims of a `StatefulSet` that would take them along.
pub fn dependents(live: &Manifest) -> Propagation {
    let keeps = live.at("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted").and_then(Json::as_str);
    match live.gvk().group.as_str() {
        "apps" | "batch" if keeps != Some("Delete") => Propagation::Foreground,
        _ => Propagation::Orphan,
    }
}

#[cfg(test)]
mod tests;
