//! Policies that Flux applies as custom resources: ready when they are in force, no drift, refused, mended and pruned.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::Scenario;
use crate::support::flux::Flux;
use crate::support::parts::Need;
use crate::support::release::Release;
use crate::support::sandbox::{Sandbox, wait};

const NEEDS: &[Need] = &[Need::Helm, Need::Api, Need::Node, Need::S3, Need::Git, Need::Flux];

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "flux-applies-policies-and-sees-no-drift", needs: NEEDS, run: settled },
        Scenario { name: "flux-tells-what-is-broken-and-prunes-what-is-gone", needs: NEEDS, run: changed },
    ]
}

/// What Backstay fetches from Git by itself, beside what Flux applies.
const OWN: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {name: weekly}
spec:
  schedule: '0 4 * * 0'
  locations: [cellar]
  select: {namespaces: {include: ['NAMESPACE-*']}}
";

/// The example's repository on the Git server, Backstay as a release, and the controllers of Flux.
fn begin<'a>(sandbox: &'a Sandbox, release: &Release<'_>) -> Flux<'a> {
    let shop = format!("{}-shop", sandbox.namespace);
    sandbox.kubectl(&["create", "namespace", &shop]).expect(0);
    sandbox.kubectl(&["create", "configmap", "page", "-n", &shop, "--from-literal=a=1"]).expect(0);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flux");
    sandbox.shell(&format!("cp -r {example}/. work/")).expect(0);
    let key = sandbox.recipient();
    let folder = format!("{}-{}", release.cluster(), &key[key.len() - 8..]);
    let shops = fs::read_to_string(sandbox.path("work/base/shops.yaml")).unwrap();
    let commit = release.push(&[
        ("own/cellar.yaml", &release.location("cellar", &format!("{folder}-own"), "ReadWrite")),
        ("own/weekly.yaml", OWN),
        // Looks at what Flux's location holds, whatever becomes of that.
        ("own/window.yaml", &release.location("window", &folder, "ReadOnly")),
        ("base/archive.yaml", &release.location("archive", &folder, "ReadWrite")),
        ("base/shops.yaml", &shops.replace("shop-*", "NAMESPACE-*").replace("keepHourly", "keepLast")),
    ]);
    release.install(1, "--set policyRepository.path=own");
    release.until(90, ("policyrepository", "policy"), "Ready", "True InForce");
    let flux = Flux::up(sandbox);
    let manifests = fs::read_to_string(format!("{example}/flux.yaml")).unwrap();
    flux.deliver(&manifests, &release.repository_url());
    flux.until_applied(&commit);
    flux
}

/// What Flux has applied, or Backstay shows of its own documents.
const KINDS: &str = "backuppolicies,backuplocations,policyrepositories,snapshots";

/// Everything of an object that a tool which applies it may look at; without times, what is said in its status, and the value
/// of the annotation with which people ask for a run.
fn declared(object: &Value) -> Value {
    let mut meta = object["metadata"].clone();
    if let Some(annotations) = meta["annotations"].as_object_mut() {
        annotations.entry("backstay.dev/requestedAt").and_modify(|value| *value = json!("asked"));
    }
    let owned: Vec<Value> = meta["managedFields"]
        .as_array()
        .expect("the API server keeps books")
        .iter()
        .filter(|entry| entry["subresource"] != "status")
        .map(|entry| json!([entry["manager"], entry["operation"], entry["fieldsV1"]]))
        .collect();
    json!({
        "uid": meta["uid"], "generation": meta["generation"], "labels": meta["labels"],
        "annotations": meta["annotations"], "finalizers": meta["finalizers"],
        "ownerReferences": meta["ownerReferences"], "owned": owned, "spec": object["spec"],
    })
}

/// All objects of Backstay in the release's namespace.
fn objects(release: &Release<'_>) -> BTreeMap<String, Value> {
    let namespace = &release.sandbox.namespace;
    let list = release
        .kubectl(&["get", KINDS, "-n", namespace, "-o", "json", "--show-managed-fields"])
        .expect(0)
        .json();
    let items = list["items"].as_array().expect("a list").clone();
    let name = |one: &Value| {
        format!("{} {}", one["kind"].as_str().unwrap(), one["metadata"]["name"].as_str().unwrap())
    };
    items.into_iter().map(|one| (name(&one), one)).collect()
}

/// Asks for a run of a policy, as the documentation says, and waits for its end.
fn run(release: &Release<'_>, policy: &str, token: &str) {
    let namespace = &release.sandbox.namespace;
    let request = format!("backstay.dev/requestedAt={token}");
    let who = ["annotate", "--overwrite", "--field-manager=somebody", "-n", namespace];
    release.kubectl(&[&who[..], &["backuppolicy", policy, &request]].concat()).expect(0);
    wait(60, "the run that was asked for", || {
        let handled = release.field("backuppolicy", policy, ".status.lastHandledRequest");
        let idle = release.field("backuppolicy", policy, ".status.running").is_empty();
        (handled == token && idle).then_some(())
    });
    release.until(30, ("backuppolicy", policy), "Complete", "True Complete");
}

fn settled(sandbox: &Sandbox) {
    let release = Release::prepare(sandbox);
    let flux = begin(sandbox, &release);
    // Flux says so in the same moment: everything is in force.
    let now = objects(&release);
    for name in ["BackupLocation archive", "BackupPolicy everything", "BackupPolicy shops"] {
        let conditions = now[name]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        assert!(conditions.iter().any(ready), "{name}: {}", now[name]["status"]);
    }
    assert_eq!(release.field("backuppolicy", "everything", ".spec.schedule"), "30 3 * * *");
    for policy in ["shops", "weekly"] {
        run(&release, policy, "first");
    }
    flux.reconcile("settled");

    let before = objects(&release);
    let (told, asked) = (flux.told(), flux.writes());
    assert!(asked.len() >= 3, "the books name what it has made: {asked:?}");
    for turn in 1..=10 {
        flux.reconcile(&format!("turn-{turn}"));
        match turn {
            3 => run(&release, "shops", "third"),
            6 => run(&release, "weekly", "sixth"),
            _ => {}
        }
    }
    let after = objects(&release);
    for (name, object) in &before {
        let now = after.get(name).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(declared(now), declared(object), "{name}");
    }
    // Nothing was applied anew, and Flux says of each object that it is as it was.
    assert_eq!(flux.writes(), asked, "Flux has written");
    let turns = flux.told().split_off(told.len());
    assert!(turns.len() >= 10, "it has told of only {} turns", turns.len());
    for turn in &turns {
        let all: Vec<_> = turn.values().collect();
        assert!(all.len() == 3 && all.iter().all(|action| **action == "unchanged"), "{turn:?}");
    }
    // And what it would see and prune is only what it has applied.
    let owner = "kustomize.toolkit.fluxcd.io/name";
    let of_flux = |one: &&Value| one["metadata"]["labels"][owner].is_string();
    let names: Vec<&str> =
        after.values().filter(of_flux).filter_map(|one| one["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["archive", "everything", "shops"]);
    drop(flux);
    release.uninstall();
}

/// Takes both kinds of place at once: the definition's own rule refuses it.
const NEITHER: &str = "\
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {name: archive}
spec:
  archive: {url: 's3://bucket'}
  mirror: {url: 'https://git.example.org/mirror.git'}
  recipients: [RECIPIENT]
";

fn changed(sandbox: &Sandbox) {
    let release = Release::prepare(sandbox);
    let flux = begin(sandbox, &release);
    run(&release, "shops", "first");
    assert_eq!(release.snapshots("window").len(), 1);
    let work = |file: &str| fs::read_to_string(sandbox.path(&format!("work/{file}"))).unwrap();
    let (archive, shops) = (work("base/archive.yaml"), work("base/shops.yaml"));

    // What the definitions refuse never arrives: nothing of the commit does.
    let hourly = release.field("backuppolicy", "shops", ".spec.schedule");
    let commit = release.push(&[
        ("base/archive.yaml", &NEITHER.replace("RECIPIENT", &sandbox.recipient())),
        ("base/shops.yaml", &shops.replace("@hourly", "@weekly")),
    ]);
    let [reason, message] = flux.until_refused(&commit);
    assert_eq!(reason, "ReconciliationFailed", "{message}");
    assert!(message.contains("a location is a mirror or an archive, exactly one of them"), "{message}");
    assert_eq!(release.field("backuppolicy", "shops", ".spec.schedule"), hourly);
    run(&release, "shops", "still-in-force");

    // What only Backstay can know arrives; Flux says that it is not healthy, and the other documents stay in force.
    for expressions in [false, true] {
        if expressions {
            flux.change(&json!({"spec": expressions_of_the_docs()}));
        }
        let commit = release.push(&[
            ("base/archive.yaml", &archive),
            ("base/shops.yaml", &shops.replace("[archive]", &format!("[nowhere-{expressions}]"))),
        ]);
        let [reason, message] = flux.until_refused(&commit);
        assert_eq!(reason, "HealthCheckFailed", "{message}");
        let shop = format!("BackupPolicy/{}/shops", sandbox.namespace);
        assert!(message.contains(&shop) && message.contains("status: 'Failed'"), "{message}");
        assert!(!message.contains("everything"), "{message}");
        assert_eq!(release.condition("backuppolicy", "shops", "Stalled"), "True Invalid");
        let why = release.field("backuppolicy", "shops", ".status.conditions[?(@.type==\"Ready\")].message");
        assert!(why.contains(&format!("nowhere-{expressions}")), "{why}");
        assert_eq!(release.condition("backuppolicy", "everything", "Ready"), "True Scheduled");
        run(&release, "weekly", &format!("beside-{expressions}"));

        let commit = release.push(&[("base/shops.yaml", &shops)]);
        flux.until_applied(&commit);
        release.until(30, ("backuppolicy", "shops"), "Ready", "True Scheduled");
        run(&release, "shops", &format!("mended-{expressions}"));
    }

    pruned(&release, &flux);
    drop(flux);
    release.uninstall();
}

/// The health expressions of docs/gitops.md, as a part of a Kustomization's spec.
fn expressions_of_the_docs() -> Value {
    let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gitops.md")).unwrap();
    let block = docs
        .split("```yaml\n")
        .filter_map(|block| block.split("```").next())
        .find(|block| block.contains("healthCheckExprs:"))
        .expect("docs/gitops.md shows expressions");
    let shown: Value = serde_saphyr::from_str(block).unwrap();
    json!({"healthCheckExprs": shown["spec"]["healthCheckExprs"]})
}

/// A policy that leaves Git leaves the cluster; what Backstay itself has written stays, also when Flux takes all of its own away.
fn pruned(release: &Release<'_>, flux: &Flux<'_>) {
    let names = |found: &BTreeMap<String, Value>, kind: &str| -> Vec<String> {
        found.keys().filter(|name| name.starts_with(kind)).cloned().collect()
    };
    let kept = release.snapshots("window");
    let shown = wait(90, "every snapshot is shown", || {
        let found = names(&objects(release), "Snapshot");
        (found.len() == kept.len() + release.snapshots("cellar").len()).then_some(found)
    });
    release.sandbox.shell("rm work/base/shops.yaml").expect(0);
    let commit = release.push(&[(
        "base/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [archive.yaml, everything.yaml]\n",
    )]);
    flux.until_applied(&commit);
    let after = objects(release);
    assert_eq!(names(&after, "BackupPolicy"), ["BackupPolicy everything", "BackupPolicy weekly"]);
    assert_eq!(release.snapshots("window"), kept);
    assert_eq!(names(&after, "Snapshot"), shown);

    flux.forget();
    let after = objects(release);
    assert_eq!(names(&after, "BackupPolicy"), ["BackupPolicy weekly"]);
    assert_eq!(names(&after, "BackupLocation"), ["BackupLocation cellar", "BackupLocation window"]);
    assert_eq!(names(&after, "PolicyRepository"), ["PolicyRepository policy"]);
    let of_own = |names: &[String]| names.iter().filter(|name| name.contains("weekly")).count();
    assert_eq!(of_own(&names(&after, "Snapshot")), of_own(&shown));
    run(release, "weekly", "alone");
}
