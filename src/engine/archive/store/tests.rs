//! What a stored snapshot looks like, and what is left when storing one fails.

use serde_json::json;

use super::*;
use crate::adapters::memory::bucket::{Fault, MemoryBucket};
use crate::domain::identity::{ClusterRef, PolicyRef};
use crate::domain::object::{Gvk, Json, Manifest};
use crate::domain::report::{KindReport, KindResult, Outcome, Phase};
use crate::engine::clean::sanitize::MirrorForm;
use crate::engine::seal::age::{Identities, generate};

/// An archive in memory, and both halves of a key.
pub(crate) struct Stage {
    pub bucket: Arc<MemoryBucket>,
    pub recipients: Recipients,
    pub identities: Arc<Identities>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let pair = generate("2026-11-21T06:30:00Z".parse().unwrap());
        let mut identities = Identities::default();
        identities.add("test", &pair.file).unwrap();
        Self {
            bucket: Arc::new(MemoryBucket::new()),
            recipients: Recipients::parse(&[pair.recipient]).unwrap(),
            identities: Arc::new(identities),
        }
    }

    pub(crate) fn to(&self) -> Destination {
        Destination {
            bucket: self.bucket.clone(),
            access: AccessMode::ReadWrite,
            recipients: self.recipients.clone(),
            part_bytes: PART_BYTES,
        }
    }

    /// Stores a snapshot of cluster `prod`; `time` is such as `2026-11-21T06:30:00Z`.
    pub(crate) async fn store(&self, time: &str, outcome: Outcome, batches: Vec<Clean>) -> SnapshotRecord {
        store(self.to(), &report(time, outcome, &batches), batches).await.unwrap()
    }
}

pub(crate) async fn store(
    to: Destination,
    report: &BackupReport,
    batches: Vec<Clean>,
) -> Result<SnapshotRecord, Error> {
    let mut draft = begin(to, "prod", (&report.snapshot, None)).await?;
    for batch in batches {
        assert_eq!(draft.put(Arc::new(batch)).await?, []);
    }
    draft.finish(report).await
}

/// A report that fits the batches, of policy `shop`.
pub(crate) fn report(time: &str, outcome: Outcome, batches: &[Clean]) -> BackupReport {
    let started = time.parse().unwrap();
    let count = |batch: &Clean| KindReport {
        resource: batch.resource().full_name(),
        version: batch.resource().gvk.api_version(),
        result: KindResult::Collected { objects: batch.objects().len() as u64 },
    };
    BackupReport {
        hooks: Vec::new(),
        select: None,
        snapshot: SnapshotId::new("shop", started, "kwpa"),
        policy: PolicyRef { name: "shop".into(), digest: "00".into(), revision: None },
        cluster: ClusterRef { name: "prod".into(), uid: "u".into(), version: "v1.36.1".into() },
        phase: Phase::Finished,
        outcome,
        started,
        finished: started,
        objects: batches.iter().map(|batch| batch.objects().len() as u64).sum(),
        kinds: batches.iter().map(count).collect(),
        undiscovered: BTreeMap::new(),
        left_out: BTreeMap::new(),
        locations: Vec::new(),
        notes: Vec::new(),
    }
}

pub(crate) fn resource(api_version: &str, kind: &str, plural: &str) -> Arc<Resource> {
    let gvk = Gvk::new(api_version, kind);
    let served = vec![gvk.version.clone()];
    Arc::new(Resource { gvk, plural: plural.into(), namespaced: true, verbs: vec!["list".into()], served })
}

fn clean(tree: Json) -> CleanObject {
    let manifest = Manifest::parse(tree).unwrap().sorted();
    CleanObject {
        key: manifest.key(),
        uid: manifest.uid().map(Into::into),
        labels: BTreeMap::from([("app".to_owned(), manifest.name().to_owned())]),
        controller: manifest.controller(),
        archive: manifest.to_bytes(),
        mirror: MirrorForm::Out("not asked for".into()),
    }
}

/// `ConfigMap`s of namespace shop: names, and the same text in each.
pub(crate) fn config_maps(names: &[&str], text: &str) -> Clean {
    let object = |name: &&str| {
        clean(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"text": text},
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")}}))
    };
    Clean::of(resource("v1", "ConfigMap", "configmaps"), names.iter().map(object).collect())
}

/// Cluster roles, whose names may hold colons.
pub(crate) fn cluster_roles(names: &[&str]) -> Clean {
    let object = |name: &&str| {
        clean(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name}}))
    };
    let resource = resource("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles");
    Clean::of(resource, names.iter().map(object).collect())
}

/// Text that does not become smaller.
pub(crate) fn noise(bytes: usize, seed: u64) -> String {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    (0..bytes).map(|_| next()).filter(|c| !matches!(c, '"' | '\\')).collect()
}

const TIME: &str = "2026-11-21T06:30:00Z";
const FOLDER: &str = "clusters/prod/snapshots/shop-20261121t063000z-kwpa";

#[tokio::test]
async fn a_snapshot_has_the_files_of_the_format() {
    let stage = Stage::new();
    let batches = vec![config_maps(&["web", "db"], "t"), cluster_roles(&["system:node"])];
    let record = stage.store(TIME, Outcome::Complete, batches).await;
    insta::assert_snapshot!(stage.bucket.keys().join("\n"), @r#"
    backstay.json
    clusters/prod/snapshots/shop-20261121t063000z-kwpa/index.json.zst.age
    clusters/prod/snapshots/shop-20261121t063000z-kwpa/objects-0001.tar.zst.age
    clusters/prod/snapshots/shop-20261121t063000z-kwpa/report.json.zst.age
    clusters/prod/snapshots/shop-20261121t063000z-kwpa/snapshot.json
    "#);
    let marker = stage.bucket.read(MARKER).await.unwrap();
    assert_eq!(marker, "{\"format\":1}\n");
    assert!(record.parts.iter().all(|part| part.name == "objects-0001.tar.zst.age"));
}

#[tokio::test]
async fn the_record_names_no_object() {
    let stage = Stage::new();
    let record = stage.store(TIME, Outcome::Complete, vec![config_maps(&["web", "db"], "t")]).await;
    let text = stage.bucket.read(&format!("{FOLDER}/{RECORD}")).await.unwrap();
    let mut text = String::from_utf8(text.to_vec()).unwrap();
    assert_eq!(serde_json::from_str::<SnapshotRecord>(&text).unwrap(), record);
    for (number, part) in record.parts.iter().chain([&record.index, &record.report]).enumerate() {
        let bytes = format!("\"bytes\": {}", part.bytes);
        text = text.replace(&part.sha256, &format!("SHA-{number}")).replace(&bytes, "\"bytes\": N");
    }
    text = text.replace(&record.recipients[0], "age1RECIPIENT");
    insta::assert_snapshot!(text, @r#"
    {
      "format": 1,
      "id": "shop-20261121t063000z-kwpa",
      "policy": {
        "name": "shop",
        "digest": "00"
      },
      "cluster": {
        "name": "prod",
        "uid": "u",
        "version": "v1.36.1"
      },
      "started": "2026-11-21T06:30:00Z",
      "finished": "2026-11-21T06:30:00Z",
      "outcome": "Complete",
      "objects": 2,
      "kinds": [
        {
          "resource": "configmaps",
          "version": "v1",
          "result": "collected",
          "objects": 2
        }
      ],
      "parts": [
        {
          "name": "objects-0001.tar.zst.age",
          "sha256": "SHA-0",
          "bytes": N
        }
      ],
      "index": {
        "name": "index.json.zst.age",
        "sha256": "SHA-1",
        "bytes": N
      },
      "report": {
        "name": "report.json.zst.age",
        "sha256": "SHA-2",
        "bytes": N
      },
      "recipients": [
        "age1RECIPIENT"
      ]
    }
    "#);
}

#[tokio::test]
async fn the_index_is_sorted_and_says_where_every_object_is() {
    let stage = Stage::new();
    let batches = vec![cluster_roles(&["z", "a"]), config_maps(&["web", "db"], "t")];
    let record = stage.store(TIME, Outcome::Complete, batches).await;
    let sealed = stage.bucket.read(&format!("{FOLDER}/{INDEX}")).await.unwrap();
    let index: Index = part::open_json(sealed, &stage.identities).unwrap();
    assert_eq!(record.objects, 4);
    let line = |entry: &IndexEntry| {
        let kind = index.resources[entry.resource].full_name();
        format!("{} {kind} {} {:?} {:?}", entry.key, entry.part, entry.uid, entry.labels)
    };
    let lines: Vec<String> = index.objects.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ConfigMap shop/db configmaps 0 Some("uid-db") {"app": "db"}
    ConfigMap shop/web configmaps 0 Some("uid-web") {"app": "web"}
    ClusterRole.rbac.authorization.k8s.io a clusterroles.rbac.authorization.k8s.io 0 None {"app": "a"}
    ClusterRole.rbac.authorization.k8s.io z clusterroles.rbac.authorization.k8s.io 0 None {"app": "z"}
    "#);
}

#[tokio::test]
async fn parts_are_cut_at_the_size_and_hold_everything() {
    let stage = Stage::new();
    let mut to = stage.to();
    to.part_bytes = 100_000;
    let batches: Vec<Clean> = (0..6).map(|n| config_maps(&[&format!("c{n}")], &noise(60_000, n))).collect();
    let report = report(TIME, Outcome::Complete, &batches);
    let record = store(to, &report, batches).await.unwrap();
    assert!((2..=4).contains(&record.parts.len()), "{}", record.parts.len());
    assert!(record.parts.iter().all(|part| part.bytes < 250_000));
    assert_eq!(record.parts[1].name, "objects-0002.tar.zst.age");
    assert_eq!(record.objects, 6);
}

#[tokio::test]
async fn one_batch_can_fill_many_parts() {
    let stage = Stage::new();
    let mut to = stage.to();
    to.part_bytes = 1;
    let names: Vec<String> = (0..5).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let batches = vec![config_maps(&names, &noise(300_000, 1))];
    let report = report(TIME, Outcome::Complete, &batches);
    assert_eq!(store(to, &report, batches).await.unwrap().parts.len(), 5);
}

#[tokio::test]
async fn an_empty_snapshot_is_a_snapshot() {
    let stage = Stage::new();
    let record = stage.store(TIME, Outcome::Complete, Vec::new()).await;
    assert_eq!((record.objects, record.parts.len()), (0, 0));
}

#[tokio::test]
async fn an_object_that_comes_twice_is_stored_once() {
    let stage = Stage::new();
    let batches = vec![config_maps(&["web"], "first"), config_maps(&["web", "db"], "second")];
    let record = stage.store(TIME, Outcome::Complete, batches).await;
    assert_eq!(record.objects, 2);
}

#[tokio::test]
async fn an_object_above_the_limit_is_named_and_left_out() {
    let stage = Stage::new();
    let id = SnapshotId::new("shop", TIME.parse().unwrap(), "kwpa");
    let mut draft = begin(stage.to(), "prod", (&id, None)).await.unwrap();
    let large = " ".repeat(usize::try_from(OBJECT_BYTES).unwrap());
    let left = draft.put(Arc::new(config_maps(&["huge"], &large))).await.unwrap();
    assert_eq!(left.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ConfigMap shop/huge"]);
    let record = draft.finish(&report(TIME, Outcome::Partial, &[])).await.unwrap();
    assert_eq!(record.objects, 0);
}

#[tokio::test]
async fn of_two_runs_with_one_name_the_second_fails_and_the_first_stands() {
    let stage = Stage::new();
    let first = stage.store(TIME, Outcome::Complete, vec![config_maps(&["web"], "1")]).await;
    let batches = vec![config_maps(&["web"], "2")];
    let report = report(TIME, Outcome::Complete, &batches);
    let error = store(stage.to(), &report, batches).await.unwrap_err();
    assert!(
        matches!(&error, Error::Taken { key, .. } if key.ends_with("objects-0001.tar.zst.age")),
        "{error}"
    );
    let record = layout::record(stage.bucket.as_ref(), "prod", &first.id).await.unwrap();
    assert_eq!(record, first);
}

#[tokio::test]
async fn an_answer_that_got_lost_is_no_lost_race() {
    let stage = Stage::new();
    for end in ["0001.tar.zst.age", INDEX, RECORD, MARKER] {
        stage.bucket.fail(Fault::LostAnswer(end.into()));
    }
    stage.store(TIME, Outcome::Complete, vec![config_maps(&["web"], "1")]).await;
}

#[tokio::test]
async fn whatever_cannot_be_written_no_record_is_there() {
    for end in ["0001.tar.zst.age", "0002.tar.zst.age", INDEX, REPORT, RECORD, MARKER] {
        let stage = Stage::new();
        stage.bucket.fail(Fault::NoCreate(end.into()));
        let mut to = stage.to();
        to.part_bytes = 1;
        let batches = vec![config_maps(&["a", "b", "c"], &noise(200_000, 7))];
        let report = report(TIME, Outcome::Complete, &batches);
        let error = store(to, &report, batches).await.unwrap_err();
        assert!(matches!(&error, Error::Write { key, .. } if key.ends_with(end)), "{end}: {error:?}");
        assert!(!stage.bucket.keys().iter().any(|key| key.ends_with(RECORD)), "{end}");
        assert!(layout::list(stage.bucket.as_ref(), None).await.unwrap().records.is_empty(), "{end}");
    }
}

#[tokio::test]
async fn a_dropped_draft_leaves_no_snapshot() {
    let stage = Stage::new();
    let mut to = stage.to();
    to.part_bytes = 1;
    let id = SnapshotId::new("shop", TIME.parse().unwrap(), "kwpa");
    let mut draft = begin(to, "prod", (&id, None)).await.unwrap();
    draft.put(Arc::new(config_maps(&["a", "b"], &noise(300_000, 3)))).await.unwrap();
    drop(draft);
    let listing = layout::list(stage.bucket.as_ref(), None).await.unwrap();
    assert_eq!(listing.records, []);
}

#[tokio::test]
async fn what_is_wrong_with_the_place_is_said_before_anything_is_written() {
    let id = SnapshotId::new("shop", TIME.parse().unwrap(), "kwpa");
    let mut lines = Vec::new();
    for marker in ["{\"format\":2}", "{\"format\":0}", "{}", "<html>", ""] {
        let stage = Stage::new();
        stage.bucket.put(MARKER, Some(marker.into()));
        let error = begin(stage.to(), "prod", (&id, None)).await.err().unwrap();
        lines.push(format!("{marker}: {}", std::error::Error::source(&error).unwrap()));
        assert_eq!(stage.bucket.creates(), 0);
    }
    for cluster in ["", "a/b", "..", "prod eu", "arn:aws:eks:prod"] {
        let error = begin(Stage::new().to(), cluster, (&id, None)).await.err().unwrap();
        lines.push(std::error::Error::source(&error).unwrap().to_string());
    }
    let mut to = Stage::new().to();
    to.access = AccessMode::ReadOnly;
    lines.push(begin(to, "prod", (&id, None)).await.err().unwrap().to_string());
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"format":2}: backstay.json in memory has format 2, this version of Backstay reads format 1 at most
    {"format":0}: cannot understand backstay.json in memory: its format number is unknown
    {}: cannot understand backstay.json in memory: it has no format number
    <html>: cannot understand backstay.json in memory: it has no format number
    : cannot understand backstay.json in memory: it has no format number
    "" cannot name a cluster in an archive: use letters, digits, `.`, `_` and `-`
    "a/b" cannot name a cluster in an archive: use letters, digits, `.`, `_` and `-`
    ".." cannot name a cluster in an archive: use letters, digits, `.`, `_` and `-`
    "prod eu" cannot name a cluster in an archive: use letters, digits, `.`, `_` and `-`
    "arn:aws:eks:prod" cannot name a cluster in an archive: use letters, digits, `.`, `_` and `-`
    cannot back up to memory: its accessMode is ReadOnly
    "#);
}

#[tokio::test]
async fn of_two_attempts_at_one_snapshot_one_makes_it() {
    let stage = Stage::new();
    let report = report(TIME, Outcome::Complete, &[]);
    let mut drafts = Vec::new();
    for attempt in ["aaaa", "bbbb"] {
        let mut draft = begin(stage.to(), "prod", (&report.snapshot, Some(attempt))).await.unwrap();
        draft.put(Arc::new(config_maps(&["web"], "1"))).await.unwrap();
        drafts.push(draft);
    }
    let second = drafts.pop().unwrap().finish(&report).await.unwrap();
    let parts: Vec<&str> = second.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(parts, ["objects-0001-bbbb.tar.zst.age"]);
    assert_eq!(second.index.name, "index-bbbb.json.zst.age");
    let first = drafts.pop().unwrap().finish(&report).await.unwrap_err();
    assert!(matches!(&first, Error::Taken { key, .. } if key.ends_with(RECORD)), "{first}");
    let found = layout::list(stage.bucket.as_ref(), Some("prod")).await.unwrap();
    assert_eq!(found.records, std::slice::from_ref(&second));
    let verified = crate::engine::saved::verify::verify(stage.bucket.clone(), second, None).await;
    assert_eq!(verified.findings, [], "what the attempt that lost has left is no damage");
}
