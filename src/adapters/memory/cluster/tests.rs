use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::adapters::memory::clock::FakeClock;
use crate::ports::cluster::contract;

struct World {
    clock: Arc<FakeClock>,
    cluster: Cluster,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH));
        Self { cluster: Cluster::new(Arc::<FakeClock>::clone(&clock)), clock }
    }

    async fn resource(&self, plural: &str) -> Resource {
        let served = self.cluster.discover().await.unwrap().resources;
        served.into_iter().find(|r| r.plural == plural).unwrap()
    }

    async fn add(&self, plural: &str, object: Json) -> Manifest {
        let object = Manifest::parse(object).unwrap();
        self.cluster.create(&self.resource(plural).await, &object, Mode::Real).await.unwrap()
    }

    async fn get(&self, plural: &str, name: &str) -> Option<Manifest> {
        let resource = self.resource(plural).await;
        let namespace = resource.namespaced.then_some("shop");
        self.cluster.get(&resource, namespace, name).await.unwrap()
    }

    async fn delete(&self, plural: &str, name: &str) {
        let resource = self.resource(plural).await;
        let place = Place { namespace: resource.namespaced.then_some("shop"), name, subresource: "" };
        self.cluster.delete(&resource, place, Propagation::Background).await.unwrap();
    }

    async fn pass(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    async fn shop() -> Self {
        let world = Self::new();
        world
            .add("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
            .await;
        world
    }

    /// A stateful set with a claim, and the class that makes its volume.
    async fn database(&self) {
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "disk"},
            "provisioner": "example.com/disk"});
        self.add("storageclasses", class).await;
        let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "storageClassName": "disk", "resources": {"requests": {"storage": "1Gi"}}}});
        let labels = json!({"app": "db"});
        let spec = json!({"replicas": 1, "selector": {"matchLabels": labels}, "serviceName": "db",
            "volumeClaimTemplates": [claim],
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "db", "image": "db"}]}}});
        let metadata = json!({"name": "db", "namespace": "shop"});
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec});
        self.add("statefulsets", set).await;
    }
}

#[tokio::test]
async fn the_memory_cluster_keeps_the_contract() {
    let World { clock, cluster } = World::new();
    contract::holds(&cluster, &cluster, &*clock).await;
}

#[tokio::test]
async fn a_definition_is_established_after_a_while() {
    let world = World::new();
    let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]);
    let names = json!({"kind": "Sail", "plural": "sails"});
    let spec = json!({"group": "example.com", "scope": "Cluster", "names": names, "versions": versions});
    let metadata = json!({"name": "sails.example.com"});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": metadata, "spec": spec});
    world.add("customresourcedefinitions", definition).await;
    let served =
        async || world.cluster.discover().await.unwrap().resources.iter().any(|r| r.plural == "sails");
    assert!(!served().await);
    world.pass(1).await;
    assert!(served().await);
}

#[tokio::test]
async fn a_workload_becomes_ready_and_owns_its_parts() {
    let world = World::shop().await;
    let labels = json!({"app": "web"});
    let template =
        json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web"}]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": labels}, "template": template});
    let metadata = json!({"name": "web", "namespace": "shop"});
    world
        .add(
            "deployments",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}),
        )
        .await;
    let ready = async || world.get("deployments", "web").await.unwrap().at("/status/readyReplicas").cloned();
    assert_eq!(ready().await, Some(json!(0)));
    world.pass(1).await;
    assert_eq!(ready().await, Some(json!(2)));
    let pods = |cluster: &Cluster| cluster.objects().iter().filter(|o| o.kind() == "Pod").count();
    assert_eq!(pods(&world.cluster), 2);
    world.delete("deployments", "web").await;
    assert_eq!(pods(&world.cluster), 0, "its replica set is gone, and their pods with it");
}

#[tokio::test]
async fn a_restored_claim_without_its_volume_is_lost_and_its_pod_waits() {
    let world = World::shop().await;
    world.database().await;
    world.pass(1).await;
    let claim = world.get("persistentvolumeclaims", "data-db-0").await.unwrap();
    assert_eq!(claim.at("/status/phase"), Some(&json!("Bound")));
    let phase = |pod: Option<Manifest>| pod.unwrap().at("/status/phase").cloned();
    assert_eq!(phase(world.get("pods", "db-0").await), Some(json!("Running")));
    world.delete("statefulsets", "db").await;
    world.delete("persistentvolumeclaims", "data-db-0").await;
    assert_eq!(world.get("persistentvolumeclaims", "data-db-0").await, None);
    let volume = claim.at("/spec/volumeName").and_then(Json::as_str).unwrap();
    assert_eq!(world.get("persistentvolumes", volume).await, None, "its class deletes volumes");
    let back = claim.edit(|object| {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.retain(|key, _| ["name", "namespace", "annotations", "labels"].contains(&key.as_str()));
        object["spec"]["storageClassName"] = json!("disk");
    });
    world.add("persistentvolumeclaims", back.unwrap().into_json()).await;
    let claim = world.get("persistentvolumeclaims", "data-db-0").await.unwrap();
    assert_eq!(claim.at("/status/phase"), Some(&json!("Lost")));
}

#[tokio::test]
async fn a_broken_group_is_named_and_its_kinds_cannot_be_read() {
    let world = World::new();
    let policies = world.resource("networkpolicies").await;
    world.cluster.break_group("networking.k8s.io/v1", "503");
    let found = world.cluster.discover().await.unwrap();
    assert_eq!(found.broken.get("networking.k8s.io/v1").map(String::as_str), Some("503"));
    assert!(found.resources.iter().all(|r| r.gvk.group != "networking.k8s.io"));
    let request = ListRequest::new(Scope::All, 5);
    assert!(matches!(world.cluster.list(&policies, &request).await, Err(Error::Busy { .. })));
    world.cluster.mend();
    assert!(world.cluster.list(&policies, &request).await.is_ok());
}

#[tokio::test]
async fn an_expired_list_offers_to_go_on_in_the_present() {
    let world = World::shop().await;
    let config = async |name: &str| {
        let metadata = json!({"name": name, "namespace": "shop"});
        world.add("configmaps", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).await;
    };
    for name in ["a", "b", "c"] {
        config(name).await;
    }
    let resource = world.resource("configmaps").await;
    let request = |token| ListRequest { token, ..ListRequest::new(Scope::Namespace("shop".into()), 2) };
    let first = world.cluster.list(&resource, &request(None)).await.unwrap();
    world.cluster.expire_lists();
    config("d").await;
    let Err(Error::Expired { next }) = world.cluster.list(&resource, &request(first.next)).await else {
        panic!("the token is still good")
    };
    let names: Vec<String> = first.objects.iter().map(|o| o.name().to_owned()).collect();
    assert_eq!(names, ["a", "b"]);
    let rest = world.cluster.list(&resource, &request(next)).await.unwrap();
    assert_eq!(rest.objects.iter().map(Manifest::name).collect::<Vec<_>>(), ["c", "d"]);
}

#[tokio::test]
async fn events_are_served_twice_kept_once_and_forgotten_after_an_hour() {
    let world = World::shop().await;
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"}});
    world.add("events", event).await;
    let served = world.cluster.discover().await.unwrap().resources;
    for resource in served.iter().filter(|r| r.plural == "events") {
        let read = world.cluster.get(resource, Some("shop"), "e").await.unwrap().unwrap();
        assert_eq!(read.gvk(), resource.gvk);
    }
    world.clock.advance(Duration::from_mins(59));
    assert!(world.get("events", "e").await.is_some());
    world.clock.advance(Duration::from_mins(2));
    assert!(world.get("events", "e").await.is_none());
}

#[tokio::test]
async fn calls_are_noted_and_other_managers_can_write() {
    let world = World::shop().await;
    let kubectl = world.cluster.writing_as("kubectl");
    let resource = world.resource("configmaps").await;
    let config = |value: &str| {
        let metadata = json!({"name": "a", "namespace": "shop"});
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": value}});
        Manifest::parse(object).unwrap()
    };
    kubectl.create(&resource, &config("1"), Mode::Real).await.unwrap();
    let refused = world.cluster.apply(&resource, &config("2"), Conflicts::Refuse, Mode::DryRun).await;
    let Err(Error::Conflict(text)) = refused else { panic!("{refused:?}") };
    assert_eq!(text, "\"kubectl\" owns .data.k");
    assert_eq!(world.cluster.calls().last().unwrap(), "apply configmaps shop/a (dry run)");
}
