//! Claims about names that match nothing, on the memory cluster.

use insta::assert_snapshot;

use crate::engine::restore::apply::tests::World;

const STATE: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: a}
spec: {containers: [{name: x, image: registry.example.org/team/web}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: a}
spec: {storageClassName: fast}
";

async fn told(spec: &str) -> String {
    let world = World::new();
    let state = world.state(STATE).await;
    world.plan(&state, spec).await.unmatched.join("\n")
}

#[tokio::test]
async fn names_that_are_met_are_not_told() {
    let spec = "
namespaceMapping: {a: b}
storageClassMapping: {fast: slow}
imageMapping: {registry.example.org/team: mirror.example.net}
existingFor: [{kinds: [Pod], existing: Update}]
children: [Pod]
restoreStatusOf: [persistentvolumeclaims]
transforms: [{name: t, kinds: [Pod], merge: {metadata: {labels: {a: b}}}}]
";
    assert_eq!(told(spec).await, "");
}

#[tokio::test]
async fn names_that_match_nothing_are_told_by_field() {
    let spec = "
namespaceMapping: {aa: b}
storageClassMapping: {fsat: slow}
imageMapping: {registry.example.org/tea: mirror.example.net}
existingFor: [{kinds: [Pods], existing: Update}]
children: [ReplicaSets]
restoreStatusOf: [pvc]
transforms: [{name: t, kinds: [pod], merge: {metadata: {labels: {a: b}}}}]
";
    assert_snapshot!(told(spec).await, @r#"
    namespaceMapping: nothing was saved in namespace "aa"
    storageClassMapping: nothing that is restored names the storage class "fsat"
    imageMapping: no image of what is restored begins with "registry.example.org/tea"
    existingFor: "Pods" matches no kind that was saved
    transforms: "pod" matches no kind that was saved
    children: "ReplicaSets" matches no kind that was saved
    restoreStatusOf: "pvc" matches no kind that was saved
    "#);
}

#[tokio::test]
async fn a_mapped_name_counts_only_in_what_is_restored() {
    let spec = "
select: {namespacedResources: {include: [Pod]}}
storageClassMapping: {fast: slow}
";
    assert_snapshot!(told(spec).await, @r#"storageClassMapping: nothing that is restored names the storage class "fast""#);
}
