//! Claims about pausing and resuming one owner.

#![expect(clippy::needless_pass_by_value, reason = "calls read better without `&` before each literal")]

use super::*;

const ME: &str = "request shop";

fn flux() -> SuspendSpec {
    SuspendSpec { path: "/spec/suspend".into(), value: json!(true) }
}

fn argo() -> SuspendSpec {
    let path = "/metadata/annotations/argocd.argoproj.io~1skip-reconcile".into();
    SuspendSpec { path, value: json!("true") }
}

fn set() -> SuspendSpec {
    SuspendSpec { path: "/spec/syncPolicy/applicationsSync".into(), value: json!("create-only") }
}

fn owner(rest: Json) -> Manifest {
    let mut tree = json!({"apiVersion": "example.org/v1", "kind": "Owner",
        "metadata": {"name": "apps", "namespace": "flux-system", "resourceVersion": "7"}});
    json_patch::merge(&mut tree, &rest);
    Manifest::parse(tree).unwrap()
}

fn patched(owner: &Manifest, patch: &Json) -> Manifest {
    owner.clone().edit(|tree| json_patch::merge(tree, patch)).unwrap()
}

#[test]
fn what_was_paused_is_afterwards_what_it_was_before() {
    let cases = [
        (flux(), json!({"spec": {"path": "./apps"}})),
        (flux(), json!({"spec": {"path": "./apps", "suspend": false}})),
        (flux(), json!({"spec": {}})),
        (flux(), json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"path": "./apps"}})),
        (argo(), json!({"spec": {"project": "default"}})),
        (argo(), json!({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "false"}}})),
        (set(), json!({"spec": {"generators": []}})),
        (set(), json!({"spec": {"syncPolicy": {}}})),
        (set(), json!({"spec": {"syncPolicy": {"applicationsSync": "sync"}}})),
        (set(), json!({})),
    ];
    for (by, rest) in cases {
        let before = owner(rest.clone());
        let paused = patched(&before, &pause(&before, &by, ME).unwrap());
        assert!(is_suspended(&paused, &by), "{rest}");
        assert_eq!(pause(&paused, &by, ME), None, "{rest}");
        let after = patched(&paused, &resume(&paused, &by).unwrap());
        assert_eq!(after, before, "{rest}");
        assert_eq!(awake(paused, &by), before, "{rest}");
    }
}

#[test]
fn the_record_says_who_paused_it_and_what_was_there() {
    let patch = pause(&owner(json!({"spec": {"suspend": false}})), &flux(), ME).unwrap();
    let paused = r#"{"restore":"request shop","was":false}"#;
    let wanted = json!({"spec": {"suspend": true},
        "metadata": {"annotations": {"backstay.dev/paused": paused}, "resourceVersion": "7"}});
    assert_eq!(patch, wanted);
}

#[test]
fn what_somebody_else_suspended_is_neither_paused_nor_resumed() {
    let by_hand = owner(json!({"spec": {"suspend": true}}));
    assert_eq!(pause(&by_hand, &flux(), ME), None);
    assert_eq!(resume(&by_hand, &flux()), None);
    assert_eq!(awake(by_hand.clone(), &flux()), by_hand);
}

#[test]
fn an_owner_that_was_woken_up_is_paused_again_and_keeps_its_first_record() {
    let before = owner(json!({"spec": {"path": "x"}}));
    let paused = patched(&before, &pause(&before, &flux(), ME).unwrap());
    let woken = patched(&paused, &json!({"spec": {"suspend": false}}));
    let again = patched(&woken, &pause(&woken, &flux(), ME).unwrap());
    assert_eq!(mark(&again), mark(&paused));
    let other = patched(&woken, &pause(&woken, &flux(), "request other").unwrap());
    let Mark::Of(record) = mark(&other) else { panic!("no record") };
    assert_eq!((record.restore.as_str(), record.was), ("request other", Some(json!(false))));
}

#[test]
fn a_field_that_somebody_changed_meanwhile_stays_and_the_record_goes() {
    let before = owner(json!({"spec": {"path": "x"}}));
    let paused = patched(&before, &pause(&before, &flux(), ME).unwrap());
    let woken = patched(&paused, &json!({"spec": {"suspend": false}}));
    let after = patched(&woken, &resume(&woken, &flux()).unwrap());
    assert_eq!(after, owner(json!({"spec": {"path": "x", "suspend": false}})));
}

#[test]
fn a_record_that_cannot_be_read_is_left_alone() {
    let strange = owner(json!({"metadata": {"annotations": {"backstay.dev/paused": "yes"}}}));
    assert_eq!(mark(&strange), Mark::Unreadable);
    assert_eq!(resume(&strange, &flux()), None);
}

/// What becomes of a saved owner: as it is sent, and after the end. `live` is the one in the cluster, if any.
fn through(saved: Json, live: Option<&Manifest>) -> (bool, Manifest) {
    let sent = held(owner(saved), &flux(), ME, live);
    let merged = match live {
        Some(live) => patched(live, sent.as_json()),
        None => sent,
    };
    let quiet = is_suspended(&merged, &flux());
    (quiet, awake(merged, &flux()))
}

#[test]
fn a_restored_owner_is_quiet_until_the_end_and_becomes_what_was_saved() {
    for saved in [json!({"spec": {"a": 1}}), json!({"spec": {"suspend": false}})] {
        let (quiet, after) = through(saved.clone(), None);
        assert!(quiet);
        assert_eq!(after, owner(saved).sorted());
    }
    let (quiet, after) = through(json!({"spec": {"suspend": true}}), None);
    assert!(quiet && mark(&after) == Mark::None);
    assert_eq!(after.at("/spec/suspend"), Some(&json!(true)));
}

#[test]
fn an_update_of_an_owner_keeps_it_quiet_and_says_the_last_word_on_what_was_saved() {
    let live = owner(json!({"spec": {"suspend": false, "b": 2}}));
    let paused = patched(&live, &pause(&live, &flux(), ME).unwrap());
    let (quiet, after) = through(json!({"spec": {"a": 1}}), Some(&paused));
    assert!(quiet);
    assert_eq!(after.at("/spec"), Some(&json!({"a": 1, "b": 2, "suspend": false})));
    let (quiet, after) = through(json!({"spec": {"suspend": true}}), Some(&paused));
    assert!(quiet);
    assert_eq!(after.at("/spec/suspend"), Some(&json!(true)));
    assert_eq!(mark(&after), Mark::None);
    let by_hand = owner(json!({"spec": {"suspend": true}}));
    let (quiet, after) = through(json!({"spec": {"a": 1}}), Some(&by_hand));
    assert!(quiet && mark(&after) == Mark::None);
    assert_eq!(after.at("/spec/suspend"), Some(&json!(true)));
}
