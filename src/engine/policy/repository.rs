//! Reads the files of a policy repository: from a folder, or from a commit through the Git port.
//!
//! In: a folder or a `Tree` · Out: `Repository` · Touches: git, the policy folder

use std::path::{Path, PathBuf};
use std::{fs, io};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::ports::git::{self, Tree};

/// The longest file that is read.
pub const MAX_FILE: u64 = 8 * 1024 * 1024;

/// How many files are read at most.
pub const MAX_FILES: usize = 10_000;

/// How many bytes are read at most, in all files together.
pub const MAX_TOTAL: u64 = 256 * 1024 * 1024;

/// Name of the files that name files to leave alone, in the syntax of `.gitignore`.
pub const IGNORE_FILE: &str = ".backstayignore";

/// Why a policy repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the commit cannot be read.
    #[error("cannot read the files of the commit")]
    Git(#[from] git::Error),
    /// An ignore file that is no ignore file.
    #[error("cannot read {file}: {reason}")]
    Ignore {
        /// Its path.
        file: String,
        /// Why.
        reason: String,
    },
    /// More than a policy repository can hold.
    #[error("cannot read {place}: it has more than {limit}; name what to leave alone in {IGNORE_FILE}")]
    TooMuch {
        /// Folder or repository.
        place: String,
        /// Which limit, such as `10000 YAML files`.
        limit: String,
    },
}

/// The YAML files of a policy repository, sorted by path.
#[derive(Clone, Debug)]
pub struct Repository {
    /// What it is for people: a folder, or a URL.
    pub place: String,
    /// Files.
    pub files: Vec<SourceFile>,
    /// The commit, when it was read from one.
    pub revision: Option<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path from the top, `/` between segments.
    pub path: String,
    /// Content.
    pub content: FileContent,
}

/// Content of a file, unless it is too long to be read.
#[derive(Clone, PartialEq, Eq)]
pub enum FileContent {
    /// All of it.
    Bytes(Vec<u8>),
    /// Longer than [`MAX_FILE`]: only its length in bytes.
    TooLong(u64),
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::TooLong(length) => write!(f, "{length} bytes, too long"),
        }
    }
}

/// Reads a folder with all its folders, or a single file.
///
/// Hidden files and folders (`.git`, `.github`) are left alone, and so are folders behind symbolic links.
pub fn folder(top: &Path) -> Result<Repository, Error> {
    let mut reading = Reading::new(top.display().to_string());
    let found = fs::metadata(top).map_err(|source| Error::Read { path: top.into(), source })?;
    if found.is_file() {
        let name = top.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        reading.file(&name, top)?;
    } else {
        reading.folder("", top)?;
    }
    Ok(reading.finish(None))
}

/// Reads a folder of a commit; `""` is the top.
pub fn commit(tree: &dyn Tree, under: &str, place: &str) -> Result<Repository, Error> {
    let mut reading = Reading::new(place.to_owned());
    let base = if under.is_empty() { String::new() } else { format!("{}/", under.trim_matches('/')) };
    let files = tree.files(under.trim_matches('/'))?;
    let inside = |path: &str| path.strip_prefix(&base).unwrap_or(path).to_owned();
    for (path, blob) in files.iter().filter(|(path, _)| file_name(path) == IGNORE_FILE) {
        reading.ignore(&inside(path), &String::from_utf8_lossy(&tree.read(blob)?))?;
    }
    for (path, blob) in &files {
        let path = inside(path);
        if is_policy_file(file_name(&path)) && !is_hidden(&path) && !reading.is_ignored(&path, Kind::File) {
            let bytes = tree.read(blob)?;
            let length = bytes.len() as u64;
            let content =
                if length > MAX_FILE { FileContent::TooLong(length) } else { FileContent::Bytes(bytes) };
            reading.take(path, content)?;
        }
    }
    Ok(reading.finish(tree.commit_id().map(Into::into)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

/// A repository while it is read.
struct Reading {
    place: String,
    files: Vec<SourceFile>,
    bytes: u64,
    /// Folder and rules of each ignore file.
    ignores: Vec<(String, Gitignore)>,
}

impl Reading {
    fn new(place: String) -> Self {
        Self { place, files: Vec::new(), bytes: 0, ignores: Vec::new() }
    }

    fn finish(mut self, revision: Option<String>) -> Repository {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        Repository { place: self.place, files: self.files, revision }
    }

    fn folder(&mut self, inside: &str, folder: &Path) -> Result<(), Error> {
        let failed = |source| Error::Read { path: folder.into(), source };
        let rules = folder.join(IGNORE_FILE);
        if rules.is_file() {
            let text = fs::read(&rules).map_err(|source| Error::Read { path: rules, source })?;
            self.ignore(&join(inside, IGNORE_FILE), &String::from_utf8_lossy(&text))?;
        }
        let entries = fs::read_dir(folder).map_err(failed)?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let (inside, path) = (join(inside, &name), entry.path());
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            let kind = if is_folder { Kind::Folder } else { Kind::File };
            if name.starts_with('.') || self.is_ignored(&inside, kind) {
                continue;
            }
            if is_folder {
                self.folder(&inside, &path)?;
            } else if is_policy_file(&name) && path.is_file() {
                self.file(&inside, &path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, inside: &str, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Read { path: path.into(), source };
        let length = fs::metadata(path).map_err(failed)?.len();
        let content = if length > MAX_FILE {
            FileContent::TooLong(length)
        } else {
            FileContent::Bytes(fs::read(path).map_err(failed)?)
        };
        self.take(inside.to_owned(), content)
    }

    fn take(&mut self, path: String, content: FileContent) -> Result<(), Error> {
        if let FileContent::Bytes(bytes) = &content {
            self.bytes += bytes.len() as u64;
        }
        self.files.push(SourceFile { path, content });
        let limit = if self.files.len() > MAX_FILES {
            format!("{MAX_FILES} YAML files")
        } else if self.bytes > MAX_TOTAL {
            format!("{} MiB of YAML", MAX_TOTAL / 1024 / 1024)
        } else {
            return Ok(());
        };
        Err(Error::TooMuch { place: self.place.clone(), limit })
    }

    fn ignore(&mut self, file: &str, text: &str) -> Result<(), Error> {
        let bad = |error: ignore::Error| Error::Ignore { file: file.into(), reason: error.to_string() };
        let mut rules = GitignoreBuilder::new("");
        for line in text.lines() {
            rules.add_line(None, line).map_err(bad)?;
        }
        let folder = file.strip_suffix(IGNORE_FILE).unwrap_or_default().to_owned();
        self.ignores.push((folder, rules.build().map_err(bad)?));
        Ok(())
    }

    /// The rules of the innermost folder that says anything decide.
    fn is_ignored(&self, path: &str, kind: Kind) -> bool {
        let mut rules: Vec<_> = self
            .ignores
            .iter()
            .filter_map(|(folder, rules)| Some((path.strip_prefix(folder)?, rules)))
            .collect();
        rules.sort_by_key(|(rest, _)| rest.len());
        let said =
            rules.into_iter().map(|(rest, r)| r.matched_path_or_any_parents(rest, kind == Kind::Folder));
        said.into_iter().find(|found| !found.is_none()).is_some_and(|found| found.is_ignore())
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

/// YAML files, and the kustomization that has no ending.
fn is_policy_file(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml") || name == "Kustomization"
}

#[cfg(test)]
mod tests;
