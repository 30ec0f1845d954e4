//! Claims about finalizers, on the memory cluster.

use crate::engine::restore::apply::tests::World;

const WIDGETS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: shop, finalizers: [widgets.example.org/cleanup, other.example.org/x]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plain, namespace: shop, finalizers: [foregroundDeletion]}
";

const OPERATOR: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator, namespace: shop}
spec:
  selector: {matchLabels: {app: operator}}
  template: {metadata: {labels: {app: operator}}, spec: {containers: [{name: operator, image: 'operator:1'}]}}
";

const RULES: &str = "finalizers: [{finalizers: ['widgets.example.org/*'], \
    controller: {apiVersion: apps/v1, kind: Deployment, namespace: shop, name: operator}, timeout: 10s}]";

#[tokio::test]
async fn a_finalizer_comes_back_once_its_controller_is_ready_and_no_other_one_does() {
    let world = World::new();
    let state = world.state(&format!("{WIDGETS}---{OPERATOR}")).await;
    let told = world.restore(&state, RULES).await;
    assert!(told.starts_with("Complete"), "{told}");
    let one = world.object("ConfigMap", "shop/one").unwrap();
    assert_eq!(one.finalizers(), ["widgets.example.org/cleanup"]);
    assert!(world.object("ConfigMap", "shop/plain").unwrap().finalizers().is_empty());
    let writes = world.writes();
    world.restore(&state, RULES).await;
    let patches = world.cluster.calls().iter().filter(|call| call.starts_with("patch ")).count();
    assert!(world.writes() >= writes && patches == 1, "a second run finds it there");
}

#[tokio::test]
async fn without_its_controller_it_stays_off_and_the_report_says_so() {
    let world = World::new();
    let state = world.state(WIDGETS).await;
    let told = world.restore(&state, RULES).await;
    assert!(told.starts_with("Partial"), "{told}");
    let late = "late Created ConfigMap shop/one: without widgets.example.org/cleanup: \
        its controller Deployment shop operator is not ready: it is not there";
    assert!(told.contains(late), "{told}");
    assert!(world.object("ConfigMap", "shop/one").unwrap().finalizers().is_empty());
}
