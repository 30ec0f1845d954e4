//! Reads the files of a policy repository that count: all YAML files below a folder, or what its overlay names.
//!
//! In: an `Origin`, a folder in it · Out: `Repository` · Touches: through `Origin`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::ports::git::Tree;

use super::kustomize::file::mentions;
use super::kustomize::path::{NAMES, join, resolve};
use super::node::Place;
use super::origin::{Commit, Error, FileContent, Folder, Memory, Origin};
use super::source;

/// How many files are read at most.
pub const MAX_FILES: usize = 10_000;

/// How many bytes are read at most, in all files together.
pub const MAX_TOTAL: u64 = 256 * 1024 * 1024;

/// Name of the files that name files to leave alone, in the syntax of `.gitignore`.
pub const IGNORE_FILE: &str = ".backstayignore";

/// The files of a policy repository that are read, sorted by path.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    /// What it is for people: a folder, or a URL.
    pub place: String,
    /// Files.
    pub files: Vec<SourceFile>,
    /// Folders that are built.
    pub overlays: Vec<Reached>,
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
    /// Why it is read.
    pub part: Role,
}

/// Why a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// For its documents.
    Plain,
    /// Because a kustomization names it.
    Named,
}

/// A folder with a kustomization, and the files that it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The folder.
    pub folder: String,
    /// Paths of its files, its own kustomization first of all.
    pub files: BTreeSet<String>,
}

impl Repository {
    /// The position of a file.
    pub fn position(&self, path: &str) -> Option<usize> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()
    }
}

/// Reads a folder with all its folders, or a single file; `under` narrows it to a folder inside (`""`: all of it).
///
/// Hidden files and folders (`.git`, `.github`) are left alone, and so are folders behind symbolic links. A folder with
/// a kustomization is built: only what it names is read, also from elsewhere in the repository.
pub fn folder(top: &Path, under: &str) -> Result<Repository, Error> {
    let place = top.display().to_string();
    let found = std::fs::metadata(top).map_err(|source| Error::Read { path: top.into(), source })?;
    if !found.is_file() {
        return Reading::new(place, &Folder(top)).finish(under, None);
    }
    let name = top.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let parent = top.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Reading::new(place, &Folder(parent)).finish(&name, None)
}

/// Reads a commit in the same way.
pub fn commit(tree: &dyn Tree, under: &str, place: &str) -> Result<Repository, Error> {
    let origin = Commit::open(tree)?;
    Reading::new(place.to_owned(), &origin).finish(under, tree.commit_id().map(Into::into))
}

/// Reads files in memory in the same way.
pub fn memory(files: BTreeMap<String, Vec<u8>>, under: &str) -> Result<Repository, Error> {
    Reading::new("memory".into(), &Memory(files)).finish(under, None)
}

/// A repository while it is read.
struct Reading<'a> {
    place: String,
    origin: &'a dyn Origin,
    files: BTreeMap<String, SourceFile>,
    overlays: Vec<Reached>,
    bytes: u64,
    /// Folder and rules of each ignore file.
    ignores: Vec<(String, Gitignore)>,
}

impl<'a> Reading<'a> {
    fn new(place: String, origin: &'a dyn Origin) -> Self {
        Self { place, origin, files: BTreeMap::new(), overlays: Vec::new(), bytes: 0, ignores: Vec::new() }
    }

    fn finish(mut self, under: &str, revision: Option<String>) -> Result<Repository, Error> {
        let missing = || Error::Missing { place: self.place.clone(), path: under.to_owned() };
        let path = resolve("", if under.is_empty() { "." } else { under }, Place::default())
            .map_err(|_| missing())?;
        if self.origin.list(&path)?.is_some() {
            self.rules_above(&path)?;
            self.walk(&path)?;
        } else if let Some(content) = self.origin.read(&path)? {
            self.take(&path, content, Role::Plain)?;
        } else {
            return Err(missing());
        }
        for overlay in std::mem::take(&mut self.overlays) {
            let reached = self.reach(overlay.folder)?;
            self.overlays.push(reached);
        }
        let files = self.files.into_values().collect();
        Ok(Repository { place: self.place, files, overlays: self.overlays, revision })
    }

    /// Reads the ignore files of the folders above one.
    fn rules_above(&mut self, path: &str) -> Result<(), Error> {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let top = (!path.is_empty()).then_some("");
        for folder in top.into_iter().chain(above) {
            self.rules(folder)?;
        }
        Ok(())
    }

    fn rules(&mut self, folder: &str) -> Result<(), Error> {
        let file = join(folder, IGNORE_FILE);
        let Some(FileContent::Bytes(bytes)) = self.origin.read(&file)? else { return Ok(()) };
        let bad = |error: ignore::Error| Error::Ignore { file: file.clone(), reason: error.to_string() };
        let mut rules = GitignoreBuilder::new("");
        for line in String::from_utf8_lossy(&bytes).lines() {
            rules.add_line(None, line).map_err(bad)?;
        }
        self.ignores.push((join(folder, ""), rules.build().map_err(bad)?));
        Ok(())
    }

    /// Finds the YAML files and the overlays below a folder.
    fn walk(&mut self, folder: &str) -> Result<(), Error> {
        self.rules(folder)?;
        let entries = self.origin.list(folder)?.unwrap_or_default();
        let wanted = |name: &str, is_folder: bool| {
            !name.starts_with('.') && !self.is_ignored(&join(folder, name), is_folder)
        };
        let entries: Vec<_> =
            entries.into_iter().filter(|entry| wanted(&entry.name, entry.is_folder)).collect();
        if entries.iter().any(|entry| !entry.is_folder && NAMES.contains(&entry.name.as_str())) {
            self.overlays.push(Reached { folder: folder.to_owned(), files: BTreeSet::new() });
            return Ok(());
        }
        for entry in entries {
            let path = join(folder, &entry.name);
            if entry.is_folder {
                self.walk(&path)?;
            } else if is_policy_file(&entry.name)
                && let Some(content) = self.origin.read(&path)?
            {
                self.take(&path, content, Role::Plain)?;
            }
        }
        Ok(())
    }

    /// Reads everything that an overlay names, and what is named there.
    fn reach(&mut self, top: String) -> Result<Reached, Error> {
        let mut reached = Reached { folder: top.clone(), files: BTreeSet::new() };
        let (mut queue, mut seen) = (vec![top.clone()], BTreeSet::from([top]));
        while let Some(folder) = queue.pop() {
            for name in NAMES {
                let path = join(&folder, name);
                if !self.bring(&path)? {
                    continue;
                }
                let named = self.named(&path);
                reached.files.insert(path);
                for path in named.iter().filter_map(|path| resolve(&folder, path, Place::default()).ok()) {
                    if self.bring(&path)? {
                        reached.files.insert(path);
                    } else if seen.insert(path.clone()) {
                        queue.push(path);
                    }
                }
            }
        }
        Ok(reached)
    }

    /// Reads a file that is named, if it is there.
    fn bring(&mut self, path: &str) -> Result<bool, Error> {
        if self.files.contains_key(path) {
            return Ok(true);
        }
        let Some(content) = self.origin.read(path)? else { return Ok(false) };
        self.take(path, content, Role::Named)?;
        Ok(true)
    }

    /// What a kustomization names; nothing where it cannot be read, which the build says.
    fn named(&self, path: &str) -> Vec<String> {
        let Some(SourceFile { content: FileContent::Bytes(bytes), .. }) = self.files.get(path) else {
            return Vec::new();
        };
        let nodes = std::str::from_utf8(bytes).ok().and_then(|text| source::read(text).ok());
        nodes.unwrap_or_default().iter().flat_map(mentions).collect()
    }

    fn take(&mut self, path: &str, content: FileContent, part: Role) -> Result<(), Error> {
        if let FileContent::Bytes(bytes) = &content {
            self.bytes += bytes.len() as u64;
        }
        self.files.insert(path.to_owned(), SourceFile { path: path.to_owned(), content, part });
        let limit = if self.files.len() > MAX_FILES {
            format!("{MAX_FILES} files")
        } else if self.bytes > MAX_TOTAL {
            format!("{} MiB of files", MAX_TOTAL / 1024 / 1024)
        } else {
            return Ok(());
        };
        Err(Error::TooMuch { place: self.place.clone(), limit })
    }

    /// The rules of the innermost folder that says anything decide.
    fn is_ignored(&self, path: &str, is_folder: bool) -> bool {
        let mut rules: Vec<_> = self
            .ignores
            .iter()
            .filter_map(|(folder, rules)| Some((path.strip_prefix(folder.as_str())?, rules)))
            .collect();
        rules.sort_by_key(|(rest, _)| rest.len());
        let said = rules.into_iter().map(|(rest, r)| r.matched_path_or_any_parents(rest, is_folder));
        said.into_iter().find(|found| !found.is_none()).is_some_and(|found| found.is_ignore())
    }
}

/// YAML files, and the kustomization that has no ending.
fn is_policy_file(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml")
}

#[cfg(test)]
mod tests;
