//! Runs heavy computing beside the event loop: serialize, compress, encrypt, hash.
//!
//! In: a function · Out: its result · Touches: nothing

/// Runs a function on the pool for blocking work and waits for its result.
///
/// Dropping the future does not end the function, but nobody sees its result then. A panic goes on in the caller.
pub async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await, // the runtime is shutting down, so this future goes as well
        },
    }
}
