use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::adapters::git::access::Credentials;
use crate::adapters::git::repositories::{Repositories, init_bare};
use crate::adapters::memory::clock::FakeClock;
use crate::domain::identity::{ClusterRef, PolicyRef, SnapshotId};
use crate::domain::object::{Gvk, Manifest, Resource};
use crate::domain::policy::EncryptRule;
use crate::domain::report::{KindReport, KindResult, Outcome, Phase};
use crate::engine::clean::sanitize::{CleanObject, MirrorForm};
use crate::engine::seal::age::{self, Identities};
use crate::ports::git::{CommitDraft, Edits, Reference, Remote, Tree};

/// A mirror and a cluster that is written into it.
pub struct Harbour {
    _home: TempDir,
    pub folder: PathBuf,
    git: Arc<Repositories>,
    pub target: MirrorTarget,
    pub recipient: String,
    pub identities: Identities,
    pub key: DigestKey,
    pub encrypt: Vec<EncryptRule>,
    pub clock: FakeClock,
}

fn now() -> Timestamp {
    "2026-11-21T06:30:00Z".parse().unwrap()
}

pub fn harbour() -> Harbour {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("mirror.git");
    init_bare(&folder).unwrap();
    let pair = age::generate(now());
    let mut identities = Identities::default();
    identities.add("key", &pair.file).unwrap();
    let target: MirrorTarget = serde_json::from_value(json!({"url": folder, "path": "/backups/"})).unwrap();
    Harbour {
        git: Arc::new(Repositories::new(home.path().join("cache"), Credentials::default())),
        _home: home,
        folder,
        target,
        recipient: pair.recipient,
        identities,
        key: DigestKey::generate(),
        encrypt: Vec::new(),
        clock: FakeClock::at(now()),
    }
}

/// `Secret shop/db a=1`: kind, place and one value.
pub fn object(text: &str) -> (Arc<Resource>, CleanObject) {
    let mut words = text.split(' ');
    let (kind, place) = (words.next().unwrap(), words.next().unwrap());
    let (group, plural) = match kind {
        "Secret" => ("", "secrets"),
        "ConfigMap" => ("", "configmaps"),
        "ClusterRole" => ("rbac.authorization.k8s.io", "clusterroles"),
        _ => ("example.com", "things"),
    };
    let gvk = Gvk { group: group.into(), version: "v1".into(), kind: kind.into() };
    let mut tree = json!({"apiVersion": gvk.api_version(), "kind": kind, "metadata": {"name": place}});
    if let Some((namespace, name)) = place.split_once('/') {
        tree["metadata"] = json!({"name": name, "namespace": namespace});
    }
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        tree["data"][key] = json!(value);
    }
    let manifest = Manifest::parse(tree).unwrap().sorted();
    let resource = Resource {
        namespaced: manifest.namespace().is_some(),
        gvk,
        plural: plural.into(),
        verbs: Vec::new(),
        served: Vec::new(),
    };
    let clean = CleanObject {
        key: manifest.key(),
        uid: None,
        labels: BTreeMap::new(),
        controller: None,
        archive: Vec::new(),
        mirror: MirrorForm::Manifest(manifest),
    };
    (Arc::new(resource), clean)
}

pub fn report(policy: &str, kinds: &[(&str, KindResult)]) -> BackupReport {
    let kind = |(resource, result): &(&str, KindResult)| KindReport {
        resource: (*resource).into(),
        version: "v1".into(),
        result: result.clone(),
    };
    BackupReport {
        hooks: Vec::new(),
        select: None,
        snapshot: SnapshotId::new(policy, now(), "abcd"),
        policy: PolicyRef { name: policy.into(), digest: "d".into(), revision: Some("r1".into()) },
        cluster: ClusterRef { name: "prod".into(), uid: "u1".into(), version: "v1.36.1".into() },
        phase: Phase::Finished,
        outcome: Outcome::Complete,
        started: now(),
        finished: now(),
        objects: 0,
        kinds: kinds.iter().map(kind).collect(),
        undiscovered: BTreeMap::new(),
        left_out: BTreeMap::new(),
        locations: Vec::new(),
        notes: Vec::new(),
    }
}

pub fn listed() -> Vec<(&'static str, KindResult)> {
    ["secrets", "configmaps", "clusterroles.rbac.authorization.k8s.io", "things.example.com"]
        .map(|resource| (resource, KindResult::Collected { objects: 1 }))
        .to_vec()
}

pub fn failed(resource: &'static str) -> Vec<(&'static str, KindResult)> {
    let reason = || KindResult::Failed { reason: "forbidden".into() };
    listed()
        .into_iter()
        .map(|(name, result)| (name, if name == resource { reason() } else { result }))
        .collect()
}

impl Harbour {
    fn destination(&self) -> Destination {
        Destination {
            git: self.git.clone(),
            target: self.target.clone(),
            access: AccessMode::ReadWrite,
            recipients: Recipients::parse(std::slice::from_ref(&self.recipient)).unwrap(),
            key: self.key.clone(),
            rules: Rules::new(&self.encrypt).unwrap(),
        }
    }

    async fn draft(&self, policy: &str, objects: &[&str]) -> MirrorDraft {
        let mut draft = begin(self.destination(), "prod", policy, now()).await.unwrap();
        for text in objects {
            let (resource, clean) = object(text);
            draft.put(Arc::new(Clean::of(resource, vec![clean]))).await.unwrap();
        }
        draft
    }

    pub async fn backup_with(&self, objects: &[&str], report: &BackupReport) -> MirrorResult {
        self.draft(&report.policy.name, objects).await.finish(report, &self.clock).await.unwrap()
    }

    pub async fn backup(&self, policy: &str, objects: &[&str]) -> MirrorResult {
        self.backup_with(objects, &report(policy, &listed())).await
    }

    pub async fn tree(&self) -> Box<dyn Tree> {
        let reference = Reference::BranchOrEmpty("main".into());
        let remote = Remote { url: self.target.url.clone(), reference, ca_cert: None };
        self.git.open(&remote).await.unwrap()
    }

    /// The files of the cluster, without their common beginning.
    pub async fn files(&self) -> Vec<String> {
        let all = self.tree().await.files("backups/clusters/prod").unwrap();
        all.into_keys().map(|path| path.trim_start_matches("backups/clusters/prod/").to_owned()).collect()
    }

    pub async fn text(&self, path: &str) -> String {
        let tree = self.tree().await;
        let blob = tree.file(path).unwrap().unwrap();
        String::from_utf8(tree.read(&blob).unwrap()).unwrap()
    }

    /// Somebody else commits a file; `None` deletes it.
    pub async fn by_hand(&self, path: &str, text: Option<&str>) {
        let tree = self.tree().await;
        let blob = text.map(|text| tree.write(text.as_bytes()).unwrap());
        let draft = CommitDraft {
            message: "by hand".into(),
            author: crate::domain::location::Author { name: "a".into(), email: "a@b".into() },
            time: now(),
            signing_key: None,
        };
        let commit = tree.commit(&Edits::from([(path.to_owned(), blob)]), &draft).unwrap();
        assert_eq!(tree.push(&commit).await.unwrap(), Pushed::Landed);
    }

    fn log(&self) -> String {
        let repository = git2::Repository::open_bare(&self.folder).unwrap();
        let head = repository.find_reference("refs/heads/main").unwrap().peel_to_commit().unwrap();
        head.message().unwrap().to_owned()
    }
}

/// One object of each kind.
pub const ALL: &[&str] = &[
    "Secret shop/db password=aHVudGVyMg==",
    "ConfigMap shop/web a=1",
    "ClusterRole system:node",
    "Thing shop/one x=y",
];

#[tokio::test]
async fn a_backup_is_one_commit_with_its_trailers() {
    let harbour = harbour();
    let result = harbour.backup("nightly", ALL).await;
    assert!(result.to_string().ends_with(" (4 added, 0 changed, 0 removed)"), "{result}");
    assert_eq!(
        harbour.files().await,
        [
            "backstay.yaml",
            "cluster/rbac.authorization.k8s.io/clusterroles/system%3Anode.yaml",
            "namespaces/shop/core/configmaps/web.yaml",
            "namespaces/shop/core/secrets/db.yaml",
            "namespaces/shop/example.com/things/one.yaml",
        ]
    );
    insta::assert_snapshot!(harbour.log(), @r"
    backup prod: 4 added, 0 changed, 0 removed

    Backstay-Snapshot: nightly-20261121t063000z-abcd
    Backstay-Policy: nightly
    Backstay-Cluster: prod
    Backstay-Outcome: Complete
    ");
    assert!(harbour.text("backups/.sops.yaml").await.contains("path_regex: ^clusters/prod/"));
}

#[tokio::test]
async fn nothing_changed_makes_no_commit_and_secrets_keep_their_bytes() {
    let harbour = harbour();
    harbour.backup("nightly", ALL).await;
    let before = harbour.tree().await.files("").unwrap();
    let mut later = report("nightly", &listed());
    (later.snapshot, later.outcome) = (SnapshotId::new("nightly", now(), "zzzz"), Outcome::Partial);
    let result = harbour.backup_with(ALL, &later).await;
    assert_eq!((result.to_string().as_str(), result.count.unchanged), ("nothing changed", 4));
    assert_eq!(harbour.tree().await.files("").unwrap(), before);
}

#[tokio::test]
async fn one_changed_secret_changes_one_file_and_the_record() {
    let harbour = harbour();
    let rest = ["Secret shop/other k=djE=", "ConfigMap shop/web a=1"];
    harbour.backup("nightly", &[rest[0], rest[1], "Secret shop/db p=b25l"]).await;
    let before = harbour.tree().await.files("").unwrap();
    let result = harbour.backup("nightly", &[rest[0], rest[1], "Secret shop/db p=dHdv"]).await;
    assert_eq!(result.count, Count { changed: 1, unchanged: 2, ..Count::default() });
    let after = harbour.tree().await.files("").unwrap();
    let different: Vec<&String> =
        after.iter().filter(|(path, blob)| before.get(*path) != Some(blob)).map(|(path, _)| path).collect();
    assert_eq!(
        different,
        ["backups/clusters/prod/backstay.yaml", "backups/clusters/prod/namespaces/shop/core/secrets/db.yaml"]
    );
}

#[tokio::test]
async fn backups_that_race_all_land() {
    let harbour = harbour();
    let policies: Vec<String> = (0..4).map(|n| format!("policy-{n}")).collect();
    let harbour = &harbour;
    let runs = policies.iter().map(|policy| async move {
        let object = format!("ConfigMap {policy}/web a=1");
        let draft = harbour.draft(policy, &[object.as_str(), "Secret shop/db p=b25l"]).await;
        draft.finish(&report(policy, &listed()), &harbour.clock).await.unwrap()
    });
    let results = futures::future::join_all(runs).await;
    assert!(results.iter().all(|result| result.commit.is_some()));
    let files = harbour.files().await;
    assert_eq!(files.len(), 6, "{files:?}");
    assert_eq!(
        harbour
            .backup("policy-0", &["ConfigMap policy-0/web a=1", "Secret shop/db p=b25l"])
            .await
            .count
            .removed,
        0
    );
}

#[tokio::test]
async fn an_object_that_would_leak_is_left_out_and_named() {
    let harbour = harbour();
    harbour.backup("nightly", &["ConfigMap shop/web a=1"]).await;
    let key = age::generate(now()).file.lines().last().unwrap().to_owned();
    let result =
        harbour.backup("nightly", &[&format!("ConfigMap shop/web a={key}"), "Thing shop/one x=y"]).await;
    assert!(result.to_string().ends_with(
        "(1 added, 0 changed, 0 removed); ConfigMap shop/web is not in it: an age identity in /data/a would be in the clear"
    ), "{result}");
    assert!(
        harbour
            .text("backups/clusters/prod/namespaces/shop/core/configmaps/web.yaml")
            .await
            .contains("a: \"1\"")
    );
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error() {
    let harbour = harbour();
    let read_only = Destination { access: AccessMode::ReadOnly, ..harbour.destination() };
    let refused = begin(read_only, "prod", "p", now()).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "cannot write to a location with accessMode ReadOnly");
    harbour.by_hand("backups/clusters/prod/backstay.yaml", Some("<<<<<<< HEAD\n")).await;
    let refused = begin(harbour.destination(), "prod", "p", now()).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "cannot use backups/clusters/prod/backstay.yaml of the mirror");
}

#[test]
fn losers_of_a_race_wait_longer_and_not_equally_long() {
    let millis = |attempt, letters| pause(attempt, letters).as_millis();
    assert!((25..=50).contains(&millis(0, "abcd")) && (1_500..=3_000).contains(&millis(11, "zzzz")));
    assert_ne!(millis(5, "abcd"), millis(5, "abce"));
}

#[tokio::test]
async fn a_run_that_another_process_has_committed_is_not_committed_again() {
    let harbour = harbour();
    let first = report("nightly", &listed());
    harbour.backup_with(ALL, &first).await;
    let before = harbour.tree().await.files("").unwrap();
    let later = BackupReport { finished: first.finished + jiff::Span::new().seconds(9), ..first };
    let result = harbour.backup_with(&["ConfigMap shop/web a=2"], &later).await;
    assert_eq!((result.commit, result.notes.len()), (None, 1));
    assert_eq!(harbour.tree().await.files("").unwrap(), before);
}

/// It has looked at the cluster earlier than the one that is committed: what was made since would go.
#[tokio::test]
async fn a_run_that_was_overtaken_takes_nothing_away() {
    let harbour = harbour();
    let second = |n: i64| now() + jiff::Span::new().seconds(n);
    let made = |started, finished, letters| BackupReport {
        snapshot: SnapshotId::new("nightly", started, letters),
        started,
        finished,
        ..report("nightly", &listed())
    };
    harbour
        .backup_with(
            &["ConfigMap shop/web a=1", "ConfigMap shop/new a=1"],
            &made(second(5), second(10), "kwpa"),
        )
        .await;
    let before = harbour.tree().await.files("").unwrap();
    let result = harbour.backup_with(&["ConfigMap shop/web a=0"], &made(second(0), second(20), "abcd")).await;
    assert_eq!(result.commit, None);
    assert!(result.notes[0].contains("kwpa began after this run"), "{:?}", result.notes);
    assert_eq!(harbour.tree().await.files("").unwrap(), before);
    let result =
        harbour.backup_with(&["ConfigMap shop/web a=2"], &made(second(10), second(30), "mnop")).await;
    assert_eq!((result.count.changed, result.count.removed), (1, 1));
}
