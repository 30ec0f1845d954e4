//! What comes out of single objects on a real API server: node ports and selectors of jobs.

use serde_json::{Value, json};

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "node-ports-are-kept-chosen-anew-or-refused", needs: &[Need::Api], run: node_ports },
        Scenario { name: "jobs-get-new-selectors-of-the-server", needs: &[Need::Api], run: jobs },
    ]
}

/// Two services: the port of one is chosen by the server, that of the other by a person.
const SERVICES: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: Service
metadata: {name: any, namespace: NAMESPACE}
spec: {type: NodePort, ports: [{port: 80}]}
";

fn service(name: &str, port: &Value) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: NAMESPACE}}\nspec: {{type: NodePort, ports: [{{port: 80, \
         nodePort: {port}}}]}}\n"
    )
}

/// Keeps all node ports, as `velero restore create --preserve-nodeports` does.
const PRESERVE: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: Catalog
metadata: {name: mine}
spec:
  rules:
    - {name: service/node-ports, kinds: [services], keepManagedFields: true}
";

/// Velero's scenario of node ports: omitted, preserved, in collision.
fn node_ports(sandbox: &Sandbox) {
    let space = sandbox.namespace.clone();
    let port =
        |name: &str| sandbox.object("service", &space, name).unwrap()["spec"]["ports"][0]["nodePort"].clone();
    sandbox.apply(SERVICES);
    // A port that was free a moment ago becomes one that a person chose.
    sandbox.apply(&SERVICES.replace("name: any", "name: chosen"));
    let chosen = port("chosen");
    sandbox.kubectl(&["delete", "service", "chosen", "-n", &space]).expect(0);
    sandbox.apply(&service("chosen", &chosen));
    let any = port("any");
    sandbox.with_key(&["backup"]).expect(0);
    let lose = || sandbox.kubectl(&["delete", "service", "--all", "-n", &space]).expect(0);
    let restore =
        |code| sandbox.with_key(&["restore", "apply", "--from", "archive@latest", "-o", "json"]).expect(code);

    // Omitted: another service took the port that the server had chosen; the restored one gets a new one.
    lose();
    sandbox.apply(&service("taker", &any));
    restore(0);
    assert_ne!(port("any"), any);
    assert_eq!(port("chosen"), chosen, "what a person chose stays");

    // In collision: the port that a person chose is taken, and the report says so.
    lose();
    sandbox.apply(&service("taker", &chosen));
    restore(1).says("provided port is already allocated");
    assert!(sandbox.object("service", &space, "chosen").is_none());

    // Preserved: all of them, by a rule of the policy repository in the place of the built-in one.
    lose();
    sandbox.write("policy/catalog.yaml", PRESERVE);
    restore(0);
    assert_eq!((port("any"), port("chosen")), (any, chosen));
}

/// A job whose selector the server makes, and one whose selector a person made.
const JOBS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: batch/v1
kind: Job
metadata: {name: made, namespace: NAMESPACE}
spec: {suspend: true, template: {metadata: {labels: {app: a}}, spec: {restartPolicy: Never, containers: [{name: main, image: x}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: mine, namespace: NAMESPACE}
spec:
  suspend: true
  manualSelector: true
  selector: {matchLabels: {app: mine}}
  template: {metadata: {labels: {app: mine}}, spec: {restartPolicy: Never, containers: [{name: main, image: x}]}}
";

fn jobs(sandbox: &Sandbox) {
    let space = sandbox.namespace.clone();
    sandbox.apply(JOBS);
    sandbox.with_key(&["backup"]).expect(0);
    let before = sandbox.object("job", &space, "made").unwrap();
    sandbox.lose_namespace(&space);
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(0);
    let made = sandbox.object("job", &space, "made").unwrap();
    let uid = &made["metadata"]["uid"];
    assert_ne!(uid, &before["metadata"]["uid"]);
    assert_eq!(made["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], *uid);
    let labels = &made["spec"]["template"]["metadata"]["labels"];
    assert_eq!((&labels["app"], &labels["batch.kubernetes.io/controller-uid"]), (&json!("a"), uid));
    assert_eq!(labels["batch.kubernetes.io/job-name"], "made");
    let mine = sandbox.object("job", &space, "mine").unwrap();
    assert_eq!(mine["spec"]["selector"]["matchLabels"], json!({"app": "mine"}));
}
