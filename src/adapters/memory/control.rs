//! How controllers see and change the cluster.
//!
//! In: the cluster · Out: the changed cluster · Touches: nothing

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::state::{By, State};
use super::store::Slot;
use crate::domain::object::Json;
use crate::ports::cluster::Mode;

/// How long a definition takes until it is established, and a Pod until it is ready.
pub const DELAY: SignedDuration = SignedDuration::from_secs(1);

/// How controllers write.
pub const CONTROLLER: By<'_> = By { manager: "kube-controller-manager", subresource: "", mode: Mode::Real };
/// How controllers write status.
pub const STATUS: By<'_> = By { manager: "kube-controller-manager", subresource: "status", mode: Mode::Real };

/// Whether so much time has passed since the object was made.
pub fn is_due(state: &State, object: &Json) -> bool {
    let made = object.pointer("/metadata/creationTimestamp").and_then(Json::as_str);
    let made: Option<Timestamp> = made.and_then(|t| t.parse().ok());
    made.is_none_or(|made| state.now.duration_since(made) >= DELAY)
}

/// Objects of one kind as they are now.
pub fn snapshot(state: &State, storage: &str) -> Vec<(Slot, Arc<Json>)> {
    state.store.of(storage).map(|(slot, object)| (slot.clone(), Arc::clone(object))).collect()
}

/// Sets the status of an object.
pub fn set_status(state: &mut State, slot: &Slot, status: Json) {
    let (Some(kind), Ok(live)) = (state.stored(&slot.storage), state.live(slot)) else { return };
    if live.get("status") != Some(&status) {
        let mut after = (*live).clone();
        after["status"] = status;
        // A controller that loses against a check simply has no effect.
        let _ = state.replace(&kind, slot.clone(), after, STATUS);
    }
}

/// Replaces an object.
pub fn set(state: &mut State, slot: &Slot, after: Json) {
    if let Some(kind) = state.stored(&slot.storage) {
        let _ = state.replace(&kind, slot.clone(), after, CONTROLLER);
    }
}

/// Creates an object where there is none.
pub fn make(state: &mut State, object: Json) {
    let group = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    if let Some(kind) = state.kind_named(group, object["kind"].as_str().unwrap_or_default()) {
        let _ = state.create(&kind, object, CONTROLLER);
    }
}

/// Takes a finalizer away; the object goes if it was the last one.
pub fn release(state: &mut State, slot: &Slot, finalizer: &str) {
    let Ok(live) = state.live(slot) else { return };
    let mut after = (*live).clone();
    if let Some(Json::Array(list)) = after.pointer_mut("/metadata/finalizers") {
        list.retain(|f| f != finalizer);
    }
    set(state, slot, after);
}
