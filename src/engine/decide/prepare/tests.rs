//! What a restore sends of an object, rule by rule. The cases are data: `rules/*.yaml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::domain::catalog::{CatalogSpec, RuleSpec};
use crate::domain::object::{Gvk, Resource};
use crate::domain::rules::{Catalog, FILES};
use crate::engine::clean::sanitize::{MirrorForm, mirror_view};
use crate::engine::decide::init::Inits;
use crate::engine::saved::manifests;
use crate::engine::yaml;

/// One object as it was saved, and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    /// What it shows, as a sentence.
    claim: String,
    /// Who knows that this is right.
    source: String,
    /// Rules that make it so: without each of them something else comes out.
    #[serde(default)]
    rules: Vec<String>,
    /// Rules whose condition spares the object: without the condition something else comes out.
    #[serde(default)]
    spares: Vec<String>,
    #[serde(default)]
    to: To,
    /// Plural name, where the English one is wrong.
    plural: Option<String>,
    before: Json,
    /// What is sent; or `left`.
    after: Option<Json>,
    /// Why it is left out.
    left: Option<String>,
    #[serde(default)]
    notes: Vec<String>,
    /// Absent, here and below: not asked.
    merges_into_existing: Option<bool>,
    even_if_owned: Option<bool>,
    never_recreated: Option<String>,
    /// What a mirror shows: an object, `same` as is sent, or why it shows nothing.
    mirror: Option<Json>,
}

/// Where the object goes. Home, if nothing is said.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct To {
    #[serde(default)]
    other_cluster: bool,
    owners: Option<Owners>,
    #[serde(default)]
    namespaces: BTreeMap<String, String>,
    #[serde(default)]
    storage_classes: BTreeMap<String, String>,
    #[serde(default)]
    images: BTreeMap<String, String>,
    /// Volumes that come back or are there, with `namespace/name` of the claim they are kept for, or nothing.
    #[serde(default)]
    volumes: BTreeMap<String, String>,
}

/// Everything the rules decide about an object, as far as its case asks.
#[derive(Debug, PartialEq)]
struct Outcome {
    sent: Result<Json, String>,
    notes: Vec<String>,
    merges_into_existing: Option<bool>,
    even_if_owned: Option<bool>,
    never_recreated: Option<String>,
    mirror: Option<Json>,
}

fn resource(object: &Manifest, plural: Option<&String>) -> Resource {
    let guess = manifests::guess(object.gvk(), object.namespace().is_some());
    Resource { plural: plural.cloned().unwrap_or(guess.plural.clone()), ..guess }
}

impl To {
    fn volumes(&self) -> BTreeMap<String, Volume> {
        let claim = |text: &str| text.split_once('/').map(|(ns, name)| (ns.to_owned(), name.to_owned()));
        let volume = |text: &String| Volume { claim: claim(text), released_from: None };
        self.volumes.iter().map(|(name, text)| (name.clone(), volume(text))).collect()
    }

    fn mapping(&self) -> Mapping {
        Mapping {
            namespaces: self.namespaces.clone(),
            storage_classes: self.storage_classes.clone(),
            images: self.images.clone(),
        }
    }
}

impl Case {
    fn expected(&self) -> Outcome {
        let sent = match (&self.after, &self.left) {
            (Some(after), None) => Ok(after.clone()),
            (None, Some(reason)) => Err(reason.clone()),
            _ => panic!("{}: exactly one of `after` and `left`", self.claim),
        };
        let same = |mirror: &Json| match (mirror, &sent) {
            (Json::String(text), Ok(after)) if text == "same" => after.clone(),
            (Json::String(text), Err(reason)) if text == "same" => json!(reason),
            _ => mirror.clone(),
        };
        Outcome {
            mirror: self.mirror.as_ref().map(same),
            sent,
            notes: self.notes.clone(),
            merges_into_existing: self.merges_into_existing,
            even_if_owned: self.even_if_owned,
            never_recreated: self.never_recreated.clone(),
        }
    }

    fn outcome(&self, catalog: &Catalog) -> Outcome {
        let object = Manifest::parse(self.before.clone());
        let object = object.unwrap_or_else(|error| panic!("{}: {error}", self.claim));
        let resource = resource(&object, self.plural.as_ref());
        let rules = catalog.kind(&resource);
        let labels = object.labels().into_iter().flatten();
        let labels = labels.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
        let controller = object.controller();
        let outline = Manifest::outline(&resource.gvk, &object.key(), &labels, controller.as_ref());
        let mirror = self.mirror.as_ref().map(|_| match mirror_view(object.clone(), &rules) {
            MirrorForm::Manifest(manifest) => manifest.into_json(),
            MirrorForm::Out(reason) => json!(reason),
        });
        let (mapping, volumes) = (self.to.mapping(), self.to.volumes());
        let cluster = if self.to.other_cluster { Cluster::Other } else { Cluster::Same };
        let owners = self.to.owners;
        let to = Destination {
            cluster,
            owners,
            mapping: &mapping,
            transforms: &[],
            volumes: &volumes,
            inits: &Inits::default(),
        };
        let mut outcome = Outcome {
            sent: Err(String::new()),
            notes: Vec::new(),
            merges_into_existing: None,
            even_if_owned: self.even_if_owned.map(|_| rules.even_if_owned(&outline)),
            never_recreated: None,
            mirror,
        };
        match prepare(object, &rules, &to) {
            Err(error) => outcome.sent = Err(error.to_string()),
            Ok(Preparation::Leave(reason)) => outcome.sent = Err(reason),
            Ok(Preparation::Send(prepared)) => {
                outcome.notes = prepared.notes().to_vec();
                outcome.merges_into_existing =
                    self.merges_into_existing.map(|_| prepared.merges_into_existing());
                let never = prepared.never_recreated().unwrap_or_default().to_owned();
                outcome.never_recreated = self.never_recreated.as_ref().map(|_| never);
                outcome.sent = Ok(prepared.into_manifest().into_json());
            }
        }
        outcome
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/decide/prepare/rules");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let tree = yaml::parse(&fs::read_to_string(&file).unwrap()).unwrap();
        let read: Result<Vec<Case>, _> = serde_json::from_value(tree);
        all.extend(read.unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
    all
}

fn built_in() -> Vec<RuleSpec> {
    let specs = FILES.iter().flat_map(|(_, text)| {
        let file: Json = serde_saphyr::from_str(text).unwrap();
        serde_json::from_value::<CatalogSpec>(file["spec"].clone()).unwrap().rules
    });
    specs.collect()
}

/// The built-in catalog with another rule in the place of one.
fn catalog_with(rule: RuleSpec) -> Catalog {
    let spec = CatalogSpec { rules: vec![rule], ..CatalogSpec::default() };
    Catalog::with(&BTreeMap::from([("test".to_owned(), spec)])).unwrap()
}

#[test]
fn every_case_comes_out_as_it_says() {
    let catalog = Catalog::builtin();
    let mut wrong = Vec::new();
    for case in cases() {
        let (expected, found) = (case.expected(), case.outcome(&catalog));
        if expected != found {
            wrong.push(format!("{}:\n  expected {expected:?}\n  found    {found:?}", case.claim));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_rule_about_restores_is_named_by_a_case() {
    let named: BTreeSet<String> = cases().into_iter().flat_map(|case| case.rules).collect();
    let all = built_in();
    let about = all.iter().filter(|rule| rule.restore.is_some() || rule.never.is_some());
    let without: Vec<&String> = about.map(|rule| &rule.name).filter(|name| !named.contains(*name)).collect();
    assert!(without.is_empty(), "no case in src/engine/decide/prepare/rules names {without:?}");
    let known: BTreeSet<&String> = all.iter().map(|rule| &rule.name).collect();
    let unknown: Vec<&String> = named.iter().filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "no rule in policies/catalog has the name {unknown:?}");
}

#[test]
fn no_case_comes_out_right_without_its_rules() {
    let mut idle = Vec::new();
    for case in cases() {
        let expected = case.expected();
        assert!(!case.rules.is_empty() || !case.spares.is_empty(), "{}: it proves no rule", case.claim);
        for name in &case.rules {
            let gone: RuleSpec = serde_json::from_value(json!({"name": name, "kinds": ["nothing"]})).unwrap();
            if case.outcome(&catalog_with(gone)) == expected {
                idle.push(format!("{}: the same without rule {name}", case.claim));
            }
        }
    }
    assert!(idle.is_empty(), "{}", idle.join("\n"));
}

#[test]
fn no_case_is_spared_by_chance() {
    let all = built_in();
    let mut idle = Vec::new();
    for case in cases() {
        for name in &case.spares {
            let rule = all.iter().find(|rule| rule.name == *name).unwrap_or_else(|| panic!("no rule {name}"));
            assert!(rule.when.is_some(), "{}: rule {name} spares nothing, it has no `when`", case.claim);
            if case.outcome(&catalog_with(RuleSpec { when: None, ..rule.clone() })) == case.expected() {
                idle.push(format!("{}: the same without the condition of rule {name}", case.claim));
            }
        }
    }
    assert!(idle.is_empty(), "{}", idle.join("\n"));
}

#[test]
fn every_case_says_where_its_knowledge_comes_from() {
    let cases = cases();
    let mut claims = BTreeSet::new();
    for case in &cases {
        assert!(case.source.len() > 10, "{}: which source?", case.claim);
        assert!(claims.insert(&case.claim), "two cases claim that {}", case.claim);
    }
    assert!(cases.len() >= 100);
}

const CONFIG: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: shop, uid: u, resourceVersion: '1', generation: 2, managedFields: [{manager: kubectl, operation: Apply}]}
data: {a: b}
";

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
        inits: &Inits::default(),
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
            inits: &Inits::default(),
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
    let sent = |owners, to: &str| {
        let object = Manifest::parse(yaml::parse(MARKED).unwrap()).unwrap();
        let mut mapping = Mapping::default();
        if to == "copy" {
            mapping.namespaces.insert("shop".to_owned(), "copy".to_owned());
        }
        let cluster = if to == "other cluster" { Cluster::Other } else { Cluster::Same };
        let volumes = BTreeMap::new();
        let to = Destination {
            cluster,
            owners,
            mapping: &mapping,
            transforms: &[],
            volumes: &volumes,
            inits: &Inits::default(),
        };
        match prepare(object.clone(), &Catalog::builtin().kind(&resource(&object, None)), &to).unwrap() {
            Preparation::Send(sent) => sent.into_manifest().at("/metadata").cloned().unwrap(),
            Preparation::Leave(reason) => panic!("{reason}"),
        }
    };
    let has = |metadata: &Json, of: &str| metadata.to_string().contains(of);
    for to in ["home", "other cluster", "copy"] {
        for owners in [None, Some(Owners::Pause)] {
            assert_eq!(has(&sent(owners, to), "fluxcd"), to == "home", "{to}");
            assert_eq!(has(&sent(owners, to), "tracking-id"), to == "home", "{to}");
            assert!(has(&sent(owners, to), "helm.sh/release-name"), "{to}");
        }
        let (kept, stripped) = (sent(Some(Owners::Keep), to), sent(Some(Owners::Strip), to));
        for mark in ["fluxcd", "tracking-id", "release-name", "managed-by"] {
            assert!(has(&kept, mark) && !has(&stripped, mark), "{to} {mark}");
        }
        assert!(has(&stripped, "sync-wave"), "what a person wants stays");
    }
}

#[test]
fn an_owner_that_was_saved_while_it_was_paused_comes_back_as_it_was_before() {
    let text = "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: apps, namespace: \
        flux-system, annotations: {backstay.dev/paused: '{\"restore\":\"request shop\"}'}}, spec: {path: ./apps, suspend: true}}";
    let object = Manifest::parse(yaml::parse(text).unwrap()).unwrap();
    let (mapping, volumes) = (Mapping::default(), BTreeMap::new());
    let to = Destination {
        inits: &Inits::default(),
        cluster: Cluster::Same,
        owners: None,
        mapping: &mapping,
        transforms: &[],
        volumes: &volumes,
    };
    let sent = prepare(object.clone(), &Catalog::builtin().kind(&resource(&object, None)), &to).unwrap();
    let Preparation::Send(sent) = sent else { panic!("left out") };
    assert_eq!(sent.manifest().at("/spec"), Some(&json!({"path": "./apps"})));
    assert_eq!(sent.manifest().annotations(), None);
}
