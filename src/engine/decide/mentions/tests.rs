//! Where an old name counts and where it is just a word. Text in, fields and forms out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::engine::saved::manifests::guess;
use crate::engine::saved::open::State;
use crate::engine::yaml;

fn mapping(namespaces: &[(&str, &str)], classes: &[(&str, &str)]) -> Mapping {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect()
    };
    Mapping { namespaces: map(namespaces), storage_classes: map(classes), images: BTreeMap::new() }
}

/// What the old namespace held: a Service `db`, a Secret `cert`.
fn saved(namespace: &str) -> State {
    let objects = ["Service db", "Secret cert"].into_iter().map(|row| {
        let (kind, name) = row.split_once(' ').unwrap();
        let tree =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}});
        let object = Manifest::parse(tree).unwrap();
        (Arc::new(guess(object.gvk(), true)), object)
    });
    State::held("snapshot test".into(), objects)
}

fn told(mapping: &Mapping, text: &str) -> String {
    let old = mapping.namespaces.keys().next().map_or("none", String::as_str);
    let state = saved(old);
    let names = OldNames::new(mapping, &state.entries).unwrap();
    let object = Manifest::parse(yaml::parse(text).unwrap()).unwrap();
    let line = |m: &Mention| format!("{} {} {:?}", m.old, m.field, m.form);
    names.find(&object).iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How the namespace stands in a text of a `ConfigMap`, by key and value; `-` where it does not.
fn forms(namespace: &str, rows: &[(&str, &str)]) -> String {
    let mapping = mapping(&[(namespace, "copy")], &[]);
    let state = saved(namespace);
    let names = OldNames::new(&mapping, &state.entries).unwrap();
    let line = |(key, value): &(&str, &str)| {
        let tree = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {*key: value}});
        let found = names.find(&Manifest::parse(tree).unwrap());
        let form = found.first().map_or("-".to_owned(), |mention| format!("{:?}", mention.form));
        format!("{form}: {key}={}", value.replace('\n', "|"))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_can_only_be_the_namespace_counts() {
    let rows = [
        ("url", "http://db.shop.svc.cluster.local:5432/x"),
        ("url", "postgres://u:p@db.shop.svc/x"),
        ("hosts", "*.shop.svc"),
        ("url", "http://db.shop:5432"),
        ("peer", "db-0.db.shop"),
        ("text", "host: db.shop."),
        ("user", "system:serviceaccount:shop:web"),
        ("group", "system:serviceaccounts:shop"),
        ("secret", "shop/cert"),
        ("args", "--tls=shop/cert --v=2"),
        ("targetNamespace", "shop"),
        ("POD_NAMESPACE", "shop"),
        ("ns", "shop"),
        ("app.yaml", "a: b\nnamespace: \"shop\"\n"),
        ("app.yaml", "watchNamespaces:\n  - shop\n"),
        ("app.json", "{\"namespace\": \"shop\"}"),
        ("run", "kubectl get pods --namespace=shop"),
        ("run", "kubectl get pods -n shop"),
        ("url", "https://api/api/v1/namespaces/shop/pods"),
    ];
    insta::assert_snapshot!(forms("shop", &rows), @r#"
    DnsName: url=http://db.shop.svc.cluster.local:5432/x
    DnsName: url=postgres://u:p@db.shop.svc/x
    DnsName: hosts=*.shop.svc
    ServiceName: url=http://db.shop:5432
    ServiceName: peer=db-0.db.shop
    ServiceName: text=host: db.shop.
    Account: user=system:serviceaccount:shop:web
    Account: group=system:serviceaccounts:shop
    ObjectName: secret=shop/cert
    ObjectName: args=--tls=shop/cert --v=2
    WholeValue: targetNamespace=shop
    WholeValue: POD_NAMESPACE=shop
    WholeValue: ns=shop
    AfterItsKind: app.yaml=a: b|namespace: "shop"|
    AfterItsKind: app.yaml=watchNamespaces:|  - shop|
    AfterItsKind: app.json={"namespace": "shop"}
    AfterItsKind: run=kubectl get pods --namespace=shop
    AfterItsKind: run=kubectl get pods -n shop
    AfterItsKind: url=https://api/api/v1/namespaces/shop/pods
    "#);
}

#[test]
fn what_may_be_any_word_does_not() {
    let rows = [
        ("team", "shop"),
        ("text", "welcome to the shop"),
        ("url", "https://example.shop/"),
        ("url", "https://shop.example.org/"),
        ("url", "https://db.shop.example.org/"),
        ("url", "http://other.shop:80"),
        ("url", "http://db.shops.svc"),
        ("url", "http://db.my-shop.svc"),
        ("url", "http://db.shop.svcs"),
        ("path", "/var/shop/cert"),
        ("image", "shop/cert"),
        ("ref", "shop/cert:1.0"),
        ("ref", "shop/unknown"),
        ("namespace", "shop2"),
        ("run", "sort -n_shop --n shop"),
        ("text", "namespace and then the shop"),
    ];
    let told = forms("shop", &rows);
    assert!(told.lines().all(|line| line.starts_with("-: ")), "{told}");
}

#[test]
fn a_namespace_called_default_or_test_does_not_flood_the_report() {
    for namespace in ["default", "test"] {
        let rows = ["sessionAffinity", "profile", "env", "class", "priority"].map(|key| (key, namespace));
        let told = forms(namespace, &rows);
        assert!(told.lines().all(|line| line.starts_with("-: ")), "{told}");
        let text =
            format!("{namespace}-pool /{namespace} the {namespace} value; {namespace}: true, go {namespace}");
        assert!(forms(namespace, &[("text", &text)]).starts_with('-'));
    }
    assert!(forms("default", &[("namespace", "default")]).starts_with("WholeValue"));
}

#[test]
fn every_part_of_an_object_is_looked_into_but_its_identity() {
    let text = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: shop
  annotations: {note: db.shop.svc, kubectl.kubernetes.io/last-applied-configuration: '{\"namespace\":\"shop\"}'}
spec:
  template:
    spec:
      containers:
      - name: web
        image: shop/cert
        args: [--namespace, shop, -n, shop, shop]
        env: [{name: WATCH_NAMESPACE, value: shop}, {name: TEAM, value: shop}]
  hosts: {db.shop.svc: 1}
";
    insta::assert_snapshot!(told(&mapping(&[("shop", "copy")], &[]), text), @"
    shop /metadata/annotations/note DnsName
    shop /spec/hosts/db.shop.svc DnsName
    shop /spec/template/spec/containers/0/args/1 WholeValue
    shop /spec/template/spec/containers/0/args/3 WholeValue
    shop /spec/template/spec/containers/0/env/0/value WholeValue
    ");
}

#[test]
fn a_secret_is_decoded_and_only_its_key_is_told() {
    let dsn = STANDARD.encode("postgres://shop:hunter2@db.shop.svc/x");
    let binary = STANDARD.encode([0xff, 0xfe, 0x00]);
    let text = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: s, namespace: copy}}, data: {{dsn: {dsn}, bin: {binary}, bad: '!'}}}}"
    );
    assert_eq!(told(&mapping(&[("shop", "copy")], &[]), &text), "shop /data/dsn DnsName");
}

#[test]
fn a_storage_class_counts_where_a_field_or_text_says_so_and_in_quotas() {
    let text = "
apiVersion: example.org/v1
kind: Database
metadata: {name: fast}
spec:
  storageClass: fast
  tier: fast
  values: |
    persistence:
      storageClassName: fast
  speed: very fast
  hard: {fast.storageclass.storage.k8s.io/requests.storage: 1Gi}
";
    insta::assert_snapshot!(told(&mapping(&[], &[("fast", "slow")]), text), @"
    fast /spec/hard/fast.storageclass.storage.k8s.io~1requests.storage Quota
    fast /spec/storageClass WholeValue
    fast /spec/values AfterItsKind
    ");
}

#[test]
fn a_name_that_something_else_gets_is_not_looked_for() {
    let state = saved("a");
    assert!(OldNames::new(&mapping(&[], &[]), &state.entries).is_none());
    assert!(OldNames::new(&mapping(&[("a", "b"), ("b", "a")], &[]), &state.entries).is_none());
    let chain = mapping(&[("a", "b"), ("b", "c")], &[]);
    let names = OldNames::new(&chain, &state.entries).unwrap();
    assert_eq!(names.names.iter().map(|name| name.old).collect::<Vec<_>>(), ["a"]);
}
