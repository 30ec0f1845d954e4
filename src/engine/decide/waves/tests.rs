//! What comes before what.

use super::*;
use crate::domain::object::{Gvk, ObjectKey, Resource};

/// Reads `apps/v1 deployments Deployment shop/web`, with labels `a=b` behind it.
fn read(line: &str) -> (ObjectKey, Resource, BTreeMap<String, String>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [api_version, plural, kind, place, labels @ ..] = &words[..] else { panic!("{line}") };
    let gvk = Gvk::new(api_version, kind);
    let (namespace, name) = place.split_once('/').map_or((None, *place), |(ns, name)| (Some(ns), name));
    let key = ObjectKey {
        group: gvk.group.clone(),
        kind: gvk.kind.clone(),
        namespace: namespace.map(Into::into),
        name: name.into(),
    };
    let resource = Resource {
        gvk,
        plural: (*plural).into(),
        namespaced: namespace.is_some(),
        verbs: Vec::new(),
        served: Vec::new(),
    };
    let labels = labels.iter().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.into(), v.into()));
    (key, resource, labels.collect())
}

fn ordered(text: &str, catalog: &Catalog) -> Vec<Wave> {
    let saved: Vec<_> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(read).collect();
    let members: Vec<Member<'_>> = saved
        .iter()
        .map(|(key, resource, labels)| Member {
            key,
            resource,
            uid: None,
            labels,
            controller: None,
            wanted: false,
        })
        .collect();
    waves(&members, catalog)
}

fn told(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let told = ordered(text, &Catalog::builtin()).into_iter().map(|wave| {
        let named = |position: &usize| {
            let (key, _, _) = read(lines[*position]);
            let ready = wave.awaited.iter().find(|(p, _)| p == position);
            let until = ready.map(|(_, r)| match &r.condition {
                Some(_) => format!(" (awaited {})", r.timeout),
                None => format!(" (ready within {})", r.timeout),
            });
            format!("  {key}{}", until.unwrap_or_default())
        };
        let members: Vec<String> = wave.members.iter().map(named).collect();
        format!("{}\n{}", wave.name, members.join("\n"))
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn everything_comes_after_what_it_needs() {
    // Source: velero default restore priorities; flux ssa stages.
    insta::assert_snapshot!(told("
        admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration guard
        admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy guard
        apiregistration.k8s.io/v1 apiservices APIService v1.x
        apps/v1 deployments Deployment shop/web
        apps/v1 statefulsets StatefulSet shop/db
        v1 pods Pod shop/naked
        batch/v1 cronjobs CronJob shop/nightly
        autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler shop/web
        policy/v1 poddisruptionbudgets PodDisruptionBudget shop/web
        networking.k8s.io/v1 ingresses Ingress shop/web
        gateway.networking.k8s.io/v1 httproutes HTTPRoute shop/web
        v1 services Service shop/web
        v1 endpoints Endpoints shop/outside
        networking.k8s.io/v1 networkpolicies NetworkPolicy shop/deny
        v1 resourcequotas ResourceQuota shop/limits
        v1 limitranges LimitRange shop/limits
        v1 configmaps ConfigMap shop/web
        v1 secrets Secret shop/db
        rbac.authorization.k8s.io/v1 rolebindings RoleBinding shop/build
        rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding build
        rbac.authorization.k8s.io/v1 roles Role shop/build
        rbac.authorization.k8s.io/v1 clusterroles ClusterRole build
        v1 serviceaccounts ServiceAccount shop/build
        v1 persistentvolumeclaims PersistentVolumeClaim shop/data
        v1 persistentvolumes PersistentVolume pv-1
        snapshot.storage.k8s.io/v1 volumesnapshots VolumeSnapshot shop/s
        snapshot.storage.k8s.io/v1 volumesnapshotcontents VolumeSnapshotContent c
        snapshot.storage.k8s.io/v1 volumesnapshotclasses VolumeSnapshotClass c
        storage.k8s.io/v1 storageclasses StorageClass fast
        scheduling.k8s.io/v1 priorityclasses PriorityClass high
        networking.k8s.io/v1 ingressclasses IngressClass nginx
        node.k8s.io/v1 runtimeclasses RuntimeClass gvisor
        v1 namespaces Namespace shop
        v1 namespaces Namespace default
        apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition widgets.example.org
        example.org/v1 widgets Widget shop/w
    "), @"
    definitions
      CustomResourceDefinition.apiextensions.k8s.io widgets.example.org (awaited 1m)
    namespaces
      Namespace default (awaited 1m)
      Namespace shop (awaited 1m)
    classes
      IngressClass.networking.k8s.io nginx
      RuntimeClass.node.k8s.io gvisor
      PriorityClass.scheduling.k8s.io high
      VolumeSnapshotClass.snapshot.storage.k8s.io c
      StorageClass.storage.k8s.io fast
    snapshot contents
      VolumeSnapshotContent.snapshot.storage.k8s.io c
    snapshots
      VolumeSnapshot.snapshot.storage.k8s.io shop/s
    volumes
      PersistentVolume pv-1
    claims
      PersistentVolumeClaim shop/data
    accounts and roles
      ServiceAccount shop/build
      ClusterRole.rbac.authorization.k8s.io build
      Role.rbac.authorization.k8s.io shop/build
    bindings
      ClusterRoleBinding.rbac.authorization.k8s.io build
      RoleBinding.rbac.authorization.k8s.io shop/build
    configuration
      ConfigMap shop/web
      LimitRange shop/limits
      ResourceQuota shop/limits (awaited 30s)
      Secret shop/db
    network policies
      NetworkPolicy.networking.k8s.io shop/deny
    services
      Endpoints shop/outside
      Service shop/web
    workloads
      Pod shop/naked
      Deployment.apps shop/web
      StatefulSet.apps shop/db
      CronJob.batch shop/nightly
    custom resources
      Widget.example.org shop/w
    traffic
      HorizontalPodAutoscaler.autoscaling shop/web
      HTTPRoute.gateway.networking.k8s.io shop/web
      Ingress.networking.k8s.io shop/web
      PodDisruptionBudget.policy shop/web
    aggregated apis
      APIService.apiregistration.k8s.io v1.x
    admission
      ValidatingAdmissionPolicy.admissionregistration.k8s.io guard
      ValidatingWebhookConfiguration.admissionregistration.k8s.io guard
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn custom_resources_come_after_what_they_refer_to() {
    // Source: velero default restore priorities; what the projects themselves refer to.
    insta::assert_snapshot!(told("
        kustomize.toolkit.fluxcd.io/v1 kustomizations Kustomization flux-system/apps
        helm.toolkit.fluxcd.io/v2 helmreleases HelmRelease shop/web
        source.toolkit.fluxcd.io/v1 gitrepositories GitRepository flux-system/apps
        notification.toolkit.fluxcd.io/v1 receivers Receiver flux-system/hook
        argoproj.io/v1alpha1 applications Application argocd/shop
        argoproj.io/v1alpha1 applicationsets ApplicationSet argocd/all
        argoproj.io/v1alpha1 appprojects AppProject argocd/team
        cert-manager.io/v1 certificates Certificate shop/web
        cert-manager.io/v1 issuers Issuer shop/ca
        cert-manager.io/v1 clusterissuers ClusterIssuer letsencrypt
        monitoring.coreos.com/v1 prometheuses Prometheus monitoring/k8s
        monitoring.coreos.com/v1 alertmanagers Alertmanager monitoring/main
        monitoring.coreos.com/v1 servicemonitors ServiceMonitor shop/web
        monitoring.coreos.com/v1 prometheusrules PrometheusRule shop/web
        networking.istio.io/v1 virtualservices VirtualService shop/web
        networking.istio.io/v1 gateways Gateway shop/web
        security.istio.io/v1 peerauthentications PeerAuthentication shop/strict
        gateway.networking.k8s.io/v1 gateways Gateway shop/web
        gateway.networking.k8s.io/v1 gatewayclasses GatewayClass envoy
        gateway.networking.k8s.io/v1beta1 referencegrants ReferenceGrant shop/r
        cluster.x-k8s.io/v1beta1 clusters Cluster fleet/one
        cluster.x-k8s.io/v1beta1 clusterclasses ClusterClass fleet/quick
        addons.cluster.x-k8s.io/v1beta1 clusterresourcesets ClusterResourceSet fleet/cni
        infrastructure.cluster.x-k8s.io/v1beta1 dockermachinetemplates DockerMachineTemplate fleet/m
        external-secrets.io/v1 externalsecrets ExternalSecret shop/db
        external-secrets.io/v1 secretstores SecretStore shop/vault
        kyverno.io/v1 clusterpolicies ClusterPolicy strict
        constraints.gatekeeper.sh/v1beta1 k8srequiredlabels K8sRequiredLabels owner
        templates.gatekeeper.sh/v1 constrainttemplates ConstraintTemplate k8srequiredlabels
        kappctrl.k14s.io/v1alpha1 apps App shop/a
        packaging.carvel.dev/v1alpha1 packageinstalls PackageInstall shop/p
        run.tanzu.vmware.com/v1alpha3 clusterbootstraps ClusterBootstrap fleet/b
        apps/v1 deployments Deployment cert-manager/cert-manager-webhook app.kubernetes.io/name=webhook
        apps/v1 deployments Deployment capi-system/capi-controller-manager
        apps/v1 deployments Deployment capd-system/capd-controller-manager
        apps/v1 deployments Deployment shop/web app.kubernetes.io/name=shop
    "), @"
    classes
      GatewayClass.gateway.networking.k8s.io envoy
    controllers
      Deployment.apps capd-system/capd-controller-manager (ready within 2m)
      Deployment.apps capi-system/capi-controller-manager (ready within 2m)
      Deployment.apps cert-manager/cert-manager-webhook (ready within 2m)
    workloads
      Deployment.apps shop/web
    foundations
      AppProject.argoproj.io argocd/team
      ClusterIssuer.cert-manager.io letsencrypt
      Issuer.cert-manager.io shop/ca
      ClusterClass.cluster.x-k8s.io fleet/quick
      SecretStore.external-secrets.io shop/vault
      ReferenceGrant.gateway.networking.k8s.io shop/r
      DockerMachineTemplate.infrastructure.cluster.x-k8s.io fleet/m
      PrometheusRule.monitoring.coreos.com shop/web
      ServiceMonitor.monitoring.coreos.com shop/web
      Gateway.networking.istio.io shop/web
      Receiver.notification.toolkit.fluxcd.io flux-system/hook
      GitRepository.source.toolkit.fluxcd.io flux-system/apps
      ConstraintTemplate.templates.gatekeeper.sh k8srequiredlabels (awaited 1m)
    custom resources
      Certificate.cert-manager.io shop/web
      ExternalSecret.external-secrets.io shop/db
      Alertmanager.monitoring.coreos.com monitoring/main
      Prometheus.monitoring.coreos.com monitoring/k8s
      PeerAuthentication.security.istio.io shop/strict
    traffic
      Gateway.gateway.networking.k8s.io shop/web
      VirtualService.networking.istio.io shop/web
    policies
      K8sRequiredLabels.constraints.gatekeeper.sh owner
      ClusterPolicy.kyverno.io strict
    deliveries
      ClusterResourceSet.addons.cluster.x-k8s.io fleet/cni
      Application.argoproj.io argocd/shop
      ApplicationSet.argoproj.io argocd/all
      Cluster.cluster.x-k8s.io fleet/one
      HelmRelease.helm.toolkit.fluxcd.io shop/web
      App.kappctrl.k14s.io shop/a
      Kustomization.kustomize.toolkit.fluxcd.io flux-system/apps
      PackageInstall.packaging.carvel.dev shop/p
      ClusterBootstrap.run.tanzu.vmware.com fleet/b
    ");
}

#[test]
fn a_policy_repository_places_its_own_kinds() {
    // Source: velero issues 4045 and 9433.
    let spec = serde_saphyr::from_str(
        "waves: [{name: databases, after: configuration}]
rules: [{name: pg, kinds: [clusters.postgresql.cnpg.io], wave: databases, ready: {cel: object.status.phase == 'Ready', timeout: 5m}}]",
    )
    .unwrap();
    let catalog = Catalog::with(&BTreeMap::from([("mine".to_owned(), spec)])).unwrap();
    let found = ordered(
        "apps/v1 deployments Deployment shop/web
        postgresql.cnpg.io/v1 clusters Cluster shop/db
        v1 secrets Secret shop/db",
        &catalog,
    );
    let names: Vec<&str> = found.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["configuration", "databases", "workloads"]);
    assert_eq!(found[1].awaited[0].1.timeout.to_string(), "5m");
}

#[test]
fn nothing_to_restore_is_no_wave() {
    assert_eq!(ordered("", &Catalog::builtin()), Vec::new());
}
