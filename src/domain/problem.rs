//! What is wrong in a policy repository: the file, the line, the field, and what to do.
//!
//! In: places and field errors · Out: `Problem` · Touches: nothing

use std::fmt;

use serde::Serialize;

use super::field::FieldError;

/// One error in a file. Lines and columns count from 1; 0 means the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Path of the file, from the top of the repository.
    pub file: String,
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
    /// The field, such as `spec.locations[0]`; empty for a whole document or file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What is wrong, one lower-case clause.
    pub message: String,
    /// What to write instead, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Problem {
    /// A problem of a whole file.
    pub fn file(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            message: message.into(),
            help: None,
        }
    }

    /// A problem of the field an error names.
    pub fn field(file: &str, (line, column): (u64, u64), error: FieldError) -> Self {
        let FieldError { pointer, message, help } = error;
        Self { file: file.to_owned(), line, column, path: dotted(&pointer), message, help }
    }

    /// Puts it at a line and column.
    #[must_use]
    pub fn at(mut self, line: u64, column: u64) -> Self {
        (self.line, self.column) = (line, column);
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// `file:line:column: path: message`, and on a second line the help.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "\n  help: {help}"))
    }
}

/// A JSON pointer the way people write fields: `spec.locations[0]`, `metadata.labels["a/b"]`.
fn dotted(pointer: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut parts: Vec<String> = Vec::new();
    for segment in pointer.split('/').skip(1) {
        let key = segment.replace("~1", "/").replace("~0", "~");
        parts.push(match key.as_str() {
            "" => "[\"\"]".to_owned(),
            index if index.chars().all(|c| c.is_ascii_digit()) => format!("[{index}]"),
            name if !name.chars().all(plain) => format!("[{name:?}]"),
            name if parts.is_empty() => name.to_owned(),
            name => format!(".{name}"),
        });
    }
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_printed_with_place_field_and_help() {
        let error = FieldError::new("/spec/hooks/0/a~1b", "is odd").help("make it even");
        let problem = Problem::field("a/b.yaml", (3, 7), error);
        assert_eq!(problem.to_string(), "a/b.yaml:3:7: spec.hooks[0][\"a/b\"]: is odd\n  help: make it even");
        assert_eq!(Problem::file("c.yaml", "is too long").to_string(), "c.yaml: is too long");
    }
}
