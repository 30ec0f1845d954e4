//! Restores under other names, and changed on their way.

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::scenarios::restore::settled;
use crate::support::parts::Need;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-namespace-gets-a-new-name", needs: &[Need::Api], run: mapping },
        Scenario { name: "a-namespace-moves-and-is-transformed", needs: &[Need::Api], run: migration },
    ]
}

/// What a person writes to move the shop: another namespace, class and registry, and a smaller size.
const MOVE: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {name: move}
spec:
  from: {location: archive, snapshot: latest}
  namespaceMapping: {NAMESPACE: NAMESPACE-moved}
  storageClassMapping: {standard: other}
  imageMapping: {backstay.dev/e2e: mirror.example.net/e2e}
  transforms:
    - name: small
      kinds: [Deployment]
      when: object.spec.replicas > 0
      json: [{op: replace, path: /spec/replicas, value: 0}]
    - name: marked
      kinds: [ConfigMap]
      merge: {metadata: {labels: {moved: 'yes'}}}
";

fn migration(sandbox: &Sandbox) {
    shop(sandbox);
    settled(sandbox);
    sandbox.with_key(&["backup"]).expect(0);
    sandbox.write("policy/move.yaml", &MOVE.replace("NAMESPACE", &sandbox.namespace));
    let plan = sandbox.with_key(&["restore", "plan", "move", "-o", "json"]).expect(1).json();
    assert!(plan["plan"]["waves"].as_array().is_some_and(|waves| waves.len() > 3), "{plan}");
    sandbox.with_key(&["restore", "apply", "move"]).expect(0);
    let moved = format!("{}-moved", sandbox.namespace);
    let web = sandbox.object("deployment", &moved, "web").unwrap();
    assert_eq!(web["spec"]["replicas"], 0);
    let image = web["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
    assert!(image.starts_with("mirror.example.net/e2e/"), "{image}");
    let claim = sandbox.object("persistentvolumeclaim", &moved, "data-db-0").unwrap();
    assert_eq!(claim["spec"]["storageClassName"], "other");
    let config = sandbox.object("configmap", &moved, "web").unwrap();
    assert_eq!(config["metadata"]["labels"]["moved"], "yes");
    assert!(sandbox.object("deployment", &sandbox.namespace, "web").unwrap()["spec"]["replicas"] != 0);
}

fn mapping(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.backstay(&["backup"]).expect(0);
    let (old, new) = (sandbox.namespace.clone(), format!("{}-copy", sandbox.namespace));
    let map = format!("{old}={new}");
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest", "--map-namespace", &map]).expect(0);
    assert!(sandbox.object("deployment", &new, "web").is_some());
    let binding = sandbox.object("rolebinding", &new, "reader").unwrap();
    assert_eq!(binding["subjects"][0]["namespace"], new.as_str());
    assert!(sandbox.object("deployment", &old, "web").is_some(), "the original stays");
}
