//! What an object is after a patch.
//!
//! In: an object and a `Patch` · Out: the object as it would be · Touches: nothing

use crate::domain::object::Json;
use crate::ports::cluster::{Error, Patch};

/// The object after the patch.
///
/// # Errors
/// The patch is none, or does not fit the object.
pub fn patched(object: &Json, patch: &Patch) -> Result<Json, Error> {
    let mut after = object.clone();
    match patch {
        Patch::Merge(change) => json_patch::merge(&mut after, change),
        Patch::Json(operations) => {
            let operations: json_patch::Patch = serde_json::from_value(Json::Array(operations.clone()))
                .map_err(|_| Error::Invalid("the patch is no JSON Patch".into()))?;
            json_patch::patch(&mut after, &operations)
                .map_err(|e| Error::Invalid(format!("the server rejected the patch: {}", e.kind)))?;
        }
    }
    Ok(after)
}
