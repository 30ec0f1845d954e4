//! Claims about what a fixup has to do.
#![expect(clippy::needless_pass_by_value, reason = "json! literals read best as values")]

use insta::assert_snapshot;

use super::*;

fn fixup(action: Json) -> Fixup {
    let mut spec = json!({"name": "mend"});
    spec.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
    Fixup::compile(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn object(rest: Json) -> Manifest {
    let mut tree = json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a", "uid": "1", "labels": {"old": "x"}}});
    json_patch::merge(&mut tree, &rest);
    Manifest::parse(tree).unwrap()
}

fn shown(action: Json, on: Json) -> String {
    let fixup = fixup(action);
    let object = object(on);
    let step = match fixup.step(&object, Timestamp::UNIX_EPOCH) {
        Step::Done => "done".into(),
        Step::Patch(Patch::Merge(patch), sub) => format!("merge {patch} {sub}"),
        Step::Patch(Patch::Json(operations), _) => format!("json {}", Json::from(operations)),
        Step::Delete(propagation) => format!("delete {propagation:?}"),
        Step::Wait => "wait".into(),
    };
    let effect = fixup.effect(Some(&object), Some("1"), Timestamp::UNIX_EPOCH);
    format!("{}: {} / {effect:?}", fixup.describe(), step.trim_end())
}

const TARGET: fn() -> Json = || json!({"kind": "Thing", "name": "a"});

#[test]
fn a_label_is_set_only_where_it_is_not_there() {
    let action = json!({"label": {"target": TARGET(), "set": {"new": "1"}, "remove": ["old", "none"]}});
    assert_snapshot!(shown(action.clone(), json!({})), @r#"set label new=1, remove label old, remove label none: merge {"metadata":{"labels":{"new":"1","old":null}}} / Waiting("the change is not there; another program may have undone it")"#);
    assert_snapshot!(shown(action, json!({"metadata": {"labels": {"new": "1", "old": null}}})), @"set label new=1, remove label old, remove label none: done / Ready");
}

#[test]
fn replicas_are_set_through_the_scale_subresource() {
    let action = json!({"scale": {"target": TARGET(), "replicas": 0}});
    assert_snapshot!(shown(action.clone(), json!({"spec": {"replicas": 2}})), @r#"scale to 0: merge {"spec":{"replicas":0}} scale / Waiting("the change is not there; another program may have undone it")"#);
    assert_snapshot!(shown(action, json!({"spec": {"replicas": 0}})), @"scale to 0: done / Ready");
}

#[test]
fn a_patch_that_changes_nothing_is_not_sent() {
    let merge = json!({"patch": {"target": TARGET(), "merge": {"spec": {"a": 1}}}});
    assert_snapshot!(shown(merge.clone(), json!({})), @r#"patch: merge {"spec":{"a":1}} / Waiting("the change is not there; another program may have undone it")"#);
    assert_snapshot!(shown(merge, json!({"spec": {"a": 1}})), @"patch: done / Ready");
    let operations =
        json!([{"op": "add", "path": "/spec/list/-", "value": "x"}, {"op": "remove", "path": "/spec/b"}]);
    let patch = json!({"patch": {"target": TARGET(), "json": operations}});
    assert_snapshot!(shown(patch.clone(), json!({"spec": {"list": [], "b": 1}})), @r#"patch: json [{"op":"add","path":"/spec/list/-","value":"x"},{"op":"remove","path":"/spec/b"}] / Waiting("the change is not there; another program may have undone it")"#);
    assert_snapshot!(shown(patch, json!({"spec": {"list": ["x"]}})), @"patch: done / Ready");
}

#[test]
fn deleted_means_that_this_very_object_is_gone() {
    let action = json!({"delete": {"target": TARGET()}});
    assert_snapshot!(shown(action.clone(), json!({"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}})), @r#"delete (Background): delete Background / Waiting("it is still there, held by the finalizers kubernetes.io/pvc-protection")"#);
    assert_snapshot!(shown(action.clone(), json!({"metadata": {"uid": "2"}})), @"delete (Background): delete Background / Ready");
    assert_eq!(fixup(action).effect(None, Some("1"), Timestamp::UNIX_EPOCH), Readiness::Ready);
}

#[test]
fn a_restart_marks_the_template_and_waits_for_the_rollout() {
    let action = json!({"restart": {"target": TARGET()}});
    assert_snapshot!(shown(action.clone(), json!({})), @r#"restart: merge {"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"1970-01-01T00:00:00Z"}}}}} / Waiting("the mark of the restart is not there; another program may have undone it")"#);
    let annotations = json!({ RESTARTED: "1970-01-01T00:00:00Z" });
    let marked = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    assert_snapshot!(shown(action, marked), @r#"restart: merge {"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"1970-01-01T00:00:00Z"}}}}} / Ready"#);
}

#[test]
fn a_wait_takes_a_missing_field_for_not_yet() {
    let action = json!({"wait": {"target": TARGET(), "for": "object.status.phase == 'Up'"}});
    assert_snapshot!(shown(action.clone(), json!({})), @r#"wait for object.status.phase == 'Up': wait / Waiting("not yet object.status.phase == 'Up'")"#);
    assert_snapshot!(shown(action, json!({"status": {"phase": "Up"}})), @"wait for object.status.phase == 'Up': wait / Ready");
}

#[test]
fn a_bad_expression_names_the_fixup_and_the_field() {
    let spec = json!({"name": "mend", "when": "object.(", "delete": {"target": TARGET()}});
    let error = Fixup::compile(&serde_json::from_value(spec).unwrap()).err().unwrap();
    assert_eq!(error.to_string(), "cannot read `when` of fixup mend");
}

#[test]
fn a_patch_of_string_data_is_seen_where_the_server_keeps_it() {
    let patch =
        json!({"patch": {"target": {"kind": "Secret", "name": "a"}, "merge": {"stringData": {"k": "new"}}}});
    let fixup = fixup(patch);
    let secret = |data: &str| {
        Manifest::parse(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "uid": "1"}, "data": {"k": data}})).unwrap()
    };
    let Step::Patch(Patch::Merge(sent), "") = fixup.step(&secret("b2xk"), Timestamp::UNIX_EPOCH) else {
        panic!("no patch")
    };
    assert_eq!(sent, json!({"data": {"k": "bmV3"}}));
    assert!(matches!(fixup.step(&secret("bmV3"), Timestamp::UNIX_EPOCH), Step::Done));
}
