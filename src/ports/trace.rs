//! The door to whoever follows what was done and how long it took.
//!
//! In: pieces of work that ended · Out: nothing · Touches: nothing (a trait only)

use async_trait::async_trait;
use jiff::Timestamp;

/// A piece of work that has ended. Nothing in it is secret, and nothing is content of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// What was done, such as `backup`: one of a few words.
    pub name: &'static str,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it was done with, and what came of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it did not go well; absent where it did.
    pub failure: Option<String>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One text.
    Text(String),
    /// Several.
    Texts(Vec<String>),
    /// How many.
    Number(u64),
}

/// Takes spans.
#[async_trait]
pub trait Traces: Send + Sync {
    /// Takes a span. Never waits, never fails: what is too much is left out.
    fn tell(&self, span: Span);

    /// Passes on what is left, for a few seconds at most. What is told later is lost.
    async fn close(&self);
}
