//! Claims about readiness, kind by kind.
#![expect(clippy::needless_pass_by_value, reason = "json! literals read best as values")]

use insta::assert_snapshot;
use serde_json::json;

use super::*;

fn judge(api_version: &str, kind: &str, rest: Json) -> String {
    let mut tree =
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "generation": 2}});
    for (key, value) in rest.as_object().unwrap() {
        tree[key] = value.clone();
    }
    match kstatus(&Manifest::parse(tree).unwrap()) {
        Readiness::Ready => "ready".into(),
        Readiness::Waiting(why) => format!("waiting: {why}"),
        Readiness::Stuck(why) => format!("stuck: {why}"),
    }
}

fn condition(kind: &str, status: &str) -> Json {
    json!({"type": kind, "status": status, "reason": "R", "message": "m"})
}

#[test]
fn a_deployment_is_ready_when_all_new_replicas_are_available() {
    let at =
        |status: Json| judge("apps/v1", "Deployment", json!({"spec": {"replicas": 2}, "status": status}));
    let available = json!([condition("Available", "True")]);
    assert_snapshot!(at(json!({})), @"waiting: 0 of 2 updated");
    assert_snapshot!(at(json!({"observedGeneration": 1, "replicas": 2})), @"waiting: its controller has not seen the latest change");
    assert_snapshot!(at(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 3, "availableReplicas": 3})), @"waiting: old replicas are still running");
    assert_snapshot!(at(json!({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2, "conditions": available})), @"ready");
    let stuck = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    assert_snapshot!(at(json!({ "conditions": stuck })), @"stuck: Progressing is False (ProgressDeadlineExceeded)");
}

#[test]
fn a_stateful_set_is_ready_when_its_rollout_has_ended() {
    let at =
        |status: Json| judge("apps/v1", "StatefulSet", json!({"spec": {"replicas": 1}, "status": status}));
    assert_snapshot!(at(json!({})), @"waiting: 0 of 1 created");
    assert_snapshot!(at(json!({"replicas": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"})), @"waiting: its rollout has not ended");
    assert_snapshot!(at(json!({"replicas": 1, "readyReplicas": 1, "currentRevision": "b", "updateRevision": "b"})), @"ready");
}

#[test]
fn other_workloads_count_their_pods() {
    assert_snapshot!(judge("apps/v1", "DaemonSet", json!({})), @"waiting: its controller has not looked at it");
    assert_snapshot!(judge("apps/v1", "DaemonSet", json!({"status": {"desiredNumberScheduled": 0}})), @"ready");
    assert_snapshot!(judge("apps/v1", "ReplicaSet", json!({"status": {"replicas": 1, "fullyLabeledReplicas": 1}})), @"waiting: 0 of 1 available");
    assert_snapshot!(judge("policy/v1", "PodDisruptionBudget", json!({"status": {"currentHealthy": 0, "desiredHealthy": 1}})), @"waiting: 0 of 1 healthy");
}

#[test]
fn a_pod_is_ready_when_its_condition_says_so_or_it_has_succeeded() {
    assert_snapshot!(judge("v1", "Pod", json!({"status": {"phase": "Running", "conditions": [condition("Ready", "False")]}})), @"waiting: Ready is False (R: m)");
    assert_snapshot!(judge("v1", "Pod", json!({"status": {"phase": "Succeeded"}})), @"ready");
    assert_snapshot!(judge("v1", "Pod", json!({"status": {"phase": "Failed"}})), @"stuck: it has failed");
    assert_snapshot!(judge("v1", "Pod", json!({"status": {"phase": "Pending", "conditions": [condition("PodScheduled", "False")]}})), @"waiting: PodScheduled is False (R: m)");
}

#[test]
fn a_job_is_ready_once_it_runs_and_stuck_once_it_failed() {
    assert_snapshot!(judge("batch/v1", "Job", json!({})), @"waiting: it has not started");
    assert_snapshot!(judge("batch/v1", "Job", json!({"status": {"startTime": "2026-11-21T06:30:00Z"}})), @"ready");
    assert_snapshot!(judge("batch/v1", "Job", json!({"status": {"conditions": [condition("Failed", "True")]}})), @"stuck: Failed is True (R: m)");
}

#[test]
fn a_definition_is_ready_when_its_names_are_accepted_and_it_is_established() {
    let at = |conditions: Json| {
        judge(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json!({"status": {"conditions": conditions}}),
        )
    };
    assert_snapshot!(at(json!([])), @"waiting: it has no condition NamesAccepted yet");
    assert_snapshot!(at(json!([condition("NamesAccepted", "True"), condition("Established", "False")])), @"waiting: Established is False (R: m)");
    assert_snapshot!(at(json!([condition("NamesAccepted", "False")])), @"stuck: NamesAccepted is False (R: m)");
    assert_snapshot!(at(json!([condition("NamesAccepted", "True"), condition("Established", "True")])), @"ready");
}

#[test]
fn phases_count_for_claims_and_namespaces() {
    assert_snapshot!(judge("v1", "PersistentVolumeClaim", json!({"status": {"phase": "Pending"}})), @"waiting: its phase is Pending, not Bound");
    assert_snapshot!(judge("v1", "Namespace", json!({"status": {"phase": "Active"}})), @"ready");
}

#[test]
fn a_load_balancer_needs_an_address_in_the_cluster_only() {
    assert_snapshot!(judge("v1", "Service", json!({"spec": {"type": "LoadBalancer"}})), @"waiting: it has no cluster IP");
    assert_snapshot!(judge("v1", "Service", json!({"spec": {"type": "ClusterIP"}})), @"ready");
}

#[test]
fn any_other_kind_is_judged_by_its_conditions() {
    let at = |status: Json| judge("example.org/v1", "Widget", json!({ "status": status }));
    assert_snapshot!(at(json!({})), @"ready");
    assert_snapshot!(at(json!({"conditions": [condition("Ready", "Unknown")]})), @"waiting: Ready is Unknown (R: m)");
    assert_snapshot!(at(json!({"conditions": [condition("Ready", "True")]})), @"ready");
    assert_snapshot!(at(json!({"conditions": [condition("Reconciling", "True")]})), @"waiting: Reconciling is True (R: m)");
    assert_snapshot!(at(json!({"conditions": [condition("Stalled", "True"), condition("Ready", "True")]})), @"stuck: Stalled is True (R: m)");
    assert_snapshot!(at(json!({"observedGeneration": 1})), @"waiting: its controller has not seen the latest change");
}

#[test]
fn what_is_being_deleted_is_not_ready() {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "deletionTimestamp": "2026-11-21T06:30:00Z"}, "status": {"phase": "Terminating"}});
    assert_eq!(kstatus(&Manifest::parse(object).unwrap()), Readiness::Waiting("it is being deleted".into()));
}
