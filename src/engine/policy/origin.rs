//! Where the files of a policy repository come from: a folder, a commit, or memory.
//!
//! In: a folder, a `Tree` · Out: files and lists of folders · Touches: git, the policy folder

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::ports::git::{self, Oid, Tree};

/// The longest file that is read.
pub const MAX_FILE: u64 = 8 * 1024 * 1024;

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
    /// A symbolic link that leads elsewhere.
    #[error("cannot read {}: the link leads out of the policy repository", path.display())]
    Outside {
        /// Which.
        path: PathBuf,
    },
    /// The folder that was asked for is not there.
    #[error("cannot read {place}: there is no file or folder `{path}` in it")]
    Missing {
        /// Folder or repository.
        place: String,
        /// Which.
        path: String,
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
    #[error("cannot read {place}: it has more than {limit}; name what to leave alone in .backstayignore")]
    TooMuch {
        /// Folder or repository.
        place: String,
        /// Which limit, such as `10000 files`.
        limit: String,
    },
}

/// Content of a file, unless it is too long to be read.
#[derive(Clone, PartialEq, Eq)]
pub enum FileContent {
    /// All of it.
    Bytes(Vec<u8>),
    /// Longer than [`MAX_FILE`]: only its length in bytes.
    TooLong(u64),
}

impl FileContent {
    fn of(bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        if length > MAX_FILE { Self::TooLong(length) } else { Self::Bytes(bytes) }
    }
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::TooLong(length) => write!(f, "{length} bytes, too long"),
        }
    }
}

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder; links to folders are not.
    pub is_folder: bool,
}

/// Files by their paths from the top, `/` between names; `""` is the top.
pub trait Origin {
    /// A file; `None` where there is none.
    fn read(&self, path: &str) -> Result<Option<FileContent>, Error>;

    /// What is in a folder, sorted; `None` where there is none.
    fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>, Error>;
}

/// A folder of the file system.
#[derive(Debug)]
pub struct Folder<'a>(pub &'a Path);

impl Origin for Folder<'_> {
    fn read(&self, path: &str) -> Result<Option<FileContent>, Error> {
        let full = self.0.join(path);
        let failed = |source| Error::Read { path: full.clone(), source };
        let Ok(found) = fs::metadata(&full) else { return Ok(None) };
        if !found.is_file() {
            return Ok(None);
        }
        let (top, real) =
            (fs::canonicalize(self.0).map_err(failed)?, fs::canonicalize(&full).map_err(failed)?);
        if !real.starts_with(top) {
            return Err(Error::Outside { path: full });
        }
        if found.len() > MAX_FILE {
            return Ok(Some(FileContent::TooLong(found.len())));
        }
        Ok(Some(FileContent::Bytes(fs::read(&full).map_err(failed)?)))
    }

    fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>, Error> {
        let full = self.0.join(folder);
        let failed = |source| Error::Read { path: full.clone(), source };
        if !full.is_dir() {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(&full).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(Entry { name, is_folder: entry.file_type().map_err(failed)?.is_dir() });
        }
        entries.sort();
        Ok(Some(entries))
    }
}

/// The regular files of a commit.
pub struct Commit<'a> {
    tree: &'a dyn Tree,
    files: BTreeMap<String, Oid>,
}

impl<'a> Commit<'a> {
    /// Lists the commit's files.
    pub fn open(tree: &'a dyn Tree) -> Result<Self, Error> {
        Ok(Self { tree, files: tree.files("")? })
    }
}

impl Origin for Commit<'_> {
    fn read(&self, path: &str) -> Result<Option<FileContent>, Error> {
        let Some(blob) = self.files.get(path) else { return Ok(None) };
        let length = self.tree.size(blob)?;
        if length > MAX_FILE {
            return Ok(Some(FileContent::TooLong(length)));
        }
        Ok(Some(FileContent::of(self.tree.read(blob)?)))
    }

    fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>, Error> {
        Ok(listed(&self.files, folder))
    }
}

/// Files in memory.
#[derive(Debug)]
pub struct Memory(pub BTreeMap<String, Vec<u8>>);

impl Origin for Memory {
    fn read(&self, path: &str) -> Result<Option<FileContent>, Error> {
        Ok(self.0.get(path).cloned().map(FileContent::of))
    }

    fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>, Error> {
        Ok(listed(&self.0, folder))
    }
}

/// What paths say of a folder.
fn listed<T>(files: &BTreeMap<String, T>, folder: &str) -> Option<Vec<Entry>> {
    let under = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let inside = files.range(under.clone()..).map_while(|(path, _)| path.strip_prefix(&under));
    let mut entries: Vec<Entry> = Vec::new();
    for path in inside {
        let (name, is_folder) = path.split_once('/').map_or((path, false), |(name, _)| (name, true));
        let entry = Entry { name: name.to_owned(), is_folder };
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    entries.sort();
    entries.dedup();
    (folder.is_empty() || !entries.is_empty()).then_some(entries)
}
