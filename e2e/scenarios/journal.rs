//! What the cluster remembers of restores: who may run, who takes over, and what a kill leaves behind.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-request-runs-once-for-each-token", needs: &[Need::Api], run: tokens },
        Scenario { name: "a-restore-is-watched-and-cancelled", needs: &[Need::Api], run: cancelled },
        Scenario { name: "a-resumed-restore-keeps-its-snapshot", needs: &[Need::Api], run: resumed },
        Scenario {
            name: "killed-fifty-times-a-restore-ends-the-same",
            needs: &[Need::Api],
            run: fifty_kills,
        },
    ]
}

const MEND: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: mend}
spec:
  from: {location: archive, snapshot: latest}
  token: TOKEN
";

fn request(sandbox: &Sandbox, token: &str) {
    sandbox.write("policy/mend.yaml", &MEND.replace("TOKEN", token));
}

fn status(sandbox: &Sandbox, request: &str) -> Value {
    let run = sandbox.backstay(&["restore", "status", request, "-o", "json"]);
    run.json()["runs"][0].clone()
}

fn tokens(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    request(sandbox, "one");
    sandbox.with_key(&["restore", "apply", "mend"]).expect(0);
    sandbox.kubectl(&["delete", "configmap", "web", "-n", &sandbox.namespace]).expect(0);

    sandbox.with_key(&["restore", "plan", "mend"]).expect(1).says("`apply` will do nothing");
    sandbox.with_key(&["restore", "apply", "mend"]).expect(0).says("nothing was done");
    assert!(sandbox.object("configmap", &sandbox.namespace, "web").is_none());

    request(sandbox, "two");
    sandbox.with_key(&["restore", "apply", "mend"]).expect(0);
    assert!(sandbox.object("configmap", &sandbox.namespace, "web").is_some());
    let run = status(sandbox, "mend");
    assert_eq!(
        (&run["token"], &run["outcome"], &run["objects"]["Created"]),
        (&json!("two"), &json!("Complete"), &json!(1))
    );

    // Neither the journal nor the namespace that was made for it is part of a backup.
    sandbox.backstay(&["backup"]).expect(0);
    let objects = sandbox.with_key(&["show", "latest", "--objects"]).expect(0).stdout;
    assert!(
        !objects.contains("backstay-restore-") && !objects.contains(&format!("Namespace {}", sandbox.home()))
    );
    sandbox.backstay(&["restore", "status", "absent"]).expect(2).says("absent");
}

/// Enough objects that a restore which writes one at a time takes seconds.
fn many(sandbox: &Sandbox, count: usize) {
    shop(sandbox);
    let object = |n: usize| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: many-{n}, namespace: NAMESPACE}}\nstringData: {{n: 'v{n}'}}\n---\n"
        )
    };
    sandbox.apply(&(0..count).map(object).collect::<String>());
}

fn start(sandbox: &Sandbox, args: &[&str]) -> Child {
    let mut command = sandbox.command(args);
    command.env("BACKSTAY_IDENTITY", sandbox.path("key.txt")).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn cancelled(sandbox: &Sandbox) {
    many(sandbox, 1500);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    request(sandbox, "one");
    let child = start(sandbox, &["restore", "apply", "mend", "--concurrency", "1"]);
    let run = wait(60, "the restore is at work on its secrets", || {
        let seen = sandbox.backstay(&["restore", "status", "mend", "-o", "json"]);
        let run = (seen.code == 0).then(|| seen.json()["runs"][0].clone())?;
        (run["wave"]["done"].as_u64() > Some(50)).then_some(run)
    });
    assert_eq!((&run["phase"], &run["wave"]["name"]), (&json!("Running"), &json!("configuration")));
    sandbox.with_key(&["restore", "apply", "mend"]).expect(3).says("is at work on request mend");

    let ended = sandbox.backstay(&["restore", "cancel", "mend", "-o", "json"]).expect(0).json();
    assert_eq!(ended["runs"][0]["outcome"], "Partial", "{ended}");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("cancelled by"), "{:?} {said}", output.status);
    let count = || {
        let names = sandbox.kubectl(&["get", "secrets", "-n", &sandbox.namespace, "-o", "name"]).stdout;
        names.lines().filter(|name| name.contains("/many-")).count()
    };
    let there = count();
    assert!((50..1500).contains(&there), "{there}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(count(), there, "nothing is written after the end");
    sandbox.backstay(&["restore", "cancel", "mend"]).expect(2).says("has ended already");
    request(sandbox, "two");
    sandbox.with_key(&["restore", "apply", "mend"]).expect(0);
    assert_eq!(count(), 1500);
}

fn resumed(sandbox: &Sandbox) {
    many(sandbox, 1000);
    sandbox.backstay(&["backup"]).expect(0);
    let first = sandbox.backstay(&["snapshots", "-o", "json"]).expect(0).json()[0]["id"].clone();
    sandbox.lose_namespace(&sandbox.namespace);
    request(sandbox, "one");
    let mut child = start(sandbox, &["restore", "apply", "mend", "--concurrency", "1"]);
    wait(60, "the restore is at work", || sandbox.object("secret", &sandbox.namespace, "many-7"));
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.backstay(&["restore", "status", "mend"]).expect(0).says("interrupted").says("Running");

    // A backup of the half-restored namespace is newer, and must not be what the restore goes on with.
    sandbox.backstay(&["backup"]).expect(0);
    let report = sandbox.with_key(&["restore", "apply", "mend", "-o", "json"]).expect(0).json();
    assert_eq!(report["source"], format!("snapshot {}", first.as_str().unwrap()));
    assert!(report["notes"].to_string().contains("was interrupted"), "{}", report["notes"]);
    assert!(sandbox.object("secret", &sandbox.namespace, "many-999").is_some());
    assert_eq!(status(sandbox, "mend")["attempts"], 2);
}

/// What a person would compare of a namespace: everything but what the server and its controllers fill in.
fn content(sandbox: &Sandbox, namespace: &str) -> Vec<Value> {
    let kinds = "namespaces,serviceaccounts,roles,rolebindings,configmaps,secrets,services,deployments,cronjobs,ingresses,networkpolicies";
    let mut found = Vec::new();
    for kind in kinds.split(',') {
        let mut args = vec!["get", kind, "-o", "json"];
        if kind == "namespaces" {
            args.push(namespace);
        } else {
            args.extend(["-n", namespace]);
        }
        let list = sandbox.kubectl(&args).expect(0).json();
        let items = list["items"].as_array().cloned().unwrap_or_else(|| vec![list]);
        for object in items {
            let labels = object["metadata"]["labels"].to_string().replace(namespace, "NAMESPACE");
            let name =
                object["metadata"]["name"].as_str().unwrap_or_default().replace(namespace, "NAMESPACE");
            let owners = object["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len);
            let spec =
                if kind == "services" { object["spec"]["ports"].clone() } else { object["spec"].clone() };
            found.push(json!([kind, name, labels, owners, object["data"], object["rules"], spec]));
        }
    }
    found
}

fn fifty_kills(sandbox: &Sandbox) {
    many(sandbox, 150);
    // No pods: fifty copies of them would be too much for the node.
    for (kind, name) in [("deployment", "web"), ("statefulset", "db")] {
        sandbox.kubectl(&["scale", kind, name, "--replicas=0", "-n", &sandbox.namespace]);
    }
    sandbox.backstay(&["backup"]).expect(0);
    let old = sandbox.namespace.clone();
    let copy = |number: u32| format!("{old}-{number}");
    let restore = |number: u32| {
        let map = format!("{old}={}", copy(number));
        ["restore", "apply", "--from", "archive@latest", "--only-namespace", &old, "--map-namespace", &map]
            .map(str::to_owned)
    };
    let started = Instant::now();
    let args = restore(0);
    sandbox.with_key(&args.each_ref().map(String::as_str)).expect(0);
    let whole = started.elapsed();
    let wanted = content(sandbox, &copy(0));
    assert!(wanted.len() > 150);
    let mut killed = 0;
    for number in 1..=50 {
        let args = restore(number);
        let args = args.each_ref().map(String::as_str);
        let mut child = start(sandbox, &args);
        std::thread::sleep(whole * number / 50);
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
        sandbox.with_key(&args).expect(0);
        assert_eq!(content(sandbox, &copy(number)), wanted, "after a kill at {number}/50 of the time");
        sandbox.kubectl(&["delete", "namespace", &copy(number), "--wait=false"]).expect(0);
    }
    assert!(killed > 25, "only {killed} of 50 were killed");
}
