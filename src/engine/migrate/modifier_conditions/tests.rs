//! On which objects Velero's conditions hold.

use super::super::cel_text::all;
use super::*;
use crate::domain::cel::{EvalError, Expression};
use crate::domain::object::Manifest;
use crate::engine::yaml;

/// One answer for each object, of which everything behind the kind is given.
fn answers(text: &str, objects: &[&str]) -> String {
    let tree = yaml::parse(&format!("{{groupResource: pods, {text}}}")).unwrap();
    let found = conditions(&serde_json::from_value(tree).unwrap());
    let found = found.unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let when = all(&found).map(|text| Expression::parse(&text).unwrap());
    let answer = |object: &&str| {
        let tree = yaml::parse(&format!("{{apiVersion: v1, kind: Pod, {object}}}")).unwrap();
        let object = Manifest::parse(tree).unwrap();
        match when.as_ref().map(|when| when.test(&object)) {
            None | Some(Ok(true)) => "yes".to_owned(),
            Some(Ok(false) | Err(EvalError::MissingField(_))) => "no".to_owned(),
            Some(Err(error)) => error.to_string(),
        }
    };
    format!("{text}  ->  {}", objects.iter().map(answer).collect::<Vec<_>>().join(" "))
}

fn table(texts: &[&str], objects: &[&str]) -> String {
    texts.iter().map(|text| answers(text, objects)).collect::<Vec<_>>().join("\n")
}

#[test]
fn labels_that_are_not_there_fulfil_what_asks_for_their_absence() {
    let objects = [
        "metadata: {name: a, labels: {a: x, k/b: z}}",
        "metadata: {name: a, labels: {a: z}}",
        "metadata: {name: a, labels: {c: x}}",
        "metadata: {name: a}",
    ];
    let texts = [
        "labelSelector: {}",
        "labelSelector: {matchLabels: {a: x}}",
        "labelSelector: {matchLabels: {a: x, k/b: z}}",
        "labelSelector: {matchExpressions: [{key: a, operator: In, values: [x, z]}]}",
        "labelSelector: {matchExpressions: [{key: a, operator: NotIn, values: [x]}]}",
        "labelSelector: {matchExpressions: [{key: a, operator: Exists}]}",
        "labelSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}",
        "labelSelector: {matchLabels: {a: x}, matchExpressions: [{key: c, operator: DoesNotExist}]}",
    ];
    insta::assert_snapshot!(table(&texts, &objects), @"
    labelSelector: {}  ->  yes yes yes yes
    labelSelector: {matchLabels: {a: x}}  ->  yes no no no
    labelSelector: {matchLabels: {a: x, k/b: z}}  ->  yes no no no
    labelSelector: {matchExpressions: [{key: a, operator: In, values: [x, z]}]}  ->  yes yes no no
    labelSelector: {matchExpressions: [{key: a, operator: NotIn, values: [x]}]}  ->  no yes yes yes
    labelSelector: {matchExpressions: [{key: a, operator: Exists}]}  ->  yes yes no no
    labelSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}  ->  no no yes yes
    labelSelector: {matchLabels: {a: x}, matchExpressions: [{key: c, operator: DoesNotExist}]}  ->  yes no no no
    ");
}

#[test]
fn fields_are_compared_at_every_kind_of_path() {
    let object = "metadata: {name: a, annotations: {k/a: '1'}}, spec: {priority: 3, hostNetwork: true,
        containers: [{name: web, ports: [{containerPort: 80}]}], nodeSelector: {}}";
    let texts = [
        "matches: [{path: /spec/hostNetwork, value: 'true'}]",
        "matches: [{path: /spec/hostNetwork, value: '\"true\"'}]",
        "matches: [{path: /spec/priority, value: '3'}]",
        "matches: [{path: /spec/priority, value: 3}]",
        "matches: [{path: /spec/priority, value: '\"3\"'}]",
        "matches: [{path: /metadata/annotations/k~1a, value: '\"1\"'}]",
        "matches: [{path: /metadata/annotations/k~1a, value: '1'}]",
        "matches: [{path: /spec/containers/0/name, value: web}]",
        "matches: [{path: /spec/containers/1/name, value: web}]",
        "matches: [{path: /spec/containers/0/ports, value: '[{\"containerPort\": 80}]'}]",
        "matches: [{path: /spec/nodeSelector, value: '{}'}]",
        "matches: [{path: /spec/absent, value: 'null'}]",
        "matches: [{path: /spec/absent/deep, value: 'null'}]",
        "matches: [{path: /spec/priority, value: 'null'}]",
        "matches: [{path: /spec/absent, value: ''}]",
        "matches: [{path: /spec/priority, value: 3}, {path: /spec/hostNetwork, value: true}]",
        "matches: [{path: /spec/priority, value: 3}, {path: /spec/absent, value: x}]",
    ];
    insta::assert_snapshot!(table(&texts, &[object]), @r#"
    matches: [{path: /spec/hostNetwork, value: 'true'}]  ->  yes
    matches: [{path: /spec/hostNetwork, value: '"true"'}]  ->  no
    matches: [{path: /spec/priority, value: '3'}]  ->  yes
    matches: [{path: /spec/priority, value: 3}]  ->  yes
    matches: [{path: /spec/priority, value: '"3"'}]  ->  no
    matches: [{path: /metadata/annotations/k~1a, value: '"1"'}]  ->  yes
    matches: [{path: /metadata/annotations/k~1a, value: '1'}]  ->  no
    matches: [{path: /spec/containers/0/name, value: web}]  ->  yes
    matches: [{path: /spec/containers/1/name, value: web}]  ->  no
    matches: [{path: /spec/containers/0/ports, value: '[{"containerPort": 80}]'}]  ->  yes
    matches: [{path: /spec/nodeSelector, value: '{}'}]  ->  yes
    matches: [{path: /spec/absent, value: 'null'}]  ->  yes
    matches: [{path: /spec/absent/deep, value: 'null'}]  ->  no
    matches: [{path: /spec/priority, value: 'null'}]  ->  no
    matches: [{path: /spec/absent, value: ''}]  ->  no
    matches: [{path: /spec/priority, value: 3}, {path: /spec/hostNetwork, value: true}]  ->  yes
    matches: [{path: /spec/priority, value: 3}, {path: /spec/absent, value: x}]  ->  no
    "#);
}

#[test]
fn namespaces_are_names_or_globs_and_hold_what_has_none() {
    let objects =
        ["shop", "shop-eu", "other"].map(|name| format!("metadata: {{name: a, namespace: {name}}}"));
    let mut objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    objects.push("metadata: {name: a}");
    let texts = [
        "namespaces: []",
        "namespaces: [a, '*']",
        "namespaces: [shop]",
        "namespaces: [shop, other]",
        "namespaces: ['shop*']",
        "namespaces: ['shop-??', other]",
        "namespaces: ['{shop,other}']",
        "namespaces: ['[!s]*']",
    ];
    insta::assert_snapshot!(table(&texts, &objects), @"
    namespaces: []  ->  yes yes yes yes
    namespaces: [a, '*']  ->  yes yes yes yes
    namespaces: [shop]  ->  yes no no yes
    namespaces: [shop, other]  ->  yes no yes yes
    namespaces: ['shop*']  ->  yes yes no yes
    namespaces: ['shop-??', other]  ->  no yes yes yes
    namespaces: ['{shop,other}']  ->  yes no yes yes
    namespaces: ['[!s]*']  ->  no no yes yes
    ");
}

#[test]
fn a_name_holds_the_regular_expression_somewhere() {
    let objects = ["metadata: {name: mysql-0}", "metadata: {name: a-mysql}", "metadata: {name: it.s}"];
    let texts = [
        "resourceNameRegex: ''",
        "resourceNameRegex: '.*'",
        "resourceNameRegex: mysql",
        "resourceNameRegex: '^mysql.*$'",
        "resourceNameRegex: '^(a-mysql|it\\.s)$'",
        "resourceNameRegex: '(?i)MYSQL-[[:digit:]]+'",
    ];
    insta::assert_snapshot!(table(&texts, &objects), @r#"
    resourceNameRegex: ''  ->  yes yes yes
    resourceNameRegex: '.*'  ->  yes yes yes
    resourceNameRegex: mysql  ->  yes yes no
    resourceNameRegex: '^mysql.*$'  ->  yes no no
    resourceNameRegex: '^(a-mysql|it\.s)$'  ->  no yes yes
    resourceNameRegex: '(?i)MYSQL-[[:digit:]]+'  ->  yes no no
    "#);
}
