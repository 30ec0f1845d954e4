//! Claims about restores, on the memory cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;

use super::*;
use crate::adapters::memory::clock::FakeClock;
use crate::adapters::memory::cluster::Cluster;
use crate::domain::fixup::Propagation;
use crate::domain::object::{Json, Manifest, Resource};
use crate::domain::restore_request::RestoreSpec;
use crate::domain::rules::Catalog;
use crate::engine::decide::restore_plan::plan;
use crate::engine::decide::survey::survey;
use crate::engine::retry::Patience;
use crate::engine::saved::manifests::guess;
use crate::engine::yaml;
use crate::ports::clock::Clock;
use crate::ports::cluster::{Conflicts, Mode, Patch, Place, Reader, Writer};

/// A cluster, and what can be saved of it and put back.
pub(crate) struct World {
    pub clock: Arc<FakeClock>,
    pub cluster: Cluster,
}

impl World {
    pub fn new() -> Self {
        let clock = Arc::new(FakeClock::at("2026-11-21T06:30:00Z".parse::<Timestamp>().unwrap()));
        Self { cluster: Cluster::new(clock.clone()), clock }
    }

    pub fn reach(&self) -> Reach<'_> {
        let reach = Reach::new(&self.cluster, &self.cluster, &*self.clock);
        Reach { patience: Patience { total: Duration::from_secs(20), ..Patience::default() }, ..reach }
    }

    pub fn clock_now(&self) -> String {
        self.clock.now().to_string()
    }

    pub async fn sleep(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    pub async fn resource(&self, object: &Manifest) -> Resource {
        let gvk = object.gvk();
        let served = self.cluster.discover().await.unwrap().resources;
        let same = |r: &Resource| r.gvk.group == gvk.group && r.gvk.kind == gvk.kind;
        let guess = || guess(gvk.clone(), object.namespace().is_some());
        served.into_iter().find(same).unwrap_or_else(guess)
    }

    /// Writes documents into the cluster as a person would.
    pub async fn kubectl(&self, text: &str) {
        for object in manifests(text) {
            let resource = self.resource(&object).await;
            let writer = self.cluster.writing_as("kubectl");
            writer.apply(&resource, &object, Conflicts::Force, Mode::Real).await.unwrap();
            self.clock.advance(Duration::from_secs(2));
        }
    }

    /// Everything the cluster holds, as a saved state.
    pub async fn saved(&self) -> State {
        let mut all = Vec::new();
        for object in self.cluster.objects() {
            all.push((Arc::new(self.resource(&object).await), object));
        }
        State::held("snapshot test".into(), all)
    }

    /// Documents as a saved state.
    pub async fn state(&self, text: &str) -> State {
        let mut all = Vec::new();
        for object in manifests(text) {
            all.push((Arc::new(self.resource(&object).await), object));
        }
        State::held("snapshot test".into(), all)
    }

    pub async fn plan(&self, state: &State, spec: &str) -> RestorePlan {
        let known = survey(&self.reach()).await.unwrap().for_state(state, &self.reach()).await;
        plan(state, &request(spec), &Arc::new(Catalog::builtin()), &known).await.unwrap()
    }

    pub async fn restore(&self, state: &State, spec: &str) -> String {
        shown(&self.report(state, spec).await)
    }

    async fn report(&self, state: &State, spec: &str) -> RestoreReport {
        let plan = self.plan(state, spec).await;
        apply(&plan, state, &self.reach()).await.unwrap()
    }

    pub fn object(&self, kind: &str, place: &str) -> Option<Manifest> {
        self.cluster.objects().into_iter().find(|o| o.kind() == kind && o.key().place() == place)
    }

    pub fn writes(&self) -> usize {
        let calls = self.cluster.calls();
        let writes = ["create ", "apply ", "patch ", "delete "];
        calls.iter().filter(|c| writes.iter().any(|w| c.starts_with(w)) && !c.contains("(dry run)")).count()
    }
}

pub(crate) fn manifests(text: &str) -> Vec<Manifest> {
    yaml::parse_all(text).unwrap().into_iter().map(|tree| Manifest::parse(tree).unwrap()).collect()
}

pub(crate) fn request(text: &str) -> RestoreSpec {
    let mut tree = json!({"from": {"location": "archive", "snapshot": "latest"}});
    json_patch::merge(&mut tree, &yaml::parse(text).unwrap());
    serde_json::from_value(tree).unwrap()
}

pub(crate) fn shown(report: &RestoreReport) -> String {
    let line = |object: &ObjectReport| {
        let reason = object.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{:?} {}{reason}", object.action, object.key)
    };
    let mut lines = vec![format!("{:?}", report.outcome)];
    for wave in &report.waves {
        lines.push(format!("{}:", wave.wave));
        lines.extend(wave.objects.iter().map(|object| format!("  {}", line(object))));
        lines.extend(wave.not_ready.iter().map(|object| format!("  late {}", line(object))));
    }
    if report.left_out.iter().any(|o| !is_noise(o)) {
        lines.push("left out:".into());
        lines.extend(
            report.left_out.iter().filter(|o| !is_noise(o)).map(|object| format!("  {}", line(object))),
        );
    }
    lines.join("\n")
}

/// What every cluster makes by itself, under names that chance gives.
fn is_noise(object: &ObjectReport) -> bool {
    let kinds = ["Node", "Pod", "ReplicaSet", "EndpointSlice"];
    object.key.name == "kube-root-ca.crt" || kinds.contains(&object.key.kind.as_str())
}

pub(crate) const SHOP: &str = include_str!("shop.yaml");

pub(crate) const ONLY_SHOP: &str = "select: {namespaces: {include: [shop]}}";

pub(crate) async fn with_shop() -> (World, State) {
    let world = World::new();
    world.kubectl(SHOP).await;
    world.clock.advance(Duration::from_secs(5));
    let state = world.saved().await;
    (world, state)
}

pub(crate) async fn lose_shop(world: &World) {
    let namespace = manifests("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").remove(0);
    let resource = world.resource(&namespace).await;
    let place = Place { namespace: None, name: "shop", subresource: "" };
    world.cluster.delete(&resource, place, Propagation::Background).await.unwrap();
    world.clock.advance(Duration::from_secs(5));
    assert!(world.object("Deployment", "shop/web").is_none());
}

#[tokio::test]
async fn a_lost_namespace_comes_back_in_order_and_a_second_run_changes_nothing() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    assert_snapshot!(world.restore(&state, ONLY_SHOP).await, @"
    Complete
    namespaces:
      Created Namespace shop
    accounts and roles:
      Unchanged ServiceAccount shop/default
      Created ServiceAccount shop/web
    bindings:
      Created RoleBinding.rbac.authorization.k8s.io shop/web
    configuration:
      Created Secret shop/db
    services:
      Created Service shop/web
    workloads:
      Created Deployment.apps shop/web
    ");
    world.clock.advance(Duration::from_secs(5));
    let deployment = world.object("Deployment", "shop/web").unwrap();
    assert_eq!(deployment.at("/status/readyReplicas"), Some(&json!(2)));
    assert_eq!(world.object("Namespace", "shop").unwrap().label("team"), Some("blue"));
    let before = world.cluster.objects();
    assert_snapshot!(world.restore(&state, ONLY_SHOP).await, @"
    Complete
    namespaces:
      Unchanged Namespace shop
    accounts and roles:
      Unchanged ServiceAccount shop/default
      Unchanged ServiceAccount shop/web
    bindings:
      Unchanged RoleBinding.rbac.authorization.k8s.io shop/web
    configuration:
      Unchanged Secret shop/db
    services:
      Unchanged Service shop/web
    workloads:
      Unchanged Deployment.apps shop/web
    ");
    assert_eq!(world.cluster.objects(), before);
}

const WIDGETS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: example.org/v1
kind: Widget
metadata: {name: one, namespace: shop}
spec: {size: 3}
---
apiVersion: gone.example.org/v1
kind: Gadget
metadata: {name: two, namespace: shop}
---
apiVersion: apps/v0
kind: Deployment
metadata: {name: old, namespace: shop}
";

#[tokio::test]
async fn custom_resources_follow_their_definition_in_one_run_and_unknown_kinds_are_named() {
    let world = World::new();
    let state = world.state(WIDGETS).await;
    assert_snapshot!(world.restore(&state, "{}").await, @"
    Partial
    definitions:
      Created CustomResourceDefinition.apiextensions.k8s.io widgets.example.org
    namespaces:
      Created Namespace shop
    custom resources:
      Created Widget.example.org shop/one
    left out:
      Failed Deployment.apps shop/old: it was saved as apps/v0, and of this kind the cluster serves only v1; no rule says how it becomes one of those: write one (`versions` in a catalog of the policy repository), then restore again
      Failed Gadget.gone.example.org shop/two: the cluster does not serve gone.example.org/v1 Gadget, and this restore brings no definition of it
    ");
}

#[tokio::test]
async fn mapped_namespaces_get_new_objects_and_bindings_follow() {
    let (world, state) = with_shop().await;
    let spec = format!("{{namespaceMapping: {{shop: copy}}, {ONLY_SHOP}}}");
    assert_snapshot!(world.restore(&state, &spec).await, @"
    Complete
    namespaces:
      Created Namespace copy
    accounts and roles:
      Unchanged ServiceAccount copy/default
      Created ServiceAccount copy/web
    bindings:
      Created RoleBinding.rbac.authorization.k8s.io copy/web
    configuration:
      Created Secret copy/db
    services:
      Created Service copy/web
    workloads:
      Created Deployment.apps copy/web
    ");
    let binding = world.object("RoleBinding", "copy/web").unwrap();
    assert_eq!(binding.at("/subjects/0/namespace"), Some(&json!("copy")));
}

/// Stops for ever after some writes, as a program that is killed.
pub(crate) struct Mortal<'a> {
    cluster: &'a Cluster,
    left: AtomicI64,
    dead: Notify,
}

impl<'a> Mortal<'a> {
    pub fn new(cluster: &'a Cluster, writes: i64) -> Self {
        Self { cluster, left: AtomicI64::new(writes), dead: Notify::new() }
    }

    /// Returns when it has stopped.
    pub async fn died(&self) {
        self.dead.notified().await;
    }

    async fn lives(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Writer for Mortal<'_> {
    async fn create(&self, r: &Resource, o: &Manifest, m: Mode) -> Result<Manifest, cluster::Error> {
        self.lives().await;
        self.cluster.create(r, o, m).await
    }

    async fn apply(
        &self,
        r: &Resource,
        o: &Manifest,
        c: Conflicts,
        m: Mode,
    ) -> Result<Manifest, cluster::Error> {
        self.lives().await;
        self.cluster.apply(r, o, c, m).await
    }

    async fn patch(
        &self,
        r: &Resource,
        p: Place<'_>,
        patch: &Patch,
        m: Mode,
    ) -> Result<Manifest, cluster::Error> {
        self.lives().await;
        self.cluster.patch(r, p, patch, m).await
    }

    async fn delete_as_read(&self, r: &Resource, read: &Manifest) -> Result<(), cluster::Error> {
        self.cluster.delete_as_read(r, read).await
    }

    async fn delete(&self, r: &Resource, p: Place<'_>, how: Propagation) -> Result<(), cluster::Error> {
        self.lives().await;
        self.cluster.delete(r, p, how).await
    }
}

/// What a person would call the content: no times, uids, versions or addresses.
fn content(world: &World) -> Vec<(ObjectKey, Json)> {
    let mut all: Vec<(ObjectKey, Json)> = world
        .cluster
        .objects()
        .into_iter()
        .filter(|o| o.controller().is_none())
        .map(|o| {
            (
                o.key(),
                json!([o.at("/metadata/labels"), o.at("/data"), o.at("/spec/template"), o.at("/spec/ports")]),
            )
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[tokio::test]
async fn killed_after_any_write_the_same_restore_finishes_the_job_and_does_nothing_twice() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    world.restore(&state, ONLY_SHOP).await;
    let wanted = content(&world);
    for existing in ["Skip", "Update"] {
        for writes in [0, 1, 3, 5, 7] {
            let world = World::new();
            let spec = format!("{{existing: {existing}, {ONLY_SHOP}}}");
            let plan = world.plan(&state, &spec).await;
            let mortal = Mortal::new(&world.cluster, writes);
            let reach = Reach { writer: &mortal, ..world.reach() };
            let dies = tokio::time::timeout(Duration::from_millis(100), apply(&plan, &state, &reach)).await;
            let report = world.restore(&state, &spec).await;
            assert!(report.starts_with("Complete"), "{existing} after {writes}: {report}");
            assert_eq!(content(&world), wanted, "{existing} after {writes}");
            let done = report.matches("Unchanged").count();
            assert!(
                dies.is_ok() || done >= usize::try_from(writes).unwrap(),
                "{existing} after {writes}: {report}"
            );
        }
    }
}
