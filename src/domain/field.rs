//! What is wrong with one field of a document.
//!
//! In: pointers and messages · Out: `FieldError` · Touches: nothing

use std::fmt;

/// What is wrong with one field, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field, relative to where the check began; `""` for the whole.
    pub pointer: String,
    /// One lower-case clause. Repeats no value that may be secret.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
}

impl FieldError {
    /// Says what is wrong with the field at a pointer.
    pub fn new(pointer: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { pointer: pointer.into(), message: message.to_string(), help: None }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same error seen from further out.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// The candidate a misspelt word was probably meant to be.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let score = |candidate: &str| strsim::jaro_winkler(&word, &candidate.to_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (score(candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_the_nearest_one_and_a_strange_one_none() {
        let fields = ["keepLast", "keepDaily", "ttl"];
        assert_eq!(closest("keepDayly", fields), Some("keepDaily"));
        assert_eq!(closest("KEEPLAST", fields), Some("keepLast"));
        assert_eq!(closest("colour", fields), None);
    }

    #[test]
    fn an_error_seen_from_further_out_has_a_longer_pointer() {
        let error = FieldError::new("/ttl", "is odd").help("write 30d").under("/spec/retention");
        assert_eq!(error.to_string(), "/spec/retention/ttl: is odd (write 30d)");
    }
}
