//! Gives an owner that was made anew the list of what it manages back, so that it still prunes.
//!
//! In: an owner that was written · Out: `Written` · Touches: cluster (read and write), clock

use serde_json::json;

use super::put::Written;
use crate::domain::object::{Json, Manifest};
use crate::domain::report::ObjectAction;
use crate::domain::rules::Catalog;
use crate::engine::decide::draft::PlannedObject;
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{Error, FIELD_MANAGER, Mode, Patch, Place};

/// Restores the inventory of an owner that this restore, or an earlier run of it, made anew.
///
/// A controller that was quicker has its entries kept: what it does not name any more is what it shall prune. Where the list
/// cannot be written the object is `Failed`, and the same command tries again.
pub async fn with_inventory(
    reach: &Reach<'_>,
    planned: &PlannedObject,
    catalog: &Catalog,
    written: Written,
) -> Written {
    let (Some(list), Some(path)) = (planned.managed.inventory.as_ref(), path(planned, catalog)) else {
        return written;
    };
    let now = written.stored.as_ref().or(written.live.as_ref());
    let Some(now) = now.filter(|now| is_new(&written, now, path)) else { return written };
    match restore(reach, planned, (path, list), now.clone()).await {
        Ok(number) => {
            let told = format!("knows again what it manages: {number} entries");
            let reason = written.reason.map_or(told.clone(), |before| format!("{before}; {told}"));
            Written { reason: Some(reason), ..written }
        }
        Err(error) => {
            let reason = format!("written, but without its inventory: {error}; restore again");
            Written { action: ObjectAction::Failed, reason: Some(reason), ..written }
        }
    }
}

fn path<'c>(planned: &PlannedObject, catalog: &'c Catalog) -> Option<&'c str> {
    let tool = catalog.kind(&planned.resource).tool()?;
    tool.inventory.as_ref().map(|inventory| inventory.path.as_str())
}

/// Whether the owner was made by this restore or, without coming further, by an earlier run of it.
fn is_new(written: &Written, now: &Manifest, path: &str) -> bool {
    match written.action {
        ObjectAction::Created | ObjectAction::Recreated => true,
        ObjectAction::Unchanged => now.at(path).is_none() && made_by_us(now),
        ObjectAction::Updated | ObjectAction::Deleted | ObjectAction::Skipped | ObjectAction::Failed => false,
    }
}

/// Whether nobody but Backstay has written the owner so far.
fn made_by_us(now: &Manifest) -> bool {
    let entries = now.at("/metadata/managedFields").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let ours = |entry: &Json| entry.get("manager").and_then(Json::as_str) == Some(FIELD_MANAGER);
    !entries.is_empty() && entries.iter().all(ours)
}

/// Writes the list, and says how many entries it has. Bound to the version of the owner it was made for.
async fn restore(
    reach: &Reach<'_>,
    planned: &PlannedObject,
    (path, list): (&str, &Json),
    mut now: Manifest,
) -> Result<usize, Error> {
    let (namespace, name) = (planned.key.namespace.as_deref(), planned.key.name.as_str());
    let place = Place { namespace, name, subresource: "status" };
    let mut is_stale = false;
    let call = async || {
        if std::mem::replace(&mut is_stale, true) {
            let read = reach.reader.get(&planned.resource, namespace, name).await?;
            now = read.ok_or_else(|| Error::NotFound("it is gone".to_owned()))?;
        }
        let whole = union(now.at(path), list);
        let change = change(&now, path, whole.clone());
        reach.writer.patch(&planned.resource, place, &Patch::Merge(change), Mode::Real).await?;
        Ok(whole.as_array().map_or(0, Vec::len))
    };
    persist(reach.clock, reach.patience, call).await.result
}

/// The entries that are there, and those that were saved and are not.
fn union(there: Option<&Json>, saved: &Json) -> Json {
    let mut entries = there.and_then(Json::as_array).cloned().unwrap_or_default();
    let id = |entry: &Json| entry.get("id").cloned().unwrap_or_else(|| entry.clone());
    for entry in saved.as_array().into_iter().flatten() {
        if !entries.iter().any(|other| id(other) == id(entry)) {
            entries.push(entry.clone());
        }
    }
    Json::Array(entries)
}

/// The list as a merge patch of this version of the owner.
fn change(now: &Manifest, path: &str, list: Json) -> Json {
    let names = path.rsplit('/').filter(|name| !name.is_empty());
    let mut change =
        names.fold(list, |inner, name| json!({name.replace("~1", "/").replace("~0", "~"): inner}));
    if let (Some(map), Some(version)) = (change.as_object_mut(), now.at("/metadata/resourceVersion")) {
        map.insert("metadata".into(), json!({"resourceVersion": version}));
    }
    change
}

#[cfg(test)]
mod tests;
