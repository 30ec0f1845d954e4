//! What a restore mends: the three stories, and a network policy that admits again.

use serde_json::json;

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::scenarios::restore::settled;
use crate::support::parts::Need;
use crate::support::sandbox::{Sandbox, wait};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-lost-namespace-label-is-put-back", needs: &[Need::Api], run: label_story },
        Scenario { name: "the-operator-rebuilds-a-claim", needs: &[Need::Api], run: rebuild_story },
        Scenario { name: "one-of-two-fighters-is-scaled-down", needs: &[Need::Api], run: scale_story },
        Scenario { name: "a-network-policy-admits-again", needs: &[Need::Node], run: admits_again },
    ]
}

/// Adds a restore request with fixups to the policy repository.
fn request(sandbox: &Sandbox, fixups: &str) {
    let text = format!(
        "apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {{name: mend}}
spec:
  from: {{location: archive, snapshot: latest}}
  fixups:
{fixups}"
    );
    sandbox.write("policy/mend.yaml", &text.replace("NAMESPACE", &sandbox.namespace));
}

fn label_story(sandbox: &Sandbox) {
    shop(sandbox);
    let ns = sandbox.namespace.clone();
    sandbox.apply(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: NAMESPACE-ingress, labels: {purpose: ingress}}\n",
    );
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&ns);
    // The namespace that the network policy admits exists, but its label is gone.
    let ingress = format!("{ns}-ingress");
    sandbox.kubectl(&["label", "namespace", &ingress, "purpose-"]).expect(0);
    request(
        sandbox,
        "    - name: relabel
      label:
        target: {kind: Namespace, name: NAMESPACE-ingress}
        set: {purpose: ingress, mended: 'yes'}
",
    );
    let report = sandbox.with_key(&["restore", "apply", "mend", "-o", "json"]).expect(0).json();
    assert_eq!(report["fixups"][0]["outcome"], "Verified");
    let labels = sandbox.object("namespace", "", &ingress).unwrap()["metadata"]["labels"].clone();
    assert_eq!((&labels["purpose"], &labels["mended"]), (&json!("ingress"), &json!("yes")));
    let policy = sandbox.object("networkpolicy", &ns, "web").unwrap();
    let selector = &policy["spec"]["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"];
    let chosen = sandbox.kubectl(&[
        "get",
        "namespaces",
        "-o",
        "name",
        "-l",
        &format!("purpose={}", selector["purpose"].as_str().unwrap()),
    ]);
    chosen.says(&ingress);
    let again = sandbox.with_key(&["restore", "apply", "mend", "-o", "json"]).expect(0).json();
    assert_eq!(again["fixups"][0]["outcome"], "NotNeeded");
}

fn rebuild_story(sandbox: &Sandbox) {
    shop(sandbox);
    settled(sandbox);
    let ns = sandbox.namespace.clone();
    sandbox.backstay(&["backup"]).expect(0);
    let claim = sandbox.object("persistentvolumeclaim", &ns, "data-db-0").unwrap()["metadata"]["uid"].clone();
    request(
        sandbox,
        "    - name: stop
      scale: {target: {kind: StatefulSet, apiVersion: apps/v1, namespace: NAMESPACE, name: db}, replicas: 0}
    - name: drop the claim
      timeout: 2m
      delete: {target: {kind: PersistentVolumeClaim, namespace: NAMESPACE, name: data-db-0}}
    - name: start
      scale: {target: {kind: StatefulSet, apiVersion: apps/v1, namespace: NAMESPACE, name: db}, replicas: 1}
",
    );
    let report = sandbox.with_key(&["restore", "apply", "mend", "-o", "json"]).expect(0).json();
    for fixup in report["fixups"].as_array().unwrap() {
        assert_eq!(fixup["outcome"], "Verified", "{fixup}");
    }
    wait(60, "a new claim", || {
        let now = sandbox.object("persistentvolumeclaim", &ns, "data-db-0")?;
        (now["metadata"]["uid"] != claim).then_some(())
    });
}

fn scale_story(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    request(
        sandbox,
        "    - name: stand down
      scale: {target: {kind: Deployment, namespace: NAMESPACE, name: web}, replicas: 0}
    - name: nobody there
      onError: Continue
      timeout: 2s
      wait: {target: {kind: Deployment, namespace: NAMESPACE, name: absent}}
",
    );
    let report = sandbox.with_key(&["restore", "apply", "mend", "-o", "json"]).expect(0).json();
    assert_eq!(report["fixups"][0]["outcome"], "Verified");
    assert_eq!(report["fixups"][1]["outcome"], "Warned");
    assert_eq!(sandbox.object("deployment", &sandbox.namespace, "web").unwrap()["spec"]["replicas"], 0);
}

/// A site that only pods from namespaces with the label `purpose: ingress` may reach, and a visitor from such a one.
const SITE: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE-ingress, labels: {purpose: ingress}}
---
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: Pod
metadata: {name: visitor, namespace: NAMESPACE-ingress}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: visitor, image: IMAGE, command: [sleep, inf]}]
---
apiVersion: v1
kind: Pod
metadata: {name: site, namespace: NAMESPACE, labels: {app: site}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: site, image: IMAGE, command: [sh, -c, 'echo hello > /tmp/index.html; exec httpd -f -p 8080 -h /tmp']}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: site, namespace: NAMESPACE}
spec:
  podSelector: {matchLabels: {app: site}}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {purpose: ingress}}}]}]
";

/// Whether the visitor reaches the site.
fn reaches(sandbox: &Sandbox) -> Option<bool> {
    let ip = sandbox.object("pod", &sandbox.namespace, "site")?["status"]["podIP"].as_str()?.to_owned();
    let url = format!("http://{ip}:8080/");
    let visitor = format!("{}-ingress", sandbox.namespace);
    let fetch = ["exec", "visitor", "-n", &visitor, "--", "timeout", "2", "wget", "-qO-", &url];
    Some(sandbox.kubectl(&fetch).stdout.contains("hello"))
}

fn admits_again(sandbox: &Sandbox) {
    sandbox.apply(&SITE.replace("IMAGE", sandbox.parts.get("IMAGE")));
    let ns = sandbox.namespace.clone();
    let until = |wanted: bool| {
        wait(60, "the network policy to follow", || (reaches(sandbox)? == wanted).then_some(()));
    };
    until(true);
    sandbox.backstay(&["backup"]).expect(0);
    sandbox.lose_namespace(&ns);
    sandbox.kubectl(&["label", "namespace", &format!("{ns}-ingress"), "purpose-"]).expect(0);
    let restore = ["restore", "apply", "--from", "archive@latest", "-n", &ns];
    sandbox.with_key(&restore).expect(0);
    until(false);
    request(
        sandbox,
        "    - name: relabel
      label: {target: {kind: Namespace, name: NAMESPACE-ingress}, set: {purpose: ingress}}
",
    );
    let file = std::fs::read_to_string(sandbox.dir.join("policy/mend.yaml")).unwrap();
    let narrow =
        file.replace("  fixups:", &format!("  select: {{namespaces: {{include: ['{ns}']}}}}\n  fixups:"));
    sandbox.write("policy/mend.yaml", &narrow);
    sandbox.with_key(&["restore", "apply", "mend"]).expect(0);
    until(true);
}
