//! What is named and not there, kind by kind. Text in: manifests. Text out: what is missing and where it is named.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::engine::yaml;

fn state(text: &str) -> State {
    let objects = yaml::parse_all(text).unwrap().into_iter().map(|tree| {
        let object = Manifest::parse(tree).unwrap();
        (Arc::new(guess(object.gvk(), object.namespace().is_some())), object)
    });
    State::held("snapshot test".into(), objects)
}

fn record(kinds: &Json) -> SnapshotRecord {
    let part = json!({"name": "index.json.zst.age", "sha256": "", "bytes": 0});
    serde_json::from_value(json!({"format": 1, "id": "shop-20261121t063000z-kwpa", "policy": {"name": "shop", "digest": ""},
        "cluster": {"name": "prod", "uid": "u", "version": "v1.36.1"}, "started": "2026-11-21T06:30:00Z",
        "finished": "2026-11-21T06:30:00Z", "outcome": "Complete", "objects": 0, "kinds": kinds, "parts": [],
        "undiscovered": {"metrics.example.org/v1": "timed out"}, "index": part, "report": part, "recipients": []}))
    .unwrap()
}

async fn told(state: &State) -> String {
    let report = missing(state, &Catalog::builtin()).await.unwrap();
    let mut lines = Vec::new();
    for one in &report.missing {
        let reason = one.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let more = if one.more > 0 { format!(" and {} more", one.more) } else { String::new() };
        let by = one.named_by.iter().map(|by| format!(" <- {} {}", by.key, by.field));
        lines.push(format!("{}{reason}{}{more}", one.key, by.collect::<String>()));
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// What of namespace shop is missing in objects that are all in it.
async fn in_shop(objects: &str) -> String {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}";
    told(&state(&format!("{namespace}\n---{objects}"))).await
}

const POD_SPEC: &str = "
    serviceAccountName: web
    priorityClassName: high
    runtimeClassName: gvisor
    imagePullSecrets: [{name: pull}]
    containers:
    - name: web
      envFrom: [{secretRef: {name: env}}, {configMapRef: {name: maybe, optional: true}}]
      env:
      - {name: A, valueFrom: {secretKeyRef: {name: key, key: a}}}
      - {name: B, valueFrom: {configMapKeyRef: {name: text, key: b}}}
    initContainers:
    - {name: up, envFrom: [{configMapRef: {name: up}}]}
    volumes:
    - {name: a, secret: {secretName: files}}
    - {name: b, secret: {secretName: perhaps, optional: true}}
    - {name: c, persistentVolumeClaim: {claimName: data}}
    - name: d
      projected: {sources: [{secret: {name: joined}}, {configMap: {name: kube-root-ca.crt}}, {configMap: {name: settings}}]}
    - {name: e, ephemeral: {volumeClaimTemplate: {spec: {storageClassName: fast}}}}
    - {name: f, csi: {driver: x, nodePublishSecretRef: {name: mount}}}";

#[tokio::test]
async fn a_pod_template_names_its_configuration_its_account_its_claims_and_its_classes() {
    let head = "\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}";
    let web = format!("{head}\nspec:\n template:\n  spec:{POD_SPEC}");
    insta::assert_snapshot!(in_shop(&web).await, @"
    ConfigMap shop/settings <- Deployment.apps shop/web /spec/template/spec/volumes/3/projected/sources/2/configMap/name
    ConfigMap shop/text <- Deployment.apps shop/web /spec/template/spec/containers/0/env/1/valueFrom/configMapKeyRef/name
    ConfigMap shop/up <- Deployment.apps shop/web /spec/template/spec/initContainers/0/envFrom/0/configMapRef/name
    PersistentVolumeClaim shop/data <- Deployment.apps shop/web /spec/template/spec/volumes/2/persistentVolumeClaim/claimName
    Secret shop/env <- Deployment.apps shop/web /spec/template/spec/containers/0/envFrom/0/secretRef/name
    Secret shop/files <- Deployment.apps shop/web /spec/template/spec/volumes/0/secret/secretName
    Secret shop/joined <- Deployment.apps shop/web /spec/template/spec/volumes/3/projected/sources/0/secret/name
    Secret shop/key <- Deployment.apps shop/web /spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef/name
    Secret shop/mount <- Deployment.apps shop/web /spec/template/spec/volumes/5/csi/nodePublishSecretRef/name
    Secret shop/pull <- Deployment.apps shop/web /spec/template/spec/imagePullSecrets/0/name
    ServiceAccount shop/web <- Deployment.apps shop/web /spec/template/spec/serviceAccountName
    RuntimeClass.node.k8s.io gvisor <- Deployment.apps shop/web /spec/template/spec/runtimeClassName
    PriorityClass.scheduling.k8s.io high <- Deployment.apps shop/web /spec/template/spec/priorityClassName
    StorageClass.storage.k8s.io fast <- Deployment.apps shop/web /spec/template/spec/volumes/4/ephemeral/volumeClaimTemplate/spec/storageClassName
    ");
}

#[tokio::test]
async fn every_kind_that_runs_pods_is_looked_into() {
    let mut told = String::new();
    for (api, kind, open) in [
        ("v1", "Pod", "spec: "),
        ("v1", "ReplicationController", "spec: {template: {spec: "),
        ("apps/v1", "DaemonSet", "spec: {template: {spec: "),
        ("apps/v1", "ReplicaSet", "spec: {template: {spec: "),
        ("apps/v1", "StatefulSet", "spec: {template: {spec: "),
        ("batch/v1", "Job", "spec: {template: {spec: "),
        ("batch/v1", "CronJob", "spec: {jobTemplate: {spec: {template: {spec: "),
        ("v1", "PodTemplate", "template: {spec: "),
    ] {
        let close = "}".repeat(open.matches('{').count());
        let spec = "{priorityClassName: high, containers: [{name: c, envFrom: [{secretRef: {name: env}}]}]}";
        let head = format!("\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: x, namespace: shop}}");
        told += &in_shop(&format!("{head}\n{open}{spec}{close}")).await;
        told += "\n";
    }
    insta::assert_snapshot!(told, @"
    Secret shop/env <- Pod shop/x /spec/containers/0/envFrom/0/secretRef/name
    PriorityClass.scheduling.k8s.io high <- Pod shop/x /spec/priorityClassName
    Secret shop/env <- ReplicationController shop/x /spec/template/spec/containers/0/envFrom/0/secretRef/name
    PriorityClass.scheduling.k8s.io high <- ReplicationController shop/x /spec/template/spec/priorityClassName
    Secret shop/env <- DaemonSet.apps shop/x /spec/template/spec/containers/0/envFrom/0/secretRef/name
    PriorityClass.scheduling.k8s.io high <- DaemonSet.apps shop/x /spec/template/spec/priorityClassName
    Secret shop/env <- ReplicaSet.apps shop/x /spec/template/spec/containers/0/envFrom/0/secretRef/name
    PriorityClass.scheduling.k8s.io high <- ReplicaSet.apps shop/x /spec/template/spec/priorityClassName
    Secret shop/env <- StatefulSet.apps shop/x /spec/template/spec/containers/0/envFrom/0/secretRef/name
    PriorityClass.scheduling.k8s.io high <- StatefulSet.apps shop/x /spec/template/spec/priorityClassName
    Secret shop/env <- Job.batch shop/x /spec/template/spec/containers/0/envFrom/0/secretRef/name
    PriorityClass.scheduling.k8s.io high <- Job.batch shop/x /spec/template/spec/priorityClassName
    Secret shop/env <- CronJob.batch shop/x /spec/jobTemplate/spec/template/spec/containers/0/envFrom/0/secretRef/name
    PriorityClass.scheduling.k8s.io high <- CronJob.batch shop/x /spec/jobTemplate/spec/template/spec/priorityClassName
    Secret shop/env <- PodTemplate shop/x /template/spec/containers/0/envFrom/0/secretRef/name
    PriorityClass.scheduling.k8s.io high <- PodTemplate shop/x /template/spec/priorityClassName
    ");
}

#[tokio::test]
async fn what_is_there_or_in_every_cluster_is_not_missed() {
    let objects = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: default
  priorityClassName: system-node-critical
  volumes: [{name: a, configMap: {name: kube-root-ca.crt}}, {name: b, configMap: {name: web}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: shop, ownerReferences: [{apiVersion: v1, kind: Node, name: n1, uid: n}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: User, name: bob}, {kind: Group, name: 'system:authenticated'}, {kind: ServiceAccount, name: default, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}
";
    assert_eq!(in_shop(objects).await, "");
}

#[tokio::test]
async fn accounts_bindings_and_owners_name_others() {
    let objects = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
secrets: [{name: web-token-abcde}, {name: own}]
imagePullSecrets: [{name: pull}]
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: for-ci, namespace: shop, annotations: {kubernetes.io/service-account.name: ci}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: absent}
subjects: [{kind: ServiceAccount, name: web}, {kind: ServiceAccount, name: bot, namespace: build}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: absent}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: gone, uid: g, controller: true}]
";
    insta::assert_snapshot!(in_shop(objects).await, @"
    Secret shop/own <- ServiceAccount shop/web /secrets/0/name
    Secret shop/pull <- ServiceAccount shop/web /imagePullSecrets/0/name
    ServiceAccount build/bot (nothing of namespace build is there) <- RoleBinding.rbac.authorization.k8s.io shop/a /subjects/1/name
    ServiceAccount shop/ci <- Secret shop/for-ci /metadata/annotations/kubernetes.io~1service-account.name
    Deployment.apps shop/gone <- ConfigMap shop/owned /metadata/ownerReferences/0/name
    ClusterRole.rbac.authorization.k8s.io absent <- ClusterRoleBinding.rbac.authorization.k8s.io b /roleRef/name
    Role.rbac.authorization.k8s.io shop/absent <- RoleBinding.rbac.authorization.k8s.io shop/a /roleRef/name
    ");
}

#[tokio::test]
async fn volumes_and_traffic_name_others() {
    let objects = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {storageClassName: fast, volumeName: pv1, dataSourceRef: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: s}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv2}
spec: {storageClassName: slow, claimRef: {kind: PersistentVolumeClaim, namespace: other, name: lost}, csi: {nodeStageSecretRef: {name: key, namespace: storage}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {serviceName: db, template: {}, volumeClaimTemplates: [{spec: {storageClassName: fast}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, annotations: {kubernetes.io/ingress.class: nginx}}
spec:
  ingressClassName: public
  tls: [{secretName: cert}]
  defaultBackend: {service: {name: fallback}}
  rules: [{http: {paths: [{backend: {service: {name: web}}}]}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
";
    insta::assert_snapshot!(in_shop(objects).await, @"
    PersistentVolume pv1 <- PersistentVolumeClaim shop/data /spec/volumeName
    PersistentVolumeClaim other/lost (nothing of namespace other is there) <- PersistentVolume pv2 /spec/claimRef/name
    Secret shop/cert <- Ingress.networking.k8s.io shop/web /spec/tls/0/secretName
    Secret storage/key (nothing of namespace storage is there) <- PersistentVolume pv2 /spec/csi/nodeStageSecretRef/name
    Service shop/db <- StatefulSet.apps shop/db /spec/serviceName
    Service shop/fallback <- Ingress.networking.k8s.io shop/web /spec/defaultBackend/service/name
    Service shop/web <- Ingress.networking.k8s.io shop/web /spec/rules/0/http/paths/0/backend/service/name
    Deployment.apps shop/web <- HorizontalPodAutoscaler.autoscaling shop/web /spec/scaleTargetRef/name
    IngressClass.networking.k8s.io public <- Ingress.networking.k8s.io shop/web /spec/ingressClassName
    VolumeSnapshot.snapshot.storage.k8s.io shop/s <- PersistentVolumeClaim shop/data /spec/dataSourceRef/name
    StorageClass.storage.k8s.io fast <- PersistentVolumeClaim shop/data /spec/storageClassName <- StatefulSet.apps shop/db /spec/volumeClaimTemplates/0/spec/storageClassName
    StorageClass.storage.k8s.io slow <- PersistentVolume pv2 /spec/storageClassName
    ");
}

#[tokio::test]
async fn what_the_api_passes_through_needs_its_services() {
    let objects = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard}
webhooks: [{name: a, clientConfig: {service: {namespace: shop, name: guard}}}, {name: b, clientConfig: {url: 'https://x'}}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.metrics.example.org}
spec: {service: {namespace: shop, name: metrics}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: baskets.shop.dev}
spec: {conversion: {webhook: {clientConfig: {service: {namespace: shop, name: convert}}}}}
---
apiVersion: shop.dev/v1
kind: Basket
metadata: {name: a, namespace: shop}
---
apiVersion: metrics.example.org/v1
kind: Sample
metadata: {name: a, namespace: shop}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a, namespace: shop}
spec: {gatewayClassName: public, listeners: [{tls: {certificateRefs: [{group: '', kind: Secret, name: cert}]}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: b, namespace: shop}
";
    insta::assert_snapshot!(in_shop(objects).await, @"
    Secret shop/cert <- Gateway.gateway.networking.k8s.io shop/a /spec/listeners/0/tls/certificateRefs/0/name
    Service shop/convert <- CustomResourceDefinition.apiextensions.k8s.io baskets.shop.dev /spec/conversion/webhook/clientConfig/service/name
    Service shop/guard <- ValidatingWebhookConfiguration.admissionregistration.k8s.io guard /webhooks/0/clientConfig/service/name
    Service shop/metrics <- APIService.apiregistration.k8s.io v1.metrics.example.org /spec/service/name
    CustomResourceDefinition.apiextensions.k8s.io gateways.gateway.networking.k8s.io (no APIService of gateway.networking.k8s.io is there either) <- Gateway.gateway.networking.k8s.io shop/a /apiVersion and 1 more
    GatewayClass.gateway.networking.k8s.io public <- Gateway.gateway.networking.k8s.io shop/a /spec/gatewayClassName
    ");
}

#[tokio::test]
async fn what_a_controller_makes_again_or_a_restore_leaves_out_needs_nothing() {
    let template = "{spec: {containers: [{name: c, envFrom: [{secretRef: {name: env}}]}]}}";
    let objects = format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop, uid: d}}
spec: {{template: {template}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-1
  namespace: shop
  uid: r
  ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}}]
spec: {{template: {template}}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: done, namespace: shop}}
spec: {{template: {template}}}
status: {{completionTime: '2026-01-01T00:00:00Z'}}
"
    );
    insta::assert_snapshot!(in_shop(&objects).await, @"Secret shop/env <- Deployment.apps shop/web /spec/template/spec/containers/0/envFrom/0/secretRef/name");
}

#[tokio::test]
async fn the_record_says_why_a_whole_kind_is_absent() {
    let objects = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  priorityClassName: high
  containers: [{name: c, envFrom: [{secretRef: {name: a}}, {configMapRef: {name: b}}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: web2, namespace: shop, ownerReferences: [{apiVersion: metrics.example.org/v1, kind: Sample, name: s, uid: s}]}
---
apiVersion: shop.dev/v1
kind: Basket
metadata: {name: a, namespace: shop}
---
apiVersion: shop.dev/v1
kind: Basket
metadata: {name: b, namespace: shop}
";
    let mut state = state(objects);
    state.record = Some(record(&json!([
        {"resource": "secrets", "version": "v1", "result": "skipped", "reason": "the selection excludes this kind"},
        {"resource": "configmaps", "version": "v1", "result": "failed", "reason": "forbidden"},
        {"resource": "serviceaccounts", "version": "v1", "result": "collected", "objects": 3},
        {"resource": "namespaces", "version": "v1", "result": "skipped", "reason": "the selection excludes this kind"},
        {"resource": "apiservices.apiregistration.k8s.io", "version": "v1", "result": "skipped", "reason": "the selection excludes this kind"},
        {"resource": "customresourcedefinitions.apiextensions.k8s.io", "version": "v1", "result": "collected", "objects": 0}])));
    insta::assert_snapshot!(told(&state).await, @"
    ConfigMap shop/b (configmaps could not be listed to the end: forbidden) <- Pod shop/web /spec/containers/0/envFrom/1/configMapRef/name
    Namespace shop (namespaces were not collected: the selection excludes this kind) <- Pod shop/web /metadata/namespace and 3 more
    Secret shop/a (secrets were not collected: the selection excludes this kind) <- Pod shop/web /spec/containers/0/envFrom/0/secretRef/name
    ServiceAccount shop/web <- Pod shop/web /spec/serviceAccountName
    CustomResourceDefinition.apiextensions.k8s.io baskets.shop.dev (an APIService of shop.dev may do as well, but apiservices.apiregistration.k8s.io were not collected: the selection excludes this kind) <- Basket.shop.dev shop/a /apiVersion and 1 more
    Sample.metrics.example.org shop/s (metrics.example.org/v1 could not be discovered: timed out) <- Pod shop/web2 /metadata/ownerReferences/0/name
    PriorityClass.scheduling.k8s.io high (the cluster served no priorityclasses.scheduling.k8s.io) <- Pod shop/web /spec/priorityClassName
    ");
}

#[tokio::test]
async fn a_catalog_of_ones_own_adds_names_and_takes_away_findings() {
    let state = state(
        "
apiVersion: shop.dev/v1
kind: Basket
metadata: {name: a, namespace: default}
spec: {vaultName: v, extra: w}
",
    );
    let spec = serde_saphyr::from_str("rules:
- {name: baskets, kinds: [baskets.shop.dev], builtIn: true, references: [{kind: Secret, paths: [/spec/vaultName]}, {kind: Secret, paths: [/spec/extra]}]}
- {name: vault, kinds: [secrets], when: object.metadata.name == 'w', inEveryCluster: a vault writes it}").unwrap();
    let catalog = Catalog::with(&BTreeMap::from([("own".to_owned(), spec)])).unwrap();
    let report = missing(&state, &catalog).await.unwrap();
    let keys: Vec<String> = report.missing.iter().map(|one| one.key.to_string()).collect();
    assert_eq!(keys, ["Secret default/v"]);
}
