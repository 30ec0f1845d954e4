//! What a restore sends of an object, rule by rule: as it was saved, as it is sent.

use super::*;
use crate::domain::object::{Gvk, Resource};
use crate::domain::rules::Catalog;
use crate::engine::yaml;

/// Where the objects of a test go: home, to another cluster, or with namespace `shop` renamed to `copy`.
#[derive(Clone, Copy)]
enum To {
    Home,
    OtherCluster,
    Copy,
}

fn prepared(plural: &str, text: &str, to: To) -> Result<Preparation, Error> {
    prepared_for(plural, text, to, None)
}

fn prepared_for(plural: &str, text: &str, to: To, owners: Option<Owners>) -> Result<Preparation, Error> {
    let object = Manifest::parse(yaml::parse(text).unwrap()).unwrap();
    let resource = Resource {
        gvk: Gvk::new(&object.gvk().api_version(), object.kind()),
        plural: plural.into(),
        namespaced: object.namespace().is_some(),
        verbs: Vec::new(),
        served: Vec::new(),
    };
    let mut mapping = Mapping::default();
    if matches!(to, To::Copy) {
        mapping.namespaces.insert("shop".to_owned(), "copy".to_owned());
    }
    let taken = Volume { claim: Some(("shop".to_owned(), "other".to_owned())), released_from: None };
    let volumes = BTreeMap::from([("kept".to_owned(), Volume::default()), ("taken".to_owned(), taken)]);
    let cluster = if matches!(to, To::OtherCluster) { Cluster::Other } else { Cluster::Same };
    let destination = Destination { cluster, owners, mapping: &mapping, transforms: &[], volumes: &volumes };
    prepare(object, &Catalog::builtin().kind(&resource), &destination)
}

/// One line: what is sent without apiVersion and kind, then the notes; or why it is left out.
fn line(plural: &str, text: &str, to: To) -> String {
    match prepared(plural, text, to).unwrap() {
        Preparation::Leave(reason) => format!("left out: {reason}"),
        Preparation::Send(prepared) => {
            let mut tree = prepared.manifest().as_json().clone();
            for common in ["apiVersion", "kind"] {
                tree.as_object_mut().unwrap().shift_remove(common);
            }
            let notes = prepared.notes().iter().map(|note| format!("\n  {note}"));
            format!("{tree}{}", notes.collect::<String>())
        }
    }
}

fn lines(plural: &str, head: &str, to: To, bodies: &[&str]) -> String {
    let told = bodies.iter().map(|body| line(plural, &format!("{head}\n{body}"), to));
    told.collect::<Vec<_>>().join("\n")
}

/// One line for each line `plural {object}`.
fn each(table: &str, to: To) -> String {
    let rows = table.lines().filter_map(|row| row.split_once(' '));
    rows.map(|(plural, text)| line(plural, text, to)).collect::<Vec<_>>().join("\n")
}

const CONFIG: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
  namespace: shop
  uid: u
  resourceVersion: '1'
  generation: 2
  generateName: web-
  creationTimestamp: 2026-01-01T00:00:00Z
  selfLink: /x
  managedFields: [{manager: kubectl, operation: Apply}]
  finalizers: [kubernetes.io/pv-protection, example.org/hold]
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d}]
  labels:
    app: web
    kustomize.toolkit.fluxcd.io/name: apps
    argocd.argoproj.io/instance: shop
    velero.io/backup-name: b
    velero.io/restore-name: r
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{}'
    argocd.argoproj.io/tracking-id: x
    argocd.argoproj.io/sync-wave: '3'
    argocd.argoproj.io/refresh: hard
    reconcile.fluxcd.io/requestedAt: now
    kustomize.toolkit.fluxcd.io/prune: disabled
    meta.helm.sh/release-namespace: shop
    control-plane.alpha.kubernetes.io/leader: me
data: {a: b}
unknownField: {stays: true}
status: {x: 1}
";

#[test]
fn at_home_marks_of_other_tools_stay_and_what_a_server_sets_goes() {
    // Source: velero resetMetadata; marks stay, so that Flux and Argo CD see no drift.
    insta::assert_snapshot!(line("configmaps", CONFIG, To::Home), @r#"
    {"data":{"a":"b"},"metadata":{"annotations":{"argocd.argoproj.io/sync-wave":"3","argocd.argoproj.io/tracking-id":"x","kubectl.kubernetes.io/last-applied-configuration":"{}","kustomize.toolkit.fluxcd.io/prune":"disabled","meta.helm.sh/release-namespace":"shop"},"labels":{"app":"web","argocd.argoproj.io/instance":"shop","kustomize.toolkit.fluxcd.io/name":"apps"},"name":"web","namespace":"shop"},"unknownField":{"stays":true}}
      without its finalizers (example.org/hold): their controllers set them again
    "#);
}

#[test]
fn elsewhere_marks_of_other_tools_go_as_well() {
    // Source: velero issue 7848, where Argo CD prunes the copy.
    insta::assert_snapshot!(line("configmaps", CONFIG, To::OtherCluster), @r#"
    {"data":{"a":"b"},"metadata":{"annotations":{"argocd.argoproj.io/sync-wave":"3","kustomize.toolkit.fluxcd.io/prune":"disabled","meta.helm.sh/release-namespace":"shop"},"labels":{"app":"web"},"name":"web","namespace":"shop"},"unknownField":{"stays":true}}
      without its finalizers (example.org/hold): their controllers set them again
    "#);
    insta::assert_snapshot!(line("configmaps", CONFIG, To::Copy), @r#"
    {"data":{"a":"b"},"metadata":{"annotations":{"argocd.argoproj.io/sync-wave":"3","kustomize.toolkit.fluxcd.io/prune":"disabled","meta.helm.sh/release-namespace":"copy"},"labels":{"app":"web"},"name":"web","namespace":"copy"},"unknownField":{"stays":true}}
      without its finalizers (example.org/hold): their controllers set them again
    "#);
}

#[test]
fn what_the_server_refuses_is_dropped_even_when_a_user_replaces_the_rule() {
    let spec = serde_saphyr::from_str("rules: [{name: metadata, kinds: [nothing]}]").unwrap();
    let catalog = Catalog::with(&BTreeMap::from([("mine".to_owned(), spec)])).unwrap();
    let object = Manifest::parse(yaml::parse(CONFIG).unwrap()).unwrap();
    let resource = Resource {
        gvk: object.gvk(),
        plural: "configmaps".into(),
        namespaced: true,
        verbs: Vec::new(),
        served: Vec::new(),
    };
    let to = Destination {
        cluster: Cluster::Same,
        owners: None,
        mapping: &Mapping::default(),
        transforms: &[],
        volumes: &BTreeMap::new(),
    };
    let Preparation::Send(sent) = prepare(object, &catalog.kind(&resource), &to).unwrap() else {
        panic!("left out")
    };
    let sent = sent.into_manifest();
    assert!(sent.uid().is_none() && sent.at("/metadata/managedFields").is_none());
    assert!(sent.at("/metadata/resourceVersion").is_none() && sent.at("/metadata/generation").is_some());
}

#[test]
fn a_namespace_gets_its_new_name_and_is_merged_into_one_that_exists() {
    // Source: velero issues 7519 and 4478.
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {kubernetes.io/metadata.name: shop, purpose: x}}\nspec: {finalizers: [kubernetes]}\nstatus: {phase: Active}";
    insta::assert_snapshot!(line("namespaces", text, To::Copy), @r#"{"metadata":{"labels":{"purpose":"x"},"name":"copy"},"spec":{}}"#);
    let Preparation::Send(sent) = prepared("namespaces", text, To::Home).unwrap() else { panic!("left out") };
    assert!(sent.merges_into_existing());
}

#[test]
fn a_service_gets_a_new_address_unless_headless_and_keeps_node_ports_of_a_person() {
    // Source: velero restore item action velero.io/service.
    let head = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop, managedFields: [{manager: kubectl, operation: Apply,
      fieldsV1: {'f:spec': {'f:ports': {'k:{\"port\":80,\"protocol\":\"TCP\"}': {'f:nodePort': {}}}}}}]}";
    insta::assert_snapshot!(lines("services", head, To::Home, &[
        "spec: {clusterIP: 10.0.0.7, clusterIPs: [10.0.0.7], ports: [{port: 80, nodePort: 30080}, {port: 81, nodePort: 30081}], healthCheckNodePort: 31000}",
        "spec: {clusterIP: None, clusterIPs: [None], ports: [{port: 80}]}",
        "spec: {type: ExternalName, externalName: example.org}",
    ]), @r#"
    {"metadata":{"name":"web","namespace":"shop"},"spec":{"ports":[{"nodePort":30080,"port":80},{"port":81}]}}
    {"metadata":{"name":"web","namespace":"shop"},"spec":{"clusterIP":"None","clusterIPs":["None"],"ports":[{"port":80}]}}
    {"metadata":{"name":"web","namespace":"shop"},"spec":{"externalName":"example.org","type":"ExternalName"}}
    "#);
}

#[test]
fn what_runs_only_once_is_not_run_again() {
    // Source: velero pkg/restore/restore.go, completed and mirror pods, completed jobs.
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}";
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: shop}\nspec: {template: {}}";
    let mirror = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, annotations: {kubernetes.io/config.mirror: x}}";
    let table = [
        lines(
            "pods",
            pod,
            To::Home,
            &["status: {phase: Succeeded}", "status: {phase: Failed}", "status: {phase: Running}"],
        ),
        lines(
            "jobs",
            job,
            To::Home,
            &[
                "status: {completionTime: now}",
                "status: {conditions: [{type: Failed, status: 'True'}]}",
                "status: {active: 1}",
            ],
        ),
        line("pods", mirror, To::Home),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    left out: the pod has finished; it would run again
    left out: the pod has finished; it would run again
    {"metadata":{"name":"p","namespace":"shop"}}
    left out: the job has finished; it would run again
    left out: the job has finished; it would run again
    {"metadata":{"name":"j","namespace":"shop"},"spec":{"template":{}}}
    left out: a kubelet shows its static pod here
    "#);
}

#[test]
fn a_job_gets_a_new_selector_and_a_pod_a_new_node() {
    // Source: velero restore item actions velero.io/job and velero.io/pod.
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: shop, labels: {controller-uid: u, app: a}}
spec: {selector: {matchLabels: {controller-uid: u}}, template: {metadata: {labels: {controller-uid: u, batch.kubernetes.io/controller-uid: u, app: a}}}}";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {nodeName: n, priority: 5, priorityClassName: high,
  volumes: [{name: default-token-x, secret: {secretName: default-token-x}}], containers: [{name: a, volumeMounts: [{name: default-token-x, mountPath: /x}]}]}";
    let table = [line("jobs", job, To::Home), line("pods", pod, To::Home)];
    insta::assert_snapshot!(table.join("\n"), @r#"
    {"metadata":{"labels":{"app":"a"},"name":"j","namespace":"shop"},"spec":{"template":{"metadata":{"labels":{"app":"a"}}}}}
    {"metadata":{"name":"p","namespace":"shop"},"spec":{"containers":[{"name":"a"}],"priorityClassName":"high"}}
    "#);
}

#[test]
fn a_claim_is_bound_again_only_to_a_volume_that_comes_back() {
    // Source: velero restore item action velero.io/pvc, backup item action velero.io/pv.
    let head = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: shop, annotations: {pv.kubernetes.io/bind-completed: 'yes',
      volume.kubernetes.io/selected-node: n, velero.io/volume-snapshot-name: s, team: a}}";
    let volume = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: kept, annotations: {pv.kubernetes.io/provisioned-by: p}}";
    let claim_ref = "claimRef: {name: data, namespace: shop, uid: u, resourceVersion: '7'}";
    let table = [
        lines(
            "persistentvolumeclaims",
            head,
            To::Home,
            &[
                "spec: {volumeName: kept, dataSource: {name: s}}\nstatus: {phase: Bound}",
                "spec: {volumeName: gone, dataSource: {name: s}}\nstatus: {phase: Pending}",
            ],
        ),
        lines(
            "persistentvolumes",
            volume,
            To::Copy,
            &[
                &format!("spec: {{{claim_ref}, persistentVolumeReclaimPolicy: Retain}}"),
                &format!("spec: {{{claim_ref}, persistentVolumeReclaimPolicy: Delete}}"),
            ],
        ),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    {"metadata":{"annotations":{"team":"a"},"name":"data","namespace":"shop"},"spec":{"volumeName":"kept"}}
    {"metadata":{"annotations":{"team":"a"},"name":"data","namespace":"shop"},"spec":{"dataSource":{"name":"s"}}}
    {"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"p"},"name":"kept"},"spec":{"claimRef":{"name":"data","namespace":"copy"},"persistentVolumeReclaimPolicy":"Retain"}}
    left out: its storage goes with its claim (reclaim policy Delete); a new volume is provisioned
    "#);
}

#[test]
fn a_snapshot_is_brought_back_but_not_taken_anew() {
    let head =
        "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshot\nmetadata: {name: s, namespace: shop}";
    let content = "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshotContent\nmetadata: {name: c}";
    let reference = "volumeSnapshotRef: {name: s, namespace: shop, uid: u, resourceVersion: '1'}";
    let table = [
        lines(
            "volumesnapshots",
            head,
            To::Home,
            &[
                "spec: {source: {persistentVolumeClaimName: data}}",
                "spec: {source: {volumeSnapshotContentName: c}}",
            ],
        ),
        lines(
            "volumesnapshotcontents",
            content,
            To::Copy,
            &[
                &format!("spec: {{source: {{volumeHandle: v}}, {reference}}}"),
                &format!("spec: {{source: {{snapshotHandle: v}}, {reference}}}"),
            ],
        ),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    left out: it would take a snapshot of the restored claim instead of bringing the old one back
    {"metadata":{"name":"s","namespace":"shop"},"spec":{"source":{"volumeSnapshotContentName":"c"}}}
    left out: it would take a snapshot of a volume instead of bringing the old one back
    {"metadata":{"name":"c"},"spec":{"source":{"snapshotHandle":"v"},"volumeSnapshotRef":{"name":"s","namespace":"copy"}}}
    "#);
}

#[test]
fn tokens_are_issued_again() {
    // Source: velero restore item actions velero.io/service-account and velero.io/secret.
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME, namespace: shop, annotations: {kubernetes.io/service-account.name: build, kubernetes.io/service-account.uid: u}}
type: kubernetes.io/service-account-token\ndata: {token: eA==, ca.crt: eA==, namespace: eA==}";
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: build, namespace: shop}\nsecrets: [{name: build-token-x7k2p}, {name: mine}]";
    let table = [
        line("secrets", &head.replace("NAME", "build-token-x7k2p"), To::Home),
        line("secrets", &head.replace("NAME", "deployer"), To::Home),
        line("serviceaccounts", account, To::Home),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    left out: a controller made this token for its service account
    {"data":{},"metadata":{"annotations":{"kubernetes.io/service-account.name":"build"},"name":"deployer","namespace":"shop"},"type":"kubernetes.io/service-account-token"}
    {"metadata":{"name":"build","namespace":"shop"},"secrets":[{"name":"mine"}]}
    "#);
}

#[test]
fn what_the_control_plane_makes_by_itself_is_left_to_it() {
    let table = "
clusterroles {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: admin, labels: {kubernetes.io/bootstrapping: rbac-defaults}, annotations: {rbac.authorization.kubernetes.io/autoupdate: 'true'}}}
configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: kubeadm-config, namespace: kube-system}}
configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: cluster-info, namespace: kube-public}}
configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt, namespace: shop}}
configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: extension-apiserver-authentication, namespace: kube-system}}
configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: kubeadm-config, namespace: shop}}
certificatesigningrequests {apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: c}}
events {apiVersion: v1, kind: Event, metadata: {name: e, namespace: shop}}";
    insta::assert_snapshot!(each(table, To::Home), @r#"
    left out: the API server makes it at every start, as its version needs it
    left out: kubeadm writes it for the very cluster it sets up
    left out: kubeadm writes it for the very cluster it sets up
    left out: a controller writes its certificate into every namespace
    left out: the API server writes it, for this very cluster
    {"metadata":{"name":"kubeadm-config","namespace":"shop"}}
    left out: a request that was answered once; who asked asks again
    left out: events are records of the past and expire within hours
    "#);
}

#[test]
fn a_renamed_namespace_is_followed_by_everything_that_names_it() {
    // Source: velero restore item action velero.io/role-bindings; its namespaceMapping forgets the rest.
    let table = "
clusterrolebindings {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}, subjects: [{kind: ServiceAccount, name: a, namespace: shop}, {kind: ServiceAccount, name: a, namespace: other}, {kind: Group, name: 'system:serviceaccounts:shop'}, {kind: Group, name: 'system:serviceaccounts'}, {kind: User, name: 'system:serviceaccount:shop:a'}, {kind: User, name: shop}]}
rolebindings {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: shop}, subjects: [{kind: ServiceAccount, name: a, namespace: shop}]}
validatingwebhookconfigurations {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: w}, webhooks: [{sideEffects: None, clientConfig: {service: {name: s, namespace: shop, path: /x}}}]}
apiservices {apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x}, spec: {service: {name: s, namespace: shop}}}
customresourcedefinitions {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b}, spec: {conversion: {webhook: {clientConfig: {service: {name: s, namespace: shop}}}}}}
networkpolicies {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: net, namespace: shop}, spec: {ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]}]}}
httproutes {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: web}, spec: {parentRefs: [{name: g, namespace: shop}], rules: [{backendRefs: [{name: s, namespace: shop}]}]}}
kustomizations {apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: k, namespace: flux-system}, spec: {targetNamespace: shop}}
applications {apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: a, namespace: argocd}, spec: {destination: {namespace: shop}}, operation: {sync: {}}}
servicemonitors {apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: m, namespace: shop}, spec: {namespaceSelector: {matchNames: [shop, other]}}}";
    insta::assert_snapshot!(each(table, To::Copy), @r#"
    {"metadata":{"name":"b"},"subjects":[{"kind":"ServiceAccount","name":"a","namespace":"copy"},{"kind":"ServiceAccount","name":"a","namespace":"other"},{"kind":"Group","name":"system:serviceaccounts:copy"},{"kind":"Group","name":"system:serviceaccounts"},{"kind":"User","name":"system:serviceaccount:copy:a"},{"kind":"User","name":"shop"}]}
    {"metadata":{"name":"b","namespace":"copy"},"subjects":[{"kind":"ServiceAccount","name":"a","namespace":"copy"}]}
    {"metadata":{"name":"w"},"webhooks":[{"clientConfig":{"service":{"name":"s","namespace":"copy","path":"/x"}},"sideEffects":"None"}]}
    {"metadata":{"name":"v1.x"},"spec":{"service":{"name":"s","namespace":"copy"}}}
    {"metadata":{"name":"a.b"},"spec":{"conversion":{"webhook":{"clientConfig":{"service":{"name":"s","namespace":"copy"}}}}}}
    {"metadata":{"name":"net","namespace":"copy"},"spec":{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"copy"}}}]}]}}
    {"metadata":{"name":"r","namespace":"web"},"spec":{"parentRefs":[{"name":"g","namespace":"copy"}],"rules":[{"backendRefs":[{"name":"s","namespace":"copy"}]}]}}
    {"metadata":{"name":"k","namespace":"flux-system"},"spec":{"targetNamespace":"copy"}}
    {"metadata":{"name":"a","namespace":"argocd"},"spec":{"destination":{"namespace":"copy"}}}
    {"metadata":{"name":"m","namespace":"copy"},"spec":{"namespaceSelector":{"matchNames":["copy","other"]}}}
    "#);
}

#[test]
fn old_forms_of_definitions_and_webhooks_become_those_the_server_takes() {
    // Source: velero restore item actions velero.io/crd-preserve-fields and velero.io/admission-webhook-configuration.
    let definition =
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}";
    let webhook = "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: w}";
    let table = [
        lines(
            "customresourcedefinitions",
            definition,
            To::Home,
            &[
                "spec: {preserveUnknownFields: true, versions: [{name: v1}, {name: v2, schema: {openAPIV3Schema: {type: object, properties: {}}}}]}",
                "spec: {preserveUnknownFields: false, versions: [{name: v1}]}",
            ],
        ),
        lines(
            "mutatingwebhookconfigurations",
            webhook,
            To::Home,
            &[
                "webhooks: [{name: a, sideEffects: Unknown}, {name: b, sideEffects: NoneOnDryRun}, {name: c, sideEffects: Some}, {name: d}]",
            ],
        ),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    {"metadata":{"name":"a.b"},"spec":{"preserveUnknownFields":false,"versions":[{"name":"v1","schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}},{"name":"v2","schema":{"openAPIV3Schema":{"properties":{},"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}
    {"metadata":{"name":"a.b"},"spec":{"preserveUnknownFields":false,"versions":[{"name":"v1"}]}}
    {"metadata":{"name":"w"},"webhooks":[{"name":"a","sideEffects":"None"},{"name":"b","sideEffects":"NoneOnDryRun"},{"name":"c","sideEffects":"None"},{"name":"d","sideEffects":"None"}]}
    "#);
}

#[test]
fn an_object_whose_rule_has_no_answer_is_not_restored_in_another_form() {
    // Velero lets the unmodified object through when a resource modifier fails.
    let spec = serde_saphyr::from_str(
        "rules: [{name: image, kinds: [pods], when: object.spec.x > 1, restore: {set: [{path: /spec/image, value: new}]}}]",
    )
    .unwrap();
    let catalog = Catalog::with(&BTreeMap::from([("mine".to_owned(), spec)])).unwrap();
    let pods = Resource {
        gvk: Gvk::new("v1", "Pod"),
        plural: "pods".into(),
        namespaced: true,
        verbs: Vec::new(),
        served: Vec::new(),
    };
    let send = |x: &str| {
        let text =
            format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{x: {x}, image: old}}}}");
        let object = Manifest::parse(yaml::parse(&text).unwrap()).unwrap();
        let to = Destination {
            cluster: Cluster::Same,
            owners: None,
            mapping: &Mapping::default(),
            transforms: &[],
            volumes: &BTreeMap::new(),
        };
        prepare(object, &catalog.kind(&pods), &to)
    };
    let Ok(Preparation::Send(prepared)) = send("2") else { panic!("not sent") };
    assert_eq!(prepared.manifest().at("/spec/image").and_then(Json::as_str), Some("new"));
    assert_eq!(send("text").unwrap_err().to_string(), "cannot decide how the object is restored");
}

const MARKED: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop, labels: {\
    kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system,\
    app.kubernetes.io/managed-by: Helm, app: web}, annotations: {\
    argocd.argoproj.io/tracking-id: 'shop:/ConfigMap:shop/c', argocd.argoproj.io/sync-wave: '1',\
    meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: shop}}}";

#[test]
fn the_request_says_which_objects_keep_the_marks_of_their_owners() {
    let labels_and_annotations = |owners, to| {
        let Preparation::Send(sent) = prepared_for("configmaps", MARKED, to, owners).unwrap() else {
            panic!("left out")
        };
        let names = |map: Option<&crate::domain::object::JsonMap>| {
            map.into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        [names(sent.manifest().annotations()), names(sent.manifest().labels())].concat().join(" ")
    };
    let all = "argocd.argoproj.io/sync-wave argocd.argoproj.io/tracking-id meta.helm.sh/release-name \
        meta.helm.sh/release-namespace app app.kubernetes.io/managed-by kustomize.toolkit.fluxcd.io/name \
        kustomize.toolkit.fluxcd.io/namespace";
    let elsewhere = "argocd.argoproj.io/sync-wave meta.helm.sh/release-name meta.helm.sh/release-namespace app \
        app.kubernetes.io/managed-by";
    for owners in [None, Some(Owners::Pause)] {
        assert_eq!(labels_and_annotations(owners, To::Home), all);
        assert_eq!(labels_and_annotations(owners, To::OtherCluster), elsewhere);
        assert_eq!(labels_and_annotations(owners, To::Copy), elsewhere);
    }
    for to in [To::Home, To::OtherCluster, To::Copy] {
        assert_eq!(labels_and_annotations(Some(Owners::Keep), to), all);
        let none = "argocd.argoproj.io/sync-wave app";
        assert_eq!(labels_and_annotations(Some(Owners::Strip), to), none);
    }
}

#[test]
fn an_owner_that_was_saved_while_it_was_paused_comes_back_as_it_was_before() {
    let text = "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: apps, namespace: \
        flux-system, annotations: {backstay.dev/paused: '{\"restore\":\"request shop\"}'}}, spec: {path: ./apps, suspend: true}}";
    let sent = line("kustomizations", text, To::Home);
    assert_eq!(sent, r#"{"metadata":{"name":"apps","namespace":"flux-system"},"spec":{"path":"./apps"}}"#);
}

#[test]
fn a_claim_does_not_ask_for_the_volume_of_another() {
    for (volume, name, to, kept) in [
        ("kept", "data", To::Home, true),
        ("taken", "other", To::Home, true),
        ("taken", "data", To::Home, false),
        ("taken", "other", To::Copy, false),
        ("absent", "data", To::Home, false),
    ] {
        let text = format!(
            "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: {name}, namespace: shop}}, spec: {{volumeName: {volume}}}}}"
        );
        assert_eq!(line("persistentvolumeclaims", &text, to).contains("volumeName"), kept, "{volume} {name}");
    }
}

#[test]
fn selectors_of_namespaces_follow_them() {
    let text = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, spec: {ingress: [{from: [
        {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop, team: shop}}},
        {namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [shop, other]}, {key: team, operator: In, values: [shop]}]}}]}]}}";
    insta::assert_snapshot!(line("networkpolicies", text, To::Copy), @r#"{"metadata":{"name":"p","namespace":"copy"},"spec":{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"copy","team":"shop"}}},{"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"In","values":["copy","other"]},{"key":"team","operator":"In","values":["shop"]}]}}]}]}}"#);
}
