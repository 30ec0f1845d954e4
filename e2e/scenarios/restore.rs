//! What a restore brings back, and in which order.

use std::fs;

use serde_json::{Value, json};

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "an-application-comes-back-equal", needs: &[Need::Api], run: comes_back },
        Scenario {
            name: "definitions-come-back-before-their-objects",
            needs: &[Need::Api],
            run: definitions_first,
        },
        Scenario { name: "a-restore-from-the-mirror", needs: &[Need::Api], run: from_mirror },
        Scenario { name: "owners-are-linked-by-their-new-uids", needs: &[Need::Api], run: owners },
        Scenario {
            name: "existing-objects-are-skipped-updated-or-refused",
            needs: &[Need::Api],
            run: existing,
        },
        Scenario {
            name: "a-plan-writes-nothing-and-tells-what-apply-does",
            needs: &[Need::Api],
            run: plan_only,
        },
        Scenario { name: "pods-run-again-after-a-restore", needs: &[Need::Node], run: pods_run },
        Scenario { name: "real-world-manifests-come-back", needs: &[Need::Api], run: real_world },
    ]
}

/// Objects of the fixture that a person applied, as kind and name.
const APPLIED: [(&str, &str); 17] = [
    ("serviceaccount", "web"),
    ("secret", "db"),
    ("configmap", "web"),
    ("deployment", "web"),
    ("statefulset", "db"),
    ("service", "web"),
    ("service", "db"),
    ("ingress", "web"),
    ("networkpolicy", "web"),
    ("role", "system:reader"),
    ("rolebinding", "reader"),
    ("horizontalpodautoscaler", "web"),
    ("poddisruptionbudget", "web"),
    ("cronjob", "report"),
    ("resourcequota", "limits"),
    ("limitrange", "limits"),
    ("persistentvolumeclaim", "data-db-0"),
];

/// An object without what only an API server or a controller writes.
pub fn comparable(mut object: Value) -> Value {
    let map = object.as_object_mut().unwrap();
    map.remove("status");
    let metadata = map["metadata"].as_object_mut().unwrap();
    for field in
        ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences"]
    {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| {
            !["deployment.kubernetes.io/", "pv.kubernetes.io/", "volume.", "backstay.dev/"]
                .iter()
                .any(|p| key.starts_with(p))
        });
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
        if spec.get("clusterIP") != Some(&json!("None")) {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        spec.remove("volumeName");
    }
    object
}

fn snapshot_of(sandbox: &Sandbox, namespace: &str) -> Vec<(String, Value)> {
    let object = |(kind, name): &(&str, &str)| {
        let found = sandbox.object(kind, namespace, name).map_or(Value::Null, comparable);
        (format!("{kind}/{name}"), found)
    };
    APPLIED.iter().map(object).collect()
}

pub fn settled(sandbox: &Sandbox) {
    wait(60, "the claim of the stateful set", || {
        sandbox.object("persistentvolumeclaim", &sandbox.namespace, "data-db-0")
    });
}

#[track_caller]
fn assert_equal(before: &[(String, Value)], after: &[(String, Value)]) {
    for ((name, before), (_, after)) in before.iter().zip(after) {
        assert_eq!(before, after, "{name} is not as it was");
    }
}

fn comes_back(sandbox: &Sandbox) {
    shop(sandbox);
    settled(sandbox);
    let ns = sandbox.namespace.clone();
    let before = snapshot_of(sandbox, &ns);
    let role = sandbox.object("clusterrole", "", &format!("{ns}-nodes")).map(comparable);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&ns);
    sandbox.kubectl(&["delete", "clusterrole,clusterrolebinding", &format!("{ns}-nodes")]).expect(0);

    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(0);
    settled(sandbox);
    assert_equal(&before, &snapshot_of(sandbox, &ns));
    assert_eq!(sandbox.object("clusterrole", "", &format!("{ns}-nodes")).map(comparable), role);
    assert!(sandbox.object("clusterrolebinding", "", &format!("{ns}-nodes")).is_some());
    assert_eq!(sandbox.object("namespace", "", &ns).unwrap()["metadata"]["labels"]["team"], "shop");

    // Again: nothing is left to do, and nothing is made twice.
    let again =
        sandbox.with_key(&["restore", "apply", "--from", "archive@latest", "-o", "json"]).expect(0).json();
    for wave in again["waves"].as_array().unwrap() {
        for object in wave["objects"].as_array().unwrap() {
            assert!(["Skipped", "Unchanged"].contains(&object["action"].as_str().unwrap()), "{object}");
        }
    }
}

fn definitions_first(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.apply(include_str!("../fixtures/bottles.yaml"));
    let ns = sandbox.namespace.clone();
    let bottle = format!(
        "apiVersion: {ns}.example.org/v1
kind: Bottle
metadata: {{name: green, namespace: {ns}, finalizers: [example.org/keep]}}
spec: {{millilitres: 750, big: 9007199254740993, label: \"0x1F\"}}
"
    );
    let crd = format!("bottles.{ns}.example.org");
    sandbox.kubectl(&["wait", "--for=condition=Established", "crd", &crd, "--timeout=30s"]).expect(0);
    sandbox.apply(&bottle);
    sandbox.backstay(&["backup"]).expect(0);
    let free = r#"{"metadata":{"finalizers":null}}"#;
    sandbox.kubectl(&["patch", &crd, "green", "-n", &ns, "--type=merge", "-p", free]).expect(0);
    sandbox.kubectl(&["delete", "crd", &crd]).expect(0);
    sandbox.lose_namespace(&ns);

    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(0);
    let back = sandbox.object(&crd, &ns, "green").expect("the custom resource is back");
    assert_eq!(back["spec"]["millilitres"], 750);
    assert_eq!(back["spec"]["big"], 9_007_199_254_740_993_i64);
    assert_eq!(back["spec"]["label"], "0x1F");
    sandbox.kubectl(&["patch", &crd, "green", "-n", &ns, "--type=merge", "-p", free]);
    sandbox.kubectl(&["delete", "crd", &crd]).expect(0);
}

fn from_mirror(sandbox: &Sandbox) {
    shop(sandbox);
    settled(sandbox);
    let ns = sandbox.namespace.clone();
    let before = snapshot_of(sandbox, &ns);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&ns);
    sandbox.with_key(&["restore", "apply", "--from", "mirror@main"]).expect(0);
    settled(sandbox);
    assert_equal(&before, &snapshot_of(sandbox, &ns));
}

/// A Secret with an owner that comes before it, and a claim with one that comes after it.
const OWNED: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: child, namespace: NAMESPACE, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: parent, uid: PARENT}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, namespace: NAMESPACE, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: late, uid: LATE}]}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}, storageClassName: none}
";

const OWNERS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: parent, namespace: NAMESPACE}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: late, namespace: NAMESPACE}
spec:
  serviceName: late
  replicas: 0
  selector: {matchLabels: {app: late}}
  template: {metadata: {labels: {app: late}}, spec: {containers: [{name: main, image: x}]}}
";

fn owners(sandbox: &Sandbox) {
    sandbox.apply(OWNERS);
    let space = sandbox.namespace.clone();
    let uid = |kind: &str, name: &str| {
        let object = sandbox.object(kind, &space, name).unwrap();
        object["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    sandbox.apply(
        &OWNED.replace("PARENT", &uid("configmap", "parent")).replace("LATE", &uid("statefulset", "late")),
    );
    sandbox.with_key(&["backup"]).expect(0);
    sandbox.lose_namespace(&space);
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(0);
    let owner = |kind: &str, name: &str| {
        let object = sandbox.object(kind, &space, name).unwrap();
        object["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap().to_owned()
    };
    assert_eq!(owner("secret", "child"), uid("configmap", "parent"));
    assert_eq!(owner("persistentvolumeclaim", "claim"), uid("statefulset", "late"));
    sandbox.kubectl(&["delete", "configmap", "parent", "-n", &space]).expect(0);
    wait(30, "the Secret goes with its owner", || {
        sandbox.object("secret", &space, "child").is_none().then_some(())
    });
    let again =
        sandbox.with_key(&["restore", "apply", "--from", "archive@latest", "-o", "json"]).expect(0).json();
    let written =
        again["waves"].as_array().unwrap().iter().flat_map(|wave| wave["objects"].as_array().unwrap());
    let created = written.filter(|object| object["action"] == "Created").count();
    assert_eq!(created, 2, "only what was deleted comes again");
    assert_eq!(owner("secret", "child"), uid("configmap", "parent"));
}

fn existing(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    let ns = sandbox.namespace.clone();
    let change = r#"{"data":{"answer":"no"}}"#;
    sandbox.kubectl(&["patch", "configmap", "web", "-n", &ns, "-p", change]).expect(0);
    sandbox.kubectl(&["delete", "service", "web", "-n", &ns]).expect(0);
    let answer = || sandbox.object("configmap", &ns, "web").unwrap()["data"]["answer"].clone();

    let from = ["restore", "apply", "--from", "archive@latest", "--existing"];
    sandbox.with_key(&[&from[..], &["fail"]].concat()).expect(3).says("ConfigMap");
    assert!(sandbox.object("service", &ns, "web").is_none(), "fail writes nothing at all");
    sandbox.with_key(&[&from[..], &["skip"]].concat()).expect(0);
    assert_eq!(answer(), "no");
    assert!(sandbox.object("service", &ns, "web").is_some());
    sandbox.with_key(&[&from[..], &["update"]].concat()).expect(0);
    assert_eq!(answer(), "yes");
}

fn plan_only(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    let ns = sandbox.namespace.clone();
    sandbox.kubectl(&["delete", "configmap", "web", "-n", &ns]).expect(0);
    let audit = sandbox.parts.get("AUDIT_LOG").to_owned();
    let writes = || {
        let log = fs::read_to_string(&audit).unwrap();
        log.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["userAgent"].as_str().is_some_and(|a| a.starts_with("backstay/")))
            .filter(|event| {
                ["create", "update", "patch", "delete"].contains(&event["verb"].as_str().unwrap_or(""))
            })
            .filter(|event| !event["requestURI"].as_str().unwrap_or("").contains("dryRun=All"))
            .count()
    };
    let before = writes();
    let plan = sandbox.with_key(&["restore", "plan", "--from", "archive@latest", "-n", &ns]).expect(1);
    plan.says("ConfigMap").says(&format!("{ns}/web"));
    assert_eq!(writes(), before, "a plan wrote to the cluster");
    assert!(sandbox.object("configmap", &ns, "web").is_none());
    let report = sandbox
        .with_key(&["restore", "apply", "--from", "archive@latest", "-n", &ns, "-o", "json"])
        .expect(0);
    let report = report.json();
    let created: Vec<&Value> = report["waves"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|w| w["objects"].as_array().unwrap())
        .filter(|o| o["action"] == "Created")
        .collect();
    assert_eq!(created.len(), 1, "{created:?}");
    assert_eq!(created[0]["kind"], "ConfigMap");
    assert!(writes() > before, "the audit log shows no write of apply; the proof above proves nothing");
}

fn pods_run(sandbox: &Sandbox) {
    shop(sandbox);
    let ns = sandbox.namespace.clone();
    let up = || {
        for kind in ["deployment/web", "statefulset/db"] {
            sandbox.kubectl(&["rollout", "status", kind, "-n", &ns, "--timeout=120s"]).expect(0);
        }
    };
    up();
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&ns);
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(0);
    up();
    let pods = sandbox.kubectl(&["get", "pods", "-n", &ns, "-l", "app=web", "-o", "json"]).expect(0).json();
    assert_eq!(pods["items"].as_array().unwrap().len(), 1, "no pod came back twice");
}

/// Manifests of real projects, from a folder that `BACKSTAY_E2E_MANIFESTS` names: applied, saved, lost, restored.
fn real_world(sandbox: &Sandbox) {
    let folder = sandbox.parts.get("MANIFESTS").to_owned();
    if folder.is_empty() {
        println!("        (no BACKSTAY_E2E_MANIFESTS: tried with the fixtures only)");
        return definitions_first(sandbox);
    }
    let setup = format!("{folder}/setup");
    let manifests = if fs::exists(&setup).unwrap() { &setup } else { &folder };
    sandbox.kubectl(&["apply", "--server-side", "-f", manifests]).expect(0);
    sandbox.kubectl(&["wait", "--for=condition=Established", "--all", "crd", "--timeout=60s"]).expect(0);
    sandbox.kubectl(&["apply", "--server-side", "-f", &folder]).expect(0);
    let ids = || {
        let run = sandbox.kubectl(&["get", "-f", &folder, "-f", manifests, "-o", "json"]).expect(0).json();
        let mut items: Vec<String> =
            run["items"].as_array().unwrap().iter().map(|i| comparable(i.clone()).to_string()).collect();
        items.sort();
        items
    };
    let policy = fs::read_to_string(sandbox.dir.join("policy/policy.yaml")).unwrap();
    let narrow = format!("  select:\n    namespaces: {{include: ['{}*']}}\n", sandbox.namespace);
    sandbox.write("policy/policy.yaml", &policy.replace(&narrow, ""));
    let before = ids();
    // An API service whose backend cannot run here makes the outcome Partial, and is named.
    let run = sandbox.backstay(&["backup", "-o", "json"]);
    assert!(run.code <= 1, "{}{}", run.stdout, run.stderr);
    let from = format!("archive@{}", run.json()["snapshot"].as_str().unwrap());
    sandbox.kubectl(&["delete", "-f", &folder, "--timeout=120s"]).expect(0);
    sandbox.kubectl(&["delete", "--ignore-not-found", "-f", manifests, "--timeout=120s"]).expect(0);
    // An operator whose image cannot be pulled here does not become ready, and that is said; every object is written.
    let run = sandbox.with_key(&["restore", "apply", "--from", &from, "-o", "json"]);
    assert!(run.code <= 1, "{}{}", run.stdout, run.stderr);
    let report = run.json();
    let objects = report["waves"].as_array().unwrap().iter().flat_map(|w| w["objects"].as_array().unwrap());
    let failed: Vec<&Value> = objects.filter(|o| o["action"] == "Failed").collect();
    assert!(failed.is_empty(), "{failed:?}");
    let after = ids();
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    sandbox.kubectl(&["delete", "-f", &folder, "-f", manifests, "--ignore-not-found", "--wait=false"]);
}
