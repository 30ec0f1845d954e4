//! Finds the documents of Backstay in the files of a policy repository, decrypts them, and guards against keys in the clear.
//!
//! In: `Repository`, identities · Out: `Documents` · Touches: nothing

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::repository::{FileContent, MAX_FILE, Repository, SourceFile};
use super::source::{self, Node};
use crate::domain::document::API_VERSION;
use crate::domain::field::{FieldError, closest};
use crate::domain::object::Json;
use crate::domain::problem::Problem;
use crate::domain::schema::KINDS;
use crate::engine::seal::age::Identities;
use crate::engine::seal::sops;

/// The documents of a repository that are meant for Backstay, and everything that is wrong with the files.
#[derive(Debug, Default)]
pub struct Documents {
    /// Documents, in the order of files and lines.
    pub found: Vec<Found>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What was left alone, and why.
    pub notes: Vec<String>,
}

/// One document of one of our kinds.
#[derive(Debug)]
pub struct Found {
    /// Path of its file.
    pub file: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its content, decrypted.
    pub tree: Json,
    node: Node,
    /// Texts that were encrypted; no message may repeat them.
    secrets: BTreeSet<String>,
}

impl Found {
    /// The problem of a field; `key` for those that should not be there.
    pub fn problem(&self, mut error: FieldError, key: bool) -> Problem {
        for secret in &self.secrets {
            error.message = error.message.replace(secret, "***");
            error.help = error.help.map(|help| help.replace(secret, "***"));
        }
        let value = self.tree.pointer(&error.pointer);
        let inner = value.is_none_or(|value| value.is_object() || value.is_array() || value.is_null());
        let place =
            if key || inner { self.node.key_at(&error.pointer) } else { self.node.value_at(&error.pointer) };
        Problem::field(&self.file, (place.line, place.column), error)
    }

    /// Whether some of it was encrypted.
    pub fn is_sealed(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Where the document begins, as `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.node.place().line)
    }
}

/// Reads every file.
pub fn documents(repository: &Repository, identities: &Identities) -> Documents {
    let mut all = Documents::default();
    for file in &repository.files {
        if let Err(problem) = all.file(file, identities) {
            all.problems.push(problem);
        }
    }
    all
}

impl Documents {
    /// Leaves out documents of these kinds and names, and says which there were.
    pub fn leave_out(&mut self, names: &BTreeSet<(&str, &str)>) -> Vec<(&'static str, String)> {
        let mut left_out = Vec::new();
        self.found.retain(|found| {
            let name = found.tree["metadata"]["name"].as_str().unwrap_or_default();
            let stays = !names.contains(&(found.kind, name));
            if !stays {
                left_out.push((found.kind, name.to_owned()));
            }
            stays
        });
        left_out
    }

    /// Adds the documents of another place.
    pub fn join(&mut self, others: Self) {
        self.found.extend(others.found);
        self.problems.extend(others.problems);
        self.notes.extend(others.notes);
    }

    fn file(&mut self, file: &SourceFile, identities: &Identities) -> Result<(), Problem> {
        let path = &file.path;
        let text = text(file)?;
        self.problems.extend(private_keys(path, text));
        let name = path.rsplit('/').next().unwrap_or_default();
        if ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&name) {
            let help = "write plain documents, or keep this folder out with .backstayignore";
            return Err(Problem::file(path, "kustomize overlays are not read yet").help(help));
        }
        let nodes = source::read(text).map_err(|e| {
            Problem::file(path, format!("cannot read YAML: {}", e.message)).at(e.line, e.column)
        })?;
        if nodes.is_empty() {
            self.notes.push(format!("{path}: there is no document in it"));
        }
        let trees: Vec<Json> = nodes.iter().map(Node::to_json).collect();
        let plain = self.decrypted(path, &nodes, &trees, identities);
        let mut foreign = 0_usize;
        for ((node, tree), sealed) in nodes.into_iter().zip(plain).zip(&trees) {
            let Some(tree) = tree else { continue };
            let mut secrets = BTreeSet::new();
            opened(sealed, &tree, &mut secrets);
            let kind = kind_of(&tree);
            let found = Found { file: path.clone(), kind: "", tree, node, secrets };
            match kind {
                Ok(Some(kind)) => self.found.push(Found { kind, ..found }),
                Ok(None) => foreign += 1,
                Err(error) => self.problems.push(found.problem(error, false)),
            }
        }
        if foreign > 0 {
            let documents = if foreign == 1 { "document is" } else { "documents are" };
            self.notes.push(format!("{path}: {foreign} {documents} not for Backstay"));
        }
        Ok(())
    }

    /// The documents of a file without encryption, where they are or may be ours; `None` where that failed.
    fn decrypted(
        &mut self,
        path: &str,
        nodes: &[Node],
        trees: &[Json],
        identities: &Identities,
    ) -> Vec<Option<Json>> {
        let sealed = |tree: &&Json| sops::is_encrypted(tree) && is_or_may_be_ours(tree);
        let one_unit =
            |tree: &Json| sops::is_encrypted(tree) && tree["sops"]["mac"] == trees[0]["sops"]["mac"];
        if trees.len() > 1 && trees.iter().all(one_unit) && trees.iter().any(|t| sealed(&t)) {
            return match sops::decrypt_all(trees.to_vec(), identities) {
                Ok(opened) => opened.into_iter().map(Some).collect(),
                Err(error) => {
                    self.problems.push(locked(path, &nodes[0], &trees[0], &error));
                    vec![None; trees.len()]
                }
            };
        }
        let mut open = |(node, tree): (&Node, &Json)| {
            if !sealed(&tree) {
                return Some(tree.clone());
            }
            let problem = |error| self.problems.push(locked(path, node, tree, &error));
            sops::decrypt(tree.clone(), identities).map_err(problem).ok()
        };
        nodes.iter().zip(trees).map(&mut open).collect()
    }
}

fn locked(path: &str, node: &Node, tree: &Json, error: &sops::Error) -> Problem {
    let mut message = format!("the document is encrypted: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let to = sops::recipients(tree).join(", ");
    let problem = Problem::file(path, message).at(node.place().line, node.place().column);
    match error {
        sops::Error::WrongIdentity(_) | sops::Error::Key(_) if !to.is_empty() => {
            problem.help(format!("give --identity with the key of {to}"))
        }
        _ => problem,
    }
}

/// The text of a file, if it is one.
fn text(file: &SourceFile) -> Result<&str, Problem> {
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    match &file.content {
        FileContent::TooLong(length) => {
            let message = format!("the file has {} MiB; the limit is {} MiB", mib(*length), mib(MAX_FILE));
            Err(Problem::file(&file.path, message).help("split it, or name it in .backstayignore"))
        }
        FileContent::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|error| {
            let (line, column) = place_in(&bytes[..error.valid_up_to()]);
            let message = if bytes.contains(&0) { "the file is no text" } else { "the file is not in UTF-8" };
            Problem::file(&file.path, message).at(line, column)
        }),
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
fn private_keys(path: &str, text: &str) -> Vec<Problem> {
    let mut places: Vec<usize> =
        KEY_MARKS.iter().flat_map(|mark| text.match_indices(mark.as_str()).map(|(at, _)| at)).collect();
    places.sort_unstable();
    let problem = |at: usize| {
        let (line, column) = place_in(&text.as_bytes()[..at]);
        let help = "take it out, and replace the key: the history of the repository keeps it";
        Problem::file(path, "an age secret key stands here in the clear").at(line, column).help(help)
    };
    places.into_iter().map(problem).collect()
}

/// Whether a document is of our group, or hides its API version.
fn is_or_may_be_ours(tree: &Json) -> bool {
    let version = tree["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("backstay.dev/") || version.starts_with("ENC[")
}

/// Which of our kinds a document is; `None` for documents that are not meant for Backstay.
fn kind_of(tree: &Json) -> Result<Option<&'static str>, FieldError> {
    let text = |field: &str| tree[field].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let ours = KINDS.into_iter().find(|ours| *ours == kind);
    let (group, _) = version.split_once('/').unwrap_or(("", version));
    if group == "backstay.dev" {
        if version != API_VERSION {
            let message = format!("`{version}` is no version that this Backstay reads");
            return Err(FieldError::new("/apiVersion", message).help(format!("write `{API_VERSION}`")));
        }
        return ours.map(Some).ok_or_else(|| wrong_kind(kind));
    }
    if kind == "List" && tree["items"].as_array().is_some_and(|items| items.iter().any(is_or_may_be_ours)) {
        let message = "a List cannot hold documents of Backstay";
        return Err(FieldError::new("/items", message).help("put `---` between them"));
    }
    let typo = group.is_empty() || closest(group, ["backstay.dev", "backstay.io", "backstay"]).is_some();
    if ours.is_some() && typo || group == "backstay" || group.ends_with(".backstay.dev") {
        let wrong = if version.is_empty() {
            "the field `apiVersion` is missing".into()
        } else {
            format!("`{version}` is no API version of Backstay")
        };
        let at = if version.is_empty() { "" } else { "/apiVersion" };
        return Err(FieldError::new(at, wrong).help(format!("write `apiVersion: {API_VERSION}`")));
    }
    Ok(None)
}

fn wrong_kind(kind: &str) -> FieldError {
    if kind.is_empty() {
        return FieldError::new("", "the field `kind` is missing")
            .help(format!("one of {}", KINDS.join(", ")));
    }
    let help = match closest(kind, KINDS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of {}", KINDS.join(", ")),
    };
    FieldError::new("/kind", format!("there is no kind `{kind}`")).help(help)
}

/// Collects the texts that differ between an encrypted tree and the opened one.
fn opened(sealed: &Json, plain: &Json, secrets: &mut BTreeSet<String>) {
    match (sealed, plain) {
        (Json::Object(sealed), Json::Object(plain)) => {
            plain
                .iter()
                .for_each(|(key, value)| opened(sealed.get(key).unwrap_or(&Json::Null), value, secrets));
        }
        (Json::Array(sealed), Json::Array(plain)) => {
            sealed.iter().zip(plain).for_each(|(sealed, plain)| opened(sealed, plain, secrets));
        }
        (Json::String(before), plain) if before.starts_with("ENC[") => {
            let text = plain.as_str().map_or_else(|| plain.to_string(), str::to_owned);
            secrets.extend((text.chars().count() > 1).then_some(text));
        }
        _ => {}
    }
}
