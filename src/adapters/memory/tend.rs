//! What the control plane does by itself: namespaces, definitions, garbage, finalizers.
//!
//! In: the cluster after a write or a wait · Out: the cluster as its controllers leave it · Touches: nothing

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;

use super::control::{is_due, make, release, set_status, snapshot};
use super::kinds::{self, Kind};
use super::metadata::{deleting, finalizers};
use super::state::{CUSTOM_CLEANUP, FOREGROUND, State};
use super::store::Slot;
use super::workloads;
use crate::domain::fixup::Propagation;
use crate::domain::object::Json;

/// How long events are kept.
const EVENT_TTL: SignedDuration = SignedDuration::from_hours(1);

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Lets all controllers work until nothing changes any more.
pub fn settle(state: &mut State) {
    for _ in 0..100 {
        definitions(state);
        namespaces(state);
        garbage(state);
        protection(state);
        events(state);
        workloads::run(state);
        if !state.store.take_changed() {
            return;
        }
    }
}

/// Kinds of definitions; one that is as it was when its kind was made is not read again.
fn definitions(state: &mut State) {
    let mut served = state.builtin.clone();
    let before = std::mem::take(&mut state.custom);
    for (slot, definition) in snapshot(state, DEFINITIONS) {
        let same = before.get(&slot).filter(|(seen, _)| Arc::ptr_eq(seen, &definition));
        let kind = same.map(|(_, kind)| kind.clone()).or_else(|| define(state, &slot, &definition));
        let Some(kind) = kind else { continue };
        // Read again where its status was just written: the next round compares what is stored then.
        if !deleting(&definition) {
            state.custom.insert(slot, (definition, kind.clone()));
        }
        served.push(kind);
    }
    state.kinds = served;
}

/// The kind of a definition once it is served; writes its status.
fn define(state: &mut State, slot: &Slot, definition: &Json) -> Option<Arc<Kind>> {
    let kind = kinds::custom(definition)?;
    if deleting(definition) {
        for (object, _) in snapshot(state, &kind.storage) {
            let _ = state.delete(&object, Propagation::Background);
        }
        if state.store.of(&kind.storage).next().is_none() {
            release(state, slot, CUSTOM_CLEANUP);
        }
    }
    let established = is_due(state, definition);
    let condition = |name: &str, reason: &str| json!({"type": name, "status": "True", "reason": reason});
    let mut conditions = vec![condition("NamesAccepted", "NoConflicts")];
    if established {
        conditions.push(condition("Established", "InitialNamesAccepted"));
    }
    let names = definition["spec"]["names"].clone();
    let stored = definition["spec"]["versions"].as_array().into_iter().flatten();
    let stored: Vec<Json> =
        stored.filter(|v| v["storage"] == true).filter_map(|v| v.get("name").cloned()).collect();
    let status = json!({"conditions": conditions, "acceptedNames": names, "storedVersions": stored});
    set_status(state, slot, status);
    established.then(|| Arc::new(kind))
}

fn namespaces(state: &mut State) {
    for (slot, namespace) in snapshot(state, "namespaces") {
        let name = slot.name.as_str();
        if !deleting(&namespace) {
            let account = Slot::new("serviceaccounts", name, "default");
            if state.store.get(&account).is_none() {
                let metadata = json!({"name": "default", "namespace": name});
                make(state, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}));
            }
            if state.store.get(&Slot::new("configmaps", name, "kube-root-ca.crt")).is_none() {
                let metadata = json!({"name": "kube-root-ca.crt", "namespace": name,
                    "annotations": {"kubernetes.io/description": "Contains a CA bundle."}});
                let data =
                    json!({"ca.crt": "-----BEGIN CERTIFICATE-----\nmemory\n-----END CERTIFICATE-----\n"});
                make(
                    state,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}),
                );
            }
            continue;
        }
        let storages: Vec<String> = state.kinds.iter().map(|k| k.storage.clone()).collect();
        let content = |state: &State| -> Vec<Slot> {
            let inside = storages.iter().flat_map(|s| state.store.within(s, name));
            inside.map(|(slot, _)| slot.clone()).collect()
        };
        for inside in content(state) {
            let _ = state.delete(&inside, Propagation::Background);
        }
        if content(state).is_empty() && finalizers(&namespace).is_empty() {
            state.store.remove(&slot);
        }
    }
}

/// Forgets events as the API server does: an hour after they were made (`--event-ttl`).
fn events(state: &mut State) {
    let made = |event: &Json| event.pointer("/metadata/creationTimestamp")?.as_str()?.parse().ok();
    let old = |event: &Json| made(event).is_some_and(|made| state.now.duration_since(made) > EVENT_TTL);
    let old: Vec<Slot> =
        state.store.of("events").filter(|(_, event)| old(event)).map(|(slot, _)| slot.clone()).collect();
    for slot in old {
        state.store.remove(&slot);
    }
}

/// Deletes what no living owner owns, and lets owners go that wait for what they own.
fn garbage(state: &mut State) {
    let owned: Vec<Slot> = state.store.owned().cloned().collect();
    let mut waiting: Vec<String> = Vec::new();
    for slot in owned {
        let Some(object) = state.store.get(&slot).cloned() else { continue };
        let owners = object.pointer("/metadata/ownerReferences").and_then(Json::as_array);
        let owners: Vec<Owner> = owners.into_iter().flatten().map(|o| owner(state, &slot, o)).collect();
        let foreground = owners.iter().find_map(|o| match o {
            Owner::WaitsForThis(uid) => Some(uid.clone()),
            Owner::Alive | Owner::Unknown | Owner::Gone => None,
        });
        let dead = !owners.is_empty() && owners.iter().all(|o| matches!(o, Owner::Gone));
        if dead || foreground.is_some() {
            let how = if foreground.is_some() { Propagation::Foreground } else { Propagation::Background };
            let _ = state.delete(&slot, how);
        }
        waiting.extend(foreground);
    }
    let held: Vec<Slot> = state
        .store
        .all()
        .filter(|(_, object)| deleting(object) && finalizers(object).contains(&FOREGROUND))
        .filter(|(_, object)| !waiting.iter().any(|uid| object.pointer("/metadata/uid") == Some(&json!(uid))))
        .map(|(slot, _)| slot.clone())
        .collect();
    for slot in held {
        release(state, &slot, FOREGROUND);
    }
}

enum Owner {
    Alive,
    WaitsForThis(String),
    Gone,
    Unknown,
}

fn owner(state: &State, child: &Slot, reference: &Json) -> Owner {
    let text = |field: &str| reference.get(field).and_then(Json::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let Some(kind) = state.kind_named(group, text("kind")) else { return Owner::Unknown };
    match state.store.by_uid(text("uid")) {
        Some((slot, object)) if slot.storage == kind.storage => {
            let reachable = slot.namespace.is_empty() || slot.namespace == child.namespace;
            match deleting(object) && finalizers(object).contains(&FOREGROUND) {
                _ if !reachable => Owner::Gone,
                true => Owner::WaitsForThis(text("uid").to_owned()),
                false => Owner::Alive,
            }
        }
        _ => Owner::Gone,
    }
}

/// Keeps claims while a Pod uses them and volumes while they are bound; lets them go after that.
fn protection(state: &mut State) {
    for (slot, claim) in snapshot(state, "persistentvolumeclaims") {
        if deleting(&claim) && !is_mounted(state, &slot) {
            release(state, &slot, "kubernetes.io/pvc-protection");
        }
    }
    for (slot, volume) in snapshot(state, "persistentvolumes") {
        let uid = volume.pointer("/spec/claimRef/uid").and_then(Json::as_str);
        let bound = uid.is_some_and(|uid| state.store.by_uid(uid).is_some());
        if deleting(&volume) && !bound {
            release(state, &slot, "kubernetes.io/pv-protection");
        }
    }
}

fn is_mounted(state: &State, claim: &Slot) -> bool {
    let uses = |pod: &Json| {
        if pod.pointer("/spec/nodeName").is_none() {
            return false;
        }
        let volumes = pod.pointer("/spec/volumes").and_then(Json::as_array);
        let name = Json::from(claim.name.as_str());
        volumes.into_iter().flatten().any(|v| v.pointer("/persistentVolumeClaim/claimName") == Some(&name))
    };
    state.store.within("pods", &claim.namespace).any(|(_, pod)| uses(pod))
}
