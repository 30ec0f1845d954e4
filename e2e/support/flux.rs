//! Flux's own controllers beside the cluster, and what they say.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::program::Run;
use super::sandbox::{Sandbox, wait};

/// Name of the source and of the Kustomization in the example.
const NAME: &str = "backstay-policy";
const HOME: &str = "flux-system";

/// The controllers, until this is dropped.
pub struct Flux<'a>(&'a Sandbox);

impl Drop for Flux<'_> {
    fn drop(&mut self) {
        self.command("down");
    }
}

impl<'a> Flux<'a> {
    /// Starts them.
    pub fn up(sandbox: &'a Sandbox) -> Self {
        let flux = Self(sandbox);
        flux.command("up").expect(0);
        flux
    }

    fn command(&self, verb: &str) -> Run {
        let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/cluster/flux");
        self.0.shell(&format!("{tool} {} {verb}", self.0.parts.get("DIR")))
    }

    /// Applies the example's manifests, with this address and the scenario's namespace.
    pub fn deliver(&self, manifests: &str, address: &str) {
        let parts = &self.0.parts;
        let name = format!("--from-literal=username={}", parts.get("GIT_USER"));
        let password = format!("--from-literal=password={}", parts.get("GIT_PASSWORD"));
        self.0.kubectl(&["create", "secret", "generic", NAME, "-n", HOME, &name, &password]).expect(0);
        let target = format!("targetNamespace: {}", self.0.namespace);
        self.0.apply(
            &manifests
                .replace("https://git.example.org/platform/policy.git", address)
                .replace("targetNamespace: backstay", &target),
        );
    }

    /// Changes the Kustomization, as a person who edits it.
    pub fn change(&self, patch: &Value) {
        let patch = patch.to_string();
        self.0.kubectl(&["patch", "kustomization", NAME, "-n", HOME, "--type=merge", "-p", &patch]).expect(0);
    }

    /// Takes the Kustomization away, and waits until Flux has let go of it.
    pub fn forget(&self) {
        self.0.kubectl(&["delete", "kustomization", NAME, "-n", HOME, "--timeout=60s"]).expect(0);
    }

    /// The Kustomization's status.
    fn status(&self) -> Value {
        let mut found = self.0.object("kustomization", HOME, NAME).expect("it is there");
        found["status"].take()
    }

    /// Status, reason and message of its `Ready`.
    fn ready(status: &Value) -> [String; 3] {
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|one| one["type"] == "Ready").unwrap_or_default();
        ["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned())
    }

    fn ask(&self, kind: &str, token: &str) {
        let request = format!("reconcile.fluxcd.io/requestedAt={token}");
        self.0.kubectl(&["annotate", "--overwrite", kind, NAME, "-n", HOME, &request]).expect(0);
    }

    /// Asks for the commit, and waits until all of it is applied and ready.
    #[track_caller]
    pub fn until_applied(&self, commit: &str) {
        self.ask("gitrepository", commit);
        wait(90, "Flux has applied the commit", || {
            let status = self.status();
            let applied = status["lastAppliedRevision"].as_str().is_some_and(|it| it.ends_with(commit));
            (applied && Self::ready(&status)[0] == "True").then_some(())
        });
    }

    /// Asks for the commit, and waits until Flux says what is wrong with it: reason and message.
    #[track_caller]
    pub fn until_refused(&self, commit: &str) -> [String; 2] {
        self.ask("gitrepository", commit);
        wait(90, "Flux refuses the commit", || {
            let status = self.status();
            let tried = status["lastAttemptedRevision"].as_str().is_some_and(|it| it.ends_with(commit));
            let [ready, reason, message] = Self::ready(&status);
            (tried && ready == "False").then_some([reason, message])
        })
    }

    /// One more reconciliation, to its end.
    #[track_caller]
    pub fn reconcile(&self, token: &str) {
        self.ask("kustomization", token);
        wait(60, "Flux has reconciled", || {
            let status = self.status();
            (status["lastHandledReconcileAt"] == token && Self::ready(&status)[0] == "True").then_some(())
        });
    }

    /// What each reconciliation came to, by object: `created`, `configured`, `unchanged`.
    pub fn told(&self) -> Vec<BTreeMap<String, String>> {
        let log = format!("{}/log/kustomize-controller.log", self.0.parts.get("DIR"));
        let lines = fs::read_to_string(log).expect("it has a log");
        lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["msg"] == "server-side apply completed" && line["name"] == NAME)
            .filter_map(|line| serde_json::from_value(line["output"].clone()).ok())
            .collect()
    }

    /// What it has really written of Backstay's kinds, by the books of the API server: verb and object.
    pub fn writes(&self) -> Vec<String> {
        let lines = self.0.shell(&format!("cat {}/audit*.log", self.0.parts.get("DIR"))).expect(0).stdout;
        let of_flux = |line: &Value| {
            line["userAgent"].as_str().is_some_and(|agent| agent.starts_with("kustomize-controller"))
                && line["objectRef"]["apiGroup"] == "backstay.dev"
                && line["objectRef"]["namespace"] == self.0.namespace.as_str()
                && !["get", "list", "watch"].iter().any(|verb| line["verb"] == *verb)
                && !line["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All"))
        };
        let lines = lines.lines().filter(|line| line.contains("kustomize-controller"));
        lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(of_flux)
            .map(|line| format!("{} {}", line["verb"], line["objectRef"]["name"]))
            .collect()
    }
}
