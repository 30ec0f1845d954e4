//! The whole reconciler on a cluster in memory.

use std::fs;

use serde_json::json;

use super::world::*;
use super::*;
use crate::domain::custom_resource::Kind;
use crate::domain::object::{Placed, Resource};
use crate::domain::snapshot::SnapshotRecord;
use crate::ports::clock::Clock;
use crate::ports::cluster::{Place, Reader, Scope, Writer};

fn due_times(records: &[SnapshotRecord]) -> Vec<String> {
    records.iter().map(|record| record.id.started().unwrap().strftime("%H:%M:%S").to_string()).collect()
}

const MINUTES: &str = "{schedule: '* * * * *', locations: [vault], retention: {keepLast: 3}}";

#[tokio::test]
async fn a_schedule_makes_one_snapshot_at_each_due_time_and_shows_what_it_does() {
    let world = World::new().await;
    world.policy("minutely", MINUTES);
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), async {
        world.until("two runs", async || world.records("vault").len() >= 2).await;
        assert_eq!(world.condition("BackupPolicy", "minutely", "Ready").await, "True Scheduled");
        world
            .until("shown", async || {
                world.condition("BackupPolicy", "minutely", "Complete").await == "True Complete"
            })
            .await;
        world
            .until("reached", async || {
                world.condition("BackupLocation", "vault", "Ready").await == "True Reached"
            })
            .await;
        world
            .until("in force", async || {
                world.condition("PolicyRepository", "policy", "Ready").await == "True InForce"
            })
            .await;
        world.pass(Duration::from_mins(6)).await;
        let newest = async || {
            let id = world.records("vault").last().unwrap().id.to_string();
            world.get("Snapshot", &id).await.is_some()
        };
        world.until("the newest snapshot has a view", newest).await;
    })
    .await;
    let records = world.records("vault");
    assert!((4..=6).contains(&records.len()), "old ones are pruned: {}", records.len());
    let vault = world.get("BackupLocation", "vault").await.unwrap();
    let proof = vault.at("/status/verified/minutely/soundSnapshot").and_then(Json::as_str);
    assert_eq!(proof, Some(records[0].id.as_str()), "the last one that was read back is kept");
    for pair in records[1..].windows(2) {
        let (one, two) = (pair[0].id.started().unwrap(), pair[1].id.started().unwrap());
        assert_eq!(two.duration_since(one).as_secs(), 60, "{:?}", due_times(&records));
    }
    assert!(
        records
            .iter()
            .all(|record| record.started.duration_since(record.id.started().unwrap()).as_secs() < 5)
    );
    let text = board.metrics();
    for line in [
        "backstay_leader 1",
        "backstay_policy_repository_ready 1",
        "backstay_runs_total{policy=\"minutely\",outcome=\"Complete\"}",
        "backstay_missed_runs_total{policy=\"minutely\"} 0",
        "backstay_period_seconds{policy=\"minutely\"} 60",
        "backstay_location_available{location=\"vault\"} 1",
        "backstay_pruned_total{location=\"vault\"}",
        "backstay_last_verified_timestamp_seconds{policy=\"minutely\",location=\"vault\"}",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_broken_change_of_policy_changes_nothing_and_is_told() {
    let world = World::new().await;
    world.policy("minutely", MINUTES);
    let board = Arc::new(Board::default());
    let ready = async || world.condition("PolicyRepository", "policy", "Ready").await;
    during(world.replica("a", &board), async {
        world.until("in force", async || ready().await == "True InForce").await;
        world.policy("minutely", "{schedule: 'every minute', locations: [vault]}");
        world.until("told", async || ready().await == "False InvalidRevision").await;
        let view = world.get("PolicyRepository", "policy").await.unwrap();
        let problem = view.at("/status/problems/0").unwrap().as_str().unwrap();
        assert!(problem.starts_with("minutely.yaml:4:"), "{problem}");
        let before = world.records("vault").len();
        world.until("it still runs", async || world.records("vault").len() > before).await;
        assert!(board.metrics().contains("backstay_policy_repository_ready 0"));
        world.policy("minutely", "{schedule: '0 3 * * *', locations: [vault]}");
        world.until("mended", async || ready().await == "True InForce").await;
        world
            .until("in force", async || {
                let view = world.get("BackupPolicy", "minutely").await.unwrap();
                view.at("/spec/schedule").and_then(Json::as_str) == Some("0 3 * * *")
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_dies_in_the_middle_of_a_run_is_followed_by_one_that_makes_it_once() {
    let world = World::new().await;
    world.policy("minutely", "{schedule: '* * * * *', locations: [vault]}");
    let boards = [Arc::new(Board::default()), Arc::new(Board::default())];
    {
        let running = async || {
            let policy = world.get("BackupPolicy", "minutely").await;
            policy.is_some_and(|policy| policy.at("/status/running").is_some())
        };
        // It is dropped where it stands: as if it were killed.
        during(world.replica("a", &boards[0]), world.until("a run is at work", running)).await;
    }
    let before = world.records("vault");
    during(world.replica("b", &boards[1]), async {
        world.until("three runs", async || world.records("vault").len() >= before.len() + 3).await;
    })
    .await;
    let records = world.records("vault");
    let times = due_times(&records);
    let mut once = times.clone();
    once.dedup();
    assert_eq!(once, times, "one record for each due time");
}

#[tokio::test]
async fn two_replicas_have_one_leader_and_the_other_follows_when_it_leaves() {
    let world = World::new().await;
    world.policy("minutely", "{schedule: '* * * * *', locations: [vault]}");
    let boards = [Arc::new(Board::default()), Arc::new(Board::default())];
    let (asks, stop) = Stop::pair();
    let leads = |board: &Board| board.metrics().contains("backstay_leader 1");
    let both = async {
        let first = world.replica_until("a", &boards[0], stop);
        let second = async {
            world.clock.sleep(Duration::from_secs(5)).await;
            world.replica("b", &boards[1]).await
        };
        futures::future::try_join(Box::pin(first), Box::pin(second)).await.map(drop)
    };
    during(both, async {
        world.until("one leads", async || leads(&boards[0])).await;
        world.until("a run", async || !world.records("vault").is_empty()).await;
        assert!(!leads(&boards[1]));
        let now = world.clock.now();
        asks.send(true).unwrap();
        world.until("the other follows", async || leads(&boards[1])).await;
        let waited = world.clock.now().duration_since(now);
        assert!(waited.as_secs() < 15, "the seat was left, not waited for: {waited}");
        let before = world.records("vault").len();
        world.until("runs go on", async || world.records("vault").len() >= before + 2).await;
    })
    .await;
    let times = due_times(&world.records("vault"));
    let mut once = times.clone();
    once.dedup();
    assert_eq!(once, times);
}

#[tokio::test]
async fn a_run_on_request_happens_once_for_each_value() {
    let world = World::new().await;
    world.policy("manual", "{locations: [vault]}");
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), async {
        world
            .until("shown", async || {
                world.condition("BackupPolicy", "manual", "Ready").await == "True OnRequest"
            })
            .await;
        world.annotate("BackupPolicy", "manual", "one").await;
        world.until("a run", async || world.records("vault").len() == 1).await;
        world.pass(Duration::from_mins(2)).await;
        assert_eq!(world.records("vault").len(), 1, "not again");
        world.annotate("BackupPolicy", "manual", "two").await;
        world.until("another run", async || world.records("vault").len() == 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_leaves_the_repository_leaves_the_cluster_and_its_snapshots_stay() {
    let world = World::new().await;
    world.policy("minutely", MINUTES);
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), async {
        world.until("a run", async || !world.records("vault").is_empty()).await;
        fs::remove_file(world.folder.path().join("policy/minutely.yaml")).unwrap();
        world.until("gone", async || world.get("BackupPolicy", "minutely").await.is_none()).await;
        let before = world.records("vault").len();
        world.pass(Duration::from_mins(3)).await;
        assert_eq!(world.records("vault").len(), before);
        assert!(!board.metrics().contains("policy=\"minutely\"} 60"), "no metric speaks of it any more");
    })
    .await;
}

#[tokio::test]
async fn what_was_due_during_an_outage_is_made_up_for_once_even_when_all_statuses_are_lost() {
    let world = World::new().await;
    world.policy("minutely", "{schedule: '0 * * * *', locations: [vault]}");
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), async {
        let known = async || world.condition("BackupPolicy", "minutely", "Ready").await == "True Scheduled";
        world.until("shown", known).await;
        world.clock.advance(Duration::from_hours(1));
        world.until("a run", async || !world.records("vault").is_empty()).await;
    })
    .await;
    let kind = Kind::of("BackupPolicy").unwrap().resource();
    let place = Place { namespace: Some(HOME), name: "minutely", subresource: "" };
    world.cluster.delete(&kind, place, crate::domain::fixup::Propagation::Background).await.unwrap();
    world.clock.advance(Duration::from_hours(6));
    during(world.replica("b", &board), async {
        world.until("one more", async || world.records("vault").len() == 2).await;
        world.pass(Duration::from_mins(5)).await;
    })
    .await;
    assert_eq!(world.records("vault").len(), 2, "{:?}", due_times(&world.records("vault")));
}

#[tokio::test]
async fn an_empty_cluster_restores_itself_once_and_then_starts_its_schedules() {
    let world = World::new().await;
    world.make(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})).await;
    let page = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"}, "data": {"a": "1"}});
    world.make(page).await;
    world.policy("minutely", "{schedule: '* * * * *', locations: [vault]}");
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), async {
        world.until("a run", async || !world.records("vault").is_empty()).await;
    })
    .await;
    let fresh = World::new().await;
    fs::rename(world.folder.path().join("vault"), fresh.folder.path().join("old")).unwrap();
    fs::copy(&world.identity, &fresh.identity).unwrap();
    let saved = fresh.records("old");
    assert!(!saved.is_empty());
    fresh.location("old", "ReadOnly");
    fresh.policy("minutely", "{schedule: '* * * * *', locations: [vault]}");
    fresh.write(
        "restore.yaml",
        "apiVersion: backstay.dev/v1alpha1\nkind: RestoreRequest\nmetadata: {name: all}\nspec: {from: {location: old, snapshot: latest}, when: EmptyCluster, token: first}\n",
    );
    let there = async || {
        let kind = Resource::well_known("v1", "ConfigMap", "configmaps", Placed::InNamespaces);
        fresh.cluster.get(&kind, Some("shop"), "web").await.unwrap().is_some()
    };
    during(fresh.replica("a", &board), async {
        fresh
            .until("restored", async || {
                fresh.condition("RestoreRequest", "all", "Ready").await.starts_with("True")
            })
            .await;
        assert!(there().await);
        let kind = Resource::well_known("v1", "ConfigMap", "configmaps", Placed::InNamespaces);
        let place = Place { namespace: Some("shop"), name: "web", subresource: "" };
        fresh.cluster.delete(&kind, place, crate::domain::fixup::Propagation::Background).await.unwrap();
        fresh.until("schedules start", async || fresh.records("vault").len() >= 2).await;
        assert!(!there().await, "it is restored once");
    })
    .await;
    let first = &fresh.records("vault")[0];
    assert!(first.started > fresh.clock.now() - jiff::Span::new().hours(2));
    assert_eq!(fresh.records("old"), saved, "the old snapshots are only read");
}

fn claim(name: &str, namespace: &str) -> Json {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

#[tokio::test]
async fn what_no_policy_covers_is_counted_and_told_once_for_each_change() {
    let world = World::new().await;
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    for name in ["shop", "till"] {
        world.make(namespace(name)).await;
    }
    world.make(claim("data", "till")).await;
    let policy = |include: &str| {
        format!(
            "{{schedule: '0 3 * * *', locations: [vault], select: {{namespaces: {{include: [{include}]}}, clusterResources: {{include: ['*']}}}}}}"
        )
    };
    world.policy("daily", &policy("shop"));
    let board = Arc::new(Board::default());
    let events = async || {
        let kind = Resource::well_known("v1", "Event", "events", Placed::InNamespaces);
        let scope = Scope::Namespace(HOME.into());
        let mut found = Vec::new();
        let each = crate::engine::gather::listing::each(world.cluster.as_ref(), &kind, &scope, "", |event| {
            let text = |at: &str| event.at(at).and_then(Json::as_str).unwrap_or_default().to_owned();
            if text("/reason").ends_with("Covered") {
                let about = format!("{}/{}", text("/involvedObject/kind"), text("/involvedObject/name"));
                found.push(format!("{about} {} {}", text("/reason"), text("/message")));
            }
        });
        each.await.unwrap();
        found
    };
    let counted = |namespaces: u32, volumes: u32| {
        let text = board.metrics();
        text.contains(&format!("backstay_uncovered_namespaces {namespaces}\n"))
            && text.contains(&format!("backstay_uncovered_volumes {volumes}\n"))
            && text.contains("backstay_uncovered_kinds 0\n")
    };
    let others = world.namespaces().await.into_iter().filter(|name| name != "shop" && name != "till");
    let others: Vec<String> = others.collect();
    let rest = u32::try_from(others.len()).unwrap();
    during(world.replica("a", &board), async {
        world.until("counted", async || counted(rest + 1, 1)).await;
        world.pass(Duration::from_mins(31)).await;
        let told = events().await;
        assert_eq!(told.len(), 1, "only a change is told: {told:?}");
        assert!(told[0].starts_with("PolicyRepository/policy NotCovered "), "{told:?}");
        assert!(told[0].contains("claim till/data: no policy selects it"), "{told:?}");
        let posts = world.posts.0.lock().unwrap().clone();
        assert_eq!(posts.len(), 1, "{posts:?}");
        assert_eq!(posts[0]["reason"], "NotCovered");
        assert!(
            board.metrics().contains("backstay_notifications_total{receiver=\"team\",outcome=\"Sent\"} 1")
        );
        world.policy("daily", &policy(&format!("shop, till, {}", others.join(", "))));
        world.until("covered", async || counted(0, 0)).await;
        world.until("told", async || events().await.len() == 2).await;
        world.make(namespace("late")).await;
        world.pass(Duration::from_mins(10)).await;
        world.until("it is looked again", async || counted(1, 0)).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_missed_in_an_outage_is_counted_by_the_process_that_comes_after() {
    let world = World::new().await;
    world.policy("minutely", MINUTES);
    during(world.replica("a", &Arc::new(Board::default())), async {
        world.until("a run", async || !world.records("vault").is_empty()).await;
        world.pass(Duration::from_secs(5)).await;
    })
    .await;
    world.pass(Duration::from_mins(10)).await;
    let before = world.records("vault").len();
    let board = Arc::new(Board::default());
    during(world.replica("b", &board), async {
        world.until("a run", async || world.records("vault").len() > before).await;
        world.pass(Duration::from_secs(5)).await;
    })
    .await;
    let text = board.metrics();
    let line = "backstay_missed_runs_total{policy=\"minutely\"} ";
    let missed = text.lines().find_map(|found| found.strip_prefix(line)).expect("it is counted");
    assert!((8..=10).contains(&missed.parse::<u64>().unwrap()), "{missed}");
}

#[tokio::test]
async fn a_policy_whose_archive_cannot_say_when_it_ran_is_not_ready() {
    let world = World::new().await;
    world.policy("minutely", MINUTES);
    let vault = world.folder.path().join("vault");
    fs::write(&vault, "no folder").unwrap();
    let board = Arc::new(Board::default());
    let ready = |value: &str| {
        board.metrics().contains(&format!("backstay_policy_ready{{policy=\"minutely\"}} {value}"))
    };
    during(world.replica("a", &board), async {
        world.until("it is known", async || ready("0")).await;
        world.pass(Duration::from_mins(2)).await;
        assert!(ready("0"));
        fs::remove_file(&vault).unwrap();
        world.until("it runs", async || ready("1") && !world.records("vault").is_empty()).await;
    })
    .await;
}
