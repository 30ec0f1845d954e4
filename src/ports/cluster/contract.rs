//! What every cluster adapter must do: one suite for the memory cluster and for a real API server.
//!
//! In: a cluster · Out: a panic that names the broken claim · Touches: cluster (read and write), clock

use std::time::Duration;

use serde_json::json;

use crate::domain::fixup::Propagation;
use crate::domain::object::{Gvk, Json, Manifest, Resource};
use crate::ports::clock::Clock;
use crate::ports::cluster::trial::World;
use crate::ports::cluster::{
    Conflicts, Error, ListRequest, Mode, Patch, Place, Reader, Scope, Writer, lists,
};

/// Checks every claim, in a namespace that is new and gone afterwards.
///
/// # Panics
/// On the first claim that does not hold.
pub async fn holds(reader: &dyn Reader, writer: &dyn Writer, clock: &dyn Clock) {
    let served = reader.discover().await.expect("discovery");
    let home = format!("backstay-contract-{}", clock.letters());
    let world = World { reader, writer, clock, served, home };
    world
        .create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.home}}))
        .await
        .unwrap();
    the_server_says_who_it_is(&world).await;
    discovery_names_every_type_once(&world);
    what_is_created_can_be_read(&world).await;
    a_dry_run_stores_nothing(&world).await;
    a_kind_that_is_not_served_is_not_found(&world).await;
    lists::hold(&world).await;
    invalid_objects_are_refused_without_their_values(&world).await;
    apply_creates_changes_and_takes_back(&world).await;
    apply_keeps_every_character(&world).await;
    apply_leaves_the_status_alone(&world).await;
    apply_respects_other_managers(&world).await;
    patches_change_one_object(&world).await;
    replicas_change_through_the_scale_subresource(&world).await;
    fixed_fields_are_refused(&world).await;
    finalizers_hold_what_is_deleted(&world).await;
    what_has_changed_is_not_deleted_as_it_was_read(&world).await;
    owners_take_along_what_they_own(&world).await;
    services_get_addresses(&world).await;
    definitions_add_kinds(&world).await;
    a_new_namespace_is_furnished_and_goes_with_its_content(&world).await;
}

const CONFIG: (&str, &str) = ("v1", "ConfigMap");
const WEB: (&str, &str) = ("apps/v1", "Deployment");

async fn the_server_says_who_it_is(world: &World<'_>) {
    let server = world.reader.server().await.unwrap();
    assert!(server.version.starts_with("v1."), "{server:?}");
    assert_eq!(server.uid.len(), 36, "{server:?}");
}

fn discovery_names_every_type_once(world: &World<'_>) {
    let names: Vec<String> = world.served.resources.iter().map(Resource::full_name).collect();
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(names, sorted, "sorted, each type once");
    assert!(names.iter().all(|n| !n.contains('/')), "no subresources");
    assert!(names.contains(&"events".into()) && names.contains(&"events.events.k8s.io".into()));
    let scaler = world.resource("autoscaling/v2", "HorizontalPodAutoscaler");
    assert_eq!((scaler.gvk.version.as_str(), scaler.served), ("v2", vec!["v1".to_owned(), "v2".to_owned()]));
    let config = world.resource("v1", "ConfigMap");
    assert!(config.namespaced && config.can("list") && config.can("create"));
    assert!(!world.resource("v1", "Namespace").namespaced);
    let review = world.resource("authentication.k8s.io/v1", "TokenReview");
    assert_eq!(review.verbs, ["create"]);
}

async fn what_is_created_can_be_read(world: &World<'_>) {
    let object = world.config("made", &json!({"k": "v"}));
    let made = world.create(object.clone()).await.unwrap();
    for field in ["/metadata/uid", "/metadata/resourceVersion", "/metadata/creationTimestamp"] {
        assert!(made.at(field).is_some_and(Json::is_string), "{field}");
    }
    assert_eq!(made.at("/metadata/managedFields/0/manager"), Some(&json!("backstay")));
    assert_eq!(world.get(CONFIG, "made").await, Some(made));
    assert!(matches!(world.create(object).await, Err(Error::AlreadyExists)));
    assert_eq!(world.get(CONFIG, "absent").await, None);
    let resource = world.resource("v1", "ConfigMap");
    assert!(world.reader.get(&resource, Some("backstay-no-such-namespace"), "x").await.unwrap().is_none());
    let homeless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "backstay-nowhere"}});
    assert!(matches!(world.create(homeless).await, Err(Error::NotFound(_))));
    let mut versioned = world.config("versioned", &json!({}));
    versioned["metadata"]["resourceVersion"] = json!("1");
    assert!(matches!(world.create(versioned).await, Err(Error::Invalid(_))));
}

async fn a_dry_run_stores_nothing(world: &World<'_>) {
    let object = Manifest::parse(world.config("dry", &json!({}))).unwrap();
    let resource = world.resource("v1", "ConfigMap");
    world.writer.create(&resource, &object, Mode::DryRun).await.unwrap();
    world.writer.apply(&resource, &object, Conflicts::Refuse, Mode::DryRun).await.unwrap();
    assert_eq!(world.get(CONFIG, "dry").await, None);
}

async fn a_kind_that_is_not_served_is_not_found(world: &World<'_>) {
    let mut resource = world.resource("v1", "ConfigMap");
    resource.gvk = Gvk::new("backstay.invalid/v1", "Nothing");
    resource.plural = "nothings".into();
    let request = ListRequest::new(Scope::All, 1);
    assert!(matches!(world.reader.list(&resource, &request).await, Err(Error::NotFound(_))));
    assert!(matches!(world.reader.get(&resource, Some(&world.home), "x").await, Err(Error::NotFound(_))));
    let object = json!({"apiVersion": "backstay.invalid/v1", "kind": "Nothing",
        "metadata": {"name": "x", "namespace": world.home}});
    let object = Manifest::parse(object).unwrap();
    assert!(matches!(world.writer.create(&resource, &object, Mode::Real).await, Err(Error::NotFound(_))));
}

async fn invalid_objects_are_refused_without_their_values(world: &World<'_>) {
    let metadata = json!({"name": "bad", "namespace": world.home});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"k": "hunter2-not-base64"}});
    let Err(Error::Invalid(text)) = world.create(secret).await else { panic!("bad base64 was taken") };
    assert!(!text.contains("hunter2"), "{text}");
    let name = world.create(world.config("Bad_Name", &json!({}))).await;
    let Err(Error::Invalid(text)) = name else { panic!("a bad name was taken") };
    assert!(text.contains("metadata.name"), "{text}");
    let number = world.create(world.config("number", &json!({"k": 1}))).await;
    assert!(matches!(number, Err(Error::Invalid(_))), "{number:?}");
    let mut deployment = world.web("bad", 0);
    deployment["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let Err(Error::Invalid(text)) = world.create(deployment).await else {
        panic!("a bad selector was taken")
    };
    assert!(text.contains("spec.template.metadata.labels"), "{text}");
}

async fn apply_creates_changes_and_takes_back(world: &World<'_>) {
    let first = world.config("applied", &json!({"a": "1", "b": "1"}));
    let made = world.apply(&first, Conflicts::Refuse).await.unwrap();
    let again = world.apply(&first, Conflicts::Refuse).await.unwrap();
    assert_eq!(
        made.at("/metadata/resourceVersion"),
        again.at("/metadata/resourceVersion"),
        "nothing has changed"
    );
    let second = world.apply(&world.config("applied", &json!({"a": "2"})), Conflicts::Refuse).await.unwrap();
    assert_eq!(second.at("/data"), Some(&json!({"a": "2"})), "b is no longer applied");
    let managed =
        world.writer.apply(&world.resource("v1", "ConfigMap"), &second, Conflicts::Refuse, Mode::Real).await;
    assert!(matches!(managed, Err(Error::Invalid(_))), "{managed:?}");
    let mut unknown = world.config("applied", &json!({}));
    unknown["dat"] = json!({"a": "1"});
    let unknown = world.apply(&unknown, Conflicts::Force).await;
    assert!(matches!(unknown, Err(Error::Invalid(_))), "{unknown:?}");
    let mut stale = world.config("applied", &json!({"a": "3"}));
    stale["metadata"]["resourceVersion"] = made.at("/metadata/resourceVersion").unwrap().clone();
    let stale = world.apply(&stale, Conflicts::Force).await;
    assert!(matches!(stale, Err(Error::Conflict(_))), "{stale:?}");
}

async fn apply_keeps_every_character(world: &World<'_>) {
    let text = "a\u{85}b\u{7f}\u{80}\u{fffe}\u{2028}\u{feff} ä€😀\r\n\ttrailing \n yes ~ 1e3";
    let mut object = world.config("characters", &json!({"k": text}));
    object["metadata"]["annotations"] = json!({"example.org/text": text});
    let applied = world.apply(&object, Conflicts::Force).await.unwrap();
    assert_eq!(applied.at("/data/k"), Some(&json!(text)));
    assert_eq!(applied.annotation("example.org/text"), Some(text));
    assert_eq!(world.get(CONFIG, "characters").await.unwrap().at("/data/k"), Some(&json!(text)));
}

async fn apply_leaves_the_status_alone(world: &World<'_>) {
    let mut object = world.web("applied", 0);
    object["status"] = json!({"replicas": 7});
    for _ in 0..2 {
        let applied = world.apply(&object, Conflicts::Refuse).await.unwrap();
        assert_ne!(applied.at("/status/replicas"), Some(&json!(7)));
    }
}

async fn apply_respects_other_managers(world: &World<'_>) {
    world.create(world.config("owned", &json!({"a": "1", "b": "1"}))).await.unwrap();
    let change = world.config("owned", &json!({"a": "2"}));
    let Err(Error::Conflict(text)) = world.apply(&change, Conflicts::Refuse).await else {
        panic!("no conflict")
    };
    assert!(text.contains(".data.a") && text.contains("backstay"), "{text}");
    let forced = world.apply(&change, Conflicts::Force).await.unwrap();
    assert_eq!(forced.at("/data"), Some(&json!({"a": "2", "b": "1"})), "b still belongs to its creator");
}

async fn patches_change_one_object(world: &World<'_>) {
    let made = world.create(world.config("patched", &json!({"a": "1", "b": "1"}))).await.unwrap();
    let merge = Patch::Merge(json!({"metadata": {"labels": {"l": "v"}}, "data": {"a": null}}));
    let after = world.patch(CONFIG, "patched", "", merge).await.unwrap();
    assert_eq!((after.at("/data"), after.label("l")), (Some(&json!({"b": "1"})), Some("v")));
    let operations = vec![
        json!({"op": "test", "path": "/data/b", "value": "1"}),
        json!({"op": "add", "path": "/data/c", "value": "2"}),
    ];
    let after = world.patch(CONFIG, "patched", "", Patch::Json(operations.clone())).await.unwrap();
    assert_eq!(after.at("/data"), Some(&json!({"b": "1", "c": "2"})));
    let wrong = vec![json!({"op": "test", "path": "/data/b", "value": "9"})];
    let wrong = world.patch(CONFIG, "patched", "", Patch::Json(wrong)).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    let version = made.at("/metadata/resourceVersion").unwrap().clone();
    let stale = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": {"b": "2"}}));
    let stale = world.patch(CONFIG, "patched", "", stale).await;
    assert!(matches!(stale, Err(Error::Conflict(_))), "{stale:?}");
    let absent = world.patch(CONFIG, "absent", "", Patch::Merge(json!({}))).await;
    assert!(matches!(absent, Err(Error::NotFound(_))), "{absent:?}");
}

async fn replicas_change_through_the_scale_subresource(world: &World<'_>) {
    let made = world.create(world.web("scaled", 0)).await.unwrap();
    assert_eq!(made.at("/metadata/generation"), Some(&json!(1)));
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"l": "v"}}}));
    let labelled = world.patch(WEB, "scaled", "", labelled).await.unwrap();
    assert_eq!(labelled.at("/metadata/generation"), Some(&json!(1)), "a label is no new wish");
    let scale =
        world.patch(WEB, "scaled", "scale", Patch::Merge(json!({"spec": {"replicas": 1}}))).await.unwrap();
    assert_eq!((scale.kind(), scale.at("/spec/replicas")), ("Scale", Some(&json!(1))));
    let after = world.get(WEB, "scaled").await.unwrap();
    assert_eq!(
        (after.at("/spec/replicas"), after.at("/metadata/generation")),
        (Some(&json!(1)), Some(&json!(2)))
    );
    let none = world.patch(CONFIG, "made", "scale", Patch::Merge(json!({"spec": {"replicas": 1}}))).await;
    assert!(matches!(none, Err(Error::NotFound(_))), "{none:?}");
    let sets = world.resource("apps/v1", "ReplicaSet");
    world
        .until("the ReplicaSet of a Deployment", async || {
            let scope = Scope::Namespace(world.home.clone());
            let request = ListRequest { labels: "app=scaled".into(), ..ListRequest::new(scope, 5) };
            let page = world.reader.list(&sets, &request).await.unwrap();
            page.objects.first().and_then(Manifest::controller).is_some_and(|owner| owner.name == "scaled")
        })
        .await;
}

async fn fixed_fields_are_refused(world: &World<'_>) {
    let mut object = world.config("fixed", &json!({"a": "1"}));
    object["immutable"] = json!(true);
    world.create(object).await.unwrap();
    let change = world.patch(CONFIG, "fixed", "", Patch::Merge(json!({"data": {"a": "hunter2"}}))).await;
    let Err(Error::Invalid(text)) = change else { panic!("an immutable object has changed") };
    assert!(text.contains("immutable") && !text.contains("hunter2"), "{text}");
    let selector = Patch::Merge(json!({"spec": {"selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}}}}));
    let change = world.patch(WEB, "scaled", "", selector).await;
    let Err(Error::Invalid(text)) = change else { panic!("a selector has changed") };
    assert!(text.contains("spec.selector") && text.contains("immutable"), "{text}");
}

async fn finalizers_hold_what_is_deleted(world: &World<'_>) {
    let mut object = world.config("held", &json!({}));
    object["metadata"]["finalizers"] = json!(["backstay.dev/contract"]);
    world.create(object).await.unwrap();
    world.delete(CONFIG, "held", Propagation::Background).await.unwrap();
    assert!(world.get(CONFIG, "held").await.unwrap().is_deleting());
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.patch(CONFIG, "held", "", free).await.unwrap();
    assert_eq!(world.get(CONFIG, "held").await, None);
    let again = world.delete(CONFIG, "held", Propagation::Background).await;
    assert!(matches!(again, Err(Error::NotFound(_))), "{again:?}");
}

async fn what_has_changed_is_not_deleted_as_it_was_read(world: &World<'_>) {
    let resource = world.resource(CONFIG.0, CONFIG.1);
    let delete = async |read: &Manifest| world.writer.delete_as_read(&resource, read).await;
    let first = world.create(world.config("seen", &json!({"a": "1"}))).await.unwrap();
    world.patch(CONFIG, "seen", "", Patch::Merge(json!({"data": {"a": "2"}}))).await.unwrap();
    let changed = delete(&first).await;
    assert!(matches!(changed, Err(Error::Conflict(_))), "{changed:?}");
    let second = world.get(CONFIG, "seen").await.unwrap();
    delete(&second).await.unwrap();
    assert_eq!(world.get(CONFIG, "seen").await, None);
    let gone = delete(&second).await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
    world.create(world.config("seen", &json!({}))).await.unwrap();
    let another = delete(&second).await;
    assert!(matches!(another, Err(Error::Conflict(_))), "{another:?}");
    world.delete(CONFIG, "seen", Propagation::Background).await.unwrap();
}

async fn owners_take_along_what_they_own(world: &World<'_>) {
    let owned = async |name: &str, owner: &str, uid: &str| {
        let mut child = world.config(name, &json!({}));
        child["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid}]);
        world.create(child).await.unwrap();
    };
    for (owner, propagation) in [
        ("back", Propagation::Background),
        ("fore", Propagation::Foreground),
        ("orphan", Propagation::Orphan),
    ] {
        let made = world.create(world.config(owner, &json!({}))).await.unwrap();
        let child = format!("{owner}-child");
        owned(&child, owner, made.uid().unwrap()).await;
        world.clock.sleep(Duration::from_millis(500)).await;
        assert!(world.get(CONFIG, &child).await.is_some(), "its owner lives");
        world.delete(CONFIG, owner, propagation).await.unwrap();
        world.gone(CONFIG, owner).await;
        match propagation {
            Propagation::Background | Propagation::Foreground => world.gone(CONFIG, &child).await,
            Propagation::Orphan => {
                let child = world.get(CONFIG, &child).await.unwrap();
                assert_eq!(child.at("/metadata/ownerReferences"), None);
            }
        }
    }
    owned("stray", "never", "11111111-2222-4333-8444-555555555555").await;
    world.gone(CONFIG, "stray").await;
}

async fn services_get_addresses(world: &World<'_>) {
    let service = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": world.home},
            "spec": {"ports": [{"port": 80}]}})
    };
    let made = world.create(service("first")).await.unwrap();
    let ip = made.at("/spec/clusterIP").unwrap().clone();
    assert!(ip.as_str().is_some_and(|ip| ip.contains('.')), "{ip}");
    let mut second = service("second");
    second["spec"]["clusterIP"] = ip;
    let Err(Error::Invalid(text)) = world.create(second).await else { panic!("an address was given twice") };
    assert!(text.contains("spec.clusterIPs"), "{text}");
}

async fn definitions_add_kinds(world: &World<'_>) {
    let group = format!("{}.example.com", world.home);
    let name = format!("sails.{group}");
    world.create(World::definition(&group)).await.unwrap();
    let definitions = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let established = |definition: &Manifest| {
        let conditions = definition.at("/status/conditions").and_then(Json::as_array).cloned();
        conditions.into_iter().flatten().any(|c| c["type"] == "Established" && c["status"] == "True")
    };
    world.until("Established", async || established(&world.get(definitions, &name).await.unwrap())).await;
    let found = async || {
        let served = world.reader.discover().await.unwrap();
        served.resources.into_iter().find(|r| r.full_name() == name)
    };
    world.until("discovery of the new kind", async || found().await.is_some()).await;
    let resource = found().await.unwrap();
    assert_eq!((resource.gvk.kind.as_str(), resource.namespaced), ("Sail", true));
    let sail = |spec: Json| {
        Manifest::parse(json!({"apiVersion": format!("{group}/v1"), "kind": "Sail",
            "metadata": {"name": "main", "namespace": world.home}, "spec": spec, "status": {"set": true}}))
        .unwrap()
    };
    let request = ListRequest::new(Scope::All, 5);
    world
        .until("the new kind is served", async || world.reader.list(&resource, &request).await.is_ok())
        .await;
    let wrong = world.writer.create(&resource, &sail(json!({"area": "large"})), Mode::Real).await;
    let Err(Error::Invalid(text)) = wrong else { panic!("a schema was not checked") };
    assert!(text.contains("spec.area") && !text.contains("large"), "{text}");
    let unknown =
        world.writer.create(&resource, &sail(json!({"area": 3, "colour": "hunter2"})), Mode::Real).await;
    let Err(Error::Invalid(text)) = unknown else { panic!("a field was dropped without a word") };
    assert!(text.contains("spec.colour") && !text.contains("hunter2"), "{text}");
    let made = world.writer.create(&resource, &sail(json!({"area": 3})), Mode::Real).await.unwrap();
    assert_eq!((made.at("/spec"), made.at("/status")), (Some(&json!({"area": 3})), None));
    let place = Place { namespace: Some(&world.home), name: "main", subresource: "status" };
    let set = Patch::Merge(json!({"status": {"set": true}, "spec": {"area": 9}}));
    let after = world.writer.patch(&resource, place, &set, Mode::Real).await.unwrap();
    assert_eq!((after.at("/spec/area"), after.at("/status/set")), (Some(&json!(3)), Some(&json!(true))));
    assert_eq!(after.at("/metadata/generation"), Some(&json!(1)));
    world.delete(definitions, &name, Propagation::Background).await.unwrap();
    world.gone(definitions, &name).await;
    let unserved = async || matches!(world.reader.list(&resource, &request).await, Err(Error::NotFound(_)));
    world.until("the kind is served no more", unserved).await;
}

async fn a_new_namespace_is_furnished_and_goes_with_its_content(world: &World<'_>) {
    for (kind, name) in [(("v1", "ServiceAccount"), "default"), (CONFIG, "kube-root-ca.crt")] {
        world.until(name, async || world.get(kind, name).await.is_some()).await;
    }
    let mut held = world.config("last", &json!({}));
    held["metadata"]["finalizers"] = json!(["backstay.dev/contract"]);
    world.create(held).await.unwrap();
    let namespaces = ("v1", "Namespace");
    world.delete(namespaces, &world.home, Propagation::Background).await.unwrap();
    let terminating = world.get(namespaces, &world.home).await.unwrap();
    assert_eq!(terminating.at("/status/phase"), Some(&json!("Terminating")));
    let late = world.create(world.config("late", &json!({}))).await;
    assert!(matches!(late, Err(Error::Forbidden(_))), "{late:?}");
    world.gone(CONFIG, "made").await;
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.patch(CONFIG, "last", "", free).await.unwrap();
    world.gone(namespaces, &world.home).await;
}
