//! What controllers of workloads and storage do, as far as a backup or restore can see it.
//!
//! In: workloads and claims · Out: their replica sets, pods, volumes and status · Touches: nothing

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::json;

use super::control::{is_due, make, set, set_status, snapshot};
use super::metadata::deleting;
use super::state::State;
use super::store::Slot;
use crate::domain::fixup::Propagation;
use crate::domain::object::Json;

const CLASSES: &str = "storageclasses.storage.k8s.io";

/// One turn of every controller.
pub fn run(state: &mut State) {
    deployments(state);
    replicasets(state);
    statefulsets(state);
    daemonsets(state);
    jobs(state);
    claims(state);
    volumes(state);
    pods(state);
    endpoints(state);
}

fn deployments(state: &mut State) {
    for (slot, web) in living(state, "deployments.apps") {
        let template = &web["spec"]["template"];
        let hash = digest(template);
        let name = format!("{}-{hash}", slot.name);
        let replicas = count(&web, "/spec/replicas");
        let set_slot = Slot::new("replicasets.apps", &slot.namespace, &name);
        if state.store.get(&set_slot).is_none() {
            let mut template = template.clone();
            template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
            let mut selector = web["spec"]["selector"].clone();
            selector["matchLabels"]["pod-template-hash"] = json!(hash);
            let metadata = child(&web, &name, &template["metadata"]["labels"]);
            let spec = json!({"replicas": replicas, "selector": selector, "template": template});
            make(
                state,
                json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}),
            );
        }
        let mut ready = 0;
        for (other, replicaset) in controlled(state, "replicasets.apps", &web) {
            let wanted = if other == set_slot { replicas } else { 0 };
            if other == set_slot {
                ready = count(&replicaset, "/status/readyReplicas");
            }
            if count(&replicaset, "/spec/replicas") != wanted {
                let mut after = (*replicaset).clone();
                after["spec"]["replicas"] = wanted.into();
                set(state, &other, after);
            }
        }
        set_status(state, &slot, progress(&web, ready, replicas));
    }
}

fn replicasets(state: &mut State) {
    for (slot, set) in living(state, "replicasets.apps") {
        let pods = controlled(state, "pods", &set);
        let wanted = count(&set, "/spec/replicas");
        for _ in (pods.len() as u64)..wanted {
            let letters = format!("{:05x}", state.store.draw() & 0xf_ffff);
            pod(state, &set, &format!("{}-{letters}", slot.name));
        }
        for (extra, _) in pods.iter().skip(usize::try_from(wanted).unwrap_or(usize::MAX)) {
            let _ = state.delete(extra, Propagation::Background);
        }
        let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count() as u64;
        set_status(state, &slot, progress(&set, ready.min(wanted), wanted));
    }
}

fn statefulsets(state: &mut State) {
    for (slot, set) in living(state, "statefulsets.apps") {
        let wanted = count(&set, "/spec/replicas");
        for i in 0..wanted {
            let name = format!("{}-{i}", slot.name);
            for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
                let claim = format!("{}-{name}", template["metadata"]["name"].as_str().unwrap_or("data"));
                let metadata = json!({"name": claim, "namespace": slot.namespace,
                    "labels": set["spec"]["selector"]["matchLabels"]});
                let kind = "PersistentVolumeClaim";
                let spec = &template["spec"];
                make(state, json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}));
            }
            if state.store.get(&Slot::new("pods", &slot.namespace, &name)).is_none() {
                pod(state, &set, &name);
            }
        }
        let pods = controlled(state, "pods", &set);
        for (extra, _) in &pods {
            let ordinal = extra.name.rsplit_once('-').and_then(|(_, n)| n.parse::<u64>().ok());
            if ordinal.is_none_or(|n| n >= wanted) {
                let _ = state.delete(extra, Propagation::Background);
            }
        }
        let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count() as u64;
        set_status(state, &slot, progress(&set, ready.min(wanted), wanted));
    }
}

fn daemonsets(state: &mut State) {
    for (slot, set) in living(state, "daemonsets.apps") {
        let generation = count(&set, "/metadata/generation");
        let status = json!({"observedGeneration": generation, "desiredNumberScheduled": 0, "currentNumberScheduled": 0,
            "numberMisscheduled": 0, "numberReady": 0, "updatedNumberScheduled": 0, "numberAvailable": 0});
        set_status(state, &slot, status);
    }
}

fn jobs(state: &mut State) {
    for (slot, job) in living(state, "jobs.batch") {
        let uid = job["metadata"]["uid"].clone();
        if job.pointer("/spec/selector").is_none() {
            let mut after = (*job).clone();
            let label = "batch.kubernetes.io/controller-uid";
            after["spec"]["selector"]["matchLabels"][label] = uid.clone();
            after["spec"]["template"]["metadata"]["labels"][label] = uid;
            // What a Job is told at birth cannot be changed later, so it is put back without the checks.
            state.store.put(slot, after);
            continue;
        }
        if controlled(state, "pods", &job).is_empty() && job.pointer("/status/succeeded").is_none() {
            pod(state, &job, &format!("{}-{:05x}", slot.name, state.store.version() & 0xf_ffff));
        }
        if is_due(state, &job) {
            let done = json!({"type": "Complete", "status": "True"});
            set_status(state, &slot, json!({"succeeded": 1, "conditions": [done]}));
        }
    }
}

fn pods(state: &mut State) {
    for (slot, pod) in living(state, "pods") {
        let volumes = pod.pointer("/spec/volumes").and_then(Json::as_array);
        let mut claims = volumes
            .into_iter()
            .flatten()
            .filter_map(|v| v.pointer("/persistentVolumeClaim/claimName")?.as_str());
        let bound = claims.all(|claim| {
            let claim = state.store.get(&Slot::new("persistentvolumeclaims", &slot.namespace, claim));
            claim.is_some_and(|c| !deleting(c) && c.pointer("/status/phase") == Some(&json!("Bound")))
        });
        if !bound || !is_due(state, &pod) || pod.pointer("/status/phase") != Some(&json!("Pending")) {
            continue;
        }
        let job = pod.pointer("/metadata/ownerReferences/0/kind") == Some(&json!("Job"));
        let (phase, ready) = if job { ("Succeeded", "False") } else { ("Running", "True") };
        let condition = json!({"type": "Ready", "status": ready});
        let mut after = (*pod).clone();
        after["spec"]["nodeName"] = "memory".into();
        set(state, &slot, after);
        let containers = pod.pointer("/spec/containers").and_then(Json::as_array).into_iter().flatten();
        let started = json!({"startedAt": state.now.to_string()});
        let runs = if job { json!({"terminated": started}) } else { json!({"running": started}) };
        let statuses: Vec<Json> =
            containers.map(|c| json!({"name": c["name"], "ready": !job, "state": runs})).collect();
        let status = json!({"phase": phase, "conditions": [condition], "containerStatuses": statuses,
            "podIP": "10.244.0.2"});
        set_status(state, &slot, status);
    }
}

fn claims(state: &mut State) {
    for (slot, claim) in living(state, "persistentvolumeclaims") {
        if claim.pointer("/status/phase") == Some(&json!("Bound")) {
            continue;
        }
        let phase = match claim.pointer("/spec/volumeName").and_then(Json::as_str).filter(|v| !v.is_empty()) {
            Some(volume) => bind(state, &claim, volume),
            None => provision(state, &slot, &claim),
        };
        let capacity = &claim["spec"]["resources"]["requests"];
        let status = match phase {
            "Bound" => {
                json!({"phase": phase, "capacity": capacity, "accessModes": claim["spec"]["accessModes"]})
            }
            _ => json!({"phase": phase}),
        };
        set_status(state, &slot, status);
    }
}

/// Binds a claim to the volume it names, as long as that volume is there and meant for it.
fn bind(state: &mut State, claim: &Json, volume: &str) -> &'static str {
    let slot = Slot::new("persistentvolumes", "", volume);
    let bound_before = claim.pointer("/metadata/annotations/pv.kubernetes.io~1bind-completed").is_some();
    let Some(volume) = state.store.get(&slot).cloned() else {
        return if bound_before { "Lost" } else { "Pending" };
    };
    let reference = volume.pointer("/spec/claimRef");
    let same = |field: &str| reference.is_none_or(|r| r.get(field) == claim["metadata"].get(field));
    let mine = same("name") && same("namespace");
    let uid = reference.and_then(|r| r.get("uid"));
    match (mine, uid) {
        (true, Some(uid)) if Some(uid) == claim["metadata"].get("uid") => "Bound",
        (true, None) => {
            let mut after = (*volume).clone();
            after["spec"]["claimRef"] = reference_to(claim);
            set(state, &slot, after);
            set_status(state, &slot, json!({"phase": "Bound"}));
            "Bound"
        }
        _ if bound_before => "Lost",
        _ => "Pending",
    }
}

/// Makes a volume for a claim, where a storage class is there to do it.
fn provision(state: &mut State, slot: &Slot, claim: &Arc<Json>) -> &'static str {
    let classes = snapshot(state, CLASSES);
    let default = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";
    let class = match claim.pointer("/spec/storageClassName").and_then(Json::as_str) {
        Some(name) => classes.iter().find(|(class, _)| class.name == name),
        None => classes.iter().find(|(_, class)| class.pointer(default) == Some(&json!("true"))),
    };
    let Some((class, definition)) = class else { return "Pending" };
    let volume = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap_or_default());
    let reclaim = definition.get("reclaimPolicy").cloned().unwrap_or(json!("Delete"));
    let spec = json!({"capacity": claim["spec"]["resources"]["requests"], "accessModes": claim["spec"]["accessModes"],
        "claimRef": reference_to(claim), "persistentVolumeReclaimPolicy": reclaim, "storageClassName": class.name,
        "hostPath": {"path": format!("/volumes/{volume}")}});
    let metadata = json!({"name": volume, "annotations": {"pv.kubernetes.io/provisioned-by": definition["provisioner"]}});
    make(state, json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}));
    set_status(state, &Slot::new("persistentvolumes", "", &volume), json!({"phase": "Bound"}));
    let mut after = (**claim).clone();
    after["spec"]["volumeName"] = volume.into();
    after["spec"]["storageClassName"] = class.name.as_str().into();
    for note in ["pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"] {
        after["metadata"]["annotations"][note] = "yes".into();
    }
    // The binder may set what is fixed for everybody else.
    state.store.put(slot.clone(), after);
    "Bound"
}

fn reference_to(claim: &Json) -> Json {
    let metadata = &claim["metadata"];
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": metadata["name"],
        "namespace": metadata["namespace"], "uid": metadata["uid"]})
}

/// Releases or deletes volumes whose claim is gone.
fn volumes(state: &mut State) {
    for (slot, volume) in living(state, "persistentvolumes") {
        let Some(uid) = volume.pointer("/spec/claimRef/uid").and_then(Json::as_str) else { continue };
        if state.store.by_uid(uid).is_some() {
            continue;
        }
        if volume.pointer("/spec/persistentVolumeReclaimPolicy") == Some(&json!("Delete")) {
            let _ = state.delete(&slot, Propagation::Background);
        } else {
            set_status(state, &slot, json!({"phase": "Released"}));
        }
    }
}

fn endpoints(state: &mut State) {
    for (slot, service) in living(state, "services") {
        let wanted =
            service.pointer("/spec/selector").is_some_and(|s| s.as_object().is_some_and(|s| !s.is_empty()));
        let name = format!("{}-{}", slot.name, &digest(&service["metadata"]["uid"])[..5]);
        if wanted && controlled(state, "endpointslices.discovery.k8s.io", &service).is_empty() {
            let labels = json!({"kubernetes.io/service-name": slot.name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
            let metadata = child(&service, &name, &labels);
            let api_version = "discovery.k8s.io/v1";
            make(
                state,
                json!({"apiVersion": api_version, "kind": "EndpointSlice", "metadata": metadata,
                "addressType": "IPv4", "endpoints": [], "ports": []}),
            );
        }
    }
}

fn living(state: &State, storage: &str) -> Vec<(Slot, Arc<Json>)> {
    let mut all = snapshot(state, storage);
    all.retain(|(_, object)| !deleting(object));
    all
}

fn controlled(state: &State, storage: &str, owner: &Json) -> Vec<(Slot, Arc<Json>)> {
    let uid = owner["metadata"].get("uid");
    let namespace = owner["metadata"]["namespace"].as_str().unwrap_or_default();
    let inside = state.store.within(storage, namespace).filter(|(_, object)| !deleting(object));
    let owners = |o: &Json| o.pointer("/metadata/ownerReferences").and_then(Json::as_array).cloned();
    let mine = inside.filter(|(_, o)| owners(o).into_iter().flatten().any(|r| r.get("uid") == uid));
    mine.map(|(slot, object)| (slot.clone(), Arc::clone(object))).collect()
}

fn child(owner: &Json, name: &str, labels: &Json) -> Json {
    let reference = json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": true,
        "blockOwnerDeletion": true, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]});
    json!({"name": name, "namespace": owner["metadata"]["namespace"], "labels": labels, "ownerReferences": [reference]})
}

fn pod(state: &mut State, owner: &Json, name: &str) {
    let template = &owner["spec"]["template"];
    let mut spec = template["spec"].clone();
    for claim in owner["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volume = claim["metadata"]["name"].as_str().unwrap_or("data");
        let entry =
            json!({"name": volume, "persistentVolumeClaim": {"claimName": format!("{volume}-{name}")}});
        match spec["volumes"].as_array_mut() {
            Some(volumes) => volumes.push(entry),
            None => spec["volumes"] = json!([entry]),
        }
    }
    let mut metadata = child(owner, name, &template["metadata"]["labels"]);
    if let Some(annotations) = template.pointer("/metadata/annotations") {
        metadata["annotations"] = annotations.clone();
    }
    make(state, json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}));
}

fn is_ready(pod: &Json) -> bool {
    pod.pointer("/status/conditions/0/status") == Some(&json!("True"))
}

fn progress(workload: &Json, ready: u64, wanted: u64) -> Json {
    let available = if ready == wanted { "True" } else { "False" };
    json!({"observedGeneration": count(workload, "/metadata/generation"), "replicas": wanted, "updatedReplicas": wanted,
        "readyReplicas": ready, "availableReplicas": ready, "currentReplicas": wanted,
        "conditions": [{"type": "Available", "status": available}]})
}

fn count(object: &Json, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Json::as_u64).unwrap_or(0)
}

fn digest(value: &Json) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    let mut hasher = DefaultHasher::new();
    sorted.to_string().hash(&mut hasher);
    format!("{:010x}", hasher.finish() & 0xff_ffff_ffff)
}
