//! Which snapshots an archive is said to hold.

use super::*;
use crate::adapters::memory::bucket::Fault;
use crate::domain::report::Outcome::{Complete, Partial};
use crate::engine::archive::store::tests::{Stage, config_maps};

const FOLDER: &str = "clusters/prod/snapshots";

#[tokio::test]
async fn snapshots_are_listed_oldest_first_and_everything_odd_is_named() {
    let stage = Stage::new();
    for time in ["2026-11-22T06:30:00Z", "2026-11-21T06:30:00Z"] {
        stage.store(time, Complete, vec![config_maps(&["web"], "1")]).await;
    }
    let put = |key: &str, text: &str| stage.bucket.put(&format!("{FOLDER}/{key}"), Some(text.into()));
    put("newer-20261121t063000z-aaaa/snapshot.json", r#"{"format":7,"new":true}"#);
    put("html-20261121t063000z-aaaa/snapshot.json", "<html>");
    put("short-20261121t063000z-aaaa/snapshot.json", r#"{"format":1}"#);
    put("run-20261123t063000z-aaaa/objects-0001.tar.zst.age", "x");
    put("stray", "x");
    let moved = stage.bucket.read(&format!("{FOLDER}/shop-20261121t063000z-kwpa/{RECORD}")).await.unwrap();
    put("moved-20261121t063000z-aaaa/snapshot.json", std::str::from_utf8(&moved).unwrap());
    let listing = list(stage.bucket.as_ref(), None).await.unwrap();
    let records: Vec<String> = listing.records.iter().map(|record| record.id.to_string()).collect();
    let unreadable: Vec<&str> = listing.unreadable.iter().map(|found| found.reason.as_str()).collect();
    let unfinished: Vec<&str> = listing.unfinished.iter().map(|found| found.id.as_str()).collect();
    insta::assert_snapshot!(format!("{records:#?}\n{unreadable:#?}\n{unfinished:?}"), @r#"
    [
        "shop-20261121t063000z-kwpa",
        "shop-20261122t063000z-kwpa",
    ]
    [
        "cannot understand clusters/prod/snapshots/html-20261121t063000z-aaaa/snapshot.json in memory: it has no format number",
        "cannot understand clusters/prod/snapshots/moved-20261121t063000z-aaaa/snapshot.json in memory: it is the record of shop-20261121t063000z-kwpa of cluster prod",
        "clusters/prod/snapshots/newer-20261121t063000z-aaaa/snapshot.json in memory has format 7, this version of Backstay reads format 1 at most",
        "cannot understand clusters/prod/snapshots/short-20261121t063000z-aaaa/snapshot.json in memory: it is no record: missing field `id` at line 1 column 12",
    ]
    ["run-20261123t063000z-aaaa"]
    "#);
    assert_eq!(list(stage.bucket.as_ref(), Some("other")).await.unwrap(), Listing::default());
}

#[tokio::test]
async fn a_listing_that_is_not_whole_is_an_error() {
    let stage = Stage::new();
    stage.store("2026-11-21T06:30:00Z", Complete, vec![]).await;
    for fault in [Fault::NoList, Fault::NoRead(RECORD.into()), Fault::NoRead(MARKER.into())] {
        stage.bucket.fail(fault.clone());
        assert!(matches!(list(stage.bucket.as_ref(), None).await, Err(Error::Read { .. })), "{fault:?}");
        stage.bucket.mend();
    }
}

#[tokio::test]
async fn the_newest_is_the_newest_complete_one() {
    let stage = Stage::new();
    for (time, outcome) in [
        ("2026-11-21T06:30:00Z", Complete),
        ("2026-11-22T06:30:00Z", Complete),
        ("2026-11-23T06:30:00Z", Partial),
    ] {
        stage.store(time, outcome, vec![]).await;
    }
    let records = list(stage.bucket.as_ref(), Some("prod")).await.unwrap().records;
    let name = |policy| newest(&records, policy).map(|record| record.id.to_string());
    assert_eq!(name(None).as_deref(), Some("shop-20261122t063000z-kwpa"));
    assert_eq!(name(Some("shop")).as_deref(), Some("shop-20261122t063000z-kwpa"));
    assert_eq!(name(Some("other")), None);
}

#[tokio::test]
async fn a_record_that_points_elsewhere_is_refused() {
    let stage = Stage::new();
    let record = stage.store("2026-11-21T06:30:00Z", Complete, vec![config_maps(&["web"], "1")]).await;
    let key = format!("{FOLDER}/{}/{RECORD}", record.id);
    for name in ["../other/objects-0001.tar.zst.age", "a/b", "", "a b"] {
        let mut changed = record.clone();
        changed.parts[0].name = name.into();
        stage.bucket.put(&key, Some(serde_json::to_vec(&changed).unwrap()));
        let answer = super::record(stage.bucket.as_ref(), "prod", &record.id).await;
        assert!(matches!(answer, Err(Error::Garbled { .. })), "{name:?}");
    }
}

#[tokio::test]
async fn records_that_are_known_are_not_read_again() {
    let stage = Stage::new();
    for day in 21..=23 {
        let batches = vec![config_maps(&["web"], "1")];
        stage.store(&format!("2026-11-{day}T06:30:00Z"), Complete, batches).await;
    }
    let first = list(stage.bucket.as_ref(), Some("prod")).await.unwrap();
    let reads = stage.bucket.reads();
    let again = list_anew(stage.bucket.as_ref(), Some("prod"), &first.records[..2]).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(stage.bucket.reads() - reads, 2, "the marker and one record");
    let gone = format!("clusters/prod/snapshots/{}/snapshot.json", first.records[0].id);
    stage.bucket.delete(&[gone]).await.unwrap();
    let less = list_anew(stage.bucket.as_ref(), Some("prod"), &first.records).await.unwrap();
    assert_eq!(less.records, first.records[1..], "what is known but gone is not there");
}

#[test]
fn what_another_attempt_left_is_told_by_its_name() {
    for file in ["objects-0001-kwpa.tar.zst.age", "index-kwpa.json.zst.age", "report-abcd.json.zst.age"] {
        assert!(is_of_an_attempt(file), "{file}");
    }
    assert!(is_of_an_attempt(&part_name(0, Some("kwpa"))) && !is_of_an_attempt(&part_name(0, None)));
    for file in [
        INDEX,
        REPORT,
        RECORD,
        "index-kwpa.tar.zst.age",
        "objects-0001-KWPA.tar.zst.age",
        "x-kwpa.json.zst.age",
    ] {
        assert!(!is_of_an_attempt(file), "{file}");
    }
}
