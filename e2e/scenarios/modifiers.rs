//! Velero's resource modifiers, carried out by a restore.

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::scenarios::restore::settled;
use crate::support::parts::Need;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![Scenario { name: "velero-modifiers-change-what-is-restored", needs: &[Need::Api], run: modifiers }]
}

/// What somebody wrote for Velero; NAMESPACE is where the objects were saved.
const RULES: &str = r#"version: v1
resourceModifierRules:
- conditions:
    groupResource: deployments.apps
    resourceNameRegex: "^web$"
    namespaces: [NAMESPACE]
  patches:
  - operation: test
    path: /spec/template/spec/serviceAccountName
    value: web
  - operation: replace
    path: /spec/replicas
    value: "0"
  - operation: replace
    path: /metadata/annotations/argocd.argoproj.io~1sync-wave
    value: "\"3\""
  - operation: add
    path: /spec/template/spec/containers/0/env
    value: "[{\"name\": \"MOVED\", \"value\": \"yes\"}]"
- conditions:
    groupResource: deployments.apps
  patches:
  - operation: test
    path: /spec/replicas
    value: "7"
  - operation: replace
    path: /spec/replicas
    value: "5"
- conditions:
    groupResource: configmaps
    matches:
    - path: /data/answer
      value: "yes"
  mergePatches:
  - patchData: |
      data:
        answer: "no"
        number: null
- conditions:
    groupResource: "persistentvolume*"
    namespaces: ["NAMES*"]
  strategicPatches:
  - patchData: '{"metadata": {"labels": {"moved": "yes"}}}'
- conditions:
    groupResource: "*"
    resourceNameRegex: "^(web|db)$"
    labelSelector:
      matchExpressions:
      - {key: moved, operator: DoesNotExist}
    matches:
    - path: /spec/clusterIP
      value: None
  mergePatches:
  - patchData: 'metadata: {labels: {headless: "yes"}}'
- conditions:
    groupResource: deployments.apps
    namespaces: [elsewhere]
  patches:
  - operation: remove
    path: /spec/absent
"#;

const REQUEST: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: modified}
spec:
  from: {location: archive, snapshot: latest}
  select: {clusterResources: {exclude: ['*']}}
  namespaceMapping: {NAMESPACE: NAMESPACE-moved}
";

fn modifiers(sandbox: &Sandbox) {
    shop(sandbox);
    settled(sandbox);
    sandbox.with_key(&["backup"]).expect(0);
    let namespace = sandbox.namespace.as_str();
    let rules = RULES.replace("NAMES*", &format!("{}*", &namespace[..8])).replace("NAMESPACE", namespace);
    sandbox.write("modifiers.yaml", &rules);
    let transforms = converted(sandbox);
    sandbox.write("policy/modified.yaml", &(REQUEST.replace("NAMESPACE", namespace) + &transforms));
    sandbox.with_key(&["restore", "apply", "modified"]).expect(0);

    let moved = format!("{namespace}-moved");
    let web = sandbox.object("deployment", &moved, "web").unwrap();
    assert_eq!(web["spec"]["replicas"], 0);
    assert_eq!(web["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"], "3");
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"], "yes");
    let config = sandbox.object("configmap", &moved, "web").unwrap();
    assert_eq!(config["data"]["answer"], "no");
    assert!(config["data"]["number"].is_null() && config["data"]["octal"] == "012");
    let claim = sandbox.object("persistentvolumeclaim", &moved, "data-db-0").unwrap();
    assert_eq!(claim["metadata"]["labels"]["moved"], "yes");
    assert_eq!(sandbox.object("service", &moved, "db").unwrap()["metadata"]["labels"]["headless"], "yes");
    assert!(sandbox.object("service", &moved, "web").unwrap()["metadata"]["labels"]["headless"].is_null());
    let before = sandbox.object("deployment", namespace, "web").unwrap();
    assert_eq!(before["spec"]["replicas"], 1, "the original stays");
    refused(sandbox, &rules);
}

/// The transforms as a person pastes them, from the `ConfigMap` that Velero would read; the same come from the file itself.
fn converted(sandbox: &Sandbox) -> String {
    let namespace = sandbox.namespace.as_str();
    let file = format!("--from-file={}", sandbox.path("modifiers.yaml"));
    sandbox.kubectl(&["create", "configmap", "modifiers", "-n", namespace, &file]).expect(0);
    let map = sandbox.kubectl(&["get", "configmap", "modifiers", "-n", namespace, "-o", "yaml"]).expect(0);
    sandbox.write("configmap.yaml", &map.stdout);
    let printed = sandbox.backstay(&["migrate", "modifiers", "configmap.yaml"]).expect(0).stdout;
    assert_eq!(sandbox.backstay(&["migrate", "modifiers", "modifiers.yaml"]).expect(0).stdout, printed);
    let json = sandbox.backstay(&["migrate", "modifiers", "modifiers.yaml", "-o", "json"]).expect(0).json();
    assert_eq!(json["transforms"].as_array().map(Vec::len), Some(6), "{json}");
    printed.lines().map(|line| format!("  {line}\n")).collect::<Vec<_>>().concat()
}

/// A wrong file is a usage error, and each mistake has its line.
fn refused(sandbox: &Sandbox, rules: &str) {
    let wrong =
        rules.replace("groupResource: configmaps", "groupresource: configmaps").replace("remove", "delete");
    sandbox.write("wrong.yaml", &wrong);
    let run = sandbox.backstay(&["migrate", "modifiers", "wrong.yaml"]).expect(2);
    run.says("wrong.yaml:30:5")
        .says("did you mean `groupResource`?")
        .says("\"delete\" is none of add, remove");
    let run = sandbox
        .shell(&format!("{} migrate modifiers - < wrong.yaml || exit $?", env!("CARGO_BIN_EXE_backstay")));
    run.expect(2).says("standard input:30:5");
}
