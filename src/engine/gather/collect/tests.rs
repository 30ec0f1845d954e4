use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::adapters::memory::clock::FakeClock;
use crate::adapters::memory::cluster::Cluster;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::labels::LabelSelector;
use crate::domain::object::Json;
use crate::domain::rules::Catalog;
use crate::domain::selection::{Patterns, SelectSpec, Selection};
use crate::engine::gather::plan::plan;
use crate::ports::cluster::{Mode, Writer};

/// What a run told.
#[derive(Default)]
struct Told {
    objects: Vec<String>,
    largest: usize,
    kinds: BTreeMap<String, KindResult>,
    left: BTreeMap<String, u64>,
    notes: Vec<String>,
}

impl Told {
    fn failed(&self) -> Vec<&str> {
        let failed = self.kinds.iter().filter(|(_, result)| matches!(result, KindResult::Failed { .. }));
        failed.map(|(kind, _)| kind.as_str()).collect()
    }

    fn of(&self, start: &str) -> Vec<&str> {
        self.objects.iter().filter(|o| o.starts_with(start)).map(String::as_str).collect()
    }

    fn count(&self, kind: &str) -> Option<u64> {
        match self.kinds.get(kind)? {
            KindResult::Collected { objects } => Some(*objects),
            KindResult::Skipped { .. } | KindResult::Failed { .. } => None,
        }
    }
}

struct World {
    clock: Arc<FakeClock>,
    cluster: Cluster,
}

impl World {
    async fn new(configs: usize) -> Self {
        let clock = Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH));
        let world = Self { cluster: Cluster::new(Arc::<FakeClock>::clone(&clock)), clock };
        world.add(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})).await;
        for i in 0..configs {
            let metadata =
                json!({"name": format!("c{i:03}"), "namespace": "shop", "labels": {"n": i.to_string()}});
            world.add(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).await;
        }
        world
    }

    async fn add(&self, object: Json) {
        let object = Manifest::parse(object).unwrap();
        let served = self.cluster.discover().await.unwrap().resources;
        let resource = served.iter().find(|r| r.gvk == object.gvk()).unwrap();
        self.cluster.create(resource, &object, Mode::Real).await.unwrap();
    }

    async fn run(&self, spec: &SelectSpec) -> Told {
        let discovery = self.cluster.discover().await.unwrap();
        let mut plan = plan(Selection::compile(spec).unwrap(), Arc::new(small_pages()), &discovery);
        let planned: Vec<String> = plan.kinds().iter().map(|k| k.resource.full_name()).collect();
        let told = self.told(&mut plan).await;
        assert_eq!(told.kinds.len(), planned.len(), "every planned kind is reported once");
        told
    }

    async fn told(&self, plan: &mut BackupPlan) -> Told {
        let mut told = Told::default();
        let mut events = std::pin::pin!(collect(plan, &self.cluster, &*self.clock));
        while let Some(event) = events.next().await {
            match event {
                Event::Batch(batch) => {
                    told.largest = told.largest.max(batch.objects().len());
                    told.objects.extend(batch.objects().iter().map(|o| o.key().to_string()));
                }
                Event::Kind(kind) => assert_eq!(told.kinds.insert(kind.resource, kind.result), None),
                Event::LeftOut { reason, count } => *told.left.entry(reason).or_default() += count,
                Event::Note(note) => told.notes.push(note),
            }
        }
        let mut once = told.objects.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), told.objects.len(), "no object comes twice");
        told
    }
}

fn small_pages() -> Catalog {
    let spec = json!({"rules": [{"name": "small-pages", "kinds": ["ConfigMap"], "pageSize": 10}]});
    Catalog::with(&[("test".to_owned(), serde_json::from_value(spec).unwrap())].into()).unwrap()
}

fn in_namespaces(names: &[&str]) -> SelectSpec {
    let include = names.iter().map(|n| (*n).to_owned()).collect();
    SelectSpec { namespaces: Patterns { include, exclude: vec![] }, ..SelectSpec::default() }
}

#[tokio::test]
async fn everything_comes_in_pages() {
    let world = World::new(35).await;
    let told = world.run(&SelectSpec::default()).await;
    assert_eq!(told.of("ConfigMap shop/c").len(), 35);
    assert_eq!(told.largest, 10);
    assert_eq!(told.failed(), [""; 0]);
    assert_eq!(told.count("namespaces"), Some(5));
}

#[tokio::test]
async fn busy_and_lost_servers_are_asked_again() {
    let world = World::new(25).await;
    let wait = Some(Duration::from_secs(7));
    world.cluster.inject(Fault::first(2, Verb::List, "configmaps", Effect::TooMany(wait)));
    world.cluster.inject(Fault::first(3, Verb::List, "secrets", Effect::Broken));
    world.cluster.inject(Fault::first(3, Verb::List, "services", Effect::Unreachable));
    let told = world.run(&SelectSpec::default()).await;
    assert_eq!((told.of("ConfigMap shop/c").len(), told.failed()), (25, vec![]));
    assert!(world.clock.now().as_second() >= 14, "Retry-After was waited for, twice");
}

#[tokio::test]
async fn a_kind_that_cannot_be_listed_is_named_and_stops_nothing() {
    let world = World::new(25).await;
    world.cluster.inject(Fault::always(Verb::List, "secrets", Effect::Forbidden));
    world.cluster.inject(Fault { after: 1, ..Fault::always(Verb::List, "configmaps", Effect::Broken) });
    let told = world.run(&SelectSpec::default()).await;
    assert_eq!(told.failed(), ["configmaps", "secrets"]);
    assert!((1..10).contains(&told.of("ConfigMap shop/c").len()), "the first page is kept");
    assert!(told.count("services").is_some());
    let KindResult::Failed { reason } = &told.kinds["secrets"] else { panic!("not failed") };
    assert!(reason.contains("forbidden"), "{reason}");
}

#[tokio::test]
async fn nothing_waits_long_for_a_server_that_is_gone() {
    let world = World::new(1).await;
    world.cluster.inject(Fault { resource: None, ..Fault::always(Verb::List, "", Effect::Unreachable) });
    let told = world.run(&SelectSpec::default()).await;
    assert_eq!(told.failed().len(), told.kinds.len());
    let seconds = world.clock.now().as_second();
    assert!((30..=61).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn an_expired_list_goes_on_without_duplicates() {
    for offers in [true, false] {
        let world = World::new(35).await;
        let gone = Fault::first(2, Verb::List, "configmaps", Effect::Expired { offers });
        world.cluster.inject(Fault { after: 2, ..gone });
        let told = world.run(&SelectSpec::default()).await;
        assert_eq!((told.of("ConfigMap shop/c").len(), told.failed()), (35, vec![]), "offers: {offers}");
    }
}

#[tokio::test]
async fn a_list_that_always_expires_fails() {
    let world = World::new(35).await;
    let gone = Fault::always(Verb::List, "configmaps", Effect::Expired { offers: false });
    world.cluster.inject(Fault { after: 1, ..gone });
    let told = world.run(&SelectSpec::default()).await;
    assert_eq!(told.failed(), ["configmaps"]);
}

#[tokio::test]
async fn an_excluded_namespace_leaves_out_what_is_in_it() {
    let world = World::new(3).await;
    let labels = json!({"backstay.dev/exclude": "true"});
    let metadata = json!({"name": "scratch", "labels": labels});
    world.add(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})).await;
    let held = json!({"name": "held", "namespace": "shop", "finalizers": ["a.example/b"]});
    world.add(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})).await;
    let configs = world.cluster.discover().await.unwrap().resources;
    let configs = configs.iter().find(|r| r.plural == "configmaps").unwrap();
    let place = crate::ports::cluster::Place { namespace: Some("shop"), name: "held", subresource: "" };
    world.cluster.delete(configs, place, crate::domain::fixup::Propagation::Background).await.unwrap();
    let told = world.run(&SelectSpec::default()).await;
    assert!(told.objects.iter().all(|o| !o.contains("scratch")), "{:?}", told.objects);
    assert_eq!(told.left.get("its namespace has the label backstay.dev/exclude=true"), Some(&2));
    assert_eq!(told.left.get("it is being deleted"), Some(&1));
    assert_eq!(told.of("ConfigMap shop/c").len(), 3);
}

#[tokio::test]
async fn with_a_namespace_its_needs_come_along() {
    let world = World::new(1).await;
    let rbac = "rbac.authorization.k8s.io/v1";
    let account = json!({"kind": "ServiceAccount", "name": "default", "namespace": "shop"});
    let role = |name: &str, labels: Json, aggregation: Json| {
        json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": name, "labels": labels},
            "aggregationRule": aggregation, "rules": []})
    };
    let parts = json!({"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}]});
    world.add(role("whole", json!({}), parts)).await;
    world.add(role("a-part", json!({"part": "yes"}), Json::Null)).await;
    world.add(role("other", json!({}), Json::Null)).await;
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "whole"});
    world
        .add(json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": "bound"},
            "roleRef": reference, "subjects": [account]}))
        .await;
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "disk"},
        "provisioner": "example.com/disk"});
    world.add(class).await;
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "disk"});
    world
        .add(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop"}, "spec": claim}))
        .await;
    let told = world.run(&in_namespaces(&["shop"])).await;
    let mut cluster_wide: Vec<&str> =
        told.objects.iter().filter(|o| !o.contains('/')).map(String::as_str).collect();
    cluster_wide.sort_unstable();
    assert_eq!(
        cluster_wide[..4],
        [
            "ClusterRole.rbac.authorization.k8s.io a-part",
            "ClusterRole.rbac.authorization.k8s.io whole",
            "ClusterRoleBinding.rbac.authorization.k8s.io bound",
            "Namespace shop",
        ]
    );
    assert!(cluster_wide[4].starts_with("PersistentVolume pvc-"), "{cluster_wide:?}");
    assert_eq!(cluster_wide[5..], ["StorageClass.storage.k8s.io disk"]);
    assert_eq!(told.count("clusterroles.rbac.authorization.k8s.io"), Some(2));
    assert_eq!(told.left.get("nothing that was selected needs it"), Some(&1), "role other: {:?}", told.left);
    let calls = world.cluster.calls();
    assert!(calls.contains(&"get namespaces shop".into()) && !calls.contains(&"list namespaces".into()));
}

#[tokio::test]
async fn a_namespace_comes_along_when_only_something_in_it_has_the_label() {
    let world = World::new(5).await;
    let only =
        LabelSelector { match_labels: [("n".to_owned(), "3".to_owned())].into(), ..LabelSelector::default() };
    let told = world.run(&SelectSpec { label_selector: Some(only), ..SelectSpec::default() }).await;
    assert_eq!(told.objects, ["ConfigMap shop/c003", "Namespace shop"]);
    assert_eq!(told.count("namespaces"), Some(1));
}

#[tokio::test]
async fn a_pattern_that_matches_nothing_is_a_note() {
    let world = World::new(1).await;
    let told = world.run(&in_namespaces(&["shop", "sh0p-*"])).await;
    assert_eq!(told.notes, ["namespaces.include: \"sh0p-*\" matches nothing"]);
}
