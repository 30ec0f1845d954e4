//! Where snapshots go: the `BackupLocation` document.
//!
//! In: YAML through serde · Out: `LocationSpec` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::duration::Duration;
use super::field::FieldError;

/// A Git mirror or an object-storage archive: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocationSpec {
    /// A Git repository of clean, encrypted, reviewable manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorTarget>,
    /// Object storage with sealed, full-fidelity copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveTarget>,
    /// Where the credentials come from. Absent: the environment of the command, as the standard tools read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<CredentialsRef>,
    /// Public keys everything is encrypted to, at least one: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.
    #[schemars(length(min = 1))]
    pub recipients: Vec<String>,
    /// Whether Backstay may write and delete here. Default: `ReadWrite`.
    #[serde(default)]
    pub access_mode: AccessMode,
    /// Object lock: every object written would be retained this long by the storage. Not carried out yet, and refused: set a default
    /// retention on the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_until: Option<Duration>,
    /// How often the reconciler looks whether the location can be reached. Default: 5m; `0s` switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_interval: Option<Duration>,
}

/// A branch of a Git repository and a folder in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MirrorTarget {
    /// `https://`, `ssh://`, `git@host:path`, `file://` or a path.
    pub url: String,
    /// Branch that is committed to. Default: `main`. It is created when the repository has none.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// Folder in the repository under which `clusters/` stands. Default: the top.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Who the commits are from. Default: `Backstay <backstay@localhost>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// File with an OpenSSH private key that signs the commits. Absent: unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// PEM file with the certificate authorities of an HTTPS server. Absent: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<String>,
}

fn main_branch() -> String {
    "main".into()
}

/// Name and address of a Git author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Author {
    /// Name.
    pub name: String,
    /// Mail address.
    pub email: String,
}

/// A prefix in object storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchiveTarget {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///folder`.
    pub url: String,
    /// Region of the bucket. Default: from the environment, else `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Endpoint of an S3-compatible or emulated service, such as `https://minio.internal:9000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Puts the bucket into the path of the request instead of the host name. Default: true with `endpoint`, else false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_path_style: Option<bool>,
    /// PEM file with the certificate authorities of the endpoint. Absent: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<String>,
    /// Size at which a part is cut, in MiB after encryption. Default: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub part_size_mib: Option<u32>,
}

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsRef {
    /// Name of a Secret in Backstay's namespace with the keys that Flux (Git) or the cloud's tools use.
    pub secret_name: String,
}

/// Whether Backstay may write and delete at a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// Backups go here and expired snapshots are deleted here.
    #[default]
    ReadWrite,
    /// Snapshots are only read; backups and prunes are refused.
    ReadOnly,
}

impl LocationSpec {
    /// Everything that is wrong with it, but for the recipients, which are read when they are used.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = match (&self.mirror, &self.archive) {
            (Some(mirror), None) => mirror.check().into_iter().map(|e| e.under("/mirror")).collect(),
            (None, Some(archive)) => archive.check().into_iter().map(|e| e.under("/archive")).collect(),
            (Some(_), Some(_)) => {
                let help = "make two locations of it";
                vec![FieldError::new("", "a location is a `mirror` or an `archive`, not both").help(help)]
            }
            (None, None) => vec![FieldError::new("", "a location needs a `mirror` or an `archive`")],
        };
        for (index, recipient) in self.recipients.iter().enumerate() {
            if self.recipients[..index].contains(recipient) {
                errors.push(FieldError::new(format!("/recipients/{index}"), "this recipient is named twice"));
            }
        }
        if self.retain_until.is_some() {
            let help = "set a default retention on the bucket, and take retainUntil out";
            errors.push(FieldError::new("/retainUntil", "this version does not carry it out").help(help));
        }
        errors
    }
}

impl MirrorTarget {
    fn check(&self) -> Vec<FieldError> {
        let mut errors: Vec<_> =
            check_git_url(&self.url).map(|e| FieldError::new("/url", e)).into_iter().collect();
        let odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
        let branch = &self.branch;
        if branch.is_empty()
            || branch.contains(odd)
            || branch.contains("..")
            || branch.starts_with(['-', '/'])
        {
            errors.push(FieldError::new("/branch", format!("{branch:?} is no name of a branch")));
        }
        if self.path.starts_with('/') || self.path.split('/').any(|part| part == ".." || part == ".git") {
            let help = "write it as `backups/prod`";
            errors
                .push(FieldError::new("/path", format!("{:?} leaves the repository", self.path)).help(help));
        }
        errors
    }
}

/// What is wrong with the address of a Git repository, if anything.
fn check_git_url(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("the address is empty".into());
    }
    let (scheme, _) = text.split_once("://")?;
    if !["https", "http", "ssh", "file"].contains(&scheme) {
        return Some(format!(
            "`{scheme}://` is no address of a Git repository; use https, ssh, file or a path"
        ));
    }
    credentials_or_garbage(text)
}

impl ArchiveTarget {
    fn check(&self) -> Vec<FieldError> {
        let mut errors: Vec<_> = self.check_url().map(|e| FieldError::new("/url", e)).into_iter().collect();
        let wrong = |text: &str| match Url::parse(text) {
            Ok(url) if ["http", "https"].contains(&url.scheme()) => credentials_or_garbage(text),
            _ => Some(format!("{text:?} is no http or https address")),
        };
        errors.extend(self.endpoint.as_deref().and_then(wrong).map(|e| FieldError::new("/endpoint", e)));
        errors
    }

    fn check_url(&self) -> Option<String> {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return Some(format!(
                "{:?} is no address of an archive; use s3://, gs://, az:// or file:///",
                self.url
            ));
        };
        let place = rest.split('/').next().unwrap_or_default();
        match scheme {
            "s3" | "gs" | "az" if place.is_empty() => Some(format!("{:?} names no bucket", self.url)),
            "s3" | "gs" | "az" => credentials_or_garbage(&self.url),
            "file" if !rest.starts_with('/') || rest.len() < 2 => {
                Some(format!("{:?} is no absolute folder; write file:///var/backups", self.url))
            }
            "file" => None,
            _ => Some(format!("`{scheme}://` is no archive; use s3://, gs://, az:// or file:///")),
        }
    }
}

/// Refuses what is no URL and what carries a password, without repeating it.
fn credentials_or_garbage(text: &str) -> Option<String> {
    match Url::parse(text) {
        Err(error) => Some(format!("this is no address: {error}")),
        Ok(url) if url.password().is_some() => Some(
            "a password stands in the address; put it into a Secret and name that in `credentialsRef`".into(),
        ),
        Ok(_) => None,
    }
}
