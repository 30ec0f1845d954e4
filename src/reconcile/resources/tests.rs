use std::cell::Cell;

use super::*;

/// How often it was tried, and how it ended, where the object is changed in between so many times.
async fn tried(changes: usize) -> (usize, bool) {
    let tries = Cell::new(0);
    let done = settled(async || {
        tries.set(tries.get() + 1);
        if tries.get() <= changes { Err(cluster::Error::Conflict("modified".into())) } else { Ok(()) }
    });
    let ended = done.await;
    (tries.get(), ended.is_ok())
}

#[tokio::test]
async fn what_changes_in_between_is_read_and_written_again_but_not_for_ever() {
    assert_eq!(tried(0).await, (1, true));
    assert_eq!(tried(2).await, (3, true));
    assert_eq!(tried(9).await, (ATTEMPTS, false));
}
