//! What a command gives back: an exit code and a result to print.
//!
//! In: results · Out: `Done` · Touches: nothing

use std::io::{self, Write};

use crate::work::failure::Exit;

use super::print::{ErasedShow, Show};

/// The end of a command that has a result.
pub struct Done {
    /// Exit code.
    pub exit: Exit,
    /// What is printed.
    pub result: Box<dyn ErasedShow>,
}

impl Done {
    /// A result with an exit code.
    pub fn new(exit: Exit, result: impl Show + 'static) -> Self {
        Self { exit, result: Box::new(result) }
    }

    /// A result, exit code 0.
    pub fn fine(result: impl Show + 'static) -> Self {
        Self::new(Exit::Fine, result)
    }
}

/// A text that is the whole result.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl Show for Text {
    fn show(&self, out: &mut dyn Write, _quiet: bool) -> io::Result<()> {
        write!(out, "{}", self.0)
    }
}
