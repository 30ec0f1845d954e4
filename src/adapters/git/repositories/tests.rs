use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::ports::git::contract::{self, draft};
use crate::ports::git::{Edits, Pushed};

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

fn body(file: usize, revision: usize) -> Vec<u8> {
    let mut lines = vec![format!("kind: Deployment\nname: web-{file}\nreplicas: {revision}")];
    let mut seed = (file as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ revision as u64;
    for line in 0..30 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        lines.push(format!("    key{line}: \"{seed:016x}{:016x}\"", seed.rotate_left(9)));
    }
    lines.join("\n").into_bytes()
}

fn path(file: usize) -> String {
    format!("clusters/prod/namespaces/ns-{}/apps/deployments/web-{file}.yaml", file / 100)
}

#[tokio::test]
#[ignore = "a measurement"]
async fn how_fast_it_is() {
    let home = TempDir::new().unwrap();
    let (git, remote, _) = empty(&home);
    measure(&git, &remote).await;
}

async fn measure(git: &Repositories, remote: &Remote) {
    const FILES: usize = 3600;
    let took = |what: &str, start: std::time::Instant| {
        println!("{what:<24}{:8.1} ms", start.elapsed().as_secs_f64() * 1e3);
        std::time::Instant::now()
    };
    let start = std::time::Instant::now();
    let tree = git.open(remote).await.unwrap();
    let start = took("open empty", start);
    let edits: Edits = (0..FILES).map(|n| (path(n), Some(tree.write(&body(n, 0)).unwrap()))).collect();
    let start = took("write 3600 blobs", start);
    let id = tree.commit(&edits, &draft("first")).unwrap();
    let start = took("commit", start);
    assert_eq!(tree.push(&id).await.unwrap(), Pushed::Landed);
    let start = took("push", start);
    let tree = git.open(remote).await.unwrap();
    let start = took("open", start);
    assert_eq!(tree.files("clusters").unwrap().len(), FILES);
    let start = took("files", start);
    for n in 0..FILES {
        tree.blob_id(&body(n, 0));
    }
    let start = took("3600 ids", start);
    let edits: Edits =
        (0..36).map(|n| (path(n * 100), Some(tree.write(&body(n * 100, 1)).unwrap()))).collect();
    let id = tree.commit(&edits, &draft("second")).unwrap();
    let start = took("commit 36 files", start);
    assert_eq!(tree.push(&id).await.unwrap(), Pushed::Landed);
    let start = took("push", start);
    let tree = git.open(remote).await.unwrap();
    let start = took("open", start);
    for blob in tree.files("").unwrap().values() {
        tree.read(blob).unwrap();
    }
    took("read everything", start);
}
