//! Claims about hooks, on the memory cluster and its containers.

use async_trait::async_trait;
use insta::assert_snapshot;

use super::*;
use crate::adapters::memory::exec::Containers;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::hook::HttpHook;
use crate::domain::rules::Catalog;
use crate::engine::hooks::calm::Calm;
use crate::engine::restore::apply::tests::World;
use crate::ports::http::{Answer, Http, Unanswered};

const DATABASE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {tier: gold}}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
data: {password: aHVudGVyMi1odW50ZXIy}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop, labels: {app: db}}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: istio-proxy, image: proxy}, {name: db, image: postgres}]}
";

/// A service that answers 204, unless its address holds `bad`.
struct Service;

#[async_trait]
impl Http for Service {
    async fn call(&self, request: &HttpHook) -> Result<Answer, Unanswered> {
        match request.url.as_str() {
            url if url.contains("bad") => Ok(Answer { status: 503 }),
            url if url.contains("dead") => Err(Unanswered("connection refused".into())),
            _ => Ok(Answer { status: 204 }),
        }
    }

    async fn post(&self, _: &crate::ports::http::Post) -> Result<Answer, Unanswered> {
        Err(Unanswered("hooks post nothing".into()))
    }
}

/// A cluster with a database, its containers, and what is known.
pub(in crate::engine) struct Stage {
    pub world: World,
    pub containers: Containers,
    pub calm: Calm,
    catalog: Catalog,
}

impl Stage {
    pub async fn new(manifests: &str) -> Self {
        let world = World::new();
        world.kubectl(manifests).await;
        world.sleep(30).await;
        let containers = Containers::new(world.cluster.clone(), world.clock.clone());
        Self { world, containers, calm: Calm::default(), catalog: Catalog::builtin() }
    }

    pub fn doors(&self) -> Doors<'_> {
        Doors {
            reach: self.world.reach(),
            exec: &self.containers,
            http: &Service,
            catalog: &self.catalog,
            calm: &self.calm,
            home: "backstay",
        }
    }

    /// Runs hooks at a moment and tells what came of them.
    pub async fn run(&self, hooks: &str, when: HookWhen) -> String {
        told(&run(&self.doors(), &ground(&read(hooks)), when).await)
    }
}

/// Hooks in place: a list of `name` and `spec`.
pub(in crate::engine) fn read(hooks: &str) -> Vec<Hook> {
    serde_saphyr::from_str(hooks).unwrap()
}

pub(in crate::engine) fn ground(hooks: &[Hook]) -> Ground<'_> {
    Ground {
        hooks,
        places: Places { known: None, has: &|name: &str| name == "shop" },
        annotations: Some(&|_: &Pod| true),
        done: BTreeSet::new(),
        by: "policy shop",
    }
}

pub(in crate::engine) fn told(reports: &[HookReport]) -> String {
    let mut lines = Vec::new();
    for report in reports {
        let reason = report.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("{} {:?}{reason}", report.name, report.outcome));
        for run in &report.runs {
            let code = run.code.map(|code| format!(" {code}")).unwrap_or_default();
            let reason = run.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            lines.push(format!("  {}: {:?}{code}{reason}", run.target, run.result));
            lines.extend(run.notes.iter().map(|note| format!("    note: {note}")));
            lines.extend(run.stdout.lines().map(|line| format!("    stdout: {line}")));
            lines.extend(run.stderr.lines().map(|line| format!("    stderr: {line}")));
        }
    }
    lines.join("\n")
}

#[tokio::test]
async fn hooks_run_by_weight_and_name_in_the_right_container() {
    let stage = Stage::new(DATABASE).await;
    let hooks = "
- {name: c, spec: {when: PreBackup, weight: 5, exec: {command: [echo, last]}}}
- {name: b, spec: {when: PreBackup, exec: {command: [echo, second]}, scope: Workload}}
- {name: a, spec: {when: PreBackup, exec: {command: [echo, first]}, labelSelector: {matchLabels: {app: db}}}}
- {name: after, spec: {when: PostBackup, exec: {command: [echo, not now]}}}
";
    assert_snapshot!(stage.run(hooks, HookWhen::PreBackup).await, @"
    a Succeeded
      Pod shop/db-0, container db: Succeeded 0
        note: container db: the others are known sidecars
        stdout: first
      Pod shop/db-1, container db: Succeeded 0
        note: container db: the others are known sidecars
        stdout: first
    b Succeeded
      StatefulSet.apps shop/db, pod db-0, container db: Succeeded 0
        note: container db: the others are known sidecars
        stdout: second
    c Succeeded
      Pod shop/db-0, container db: Succeeded 0
        note: container db: the others are known sidecars
        stdout: last
      Pod shop/db-1, container db: Succeeded 0
        note: container db: the others are known sidecars
        stdout: last
    ");
    assert_eq!(
        stage.containers.calls(),
        [
            "shop/db-0/db: echo first",
            "shop/db-1/db: echo first",
            "shop/db-0/db: echo second",
            "shop/db-0/db: echo last",
            "shop/db-1/db: echo last"
        ]
    );
}

/// One hook for each way to fail, and some that do not.
const FAILING: &str = "
- {name: a-code, spec: {when: PreBackup, labelSelector: {matchLabels: {app: db}}, exec: {command: [sh, -c, echo bad >&2; exit 3]}}}
- {name: b-late, spec: {when: PreBackup, timeout: 2s, labelSelector: {matchLabels: {app: db}}, exec: {command: [sh, -c, echo begun; sleep 600]}}}
- {name: c-container, spec: {when: PreBackup, onError: Continue, labelSelector: {matchLabels: {app: db}}, exec: {container: nobody, command: ['true']}}}
- {name: d-program, spec: {when: PreBackup, labelSelector: {matchLabels: {app: db}}, exec: {command: [nosuch]}}}
- {name: e-shell, spec: {when: PreBackup, labelSelector: {matchLabels: {app: bare}}, exec: {command: [sh, -c, 'true']}}}
- {name: f-without, spec: {when: PreBackup, labelSelector: {matchLabels: {app: bare}}, exec: {command: ['true']}}}
- {name: g-nothing, spec: {when: PreBackup, labelSelector: {matchLabels: {app: none}}, exec: {command: ['true']}}}
- {name: h-required, spec: {when: PreBackup, required: true, labelSelector: {matchLabels: {app: none}}, exec: {command: ['true']}}}
- {name: i-http, spec: {when: PreBackup, http: {url: 'https://bad.example.org'}}}
- {name: j-dead, spec: {when: PreBackup, http: {url: 'https://dead.example.org'}}}
- {name: k-fine, spec: {when: PreBackup, http: {url: 'https://example.org'}}}
";

#[tokio::test]
async fn every_way_to_fail_has_a_name_and_stops_no_other_hook() {
    let stage = Stage::new(DATABASE).await;
    stage
        .world
        .kubectl(
            "
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop, labels: {app: bare}}
spec: {containers: [{name: bare, image: distroless}]}
",
        )
        .await;
    stage.world.sleep(30).await;
    assert_snapshot!(stage.run(FAILING, HookWhen::PreBackup).await, @"
    a-code Failed
      Pod shop/db-0, container db: ExitCode 3: exit code 3
        note: container db: the others are known sidecars
        stderr: bad
      Pod shop/db-1, container db: ExitCode 3: exit code 3
        note: container db: the others are known sidecars
        stderr: bad
    b-late Failed
      Pod shop/db-0, container db: TimedOut: it took longer than 2s; its process group was ended with SIGTERM
        note: container db: the others are known sidecars
        stdout: begun
      Pod shop/db-1, container db: TimedOut: it took longer than 2s; its process group was ended with SIGTERM
        note: container db: the others are known sidecars
        stdout: begun
    c-container Warned
      Pod shop/db-0: NoSuchContainer: the pod has no container nobody
      Pod shop/db-1: NoSuchContainer: the pod has no container nobody
    d-program Failed
      Pod shop/db-0, container db: CommandNotFound 127: the container has no program nosuch
        note: container db: the others are known sidecars
        stderr: sh: nosuch: not found
      Pod shop/db-1, container db: CommandNotFound 127: the container has no program nosuch
        note: container db: the others are known sidecars
        stderr: sh: nosuch: not found
    e-shell Failed
      Pod shop/bare, container bare: CommandNotFound: the container has no shell: the container has no program sh
    f-without Succeeded
      Pod shop/bare, container bare: Succeeded 0
        note: the container has no shell: the command ran without one and could not be ended
    g-nothing Warned: nothing matched: no pod, workload or namespace is meant
    h-required Failed: nothing matched: no pod, workload or namespace is meant
    i-http Failed
      the run: HttpStatus 503: the answer was 503
    j-dead Failed
      the run: Unreachable: no answer: connection refused
    k-fine Succeeded
      the run: Succeeded 204
    ");
    assert_eq!(stage.containers.running(), 0, "the command that took too long was ended");
}

#[tokio::test]
async fn what_admission_or_rbac_forbids_is_told_apart() {
    let stage = Stage::new(DATABASE).await;
    let hooks = "[{name: a, spec: {when: PreBackup, exec: {command: ['true']}, scope: Workload}}]";
    stage.containers.deny("ValidatingAdmissionPolicy 'no-exec' denied request");
    assert_snapshot!(stage.run(hooks, HookWhen::PreBackup).await, @"
    a Failed
      StatefulSet.apps shop/db, pod db-0, container db: Denied: admission denied it: ValidatingAdmissionPolicy 'no-exec' denied request
        note: container db: the others are known sidecars
    ");
    stage.world.cluster.inject(Fault::always(Verb::List, "pods", Effect::Forbidden));
    assert_snapshot!(stage.run(hooks, HookWhen::PreBackup).await, @"
    a NotRun: cannot look for what hooks run for: listing pods: forbidden: this user cannot use pods
    velero-annotations NotRun: cannot look for what hooks run for: listing pods: forbidden: this user cannot use pods
    ");
}

#[tokio::test]
async fn a_secret_of_the_namespace_is_never_shown() {
    let stage = Stage::new(DATABASE).await;
    let hooks = "[{name: a, spec: {when: PreBackup, scope: Workload, exec: {command: [sh, -c, 'echo login hunter2-hunter2 ok; echo aHVudGVyMi1odW50ZXIy >&2']}}}]";
    let shown = stage.run(hooks, HookWhen::PreBackup).await;
    assert!(shown.contains("stdout: login *** ok") && shown.contains("stderr: ***"), "{shown}");
    stage.world.cluster.inject(Fault::always(Verb::List, "secrets", Effect::Forbidden));
    let shown = stage.run(hooks, HookWhen::PreBackup).await;
    assert!(shown.contains("what it printed is not shown") && !shown.contains("login"), "{shown}");
}

#[tokio::test]
async fn failures_are_tried_again_as_often_as_asked() {
    let stage = Stage::new(DATABASE).await;
    let hooks =
        read("[{name: a, spec: {when: PreBackup, scope: Workload, retries: 2, exec: {command: ['false']}}}]");
    let reports = run(&stage.doors(), &ground(&hooks), HookWhen::PreBackup).await;
    assert_eq!((reports[0].runs[0].attempts, stage.containers.calls().len()), (3, 3));
}

#[tokio::test]
async fn workloads_are_scaled_down_and_back() {
    let stage = Stage::new(DATABASE).await;
    let hooks = read("[{name: down, spec: {when: PreBackup, scale: {}}}]");
    let replicas = || {
        let set = stage.world.object("StatefulSet", "shop/db").unwrap();
        set.at("/spec/replicas").cloned().unwrap()
    };
    let reports = run(&stage.doors(), &ground(&hooks), HookWhen::PreBackup).await;
    assert_eq!(
        (told(&reports).as_str(), replicas()),
        ("down Succeeded\n  StatefulSet.apps shop/db: Succeeded", 0.into())
    );
    let back = scale_back(&stage.doors(), &ground(&hooks), HookWhen::PostBackup).await;
    let expected = "down (back) Succeeded\n  StatefulSet.apps shop/db: Succeeded";
    assert_eq!((told(&back).as_str(), replicas()), (expected, 2.into()));
    assert!(scale_back(&stage.doors(), &ground(&hooks), HookWhen::PostBackup).await.is_empty());
}

#[tokio::test]
async fn a_job_runs_in_every_namespace_and_is_deleted() {
    let stage = Stage::new(DATABASE).await;
    let hooks = "[{name: dump, spec: {when: PreBackup, scope: Namespace, labelSelector: {matchLabels: {tier: gold}}, job: {image: i, command: [c]}}}]";
    assert_eq!(stage.run(hooks, HookWhen::PreBackup).await, "dump Succeeded\n  Namespace shop: Succeeded");
    assert!(
        stage
            .world
            .cluster
            .calls()
            .iter()
            .any(|call| call.starts_with("create jobs.batch shop/backstay-dump-"))
    );
    assert!(!stage.world.cluster.objects().iter().any(|object| object.kind() == "Job"));
}

#[tokio::test]
async fn pods_ask_for_hooks_by_annotation() {
    let stage = Stage::new(&DATABASE.replace(
        "metadata: {labels: {app: db}}\n",
        "metadata: {labels: {app: db}, annotations: {pre.hook.backup.velero.io/command: '[\"echo\", \"hello\"]', pre.hook.backup.velero.io/container: db, post.hook.backup.velero.io/command: 'false', post.hook.backup.velero.io/on-error: Continue}}\n",
    )).await;
    assert_snapshot!(stage.run("[]", HookWhen::PreBackup).await, @"
    velero-annotations Succeeded
      Pod shop/db-0, container db: Succeeded 0
        stdout: hello
      Pod shop/db-1, container db: Succeeded 0
        stdout: hello
    ");
    assert_snapshot!(stage.run("[]", HookWhen::PostBackup).await, @"
    velero-annotations Warned
      Pod shop/db-0, container db: ExitCode 1: exit code 1
        note: container db: the others are known sidecars
      Pod shop/db-1, container db: ExitCode 1: exit code 1
        note: container db: the others are known sidecars
    ");
}

#[tokio::test]
async fn a_plan_of_hooks_runs_nothing() {
    let stage = Stage::new(DATABASE).await;
    let hooks = read("[{name: a, spec: {when: PreBackup, exec: {command: ['true']}}}]");
    let writes = stage.world.writes();
    let planned = plan(&stage.doors(), &ground(&hooks), HookWhen::PreBackup).await.unwrap();
    assert_eq!(planned.iter().map(|p| p.targets.len()).collect::<Vec<_>>(), [2]);
    assert_eq!((stage.containers.calls().len(), stage.world.writes()), (0, writes));
}
