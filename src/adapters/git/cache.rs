//! Copies of remote repositories in a folder of this machine, one per address, for many processes at once.
//!
//! In: an address · Out: a bare repository nobody else fetches into · Touches: the file system

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use git2::{Repository, RepositoryInitOptions};
use sha2::{Digest, Sha256};

use super::failure;
use crate::ports::git::Error;

/// Longest wait for another process that fetches from the same remote.
const PATIENCE: Duration = Duration::from_mins(10);
const PAUSE: Duration = Duration::from_millis(20);
/// Loose objects in one of the 256 folders, and packs, at which a copy is thrown away and fetched anew.
const MOST_LOOSE: usize = 256;
const MOST_PACKS: usize = 100;

/// One remote's copy, which this process alone changes while it holds this.
///
/// A copy holds nothing that is not on the remote, but for commits that have not landed: it can always be deleted.
pub struct Copy {
    folder: PathBuf,
    users: PathBuf,
    _alone: File,
}

/// While it is held, nobody throws the copy away.
pub struct InUse(#[expect(dead_code, reason = "a lock")] File);

impl Copy {
    /// Waits until no other process fetches into the copy of this address.
    pub fn of(cache: &Path, url: &str) -> Result<Self, Error> {
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700).create(cache).map_err(|error| unusable(cache, &error))?;
        let digest = Sha256::digest(url.as_bytes());
        let name = digest.iter().take(16).fold(String::new(), |name, byte| format!("{name}{byte:02x}"));
        let lock = cache.join(format!("{name}.lock"));
        let alone = wait_for(&lock)?;
        let users = cache.join(format!("{name}.users"));
        Ok(Self { folder: cache.join(format!("{name}.git")), users, _alone: alone })
    }

    /// Marks the copy as used and opens it; makes it if there is none.
    pub fn open(&self) -> Result<(Repository, InUse), Error> {
        if self.has_grown() {
            self.throw_away()?;
        }
        let users = lock_file(&self.users)?;
        users.lock_shared().map_err(|error| unusable(&self.users, &error))?;
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false).initial_head("main");
        let repository = Repository::open_bare(&self.folder)
            .or_else(|_| Repository::init_opts(&self.folder, &options))
            .map_err(failure::local)?;
        Ok((repository, InUse(users)))
    }

    /// Deletes the copy if nobody uses it; says whether it did.
    pub fn throw_away(&self) -> Result<bool, Error> {
        let users = lock_file(&self.users)?;
        if users.try_lock().is_err() || !self.folder.exists() {
            return Ok(false);
        }
        fs::remove_dir_all(&self.folder).map_err(|error| unusable(&self.folder, &error))?;
        Ok(true)
    }

    /// Estimates as `git gc --auto` does: objects spread evenly.
    fn has_grown(&self) -> bool {
        let count = |folder: &str| fs::read_dir(self.folder.join(folder)).map_or(0, Iterator::count);
        count("objects/17") > MOST_LOOSE || count("objects/pack") > 2 * MOST_PACKS
    }
}

fn wait_for(lock: &Path) -> Result<File, Error> {
    let file = lock_file(lock)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(unusable(lock, &error)),
            Err(TryLockError::WouldBlock) if waited >= PATIENCE => {
                let lock = lock.display();
                return Err(Error::Local(format!("another process has held {lock} for ten minutes")));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
        waited += PAUSE;
    }
}

fn lock_file(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::Local(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_copy_that_has_grown_is_made_anew_once_nobody_uses_it() {
        let home = tempfile::TempDir::new().unwrap();
        let url = "https://git.example.com/mirror";
        let used = Copy::of(home.path(), url).unwrap().open().unwrap();
        let crowd = used.0.path().join("objects/17");
        fs::create_dir_all(&crowd).unwrap();
        for n in 0..=MOST_LOOSE {
            fs::write(crowd.join(n.to_string()), "").unwrap();
        }
        let also_used = Copy::of(home.path(), url).unwrap().open().unwrap();
        assert!(crowd.exists(), "it is in use");
        drop((used, also_used));
        // A process that another test is just starting has our locks until it runs its own program.
        let anew = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            drop(Copy::of(home.path(), url).unwrap().open().unwrap());
            !crowd.exists()
        });
        assert!(anew, "nobody uses it");
    }

    #[test]
    fn every_address_has_a_copy_of_its_own_that_only_its_owner_can_read() {
        let home = tempfile::TempDir::new().unwrap();
        let cache = home.path().join("cache");
        let (one, other) =
            (Copy::of(&cache, "https://a/b").unwrap(), Copy::of(&cache, "https://a/c").unwrap());
        assert_ne!(one.folder, other.folder);
        assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
