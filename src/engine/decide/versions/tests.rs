//! How objects become others of another version. The cases are data: `cases/*.yaml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::*;
use crate::domain::catalog::CatalogSpec;
use crate::domain::rules::{Catalog, FILES};
use crate::engine::saved::manifests;
use crate::engine::yaml;

/// One object in the version it was saved in, and in the one it is sent in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    claim: String,
    source: String,
    before: Json,
    after: Json,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/decide/versions/cases");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file| yaml::parse(&fs::read_to_string(file).unwrap()).unwrap();
    files.into_iter().flat_map(|file| serde_json::from_value::<Vec<Case>>(read(file)).unwrap()).collect()
}

impl Case {
    fn to(&self) -> &str {
        self.after["apiVersion"].as_str().unwrap()
    }

    fn way(&self) -> (Manifest, Recast) {
        let object = Manifest::parse(self.before.clone()).unwrap();
        let saved = manifests::guess(object.gvk(), object.namespace().is_some());
        let catalog = Catalog::builtin();
        let ways = catalog.kind(&saved).ways(&object.gvk().api_version());
        let way = ways.into_iter().find(|way| way.to == self.to());
        let way = way.unwrap_or_else(|| panic!("{}: no way to {}", self.claim, self.to())).clone();
        let resource = Resource { gvk: Gvk::new(self.to(), object.kind()), ..saved.clone() };
        let offer = Offer { resource, way: Some(way), definition: None };
        let recast = Recast::new(saved, &offer);
        (object, recast)
    }
}

#[test]
fn every_case_comes_out_as_it_says() {
    let mut wrong = Vec::new();
    for case in cases() {
        assert!(case.source.len() > 10, "{}: which source?", case.claim);
        let (object, recast) = case.way();
        let found = recast.change(object).unwrap().into_json();
        if found != case.after {
            wrong.push(format!("{}:\n  expected {}\n  found    {found}", case.claim, case.after));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_step_of_a_way_is_idle() {
    let mut needed: BTreeSet<(String, String, &str)> = BTreeSet::new();
    let mut named = BTreeSet::new();
    for case in cases() {
        let (object, recast) = case.way();
        let way = recast.way.clone().unwrap();
        for step in ["rename", "rewrite", "drop", "defaults"] {
            let mut less = way.clone();
            let there = match step {
                "rename" => !std::mem::take(&mut less.rename).is_empty(),
                "rewrite" => !std::mem::take(&mut less.rewrite).is_empty(),
                "drop" => !std::mem::take(&mut less.drop).is_empty(),
                _ => !std::mem::take(&mut less.defaults).is_empty(),
            };
            let id = (format!("{} {}", object.kind(), way.from.join(" ")), way.to.clone(), step);
            let without = Recast { way: Some(less), ..recast.clone() };
            let same = without.change(object.clone()).unwrap().into_json() == case.after;
            if there && !same {
                needed.insert(id.clone());
            }
            if there {
                named.insert(id);
            }
        }
    }
    let idle: Vec<_> = named.difference(&needed).collect();
    assert!(idle.is_empty(), "no case needs {idle:?}");
}

#[test]
fn every_way_that_changes_fields_is_taken_by_a_case() {
    let taken: BTreeSet<(String, Vec<String>)> =
        cases().iter().map(|case| case.way().1.way.unwrap()).map(|way| (way.to, way.from)).collect();
    let mut untaken = Vec::new();
    for (_, text) in FILES {
        let file: Json = serde_saphyr::from_str(text).unwrap();
        let spec: CatalogSpec = serde_json::from_value(file["spec"].clone()).unwrap();
        for rule in spec.rules {
            for way in rule.versions {
                let plain = way.rename.is_empty()
                    && way.rewrite.is_empty()
                    && way.drop.is_empty()
                    && way.defaults.is_empty();
                if !plain && !taken.contains(&(way.to.clone(), way.from.clone())) {
                    untaken.push(format!("{}: {:?} to {}", rule.name, way.from, way.to));
                }
            }
        }
    }
    assert!(untaken.is_empty(), "no case takes {untaken:?}");
}

#[test]
fn where_only_the_version_changes_nothing_else_does() {
    let text = "{apiVersion: shop.example.org/v1, kind: Widget, metadata: {name: w}, spec: {unknown: 9007199254740993}}";
    let object = Manifest::parse(yaml::parse(text).unwrap()).unwrap();
    let saved = manifests::guess(object.gvk(), false);
    let offer = Offer {
        resource: Resource { gvk: Gvk::new("shop.example.org/v2", "Widget"), ..saved.clone() },
        way: None,
        definition: None,
    };
    let recast = Recast::new(saved, &offer);
    assert_eq!(recast.note(), "saved as shop.example.org/v1, sent as shop.example.org/v2");
    assert_eq!(
        recast.change(object).unwrap().into_json().to_string(),
        r#"{"apiVersion":"shop.example.org/v2","kind":"Widget","metadata":{"name":"w"},"spec":{"unknown":9007199254740993}}"#
    );
}

#[test]
fn a_version_that_both_clusters_know_comes_first_then_the_newest_stable_one() {
    let offers = |texts: &[&str]| -> Vec<Offer> {
        let offer = |text: &&str| Offer {
            resource: manifests::guess(Gvk::new(text, "Widget"), true),
            way: None,
            definition: None,
        };
        texts.iter().map(offer).collect()
    };
    let saved = Gvk::new("b.c/v1beta1", "Widget");
    let pick = |there: &[&str], texts: &[&str]| {
        let there: Vec<String> = there.iter().map(|v| (*v).to_owned()).collect();
        best(&saved, &there, &offers(texts)).map(|offer| offer.resource.gvk.api_version())
    };
    assert_eq!(pick(&["v1", "v1beta1"], &["b.c/v2", "b.c/v1"]).as_deref(), Some("b.c/v1"));
    assert_eq!(
        pick(&["v1beta1"], &["b.c/v1", "b.c/v10", "b.c/v2", "b.c/v11beta1"]).as_deref(),
        Some("b.c/v10")
    );
    assert_eq!(pick(&["v1beta1"], &["b.c/v1alpha1", "b.c/v1beta2"]).as_deref(), Some("b.c/v1beta2"));
    assert_eq!(pick(&["v1"], &["other/v1", "b.c/v2alpha1"]).as_deref(), Some("other/v1"));
    assert_eq!(pick(&["v1"], &[]), None);
}
