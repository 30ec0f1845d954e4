use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::engine::policy::built::print;
use crate::engine::policy::repository;

/// What a build of the folder `top` of these files prints, or everything that is wrong.
fn built(files: &BTreeMap<String, Vec<u8>>) -> Result<String, String> {
    let repository = repository::memory(files.clone(), "top").map_err(|error| error.to_string() + "\n")?;
    print(&repository, "top").map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n") + "\n"
    })
}

/// The files of a case: each begins with a line `=== path`.
fn files_of(case: &Path) -> BTreeMap<String, Vec<u8>> {
    let text = fs::read_to_string(case).unwrap();
    let parts = text.split("=== ").filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('\n').unwrap())
        .map(|(path, text)| (path.trim().to_owned(), text.into()))
        .collect()
}

fn cases(prefix: fn(&str) -> bool) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/policy/kustomize/build/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| {
        path.extension().is_some_and(|ending| ending == "files")
            && prefix(&path.file_name().unwrap().to_string_lossy())
    });
    cases.sort();
    cases
}

#[test]
fn what_is_built_is_what_the_real_program_printed() {
    let cases = cases(|name| !name.starts_with("no-"));
    for case in &cases {
        let expected = fs::read_to_string(case.with_extension("yaml")).unwrap();
        let found = built(&files_of(case)).unwrap_or_else(|problems| problems);
        assert_eq!(found, expected, "{}", case.display());
    }
    assert!(cases.len() >= 14);
}

#[test]
fn what_cannot_be_built_is_named_with_its_place() {
    let mut wrong = Vec::new();
    let cases = cases(|name| name.starts_with("no-"));
    for case in &cases {
        let found = built(&files_of(case)).expect_err(&case.display().to_string());
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
    assert!(cases.len() >= 24);
}

fn kustomize(top: &Path) -> (bool, String) {
    let bin = env::var("BACKSTAY_E2E_BIN").unwrap();
    let mut command = Command::new(Path::new(&bin).join("kustomize"));
    let run = command.args(["build", "--load-restrictor", "LoadRestrictionsNone"]).arg(top).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&run.stdout).into_owned())
}

#[test]
#[ignore = "needs the real kustomize; run by e2e"]
fn the_expected_outputs_are_those_of_the_real_program() {
    for case in cases(|name| !name.starts_with("no-")) {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files_of(&case) {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let (fine, printed) = kustomize(&folder.path().join("top"));
        assert!(fine, "{}", case.display());
        if env::var_os("BACKSTAY_UPDATE").is_some() {
            fs::write(case.with_extension("yaml"), &printed).unwrap();
        }
        assert_eq!(printed, fs::read_to_string(case.with_extension("yaml")).unwrap(), "{}", case.display());
    }
}

/// Folders with a kustomization below a folder.
fn overlays(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            overlays(&path, found);
        } else if path.file_name().is_some_and(|name| name == "kustomization.yaml") {
            found.push(folder.to_owned());
        }
    }
}

#[test]
#[ignore = "needs the real kustomize, and repositories of others in BACKSTAY_KUSTOMIZE_CORPUS (folders, `:` between)"]
fn repositories_of_others_are_built_as_by_the_real_program() {
    let Ok(corpus) = env::var("BACKSTAY_KUSTOMIZE_CORPUS") else {
        println!("skipped: BACKSTAY_KUSTOMIZE_CORPUS is not set");
        return;
    };
    let mut same = 0;
    for top in corpus.split(':').map(Path::new) {
        let mut all = Vec::new();
        overlays(top, &mut all);
        for overlay in all {
            let folder = overlay.strip_prefix(top).unwrap().to_string_lossy().into_owned();
            let ours = print(&repository::folder(top, &folder).unwrap(), &folder);
            let (fine, printed) = kustomize(&overlay);
            assert_eq!(fine, ours.is_ok(), "{}: {ours:?}", overlay.display());
            if let Ok(ours) = ours {
                assert_eq!(ours, printed, "{}", overlay.display());
                same += 1;
            }
        }
    }
    assert!(same > 0, "nothing was built");
}

#[test]
fn kustomizations_that_name_each_other_very_often_come_to_an_end() {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for level in 0..30 {
        let next = level + 1;
        let text = format!("components: [../{next}, ../{next}]\nkind: Component\n");
        files.insert(format!("{level}/kustomization.yaml"), text.into_bytes());
    }
    files.insert("30/kustomization.yaml".into(), b"kind: Component\nnamePrefix: a\n".to_vec());
    files.insert("top/kustomization.yaml".into(), b"components: [../0]\n".to_vec());
    assert!(built(&files).unwrap_err().contains("more than 2000 kustomizations"));
}

#[test]
fn ten_thousand_objects_are_built_in_time() {
    let object = |i: usize| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{i}}}\n");
    let documents: String = (0..9_000).map(object).collect();
    let top = b"resources: [a.yaml]\nnamespace: ns\nnamePrefix: p-\ncommonLabels: {a: b}\npatches: [{target: {name: c1.*}, patch: '[{op: add, path: /data, value: {a: b}}]'}]\n";
    let files = BTreeMap::from([
        ("top/kustomization.yaml".to_owned(), top.to_vec()),
        ("top/a.yaml".to_owned(), documents.into_bytes()),
    ]);
    assert_eq!(built(&files).unwrap().matches("  name: p-c").count(), 9_000);
}
