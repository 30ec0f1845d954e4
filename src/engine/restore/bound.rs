//! Changes an object that is there by a merge patch bound to the version it was made for; when somebody was faster, the
//! patch is made again for the newer version.
//!
//! In: an object, a function from a version to its patch · Out: the object as it was stored · Touches: cluster (read and
//! write), clock

use crate::domain::object::{Json, Manifest, Resource};
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{Error, Mode, Patch, Place};

/// Makes the change; `None` where a version needs none. The patch itself has to hold `metadata.resourceVersion`.
///
/// # Errors
/// Those of the cluster, after patience.
pub async fn change(
    reach: &Reach<'_>,
    (resource, place, mode): (&Resource, Place<'_>, Mode),
    mut now: Manifest,
    patch: impl Fn(&Manifest) -> Option<Json>,
) -> Result<Option<Manifest>, Error> {
    let call = async || {
        let Some(patch) = patch(&now) else { return Ok(None) };
        match reach.writer.patch(resource, place, &Patch::Merge(patch), mode).await {
            Err(Error::Conflict(reason)) => {
                if let Some(newer) = reach.reader.get(resource, place.namespace, place.name).await? {
                    now = newer;
                }
                Err(Error::Conflict(reason))
            }
            other => other.map(Some),
        }
    };
    persist(reach.clock, reach.patience, call).await.result
}
