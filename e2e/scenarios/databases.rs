//! Hooks on real database servers: what was dumped comes back, and sidecars are left alone.

use std::fs;

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "postgresql-is-dumped-beside-a-sidecar-and-loaded-again",
            needs: &[Need::Node, Need::Databases],
            run: postgresql,
        },
        Scenario { name: "redis-writes-its-data-to-disk", needs: &[Need::Node, Need::Databases], run: redis },
    ]
}

/// A server beside a sidecar that comes first and has no database programs.
const SERVERS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: NAMESPACE, labels: {app: db}}
spec:
  serviceName: db
  replicas: 1
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 999, runAsGroup: 999, fsGroup: 999}
      containers:
      - {name: istio-proxy, image: BUSYBOX, imagePullPolicy: Never, command: [sleep, inf]}
      - name: postgres
        image: DATABASES
        imagePullPolicy: Never
        command: [sh, -ec, 'initdb --locale=C --encoding=UTF8 --auth=trust -U postgres -D /data/pg; exec postgres -D /data/pg -c listen_addresses=']
        readinessProbe: {exec: {command: [pg_isready, -U, postgres]}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 999}
      containers:
      - name: redis
        image: DATABASES
        imagePullPolicy: Never
        command: [redis-server, --dir, /data, --save, '']
        readinessProbe: {exec: {command: [redis-cli, ping]}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
";

fn up(sandbox: &Sandbox) {
    let text = SERVERS
        .replace("BUSYBOX", sandbox.parts.get("IMAGE"))
        .replace("DATABASES", sandbox.parts.get("DATABASES"));
    sandbox.apply(&text);
    let ns = &sandbox.namespace;
    wait(120, "both servers", || {
        let done = |what: &str| {
            let args = ["rollout", "status", what, "-n", ns, "--timeout=1s"];
            sandbox.kubectl(&args).code == 0
        };
        (done("statefulset/db") && done("deployment/cache")).then_some(())
    });
}

fn sql(sandbox: &Sandbox, statement: &str) -> String {
    let args = [
        "exec",
        "-n",
        &sandbox.namespace,
        "db-0",
        "-c",
        "postgres",
        "--",
        "psql",
        "-U",
        "postgres",
        "-d",
        "shop",
        "-Atc",
    ];
    sandbox.kubectl(&[&args[..], &[statement]].concat()).expect(0).stdout
}

const DUMP: &str = "spec:
  hooks:
  - name: dump
    template: postgresql-dump
    namespaces: [NAMESPACE]
    labelSelector: {matchLabels: {app: db}}
    required: true
    parameters: {database: shop, file: /data/backstay.dump}
  locations";

fn postgresql(sandbox: &Sandbox) {
    up(sandbox);
    let ns = sandbox.namespace.clone();
    let make = ["exec", "-n", &ns, "db-0", "-c", "postgres", "--", "createdb", "-U", "postgres", "shop"];
    sandbox.kubectl(&make).expect(0);
    sql(
        sandbox,
        "create table wine (id int primary key, name text not null); insert into wine select n, 'wine ' || n from generate_series(1, 500) n; create index on wine (name)",
    );
    let before = sql(sandbox, "select id, name from wine order by id");
    let policy = fs::read_to_string(sandbox.path("policy/policy.yaml")).unwrap();
    sandbox.policy(&policy.replacen("spec:\n  locations", DUMP, 1));
    sandbox.write(
        "policy/back.yaml",
        &format!(
            "apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {{name: back}}
spec:
  from: {{location: archive, snapshot: latest}}
  hooks:
  - name: load
    template: postgresql-restore
    namespaces: [{ns}]
    labelSelector: {{matchLabels: {{app: db}}}}
    parameters: {{database: shop, file: /data/backstay.dump}}
"
        ),
    );

    let report = sandbox.backstay(&["backup", "-o", "json"]).expect(0).json();
    let run = &report["hooks"][0]["runs"][0];
    assert_eq!(
        (&report["outcome"], &run["container"], &run["result"]),
        (&"Complete".into(), &"postgres".into(), &"Succeeded".into()),
        "{report}"
    );
    assert!(run["notes"][0].as_str().unwrap().contains("known sidecars"), "{run}");

    sql(sandbox, "drop table wine");
    let report = sandbox.with_key(&["restore", "apply", "back", "-o", "json"]).expect(0).json();
    assert_eq!(report["hooks"][0]["runs"][0]["result"], "Succeeded", "{report}");
    assert_eq!(sql(sandbox, "select id, name from wine order by id"), before);
    assert_eq!(sql(sandbox, "select count(*) from pg_indexes where tablename = 'wine'"), "2\n");

    // The API server wrote down who was asked to run what, and where.
    let log = fs::read_to_string(sandbox.parts.get("AUDIT_LOG")).unwrap();
    let asked = format!("/namespaces/{ns}/pods/db-0/exec?");
    let execs: Vec<&str> = log.lines().filter(|line| line.contains(&asked)).collect();
    assert!(execs.iter().any(|line| line.contains("pg_dump")), "no exec in the audit log proves nothing");
    assert!(
        execs
            .iter()
            .all(|line| line.contains("container=postgres") && !line.contains("container=istio-proxy"))
    );

    // A dump that cannot be loaded changes nothing and is told.
    let spoil =
        ["exec", "-n", &ns, "db-0", "-c", "postgres", "--", "sh", "-c", "echo spoilt > /data/backstay.dump"];
    sandbox.kubectl(&spoil).expect(0);
    let report = sandbox.with_key(&["restore", "apply", "back", "-o", "json"]).expect(1).json();
    let run = &report["hooks"][0]["runs"][0];
    assert_eq!((&run["result"], &run["code"]), (&"ExitCode".into(), &1.into()), "{report}");
    assert!(run["stderr"].as_str().unwrap().contains("does not appear to be a valid archive"), "{run}");
    assert_eq!(sql(sandbox, "select id, name from wine order by id"), before);
}

fn redis(sandbox: &Sandbox) {
    up(sandbox);
    let ns = sandbox.namespace.clone();
    let cli = |args: &[&str]| {
        let all = [&["exec", "-n", &ns, "deploy/cache", "--", "redis-cli"], args].concat();
        sandbox.kubectl(&all).expect(0).stdout
    };
    cli(&["set", "wine", "red"]);
    let hooks = "spec:
  hooks: [{name: save, template: redis-save, namespaces: [NAMESPACE], labelSelector: {matchLabels: {app: cache}}, required: true}]
  locations";
    let policy = fs::read_to_string(sandbox.path("policy/policy.yaml")).unwrap();
    sandbox.policy(&policy.replacen("spec:\n  locations", hooks, 1));
    let report = sandbox.backstay(&["backup", "-o", "json"]).expect(0).json();
    assert_eq!(report["hooks"][0]["runs"][0]["result"], "Succeeded", "{report}");
    // A second server that starts on the file has the data.
    let second = "redis-server --port 7000 --dir /data --save '' --daemonize yes > /dev/null; \
        until redis-cli -p 7000 ping > /dev/null 2>&1; do sleep 0.2; done; redis-cli -p 7000 get wine; redis-cli -p 7000 shutdown nosave";
    let read = ["exec", "-n", &ns, "deploy/cache", "--", "sh", "-c", second];
    assert_eq!(sandbox.kubectl(&read).expect(0).stdout, "red\n");
}
