//! What a policy and a restore mean: namespaces, kinds, labels, wildcards, and the label that leaves objects out.

use std::collections::BTreeSet;

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "a-backup-holds-what-its-policy-selects", needs: &[Need::Api], run: at_backup },
        Scenario { name: "a-restore-brings-what-its-request-selects", needs: &[Need::Api], run: at_restore },
        Scenario { name: "several-namespaces-come-back-with-their-roles", needs: &[Need::Api], run: several },
    ]
}

/// Two namespaces, each with a few kinds; some objects carry labels.
const APPS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE-SUFFIX, labels: {tier: SUFFIX}, annotations: {example.org/owner: team-SUFFIX}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plain, namespace: NAMESPACE-SUFFIX}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: chosen, namespace: NAMESPACE-SUFFIX, labels: {app: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: spared, namespace: NAMESPACE-SUFFIX, labels: {velero.io/exclude-from-backup: 'true'}}
---
apiVersion: v1
kind: Secret
metadata: {name: chosen, namespace: NAMESPACE-SUFFIX, labels: {app: web}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: NAMESPACE-SUFFIX}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-SUFFIX}
rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-SUFFIX}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-SUFFIX}
subjects: [{kind: ServiceAccount, name: web, namespace: NAMESPACE-SUFFIX}]
";

const POLICY: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {name: all}
spec: {locations: [archive], select: SELECT}
---
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {name: archive}
spec:
  archive: {url: 'file://DIR/archive'}
  recipients: [RECIPIENT]
";

fn setting(sandbox: &Sandbox) {
    for suffix in ["one", "two"] {
        sandbox.apply(&APPS.replace("SUFFIX", suffix));
    }
}

fn leave(sandbox: &Sandbox) {
    for suffix in ["one", "two"] {
        let name = format!("{}-{suffix}", sandbox.namespace);
        sandbox.kubectl(&["delete", "clusterrole,clusterrolebinding", &name, "--ignore-not-found"]);
    }
}

/// Objects of the newest snapshot as `Kind namespace/name`, with the scenario's namespace taken out.
fn saved(sandbox: &Sandbox) -> BTreeSet<String> {
    let shown = sandbox.with_key(&["show", "latest", "--objects", "-o", "json"]).expect(0).json();
    let objects = shown["contents"].as_array().unwrap();
    let name = |object: &serde_json::Value| {
        let text = object.as_str().unwrap().replace(&sandbox.namespace, "N");
        text.replace(".rbac.authorization.k8s.io", "")
    };
    objects.iter().map(name).filter(|name| name.contains(" N-") && !name.ends_with("/default")).collect()
}

/// Each selection of a policy, and what of `chosen`, `plain`, `spared` it takes, by kind and namespace.
const AT_BACKUP: [(&str, &[&str]); 9] = [
    (
        "{namespaces: {include: [N-one]}}",
        &[
            "ConfigMap N-one/chosen",
            "ConfigMap N-one/plain",
            "Secret N-one/chosen",
            "ServiceAccount N-one/web",
            "Namespace N-one",
            "ClusterRole N-one",
            "ClusterRoleBinding N-one",
        ],
    ),
    (
        "{namespaces: {include: ['N-*'], exclude: [N-two]}, clusterResources: {exclude: ['*']}}",
        &[
            "ConfigMap N-one/chosen",
            "ConfigMap N-one/plain",
            "Secret N-one/chosen",
            "ServiceAccount N-one/web",
        ],
    ),
    (
        "{namespaces: {include: ['N-t?o']}, namespacedResources: {include: [ConfigMap]}, clusterResources: {exclude: ['*']}}",
        &["ConfigMap N-two/chosen", "ConfigMap N-two/plain"],
    ),
    (
        "{namespaces: {include: ['N-[o]*']}, namespacedResources: {include: [secrets]}, clusterResources: {exclude: ['*']}}",
        &["Secret N-one/chosen"],
    ),
    (
        "{namespaces: {include: [N-one]}, namespacedResources: {exclude: [Secret, ServiceAccount]}, clusterResources: {exclude: ['*']}}",
        &["ConfigMap N-one/chosen", "ConfigMap N-one/plain"],
    ),
    (
        "{namespaces: {include: [N-one, N-two]}, labelSelector: {matchLabels: {app: web}}, clusterResources: {exclude: ['*']}}",
        &["ConfigMap N-one/chosen", "ConfigMap N-two/chosen", "Secret N-one/chosen", "Secret N-two/chosen"],
    ),
    (
        "{namespaces: {include: [N-one]}, orLabelSelectors: [{matchLabels: {app: none}}, {matchLabels: {app: web}}], namespacedResources: {include: [Secret]}, clusterResources: {exclude: ['*']}}",
        &["Secret N-one/chosen"],
    ),
    (
        "{namespaces: {include: [N-one]}, where: \"object.metadata.name == 'plain'\", clusterResources: {exclude: ['*']}}",
        &["ConfigMap N-one/plain"],
    ),
    (
        "{namespaces: {include: [N-one]}, namespacedResources: {include: [ConfigMap]}, clusterResources: {include: [Namespace]}}",
        &[
            "ConfigMap N-one/chosen",
            "ConfigMap N-one/plain",
            "Namespace N-one",
            "ClusterRole N-one",
            "ClusterRoleBinding N-one",
        ],
    ),
];

fn at_backup(sandbox: &Sandbox) {
    setting(sandbox);
    for (select, wanted) in AT_BACKUP {
        sandbox.policy(
            &POLICY.replace(
                "SELECT",
                &select.replace('N', "NAMESPACE").replace("NAMESPACEamespace", "Namespace"),
            ),
        );
        sandbox.backstay(&["backup"]).expect(0);
        let mut wanted: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let mut found = saved(sandbox);
        if select.contains("include: [ConfigMap]}, clusterResources: {include") {
            // Roles come along only with the accounts that they are for, and no account was selected.
            wanted.retain(|name| !name.starts_with("ClusterRole"));
        }
        found.retain(|name| {
            !name.starts_with("Namespace") || wanted.iter().any(|w| w.starts_with("Namespace"))
        });
        assert_eq!(found, wanted, "{select}");
    }
    leave(sandbox);
}

/// Options of a restore, and the objects it brings into the moved namespaces.
const AT_RESTORE: [(&[&str], &[&str]); 6] = [
    (&["-n", "N-one"], &["configmap one/chosen", "configmap one/plain", "secret one/chosen"]),
    (&["-n", "N-t*"], &["configmap two/chosen", "configmap two/plain", "secret two/chosen"]),
    (&["-n", "N-one", "-n", "N-two", "--only-kind", "Secret"], &["secret one/chosen", "secret two/chosen"]),
    (&["-n", "N-one", "--only-kind", "configmaps"], &["configmap one/chosen", "configmap one/plain"]),
    (&["-n", "N-[o]ne", "--only-kind", "Secret"], &["secret one/chosen"]),
    (&["-n", "N-?wo", "--only-kind", "[Cc]onfig*"], &["configmap two/chosen", "configmap two/plain"]),
];

fn at_restore(sandbox: &Sandbox) {
    setting(sandbox);
    sandbox.policy(&POLICY.replace("SELECT", "{namespaces: {include: ['NAMESPACE-*']}}"));
    sandbox.backstay(&["backup"]).expect(0);
    for (number, (options, wanted)) in AT_RESTORE.iter().enumerate() {
        let old = |suffix: &str| format!("{}-{suffix}", sandbox.namespace);
        let new = |suffix: &str| format!("{}-{number}-{suffix}", sandbox.namespace);
        let maps = ["one", "two"].map(|suffix| format!("{}={}", old(suffix), new(suffix)));
        let options: Vec<String> =
            options.iter().map(|option| option.replace("N-", &format!("{}-", sandbox.namespace))).collect();
        let mut args = vec!["restore", "apply", "--from", "archive@latest"];
        args.extend(options.iter().map(String::as_str));
        args.extend(maps.iter().flat_map(|map| ["--map-namespace", map.as_str()]));
        sandbox.with_key(&args).expect(0);
        let mut found = BTreeSet::new();
        for suffix in ["one", "two"] {
            for kind in ["configmap", "secret"] {
                let names = sandbox.kubectl(&["get", kind, "-n", &new(suffix), "-o", "name"]).stdout;
                let names = names.lines().filter_map(|line| line.split_once('/')).map(|(_, name)| name);
                found.extend(
                    names
                        .filter(|name| *name != "kube-root-ca.crt")
                        .map(|name| format!("{kind} {suffix}/{name}")),
                );
            }
        }
        assert_eq!(found, wanted.iter().map(|name| (*name).to_owned()).collect(), "{options:?}");
    }
    request(sandbox);
    leave(sandbox);
}

/// What only a request can say: exclusions and labels.
fn request(sandbox: &Sandbox) {
    let text = "apiVersion: backstay.dev/v1alpha1\nkind: RestoreRequest\nmetadata: {name: some}\nspec:\n  from: {location: archive, snapshot: latest}\n  \
        namespaceMapping: {NAMESPACE-one: NAMESPACE-request, NAMESPACE-two: NAMESPACE-never}\n  select:\n    \
        namespaces: {exclude: [NAMESPACE-two]}\n    namespacedResources: {exclude: [Secret]}\n    labelSelector: {matchLabels: {app: web}}\n";
    sandbox.write("policy/some.yaml", &text.replace("NAMESPACE", &sandbox.namespace));
    sandbox.with_key(&["restore", "apply", "some"]).expect(0);
    let home = format!("{}-request", sandbox.namespace);
    assert!(sandbox.object("configmap", &home, "chosen").is_some());
    assert!(sandbox.object("configmap", &home, "plain").is_none());
    assert!(sandbox.object("secret", &home, "chosen").is_none());
    assert!(sandbox.object("namespace", "", &format!("{}-never", sandbox.namespace)).is_none());
}

fn several(sandbox: &Sandbox) {
    setting(sandbox);
    sandbox.policy(&POLICY.replace("SELECT", "{namespaces: {include: ['NAMESPACE-*']}}"));
    sandbox.backstay(&["backup"]).expect(0);
    for suffix in ["one", "two"] {
        sandbox.lose_namespace(&format!("{}-{suffix}", sandbox.namespace));
    }
    leave(sandbox);
    sandbox.with_key(&["restore", "apply", "--from", "archive@latest"]).expect(0);
    for suffix in ["one", "two"] {
        let name = format!("{}-{suffix}", sandbox.namespace);
        let namespace = sandbox.object("namespace", "", &name).unwrap();
        assert_eq!(namespace["metadata"]["annotations"]["example.org/owner"], format!("team-{suffix}"));
        assert_eq!(namespace["metadata"]["labels"]["tier"], suffix);
        let account = format!("system:serviceaccount:{name}:web");
        let can = sandbox.kubectl(&["auth", "can-i", "get", "pods", "--as", &account]);
        assert_eq!(can.stdout.trim(), "yes", "{account}");
        assert!(sandbox.object("configmap", &name, "spared").is_none());
    }
    leave(sandbox);
}
