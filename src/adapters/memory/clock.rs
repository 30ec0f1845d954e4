//! A clock in memory: a second passes in a millisecond, and only while somebody waits for it.
//!
//! In: a first moment · Out: `FakeClock` · Touches: nothing

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::ports::clock::Clock;

/// How much faster than real time a wait is over.
const SPEED: u32 = 1_000;

/// Time that stands still until somebody sleeps. Waits that overlap pass together, in the order in which they end,
/// so that a time-out of one hour does not end before a pause of one second. Its letters are the same in every run.
#[derive(Debug)]
pub struct FakeClock(Mutex<(Timestamp, u32)>);

impl FakeClock {
    /// Starts at this moment.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new((now, 0)))
    }

    /// Moves time forward.
    pub fn advance(&self, length: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = later(state.0, length);
    }
}

fn later(moment: Timestamp, length: Duration) -> Timestamp {
    moment.checked_add(length).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    async fn sleep(&self, length: Duration) {
        let until = later(self.now(), length);
        tokio::time::sleep(length / SPEED).await;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.max(until);
    }

    fn letters(&self) -> String {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = state.1.wrapping_add(1);
        let mut seed = state.1.wrapping_mul(2_654_435_761);
        (0..4)
            .map(|_| {
                let letter = char::from(b'a' + u8::try_from(seed % 26).unwrap_or_default());
                seed /= 26;
                letter
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_that_overlap_pass_together() {
        let clock = FakeClock::at(Timestamp::UNIX_EPOCH);
        tokio::join!(clock.sleep(Duration::from_secs(2)), clock.sleep(Duration::from_secs(3)));
        assert_eq!(clock.now().as_second(), 3);
        assert_ne!(clock.letters(), clock.letters());
    }
}
