//! Overlays of a policy repository: what Backstay builds is what the real `kustomize` builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::program::Run;
use crate::support::sandbox::Sandbox;

/// All scenarios about overlays.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "overlays-are-built-as-by-the-real-program",
            needs: &[Need::Kustomize],
            run: |s| as_the_real_program(s),
        },
        Scenario { name: "an-overlay-of-a-git-repository-is-validated", needs: &[], run: |s| from_git(s) },
    ]
}

fn kustomize(sandbox: &Sandbox, folder: &Path) -> Run {
    let mut command = Command::new(sandbox.parts.bin().join("kustomize"));
    Run::of(command.args(["build", "--load-restrictor", "LoadRestrictionsNone"]).arg(folder))
}

/// Folders with a kustomization that stands for itself.
fn overlays(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(overlays(&path));
        } else if path.file_name().is_some_and(|name| name == "kustomization.yaml")
            && !fs::read_to_string(&path).unwrap().contains("kind: Component")
        {
            found.push(folder.to_owned());
        }
    }
    found.sort();
    found
}

fn as_the_real_program(sandbox: &Sandbox) {
    let mut compared = 0;
    for top in ["policies", "examples/fleet", "examples/flux"].map(Path::new) {
        let top = fs::canonicalize(top).unwrap();
        for overlay in overlays(&top) {
            let inside = overlay.strip_prefix(&top).unwrap().display().to_string();
            let repository = top.display().to_string();
            let ours = sandbox.backstay(&["--policy-repo", &repository, "build", &inside]).expect(0);
            assert_eq!(ours.stdout, kustomize(sandbox, &overlay).expect(0).stdout, "{}", overlay.display());
            sandbox.backstay(&["--policy-repo", &repository, "--policy-path", &inside, "validate"]).expect(0);
            compared += 1;
        }
    }
    assert!(compared >= 9, "only {compared} overlays were found");
    let mut tests = Command::new("cargo");
    let name = "kustomize::build::tests::the_expected_outputs_are_those_of_the_real_program";
    tests.args(["test", "--locked", "--quiet", "--lib", "--", "--ignored", name]);
    Run::of(tests.env("BACKSTAY_E2E_BIN", sandbox.parts.bin())).expect(0).says("1 passed");
}

const BASE: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {name: archive}
spec:
  archive: {url: 'file:///tmp/archive'}
  recipients: [RECIPIENT]
";

fn from_git(sandbox: &Sandbox) {
    sandbox.write("fleet/base/location.yaml", &BASE.replace("RECIPIENT", &sandbox.recipient()));
    sandbox.write("fleet/base/kustomization.yaml", "resources: [location.yaml]\n");
    for cluster in ["one", "two"] {
        let text = format!("resources: [../../base]\ncommonAnnotations: {{cluster: {cluster}}}\n");
        sandbox.write(&format!("fleet/clusters/{cluster}/kustomization.yaml"), &text);
    }
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        let who = ["-c", "user.name=e2e", "-c", "user.email=e2e@example.org"];
        Run::of(command.args(who).args(args).current_dir(sandbox.dir.join("fleet"))).expect(0)
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "fleet"]);
    let url = format!("file://{}", sandbox.path("fleet"));
    let both = [url.as_str(), &sandbox.path("fleet")];
    for place in both {
        let all = sandbox.backstay(&["--policy-repo", place, "validate"]).expect(2);
        all.says("clusters/one, clusters/two").says("--policy-path clusters/one");
        let one = ["--policy-repo", place, "--policy-path", "clusters/one"];
        sandbox.backstay(&[&one[..], &["validate"]].concat()).expect(0).says("archive");
        sandbox.backstay(&[&one[..], &["build"]].concat()).expect(0).says("cluster: one");
        sandbox
            .backstay(&["--policy-repo", place, "--policy-path", "clusters/three", "validate"])
            .expect(2)
            .says("there is no file or folder `clusters/three`");
    }
}
