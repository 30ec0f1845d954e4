use std::path::{Path, PathBuf};
use std::{env, fs};

use super::*;
use crate::domain::object::Manifest;
use crate::engine::policy::repository;
use crate::engine::policy::repository::{FileContent, MAX_FILE, SourceFile};
use crate::engine::seal::sops;
use crate::engine::yaml;

const BASE: &str = include_str!("base.yaml");

fn files_of(files: &[(&str, &[u8])]) -> Repository {
    let file = |(path, bytes): &(&str, &[u8])| SourceFile {
        path: (*path).to_owned(),
        content: FileContent::Bytes(bytes.to_vec()),
    };
    Repository { place: "test".into(), files: files.iter().map(file).collect(), revision: None }
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
        ("with/Kustomization", b"resources: []"),
        ("with/kustomization.yaml", b"resources: []"),
    ]), @"
    binary.yaml:2:3: the file is no text
    latin1.yaml:1:10: the file is not in UTF-8
    utf16.yaml:1:1: the file is no text
    with/Kustomization: kustomize overlays are not read yet
      help: write plain documents, or keep this folder out with .backstayignore
    with/kustomization.yaml: kustomize overlays are not read yet
      help: write plain documents, or keep this folder out with .backstayignore
    ");
}

#[test]
fn a_file_that_is_too_long_is_named_with_the_limit() {
    let mut files = files_of(&[]);
    files.files.push(SourceFile { path: "dump.yaml".into(), content: FileContent::TooLong(MAX_FILE + 1) });
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

/// An example with its placeholders filled in; the documents of the demo name locations that `init` writes.
fn example(name: &str) -> Repository {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files = repository::folder(&top.join(name)).unwrap();
    if name == "demo" {
        files.files.extend(repository::folder(&top.join("init")).unwrap().files);
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

#[test]
fn every_example_is_a_policy_repository_without_mistakes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(["production", "quickstart", "radix"].iter().all(|name| names.contains(&(*name).to_owned())));
    for name in names {
        let loaded = load(&example(&name), &Identities::default());
        assert!(loaded.is_ok(), "examples/{name}:\n{}", loaded.unwrap_err());
    }
}

#[test]
fn the_three_stories_have_a_fixup_each() {
    let set = load(&example("radix"), &Identities::default()).unwrap().set;
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
