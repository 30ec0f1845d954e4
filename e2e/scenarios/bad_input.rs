//! Bad input: a clear error, the right exit code, and nothing half-written.

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::support::parts::Need;
use crate::support::program::Run;
use crate::support::sandbox::{Sandbox, files};

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "bad-documents-are-named-with-file-and-line", needs: &[], run: documents },
        Scenario { name: "bad-arguments-are-usage-errors", needs: &[], run: arguments },
        Scenario { name: "an-unreachable-cluster-is-said-at-once", needs: &[], run: unreachable },
        Scenario { name: "a-read-only-location-is-not-written", needs: &[Need::Api], run: read_only },
        Scenario { name: "names-that-match-nothing-are-no-answer", needs: &[Need::Api], run: misspelt },
        Scenario { name: "one-location-without-credentials", needs: &[Need::Api], run: no_credentials },
        Scenario { name: "the-demo-needs-nothing", needs: &[], run: demo },
        Scenario { name: "init-makes-a-repository-that-validates", needs: &[], run: init },
    ]
}

fn misspelt(sandbox: &Sandbox) {
    shop(sandbox);
    sandbox.with_key(&["backup"]).expect(0);
    let space = sandbox.namespace.as_str();
    for option in [["-n", "shpo"], ["--only-kind", "Secrt"]] {
        let diff = [&["diff", "archive@latest", "cluster"], &option[..]].concat();
        sandbox.with_key(&diff).expect(2).says(option[1]).says("matches nothing");
        let restore = [&["restore", "apply", "--from", "archive@latest"], &option[..]].concat();
        sandbox.with_key(&restore).expect(2).says("matches nothing").says(option[1]);
    }
    let one = ["diff", "archive@latest", "cluster", "-n", space, "--only-kind", "Secret"];
    sandbox.with_key(&one).expect(0).says_not("matches nothing");
    let twice =
        ["restore", "plan", "--from", "archive@latest", "--map-namespace", "a=b", "--map-namespace", "a=c"];
    sandbox.with_key(&twice).expect(2).says("two new names");
    let mut arn = sandbox.command(&["backup"]);
    arn.env("BACKSTAY_CLUSTER_NAME", "arn:aws:eks:eu-west-1:1:cluster/prod");
    Run::of(&mut arn).expect(2).says("--cluster-name prod");
    let url = "http://somebody:hunter2@127.0.0.1:1/x.git";
    sandbox.with_key(&["validate", "--policy-repo", url, "-o", "json"]).expect(3).says_not("hunter2");
    let other = sandbox.path("other.txt");
    sandbox.backstay(&["keys", "new", &other]).expect(0);
    sandbox.backstay(&["verify", "--identity", &other]).expect(3).says("LOCKED").says_not("DAMAGED");
    let record = sandbox.records().pop().unwrap();
    let later = record.parent().unwrap().with_file_name("all-29991231t000000z-aaaa");
    std::fs::create_dir(&later).unwrap();
    std::fs::write(later.join("snapshot.json"), "{").unwrap();
    let latest = sandbox.with_key(&["show", "latest"]).expect(3);
    latest.says("cannot tell which snapshot").says("all-29991231t000000z-aaaa");
}

/// The other location gets its snapshot, and the outcome is Partial.
fn no_credentials(sandbox: &Sandbox) {
    shop(sandbox);
    let text = std::fs::read_to_string(sandbox.dir.join("policy/policy.yaml")).unwrap();
    let url = format!("file://{}", sandbox.path("archive"));
    sandbox.write("policy/policy.yaml", &text.replace(&url, "s3://somewhere/x"));
    sandbox.backstay(&["backup"]).expect(1).says("AWS_ACCESS_KEY_ID").says("mirror");
    assert!(!sandbox.git(&["-C", &sandbox.path("mirror.git"), "log", "--oneline", "main"]).is_empty());
}

/// What stands in the file, and what the error must say.
const DOCUMENTS: [(&str, &str); 14] = [
    ("a: [1, 2\n", "bad.yaml:1:4"),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {locatons: [a]}\n",
        "locations",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {locations: a}\n",
        "must be a list",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {locations: [nowhere]}\n",
        "nowhere",
    ),
    ("apiVersion: backstay.dev/v1alpha1\nkind: BackupPolic\nmetadata: {name: x}\nspec: {}\n", "BackupPolicy"),
    ("apiVersion: backstay.dev/v1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {}\n", "v1alpha1"),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: X_y}\nspec: {locations: [archive]}\n",
        "name",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {locations: [archive], schedule: '61 * * * *'}\n",
        "schedule",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {locations: [archive], timeZone: Mars/Olympus}\n",
        "Mars/Olympus",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {locations: [archive], timeout: 5 minutes}\n",
        "timeout",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {locations: [archive], select: {namespaces: {include: ['a[']}}}\n",
        "a[",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: x}\nspec: {locations: [archive], select: {where: 'object.('}}\n",
        "where",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupLocation\nmetadata: {name: x}\nspec: {recipients: [age1nonsense], archive: {url: 'file:///x'}}\n",
        "age1nonsense",
    ),
    (
        "apiVersion: backstay.dev/v1alpha1\nkind: BackupLocation\nmetadata: {name: x}\nspec: {recipients: [RECIPIENT]}\n",
        "mirror",
    ),
];

fn documents(sandbox: &Sandbox) {
    for (number, (text, said)) in DOCUMENTS.iter().enumerate() {
        sandbox.write("policy/bad.yaml", &text.replace("RECIPIENT", &sandbox.recipient()));
        let run = sandbox.backstay(&["validate"]);
        assert_eq!(run.code, 2, "document {number} ({said}):\n{}{}", run.stdout, run.stderr);
        run.says("bad.yaml").says(said);
    }
    sandbox.write(
        "policy/bad.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nhelmCharts: [{name: x}]\n",
    );
    std::fs::rename(sandbox.dir.join("policy/bad.yaml"), sandbox.dir.join("policy/kustomization.yaml"))
        .unwrap();
    sandbox.backstay(&["validate"]).expect(2).says("kustomization.yaml:3:").says("helmCharts");
    std::fs::remove_file(sandbox.dir.join("policy/kustomization.yaml")).unwrap();

    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let last = level - 1;
        bomb += &format!(
            "a{level}: &a{level} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"
        );
    }
    sandbox.write("policy/bad.yaml", &bomb);
    sandbox.backstay(&["validate"]).expect(2).says("bad.yaml");
    sandbox.write("policy/bad.yaml", &format!("a: {}\n", "x".repeat(11 << 20)));
    sandbox.backstay(&["validate"]).expect(2).says("bad.yaml").says("MiB");
    std::fs::write(sandbox.dir.join("policy/bad.yaml"), b"a: \xff\xfe\n").unwrap();
    sandbox.backstay(&["validate"]).expect(2).says("bad.yaml").says("UTF-8");
}

fn arguments(sandbox: &Sandbox) {
    let cases: [(&[&str], &str); 9] = [
        (&["frobnicate"], "frobnicate"),
        (&["backup", "absent"], "absent"),
        (&["show", "latest", "--location", "absent"], "absent"),
        (&["show", "../../etc"], "../../etc"),
        (&["restore", "apply", "absent"], "absent"),
        (&["restore", "apply", "--from", "archive"], "archive@"),
        (&["restore", "apply", "--from", "archive@latest", "--map-namespace", "x"], "OLD=NEW"),
        (&["validate", "--policy-repo", "/does/not/exist"], "/does/not/exist"),
        (&["keys", "show", "--identity", "/does/not/exist"], "/does/not/exist"),
    ];
    for (args, said) in cases {
        let run = sandbox.backstay(args);
        assert_eq!(run.code, 2, "{args:?}:\n{}{}", run.stdout, run.stderr);
        run.says(said);
    }
    sandbox.backstay(&["show", "latest"]).expect(3).says("no Complete snapshot");
    sandbox.backstay(&["keys", "new", &sandbox.path("key.txt")]).expect(2).says("key.txt");
}

fn unreachable(sandbox: &Sandbox) {
    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: x, \
        clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: x, user: {token: t}}], \
        contexts: [{name: x, context: {cluster: x, user: x}}]}";
    sandbox.write("dead.kubeconfig", kubeconfig);
    let dead = sandbox.path("dead.kubeconfig");
    sandbox.backstay(&["backup", "--kubeconfig", &dead]).expect(3).says("127.0.0.1:1");
    sandbox.backstay(&["plan", "--kubeconfig", "/does/not/exist"]).expect(2).says("/does/not/exist");
    assert!(files(&sandbox.dir.join("archive")).is_empty());
}

fn read_only(sandbox: &Sandbox) {
    let policy = std::fs::read_to_string(sandbox.dir.join("policy/policy.yaml")).unwrap();
    sandbox.write(
        "policy/policy.yaml",
        &policy.replace("  recipients:", "  accessMode: ReadOnly\n  recipients:"),
    );
    sandbox.backstay(&["backup"]).expect(2).says("ReadOnly");
    assert!(files(&sandbox.dir.join("archive")).is_empty());
}

fn demo(sandbox: &Sandbox) {
    let mut command = sandbox.command(&["demo", "--dir", &sandbox.path("demo")]);
    command.env_remove("KUBECONFIG").env("HOME", sandbox.path("home")).current_dir("/");
    let run = crate::support::program::Run::of(&mut command).expect(0);
    run.says("backstay backup").says("backstay diff").says("backstay restore apply").says("equal");
    for untouched in ["home", "cache", "state"] {
        assert!(files(&sandbox.dir.join(untouched)).is_empty(), "the demo wrote to {untouched}");
    }
}

fn init(sandbox: &Sandbox) {
    sandbox.backstay(&["init", &sandbox.path("fresh")]).expect(0);
    sandbox.backstay(&["validate", "--policy-repo", &sandbox.path("fresh")]).expect(0);
    // Without a schedule it would cover nothing, and do nothing in a cluster.
    let policy = std::fs::read_to_string(sandbox.path("fresh/policy.yaml")).unwrap();
    assert!(policy.contains("\n  schedule: "), "{policy}");
    sandbox.backstay(&["init", &sandbox.path("fresh")]).expect(2).says("fresh");
}
