//! What is read back, and what is said of a snapshot that was tampered with.

use serde_json::json;

use super::*;
use crate::adapters::memory::bucket::Fault;
use crate::domain::report::Outcome::{Complete, Partial};
use crate::engine::archive::layout::{INDEX, RECORD};
use crate::engine::archive::part::PartWriter;
use crate::engine::archive::store::tests::{
    Stage, cluster_roles, config_maps, noise, report, resource, store,
};

const TIME: &str = "2026-11-21T06:30:00Z";
const FOLDER: &str = "clusters/prod/snapshots/shop-20261121t063000z-kwpa";

async fn open(stage: &Stage) -> Result<State, Error> {
    let id = SnapshotId::new("shop", TIME.parse().unwrap(), "kwpa");
    State::archive(stage.bucket.clone(), "prod", &Which::Id(id), stage.identities.clone()).await
}

async fn names(saved: &State, wanted: impl IntoIterator<Item = usize>) -> Result<Vec<String>, Error> {
    let read: Vec<Read> = saved.objects(wanted).try_collect().await?;
    for (at, object) in &read {
        assert_eq!(object.key(), saved.entries[*at].key);
    }
    Ok(read.iter().map(|(_, object)| object.key().to_string()).collect())
}

/// An error with its causes.
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[tokio::test]
async fn what_was_stored_is_read_back() {
    let stage = Stage::new();
    let mut to = stage.to();
    to.part_bytes = 1;
    let batches: Vec<_> = (0..4).map(|n| config_maps(&[&format!("c{n}")], &noise(200_000, n))).collect();
    let report = report(TIME, Complete, &batches);
    store(to, &report, batches).await.unwrap();
    let saved = open(&stage).await.unwrap();
    assert_eq!(saved.describe, "snapshot shop-20261121t063000z-kwpa");
    assert_eq!(saved.record.as_ref().unwrap().parts.len(), 4);
    assert_eq!(names(&saved, 0..4).await.unwrap().len(), 4);
    assert_eq!(names(&saved, [3, 1, 99]).await.unwrap(), ["ConfigMap shop/c1", "ConfigMap shop/c3"]);
    let entry = &saved.entries[0];
    assert_eq!((entry.uid.as_deref(), entry.resource.full_name().as_str()), (Some("uid-c0"), "configmaps"));
}

#[tokio::test]
async fn a_part_with_many_objects_comes_in_steps() {
    let stage = Stage::new();
    let names_of: Vec<String> = (0..50).map(|n| format!("c{n:02}")).collect();
    let names_of: Vec<&str> = names_of.iter().map(String::as_str).collect();
    let batches = vec![config_maps(&names_of, &"x".repeat(100_000)), cluster_roles(&["system:node"])];
    stage.store(TIME, Complete, batches).await;
    let saved = open(&stage).await.unwrap();
    assert_eq!(saved.record.as_ref().unwrap().parts.len(), 1);
    assert_eq!(names(&saved, 0..51).await.unwrap().len(), 51);
    saved.check(0..51).await.unwrap();
}

#[tokio::test]
async fn latest_is_the_newest_complete_one_and_a_partial_one_needs_its_name() {
    let stage = Stage::new();
    let latest = || {
        let which = Which::Latest(None);
        let (bucket, identities) = (stage.bucket.clone(), stage.identities.clone());
        async move { State::archive(bucket, "prod", &which, identities).await }
    };
    let none = latest().await.err().unwrap();
    assert_eq!(none.to_string(), "there is no Complete snapshot of cluster prod in memory");
    stage.store("2026-11-20T06:30:00Z", Complete, vec![]).await;
    stage.store(TIME, Partial, vec![]).await;
    assert_eq!(latest().await.unwrap().describe, "snapshot shop-20261120t063000z-kwpa");
    let partial = open(&stage).await.unwrap();
    assert_eq!(
        partial.notes,
        ["snapshot shop-20261121t063000z-kwpa is Partial: the report names what is missing"]
    );
}

#[tokio::test]
async fn latest_is_not_guessed_when_a_newer_record_cannot_be_read() {
    let stage = Stage::new();
    let latest =
        || State::archive(stage.bucket.clone(), "prod", &Which::Latest(None), stage.identities.clone());
    stage.store("2026-11-20T06:30:00Z", Complete, vec![]).await;
    let record = |id: &str| format!("clusters/prod/snapshots/{id}/{RECORD}");
    stage.bucket.put(&record("shop-20261119t063000z-aaaa"), Some(b"{".to_vec()));
    assert_eq!(latest().await.unwrap().describe, "snapshot shop-20261120t063000z-kwpa");
    stage.bucket.put(&record("shop-20261121t063000z-aaaa"), Some(b"{".to_vec()));
    let error = latest().await.err().unwrap().to_string();
    assert!(error.contains("the record of shop-20261121t063000z-aaaa cannot be read"), "{error}");
}

#[tokio::test]
async fn whatever_is_wrong_is_named_before_any_object_is_given() {
    let mut lines = Vec::new();
    let part = "objects-0001.tar.zst.age";
    for (file, change) in [
        (part, "flip"),
        (part, "cut"),
        (part, "gone"),
        (INDEX, "flip"),
        (INDEX, "gone"),
        (RECORD, "gone"),
        (part, "no answer"),
    ] {
        let stage = Stage::new();
        stage.store(TIME, Complete, vec![config_maps(&["web"], "1")]).await;
        let key = format!("{FOLDER}/{file}");
        let mut bytes = stage.bucket.read(&key).await.unwrap().to_vec();
        match change {
            "flip" => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                stage.bucket.put(&key, Some(bytes));
            }
            "cut" => stage.bucket.put(&key, Some(bytes[..bytes.len() - 1].to_vec())),
            "gone" => stage.bucket.put(&key, None),
            _ => stage.bucket.fail(Fault::NoRead(file.into())),
        }
        let error = match open(&stage).await {
            Ok(saved) => saved.check(0..1).await.unwrap_err(),
            Err(error) => error,
        };
        lines.push(format!("{file} {change}: {}", digests_hidden(&text(&error))));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    objects-0001.tar.zst.age flip: cannot use objects-0001.tar.zst.age of snapshot shop-20261121t063000z-kwpa: it was changed after it was written: its SHA-256 is DIGEST instead of DIGEST
    objects-0001.tar.zst.age cut: cannot use objects-0001.tar.zst.age of snapshot shop-20261121t063000z-kwpa: it was changed after it was written: it has N bytes instead of N
    objects-0001.tar.zst.age gone: cannot read objects-0001.tar.zst.age of snapshot shop-20261121t063000z-kwpa: clusters/prod/snapshots/shop-20261121t063000z-kwpa/objects-0001.tar.zst.age is not there
    index.json.zst.age flip: cannot use index.json.zst.age of snapshot shop-20261121t063000z-kwpa: it was changed after it was written: its SHA-256 is DIGEST instead of DIGEST
    index.json.zst.age gone: cannot read index.json.zst.age of snapshot shop-20261121t063000z-kwpa: clusters/prod/snapshots/shop-20261121t063000z-kwpa/index.json.zst.age is not there
    snapshot.json gone: cannot open the archive: there is no snapshot shop-20261121t063000z-kwpa of cluster prod in memory
    objects-0001.tar.zst.age no answer: cannot read objects-0001.tar.zst.age of snapshot shop-20261121t063000z-kwpa: cannot use the storage: the disk does not answer
    "#);
}

fn digests_hidden(text: &str) -> String {
    let hide = |word: &str| match word {
        _ if word.len() == 64 => "DIGEST".to_owned(),
        _ if word.parse::<u64>().is_ok() => "N".to_owned(),
        _ => word.to_owned(),
    };
    text.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_wrong_identity_is_told_the_recipients() {
    let stage = Stage::new();
    let record = stage.store(TIME, Complete, vec![config_maps(&["web"], "1")]).await;
    let other = Stage::new();
    let id = Which::Id(record.id);
    let error = State::archive(stage.bucket.clone(), "prod", &id, other.identities).await.err().unwrap();
    let wanted = format!(
        "cannot decrypt snapshot shop-20261121t063000z-kwpa with the given identities, it is encrypted to {}",
        record.recipients[0]
    );
    assert_eq!(text(&error), wanted);
    let none = State::archive(stage.bucket.clone(), "prod", &id, Arc::default()).await.err().unwrap();
    assert!(text(&none).ends_with("cannot decrypt without an identity"), "{}", text(&none));
}

/// Replaces the only part by one that holds these files, and the record with it, as somebody could who can write the bucket.
async fn forge(stage: &Stage, files: &[(&str, &str)]) {
    let key = format!("{FOLDER}/{RECORD}");
    let text = stage.bucket.read(&key).await.unwrap();
    let mut record: SnapshotRecord = serde_json::from_slice(&text).unwrap();
    let mut writer = PartWriter::begin(&stage.recipients).unwrap();
    for (path, content) in files {
        writer.add(path, content.as_bytes()).unwrap();
    }
    let sealed = writer.finish().unwrap();
    record.parts[0].sha256 = sealed.sha256;
    record.parts[0].bytes = sealed.bytes.len() as u64;
    stage.bucket.put(&key, Some(serde_json::to_vec(&record).unwrap()));
    stage.bucket.put(&format!("{FOLDER}/objects-0001.tar.zst.age"), Some(sealed.bytes.to_vec()));
}

#[tokio::test]
async fn an_object_that_is_not_the_one_of_the_index_is_refused() {
    let path = "configmaps/namespaces/shop/web.json";
    let other = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web","namespace":"shop"}}"#;
    let cases: [&[(&str, &str)]; 4] =
        [&[], &[("configmaps/namespaces/shop/db.json", other)], &[(path, other)], &[(path, "garbage")]];
    let mut lines = Vec::new();
    for files in cases {
        let stage = Stage::new();
        stage.store(TIME, Complete, vec![config_maps(&["web"], "1")]).await;
        forge(&stage, files).await;
        let saved = open(&stage).await.unwrap();
        lines.push(text(&saved.check([0]).await.unwrap_err()));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    cannot use ConfigMap shop/web in objects-0001.tar.zst.age of snapshot shop-20261121t063000z-kwpa: it is not there
    cannot use ConfigMap shop/web in objects-0001.tar.zst.age of snapshot shop-20261121t063000z-kwpa: it is not there
    cannot use ConfigMap shop/web in objects-0001.tar.zst.age of snapshot shop-20261121t063000z-kwpa: its digest is not the one in the index
    cannot use ConfigMap shop/web in objects-0001.tar.zst.age of snapshot shop-20261121t063000z-kwpa: its digest is not the one in the index
    "#);
}

#[tokio::test]
async fn an_index_that_contradicts_the_record_is_refused() {
    let stage = Stage::new();
    let record = stage.store(TIME, Complete, vec![config_maps(&["a", "b"], "1")]).await;
    let sealed = stage.bucket.read(&format!("{FOLDER}/{INDEX}")).await.unwrap();
    let index: crate::domain::snapshot::Index = part::open_json(sealed, &stage.identities).unwrap();
    let mut lines = Vec::new();
    for change in 0..5 {
        let mut index = index.clone();
        match change {
            0 => drop(index.objects.pop()),
            1 => index.objects[0].part = 7,
            2 => index.objects[0].resource = 7,
            3 => index.objects.reverse(),
            _ => index.objects[1] = index.objects[0].clone(),
        }
        let sealed = part::seal_json(&index, &stage.recipients).unwrap();
        let mut record = record.clone();
        record.index.sha256 = sealed.sha256;
        record.index.bytes = sealed.bytes.len() as u64;
        stage.bucket.put(&format!("{FOLDER}/{INDEX}"), Some(sealed.bytes.to_vec()));
        stage.bucket.put(&format!("{FOLDER}/{RECORD}"), Some(serde_json::to_vec(&record).unwrap()));
        lines.push(text(&open(&stage).await.err().unwrap()));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    cannot use the index of snapshot shop-20261121t063000z-kwpa: it names 1 objects, the record 2
    cannot use the index of snapshot shop-20261121t063000z-kwpa: ConfigMap shop/a is in part 8 of 1
    cannot use the index of snapshot shop-20261121t063000z-kwpa: ConfigMap shop/a is of a kind that is not in it
    cannot use the index of snapshot shop-20261121t063000z-kwpa: ConfigMap shop/a is out of order or there twice
    cannot use the index of snapshot shop-20261121t063000z-kwpa: ConfigMap shop/a is out of order or there twice
    "#);
}

#[tokio::test]
async fn manifests_at_hand_are_a_state_too() {
    let manifest = |name: &str, text: &str| {
        let tree = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"t": text},
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}}});
        (resource("v1", "ConfigMap", "configmaps"), Manifest::parse(tree).unwrap())
    };
    let saved = State::held("folder x".into(), [manifest("b", "1"), manifest("a", "2"), manifest("b", "3")]);
    assert_eq!(names(&saved, 0..9).await.unwrap(), ["ConfigMap shop/a", "ConfigMap shop/b"]);
    assert_eq!(saved.entries[1].labels["app"], "b");
    let read: Vec<Read> = saved.objects([1]).try_collect().await.unwrap();
    assert_eq!(read[0].1.at("/data/t"), Some(&json!("3")), "the last one counts");
}
