//! Documents of Git in the cluster, and people who write there as well.

use serde_json::json;

use super::world::*;
use super::*;
use crate::domain::custom_resource::Kind;
use crate::domain::fixup::Propagation;
use crate::engine::reach::{Reach, Silent};
use crate::ports::cluster::{Mode, Patch, Place, Writer};
use crate::reconcile::resource::Key;
use crate::reconcile::resources::{hide, show};
use crate::work::doors::reach;

#[tokio::test]
async fn what_somebody_applies_over_a_view_is_theirs_and_nobody_fights() {
    let world = World::new().await;
    world.policy("minutely", "{schedule: '* * * * *', locations: [vault], retention: {keepLast: 5}}");
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), async {
        let schedule = async || {
            let view = world.get("BackupPolicy", "minutely").await?;
            view.at("/spec/schedule").and_then(Json::as_str).map(str::to_owned)
        };
        world.until("there is a view", async || schedule().await.is_some()).await;
        world
            .apply_as(
                "kustomize-controller",
                json!({
                    "apiVersion": "backstay.dev/v1alpha1", "kind": "BackupPolicy",
                    "metadata": {"name": "minutely", "namespace": HOME},
                    "spec": {"schedule": "0 5 * * *", "locations": ["vault"]},
                }),
            )
            .await;
        world.pass(Duration::from_secs(30)).await;
        let object = world.get("BackupPolicy", "minutely").await.unwrap();
        assert_eq!(schedule().await.as_deref(), Some("0 5 * * *"));
        assert_eq!((object.label("backstay.dev/source"), object.at("/spec/retention")), (None, None));
        let next = object.at("/status/nextRun").and_then(Json::as_str).unwrap();
        assert_eq!(next, "2026-11-28T05:00:00Z");
        let generation = object.at("/metadata/generation").cloned();
        world.pass(Duration::from_mins(2)).await;
        let later = world.get("BackupPolicy", "minutely").await.unwrap();
        assert_eq!(later.at("/metadata/generation").cloned(), generation);
        let kind = Kind::of("BackupPolicy").unwrap().resource();
        let place = Place { namespace: Some(HOME), name: "minutely", subresource: "" };
        let gone = world.cluster.writing_as("kustomize-controller");
        gone.delete(&kind, place, Propagation::Background).await.unwrap();
        let again = async || schedule().await.as_deref() == Some("* * * * *");
        world.until("the document in Git is in force again", again).await;
    })
    .await;
}

#[tokio::test]
async fn what_somebody_applies_from_their_side_keeps_every_field() {
    let world = World::new().await;
    world.policy("minutely", "{schedule: '* * * * *', locations: [vault], suspend: true}");
    let board = Arc::new(Board::default());
    during(world.replica("a", &board), async {
        let object = async || world.get("BackupPolicy", "minutely").await;
        world.until("there is a view", async || object().await.is_some()).await;
        // `kubectl apply` on the client sends what is different, and notes what it was given.
        let kind = Kind::of("BackupPolicy").unwrap().resource();
        let place = Place { namespace: Some(HOME), name: "minutely", subresource: "" };
        let noted = json!({"kubectl.kubernetes.io/last-applied-configuration": "{\"spec\": {}}"});
        let patch = json!({"metadata": {"annotations": noted}, "spec": {"retention": {"keepLast": 7}}});
        let person = world.cluster.writing_as("kubectl-client-side-apply");
        person.patch(&kind, place, &Patch::Merge(patch), Mode::Real).await.unwrap();
        let unmarked = async || object().await.unwrap().label("backstay.dev/source").is_none();
        world.until("its marks are gone", unmarked).await;
        world.pass(Duration::from_secs(30)).await;
        let found = object().await.unwrap();
        for (field, wanted) in [
            ("/spec/schedule", json!("* * * * *")),
            ("/spec/locations", json!(["vault"])),
            ("/spec/suspend", json!(true)),
            ("/spec/retention/keepLast", json!(7)),
        ] {
            assert_eq!(found.at(field), Some(&wanted), "{field}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_became_somebody_elses_since_it_was_listed_is_left_alone() {
    let world = World::new().await;
    let app = world.app();
    let reach: Reach<'_> = reach(&app, &Silent).await.unwrap();
    let key = Key::new("BackupPolicy", "nightly");
    let spec = |schedule: &str| json!({"schedule": schedule, "locations": ["vault"]});
    show(&reach, HOME, &key, &spec("0 1 * * *")).await.unwrap();
    show(&reach, HOME, &key, &spec("0 2 * * *")).await.unwrap();
    let theirs = json!({
        "apiVersion": "backstay.dev/v1alpha1", "kind": "BackupPolicy",
        "metadata": {"name": "nightly", "namespace": HOME}, "spec": spec("0 3 * * *"),
    });
    world.apply_as("kustomize-controller", theirs).await;
    show(&reach, HOME, &key, &spec("0 4 * * *")).await.unwrap();
    hide(&reach, HOME, &key).await.unwrap();
    let found = world.get("BackupPolicy", "nightly").await.unwrap();
    assert_eq!(found.at("/spec"), Some(&spec("0 3 * * *")));
}
