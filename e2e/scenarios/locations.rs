//! Real servers: S3 with and without TLS, Azure, Git over HTTP and SSH.

use std::process::Command;

use crate::Scenario;
use crate::scenarios::backup::shop;
use crate::support::parts::Need;
use crate::support::program::Run;
use crate::support::sandbox::Sandbox;

pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "an-archive-on-s3", needs: &[Need::Api, Need::S3], run: s3 },
        Scenario {
            name: "an-archive-on-s3-with-its-own-authority",
            needs: &[Need::Api, Need::S3],
            run: s3_tls,
        },
        Scenario { name: "an-archive-on-azure", needs: &[Need::Api, Need::Azure], run: azure },
        Scenario {
            name: "a-mirror-over-http-with-a-password",
            needs: &[Need::Api, Need::Git],
            run: git_http,
        },
        Scenario { name: "a-mirror-over-ssh-with-a-key", needs: &[Need::Api, Need::Git], run: git_ssh },
        Scenario {
            name: "a-policy-repository-over-http-and-ssh",
            needs: &[Need::Git],
            run: policy_repository,
        },
    ]
}

fn archive_policy(sandbox: &Sandbox, archive: &str) {
    sandbox.policy(&format!(
        "apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {{name: all}}
spec:
  locations: [archive]
  select: {{namespaces: {{include: ['NAMESPACE*']}}}}
---
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {{name: archive}}
spec:
  archive: {archive}
  recipients: [RECIPIENT]
"
    ));
}

/// Runs Backstay with the S3 credentials of the test server.
fn with_s3(sandbox: &Sandbox, secret: &str, args: &[&str]) -> Run {
    let mut command = sandbox.command(args);
    command.env("BACKSTAY_IDENTITY", sandbox.path("key.txt"));
    command.env("AWS_ACCESS_KEY_ID", sandbox.parts.get("S3_ACCESS_KEY")).env("AWS_SECRET_ACCESS_KEY", secret);
    Run::of(&mut command)
}

fn bucket(sandbox: &Sandbox) -> String {
    format!("s3://{}/{}", sandbox.parts.get("S3_BUCKET"), sandbox.namespace)
}

fn s3(sandbox: &Sandbox) {
    shop(sandbox);
    let (url, endpoint) = (bucket(sandbox), sandbox.parts.get("S3_ENDPOINT").to_owned());
    archive_policy(sandbox, &format!("{{url: '{url}', endpoint: '{endpoint}'}}"));
    let secret = sandbox.parts.get("S3_SECRET_KEY").to_owned();
    with_s3(sandbox, &secret, &["backup"]).expect(0);
    with_s3(sandbox, &secret, &["verify", "latest"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    with_s3(sandbox, &secret, &["restore", "apply", "--from", "archive@latest"]).expect(0);
    assert!(sandbox.object("configmap", &sandbox.namespace, "web").is_some());
    with_s3(sandbox, "wrong", &["backup"]).expect(3).says("archive").says_not("wrong\"");
    with_s3(sandbox, "wrong", &["snapshots"]).expect(3);
    sandbox.backstay(&["snapshots"]).expect(3).says("AWS_ACCESS_KEY_ID");
    archive_policy(sandbox, &format!("{{url: 's3://absent-bucket/x', endpoint: '{endpoint}'}}"));
    with_s3(sandbox, &secret, &["backup"]).expect(3).says("absent-bucket");
    archive_policy(sandbox, "{url: 's3://b/x', endpoint: 'http://127.0.0.1:1'}");
    with_s3(sandbox, &secret, &["backup"]).expect(3).says("127.0.0.1:1");
}

fn s3_tls(sandbox: &Sandbox) {
    shop(sandbox);
    let (url, endpoint) = (bucket(sandbox), sandbox.parts.get("S3_HTTPS_ENDPOINT").to_owned());
    let (ca, secret) = (sandbox.parts.get("S3_CA").to_owned(), sandbox.parts.get("S3_SECRET_KEY").to_owned());
    archive_policy(sandbox, &format!("{{url: '{url}', endpoint: '{endpoint}'}}"));
    with_s3(sandbox, &secret, &["backup"]).expect(3).says("certificate");
    archive_policy(sandbox, &format!("{{url: '{url}', endpoint: '{endpoint}', caCert: '{ca}'}}"));
    with_s3(sandbox, &secret, &["backup"]).expect(0);
    with_s3(sandbox, &secret, &["verify", "latest"]).expect(0);
}

fn with_azure(sandbox: &Sandbox, key: &str, args: &[&str]) -> Run {
    let mut command = sandbox.command(args);
    command.env("BACKSTAY_IDENTITY", sandbox.path("key.txt"));
    command
        .env("AZURE_STORAGE_ACCOUNT_NAME", sandbox.parts.get("AZURE_ACCOUNT"))
        .env("AZURE_STORAGE_ACCOUNT_KEY", key);
    Run::of(&mut command)
}

fn azure(sandbox: &Sandbox) {
    shop(sandbox);
    let url = format!("az://{}/{}", sandbox.parts.get("AZURE_CONTAINER"), sandbox.namespace);
    let endpoint = sandbox.parts.get("AZURE_URL").to_owned();
    archive_policy(sandbox, &format!("{{url: '{url}', endpoint: '{endpoint}'}}"));
    let key = sandbox.parts.get("AZURE_KEY").to_owned();
    with_azure(sandbox, &key, &["backup"]).expect(0);
    with_azure(sandbox, &key, &["verify", "latest"]).expect(0);
    sandbox.lose_namespace(&sandbox.namespace);
    with_azure(sandbox, &key, &["restore", "apply", "--from", "archive@latest"]).expect(0);
    assert!(sandbox.object("configmap", &sandbox.namespace, "web").is_some());
    with_azure(sandbox, "d3Jvbmc=", &["backup"]).expect(3).says("access denied").says_not("d3Jvbmc=");
    sandbox.backstay(&["snapshots"]).expect(3).says("AZURE_STORAGE_ACCOUNT_NAME");
}

fn mirror_policy(sandbox: &Sandbox, url: &str) {
    sandbox.policy(&format!(
        "apiVersion: backstay.dev/v1alpha1
kind: BackupPolicy
metadata: {{name: all}}
spec:
  locations: [mirror]
  select: {{namespaces: {{include: ['NAMESPACE*']}}}}
---
apiVersion: backstay.dev/v1alpha1
kind: BackupLocation
metadata: {{name: mirror}}
spec:
  mirror: {{url: '{url}'}}
  recipients: [RECIPIENT]
"
    ));
}

/// An empty bare repository on the Git server; gives its file name.
fn repository(sandbox: &Sandbox) -> String {
    let name = format!("{}.git", sandbox.namespace);
    let path = format!("{}/{name}", sandbox.parts.get("GIT_DIR"));
    std::fs::remove_dir_all(&path).ok();
    let name_only = sandbox.namespace.clone();
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/cluster/repository");
    Run::of(Command::new(tool).args([sandbox.parts.get("DIR"), &name_only])).expect(0);
    name
}

fn with_git(sandbox: &Sandbox, password: &str, args: &[&str]) -> Run {
    let mut command = sandbox.command(args);
    command.env("BACKSTAY_IDENTITY", sandbox.path("key.txt"));
    command
        .env("BACKSTAY_GIT_USERNAME", sandbox.parts.get("GIT_USER"))
        .env("BACKSTAY_GIT_PASSWORD", password);
    Run::of(&mut command)
}

fn with_ssh(sandbox: &Sandbox, known_hosts: &str, args: &[&str]) -> Run {
    let mut command = sandbox.command(args);
    command.env("BACKSTAY_IDENTITY", sandbox.path("key.txt"));
    command.env("BACKSTAY_GIT_SSH_KEY", sandbox.parts.get("GIT_SSH_KEY"));
    command.env("BACKSTAY_GIT_KNOWN_HOSTS", known_hosts);
    Run::of(&mut command)
}

fn git_http(sandbox: &Sandbox) {
    shop(sandbox);
    let url = format!("{}/{}", sandbox.parts.get("GIT_HTTP_URL"), repository(sandbox));
    mirror_policy(sandbox, &url);
    let password = sandbox.parts.get("GIT_PASSWORD").to_owned();
    with_git(sandbox, &password, &["backup"]).expect(0);
    with_git(sandbox, &password, &["diff", "mirror@main", "cluster"]).expect(0);
    with_git(sandbox, "mistaken", &["backup"]).expect(3).says("refuses access").says_not("mistaken");
}

fn git_ssh(sandbox: &Sandbox) {
    shop(sandbox);
    let url = format!("{}/{}", sandbox.parts.get("GIT_SSH_URL"), repository(sandbox));
    mirror_policy(sandbox, &url);
    let known = sandbox.parts.get("GIT_SSH_KNOWN_HOSTS").to_owned();
    with_ssh(sandbox, &known, &["backup"]).expect(0);
    with_ssh(sandbox, &known, &["diff", "mirror@main", "cluster"]).expect(0);
    sandbox.write("nobody", "");
    with_ssh(sandbox, &sandbox.path("nobody"), &["backup"]).expect(3).says("host key").says("ssh-keyscan");
}

fn policy_repository(sandbox: &Sandbox) {
    let name = repository(sandbox);
    let bare = format!("{}/{name}", sandbox.parts.get("GIT_DIR"));
    sandbox.git(&["clone", "--quiet", &bare, "work"]);
    let text = std::fs::read_to_string(sandbox.dir.join("policy/policy.yaml")).unwrap();
    sandbox.write("work/policy.yaml", &text);
    sandbox.git(&["-C", "work", "add", "."]);
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    sandbox.git(&[&["-C", "work"], &who[..], &["commit", "--quiet", "-m", "policy"]].concat());
    sandbox.git(&["-C", "work", "push", "--quiet", "origin", "HEAD:main"]);
    let http = format!("{}/{name}", sandbox.parts.get("GIT_HTTP_URL"));
    let password = sandbox.parts.get("GIT_PASSWORD").to_owned();
    with_git(sandbox, &password, &["validate", "--policy-repo", &http]).expect(0);
    let inside = http.replace("://", &format!("://{}:{password}@", sandbox.parts.get("GIT_USER")));
    let valid = sandbox.backstay(&["validate", "--policy-repo", &inside]).expect(0);
    valid.says("valid: ").says_not(&password);
    let ssh = format!("{}/{name}", sandbox.parts.get("GIT_SSH_URL"));
    let known = sandbox.parts.get("GIT_SSH_KNOWN_HOSTS").to_owned();
    with_ssh(sandbox, &known, &["validate", "--policy-repo", &ssh]).expect(0);
    with_ssh(sandbox, &known, &["validate", "--policy-repo", &ssh, "--policy-ref", "main"]).expect(0);
    with_ssh(sandbox, &known, &["validate", "--policy-repo", &ssh, "--policy-ref", "absent"])
        .expect(3)
        .says("absent");
}
