//! What a backup leaves behind, on the real cluster.

use std::fs;

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, files};

const SECRETS: [&str; 4] =
    ["s3cr3t-Zebra-4711", "czNjcjN0LVplYnJhLTQ3MTE", "Giraffe-0815", "R2lyYWZmZS0wODE1"];

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "one-changed-secret-key-touches-one-file",
            needs: &[Need::Api, Need::Age, Need::Sops],
            run: one_changed_key,
        },
        Scenario { name: "nothing-changed-makes-no-commit", needs: &[Need::Api], run: nothing_changed },
        Scenario { name: "secrets-are-nowhere-in-the-clear", needs: &[Need::Api], run: nowhere_in_the_clear },
        Scenario {
            name: "a-forbidden-kind-makes-the-outcome-partial",
            needs: &[Need::Api],
            run: forbidden_kind,
        },
        Scenario {
            name: "a-dead-api-service-makes-the-outcome-partial",
            needs: &[Need::Api],
            run: dead_api_service,
        },
        Scenario { name: "a-whole-cluster-by-default", needs: &[Need::Api], run: whole_cluster },
        Scenario { name: "deleted-objects-leave-the-mirror", needs: &[Need::Api], run: deleted_leave },
        Scenario { name: "expired-snapshots-are-pruned-after-showing", needs: &[Need::Api], run: prune },
    ]
}

/// The application of the fixture, applied for this scenario.
pub fn shop(sandbox: &Sandbox) {
    let image = match sandbox.parts.get("IMAGE") {
        "" => "busybox",
        image => image,
    };
    sandbox.apply(&include_str!("../fixtures/shop.yaml").replace("IMAGE", image));
}

fn mirror_log(sandbox: &Sandbox) -> Vec<String> {
    let log = sandbox.git(&["--git-dir", "mirror.git", "log", "--format=%H", "main"]);
    log.lines().map(Into::into).collect()
}

fn one_changed_key(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    let patch = r#"{"stringData":{"password":"n3w-Ostrich-1234"}}"#;
    sandbox.kubectl(&["patch", "secret", "db", "-n", &sandbox.namespace, "-p", patch]).expect(0);
    sandbox.backstay(&["backup"]).expect(0);

    let touched = sandbox.git(&["--git-dir", "mirror.git", "diff", "--name-only", "main~1", "main"]);
    let secret = format!("clusters/e2e/namespaces/{}/core/secrets/db.yaml", sandbox.namespace);
    assert_eq!(touched.lines().collect::<Vec<_>>(), ["clusters/e2e/backstay.yaml", &secret]);

    let snapshots = sandbox.backstay(&["snapshots", "-o", "json"]).expect(0).json();
    let ids: Vec<&str> = snapshots.as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    let (older, newer) = (ids.iter().min().unwrap(), ids.iter().max().unwrap());
    let diffs = [
        sandbox.with_key(&["diff", &format!("archive@{older}"), &format!("archive@{newer}")]),
        sandbox.with_key(&["diff", "mirror@main~1", "mirror@main"]),
    ];
    for diff in diffs {
        let diff = diff.expect(1).says("Secret").says("password").says_not("username");
        diff.says_not("Zebra").says_not("Ostrich").says_not("bjN3LU9zdHJpY2g");
    }
    sandbox.with_key(&["diff", "archive@latest", "mirror@main"]).expect(0);
}

fn nothing_changed(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    let before = mirror_log(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    assert_eq!(mirror_log(sandbox), before);
    assert_eq!(sandbox.records().len(), 2, "the archive has a snapshot of its own for each run");
}

fn nowhere_in_the_clear(sandbox: &Sandbox) {
    shop(sandbox);
    let apply = sandbox.path("apply.yaml");
    sandbox.kubectl(&["apply", "-f", &apply, "--force-conflicts", "--server-side=true"]).expect(0);
    // An annotation of client-side apply repeats the values; it must not leak either.
    let leak = r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"stringData\":{\"password\":\"s3cr3t-Zebra-4711\"}}"}}}"#;
    sandbox.kubectl(&["patch", "secret", "db", "-n", &sandbox.namespace, "-p", leak]).expect(0);

    let mut said = String::new();
    let log = &["--log", "trace"];
    for args in [
        &["backup"][..],
        &["snapshots"],
        &["show", "latest", "--objects"],
        &["diff", "archive@latest"],
        &["verify"],
    ] {
        let run = sandbox.with_key(&[args, log].concat());
        said += &run.stdout;
        said += &run.stderr;
    }
    let request = ["restore", "plan", "--from", "archive@latest", "--existing", "update"];
    let run = sandbox.with_key(&[&request[..], log].concat());
    said += &run.stdout;
    said += &run.stderr;
    for secret in SECRETS {
        assert!(!said.contains(secret), "an output or log holds {secret}");
    }
    sandbox.git(&["clone", "--quiet", "mirror.git", "clone"]);
    for folder in ["archive", "mirror.git", "clone", "cache", "state"] {
        for file in files(&sandbox.dir.join(folder)) {
            let content = fs::read(&file).unwrap();
            for secret in SECRETS {
                let found = content.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "{} holds {secret}", file.display());
            }
        }
    }
}

fn forbidden_kind(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    let secret = format!("main:clusters/e2e/namespaces/{}/core/secrets/db.yaml", sandbox.namespace);
    let before = sandbox.git(&["--git-dir", "mirror.git", "rev-parse", &secret]);

    sandbox.apply(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-half}
rules:
  - {apiGroups: [''], resources: [configmaps, namespaces, services, serviceaccounts, pods], verbs: [get, list]}
  - {apiGroups: [apps, batch, networking.k8s.io, rbac.authorization.k8s.io], resources: ['*'], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-half}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-half}
subjects: [{kind: ServiceAccount, name: half, namespace: NAMESPACE}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: half, namespace: NAMESPACE}
",
    );
    let kubeconfig = sandbox.account(&sandbox.namespace, "half");
    let run = sandbox.backstay(&["backup", "--kubeconfig", &kubeconfig, "-o", "json"]).expect(1);
    let report = run.json();
    assert_eq!(report["outcome"], "Partial");
    // Two snapshots of one second are sorted by their letters: this one is found by its name.
    let folder = format!("/{}/snapshot.json", report["snapshot"].as_str().unwrap());
    let records = sandbox.records();
    let file = records.iter().find(|file| file.to_string_lossy().ends_with(&folder)).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(record["outcome"], "Partial");
    let state = format!("archive@{}", record["id"].as_str().unwrap());
    let diff = sandbox.with_key(&["diff", &state, "cluster", "-o", "json"]).expect(1).json();
    let changes = diff["changes"].as_array().unwrap();
    let secrets =
        changes.iter().filter(|change| change["key"]["kind"] == "Secret" || change["kind"] == "Secret");
    assert_eq!(secrets.count(), 0, "what a snapshot could not list is unknown, not added: {diff}");
    assert!(diff["unknown"].to_string().contains("secrets"), "{diff}");
    let kinds = record["kinds"].as_array().unwrap();
    let secrets = kinds.iter().find(|k| k["resource"] == "secrets").expect("secrets are named in the record");
    assert_eq!(secrets["result"], "failed");
    assert!(secrets["reason"].as_str().unwrap().contains("forbidden"));
    assert_eq!(sandbox.git(&["--git-dir", "mirror.git", "rev-parse", &secret]), before);
}

fn dead_api_service(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.apply(
        "apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.NAMESPACE.example.org}
spec:
  group: NAMESPACE.example.org
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: nobody, namespace: NAMESPACE, port: 443}
",
    );
    let group = format!("{}.example.org/v1", sandbox.namespace);
    let run = sandbox.backstay(&["backup", "-o", "json"]);
    let name = format!("v1.{}.example.org", sandbox.namespace);
    sandbox.kubectl(&["delete", "apiservice", &name]).expect(0);
    let run = run.expect(1);
    assert_eq!(run.json()["outcome"], "Partial");
    assert!(run.json()["undiscovered"][&group].is_string(), "{group} is not named:\n{}", run.stdout);
}

fn whole_cluster(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.apply(include_str!("../fixtures/bottles.yaml"));
    let policy = fs::read_to_string(sandbox.dir.join("policy/policy.yaml")).unwrap();
    let (before, after) = policy.split_once("  select:\n").unwrap();
    let rest = after.split_once("---\n").unwrap().1;
    sandbox.write("policy/policy.yaml", &format!("{before}---\n{rest}"));
    sandbox.backstay(&["plan"]).expect(0).says("customresourcedefinitions.apiextensions.k8s.io");
    let run = sandbox.backstay(&["backup", "-o", "json"]).expect(0).json();

    let served =
        sandbox.kubectl(&["api-resources", "--verbs=list", "--no-headers", "-o", "name"]).expect(0).stdout;
    let seen: Vec<&str> =
        run["kinds"].as_array().unwrap().iter().map(|k| k["resource"].as_str().unwrap()).collect();
    for resource in served.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(seen.contains(&resource), "{resource} is neither collected nor skipped with a reason");
    }
    for kind in run["kinds"].as_array().unwrap() {
        assert_ne!(kind["result"], "failed", "{kind}");
        assert!(kind["result"] == "collected" || !kind["reason"].as_str().unwrap().is_empty(), "{kind}");
    }
    let objects = sandbox.with_key(&["show", "latest", "--objects"]).expect(0);
    let ns = &sandbox.namespace;
    objects
        .says(&format!("ClusterRole.rbac.authorization.k8s.io {ns}-nodes"))
        .says(&format!("CustomResourceDefinition.apiextensions.k8s.io bottles.{ns}.example.org"))
        .says(&format!("Deployment.apps {ns}/web"));
    sandbox.kubectl(&["delete", "crd", &format!("bottles.{ns}.example.org")]).expect(0);
}

fn deleted_leave(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.kubectl(&["delete", "configmap", "web", "-n", &sandbox.namespace]).expect(0);
    sandbox.backstay(&["backup"]).expect(0);
    let status = sandbox.git(&["--git-dir", "mirror.git", "diff", "--name-status", "main~1", "main"]);
    let gone = format!("D\tclusters/e2e/namespaces/{}/core/configmaps/web.yaml", sandbox.namespace);
    assert!(status.lines().any(|line| line == gone), "{status}");
}

fn prune(sandbox: &Sandbox) {
    shop(sandbox);
    let policy = fs::read_to_string(sandbox.dir.join("policy/policy.yaml")).unwrap();
    let retention = "spec:\n  retention: {keepLast: 1}\n  locations";
    sandbox.write("policy/policy.yaml", &policy.replacen("spec:\n  locations", retention, 1));
    for _ in 0..3 {
        sandbox.backstay(&["backup"]).expect(0);
    }
    let newest = sandbox.backstay(&["show", "latest", "-o", "json"]).expect(0).json()["id"].clone();
    sandbox.backstay(&["prune"]).expect(0).says("delete");
    assert_eq!(sandbox.records().len(), 3, "without --yes nothing is deleted");
    sandbox.backstay(&["prune", "--yes"]).expect(0);
    assert_eq!(sandbox.records().len(), 1);
    assert_eq!(sandbox.backstay(&["show", "latest", "-o", "json"]).expect(0).json()["id"], newest);
    sandbox.backstay(&["verify"]).expect(0);
}
