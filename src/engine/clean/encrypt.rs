//! Turns manifests into files of a mirror; what is secret is encrypted or refused.
//!
//! A [`MirrorFile`] is the only thing a mirror stores of an object, and this is the only room that makes one.
//!
//! In: manifests, `Rules`, recipients · Out: `MirrorFile`, keyed digests · Touches: nothing

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use rand::RngCore;
use rand::rngs::OsRng;
use regex::Regex;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::hide::LAST_APPLIED;
use crate::domain::object::{Json, Manifest, Resource};
use crate::domain::pattern::{BadPattern, KindMatcher};
use crate::domain::policy::EncryptRule;
use crate::engine::seal::age::Recipients;
use crate::engine::seal::sops::{self, Fields};
use crate::engine::seal::sops_value::is_sealed;
use crate::engine::yaml;

/// Why there is no file of an object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pattern in the policy's `encrypt` cannot be read.
    #[error("cannot read a rule for encryption")]
    Rule(#[from] BadPattern),
    /// Something secret would have been stored in the clear.
    #[error("{secret} in {place} would be in the clear")]
    Leak {
        /// What it looks like.
        secret: &'static str,
        /// Where it is: a JSON pointer.
        place: String,
    },
    /// The object cannot be encrypted.
    #[error("cannot encrypt it")]
    Encrypt(#[from] sops::Error),
    /// The object cannot be written as YAML.
    #[error("cannot write it as YAML")]
    Yaml(#[from] yaml::Error),
}

/// Which fields of which kinds are encrypted: `data` and `stringData` of Secrets, and what a policy adds.
#[derive(Clone, Debug)]
pub struct Rules(Vec<(KindMatcher, Vec<String>)>);

impl Rules {
    /// Reads the rules of a policy.
    pub fn new(rules: &[EncryptRule]) -> Result<Self, Error> {
        let compile = |rule: &EncryptRule| Ok((KindMatcher::new(&rule.kinds)?, rule.fields.clone()));
        rules.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// The fields of a kind that are encrypted, if any.
    pub fn fields(&self, resource: &Resource) -> Option<Fields> {
        let gvk = &resource.gvk;
        let mut names = Vec::new();
        if is_secret(&gvk.group, &gvk.kind) {
            names.extend(["data".to_owned(), "stringData".to_owned()]);
        }
        for (kinds, fields) in &self.0 {
            if kinds.matches(&gvk.group, &gvk.kind, &resource.plural) {
                names.extend_from_slice(fields);
            }
        }
        (!names.is_empty()).then(|| Fields::new(names))
    }
}

fn is_secret(group: &str, kind: &str) -> bool {
    group.is_empty() && kind == "Secret"
}

/// The key of the digests by which an unchanged Secret is known although it cannot be decrypted.
///
/// Losing it costs one encryption of all Secrets. `Debug` prints nothing of it.
#[derive(Clone)]
pub struct DigestKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}

impl DigestKey {
    /// Draws a new key.
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(key.as_mut());
        Self(key)
    }

    /// 64 hex digits.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(self.0.as_ref()))
    }

    /// Reads 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(key))
    }

    /// A digest over parts, each with its length before it.
    fn digest(&self, parts: &[&[u8]]) -> String {
        let mut mac =
            <Hmac<Sha256> as Mac>::new_from_slice(self.0.as_ref()).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        hex(&mac.finalize().into_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
    }
    text
}

/// The content of one file of a mirror: nothing secret in it is in the clear.
pub struct MirrorFile(Vec<u8>);

impl MirrorFile {
    /// The bytes to store.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What encrypts the objects of one run.
#[derive(Clone, Debug)]
pub struct Encryptor {
    rules: Rules,
    recipients: Recipients,
    key: DigestKey,
}

impl Encryptor {
    /// Puts rules, public keys and the key of the digests together.
    pub fn new(rules: Rules, recipients: Recipients, key: DigestKey) -> Self {
        Self { rules, recipients, key }
    }

    /// Public keys of this run, sorted.
    pub fn recipients(&self) -> Vec<String> {
        self.recipients.names().map(str::to_owned).collect()
    }

    /// The fields of a kind that are encrypted, if any.
    pub fn fields(&self, resource: &Resource) -> Option<Fields> {
        self.rules.fields(resource)
    }

    /// The digest of an object in an encrypted file: it changes with the object, the rule, the recipients and the file.
    ///
    /// `blob` is the id of the file's content, so that a file that somebody else has changed is written again.
    pub fn digest(&self, fields: &Fields, object: &Manifest, blob: &str) -> String {
        let mut parts = vec![fields.regex().into_bytes(), object.to_bytes(), blob.as_bytes().to_vec()];
        parts.extend(self.recipients.names().map(|name| name.as_bytes().to_vec()));
        self.key.digest(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// The encrypted file of an object.
    pub fn sealed(&self, fields: &Fields, object: &Manifest, now: Timestamp) -> Result<MirrorFile, Error> {
        let tree = sops::encrypt(object.as_json().clone(), fields, &self.recipients, now)?;
        checked(object, &tree)
    }

    /// The plain file of an object to which no rule applies.
    pub fn plain(&self, object: &Manifest) -> Result<MirrorFile, Error> {
        checked(object, object.as_json())
    }
}

/// The file of a tree in which nothing secret is in the clear, whatever the rules said.
fn checked(object: &Manifest, tree: &Json) -> Result<MirrorFile, Error> {
    if is_secret(&object.gvk().group, object.kind()) {
        for field in ["data", "stringData"] {
            let place = format!("/{field}");
            tree.get(field).map_or(Ok(()), |value| only_sealed(value, &place))?;
        }
    }
    if object.annotation(LAST_APPLIED).is_some() {
        let place = format!("/metadata/annotations/{}", LAST_APPLIED.replace('/', "~1"));
        return Err(Error::Leak { secret: "a copy of the whole object", place });
    }
    no_private_key(tree, "")?;
    Ok(MirrorFile(yaml::emit(tree)?.into_bytes()))
}

fn only_sealed(tree: &Json, place: &str) -> Result<(), Error> {
    children(tree, place, only_sealed)?;
    let leaf = !tree.is_object() && !tree.is_array();
    if leaf && !is_sealed(tree) {
        return Err(Error::Leak { secret: "a value of a Secret", place: place.to_owned() });
    }
    Ok(())
}

fn no_private_key(tree: &Json, place: &str) -> Result<(), Error> {
    children(tree, place, no_private_key)?;
    let Some(secret) = tree.as_str().and_then(private_key) else { return Ok(()) };
    Err(Error::Leak { secret, place: place.to_owned() })
}

/// Goes one level down; `place` is the JSON pointer of the tree.
fn children(tree: &Json, place: &str, check: impl Fn(&Json, &str) -> Result<(), Error>) -> Result<(), Error> {
    if let Some(map) = tree.as_object() {
        let pointer = |key: &str| format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
        return map.iter().try_for_each(|(key, value)| check(value, &pointer(key)));
    }
    let list = tree.as_array().into_iter().flatten().enumerate();
    list.into_iter().try_for_each(|(at, value)| check(value, &format!("{place}/{at}")))
}

/// A header of a private key with a key behind it; a text that only mentions the header is none.
static PEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY-----(?s:.){0,200}?[A-Za-z0-9+/]{48}")
        .expect("it is fixed")
});

static AGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{40}").expect("it is fixed"));

/// What kind of private key a text holds, plain or in base64.
fn private_key(text: &str) -> Option<&'static str> {
    if text.contains("PRIVATE KEY-----") && PEM.is_match(text) {
        return Some("a private key");
    }
    if text.len() > 40 && AGE.is_match(text) {
        return Some("an age identity");
    }
    let encoded =
        text.trim().strip_prefix("LS0tLS1CRUdJTi").map(|_| text.split_whitespace().collect::<String>());
    let decoded = encoded.and_then(|text| BASE64.decode(text).ok());
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok())?;
    (decoded.contains("PRIVATE KEY-----") && PEM.is_match(&decoded)).then_some("a private key")
}

#[cfg(test)]
mod tests;
