//! Claims about who may restore, on the memory cluster.

use super::*;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::engine::recovery::run::tests::{fresh, known, log, shelf, worker};
use crate::engine::restore::apply::tests::World;

const ASK: Ask<'_> = Ask { token: Some("one"), digest: "d" };

#[tokio::test]
async fn a_worker_that_shows_signs_of_life_keeps_its_request() {
    let world = World::new();
    let first = log(&world, 1, Some("one")).await;
    let reach = world.reach();
    let works = async {
        for _ in 0..10 {
            world.sleep(3).await;
            first.desk.as_ref().unwrap().note(&reach, &first.run).await.unwrap();
        }
    };
    let place = shelf();
    let (second, ()) = tokio::join!(turn(&reach, &place, &ASK, &|_| false), works);
    assert!(matches!(second, Err(Error::Held { worker: held, .. }) if held == worker(1)));
}

#[tokio::test]
async fn a_silent_worker_is_gone_after_a_while() {
    let world = World::new();
    log(&world, 1, Some("one")).await;
    let before = world.reach().clock.now();
    let Turn::Ours(ticket) = turn(&world.reach(), &shelf(), &ASK, &|_| false).await.unwrap() else {
        panic!("it was not done")
    };
    assert_eq!(ticket.pinned(), Some("snapshot-1"));
    assert!(world.reach().clock.now().duration_since(before).as_secs() >= 15);
}

#[tokio::test]
async fn of_two_that_begin_at_once_one_gets_the_request() {
    let world = World::new();
    let reach = world.reach();
    let mut tickets = Vec::new();
    for _ in 0..2 {
        match turn(&reach, &shelf(), &ASK, &|_| true).await.unwrap() {
            Turn::Ours(ticket) => tickets.push(*ticket),
            Turn::Done(_) => panic!("it was not done"),
        }
    }
    let (second, first) = (tickets.remove(1), tickets.remove(0));
    begin(&reach, first, (shelf(), worker(1)), fresh(&world, Some("one"))).await.unwrap();
    let lost = begin(&reach, second, (shelf(), worker(2)), fresh(&world, Some("one"))).await;
    assert!(matches!(lost, Err(Error::Journal(journal::Error::Raced))));
    assert_eq!(known(&world).await.attempts, 1);
}

#[tokio::test]
async fn a_cluster_that_forbids_a_journal_gets_the_restore_without_one_unless_there_is_a_token() {
    let world = World::new();
    world.cluster.inject(Fault::always(Verb::Get, "configmaps", Effect::Forbidden));
    let reach = world.reach();
    assert!(turn(&reach, &shelf(), &ASK, &|_| true).await.is_err());
    let ask = Ask { token: None, ..ASK };
    let Turn::Ours(ticket) = turn(&reach, &shelf(), &ask, &|_| true).await.unwrap() else {
        panic!("it was not done")
    };
    assert!(ticket.notes()[0].starts_with("no journal is kept: "), "{:?}", ticket.notes());
    let log = begin(&reach, *ticket, (shelf(), worker(1)), fresh(&world, None)).await.unwrap();
    assert!(log.desk.is_none());
}

#[tokio::test]
async fn a_journal_that_was_changed_by_hand_is_named() {
    let world = World::new();
    log(&world, 1, None).await;
    world
        .kubectl("{apiVersion: v1, kind: ConfigMap, metadata: {name: backstay-restore-mend, namespace: backstay}, data: {run: mine}}")
        .await;
    let error = turn(&world.reach(), &shelf(), &ASK, &|_| true).await.unwrap_err();
    assert!(error.to_string().contains("backstay/backstay-restore-mend: it was changed by hand"), "{error}");
}
