use std::path::{Path, PathBuf};
use std::{env, fs};

use super::*;
use crate::domain::object::Manifest;
use crate::engine::policy::origin::{FileContent, MAX_FILE};
use crate::engine::policy::repository;
use crate::engine::policy::repository::{Role, SourceFile};
use crate::engine::seal::sops;
use crate::engine::yaml;

const BASE: &str = include_str!("base.yaml");

fn files_of(files: &[(&str, &[u8])]) -> Repository {
    files_under(files, "")
}

fn files_under(files: &[(&str, &[u8])], under: &str) -> Repository {
    let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()));
    repository::memory(files.collect(), under).unwrap()
}

/// Everything that is wrong with these files beside the base, as `validate` prints it.
fn problems(files: &[(&str, &[u8])]) -> String {
    let mut all = vec![("base.yaml", BASE.as_bytes())];
    all.extend_from_slice(files);
    load(&files_of(&all), &Identities::default())
        .map_or_else(|invalid| invalid.to_string(), |_| "fine".into())
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/policy/load/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    cases.sort();
    cases
}

#[test]
fn every_mistake_is_named_with_its_place_and_what_to_do() {
    let mut wrong = Vec::new();
    for case in cases() {
        let found = problems(&[("case.yaml", &fs::read(&case).unwrap())]) + "\n";
        let expected = case.with_extension("txt");
        if env::var_os("BACKSTAY_UPDATE").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{}:\n{found}", case.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "not what the .txt files say (BACKSTAY_UPDATE=1 rewrites):\n{}",
        wrong.join("\n")
    );
    assert!(cases().len() >= 40);
}

#[test]
fn a_repository_without_mistakes_becomes_a_policy_set() {
    let mut files = files_of(&[("base.yaml", BASE.as_bytes()), ("empty.yaml", b"# nothing\n")]);
    files.revision = Some("abc".into());
    let loaded = load(&files, &Identities::default()).unwrap();
    let names: Vec<&str> = loaded.set.locations.keys().map(String::as_str).collect();
    assert_eq!((names, loaded.set.hooks.len(), loaded.files), (vec!["archive", "mirror"], 1, 2));
    assert_eq!(loaded.notes, ["empty.yaml: there is no document in it"]);
    assert_eq!(loaded.set.revision.as_deref(), Some("abc"));
}

#[test]
fn documents_of_others_are_left_alone_and_counted() {
    let text = b"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\n[a list]\n---\na: text\n---\nkind: BackupStorageLocation\napiVersion: velero.io/v1\n";
    let loaded = load(&files_of(&[("a/values.yml", text)]), &Identities::default()).unwrap();
    assert_eq!(loaded.notes, ["a/values.yml: 4 documents are not for Backstay"]);
}

#[test]
fn what_is_no_yaml_file_is_refused() {
    insta::assert_snapshot!(problems(&[
        ("binary.yaml", b"a: b\n\0\x01\xff\xfe"),
        ("latin1.yaml", "name: caf\u{e9}".as_bytes().split_last().unwrap().1),
        ("utf16.yaml", b"\xff\xfea\0:\0 \0b\0"),
    ]), @"
    binary.yaml:2:3: the file is no text
    latin1.yaml:1:10: the file is not in UTF-8
    utf16.yaml:1:1: the file is no text
    ");
}

#[test]
fn a_file_that_is_too_long_is_named_with_the_limit() {
    let mut files = files_of(&[]);
    files.files.push(SourceFile {
        path: "dump.yaml".into(),
        content: FileContent::TooLong(MAX_FILE + 1),
        part: Role::Plain,
    });
    insta::assert_snapshot!(load(&files, &Identities::default()).unwrap_err(), @"
    dump.yaml: the file has 9 MiB; the limit is 8 MiB
      help: split it, or name it in .backstayignore
    ");
}

fn identities() -> (Identities, Recipients) {
    let key = age::x25519::Identity::generate();
    let text = age::secrecy::ExposeSecret::expose_secret(&key.to_string()).to_owned();
    let mut identities = Identities::default();
    identities.add("test", &text).unwrap();
    (identities, Recipients::parse(&[key.to_public().to_string()]).unwrap())
}

fn encrypted(text: &str, fields: &[&str], to: &Recipients) -> String {
    let fields = sops::Fields::new(fields.iter().map(|f| (*f).to_owned()));
    let tree =
        sops::encrypt(yaml::parse(text).unwrap(), &fields, to, "2026-11-21T00:00:00Z".parse().unwrap());
    yaml::emit(&tree.unwrap()).unwrap()
}

const HOOK: &str = "apiVersion: backstay.dev/v1alpha1\nkind: HookTemplate\nmetadata: {name: call}\nspec:\n  hook:\n    when: PreBackup\n    scope: Run\n    http: {url: \"https://hunter2@example.org\"}\n";

#[test]
fn an_encrypted_document_is_opened_with_an_identity() {
    let (identities, recipients) = identities();
    let text = encrypted(HOOK, &["http"], &recipients);
    assert!(!text.contains("hunter2"));
    let loaded = load(&files_of(&[("hook.yaml", text.as_bytes())]), &identities).unwrap();
    assert_eq!(loaded.set.hooks["call"].hook.http.as_ref().unwrap().url, "https://hunter2@example.org");
}

#[test]
fn documents_encrypted_one_by_one_may_stand_in_one_file() {
    let (identities, recipients) = identities();
    let other = HOOK.replace("name: call", "name: other");
    let text = encrypted(HOOK, &["http"], &recipients) + "---\n" + &encrypted(&other, &["http"], &recipients);
    let loaded = load(&files_of(&[("hook.yaml", text.as_bytes())]), &identities).unwrap();
    assert_eq!(loaded.set.hooks.len(), 2);
    let invalid = load(&files_of(&[("hook.yaml", text.as_bytes())]), &Identities::default()).unwrap_err();
    assert_eq!(invalid.problems.len(), 2);
}

#[test]
fn a_foreign_secret_stays_closed_and_needs_no_identity() {
    let (_, recipients) = identities();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n";
    let text = encrypted(secret, &["stringData"], &recipients);
    assert!(load(&files_of(&[("secret.yaml", text.as_bytes())]), &Identities::default()).is_ok());
}

#[test]
fn no_message_repeats_what_was_encrypted() {
    let (identities, recipients) = identities();
    let text = encrypted(
        &HOOK.replace("https://", "gopher://").replace("Run", "Sometimes"),
        &["http", "scope"],
        &recipients,
    );
    let invalid = load(&files_of(&[("hook.yaml", text.as_bytes())]), &identities).unwrap_err().to_string();
    assert!(invalid.contains("spec.hook.scope") && invalid.contains("***"), "{invalid}");
    assert!(!invalid.contains("hunter2") && !invalid.contains("Sometimes"), "{invalid}");
}

#[test]
fn the_order_of_files_changes_nothing() {
    let policy = b"apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: p}\nspec: {locations: [archive]}\n";
    let one =
        load(&files_of(&[("a.yaml", policy), ("b.yaml", BASE.as_bytes())]), &Identities::default()).unwrap();
    let two =
        load(&files_of(&[("a.yaml", BASE.as_bytes()), ("b.yaml", policy)]), &Identities::default()).unwrap();
    assert_eq!(one.set, two.set);
    let manifest = Manifest::parse(yaml::parse(HOOK).unwrap()).unwrap();
    assert_eq!(manifest.name(), "call");
}

const LOCATION: &str = "apiVersion: backstay.dev/v1alpha1\nkind: BackupLocation\nmetadata: {name: archive}\nspec:\n  archive: {url: file:///x}\n  recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\n";

/// What `validate` says of an overlay `prod` on a base with one location.
fn overlay_problems(files: &[(&str, &str)]) -> String {
    let mut all =
        vec![("base/location.yaml", LOCATION), ("base/kustomization.yaml", "resources: [location.yaml]\n")];
    all.extend_from_slice(files);
    let all: Vec<(&str, &[u8])> = all.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    load(&files_under(&all, "prod"), &Identities::default())
        .map_or_else(|invalid| invalid.to_string(), |loaded| format!("fine\n{}", loaded.notes.join("\n")))
}

#[test]
fn an_error_of_an_overlay_stands_where_somebody_wrote_it() {
    let patches = "resources: [../base, policy.yaml]\npatches:\n- path: patch.yaml\n- patch: |-\n    kind: BackupPolicy\n    metadata: {name: any}\n    spec:\n      retention:\n        keepLst: 3\n  target: {kind: BackupPolicy}\n- target: {kind: BackupPolicy}\n  patch: |-\n    - op: add\n      path: /spec/timeZone\n      value: Europe/Atlantis\n";
    let policy = "apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata:\n  name: daily\nspec:\n  locations: [archve]\n";
    let patch = "apiVersion: backstay.dev/v1alpha1\nkind: BackupLocation\nmetadata: {name: archive}\nspec:\n  accessMode: Sometimes\n";
    insta::assert_snapshot!(overlay_problems(&[
        ("prod/kustomization.yaml", patches),
        ("prod/policy.yaml", policy),
        ("prod/patch.yaml", patch),
    ]), @r#"
    prod/kustomization.yaml:9:9: spec.retention.keepLst: there is no field `keepLst`
      help: did you mean `keepLast`?
    prod/kustomization.yaml:15:14: spec.timeZone: "Europe/Atlantis" is not an IANA time zone
      help: did you mean `Europe/Athens`?
    prod/patch.yaml:5:15: spec.accessMode: "Sometimes" is none of ReadWrite, ReadOnly
    prod/policy.yaml:6:15: spec.locations[0]: there is no BackupLocation `archve`
      help: did you mean `archive`?
    "#);
}

#[test]
fn only_what_an_overlay_names_is_read() {
    insta::assert_snapshot!(overlay_problems(&[
        ("prod/kustomization.yaml", "resources: [../base]\nconfigMapGenerator: [{name: c, files: [note.txt]}]\n"),
        ("prod/note.txt", "text"),
        ("prod/broken.yaml", "a: [\n"),
        ("elsewhere/broken.yaml", "a: [\n"),
    ]), @"
    fine
    prod: 1 document is not for Backstay
    ");
}

#[test]
fn a_private_key_in_a_file_that_is_named_is_refused_too() {
    let key = "AGE-SECRET-KEY-1QQQ\n";
    let names = "resources: [../base]\nsecretGenerator: [{name: c, files: [key.txt]}]\n";
    insta::assert_snapshot!(overlay_problems(&[("prod/kustomization.yaml", names), ("prod/key.txt", key)]), @"
    prod/key.txt:1:1: an age secret key stands here in the clear
      help: take it out, and replace the key: the history of the repository keeps it
    ");
}

#[test]
fn overlays_that_share_files_are_not_read_together() {
    let overlay: &[u8] = b"resources: [../base]\n";
    let files: [(&str, &[u8]); 5] = [
        ("base/kustomization.yaml", b"resources: [location.yaml]\n"),
        ("base/location.yaml", LOCATION.as_bytes()),
        ("dev/kustomization.yaml", overlay),
        ("prod/kustomization.yaml", overlay),
        ("plain.yaml", b"# nothing\n"),
    ];
    let invalid = load(&files_of(&files), &Identities::default()).unwrap_err();
    insta::assert_snapshot!(invalid, @"
    dev/kustomization.yaml: overlays share files, so only one can be read at a time: dev, prod
      help: choose one with --policy-path, such as `--policy-path dev`
    ");
    let base = load(&files_under(&files, "base"), &Identities::default()).unwrap();
    assert_eq!((base.set.locations.len(), base.files), (1, 2));
}

#[test]
fn a_folder_with_a_kustomization_among_plain_files_is_built_as_one() {
    let policy = b"apiVersion: backstay.dev/v1alpha1\nkind: BackupPolicy\nmetadata: {name: p}\nspec: {locations: [x-archive]}\n";
    let files: [(&str, &[u8]); 4] = [
        ("policy.yaml", policy),
        ("built/kustomization.yaml", b"resources: [location.yaml]\nnamePrefix: x-\n"),
        ("built/location.yaml", LOCATION.as_bytes()),
        ("built/left-alone.yaml", b"a: [\n"),
    ];
    let loaded = load(&files_of(&files), &Identities::default()).unwrap();
    assert_eq!(loaded.set.locations.keys().collect::<Vec<_>>(), ["x-archive"]);
}

#[test]
fn an_encrypted_document_is_opened_before_it_is_patched_and_no_error_repeats_it() {
    let (identities, recipients) = identities();
    let sealed = encrypted(HOOK, &["http"], &recipients);
    let patch = b"resources: [hook.yaml]\npatches:\n- target: {kind: HookTemplate}\n  patch: '[{op: add, path: /spec/hook/timeout, value: 5m}]'\n";
    let files: [(&str, &[u8]); 2] = [("kustomization.yaml", patch), ("hook.yaml", sealed.as_bytes())];
    let set = load(&files_of(&files), &identities).unwrap().set;
    let hook = &set.hooks["call"].hook;
    assert_eq!(hook.http.as_ref().unwrap().url, "https://hunter2@example.org");
    assert!(hook.timeout.is_some());
    let closed = load(&files_of(&files), &Identities::default()).unwrap_err().to_string();
    assert!(closed.contains("hook.yaml:1:1") && closed.contains("encrypted"), "{closed}");
    let wrong = encrypted(&HOOK.replace("https://", "gopher://"), &["http"], &recipients);
    let files: [(&str, &[u8]); 2] = [("kustomization.yaml", patch), ("hook.yaml", wrong.as_bytes())];
    let invalid = load(&files_of(&files), &identities).unwrap_err().to_string();
    assert!(invalid.contains("hook.yaml") && !invalid.contains("hunter2"), "{invalid}");
}

#[test]
fn the_three_stories_have_a_fixup_each() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/radix");
    let set = load(&repository::folder(&folder, "").unwrap(), &Identities::default()).unwrap().set;
    let steps: Vec<String> = set
        .restores
        .iter()
        .flat_map(|(name, spec)| spec.fixups.iter().map(move |f| format!("{name}: {}", f.name)))
        .collect();
    insta::assert_snapshot!(steps.join("\n"), @"
    applications: default-is-a-radix-base-namespace
    monitoring: delete-the-stateful-set
    monitoring: delete-the-claim
    monitoring: wait-for-prometheus
    names: only-one-writes-the-zone
    ");
}

/// The mistakes with bytes cut out, doubled, swapped and put in; the same ones every time.
fn mutations(rounds: u64) -> impl Iterator<Item = Vec<u8>> {
    let seeds: Vec<Vec<u8>> = cases().iter().map(|case| fs::read(case).unwrap()).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    let marks: [&[u8]; 12] =
        [b"\n", b": ", b"- ", b"&a ", b"*a ", b"{", b"[", b"\"", b"|\n", b"\t", b"\xff", b"!!int "];
    (0..rounds).map(move |_| {
        let mut bytes = seeds[draw(seeds.len())].clone();
        for _ in 0..=draw(4) {
            let (at, length) = (draw(bytes.len()), draw(40));
            let end = (at + length).min(bytes.len());
            match draw(4) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.extend_from_within(at..end),
                2 => bytes[at..end].reverse(),
                _ => drop(bytes.splice(at..at, marks[draw(marks.len())].iter().copied())),
            }
        }
        bytes
    })
}

#[test]
fn no_bytes_end_the_program() {
    let rounds = env::var("BACKSTAY_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    for bytes in mutations(rounds) {
        let found = problems(&[("case.yaml", &bytes)]);
        assert!(!found.is_empty());
    }
}
