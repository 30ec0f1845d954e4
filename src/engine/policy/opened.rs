//! The documents of one file, decrypted where they are ours, and the private keys that stand in it in the clear.
//!
//! In: `SourceFile`, identities · Out: `Opened` · Touches: nothing

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::node::{Fault, Node, Place};
use super::origin::{FileContent, MAX_FILE};
use super::repository::SourceFile;
use super::source;
use crate::domain::object::Json;
use crate::engine::seal::age::Identities;
use crate::engine::seal::sops;

/// The documents of a file.
#[derive(Debug, Default)]
pub struct Opened {
    /// Documents with the places of their fields.
    pub nodes: Vec<Node>,
    /// Texts that were encrypted; no message may repeat them.
    pub secrets: BTreeSet<String>,
    /// Documents that could not be decrypted.
    pub locked: Vec<Fault>,
}

/// Reads a file; without identities what is encrypted stays so.
///
/// # Errors
/// A file that is no YAML. Documents that stay locked are in the result.
pub fn open(file: &SourceFile, index: usize, identities: Option<&Identities>) -> Result<Opened, Fault> {
    let at = |line: u64, column: u64| Place { file: index, line, column };
    let text = text(file, index)?;
    let mut nodes = source::read(text)
        .map_err(|e| Fault::new(at(e.line, e.column), format!("cannot read YAML: {}", e.message)))?;
    for node in &mut nodes {
        node.relocate(&|place| place.file = index);
    }
    let Some(identities) = identities else { return Ok(Opened { nodes, ..Opened::default() }) };
    let trees: Vec<Json> = nodes.iter().map(Node::to_json).collect();
    let mut opened = Opened::default();
    let plain = decrypted(&nodes, &trees, identities, &mut opened.locked);
    for ((node, tree), sealed) in nodes.into_iter().zip(plain).zip(&trees) {
        let Some(tree) = tree else { continue };
        if tree == *sealed {
            opened.nodes.push(node);
        } else {
            collect(sealed, &tree, &mut opened.secrets);
            opened.nodes.push(node.filled(&tree));
        }
    }
    Ok(opened)
}

/// The documents without encryption, where they are or may be ours; `None` where that failed.
fn decrypted(
    nodes: &[Node],
    trees: &[Json],
    identities: &Identities,
    locked: &mut Vec<Fault>,
) -> Vec<Option<Json>> {
    let sealed = |tree: &&Json| sops::is_encrypted(tree) && is_or_may_be_ours(tree);
    let one_unit = |tree: &Json| sops::is_encrypted(tree) && tree["sops"]["mac"] == trees[0]["sops"]["mac"];
    if trees.len() > 1 && trees.iter().all(one_unit) && trees.iter().any(|t| sealed(&t)) {
        return match sops::decrypt_all(trees.to_vec(), identities) {
            Ok(opened) => opened.into_iter().map(Some).collect(),
            Err(error) => {
                locked.push(closed(&nodes[0], &trees[0], &error));
                vec![None; trees.len()]
            }
        };
    }
    let mut open = |(node, tree): (&Node, &Json)| {
        if !sealed(&tree) {
            return Some(tree.clone());
        }
        sops::decrypt(tree.clone(), identities).map_err(|error| locked.push(closed(node, tree, &error))).ok()
    };
    nodes.iter().zip(trees).map(&mut open).collect()
}

fn closed(node: &Node, tree: &Json, error: &sops::Error) -> Fault {
    let mut message = format!("the document is encrypted: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let to = sops::recipients(tree).join(", ");
    let fault = Fault::new(node.place, message);
    match error {
        sops::Error::WrongIdentity(_) | sops::Error::Key(_) if !to.is_empty() => {
            fault.help(format!("give --identity with the key of {to}"))
        }
        _ => fault,
    }
}

/// The text of a file, if it is one.
pub fn text(file: &SourceFile, index: usize) -> Result<&str, Fault> {
    let bytes = bytes(file, Place { file: index, ..Place::default() })?;
    std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = place_in(&bytes[..error.valid_up_to()]);
        let message = if bytes.contains(&0) { "the file is no text" } else { "the file is not in UTF-8" };
        Fault::new(Place { file: index, line, column }, message)
    })
}

/// The content of a file, if it is not too long.
pub fn bytes(file: &SourceFile, asked: Place) -> Result<&[u8], Fault> {
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    match &file.content {
        FileContent::Bytes(bytes) => Ok(bytes),
        FileContent::TooLong(length) => {
            let message = format!("the file has {} MiB; the limit is {} MiB", mib(*length), mib(MAX_FILE));
            Err(Fault::new(asked, message).help("split it, or name it in .backstayignore"))
        }
    }
}

/// Line and column after some bytes.
fn place_in(before: &[u8]) -> (u64, u64) {
    let text = String::from_utf8_lossy(before);
    let last = text.rsplit('\n').next().unwrap_or_default();
    (text.matches('\n').count() as u64 + 1, last.chars().count() as u64 + 1)
}

/// How an age secret key begins: as it is, and in Base64 with zero, one or two bytes before it.
static KEY_MARKS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let plain = "AGE-SECRET-KEY-";
    let shifted = |shift: usize| {
        let text = STANDARD.encode("\0".repeat(shift) + plain);
        text[(shift * 8).div_ceil(6)..(shift + plain.len()) * 8 / 6].to_owned()
    };
    [plain.to_owned(), plain.to_lowercase()].into_iter().chain((0..3).map(shifted)).collect()
});

/// Every place where a private key stands in the clear.
pub fn private_keys(file: &SourceFile, index: usize) -> Vec<Fault> {
    let FileContent::Bytes(bytes) = &file.content else { return Vec::new() };
    let text = String::from_utf8_lossy(bytes);
    let mut places: Vec<usize> =
        KEY_MARKS.iter().flat_map(|mark| text.match_indices(mark.as_str()).map(|(at, _)| at)).collect();
    places.sort_unstable();
    let fault = |at: usize| {
        let (line, column) = place_in(&text.as_bytes()[..at]);
        let help = "take it out, and replace the key: the history of the repository keeps it";
        Fault::new(Place { file: index, line, column }, "an age secret key stands here in the clear")
            .help(help)
    };
    places.into_iter().map(fault).collect()
}

/// Whether a document is of our group, or hides its API version.
pub fn is_or_may_be_ours(tree: &Json) -> bool {
    let version = tree["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("backstay.dev/") || version.starts_with("ENC[")
}

/// Collects the texts that differ between an encrypted tree and the opened one.
fn collect(sealed: &Json, plain: &Json, secrets: &mut BTreeSet<String>) {
    match (sealed, plain) {
        (Json::Object(sealed), Json::Object(plain)) => {
            plain
                .iter()
                .for_each(|(key, value)| collect(sealed.get(key).unwrap_or(&Json::Null), value, secrets));
        }
        (Json::Array(sealed), Json::Array(plain)) => {
            sealed.iter().zip(plain).for_each(|(sealed, plain)| collect(sealed, plain, secrets));
        }
        (Json::String(before), plain) if before.starts_with("ENC[") => {
            let text = plain.as_str().map_or_else(|| plain.to_string(), str::to_owned);
            secrets.extend((text.chars().count() > 1).then_some(text));
        }
        _ => {}
    }
}
