//! What objects own and are owned by: children that come back with their controllers, finalizers that wait for theirs.

use std::collections::BTreeSet;

use serde_json::json;

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "children-that-are-asked-for-are-adopted", needs: &[Need::Node], run: children },
        Scenario { name: "a-finalizer-waits-for-its-controller", needs: &[Need::Node], run: finalizers },
    ]
}

/// A Deployment with two revisions, and a `CronJob` with a Job of its past.
const APP: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: IMAGE, command: [sleep, '10000'], env: [{name: REVISION, value: 'VALUE'}]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: clean, namespace: NAMESPACE}
spec:
  schedule: '0 0 1 1 *'
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, terminationGracePeriodSeconds: 1, containers: [{name: main, image: IMAGE, command: [sleep, '10000']}]}}}}
";

fn app(sandbox: &Sandbox, value: &str) {
    sandbox.apply(&APP.replace("IMAGE", sandbox.parts.get("IMAGE")).replace("VALUE", value));
    rolled_out(sandbox);
}

fn rolled_out(sandbox: &Sandbox) {
    let args = ["rollout", "status", "deployment/web", "--timeout=60s", "-n", &sandbox.namespace];
    sandbox.kubectl(&args).expect(0);
}

fn names(sandbox: &Sandbox, kind: &str) -> BTreeSet<String> {
    let found = sandbox.kubectl(&["get", kind, "-n", &sandbox.namespace, "-o", "name"]).expect(0).stdout;
    found.lines().map(str::to_owned).collect()
}

fn children(sandbox: &Sandbox) {
    app(sandbox, "one");
    app(sandbox, "two");
    wait(30, "the pods of the first revision are gone", || (names(sandbox, "pods").len() == 2).then_some(()));
    sandbox.kubectl(&["create", "job", "past", "--from=cronjob/clean", "-n", &sandbox.namespace]).expect(0);
    let (sets, pods) = (names(sandbox, "replicasets"), names(sandbox, "pods"));
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);

    let args = ["restore", "apply", "--from", "archive@latest"];
    let asked = ["--children", "ReplicaSet", "--children", "Pod", "--children", "Job"];
    sandbox.with_key(&[&args[..], &asked[..]].concat()).expect(0);
    rolled_out(sandbox);
    assert_eq!(names(sandbox, "replicasets"), sets, "no third set was made");
    let kept: BTreeSet<String> = names(sandbox, "pods").intersection(&pods).cloned().collect();
    assert_eq!(kept.iter().filter(|name| name.starts_with("pod/web-")).count(), 2, "{kept:?} of {pods:?}");
    let history = ["rollout", "history", "deployment/web", "-n", &sandbox.namespace];
    assert!(
        sandbox
            .kubectl(&history)
            .expect(0)
            .stdout
            .lines()
            .filter(|line| line.starts_with(['1', '2']))
            .count()
            == 2
    );

    // Their owners are the new ones, and still are after a while.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let uid = |kind: &str, name: &str| {
        sandbox.object(kind, &sandbox.namespace, name).unwrap()["metadata"]["uid"].clone()
    };
    for set in &sets {
        let set = sandbox.object("replicaset", &sandbox.namespace, set.rsplit('/').next().unwrap()).unwrap();
        assert_eq!(set["metadata"]["ownerReferences"][0]["uid"], uid("deployment", "web"));
    }
    let past = sandbox.object("job", &sandbox.namespace, "past").unwrap();
    assert_eq!(past["metadata"]["ownerReferences"][0]["uid"], uid("cronjob", "clean"));
    assert_eq!(past["metadata"]["ownerReferences"][0]["controller"], json!(true));
    assert_eq!(names(sandbox, "replicasets"), sets);
}

const GUARDED: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: guarded, namespace: NAMESPACE, finalizers: [widgets.example.org/cleanup]}
";

const MEND: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: mend}
spec:
  from: {location: archive, snapshot: latest}
  finalizers:
    - finalizers: ['widgets.example.org/*']
      controller: {apiVersion: apps/v1, kind: Deployment, namespace: NAMESPACE, name: web}
      timeout: 30s
";

fn finalizers(sandbox: &Sandbox) {
    app(sandbox, "one");
    sandbox.apply(GUARDED);
    sandbox.backstay(&["backup"]).expect(0);
    let release = || {
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        sandbox.kubectl(&[
            "patch",
            "configmap",
            "guarded",
            "-n",
            &sandbox.namespace,
            "--type=merge",
            "-p",
            patch,
        ]);
    };
    release();
    sandbox.lose_namespace(&sandbox.namespace);
    sandbox.write("policy/mend.yaml", &MEND.replace("NAMESPACE", &sandbox.namespace));
    sandbox.with_key(&["restore", "apply", "mend"]).expect(0);
    let guarded = sandbox.object("configmap", &sandbox.namespace, "guarded").unwrap();
    assert_eq!(guarded["metadata"]["finalizers"], json!(["widgets.example.org/cleanup"]));

    release();
    sandbox.write(
        "policy/mend.yaml",
        &MEND
            .replace("NAMESPACE", &sandbox.namespace)
            .replace("name: web", "name: absent")
            .replace("30s", "2s"),
    );
    let told = sandbox.with_key(&["restore", "apply", "mend"]).expect(1).stdout;
    assert!(told.contains("without widgets.example.org/cleanup: its controller Deployment"), "{told}");
    let guarded = sandbox.object("configmap", &sandbox.namespace, "guarded").unwrap();
    assert!(guarded["metadata"]["finalizers"].is_null(), "nobody would take it off");
    release();
}
