use std::collections::BTreeMap;
use std::fs;

use async_trait::async_trait;

use super::*;
use crate::engine::policy::origin::MAX_FILE;
use crate::ports::git::{self, CommitDraft, Edits, Oid, Pushed};

fn write(top: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn paths(repository: &Repository) -> Vec<&str> {
    repository.files.iter().map(|file| file.path.as_str()).collect()
}

const FILES: [(&str, &str); 9] = [
    ("b.yaml", "b"),
    ("a/one.yml", "1"),
    ("a/skip/two.yaml", "2"),
    ("a/keep.yaml", "k"),
    ("charts/values.yaml", "v"),
    ("README.md", "text"),
    (".github/workflows/ci.yaml", "ci"),
    (".backstayignore", "# not ours\n/charts/\nskip\n*.yml\n"),
    ("a/.backstayignore", "!one.yml\n"),
];

const READ: [&str; 3] = ["a/keep.yaml", "a/one.yml", "b.yaml"];

#[test]
fn a_folder_gives_its_yaml_files_but_hidden_and_ignored_ones() {
    let top = tempfile::tempdir().unwrap();
    write(top.path(), &FILES);
    let read = folder(top.path(), "").unwrap();
    assert_eq!(paths(&read), READ);
    assert_eq!(read.files[1].content, FileContent::Bytes(b"1".to_vec()));
}

#[test]
fn a_single_file_is_a_repository_too() {
    let top = tempfile::tempdir().unwrap();
    write(top.path(), &FILES);
    assert_eq!(paths(&folder(&top.path().join("README.md"), "").unwrap()), ["README.md"]);
    assert!(matches!(folder(&top.path().join("nowhere"), ""), Err(Error::Read { .. })));
}

#[test]
fn a_mounted_config_map_is_read_once() {
    let top = tempfile::tempdir().unwrap();
    write(top.path(), &[("..2026/policy.yaml", "p")]);
    std::os::unix::fs::symlink("..2026", top.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/policy.yaml", top.path().join("policy.yaml")).unwrap();
    std::os::unix::fs::symlink(".", top.path().join("circle.yaml")).unwrap();
    assert_eq!(paths(&folder(top.path(), "").unwrap()), ["policy.yaml"]);
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let top = tempfile::tempdir().unwrap();
    let long = fs::File::create(top.path().join("long.yaml")).unwrap();
    long.set_len(MAX_FILE + 1).unwrap();
    assert_eq!(folder(top.path(), "").unwrap().files[0].content, FileContent::TooLong(MAX_FILE + 1));
}

/// A commit that holds its files in memory.
struct Files(BTreeMap<String, Oid>);

#[async_trait]
impl Tree for Files {
    fn commit_id(&self) -> Option<&str> {
        Some("c0ffee")
    }

    fn signer(&self, _: &[git::Signers], _: jiff::Timestamp) -> Result<String, git::Error> {
        Err(git::Error::Local("unsigned".into()))
    }

    fn files(&self, under: &str) -> Result<BTreeMap<String, Oid>, git::Error> {
        let inside = |path: &str| under.is_empty() || path.starts_with(&format!("{under}/"));
        Ok(self.0.iter().filter(|(path, _)| inside(path)).map(|(p, b)| (p.clone(), b.clone())).collect())
    }

    fn read(&self, blob: &str) -> Result<Vec<u8>, git::Error> {
        Ok(blob.as_bytes().to_vec())
    }

    fn blob_id(&self, _: &[u8]) -> Oid {
        String::new()
    }

    fn write(&self, _: &[u8]) -> Result<Oid, git::Error> {
        Err(git::Error::Local("read only".into()))
    }

    fn commit(&self, _: &Edits, _: &CommitDraft) -> Result<Oid, git::Error> {
        Err(git::Error::Local("read only".into()))
    }

    async fn push(&self, _: &str) -> Result<Pushed, git::Error> {
        Err(git::Error::Local("read only".into()))
    }
}

#[test]
fn a_commit_gives_the_same_files_as_the_folder() {
    let files = |prefix: &str| {
        Files(FILES.iter().map(|(path, text)| (format!("{prefix}{path}"), (*text).to_owned())).collect())
    };
    let top = commit(&files(""), "", "https://git.example.org/policy").unwrap();
    assert_eq!((paths(&top), top.revision.as_deref()), (READ.to_vec(), Some("c0ffee")));
    let inside = commit(&files("clusters/prod/"), "clusters/prod", "x").unwrap();
    assert_eq!(paths(&inside), READ.map(|path| format!("clusters/prod/{path}")));
}

const OVERLAYS: [(&str, &str); 9] = [
    (".backstayignore", "base\n"),
    ("base/kustomization.yaml", "resources: [a.yaml]\n"),
    ("base/a.yaml", "a"),
    ("base/not-named.yaml", "n"),
    (
        "clusters/prod/kustomization.yml",
        "resources: [../../base, ../../missing]\npatches: [{path: .hidden.yaml}]\nconfigMapGenerator: [{name: c, envs: [c.env], files: [k=c.txt]}]\n",
    ),
    ("clusters/prod/.hidden.yaml", "h"),
    ("clusters/prod/c.env", "e"),
    ("clusters/prod/c.txt", "t"),
    ("clusters/prod/d.txt", "not named"),
];

const NAMED: [&str; 6] = [
    "base/a.yaml",
    "base/kustomization.yaml",
    "clusters/prod/.hidden.yaml",
    "clusters/prod/c.env",
    "clusters/prod/c.txt",
    "clusters/prod/kustomization.yml",
];

#[test]
fn an_overlay_gives_what_it_names_also_from_elsewhere_and_from_ignored_folders() {
    let top = tempfile::tempdir().unwrap();
    write(top.path(), &OVERLAYS);
    for under in ["", "clusters", "clusters/prod", "./clusters/prod/"] {
        let read = folder(top.path(), under).unwrap();
        assert_eq!(paths(&read), NAMED, "{under}");
        assert_eq!(read.overlays[0].folder, "clusters/prod");
        assert!(read.files.iter().all(|file| file.part == Role::Named));
    }
    let blobs = OVERLAYS.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    assert_eq!(paths(&commit(&Files(blobs.collect()), "clusters/prod", "x").unwrap()), NAMED);
}

#[test]
fn a_path_that_is_not_there_or_leads_out_is_an_error() {
    let top = tempfile::tempdir().unwrap();
    write(top.path(), &OVERLAYS);
    for under in ["nowhere", "..", "/etc", "base/a.yaml/x"] {
        assert!(matches!(folder(top.path(), under), Err(Error::Missing { .. })), "{under}");
    }
    assert_eq!(paths(&folder(top.path(), "base/not-named.yaml").unwrap()), ["base/not-named.yaml"]);
}

#[test]
fn a_link_out_of_the_repository_is_not_followed() {
    let (top, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(outside.path(), &[("secret.yaml", "s"), ("kustomization.yaml", "resources: [secret.yaml]")]);
    write(top.path(), &[("kustomization.yaml", "resources: [link.yaml]")]);
    std::os::unix::fs::symlink(outside.path().join("secret.yaml"), top.path().join("link.yaml")).unwrap();
    assert!(matches!(folder(top.path(), ""), Err(Error::Outside { .. })));
    write(top.path(), &[("kustomization.yaml", "resources: [base]")]);
    std::os::unix::fs::symlink(outside.path(), top.path().join("base")).unwrap();
    assert!(matches!(folder(top.path(), ""), Err(Error::Outside { .. })));
}
