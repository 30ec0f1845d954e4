//! Finds the documents of Backstay in the files and overlays of a policy repository.
//!
//! In: `Repository`, identities · Out: `Documents` · Touches: nothing

use std::collections::BTreeSet;
use std::sync::Arc;

use super::built::{overlay, problem, rivals};
use super::kustomize::path::{NAMES, join, shown};
use super::node::Node;
use super::opened::{is_or_may_be_ours, open, private_keys};
use super::repository::{Repository, Role};
use crate::domain::document::API_VERSION;
use crate::domain::field::{FieldError, closest};
use crate::domain::object::Json;
use crate::domain::problem::Problem;
use crate::domain::schema::KINDS;
use crate::engine::seal::age::Identities;

/// The documents of a repository that are meant for Backstay, and everything that is wrong with the files.
#[derive(Debug, Default)]
pub struct Documents {
    /// Documents, in the order of files and lines, then of overlays.
    pub found: Vec<Found>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What was left alone, and why.
    pub notes: Vec<String>,
}

/// One document of one of our kinds.
#[derive(Debug)]
pub struct Found {
    /// Its kind.
    pub kind: &'static str,
    /// Its content, decrypted.
    pub tree: Json,
    node: Node,
    /// Paths of all files: a document of an overlay has fields from several.
    files: Arc<[String]>,
    /// Texts that were encrypted; no message may repeat them.
    secrets: Arc<BTreeSet<String>>,
}

impl Found {
    /// The problem of a field; `key` for those that should not be there.
    pub fn problem(&self, mut error: FieldError, key: bool) -> Problem {
        for secret in self.secrets.iter() {
            error.message = error.message.replace(secret, "***");
            error.help = error.help.map(|help| help.replace(secret, "***"));
        }
        let value = self.tree.pointer(&error.pointer);
        let inner = value.is_none_or(|value| value.is_object() || value.is_array() || value.is_null());
        let place =
            if key || inner { self.node.key_at(&error.pointer) } else { self.node.value_at(&error.pointer) };
        Problem::field(self.file(place.file), (place.line, place.column), error)
    }

    /// Whether some of it was encrypted.
    pub fn is_sealed(&self) -> bool {
        holds(&self.tree, &self.secrets)
    }

    /// Where the document begins, as `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file(self.node.place.file), self.node.place.line)
    }

    fn file(&self, index: usize) -> &str {
        self.files.get(index).map_or("", String::as_str)
    }
}

/// Reads every file and builds every overlay.
pub fn documents(repository: &Repository, identities: &Identities) -> Documents {
    let mut all = Documents::default();
    let files: Arc<[String]> = repository.files.iter().map(|file| file.path.clone()).collect();
    for (index, file) in repository.files.iter().enumerate() {
        let path = &file.path;
        all.problems.extend(private_keys(file, index).into_iter().map(|fault| problem(repository, fault)));
        if file.part == Role::Named {
            continue;
        }
        match open(file, index, Some(identities)) {
            Err(fault) => all.problems.push(problem(repository, fault)),
            Ok(opened) => {
                if opened.nodes.is_empty() && opened.locked.is_empty() {
                    all.notes.push(format!("{path}: there is no document in it"));
                }
                all.problems.extend(opened.locked.into_iter().map(|fault| problem(repository, fault)));
                all.sort(path, opened.nodes, &files, opened.secrets);
            }
        }
    }
    if let Some(problem) = several(repository) {
        all.problems.push(problem);
        return all;
    }
    for reached in &repository.overlays {
        let built = overlay(repository, &reached.folder, Some(identities));
        all.problems.extend(built.faults.into_iter().map(|fault| problem(repository, fault)));
        all.sort(shown(&reached.folder), built.nodes, &files, built.secrets);
    }
    all
}

/// Overlays that are different views of the same files cannot all be read.
fn several(repository: &Repository) -> Option<Problem> {
    let rivals = rivals(repository);
    let first = rivals.first()?;
    let names: Vec<&str> = rivals.iter().map(|overlay| shown(&overlay.folder)).collect();
    let file =
        NAMES.map(|name| join(&first.folder, name)).into_iter().find(|path| first.files.contains(path));
    let message = format!("overlays share files, so only one can be read at a time: {}", names.join(", "));
    let help = format!("choose one with --policy-path, such as `--policy-path {}`", names[0]);
    Some(Problem::file(&file.unwrap_or_default(), message).help(help))
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

    /// Keeps the documents that are ours, and counts the others.
    fn sort(&mut self, from: &str, nodes: Vec<Node>, files: &Arc<[String]>, secrets: BTreeSet<String>) {
        let secrets = Arc::new(secrets);
        let mut foreign = 0_usize;
        for node in nodes {
            let tree = node.to_json();
            let kind = kind_of(&tree);
            let found =
                Found { kind: "", tree, node, files: Arc::clone(files), secrets: Arc::clone(&secrets) };
            match kind {
                Ok(Some(kind)) => self.found.push(Found { kind, ..found }),
                Ok(None) => foreign += 1,
                Err(error) => self.problems.push(found.problem(error, false)),
            }
        }
        if foreign > 0 {
            let documents = if foreign == 1 { "document is" } else { "documents are" };
            self.notes.push(format!("{from}: {foreign} {documents} not for Backstay"));
        }
    }
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

/// Whether one of these texts is a value somewhere in a tree.
fn holds(tree: &Json, texts: &BTreeSet<String>) -> bool {
    match tree {
        Json::Object(map) => map.values().any(|value| holds(value, texts)),
        Json::Array(list) => list.iter().any(|value| holds(value, texts)),
        Json::String(text) => texts.contains(text),
        other => texts.contains(&other.to_string()),
    }
}
