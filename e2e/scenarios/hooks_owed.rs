//! What hooks owe after a crash, and hooks that run around a restore once.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::Scenario;
use crate::scenarios::hooks::{everywhere, hook, hooks, inside, pods, up};
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-killed-backup-owes-its-hooks", needs: &[Need::Node], run: owed },
        Scenario { name: "a-stopped-backup-runs-its-last-hooks", needs: &[Need::Node], run: stopped },
        Scenario { name: "hooks-run-around-a-restore-once", needs: &[Need::Node], run: restored },
    ]
}

const FREEZE: &str = "  - {name: down, hook: {when: PreBackup, weight: 9, scale: {replicas: 0}, namespaces: [NAMESPACE], labelSelector: {matchLabels: {app: idle}}}}
  - {name: freeze, hook: {when: PreBackup, labelSelector: {matchLabels: {app: web}}, exec: {command: [sh, -c, 'echo frozen >> /tmp/log']}}}
  - {name: wait, hook: {when: PreBackup, weight: 10, labelSelector: {matchLabels: {app: web}}, timeout: 60s, exec: {command: [sh, -c, 'test -e /tmp/go || sleep SLEEP']}}}
  - {name: thaw, hook: {when: PostBackup, labelSelector: {matchLabels: {app: web}}, exec: {command: [sh, -c, 'echo thawed >> /tmp/log']}}}
";

const IDLE: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: idle, namespace: NAMESPACE, labels: {app: idle}}
spec:
  replicas: 2
  selector: {matchLabels: {app: idle}}
  template:
    metadata: {labels: {app: idle}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: idle, image: BUSYBOX, imagePullPolicy: Never, command: [sleep, inf]}]
";

fn frozen(sandbox: &Sandbox) -> Vec<String> {
    sandbox.apply(&format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: NAMESPACE}}\n---\n{}",
        IDLE.replace("BUSYBOX", sandbox.parts.get("IMAGE"))
    ));
    up(sandbox, "{}");
    hooks(sandbox, &FREEZE.replace("SLEEP", "50"));
    pods(sandbox)
}

fn replicas(sandbox: &Sandbox) -> Value {
    sandbox.object("deployment", &sandbox.namespace, "idle").unwrap()["spec"]["replicas"].clone()
}

fn owed(sandbox: &Sandbox) {
    let names = frozen(sandbox);
    let mut child = sandbox.command(&["backup"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait(60, "hook wait", || {
        let seen = inside(sandbox, &names[0], "ps -o args");
        (seen.contains("sleep 50") && replicas(sandbox) == 0).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(inside(sandbox, &names[0], "cat /tmp/log"), "frozen\n");
    let journal = sandbox.object("configmap", &sandbox.home(), "backstay-hooks-policy-all").unwrap();
    let run = journal["data"]["run"].as_str().unwrap();
    assert!(run.contains("thaw") && !run.contains("echo"), "names only: {run}");

    // The next start pays first: nothing of its own has run when the debt is paid.
    for name in &names {
        inside(sandbox, name, "touch /tmp/go");
    }
    let report = sandbox.backstay(&["backup", "-o", "json"]).expect(0).json();
    assert_eq!(inside(sandbox, &names[0], "cat /tmp/log"), "frozen\nthawed\nfrozen\nthawed\n");
    assert_eq!(inside(sandbox, &names[1], "cat /tmp/log"), "frozen\nthawed\nfrozen\nthawed\n");
    assert_eq!(replicas(sandbox), 2);
    let order: Vec<&str> =
        report["hooks"].as_array().unwrap().iter().map(|hook| hook["name"].as_str().unwrap()).collect();
    assert_eq!(order, ["down (back)", "thaw", "freeze", "down", "wait", "down (back)", "thaw"]);
    assert!(report["hooks"][1]["reason"].as_str().unwrap().starts_with("owed by the run of "), "{report}");

    // What was scaled down while it was saved is saved as it was before.
    let id = report["snapshot"].as_str().unwrap();
    let opened = sandbox.shell(&format!(
        "age -d -i key.txt archive/clusters/e2e/snapshots/{id}/objects-0001.tar.zst.age | zstd -d | tar xO --wildcards '*/idle.json'"
    ));
    let saved = opened.expect(0).stdout;
    assert!(saved.contains("\"replicas\":2") && !saved.contains("backstay.dev/scaled"), "{saved}");
    sandbox.backstay(&["hooks", "resume"]).expect(0).says("nothing ran");
}

fn stopped(sandbox: &Sandbox) {
    let names = frozen(sandbox);
    let child = sandbox.command(&["backup"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait(60, "hook wait", || {
        let seen = inside(sandbox, &names[0], "ps -o args");
        (seen.contains("sleep 50") && replicas(sandbox) == 0).then_some(())
    });
    sandbox.shell(&format!("kill -TERM {}", child.id())).expect(0);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("interrupted") && text.contains("hook thaw after the backup: Succeeded"), "{text}");
    assert_eq!(inside(sandbox, &names[0], "cat /tmp/log"), "frozen\nthawed\n");
    assert_eq!(replicas(sandbox), 2);
    let left = inside(sandbox, &names[0], "ps -o args");
    assert!(!left.contains("sleep 50"), "a command is left in the container:\n{left}");
    assert!(sandbox.records().is_empty(), "a stopped backup leaves no snapshot");
    sandbox.backstay(&["hooks", "resume"]).expect(0).says("nothing ran");
}

const AROUND: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: back}
spec:
  from: {location: archive, snapshot: latest}
  existing: Update
  hooks:
  - {name: before, hook: {when: PreRestore, scope: Workload, onError: Fail, exec: {command: [sh, -c, 'echo before >> /tmp/log; test ! -e /tmp/bad']}}}
  - {name: after, hook: {when: PostRestore, scope: Workload, labelSelector: {matchLabels: {app: web}}, exec: {command: [sh, -c, 'echo after >> /tmp/log']}}}
  - {name: slow, hook: {when: PostRestore, weight: 1, scope: Workload, timeout: 60s, exec: {command: [sh, -c, 'test -e /tmp/go || sleep 50']}}}
";

fn restored(sandbox: &Sandbox) {
    up(sandbox, "{}");
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.write("policy/back.yaml", AROUND);
    let name = {
        // One pod, so that the workload's is known.
        sandbox.kubectl(&["scale", "deployment/web", "-n", &sandbox.namespace, "--replicas=1"]).expect(0);
        wait(30, "one pod", || {
            let names = pods(sandbox);
            (names.len() == 1).then(|| names[0].clone())
        })
    };
    // A hook that fails before anything is written ends the restore.
    inside(sandbox, &name, "touch /tmp/bad");
    sandbox
        .with_key(&["restore", "plan", "back"])
        .expect(1)
        .says("before the restore: hook before (exec sh, weight 0)");
    let failed = sandbox.with_key(&["restore", "apply", "back"]).expect(3);
    failed.says("hook before failed, so nothing was written").says("ExitCode");
    let web = sandbox.object("deployment", &sandbox.namespace, "web").unwrap();
    assert_eq!(web["spec"]["replicas"], 1);
    assert_eq!(
        inside(sandbox, &name, "cat /tmp/log"),
        "before\n",
        "no hook loads data where nothing was restored"
    );
    sandbox.with_key(&["restore", "apply", "back", "--no-hooks"]).expect(0);
    assert_eq!(sandbox.object("deployment", &sandbox.namespace, "web").unwrap()["spec"]["replicas"], 2);

    // Hooks that had succeeded are not repeated by the process that takes a killed restore up.
    inside(sandbox, &name, "rm /tmp/bad /tmp/log");
    let mut command = sandbox.command(&["restore", "apply", "back"]);
    command.env("BACKSTAY_IDENTITY", sandbox.path("key.txt")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let all = |script: &str| everywhere(sandbox, script);
    wait(90, "hook slow", || all("ps -o args").contains("sleep 50").then_some(()));
    std::thread::sleep(Duration::from_secs(3)); // the journal is written every second
    child.kill().unwrap();
    child.wait().unwrap();
    // Which pod stands for the workload may change when it is restored.
    let logged = || {
        let text = all("cat /tmp/log 2>/dev/null || true");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(logged(), ["after", "before"]);
    for pod in pods(sandbox) {
        inside(sandbox, &pod, "touch /tmp/go");
    }
    let report = sandbox.with_key(&["restore", "apply", "back", "-o", "json"]).expect(0).json();
    assert_eq!(logged(), ["after", "before"], "{report}");
    assert_eq!(hook(&report, "slow")["outcome"], "Succeeded");
}
