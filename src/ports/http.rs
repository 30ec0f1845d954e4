//! The door to HTTP services that hooks ask and people are told by.
//!
//! In: a request · Out: its status · Touches: nothing (a trait only)

use std::collections::BTreeMap;

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

/// A JSON text for somebody. Address and headers are secrets.
#[derive(Clone, PartialEq)]
pub struct Post {
    /// Address.
    pub url: String,
    /// Headers by name.
    pub headers: BTreeMap<String, String>,
    /// The text.
    pub body: String,
    /// Certificate authorities, as PEM; absent: the system's.
    pub authorities: Option<String>,
}

/// Sends requests. Redirects are not followed.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends one request and waits for the answer.
    async fn call(&self, request: &HttpHook) -> Result<Answer, Unanswered>;

    /// Sends a JSON text and waits for the answer.
    async fn post(&self, post: &Post) -> Result<Answer, Unanswered>;
}
