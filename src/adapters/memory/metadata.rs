//! Reads and keeps the metadata that a server looks after.
//!
//! In: objects · Out: what their metadata says · Touches: nothing

use crate::domain::object::Json;
use crate::ports::cluster::Error;

/// Whether the object is being deleted.
pub fn deleting(object: &Json) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// What holds the object from being deleted.
pub fn finalizers(object: &Json) -> Vec<&str> {
    let list = object.pointer("/metadata/finalizers").and_then(Json::as_array);
    list.into_iter().flatten().filter_map(Json::as_str).collect()
}

/// Adds a finalizer.
pub fn hold(object: &mut Json, finalizer: &str) {
    if finalizers(object).contains(&finalizer) {
        return;
    }
    match object["metadata"]["finalizers"].as_array_mut() {
        Some(list) => list.push(finalizer.into()),
        None => object["metadata"]["finalizers"] = serde_json::json!([finalizer]),
    }
}

/// Refuses a write that names another uid or version than the object has.
pub fn same(live: &Json, wanted: &Json, field: &str) -> Result<(), Error> {
    let pointer = format!("/metadata/{field}");
    match wanted.pointer(&pointer) {
        Some(value) if !value.is_null() && live.pointer(&pointer) != Some(value) => {
            Err(Error::Conflict(format!("the object has been modified: metadata.{field} differs")))
        }
        _ => Ok(()),
    }
}

/// Keeps what only the server sets; refuses another name.
pub fn keep_identity(before: &Json, after: &mut Json) -> Result<(), Error> {
    for field in ["name", "namespace"] {
        if before["metadata"].get(field) != after["metadata"].get(field) {
            return Err(Error::Invalid(format!("metadata.{field}: Invalid value: field is immutable")));
        }
    }
    let fixed = ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for field in fixed.into_iter().chain(["resourceVersion"]) {
        let value = before["metadata"].get(field).cloned();
        put_or_remove(&mut after["metadata"], field, value);
    }
    Ok(())
}

/// Sets a field, or takes it away.
pub fn put_or_remove(object: &mut Json, field: &str, value: Option<Json>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => map.insert(field.to_owned(), value),
            None => map.shift_remove(field),
        };
    }
}

/// The object without what every write changes.
pub fn content(object: &Json) -> Json {
    let mut object = object.clone();
    put_or_remove(&mut object["metadata"], "resourceVersion", None);
    if let Some(Json::Array(managed)) = object.pointer_mut("/metadata/managedFields") {
        for entry in managed {
            put_or_remove(entry, "time", None);
        }
    }
    object
}

/// The object with the names of its managers, and without what they wrote.
pub fn only_names(mut object: Json) -> Json {
    if let Some(Json::Array(managed)) = object.pointer_mut("/metadata/managedFields") {
        for entry in managed {
            put_or_remove(entry, "fieldsV1", None);
        }
    }
    object
}

/// What is wanted: the object without metadata and status.
pub fn wish(object: &Json) -> Json {
    let mut object = object.clone();
    put_or_remove(&mut object, "metadata", None);
    put_or_remove(&mut object, "status", None);
    object
}
