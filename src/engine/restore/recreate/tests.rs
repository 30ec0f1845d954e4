//! Claims about objects that must make way, on the memory cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use crate::adapters::memory::cluster::Cluster;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::fixup::Propagation;
use crate::domain::object::{Manifest, Resource};
use crate::domain::report::ObjectAction;
use crate::engine::clean::hide::Marks;
use crate::engine::reach::Reach;
use crate::engine::restore::apply::apply;
use crate::engine::restore::apply::tests::{ONLY_SHOP, World, shown, with_shop};
use crate::engine::restore::preview::preview;
use crate::engine::saved::open::State;
use crate::ports::cluster::{Conflicts, Error, Mode, Patch, Place, Writer};

/// The shop is saved; then its Deployment gets another selector, which nobody can change back in place.
async fn with_another_selector() -> (World, State) {
    let (world, state) = with_shop().await;
    let deployment = world.object("Deployment", "shop/web").unwrap();
    let resource = world.resource(&deployment).await;
    let place = Place { namespace: Some("shop"), name: "web", subresource: "" };
    world.cluster.delete(&resource, place, Propagation::Background).await.unwrap();
    world.clock.advance(Duration::from_secs(5));
    world.kubectl(OTHER).await;
    (world, state)
}

const OTHER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: other}}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: web, image: 'web:1'}]}}
";

fn line(told: &str, what: &str) -> String {
    told.lines().find(|line| line.contains(what)).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn what_cannot_be_changed_in_place_is_made_anew_when_asked() {
    let (world, state) = with_another_selector().await;
    let told = world.restore(&state, &format!("{{existing: Update, {ONLY_SHOP}}}")).await;
    assert!(line(&told, "Deployment").ends_with("restore it with `existing: Recreate`"), "{told}");
    let told = world.restore(&state, &format!("{{existing: Recreate, {ONLY_SHOP}}}")).await;
    assert!(told.starts_with("Complete"), "{told}");
    assert_eq!(line(&told, "Deployment"), "Recreated Deployment.apps shop/web");
    let web = world.object("Deployment", "shop/web").unwrap();
    assert_eq!(web.at("/spec/selector/matchLabels"), Some(&json!({"app": "web"})));
    let again = world.restore(&state, &format!("{{existing: Recreate, {ONLY_SHOP}}}")).await;
    assert_eq!(line(&again, "Deployment"), "Unchanged Deployment.apps shop/web");
}

#[tokio::test]
async fn nothing_is_deleted_that_could_not_be_made_again() {
    let (world, state) = with_another_selector().await;
    world.cluster.inject(Fault::always(Verb::Create, "deployments.apps", Effect::Forbidden));
    let told = world.restore(&state, &format!("{{existing: Recreate, {ONLY_SHOP}}}")).await;
    assert!(line(&told, "Deployment").contains("the server would not take a new one"), "{told}");
    let web = world.object("Deployment", "shop/web").unwrap();
    assert_eq!(web.at("/spec/selector/matchLabels"), Some(&json!({"app": "other"})));
}

#[tokio::test]
async fn always_means_wherever_it_differs_and_some_kinds_never() {
    let (world, state) = with_shop().await;
    let uid = world.object("Secret", "shop/db").unwrap().uid().map(str::to_owned);
    let spec = format!("{{existing: RecreateAlways, {ONLY_SHOP}}}");
    assert_eq!(line(&world.restore(&state, &spec).await, "Secret"), "Unchanged Secret shop/db");
    world
        .kubectl(
            "{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}, data: {password: bmV3}}",
        )
        .await;
    world.kubectl("{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: red}}}").await;
    let told = world.restore(&state, &spec).await;
    assert_eq!(line(&told, "Secret"), "Recreated Secret shop/db");
    assert_ne!(world.object("Secret", "shop/db").unwrap().uid().map(str::to_owned), uid);
    assert_eq!(line(&told, "Namespace shop"), "Updated Namespace shop");
    assert!(world.object("ServiceAccount", "shop/web").is_some());
}

#[tokio::test]
async fn kinds_may_have_an_answer_of_their_own() {
    let (world, state) = with_shop().await;
    world
        .kubectl(
            "{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}, data: {password: bmV3}}",
        )
        .await;
    let spec =
        format!("{{existing: Update, existingFor: [{{kinds: [Secret], existing: Skip}}], {ONLY_SHOP}}}");
    let told = world.restore(&state, &spec).await;
    assert_eq!(line(&told, "Secret"), "Skipped Secret shop/db: it exists and is different");
    let spec = format!("{{existingFor: [{{kinds: [secrets], existing: Fail}}], {ONLY_SHOP}}}");
    let told = world.restore(&state, &spec).await;
    assert!(told.starts_with("Failed"), "{told}");
    assert_eq!(line(&told, "Secret"), "Failed Secret shop/db: it exists");
    assert!(!told.contains("Deployment"), "only what must not exist is named: {told}");
}

#[tokio::test]
async fn a_dry_run_deletes_nothing_and_says_what_would_be() {
    let (world, state) = with_another_selector().await;
    let plan = world.plan(&state, &format!("{{existing: Recreate, {ONLY_SHOP}}}")).await;
    let marks = Marks::new(&[]).unwrap();
    let before = world.writes();
    let preview = preview(&plan, &state, &marks, &world.reach()).await.unwrap();
    assert_eq!(world.writes(), before);
    let objects = preview.waves.iter().flat_map(|wave| &wave.objects);
    let web = objects.into_iter().find(|o| o.report.key.kind == "Deployment").unwrap();
    assert_eq!(web.report.action, ObjectAction::Recreated);
    assert!(web.report.reason.as_ref().unwrap().starts_with("deleted and made anew: "), "{web:?}");
}

/// A cluster whose Deployment refuses the first change and is gone a moment later.
struct Vanishing {
    cluster: Cluster,
    done: AtomicBool,
}

#[async_trait]
impl Writer for Vanishing {
    async fn create(&self, r: &Resource, o: &Manifest, m: Mode) -> Result<Manifest, Error> {
        self.cluster.create(r, o, m).await
    }

    async fn apply(&self, r: &Resource, o: &Manifest, c: Conflicts, m: Mode) -> Result<Manifest, Error> {
        if r.gvk.kind == "Deployment" && !self.done.swap(true, Ordering::SeqCst) {
            let place = Place { namespace: o.namespace(), name: o.name(), subresource: "" };
            self.cluster.delete(r, place, Propagation::Background).await?;
            return Err(Error::Invalid("spec.selector: Invalid value: field is immutable".into()));
        }
        self.cluster.apply(r, o, c, m).await
    }

    async fn patch(&self, r: &Resource, p: Place<'_>, patch: &Patch, m: Mode) -> Result<Manifest, Error> {
        self.cluster.patch(r, p, patch, m).await
    }

    async fn delete_as_read(&self, r: &Resource, read: &Manifest) -> Result<(), Error> {
        self.cluster.delete_as_read(r, read).await
    }

    async fn delete(&self, r: &Resource, p: Place<'_>, how: Propagation) -> Result<(), Error> {
        self.cluster.delete(r, p, how).await
    }
}

#[tokio::test]
async fn what_goes_between_two_looks_is_made_all_the_same() {
    let (world, state) = with_another_selector().await;
    let writer = Vanishing { cluster: world.cluster.clone(), done: AtomicBool::new(false) };
    let plan = world.plan(&state, &format!("{{existing: Update, {ONLY_SHOP}}}")).await;
    let report = apply(&plan, &state, &Reach { writer: &writer, ..world.reach() }).await.unwrap();
    let told = shown(&report);
    assert!(told.starts_with("Complete"), "{told}");
    let web = world.object("Deployment", "shop/web").unwrap();
    assert_eq!(web.at("/spec/selector/matchLabels"), Some(&json!({"app": "web"})));
}
