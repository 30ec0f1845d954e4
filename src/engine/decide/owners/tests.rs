//! Which children stay out, and which come back although their controller does.

use serde_json::json;

use super::*;
use crate::domain::object::{Gvk, Json};

struct Saved {
    key: ObjectKey,
    resource: Resource,
    uid: Option<String>,
    controller: Option<Owner>,
}

/// Reads `Pod shop/web-1 u3 < ReplicaSet.apps web u2`: an object, its uid and, behind `<`, its controller.
fn read(line: &str) -> Saved {
    let (own, owner) = line.split_once(" < ").map_or((line, None), |(own, owner)| (own, Some(owner)));
    let words: Vec<&str> = own.split(' ').collect();
    let [kind, place, uid] = words[..] else { panic!("{line}") };
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    let (namespace, name) = place.split_once('/').map_or((None, place), |(ns, name)| (Some(ns), name));
    let api_version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    let mut metadata = json!({"name": name, "namespace": namespace, "uid": uid});
    if let Some(owner) = owner {
        let words: Vec<&str> = owner.split(' ').collect();
        let (kind, group) = words[0].split_once('.').unwrap_or((words[0], ""));
        let api_version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
        metadata["ownerReferences"] = json!([
            {"apiVersion": api_version, "kind": kind, "name": words[1], "uid": words[2], "controller": true}
        ]);
    }
    let tree: Json = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
    let object = Manifest::parse(tree).unwrap();
    let plural = format!("{}s", kind.to_lowercase());
    let resource = Resource {
        gvk: Gvk::new(&api_version, kind),
        plural,
        namespaced: namespace.is_some(),
        verbs: Vec::new(),
        served: Vec::new(),
    };
    Saved { key: object.key(), resource, uid: object.uid().map(Into::into), controller: object.controller() }
}

fn judged(text: &str) -> String {
    let saved: Vec<Saved> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(read).collect();
    let labels = BTreeMap::new();
    let members: Vec<Member<'_>> = saved
        .iter()
        .map(|s| Member {
            wanted: false,
            key: &s.key,
            resource: &s.resource,
            uid: s.uid.as_deref(),
            labels: &labels,
            controller: s.controller.as_ref(),
        })
        .collect();
    let verdicts = owners(&members, &Catalog::builtin(), &KindMatcher::default());
    let told = saved.iter().zip(verdicts).map(|(s, verdict)| match verdict {
        Verdict::Restore => format!("{}: restored", s.key),
        Verdict::RestoreOwned(note) => format!("{}: restored; {note}", s.key),
        Verdict::Leave(reason) => format!("{}: left out; {reason}", s.key),
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_controller_makes_its_children_again() {
    insta::assert_snapshot!(judged("
        Deployment.apps shop/web u1
        ReplicaSet.apps shop/web-1 u2 < Deployment.apps web u1
        Pod shop/web-1-x u3 < ReplicaSet.apps web-1 u2
        EndpointSlice.discovery.k8s.io shop/web-x u4 < Service web u5
        Service shop/web u5
        StatefulSet.apps shop/db u6
        ControllerRevision.apps shop/db-1 u7 < StatefulSet.apps db u6
    "), @"
    Deployment.apps shop/web: restored
    ReplicaSet.apps shop/web-1: left out; made by Deployment.apps shop/web
    Pod shop/web-1-x: left out; made by ReplicaSet.apps shop/web-1
    EndpointSlice.discovery.k8s.io shop/web-x: left out; made by Service shop/web
    Service shop/web: restored
    StatefulSet.apps shop/db: restored
    ControllerRevision.apps shop/db-1: left out; made by StatefulSet.apps shop/db
    ");
}

#[test]
fn an_orphan_whose_controller_is_not_restored_comes_back() {
    insta::assert_snapshot!(judged("
        Pod shop/web-1-x u3 < ReplicaSet.apps web-1 u2
        Pod other/web-1-x u9 < ReplicaSet.apps web-1 u8
        ReplicaSet.apps other/web-1 u7
    "), @"
    Pod shop/web-1-x: restored; its controller ReplicaSet.apps shop/web-1 is not among the restored objects
    Pod other/web-1-x: left out; made by ReplicaSet.apps other/web-1
    ReplicaSet.apps other/web-1: restored
    ");
}

#[test]
fn a_cluster_scoped_controller_counts_and_an_object_never_controls_itself() {
    insta::assert_snapshot!(judged("
        Tenant.example.org acme t1
        Quota.example.org shop/limits q1 < Tenant.example.org acme t1
        Odd.example.org shop/odd o1 < Odd.example.org odd o1
    "), @"
    Tenant.example.org acme: restored
    Quota.example.org shop/limits: left out; made by Tenant.example.org acme
    Odd.example.org shop/odd: restored; its controller Odd.example.org shop/odd is not among the restored objects
    ");
}

#[test]
fn what_a_controller_could_not_make_again_as_it_was_comes_back() {
    // Passwords an operator made up, data behind a claim; a sealed Secret is refused by its controller otherwise.
    insta::assert_snapshot!(judged("
        Cluster.postgresql.cnpg.io shop/db c1
        Secret shop/db-superuser s1 < Cluster.postgresql.cnpg.io db c1
        PersistentVolumeClaim shop/db-1 p1 < Cluster.postgresql.cnpg.io db c1
        ConfigMap shop/db-config m1 < Cluster.postgresql.cnpg.io db c1
        SealedSecret.bitnami.com shop/api e1
        Secret shop/api s2 < SealedSecret.bitnami.com api e1
    "), @"
    Cluster.postgresql.cnpg.io shop/db: restored
    Secret shop/db-superuser: restored; made by Cluster.postgresql.cnpg.io shop/db, which could not make it again as it was
    PersistentVolumeClaim shop/db-1: restored; made by Cluster.postgresql.cnpg.io shop/db, which could not make it again as it was
    ConfigMap shop/db-config: left out; made by Cluster.postgresql.cnpg.io shop/db
    SealedSecret.bitnami.com shop/api: restored
    Secret shop/api: left out; made by SealedSecret.bitnami.com shop/api
    ");
}
