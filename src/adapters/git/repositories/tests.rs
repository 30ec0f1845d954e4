use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::ports::git::contract::{self, commit, draft};
use crate::ports::git::{CommitDraft, Edits, Pushed};

fn remote(url: &str) -> Remote {
    Remote { url: url.to_owned(), reference: Reference::BranchOrEmpty("main".into()), ca_cert: None }
}

fn empty(home: &TempDir) -> (Repositories, Remote, PathBuf) {
    let folder = home.path().join("deep/mirror.git");
    init_bare(&folder).unwrap();
    let git = Repositories::new(home.path().join("cache"), Credentials::default());
    (git, remote(&format!("file://{}", folder.display())), folder)
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let home = TempDir::new().unwrap();
    let (git, remote, folder) = empty(&home);
    contract::holds(&git, &remote).await;
    self::git(&folder, &["fsck", "--strict"]);
}

async fn opened(git: &Repositories, remote: &Remote) -> Box<dyn git::Tree> {
    git.open(remote).await.unwrap()
}

#[tokio::test]
async fn everything_foreign_keeps_its_bytes_and_modes() {
    let home = TempDir::new().unwrap();
    let (git, remote, folder) = empty(&home);
    let empty_tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let blob = self::git(&folder, &["hash-object", "-w", "/etc/hostname"]);
    let listing = format!(
        "100755 blob {0}\trun.sh\n100664 blob {0}\told\n120000 blob {0}\tlink\n160000 commit {1}\tmodule\n\
         040000 tree {empty_tree}\tbare\n100644 blob {0}\tb.yaml\n",
        blob.trim(),
        "1".repeat(40),
    );
    self::git(&folder, &["hash-object", "-w", "-t", "tree", "/dev/null"]);
    let list = home.path().join("list");
    std::fs::write(&list, &listing).unwrap();
    let script = format!("git mktree --missing < {}", list.display());
    let script =
        format!("{script} | xargs git commit-tree -m foreign | xargs git update-ref refs/heads/main");
    let who = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
    let who = who.map(|name| (name, "a"));
    let made = Command::new("sh").args(["-c", &script]).current_dir(&folder).envs(who).output();
    assert!(made.unwrap().status.success());
    let before = self::git(&folder, &["ls-tree", "main"]);
    let tree = opened(&git, &remote).await;
    assert_eq!(tree.files("").unwrap().into_keys().collect::<Vec<_>>(), ["b.yaml", "old", "run.sh"]);
    let id = commit(&*tree, &[("clusters/prod/a.yaml", "a")], "ours");
    assert_eq!(tree.push(&id).await.unwrap(), Pushed::Landed);
    let after = self::git(&folder, &["ls-tree", "main"]);
    let foreign = after.lines().filter(|line| !line.ends_with("\tclusters"));
    assert_eq!(foreign.collect::<Vec<_>>(), before.lines().collect::<Vec<_>>());
}

#[tokio::test]
async fn no_edit_replaces_a_foreign_file_by_a_folder_or_a_folder_by_a_file() {
    let home = TempDir::new().unwrap();
    let (git, remote, _) = empty(&home);
    let tree = opened(&git, &remote).await;
    let id = commit(&*tree, &[("file", "f"), ("folder/file", "f")], "foreign");
    tree.push(&id).await.unwrap();
    let tree = opened(&git, &remote).await;
    let blob = tree.write(b"x").unwrap();
    let edited = |paths: &[(&str, bool)]| {
        let edits =
            paths.iter().map(|(path, is_written)| ((*path).to_owned(), is_written.then(|| blob.clone())));
        let edits: Edits = edits.collect();
        tree.commit(&edits, &draft("d")).map_or_else(|error| error.to_string(), |_| "done".into())
    };
    let cases: [&[(&str, bool)]; 9] = [
        &[("file/below", true)],
        &[("folder", true)],
        &[("file", false), ("file/below", true)],
        &[("folder/file", false), ("folder", true)],
        &[("file/below", false), ("folder", false)],
        &[("a//b", true)],
        &[("../up", true)],
        &[(".git/config", true)],
        &[("", true)],
    ];
    insta::assert_snapshot!(cases.map(edited).join("\n"), @r#"
    cannot make the commit: `file` is a file in the repository, and a folder is to be written there
    cannot make the commit: `folder` is a folder in the repository, and a file is to be written there
    done
    done
    done
    cannot make the commit: "a//b" is no path of a file
    cannot make the commit: `..` cannot be written: failed to insert entry: invalid name for a tree entry - ..
    cannot make the commit: `.git` cannot be written: failed to insert entry: invalid name for a tree entry - .git
    cannot make the commit: "" is no path of a file
    "#);
}

#[tokio::test]
async fn git_accepts_the_signature_of_every_kind_of_key() {
    let home = TempDir::new().unwrap();
    let (git, remote, folder) = empty(&home);
    for kind in ["ed25519", "ecdsa"] {
        let key = home.path().join(kind);
        let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(&key).output();
        assert!(made.unwrap().status.success());
        let tree = opened(&git, &remote).await;
        let signing_key = Some(key.display().to_string());
        let id =
            tree.commit(&Edits::new(), &CommitDraft { signing_key, ..draft("signed\n\nA: b\n") }).unwrap();
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let allowed = home.path().join("allowed");
        std::fs::write(&allowed, format!("ada@example.com {public}")).unwrap();
        let setting = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
        self::git(&folder, &["-c", &setting, "verify-commit", &id]);
        self::git(&folder, &["fsck", "--strict"]);
    }
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_refused() {
    let home = TempDir::new().unwrap();
    let (git, remote, _) = empty(&home);
    let tree = opened(&git, &remote).await;
    let key = home.path().join("key");
    let refused = |key: &Path| {
        let signing_key = Some(key.display().to_string());
        match tree.commit(&Edits::new(), &CommitDraft { signing_key, ..draft("d") }).unwrap_err() {
            Error::Sign(text) => text,
            error => panic!("{error}"),
        }
    };
    assert!(refused(&key).contains("cannot be read"));
    std::fs::write(&key, "no key").unwrap();
    assert!(refused(&key).contains("is no private key in OpenSSH form"));
    let locked = home.path().join("locked");
    let made =
        Command::new("ssh-keygen").args(["-q", "-N", "pass", "-t", "ed25519", "-f"]).arg(&locked).output();
    assert!(made.unwrap().status.success());
    assert!(refused(&locked).contains("is under a passphrase"));
    let rsa = home.path().join("rsa");
    let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "rsa", "-f"]).arg(&rsa).output();
    assert!(made.unwrap().status.success());
    assert!(refused(&rsa).contains("of kind ssh-rsa, which cannot sign"));
}

#[tokio::test]
async fn a_work_tree_is_read_but_its_checked_out_branch_is_not_moved() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("work");
    let made = Command::new("git").args(["init", "-q", "-b", "main"]).arg(&folder).output();
    assert!(made.unwrap().status.success());
    let git = Repositories::new(home.path().join("cache"), Credentials::default());
    let at = |branch: &str| Remote {
        reference: Reference::BranchOrEmpty(branch.into()),
        ..remote(folder.to_str().unwrap())
    };
    let tree = opened(&git, &at("main")).await;
    let id = commit(&*tree, &[("a", "a")], "first");
    let error = tree.push(&id).await.unwrap_err().to_string();
    assert!(error.contains("is checked out there"), "{error}");
    let tree = opened(&git, &at("mirror")).await;
    assert_eq!(tree.push(&id).await.unwrap(), Pushed::Landed);
    assert_eq!(opened(&git, &at("mirror")).await.files("").unwrap().len(), 1);
}

#[tokio::test]
async fn a_folder_that_is_no_repository_is_unreachable() {
    let home = TempDir::new().unwrap();
    let git = Repositories::new(home.path().join("cache"), Credentials::default());
    for path in [home.path().to_owned(), home.path().join("nothing")] {
        let Err(error) = git.open(&remote(path.to_str().unwrap())).await else { panic!("opened") };
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn tags_lead_to_their_commits() {
    let home = TempDir::new().unwrap();
    let (git, remote, folder) = empty(&home);
    let tree = opened(&git, &remote).await;
    let id = commit(&*tree, &[("a", "a")], "first");
    tree.push(&id).await.unwrap();
    let who = ["-c", "user.name=a", "-c", "user.email=a"];
    self::git(&folder, &[&who[..], &["tag", "-a", "-m", "t", "v1.0", "main"]].concat());
    let remote = Remote { reference: Reference::Any("v1.0".into()), ..remote };
    assert_eq!(opened(&git, &remote).await.commit_id(), Some(id.as_str()));
}

#[tokio::test]
async fn a_name_that_was_pushed_later_does_not_stand_for_a_pinned_commit_or_tag() {
    let home = TempDir::new().unwrap();
    let (git, remote, folder) = empty(&home);
    let tree = opened(&git, &remote).await;
    let good = commit(&*tree, &[("a", "a")], "reviewed");
    tree.push(&good).await.unwrap();
    let tree = opened(&git, &remote).await;
    let evil = commit(&*tree, &[("a", "b")], "not reviewed");
    tree.push(&evil).await.unwrap();
    for [name, at] in [
        ["refs/tags/v1.0", &good],
        ["refs/tags/same", &good],
        ["refs/heads/same", &good],
        ["refs/heads/v1.0", &evil],
        [&format!("refs/heads/{good}"), &evil],
        [&format!("refs/tags/{good}"), &evil],
        [&format!("refs/heads/{}", &good[..9]), &evil],
    ] {
        self::git(&folder, &["update-ref", name, at]);
    }
    let any = |name: &str| Remote { reference: Reference::Any(name.into()), ..remote.clone() };
    for name in [&good, "refs/tags/v1.0", "same"] {
        assert_eq!(opened(&git, &any(name)).await.commit_id(), Some(good.as_str()), "{name}");
    }
    assert_eq!(opened(&git, &any("refs/heads/v1.0")).await.commit_id(), Some(evil.as_str()));
    for (name, said) in [("v1.0", "branch and tag"), (&good[..9], "branch and commit")] {
        let error = git.open(&any(name)).await.err().expect("nobody can know what is meant").to_string();
        assert!(error.contains(said) && error.contains("write refs/heads/"), "{error}");
    }
}

/// A clone whose commits Git signs with a new key, and those who may sign.
struct Signing {
    home: TempDir,
    repositories: Repositories,
    remote: Remote,
    folder: PathBuf,
    allowed: [git::Signers; 1],
}

impl Signing {
    fn new(kind: &[&str]) -> Self {
        let home = TempDir::new().unwrap();
        let (repositories, remote, folder) = empty(&home);
        let key = home.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-N", "", "-t"]).args(kind).arg("-f").arg(&key).output();
        assert!(made.unwrap().status.success());
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let allowed = signers(format!("ada@example.com namespaces=\"git\" {public}"));
        let work = home.path().join("work");
        self::git(home.path(), &["clone", "-q", &folder.display().to_string(), &work.display().to_string()]);
        Self { home, repositories, remote, folder, allowed }
    }

    fn commit(&self, how: &str) {
        let home = self.home.path();
        let run = |arguments: &[&str]| git(&home.join("work"), arguments);
        let key = format!("user.signingKey={}", home.join("key").display());
        let person =
            ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "gpg.format=ssh", "-c", &key];
        run(&[&person[..], &["commit", "-q", "--allow-empty", how, "-m", "one"]].concat());
        run(&["push", "-q", "origin", "HEAD:main"]);
    }

    async fn said(&self, allowed: &[git::Signers]) -> String {
        let now = "2026-11-27T10:00:00Z".parse().unwrap();
        let tree = opened(&self.repositories, &self.remote).await;
        tree.signer(allowed, now).unwrap_or_else(|error| error.to_string())
    }
}

fn signers(text: String) -> [git::Signers; 1] {
    [git::Signers { file: "allowed".into(), text }]
}

#[tokio::test]
async fn a_commit_that_git_signed_is_trusted_and_any_other_is_not() {
    let (ada, eve) = (Signing::new(&["ed25519"]), Signing::new(&["ed25519"]));
    ada.commit("-S");
    assert_eq!(ada.said(&ada.allowed).await, "ada@example.com");
    let stranger = ada.said(&eve.allowed).await;
    assert!(stranger.contains("which is no allowed signer"), "{stranger}");
    ada.commit("--no-gpg-sign");
    let unsigned = ada.said(&ada.allowed).await;
    assert!(unsigned.ends_with("is not to be trusted: it is not signed"), "{unsigned}");
}

#[tokio::test]
async fn a_commit_that_git_signed_with_a_key_of_any_kind_is_trusted() {
    for kind in [&["rsa"][..], &["ecdsa", "-b", "256"], &["ecdsa", "-b", "384"], &["ecdsa", "-b", "521"]] {
        let ada = Signing::new(kind);
        ada.commit("-S");
        assert_eq!(ada.said(&ada.allowed).await, "ada@example.com", "{kind:?}");
    }
}

#[tokio::test]
async fn a_commit_with_more_behind_a_nul_byte_is_not_trusted() {
    let ada = Signing::new(&["ed25519"]);
    ada.commit("-S");
    let repository = git2::Repository::open(&ada.folder).unwrap();
    let head = repository.refname_to_id("refs/heads/main").unwrap();
    let database = repository.odb().unwrap();
    let longer = [database.read(head).unwrap().data(), b"\0more"].concat();
    let longer = database.write(git2::ObjectType::Commit, &longer).unwrap();
    repository.reference("refs/heads/main", longer, true, "").unwrap();
    let said = ada.said(&ada.allowed).await;
    assert!(
        said.ends_with("is not to be trusted: it holds a NUL byte, after which nothing is signed"),
        "{said}"
    );
}
