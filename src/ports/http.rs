//! The door to HTTP services that hooks ask.
//!
//! In: a request · Out: its status · Touches: nothing (a trait only)

use async_trait::async_trait;

use crate::domain::hook::HttpHook;

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
}

/// There was no answer. No message holds the address, a header or the body.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {0}")]
pub struct Unanswered(pub String);

/// Sends requests. Redirects are not followed.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends one request and waits for the answer.
    async fn call(&self, request: &HttpHook) -> Result<Answer, Unanswered>;
}
