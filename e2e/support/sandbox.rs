//! One scenario's own folder, namespace, policy repository, key, mirror and archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::parts::Parts;
use super::program::Run;

/// A scenario's own small world.
#[derive(Debug)]
pub struct Sandbox {
    /// The real parts.
    pub parts: Parts,
    /// Folder for everything the scenario writes.
    pub dir: PathBuf,
    /// Namespace for its objects; further ones start with this name.
    pub namespace: String,
}

/// A policy with both kinds of location, over the scenario's namespaces.
const POLICY: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {name: all}
spec:
  locations: [archive, mirror]
  select:
    namespaces: {include: ['NAMESPACE*']}
---
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {name: archive}
spec:
  archive: {url: 'file://DIR/archive'}
  recipients: [RECIPIENT]
---
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {name: mirror}
spec:
  mirror: {url: 'file://DIR/mirror.git'}
  recipients: [RECIPIENT]
";

impl Sandbox {
    /// Makes the folder anew, with a key, a policy repository and an empty bare mirror.
    pub fn new(name: &str, parts: &Parts) -> Self {
        let root = match parts.get("DIR") {
            "" => std::env::temp_dir().join(format!("backstay-e2e-{}", std::process::id())),
            dir => PathBuf::from(dir).join("work"),
        };
        let dir = root.join("scenarios").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).expect("the old folder can be removed");
        }
        fs::create_dir_all(dir.join("policy")).expect("a folder can be made");
        let short: String = name.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
        let sandbox = Self { parts: parts.clone(), dir, namespace: format!("e2e-{short}") };
        sandbox.backstay(&["keys", "new", &sandbox.path("key.txt")]).expect(0);
        sandbox.git(&["init", "--quiet", "--bare", "--initial-branch=main", &sandbox.path("mirror.git")]);
        sandbox.policy(POLICY);
        sandbox
    }

    /// Removes the scenario's namespaces; its folder stays for the curious.
    pub fn leave(&self) {
        if self.parts.get("DIR").is_empty() {
            fs::remove_dir_all(&self.dir).ok();
            return;
        }
        let names = self.kubectl(&["get", "namespaces", "-o", "name"]).stdout;
        let prefix = format!("namespace/{}", self.namespace);
        let home = format!("namespace/{}", self.home());
        let ours: Vec<&str> =
            names.lines().filter(|line| line.starts_with(&prefix) || *line == home).collect();
        if !ours.is_empty() {
            self.kubectl(&[&["delete", "--wait=false", "--ignore-not-found"], &ours[..]].concat());
        }
    }

    /// Backstay's own namespace in the scenario. It is not there before something is written into it.
    pub fn home(&self) -> String {
        self.namespace.replacen("e2e-", "home-", 1)
    }

    /// A path below the scenario's folder, as text.
    pub fn path(&self, below: &str) -> String {
        self.dir.join(below).display().to_string()
    }

    /// The public key that everything is encrypted to.
    pub fn recipient(&self) -> String {
        let run = self.backstay(&["keys", "show", "--identity", &self.path("key.txt")]).expect(0);
        run.stdout.trim().to_owned()
    }

    /// Writes the policy repository's only file; NAMESPACE, DIR and RECIPIENT are filled in.
    pub fn policy(&self, text: &str) {
        let text = text
            .replace("NAMESPACE", &self.namespace)
            .replace("DIR", &self.dir.display().to_string())
            .replace("RECIPIENT", &self.recipient());
        self.write("policy/policy.yaml", &text);
    }

    /// Writes a file below the scenario's folder.
    pub fn write(&self, below: &str, text: &str) {
        let path = self.dir.join(below);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// A command of Backstay with the scenario's policy, cache and state, but without the identity.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command.args(args).current_dir(&self.dir).stdin(Stdio::null());
        for (name, _) in std::env::vars() {
            if ["BACKSTAY_", "AWS_", "AZURE_", "GOOGLE_", "SOPS_", "GIT_"]
                .iter()
                .any(|start| name.starts_with(start))
            {
                command.env_remove(name);
            }
        }
        command
            .env("NO_COLOR", "1")
            .env("BACKSTAY_POLICY_REPO", self.path("policy"))
            .env("BACKSTAY_CLUSTER_NAME", "e2e")
            .env("BACKSTAY_NAMESPACE", self.home())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_STATE_HOME", self.path("state"));
        if !self.parts.get("DIR").is_empty() {
            command.env("KUBECONFIG", self.parts.kubeconfig());
        }
        command
    }

    /// Runs Backstay without the identity.
    pub fn backstay(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(args))
    }

    /// Runs Backstay with the scenario's identity.
    pub fn with_key(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).env("BACKSTAY_IDENTITY", self.path("key.txt")))
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, args: &[&str]) -> Run {
        Run::of(
            Command::new(self.parts.bin().join("kubectl"))
                .args(args)
                .env("KUBECONFIG", self.parts.kubeconfig()),
        )
    }

    /// Applies manifests as the administrator, server-side; NAMESPACE is filled in.
    #[track_caller]
    pub fn apply(&self, manifests: &str) {
        self.write("apply.yaml", &manifests.replace("NAMESPACE", &self.namespace));
        self.kubectl(&["apply", "--server-side", "-f", &self.path("apply.yaml")]).expect(0);
    }

    /// One object as JSON, or `None` where it is not there.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<serde_json::Value> {
        let mut args = vec!["get", kind, name, "-o", "json", "--ignore-not-found"];
        if !namespace.is_empty() {
            args.extend(["-n", namespace]);
        }
        let run = self.kubectl(&args).expect(0);
        (!run.stdout.is_empty()).then(|| run.json())
    }

    /// Deletes a namespace and waits until it is gone.
    #[track_caller]
    pub fn lose_namespace(&self, name: &str) {
        self.kubectl(&["delete", "namespace", name, "--timeout=120s"]).expect(0);
    }

    /// A kubeconfig of a service account; its file.
    pub fn account(&self, namespace: &str, name: &str) -> String {
        let token = self.kubectl(&["create", "token", name, "-n", namespace]).expect(0).stdout;
        let config = self.kubectl(&["config", "view", "--raw", "-o", "json"]).expect(0).json();
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": config["clusters"][0]["cluster"]}],
            "users": [{"name": name, "user": {"token": token.trim()}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        });
        let file = format!("{name}.kubeconfig");
        self.write(&file, &kubeconfig.to_string());
        self.path(&file)
    }

    /// Runs git and gives its standard output.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(args).current_dir(&self.dir).env("GIT_CONFIG_GLOBAL", "/dev/null");
        Run::of(&mut command).expect(0).stdout
    }

    /// Runs a shell line in the scenario's folder with the oracles on the path and the key for `sops`.
    pub fn shell(&self, line: &str) -> Run {
        let path = format!("{}:{}", self.parts.bin().display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", line]).current_dir(&self.dir);
        command.env("PATH", path).env("SOPS_AGE_KEY_FILE", self.path("key.txt"));
        if !self.parts.get("DIR").is_empty() {
            command.env("KUBECONFIG", self.parts.kubeconfig());
        }
        Run::of(&mut command)
    }

    /// The file `snapshot.json` of every snapshot in the scenario's archive, sorted.
    pub fn records(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            files(&self.dir.join("archive")).into_iter().filter(|p| p.ends_with("snapshot.json")).collect();
        found.sort();
        found
    }
}

/// Every file below a folder; none where the folder is not there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if entry.path().is_dir() { open.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

/// Tries until the function gives something, at most this long.
#[track_caller]
pub fn wait<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
