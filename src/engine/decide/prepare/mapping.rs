//! Every place where the catalog knows the name of a namespace: before, and after `shop` became `copy`.

use super::*;
use crate::domain::object::{Gvk, Resource};
use crate::domain::rules::Catalog;
use crate::engine::yaml;

/// Each object before and after, without apiVersion and kind.
fn moved(table: &str) -> String {
    let rows = table.lines().filter_map(|row| row.split_once(' '));
    let told = rows.map(|(plural, text)| {
        let object = Manifest::parse(yaml::parse(text).unwrap()).unwrap();
        let resource = Resource {
            gvk: Gvk::new(&object.gvk().api_version(), object.kind()),
            plural: plural.into(),
            namespaced: object.namespace().is_some(),
            verbs: Vec::new(),
            served: Vec::new(),
        };
        let mut mapping = Mapping::default();
        mapping.namespaces.insert("shop".to_owned(), "copy".to_owned());
        let to = Destination {
            cluster: Cluster::Same,
            mapping: &mapping,
            transforms: &[],
            volumes: &BTreeMap::new(),
        };
        let before = object.clone().sorted();
        let sent = prepare(object, &Catalog::builtin().kind(&resource), &to).unwrap();
        let Preparation::Send(sent) = sent else { panic!("left out") };
        format!("- {}\n+ {}", bare(&before), bare(sent.manifest()))
    });
    told.collect::<Vec<_>>().join("\n")
}

fn bare(object: &Manifest) -> String {
    let mut tree = object.as_json().clone();
    for common in ["apiVersion", "kind"] {
        tree.as_object_mut().unwrap().shift_remove(common);
    }
    tree.to_string()
}

#[test]
fn services_behind_the_api_follow_their_namespace() {
    insta::assert_snapshot!(moved("
mutatingwebhookconfigurations {apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: w}, webhooks: [{sideEffects: None, clientConfig: {service: {name: a, namespace: shop}}}, {sideEffects: None, clientConfig: {service: {name: b, namespace: other}}}]}
validatingwebhookconfigurations {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: w}, webhooks: [{sideEffects: None, clientConfig: {service: {name: a, namespace: shop}}}]}
apiservices {apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x}, spec: {service: {name: a, namespace: shop}}}
customresourcedefinitions {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b}, spec: {conversion: {webhook: {clientConfig: {service: {name: a, namespace: shop}}}}}}
"), @r#"
- {"metadata":{"name":"w"},"webhooks":[{"clientConfig":{"service":{"name":"a","namespace":"shop"}},"sideEffects":"None"},{"clientConfig":{"service":{"name":"b","namespace":"other"}},"sideEffects":"None"}]}
+ {"metadata":{"name":"w"},"webhooks":[{"clientConfig":{"service":{"name":"a","namespace":"copy"}},"sideEffects":"None"},{"clientConfig":{"service":{"name":"b","namespace":"other"}},"sideEffects":"None"}]}
- {"metadata":{"name":"w"},"webhooks":[{"clientConfig":{"service":{"name":"a","namespace":"shop"}},"sideEffects":"None"}]}
+ {"metadata":{"name":"w"},"webhooks":[{"clientConfig":{"service":{"name":"a","namespace":"copy"}},"sideEffects":"None"}]}
- {"metadata":{"name":"v1.x"},"spec":{"service":{"name":"a","namespace":"shop"}}}
+ {"metadata":{"name":"v1.x"},"spec":{"service":{"name":"a","namespace":"copy"}}}
- {"metadata":{"name":"a.b"},"spec":{"conversion":{"webhook":{"clientConfig":{"service":{"name":"a","namespace":"shop"}}}}}}
+ {"metadata":{"name":"a.b"},"spec":{"conversion":{"webhook":{"clientConfig":{"service":{"name":"a","namespace":"copy"}}}}}}
"#);
}

#[test]
fn certificates_are_injected_from_the_new_namespace() {
    insta::assert_snapshot!(moved("
mutatingwebhookconfigurations {apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: w, annotations: {cert-manager.io/inject-ca-from: shop/ca}}}
validatingwebhookconfigurations {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: w, annotations: {cert-manager.io/inject-ca-from: other/ca}}}
apiservices {apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x, annotations: {cert-manager.io/inject-ca-from-secret: shop/ca}}}
customresourcedefinitions {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b, annotations: {cert-manager.io/inject-ca-from: shop/ca}}}
"), @r#"
- {"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"shop/ca"},"name":"w"}}
+ {"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"copy/ca"},"name":"w"}}
- {"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"other/ca"},"name":"w"}}
+ {"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"other/ca"},"name":"w"}}
- {"metadata":{"annotations":{"cert-manager.io/inject-ca-from-secret":"shop/ca"},"name":"v1.x"}}
+ {"metadata":{"annotations":{"cert-manager.io/inject-ca-from-secret":"copy/ca"},"name":"v1.x"}}
- {"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"shop/ca"},"name":"a.b"}}
+ {"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"copy/ca"},"name":"a.b"}}
"#);
}

#[test]
fn what_names_an_object_of_another_namespace_follows_it() {
    insta::assert_snapshot!(moved("
validatingadmissionpolicybindings {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: b}, spec: {paramRef: {name: p, namespace: shop}}}
mutatingadmissionpolicybindings {apiVersion: admissionregistration.k8s.io/v1beta1, kind: MutatingAdmissionPolicyBinding, metadata: {name: b}, spec: {paramRef: {name: p, namespace: shop}}}
ingressclasses {apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: i}, spec: {parameters: {kind: ConfigMap, name: p, namespace: shop, scope: Namespace}}}
gatewayclasses {apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: g}, spec: {parametersRef: {kind: ConfigMap, name: p, namespace: shop}}}
storageclasses {apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: s}, parameters: {csi.storage.k8s.io/node-stage-secret-namespace: shop, csi.storage.k8s.io/provisioner-secret-namespace: '${pvc.namespace}'}}
volumesnapshotclasses {apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshotClass, metadata: {name: s}, parameters: {csi.storage.k8s.io/snapshotter-secret-namespace: shop}}
persistentvolumes {apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {csi: {nodeStageSecretRef: {name: s, namespace: shop}}}}
persistentvolumes {apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {cephfs: {secretRef: {name: s, namespace: shop}}, azureFile: {secretName: s, secretNamespace: shop}}}
persistentvolumeclaims {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: other}, spec: {dataSourceRef: {kind: PersistentVolumeClaim, name: c, namespace: shop}}}
ingresses {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: shop, annotations: {nginx.ingress.kubernetes.io/auth-tls-secret: shop/ca, nginx.ingress.kubernetes.io/auth-secret: users}}}
gateways {apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: other}, spec: {listeners: [{tls: {certificateRefs: [{name: c, namespace: shop}]}}]}}
httproutes {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: other}, spec: {rules: [{filters: [{requestMirror: {backendRef: {name: s, namespace: shop}}}]}]}}
"), @r#"
- {"metadata":{"name":"b"},"spec":{"paramRef":{"name":"p","namespace":"shop"}}}
+ {"metadata":{"name":"b"},"spec":{"paramRef":{"name":"p","namespace":"copy"}}}
- {"metadata":{"name":"b"},"spec":{"paramRef":{"name":"p","namespace":"shop"}}}
+ {"metadata":{"name":"b"},"spec":{"paramRef":{"name":"p","namespace":"copy"}}}
- {"metadata":{"name":"i"},"spec":{"parameters":{"kind":"ConfigMap","name":"p","namespace":"shop","scope":"Namespace"}}}
+ {"metadata":{"name":"i"},"spec":{"parameters":{"kind":"ConfigMap","name":"p","namespace":"copy","scope":"Namespace"}}}
- {"metadata":{"name":"g"},"spec":{"parametersRef":{"kind":"ConfigMap","name":"p","namespace":"shop"}}}
+ {"metadata":{"name":"g"},"spec":{"parametersRef":{"kind":"ConfigMap","name":"p","namespace":"copy"}}}
- {"metadata":{"name":"s"},"parameters":{"csi.storage.k8s.io/node-stage-secret-namespace":"shop","csi.storage.k8s.io/provisioner-secret-namespace":"${pvc.namespace}"}}
+ {"metadata":{"name":"s"},"parameters":{"csi.storage.k8s.io/node-stage-secret-namespace":"copy","csi.storage.k8s.io/provisioner-secret-namespace":"${pvc.namespace}"}}
- {"metadata":{"name":"s"},"parameters":{"csi.storage.k8s.io/snapshotter-secret-namespace":"shop"}}
+ {"metadata":{"name":"s"},"parameters":{"csi.storage.k8s.io/snapshotter-secret-namespace":"copy"}}
- {"metadata":{"name":"v"},"spec":{"csi":{"nodeStageSecretRef":{"name":"s","namespace":"shop"}}}}
+ {"metadata":{"name":"v"},"spec":{"csi":{"nodeStageSecretRef":{"name":"s","namespace":"copy"}}}}
- {"metadata":{"name":"v"},"spec":{"azureFile":{"secretName":"s","secretNamespace":"shop"},"cephfs":{"secretRef":{"name":"s","namespace":"shop"}}}}
+ {"metadata":{"name":"v"},"spec":{"azureFile":{"secretName":"s","secretNamespace":"copy"},"cephfs":{"secretRef":{"name":"s","namespace":"copy"}}}}
- {"metadata":{"name":"c","namespace":"other"},"spec":{"dataSourceRef":{"kind":"PersistentVolumeClaim","name":"c","namespace":"shop"}}}
+ {"metadata":{"name":"c","namespace":"other"},"spec":{"dataSourceRef":{"kind":"PersistentVolumeClaim","name":"c","namespace":"copy"}}}
- {"metadata":{"annotations":{"nginx.ingress.kubernetes.io/auth-secret":"users","nginx.ingress.kubernetes.io/auth-tls-secret":"shop/ca"},"name":"i","namespace":"shop"}}
+ {"metadata":{"annotations":{"nginx.ingress.kubernetes.io/auth-secret":"users","nginx.ingress.kubernetes.io/auth-tls-secret":"copy/ca"},"name":"i","namespace":"copy"}}
- {"metadata":{"name":"g","namespace":"other"},"spec":{"listeners":[{"tls":{"certificateRefs":[{"name":"c","namespace":"shop"}]}}]}}
+ {"metadata":{"name":"g","namespace":"other"},"spec":{"listeners":[{"tls":{"certificateRefs":[{"name":"c","namespace":"copy"}]}}]}}
- {"metadata":{"name":"r","namespace":"other"},"spec":{"rules":[{"filters":[{"requestMirror":{"backendRef":{"name":"s","namespace":"shop"}}}]}]}}
+ {"metadata":{"name":"r","namespace":"other"},"spec":{"rules":[{"filters":[{"requestMirror":{"backendRef":{"name":"s","namespace":"copy"}}}]}]}}
"#);
}
