//! The files that a kustomization may use.
//!
//! In: paths · Out: bytes and documents · Touches: nothing (a trait only)

use crate::engine::policy::node::{Fault, Node, Place};

use super::path::{NAMES, join};

/// Files of one commit or folder, by path from the top.
pub trait Shelf {
    /// A file's position and content; `None` where there is none. A file that is too long is a fault.
    fn file(&self, path: &str, asked: Place) -> Result<Option<(usize, &[u8])>, Fault>;

    /// The documents of a file, decrypted, with their places.
    fn documents(&self, path: &str) -> Result<Vec<Node>, Fault>;
}

/// The kustomization of a folder, if it has one.
///
/// # Errors
/// More than one.
pub fn kustomization(shelf: &dyn Shelf, folder: &str) -> Result<Option<(String, usize)>, Fault> {
    let mut found = Vec::new();
    for name in NAMES {
        let path = join(folder, name);
        if let Some((index, _)) = shelf.file(&path, Place::default())? {
            found.push((path, index));
        }
    }
    if let [_, (second, index), ..] = found.as_slice() {
        let place = Place { file: *index, ..Place::default() };
        let message = format!("there is a second kustomization in this folder: {} and {second}", found[0].0);
        return Err(Fault::new(place, message).help("keep one of them"));
    }
    Ok(found.pop())
}

/// The text of a file.
pub fn text<'s>(shelf: &'s dyn Shelf, path: &str, asked: Place) -> Result<(usize, &'s [u8]), Fault> {
    let missing = || Fault::new(asked, format!("there is no file `{path}` in the repository"));
    shelf.file(path, asked)?.ok_or_else(missing)
}
