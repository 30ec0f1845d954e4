//! A bucket over the `object_store` library, with limits of time of its own.
//!
//! In: keys and bytes · Out: bytes and listings · Touches: S3, Azure, Google Cloud, a folder

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use ::object_store::local::LocalFileSystem;
use ::object_store::path::Path;
use ::object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};

use super::failure::{Place, explain, timed_out};
use crate::ports::bucket::{Bucket, Entry, Error, check_folder, check_key};

/// How long one answer may take, retries included.
const PATIENCE: Duration = Duration::from_mins(1);
/// The slowest line that is waited for, in bytes a second.
const SLOWEST: u64 = 128 * 1024;
/// More than any file Backstay writes.
const LARGEST: u64 = 2 << 30;

/// A prefix in object storage, or a folder.
pub struct StoredBucket {
    back: Back,
    prefix: Path,
    place: Place,
}

/// Where the keys are.
enum Back {
    /// Over the network.
    Remote(Arc<dyn ObjectStore>),
    /// In a folder, which is made with the first key.
    Folder(PathBuf),
}

impl StoredBucket {
    pub(super) fn remote(store: Arc<dyn ObjectStore>, prefix: Path, place: Place) -> Self {
        Self { back: Back::Remote(store), prefix, place }
    }

    pub(super) fn folder(folder: PathBuf, place: Place) -> Self {
        Self { back: Back::Folder(folder), prefix: Path::default(), place }
    }

    /// The library's store; `None` for a folder that does not exist.
    fn store(&self) -> Result<Option<Arc<dyn ObjectStore>>, Error> {
        let folder = match &self.back {
            Back::Remote(store) => return Ok(Some(store.clone())),
            Back::Folder(folder) => folder,
        };
        match std::fs::metadata(folder) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(Error::Unavailable(format!("{}: it is not a folder", self.place.url))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::Unavailable(format!("{}: {error}", self.place.url))),
        }
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| self.explain(&error, ""))?;
        Ok(Some(Arc::new(store.with_fsync(true).with_automatic_cleanup(true))))
    }

    fn make_folder(&self) -> Result<(), Error> {
        let Back::Folder(folder) = &self.back else { return Ok(()) };
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::Unavailable(format!("cannot make the folder {}: {error}", folder.display()))
        })
    }

    fn path(&self, key: &str) -> Result<Path, Error> {
        check_key(key)?;
        self.below(key)
    }

    fn below(&self, key: &str) -> Result<Path, Error> {
        let under = Path::parse(key).map_err(|_| Error::BadKey(key.to_owned()))?;
        Ok(self.prefix.parts().chain(under.parts()).collect())
    }

    /// The key of a path the library gave, or `None` for one that is not below the prefix.
    fn key(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.prefix)?.collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    }

    fn explain(&self, error: &StoreError, key: &str) -> Error {
        explain(error, key, &self.place)
    }

    async fn in_time<T>(
        &self,
        bytes: u64,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Result<T, StoreError>, Error> {
        let patience = PATIENCE + Duration::from_secs(bytes / SLOWEST);
        tokio::time::timeout(patience, call).await.map_err(|_| timed_out(&self.place, patience.as_secs()))
    }
}

#[async_trait]
impl Bucket for StoredBucket {
    fn describe(&self) -> String {
        self.place.url.clone()
    }

    async fn create(&self, key: &str, content: Bytes) -> Result<(), Error> {
        let path = self.path(key)?;
        self.make_folder()?;
        let store = self.store()?.ok_or_else(|| Error::Unavailable(format!("{} is gone", self.place.url)))?;
        let size = content.len() as u64;
        let put = store.put_opts(&path, content.into(), PutMode::Create.into());
        self.in_time(size, put).await?.map(|_| ()).map_err(|error| self.explain(&error, key))
    }

    async fn read(&self, key: &str) -> Result<Bytes, Error> {
        let path = self.path(key)?;
        let store = self.store()?.ok_or_else(|| Error::NotFound(key.to_owned()))?;
        let found = self.in_time(0, store.get(&path)).await?.map_err(|error| self.explain(&error, key))?;
        let size = found.meta.size;
        if size > LARGEST {
            return Err(Error::Unavailable(format!("{key} has {size} bytes, more than Backstay writes")));
        }
        self.in_time(size, found.bytes()).await?.map_err(|error| self.explain(&error, key))
    }

    async fn list(&self, under: &str) -> Result<Vec<Entry>, Error> {
        let folder = self.below(check_folder(under)?)?;
        let Some(store) = self.store()? else { return Ok(Vec::new()) };
        let mut found = store.list(Some(&folder));
        let mut entries = Vec::new();
        while let Some(meta) =
            self.in_time(0, found.try_next()).await?.map_err(|error| self.explain(&error, under))?
        {
            let key = self.key(&meta.location).filter(|key| check_key(key).is_ok());
            let modified = Timestamp::from_second(meta.last_modified.timestamp()).ok();
            entries.extend(key.map(|key| Entry { key, bytes: meta.size, modified }));
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    async fn folders(&self, under: &str) -> Result<Vec<String>, Error> {
        let folder = self.below(check_folder(under)?)?;
        let Some(store) = self.store()? else { return Ok(Vec::new()) };
        let listing = self.in_time(0, store.list_with_delimiter(Some(&folder))).await?;
        let listing = listing.map_err(|error| self.explain(&error, under))?;
        let names = listing.common_prefixes.iter().filter_map(|path| path.filename().map(ToOwned::to_owned));
        let mut names: Vec<String> = names.filter(|name| check_key(name).is_ok()).collect();
        names.sort();
        Ok(names)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), Error> {
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<_>, _>>()?;
        let Some(store) = self.store()? else { return Ok(()) };
        if paths.is_empty() {
            return Ok(());
        }
        let mut answers = store.delete_stream(futures::stream::iter(paths.into_iter().map(Ok)).boxed());
        let mut failed = None;
        while let Some(answer) =
            self.in_time(0, async { Ok(answers.next().await) }).await?.unwrap_or_default()
        {
            match answer.map_err(|error| self.explain(&error, &keys[0])) {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
