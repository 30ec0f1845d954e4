//! The door to time and chance.
//!
//! In: nothing · Out: time stamps and random letters · Touches: nothing (traits only)

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Tells the time, waits, and draws the letters of a snapshot's name.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Returns after this length of time.
    async fn sleep(&self, length: Duration);

    /// Four random lower-case letters.
    fn letters(&self) -> String;
}
