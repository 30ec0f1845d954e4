//! Everything that is wrong is found, in one go.

use super::*;
use crate::adapters::memory::bucket::Fault;
use crate::domain::report::Outcome::Complete;
use crate::engine::archive::layout::{INDEX, REPORT};
use crate::engine::archive::part::PartWriter;
use crate::engine::archive::store::tests::{Stage, cluster_roles, config_maps, noise, report, store};

const TIME: &str = "2026-11-21T06:30:00Z";
const FOLDER: &str = "clusters/prod/snapshots/shop-20261121t063000z-kwpa";

/// Three parts with one object each.
async fn stored() -> (Stage, SnapshotRecord) {
    let stage = Stage::new();
    let mut to = stage.to();
    to.part_bytes = 1;
    let mut batches: Vec<_> = vec![config_maps(&["a", "b"], &noise(200_000, 1))];
    batches.push(cluster_roles(&["system:node"]));
    let report = report(TIME, Complete, &batches);
    let record = store(to, &report, batches).await.unwrap();
    assert_eq!(record.parts.len(), 3);
    (stage, record)
}

fn show(report: &VerifyReport) -> String {
    let words = |text: &str| {
        let hide = |word: &str| if word.len() == 64 { "DIGEST".to_owned() } else { word.to_owned() };
        text.split(' ').map(hide).collect::<Vec<_>>().join(" ")
    };
    let findings =
        report.findings.iter().map(|found| format!("{}: {}\n", found.place, words(&found.problem)));
    let findings: String = findings.collect();
    format!("{:?} {} files {} objects\n{findings}", report.depth, report.files, report.objects)
}

async fn look(stage: &Stage, record: &SnapshotRecord) -> String {
    show(&verify(stage.bucket.clone(), record.clone(), Some(stage.identities.clone())).await)
}

async fn flip(stage: &Stage, file: &str) {
    let key = format!("{FOLDER}/{file}");
    let mut bytes = crate::ports::bucket::Bucket::read(stage.bucket.as_ref(), &key).await.unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x80;
    stage.bucket.put(&key, Some(bytes));
}

#[tokio::test]
async fn a_sound_snapshot_has_no_finding() {
    let (stage, record) = stored().await;
    assert_eq!(look(&stage, &record).await, "Objects 5 files 3 objects\n");
    let outside = verify(stage.bucket.clone(), record, None).await;
    assert_eq!(show(&outside), "Digests 5 files 0 objects\n");
    assert!(outside.is_good() && outside.bytes > 300_000);
}

#[tokio::test]
async fn it_does_not_stop_at_the_first_finding() {
    let (stage, record) = stored().await;
    flip(&stage, "objects-0001.tar.zst.age").await;
    flip(&stage, REPORT).await;
    stage.bucket.put(&format!("{FOLDER}/objects-0002.tar.zst.age"), None);
    stage.bucket.put(&format!("{FOLDER}/objects-0009.tar.zst.age"), Some(b"stranger".to_vec()));
    insta::assert_snapshot!(look(&stage, &record).await, @r#"
    Objects 2 files 1 objects
    objects-0001.tar.zst.age: it was changed after it was written: its SHA-256 is DIGEST instead of DIGEST
    objects-0002.tar.zst.age: clusters/prod/snapshots/shop-20261121t063000z-kwpa/objects-0002.tar.zst.age is not there
    objects-0009.tar.zst.age: the record does not name this file
    report.json.zst.age: it was changed after it was written: its SHA-256 is DIGEST instead of DIGEST
    "#);
    let outside = verify(stage.bucket.clone(), record, None).await;
    assert_eq!(outside.findings.len(), 4);
}

#[tokio::test]
async fn without_its_index_the_parts_are_still_looked_at() {
    let (stage, record) = stored().await;
    flip(&stage, INDEX).await;
    flip(&stage, "objects-0002.tar.zst.age").await;
    insta::assert_snapshot!(look(&stage, &record).await, @r#"
    Objects 3 files 0 objects
    index.json.zst.age: it was changed after it was written: its SHA-256 is DIGEST instead of DIGEST
    objects-0002.tar.zst.age: it was changed after it was written: its SHA-256 is DIGEST instead of DIGEST
    "#);
}

#[tokio::test]
async fn a_wrong_identity_is_told_the_recipients() {
    let (stage, record) = stored().await;
    let other = Stage::new();
    let report = verify(stage.bucket.clone(), record.clone(), Some(other.identities)).await;
    let locked = report.locked.as_ref().unwrap();
    assert!(locked.contains(&record.recipients[0]), "{locked}");
    assert!(report.is_good() && report.files > 2, "files are sound whoever may open them: {report:?}");
}

#[tokio::test]
async fn forged_objects_are_found_one_by_one() {
    let (stage, mut record) = stored().await;
    let mut writer = PartWriter::begin(&stage.recipients).unwrap();
    writer.add("configmaps/namespaces/shop/a.json", b"{}").unwrap();
    writer.add("secrets/namespaces/shop/evil.json", b"{}").unwrap();
    let sealed = writer.finish().unwrap();
    record.parts[0].sha256 = sealed.sha256;
    record.parts[0].bytes = sealed.bytes.len() as u64;
    stage.bucket.put(&format!("{FOLDER}/objects-0001.tar.zst.age"), Some(sealed.bytes.to_vec()));
    let mut writer = PartWriter::begin(&stage.recipients).unwrap();
    writer.add("nothing.json", b"{}").unwrap();
    let sealed = writer.finish().unwrap();
    record.parts[1].sha256 = sealed.sha256;
    record.parts[1].bytes = sealed.bytes.len() as u64;
    stage.bucket.put(&format!("{FOLDER}/objects-0002.tar.zst.age"), Some(sealed.bytes.to_vec()));
    insta::assert_snapshot!(look(&stage, &record).await, @r#"
    Objects 5 files 1 objects
    ConfigMap shop/a: its digest is not the one in the index
    ConfigMap shop/b: it is not in objects-0002.tar.zst.age
    nothing.json: the index does not name it here
    secrets/namespaces/shop/evil.json: the index does not name it here
    "#);
}

#[tokio::test]
async fn counts_of_the_record_must_be_those_of_the_index() {
    let (stage, mut record) = stored().await;
    record.kinds[0].result = KindResult::Collected { objects: 7 };
    record.kinds[1].resource = "clusterroles.example.com".into();
    insta::assert_snapshot!(look(&stage, &record).await, @r#"
    Objects 5 files 3 objects
    index.json.zst.age: it names 0 clusterroles.example.com, the record 1
    index.json.zst.age: it names 1 clusterroles.rbac.authorization.k8s.io, the record 0
    index.json.zst.age: it names 2 configmaps, the record 7
    report.json.zst.age: it is not the report of this record
    "#);
    record.kinds[0].result = KindResult::Failed { reason: "forbidden".into() };
    assert!(
        !look(&stage, &record).await.contains("configmaps"),
        "what came before a failure may be any number"
    );
}

#[tokio::test]
async fn storage_that_does_not_answer_is_a_finding() {
    let (stage, record) = stored().await;
    stage.bucket.fail(Fault::NoList);
    stage.bucket.fail(Fault::NoRead(".age".into()));
    let report = verify(stage.bucket.clone(), record, None).await;
    assert_eq!((report.files, report.findings.len()), (0, 6));
}
