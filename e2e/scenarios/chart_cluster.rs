//! The chart on a real API server and a real node: admission, releases, the pod's own rules; and the account of an example.

use crate::Scenario;
use crate::scenarios::chart::{CHARTS, UNMONITORED, VALUES, helm};
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a-restricted-namespace-admits-the-chart",
            needs: &[Need::Helm, Need::Api],
            run: admitted,
        },
        Scenario { name: "plain-manifests-take-image-and-name", needs: &[Need::Helm, Need::Api], run: plain },
        Scenario { name: "a-release-comes-changes-and-goes", needs: &[Need::Helm, Need::Api], run: released },
        Scenario { name: "an-account-may-what-values-say", needs: &[Need::Helm, Need::Api], run: rights },
        Scenario { name: "the-hardened-account-may-what-its-hooks-do", needs: &[Need::Api], run: hardened },
        Scenario {
            name: "the-program-runs-as-the-chart-says",
            needs: &[Need::Helm, Need::Api, Need::Node],
            run: runs,
        },
    ]
}

/// A namespace that warns of, and refuses, whatever is not restricted.
fn restricted(sandbox: &Sandbox) -> &str {
    sandbox.apply(
        "apiVersion: v1
kind: Namespace
metadata:
  name: NAMESPACE
  labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted}
",
    );
    &sandbox.namespace
}

fn admitted(sandbox: &Sandbox) {
    let namespace = restricted(sandbox);
    let unmonitored = "--set serviceMonitor.enabled=false,prometheusRule.enabled=false";
    for values in VALUES {
        let template =
            format!("helm template x $CHART -n {namespace} -f $VALUES/{values}.yaml {unmonitored}");
        helm(sandbox, &format!("{template} | kubectl apply --dry-run=server -f -"))
            .expect(0)
            .says("deployment.apps/")
            .says_not("Warning");
    }
    // And the server would say so.
    let root = "--set podSecurityContext.runAsNonRoot=false,securityContext.runAsNonRoot=false";
    let template = format!("helm template x $CHART -n {namespace} -f $VALUES/default.yaml {root}");
    helm(sandbox, &format!("{template} | kubectl apply --dry-run=server -f -")).says("runAsNonRoot");
    // Without a fixed user there is none anywhere.
    helm(sandbox, "helm template x $CHART -f $VALUES/openshift.yaml")
        .expect(0)
        .says_not("65532")
        .says_not("fsGroup");
}

/// The kustomization of docs/install.md, in a namespace of the scenario.
fn plain(sandbox: &Sandbox) {
    let docs = std::fs::read_to_string(format!("{CHARTS}/../docs/install.md")).unwrap();
    let block = docs
        .split("```yaml\n")
        .find(|block| block.starts_with("# kustomization.yaml"))
        .and_then(|block| block.split("```").next())
        .expect("docs/install.md shows a kustomization");
    let namespace = restricted(sandbox);
    sandbox.write("plain/kustomization.yaml", &format!("{block}namespace: {namespace}\n"));
    sandbox.shell(&format!("cp {CHARTS}/install.yaml plain/ && kustomize build plain >all.yaml")).expect(0);
    sandbox
        .shell("cat all.yaml")
        .says("image: registry.example.org/backstay:0.1.0")
        .says_not("name-of-this-cluster");
    sandbox
        .kubectl(&["apply", "--server-side", "--dry-run=server", "-f", &sandbox.path("all.yaml")])
        .expect(0)
        .says_not("Warning");
}

/// Takes the definitions away again that a release leaves.
struct Definitions<'a>(&'a Sandbox);

impl Drop for Definitions<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&[
            "delete",
            "crd",
            "-l",
            "app.kubernetes.io/instance=comes-and-goes",
            "--timeout=60s",
        ]);
    }
}

/// Definitions and a policy of them come in one install; an upgrade changes the policy in place; what has a state stays behind.
fn released(sandbox: &Sandbox) {
    let namespace = restricted(sandbox);
    let _definitions = Definitions(sandbox);
    let release = format!("comes-and-goes $CHART -n {namespace} -f $VALUES/policies.yaml");
    let policy = |path: &str| {
        let path = format!("jsonpath={{{path}}}");
        sandbox
            .kubectl(&["get", "backuppolicies", "everything", "-n", namespace, "-o", &path])
            .expect(0)
            .stdout
    };
    // The API server may serve the new kinds a moment later than Helm asks for them: the same command again ends it.
    let again =
        format!("for turn in 1 2 3; do helm upgrade --install {release} && exit; sleep 3; done; exit 1");
    helm(sandbox, &again).expect(0).says("keeps cluster prod");
    assert_eq!(policy(".spec.schedule"), "@daily");
    let definition =
        sandbox.object("crd", "", "backuppolicies.backstay.dev").expect("the definition is there");
    assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let uid = policy(".metadata.uid");
    helm(sandbox, &format!("helm upgrade {release} --set-string 'policies[0].spec.schedule=@hourly'"))
        .expect(0);
    assert_eq!((policy(".spec.schedule"), policy(".metadata.uid")), ("@hourly".to_owned(), uid.clone()));
    helm(sandbox, &format!("helm upgrade {release}")).expect(0);
    assert_eq!((policy(".spec.schedule"), policy(".metadata.uid")), ("@daily".to_owned(), uid));
    let state = ["create", "configmap", "journal", "-n", namespace];
    sandbox.kubectl(&state).expect(0);
    sandbox.apply(
        "apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {name: of-people, namespace: NAMESPACE}
spec: {schedule: '@daily', locations: [archive]}
",
    );
    helm(sandbox, &format!("helm uninstall comes-and-goes -n {namespace}"))
        .expect(0)
        .says("backuppolicies.backstay.dev");
    assert!(sandbox.object("crd", "", "backuppolicies.backstay.dev").is_some());
    assert!(sandbox.object("configmap", namespace, "journal").is_some());
    assert!(sandbox.object("backuppolicies", namespace, "of-people").is_some());
    assert!(sandbox.object("backuppolicies", namespace, "everything").is_none(), "it belongs to the release");
    let cluster = sandbox.kubectl(&["get", "clusterroles,clusterrolebindings", "-o", "name"]).expect(0);
    cluster.says_not(&format!("{namespace}:"));
}

/// What is asked: verb, resource, and where; then the answers by default, with hooks in the shop, and with restores as well.
const RIGHTS: [(&str, &str, &str, [bool; 3]); 29] = [
    ("list", "secrets", "shop", [true, true, true]),
    ("list", "nodes", "", [true, true, true]),
    ("list", "certificatesigningrequests.certificates.k8s.io", "", [true, true, true]),
    ("get", "/apis", "", [true, true, true]),
    ("create", "configmaps", "shop", [false, false, true]),
    ("delete", "secrets", "shop", [false, false, true]),
    ("delete", "namespaces", "", [false, false, true]),
    ("escalate", "clusterroles.rbac.authorization.k8s.io", "", [false, false, true]),
    ("get", "pods/exec", "other", [false, false, true]),
    ("get", "nodes/proxy", "", [false, false, true]),
    ("create", "pods/exec", "other", [false, false, true]),
    ("create", "pods/exec", "shop", [false, true, true]),
    ("get", "pods/exec", "shop", [false, true, true]),
    ("create", "jobs.batch", "shop", [false, true, true]),
    ("patch", "deployments.apps", "shop", [false, true, true]),
    ("patch", "deployments.apps", "other", [false, false, true]),
    ("create", "configmaps", "", [true, true, true]),
    ("patch", "configmaps", "", [true, true, true]),
    ("delete", "configmaps", "", [false, false, true]),
    ("create", "leases.coordination.k8s.io", "", [true, true, true]),
    ("patch", "leases.coordination.k8s.io", "", [false, false, true]),
    ("update", "leases.coordination.k8s.io", "", [false, false, true]),
    ("create", "secrets", "", [true, true, true]),
    ("update", "secrets", "", [false, false, true]),
    ("create", "pods", "", [false, false, true]),
    ("create", "events", "", [true, true, true]),
    ("patch", "events", "", [false, false, true]),
    ("create", "events.events.k8s.io", "", [false, false, true]),
    ("patch", "deployments.apps/scale", "shop", [false, false, true]),
];

/// Asks the API server's own authorizer, and makes a backup with no more than the least rights. No place: Backstay's namespace.
fn rights(sandbox: &Sandbox) {
    let namespace = restricted(sandbox);
    for place in ["shop", "other"] {
        sandbox.kubectl(&["create", "namespace", &format!("{namespace}-{place}")]).expect(0);
    }
    let account = format!("system:serviceaccount:{namespace}:backstay");
    let hooks = format!("--set 'hooks.enabled=true,hooks.namespaces={{{namespace}-shop}}'");
    let restores = format!("{hooks} --set restore.enabled=true");
    let values = "-f $VALUES/default.yaml --set crds.install=false,replicas=0";
    for (number, set) in ["", &hooks, &restores].into_iter().enumerate() {
        helm(sandbox, &format!("helm upgrade --install backstay $CHART -n {namespace} {values} {set}"))
            .expect(0);
        for (verb, resource, place, expected) in RIGHTS {
            let home = if place.is_empty() { namespace.to_owned() } else { format!("{namespace}-{place}") };
            let mut question = vec!["auth", "can-i", verb, resource, "-n", &home, "--as", &account];
            if let Some((resource, sub)) =
                resource.split_once('/').filter(|(resource, _)| !resource.is_empty())
            {
                question[3] = resource;
                question.extend(["--subresource", sub]);
            }
            let may = sandbox.kubectl(&question).code == 0;
            assert_eq!(may, expected[number], "{verb} {resource} in {home} with {set:?}");
        }
        // The Lease that it leads by, and no other.
        for (lease, may) in [("backstay", 0), ("another", 1)] {
            let lease = format!("leases.coordination.k8s.io/{lease}");
            let question = ["auth", "can-i", "patch", &lease, "-n", namespace, "--as", &account];
            let expected = if number == 2 { 0 } else { may };
            sandbox.kubectl(&question).expect(expected);
        }
        if number == 0 {
            let kubeconfig = sandbox.account(namespace, "backstay");
            sandbox.backstay(&["backup", "--kubeconfig", &kubeconfig]).expect(0);
        }
    }
    helm(sandbox, &format!("helm uninstall backstay -n {namespace}")).expect(0);
}

/// What the hooks of examples/hardened do, by docs/hooks.md: verb, resource, and subresource if there is one.
const HARDENED: [(&str, &str, &str); 11] = [
    ("get", "pods", "exec"),
    ("create", "pods", "exec"),
    ("get", "jobs.batch", ""),
    ("create", "jobs.batch", ""),
    ("delete", "jobs.batch", ""),
    ("get", "pods", "log"),
    ("get", "deployments.apps", ""),
    ("list", "deployments.apps", ""),
    ("patch", "deployments.apps", ""),
    ("get", "statefulsets.apps", ""),
    ("patch", "statefulsets.apps", ""),
];

/// The account of examples/hardened may do that in the shop, and nowhere else.
fn hardened(sandbox: &Sandbox) {
    let namespace = &sandbox.namespace;
    let (shop, other) = (format!("{namespace}-shop"), format!("{namespace}-other"));
    for place in [&shop, &other] {
        sandbox.kubectl(&["create", "namespace", place]).expect(0);
    }
    let roles = format!("{CHARTS}/../examples/hardened/cluster/rbac.yaml");
    let roles = std::fs::read_to_string(roles).unwrap();
    let roles = roles
        .replace("  name: backstay\n  labels:", &format!("  name: {namespace}\n  labels:"))
        .replace("namespace: backstay", &format!("namespace: {namespace}"))
        .replace("namespace: shop", &format!("namespace: {shop}"))
        .replace("backstay-reader", &format!("{namespace}-reader"));
    sandbox.apply(&roles);
    let account = format!("system:serviceaccount:{namespace}:backstay");
    let may = |(verb, resource, sub): (&str, &str, &str), place: &str| {
        let question = ["auth", "can-i", verb, resource, "--subresource", sub, "-n", place, "--as", &account];
        sandbox.kubectl(&question).code == 0
    };
    for asked in HARDENED {
        assert!(may(asked, &shop), "{asked:?} in {shop}");
        // It lists everything everywhere: that is what a backup is.
        assert!(asked.0 == "list" || !may(asked, &other), "{asked:?} in {other}");
    }
    for kind in ["clusterrolebinding", "clusterrole"] {
        sandbox.kubectl(&["delete", kind, &format!("{namespace}-reader")]).expect(0);
    }
}

/// What the node has, and nothing that it lacks: it does not count its disk.
const IMAGE: &str = "\
image: {repository: backstay.dev/e2e/backstay, tag: '1', digest: '', pullPolicy: Never}
policyRepository: {url: '', existingSecret: '', allowedSignersConfigMap: '', allowedSignersSecret: ''}
webhook: {existingSecret: ''}
identity: {keys: [age.agekey]}
notify: {existingSecret: ''}
priorityClassName: ''
resources: {requests: {ephemeral-storage: null}, limits: {ephemeral-storage: null}}
extraVolumes: []
extraVolumeMounts: []
";

/// The pod of the Deployment, but with a command that needs no cluster: first one that uses every folder it may write to, then
/// one that reads a mounted identity.
fn runs(sandbox: &Sandbox) {
    let namespace = restricted(sandbox);
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/cluster/app-image");
    let program = env!("CARGO_BIN_EXE_backstay");
    sandbox.shell(&format!("{tool} {} {program}", sandbox.parts.get("DIR"))).expect(0);
    let key = format!("--from-file=age.agekey={}", sandbox.path("key.txt"));
    sandbox.kubectl(&["create", "secret", "generic", "age", "-n", namespace, &key]).expect(0);
    sandbox.write("image.yaml", IMAGE);
    let values = format!("{UNMONITORED} -f image.yaml");
    let template = format!("helm template x $CHART -n {namespace} -s templates/deployment.yaml {values}");
    let deployment =
        helm(sandbox, &format!("{template} | kubectl create --dry-run=client -f - -o json")).expect(0).json();
    let demo: &[&str] = &["demo", "--dir", "/tmp/demo"];
    for (name, args, said) in
        [("demo", demo, "equal"), ("identity", &["keys", "show"], sandbox.recipient().as_str())]
    {
        let mut pod = deployment["spec"]["template"].clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = name.into();
        pod["metadata"]["namespace"] = namespace.into();
        pod["spec"]["restartPolicy"] = "Never".into();
        pod["spec"]["serviceAccountName"] = "default".into();
        let container = pod["spec"]["containers"][0].as_object_mut().expect("the pod has a container");
        container.insert("args".to_owned(), args.into());
        container.retain(|field, _| !field.ends_with("Probe"));
        sandbox.apply(&pod.to_string());
        wait(60, "the pod ends", || {
            let pod = sandbox.object("pod", namespace, name)?;
            ["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str()?).then_some(())
        });
        sandbox.kubectl(&["logs", "-n", namespace, name]).expect(0).says(said);
        let pod = sandbox.object("pod", namespace, name).expect("the pod is there");
        assert_eq!(pod["status"]["phase"], "Succeeded", "{}", pod["status"]);
    }
}
