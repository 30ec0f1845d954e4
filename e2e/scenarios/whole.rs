//! A namespace with one of every thing that is hard to bring back: into a second cluster, under another name, and for trial.

use serde_json::{Value, json};

use crate::Scenario;
use crate::scenarios::gitops::Definitions;
use crate::support::parts::Need;
use crate::support::program::Run;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "everything-comes-back-in-a-second-cluster", needs: &[Need::Second], run: second },
        Scenario { name: "everything-comes-back-under-another-name", needs: &[Need::Api], run: mapped },
        Scenario { name: "a-drill-leaves-no-trace", needs: &[Need::Api], run: drill },
        Scenario { name: "a-drill-fills-a-scratch-cluster", needs: &[Need::Second], run: drill_elsewhere },
    ]
}

const POLICY: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {name: all}
spec:
  locations: [archive]
  select:
    namespaces: {include: [NAMESPACE]}
    clusterResources: {include: [ValidatingWebhookConfiguration]}
---
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {name: archive}
spec:
  archive: {url: 'file://DIR/archive'}
  recipients: [RECIPIENT]
---
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: moved}
spec:
  from: {location: archive, snapshot: latest}
  select:
    namespaces: {include: [NAMESPACE]}
    clusterResources: {exclude: ['*webhookconfigurations*']}
  namespaceMapping: {NAMESPACE: NAMESPACE-moved}
";

/// Makes everything, saves it, and takes the webhook away again: nobody would answer it.
fn saved(sandbox: &Sandbox) -> Definitions<'_> {
    let definitions = Definitions::of(sandbox);
    sandbox.policy(POLICY);
    sandbox.apply(include_str!("../fixtures/everything.yaml"));
    let crd = format!("crd/widgets.{}.example.org", sandbox.namespace);
    sandbox.kubectl(&["wait", "--for=condition=Established", &crd, "--timeout=60s"]).expect(0);
    wait(30, "the new kind is served", || {
        sandbox.write(
            "guarded.yaml",
            &include_str!("../fixtures/guarded.yaml").replace("NAMESPACE", &sandbox.namespace),
        );
        (sandbox.kubectl(&["apply", "--server-side", "-f", &sandbox.path("guarded.yaml")]).code == 0)
            .then_some(())
    });
    sandbox.backstay(&["backup"]).expect(0);
    webhook_goes(sandbox, None);
    definitions
}

fn leave(sandbox: &Sandbox) {
    webhook_goes(sandbox, None);
    sandbox.kubectl(&[
        "delete",
        "crd",
        &format!("widgets.{}.example.org", sandbox.namespace),
        "--ignore-not-found",
    ]);
}

fn webhook_goes(sandbox: &Sandbox, kubeconfig: Option<&str>) {
    let name = format!("guard.{}", sandbox.namespace);
    let mut args = vec!["delete", "validatingwebhookconfiguration", &name, "--ignore-not-found"];
    args.extend(kubeconfig.iter().flat_map(|file| ["--kubeconfig", file]));
    sandbox.kubectl(&args).expect(0);
}

/// Backstay with the identity, on the second cluster.
fn there(sandbox: &Sandbox, args: &[&str]) -> Run {
    let mut command = sandbox.command(args);
    command
        .env("BACKSTAY_IDENTITY", sandbox.path("key.txt"))
        .env("KUBECONFIG", sandbox.parts.get("SECOND_KUBECONFIG"));
    Run::of(&mut command)
}

fn actions(report: &Value, action: &str) -> Vec<String> {
    let waves = report["waves"].as_array().unwrap();
    let objects = waves.iter().flat_map(|wave| wave["objects"].as_array().unwrap());
    let name =
        |object: &Value| format!("{} {}", object["kind"].as_str().unwrap(), object["name"].as_str().unwrap());
    objects.filter(|object| object["action"] == action).map(name).collect()
}

/// Every object of the snapshot is accounted for: written, left out with a reason, or not meant.
fn is_complete(sandbox: &Sandbox, report: &Value, plan: &Value) {
    let saved =
        sandbox.backstay(&["snapshots", "-o", "json"]).expect(0).json()[0]["objects"].as_u64().unwrap();
    let written: usize = report["waves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wave| wave["objects"].as_array().unwrap().len())
        .sum();
    let left = report["leftOut"].as_array().map_or(0, Vec::len);
    let unmeant: u64 =
        plan["plan"]["unselected"].as_object().map_or(0, |all| all.values().filter_map(Value::as_u64).sum());
    assert_eq!(written as u64 + left as u64 + unmeant, saved, "{report}");
}

fn second(sandbox: &Sandbox) {
    let definitions = saved(sandbox);
    let plan =
        there(sandbox, &["restore", "plan", "--from", "archive@latest", "-o", "json"]).expect(1).json();
    let report =
        there(sandbox, &["restore", "apply", "--from", "archive@latest", "-o", "json"]).expect(0).json();
    is_complete(sandbox, &report, &plan);
    assert_eq!(actions(&report, "Failed"), Vec::<String>::new());
    let created = actions(&report, "Created");
    for object in [
        "Kustomization apps",
        "Application apps",
        "Widget one",
        "StatefulSet db",
        "Job once",
        "Service nodes",
    ] {
        assert!(created.iter().any(|name| name == object), "{object}: {created:?}");
    }
    let webhook = format!("ValidatingWebhookConfiguration guard.{}", sandbox.namespace);
    assert!(created.contains(&webhook), "{created:?}");
    assert!(!report.to_string().contains("Walrus"));

    // The webhook blocks now what it guards; what is there already is found all the same.
    let again =
        there(sandbox, &["restore", "apply", "--from", "archive@latest", "-o", "json"]).expect(0).json();
    for action in ["Created", "Updated", "Recreated", "Failed"] {
        assert_eq!(actions(&again, action), Vec::<String>::new(), "{again}");
    }
    there(sandbox, &["restore", "plan", "--from", "archive@latest"]).expect(0);
    drop(definitions);
    forget(sandbox);
    leave(sandbox);
}

/// Takes everything out of the second cluster again.
fn forget(sandbox: &Sandbox) {
    let file = sandbox.parts.get("SECOND_KUBECONFIG").to_owned();
    webhook_goes(sandbox, Some(&file));
    for name in [sandbox.namespace.clone(), sandbox.home()] {
        sandbox
            .kubectl(&[
                "delete",
                "namespace",
                &name,
                "--ignore-not-found",
                "--kubeconfig",
                &file,
                "--timeout=120s",
            ])
            .expect(0);
    }
    let crd = format!("widgets.{}.example.org", sandbox.namespace);
    let flux = "kustomizations.kustomize.toolkit.fluxcd.io";
    let delete = [
        "delete",
        "crd",
        &crd,
        flux,
        "applications.argoproj.io",
        "--ignore-not-found",
        "--kubeconfig",
        &file,
    ];
    sandbox.kubectl(&delete).expect(0);
}

fn mapped(sandbox: &Sandbox) {
    let definitions = saved(sandbox);
    let plan = sandbox.with_key(&["restore", "plan", "moved", "-o", "json"]).expect(1).json();
    let report = sandbox.with_key(&["restore", "apply", "moved", "-o", "json"]).expect(0).json();
    is_complete(sandbox, &report, &plan);
    assert_eq!(actions(&report, "Failed"), Vec::<String>::new());
    let moved = format!("{}-moved", sandbox.namespace);
    let app = sandbox.object("applications.argoproj.io", &moved, "apps").unwrap();
    assert_eq!(app["spec"]["destination"]["namespace"], json!(moved));
    let widget =
        sandbox.object(&format!("widgets.{}.example.org", sandbox.namespace), &moved, "one").unwrap();
    assert_eq!(widget["spec"]["unknown"], json!({"kept": true}));
    let again = sandbox.with_key(&["restore", "apply", "moved", "-o", "json"]).expect(0).json();
    for action in ["Created", "Updated", "Recreated", "Failed"] {
        assert_eq!(actions(&again, action), Vec::<String>::new(), "{again}");
    }
    drop(definitions);
    leave(sandbox);
}

fn drill(sandbox: &Sandbox) {
    let definitions = saved(sandbox);
    let report = sandbox.with_key(&["drill", "--from", "archive@latest", "-o", "json"]).expect(0).json();
    assert_eq!((&report["outcome"], &report["different"]), (&json!("Complete"), &json!([])));
    // Nothing but the scratch namespace is cluster-scoped: the original shares the rest.
    let created = actions(&report["restore"], "Created");
    let copy = format!("Namespace {}", report["namespaces"][&sandbox.namespace].as_str().unwrap());
    assert!(
        created.contains(&copy) && !created.iter().any(|n| n.starts_with("CustomResource")),
        "{created:?}"
    );
    assert_eq!(actions(&report["restore"], "Updated"), Vec::<String>::new());
    let lacking = report["references"]["missing"].as_array().unwrap();
    assert!(
        lacking.iter().any(|one| one["kind"] == "StorageClass" && one["name"] == "absent"),
        "{lacking:?}"
    );
    let names = sandbox.kubectl(&["get", "namespaces", "-o", "name"]).expect(0).stdout;
    assert!(!names.contains("namespace/drill-"), "{names}");

    let kept =
        sandbox.with_key(&["drill", "--from", "archive@latest", "--keep", "-o", "json"]).expect(0).json();
    let copy = kept["namespaces"][&sandbox.namespace].as_str().unwrap().to_owned();
    assert_eq!(sandbox.object("service", &copy, "public").unwrap()["spec"]["type"], "ClusterIP");
    assert_eq!(sandbox.object("cronjob", &copy, "nightly").unwrap()["spec"]["suspend"], true);
    sandbox.with_key(&["drill", "--clean"]).expect(0).says(&copy);
    assert!(sandbox.object("namespace", "", &copy).is_none());
    sandbox.with_key(&["drill", "--from", "archive@latest", "-n", "absent"]).expect(2);
    drop(definitions);
    leave(sandbox);
}

fn drill_elsewhere(sandbox: &Sandbox) {
    let definitions = saved(sandbox);
    let file = sandbox.parts.get("SECOND_KUBECONFIG").to_owned();
    let args = ["drill", "--from", "archive@latest", "--into-kubeconfig", &file];
    let report = sandbox.with_key(&[&args[..], &["-o", "json"]].concat()).expect(0).json();
    assert_eq!((&report["outcome"], &report["different"]), (&json!("Complete"), &json!([])), "{report}");
    sandbox.with_key(&args).expect(2).says("no scratch cluster");
    let home = sandbox.parts.kubeconfig().display().to_string();
    let own = ["drill", "--from", "archive@latest", "--into-kubeconfig", &home];
    sandbox.with_key(&own).expect(2).says("the cluster the snapshot was made of");
    drop(definitions);
    forget(sandbox);
    leave(sandbox);
}
