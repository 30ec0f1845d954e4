//! What archive and mirror keep of an object, rule by rule: as the API server gives it, as it is stored.

use super::*;
use crate::domain::object::Gvk;
use crate::domain::policy::{IgnoreRule, MirrorRules};
use crate::engine::yaml;

fn resource(object: &Manifest, plural: &str) -> Arc<Resource> {
    let namespaced = object.namespace().is_some();
    Arc::new(Resource {
        gvk: Gvk::new(&object.gvk().api_version(), object.kind()),
        plural: plural.into(),
        namespaced,
        verbs: Vec::new(),
        served: Vec::new(),
    })
}

fn cleaned(plural: &str, text: &str, rules: &MirrorRules) -> CleanObject {
    let object = Manifest::parse(yaml::parse(text).unwrap()).unwrap();
    let sanitizer = Sanitizer {
        catalog: Arc::new(Catalog::builtin()),
        filter: MirrorFilter::compile(rules).unwrap(),
        wants: Wants::Both,
    };
    let batch = Collected::of(resource(&object, plural), vec![object]);
    let mut clean = sanitize(batch, &sanitizer);
    assert!(clean.notes.is_empty(), "{:?}", clean.notes);
    clean.objects.remove(0)
}

fn told(form: MirrorForm) -> String {
    match form {
        MirrorForm::Manifest(manifest) => yaml::emit(manifest.as_json()).unwrap(),
        MirrorForm::Out(reason) => format!("out: {reason}"),
    }
}

fn mirrored(plural: &str, text: &str) -> String {
    told(cleaned(plural, text, &MirrorRules::default()).mirror)
}

/// The mirror form of several small objects of a kind: metadata and what stands beside it, one line each.
fn each(plural: &str, head: &str, bodies: &[&str]) -> String {
    let lines = bodies.iter().map(|body| {
        let form = cleaned(plural, &format!("{head}\n{body}"), &MirrorRules::default()).mirror;
        match form {
            MirrorForm::Manifest(manifest) => {
                let mut tree = manifest.into_json();
                for common in ["apiVersion", "kind"] {
                    tree.as_object_mut().unwrap().shift_remove(common);
                }
                tree.to_string()
            }
            MirrorForm::Out(reason) => format!("out: {reason}"),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One line for each line `plural {object}`.
fn rows(table: &str) -> String {
    let rows = table.lines().filter_map(|row| row.split_once(' '));
    rows.map(|(plural, text)| each(plural, text, &[""])).collect::<Vec<_>>().join("\n")
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: 7f0c
  resourceVersion: '12'
  generation: 3
  creationTimestamp: 2026-01-01T00:00:00Z
  finalizers: [example.org/hold]
  labels:
    app: web
    app.kubernetes.io/instance: shop
    kustomize.toolkit.fluxcd.io/name: apps
    kustomize.toolkit.fluxcd.io/namespace: flux-system
    argocd.argoproj.io/instance: shop
    velero.io/restore-name: r1
    velero.io/exclude-from-backup: 'false'
  annotations:
    deployment.kubernetes.io/revision: '4'
    kubectl.kubernetes.io/last-applied-configuration: '{\"password\":\"hunter2\"}'
    kubectl.kubernetes.io/default-container: web
    reconcile.fluxcd.io/requestedAt: now
    kustomize.toolkit.fluxcd.io/reconcile: disabled
    argocd.argoproj.io/tracking-id: 'shop:apps/Deployment:shop/web'
    argocd.argoproj.io/sync-wave: '5'
    meta.helm.sh/release-name: shop
  managedFields:
  - {manager: kubectl, operation: Apply, fieldsV1: {'f:spec': {}}}
  - {manager: kube-controller-manager, operation: Update, subresource: status, fieldsV1: {'f:status': {}}}
  - {manager: kubectl, operation: Apply}
spec:
  replicas: 2
  template:
    metadata:
      creationTimestamp: null
      annotations: {kubectl.kubernetes.io/restartedAt: then}
    spec:
      containers: [{name: web, image: web:1}]
status:
  readyReplicas: 2
";

#[test]
fn the_mirror_keeps_what_a_person_meant_and_nothing_a_server_or_another_tool_wrote() {
    insta::assert_snapshot!(mirrored("deployments", DEPLOYMENT), @r#"
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      annotations:
        argocd.argoproj.io/sync-wave: "5"
        kubectl.kubernetes.io/default-container: web
        kustomize.toolkit.fluxcd.io/reconcile: disabled
        meta.helm.sh/release-name: shop
      labels:
        app: web
        app.kubernetes.io/instance: shop
        velero.io/exclude-from-backup: "false"
      name: web
      namespace: shop
    spec:
      replicas: 2
      template:
        metadata:
          annotations:
            kubectl.kubernetes.io/restartedAt: then
        spec:
          containers:
          - image: web:1
            name: web
    "#);
}

#[test]
fn the_archive_keeps_everything_but_field_owners_in_bytes_that_do_not_depend_on_key_order() {
    let clean = cleaned("deployments", DEPLOYMENT, &MirrorRules::default());
    insta::assert_snapshot!(String::from_utf8(clean.archive).unwrap(), @r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"argocd.argoproj.io/sync-wave":"5","argocd.argoproj.io/tracking-id":"shop:apps/Deployment:shop/web","deployment.kubernetes.io/revision":"4","kubectl.kubernetes.io/default-container":"web","kubectl.kubernetes.io/last-applied-configuration":"{\"password\":\"hunter2\"}","kustomize.toolkit.fluxcd.io/reconcile":"disabled","meta.helm.sh/release-name":"shop","reconcile.fluxcd.io/requestedAt":"now"},"creationTimestamp":"2026-01-01T00:00:00Z","finalizers":["example.org/hold"],"generation":3,"labels":{"app":"web","app.kubernetes.io/instance":"shop","argocd.argoproj.io/instance":"shop","kustomize.toolkit.fluxcd.io/name":"apps","kustomize.toolkit.fluxcd.io/namespace":"flux-system","velero.io/exclude-from-backup":"false","velero.io/restore-name":"r1"},"managedFields":[{"manager":"kube-controller-manager","operation":"Update"},{"manager":"kubectl","operation":"Apply"}],"name":"web","namespace":"shop","resourceVersion":"12","uid":"7f0c"},"spec":{"replicas":2,"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"then"},"creationTimestamp":null},"spec":{"containers":[{"image":"web:1","name":"web"}]}}},"status":{"readyReplicas":2}}"#);
    assert_eq!(clean.key.to_string(), "Deployment.apps shop/web");
    assert_eq!((clean.uid.as_deref(), clean.labels.len()), (Some("7f0c"), 7));
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop";

#[test]
fn a_node_port_is_kept_where_a_person_set_it() {
    let ports = "spec: {type: NodePort, healthCheckNodePort: 31000, ports: [{port: 80, protocol: TCP, nodePort: 30080},
      {port: 80, protocol: UDP, nodePort: 30081}, {port: 81, nodePort: 30082}]}";
    let with = |metadata: &str| format!("{SERVICE}, {metadata}}}\n{ports}");
    let last_applied = with(
        "annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"spec\":{\"ports\":[{\"port\":81,\"nodePort\":30082}]}}'}",
    );
    let managed = with(
        "managedFields: [{manager: kubectl, operation: Apply, fieldsV1: {'f:spec': {'f:healthCheckNodePort': {}, 'f:ports':
        {'k:{\"port\":80,\"protocol\":\"UDP\"}': {'f:nodePort': {}}, 'k:{\"port\":81,\"protocol\":\"TCP\"}': {'f:port': {}}}}}}]",
    );
    let table = [&last_applied, &managed].map(|text| each("services", text, &[""]));
    insta::assert_snapshot!(table.join("\n"), @r#"
    {"metadata":{"name":"web","namespace":"shop"},"spec":{"ports":[{"port":80,"protocol":"TCP"},{"port":80,"protocol":"UDP"},{"nodePort":30082,"port":81}],"type":"NodePort"}}
    {"metadata":{"name":"web","namespace":"shop"},"spec":{"healthCheckNodePort":31000,"ports":[{"port":80,"protocol":"TCP"},{"nodePort":30081,"port":80,"protocol":"UDP"},{"port":81}],"type":"NodePort"}}
    "#);
}

#[test]
fn a_service_keeps_its_managed_fields_in_the_archive_because_they_tell_who_set_a_node_port() {
    let text = format!(
        "{SERVICE}, managedFields: [{{manager: m, operation: Apply, fieldsV1: {{'f:spec': {{}}}}}}]}}\nspec: {{}}"
    );
    let clean = cleaned("services", &text, &MirrorRules::default());
    insta::assert_snapshot!(String::from_utf8(clean.archive).unwrap(), @r#"{"apiVersion":"v1","kind":"Service","metadata":{"managedFields":[{"fieldsV1":{"f:spec":{}},"manager":"m","operation":"Apply"}],"name":"web","namespace":"shop"},"spec":{}}"#);
}

#[test]
fn what_a_controller_made_stays_out_unless_it_is_asked_for() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: u, controller: true}]}\nspec: {nodeName: n1}";
    assert_eq!(mirrored("pods", pod), "out: made by ReplicaSet.apps shop/web");
    let rules = MirrorRules { ignore: Vec::new(), include: vec!["pods".into()] };
    insta::assert_snapshot!(told(cleaned("pods", pod, &rules).mirror), @"
    apiVersion: v1
    kind: Pod
    metadata:
      name: web-1
      namespace: shop
    spec: {}
    ");
    let owned = pod.replace(", controller: true", "");
    assert!(mirrored("pods", &owned).starts_with("apiVersion"));
}

#[test]
fn a_policy_ignores_fields_and_whole_kinds() {
    let ignore = |fields: &[&str]| {
        let fields = fields.iter().map(|f| (*f).into()).collect();
        let rules = MirrorRules {
            ignore: vec![IgnoreRule { kinds: vec!["Deployment".into()], fields }],
            include: Vec::new(),
        };
        told(cleaned("deployments", DEPLOYMENT, &rules).mirror)
    };
    assert_eq!(ignore(&[]), "out: the policy ignores it");
    let without = ignore(&["/spec/replicas", "/metadata/labels/app*"]);
    assert!(
        !without.contains("replicas") && !without.contains("app: web") && without.contains("image: web:1")
    );
}

#[test]
fn a_token_of_a_controller_stays_out_and_a_token_of_a_person_is_kept_without_its_content() {
    let secret = |name: &str, rest: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: shop, annotations: {{kubernetes.io/service-account.name: build, \
             kubernetes.io/service-account.uid: u}}}}\ntype: {rest}\ndata: {{token: dG9r, ca.crt: Y2E=, namespace: c2hvcA==, mine: eA==}}"
        );
        each("secrets", &text, &[""])
    };
    let table = [
        secret("build-token-x7k2p", "kubernetes.io/service-account-token"),
        secret("build-token-manual", "kubernetes.io/service-account-token"),
        secret("build-token-x7k2p", "Opaque"),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    out: a controller made this token for its service account
    {"data":{"mine":"eA=="},"metadata":{"annotations":{"kubernetes.io/service-account.name":"build"},"name":"build-token-manual","namespace":"shop"},"type":"kubernetes.io/service-account-token"}
    {"data":{"ca.crt":"Y2E=","mine":"eA==","namespace":"c2hvcA==","token":"dG9r"},"metadata":{"annotations":{"kubernetes.io/service-account.name":"build","kubernetes.io/service-account.uid":"u"},"name":"build-token-x7k2p","namespace":"shop"},"type":"Opaque"}
    "#);
}

#[test]
fn volumes_and_claims_keep_their_names_for_each_other_but_no_uids() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: shop, annotations: {pv.kubernetes.io/bind-completed: 'yes',
      pv.kubernetes.io/bound-by-controller: 'yes', volume.kubernetes.io/storage-provisioner: p, volume.beta.kubernetes.io/storage-provisioner: p,
      volume.kubernetes.io/selected-node: n, team: a}}\nspec: {volumeName: pvc-1}";
    let volume = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: pvc-1, annotations: {pv.kubernetes.io/provisioned-by: p, pv.kubernetes.io/bound-by-controller: 'yes'}}
spec: {claimRef: {name: data, namespace: shop, uid: u, resourceVersion: '5'}, persistentVolumeReclaimPolicy: Delete}";
    let table = [each("persistentvolumeclaims", claim, &[""]), each("persistentvolumes", volume, &[""])];
    insta::assert_snapshot!(table.join("\n"), @r#"
    {"metadata":{"annotations":{"team":"a"},"name":"data","namespace":"shop"},"spec":{"volumeName":"pvc-1"}}
    {"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"p"},"name":"pvc-1"},"spec":{"claimRef":{"name":"data","namespace":"shop"},"persistentVolumeReclaimPolicy":"Delete"}}
    "#);
}

#[test]
fn other_kinds_lose_what_their_controllers_write() {
    let table = "
namespaces {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop, team: a}}, spec: {finalizers: [kubernetes]}}
serviceaccounts {apiVersion: v1, kind: ServiceAccount, metadata: {name: build, namespace: shop}, secrets: [{name: build-token-x}], imagePullSecrets: [{name: build-dockercfg-x}, {name: registry}]}
clusterroles {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all}, aggregationRule: {clusterRoleSelectors: []}, rules: [{verbs: [get]}]}
clusterroles {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: view, labels: {kubernetes.io/bootstrapping: rbac-defaults}, annotations: {rbac.authorization.kubernetes.io/autoupdate: 'true'}}, rules: []}
clusterroles {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: view, labels: {kubernetes.io/bootstrapping: rbac-defaults}, annotations: {rbac.authorization.kubernetes.io/autoupdate: 'false'}}, rules: []}
horizontalpodautoscalers {apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web, namespace: shop, annotations: {autoscaling.alpha.kubernetes.io/conditions: x, autoscaling.alpha.kubernetes.io/behavior: kept}}}
cronjobs {apiVersion: batch/v1, kind: CronJob, metadata: {name: c, namespace: shop}, spec: {jobTemplate: {metadata: {creationTimestamp: null}, spec: {template: {metadata: {creationTimestamp: null}}}}}}
statefulsets {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: shop}, spec: {volumeClaimTemplates: [{metadata: {name: d, creationTimestamp: null}, spec: {}, status: {phase: Pending}}]}}
daemonsets {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, namespace: shop, annotations: {deprecated.daemonset.template.generation: '1'}}}
endpoints {apiVersion: v1, kind: Endpoints, metadata: {name: db, namespace: shop}, subsets: [{addresses: [{ip: 1.2.3.4, targetRef: {kind: Pod, name: p, uid: u, resourceVersion: '1'}}]}]}
certificatesigningrequests {apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: c}}
validatingwebhookconfigurations {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: w, annotations: {cert-manager.io/inject-ca-from: a/b}}, webhooks: [{name: a, clientConfig: {caBundle: Y2E=}}]}
validatingwebhookconfigurations {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: w}, webhooks: [{name: a, clientConfig: {caBundle: Y2E=}}]}
apiservices {apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x, annotations: {cert-manager.io/inject-ca-from-secret: a/b}}, spec: {caBundle: Y2E=}}
customresourcedefinitions {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b, annotations: {cert-manager.io/inject-apiserver-ca: 'true'}}, spec: {conversion: {webhook: {clientConfig: {caBundle: Y2E=}}}}, status: {acceptedNames: {}}}";
    insta::assert_snapshot!(rows(table), @r#"
    {"metadata":{"labels":{"team":"a"},"name":"shop"},"spec":{}}
    {"imagePullSecrets":[{"name":"registry"}],"metadata":{"name":"build","namespace":"shop"}}
    {"aggregationRule":{"clusterRoleSelectors":[]},"metadata":{"name":"all"}}
    out: the API server makes it at every start, as its version needs it
    {"metadata":{"annotations":{"rbac.authorization.kubernetes.io/autoupdate":"false"},"labels":{"kubernetes.io/bootstrapping":"rbac-defaults"},"name":"view"},"rules":[]}
    {"metadata":{"annotations":{"autoscaling.alpha.kubernetes.io/behavior":"kept"},"name":"web","namespace":"shop"}}
    {"metadata":{"name":"c","namespace":"shop"},"spec":{"jobTemplate":{"metadata":{},"spec":{"template":{"metadata":{}}}}}}
    {"metadata":{"name":"db","namespace":"shop"},"spec":{"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{}}]}}
    {"metadata":{"name":"d","namespace":"shop"}}
    {"metadata":{"name":"db","namespace":"shop"},"subsets":[{"addresses":[{"ip":"1.2.3.4","targetRef":{"kind":"Pod","name":"p"}}]}]}
    out: a request that was answered once; who asked asks again
    {"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"a/b"},"name":"w"},"webhooks":[{"clientConfig":{},"name":"a"}]}
    {"metadata":{"name":"w"},"webhooks":[{"clientConfig":{"caBundle":"Y2E="},"name":"a"}]}
    {"metadata":{"annotations":{"cert-manager.io/inject-ca-from-secret":"a/b"},"name":"v1.x"},"spec":{}}
    {"metadata":{"annotations":{"cert-manager.io/inject-apiserver-ca":"true"},"name":"a.b"},"spec":{"conversion":{"webhook":{"clientConfig":{}}}}}
    "#);
}

#[test]
fn custom_resources_lose_what_only_their_controllers_need() {
    let table = "
applications {apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: shop, namespace: argocd, annotations: {argocd.argoproj.io/refresh: hard}, finalizers: [resources-finalizer.argocd.argoproj.io]}, operation: {sync: {}}, spec: {}}
helmcharts {apiVersion: source.toolkit.fluxcd.io/v1, kind: HelmChart, metadata: {name: shop-web, namespace: flux-system, labels: {helm.toolkit.fluxcd.io/name: web, helm.toolkit.fluxcd.io/namespace: shop}}}
helmcharts {apiVersion: source.toolkit.fluxcd.io/v1, kind: HelmChart, metadata: {name: mine, namespace: flux-system}}
orders {apiVersion: acme.cert-manager.io/v1, kind: Order, metadata: {name: o, namespace: shop}}
widgets {apiVersion: example.org/v1, kind: Widget, metadata: {name: w, namespace: shop}, spec: {clusterIP: 1.2.3.4, selector: {a: b}}, top: level, status: {x: 1}}";
    insta::assert_snapshot!(rows(table), @r#"
    {"metadata":{"name":"shop","namespace":"argocd"},"spec":{}}
    out: helm-controller makes it for its HelmRelease
    {"metadata":{"name":"mine","namespace":"flux-system"}}
    out: cert-manager makes it again when a certificate is due
    {"metadata":{"name":"w","namespace":"shop"},"spec":{"clusterIP":"1.2.3.4","selector":{"a":"b"}},"top":"level"}
    "#);
}

#[test]
fn what_diffs_compare_is_the_mirror_form_even_of_objects_a_mirror_does_not_show() {
    let text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: shop, uid: u}\nspec: {selector: {}}\nstatus: {completionTime: now}";
    let object = Manifest::parse(yaml::parse(text).unwrap()).unwrap();
    let catalog = Catalog::builtin();
    let form = normalise(object.clone(), &catalog.kind(&resource(&object, "jobs")));
    assert_eq!(
        form.as_json().to_string(),
        r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j","namespace":"shop"},"spec":{}}"#
    );
}

#[test]
fn the_mirror_form_of_a_mirror_form_is_the_same() {
    let catalog = Catalog::builtin();
    let once = Manifest::parse(yaml::parse(&mirrored("deployments", DEPLOYMENT)).unwrap()).unwrap();
    let again = normalise(once.clone(), &catalog.kind(&resource(&once, "deployments")));
    assert_eq!(once, again);
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_noted_and_does_not_count() {
    let spec = serde_saphyr::from_str(
        "rules: [{name: odd, kinds: ['*'], when: object.spec.x > 1, mirror: {skip: odd}}]",
    )
    .unwrap();
    let catalog = Catalog::with(&BTreeMap::from([("mine".to_owned(), spec)])).unwrap();
    let object = Manifest::parse(
        yaml::parse("{apiVersion: e.org/v1, kind: W, metadata: {name: w}, spec: {x: text}}").unwrap(),
    )
    .unwrap();
    let sanitizer =
        Sanitizer { catalog: Arc::new(catalog), filter: MirrorFilter::default(), wants: Wants::Mirror };
    let clean = sanitize(Collected::of(resource(&object, "ws"), vec![object]), &sanitizer);
    assert!(
        matches!(clean.objects()[0].mirror, MirrorForm::Manifest(_)) && clean.objects()[0].archive.is_empty()
    );
    assert_eq!(
        clean.notes().first().unwrap(),
        "cannot evaluate catalog rule \"odd\": types do not go together"
    );
}
