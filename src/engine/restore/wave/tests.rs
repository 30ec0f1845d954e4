//! Claims about webhooks that block and servers under pressure, on the memory cluster.

use std::time::Duration;

use crate::adapters::memory::fault::{Effect, Fault, Verb};
use crate::engine::restore::apply::tests::{ONLY_SHOP, World, lose_shop, with_shop};

#[tokio::test]
async fn what_a_webhook_blocks_is_tried_again_after_the_waves_that_may_bring_its_backend() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    world.cluster.inject(Fault::first(3, Verb::Create, "secrets", Effect::Webhook("v.example.org".into())));
    let told = world.restore(&state, ONLY_SHOP).await;
    assert!(told.starts_with("Complete"), "{told}");
    assert!(told.contains("Created Secret shop/db"), "{told}");
    let calls = world.cluster.calls();
    let place = |start: &str| calls.iter().rposition(|call| call.starts_with(start)).unwrap();
    assert!(place("create secrets") > place("create services"), "{calls:?}");
}

#[tokio::test]
async fn a_webhook_that_blocks_a_namespace_blocks_what_is_in_it_until_it_answers() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    world.cluster.inject(Fault::first(
        4,
        Verb::Create,
        "namespaces",
        Effect::Webhook("v.example.org".into()),
    ));
    let told = world.restore(&state, ONLY_SHOP).await;
    assert!(told.starts_with("Complete"), "{told}");
    assert!(world.object("Deployment", "shop/web").is_some());
}

#[tokio::test]
async fn a_webhook_that_never_answers_is_named_with_its_configuration_and_costs_one_wait() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    world
        .kubectl(
            "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: guard}, \
             webhooks: [{name: v.example.org, sideEffects: None, admissionReviewVersions: [v1], \
             clientConfig: {service: {namespace: ops, name: guard}}}]}",
        )
        .await;
    for kind in ["secrets", "services"] {
        world.cluster.inject(Fault::always(Verb::Create, kind, Effect::Webhook("v.example.org".into())));
    }
    let before = world.clock_now();
    let told = world.restore(&state, ONLY_SHOP).await;
    assert!(told.starts_with("Partial"), "{told}");
    for object in ["Secret shop/db", "Service shop/web"] {
        let line = format!(
            "Failed {object}: the webhook v.example.org of ValidatingWebhookConfiguration guard, which calls Service ops/guard"
        );
        assert!(told.contains(&line), "{told}");
    }
    let parse = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let waited = parse(&world.clock_now()).duration_since(parse(&before)).as_secs();
    assert!((120..200).contains(&waited), "{waited} s");
}

#[tokio::test]
async fn a_server_under_pressure_still_gets_every_object() {
    let world = World::new();
    let map = |n: usize| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-{n}, namespace: default}}\n---\n")
    };
    let state = world.state(&(0..200).map(map).collect::<String>()).await;
    let busy = Effect::TooMany(Some(Duration::from_secs(1)));
    world.cluster.inject(Fault { times: 40, ..Fault::always(Verb::Create, "configmaps", busy) });
    let told = world.restore(&state, "{}").await;
    assert!(told.starts_with("Complete"), "{told}");
    assert_eq!(told.matches("Created ConfigMap").count(), 200);
}

#[tokio::test]
async fn a_namespace_whose_labels_nobody_may_change_still_takes_what_is_in_it() {
    let (world, state) = with_shop().await;
    lose_shop(&world).await;
    world.kubectl("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").await;
    for verb in [Verb::Create, Verb::Patch] {
        world.cluster.inject(Fault::always(verb, "namespaces", Effect::Forbidden));
    }
    let told = world.restore(&state, ONLY_SHOP).await;
    assert!(told.starts_with("Partial"), "{told}");
    assert!(told.contains("Failed Namespace shop: forbidden"), "{told}");
    assert!(told.contains("Created Secret shop/db"), "{told}");
}
