//! A restore where the cluster does not cooperate: webhooks that block, an account that may little, a cluster in motion.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::support::parts::Need;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-blocking-webhook-is-waited-for-and-named", needs: &[Need::Api], run: webhook },
        Scenario {
            name: "an-account-that-may-little-restores-what-it-may",
            needs: &[Need::Api],
            run: little,
        },
        Scenario {
            name: "objects-that-change-during-a-backup-are-whole",
            needs: &[Need::Api],
            run: in_motion,
        },
        Scenario { name: "thousands-of-namespaces-come-back", needs: &[Need::Second], run: thousands },
    ]
}

const GUARD: &str = "\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard.NAMESPACE}
webhooks:
  - name: guard.NAMESPACE.example.org
    sideEffects: None
    admissionReviewVersions: [v1]
    failurePolicy: Fail
    timeoutSeconds: 2
    clientConfig: {service: {namespace: NAMESPACE, name: gone, path: /}}
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
    rules: [{apiGroups: [''], apiVersions: ['*'], operations: [CREATE], resources: [secrets]}]
";

fn webhook(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    sandbox.apply(GUARD);
    let guard = format!("guard.{}", sandbox.namespace);
    let delete = || {
        sandbox.kubectl(&["delete", "validatingwebhookconfiguration", &guard, "--ignore-not-found"]).expect(0)
    };
    // While the restore waits, somebody takes the webhook away: that is as good as an answer.
    let report = std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(Duration::from_secs(8));
            delete();
        });
        sandbox.with_key(&["restore", "apply", "--from", "archive@latest", "-o", "json"]).expect(0).json()
    });
    assert_eq!(report["outcome"], "Complete");
    assert!(sandbox.object("secret", &sandbox.namespace, "db").is_some());

    sandbox.kubectl(&["delete", "secret", "db", "-n", &sandbox.namespace]).expect(0);
    sandbox.apply(GUARD);
    let told = sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(1).stdout;
    let name = format!(
        "the webhook guard.{0}.example.org of ValidatingWebhookConfiguration guard.{0}, which calls Service {0}/gone (failurePolicy Fail)",
        sandbox.namespace
    );
    assert!(told.contains(&name), "{told}");
    delete();
}

/// May see everything but Secrets, and make `ConfigMap`s in one namespace.
const LITTLE: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata: {name: little, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: little}
rules: [{apiGroups: [''], resources: [namespaces, persistentvolumes], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: little}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: little}
subjects: [{kind: ServiceAccount, name: little, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: little-sees}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: little, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: little, namespace: NAMESPACE}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [create, get, list, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: little, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: little}
subjects: [{kind: ServiceAccount, name: little, namespace: default}]
";

fn little(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    sandbox.kubectl(&["create", "namespace", &sandbox.namespace]).expect(0);
    sandbox.apply(LITTLE);
    let kubeconfig = sandbox.account("default", "little");
    let args = ["restore", "apply", "--from", "archive@latest", "--kubeconfig", &kubeconfig, "-o", "json"];
    let report = sandbox.with_key(&args).expect(1).json();
    assert_eq!(report["outcome"], "Partial");
    let waves = report["waves"].as_array().unwrap();
    let objects: Vec<&Value> = waves.iter().flat_map(|wave| wave["objects"].as_array().unwrap()).collect();
    let of = |kind: &str, name: &str| {
        objects.iter().find(|o| o["kind"] == kind && o["name"] == name).copied().unwrap()
    };
    assert_eq!(of("ConfigMap", "web")["action"], "Created");
    let secret = of("Secret", "db");
    assert_eq!(secret["action"], "Failed");
    assert!(secret["reason"].as_str().unwrap().contains("forbidden"), "{secret}");
    assert!(report["notes"].to_string().contains("no journal is kept"), "{}", report["notes"]);
    let roles = ["delete", "clusterrole,clusterrolebinding", "little", "little-sees", "--ignore-not-found"];
    sandbox.kubectl(&roles);
    sandbox.kubectl(&["delete", "serviceaccount", "little", "-n", "default"]);
}

fn in_motion(sandbox: &Sandbox) {
    shop(sandbox);
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                round += 1;
                // Both keys change together: a snapshot with two different values would be half an object.
                let patch = format!(r#"{{"data":{{"first":"{round}","second":"{round}"}}}}"#);
                sandbox.kubectl(&[
                    "patch",
                    "configmap",
                    "web",
                    "-n",
                    &sandbox.namespace,
                    "--type=merge",
                    "-p",
                    &patch,
                ]);
            }
        });
        for _ in 0..8 {
            let report = sandbox.backstay(&["backup", "-o", "json"]).expect(0).json();
            assert_eq!(report["outcome"], "Complete");
        }
        done.store(true, Ordering::Relaxed);
    });
    let snapshots = sandbox.backstay(&["snapshots", "-o", "json"]).expect(0).json();
    let mut values = std::collections::BTreeSet::new();
    for snapshot in snapshots.as_array().unwrap() {
        let folder = format!("archive/clusters/e2e/snapshots/{}", snapshot["id"].as_str().unwrap());
        let line = format!(
            "age -d -i key.txt {folder}/objects-0001.tar.zst.age | zstd -d | tar xO configmaps/namespaces/{}/web.json",
            sandbox.namespace
        );
        let map: Value = serde_json::from_str(&sandbox.shell(&line).expect(0).stdout).unwrap();
        assert_eq!(map["data"]["first"], map["data"]["second"]);
        values.insert(map["data"]["first"].to_string());
    }
    assert!(values.len() > 1, "the object changed between the snapshots: {values:?}");
    sandbox.with_key(&["verify"]).expect(0);
}

/// As Velero's scale test, 2500 of them. They are made in one cluster and restored into the other; both go down afterwards.
fn thousands(sandbox: &Sandbox) {
    const COUNT: usize = 2500;
    let name = |n: usize| format!("{}-{n:04}", sandbox.namespace);
    let namespace = |n: usize| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {}, labels: {{many: 'yes'}}}}\n---\n",
            name(n)
        )
    };
    sandbox.write("many.yaml", &(0..COUNT).map(namespace).collect::<String>());
    sandbox.kubectl(&["create", "-f", &sandbox.path("many.yaml")]).expect(0);
    let report = sandbox.backstay(&["backup", "-o", "json"]).expect(0).json();
    assert!(report["objects"].as_u64().unwrap() >= COUNT as u64, "{}", report["objects"]);
    let mut command = sandbox.command(&["restore", "apply", "--from", "archive@latest", "-o", "json"]);
    command
        .env("BACKSTAY_IDENTITY", sandbox.path("key.txt"))
        .env("KUBECONFIG", sandbox.parts.get("SECOND_KUBECONFIG"));
    let report = crate::support::program::Run::of(&mut command).expect(0).json();
    assert_eq!(report["outcome"], "Complete");
    let second = sandbox.parts.get("SECOND_KUBECONFIG");
    let names = sandbox
        .kubectl(&["get", "namespaces", "-l", "many=yes", "-o", "name", "--kubeconfig", second])
        .expect(0)
        .stdout;
    assert_eq!(names.lines().count(), COUNT);
}
