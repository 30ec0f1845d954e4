//! Hooks in real pods: where they run, what comes of them, and what is owed after a crash.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, files, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "every-way-a-hook-can-fail-has-a-name", needs: &[Need::Node], run: results },
        Scenario {
            name: "a-hook-that-may-not-run-says-who-forbids-it",
            needs: &[Need::Node],
            run: forbidden,
        },
        Scenario { name: "a-password-that-a-hook-prints-is-nowhere", needs: &[Need::Node], run: masked },
        Scenario { name: "pods-ask-for-hooks-as-with-velero", needs: &[Need::Node], run: annotated },
        Scenario { name: "jobs-requests-and-scaling-run-around-a-backup", needs: &[Need::Node], run: others },
    ]
}

/// Two pods of a Deployment, one beside a sidecar, and a pod without a shell.
const PODS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: NAMESPACE}
stringData: {password: correct-horse-Zebra-4711}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: linkerd-proxy, image: BUSYBOX, imagePullPolicy: Never, command: [sleep, inf]}
      - {name: web, image: BUSYBOX, imagePullPolicy: Never, command: [sleep, inf], envFrom: [{secretRef: {name: db}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: NAMESPACE, labels: {app: bare}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: bare, image: PAUSE, imagePullPolicy: Never}]
";

pub fn up(sandbox: &Sandbox, annotations: &str) {
    let text = PODS
        .replace("BUSYBOX", sandbox.parts.get("IMAGE"))
        .replace("PAUSE", sandbox.parts.get("PAUSE"))
        .replace("annotations: {}", &format!("annotations: {annotations}"));
    sandbox.apply(&text);
    let ns = &sandbox.namespace;
    let ready = ["wait", "--for=condition=Ready", "pod", "--all", "-n", ns, "--timeout=1s"];
    let rolled = ["rollout", "status", "deployment/web", "-n", ns, "--timeout=1s"];
    wait(90, "the pods", || {
        (sandbox.kubectl(&rolled).code == 0 && sandbox.kubectl(&ready).code == 0).then_some(())
    });
}

/// Puts hooks into the scenario's policy.
pub fn hooks(sandbox: &Sandbox, hooks: &str) {
    let policy = fs::read_to_string(sandbox.path("policy/policy.yaml")).unwrap();
    let at = policy.find("  locations").unwrap();
    sandbox.policy(&format!(
        "{}  hooks:\n{hooks}{}",
        &policy[..policy.find("spec:\n").unwrap() + 6],
        &policy[at..]
    ));
}

pub fn pods(sandbox: &Sandbox) -> Vec<String> {
    let args = [
        "get",
        "pods",
        "-n",
        &sandbox.namespace,
        "-l",
        "app=web",
        "-o",
        "jsonpath={.items[*].metadata.name}",
    ];
    sandbox.kubectl(&args).expect(0).stdout.split_whitespace().map(str::to_owned).collect()
}

/// What a shell in a pod's own container says.
pub fn inside(sandbox: &Sandbox, pod: &str, script: &str) -> String {
    let args = ["exec", "-n", &sandbox.namespace, pod, "-c", "web", "--", "sh", "-c", script];
    sandbox.kubectl(&args).expect(0).stdout
}

/// The same of every pod, as far as they answer.
pub fn everywhere(sandbox: &Sandbox, script: &str) -> String {
    let ask = |pod: &String| {
        let args = ["exec", "-n", &sandbox.namespace, pod, "-c", "web", "--", "sh", "-c", script];
        sandbox.kubectl(&args).stdout
    };
    pods(sandbox).iter().map(ask).collect()
}

pub fn hook<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["hooks"].as_array().unwrap();
    all.iter().find(|hook| hook["name"] == name).unwrap_or_else(|| panic!("no hook {name} in {report}"))
}

/// Outcome of a hook, and result and reason of its first run.
fn told(report: &Value, name: &str) -> String {
    let hook = hook(report, name);
    let run = &hook["runs"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}: {}", text(&hook["outcome"]), text(&run["result"]), text(&run["reason"]))
}

const FAILING: &str = "  - {name: a-code, hook: {when: PreBackup, labelSelector: {matchLabels: {app: web}}, exec: {command: [sh, -c, 'echo out; echo err >&2; exit 3']}}}
  - {name: b-late, hook: {when: PreBackup, timeout: 2s, labelSelector: {matchLabels: {app: web}}, exec: {command: [sh, -c, 'echo begun; sleep 5555 & sleep 5555']}}}
  - {name: c-stubborn, hook: {when: PreBackup, timeout: 2s, scope: Workload, exec: {command: [sh, -c, 'trap \"\" TERM; while true; do sleep 4444; done']}}}
  - {name: d-container, hook: {when: PreBackup, onError: Continue, labelSelector: {matchLabels: {app: web}}, exec: {container: nobody, command: ['true']}}}
  - {name: e-program, hook: {when: PreBackup, scope: Workload, exec: {command: [/no/such/program]}}}
  - {name: f-shell, hook: {when: PreBackup, labelSelector: {matchLabels: {app: bare}}, exec: {command: [sh, -c, 'true']}}}
  - {name: g-nothing, hook: {when: PreBackup, labelSelector: {matchLabels: {app: none}}, exec: {command: ['true']}}}
  - {name: h-gone, hook: {when: PreBackup, labelSelector: {matchLabels: {app: web}}, timeout: 60s, exec: {command: [sh, -c, 'touch /tmp/waits; sleep 50']}}}
  - {name: i-fine, hook: {when: PostBackup, labelSelector: {matchLabels: {app: web}}, exec: {command: [echo, fine]}}}
";

fn results(sandbox: &Sandbox) {
    up(sandbox, "{}");
    hooks(sandbox, FAILING);
    let names = pods(sandbox);
    let child = sandbox.command(&["backup", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    // The pod goes while the last hook before the backup runs in it.
    wait(60, "hook h-gone", || {
        let args =
            ["exec", "-n", &sandbox.namespace, &names[0], "-c", "web", "--", "test", "-e", "/tmp/waits"];
        (sandbox.kubectl(&args).code == 0).then_some(())
    });
    let late = inside(sandbox, &names[1], "ps -o args");
    assert!(!late.contains("5555") && !late.contains("4444"), "a command is left in the container:\n{late}");
    for name in &names {
        sandbox.kubectl(&["delete", "pod", name, "-n", &sandbox.namespace, "--wait=false"]).expect(0);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "Partial");
    let expected = [
        ("a-code", "Failed ExitCode: exit code 3"),
        ("b-late", "Failed TimedOut: it took longer than 2s; its process group was ended with SIGTERM"),
        ("c-stubborn", "Failed TimedOut: it took longer than 2s; its process group was ended with SIGKILL"),
        ("d-container", "Warned NoSuchContainer: the pod has no container nobody"),
        ("e-program", "Failed CommandNotFound: the container has no program /no/such/program"),
        ("f-shell", "Failed CommandNotFound: the container has no shell: the container has no program sh"),
        ("h-gone", "Failed PodGone: the pod was deleted before the command had ended"),
    ];
    for (name, text) in expected {
        assert_eq!(told(&report, name), text, "{report:#}");
    }
    let code = &hook(&report, "a-code")["runs"][0];
    assert_eq!((&code["code"], &code["stdout"], &code["stderr"]), (&json!(3), &json!("out"), &json!("err")));
    assert_eq!(hook(&report, "b-late")["runs"][1]["stdout"], "begun", "output until the end is kept");
    assert_eq!(hook(&report, "g-nothing")["outcome"], "Warned");
    assert_eq!(hook(&report, "i-fine")["when"], "PostBackup");

    // With `onError: Continue` alone the outcome is Complete, and the exit code 0.
    up(sandbox, "{}");
    hooks(
        sandbox,
        "  - {name: lenient, hook: {when: PreBackup, onError: Continue, scope: Workload, exec: {command: ['false']}}}\n",
    );
    let report = sandbox.backstay(&["backup", "-o", "json"]).expect(0).json();
    assert_eq!(
        (&report["outcome"], &hook(&report, "lenient")["outcome"]),
        (&json!("Complete"), &json!("Warned"))
    );
    let record: Value =
        serde_json::from_slice(&fs::read(sandbox.records().last().unwrap()).unwrap()).unwrap();
    let summary =
        json!([{"name": "lenient", "when": "PreBackup", "outcome": "Warned", "targets": 1, "failed": 1}]);
    assert_eq!(record["hooks"], summary);
}

const READER: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata: {name: backstay, namespace: NAMESPACE}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-reader}
rules: [{apiGroups: ['*'], resources: ['*'], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-reader}
subjects: [{kind: ServiceAccount, name: backstay, namespace: NAMESPACE}]
";

const ALLOWED: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: backstay-hooks, namespace: NAMESPACE}
rules: [{apiGroups: [''], resources: [pods/exec], verbs: [get, create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: backstay-hooks, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: backstay-hooks}
subjects: [{kind: ServiceAccount, name: backstay, namespace: NAMESPACE}]
";

fn forbidden(sandbox: &Sandbox) {
    up(sandbox, "{}");
    sandbox.apply(READER);
    let kubeconfig = sandbox.account(&sandbox.namespace, "backstay");
    hooks(sandbox, "  - {name: sync, hook: {when: PreBackup, scope: Workload, exec: {command: [sync]}}}\n");
    let backup = ["backup", "-o", "json", "--kubeconfig", &kubeconfig];
    let report = sandbox.backstay(&backup).expect(1).json();
    let text = told(&report, "sync");
    assert!(text.starts_with("Failed Forbidden: ") && text.contains("pods/exec"), "{text}");

    // An account that reads, and may run commands here, needs nothing else.
    sandbox.apply(ALLOWED);
    let report = sandbox.backstay(&backup).expect(0).json();
    assert_eq!(told(&report, "sync"), "Succeeded Succeeded: ");

    // The policy of the hardened example lets only Backstay's account run commands.
    let ours = format!("system:serviceaccount:{}:backstay", sandbox.namespace);
    let policy = fs::read_to_string("examples/hardened/cluster/admission-policy.yaml").unwrap();
    let guard = |user: &str| {
        let text = policy
            .replace("system:serviceaccount:backstay:backstay", user)
            .replace("name: only-backstay-runs-commands", &format!("name: {}", sandbox.namespace))
            .replace("policyName: only-backstay-runs-commands", &format!("policyName: {}", sandbox.namespace))
            .replace(
                "kubernetes.io/metadata.name: shop",
                &format!("kubernetes.io/metadata.name: {}", sandbox.namespace),
            );
        sandbox.apply(&text);
    };
    guard("system:serviceaccount:nobody:else");
    let denied = wait(30, "the policy to take effect", || {
        let report = sandbox.backstay(&backup).json();
        (report["outcome"] == "Partial").then_some(report)
    });
    let text = told(&denied, "sync");
    assert!(text.starts_with("Failed Denied: ") && text.contains("ValidatingAdmissionPolicy"), "{text}");
    guard(&ours);
    wait(30, "the policy to let Backstay in", || (sandbox.backstay(&backup).code == 0).then_some(()));
    let name = pods(sandbox)[0].clone();
    sandbox
        .kubectl(&["exec", "-n", &sandbox.namespace, &name, "-c", "web", "--", "true"])
        .expect(1)
        .says("denied request");
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        sandbox.kubectl(&["delete", kind, &sandbox.namespace]).expect(0);
    }
    // A hook that has to be undone needs a place to be remembered.
    hooks(
        sandbox,
        "  - {name: freeze, hook: {when: PreBackup, scope: Workload, exec: {command: ['true']}}}\n  - {name: thaw, hook: {when: PostBackup, scope: Workload, exec: {command: ['true']}}}\n",
    );
    sandbox.backstay(&backup).expect(3).says("ConfigMaps in Backstay's namespace");
}

fn masked(sandbox: &Sandbox) {
    up(sandbox, "{}");
    let secret = "correct-horse-Zebra-4711";
    hooks(
        sandbox,
        "  - {name: loud, hook: {when: PreBackup, scope: Workload, exec: {command: [sh, -c, 'echo \"login $password\"; echo -n \"$password\" | base64 >&2; exit 1']}}}\n  - {name: end, hook: {when: PostBackup, scope: Workload, exec: {command: [sh, -c, 'env']}}}\n",
    );
    let run = sandbox
        .backstay(&["backup", "--log", "debug"])
        .expect(1)
        .says("stdout: login ***")
        .says("stderr: ***");
    let run = run.says_not(secret).says_not("Y29ycmVjdC1ob3JzZS1aZWJyYS00NzEx");
    assert!(run.stdout.contains("password=***"), "{}", run.stdout);
    let json = sandbox.backstay(&["hooks", "test", "-o", "json"]).expect(1).says_not(secret);
    assert_eq!(told(&json.json(), "loud"), "Failed ExitCode: exit code 1");
    sandbox
        .shell("for f in archive/clusters/e2e/snapshots/*/report.json.zst.age; do age -d -i key.txt $f | zstd -d; done")
        .expect(0)
        .says("login ***")
        .says_not(secret);
    for file in files(&sandbox.dir).into_iter().filter(|file| !file.ends_with("apply.yaml")) {
        let bytes = fs::read(&file).unwrap();
        let held = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!held, "{} holds the password", file.display());
    }
    let everything = sandbox.kubectl(&["get", "configmaps,events", "-A", "-o", "json"]).expect(0).stdout;
    assert!(!everything.contains(secret) && !everything.contains("login ***"));
}

fn annotated(sandbox: &Sandbox) {
    let asks = "{pre.hook.backup.velero.io/command: '[\"sh\", \"-c\", \"echo pre >> /tmp/log\"]', \
        post.hook.backup.velero.io/command: '[\"sh\", \"-c\", \"echo post >> /tmp/log\"]', \
        post.hook.restore.velero.io/command: '[\"sh\", \"-c\", \"echo restored >> /tmp/log\"]', \
        init.hook.restore.velero.io/container-image: BUSYBOX, init.hook.restore.velero.io/container-name: fill, \
        init.hook.restore.velero.io/command: '[\"true\"]'}";
    let asks = asks.replace("BUSYBOX", sandbox.parts.get("IMAGE"));
    up(sandbox, &asks);
    let list = sandbox.backstay(&["hooks", "list"]).expect(0);
    list.says("before the backup: hook velero-annotations").says("container web").says("known sidecars");
    let report = sandbox.backstay(&["backup", "-o", "json"]).expect(0).json();
    for name in pods(sandbox) {
        assert_eq!(inside(sandbox, &name, "cat /tmp/log"), "pre\npost\n", "{report}");
    }
    // Pods that are there already are left alone by a restore.
    let args = ["restore", "apply", "--from", "archive@latest", "-o", "json"];
    let again = sandbox.with_key(&args).json();
    for name in pods(sandbox) {
        assert_eq!(inside(sandbox, &name, "cat /tmp/log"), "pre\npost\n", "{again}");
    }
    sandbox.lose_namespace(&sandbox.namespace);
    let report = sandbox.with_key(&args).expect(0).json();
    let names = pods(sandbox);
    assert_eq!(names.len(), 2, "{report}");
    for name in &names {
        assert_eq!(inside(sandbox, name, "cat /tmp/log"), "restored\n", "{report}");
        let pod = sandbox.object("pod", &sandbox.namespace, name).unwrap();
        assert_eq!(pod["spec"]["initContainers"][0]["name"], "fill");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "ReplicaSet", "it was adopted");
    }
}

fn others(sandbox: &Sandbox) {
    up(sandbox, "{}");
    let ns = sandbox.namespace.clone();
    sandbox
        .kubectl(&["label", "namespace", &ns, "pod-security.kubernetes.io/enforce=restricted", "--overwrite"])
        .expect(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    });
    hooks(sandbox, &format!(
        "  - {{name: dump, hook: {{when: PreBackup, scope: Namespace, namespaces: [NAMESPACE], job: {{image: {}, command: [sh, -c, 'echo dumped $password'], envFromSecret: db, runAsUser: 1000}}}}}}
  - {{name: root, hook: {{when: PreBackup, scope: Namespace, onError: Continue, timeout: 20s, namespaces: [NAMESPACE], job: {{image: {}, command: ['true']}}}}}}
  - {{name: fails, hook: {{when: PreBackup, scope: Namespace, onError: Continue, namespaces: [NAMESPACE], job: {{image: {}, command: [sh, -c, 'exit 7'], runAsUser: 1000}}}}}}
  - {{name: tell, hook: {{when: PostBackup, http: {{url: 'http://127.0.0.1:{port}/flush?now', headers: {{x-token: hunter2}}}}}}}}
", sandbox.parts.get("IMAGE"), sandbox.parts.get("IMAGE"), sandbox.parts.get("IMAGE")));
    let run = sandbox.backstay(&["backup", "-o", "json"]).expect(0).says_not("hunter2");
    let report = run.json();
    let dump = &hook(&report, "dump")["runs"][0];
    assert_eq!(
        (&dump["result"], dump["stdout"].as_str().unwrap().trim_start_matches('…')),
        (&json!("Succeeded"), "dumped ***"),
        "{report:#}"
    );
    let text = told(&report, "root");
    assert!(text.starts_with("Warned "), "a Job as root in a restricted namespace: {text}");
    assert!(told(&report, "fails").starts_with("Warned JobFailed: "), "{report:#}");
    assert_eq!(told(&report, "tell"), "Succeeded Succeeded: ");
    assert!(server.join().unwrap().starts_with("POST /flush?now HTTP/1.1\r\n"));
    wait(30, "the Jobs to be deleted", || {
        let left = sandbox.kubectl(&["get", "jobs", "-n", &ns, "-o", "name"]).expect(0).stdout;
        left.is_empty().then_some(())
    });
}
