//! What comes out of single objects on a real API server: node ports, selectors of jobs, status.

use serde_json::{Value, json};

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "node-ports-are-kept-chosen-anew-or-refused", needs: &[Need::Api], run: node_ports },
        Scenario { name: "jobs-get-new-selectors-of-the-server", needs: &[Need::Api], run: jobs },
        Scenario { name: "status-comes-back-where-it-is-asked-for", needs: &[Need::Api], run: status },
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

/// A kind with a status subresource, one without, and a service with an address of a load balancer.
const WITH_STATUS: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: jars.NAMESPACE.example.org}
spec:
  group: NAMESPACE.example.org
  scope: Namespaced
  names: {kind: Jar, listKind: JarList, plural: jars, singular: jar}
  versions: [{name: v1, served: true, storage: true, SUBschema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec: {type: LoadBalancer, ports: [{port: 80}]}
";

const REQUEST: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: all}
spec:
  from: {location: archive, snapshot: latest}
  restoreStatusOf: [Service, '*.NAMESPACE.example.org']
";

fn status(sandbox: &Sandbox) {
    let space = sandbox.namespace.clone();
    let definitions = WITH_STATUS.replace("SUB", "subresources: {status: {}}, ");
    sandbox.apply(&definitions);
    let plain = definitions.split("---").next().unwrap().replace("subresources: {status: {}}, ", "");
    let plain = plain.replace("jars", "pots").replace("Jar", "Pot").replace("singular: jar", "singular: pot");
    sandbox.apply(&plain);
    for kind in ["jars", "pots"] {
        let crd = format!("crd/{kind}.{space}.example.org");
        sandbox.kubectl(&["wait", "--for=condition=Established", &crd, "--timeout=30s"]).expect(0);
    }
    let object = |kind: &str| {
        format!(
            "apiVersion: NAMESPACE.example.org/v1\nkind: {kind}\nmetadata: {{name: one, namespace: NAMESPACE}}\nspec: {{x: 1}}\n"
        )
    };
    sandbox.apply(&object("Jar"));
    sandbox.apply(&format!("{}status: {{serial: 8}}\n", object("Pot")));
    let patch = |kind: &str, name: &str, status: &str| {
        let args = ["patch", kind, name, "-n", &space, "--subresource=status", "--type=merge", "-p", status];
        sandbox.kubectl(&args).expect(0);
    };
    let jars = format!("jars.{space}.example.org");
    patch(&jars, "one", r#"{"status":{"serial":9007199254740993,"odd":{"stays":true}}}"#);
    patch("service", "web", r#"{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.7"}]}}}"#);
    sandbox.write("policy/restore.yaml", &REQUEST.replace("NAMESPACE", &space));
    sandbox.with_key(&["backup"]).expect(0);
    sandbox.lose_namespace(&space);
    sandbox.with_key(&["restore", "plan", "all"]).expect(1).says("its saved status is written too");
    sandbox.with_key(&["restore", "apply", "all"]).expect(0);

    let status = |kind: &str, name: &str| sandbox.object(kind, &space, name).unwrap()["status"].clone();
    assert_eq!(status(&jars, "one"), json!({"serial": 9_007_199_254_740_993_i64, "odd": {"stays": true}}));
    assert_eq!(status(&format!("pots.{space}.example.org"), "one"), json!({"serial": 8}));
    assert_eq!(status("service", "web")["loadBalancer"]["ingress"][0]["ip"], "203.0.113.7");
    // Without the request nothing of it comes back.
    sandbox.lose_namespace(&space);
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(0);
    assert_eq!(status(&jars, "one"), Value::Null);
    wait(10, "the service has no address", || {
        status("service", "web")["loadBalancer"].get("ingress").is_none().then_some(())
    });
    for kind in ["jars", "pots"] {
        sandbox
            .kubectl(&["delete", "crd", &format!("{kind}.{space}.example.org"), "--timeout=60s"])
            .expect(0);
    }
}
