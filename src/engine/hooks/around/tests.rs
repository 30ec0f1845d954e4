//! Claims about hooks around a run and what it owes, on the memory cluster and its containers.

use super::*;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::engine::hooks::debt::{self, begin, open, take_over};
use crate::engine::hooks::moment::tests::{Stage, ground, read, told};
use crate::engine::journal::Worker;

const POD: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: db, image: postgres}]}
";

const WORKLOAD: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
";

const HOOKS: &str = "
- {name: freeze, spec: {when: PreBackup, exec: {command: [echo, freeze]}}}
- {name: thaw, spec: {when: PostBackup, exec: {command: [echo, thaw]}}}
";

const BACKUP: [HookWhen; 2] = [HookWhen::PreBackup, HookWhen::PostBackup];

fn worker(process: u32) -> Worker {
    Worker { machine: "one".into(), process, since: "0".into() }
}

#[tokio::test]
async fn hooks_after_a_run_run_once_and_only_if_it_was_begun() {
    let stage = Stage::new(POD).await;
    let list = read(HOOKS);
    let hooks = Hooks::new(stage.doors(), ground(&list), BACKUP).await;
    assert!(hooks.settle().await.is_empty(), "nothing was begun");
    hooks.before().await;
    assert_eq!(told(&hooks.after().await).lines().next(), Some("thaw Succeeded"));
    assert!(hooks.settle().await.is_empty(), "a second time");
    assert_eq!(stage.containers.calls(), ["shop/db/db: echo freeze", "shop/db/db: echo thaw"]);
}

#[tokio::test]
async fn only_a_run_with_something_before_it_owes_something_after_it() {
    let stage = Stage::new(POD).await;
    let owed = async |hooks: &str| {
        let list = read(hooks);
        Hooks::new(stage.doors(), ground(&list), BACKUP).await.owed()
    };
    let whole = owed(HOOKS).await;
    assert_eq!((whole.hooks.as_slice(), whole.is_nothing()), (["thaw".to_owned()].as_slice(), false));
    let lines: Vec<&str> = HOOKS.trim().lines().collect();
    assert!(owed(lines[0]).await.is_nothing() && owed(lines[1]).await.is_nothing());
    assert!(owed("[{name: down, spec: {when: PreBackup, scale: {}}}]").await.scaled);
}

#[tokio::test]
async fn what_a_killed_run_owes_is_paid_by_the_next_one_and_only_once() {
    let stage = Stage::new(POD).await;
    let (list, doors) = (read(HOOKS), stage.doors());
    let hooks = Hooks::new(doors, ground(&list), BACKUP).await;
    let debt = begin(&doors.reach, ("backstay", worker(1)), hooks.owed(), &|_| false).await.unwrap();
    hooks.before().await;
    // A second process is refused while the first one lives.
    let keep = debt.keep(&doors.reach);
    let second = begin(&doors.reach, ("backstay", worker(2)), hooks.owed(), &|_| false);
    let refused = tokio::select! {
        never = keep => match never {},
        refused = second => refused,
    };
    assert!(matches!(refused, Err(debt::Error::Held { .. })));
    drop(debt);
    let found = open(&doors.reach, "backstay", &|worker| worker.process == 1).await.unwrap();
    let left = found.left.into_iter().next().unwrap();
    let debt = take_over(&doors.reach, worker(2), left).await.unwrap();
    let reports = pay(&doors, &ground(&list), &debt.owed, HookWhen::PostBackup).await;
    assert!(told(&reports).starts_with("thaw Succeeded: owed by the run of 2026-11-21T"), "{reports:?}");
    debt.close(&doors.reach).await.unwrap();
    assert!(open(&doors.reach, "backstay", &|_| true).await.unwrap().left.is_empty());
}

#[tokio::test]
async fn a_hook_that_the_repository_has_no_more_is_told_and_what_was_not_reached_stays_owed() {
    let stage = Stage::new(POD).await;
    let (list, doors) = (read(HOOKS), stage.doors());
    let hooks = Hooks::new(doors, ground(&list), BACKUP).await;
    let owed = Owed { hooks: vec!["thaw".into(), "old".into()], ..hooks.owed() };
    let reports = pay(&doors, &ground(&list), &owed, HookWhen::PostBackup).await;
    let text = told(&reports);
    assert!(text.contains("old Failed: owed by") && text.contains("does not have it any more"), "{text}");
    assert!(!stays_owed(&reports), "nobody can run it later either");
    let unreached = |result| {
        let mut reports = reports.clone();
        reports.truncate(1);
        reports[0].runs[0].result = result;
        stays_owed(&reports)
    };
    assert!(unreached(HookResult::Unreachable) && !unreached(HookResult::ExitCode));
}

#[tokio::test]
async fn an_account_that_may_not_see_pods_still_makes_its_backup_and_hears_of_it() {
    let stage = Stage::new(POD).await;
    stage.world.cluster.inject(Fault::always(Verb::List, "pods", Effect::Forbidden));
    let hooks = Hooks::new(stage.doors(), ground(&[]), BACKUP).await;
    assert!(hooks.owed().is_nothing());
    let told = told(&hooks.before().await);
    assert!(told.starts_with("velero-annotations NotRun: cannot look for what hooks run for"), "{told}");
    assert!(hooks.after().await.is_empty());
}

#[tokio::test]
async fn a_stop_ends_what_is_at_work_before_it_undoes_it() {
    let stage = Stage::new(POD).await;
    let list = read(
        "
- {name: freeze, spec: {when: PreBackup, exec: {command: [sh, -c, sleep 600; echo frozen > /log]}}}
- {name: late, spec: {when: PreBackup, weight: 1, exec: {command: [echo, late]}}}
- {name: a-slow, spec: {when: PostBackup, exec: {command: [sh, -c, sleep 2]}}}
- {name: thaw, spec: {when: PostBackup, exec: {command: [echo, thaw]}}}
",
    );
    let hooks = Hooks::new(stage.doors(), ground(&list), BACKUP).await;
    let stopped = async {
        while stage.containers.running() == 0 {
            tokio::task::yield_now().await;
        }
        hooks.calm().await;
    };
    let (reports, ()) = tokio::join!(hooks.before(), stopped);
    assert!(
        told(&reports).contains("Interrupted: the run was stopped; its process group was ended"),
        "{reports:?}"
    );
    assert!(told(&reports).contains("late NotRun: the run was stopped before it"), "{reports:?}");
    assert_eq!(stage.containers.running(), 0);
    // Whoever drops the undoing in the middle can do the rest of it later.
    stage.calm.again();
    let begun = async {
        while stage.containers.running() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        reports = hooks.settle() => panic!("it has ended: {reports:?}"),
        () = begun => {}
    }
    assert!(told(&hooks.settle().await).contains("thaw Succeeded"));
    assert!(hooks.settle().await.is_empty());
}

#[tokio::test]
async fn a_workload_is_scaled_back_although_its_hook_is_gone_from_the_repository() {
    let stage = Stage::new(WORKLOAD).await;
    let (list, doors) = (read("[{name: down, spec: {when: PreBackup, scale: {}}}]"), stage.doors());
    let hooks = Hooks::new(doors, ground(&list), BACKUP).await;
    hooks.before().await;
    let replicas = || stage.world.object("Deployment", "shop/web").unwrap().at("/spec/replicas").cloned();
    assert_eq!(replicas(), Some(0.into()));
    let told = told(&pay(&doors, &ground(&[]), &hooks.owed(), HookWhen::PostBackup).await);
    assert!(told.starts_with("scale (back) Succeeded: owed by"), "{told}");
    assert_eq!(replicas(), Some(2.into()));
}
