//! Which real parts are there: read from the environment that `e2e/cluster/up` writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A real part that a scenario needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An API server with controllers.
    Api,
    /// A node that runs pods.
    Node,
    /// Real database servers in an image on that node.
    Databases,
    /// A second, empty cluster, beside the first.
    Second,
    /// An S3 server.
    S3,
    /// An Azure blob service.
    Azure,
    /// Git over HTTP and SSH.
    Git,
    /// The controllers of Flux.
    Flux,
    /// The program `sops`.
    Sops,
    /// The program `kustomize`.
    Kustomize,
    /// The programs `age` and `zstd`.
    Age,
    /// The program `helm`.
    Helm,
    /// The program `promtool`.
    Promtool,
    /// The program `kube-score`.
    KubeScore,
    /// The program `lua5.4`.
    Lua,
    /// The program `gpg`.
    Gnupg,
}

/// The parts that are there.
#[derive(Clone, Debug)]
pub struct Parts {
    variables: BTreeMap<String, String>,
}

impl Parts {
    /// Reads `BACKSTAY_E2E_*` and `KUBECONFIG`.
    pub fn from_environment() -> Self {
        let ours = |(name, _): &(String, String)| name.starts_with("BACKSTAY_E2E_") || name == "KUBECONFIG";
        Self { variables: std::env::vars().filter(ours).collect() }
    }

    /// Why the first missing need is missing.
    pub fn lack(&self, needs: &[Need]) -> Option<String> {
        needs.iter().find_map(|need| {
            let (variable, program) = match need {
                Need::Api => ("BACKSTAY_E2E_DIR", None),
                Need::Node => ("BACKSTAY_E2E_NODE", None),
                Need::Databases => ("BACKSTAY_E2E_DATABASES", None),
                Need::Second => ("BACKSTAY_E2E_SECOND_KUBECONFIG", None),
                Need::S3 => ("BACKSTAY_E2E_S3_ENDPOINT", None),
                Need::Azure => ("BACKSTAY_E2E_AZURE_URL", None),
                Need::Git => ("BACKSTAY_E2E_GIT_HTTP_URL", None),
                Need::Flux => ("BACKSTAY_E2E_FLUX", None),
                Need::Sops => ("BACKSTAY_E2E_BIN", Some("sops")),
                Need::Kustomize => ("BACKSTAY_E2E_BIN", Some("kustomize")),
                Need::Age => ("BACKSTAY_E2E_BIN", Some("age")),
                Need::Helm => ("BACKSTAY_E2E_BIN", Some("helm")),
                Need::Promtool => ("BACKSTAY_E2E_BIN", Some("promtool")),
                Need::KubeScore => ("BACKSTAY_E2E_BIN", Some("kube-score")),
                Need::Lua => ("BACKSTAY_E2E_BIN", Some("lua5.4")),
                Need::Gnupg => ("BACKSTAY_E2E_BIN", Some("gpg")),
            };
            if !self.variables.contains_key(variable) {
                return Some(format!("no {need:?} here ({variable} is not set; run e2e/run)"));
            }
            program.and_then(|name| self.lacks_program(name))
        })
    }

    fn lacks_program(&self, name: &str) -> Option<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let found = std::iter::once(self.bin())
            .chain(path.split(':').map(PathBuf::from))
            .any(|folder| folder.join(name).exists());
        (!found).then(|| format!("the program {name} is not there"))
    }

    /// Folder with the oracles: kubectl, sops, kustomize.
    pub fn bin(&self) -> PathBuf {
        PathBuf::from(self.get("BIN"))
    }

    /// The kubeconfig of the cluster's administrator.
    pub fn kubeconfig(&self) -> &Path {
        Path::new(self.variables.get("KUBECONFIG").expect("needs are checked before a scenario runs"))
    }

    /// `BACKSTAY_E2E_<name>`, or an empty text.
    pub fn get(&self, name: &str) -> &str {
        self.variables.get(&format!("BACKSTAY_E2E_{name}")).map_or("", String::as_str)
    }
}
