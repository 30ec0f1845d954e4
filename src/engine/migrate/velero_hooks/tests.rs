//! Claims about Velero's hooks in the words of Backstay.

use insta::assert_snapshot;

use super::*;

fn shown(text: &str) -> String {
    match convert("velero.yaml", text) {
        Ok(converted) => yaml::emit(&serde_json::to_value(converted).unwrap()).unwrap(),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn the_hooks_of_a_schedule_become_hooks_of_a_policy() {
    let text = "
apiVersion: velero.io/v1
kind: Schedule
metadata: {name: nightly}
spec:
  schedule: 0 1 * * *
  template:
    hooks:
      resources:
      - name: freeze
        includedNamespaces: ['*']
        excludedNamespaces: [kube-system]
        labelSelector: {matchLabels: {app: db}}
        pre:
        - exec: {container: freezer, command: [/sbin/fsfreeze, --freeze, /data], onError: Continue, timeout: 1m30s}
        post:
        - exec: {command: [/sbin/fsfreeze, --unfreeze, /data]}
      - name: volumes
        includedResources: [persistentvolumes]
        pre: [{exec: {command: ['true']}}]
";
    assert_snapshot!(shown(text), @r#"
    hooks:
    - name: freeze-pre-0
      hook:
        when: PreBackup
        excludeNamespaces:
        - kube-system
        labelSelector:
          matchLabels:
            app: db
        exec:
          container: freezer
          command:
          - /sbin/fsfreeze
          - --freeze
          - /data
        timeout: 1m30s
        onError: Continue
    - name: freeze-post-0
      hook:
        when: PostBackup
        excludeNamespaces:
        - kube-system
        labelSelector:
          matchLabels:
            app: db
        exec:
          command:
          - /sbin/fsfreeze
          - --unfreeze
          - /data
        weight: 1
        onError: Fail
    notes:
    - "volumes is left out: Velero runs hooks for pods only"
    "#);
}

#[test]
fn the_hooks_of_a_restore_become_hooks_of_a_request() {
    let text = "
hooks:
  resources:
  - name: load
    includedNamespaces: [shop]
    postHooks:
    - exec: {command: [load], waitTimeout: 5m, waitForReady: true}
    - init: {timeout: 1m, initContainers: [{name: fill, image: busybox, command: [sh, -c, 'true']}]}
";
    assert_snapshot!(shown(text), @r#"
    hooks:
    - name: load-posthooks-0
      hook:
        when: PostRestore
        namespaces:
        - shop
        exec:
          command:
          - load
        wait:
          until: Ready
          timeout: 5m
        onError: Continue
    - name: load-posthooks-1
      hook:
        when: PostRestore
        namespaces:
        - shop
        init:
          containers:
          - name: fill
            image: busybox
            command:
            - sh
            - -c
            - "true"
        weight: 1
        onError: Fail
    notes:
    - "load: the `timeout` of `init` has no effect, as with Velero"
    "#);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let text = "
kind: Backup
spec:
  hooks:
    resources:
    - name: a
      includedNamespaces: [Shop]
      pre:
      - exec: {command: [], timeot: 3s}
    - name: b
      pre:
      - exec: {command: [x], onError: fail, timeout: soon}
";
    assert_snapshot!(shown(text), @r#"
    velero.yaml:9:16: spec.hooks.resources[0].pre[0].exec.command: needs at least 1 element
    velero.yaml:9:29: spec.hooks.resources[0].pre[0].exec.timeot: there is no field `timeot`
      help: did you mean `timeout`?
    velero.yaml:12:39: spec.hooks.resources[1].pre[0].exec.onError: "fail" is none of Fail, Continue
      help: did you mean `Fail`?
    "#);
    assert_snapshot!(shown("kind: Pod"), @"
    velero.yaml:1:7: kind: a Pod of Velero has no hooks
      help: give a Backup, a Schedule, a Restore, or `hooks` alone
    ");
    assert_snapshot!(shown("kind: Backup\nspec: {}"), @"velero.yaml:1:1: there are no hooks in it: `hooks.resources` is missing");
}
