//! A restore beside Flux and Argo CD: their owners are paused, and afterwards they are what they were.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

const KUSTOMIZATION: &str = "kustomizations.kustomize.toolkit.fluxcd.io";
const APPLICATION: &str = "applications.argoproj.io";

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-paused-owner-does-not-revert-a-restore", needs: &[Need::Api], run: not_reverted },
        Scenario { name: "a-killed-restore-leaves-owners-to-the-next-run", needs: &[Need::Api], run: killed },
        Scenario { name: "a-stopped-restore-resumes-its-owners", needs: &[Need::Api], run: stopped },
        Scenario { name: "an-owner-comes-back-with-its-inventory", needs: &[Need::Api], run: inventory },
    ]
}

/// The definitions of Flux and Argo CD, for as long as a scenario needs them.
pub struct Definitions<'a>(&'a Sandbox);

impl<'a> Definitions<'a> {
    /// Makes them and waits until they are served.
    pub fn of(sandbox: &'a Sandbox) -> Self {
        let definitions = Self(sandbox);
        sandbox.apply(include_str!("../fixtures/gitops.yaml"));
        for name in [KUSTOMIZATION, APPLICATION] {
            let name = format!("crd/{name}");
            sandbox.kubectl(&["wait", "--for=condition=Established", &name, "--timeout=60s"]).expect(0);
        }
        definitions
    }
}

impl Drop for Definitions<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&["delete", "crd", KUSTOMIZATION, APPLICATION, "--ignore-not-found", "--timeout=60s"]);
    }
}

/// Two Kustomizations, one applied by the other, an Application, and what they manage. The Deployment is paused, so that no
/// pod is needed to tell its replicas; the gate is open.
const DELIVERED: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: root, namespace: NAMESPACE}
spec: {path: ./clusters, suspend: false}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps
  namespace: NAMESPACE
  labels: {kustomize.toolkit.fluxcd.io/name: root, kustomize.toolkit.fluxcd.io/namespace: NAMESPACE}
spec: {path: ./apps}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: asleep
  namespace: NAMESPACE
spec: {path: ./asleep, suspend: true}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: NAMESPACE}
spec: {project: default, syncPolicy: {automated: {selfHeal: true}}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: NAMESPACE
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: NAMESPACE}
spec:
  replicas: 2
  paused: true
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: x}]}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: NAMESPACE
  annotations: {argocd.argoproj.io/tracking-id: 'NAMESPACE_shop:/ConfigMap:NAMESPACE/settings'}
data: {answer: 'yes'}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: quiet
  namespace: NAMESPACE
  labels: {kustomize.toolkit.fluxcd.io/name: asleep, kustomize.toolkit.fluxcd.io/namespace: NAMESPACE}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: gate, namespace: NAMESPACE, labels: {backstay.dev/exclude: 'true'}}
data: {open: 'yes'}
";

/// A request that pauses owners, and does not end before somebody opens the gate.
const REQUEST: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: back}
spec:
  from: {location: archive, snapshot: latest}
  select: {namespaces: {include: [NAMESPACE]}}
  existing: Update
  owners: Pause
  fixups:
    - name: gate
      timeout: 2m
      wait:
        target: {kind: ConfigMap, namespace: NAMESPACE, name: gate}
        for: object.data.open == 'yes'
";

/// Everything is there, saved, and the Deployment has one replica less than was saved: that is what is in Git.
fn delivered(sandbox: &Sandbox) -> Definitions<'_> {
    let definitions = Definitions::of(sandbox);
    sandbox.apply(DELIVERED);
    sandbox.write("policy/request.yaml", &REQUEST.replace("NAMESPACE", &sandbox.namespace));
    sandbox.backstay(&["backup"]).expect(0);
    scale(sandbox, 1);
    definitions
}

fn scale(sandbox: &Sandbox, replicas: u8) {
    let number = format!("--replicas={replicas}");
    sandbox.kubectl(&["scale", "deployment", "web", "-n", &sandbox.namespace, &number]).expect(0);
}

fn replicas(sandbox: &Sandbox) -> Value {
    sandbox.object("deployment", &sandbox.namespace, "web").unwrap()["spec"]["replicas"].clone()
}

fn gate(sandbox: &Sandbox, open: &str) {
    let patch = json!({"data": {"open": open}}).to_string();
    let gate = ["patch", "configmap", "gate", "-n", &sandbox.namespace, "--type=merge", "-p", &patch];
    sandbox.kubectl(&gate).expect(0);
}

/// What people wrote of every owner, sorted by name.
fn owners(sandbox: &Sandbox) -> Vec<Value> {
    let kinds = format!("{KUSTOMIZATION},{APPLICATION}");
    let list = sandbox.kubectl(&["get", &kinds, "-n", &sandbox.namespace, "-o", "json"]).expect(0).json();
    let plain = |owner: &Value| {
        let metadata = &owner["metadata"];
        json!([owner["kind"], metadata["name"], metadata["labels"], metadata["annotations"], owner["spec"]])
    };
    list["items"].as_array().unwrap().iter().map(plain).collect()
}

fn kustomization(sandbox: &Sandbox, name: &str) -> Value {
    sandbox.object(KUSTOMIZATION, &sandbox.namespace, name).unwrap()
}

fn is_paused(owner: &Value) -> bool {
    owner["spec"]["suspend"] == true && owner["metadata"]["annotations"]["backstay.dev/paused"].is_string()
}

/// Does what Flux does with the Deployment: puts it back to what is in Git, unless its Kustomization is suspended.
fn reverting(sandbox: &Sandbox, then: impl FnOnce()) {
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::SeqCst) {
                // In this order: whoever sees the restored Deployment also sees that its owner was paused before.
                if replicas(sandbox) != 1 && kustomization(sandbox, "apps")["spec"]["suspend"] != true {
                    scale(sandbox, 1);
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        // The thread ends whether or not the claim holds.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(then));
        ends.store(true, Ordering::SeqCst);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
}

fn started(sandbox: &Sandbox, format: &str) -> Child {
    let mut command = sandbox.command(&["restore", "apply", "back", "-o", format]);
    command.env("BACKSTAY_IDENTITY", sandbox.path("key.txt"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the restore has written the Deployment and stands before the gate.
fn restored(sandbox: &Sandbox) {
    wait(60, "the Deployment as it was saved", || (replicas(sandbox) == 2).then_some(()));
}

fn not_reverted(sandbox: &Sandbox) {
    let _definitions = delivered(sandbox);
    let before = owners(sandbox);
    reverting(sandbox, || {
        let update = ["restore", "apply", "--from", "archive@latest", "--existing", "update"];
        let name = format!(
            "Kustomization {}/apps applies 1 of these objects and may revert them",
            sandbox.namespace
        );
        sandbox.with_key(&update).expect(0).says(&name).says("use `owners: Pause`");
        wait(20, "the restore to be reverted", || (replicas(sandbox) == 1).then_some(()));

        let plan = sandbox.with_key(&["restore", "plan", "back"]).expect(1);
        plan.says(&format!(
            "{}/apps (applies 1 of these objects): is paused until the end",
            sandbox.namespace
        ));
        assert_eq!(owners(sandbox), before, "a plan writes nothing");

        gate(sandbox, "no");
        let restore = started(sandbox, "text");
        restored(sandbox);
        assert!(is_paused(&kustomization(sandbox, "apps")) && is_paused(&kustomization(sandbox, "root")));
        let application = sandbox.object(APPLICATION, &sandbox.namespace, "shop").unwrap();
        assert_eq!(application["metadata"]["annotations"]["argocd.argoproj.io/skip-reconcile"], "true");
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(replicas(sandbox), 2, "it was reverted although its owner is paused");
        gate(sandbox, "yes");
        let output = restore.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("resumed Kustomization.kustomize.toolkit.fluxcd.io"), "{text}");
        assert_eq!(owners(sandbox), before);
        wait(20, "Flux to be at work again", || (replicas(sandbox) == 1).then_some(()));
    });
}

fn killed(sandbox: &Sandbox) {
    let _definitions = delivered(sandbox);
    let before = owners(sandbox);
    gate(sandbox, "no");
    let mut restore = started(sandbox, "text");
    restored(sandbox);
    restore.kill().unwrap();
    restore.wait().unwrap();
    assert!(is_paused(&kustomization(sandbox, "apps")));
    assert_eq!(owners(sandbox).iter().zip(&before).filter(|(now, then)| now != then).count(), 3);

    // Another restore names them, and leaves them as they are.
    let note =
        format!("Kustomization {}/apps is paused by another restore (request back)", sandbox.namespace);
    let other = [
        "restore",
        "apply",
        "--from",
        "archive@latest",
        "--only-kind",
        "ConfigMap",
        "-n",
        &sandbox.namespace,
    ];
    sandbox.with_key(&other).expect(0).says(&note).says("backstay restore resume");
    let dry = sandbox.backstay(&["restore", "resume", "--dry-run"]).expect(1);
    dry.says(&format!("{}/apps (by: request back)", sandbox.namespace));
    assert!(is_paused(&kustomization(sandbox, "apps")));

    // The same restore takes them over.
    gate(sandbox, "yes");
    sandbox.with_key(&["restore", "apply", "back"]).expect(0);
    assert_eq!(owners(sandbox), before);

    // And so does the command that is for nothing else.
    gate(sandbox, "no");
    scale(sandbox, 1);
    let mut restore = started(sandbox, "text");
    restored(sandbox);
    restore.kill().unwrap();
    restore.wait().unwrap();
    let said = sandbox.backstay(&["restore", "resume"]).expect(0);
    said.says(&format!("resumed Application.argoproj.io {}/shop", sandbox.namespace));
    assert_eq!(owners(sandbox), before);
    sandbox.backstay(&["restore", "resume"]).expect(0).says("no owner is paused");
}

fn stopped(sandbox: &Sandbox) {
    let _definitions = delivered(sandbox);
    let before = owners(sandbox);
    for signal in ["TERM", "INT"] {
        gate(sandbox, "no");
        scale(sandbox, 1);
        let restore = started(sandbox, "text");
        restored(sandbox);
        sandbox.shell(&format!("kill -{signal} {}", restore.id())).expect(0);
        let output = restore.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{signal}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("interrupted; 3 owners resumed"), "{signal}: {text}");
        assert_eq!(owners(sandbox), before, "{signal}");
    }
}

fn inventory(sandbox: &Sandbox) {
    let definitions = Definitions::of(sandbox);
    sandbox.apply(DELIVERED);
    let ns = sandbox.namespace.clone();
    let entries = json!([{"id": format!("{ns}_web_apps_Deployment"), "v": "v1"}, {"id": format!("{ns}_gone__ConfigMap"), "v": "v1"}]);
    let status = json!({"status": {"inventory": {"entries": entries}, "lastAppliedRevision": "main@sha1:1"}})
        .to_string();
    let patch =
        ["patch", KUSTOMIZATION, "apps", "-n", &ns, "--subresource=status", "--type=merge", "-p", &status];
    sandbox.kubectl(&patch).expect(0);
    sandbox.write("policy/request.yaml", &REQUEST.replace("NAMESPACE", &ns));
    let before = owners(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&ns);
    drop(definitions);
    // Those that the restore brings go at the end as well.
    let _definitions = Definitions(sandbox);

    // The definitions, the namespace and the owners come back; the gate is shut because it is not there yet.
    let restore = started(sandbox, "json");
    let apps = || sandbox.object(KUSTOMIZATION, &ns, "apps");
    let crd = || sandbox.object("crd", "", KUSTOMIZATION).is_some();
    wait(60, "the Kustomization", || if crd() { apps() } else { None });
    wait(60, "its inventory", || {
        let found = apps()?;
        (found["status"]["inventory"]["entries"] == entries).then_some(())
    });
    assert!(is_paused(&apps().unwrap()));
    sandbox.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: gate, namespace: NAMESPACE}, data: {open: 'yes'}}");
    let output = restore.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("knows again what it manages: 2 entries"), "{text}");
    assert_eq!(owners(sandbox), before);
    let now = apps().unwrap();
    assert_eq!(
        now["status"],
        json!({"inventory": {"entries": entries}}),
        "nothing else of the status comes back"
    );
}
