//! The chart as text: lint, schema, names, rules, and what is made from it.

use std::collections::BTreeSet;
use std::fs;

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::program::Run;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "helm-lint-finds-nothing-in-the-chart", needs: &[Need::Helm], run: lint },
        Scenario { name: "a-wrong-value-of-the-chart-is-named", needs: &[Need::Helm], run: refused },
        Scenario { name: "what-is-made-from-the-chart-is-fresh", needs: &[Need::Helm], run: fresh },
        Scenario { name: "two-releases-share-no-object", needs: &[Need::Helm, Need::Api], run: two },
        Scenario { name: "only-the-cluster-roles-have-wildcards", needs: &[Need::Helm], run: wildcards },
        Scenario { name: "dns-is-open-where-its-pods-listen", needs: &[Need::Helm], run: names },
        Scenario { name: "long-names-fit", needs: &[Need::Helm, Need::Api], run: long },
        Scenario { name: "alerts-fire-when-they-should", needs: &[Need::Helm, Need::Promtool], run: alerts },
        Scenario { name: "queries-of-the-dashboard-are-valid", needs: &[Need::Promtool], run: dashboard },
        Scenario { name: "every-alert-has-its-runbook", needs: &[], run: runbooks },
        Scenario {
            name: "kube-score-finds-nothing-in-the-chart",
            needs: &[Need::Helm, Need::KubeScore],
            run: score,
        },
        Scenario { name: "argo-cd-is-told-the-health", needs: &[Need::Lua], run: health },
    ]
}

/// The folder `charts`.
pub const CHARTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts");

/// Sets of values that everything has to hold for: files below `charts/backstay/tests/values`.
pub const VALUES: [&str; 3] = ["default", "everything", "openshift"];

/// A shell line that may call `helm`, with the folders of helm in the sandbox, and `$CHARTS`, `$CHART`, `$VALUES`.
pub fn helm(sandbox: &Sandbox, line: &str) -> Run {
    let homes = sandbox.path("helm");
    sandbox.shell(&format!(
        "export HELM_CACHE_HOME={homes}/cache HELM_CONFIG_HOME={homes}/config HELM_DATA_HOME={homes}/data
        CHARTS={CHARTS} CHART={CHARTS}/backstay VALUES={CHARTS}/backstay/tests/values
        {line}"
    ))
}

fn lint(sandbox: &Sandbox) {
    for values in VALUES.iter().chain(&["policies"]) {
        helm(sandbox, &format!("helm lint --strict $CHART -f $VALUES/{values}.yaml"))
            .expect(0)
            .says("0 chart(s) failed");
    }
}

/// What is set, and what the refusal must say.
const WRONG: [(&str, &str); 21] = [
    ("replica=3", "'replica' not allowed"),
    ("image.tga=1", "'tga' not allowed"),
    ("hooks.namespace=shop", "'namespace' not allowed"),
    ("replicas=-1", "/replicas"),
    ("replicas=two", "/replicas"),
    ("image.digest=latest", "/image/digest"),
    ("clusterName=a/b", "/clusterName"),
    ("clusterName=", "give the cluster a name"),
    ("image.repository=", "say which image to run"),
    ("listen.port=99999", "/listen/port"),
    ("openTelemetry.endpoint=http://collector:65536", "/openTelemetry/endpoint"),
    ("openTelemetry.endpoint=http://collector:4318/v1/traces", "/openTelemetry/endpoint"),
    ("fullnameOverride=Back_stay", "/fullnameOverride"),
    ("policyRepository.source=git", "policyRepository.url is empty"),
    ("policyRepository.existingSecret=git", "policyRepository.url is empty"),
    ("policyRepository.url=https://me:word@git.example.org/x", "holds a password"),
    ("tmp.sizeLimit=20Gi", "resources.limits.ephemeral-storage is 5Gi"),
    ("resources.limits.ephemeral-storage=1000M", "tmp.sizeLimit is 4Gi"),
    ("hooks.enabled=true", "hooks.namespaces"),
    ("policies[0].kind=BackupPolicies,policies[0].metadata.name=x", "/policies/0/kind"),
    (
        "policies[0].kind=BackupPolicy,policies[0].metadata.name=x,policies[0].metadata.namespace=shop",
        "namespace shop",
    ),
];

fn refused(sandbox: &Sandbox) {
    for (set, said) in WRONG {
        helm(sandbox, &format!("helm template x $CHART -f $VALUES/default.yaml --set '{set}'"))
            .expect(1)
            .says(said)
            .says_not("me:word");
    }
}

fn fresh(sandbox: &Sandbox) {
    helm(sandbox, "$CHARTS/generate --check").expect(0);
    // And the check would notice.
    let copied = "cp -r $CHARTS copy; sed -i 's/^replicas: 2/replicas: 3/' copy/backstay/values.yaml; copy/generate --check";
    helm(sandbox, copied).expect(1).says("stale: ").says("README.md").says("install.yaml");
    helm(sandbox, "sed -i '/Makes the account/d' copy/backstay/values.yaml; copy/generate")
        .expect(1)
        .says("serviceAccount.create has no comment");
}

/// Kind, namespace (empty for what has none) and name of everything that a release makes.
fn objects(sandbox: &Sandbox, release: &str, namespace: &str, more: &str) -> BTreeSet<[String; 3]> {
    let template = format!("helm template {release} $CHART -n {namespace} {more}");
    let line = "'jsonpath={.kind} {.metadata.namespace} {.metadata.name}{\"\\n\"}'";
    let run =
        helm(sandbox, &format!("{template} | kubectl create --dry-run=client -f - -o {line}")).expect(0);
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into();
    run.stdout.lines().map(|line| words(line).expect("three words")).collect()
}

/// Everything but the monitoring kinds, which the API server does not serve.
pub const UNMONITORED: &str = "-f $VALUES/everything.yaml --set serviceMonitor.enabled=false,prometheusRule.enabled=false,crds.install=false";

fn two(sandbox: &Sandbox) {
    let (one, other) = ("backstay-a", "backstay-b");
    let first = objects(sandbox, "backstay", one, UNMONITORED);
    let second = objects(sandbox, "backstay", other, UNMONITORED);
    assert!(first.len() > 12, "{first:#?}");
    let shared: Vec<_> = first.intersection(&second).collect();
    assert!(shared.is_empty(), "{shared:#?}");
    for (objects, home) in [(first, one), (second, other)] {
        for [kind, namespace, name] in objects {
            assert!(namespace.is_empty() || namespace == home, "{kind} {name} stands in {namespace}");
        }
    }
}

/// Policies against wildcards in roles are told to make an exception for cluster roles, by name.
fn wildcards(sandbox: &Sandbox) {
    for values in VALUES {
        let template = format!("helm template backstay $CHART -n backstay -f $VALUES/{values}.yaml");
        let all = helm(sandbox, &template).expect(0).stdout;
        let roles = all.split("\n---").filter(|object| object.contains("\nkind: Role\n"));
        let roles: Vec<&str> = roles.collect();
        assert!(!roles.is_empty());
        assert!(roles.iter().all(|role| !role.contains('*')), "{roles:#?}");
        let cluster = all.split("\n---").filter(|object| object.contains("\nkind: ClusterRole\n"));
        for role in cluster.filter(|role| role.contains("[\"*\"]")) {
            assert!(role.contains("\n  name: backstay:backstay:"), "{role}");
        }
    }
}

/// The pods of `OpenShift`'s DNS listen on another port than its Service.
fn names(sandbox: &Sandbox) {
    let policy = "helm template x $CHART -s templates/networkpolicy.yaml";
    let usual = helm(sandbox, &format!("{policy} -f $VALUES/everything.yaml")).expect(0);
    usual.says("{protocol: UDP, port: 53}").says_not("5353");
    let openshift = helm(sandbox, &format!("{policy} -f $VALUES/openshift.yaml")).expect(0);
    openshift.says("{protocol: UDP, port: 5353}").says("{protocol: TCP, port: 5353}");
}

fn long(sandbox: &Sandbox) {
    let release = "r".repeat(53);
    let name = "n".repeat(63);
    for set in [String::new(), format!("--set nameOverride={name}"), format!("--set fullnameOverride={name}")]
    {
        for [kind, _, name] in objects(sandbox, &release, "default", &format!("{UNMONITORED} {set}")) {
            let roomy = ["ClusterRole", "ClusterRoleBinding", "ConfigMap"].contains(&kind.as_str());
            assert!(roomy || name.len() <= 63, "{kind} {name}");
        }
        let template = format!("helm template {release} $CHART -n default {UNMONITORED} {set}");
        helm(sandbox, &format!("{template} | kubectl apply --dry-run=server -f -"))
            .expect(0)
            .says_not("Warning");
    }
}

/// The rules as Prometheus reads them, in a file of the sandbox.
fn rules(sandbox: &Sandbox) {
    let template =
        "helm template backstay $CHART -n backstay -f $VALUES/default.yaml --set prometheusRule.enabled=true";
    helm(
        sandbox,
        &format!("{template} -s templates/prometheusrule.yaml | sed '1,/^spec:/d;s/^  //' >rules.yaml"),
    )
    .expect(0);
}

fn alerts(sandbox: &Sandbox) {
    rules(sandbox);
    sandbox.shell("promtool check rules rules.yaml").expect(0).says("12 rules found");
    helm(sandbox, "cp $CHART/tests/alerts.yaml . && promtool test rules alerts.yaml")
        .expect(0)
        .says("SUCCESS");
    // And the tests would notice: another period, and the nightly policy is called stale too early.
    let hasty = "sed -i 's/ [*] 1.25 + 600/ * 1.01 + 600/' rules.yaml && promtool test rules alerts.yaml";
    sandbox.shell(hasty).expect(1).says("BackstayNotEveryPolicyIsFresh");
    let template = "helm template x $CHART -f $VALUES/everything.yaml --set 'prometheusRule.disabled={BackstayRunPartial}'";
    let all = helm(sandbox, &format!("{template} -s templates/prometheusrule.yaml")).expect(0);
    assert_eq!(all.stdout.matches("team: platform").count(), 12, "eleven alerts and the rule itself");
    all.says_not("BackstayRunPartial");
}

/// Every query of the dashboard becomes a rule, which promtool parses. They name no metric that no alert and no reader knows.
fn dashboard(sandbox: &Sandbox) {
    let text = fs::read_to_string(format!("{CHARTS}/backstay/files/dashboard.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    let panels = board["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let mut count = 0;
    for query in queries.chain(board["annotations"]["list"].as_array().unwrap().iter().cloned()) {
        count += 1;
        let text = query["expr"].as_str().unwrap().replace("$periods", "1.25");
        assert!(text.contains("namespace=\"$namespace\""), "every query is about one namespace: {text}");
        rules += &format!("  - record: query:{count}\n    expr: {}\n", serde_json::json!(text));
    }
    sandbox.write("queries.yaml", &rules);
    sandbox.shell("promtool check rules queries.yaml").expect(0).says(&format!("{count} rules found"));
}

fn runbooks(_: &Sandbox) {
    let alerts = fs::read_to_string(format!("{CHARTS}/backstay/files/alerts.yaml")).unwrap();
    let runbooks = fs::read_to_string(format!("{CHARTS}/../docs/runbooks.md")).unwrap();
    let names: Vec<&str> = alerts.lines().filter_map(|line| line.strip_prefix("- alert: ")).collect();
    assert_eq!(names.len(), 12);
    for name in names {
        assert!(runbooks.contains(&format!("\n### {name}\n")), "docs/runbooks.md has no heading {name}");
    }
}

fn score(sandbox: &Sandbox) {
    let exceptions = fs::read_to_string(format!("{CHARTS}/backstay/tests/kube-score.txt")).unwrap();
    let flags: Vec<&str> = exceptions.lines().filter_map(|line| line.split('#').next()).collect();
    let score =
        format!("kube-score score --exit-one-on-warning --kubernetes-version v1.30 {} -", flags.join(" "));
    for values in ["default", "everything"] {
        helm(sandbox, &format!("helm template x $CHART -f $VALUES/{values}.yaml | {score}")).expect(0);
    }
    // And it would notice.
    let open = "--set securityContext.readOnlyRootFilesystem=false";
    helm(sandbox, &format!("helm template x $CHART -f $VALUES/default.yaml {open} | {score}"))
        .expect(1)
        .says("root filesystem");
}

fn health(sandbox: &Sandbox) {
    let test = "lua5.4 $CHARTS/argocd/health_test.lua";
    helm(sandbox, &format!("{test} $CHARTS/argocd/health.lua")).expect(0).says("16 of 16");
    // And the table would notice.
    let blind = "sed 's/is(stalled, \"True\")/false/' $CHARTS/argocd/health.lua >blind.lua";
    helm(sandbox, &format!("{blind}; {test} blind.lua")).expect(1).says("stalled goes before the rest");
}
