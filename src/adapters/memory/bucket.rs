//! A bucket in memory that can be told to fail.
//!
//! In: keys and bytes · Out: bytes and listings · Touches: nothing outside the process

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::ports::bucket::{Bucket, Entry, Error, check_folder, check_key};

/// Object storage in memory. It passes the port's contract until a fault is asked for.
#[derive(Debug, Default)]
pub struct MemoryBucket(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    keys: BTreeMap<String, Bytes>,
    faults: Vec<Fault>,
    creates: u64,
    reads: u64,
}

/// What goes wrong; each stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Keys that end like this cannot be written.
    NoCreate(String),
    /// Keys that end like this cannot be read.
    NoRead(String),
    /// Keys that end like this are under object lock.
    Locked(String),
    /// Nothing can be listed.
    NoList,
    /// A key that ends like this is written, but the answer is lost and the caller sees that the key is taken.
    LostAnswer(String),
}

impl MemoryBucket {
    /// An empty bucket.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets something go wrong from now on.
    pub fn fail(&self, fault: Fault) {
        self.inside().faults.push(fault);
    }

    /// Lets everything go right again.
    pub fn mend(&self) {
        self.inside().faults.clear();
    }

    /// Every key, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.inside().keys.keys().cloned().collect()
    }

    /// How many creates have been asked for.
    pub fn creates(&self) -> u64 {
        self.inside().creates
    }

    /// How many reads have been asked for.
    pub fn reads(&self) -> u64 {
        self.inside().reads
    }

    /// Replaces or adds what stands under a key, as somebody with other tools could. `None` takes it away.
    pub fn put(&self, key: &str, content: Option<Vec<u8>>) {
        let mut inside = self.inside();
        match content {
            Some(content) => inside.keys.insert(key.to_owned(), content.into()),
            None => inside.keys.remove(key),
        };
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn check(&self, broken: impl Fn(&Fault) -> bool, error: Error) -> Result<(), Error> {
        if self.faults.iter().any(broken) { Err(error) } else { Ok(()) }
    }
}

#[async_trait]
impl Bucket for MemoryBucket {
    fn describe(&self) -> String {
        "memory".into()
    }

    async fn create(&self, key: &str, content: Bytes) -> Result<(), Error> {
        check_key(key)?;
        let mut inside = self.inside();
        inside.creates += 1;
        let broken = |fault: &Fault| matches!(fault, Fault::NoCreate(end) if key.ends_with(end.as_str()));
        inside.check(broken, Error::Unavailable("the disk is full".into()))?;
        if inside.keys.contains_key(key) {
            return Err(Error::AlreadyExists(key.to_owned()));
        }
        inside.keys.insert(key.to_owned(), content);
        let lost = |fault: &Fault| matches!(fault, Fault::LostAnswer(end) if key.ends_with(end.as_str()));
        inside.check(lost, Error::AlreadyExists(key.to_owned()))
    }

    async fn read(&self, key: &str) -> Result<Bytes, Error> {
        check_key(key)?;
        let mut inside = self.inside();
        inside.reads += 1;
        let broken = |fault: &Fault| matches!(fault, Fault::NoRead(end) if key.ends_with(end.as_str()));
        inside.check(broken, Error::Unavailable("the disk does not answer".into()))?;
        inside.keys.get(key).cloned().ok_or_else(|| Error::NotFound(key.to_owned()))
    }

    async fn list(&self, under: &str) -> Result<Vec<Entry>, Error> {
        let folder = check_folder(under)?;
        let inside = self.inside();
        inside
            .check(|fault| *fault == Fault::NoList, Error::Unavailable("the disk does not answer".into()))?;
        let within = |key: &str| key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let entries = inside.keys.iter().filter(|(key, _)| folder.is_empty() || within(key));
        let entry = |(key, content): (&String, &Bytes)| Entry {
            key: key.clone(),
            bytes: content.len() as u64,
            modified: None,
        };
        Ok(entries.map(entry).collect())
    }

    async fn folders(&self, under: &str) -> Result<Vec<String>, Error> {
        let folder = check_folder(under)?.to_owned();
        let depth = if folder.is_empty() { 0 } else { folder.len() + 1 };
        let entries = self.list(&folder).await?;
        let mut names: Vec<String> = entries
            .iter()
            .filter_map(|entry| entry.key[depth..].split_once('/').map(|(name, _)| name.to_owned()))
            .collect();
        names.dedup();
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), Error> {
        let mut inside = self.inside();
        for key in keys {
            check_key(key)?;
            let locked = |fault: &Fault| matches!(fault, Fault::Locked(end) if key.ends_with(end.as_str()));
            inside.check(locked, Error::Denied(format!("{key} is under object lock")))?;
            inside.keys.remove(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_keeps_the_contract_of_a_bucket() {
        crate::ports::bucket::contract::holds(&MemoryBucket::new()).await;
    }
}
