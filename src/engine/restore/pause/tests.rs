//! Claims about restores of what Flux and Argo CD manage, on the memory cluster.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::adapters::memory::cluster::Cluster;
use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::domain::fixup::Propagation;
use crate::domain::report::{Outcome, RestoreReport};
use crate::engine::keep::retain::tests::record as retained;
use crate::engine::restore::apply::apply;
use crate::engine::restore::apply::tests::{Mortal, SHOP, World, lose_shop, request, shown};
use crate::engine::saved::open::State;
use crate::ports::cluster::{Conflicts, Reader, Writer};

const ME: &str = "request shop";

/// A definition as Flux and Argo CD bring theirs, without their schema.
fn definition(group: &str, version: &str, plural: &str, kind: &str) -> String {
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: {plural}, singular: {}, kind: {kind}, listKind: {kind}List}}
  versions:
  - {{name: {version}, served: true, storage: true, subresources: {{status: {{}}}},
     schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}
---",
        kind.to_lowercase()
    )
}

pub(crate) const FLUX: &str = include_str!("flux.yaml");

const ARGO: &str = include_str!("argo.yaml");

/// The shop, with its configuration from Flux and its Service from Argo CD.
const MANAGED: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
  namespace: shop
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}
data: {a: '1'}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  annotations: {argocd.argoproj.io/tracking-id: 'shop:/Service:shop/web'}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

pub(crate) const PAUSED_SHOP: &str = "{owners: Pause, select: {namespaces: {include: [shop]}}}";

async fn definitions(world: &World) {
    for (group, version, plural, kind) in [
        ("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization"),
        ("argoproj.io", "v1alpha1", "applications", "Application"),
        ("argoproj.io", "v1alpha1", "applicationsets", "ApplicationSet"),
    ] {
        world.kubectl(&definition(group, version, plural, kind)).await;
    }
    world.clock.advance(Duration::from_secs(5));
}

pub(crate) async fn status(world: &World, kind: &str, place: &str, status: Json) {
    let object = world.object(kind, place).unwrap();
    let resource = world.resource(&object).await;
    let place = Place { namespace: object.namespace(), name: object.name(), subresource: "status" };
    let patch = Patch::Merge(json!({"status": status}));
    let writer = world.cluster.writing_as("kustomize-controller");
    writer.patch(&resource, place, &patch, Mode::Real).await.unwrap();
}

/// A cluster with Flux, Argo CD and a shop that is theirs, and its saved state.
pub(crate) async fn delivered() -> (World, State) {
    let world = World::new();
    definitions(&world).await;
    for text in [FLUX, ARGO, SHOP, MANAGED] {
        world.kubectl(text).await;
    }
    let entries = json!([{"id": "shop_web__ConfigMap", "v": "v1"}]);
    status(&world, "Kustomization", "flux-system/apps", json!({"inventory": {"entries": entries}})).await;
    world.clock.advance(Duration::from_secs(5));
    let mut state = world.saved().await;
    let mut record = retained(world.reach().clock.now(), Outcome::Complete);
    record.cluster.uid = world.cluster.server().await.unwrap().uid;
    state.record = Some(record);
    (world, state)
}

/// The whole way of a restore, as the command line goes it.
pub(crate) async fn whole(
    world: &World,
    state: &State,
    spec: &str,
    reach: &Reach<'_>,
) -> Result<RestoreReport, Error> {
    let (decided, plan) = decided(world, state, spec).await?;
    let ended = match pause(&decided, reach).await {
        Ok(()) => Ok(apply(&plan, state, reach).await.unwrap()),
        Err(error) => Err(error),
    };
    let owners = resume(&decided, reach).await;
    ended.map(|report| RestoreReport { owners, ..report })
}

pub(crate) async fn decided(
    world: &World,
    state: &State,
    spec: &str,
) -> Result<(PausePlan, RestorePlan), Error> {
    let mut plan = world.plan(state, spec).await;
    let asked = Asked { owners: request(spec).owners, restore: ME };
    let decided = look(&mut plan, asked, &world.reach()).await?;
    Ok((decided, plan))
}

/// Every owner of the cluster, without what a server counts.
pub(crate) fn owners(world: &World) -> Vec<Json> {
    let kinds = ["Kustomization", "Application", "ApplicationSet"];
    let objects = world.cluster.objects().into_iter().filter(|o| kinds.contains(&o.kind()));
    let plain = objects.map(|object| {
        let mut tree = object.sorted().into_json();
        let metadata = tree["metadata"].as_object_mut().unwrap();
        metadata.retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
        tree
    });
    plain.collect()
}

/// What was written, in order, by verb and kind.
pub(crate) fn writes(world: &World, from: usize) -> Vec<String> {
    let calls = world.cluster.calls().split_off(from);
    let verbs = ["create ", "apply ", "patch ", "delete "];
    let real =
        |call: &String| verbs.iter().any(|verb| call.starts_with(verb)) && !call.ends_with("(dry run)");
    calls.into_iter().filter(real).collect()
}

#[tokio::test]
async fn owners_are_paused_before_the_first_write_and_resumed_after_the_last_outermost_first() {
    let (world, state) = delivered().await;
    let before = owners(&world);
    lose_shop(&world).await;
    let (decided, _) = decided(&world, &state, PAUSED_SHOP).await.unwrap();
    assert_snapshot!(decided, @"
    owner Application argocd/root (applies Application argocd/shop): is paused until the end
    owner Application argocd/shop (applies 1 of these objects): is paused until the end
    owner Kustomization flux-system/root (applies Kustomization flux-system/apps): is paused until the end
    owner Kustomization flux-system/apps (applies 1 of these objects): is paused until the end
    ");
    let from = world.cluster.calls().len();
    let report = whole(&world, &state, PAUSED_SHOP, &world.reach()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Complete, "{}", shown(&report));
    assert!(!report.notes.iter().any(|note| note.contains("may revert")), "{:?}", report.notes);
    let writes = writes(&world, from);
    let owners_order = [
        "patch applications.argoproj.io argocd/root",
        "patch applications.argoproj.io argocd/shop",
        "patch kustomizations.kustomize.toolkit.fluxcd.io flux-system/root",
        "patch kustomizations.kustomize.toolkit.fluxcd.io flux-system/apps",
    ];
    assert_eq!(writes[..4], owners_order);
    assert_eq!(writes[writes.len() - 4..], owners_order);
    assert!(writes.len() > 10);
    let resumed: Vec<String> =
        report.owners.iter().map(|o| format!("{:?} {}", o.action, o.key.name)).collect();
    assert_eq!(resumed, ["Resumed root", "Resumed shop", "Resumed root", "Resumed apps"]);
    assert_eq!(owners(&world), before);
}

#[tokio::test]
async fn without_a_word_on_owners_those_that_may_revert_the_restore_are_named() {
    let (world, state) = delivered().await;
    lose_shop(&world).await;
    let from = world.cluster.calls().len();
    let report =
        whole(&world, &state, "select: {namespaces: {include: [shop]}}", &world.reach()).await.unwrap();
    assert_snapshot!(report.notes.join("\n"), @"
    Application argocd/shop applies 1 of these objects and may revert them: use `owners: Pause`
    Kustomization flux-system/apps applies 1 of these objects and may revert them: use `owners: Pause`
    Application argocd/shop would prune 1 of these objects: they carry its mark and it does not know them: Service shop/web
    ");
    assert!(
        writes(&world, from).iter().all(|call| !call.contains(" argocd/") && !call.contains("flux-system/"))
    );
    let map = world.object("ConfigMap", "shop/web").unwrap();
    assert_eq!(map.label("kustomize.toolkit.fluxcd.io/name"), Some("apps"));
}

#[tokio::test]
async fn killed_after_any_write_the_same_restore_leaves_every_owner_as_it_was() {
    for existing in ["Skip", "Update"] {
        let spec = format!("{{existing: {existing}, owners: Pause}}");
        let mut killed = 0;
        for left in 0.. {
            let (world, state) = delivered().await;
            let before = owners(&world);
            lose_shop(&world).await;
            let mortal = Mortal::new(&world.cluster, left);
            let reach = Reach { writer: &mortal, ..world.reach() };
            let died = tokio::select! {
                _ = whole(&world, &state, &spec, &reach) => false,
                () = mortal.died() => true,
            };
            killed += i64::from(died);
            whole(&world, &state, &spec, &world.reach()).await.unwrap();
            assert_eq!(owners(&world), before, "{existing}, killed after {left} writes");
            if !died {
                break;
            }
        }
        assert!(killed > 20, "{existing}: {killed}");
    }
}

#[tokio::test]
async fn whichever_write_fails_every_owner_is_as_it_was() {
    for (verb, effect) in [
        (Verb::Patch, Effect::Forbidden),
        (Verb::Create, Effect::Forbidden),
        (Verb::Patch, Effect::Unreachable),
    ] {
        for after in 0..14 {
            let (world, state) = delivered().await;
            let before = owners(&world);
            lose_shop(&world).await;
            world.cluster.inject(Fault { verb, resource: None, effect: effect.clone(), after, times: 3 });
            whole(&world, &state, "owners: Pause", &world.reach()).await.ok();
            world.cluster.mend();
            whole(&world, &state, "owners: Pause", &world.reach()).await.unwrap();
            assert_eq!(owners(&world), before, "{verb:?} {effect:?} after {after}");
        }
    }
}

#[tokio::test]
async fn where_the_cluster_refuses_a_pause_nothing_is_written() {
    let (world, state) = delivered().await;
    lose_shop(&world).await;
    let before = owners(&world);
    let from = world.cluster.calls().len();
    let resource = "kustomizations.kustomize.toolkit.fluxcd.io";
    world.cluster.inject(Fault::always(Verb::Patch, resource, Effect::Forbidden));
    let error = whole(&world, &state, PAUSED_SHOP, &world.reach()).await.unwrap_err();
    assert_eq!(
        format!("{error}; {}", error.next()),
        "cannot pause Kustomization.kustomize.toolkit.fluxcd.io flux-system/root; nothing was restored; \
        grant patch on kustomizations.kustomize.toolkit.fluxcd.io, or suspend it yourself and restore again"
    );
    assert_eq!(writes(&world, from), Vec::<String>::new());
    assert_eq!(owners(&world), before);
    world.cluster.mend();
    world.cluster.inject(Fault::always(Verb::List, resource, Effect::Forbidden));
    let error = whole(&world, &state, PAUSED_SHOP, &world.reach()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot find out who manages the objects; nothing was written");
    let report = whole(&world, &state, "{}", &world.reach()).await.unwrap();
    assert!(report.notes[0].starts_with("cannot list kustomizations"), "{:?}", report.notes);
}

#[tokio::test]
async fn a_kind_without_the_suspending_field_is_refused_too() {
    let (world, state) = delivered().await;
    let strict = definition("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization").replace(
        "x-kubernetes-preserve-unknown-fields: true",
        "properties: {spec: {type: object, properties: {path: {type: string}}}}",
    );
    world.kubectl(&FLUX.replace(", suspend: false", "")).await;
    world.kubectl(&strict).await;
    let from = world.cluster.calls().len();
    let error = whole(&world, &state, PAUSED_SHOP, &world.reach()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot pause Kustomization"), "{error}");
    assert_eq!(writes(&world, from), Vec::<String>::new());
}

#[tokio::test]
async fn what_another_restore_left_paused_is_told_and_resumed_by_a_command_of_its_own() {
    let (world, state) = delivered().await;
    let before = owners(&world);
    let (mut left, _) = decided(&world, &state, PAUSED_SHOP).await.unwrap();
    left.restore = "archive@latest".into();
    pause(&left, &world.reach()).await.unwrap();
    let report = whole(&world, &state, PAUSED_SHOP, &world.reach()).await.unwrap();
    let told = "Kustomization flux-system/apps is paused by another restore (archive@latest); if that one does not run \
        any more: backstay restore resume";
    assert!(report.notes.iter().any(|note| note == told), "{:?}", report.notes);
    assert!(report.owners.is_empty());

    let served = world.cluster.discover().await.unwrap().resources;
    let found = paused(&Catalog::builtin(), &served, &world.reach()).await.unwrap();
    let names: Vec<String> =
        found.list().iter().map(|(key, by)| format!("{} {}", key.place(), by.unwrap_or("?"))).collect();
    assert_eq!(
        names,
        [
            "argocd/root archive@latest",
            "argocd/shop archive@latest",
            "flux-system/root archive@latest",
            "flux-system/apps archive@latest",
        ]
    );
    assert_eq!(resume_all(&found, &world.reach()).await.len(), 4);
    assert_eq!(owners(&world), before);
    let found = paused(&Catalog::builtin(), &served, &world.reach()).await.unwrap();
    assert!(found.list().is_empty());
}

/// Lets somebody else write an owner just before every second patch.
struct Rival<'a> {
    cluster: &'a Cluster,
    patches: AtomicI64,
}

#[async_trait]
impl Writer for Rival<'_> {
    async fn create(&self, r: &Resource, o: &Manifest, m: Mode) -> Result<Manifest, cluster::Error> {
        self.cluster.create(r, o, m).await
    }

    async fn apply(
        &self,
        r: &Resource,
        o: &Manifest,
        c: Conflicts,
        m: Mode,
    ) -> Result<Manifest, cluster::Error> {
        self.cluster.apply(r, o, c, m).await
    }

    async fn patch(
        &self,
        r: &Resource,
        p: Place<'_>,
        patch: &Patch,
        m: Mode,
    ) -> Result<Manifest, cluster::Error> {
        let number = self.patches.fetch_add(1, Ordering::SeqCst);
        if number % 2 == 0 {
            let label = Patch::Merge(json!({"metadata": {"labels": {"round": number.to_string()}}}));
            self.cluster.writing_as("rival").patch(r, p, &label, Mode::Real).await?;
        }
        self.cluster.patch(r, p, patch, m).await
    }

    async fn delete_as_read(&self, r: &Resource, read: &Manifest) -> Result<(), cluster::Error> {
        self.cluster.delete_as_read(r, read).await
    }

    async fn delete(&self, r: &Resource, p: Place<'_>, how: Propagation) -> Result<(), cluster::Error> {
        self.cluster.delete(r, p, how).await
    }
}

#[tokio::test]
async fn an_owner_that_somebody_writes_meanwhile_is_read_again() {
    let (world, state) = delivered().await;
    lose_shop(&world).await;
    let rival = Rival { cluster: &world.cluster, patches: AtomicI64::new(0) };
    let reach = Reach { writer: &rival, ..world.reach() };
    let report = whole(&world, &state, PAUSED_SHOP, &reach).await.unwrap();
    assert_eq!(report.owners.len(), 4);
    let apps = world.object("Kustomization", "flux-system/apps").unwrap();
    assert!(apps.label("round").is_some() && apps.annotation(hold::PAUSED).is_none());
    assert_eq!(apps.at("/spec/suspend"), Some(&json!(false)));
}

#[tokio::test]
async fn an_update_of_a_paused_owner_does_not_wake_it_up_and_ends_as_saved() {
    let (world, _) = delivered().await;
    let owners_of = |suspend: &str| format!("{}---{}", FLUX.replace("suspend: false", suspend), MANAGED);
    world.clock.advance(Duration::from_secs(5));
    for (saved, ends) in
        [("suspend: false", json!(false)), ("suspend: true", json!(true)), ("retry: 1", json!(false))]
    {
        for existing in ["Update", "RecreateAlways"] {
            world.kubectl(FLUX).await;
            let state = world.state(&owners_of(saved)).await;
            let spec = format!("{{existing: {existing}, owners: Pause}}");
            let (decided, plan) = decided(&world, &state, &spec).await.unwrap();
            pause(&decided, &world.reach()).await.unwrap();
            apply(&plan, &state, &world.reach()).await.unwrap();
            let apps = || world.object("Kustomization", "flux-system/apps").unwrap();
            assert_eq!(apps().at("/spec/suspend"), Some(&json!(true)), "{existing} {saved}");
            resume(&decided, &world.reach()).await;
            assert_eq!(apps().at("/spec/suspend"), Some(&ends), "{existing} {saved}");
            assert_eq!(apps().annotation(hold::PAUSED), None, "{existing} {saved}");
        }
    }
}
