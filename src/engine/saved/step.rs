//! Reads the wanted objects of one part, a step at a time.
//!
//! In: a part that was opened, what the index says of its objects · Out: objects · Touches: nothing

use std::collections::HashMap;

use crate::domain::object::{Json, Manifest, ObjectKey};
use crate::engine::archive::part::{self, PartReader};

/// How much JSON is decoded at a time.
const STEP_BYTES: usize = 1 << 20;

/// An object of a state with its position in it.
pub type Read = (usize, Manifest);

/// What the index says of an object.
pub struct Expected {
    /// Its position in the state.
    pub at: usize,
    /// Identity.
    pub key: ObjectKey,
    /// Digest of its content, in hex.
    pub sha256: String,
}

/// A part that is being read, and the objects that are still wanted of it, by path.
pub struct Step {
    reader: PartReader,
    left: HashMap<String, Expected>,
}

/// Why a part gives no more objects.
pub enum Failure {
    /// The part itself is broken.
    Part(part::Error),
    /// An object is missing, changed, or another one than the index says.
    Object(ObjectKey, String),
}

impl Step {
    /// At the start of a part; `left` is what is wanted of it, by path.
    pub fn new(reader: PartReader, left: HashMap<String, Expected>) -> Self {
        Self { reader, left }
    }

    /// Whether nothing more is wanted of the part.
    pub fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Decodes the next objects, about [`STEP_BYTES`] of them.
    pub fn decode(mut self) -> (Self, Result<Vec<Read>, Failure>) {
        let result = self.next_batch();
        (self, result)
    }

    fn next_batch(&mut self) -> Result<Vec<Read>, Failure> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while !self.left.is_empty() && bytes < STEP_BYTES {
            let found = self.reader.next(|path| self.left.contains_key(path)).map_err(Failure::Part)?;
            let Some((path, content)) = found else { break };
            let Some(expected) = self.left.remove(&path) else { continue };
            bytes += content.len();
            batch.push((expected.at, parse(&expected, &content)?));
        }
        match self.left.values().min_by(|a, b| a.key.cmp(&b.key)) {
            Some(missing) if batch.is_empty() => {
                Err(Failure::Object(missing.key.clone(), "it is not there".into()))
            }
            _ => Ok(batch),
        }
    }
}

fn parse(expected: &Expected, content: &[u8]) -> Result<Manifest, Failure> {
    object(&expected.key, &expected.sha256, content)
        .map_err(|reason| Failure::Object(expected.key.clone(), reason))
}

/// Turns the bytes of an object into a manifest, if they are the ones the index means.
///
/// # Errors
/// Says what is wrong with them; nothing of the content is repeated.
pub fn object(key: &ObjectKey, sha256: &str, content: &[u8]) -> Result<Manifest, String> {
    if part::sha256(content) != sha256 {
        return Err("its digest is not the one in the index".into());
    }
    let tree: Json = serde_json::from_slice(content).map_err(|_| "it is no JSON".to_owned())?;
    let manifest = Manifest::parse(tree).map_err(|error| error.to_string())?;
    let found = manifest.key();
    if found == *key { Ok(manifest) } else { Err(format!("it is {found}")) }
}

#[cfg(test)]
mod tests;
