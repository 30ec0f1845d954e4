//! Writes the status that an object was saved with, after the object itself.
//!
//! In: an object that was written, its saved status · Out: what could not be done · Touches: cluster (write), clock

use serde_json::json;

use crate::domain::object::{Json, Manifest, Resource};
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{Error, Mode, Patch, Place};

/// Puts the saved status in the place of the present one. No call where they are equal.
///
/// A kind without a status subresource has it as a field like others, and there it is written (velero issue 7993).
///
/// # Errors
/// Says why it is not there; the object is.
pub async fn restore(
    reach: &Reach<'_>,
    resource: &Resource,
    now: &Manifest,
    status: &Json,
) -> Result<(), String> {
    if now.at("/status") == Some(status) {
        return Ok(());
    }
    let patch = Patch::Json(vec![json!({"op": "add", "path": "/status", "value": status})]);
    let write = async |subresource| {
        let place = Place { namespace: now.namespace(), name: now.name(), subresource };
        let call = async || reach.writer.patch(resource, place, &patch, Mode::Real).await;
        persist(reach.clock, reach.patience, call).await.result
    };
    let written = match write("status").await {
        Err(Error::NotFound(_)) => write("").await,
        written => written,
    };
    written.map(drop).map_err(|error| format!("its status: {error}; restore again to finish"))
}

#[cfg(test)]
mod tests;
