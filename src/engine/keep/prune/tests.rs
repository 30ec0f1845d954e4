//! What a prune would delete, what it deletes, and what it does not.

use jiff::tz::TimeZone;

use super::*;
use crate::adapters::memory::bucket::Fault;
use crate::domain::report::Outcome::Complete;
use crate::domain::retention::Retention;
use crate::engine::archive::store::tests::{Stage, config_maps};
use crate::engine::keep::retain::Proof;

const NOW: &str = "2026-11-25T00:00:00Z";

fn rules(keep_last: u32) -> BTreeMap<String, Rule> {
    let retention = Retention { keep_last: Some(keep_last), ..Retention::default() };
    BTreeMap::from([("shop".to_owned(), Rule { retention, zone: TimeZone::UTC, proof: Proof::default() })])
}

/// Three snapshots, a run that broke off long ago, one that did today, and something odd.
async fn stage() -> Stage {
    let stage = Stage::new();
    for day in 21..=23 {
        let batches = vec![config_maps(&["web"], "1")];
        stage.store(&format!("2026-11-{day}T06:30:00Z"), Complete, batches).await;
    }
    for folder in ["shop-20261101t063000z-aaaa", "shop-20261124t063000z-bbbb", "notes"] {
        let key = format!("clusters/prod/snapshots/{folder}/objects-0001.tar.zst.age");
        stage.bucket.put(&key, Some(b"half".to_vec()));
    }
    stage.bucket.put(
        "clusters/prod/snapshots/new-20261101t063000z-cccc/snapshot.json",
        Some(b"{\"format\":9}".to_vec()),
    );
    stage
}

async fn planned(stage: &Stage, rules: &BTreeMap<String, Rule>) -> PrunePlan {
    let listing = layout::list(stage.bucket.as_ref(), None).await.unwrap();
    plan(&listing, (rules, GRACE), None, NOW.parse().unwrap())
}

fn show(plan: &PrunePlan) -> String {
    let verdict = |v: &Verdict| {
        let kept: Vec<String> = v.kept.iter().map(ToString::to_string).collect();
        let kept = if kept.is_empty() { "-".to_owned() } else { kept.join(", ") };
        format!("{}: {kept}", v.snapshot)
    };
    let deletion = |d: &Deletion| format!("{} {:#?}", d.snapshot, d.files);
    let verdicts: Vec<String> = plan.verdicts.iter().map(verdict).collect();
    let snapshots: Vec<String> = plan.snapshots.iter().map(deletion).collect();
    let leftovers: Vec<String> = plan.leftovers.iter().map(deletion).collect();
    format!(
        "{}\nsnapshots {}\nleftovers {}\n{}",
        verdicts.join("\n"),
        snapshots.join("\n"),
        leftovers.join("\n"),
        plan.notes.join("\n")
    )
}

#[tokio::test]
async fn the_plan_names_every_file_and_says_why_the_rest_stays() {
    let stage = stage().await;
    insta::assert_snapshot!(show(&planned(&stage, &rules(2)).await), @r#"
    shop-20261123t063000z-kwpa: newest Complete, one of the last 2
    shop-20261122t063000z-kwpa: one of the last 2
    shop-20261121t063000z-kwpa: -
    snapshots shop-20261121t063000z-kwpa [
        "clusters/prod/snapshots/shop-20261121t063000z-kwpa/index.json.zst.age",
        "clusters/prod/snapshots/shop-20261121t063000z-kwpa/objects-0001.tar.zst.age",
        "clusters/prod/snapshots/shop-20261121t063000z-kwpa/report.json.zst.age",
        "clusters/prod/snapshots/shop-20261121t063000z-kwpa/snapshot.json",
    ]
    leftovers shop-20261101t063000z-aaaa [
        "clusters/prod/snapshots/shop-20261101t063000z-aaaa/objects-0001.tar.zst.age",
    ]
    notes of cluster prod has no record and no name of a snapshot, it is left alone
    shop-20261124t063000z-bbbb of cluster prod has no record: its run is at work, or broke off less than 1d ago
    new-20261101t063000z-cccc is left alone: clusters/prod/snapshots/new-20261101t063000z-cccc/snapshot.json in memory has format 9, this version of Backstay reads format 1 at most
    "#);
}

#[tokio::test]
async fn a_policy_that_is_not_there_keeps_its_snapshots() {
    let stage = stage().await;
    let plan = planned(&stage, &BTreeMap::new()).await;
    assert!(plan.snapshots.is_empty());
    assert!(plan.verdicts.iter().all(|verdict| verdict.kept == [Reason::NoPolicy]));
}

#[tokio::test]
async fn an_empty_archive_has_nothing_to_delete() {
    let stage = Stage::new();
    assert_eq!(planned(&stage, &rules(0)).await, PrunePlan::default());
}

#[tokio::test]
async fn what_the_plan_names_is_deleted_and_nothing_else() {
    let stage = stage().await;
    let before = stage.bucket.keys();
    let plan = planned(&stage, &rules(2)).await;
    let report = prune(&plan, AccessMode::ReadWrite, stage.bucket.as_ref()).await.unwrap();
    assert_eq!((report.deleted.len(), report.failed.len()), (2, 0));
    let planned_files: Vec<&String> =
        plan.snapshots.iter().chain(&plan.leftovers).flat_map(|d| &d.files).collect();
    let left: Vec<String> = before.into_iter().filter(|key| !planned_files.contains(&key)).collect();
    assert_eq!(stage.bucket.keys(), left);
    assert!(planned(&stage, &rules(2)).await.snapshots.is_empty(), "a second run has nothing to do");
}

#[tokio::test]
async fn a_read_only_location_is_refused() {
    let stage = stage().await;
    let plan = planned(&stage, &rules(2)).await;
    let before = stage.bucket.keys();
    let error = prune(&plan, AccessMode::ReadOnly, stage.bucket.as_ref()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot prune memory: its accessMode is ReadOnly");
    assert_eq!(stage.bucket.keys(), before);
}

#[tokio::test]
async fn a_locked_record_keeps_its_parts_and_the_rest_is_pruned() {
    let stage = stage().await;
    let plan = planned(&stage, &rules(1)).await;
    stage.bucket.fail(Fault::Locked("shop-20261121t063000z-kwpa/snapshot.json".into()));
    let before = stage.bucket.keys().len();
    let report = prune(&plan, AccessMode::ReadWrite, stage.bucket.as_ref()).await.unwrap();
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].0.snapshot, "shop-20261121t063000z-kwpa");
    assert!(report.failed[0].1.starts_with("nothing was deleted: access denied:"), "{}", report.failed[0].1);
    assert_eq!(stage.bucket.keys().len(), before - 4 - 1);
    assert_eq!(layout::list(stage.bucket.as_ref(), None).await.unwrap().records.len(), 2);
}

#[tokio::test]
async fn a_prune_that_breaks_off_after_the_record_is_finished_by_a_later_one() {
    let stage = stage().await;
    let plan = planned(&stage, &rules(2)).await;
    stage.bucket.fail(Fault::Locked(".age".into()));
    let report = prune(&plan, AccessMode::ReadWrite, stage.bucket.as_ref()).await.unwrap();
    assert!(report.failed[0].1.starts_with("only its record was deleted"), "{:?}", report.failed);
    stage.bucket.mend();
    let again = planned(&stage, &rules(2)).await;
    let names: Vec<&str> = again.leftovers.iter().map(|leftover| leftover.snapshot.as_str()).collect();
    assert_eq!(names, ["shop-20261101t063000z-aaaa", "shop-20261121t063000z-kwpa"]);
    prune(&again, AccessMode::ReadWrite, stage.bucket.as_ref()).await.unwrap();
    assert!(!stage.bucket.keys().iter().any(|key| key.contains("20261121t063000z")));
}

#[tokio::test]
async fn a_run_that_ends_after_all_keeps_its_files() {
    let stage = stage().await;
    let plan = planned(&stage, &rules(9)).await;
    assert_eq!(plan.leftovers.len(), 1);
    let key = "clusters/prod/snapshots/shop-20261101t063000z-aaaa/snapshot.json";
    stage.bucket.put(key, Some(b"{\"format\":1}".to_vec()));
    let report = prune(&plan, AccessMode::ReadWrite, stage.bucket.as_ref()).await.unwrap();
    assert_eq!(report.failed[0].1, "it has a record by now");
    assert!(stage.bucket.keys().contains(&key.to_owned()));
}

#[tokio::test]
async fn snapshots_of_an_earlier_cluster_of_the_name_are_kept_and_count_for_nothing() {
    let stage = stage().await;
    let mut listing = layout::list(stage.bucket.as_ref(), None).await.unwrap();
    for record in &mut listing.records[..2] {
        record.cluster.uid = "earlier".into();
    }
    let ours = listing.records[2].cluster.uid.clone();
    let plan = plan(&listing, (&rules(1), GRACE), Some(&ours), NOW.parse().unwrap());
    assert_eq!(plan.snapshots, []);
    let earlier = plan.verdicts.iter().filter(|verdict| verdict.kept == [Reason::Earlier]);
    assert_eq!(earlier.count(), 2);
}

#[tokio::test]
async fn a_late_run_is_as_old_as_its_newest_file_not_as_its_name() {
    let stage = Stage::new();
    let key = "clusters/prod/snapshots/shop-20261101t063000z-aaaa/objects-0001-kwpa.tar.zst.age";
    stage.bucket.put(key, Some(b"x".to_vec()));
    let mut listing = layout::list(stage.bucket.as_ref(), None).await.unwrap();
    let leftovers =
        |listing: &Listing| plan(listing, (&rules(1), GRACE), None, NOW.parse().unwrap()).leftovers.len();
    assert_eq!(leftovers(&listing), 1);
    for file in listing.files.values_mut().flatten() {
        file.modified = Some("2026-11-24T23:00:00Z".parse().unwrap());
    }
    assert_eq!(leftovers(&listing), 0);
}
