//! The system's time, its timers and its random letters.
//!
//! In: nothing · Out: time stamps, letters · Touches: the system clock (the only room that does)

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rand::Rng;

use crate::ports::clock::Clock;

/// The clock on the wall.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the door that everybody else goes through")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }

    fn letters(&self) -> String {
        let mut chance = rand::thread_rng();
        (0..4).map(|_| char::from(chance.gen_range(b'a'..=b'z'))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_four_and_small() {
        let letters = SystemClock.letters();
        assert_eq!(letters.len(), 4);
        assert!(letters.chars().all(|c| c.is_ascii_lowercase()));
    }

    #[test]
    fn time_goes_on() {
        let before = SystemClock.now();
        assert!(SystemClock.now() >= before);
    }
}
