use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use tempfile::TempDir;
use zeroize::Zeroizing;

use super::super::access::Text;
use super::super::repositories::{Repositories, init_bare};
use super::*;
use crate::ports::git::contract::{self, commit};
use crate::ports::git::{Git, Pushed, Reference, Remote};

fn env(name: &str) -> String {
    let name = format!("BACKSTAY_E2E_{name}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn over_http() -> Credentials {
    let password = Some(Zeroizing::new(env("GIT_PASSWORD")));
    Credentials { username: Some(env("GIT_USER")), password, ..Credentials::default() }
}

fn over_ssh() -> Credentials {
    Credentials {
        ssh_key: Some(Text::File(env("GIT_SSH_KEY").into())),
        known_hosts: Some(Text::File(env("GIT_SSH_KNOWN_HOSTS").into())),
        ..Credentials::default()
    }
}

/// A repository of its own on the real servers, and a cache.
struct Home {
    served: TempDir,
    cache: TempDir,
}

impl Home {
    fn new() -> Self {
        let served = TempDir::with_prefix_in("contract-", env("GIT_DIR")).unwrap();
        fs::set_permissions(served.path(), fs::Permissions::from_mode(0o755)).unwrap();
        init_bare(served.path()).unwrap();
        Self { served, cache: TempDir::new().unwrap() }
    }

    fn git(&self, credentials: Credentials) -> Repositories {
        Repositories::new(self.cache.path().join("git"), credentials)
    }

    fn remote(&self, base: &str) -> Remote {
        let name = self.served.path().file_name().unwrap().to_str().unwrap();
        remote(&format!("{base}/{name}"))
    }
}

fn remote(url: &str) -> Remote {
    Remote { url: url.to_owned(), reference: Reference::BranchOrEmpty("main".into()), ca_cert: None }
}

async fn refusal(git: &dyn Git, remote: &Remote) -> String {
    match git.open(remote).await {
        Ok(tree) => panic!("it opened at {:?}", tree.commit_id()),
        Err(error @ Error::Denied { .. }) => format!("denied: {error}"),
        Err(error @ Error::Unreachable { .. }) => format!("unreachable: {error}"),
        Err(error) => format!("{error:?}"),
    }
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn http_keeps_the_contract() {
    let home = Home::new();
    contract::holds(&home.git(over_http()), &home.remote(&env("GIT_HTTP_URL"))).await;
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn https_with_its_own_authority_keeps_the_contract() {
    let home = Home::new();
    let remote = Remote { ca_cert: Some(env("GIT_CA")), ..home.remote(&env("GIT_HTTPS_URL")) };
    contract::holds(&home.git(over_http()), &remote).await;
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn ssh_keeps_the_contract() {
    let home = Home::new();
    contract::holds(&home.git(over_ssh()), &home.remote(&env("GIT_SSH_URL"))).await;
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn another_authority_than_the_given_one_is_refused() {
    let home = Home::new();
    let url = env("GIT_HTTPS_URL");
    let text = refusal(&home.git(over_http()), &home.remote(&url)).await;
    assert_says(&text, &["denied", "certificate", "caCert"]);
    let file = home.cache.path().join("other.pem");
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ed25519",
            "-nodes",
            "-subj",
            "/CN=other",
            "-keyout",
            "/dev/null",
            "-out",
        ])
        .arg(&file)
        .output();
    assert!(made.unwrap().status.success());
    let remote = Remote { ca_cert: Some(file.display().to_string()), ..home.remote(&url) };
    let text = refusal(&home.git(over_http()), &remote).await;
    assert_says(&text, &["denied", "other.pem", "another authority has signed it"]);
    let remote = Remote { ca_cert: Some("/nowhere.pem".into()), ..home.remote(&url) };
    assert_says(&refusal(&home.git(over_http()), &remote).await, &["denied", "cannot read", "/nowhere.pem"]);
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn wrong_passwords_keys_and_host_keys_are_denied() {
    let home = Home::new();
    let wrong = Credentials { password: Some(secret("geheim")), ..over_http() };
    let text = refusal(&home.git(wrong), &home.remote(&env("GIT_HTTP_URL"))).await;
    assert_says(&text, &["denied", "user or password is wrong"]);
    assert!(!text.contains("geheim"));

    let ssh = home.remote(&env("GIT_SSH_URL"));
    let file = home.cache.path().join("known_hosts");
    fs::write(&file, "").unwrap();
    let known_hosts = || Some(Text::File(file.clone()));
    let text = refusal(&home.git(Credentials { known_hosts: known_hosts(), ..over_ssh() }), &ssh).await;
    assert_says(&text, &["denied", "known_hosts does not know", "ssh-keyscan -p"]);

    let key = home.cache.path().join("key");
    let arguments = ["-q", "-t", "ed25519", "-N", "pass", "-f"];
    let made = std::process::Command::new("ssh-keygen").args(arguments).arg(&key).output();
    assert!(made.unwrap().status.success());
    let known = fs::read_to_string(env("GIT_SSH_KNOWN_HOSTS")).unwrap();
    let host = known.split(' ').next().unwrap();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    fs::write(&file, format!("{host} {public}")).unwrap();
    let text = refusal(&home.git(Credentials { known_hosts: known_hosts(), ..over_ssh() }), &ssh).await;
    assert_says(&text, &["denied", "is another than in"]);

    for (passphrase, reason) in
        [(None, "under a passphrase"), (Some(secret("other")), ""), (Some(secret("pass")), "this SSH key")]
    {
        let credentials = Credentials { ssh_key: Some(Text::File(key.clone())), passphrase, ..over_ssh() };
        let text = refusal(&home.git(credentials), &ssh).await;
        assert_says(&text, &["denied", reason]);
    }
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn a_key_under_a_passphrase_opens_a_server() {
    let home = Home::new();
    let key = home.cache.path().join("key");
    fs::copy(env("GIT_SSH_KEY"), &key).unwrap();
    let made =
        std::process::Command::new("ssh-keygen").args(["-q", "-p", "-N", "pass", "-f"]).arg(&key).output();
    assert!(made.unwrap().status.success());
    let text = Zeroizing::new(fs::read_to_string(&key).unwrap());
    let credentials =
        Credentials { ssh_key: Some(Text::Given(text)), passphrase: Some(secret("pass")), ..over_ssh() };
    let tree = home.git(credentials).open(&home.remote(&env("GIT_SSH_URL"))).await.unwrap();
    assert_eq!(tree.commit_id(), None);
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn what_is_not_there_is_unreachable() {
    let home = Home::new();
    let text = refusal(&home.git(over_http()), &remote(&format!("{}/nothing", env("GIT_HTTP_URL")))).await;
    assert_says(&text, &["unreachable", "no such repository"]);
    let text = refusal(&home.git(over_ssh()), &remote(&format!("{}/nothing", env("GIT_SSH_URL")))).await;
    assert_says(&text, &["unreachable", "does not appear to be a git repository"]);
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn a_hook_that_says_no_is_quoted() {
    let home = Home::new();
    let hook = home.served.path().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho 'no backups on sundays' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let (http, ssh) = (home.git(over_http()), home.git(over_ssh()));
    let urls = [env("GIT_HTTP_URL"), env("GIT_SSH_URL"), env("GIT_DIR")];
    for (git, url) in [&http, &ssh, &http].into_iter().zip(urls) {
        let tree = git.open(&home.remote(&url)).await.unwrap();
        let id = commit(&*tree, &[("a", "a")], "refused");
        let error = tree.push(&id).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Rejected { .. }), "{text}");
        let expected =
            if url.starts_with('/') { "only runs over https or ssh" } else { "no backups on sundays" };
        assert_says(&text, &[expected]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the real servers; run by e2e"]
async fn one_cache_serves_many_at_once() {
    let home = Home::new();
    let url = env("GIT_HTTP_URL");
    let racers = (0..4).map(|racer| {
        let (git, remote) = (home.git(over_http()), home.remote(&url));
        tokio::spawn(async move {
            let mut landed = 0;
            while landed < 3 {
                let tree = git.open(&remote).await.unwrap();
                let name = format!("{racer}/{landed}");
                let id = commit(&*tree, &[(name.as_str(), "x")], "one of many");
                landed += usize::from(tree.push(&id).await.unwrap() == Pushed::Landed);
            }
        })
    });
    for racer in racers.collect::<Vec<_>>() {
        racer.await.unwrap();
    }
    let tree = home.git(over_http()).open(&home.remote(&url)).await.unwrap();
    assert_eq!(tree.files("").unwrap().len(), 12);
}

#[tokio::test]
#[ignore = "needs the real servers; run by e2e"]
async fn a_damaged_copy_is_fetched_anew() {
    let home = Home::new();
    let (git, remote) = (home.git(over_http()), home.remote(&env("GIT_HTTP_URL")));
    let tree = git.open(&remote).await.unwrap();
    let id = commit(&*tree, &[("a", "a")], "whole");
    assert_eq!(tree.push(&id).await.unwrap(), Pushed::Landed);
    drop(tree);
    let copies = fs::read_dir(home.cache.path().join("git")).unwrap().map(|e| e.unwrap().path());
    let copy = copies.into_iter().find(|path| path.extension().is_some_and(|e| e == "git")).unwrap();
    fs::write(copy.join("HEAD"), "nonsense").unwrap();
    fs::write(copy.join("config"), "[[[").unwrap();
    assert_eq!(git.open(&remote).await.unwrap().commit_id(), Some(id.as_str()));
}

/// Answers every request the same way; what it was asked comes back at the end.
fn answering(head: &'static str, requests: usize) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        let asked = listener.incoming().take(requests).map(|stream| {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            write!(stream, "HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            String::from_utf8(request).unwrap()
        });
        asked.collect()
    };
    (url, thread::spawn(serve))
}

fn nowhere(folder: &Path, credentials: Credentials) -> Repositories {
    Repositories::new(folder.join("cache"), credentials)
}

#[tokio::test]
async fn a_wrong_password_is_offered_once() {
    let home = TempDir::new().unwrap();
    let (url, asked) = answering("401 No\r\nWWW-Authenticate: Basic realm=\"git\"", 2);
    let credentials =
        Credentials { username: Some("u".into()), password: Some(secret("geheim")), ..Default::default() };
    let text = refusal(&nowhere(home.path(), credentials), &remote(&format!("{url}/a"))).await;
    assert_says(&text, &["denied", "user or password is wrong"]);
    let asked = asked.join().unwrap();
    assert!(!asked[0].contains("Authorization") && asked[1].contains("Authorization: Basic dTpnZWhlaW0="));
}

#[tokio::test]
async fn a_password_in_the_address_is_used_and_never_shown() {
    let home = TempDir::new().unwrap();
    let (url, asked) = answering("401 No\r\nWWW-Authenticate: Basic realm=\"git\"", 2);
    let url = url.replace("http://", "http://u:geheim@");
    let text = refusal(&nowhere(home.path(), Credentials::default()), &remote(&format!("{url}/a"))).await;
    assert!(text.starts_with("denied") && !text.contains("geheim"), "{text}");
    assert!(asked.join().unwrap()[1].contains("Authorization: Basic dTpnZWhlaW0="));
}

#[tokio::test]
async fn a_token_is_sent_as_bearer() {
    let home = TempDir::new().unwrap();
    let (url, asked) = answering("403 No", 1);
    let credentials = Credentials { bearer: Some(secret("t0ken")), ..Default::default() };
    let text = refusal(&nowhere(home.path(), credentials), &remote(&format!("{url}/a"))).await;
    assert!(text.starts_with("denied") && !text.contains("t0ken"), "{text}");
    assert_says(&asked.join().unwrap()[0], &["Authorization: Bearer t0ken"]);
}

#[tokio::test]
async fn another_server_gets_no_password_by_a_redirect() {
    let home = TempDir::new().unwrap();
    let (other, asked) = answering("401 No\r\nWWW-Authenticate: Basic realm=\"git\"", 1);
    let other = other.replace("127.0.0.1", "localhost");
    let head = format!("302 There\r\nLocation: {other}/a/info/refs?service=git-upload-pack");
    let (url, _) = answering(head.leak(), 1);
    let credentials =
        Credentials { username: Some("u".into()), password: Some(secret("geheim")), ..Default::default() };
    let text = refusal(&nowhere(home.path(), credentials), &remote(&format!("{url}/a"))).await;
    assert_says(&text, &["denied", "redirects to another server"]);
    assert!(!asked.join().unwrap()[0].contains("Authorization"));
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let home = TempDir::new().unwrap();
    for url in ["http://127.0.0.1:9/a", "ssh://git@127.0.0.1:9/a", "https://backstay.invalid/a"] {
        let text = refusal(&nowhere(home.path(), Credentials::default()), &remote(url)).await;
        assert_says(&text, &["unreachable", url]);
    }
}
