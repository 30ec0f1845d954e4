//! Turns errors into exit codes, messages and the next step.
//!
//! In: any error · Out: `Failure` · Touches: nothing

use std::error::Error;
use std::fmt;

use crate::app::{access, wiring};
use crate::domain::identity::short_cluster_name;
use crate::engine::policy::load::Invalid;
use crate::engine::seal::age;
use crate::ports::git;

/// How a command ends: DESIGN section 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for was done, or nothing is different.
    Fine,
    /// Something is different, or the outcome is Partial.
    Different,
    /// The command line or a document is wrong.
    Usage,
    /// It could not be done.
    Failed,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Different => 1,
            Self::Usage => 2,
            Self::Failed => 3,
        }
    }
}

/// Why a command has no result.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// The commit that is not signed by anybody who may, where that is why.
    pub distrusts: Option<String>,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// The command line or a document is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, distrusts: None, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// It could not be done; the error's chain is shown once.
    pub fn failed(error: &(dyn Error + 'static)) -> Self {
        Self { exit: Exit::Failed, ..Self::chain(error) }
    }

    /// It could not be done, for a reason of our own.
    pub fn stopped(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, ..Self::usage(message) }
    }

    /// Every problem of a policy repository.
    pub fn invalid(invalid: &Invalid) -> Self {
        let number = invalid.problems.len();
        let plural = if number == 1 { "" } else { "s" };
        Self::usage(format!("the policy repository has {number} problem{plural}\n{invalid}"))
    }

    /// The error of something encrypted; the next step is a private key where one is missing.
    pub fn closed(error: &(dyn Error + 'static)) -> Self {
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(cause) = next {
            if let Some(age::Error::NoIdentity | age::Error::WrongIdentity) = cause.downcast_ref() {
                return Self::failed(error).hint("name the file with the private key: --identity FILE");
            }
            next = cause.source();
        }
        Self::failed(error)
    }

    /// The error of a door: a usage error where a file or setting is wrong, else a failure.
    pub fn of(error: &wiring::Error) -> Self {
        match error {
            wiring::Error::BadName(name) => {
                let short = short_cluster_name(name).unwrap_or("NAME");
                Self::misused(error).hint(format!("give it a name of your own: --cluster-name {short}"))
            }
            wiring::Error::Access(access::Error::BinarySigners(file)) => Self::misused(error)
                .hint(format!("export the keys as text: gpg --export --armor > {}", file.display())),
            wiring::Error::Access(access::Error::NoSigners(_)) => {
                Self::misused(error).hint("put a file with keys there; what begins with a dot does not count")
            }
            wiring::Error::Git { source: git::Error::Signers { next: Some(next), .. }, .. } => {
                Self::misused(error).hint(*next)
            }
            wiring::Error::Git { source: git::Error::Untrusted { commit, .. }, .. } => {
                Self { distrusts: Some(commit.clone()), ..Self::failed(error) }
            }
            wiring::Error::Traces(traces) => Self::misused(error).hint(traces.next()),
            wiring::Error::Certificate(_) => Self::misused(error)
                .hint("name a file with certificates as PEM, or unset the variable to trust the system's"),
            wiring::Error::Git { source: git::Error::Signers { .. }, .. }
            | wiring::Error::Connect(_)
            | wiring::Error::NoName
            | wiring::Error::Access(_)
            | wiring::Error::Recipients { .. }
            | wiring::Error::Encrypt(_) => Self::misused(error),
            _ => Self::failed(error),
        }
    }

    /// Message, causes and next step in one line.
    pub fn line(&self) -> String {
        let parts = std::iter::once(&self.message).chain(&self.causes);
        let text = parts.map(String::as_str).collect::<Vec<_>>().join(": ");
        self.hint.as_ref().map_or(text.clone(), |hint| format!("{text}; {hint}"))
    }

    /// The error's chain as a usage error.
    pub fn misused(error: &(dyn Error + 'static)) -> Self {
        Self::chain(error)
    }

    fn chain(error: &(dyn Error + 'static)) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        Self { exit: Exit::Usage, distrusts: None, message: error.to_string(), causes, hint: None }
    }

    /// Adds what is to be known beside it.
    #[must_use]
    pub fn with(mut self, more: &[String]) -> Self {
        self.causes.extend_from_slice(more);
        self
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  because: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  next: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot list v1 Secret")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_failure_shows_its_chain_once_and_the_next_step() {
        let error = Outer(std::io::Error::other("forbidden"));
        let shown = Failure::failed(&error).hint("grant list on secrets").to_string();
        assert_eq!(
            shown,
            "error: cannot list v1 Secret\n  because: forbidden\n  next: grant list on secrets"
        );
    }

    #[test]
    fn exit_codes_are_those_of_the_design() {
        let codes = [Exit::Fine, Exit::Different, Exit::Usage, Exit::Failed].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3]);
    }
}
