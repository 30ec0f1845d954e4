//! Credentials and keys: from files, from the environment, or from a Secret of the cluster.
//!
//! In: `Settings`, Secrets · Out: `Credentials`, `Identities`, digest keys · Touches: the file system

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use zeroize::Zeroizing;

use super::settings::Settings;
use crate::adapters::git::access::{Credentials, Text};
use crate::adapters::object_store::credentials::Credentials as BucketCredentials;
use crate::domain::object::{Json, Manifest};
use crate::engine::clean::encrypt::DigestKey;
use crate::engine::seal::age::{self, Identities};
use crate::ports::git::Signers;

/// Why a key or credential cannot be used. No message holds its content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of allowed signers is not text.
    #[error("cannot use the allowed signers in {}: it is not text", .0.display())]
    BinarySigners(PathBuf),
    /// A folder of allowed signers has no file.
    #[error("cannot use the allowed signers in {}: there is no file in it", .0.display())]
    NoSigners(PathBuf),
    /// The file holds no usable identity.
    #[error("cannot use an identity")]
    Identity(#[from] age::Error),
    /// A digest key file with other content than a key.
    #[error("cannot use {}: it holds no digest key of 32 bytes in hex", .0.display())]
    BadDigestKey(PathBuf),
    /// A value of the Secret is not base64 text.
    #[error("cannot use key {key} of Secret {secret}: it is not text")]
    BadSecret {
        /// Namespace and name.
        secret: String,
        /// The key.
        key: String,
    },
}

/// Reads every identity: the files given, else the variables and files that `sops` reads.
pub fn identities(settings: &Settings) -> Result<Identities, Error> {
    let mut found = Identities::default();
    for file in &settings.identities {
        found.add(&file.display().to_string(), &read(file)?)?;
    }
    if !found.is_empty() {
        return Ok(found);
    }
    if let Some(text) = settings.variable("SOPS_AGE_KEY") {
        found.add("SOPS_AGE_KEY", text)?;
    }
    if let Some(file) = settings.variable("SOPS_AGE_KEY_FILE") {
        found.add(file, &read(Path::new(file))?)?;
    }
    Ok(found)
}

/// Credentials for Git: from a Secret with Flux's keys, or from the environment.
///
/// Secret keys: `username`, `password`, `bearerToken`, `identity`, `known_hosts`. Variables:
/// `BACKSTAY_GIT_USERNAME`, `_PASSWORD`, `_BEARER_TOKEN`, `_SSH_KEY` and `_KNOWN_HOSTS` (files), `_SSH_PASSPHRASE`.
pub fn git(settings: &Settings, secret: Option<&BTreeMap<String, String>>) -> Credentials {
    let hidden = |text: &str| Zeroizing::new(text.to_owned());
    if let Some(secret) = secret {
        let value = |key: &str| secret.get(key).map(String::as_str);
        return Credentials {
            username: secret.get("username").cloned(),
            password: value("password").map(hidden),
            bearer: value("bearerToken").map(hidden),
            ssh_key: value("identity").map(|text| Text::Given(hidden(text))),
            passphrase: value("password").map(hidden),
            known_hosts: value("known_hosts").map(|text| Text::Given(hidden(text))),
        };
    }
    let variable = |name: &str| settings.variable(&format!("BACKSTAY_GIT_{name}"));
    Credentials {
        username: variable("USERNAME").map(Into::into),
        password: variable("PASSWORD").map(hidden),
        bearer: variable("BEARER_TOKEN").map(hidden),
        ssh_key: variable("SSH_KEY").map(|file| Text::File(file.into())),
        passphrase: variable("SSH_PASSPHRASE").map(hidden),
        known_hosts: variable("KNOWN_HOSTS").map(|file| Text::File(file.into())),
    }
}

/// Credentials for object storage: from a Secret, or from the environment.
pub fn bucket(settings: &Settings, secret: Option<BTreeMap<String, String>>) -> BucketCredentials {
    BucketCredentials::new(secret.unwrap_or_else(|| settings.variables.clone()))
}

/// The values of a Secret.
pub fn secret_values(secret: &Manifest) -> Result<BTreeMap<String, String>, Error> {
    let mut values = BTreeMap::new();
    for (key, value) in secret.at("/data").and_then(|data| data.as_object()).into_iter().flatten() {
        let text =
            value.as_str().and_then(|v| STANDARD.decode(v).ok()).and_then(|v| String::from_utf8(v).ok());
        let bad = || Error::BadSecret { secret: secret.key().place(), key: key.clone() };
        values.insert(key.clone(), text.ok_or_else(bad)?);
    }
    Ok(values)
}

/// The digest key of a cluster: made on first use, in a file that only its owner may read.
pub fn digest_key(settings: &Settings, cluster_uid: &str) -> Result<DigestKey, Error> {
    let file = settings.state.join(format!("digest-{cluster_uid}.key"));
    match fs::read_to_string(&file) {
        Ok(text) => DigestKey::from_hex(text.trim()).ok_or(Error::BadDigestKey(file)),
        Err(e) if e.kind() == ErrorKind::NotFound => make_digest_key(settings, &file),
        Err(source) => Err(Error::Read { file, source }),
    }
}

/// Name of the Secret with the digest key, and its key.
pub const DIGEST_SECRET: (&str, &str) = ("backstay-digest-key", "key");

/// The digest key in a Secret.
pub fn digest_key_in(secret: &Manifest) -> Result<DigestKey, Error> {
    let values = secret_values(secret)?;
    let found = values.get(DIGEST_SECRET.1).and_then(|text| DigestKey::from_hex(text.trim()));
    found.ok_or_else(|| Error::BadDigestKey(secret.key().place().into()))
}

/// A Secret with a new digest key. It stays out of backups: with it, equal Secrets can be told from different ones.
pub fn digest_secret(namespace: &str) -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": DIGEST_SECRET.0,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "backstay", "backstay.dev/exclude": "true"},
        },
        "immutable": true,
        "data": {DIGEST_SECRET.1: STANDARD.encode(DigestKey::generate().to_hex().as_bytes())},
    })
}

/// Writes a new key beside the name and links it there, so that two runs agree on one whole file.
fn make_digest_key(settings: &Settings, file: &Path) -> Result<DigestKey, Error> {
    let cannot = |source| Error::Write { file: file.to_owned(), source };
    fs::create_dir_all(&settings.state).map_err(cannot)?;
    let key = DigestKey::generate();
    let mut fresh = tempfile::NamedTempFile::new_in(&settings.state).map_err(cannot)?;
    fresh.write_all(key.to_hex().as_bytes()).and_then(|()| fresh.as_file().sync_all()).map_err(cannot)?;
    match fresh.persist_noclobber(file) {
        Ok(_) => Ok(key),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => {
            DigestKey::from_hex(read(file)?.trim()).ok_or_else(|| Error::BadDigestKey(file.to_owned()))
        }
        Err(e) => Err(cannot(e.error)),
    }
}

/// The allowed signers of a file, or of every file in a folder, by name. What starts with a dot is left out: Kubernetes
/// keeps there what it mounts.
///
/// # Errors
/// A file cannot be read or is not text, or there is none.
pub fn signers(path: &Path) -> Result<Vec<Signers>, Error> {
    let one = |file: &Path| match read(file) {
        Ok(text) => Ok(Signers { file: file.display().to_string(), text }),
        Err(Error::Read { file, source }) if source.kind() == ErrorKind::InvalidData => {
            Err(Error::BinarySigners(file))
        }
        Err(error) => Err(error),
    };
    if !path.is_dir() {
        return Ok(vec![one(path)?]);
    }
    let cannot = |source| Error::Read { file: path.to_owned(), source };
    let entries = fs::read_dir(path).and_then(|all| all.map(|entry| Ok(entry?.path())).collect());
    let mut files: Vec<PathBuf> = entries.map_err(cannot)?;
    files.retain(|file| {
        file.is_file() && !file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    });
    if files.is_empty() {
        return Err(Error::NoSigners(path.to_owned()));
    }
    files.sort();
    files.iter().map(|file| one(file)).collect()
}

/// A text file.
pub fn read(file: &Path) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signers_that_are_not_there_or_no_text_are_told_by_their_place() {
        let home = tempfile::tempdir().unwrap();
        let told = |path: &Path| match signers(path) {
            Ok(all) => format!("{} files", all.len()),
            Err(error) => error.to_string().replace(&home.path().display().to_string(), "HOME"),
        };
        let empty = told(home.path());
        let file = home.path().join("ada.gpg");
        fs::write(home.path().join(".hidden"), [0xff]).unwrap();
        let hidden = told(home.path());
        fs::write(&file, [0x99, 0xff]).unwrap();
        let cases = [empty, hidden, told(&file), told(home.path()), told(&home.path().join("absent"))];
        insta::assert_snapshot!(cases.join("\n"), @"
        cannot use the allowed signers in HOME: there is no file in it
        cannot use the allowed signers in HOME: there is no file in it
        cannot use the allowed signers in HOME/ada.gpg: it is not text
        cannot use the allowed signers in HOME/ada.gpg: it is not text
        cannot read HOME/absent
        ");
        fs::write(&file, "# nobody").unwrap();
        assert_eq!((told(&file), told(home.path())), ("1 files".into(), "1 files".into()));
    }
}
