//! What no policy covers, on a real cluster.

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![Scenario { name: "what-no-policy-covers-is-named", needs: &[Need::Api], run: named }]
}

/// Two namespaces with claims: one is covered, one is not; a third is left out on purpose.
fn named(sandbox: &Sandbox) {
    let policy = |namespaces: &str| {
        sandbox.policy(&format!(
            "apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {{name: all}}
spec:
  schedule: '@daily'
  locations: [archive]
  select: {{namespaces: {namespaces}}}
---
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {{name: archive}}
spec: {{archive: {{url: 'file://DIR/archive'}}, recipients: [RECIPIENT]}}
"
        ));
    };
    let claim = |place: &str| {
        format!(
            "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data, namespace: NAMESPACE-{place}}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}, storageClassName: none}}
---
"
        )
    };
    let namespace = |place: &str, labels: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: NAMESPACE-{place}, labels: {labels}}}\n---\n"
        )
    };
    let out = "{backstay.dev/exclude: 'true'}";
    sandbox.apply(
        &[
            namespace("shop", "{}"),
            namespace("lab", "{}"),
            namespace("scratch", out),
            claim("shop"),
            claim("lab"),
        ]
        .concat(),
    );
    let home = &sandbox.namespace;

    policy("{include: ['NAMESPACE-shop']}");
    let found = sandbox.backstay(&["coverage", "-o", "json"]).expect(1).json();
    let names = |list: &str| -> Vec<String> {
        let all = found[list].as_array().cloned().unwrap_or_default();
        all.iter().map(ToString::to_string).filter(|text| text.contains(home.as_str())).collect()
    };
    let (uncovered, left_out) = (names("uncovered"), names("leftOut"));
    assert!(uncovered.iter().any(|text| text.contains(&format!("{home}-lab"))), "{uncovered:?}");
    assert!(!uncovered.iter().any(|text| text.contains(&format!("{home}-shop"))), "{uncovered:?}");
    assert!(!uncovered.iter().any(|text| text.contains(&format!("{home}-scratch"))), "{uncovered:?}");
    assert!(left_out.iter().any(|text| text.contains(&format!("{home}-scratch"))), "{left_out:?}");

    policy("{include: ['*']}");
    sandbox.backstay(&["coverage"]).says_not(&format!("{home}-lab"));
}
