//! Deletes what the snapshot does not have, after the waves of a restore.
//!
//! In: `Surplus` · Out: `WaveReport` · Touches: cluster (read and write), clock

use futures::{StreamExt, stream};

use super::recreate::dependents;
use crate::domain::fixup::Propagation;
use crate::domain::report::{ObjectAction, ObjectReport, WaveReport};
use crate::engine::decide::surplus::{Surplus, Unwanted};
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{Error, Place};

/// Name of the last wave of a restore that prunes.
pub const WAVE: &str = "prune";

/// Deletes the objects, several at a time, in the order given. One that was replaced by another of its name stays.
pub async fn remove(surplus: &Surplus, reach: &Reach<'_>) -> WaveReport {
    reach.progress.wave(WAVE, surplus.objects.len());
    let jobs = stream::iter(&surplus.objects).map(|one| delete(one, surplus, reach));
    let mut objects: Vec<ObjectReport> = jobs
        .buffered(reach.concurrency.max(1))
        .inspect(|report| reach.progress.object(report))
        .collect()
        .await;
    objects.extend(surplus.stays.iter().cloned());
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    WaveReport { wave: WAVE.to_owned(), objects, not_ready: Vec::new() }
}

async fn delete(one: &Unwanted, surplus: &Surplus, reach: &Reach<'_>) -> ObjectReport {
    let Unwanted { key, uid, resource } = one;
    let place = Place { namespace: key.namespace.as_deref(), name: &key.name, subresource: "" };
    let call = async || match reach.reader.get(resource, place.namespace, place.name).await? {
        Some(live) if live.uid() == Some(uid) => {
            // What belongs to it and was not looked at may hold data.
            let how = if surplus.narrow { dependents(&live) } else { Propagation::Background };
            reach.writer.delete(resource, place, how).await.map(|()| true)
        }
        Some(_) => Ok(false),
        None => Ok(true),
    };
    let (action, reason) = match persist(reach.clock, reach.patience, call).await.result {
        Ok(true) | Err(Error::NotFound(_)) => {
            (ObjectAction::Deleted, "the snapshot does not have it".to_owned())
        }
        Ok(false) => (ObjectAction::Skipped, "it was made anew since it was looked at".to_owned()),
        Err(error) => (
            ObjectAction::Failed,
            format!("the snapshot does not have it, and it cannot be deleted: {error}"),
        ),
    };
    ObjectReport { key: key.clone(), action, reason: Some(reason) }
}
