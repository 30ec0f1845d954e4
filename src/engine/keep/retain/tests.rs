//! Which snapshots are kept, as tables.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::identity::{ClusterRef, PolicyRef};
use crate::domain::snapshot::PartRef;

/// A record that started then; only what `retain` looks at means something.
pub(crate) fn record(started: Timestamp, outcome: Outcome) -> SnapshotRecord {
    let part = PartRef { name: "x".into(), sha256: String::new(), bytes: 0 };
    SnapshotRecord {
        hooks: Vec::new(),
        format: 1,
        id: SnapshotId::new("shop", started, "kwpa"),
        policy: PolicyRef { name: "shop".into(), digest: String::new(), revision: None },
        cluster: ClusterRef { name: "prod".into(), uid: String::new(), version: String::new() },
        started,
        finished: started,
        outcome,
        objects: 0,
        kinds: Vec::new(),
        undiscovered: std::collections::BTreeMap::default(),
        parts: Vec::new(),
        index: part.clone(),
        report: part,
        recipients: Vec::new(),
    }
}

/// `2026-11-21T06:30Z` or `… Partial`, one a line.
fn records(lines: &str) -> Vec<SnapshotRecord> {
    let record = |line: &str| {
        let (time, outcome) = line.trim().split_once(' ').unwrap_or((line.trim(), "Complete"));
        let outcome = match outcome.trim() {
            "Complete" => Outcome::Complete,
            "Partial" => Outcome::Partial,
            _ => Outcome::Failed,
        };
        record(time.parse().unwrap(), outcome)
    };
    lines.trim().lines().map(record).collect()
}

fn rules(text: &str) -> Retention {
    let fields = text.split_whitespace().map(|field| {
        let (name, value) = field.split_once('=').unwrap();
        let value = value.parse::<u32>().map_or_else(|_| serde_json::json!(value), |n| serde_json::json!(n));
        (name.to_owned(), value)
    });
    serde_json::from_value(fields.collect()).unwrap()
}

fn rule(retention: Retention, zone: &str) -> Rule {
    Rule { retention, zone: TimeZone::get(zone).unwrap(), proof: Proof::default() }
}

fn judged(retention: &str, zone: &str, now: &str, lines: &str) -> String {
    told(&rule(rules(retention), zone), now, lines)
}

fn told(rule: &Rule, now: &str, lines: &str) -> String {
    let verdicts = retain(&records(lines), rule, now.parse().unwrap());
    let line = |verdict: &Verdict| {
        let kept: Vec<String> = verdict.kept.iter().map(ToString::to_string).collect();
        let kept = if kept.is_empty() { "-".to_owned() } else { kept.join(", ") };
        format!("{} {:?}: {kept}", verdict.started, verdict.outcome)
    };
    verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn any_rule_keeps_and_the_rest_goes() {
    let daily: Vec<String> = (1..=20).map(|day| format!("2026-11-{day:02}T02:30Z")).collect();
    let daily = daily.join("\n");
    insta::assert_snapshot!(judged("keepLast=2 keepDaily=4 keepWeekly=3 keepMonthly=2 keepYearly=9 ttl=36h", "UTC", "2026-11-20T03:00Z", &daily), @r#"
    2026-11-20T02:30:00Z Complete: newest Complete, younger than 1d12h, one of the last 2, daily 2026-11-20, weekly 2026-W47, monthly 2026-11, yearly 2026
    2026-11-19T02:30:00Z Complete: younger than 1d12h, one of the last 2, daily 2026-11-19
    2026-11-18T02:30:00Z Complete: daily 2026-11-18
    2026-11-17T02:30:00Z Complete: daily 2026-11-17
    2026-11-16T02:30:00Z Complete: -
    2026-11-15T02:30:00Z Complete: weekly 2026-W46
    2026-11-14T02:30:00Z Complete: -
    2026-11-13T02:30:00Z Complete: -
    2026-11-12T02:30:00Z Complete: -
    2026-11-11T02:30:00Z Complete: -
    2026-11-10T02:30:00Z Complete: -
    2026-11-09T02:30:00Z Complete: -
    2026-11-08T02:30:00Z Complete: weekly 2026-W45
    2026-11-07T02:30:00Z Complete: -
    2026-11-06T02:30:00Z Complete: -
    2026-11-05T02:30:00Z Complete: -
    2026-11-04T02:30:00Z Complete: -
    2026-11-03T02:30:00Z Complete: -
    2026-11-02T02:30:00Z Complete: -
    2026-11-01T02:30:00Z Complete: -
    "#);
}

#[test]
fn days_are_those_of_the_time_zone() {
    let times = "2026-11-20T22:30Z\n2026-11-20T23:30Z\n2026-11-21T22:30Z";
    insta::assert_snapshot!(judged("keepDaily=9", "Europe/Berlin", "2026-11-22T00:00Z", times), @r#"
    2026-11-21T22:30:00Z Complete: newest Complete, daily 2026-11-21
    2026-11-20T23:30:00Z Complete: -
    2026-11-20T22:30:00Z Complete: daily 2026-11-20
    "#);
    insta::assert_snapshot!(judged("keepDaily=9", "UTC", "2026-11-22T00:00Z", times), @r#"
    2026-11-21T22:30:00Z Complete: newest Complete, daily 2026-11-21
    2026-11-20T23:30:00Z Complete: daily 2026-11-20
    2026-11-20T22:30:00Z Complete: -
    "#);
}

#[test]
fn the_hour_that_comes_twice_is_two_hours_and_the_day_of_25_hours_is_one() {
    let times = "2026-10-24T23:30Z\n2026-10-25T00:30Z\n2026-10-25T01:30Z\n2026-10-25T22:30Z";
    insta::assert_snapshot!(judged("keepHourly=9", "Europe/Berlin", "2026-10-26T00:00Z", times), @r#"
    2026-10-25T22:30:00Z Complete: newest Complete, hourly 2026-10-25 23:00+01:00
    2026-10-25T01:30:00Z Complete: hourly 2026-10-25 02:00+01:00
    2026-10-25T00:30:00Z Complete: hourly 2026-10-25 02:00+02:00
    2026-10-24T23:30:00Z Complete: hourly 2026-10-25 01:00+02:00
    "#);
    insta::assert_snapshot!(judged("keepDaily=9", "Europe/Berlin", "2026-10-26T00:00Z", times), @r#"
    2026-10-25T22:30:00Z Complete: newest Complete, daily 2026-10-25
    2026-10-25T01:30:00Z Complete: -
    2026-10-25T00:30:00Z Complete: -
    2026-10-24T23:30:00Z Complete: -
    "#);
}

#[test]
fn the_day_of_23_hours_is_a_day() {
    let times =
        "2026-03-28T22:30Z\n2026-03-28T23:30Z\n2026-03-29T00:59Z\n2026-03-29T01:01Z\n2026-03-29T22:30Z";
    insta::assert_snapshot!(judged("keepDaily=9 keepHourly=2", "Europe/Berlin", "2026-03-30T00:00Z", times), @r#"
    2026-03-29T22:30:00Z Complete: newest Complete, hourly 2026-03-30 00:00+02:00, daily 2026-03-30
    2026-03-29T01:01:00Z Complete: hourly 2026-03-29 03:00+02:00, daily 2026-03-29
    2026-03-29T00:59:00Z Complete: -
    2026-03-28T23:30:00Z Complete: -
    2026-03-28T22:30:00Z Complete: daily 2026-03-28
    "#);
}

#[test]
fn weeks_are_iso_weeks_and_cross_the_year() {
    let times = "2026-12-28T00:00Z\n2026-12-31T00:00Z\n2027-01-03T23:59Z\n2027-01-04T00:00Z";
    insta::assert_snapshot!(judged("keepWeekly=9 keepYearly=9", "UTC", "2027-01-05T00:00Z", times), @r#"
    2027-01-04T00:00:00Z Complete: newest Complete, weekly 2027-W01, yearly 2027
    2027-01-03T23:59:00Z Complete: weekly 2026-W53
    2026-12-31T00:00:00Z Complete: yearly 2026
    2026-12-28T00:00:00Z Complete: -
    "#);
}

#[test]
fn partial_and_failed_ones_push_nothing_out() {
    let times = "2026-11-01T00:00Z\n2026-11-02T00:00Z\n2026-11-03T00:00Z Partial\n2026-11-04T00:00Z Failed\n\
                 2026-11-04T12:00Z\n2026-11-04T18:00Z Partial\n2026-11-05T00:00Z Partial\n2026-11-06T00:00Z Partial\n\
                 2026-11-07T00:00Z Failed";
    insta::assert_snapshot!(judged("keepLast=2", "UTC", "2026-11-08T00:00Z", times), @r#"
    2026-11-07T00:00:00Z Failed: -
    2026-11-06T00:00:00Z Partial: one of the last 2
    2026-11-05T00:00:00Z Partial: one of the last 2
    2026-11-04T18:00:00Z Partial: -
    2026-11-04T12:00:00Z Complete: newest Complete, one of the last 2
    2026-11-04T00:00:00Z Failed: -
    2026-11-03T00:00:00Z Partial: -
    2026-11-02T00:00:00Z Complete: one of the last 2
    2026-11-01T00:00:00Z Complete: -
    "#);
    insta::assert_snapshot!(judged("keepDaily=2", "UTC", "2026-11-08T00:00Z", times), @r#"
    2026-11-07T00:00:00Z Failed: -
    2026-11-06T00:00:00Z Partial: daily 2026-11-06
    2026-11-05T00:00:00Z Partial: daily 2026-11-05
    2026-11-04T18:00:00Z Partial: -
    2026-11-04T12:00:00Z Complete: newest Complete, daily 2026-11-04
    2026-11-04T00:00:00Z Failed: -
    2026-11-03T00:00:00Z Partial: -
    2026-11-02T00:00:00Z Complete: daily 2026-11-02
    2026-11-01T00:00:00Z Complete: -
    "#);
}

#[test]
fn the_newest_complete_one_stays_whatever_the_rules_say() {
    let times = "2020-01-01T00:00Z\n2021-01-01T00:00Z\n2026-11-01T00:00Z Partial";
    insta::assert_snapshot!(judged("keepLast=0 ttl=1h", "UTC", "2026-11-08T00:00Z", times), @r#"
    2026-11-01T00:00:00Z Partial: -
    2021-01-01T00:00:00Z Complete: newest Complete
    2020-01-01T00:00:00Z Complete: -
    "#);
    let times = "2020-01-01T00:00Z Partial\n2021-01-01T00:00Z Partial\n2022-01-01T00:00Z Failed";
    insta::assert_snapshot!(judged("ttl=1h", "UTC", "2026-11-08T00:00Z", times), @r#"
    2022-01-01T00:00:00Z Failed: -
    2021-01-01T00:00:00Z Partial: newest, and none is Complete
    2020-01-01T00:00:00Z Partial: -
    "#);
}

#[test]
fn a_snapshot_from_the_future_is_kept_and_counts_for_nothing() {
    let times = "2026-11-01T00:00Z\n2026-11-02T00:00Z\n2026-12-01T00:00Z\n2026-12-02T00:00Z";
    insta::assert_snapshot!(judged("keepLast=1", "UTC", "2026-11-08T00:00Z", times), @r#"
    2026-12-02T00:00:00Z Complete: from the future
    2026-12-01T00:00:00Z Complete: from the future
    2026-11-02T00:00:00Z Complete: newest Complete, one of the last 1
    2026-11-01T00:00:00Z Complete: -
    "#);
}

#[test]
fn no_rule_keeps_everything() {
    insta::assert_snapshot!(judged("", "UTC", "2026-11-08T00:00Z", "2020-01-01T00:00Z\n2021-01-01T00:00Z Failed"), @r#"
    2021-01-01T00:00:00Z Failed: the policy has no retention rules
    2020-01-01T00:00:00Z Complete: the policy has no retention rules
    "#);
}

#[test]
fn the_order_of_the_question_does_not_matter() {
    let mut all = records("2026-11-01T00:00Z\n2026-11-02T00:00Z Partial\n2026-11-03T00:00Z");
    let rule = rule(rules("keepLast=1 keepDaily=1"), "UTC");
    let now = "2026-11-08T00:00Z".parse().unwrap();
    let one = retain(&all, &rule, now);
    all.reverse();
    assert_eq!(retain(&all, &rule, now), one);
    assert_eq!(retain(&[], &rule, now), []);
}

/// The newest one has lost a part, and no run works any more: the one before it is all that is left.
#[test]
fn what_was_found_damaged_takes_no_place_of_a_good_one() {
    let id = |time: &str| record(time.parse().unwrap(), Outcome::Complete).id;
    let four = "2026-11-01T00:00Z\n2026-11-02T00:00Z\n2026-11-03T00:00Z\n2026-11-04T00:00Z";
    let mut rule = rule(rules("keepLast=1 keepDaily=1 ttl=1h"), "UTC");
    rule.proof.damaged = Some(id("2026-11-04T00:00Z"));
    insta::assert_snapshot!(told(&rule, "2026-11-20T00:00Z", four), @"
    2026-11-04T00:00:00Z Complete: damaged
    2026-11-03T00:00:00Z Complete: newest Complete, one of the last 1, daily 2026-11-03
    2026-11-02T00:00:00Z Complete: -
    2026-11-01T00:00:00Z Complete: -
    ");
    // A newer one does not push out the last one that is known to be sound, until it has been read back itself.
    rule.proof = Proof { sound: Some(id("2026-11-01T00:00Z")), damaged: Some(id("2026-11-03T00:00Z")) };
    insta::assert_snapshot!(told(&rule, "2026-11-20T00:00Z", four), @"
    2026-11-04T00:00:00Z Complete: newest Complete, one of the last 1, daily 2026-11-04
    2026-11-03T00:00:00Z Complete: damaged
    2026-11-02T00:00:00Z Complete: -
    2026-11-01T00:00:00Z Complete: last verified
    ");
    rule.proof = Proof { sound: Some(id("2026-11-04T00:00Z")), damaged: None };
    insta::assert_snapshot!(told(&rule, "2026-11-20T00:00Z", four), @"
    2026-11-04T00:00:00Z Complete: newest Complete, last verified, one of the last 1, daily 2026-11-04
    2026-11-03T00:00:00Z Complete: -
    2026-11-02T00:00:00Z Complete: -
    2026-11-01T00:00:00Z Complete: -
    ");
}

prop_compose! {
    fn any_record()(hours in 0_i64..9_000, outcome in 0_usize..3) -> SnapshotRecord {
        let started = Timestamp::from_second(1_780_000_000 + hours * 3_600).unwrap();
        record(started, [Outcome::Complete, Outcome::Partial, Outcome::Failed][outcome])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn good_ones_are_never_fewer_than_the_rules_ask_for(
        records in proptest::collection::vec(any_record(), 0..60),
        last in 0_u32..5,
        daily in 0_u32..5,
        ttl in 0_u64..2_000,
    ) {
        // A name is given to one snapshot only.
        let records: Vec<SnapshotRecord> =
            records.into_iter().map(|r| (r.id.clone(), r)).collect::<BTreeMap<_, _>>().into_values().collect();
        let now = Timestamp::from_second(1_780_000_000 + 9_000 * 3_600).unwrap();
        let retention = Retention {
            ttl: Some(Duration::seconds(ttl * 3_600)),
            keep_last: Some(last),
            keep_daily: Some(daily),
            ..Retention::default()
        };
        let rule = rule(retention, "Europe/Berlin");
        let verdicts = retain(&records, &rule, now);
        prop_assert_eq!(verdicts.len(), records.len());
        let good = |v: &&Verdict| v.outcome == Outcome::Complete;
        let all = verdicts.iter().filter(good).count();
        let kept = verdicts.iter().filter(good).filter(|v| !v.kept.is_empty()).count();
        prop_assert!(kept >= all.min(usize::try_from(last.max(1)).unwrap()));
        if let Some(newest) = verdicts.iter().find(good) {
            prop_assert!(!newest.kept.is_empty());
        }
        for verdict in &verdicts {
            let young = now.duration_since(verdict.started).as_hours() < i64::try_from(ttl).unwrap();
            prop_assert!(!young || !verdict.kept.is_empty());
        }
        // What survives once, survives again: pruning twice deletes nothing more.
        let left: Vec<SnapshotRecord> = records
            .iter()
            .filter(|r| verdicts.iter().any(|v| v.snapshot == r.id && !v.kept.is_empty()))
            .cloned()
            .collect();
        let again = retain(&left, &rule, now);
        prop_assert!(again.iter().filter(good).all(|verdict| !verdict.kept.is_empty()));
    }
}
