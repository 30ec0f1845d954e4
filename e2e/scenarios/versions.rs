//! Objects that come back in another version of their API than they were saved in.

use serde_json::{Value, json};

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-served-version-is-sent-as-it-was-saved", needs: &[Need::Api], run: served },
        Scenario {
            name: "one-version-becomes-another-where-only-the-label-changes",
            needs: &[Need::Api],
            run: label,
        },
        Scenario { name: "two-clusters-use-the-version-that-both-know", needs: &[Need::Api], run: common },
        Scenario { name: "no-version-fits-and-the-report-says-why", needs: &[Need::Api], run: nothing },
        Scenario { name: "old-manifests-of-kubernetes-come-back", needs: &[Need::Api], run: kubernetes },
    ]
}

/// A definition of tins that serves these versions; FIELD is the field that their schema knows.
fn tins(versions: &[(&str, &str)], conversion: &str) -> String {
    let version = |(at, (name, field)): (usize, &(&str, &str))| {
        format!(
            "    - {{name: {name}, served: true, storage: {}, schema: {{openAPIV3Schema: {{type: object, properties: \
             {{spec: {{type: object, properties: {{{field}: {{type: integer}}}}}}}}}}}}}}\n",
            at == 0
        )
    };
    let versions: String = versions.iter().enumerate().map(version).collect();
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: tins.NAMESPACE.example.org}}
spec:
  group: NAMESPACE.example.org
  scope: Namespaced
  names: {{kind: Tin, listKind: TinList, plural: tins, singular: tin}}
  conversion: {conversion}
  versions:
{versions}"
    )
}

const LABEL: &str = "{strategy: None}";
const WEBHOOK: &str = "{strategy: Webhook, webhook: {conversionReviewVersions: [v1], \
     clientConfig: {service: {namespace: NAMESPACE, name: converter}}}}";

fn define(sandbox: &Sandbox, versions: &[(&str, &str)], conversion: &str) {
    sandbox.apply(&tins(versions, conversion));
    let crd = format!("crd/tins.{}.example.org", sandbox.namespace);
    sandbox.kubectl(&["wait", "--for=condition=Established", &crd, "--timeout=30s"]).expect(0);
    let group = format!("/apis/{}.example.org", sandbox.namespace);
    wait(30, "the API server serves exactly these versions", || {
        let found = sandbox.kubectl(&["get", "--raw", &group]);
        let found: Value = serde_json::from_str(&found.stdout).ok()?;
        let served: Vec<&str> =
            found["versions"].as_array()?.iter().filter_map(|v| v["version"].as_str()).collect();
        let wanted = |name: &&str| versions.iter().any(|(version, _)| version == name);
        (served.len() == versions.len() && served.iter().all(wanted)).then_some(())
    });
}

fn forget(sandbox: &Sandbox) {
    let crd = format!("tins.{}.example.org", sandbox.namespace);
    sandbox.kubectl(&["delete", "crd", &crd, "--ignore-not-found", "--timeout=60s"]).expect(0);
}

/// A tin is saved by a cluster with some versions and its definition is gone; then the cluster has others.
fn moved(sandbox: &Sandbox, from: &[(&str, &str)], to: &[(&str, &str)], conversion: &str) {
    forget(sandbox);
    define(sandbox, from, LABEL);
    sandbox.apply(&format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: NAMESPACE}}\n---\napiVersion: NAMESPACE.example.org/{}\nkind: Tin\n\
         metadata: {{name: one, namespace: NAMESPACE}}\nspec: {{size: 3}}\n",
        from[0].0
    ));
    sandbox.with_key(&["backup"]).expect(0);
    forget(sandbox);
    define(sandbox, to, conversion.replace("NAMESPACE", &sandbox.namespace).as_str());
}

/// What a plan and a restore say of the tin, and the tin.
fn outcome(sandbox: &Sandbox, code: i32) -> (String, Value) {
    let plan =
        sandbox.with_key(&["restore", "plan", "--from", "archive@latest", "-o", "json"]).expect(1).json();
    let waves = plan["preview"]["waves"].as_array().unwrap();
    let planned = waves.iter().flat_map(|w| w["objects"].as_array().unwrap()).find(|o| o["kind"] == "Tin");
    let left = plan["plan"]["leftOut"].as_array().unwrap().iter().find(|o| o["kind"] == "Tin");
    let told = planned.or(left).unwrap()["reason"].as_str().unwrap_or_default().to_owned();
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(code);
    let crd = format!("tins.{}.example.org", sandbox.namespace);
    (told, sandbox.object(&crd, &sandbox.namespace, "one").unwrap_or_default())
}

/// Velero's scenario A: it sends the version that was saved, and the API server converts.
fn served(sandbox: &Sandbox) {
    moved(sandbox, &[("v1", "size")], &[("v2", "size"), ("v1", "size")], LABEL);
    let (told, tin) = outcome(sandbox, 0);
    assert_eq!(told, "");
    assert_eq!(
        tin["apiVersion"],
        format!("{}.example.org/v2", sandbox.namespace),
        "shown in the preferred version"
    );
    assert_eq!(tin["spec"], json!({"size": 3}));
    forget(sandbox);
}

/// Velero's scenario B, where it fails: the only version of the source is not served any more.
fn label(sandbox: &Sandbox) {
    moved(sandbox, &[("v1", "size")], &[("v2", "size")], LABEL);
    let (told, tin) = outcome(sandbox, 0);
    let group = format!("{}.example.org", sandbox.namespace);
    assert_eq!(told, format!("saved as {group}/v1, sent as {group}/v2"));
    assert_eq!((&tin["apiVersion"], &tin["spec"]), (&json!(format!("{group}/v2")), &json!({"size": 3})));
    // A field that the other version does not know is named, and nothing is dropped without a word.
    forget(sandbox);
    define(sandbox, &[("v2", "weight")], LABEL);
    let report = sandbox.with_key(&["restore", "apply", "--from", "archive@latest", "-o", "json"]).expect(1);
    assert!(report.stdout.contains("spec.size"), "{}", report.stdout);
    assert!(sandbox.object(&format!("tins.{group}"), &sandbox.namespace, "one").is_none());
    forget(sandbox);
}

/// Velero's scenario C: the source prefers a version that the target lacks; both know another.
fn common(sandbox: &Sandbox) {
    let from = [("v2beta1", "size"), ("v1alpha1", "size")];
    moved(sandbox, &from, &[("v1", "size"), ("v1alpha1", "size")], LABEL);
    let (told, tin) = outcome(sandbox, 0);
    let group = format!("{}.example.org", sandbox.namespace);
    assert_eq!(told, format!("saved as {group}/v2beta1, sent as {group}/v1alpha1"));
    assert_eq!(tin["spec"], json!({"size": 3}));
    forget(sandbox);
}

/// Velero's scenario D: nothing in common, and only a webhook could convert.
fn nothing(sandbox: &Sandbox) {
    moved(sandbox, &[("v1", "size")], &[("v2", "size")], WEBHOOK);
    let (told, tin) = outcome(sandbox, 1);
    let space = &sandbox.namespace;
    let wanted = format!(
        "it was saved as {space}.example.org/v1, and of this kind the cluster serves only v2; its definition \
         tins.{space}.example.org converts by webhook (service {space}/converter), which only the API server asks"
    );
    assert!(told.starts_with(&wanted), "{told}");
    assert_eq!(tin, Value::Null);
    forget(sandbox);
}

/// Manifests in forms that no API server takes any more, by their places in a mirror.
const OLD: [(&str, &str); 9] = [
    (
        "namespaces/NAMESPACE/extensions/ingresses/web.yaml",
        "{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: web, namespace: NAMESPACE}, spec: {backend: {serviceName: web, \
         servicePort: http}, rules: [{http: {paths: [{path: /, backend: {serviceName: web, servicePort: 80}}]}}]}}",
    ),
    (
        "namespaces/NAMESPACE/extensions/deployments/web.yaml",
        "{apiVersion: extensions/v1beta1, kind: Deployment, metadata: {name: web, namespace: NAMESPACE}, spec: {replicas: 0, rollbackTo: \
         {revision: 1}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: x}]}}}}",
    ),
    (
        "namespaces/NAMESPACE/policy/poddisruptionbudgets/none.yaml",
        "{apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: none, namespace: NAMESPACE}, spec: {minAvailable: 1, \
         selector: {}}}",
    ),
    (
        "namespaces/NAMESPACE/batch/cronjobs/report.yaml",
        "{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: report, namespace: NAMESPACE}, spec: {schedule: '0 3 * * *', suspend: \
         true, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: x}]}}}}}}",
    ),
    (
        "namespaces/NAMESPACE/autoscaling/horizontalpodautoscalers/web.yaml",
        "{apiVersion: autoscaling/v2beta1, kind: HorizontalPodAutoscaler, metadata: {name: web, namespace: NAMESPACE}, spec: {maxReplicas: 2, \
         scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, metrics: [{type: Resource, resource: {name: cpu, \
         targetAverageUtilization: 80}}, {type: Pods, pods: {metricName: rate, targetAverageValue: '5'}}, {type: Object, object: {metricName: \
         hits, target: {apiVersion: v1, kind: Service, name: web}, targetValue: '9'}}, {type: External, external: {metricName: queue, \
         metricSelector: {matchLabels: {q: x}}, targetAverageValue: '2'}}]}}",
    ),
    (
        "namespaces/NAMESPACE/discovery.k8s.io/endpointslices/db.yaml",
        "{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice, metadata: {name: db, namespace: NAMESPACE, labels: \
         {kubernetes.io/service-name: db}}, addressType: IPv4, endpoints: [{addresses: [192.0.2.4], topology: {kubernetes.io/hostname: node-1, \
         topology.kubernetes.io/zone: z, topology.kubernetes.io/region: r}}], ports: [{port: 5432}]}",
    ),
    (
        "cluster/apiextensions.k8s.io/customresourcedefinitions/tins.NAMESPACE.example.org.yaml",
        "{apiVersion: apiextensions.k8s.io/v1beta1, kind: CustomResourceDefinition, metadata: {name: tins.NAMESPACE.example.org}, spec: \
         {group: NAMESPACE.example.org, version: v1, names: {kind: Tin, listKind: TinList, plural: tins, singular: tin}, subresources: {status: \
         {}}, additionalPrinterColumns: [{name: Age, type: date, JSONPath: .metadata.creationTimestamp}]}}",
    ),
    (
        "namespaces/NAMESPACE/NAMESPACE.example.org/tins/one.yaml",
        "{apiVersion: NAMESPACE.example.org/v1, kind: Tin, metadata: {name: one, namespace: NAMESPACE}, spec: {size: 3, anything: {goes: true}}}",
    ),
    (
        "cluster/admissionregistration.k8s.io/validatingwebhookconfigurations/NAMESPACE.yaml",
        "{apiVersion: admissionregistration.k8s.io/v1beta1, kind: ValidatingWebhookConfiguration, metadata: {name: NAMESPACE}, webhooks: \
         [{name: a.example.org, clientConfig: {url: 'https://127.0.0.1:1/x'}, rules: [{apiGroups: [none.example.org], apiVersions: [v1], \
         operations: [CREATE], resources: [nothing]}]}]}",
    ),
];

fn kubernetes(sandbox: &Sandbox) {
    let space = sandbox.namespace.clone();
    sandbox.apply("{apiVersion: v1, kind: Namespace, metadata: {name: NAMESPACE}}");
    sandbox.with_key(&["backup"]).expect(0);
    sandbox.git(&["clone", "--quiet", "mirror.git", "clone"]);
    for (path, text) in OLD {
        let text = format!("{}\n", text.replace("NAMESPACE", &space));
        sandbox.write(&format!("clone/clusters/e2e/{}", path.replace("NAMESPACE", &space)), &text);
    }
    sandbox.git(&["-C", "clone", "add", "."]);
    let who = ["-c", "user.name=e2e", "-c", "user.email=e2e@example.org"];
    sandbox
        .git(&[&["-C", "clone"], &who[..], &["commit", "--quiet", "-m", "manifests of the past"]].concat());
    sandbox.git(&["-C", "clone", "push", "--quiet", "origin", "HEAD:main"]);

    let plan = sandbox.with_key(&["restore", "plan", "--from", "mirror@main"]).expect(1);
    plan.says("saved as extensions/v1beta1, sent as networking.k8s.io/v1");
    let report =
        sandbox.with_key(&["restore", "apply", "--from", "mirror@main", "-o", "json"]).expect(0).json();
    assert_eq!(report["outcome"], "Complete", "{report}");

    let object = |kind: &str, name: &str| sandbox.object(kind, &space, name).unwrap();
    let ingress = object("ingress.networking.k8s.io", "web");
    assert_eq!(
        ingress["spec"]["defaultBackend"]["service"],
        json!({"name": "web", "port": {"name": "http"}})
    );
    assert_eq!(ingress["spec"]["rules"][0]["http"]["paths"][0]["pathType"], "ImplementationSpecific");
    assert_eq!(object("deployment.apps", "web")["spec"]["selector"]["matchLabels"], json!({"app": "web"}));
    assert_eq!(object("poddisruptionbudget", "none")["spec"].get("selector"), None, "it still means no pod");
    assert_eq!(object("cronjob", "report")["spec"]["suspend"], true);
    let metrics = object("horizontalpodautoscaler", "web")["spec"]["metrics"].as_array().unwrap().len();
    assert_eq!(metrics, 4);
    let slice = object("endpointslice", "db");
    assert_eq!(
        (&slice["endpoints"][0]["nodeName"], &slice["endpoints"][0]["zone"]),
        (&json!("node-1"), &json!("z"))
    );
    let tins = format!("tins.{space}.example.org");
    assert_eq!(object(&tins, "one")["spec"], json!({"size": 3, "anything": {"goes": true}}));
    let webhook = sandbox.object("validatingwebhookconfiguration", "", &space).unwrap();
    assert_eq!(webhook["webhooks"][0]["failurePolicy"], "Ignore");

    sandbox.kubectl(&["delete", "validatingwebhookconfiguration", &space]).expect(0);
    forget(sandbox);
}
