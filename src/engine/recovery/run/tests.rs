//! Claims about whole restores and their journals, on the memory cluster.

use serde_json::json;

use super::*;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::object::Json;
use crate::domain::report::ObjectAction;
use crate::engine::journal::{self, Book, Shelf, Worker};
use crate::engine::recovery::cancel::cancel;
use crate::engine::recovery::claim::Ask;
use crate::engine::recovery::turn::{Turn, begin, turn};
use crate::engine::restore::apply::tests::{ONLY_SHOP, World, lose_shop, request, shown, with_shop};

pub fn worker(process: u32) -> Worker {
    Worker { machine: "one".into(), process, since: "0".into() }
}

pub fn shelf() -> Shelf {
    Shelf::of(Book::Restores, "mend", "backstay")
}

/// A definition that never becomes established keeps a restore waiting for a minute.
const STUCK: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: slow, namespace: shop}
spec: {hard: {pods: 4}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: 'web:1'}]}}
";

const MEND: &str = "
select: {namespaces: {include: [shop]}}
fixups:
  - {name: first, label: {target: {kind: Namespace, name: shop}, set: {mended: 'yes'}}}
  - {name: second, annotate: {target: {kind: Namespace, name: shop}, set: {mended: 'yes'}}}
";

pub async fn job(world: &World, state: State, spec: &str) -> Job {
    let mut plan = world.plan(&state, spec).await;
    let owners = request(spec).owners;
    let asked = crate::engine::decide::gitops::Asked { owners, restore: "request mend" };
    let pause = pause::look(&mut plan, asked, &world.reach()).await.unwrap();
    Job { state, plan, pause, fixups: fixups::compile(&request(spec).fixups).unwrap() }
}

pub fn fresh(world: &World, token: Option<&str>) -> RestoreRun {
    let run = json!({"request": "mend", "digest": "d", "source": "snapshot test", "phase": "Running", "waves": 3,
        "attempts": 1, "token": token, "pinned": "snapshot-1", "started": world.clock_now()});
    serde_json::from_value(run).unwrap()
}

/// Takes the turn as a process and begins.
pub async fn log(world: &World, process: u32, token: Option<&str>) -> Log {
    let reach = world.reach();
    let ask = Ask { token, digest: "d" };
    let Turn::Ours(ticket) = turn(&reach, &shelf(), &ask, &|_| true).await.unwrap() else {
        panic!("was done")
    };
    let run = RestoreRun { notes: ticket.notes(), ..fresh(world, token) };
    begin(&reach, *ticket, (shelf(), worker(process)), run).await.unwrap()
}

pub async fn known(world: &World) -> RestoreRun {
    journal::read(&world.reach(), &shelf()).await.unwrap().unwrap().run
}

#[tokio::test]
async fn the_journal_tells_how_a_restore_ended() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    let job = job(&world, state, MEND).await;
    let mut log = log(&world, 1, Some("one")).await;
    let report = run(&job, (&world.reach(), None), &mut log).await.unwrap();
    assert!(shown(&report).starts_with("Complete"), "{}", shown(&report));
    let known = known(&world).await;
    assert_eq!((known.phase, known.outcome, known.attempts), (Phase::Finished, Some(Outcome::Complete), 1));
    assert!(known.objects[&ObjectAction::Created] >= 5, "{known:?}");
    assert_eq!(known.fixups.len(), 2);
    let again =
        turn(&world.reach(), &shelf(), &Ask { token: Some("one"), digest: "d" }, &|_| true).await.unwrap();
    assert!(matches!(again, Turn::Done(run) if run.outcome == Some(Outcome::Complete)));
}

#[tokio::test]
async fn the_journal_and_a_namespace_made_for_it_stay_out_of_backups() {
    let (world, state) = with_shop().await;
    let job = job(&world, state, ONLY_SHOP).await;
    let mut log = log(&world, 1, None).await;
    run(&job, (&world.reach(), None), &mut log).await.unwrap();
    let catalog = crate::domain::rules::Catalog::builtin();
    assert_eq!(world.object("Namespace", "backstay").unwrap().label("backstay.dev/exclude"), Some("true"));
    for (kind, place) in [("ConfigMap", "backstay/backstay-restore-mend"), ("Namespace", "backstay")] {
        let object = world.object(kind, place).unwrap();
        let rules = catalog.kind(&world.resource(&object).await);
        assert!(rules.never(&object).is_some(), "{kind} {place}");
    }
}

#[tokio::test]
async fn fixups_that_had_ended_are_not_repeated() {
    let (world, state) = with_shop().await;
    let job = job(&world, state, MEND).await;
    let mut first = log(&world, 1, None).await;
    first.run.fixups.insert("first".into(), FixupOutcome::Verified);
    first.desk.as_ref().unwrap().note(&world.reach(), &first.run).await.unwrap();
    let mut second = log(&world, 2, None).await;
    assert_eq!((second.run.attempts, second.run.pinned.as_deref()), (2, Some("snapshot-1")));
    let report = run(&job, (&world.reach(), None), &mut second).await.unwrap();
    let namespace = world.object("Namespace", "shop").unwrap();
    assert_eq!((namespace.label("mended"), namespace.annotation("mended")), (None, Some("yes")));
    assert_eq!(report.fixups[0].reason.as_deref(), Some("it had ended before the restore was interrupted"));
    assert!(report.notes.iter().any(|note| note.contains("was interrupted")), "{:?}", report.notes);
}

/// A job that waits for a minute of the cluster's time in the middle of its waves.
async fn slow(world: &World) -> Job {
    let state = world.state(STUCK).await;
    world.cluster.inject(Fault::always(Verb::Apply, "resourcequotas", Effect::Slow(Duration::from_mins(1))));
    world.cluster.inject(Fault::always(Verb::Create, "resourcequotas", Effect::Slow(Duration::from_mins(1))));
    job(world, state, "{}").await
}

#[tokio::test]
async fn a_cancelled_restore_stops_between_two_objects_and_says_so() {
    let world = World::new();
    let job = slow(&world).await;
    let mut log = log(&world, 1, Some("one")).await;
    let (reach, shelf) = (world.reach(), shelf());
    let stop = async {
        world.sleep(5).await;
        cancel(&reach, &shelf, ("ann", worker(2)), &|_| false).await.unwrap().unwrap()
    };
    let (report, ended) = tokio::join!(run(&job, (&reach, None), &mut log), stop);
    let report = report.unwrap();
    assert_eq!(report.outcome, Outcome::Partial);
    assert!(report.notes.iter().any(|note| note.starts_with("cancelled by ann: ")), "{:?}", report.notes);
    assert!(world.object("Deployment", "shop/web").is_none());
    assert_eq!((ended.phase, ended.outcome), (Phase::Finished, Some(Outcome::Partial)));
    let done = turn(&reach, &shelf, &Ask { token: Some("one"), digest: "d" }, &|_| true).await.unwrap();
    assert!(matches!(done, Turn::Done(_)), "a cancelled run does not start again by itself");
}

#[tokio::test]
async fn a_run_whose_process_is_gone_is_cancelled_all_the_same() {
    let world = World::new();
    log(&world, 1, Some("one")).await;
    let ended = cancel(&world.reach(), &shelf(), ("ann", worker(2)), &|_| true).await.unwrap().unwrap();
    assert_eq!((ended.phase, ended.outcome), (Phase::Finished, Some(Outcome::Failed)));
    assert_eq!(known(&world).await.notes, ["cancelled by ann; its process was gone"]);
}

#[tokio::test]
async fn a_run_that_was_taken_over_stops_and_leaves_the_journal_to_the_other() {
    let world = World::new();
    let job = slow(&world).await;
    let mut first = log(&world, 1, None).await;
    let reach = world.reach();
    let other = async {
        world.sleep(3).await;
        log(&world, 2, None).await
    };
    let (report, second) = tokio::join!(run(&job, (&reach, None), &mut first), other);
    let notes = report.unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("another process has taken")), "{notes:?}");
    let known = known(&world).await;
    assert_eq!((known.phase, known.attempts), (Phase::Running, second.run.attempts));
}

#[tokio::test]
async fn news_is_in_the_journal_while_the_restore_is_at_work() {
    let world = World::new();
    let job = slow(&world).await;
    let mut log = log(&world, 1, None).await;
    let look = async {
        world.sleep(20).await;
        known(&world).await
    };
    let reach = world.reach();
    let (_, seen) = tokio::join!(run(&job, (&reach, None), &mut log), look);
    let wave = seen.wave.unwrap();
    assert_eq!(
        (seen.phase, wave.name.as_str(), wave.done, wave.objects),
        (Phase::Running, "configuration", 0, 1)
    );
    assert_eq!(seen.objects[&ObjectAction::Created], 1);
}

#[tokio::test]
async fn an_end_that_cannot_be_written_is_a_note_of_the_report() {
    let (world, state) = with_shop().await;
    let job = job(&world, state, ONLY_SHOP).await;
    let mut log = log(&world, 1, None).await;
    world.cluster.inject(Fault::always(Verb::Patch, "configmaps", Effect::Forbidden));
    let report = run(&job, (&world.reach(), None), &mut log).await.unwrap();
    assert_eq!(report.outcome, Outcome::Complete);
    assert!(report.notes.iter().any(|note| note.contains("not in its journal")), "{:?}", report.notes);
}

#[test]
fn a_journal_shows_names_and_reasons_only() {
    let fields: Vec<String> = serde_json::to_value(fresh(&World::new(), Some("t")))
        .unwrap()
        .as_object()
        .map(|map: &serde_json::Map<String, Json>| map.keys().cloned().collect())
        .unwrap();
    let expected =
        ["attempts", "digest", "phase", "pinned", "request", "source", "started", "token", "waves"];
    let mut fields = fields;
    fields.sort();
    assert_eq!(fields, expected);
}
