//! Backstay as a release of its chart: pods on the node of the cluster, policy in a Git repository of the Git server.

use std::process::Command;

use super::program::Run;
use super::sandbox::{Sandbox, wait};

/// What the node has, and nothing that it lacks: it does not count its disk, and pods reach everything through the gate.
const VALUES: &str = "\
clusterName: CLUSTER
image: {repository: backstay.dev/e2e/backstay, tag: '1', digest: '', pullPolicy: Never}
replicas: REPLICAS
policyRepository: {url: 'THE-SERVER/REPOSITORY.git', interval: 5s, existingSecret: git}
identity: {existingSecret: age, keys: [age.agekey]}
restore: {enabled: true}
resources: {requests: {cpu: 10m, ephemeral-storage: null}, limits: {ephemeral-storage: null}}
extraEnv:
  - {name: KUBERNETES_SERVICE_HOST, value: THE-GATE}
  - {name: KUBERNETES_SERVICE_PORT, value: 'THE-DOOR'}
";

/// A location on the S3 server, by the name of a folder in the bucket.
const LOCATION: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {name: NAME}
spec:
  archive: {url: 's3://BUCKET/FOLDER', endpoint: 'ENDPOINT', region: us-east-1}
  credentialsRef: {secretName: s3}
  recipients: [RECIPIENT]
  accessMode: ACCESS
";

/// A release in the scenario's namespace, which is a restricted one.
pub struct Release<'a> {
    /// The scenario's world.
    pub sandbox: &'a Sandbox,
    repository: String,
    kubeconfig: String,
}

impl<'a> Release<'a> {
    /// Makes the repository, the namespace and the credentials; installs nothing.
    pub fn prepare(sandbox: &'a Sandbox) -> Self {
        Self::prepare_on(sandbox, &sandbox.parts.kubeconfig().display().to_string())
    }

    /// The same on another cluster.
    pub fn prepare_on(sandbox: &'a Sandbox, kubeconfig: &str) -> Self {
        let name = sandbox.namespace.replacen("e2e-", "policy-", 1);
        let release = Self { sandbox, repository: name.clone(), kubeconfig: kubeconfig.to_owned() };
        let bare = format!("{}/{name}.git", sandbox.parts.get("GIT_DIR"));
        sandbox.shell(&format!("rm -rf {bare} work && git init -q --bare -b main {bare} && git -C {bare} config http.receivepack true && git clone -q {bare} work")).expect(0);
        release.forget_definitions();
        release.restricted();
        release.credentials();
        let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/cluster/app-image");
        sandbox
            .shell(&format!("{tool} {} {}", sandbox.parts.get("DIR"), env!("CARGO_BIN_EXE_backstay")))
            .expect(0);
        release
    }

    /// A release leaves its definitions behind, and another one may not take them.
    fn forget_definitions(&self) {
        let labels = "app.kubernetes.io/name=backstay";
        self.kubectl(&["delete", "crd", "-l", labels, "--timeout=60s"]).expect(0);
    }

    fn restricted(&self) {
        let namespace = &self.sandbox.namespace;
        self.sandbox.write(
            "namespace.yaml",
            &format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels: {{pod-security.kubernetes.io/enforce: restricted}}\n"),
        );
        self.kubectl(&["apply", "-f", &self.sandbox.path("namespace.yaml")]).expect(0);
    }

    fn credentials(&self) {
        let (parts, namespace) = (&self.sandbox.parts, &self.sandbox.namespace);
        let secret = |name: &str, values: &[String]| {
            let mut args = vec!["create", "secret", "generic", name, "-n", namespace];
            args.extend(values.iter().map(String::as_str));
            self.kubectl(&args).expect(0);
        };
        let literal = |key: &str, value: &str| format!("--from-literal={key}={value}");
        secret(
            "git",
            &[literal("username", parts.get("GIT_USER")), literal("password", parts.get("GIT_PASSWORD"))],
        );
        secret("age", &[format!("--from-file=age.agekey={}", self.sandbox.path("key.txt"))]);
        let keys = [("AWS_ACCESS_KEY_ID", "S3_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "S3_SECRET_KEY")];
        secret("s3", &keys.map(|(name, part)| literal(name, parts.get(part))));
    }

    /// Installs the chart, or changes what is installed.
    pub fn install(&self, replicas: u32, more: &str) {
        let parts = &self.sandbox.parts;
        let gate = parts.get("GATE");
        let git = parts.get("GIT_HTTP_URL").replace("127.0.0.1", gate);
        let values = VALUES
            .replace("CLUSTER", &self.cluster())
            .replace("REPLICAS", &replicas.to_string())
            .replace("THE-SERVER", &git)
            .replace("REPOSITORY", &self.repository)
            .replace("THE-GATE", gate)
            .replace("THE-DOOR", parts.get("API_PORT"));
        self.sandbox.write("values.yaml", &values);
        let homes = self.sandbox.path("helm");
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/backstay");
        let namespace = &self.sandbox.namespace;
        let line = format!(
            "export HELM_CACHE_HOME={homes}/cache HELM_CONFIG_HOME={homes}/config HELM_DATA_HOME={homes}/data KUBECONFIG={}
            helm upgrade --install backstay {chart} -n {namespace} -f values.yaml {more}",
            self.kubeconfig
        );
        self.sandbox.shell(&line).expect(0);
    }

    /// Name of the cluster in archives.
    pub fn cluster(&self) -> String {
        self.sandbox.namespace.replacen("e2e-", "", 1)
    }

    /// Address of the policy repository, as this machine sees it.
    pub fn repository_url(&self) -> String {
        format!("{}/{}.git", self.sandbox.parts.get("GIT_HTTP_URL"), self.repository)
    }

    /// Runs kubectl on the release's cluster.
    pub fn kubectl(&self, args: &[&str]) -> Run {
        let program = self.sandbox.parts.bin().join("kubectl");
        Run::of(Command::new(program).args(args).env("KUBECONFIG", &self.kubeconfig))
    }

    /// Writes files into the policy repository and pushes them as one commit; gives back its id.
    pub fn push(&self, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            self.sandbox.write(&format!("work/{name}"), &text.replace("NAMESPACE", &self.sandbox.namespace));
        }
        let commit = "git -c user.name=e2e -c user.email=e2e@example.org commit -q -m change";
        self.sandbox
            .shell(&format!(
                "cd work && git add -A && {commit} && git push -q origin HEAD:main && git rev-parse HEAD"
            ))
            .expect(0)
            .stdout
            .trim()
            .to_owned()
    }

    /// A location in a folder of the bucket, as a document.
    pub fn location(&self, name: &str, folder: &str, access: &str) -> String {
        let parts = &self.sandbox.parts;
        let endpoint = parts.get("S3_ENDPOINT").replace("127.0.0.1", parts.get("GATE"));
        LOCATION
            .replace("NAME", name)
            .replace("BUCKET", parts.get("S3_BUCKET"))
            .replace("FOLDER", folder)
            .replace("ENDPOINT", &endpoint)
            .replace("RECIPIENT", &self.sandbox.recipient())
            .replace("ACCESS", access)
    }

    /// A field of an object in the release's namespace; empty where it is not there.
    pub fn field(&self, kind: &str, name: &str, path: &str) -> String {
        let path = format!("jsonpath={{{path}}}");
        let namespace = &self.sandbox.namespace;
        let args = ["get", kind, name, "-n", namespace, "--ignore-not-found", "-o", &path];
        // Right after the definitions came, kubectl may not know the kind yet.
        self.kubectl(&args).stdout
    }

    /// Status and reason of a condition, such as `True InForce`.
    pub fn condition(&self, kind: &str, name: &str, condition: &str) -> String {
        let of = |field: &str| {
            self.field(kind, name, &format!(".status.conditions[?(@.type==\"{condition}\")].{field}"))
        };
        format!("{} {}", of("status"), of("reason"))
    }

    /// Waits until a condition says so, and tells what it said instead.
    #[track_caller]
    pub fn until(&self, seconds: u64, (kind, name): (&str, &str), condition: &str, wanted: &str) {
        let mut last = String::new();
        wait(seconds, &format!("{kind} {name}: {condition} is {wanted}"), || {
            last = self.condition(kind, name, condition);
            (last == wanted).then_some(())
        });
    }

    /// Metrics of every replica, through the API server.
    pub fn metrics(&self, pod: &str) -> String {
        let namespace = &self.sandbox.namespace;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics");
        self.kubectl(&["get", "--raw", &path]).stdout
    }

    /// Who leads, by the Lease.
    pub fn leader(&self) -> String {
        self.field("lease", "backstay", ".spec.holderIdentity")
    }

    /// Snapshots of the release's cluster at a location, oldest first: name, start, outcome.
    pub fn snapshots(&self, location: &str) -> Vec<serde_json::Value> {
        // The newest revision may be broken: the one in force says where the location is.
        let revision = self.field("policyrepository", "policy", ".status.revision");
        let args = ["snapshots", "--location", location, "--policy-ref", &revision, "-o", "json"];
        let found = self.in_pod(&args).json();
        found.as_array().cloned().unwrap_or_default()
    }

    /// Runs Backstay in the leader's pod, with its settings and rights.
    pub fn in_pod(&self, args: &[&str]) -> Run {
        let leader = self.leader();
        let namespace = &self.sandbox.namespace;
        let command = ["exec", "-n", namespace, &leader, "--", "/usr/bin/backstay"];
        self.kubectl(&[&command, args].concat()).expect(0)
    }

    /// Takes the release away.
    pub fn uninstall(&self) {
        let homes = self.sandbox.path("helm");
        let namespace = &self.sandbox.namespace;
        self.sandbox.shell(&format!("export HELM_CACHE_HOME={homes}/cache HELM_CONFIG_HOME={homes}/config HELM_DATA_HOME={homes}/data KUBECONFIG={}; helm uninstall backstay -n {namespace}", self.kubeconfig)).expect(0);
        self.forget_definitions();
    }
}
