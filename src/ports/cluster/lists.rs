//! What every cluster adapter must do with lists.
//!
//! In: a trial's world · Out: a panic that names the broken claim · Touches: cluster (read and write)

use serde_json::json;

use crate::domain::object::{Gvk, Manifest};
use crate::ports::cluster::trial::World;
use crate::ports::cluster::{Error, ListRequest, ManagedFields, Scope};

/// Checks every claim about lists.
///
/// # Panics
/// On the first claim that does not hold.
pub async fn hold(world: &World<'_>) {
    come_in_pages_of_one_state(world).await;
    take_label_selectors(world).await;
    bring_as_much_of_managed_fields_as_is_asked_for(world).await;
}

async fn come_in_pages_of_one_state(world: &World<'_>) {
    for i in 0..5 {
        world.create(world.config(&format!("page-{i}"), &json!({}))).await.unwrap();
    }
    let first = world.list("", 2, None).await.unwrap();
    assert_eq!(first.objects.len(), 2);
    assert!(!first.resource_version.is_empty());
    assert!(first.objects.iter().all(|o| o.gvk() == Gvk::new("v1", "ConfigMap")));
    world.create(world.config("page-late", &json!({}))).await.unwrap();
    let mut names: Vec<String> = first.objects.iter().map(|o| o.name().to_owned()).collect();
    let mut token = first.next;
    while let Some(next) = token {
        let page = world.list("", 2, Some(next)).await.unwrap();
        names.extend(page.objects.iter().map(|o| o.name().to_owned()));
        token = page.next;
    }
    assert!(!names.contains(&"page-late".into()), "later pages show the state of the first: {names:?}");
    let mut once = names.clone();
    once.sort();
    once.dedup();
    assert_eq!(names, once, "in order, each once");
    assert_eq!(names.iter().filter(|n| n.starts_with("page-")).count(), 5);
    let garbage = world.list("", 2, Some("garbage".into())).await;
    assert!(matches!(garbage, Err(Error::Invalid(_))), "{garbage:?}");
}

async fn take_label_selectors(world: &World<'_>) {
    for (name, tier) in [("lab-a", "front"), ("lab-b", "back")] {
        let mut object = world.config(name, &json!({}));
        object["metadata"]["labels"] = json!({"tier": tier, "suite": "labels"});
        world.create(object).await.unwrap();
    }
    let page = world.list("suite=labels,tier in (front, side),!legacy", 500, None).await.unwrap();
    assert_eq!(page.objects.iter().map(Manifest::name).collect::<Vec<_>>(), ["lab-a"]);
    assert_eq!(page.next, None);
    assert!(matches!(world.list("a b", 500, None).await, Err(Error::Invalid(_))));
}

async fn bring_as_much_of_managed_fields_as_is_asked_for(world: &World<'_>) {
    let mut object = world.config("managed", &json!({"fieldsV1": "a key like another"}));
    object["metadata"]["labels"] = json!({"suite": "managed"});
    let made = world.create(object).await.unwrap();
    let scope = Scope::Namespace(world.home.clone());
    let whole = ListRequest { labels: "suite=managed".into(), ..ListRequest::new(scope, 5) };
    let whole = ListRequest { managed_fields: ManagedFields::Whole, ..whole };
    let names = ListRequest { managed_fields: ManagedFields::Names, ..whole.clone() };
    let resource = world.resource("v1", "ConfigMap");
    let listed = world.reader.list(&resource, &whole).await.unwrap();
    assert_eq!(listed.objects, std::slice::from_ref(&made));
    let listed = world.reader.list(&resource, &names).await.unwrap();
    let without = made.edit(|tree| {
        let managed = tree.pointer_mut("/metadata/managedFields/0").unwrap();
        assert!(managed.as_object_mut().unwrap().shift_remove("fieldsV1").is_some());
    });
    assert_eq!(listed.objects, [without.unwrap()]);
}
