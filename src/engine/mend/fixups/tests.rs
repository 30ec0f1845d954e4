//! Claims about fixups, on the memory cluster.

use std::sync::Arc;

use async_trait::async_trait;
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::adapters::memory::clock::FakeClock;
use crate::adapters::memory::cluster::Cluster;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::object::Json;
use crate::engine::yaml;
use crate::ports::cluster::{Conflicts, Reader, Writer};

struct World {
    clock: Arc<FakeClock>,
    cluster: Cluster,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::at("2026-11-21T06:30:00Z".parse::<Timestamp>().unwrap()));
        Self { cluster: Cluster::new(clock.clone()), clock }
    }

    async fn create(&self, object: Json) {
        let manifest = Manifest::parse(object).unwrap();
        let served = self.cluster.discover().await.unwrap();
        let gvk = manifest.gvk();
        let resource = served.resources.iter().find(|r| r.gvk.kind == gvk.kind && r.gvk.group == gvk.group);
        self.cluster.create(resource.unwrap(), &manifest, Mode::Real).await.unwrap();
    }

    async fn workload(&self, kind: &str, namespace: &str, name: &str) {
        let labels = json!({ "app": name });
        let pod =
            json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "x"}]}});
        let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        let claims = if kind == "StatefulSet" { json!([claim]) } else { Json::Null };
        let spec = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": pod, "serviceName": name, "volumeClaimTemplates": claims});
        self.create(json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec})).await;
    }

    async fn namespace(&self, name: &str) {
        self.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
    }

    async fn run(&self, fixups: &str) -> String {
        self.run_through(&self.cluster, fixups).await
    }

    async fn run_through(&self, writer: &dyn Writer, fixups: &str) -> String {
        let reach = Reach::new(&self.cluster, writer, &*self.clock);
        let reports = run(&read(fixups), &reach).await;
        reports.iter().map(shown).collect::<Vec<_>>().join("\n")
    }

    fn at(&self, kind: &str, name: &str, pointer: &str) -> Json {
        let object = self.cluster.objects().into_iter().find(|o| o.kind() == kind && o.name() == name);
        object.and_then(|o| o.at(pointer).cloned()).unwrap_or_default()
    }
}

fn read(text: &str) -> Vec<Fixup> {
    let specs: Vec<FixupSpec> = serde_json::from_value(yaml::parse(text).unwrap()).unwrap();
    compile(&specs).unwrap()
}

fn shown(report: &FixupReport) -> String {
    let objects: Vec<String> = report.objects.iter().map(ToString::to_string).collect();
    let reason = report.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} {:?} [{}]{reason}", report.name, report.outcome, objects.join(", "))
}

const RELABEL: &str = "
- name: relabel
  label:
    target: {kind: Namespace, name: default}
    set: {purpose: radix-base-ns}
";

#[tokio::test]
async fn a_missing_label_of_a_namespace_is_put_back_once() {
    let world = World::new();
    assert_snapshot!(world.run(RELABEL).await, @"relabel Verified [Namespace default]");
    assert_eq!(world.at("Namespace", "default", "/metadata/labels/purpose"), json!("radix-base-ns"));
    assert_snapshot!(world.run(RELABEL).await, @"relabel NotNeeded []: the effect is there already");
}

#[tokio::test]
async fn a_preview_says_what_it_would_do_and_writes_nothing() {
    let world = World::new();
    let text = "
- name: relabel
  label: {target: {kind: Namespace, name: default}, set: {purpose: radix-base-ns}}
- name: nobody
  scale: {target: {kind: Deployment, namespace: default, name: none}, replicas: 0}
- name: done
  label: {target: {kind: Namespace, name: default}, set: {kubernetes.io/metadata.name: default}}
";
    let before = world.cluster.objects();
    let reach = Reach::new(&world.cluster, &world.cluster, &*world.clock);
    let previews = preview(&read(text), &reach).await;
    let line = |p: &FixupPreview| {
        let open = if p.open { "open" } else { "settled" };
        format!("{} | {} | {} | {open} | {:?}", p.name, p.what, p.objects.len(), p.reason)
    };
    assert_snapshot!(previews.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    relabel | set label purpose=radix-base-ns: Namespace default | 1 | settled | None
    nobody | scale to 0: Deployment default/none | 0 | open | Some("there is no Deployment default/none")
    done | set label kubernetes.io/metadata.name=default: Namespace default | 0 | settled | Some("the effect is there already")
    "#);
    assert_eq!(world.cluster.objects(), before);
}

/// An operator that makes a deleted workload anew before anybody can look.
struct Operator<'a>(&'a World);

#[async_trait]
impl Writer for Operator<'_> {
    async fn create(&self, r: &Resource, o: &Manifest, m: Mode) -> Result<Manifest, cluster::Error> {
        self.0.cluster.create(r, o, m).await
    }

    async fn apply(
        &self,
        r: &Resource,
        o: &Manifest,
        c: Conflicts,
        m: Mode,
    ) -> Result<Manifest, cluster::Error> {
        self.0.cluster.apply(r, o, c, m).await
    }

    async fn patch(
        &self,
        r: &Resource,
        p: Place<'_>,
        patch: &Patch,
        m: Mode,
    ) -> Result<Manifest, cluster::Error> {
        self.0.cluster.patch(r, p, patch, m).await
    }

    async fn delete_as_read(&self, r: &Resource, read: &Manifest) -> Result<(), cluster::Error> {
        self.0.cluster.delete_as_read(r, read).await
    }

    async fn delete(
        &self,
        r: &Resource,
        p: Place<'_>,
        propagation: Propagation,
    ) -> Result<(), cluster::Error> {
        self.0.cluster.delete(r, p, propagation).await?;
        if r.gvk.kind == "StatefulSet" {
            self.0.workload("StatefulSet", "monitoring", "prometheus").await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_stateful_set_and_its_claim_are_gone_although_an_operator_makes_them_anew() {
    let world = World::new();
    world.namespace("monitoring").await;
    let class =
        json!({"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}});
    world.create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": class, "provisioner": "example.org/disks"})).await;
    world.workload("StatefulSet", "monitoring", "prometheus").await;
    world.clock.advance(Duration::from_secs(5));
    let old = world.at("StatefulSet", "prometheus", "/metadata/uid");
    let claim = world.at("PersistentVolumeClaim", "data-prometheus-0", "/metadata/uid");
    assert!(claim.is_string());
    let text = "
- name: set
  delete: {target: {kind: StatefulSet, namespace: monitoring, name: prometheus}}
- name: claim
  delete: {target: {kind: PersistentVolumeClaim, namespace: monitoring, labelSelector: {matchLabels: {app: prometheus}}}}
- name: up
  wait: {target: {kind: StatefulSet, namespace: monitoring, name: prometheus}}
";
    assert_snapshot!(world.run_through(&Operator(&world), text).await, @"
    set Verified [StatefulSet.apps monitoring/prometheus]
    claim Verified [PersistentVolumeClaim monitoring/data-prometheus-0]
    up Verified [StatefulSet.apps monitoring/prometheus]
    ");
    assert_ne!(world.at("StatefulSet", "prometheus", "/metadata/uid"), old);
    assert_ne!(world.at("PersistentVolumeClaim", "data-prometheus-0", "/metadata/uid"), claim);
}

#[tokio::test]
async fn one_of_two_programs_that_fight_is_scaled_to_nothing() {
    let world = World::new();
    world.namespace("dns").await;
    world.workload("Deployment", "dns", "external-dns-old").await;
    let text = "
- name: one zone, one writer
  scale: {target: {kind: Deployment, namespace: dns, name: external-dns-old}, replicas: 0}
";
    assert_snapshot!(world.run(text).await, @"one zone, one writer Verified [Deployment.apps dns/external-dns-old]");
    assert_eq!(world.at("Deployment", "external-dns-old", "/spec/replicas"), json!(0));
    assert_snapshot!(world.run(text).await, @"one zone, one writer NotNeeded []: the effect is there already");
}

#[tokio::test]
async fn a_restart_is_waited_for() {
    let world = World::new();
    world.namespace("shop").await;
    world.workload("Deployment", "shop", "web").await;
    let text = "
- name: again
  restart: {target: {kind: Deployment, namespace: shop, name: web}}
";
    assert_snapshot!(world.run(text).await, @"again Verified [Deployment.apps shop/web]");
    assert_eq!(world.at("Deployment", "web", "/status/readyReplicas"), json!(1));
}

#[tokio::test]
async fn what_is_not_there_yet_is_waited_for_and_missing_is_a_failure() {
    let world = World::new();
    let text = "
- name: label nobody
  timeout: 2s
  onError: Continue
  label: {target: {kind: ConfigMap, namespace: default, name: later}, set: {a: b}}
- name: delete nobody
  delete: {target: {kind: ConfigMap, namespace: default, name: later}}
- name: unknown kind
  timeout: 1s
  annotate: {target: {kind: Widget, name: a}, set: {a: b}}
- name: after it
  label: {target: {kind: Namespace, name: default}, set: {a: b}}
";
    assert_snapshot!(world.run(text).await, @"
    label nobody Warned []: there is no ConfigMap default/later
    delete nobody NotNeeded []: there is no ConfigMap default/later
    unknown kind Failed []: the cluster serves no kind Widget
    after it NotRun []: fixup unknown kind failed before it
    ");
}

#[tokio::test]
async fn when_chooses_among_the_targets() {
    let world = World::new();
    for (name, level) in [("one", "1"), ("two", "2")] {
        world.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", "labels": {"app": "x"}}, "data": {"level": level}})).await;
    }
    let text = "
- name: some
  when: object.data.level == '2'
  patch:
    target: {kind: ConfigMap, namespace: default, labelSelector: {matchLabels: {app: x}}}
    merge: {data: {level: '3'}}
- name: none
  when: object.data.level == '9'
  annotate: {target: {kind: ConfigMap, namespace: default, name: one}, set: {a: b}}
- name: unanswerable
  when: object.spec.x == 1
  annotate: {target: {kind: ConfigMap, namespace: default, name: one}, set: {a: b}}
";
    assert_snapshot!(world.run(text).await, @r#"
    some Verified [ConfigMap default/two]
    none NotNeeded []: `when` is true for none of 1 objects
    unanswerable Failed []: cannot evaluate `when` for ConfigMap default/one: the object has no field "spec"; ask with has() first
    "#);
    assert_eq!(world.at("ConfigMap", "two", "/data/level"), json!("3"));
    assert_eq!(world.at("ConfigMap", "one", "/data/level"), json!("1"));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_refusal_is_told() {
    let world = World::new();
    let busy = Effect::TooMany(Some(Duration::from_secs(1)));
    world.cluster.inject(Fault::first(3, Verb::Patch, "namespaces", busy));
    assert_snapshot!(world.run(RELABEL).await, @"relabel Verified [Namespace default]");
    world.cluster.inject(Fault::always(Verb::Patch, "namespaces", Effect::Forbidden));
    assert_snapshot!(world.run(&RELABEL.replace("radix-base-ns", "other")).await, @"relabel Failed [Namespace default]: Namespace default: forbidden: this user cannot use namespaces");
}

#[tokio::test]
async fn a_finalizer_that_nobody_takes_away_is_named() {
    let world = World::new();
    world.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": "default", "finalizers": ["example.org/hold"]}})).await;
    let text = "
- name: gone
  timeout: 3s
  delete: {target: {kind: ConfigMap, namespace: default, name: held}}
";
    assert_snapshot!(world.run(text).await, @"gone Failed [ConfigMap default/held]: not after 3s: ConfigMap default/held: it is still there, held by the finalizers example.org/hold");
}
