//! A second, empty cluster with the chart and the policy repository: the reconciler fills it from the first one's snapshots.
//!
//! The second cluster has no node, so the process runs beside it, with the token of the chart's own service account.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::program::Run;
use crate::support::release::Release;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![Scenario {
        name: "a-new-cluster-restores-itself-once-from-snapshots-it-only-reads",
        needs: &[Need::Helm, Need::Second, Need::S3, Need::Git],
        run: new_cluster,
    }]
}

const SHOP: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE-shop, labels: {team: blue}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: page, namespace: NAMESPACE-shop}
data: {title: wine}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: NAMESPACE-shop}
stringData: {password: walrus}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE-shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'backstay.dev/e2e/busybox:1', envFrom: [{secretRef: {name: db}}]}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: bottles.NAMESPACE.example.org}
spec:
  group: NAMESPACE.example.org
  scope: Namespaced
  names: {plural: bottles, singular: bottle, kind: Bottle, listKind: BottleList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

const BOTTLE: &str = "\
apiVersion: NAMESPACE.example.org/v1
kind: Bottle
metadata: {name: red, namespace: NAMESPACE-shop}
spec: {year: 2019}
";

/// The first cluster's policy; its credentials are those of the person who saves it.
const FIRST: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {name: all}
spec:
  locations: [vault]
  select: {namespaces: {include: [NAMESPACE-shop]}}
---
";

/// What the new cluster is pointed at, beside its locations.
const SECOND: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: everything}
spec:
  when: EmptyCluster
  token: first
  from: {location: before, snapshot: latest, cluster: OLD}
---
apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {name: minutely}
spec:
  schedule: '* * * * *'
  locations: [vault]
  select: {namespaces: {include: ['NAMESPACE-*']}}
";

/// A process that ends with the scenario.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn s3(sandbox: &Sandbox, command: &mut Command) -> Run {
    let parts = &sandbox.parts;
    Run::of(
        command
            .env("BACKSTAY_IDENTITY", sandbox.path("key.txt"))
            .env("AWS_ACCESS_KEY_ID", parts.get("S3_ACCESS_KEY"))
            .env("AWS_SECRET_ACCESS_KEY", parts.get("S3_SECRET_KEY")),
    )
}

/// Fills the first cluster and saves it under the name `old`.
fn save(sandbox: &Sandbox, release: &Release<'_>, folder: &str) {
    sandbox.apply(SHOP);
    let definition = format!("crd/bottles.{}.example.org", sandbox.namespace);
    sandbox.kubectl(&["wait", "--for=condition=Established", &definition, "--timeout=60s"]).expect(0);
    sandbox.write("bottle.yaml", &BOTTLE.replace("NAMESPACE", &sandbox.namespace));
    wait(30, "the new kind is served", || {
        let applied = sandbox.kubectl(&["apply", "-f", &sandbox.path("bottle.yaml")]);
        (applied.code == 0).then_some(())
    });
    let location = release.location("vault", folder, "ReadWrite");
    sandbox.policy(&format!("{FIRST}{}", location.replace("  credentialsRef: {secretName: s3}\n", "")));
    s3(sandbox, sandbox.command(&["backup"]).env("BACKSTAY_CLUSTER_NAME", "old")).expect(0);
}

/// The names of everything below a folder of the bucket, with the digests that the server has.
fn stored(sandbox: &Sandbox, kubeconfig: &str) -> Value {
    let mut command = sandbox.command(&["snapshots", "--location", "vault", "-o", "json"]);
    command.env("BACKSTAY_CLUSTER_NAME", "old").env("KUBECONFIG", kubeconfig);
    s3(sandbox, &mut command).expect(0).json()
}

/// The reconciler on the second cluster, with the rights of the chart's account and nothing else.
fn reconciler(release: &Release<'_>) -> Process {
    let sandbox = release.sandbox;
    let parts = &sandbox.parts;
    let kubeconfig = account(release);
    let log = File::create(sandbox.path("run.log")).expect("a log can be written");
    let mut command = sandbox.command(&["run"]);
    command
        .env("KUBECONFIG", kubeconfig)
        .env("POD_NAME", "new-1")
        .env("BACKSTAY_NAMESPACE", &sandbox.namespace)
        .env("BACKSTAY_CLUSTER_NAME", "new")
        .env("BACKSTAY_IDENTITY", sandbox.path("key.txt"))
        .env("BACKSTAY_POLICY_REPO", release.repository_url())
        .env("BACKSTAY_GIT_USERNAME", parts.get("GIT_USER"))
        .env("BACKSTAY_GIT_PASSWORD", parts.get("GIT_PASSWORD"))
        .env("BACKSTAY_INTERVAL", "5s")
        .env("BACKSTAY_LISTEN", "127.0.0.1:0")
        .env("BACKSTAY_RESTORE", "true")
        .env("XDG_CACHE_HOME", sandbox.path("new/cache"))
        .env("XDG_STATE_HOME", sandbox.path("new/state"))
        .stdout(Stdio::null())
        .stderr(log);
    Process(command.spawn().expect("the reconciler starts"))
}

/// A kubeconfig of the account that the chart made in the second cluster; its file.
fn account(release: &Release<'_>) -> String {
    let namespace = &release.sandbox.namespace;
    let token = release.kubectl(&["create", "token", "backstay", "-n", namespace]).expect(0).stdout;
    let config = release.kubectl(&["config", "view", "--raw", "-o", "json"]).expect(0).json();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "new",
        "clusters": [{"name": "new", "cluster": config["clusters"][0]["cluster"]}],
        "users": [{"name": "new", "user": {"token": token.trim()}}],
        "contexts": [{"name": "new", "context": {"cluster": "new", "user": "new"}}],
    });
    release.sandbox.write("new.kubeconfig", &kubeconfig.to_string());
    release.sandbox.path("new.kubeconfig")
}

fn new_cluster(sandbox: &Sandbox) {
    let second = sandbox.parts.get("SECOND_KUBECONFIG").to_owned();
    let release = Release::prepare_on(sandbox, &second);
    let shop = format!("{}-shop", sandbox.namespace);
    let folder = format!("{}-{}", release.cluster(), &sandbox.recipient()[50..]);
    save(sandbox, &release, &folder);
    let before = stored(sandbox, &second);
    release.push(&[
        ("vault.yaml", &release.location("vault", &format!("{folder}-new"), "ReadWrite")),
        ("before.yaml", &release.location("before", &folder, "ReadOnly")),
        ("policy.yaml", &SECOND.replace("OLD", "old")),
    ]);
    release.install(1, "");
    let process = reconciler(&release);

    release.until(120, ("restorerequest", "everything"), "Ready", "True Complete");
    let there = |kind: &str, name: &str| {
        let args = ["get", kind, name, "-n", &shop, "-o", "json", "--ignore-not-found"];
        let found = release.kubectl(&args).expect(0);
        (!found.stdout.is_empty()).then(|| found.json())
    };
    assert_eq!(there("namespace", &shop).expect("the namespace")["metadata"]["labels"]["team"], "blue");
    assert_eq!(there("configmap", "page").expect("the map")["data"]["title"], "wine");
    assert_eq!(there("secret", "db").expect("the secret")["data"]["password"], "d2FscnVz");
    assert_eq!(there("deployment", "web").expect("the deployment")["spec"]["replicas"], 0);
    assert_eq!(there("bottle", "red").expect("the custom resource")["spec"]["year"], 2019);

    // What is deleted now stays so: the request is done, also for a process that knows nothing of it.
    release.kubectl(&["delete", "configmap", "page", "-n", &shop]).expect(0);
    release.until(150, ("backuppolicy", "minutely"), "Complete", "True Complete");
    drop(process);
    let _again = reconciler(&release);
    let first = release.field("backuppolicy", "minutely", ".status.lastRun.snapshot");
    wait(150, "the next process goes on with the schedule", || {
        let now = release.field("backuppolicy", "minutely", ".status.lastRun.snapshot");
        (!now.is_empty() && now != first).then_some(())
    });
    assert!(there("configmap", "page").is_none(), "it is restored once");
    assert_eq!(release.field("restorerequest", "everything", ".status.token"), "first");
    assert_eq!(stored(sandbox, &second), before, "nothing was written where the old snapshots are");
    leave(&release, &shop);
}

/// Takes everything out of both clusters again.
fn leave(release: &Release<'_>, shop: &str) {
    let (sandbox, definition) =
        (release.sandbox, format!("bottles.{}.example.org", release.sandbox.namespace));
    release.uninstall();
    release.kubectl(&["delete", "namespace", shop, &sandbox.namespace, "--timeout=120s"]).expect(0);
    release.kubectl(&["delete", "crd", &definition]).expect(0);
    sandbox.lose_namespace(shop);
    sandbox.kubectl(&["delete", "crd", &definition]).expect(0);
}
