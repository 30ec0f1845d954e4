use jiff::ToSpan;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A timing from YAML lines of a policy.
fn timing(yaml: &str) -> Timing {
    let spec: PolicySpec = serde_saphyr::from_str(&format!("locations: [a]\n{yaml}")).unwrap();
    Timing::of(&spec, "nightly", "prod").unwrap().unwrap()
}

/// What is decided, as text.
fn said(yaml: &str, since: &str, last: Option<&str>, now: &str) -> String {
    let memory = Memory { since: at(since), last_due: last.map(at) };
    match timing(yaml).decide(memory, at(now)) {
        Verdict::Run { due, missed } => format!("run {due}, {missed} missed"),
        Verdict::Pass { due, missed } => format!("pass {due}, {missed} missed"),
        Verdict::Wait(until) => {
            format!("wait until {}", until.map_or("for ever".into(), |until| until.to_string()))
        }
    }
}

const DAILY: &str = "schedule: 30 2 * * *";

#[test]
fn a_new_policy_waits_for_its_first_time() {
    let first = said(DAILY, "2026-11-27T10:00:00Z", None, "2026-11-27T10:00:00Z");
    assert_eq!(first, "wait until 2026-11-28T02:30:00Z");
    let due = said(DAILY, "2026-11-27T10:00:00Z", None, "2026-11-28T02:30:00Z");
    assert_eq!(due, "run 2026-11-28T02:30:00Z, 0 missed");
}

#[test]
fn what_is_dealt_with_does_not_run_again() {
    let last = Some("2026-11-28T02:30:00Z");
    let again = said(DAILY, "2026-11-27T10:00:00Z", last, "2026-11-28T02:30:01Z");
    assert_eq!(again, "wait until 2026-11-29T02:30:00Z");
}

#[test]
fn an_outage_of_six_hours_is_made_up_for_by_one_run() {
    let hourly = "schedule: 0 * * * *";
    let after = said(hourly, "2026-11-01T00:00:00Z", Some("2026-11-27T04:00:00Z"), "2026-11-27T10:20:00Z");
    assert_eq!(after, "run 2026-11-27T10:00:00Z, 5 missed");
}

#[test]
fn a_run_that_is_too_late_is_missed() {
    let strict = "schedule: 0 * * * *\nstartingDeadline: 10m";
    let (since, last) = ("2026-11-01T00:00:00Z", Some("2026-11-27T08:00:00Z"));
    assert_eq!(said(strict, since, last, "2026-11-27T10:20:00Z"), "pass 2026-11-27T10:00:00Z, 2 missed");
    assert_eq!(said(strict, since, last, "2026-11-27T10:09:59Z"), "run 2026-11-27T10:00:00Z, 1 missed");
}

#[test]
fn a_suspended_policy_misses_nothing_and_makes_up_for_nothing() {
    let off = "schedule: 0 * * * *\nsuspend: true";
    let (since, last) = ("2026-11-01T00:00:00Z", Some("2026-11-27T08:00:00Z"));
    assert_eq!(said(off, since, last, "2026-11-27T10:20:00Z"), "pass 2026-11-27T10:00:00Z, 0 missed");
    assert_eq!(said(off, since, Some("2026-11-27T10:00:00Z"), "2026-11-27T10:20:00Z"), "wait until for ever");
}

#[test]
fn a_changed_schedule_counts_from_its_change_on() {
    let now = "2026-11-27T10:30:00Z";
    let hourly = said("schedule: 0 * * * *", now, Some("2026-11-27T02:30:00Z"), now);
    assert_eq!(hourly, "wait until 2026-11-27T11:00:00Z");
}

#[test]
fn a_clock_that_goes_back_lets_nothing_run_twice() {
    let (since, last) = ("2026-11-01T00:00:00Z", Some("2026-11-28T02:30:00Z"));
    assert_eq!(said(DAILY, since, last, "2026-11-28T01:00:00Z"), "wait until 2026-11-29T02:30:00Z");
}

#[test]
fn a_clock_that_was_wrong_by_a_year_does_not_stop_backups_for_a_year() {
    let (since, last) = ("2026-11-01T00:00:00Z", Some("2027-11-28T02:30:00Z"));
    assert_eq!(said(DAILY, since, last, "2026-11-28T01:00:00Z"), "wait until 2026-11-28T02:30:00Z");
    let both = said(DAILY, "2027-11-28T00:00:00Z", last, "2026-11-28T01:00:00Z");
    assert_eq!(both, "wait until 2026-11-28T02:30:00Z");
}

#[test]
fn a_clock_that_jumps_forward_is_an_outage() {
    let (since, last) = ("2026-11-01T00:00:00Z", Some("2026-11-27T02:30:00Z"));
    assert_eq!(said(DAILY, since, last, "2026-11-30T12:00:00Z"), "run 2026-11-30T02:30:00Z, 2 missed");
}

#[test]
fn a_month_of_minutes_is_counted_up_to_a_limit_and_the_newest_is_found() {
    let minutes = "schedule: '* * * * *'";
    let long = said(minutes, "2026-01-01T00:00:00Z", None, "2026-11-27T10:20:30Z");
    assert_eq!(long, "run 2026-11-27T10:20:00Z, 1000 missed");
}

#[test]
fn both_changes_of_the_clock_keep_one_run_a_day() {
    let berlin = "schedule: 30 2 * * *\ntimeZone: Europe/Berlin";
    let spring = said(berlin, "2026-03-01T00:00:00Z", Some("2026-03-28T01:30:00Z"), "2026-03-29T01:00:00Z");
    assert_eq!(spring, "run 2026-03-29T01:00:00Z, 0 missed");
    let day_after =
        said(berlin, "2026-03-01T00:00:00Z", Some("2026-03-29T01:00:00Z"), "2026-03-30T00:29:59Z");
    assert_eq!(day_after, "wait until 2026-03-30T00:30:00Z");
    let first = said(berlin, "2026-10-01T00:00:00Z", Some("2026-10-24T00:30:00Z"), "2026-10-25T00:30:00Z");
    assert_eq!(first, "run 2026-10-25T00:30:00Z, 0 missed");
    let second = said(berlin, "2026-10-01T00:00:00Z", Some("2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
    assert_eq!(second, "wait until 2026-10-26T01:30:00Z");
}

#[test]
fn jitter_moves_every_run_of_a_policy_by_the_same_length() {
    let spread = timing("schedule: 0 * * * *\njitter: 10m");
    let memory = Memory { since: at("2026-11-27T10:30:00Z"), last_due: None };
    let Verdict::Wait(Some(first)) = spread.decide(memory, memory.since) else { panic!("it waits") };
    let offset = first.duration_since(at("2026-11-27T11:00:00Z"));
    assert!((0..=600).contains(&offset.as_secs()), "{offset}");
    assert_eq!(spread.decide(memory, first), Verdict::Run { due: at("2026-11-27T11:00:00Z"), missed: 0 });
    assert_eq!(spread.decide(memory, first - 1.second()), Verdict::Wait(Some(first)));
    let other: PolicySpec =
        serde_saphyr::from_str("locations: [a]\nschedule: 0 * * * *\njitter: 10m").unwrap();
    let elsewhere = Timing::of(&other, "nightly", "dev").unwrap().unwrap();
    assert_ne!(elsewhere.offset, spread.offset);
}

#[test]
fn the_period_is_the_longest_gap() {
    let weekdays = timing("schedule: 0 2 * * 1-5");
    assert_eq!(weekdays.period(at("2026-11-27T10:00:00Z")), Some(Duration::from_hours(72)));
}

proptest! {
    /// However the clock stands at each look, every due time is dealt with at most once, in order, and the last one is.
    #[test]
    fn every_due_time_is_dealt_with_once(looks in proptest::collection::vec(1_i64..20_000, 1..60)) {
        let timing = timing("schedule: 17,47 * * * *\ntimeZone: America/New_York");
        let mut now = at("2026-10-31T22:00:00Z");
        let mut memory = Memory { since: now, last_due: None };
        let mut counted = 0;
        for seconds in looks {
            now += seconds.seconds();
            if let Verdict::Run { due, missed } = timing.decide(memory, now) {
                prop_assert!(due <= now && memory.last_due.is_none_or(|last| due > last));
                counted += missed + 1;
                memory.last_due = Some(due);
            }
            prop_assert!(matches!(timing.decide(memory, now), Verdict::Wait(Some(next)) if next > now));
        }
        let mut expected = 0;
        let mut due = timing.schedule.next(memory.since);
        while let Some(moment) = due.filter(|moment| *moment <= now) {
            expected += 1;
            due = timing.schedule.next(moment);
        }
        prop_assert_eq!(counted, expected);
    }
}
