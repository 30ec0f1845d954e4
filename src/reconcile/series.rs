//! What metrics are told apart by: names of documents in force, and words of our own enums.
//!
//! In: names · Out: label sets · Touches: nothing

use std::fmt::Debug;
use std::hash::Hash;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfPolicy {
    /// Its name.
    pub policy: String,
}

/// A location.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfLocation {
    /// Its name.
    pub location: String,
}

/// A policy at a location.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfBoth {
    /// Its name.
    pub policy: String,
    /// Its name.
    pub location: String,
}

/// A policy and how something went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PolicyOutcome {
    /// Its name.
    pub policy: String,
    /// How it went.
    pub outcome: Word,
}

/// A request and how it went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestOutcome {
    /// Its name.
    pub request: String,
    /// How it went.
    pub outcome: Word,
}

/// A revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfRevision {
    /// It.
    pub revision: String,
}

/// The version of the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfVersion {
    /// It.
    pub version: &'static str,
}

/// A word of one of our own enums.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word(String);

impl Word {
    /// The word.
    pub fn of(value: impl Debug) -> Self {
        Self(format!("{value:?}"))
    }
}

impl EncodeLabelValue for Word {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}
