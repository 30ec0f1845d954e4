//! Turns YAML text into JSON trees and back, the same bytes for the same tree.
//!
//! Reading follows what `kubectl` users write: YAML 1.2 with the octal numbers of 1.1 (`defaultMode: 0644`), no
//! duplicate keys, bounded depth, size and aliases. Writing quotes whatever a YAML 1.1 reader would take for a number,
//! a date or a truth value, and gives text of many lines a literal block.
//!
//! In: text or JSON · Out: JSON or text · Touches: nothing

use std::thread;

use crate::domain::object::Json;

/// Why a text is not YAML that can be used. The text itself is not repeated: it may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read YAML at line {line}, column {column}: {message}")]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// Line in the whole text, from 1; 0 where it is not known.
    pub line: u64,
    /// Column, from 1; 0 where it is not known.
    pub column: u64,
}

impl From<&serde_saphyr::Error> for Error {
    fn from(error: &serde_saphyr::Error) -> Self {
        let place = error.location();
        let text = error.render_with_formatter(&serde_saphyr::DefaultMessageFormatter);
        let first = text.lines().next().unwrap_or_default();
        Self {
            message: first.rsplit_once(" at line ").map_or(first, |(message, _)| message).to_owned(),
            line: place.map_or(0, |p| p.line()),
            column: place.map_or(0, |p| p.column()),
        }
    }
}

/// The settings every YAML text is read with.
pub fn reading() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 200,
            max_nodes: 2_000_000,
            max_events: 8_000_000,
            max_documents: 100_000,
            max_total_scalar_bytes: 256 * 1024 * 1024,
        },
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// Reads a text with exactly one document.
pub fn parse(text: &str) -> Result<Json, Error> {
    with_stack(text, |text| serde_saphyr::from_str_with_options(text, reading()).map_err(|e| Error::from(&e)))
}

/// Reads every document of a text; empty ones are left out.
pub fn parse_all(text: &str) -> Result<Vec<Json>, Error> {
    with_stack(text, |text| {
        serde_saphyr::from_multiple_with_options(text, reading()).map_err(|e| Error::from(&e))
    })
}

/// Bytes of stack for reading what nests deep; only what is used is taken from memory.
const STACK: usize = 64 * 1024 * 1024;

/// Runs a reader with enough stack for the deepest text that [`reading`] allows.
///
/// Each level takes several calls, and 200 levels more than the stack of a worker thread, above all without optimisation.
pub fn with_stack<T: Send>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    if !may_nest_deep(text) {
        return read(text);
    }
    let lost = || Error { message: "there is not enough memory to read it".into(), line: 0, column: 0 };
    thread::scope(|scope| {
        let worker = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read(text));
        worker.map_err(|_| lost())?.join().map_err(|_| lost())?
    })
}

/// Whether a text might nest more than some 50 levels: every level costs indentation, a bracket or an anchor.
fn may_nest_deep(text: &str) -> bool {
    let indent = text.lines().map(|line| line.len() - line.trim_start_matches([' ', '-', '?']).len()).max();
    let marks = text.bytes().filter(|byte| b"[{&".contains(byte)).count();
    2 * indent.unwrap_or_default() + marks > 50
}

/// Writes a tree as one YAML document, keys in the tree's order, with a line end.
///
/// # Errors
/// Only for trees that are no document, such as ones deeper than the writer can go.
pub fn emit(tree: &Json) -> Result<String, Error> {
    let settings = serde_saphyr::ser_options! { folded_wrap_chars: 1_000_000_000 };
    serde_saphyr::to_string_with_options(tree, settings).map_err(|error| Error {
        message: error.to_string(),
        line: 0,
        column: 0,
    })
}

#[cfg(test)]
mod tests;
