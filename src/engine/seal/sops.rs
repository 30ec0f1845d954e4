//! Writes and reads documents of SOPS, so that `sops` itself opens what is written here and the other way round.
//!
//! In: JSON trees, recipients or identities · Out: JSON trees · Touches: nothing
//! Source: getsops/sops 3.13; compared with the program in the tests.

use jiff::Timestamp;
use regex::Regex;
use serde_json::json;

use super::age::{self, Identities, Recipients};
use super::sops_value::{self, DataKey, Mac, looks_sealed};
use crate::domain::object::{Json, JsonMap};

/// The version of SOPS whose format is written.
const VERSION: &str = "3.11.0";

/// The top-level field with the data key and the MAC.
const BLOCK: &str = "sops";

/// Why a document cannot be encrypted or decrypted. No value is repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The document has a field `sops` before it is encrypted.
    #[error("cannot encrypt a document that is encrypted already or no mapping")]
    NotPlain,
    /// The document has no usable field `sops`.
    #[error("cannot decrypt: {0}")]
    Block(&'static str),
    /// The document needs something that Backstay does not have.
    #[error("cannot decrypt a document whose key is held by {0}: only age recipients are supported")]
    Unsupported(String),
    /// None of the identities opens the data key.
    #[error("cannot decrypt with the given identities: it was encrypted to {}", .0.join(", "))]
    WrongIdentity(Vec<String>),
    /// A value cannot be opened.
    #[error("cannot decrypt the field {place}")]
    Field {
        /// Where it is, such as `data.password`.
        place: String,
        /// Why.
        source: sops_value::Error,
    },
    /// The values belong to the data key, but not together.
    #[error("cannot decrypt: values were added, removed or changed after the document was encrypted")]
    Mac,
    /// The data key cannot be sealed or opened.
    #[error("cannot use the data key")]
    Key(#[from] age::Error),
}

/// Which leaves are encrypted: those with a key on their way that has one of these names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fields(Vec<String>);

impl Fields {
    /// Sorts the names and drops repetitions.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        names.dedup();
        Self(names)
    }

    /// The names, sorted.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The rule as SOPS writes it: `^(data|stringData)$`.
    pub fn regex(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|name| regex::escape(name)).collect();
        format!("^({})$", names.join("|"))
    }
}

/// Encrypts the fields of a document to the recipients under a new data key.
///
/// Only encrypted values are in the MAC (`mac_only_encrypted`), so that a label edited by hand does no harm.
pub fn encrypt(tree: Json, fields: &Fields, to: &Recipients, now: Timestamp) -> Result<Json, Error> {
    let Json::Object(mut tree) = tree else { return Err(Error::NotPlain) };
    if tree.contains_key(BLOCK) {
        return Err(Error::NotPlain);
    }
    let key = DataKey::random();
    let mut mac = Mac::of_encrypted();
    let rule = Rule::Names(fields.0.clone());
    walk_map(&mut tree, &rule, &mut Place::default(), &mut |leaf, place| {
        if rule.chooses(leaf, place) {
            mac.add(leaf);
            *leaf = key.seal(leaf, &place.path);
        }
        Ok(())
    })?;
    let changed = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let armored = to.armor_each(key.bytes())?;
    let keys = armored.into_iter().map(|(recipient, enc)| json!({"enc": enc, "recipient": recipient}));
    let block = json!({
        "age": keys.collect::<Vec<_>>(),
        "encrypted_regex": fields.regex(),
        "lastmodified": changed,
        "mac": key.seal_text(&mac.text(), &changed),
        "mac_only_encrypted": true,
        "version": VERSION,
    });
    tree.insert(BLOCK.into(), block);
    Ok(Json::Object(tree))
}

/// Whether a document was encrypted by SOPS.
pub fn is_encrypted(tree: &Json) -> bool {
    tree.get(BLOCK).and_then(|block| block.get("mac")).is_some()
}

/// The age recipients a document was encrypted to, as written in it.
pub fn recipients(tree: &Json) -> Vec<String> {
    let keys = tree.get(BLOCK).and_then(|block| block.get("age")).and_then(Json::as_array);
    let name = |key: &Json| key.get("recipient").and_then(Json::as_str).map(str::to_owned);
    keys.into_iter().flatten().filter_map(name).collect()
}

/// Decrypts a file of one document.
pub fn decrypt(tree: Json, identities: &Identities) -> Result<Json, Error> {
    let opened = decrypt_all(vec![tree], identities)?;
    opened.into_iter().next().ok_or(Error::Block("there is no document"))
}

/// Decrypts every document of a file that SOPS encrypted as a whole: the first has the key, one MAC is over all.
pub fn decrypt_all(documents: Vec<Json>, identities: &Identities) -> Result<Vec<Json>, Error> {
    let first = documents.first().ok_or(Error::Block("there is no document"))?;
    let block = Block::read(first)?;
    let key = block.key(identities)?;
    let mut mac = if block.only_encrypted { Mac::of_encrypted() } else { Mac::of_all() };
    let mut opened = Vec::with_capacity(documents.len());
    for document in documents {
        let Json::Object(mut tree) = document else { return Err(Error::Block("it is no mapping")) };
        tree.shift_remove(BLOCK);
        walk_map(&mut tree, &block.rule, &mut Place::default(), &mut |leaf, place| {
            let sealed = block.rule.chooses(leaf, place);
            if sealed {
                open_leaf(leaf, &key, place)?;
            }
            if sealed || !block.only_encrypted {
                mac.add(leaf);
            }
            Ok(())
        })?;
        opened.push(Json::Object(tree));
    }
    let written = key.open(&block.mac, &block.changed).map_err(|_| Error::Mac)?;
    if written == mac.text() { Ok(opened) } else { Err(Error::Mac) }
}

fn open_leaf(leaf: &mut Json, key: &DataKey, place: &Place) -> Result<(), Error> {
    let failed = |source| Error::Field { place: place.path.trim_end_matches(':').replace(':', "."), source };
    match leaf {
        Json::Null => Ok(()),
        Json::String(text) => {
            *leaf = key.open(text, &place.path).map_err(failed)?;
            Ok(())
        }
        _ => Err(failed(sops_value::Error::Format)),
    }
}

/// The field `sops` of a document.
struct Block {
    keys: Vec<(String, String)>,
    rule: Rule,
    mac: String,
    changed: String,
    only_encrypted: bool,
}

impl Block {
    fn read(document: &Json) -> Result<Self, Error> {
        let block =
            document.get(BLOCK).and_then(Json::as_object).ok_or(Error::Block("it has no field sops"))?;
        let text = |name: &str| block.get(name).and_then(Json::as_str).map(str::to_owned);
        Ok(Self {
            keys: keys(block)?,
            rule: Rule::read(block)?,
            mac: text("mac").ok_or(Error::Block("sops.mac is missing"))?,
            changed: text("lastmodified").ok_or(Error::Block("sops.lastmodified is missing"))?,
            only_encrypted: block.get("mac_only_encrypted") == Some(&Json::Bool(true)),
        })
    }

    /// Opens the data key with the first identity that fits.
    fn key(&self, identities: &Identities) -> Result<DataKey, Error> {
        for (_, sealed) in &self.keys {
            match identities.open_bytes(sealed.as_bytes()) {
                Ok(bytes) => {
                    return DataKey::from_bytes(&bytes).ok_or(Error::Block("the data key is not 32 bytes"));
                }
                Err(age::Error::WrongIdentity) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::WrongIdentity(self.keys.iter().map(|(recipient, _)| recipient.clone()).collect()))
    }
}

fn keys(block: &JsonMap) -> Result<Vec<(String, String)>, Error> {
    let filled = |name: &str| block.get(name).and_then(Json::as_array).is_some_and(|list| !list.is_empty());
    if filled("key_groups") {
        return Err(Error::Unsupported("several key groups".into()));
    }
    let mut keys = Vec::new();
    for key in block.get("age").and_then(Json::as_array).into_iter().flatten() {
        let text = |name: &str| key.get(name).and_then(Json::as_str).map(str::to_owned);
        let enc = text("enc").ok_or(Error::Block("an age recipient in it has no key"))?;
        keys.push((text("recipient").unwrap_or_default(), enc));
    }
    if keys.is_empty() {
        let others = ["pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms"];
        let found: Vec<&str> = others.into_iter().filter(|name| filled(name)).collect();
        return Err(if found.is_empty() {
            Error::Block("it names no recipient")
        } else {
            Error::Unsupported(found.join(", "))
        });
    }
    Ok(keys)
}

/// Which keys on the way to a leaf decide that it is encrypted.
enum Rule {
    Names(Vec<String>),
    Suffix(String),
    Matches(Regex),
    NotSuffix(String),
    NotMatches(Regex),
    /// The rule looks at comments, which are not read: a leaf is encrypted if it looks so.
    Looks,
}

impl Rule {
    fn read(block: &JsonMap) -> Result<Self, Error> {
        let text = |name: &str| block.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        let regex = |pattern: &str| {
            Regex::new(pattern)
                .map_err(|_| Error::Block("its rule is no regular expression that can be used"))
        };
        let mut rules = Vec::new();
        rules.extend(text("unencrypted_suffix").map(|s| Ok(Self::NotSuffix(s.into()))));
        rules.extend(text("encrypted_suffix").map(|s| Ok(Self::Suffix(s.into()))));
        rules.extend(text("unencrypted_regex").map(|p| regex(p).map(Self::NotMatches)));
        rules.extend(text("encrypted_regex").map(|p| match plain_names(p) {
            Some(names) => Ok(Self::Names(names)),
            None => regex(p).map(Self::Matches),
        }));
        let by_comment = ["unencrypted_comment_regex", "encrypted_comment_regex"];
        rules.extend(by_comment.into_iter().filter_map(text).map(|_| Ok(Self::Looks)));
        if rules.len() > 1 {
            return Err(Error::Block("it has more than one rule for what is encrypted"));
        }
        rules.pop().unwrap_or_else(|| Ok(Self::NotSuffix("_unencrypted".into())))
    }

    /// Whether a key decides the matter for everything below it.
    fn hits(&self, key: &str) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| name == key),
            Self::Suffix(suffix) | Self::NotSuffix(suffix) => key.ends_with(suffix.as_str()),
            Self::Matches(regex) | Self::NotMatches(regex) => regex.is_match(key),
            Self::Looks => false,
        }
    }

    /// Whether a leaf is encrypted.
    fn chooses(&self, leaf: &Json, place: &Place) -> bool {
        match self {
            Self::Names(_) | Self::Suffix(_) | Self::Matches(_) => place.hit,
            Self::NotSuffix(_) | Self::NotMatches(_) => !place.hit,
            Self::Looks => leaf.as_str().is_some_and(looks_sealed),
        }
    }
}

/// The names in `^(data|stringData)$`, the rule that is met a thousand times in a mirror.
fn plain_names(pattern: &str) -> Option<Vec<String>> {
    let inner = pattern.strip_prefix("^(")?.strip_suffix(")$")?;
    let plain = inner.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '|');
    plain.then(|| inner.split('|').map(str::to_owned).collect())
}

/// Where a leaf stands: its keys, each followed by `:`, list positions left out.
#[derive(Default)]
struct Place {
    path: String,
    hit: bool,
}

type Visit<'a> = dyn FnMut(&mut Json, &Place) -> Result<(), Error> + 'a;

fn walk_map(map: &mut JsonMap, rule: &Rule, place: &mut Place, visit: &mut Visit<'_>) -> Result<(), Error> {
    let (length, above) = (place.path.len(), place.hit);
    for (key, value) in map.iter_mut() {
        place.hit = above || rule.hits(key);
        place.path.push_str(key);
        place.path.push(':');
        walk(value, rule, place, visit)?;
        place.path.truncate(length);
    }
    place.hit = above;
    Ok(())
}

fn walk(tree: &mut Json, rule: &Rule, place: &mut Place, visit: &mut Visit<'_>) -> Result<(), Error> {
    match tree {
        Json::Object(map) => walk_map(map, rule, place, visit),
        Json::Array(list) => list.iter_mut().try_for_each(|item| walk(item, rule, place, visit)),
        leaf => visit(leaf, place),
    }
}

#[cfg(test)]
mod tests;
