//! What a replica decides, without anything that acts.

use serde_json::json;

use super::*;
use crate::domain::object::Json;
use crate::domain::status::PolicyStatus;
use crate::engine::seal::age::Identities;
use crate::reconcile::desk::{Fallback, Settings};
use crate::reconcile::event::{Telling, Tone};
use crate::reconcile::merge::merge;
use crate::reconcile::resource::Resource;

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn at(text: &str) -> Timestamp {
    format!("2026-11-27T{text}Z").parse().unwrap()
}

fn resource(kind: &'static str, name: &str, (spec, status): (Json, Json)) -> Resource {
    Resource {
        key: Key::new(kind, name),
        uid: name.into(),
        generation: 1,
        is_view: false,
        held: None,
        requested: None,
        spec,
        status,
    }
}

/// A leader with these custom resources in force.
fn leader(documents: Vec<Resource>, now: Timestamp) -> Desk {
    let settings = Settings {
        replica: "a".into(),
        git: false,
        resources: true,
        interval: Duration::from_mins(1),
        restores: true,
        runs: 2,
        cluster: "prod".into(),
        fallback: Fallback::Views,
    };
    let mut desk = Desk::new(settings, now);
    let archive = json!({"archive": {"url": "s3://vault"}, "recipients": [RECIPIENT]});
    let mut all = vec![resource("BackupLocation", "vault", (archive, Json::Null))];
    all.extend(documents);
    desk.leads_until = Some(after(now, lease::TRUST));
    desk.served = true;
    let merged = merge(None, None, &all, &Identities::default());
    assert!(merged.wrong.is_empty(), "{:?}", merged.wrong);
    desk.resources = Some(all);
    desk.enforce(merged.in_force.unwrap(), now);
    desk
}

/// A policy that was seen at ten, and what its status says besides.
fn policy(name: &str, spec: &Json, status: &Json) -> Resource {
    let mut whole = json!({"locations": ["vault"]});
    json_patch::merge(&mut whole, spec);
    let schedule = whole["schedule"].as_str().map(|text| format!("{text} UTC"));
    let mut known = json!({"scheduledSince": at("10:00:00"), "schedule": schedule});
    json_patch::merge(&mut known, status);
    resource("BackupPolicy", name, (whole, known))
}

/// Runs, restores and news among what is decided.
fn decided(desk: &mut Desk, now: Timestamp) -> Vec<String> {
    let told = next(desk, now).into_iter().filter_map(|action| match action {
        Action::Run { policy, due, name, .. } => {
            let due = due.map_or("on request".to_owned(), |due| due.strftime("%H:%M").to_string());
            let name = if name == Name::Respect { "" } else { ", takes the name" };
            Some(format!("run {policy} {due}{name}"))
        }
        Action::Restore(name, _) => Some(format!("restore {name}")),
        Action::Look(name) => Some(format!("look for {name}")),
        Action::Tell(Telling::Announce(news)) => {
            assert_eq!(news.tone, Tone::Warning);
            Some(news.reason.to_owned())
        }
        _ => None,
    });
    told.collect()
}

fn hourly() -> Json {
    json!({"schedule": "0 * * * *"})
}

#[test]
fn a_replica_that_does_not_lead_only_looks_for_the_seat() {
    let now = at("11:00:05");
    let mut desk = leader(vec![policy("a", &hourly(), &json!({}))], now);
    desk.leads_until = None;
    let actions = next(&mut desk, now);
    assert!(matches!(actions.as_slice(), [Action::Lead]), "{actions:?}");
}

#[test]
fn a_seat_that_was_sure_for_an_hour_is_none_when_the_clock_goes_back() {
    let desk = leader(Vec::new(), at("11:00:00"));
    assert!(desk.leads(at("11:00:09")) && !desk.leads(at("11:00:10")));
    assert!(!desk.leads(at("10:00:00")));
}

#[test]
fn what_a_replica_left_behind_goes_on_before_anything_newer() {
    let now = at("12:00:05");
    let left = json!({"lastDue": at("11:00:00"), "running": {"due": at("11:00:00"), "started": at("11:00:00"), "by": "b"}});
    let mut desk = leader(vec![policy("a", &hourly(), &left)], now);
    assert_eq!(decided(&mut desk, now), ["run a 11:00"]);
    assert_eq!(desk.policies["a"].status.running.as_ref().unwrap().by, "a");
    assert_eq!(desk.policies["a"].status.last_due, Some(at("11:00:00")), "noon is still to come");
}

#[test]
fn what_was_left_behind_days_ago_is_forgotten() {
    let now = at("12:30:00");
    let days_ago: Timestamp = "2026-11-20T11:00:00Z".parse().unwrap();
    let left =
        json!({"lastDue": at("12:00:00"), "running": {"due": days_ago, "started": days_ago, "by": "b"}});
    let mut desk = leader(vec![policy("a", &hourly(), &left)], now);
    assert_eq!(decided(&mut desk, now), Vec::<String>::new());
    assert_eq!(desk.policies["a"].status.running, None);
}

#[test]
fn a_run_that_is_due_while_one_is_at_work_is_left_out_or_takes_its_place() {
    let (now, later) = (at("11:00:01"), at("12:00:01"));
    let replace = json!({"schedule": "0 * * * *", "concurrencyPolicy": "Replace"});
    let mut desk =
        leader(vec![policy("forbids", &hourly(), &json!({})), policy("replaces", &replace, &json!({}))], now);
    assert_eq!(decided(&mut desk, now), ["run forbids 11:00", "run replaces 11:00"]);
    desk.leads_until = Some(after(later, lease::TRUST));
    assert_eq!(decided(&mut desk, later), ["RunMissed"]);
    assert_eq!(desk.policies["forbids"].status.missed_runs, 1);
    assert!(desk.policies["replaces"].run.as_ref().unwrap().stopping);
    desk.policies.get_mut("replaces").unwrap().run = None;
    desk.policies.get_mut("replaces").unwrap().status.running = None;
    assert_eq!(decided(&mut desk, later), ["run replaces 12:00"]);
}

#[test]
fn no_more_runs_are_at_work_than_allowed_and_the_others_stay_due() {
    let now = at("11:00:01");
    let mut desk = leader(["a", "b", "c"].map(|name| policy(name, &hourly(), &json!({}))).to_vec(), now);
    assert_eq!(decided(&mut desk, now), ["run a 11:00", "run b 11:00"]);
    assert_eq!(desk.policies["c"].status.next_run, Some(at("11:00:00")), "it shows that it is late");
    assert_eq!(desk.policies["a"].status.next_run, Some(at("12:00:00")));
    desk.policies.get_mut("a").unwrap().run = None;
    desk.policies.get_mut("a").unwrap().status.running = None;
    assert_eq!(decided(&mut desk, now), ["run c 11:00"]);
}

#[test]
fn a_process_that_ends_begins_nothing() {
    let now = at("11:00:01");
    let mut desk = leader(vec![policy("a", &hourly(), &json!({}))], now);
    desk.draining = true;
    assert_eq!(decided(&mut desk, now), Vec::<String>::new());
    desk.draining = false;
    assert_eq!(decided(&mut desk, now), ["run a 11:00"]);
}

fn request(when: &str, cluster: Option<&str>, status: Json) -> Resource {
    let mut from = json!({"location": "vault", "snapshot": "latest"});
    if let Some(cluster) = cluster {
        from["cluster"] = json!(cluster);
    }
    resource("RestoreRequest", "all", (json!({"from": from, "when": when, "token": "one"}), status))
}

#[test]
fn an_empty_cluster_is_restored_before_anything_is_saved() {
    let now = at("11:00:01");
    let mut desk =
        leader(vec![policy("a", &hourly(), &json!({})), request("EmptyCluster", None, json!({}))], now);
    assert_eq!(decided(&mut desk, now), ["look for all"]);
    let restore = desk.restores.get_mut("all").unwrap();
    (restore.busy, restore.status.cluster_was_empty) = (false, Some(true));
    assert_eq!(decided(&mut desk, now), Vec::<String>::new(), "not before it is written that it was empty");
    let key = Key::new("RestoreRequest", "all");
    desk.written.insert(key, Some(json!({"clusterWasEmpty": true})));
    assert_eq!(decided(&mut desk, now), ["restore all"]);
    let restore = desk.restores.get_mut("all").unwrap();
    (restore.busy, restore.status.finished, restore.status.outcome) =
        (false, Some(now), Some(Outcome::Complete));
    assert_eq!(decided(&mut desk, now), ["run a 11:00, takes the name"]);
}

#[test]
fn a_restore_that_never_begins_does_not_stop_schedules_for_ever() {
    let now = at("11:00:01");
    let known = json!({"token": "one", "clusterWasEmpty": true});
    let mut desk =
        leader(vec![policy("a", &hourly(), &json!({})), request("EmptyCluster", None, known)], now);
    let restore = desk.restores.get_mut("all").unwrap();
    (restore.failures, restore.try_at) = (PATIENCE - 1, Some(at("11:00:30")));
    assert_eq!(decided(&mut desk, now), Vec::<String>::new());
    desk.restores.get_mut("all").unwrap().failures = PATIENCE;
    assert_eq!(decided(&mut desk, now), ["run a 11:00"]);
}

#[test]
fn a_name_is_taken_over_only_after_a_restore_of_that_name_that_came_to_something() {
    let now = at("11:00:01");
    let ended = |outcome: &str| json!({"token": "one", "clusterWasEmpty": true, "finished": at("10:30:00"), "outcome": outcome});
    for (cluster, outcome, expected) in [
        (None, "Partial", "run a 11:00, takes the name"),
        (Some("prod"), "Complete", "run a 11:00, takes the name"),
        (Some("other"), "Complete", "run a 11:00"),
        (None, "Failed", "run a 11:00"),
    ] {
        let documents =
            vec![policy("a", &hourly(), &json!({})), request("EmptyCluster", cluster, ended(outcome))];
        assert_eq!(decided(&mut leader(documents, now), now), [expected], "{cluster:?} {outcome}");
    }
}

#[test]
fn a_token_that_was_used_is_not_used_again_and_another_one_is() {
    let now = at("11:00:01");
    let done = json!({"token": "one", "finished": at("10:30:00"), "outcome": "Complete"});
    let mut desk = leader(vec![request("Always", None, done.clone())], now);
    assert_eq!(decided(&mut desk, now), Vec::<String>::new());
    let older = json!({"token": "zero", "finished": at("10:30:00"), "outcome": "Complete"});
    let mut desk = leader(vec![request("Always", None, older)], now);
    assert_eq!(decided(&mut desk, now), ["restore all"]);
    let manual = resource(
        "RestoreRequest",
        "all",
        (json!({"from": {"location": "vault", "snapshot": "latest"}, "token": "two"}), done),
    );
    assert_eq!(decided(&mut leader(vec![manual], now), now), Vec::<String>::new());
}

#[test]
fn a_status_is_read_as_it_is_written() {
    let left = json!({"lastDue": at("11:00:00"), "missedRuns": 3});
    let desk = leader(vec![policy("a", &hourly(), &left)], at("11:30:00"));
    let status: PolicyStatus = serde_json::from_value(json!(desk.policies["a"].status)).unwrap();
    assert_eq!((status.last_due, status.missed_runs), (Some(at("11:00:00")), 3));
}
