//! What happens when a run is killed, a part is damaged, a key is wrong, or two run at once.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, files};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-killed-backup-leaves-no-snapshot", needs: &[Need::Api], run: killed_backup },
        Scenario {
            name: "a-killed-restore-is-finished-by-the-same-command",
            needs: &[Need::Api],
            run: killed_restore,
        },
        Scenario {
            name: "a-flipped-byte-is-named-before-anything-is-written",
            needs: &[Need::Api],
            run: flipped_byte,
        },
        Scenario { name: "a-wrong-identity-names-the-recipients", needs: &[Need::Api], run: wrong_identity },
        Scenario { name: "two-backups-race-to-one-mirror", needs: &[Need::Api], run: race },
    ]
}

/// The policy with parts as small as they can be, and enough objects for many of them.
fn many(sandbox: &Sandbox, count: usize) {
    shop(sandbox);
    let mut text = String::new();
    for n in 0..count {
        let noise = blob(n);
        text += &format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: many-{n}, namespace: NAMESPACE}}\ndata: {{noise: '{noise}'}}\n---\n"
        );
    }
    text += "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: limits, namespace: NAMESPACE}\nspec: {hard: {pods: '50', configmaps: '5000'}}\n";
    // The quota first, then everything under it.
    sandbox.kubectl(&["delete", "resourcequota", "limits", "-n", &sandbox.namespace]).expect(0);
    sandbox.apply(&text);
}

/// Text that does not compress, the same for the same number.
fn blob(seed: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    };
    (0..2_000).map(|_| letter()).collect()
}

fn killed_backup(sandbox: &Sandbox) {
    many(sandbox, 600);
    sandbox.backstay(&["backup"]).expect(0);
    let tip = sandbox.git(&["--git-dir", "mirror.git", "rev-parse", "main"]);
    sandbox.kubectl(&["label", "configmaps", "--all", "-n", &sandbox.namespace, "round=two"]).expect(0);
    let mut killed = 0;
    for delay in [5, 20, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400] {
        let records = sandbox.records().len();
        let mut child =
            sandbox.command(&["backup"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        // A kill after the record is a finished snapshot; one before it must not show.
        let now = sandbox.records().len();
        if now == records {
            sandbox.backstay(&["verify"]).expect(0);
        }
        sandbox.git(&["--git-dir", "mirror.git", "fsck", "--strict"]);
    }
    assert!(killed > 2, "the backup was too quick to be killed");
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.with_key(&["verify"]).expect(0);
    let log = sandbox.git(&["--git-dir", "mirror.git", "log", "--format=%H", "main"]);
    assert!(log.contains(tip.trim()), "history is not rewritten");
    sandbox.with_key(&["diff", "archive@latest", "mirror@main"]).expect(0);
}

fn killed_restore(sandbox: &Sandbox) {
    many(sandbox, 600);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    let mut killed = 0;
    for delay in [60, 120, 200, 300] {
        let args = ["restore", "apply", "--from", "archive@latest"];
        let mut command = sandbox.command(&args);
        command.env("BACKSTAY_IDENTITY", sandbox.path("key.txt")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
    }
    assert!(killed > 0, "the restore was too quick to be killed");
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(0);
    let names =
        sandbox.kubectl(&["get", "configmaps", "-n", &sandbox.namespace, "-o", "name"]).expect(0).stdout;
    assert_eq!(names.lines().filter(|line| line.contains("/many-")).count(), 600);
    let sets =
        sandbox.kubectl(&["get", "replicasets", "-n", &sandbox.namespace, "-o", "name"]).expect(0).stdout;
    assert!(sets.lines().count() <= 1, "one deployment has one replica set:\n{sets}");
}

fn parts(sandbox: &Sandbox) -> Vec<PathBuf> {
    let is_part =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("objects-"));
    files(&sandbox.dir.join("archive")).into_iter().filter(is_part).collect()
}

fn flipped_byte(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    let part = parts(sandbox).pop().unwrap();
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, &bytes).unwrap();
    let name = part.file_name().unwrap().to_string_lossy().into_owned();

    sandbox.backstay(&["verify"]).expect(1).says(&name);
    sandbox.with_key(&["verify"]).expect(1).says(&name);
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(3).says(&name);
    assert!(sandbox.object("namespace", "", &sandbox.namespace).is_none(), "something was written");
    fs::remove_file(&part).unwrap();
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(3).says(&name);
    sandbox.backstay(&["verify"]).expect(1).says(&name);
}

fn wrong_identity(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.backstay(&["keys", "new", &sandbox.path("other.txt")]).expect(0);
    let recipient = sandbox.recipient();
    let other = sandbox.path("other.txt");
    for args in [
        &["show", "latest", "--objects"][..],
        &["diff", "archive@latest"],
        &["restore", "apply", "--from", "archive@latest"],
        &["restore", "apply", "--from", "mirror@main"],
    ] {
        sandbox.backstay(&[args, &["--identity", &other]].concat()).expect(3).says(&recipient);
    }
}

fn race(sandbox: &Sandbox) {
    shop(sandbox);
    let policy = fs::read_to_string(sandbox.dir.join("policy/policy.yaml")).unwrap();
    for round in 0..3 {
        let change = format!(r#"{{"data":{{"round":"{round}"}}}}"#);
        sandbox.kubectl(&["patch", "configmap", "web", "-n", &sandbox.namespace, "-p", &change]).expect(0);
        let children: Vec<_> = ["one", "two", "three"]
            .into_iter()
            .map(|name| {
                // Each has its own cluster name and cache, as on three machines; the mirror is the same.
                sandbox.write(
                    &format!("policy-{name}/policy.yaml"),
                    &policy.replace("/archive'", &format!("/archive-{name}'")),
                );
                let mut command = sandbox.command(&["backup", "--cluster-name", name]);
                command.env("BACKSTAY_POLICY_REPO", sandbox.path(&format!("policy-{name}")));
                command.env("XDG_CACHE_HOME", sandbox.path(&format!("cache-{name}")));
                (name, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
            })
            .collect();
        for (name, child) in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let log = sandbox.git(&["--git-dir", "mirror.git", "log", "--format=%B", "main"]);
    for name in ["one", "two", "three"] {
        let commits = log.lines().filter(|line| *line == format!("Backstay-Cluster: {name}")).count();
        assert_eq!(commits, 3, "every commit of {name} landed:\n{log}");
    }
    sandbox.git(&["--git-dir", "mirror.git", "fsck", "--strict"]);
}
