//! Every example and overlay of ours: loaded, backed up and planned on the cluster of the demo.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::app::demo_cluster;
use crate::app::settings::{Keys, Settings};
use crate::domain::policy::PolicySpec;
use crate::engine::archive::owner::Name;
use crate::engine::backup::flow::{Occasion, plan_backup};
use crate::engine::policy::load::load;
use crate::engine::policy::origin::FileContent;
use crate::engine::policy::repository::{self as source, Repository};
use crate::engine::reach::Silent;
use crate::engine::seal::age::{Identities, generate};
use crate::engine::yaml;
use crate::work::backup::{carry_out, order};
use crate::work::doors::reach;
use crate::work::stop::Stop;

/// An example with its placeholders filled in; the documents of the demo name locations that `init` writes.
fn example(name: &str) -> Repository {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files = source::folder(&top.join(name), "").unwrap();
    if name == "demo" {
        files.files.extend(source::folder(&top.join("init"), "").unwrap().files);
    }
    for file in &mut files.files {
        let FileContent::Bytes(bytes) = &mut file.content else { panic!("{} is too long", file.path) };
        let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let text = String::from_utf8(bytes.clone()).unwrap().replace("${RECIPIENT}", recipient);
        *bytes =
            text.replace("${ARCHIVE}", "/tmp/archive").replace("${MIRROR}", "/tmp/mirror.git").into_bytes();
    }
    files
}

fn folders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Folders with a kustomization that is no component, seen from a folder.
fn overlays(top: &Path, inside: &str) -> Vec<String> {
    let folder = top.join(inside);
    let inner = folders(&folder).into_iter();
    let mut found: Vec<String> =
        inner.flat_map(|name| overlays(top, format!("{inside}/{name}").trim_start_matches('/'))).collect();
    let text = fs::read_to_string(folder.join("kustomization.yaml")).unwrap_or_default();
    if !text.is_empty() && !text.contains("kind: Component") {
        found.push(inside.to_owned());
    }
    found.sort();
    found
}

/// Every example and overlay that a policy repository may be, by name.
fn all() -> Vec<(String, PolicySet)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = root.join("examples");
    let mut found = Vec::new();
    for name in folders(&examples) {
        if overlays(&examples.join(&name), "").is_empty() {
            found.push((format!("examples/{name}"), example(&name)));
        }
    }
    let several = folders(&examples).into_iter().map(|name| format!("examples/{name}"));
    for top in several.chain(["policies".to_owned()]) {
        for under in overlays(&root.join(&top), "") {
            let files = source::folder(&root.join(&top), &under).unwrap();
            found.push((format!("{top}/{under}"), files));
        }
    }
    let load = |(name, files): (String, Repository)| {
        let loaded = load(&files, &Identities::default());
        let set = loaded.unwrap_or_else(|invalid| panic!("{name}:\n{invalid}")).set;
        (name, set)
    };
    found.into_iter().map(load).collect()
}

#[test]
fn every_overlay_is_what_its_name_says() {
    let mut lines = Vec::new();
    for (name, set) in
        all().into_iter().filter(|(name, _)| name.matches('/').count() > 1 || name == "policies/base")
    {
        for (policy, spec) in &set.policies {
            let archive = set.locations[&spec.locations[0]].archive.as_ref();
            let schedule = spec.schedule.as_ref().map(ToString::to_string);
            let url = archive.map(|archive| archive.url.as_str()).unwrap();
            lines.push(format!("{name}: {policy} {schedule:?} {url} {}", spec.hooks.len()));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    examples/fleet/base: everything Some("0 2 * * *") s3://BUCKET/clusters 0
    examples/fleet/clusters/dev: everything Some("0 2 * * *") s3://example-backups-dev/clusters 0
    examples/fleet/clusters/prod: everything Some("@hourly") s3://example-backups-prod/clusters 2
    examples/fleet/clusters/staging: everything Some("0 2 * * *") s3://example-backups-staging/clusters 2
    examples/flux/base: everything Some("0 2 * * *") s3://example-backups/clusters 0
    examples/flux/base: shops Some("@hourly") s3://example-backups/clusters 0
    examples/flux/clusters/prod: everything Some("30 3 * * *") s3://example-backups/clusters 0
    examples/flux/clusters/prod: shops Some("@hourly") s3://example-backups/clusters 0
    policies/base: daily Some("0 2 * * *") s3://example-backups/base 0
    policies/base: shops Some("@hourly") s3://example-backups/base 1
    policies/overlays/dev: daily Some("0 2 * * *") s3://example-backups-dev/clusters 0
    policies/overlays/prod: daily Some("30 3 * * *") s3://example-backups-prod/clusters 0
    policies/overlays/prod: shops Some("@hourly") s3://example-backups-prod/clusters 1
    "#);
}

#[test]
fn the_example_for_flux_applies_one_of_its_own_overlays() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flux");
    let documents = yaml::parse_all(&fs::read_to_string(top.join("flux.yaml")).unwrap()).unwrap();
    let path = documents.iter().find_map(|one| one["spec"]["path"].as_str()).unwrap();
    let overlays = overlays(&top, "");
    assert!(overlays.contains(&path.trim_start_matches("./").to_owned()), "{path} is none of {overlays:?}");
}

/// The same documents with every location a folder here that one identity opens.
fn here(set: &mut PolicySet, folder: &Path, recipient: &str) {
    for (name, location) in &mut set.locations {
        let url = format!("file://{}", folder.join("archives").join(name).display());
        *location =
            serde_json::from_value(json!({"archive": {"url": url}, "recipients": [recipient]})).unwrap();
    }
    for request in set.restores.values_mut().filter(|request| request.from.commit.is_some()) {
        request.from.commit = None;
        request.from.snapshot = Some("latest".into());
    }
}

async fn demo(folder: &TempDir) -> (App, String) {
    let identity = folder.path().join("key.txt");
    let settings = Settings {
        policy_repo: String::new(),
        has_policy_repo: true,
        policy_ref: None,
        policy_path: None,
        cluster_name: Some("production".into()),
        kubeconfig: None,
        context: None,
        namespace: "backstay".into(),
        identities: vec![identity.clone()],
        cache: folder.path().join("cache"),
        state: folder.path().join("state"),
        keys: Keys::Folder,
        allowed_signers: None,
        variables: std::collections::BTreeMap::new(),
    };
    let app = demo_cluster::filled(settings).await.unwrap();
    let pair = generate(app.clock.now());
    fs::write(identity, &pair.file).unwrap();
    (app, pair.recipient)
}

/// A snapshot of the whole cluster at every location; then what each policy and each request comes to.
async fn planned(name: &str, mut set: PolicySet) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (app, recipient) = demo(&folder).await;
    here(&mut set, folder.path(), &recipient);
    let reader = app.cluster().await.unwrap().reader.clone();
    let mut lines = Vec::new();
    for policy in &set.policies {
        let order = order(&app, &set, (policy.0, policy.1), Occasion::default()).await.unwrap();
        let plan = plan_backup(&order, reader.as_ref()).await.unwrap();
        let maps = plan.kinds().iter().find(|kind| kind.resource.gvk.kind == "ConfigMap").unwrap();
        let inside =
            maps.namespaces.as_ref().map_or("everywhere".into(), |names| format!("in {}", names.join(" ")));
        lines.push(format!("{name}: policy {} lists {} kinds {inside}", policy.0, plan.kinds().len()));
    }
    for location in set.locations.keys() {
        let whole: PolicySpec = serde_json::from_value(json!({"locations": [location]})).unwrap();
        let occasion = Occasion { due: None, name: Name::Respect };
        let report = carry_out(&app, &set, ("whole", &whole), (occasion, &Stop::never())).await.unwrap();
        assert_eq!(report.outcome, crate::domain::report::Outcome::Complete, "{name}: {location}");
    }
    let reach = reach(&app, &Silent).await.unwrap();
    for request in set.restores.keys() {
        let wanted = Wanted::request(&set, request).unwrap();
        let said = match prepare(&app, (&set, &wanted), None, &reach).await {
            Ok(job) => format!(
                "{} waves, {} fixups, {} left out",
                job.plan.waves.len(),
                wanted.spec.fixups.len(),
                job.plan.left_out.len()
            ),
            // The cluster of the demo has no such applications.
            Err(failure) if failure.to_string().contains("is selected") => "nothing of it is here".into(),
            Err(failure) => panic!("{name}: {request}: {failure}"),
        };
        lines.push(format!("{name}: restore {request}: {said}"));
    }
    lines
}

#[tokio::test]
async fn every_example_can_be_backed_up_and_planned() {
    let mut lines = Vec::new();
    for (name, set) in all() {
        lines.extend(Box::pin(planned(&name, set)).await);
    }
    insta::assert_snapshot!(lines.join("\n"), @"
    examples/demo: policy everything lists 45 kinds everywhere
    examples/demo: restore everything: 11 waves, 0 fixups, 4 left out
    examples/demo: restore mend: 11 waves, 2 fixups, 4 left out
    examples/gitops: restore shop-as-it-was: 11 waves, 1 fixups, 4 left out
    examples/gitops: restore shop-copy: 10 waves, 0 fixups, 4 left out
    examples/hardened: policy shop lists 45 kinds in shop
    examples/hardened: restore shop-again: 11 waves, 0 fixups, 4 left out
    examples/init: policy everything lists 45 kinds everywhere
    examples/init: restore everything: 11 waves, 0 fixups, 4 left out
    examples/migration: restore move-the-shop: 11 waves, 0 fixups, 4 left out
    examples/production: policy everything lists 45 kinds everywhere
    examples/production: policy platform lists 45 kinds in cert-manager flux-system monitoring
    examples/production: policy shop lists 45 kinds everywhere
    examples/production: restore look-at-yesterday: 10 waves, 0 fixups, 4 left out
    examples/production: restore new-machines: 11 waves, 0 fixups, 4 left out
    examples/quickstart: policy everything lists 45 kinds everywhere
    examples/quickstart: restore shop: 11 waves, 2 fixups, 4 left out
    examples/radix: restore applications: 11 waves, 1 fixups, 4 left out
    examples/radix: restore monitoring: nothing of it is here
    examples/radix: restore names: nothing of it is here
    examples/rebuild: policy everything lists 45 kinds everywhere
    examples/rebuild: restore everything: 11 waves, 1 fixups, 4 left out
    examples/fleet/base: policy everything lists 45 kinds everywhere
    examples/fleet/clusters/dev: policy everything lists 45 kinds everywhere
    examples/fleet/clusters/prod: policy everything lists 45 kinds everywhere
    examples/fleet/clusters/staging: policy everything lists 45 kinds everywhere
    examples/flux/base: policy everything lists 45 kinds everywhere
    examples/flux/base: policy shops lists 45 kinds everywhere
    examples/flux/clusters/prod: policy everything lists 45 kinds everywhere
    examples/flux/clusters/prod: policy shops lists 45 kinds everywhere
    policies/base: policy daily lists 45 kinds everywhere
    policies/base: policy shops lists 45 kinds everywhere
    policies/overlays/dev: policy daily lists 45 kinds everywhere
    policies/overlays/prod: policy daily lists 45 kinds everywhere
    policies/overlays/prod: policy shops lists 45 kinds everywhere
    ");
}
