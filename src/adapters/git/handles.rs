//! Open handles of one repository, so that many threads can use it.
//!
//! In: a folder · Out: handles · Touches: the file system

use std::path::PathBuf;
use std::sync::Mutex;

use git2::Repository;

use super::failure;
use crate::ports::git::Error;

/// A repository that many threads read and write; each borrows a handle of its own.
pub struct Handles {
    folder: PathBuf,
    free: Mutex<Vec<Repository>>,
}

impl Handles {
    /// Starts with one open handle.
    pub fn new(first: Repository) -> Self {
        Self { folder: first.path().to_owned(), free: Mutex::new(vec![first]) }
    }

    /// Runs something with a handle that nobody else has meanwhile.
    pub fn with<T>(&self, run: impl FnOnce(&Repository) -> Result<T, Error>) -> Result<T, Error> {
        let free = self.free.lock().ok().and_then(|mut free| free.pop());
        let handle = match free {
            Some(handle) => handle,
            None => Repository::open(&self.folder).map_err(failure::local)?,
        };
        let result = run(&handle);
        if let Ok(mut free) = self.free.lock() {
            free.push(handle);
        }
        result
    }
}
