//! What becomes of Velero's rules, and what the transforms do to objects on the way that every restore takes.
//!
//! Up to the wildcards, there is a test for every example of Velero's documentation, page "Restore Resource Modifiers": what
//! the page says of it holds here, too.

use std::collections::BTreeMap;

use super::mistakes::WRONG;
use super::*;
use crate::domain::object::{Manifest, Resource};
use crate::domain::rules::Catalog;
use crate::engine::decide::init::Inits;
use crate::engine::decide::prepare::{Cluster, Destination, Mapping, Preparation, prepare};
use crate::engine::yaml;

pub(super) fn converted(rules: &str) -> Converted {
    convert("rules.yaml", rules).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

pub(super) fn refused(text: &str) -> String {
    convert("rules.yaml", text).map_or_else(|problems| lines(&problems), |_| "fine".into())
}

/// A rule with this under `conditions` and as its patches, both in one line.
fn rule(conditions: &str, patches: &str) -> String {
    format!("- conditions: {{{conditions}}}\n  {patches}\n")
}

fn file(rules: &[String]) -> String {
    format!("version: v1\nresourceModifierRules:\n{}", rules.concat())
}

/// What a restore sends of an object `plural {object}`, without apiVersion and kind.
fn restored(rules: &str, object: &str) -> String {
    let specs = converted(rules).transforms;
    let transforms: Vec<Transform> = specs.iter().map(|spec| Transform::compile(spec).unwrap()).collect();
    let (plural, text) = object.split_once(' ').unwrap();
    let object = Manifest::parse(yaml::parse(text).unwrap()).unwrap();
    let resource = Resource {
        gvk: object.gvk(),
        plural: plural.into(),
        namespaced: object.namespace().is_some(),
        verbs: Vec::new(),
        served: Vec::new(),
    };
    let to = Destination {
        inits: &Inits::default(),
        owners: None,
        cluster: Cluster::Same,
        mapping: &Mapping::default(),
        transforms: &transforms,
        volumes: &BTreeMap::new(),
    };
    match prepare(object, &Catalog::builtin().kind(&resource), &to) {
        Err(error) => format!("fails: {error}"),
        Ok(Preparation::Leave(reason)) => format!("left out: {reason}"),
        Ok(Preparation::Send(sent)) => {
            let mut tree = sent.into_manifest().into_json();
            for common in ["apiVersion", "kind"] {
                tree.as_object_mut().unwrap().shift_remove(common);
            }
            tree.to_string()
        }
    }
}

fn each(rules: &str, objects: &[&str]) -> String {
    objects.iter().map(|object| restored(rules, object)).collect::<Vec<_>>().join("\n")
}

fn claim(metadata: &str, class: &str) -> String {
    format!(
        "persistentvolumeclaims {{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{{metadata}}}, spec: {{storageClassName: {class}}}}}"
    )
}

pub(super) const TEMPLATE: &str = include_str!("template.yaml");

#[test]
fn the_template_of_the_documentation_becomes_one_transform() {
    let tree = serde_json::to_value(converted(TEMPLATE)).unwrap();
    assert_eq!(yaml::parse(&yaml::emit(&tree).unwrap()).unwrap(), tree);
    insta::assert_snapshot!(yaml::emit(&tree).unwrap(), @"
    transforms:
    - name: rule-1-persistentvolumeclaims
      kinds:
      - persistentvolumeclaims
      when: (!has(object.metadata.namespace) || object.metadata.namespace in ['blue', 'green']) && object.metadata.name.matches('^db.*$') && object.metadata.labels['tier'] == 'data'
      json:
      - op: replace
        path: /spec/storageClassName
        value: fast
      - op: remove
        path: /metadata/labels/old
    ");
    insta::assert_snapshot!(each(TEMPLATE, &[
        &claim("name: db-0, namespace: blue, labels: {tier: data, old: x}", "slow"),
        &claim("name: db-0, namespace: other, labels: {tier: data, old: x}", "slow"),
        &claim("name: a-db, namespace: blue, labels: {tier: data, old: x}", "slow"),
        &claim("name: db-0, namespace: blue, labels: {old: x}", "slow"),
        &claim("name: db-0, namespace: blue", "slow"),
        // Velero restores this one unchanged, with an error: what is to be removed is not there.
        &claim("name: db-0, namespace: blue, labels: {tier: data}", "slow"),
    ]), @r#"
    {"metadata":{"labels":{"tier":"data"},"name":"db-0","namespace":"blue"},"spec":{"storageClassName":"fast"}}
    {"metadata":{"labels":{"old":"x","tier":"data"},"name":"db-0","namespace":"other"},"spec":{"storageClassName":"slow"}}
    {"metadata":{"labels":{"old":"x","tier":"data"},"name":"a-db","namespace":"blue"},"spec":{"storageClassName":"slow"}}
    {"metadata":{"labels":{"old":"x"},"name":"db-0","namespace":"blue"},"spec":{"storageClassName":"slow"}}
    {"metadata":{"name":"db-0","namespace":"blue"},"spec":{"storageClassName":"slow"}}
    fails: cannot carry out transform "rule-1-persistentvolumeclaims": operation 2 at /metadata/labels/old does not fit
    "#);
}

#[test]
fn a_test_that_does_not_hold_leaves_the_object_as_it_is() {
    let rules = include_str!("test.yaml");
    insta::assert_snapshot!(each(rules, &[
        &claim("name: a, namespace: green", "fast"),
        &claim("name: a, namespace: green", "gold"),
        &claim("name: a, namespace: other", "fast"),
        "persistentvolumeclaims {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: green}, spec: {}}",
        "persistentvolumeclaims {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: green}}",
    ]), @r#"
    {"metadata":{"name":"a","namespace":"green"},"spec":{"storageClassName":"plain"}}
    {"metadata":{"name":"a","namespace":"green"},"spec":{"storageClassName":"gold"}}
    {"metadata":{"name":"a","namespace":"other"},"spec":{"storageClassName":"fast"}}
    {"metadata":{"name":"a","namespace":"green"},"spec":{}}
    {"metadata":{"name":"a","namespace":"green"}}
    "#);
}

#[test]
fn a_container_is_put_first_and_copied() {
    let rules = include_str!("containers.yaml");
    insta::assert_snapshot!(each(rules, &[
        "deployments {apiVersion: apps/v1, kind: Deployment, metadata: {name: try-a, namespace: blue}, spec: {template: {spec: {containers: [{name: own}]}}}}",
        "deployments {apiVersion: apps/v1, kind: Deployment, metadata: {name: a-try, namespace: blue}, spec: {template: {spec: {containers: [{name: own}]}}}}",
    ]), @r#"
    {"metadata":{"name":"try-a","namespace":"blue"},"spec":{"template":{"spec":{"containers":[{"image":"proxy:1","name":"proxy","ports":[{"containerPort":81}]},{"image":"proxy:1","name":"proxy","ports":[{"containerPort":81}]},{"name":"own"}]}}}}
    {"metadata":{"name":"a-try","namespace":"blue"},"spec":{"template":{"spec":{"containers":[{"name":"own"}]}}}}
    "#);
}

#[test]
fn a_merge_patch_takes_an_annotation_away() {
    let rules = include_str!("merge.yaml");
    insta::assert_snapshot!(each(rules, &[
        "pods {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: blue, annotations: {note: x, bar: z}}}",
        "pods {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: green, annotations: {note: x, bar: z}}}",
        "pods {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: blue, annotations: {bar: z}}}",
    ]), @r#"
    {"metadata":{"annotations":{"bar":"z"},"name":"a","namespace":"blue"}}
    {"metadata":{"annotations":{"bar":"z","note":"x"},"name":"a","namespace":"green"}}
    {"metadata":{"annotations":{"bar":"z"},"name":"a","namespace":"blue"}}
    "#);
}

#[test]
fn a_strategic_patch_of_a_list_is_refused_and_what_the_error_says_does_the_same() {
    let rules = |patches: &str| {
        let conditions = "groupResource: pods, resourceNameRegex: ^web$, namespaces: [blue]";
        file(&[rule(conditions, patches)])
    };
    let strategic = r#"strategicPatches: [{patchData: '{"spec": {"containers": [{"name": "app", "image": "new/app"}]}}'}]"#;
    insta::assert_snapshot!(refused(&rules(strategic)), @"
    rules.yaml:4:34: resourceModifierRules[0].strategicPatches[0].patchData: rule 1: merges the list at /spec/containers, which only strategic merge patches can
      help: write `patches` with the place in the list, such as {operation: replace, path: /spec/containers/0/image, value: ...}, or `mergePatches` with the whole list
    ");
    let instead = "patches: [{operation: replace, path: /spec/containers/0/image, value: new/app}]";
    insta::assert_snapshot!(restored(&rules(instead),
        "pods {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: blue}, spec: {containers: [{name: app, image: old/app}]}}"
    ), @r#"{"metadata":{"name":"web","namespace":"blue"},"spec":{"containers":[{"image":"new/app","name":"app"}]}}"#);
}

#[test]
fn a_strategic_patch_without_lists_is_a_merge_patch() {
    let rules = file(&[rule(
        "groupResource: deployments.apps",
        "strategicPatches: [{patchData: 'metadata: {labels: {a: null}}\n\nspec: {template: {metadata: {labels: {b: c}}}}'}]",
    )]);
    insta::assert_snapshot!(restored(&rules,
        "deployments {apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: b, labels: {a: x, d: z}}, spec: {template: {metadata: {labels: {e: f}}}}}"
    ), @r#"{"metadata":{"labels":{"d":"z"},"name":"a","namespace":"b"},"spec":{"template":{"metadata":{"labels":{"b":"c","e":"f"}}}}}"#);
    for directive in [
        "$patch: delete",
        "spec: {$retainKeys: {}}",
        "spec: {'$setElementOrder/containers': {}}",
        "'$deleteFromPrimitiveList/x': {}",
    ] {
        let rules = file(&[rule(
            "groupResource: pods",
            &format!("strategicPatches: [{{patchData: \"{directive}\"}}]"),
        )]);
        assert!(refused(&rules).contains("has the directive /"), "{}", refused(&rules));
    }
}

#[test]
fn matches_are_conditions_for_every_form_of_patches() {
    let rules = |resource: &str| {
        format!(
            r#"
version: v1
resourceModifierRules:
- conditions:
    groupResource: {resource}
    matches:
    - path: "/spec/storageClassName"
      value: "fast"
  mergePatches:
  - patchData: |
      {{
        "metadata": {{
          "annotations": {{
            "note": null
          }}
        }}
      }}
"#
        )
    };
    // The documentation has a name here under which Velero finds nothing.
    insta::assert_snapshot!(refused(&rules("persistentvolumeclaims.storage.k8s.io")), @"
    rules.yaml:5:20: resourceModifierRules[0].conditions.groupResource: Velero finds nothing under `persistentvolumeclaims.storage.k8s.io`: `persistentvolumeclaims` are of the core group
      help: write `persistentvolumeclaims`
    ");
    insta::assert_snapshot!(each(&rules("persistentvolumeclaims"), &[
        &claim("name: a, namespace: b, annotations: {note: x, bar: z}", "fast"),
        &claim("name: a, namespace: b, annotations: {note: x, bar: z}", "gold"),
        "persistentvolumeclaims {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: b, annotations: {note: x, bar: z}}}",
    ]), @r#"
    {"metadata":{"annotations":{"bar":"z"},"name":"a","namespace":"b"},"spec":{"storageClassName":"fast"}}
    {"metadata":{"annotations":{"bar":"z","note":"x"},"name":"a","namespace":"b"},"spec":{"storageClassName":"gold"}}
    {"metadata":{"annotations":{"bar":"z","note":"x"},"name":"a","namespace":"b"}}
    "#);
}

#[test]
fn a_wildcard_reaches_a_group_in_these_namespaces_and_its_cluster_scoped_objects() {
    let rules = |resource: &str| {
        file(&[rule(
            &format!("groupResource: '{resource}', namespaces: [shop]"),
            "mergePatches: [{patchData: 'metadata: {labels: {a: c}}'}]",
        )])
    };
    let objects = [
        "deployments {apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: shop}}",
        "deployments {apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: other}}",
        "configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}",
        "namespaces {apiVersion: v1, kind: Namespace, metadata: {name: shop}}",
        "storageclasses {apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: a}}",
    ];
    let table = |resource: &str| {
        let rules = rules(resource);
        let done = objects.iter().filter(|object| restored(&rules, object).contains(r#""labels":{"a":"c"}"#));
        format!(
            "{resource}: {}",
            done.map(|object| object.split_once(' ').unwrap().0).collect::<Vec<_>>().join(" ")
        )
    };
    insta::assert_snapshot!(["*.apps", "*", "*.*", "*.storage.k8s.io", "**"].map(table).join("\n"), @"
    *.apps: deployments
    *: configmaps
    *.*: deployments
    *.storage.k8s.io: storageclasses
    **: deployments configmaps storageclasses
    ");
    assert_eq!(converted(&rules("*.*")).notes.len(), 1);
}

#[test]
fn conditions_look_at_the_object_as_it_was_and_tests_at_what_became_of_it() {
    let swap = |from: &str, to: &str| {
        rule(
            &format!(
                "groupResource: persistentvolumeclaims, matches: [{{path: /spec/storageClassName, value: {from}}}]"
            ),
            &format!("patches: [{{operation: replace, path: /spec/storageClassName, value: {to}}}]"),
        )
    };
    let rules = file(&[swap("gold", "silver"), swap("silver", "gold")]);
    assert!(restored(&rules, &claim("name: a, namespace: b", "gold")).contains(r#""silver""#));
    assert!(restored(&rules, &claim("name: a, namespace: b", "silver")).contains(r#""gold""#));
    let tested = |from: &str, to: &str| {
        let test = format!("{{operation: test, path: /spec/storageClassName, value: {from}}}");
        let replace = format!("{{operation: replace, path: /spec/storageClassName, value: {to}}}");
        rule("groupResource: persistentvolumeclaims", &format!("patches: [{test}, {replace}]"))
    };
    let rules = file(&[tested("gold", "silver"), tested("silver", "iron")]);
    assert!(restored(&rules, &claim("name: a, namespace: b", "gold")).contains(r#""iron""#));
}

#[test]
fn null_is_also_the_value_of_what_is_not_there() {
    let test = "{operation: test, path: /spec/storageClassName, value: 'null'}";
    let add = "{operation: add, path: /spec/storageClassName, value: new}";
    let rules = file(&[rule("groupResource: persistentvolumeclaims", &format!("patches: [{test}, {add}]"))]);
    assert!(restored(&rules, &claim("name: a, namespace: b", "old")).contains("old"));
    let without = "persistentvolumeclaims {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: b}, spec: {}}";
    assert!(restored(&rules, without).contains("new"));
    let remove = "{operation: remove, path: /spec/storageClassName}";
    let later = file(&[rule(
        "groupResource: persistentvolumeclaims",
        &format!("patches: [{remove}, {test}, {add}]"),
    )]);
    insta::assert_snapshot!(refused(&later), @"
    rules.yaml:4:119: resourceModifierRules[0].patches[1].value: cannot ask whether /spec/storageClassName is null after /spec/storageClassName was changed
      help: ask in `matches` of the conditions, which see the object as it was
    ");
}

#[test]
fn several_merge_patches_become_transforms_in_their_order() {
    let rules = file(&[
        rule("groupResource: namespaces", "mergePatches: [{patchData: 'metadata: {labels: {a: b}}'}]"),
        rule(
            "groupResource: configmaps",
            "mergePatches: [{patchData: 'data: {a: x, b: x}'}, {patchData: 'data: {b: z}'}]",
        ),
        rule("groupResource: 'deployments.*'", "mergePatches: [{patchData: 'spec: {replicas: 1.0}'}]"),
    ]);
    let Converted { transforms, notes } = converted(&rules);
    let names: Vec<&str> = transforms.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["rule-2-configmaps-1", "rule-2-configmaps-2", "rule-3"]);
    assert_eq!(transforms[2].merge, Some(serde_json::json!({"spec": {"replicas": 1}})));
    assert_eq!(notes, ["rule 1 is left out: Velero modifies no namespaces, and a transform does"]);
    let sent =
        restored(&rules, "configmaps {apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: s}}");
    assert!(sent.starts_with(r#"{"data":{"a":"x","b":"z"}"#), "{sent}");
}

/// Every mistake that a file can have, and `wrong.txt`: how they are told.
const EXAMPLE: &str = include_str!("../../../../examples/migration/velero-modifiers.yaml");

#[test]
fn the_example_becomes_what_the_page_about_restores_says() {
    let tree = serde_json::json!({"transforms": converted(EXAMPLE).transforms});
    let page = include_str!("../../../../docs/restore.md");
    let (_, rules) = EXAMPLE.split_once('\n').unwrap();
    for block in [rules, &yaml::emit(&tree).unwrap()] {
        assert!(page.contains(&format!("```yaml\n{block}```\n")), "docs/restore.md should have:\n{block}");
    }
}

#[test]
fn no_text_ends_the_program() {
    let seeds = [TEMPLATE, WRONG];
    for (seed, at) in seeds.iter().flat_map(|seed| (0..seed.len()).step_by(5).map(move |at| (seed, at))) {
        for put in ["\"", "{", "- "] {
            let _ = convert("x", &format!("{}{put}{}", &seed[..at], &seed[(at + 3).min(seed.len())..]));
        }
    }
}

#[test]
fn a_condition_that_is_too_long_is_refused() {
    let names: Vec<String> = (0..900).map(|n| format!("shop-{n}")).collect();
    let rules = file(&[rule(
        &format!("groupResource: pods, namespaces: [{}]", names.join(", ")),
        "mergePatches: [{patchData: 'a: b'}]",
    )]);
    assert!(refused(&rules).contains("a CEL expression may have 4096 characters"), "{}", refused(&rules));
}

#[test]
fn the_value_of_an_object_is_in_no_error() {
    let rules = file(&[rule(
        "groupResource: secrets",
        "patches: [{operation: add, path: /data/deep/er, value: hunter2}]",
    )]);
    let sent = restored(
        &rules,
        "secrets {apiVersion: v1, kind: Secret, metadata: {name: one, namespace: s}, data: {a: aHVudGVyMg==}}",
    );
    assert_eq!(
        sent,
        "fails: cannot carry out transform \"rule-1-secrets\": operation 1 at /data/deep/er does not fit"
    );
}
