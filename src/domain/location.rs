//! Where snapshots go: the `BackupLocation` document.
//!
//! In: YAML through serde · Out: `LocationSpec` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;

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
    /// Object lock: every object written is retained this long by the storage. Absent: the bucket's own default.
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
