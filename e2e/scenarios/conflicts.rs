//! What a restore does with objects that exist and are different.

use serde_json::{Value, json};

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "nothing-that-holds-data-goes-along", needs: &[Need::Api], run: goes_along },
        Scenario { name: "what-came-later-is-pruned", needs: &[Need::Api], run: pruned },
        Scenario {
            name: "what-cannot-be-changed-in-place-is-made-anew-when-asked",
            needs: &[Need::Api],
            run: recreate,
        },
        Scenario {
            name: "a-kept-volume-is-bound-again-and-a-copy-gets-its-own",
            needs: &[Need::Api],
            run: volumes,
        },
    ]
}

/// One object of every kind whose fields the API server guards in words of its own; AAA is what cannot be changed.
const FIXED: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec: {replicas: 0, selector: {matchLabels: {app: AAA}}, template: {metadata: {labels: {app: AAA}}, spec: {containers: [{name: main, image: x}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: NAMESPACE}
spec: {replicas: 0, serviceName: AAA, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: main, image: x}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: NAMESPACE}
spec: {suspend: true, completionMode: MODE, completions: 1, template: {spec: {restartPolicy: Never, containers: [{name: main, image: x}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: NAMESPACE}
spec: {schedulingGates: [{name: example.org/never}], containers: [{name: main, image: x, args: [AAA]}]}
---
apiVersion: v1
kind: Secret
metadata: {name: fixed, namespace: NAMESPACE}
immutable: true
stringData: {a: AAA}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed, namespace: NAMESPACE}
immutable: true
data: {a: AAA}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: role, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ROLE}
subjects: [{kind: User, name: a, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: NAMESPACE}
spec: {storageClassName: AAA, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
";

fn version(new: &str, role: &str, mode: &str) -> String {
    FIXED.replace("AAA", new).replace("ROLE", role).replace("MODE", mode)
}

/// What became of an object, and why.
fn told<'r>(report: &'r Value, kind: &str) -> (&'r str, &'r str) {
    let objects = report["waves"].as_array().unwrap().iter().flat_map(|w| w["objects"].as_array().unwrap());
    let object = objects.into_iter().find(|o| o["kind"] == kind && o["name"] != "default").unwrap();
    (object["action"].as_str().unwrap(), object["reason"].as_str().unwrap_or_default())
}

fn recreate(sandbox: &Sandbox) {
    sandbox.apply(&version("first", "view", "NonIndexed"));
    sandbox.with_key(&["backup"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    sandbox.apply(&version("second", "edit", "Indexed"));
    let restore = |existing: &str, code: i32| {
        let args = ["restore", "apply", "--from", "archive@latest", "--existing", existing, "-o", "json"];
        sandbox.with_key(&args).expect(code).json()
    };
    let kinds = ["Deployment", "StatefulSet", "Job", "Pod", "Secret", "ConfigMap", "RoleBinding"];
    let report = restore("update", 1);
    for kind in kinds {
        let (action, reason) = told(&report, kind);
        assert!(action == "Failed" && reason.contains("existing: Recreate"), "{kind}: {action} {reason}");
    }
    let uid = |kind: &str, name: &str| {
        sandbox.object(kind, &sandbox.namespace, name).unwrap()["metadata"]["uid"].clone()
    };
    let claim = uid("pvc", "data");
    let report = restore("recreate", 1);
    for kind in kinds {
        assert_eq!(told(&report, kind), ("Recreated", ""), "{kind}");
    }
    let (action, reason) = told(&report, "PersistentVolumeClaim");
    assert!(action == "Failed" && reason.ends_with("its data could go with it"), "{action} {reason}");
    assert_eq!(uid("pvc", "data"), claim);
    let web = sandbox.object("deployment", &sandbox.namespace, "web").unwrap();
    assert_eq!(web["spec"]["selector"]["matchLabels"], json!({"app": "first"}));
    let report = restore("recreate", 1);
    for kind in kinds {
        assert_eq!(told(&report, kind).0, "Unchanged", "{kind} a second time");
    }
}

const CLAIM: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: NAMESPACE-kept}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ''
  hostPath: {path: /tmp/hostpath_pv/NAMESPACE}
  claimRef: {namespace: NAMESPACE, name: data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: NAMESPACE}
spec: {storageClassName: '', volumeName: NAMESPACE-kept, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
";

fn volumes(sandbox: &Sandbox) {
    sandbox.apply(CLAIM);
    let space = sandbox.namespace.clone();
    let bound = |what: &str| {
        wait(30, what, || {
            let claim = sandbox.object("pvc", &space, "data")?;
            (claim["status"]["phase"] == "Bound").then_some(claim)
        })
    };
    bound("the claim is bound");
    sandbox.with_key(&["backup"]).expect(0);
    let copy = format!("{space}-copy");
    let map = format!("{space}={copy}");
    let from = ["--from", "archive@latest"];
    let args = [&["restore", "apply"], &from[..], &["--map-namespace", &map]].concat();
    sandbox.with_key(&args).expect(0);
    let copied = sandbox.object("pvc", &copy, "data").unwrap();
    assert_eq!(
        copied["spec"]["volumeName"],
        Value::Null,
        "a copy must not wait for the volume of the original"
    );
    sandbox.lose_namespace(&space);
    let plan = sandbox.with_key(&[&["restore", "plan"], &from[..]].concat()).expect(1);
    plan.says(&format!("volume {space}-kept is kept for it again"));
    let report =
        sandbox.with_key(&[&["restore", "apply"], &from[..], &["-o", "json"]].concat()).expect(0).json();
    let (action, reason) = told(&report, "PersistentVolumeClaim");
    assert!(action == "Created" && reason.contains("is kept for it again"), "{action} {reason}");
    let claim = bound("the claim has its volume back");
    assert_eq!(claim["spec"]["volumeName"], json!(format!("{space}-kept")));
    sandbox.kubectl(&["delete", "namespace", &space, &copy, "--timeout=60s"]).expect(0);
    sandbox.kubectl(&["delete", "pv", &format!("{space}-kept")]).expect(0);
}

const LATER: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: later, namespace: NAMESPACE}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: later, namespace: NAMESPACE}
spec: {accessModes: [ReadWriteOnce], storageClassName: absent, resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: later, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: later}}
  template: {metadata: {labels: {app: later}}, spec: {containers: [{name: later, image: absent}]}}
";

fn pruned(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.apply(LATER);
    let restore = |command: &str, rest: &[&str]| {
        let args: Vec<&str> = ["restore", command, "--from", "archive@latest", "--prune"]
            .into_iter()
            .chain(rest.iter().copied())
            .collect();
        sandbox.with_key(&args)
    };
    let plan = restore("plan", &[]).expect(1).stdout;
    let (map, stays) = (
        format!("deleted: ConfigMap {}/later", sandbox.namespace),
        format!("stays: PersistentVolumeClaim {}/later", sandbox.namespace),
    );
    assert!(plan.contains(&map) && plan.contains(&stays) && plan.contains("delete 2"), "{plan}");
    restore("apply", &[]).expect(2).says("--yes");
    assert!(sandbox.object("configmap", &sandbox.namespace, "later").is_some());

    let report = restore("apply", &["--yes", "-o", "json"]).expect(0).json();
    let last = report["waves"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["wave"], last["objects"].as_array().unwrap().len()),
        (&serde_json::json!("prune"), 3),
        "{last}"
    );
    assert!(sandbox.object("configmap", &sandbox.namespace, "later").is_none());
    assert!(sandbox.object("persistentvolumeclaim", &sandbox.namespace, "later").is_some());
    wait(60, "the replica set of a pruned deployment is gone", || {
        let sets = sandbox.kubectl(&[
            "get",
            "replicasets",
            "-l",
            "app=later",
            "-n",
            &sandbox.namespace,
            "-o",
            "name",
        ]);
        sets.expect(0).stdout.is_empty().then_some(())
    });
    // The claim of somebody else's time is all that is different now.
    sandbox.with_key(&["diff", "archive@latest"]).expect(1).says("1 added");
    sandbox.kubectl(&["delete", "persistentvolumeclaim", "later", "-n", &sandbox.namespace]).expect(0);
    sandbox.with_key(&["diff", "archive@latest"]).expect(0);
    let mirror = sandbox.with_key(&["restore", "apply", "--from", "mirror@main", "--prune", "--yes"]);
    mirror.expect(2).says("only a snapshot of an archive");
}

/// A `StatefulSet` that takes its claims along when it is deleted, and a claim that belongs to a `Secret`.
const HOLDERS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: NAMESPACE}
spec:
  replicas: 1
  serviceName: db
  podManagementPolicy: POLICY
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: absent}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: absent, resources: {requests: {storage: 1Mi}}}}]
---
apiVersion: v1
kind: Secret
metadata: {name: owner, namespace: NAMESPACE}
immutable: true
stringData: {value: POLICY}
";

const DEPENDENT: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: CLAIM
  namespace: NAMESPACE
  ownerReferences: [{apiVersion: v1, kind: Secret, name: OWNER, uid: UID}]
spec: {accessModes: [ReadWriteOnce], storageClassName: absent, resources: {requests: {storage: 1Mi}}}
";

fn goes_along(sandbox: &Sandbox) {
    let uid = |kind: &str, name: &str| {
        let object = sandbox.object(kind, &sandbox.namespace, name);
        object.map(|object| object["metadata"]["uid"].as_str().unwrap().to_owned())
    };
    sandbox.apply(&HOLDERS.replace("POLICY", "Parallel"));
    let claims = ["data-db-0", "kept"];
    let owner = uid("secret", "owner").unwrap();
    sandbox.apply(&DEPENDENT.replace("CLAIM", "kept").replace("OWNER", "owner").replace("UID", &owner));
    wait(30, "the claim of the set is there", || uid("persistentvolumeclaim", "data-db-0"));
    sandbox.backstay(&["backup"]).expect(0);
    for kind in ["statefulset", "secret"] {
        let name = if kind == "secret" { "owner" } else { "db" };
        sandbox.kubectl(&["delete", kind, name, "-n", &sandbox.namespace, "--cascade=orphan"]).expect(0);
    }
    sandbox.apply(&HOLDERS.replace("POLICY", "OrderedReady"));
    let before = claims.map(|name| uid("persistentvolumeclaim", name));
    let args = ["restore", "apply", "--from", "archive@latest", "--existing", "recreate", "-o", "json"];
    let report = sandbox.with_key(&args).expect(0).json();
    assert_eq!(report["outcome"], "Complete");
    let set = sandbox.object("statefulset", &sandbox.namespace, "db").unwrap();
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel");
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(claims.map(|name| uid("persistentvolumeclaim", name)), before, "claims are what they were");

    // An owner that is surplus stays, because a claim belongs to it.
    sandbox.kubectl(&["create", "secret", "generic", "later", "-n", &sandbox.namespace]).expect(0);
    let later = uid("secret", "later").unwrap();
    sandbox.apply(&DEPENDENT.replace("CLAIM", "later").replace("OWNER", "later").replace("UID", &later));
    let told = sandbox
        .with_key(&["restore", "apply", "--from", "archive@latest", "--prune", "--yes"])
        .expect(0)
        .stdout;
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(uid("persistentvolumeclaim", "later").is_some() && uid("secret", "later").is_some(), "{told}");
}
