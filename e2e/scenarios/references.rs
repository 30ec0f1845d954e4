//! Names that lead nowhere: what a snapshot lacks, and old names after a restore gave new ones.

use serde_json::Value;

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::program::Run;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-snapshot-tells-what-it-lacks", needs: &[Need::Api], run: lacks },
        Scenario { name: "old-names-are-told-after-a-mapping", needs: &[Need::Api], run: mentions },
    ]
}

/// Three names that lead nowhere, and some that need not be there.
const DANGLING: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      priorityClassName: system-cluster-critical
      containers:
        - name: web
          image: backstay.dev/none
          imagePullPolicy: Never
          envFrom: [{secretRef: {name: absent}}, {configMapRef: {name: maybe, optional: true}}]
      volumes: [{name: ca, configMap: {name: kube-root-ca.crt}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: NAMESPACE}
spec:
  storageClassName: NAMESPACE-absent
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: absent, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-absent}
subjects: [{kind: ServiceAccount, name: default, namespace: NAMESPACE}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: User, name: somebody, apiGroup: rbac.authorization.k8s.io}]
";

/// What was missing.
const ABSENT: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: absent, namespace: NAMESPACE}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: NAMESPACE-absent}
provisioner: backstay.dev/none
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-absent}
rules: []
";

/// The same objects without Secrets.
const NO_SECRETS: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {name: all}
spec:
  locations: [archive]
  select:
    namespaces: {include: ['NAMESPACE*']}
    namespacedResources: {exclude: [secrets]}
---
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {name: archive}
spec:
  archive: {url: 'file://DIR/archive'}
  recipients: [RECIPIENT]
";

/// Each missing object and the fields that name it.
fn missing(run: &Run) -> Vec<String> {
    let report = run.json();
    let found = report["missing"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |one: &Value| {
        let by = one["namedBy"].as_array().unwrap().iter();
        let by: Vec<String> = by.map(|by| format!("{} {}", text(&by["kind"]), text(&by["field"]))).collect();
        format!("{} {} <- {}", text(&one["kind"]), text(&one["name"]), by.join(", "))
    };
    found.map(line).collect()
}

fn lacks(sandbox: &Sandbox) {
    let name = format!("{}-absent", sandbox.namespace);
    let gone =
        || sandbox.kubectl(&["delete", "storageclass,clusterrole", &name, "--ignore-not-found"]).expect(0);
    gone();
    sandbox.apply(DANGLING);
    sandbox.backstay(&["backup"]).expect(0);
    let expected = [
        "Secret absent <- Deployment /spec/template/spec/containers/0/envFrom/0/secretRef/name".to_owned(),
        format!("ClusterRole {name} <- RoleBinding /roleRef/name"),
        format!("StorageClass {name} <- PersistentVolumeClaim /spec/storageClassName"),
    ];
    let json = sandbox.with_key(&["verify", "--references", "-o", "json"]).expect(1);
    assert_eq!(missing(&json), expected);
    let mirror = sandbox.with_key(&["verify", "--references", "mirror@main", "-o", "json"]).expect(1);
    assert_eq!(missing(&mirror), expected);
    let text = sandbox.with_key(&["verify", "--references", "latest"]).expect(1);
    text.says(&format!("missing: StorageClass.storage.k8s.io {name}"))
        .says("; missing: 3")
        .says_not("kube-root-ca.crt")
        .says_not("maybe");
    sandbox.backstay(&["verify", "--references"]).expect(3);

    sandbox.apply(ABSENT);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.with_key(&["verify", "--references"]).expect(0).says("nothing they name is missing");
    sandbox.policy(NO_SECRETS);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox
        .with_key(&["verify", "--references"])
        .expect(1)
        .says("absent (secrets were not collected: the selection excludes this kind)")
        .says("; missing: 1");
    gone();
}

/// Old names where a mapping cannot know them, and words that only look like them.
const NAMES: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: NAMESPACE}
spec: {ports: [{port: 5432}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app, namespace: NAMESPACE, labels: {team: NAMESPACE}}
data:
  url: postgres://db.NAMESPACE.svc.cluster.local:5432/shop
  team: NAMESPACE
---
apiVersion: v1
kind: Secret
metadata: {name: app, namespace: NAMESPACE}
stringData: {dsn: 'postgres://app:Zebra-4711@db.NAMESPACE:5432/shop', password: Zebra-4711}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default, namespace: NAMESPACE}]
";

fn mentions(sandbox: &Sandbox) {
    sandbox.apply(NAMES);
    sandbox.backstay(&["backup"]).expect(0);
    let (old, new) = (sandbox.namespace.clone(), format!("{}-new", sandbox.namespace));
    let map = format!("{old}={new}");
    let options = ["--from", "archive@latest", "--map-namespace", &map];
    let run = |verb: &str, format: &str| {
        let args: Vec<&str> = ["restore", verb, "-o", format].into_iter().chain(options).collect();
        sandbox.with_key(&args)
    };
    let told = |mentions: &Value| {
        let line = |m: &Value| {
            format!("{} {} {} {}", m["kind"], m["namespace"], m["field"], m["form"]).replace('"', "")
        };
        mentions.as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    let expected =
        [format!("ConfigMap {new} /data/url DnsName"), format!("Secret {new} /data/dsn ServiceName")];
    let plan = run("plan", "json").expect(1).says_not("Zebra").json();
    assert_eq!(told(&plan["plan"]["mentions"]), expected);
    run("plan", "text")
        .expect(1)
        .says(&format!("the old name of namespace {new} ({old}) still stands in 2 fields"))
        .says(&format!("  ConfigMap {new}/app /data/url (a DNS name)"))
        .says(&format!("  Secret {new}/app /data/dsn (the address of a Service)"))
        .says_not("Zebra");
    let report = run("apply", "json").expect(0).says_not("Zebra").json();
    assert_eq!(told(&report["mentions"]), expected);
    run("apply", "text").expect(0).says("still stands in 2 fields").says_not("Zebra");
    let same = sandbox.with_key(&["restore", "plan", "--from", "archive@latest"]);
    same.says_not("still stands");
}
