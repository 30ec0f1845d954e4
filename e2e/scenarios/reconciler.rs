//! The reconciler as pods of its chart: policy from Git, schedules, a leader that dies, a cluster that restores itself.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::Scenario;
use crate::support::parts::Need;
use crate::support::release::Release;
use crate::support::sandbox::{Sandbox, wait};

const NEEDS: &[Need] = &[Need::Helm, Need::Api, Need::Node, Need::S3, Need::Git];

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "policy-pushed-to-git-is-in-force-and-runs-on-time", needs: NEEDS, run: pushed },
        Scenario { name: "a-leader-that-is-killed-is-followed", needs: NEEDS, run: killed },
        Scenario { name: "an-empty-cluster-restores-itself", needs: NEEDS, run: bootstrap },
    ]
}

/// A policy over the scenario's namespaces.
fn policy(name: &str, schedule: &str) -> String {
    format!(
        "apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {{name: {name}}}
spec:
  schedule: '{schedule}'
  locations: [vault]
  select: {{namespaces: {{include: ['NAMESPACE-*']}}}}
"
    )
}

/// A folder of the bucket that no earlier run has written to.
fn folder(release: &Release<'_>) -> String {
    let key = release.sandbox.recipient();
    format!("{}-{}", release.cluster(), &key[key.len() - 8..])
}

/// When a snapshot was due, by its name.
fn due(snapshot: &serde_json::Value) -> Timestamp {
    let id = snapshot["id"].as_str().expect("a snapshot has a name");
    let time = id.rsplit('-').nth(1).expect("a time is in the name");
    jiff::civil::DateTime::strptime("%Y%m%dt%H%M%Sz", time)
        .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
        .expect("it is a time")
        .timestamp()
}

/// One snapshot at each full minute, none twice, none left out.
#[track_caller]
fn every_minute_once(snapshots: &[serde_json::Value]) {
    let times: Vec<Timestamp> = snapshots.iter().map(due).collect();
    for (snapshot, time) in snapshots.iter().zip(&times) {
        assert_eq!(time.as_second() % 60, 0, "{snapshot}");
    }
    for pair in times.windows(2) {
        assert_eq!(pair[1].duration_since(pair[0]).as_secs(), 60, "{times:?}");
    }
}

fn pushed(sandbox: &Sandbox) {
    let release = Release::prepare(sandbox);
    let shop = format!("{}-shop", sandbox.namespace);
    sandbox.kubectl(&["create", "namespace", &shop]).expect(0);
    release.push(&[("locations.yaml", &release.location("vault", &folder(&release), "ReadWrite"))]);
    release.install(1, "");
    release.until(90, ("policyrepository", "policy"), "Ready", "True InForce");

    let began = Instant::now();
    let good = release.push(&[("policy.yaml", &policy("minutely", "* * * * *"))]);
    release.until(30, ("backuppolicy", "minutely"), "Ready", "True Scheduled");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(release.field("policyrepository", "policy", ".status.revision"), good);

    wait(150, "two runs", || (release.snapshots("vault").len() >= 2).then_some(()));
    let broken = policy("minutely", "* * * * *").replace("[vault]", "[volt]");
    release.push(&[("policy.yaml", &broken)]);
    release.until(30, ("policyrepository", "policy"), "Ready", "False InvalidRevision");
    let problem = release.field("policyrepository", "policy", ".status.problems[0]");
    assert!(problem.starts_with("policy.yaml:6:"), "{problem}");
    assert_eq!(release.field("policyrepository", "policy", ".status.revision"), good);
    let metrics = release.metrics(&release.leader());
    assert!(metrics.contains("backstay_policy_repository_ready 0"), "{metrics}");
    let before = release.snapshots("vault").len();
    wait(90, "it still runs", || (release.snapshots("vault").len() > before).then_some(()));

    release.push(&[("policy.yaml", &policy("minutely", "*/1 * * * *"))]);
    release.until(30, ("policyrepository", "policy"), "Ready", "True InForce");
    wait(200, "five runs", || (release.snapshots("vault").len() >= 5).then_some(()));
    let snapshots = release.snapshots("vault");
    every_minute_once(&snapshots);
    for snapshot in &snapshots {
        assert_eq!(snapshot["outcome"], "Complete", "{snapshot}");
        let started: Timestamp = snapshot["started"].as_str().unwrap().parse().unwrap();
        let late = started.duration_since(due(snapshot)).as_secs();
        assert!((0..5).contains(&late), "it started {late} s late: {snapshot}");
    }
    release.until(30, ("backuppolicy", "minutely"), "Complete", "True Complete");
    let names = release.kubectl(&["get", "bsnap", "-n", &sandbox.namespace, "-o", "name"]).expect(0).stdout;
    assert!(names.lines().count() >= 1, "views of snapshots: {names}");
    let metrics = release.metrics(&release.leader());
    for line in [
        "backstay_policy_repository_ready 1",
        "backstay_runs_total{policy=\"minutely\",outcome=\"Complete\"}",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    taken_over(&release);
    release.uninstall();
}

/// Somebody applies a document over the view of one in Git: it is theirs until it is gone, and nobody fights.
fn taken_over(release: &Release<'_>) {
    let namespace = &release.sandbox.namespace;
    let theirs =
        policy("minutely", "0 5 * * *").replace("{name: minutely}", "{name: minutely, namespace: NAMESPACE}");
    release.sandbox.write("theirs.yaml", &theirs.replace("NAMESPACE", namespace));
    let file = release.sandbox.path("theirs.yaml");
    let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=flux", "-f", &file];
    release.kubectl(&apply).expect(0);
    let of = |path: &str| release.field("backuppolicy", "minutely", path);
    wait(30, "its marks are gone", || of(".metadata.labels").is_empty().then_some(()));
    release.until(30, ("backuppolicy", "minutely"), "Ready", "True Scheduled");
    let generation = of(".metadata.generation");
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!((of(".spec.schedule"), of(".metadata.generation")), ("0 5 * * *".into(), generation));
    release.kubectl(&["delete", "backuppolicy", "minutely", "-n", namespace]).expect(0);
    wait(30, "the document in Git is in force again", || {
        (of(".spec.schedule") == "*/1 * * * *").then_some(())
    });
}

/// A pod whose hook makes each run last this many seconds: time enough to meet the leader in the middle of one.
const SLOW: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: slow, namespace: SHOP, labels: {app: slow}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: slow, image: BUSYBOX, imagePullPolicy: Never, command: [sleep, inf]}]
";
const HOOK: &str = "  hooks:
  - {name: slow, hook: {when: PreBackup, labelSelector: {matchLabels: {app: slow}}, exec: {command: [sleep, '8']}}}
";

fn killed(sandbox: &Sandbox) {
    let release = Release::prepare(sandbox);
    let shop = format!("{}-shop", sandbox.namespace);
    sandbox.kubectl(&["create", "namespace", &shop]).expect(0);
    sandbox.apply(&SLOW.replace("SHOP", &shop).replace("BUSYBOX", sandbox.parts.get("IMAGE")));
    sandbox.kubectl(&["wait", "--for=condition=Ready", "pod/slow", "-n", &shop, "--timeout=60s"]).expect(0);
    release.push(&[
        ("locations.yaml", &release.location("vault", &folder(&release), "ReadWrite")),
        ("policy.yaml", &(policy("minutely", "* * * * *") + HOOK)),
    ]);
    release.install(2, &format!("--set hooks.enabled=true --set 'hooks.namespaces={{{shop}}}'"));
    release.until(90, ("backuppolicy", "minutely"), "Ready", "True Scheduled");
    wait(90, "a run", || (!release.snapshots("vault").is_empty()).then_some(()));

    // In the middle of a run, without a word.
    let first = at_work(&release);
    sandbox
        .kubectl(&["delete", "pod", "-n", &sandbox.namespace, &first, "--grace-period=0", "--force"])
        .expect(0);
    followed(&release, &first);

    // Cut off from the API server in the middle of a run: it stops by itself, and another one leads.
    let second = at_work(&release);
    let _cut = Cut::off(sandbox, &release.field("pod", &second, ".status.podIP"));
    followed(&release, &second);
    release.in_pod(&["verify", "--location", "vault"]);
    release.uninstall();
}

/// The leader, as soon as it is in the middle of a run.
#[track_caller]
fn at_work(release: &Release<'_>) -> String {
    wait(70, "a run is at work", || {
        let leader = release.leader();
        let by = release.field("backuppolicy", "minutely", ".status.running.by");
        (!by.is_empty() && by == leader).then_some(leader)
    })
}

/// Another replica leads, and each due time has one whole snapshot, also the one in which the old leader was lost.
#[track_caller]
fn followed(release: &Release<'_>, lost: &str) {
    wait(90, "another replica leads", || {
        let leader = release.leader();
        (!leader.is_empty() && leader != lost).then_some(())
    });
    let before = release.snapshots("vault").len();
    wait(150, "runs go on", || (release.snapshots("vault").len() > before + 1).then_some(()));
    let snapshots = release.snapshots("vault");
    every_minute_once(&snapshots);
    for snapshot in &snapshots {
        assert_eq!(snapshot["outcome"], "Complete", "{snapshot}");
    }
}

/// No packet of a pod gets through to the machine, also not on connections that stand, until this is dropped.
struct Cut<'a>(&'a Sandbox);

impl<'a> Cut<'a> {
    fn off(sandbox: &'a Sandbox, address: &str) -> Self {
        let cut = Self(sandbox);
        sandbox
            .shell(&format!(
                "nft add table inet backstay_cut
                nft add chain inet backstay_cut input '{{ type filter hook input priority -10; }}'
                nft add rule inet backstay_cut input ip saddr {address} drop"
            ))
            .expect(0);
        cut
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        self.0.shell("nft delete table inet backstay_cut");
    }
}

fn bootstrap(sandbox: &Sandbox) {
    let release = Release::prepare(sandbox);
    let shop = format!("{}-shop", sandbox.namespace);
    sandbox.kubectl(&["create", "namespace", &shop]).expect(0);
    sandbox.kubectl(&["create", "configmap", "page", "-n", &shop, "--from-literal=a=1"]).expect(0);
    let folder = folder(&release);
    release.push(&[
        ("locations.yaml", &release.location("vault", &folder, "ReadWrite")),
        ("policy.yaml", &policy("minutely", "* * * * *")),
    ]);
    release.install(1, "");
    wait(180, "a run", || {
        (release.condition("backuppolicy", "minutely", "Complete") == "True Complete").then_some(())
    });
    release.uninstall();
    sandbox.lose_namespace(&shop);

    // The same machines, but nobody else's namespaces count: this is how a cluster looks that was just made.
    let all = sandbox.kubectl(&["get", "namespaces", "-o", "name"]).expect(0).stdout;
    let others: Vec<&str> = all.lines().filter(|name| !name.contains("/kube-")).collect();
    sandbox
        .kubectl(&[&["label", "--overwrite"], &others[..], &["backstay.dev/bootstrap=true"]].concat())
        .expect(0);
    let request = format!(
        "apiVersion: backstay.dev/v1alpha1
kind: RestoreRequest
metadata: {{name: everything}}
spec:
  from: {{location: before, snapshot: latest, cluster: {}}}
  when: EmptyCluster
  token: first
",
        release.cluster()
    );
    release.push(&[
        ("locations.yaml", &release.location("vault", &format!("{folder}-new"), "ReadWrite")),
        ("before.yaml", &release.location("before", &folder, "ReadOnly")),
        ("restore.yaml", &request),
    ]);
    release.install(1, "");
    release.until(150, ("restorerequest", "everything"), "Ready", "True Complete");
    let page = || sandbox.object("configmap", &shop, "page");
    assert_eq!(page().expect("it is restored")["data"]["a"], "1");
    sandbox.kubectl(&["delete", "configmap", "page", "-n", &shop]).expect(0);
    wait(150, "its schedules start", || {
        (release.condition("backuppolicy", "minutely", "Complete") == "True Complete").then_some(())
    });
    assert!(page().is_none(), "it is restored once");
    let old = release.in_pod(&["snapshots", "--location", "before", "-o", "json"]).json();
    assert!(!old.as_array().expect("a list").is_empty(), "the old snapshots are still there");
    release.uninstall();
    sandbox.kubectl(&[&["label"], &others[..], &["backstay.dev/bootstrap-"]].concat());
}
