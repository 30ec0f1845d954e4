//! A clock in memory: a second passes in a millisecond, and only while somebody waits for it.
//!
//! In: a first moment · Out: `FakeClock` · Touches: nothing

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::ports::clock::Clock;

/// How much faster than real time a wait is over.
const SPEED: u32 = 1_000;

/// Time that stands still until somebody sleeps. Sleeps end in the order of their ends, however long anything else took
/// meanwhile: time never passes over the end of a sleep, so that a time-out of one hour does not end before a pause of one
/// second. Its letters are the same in every run.
#[derive(Debug)]
pub struct FakeClock {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    /// The real moment at which time last moved.
    moved: Instant,
    /// Who sleeps: the end of each sleep, and a number that keeps two with the same end apart.
    sleepers: BTreeSet<(Timestamp, u64)>,
    slept: u64,
    letters: u32,
}

/// A sleep; whoever gives it up no longer holds time back.
struct Sleeper<'a> {
    clock: &'a FakeClock,
    /// The end, and the number.
    key: (Timestamp, u64),
    /// The real moment at which it began.
    since: Instant,
}

impl FakeClock {
    /// Starts at this moment.
    pub fn at(now: Timestamp) -> Self {
        let sleepers = BTreeSet::new();
        let state = State { now, moved: Instant::now(), sleepers, slept: 0, letters: 0 };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Moves time forward.
    pub fn advance(&self, length: Duration) {
        let mut state = self.state();
        state.now = later(state.now, length);
        state.moved = Instant::now();
        drop(state);
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleeper(&self, length: Duration) -> Sleeper<'_> {
        let mut state = self.state();
        state.slept += 1;
        let key = (later(state.now, length), state.slept);
        state.sleepers.insert(key);
        Sleeper { clock: self, key, since: Instant::now() }
    }
}

/// What a sleeper has to wait for.
enum Wait {
    Over,
    Until(Instant),
    Change,
}

impl Sleeper<'_> {
    /// Moves time to its end where it is its turn.
    fn look(&self) -> Wait {
        let mut state = self.clock.state();
        if state.now >= self.key.0 {
            return Wait::Over;
        }
        if state.sleepers.first() != Some(&self.key) {
            return Wait::Change;
        }
        let left = Duration::try_from(self.key.0.duration_since(state.now)).unwrap_or_default();
        let turn = state.moved.max(self.since) + left / SPEED;
        if Instant::now() < turn {
            return Wait::Until(turn);
        }
        state.now = self.key.0;
        state.moved = Instant::now();
        Wait::Over
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.clock.state().sleepers.remove(&self.key);
        self.clock.changed.notify_waiters();
    }
}

fn later(moment: Timestamp, length: Duration) -> Timestamp {
    moment.checked_add(length).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    async fn sleep(&self, length: Duration) {
        let sleeper = self.sleeper(length);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match sleeper.look() {
                Wait::Over => return,
                Wait::Change => changed.await,
                Wait::Until(turn) => {
                    tokio::select! {
                        () = sleep_until(turn) => {}
                        () = changed => {}
                    }
                }
            }
        }
    }

    fn letters(&self) -> String {
        let mut state = self.state();
        state.letters = state.letters.wrapping_add(1);
        let mut seed = state.letters.wrapping_mul(2_654_435_761);
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

    #[tokio::test]
    async fn time_never_passes_over_the_end_of_a_sleep() {
        let clock = FakeClock::at(Timestamp::UNIX_EPOCH);
        let seconds = async {
            let mut seen = Vec::new();
            for _ in 0..5 {
                clock.sleep(Duration::from_secs(1)).await;
                // Work that takes longer than the clock needs for two seconds.
                std::thread::sleep(Duration::from_millis(5));
                seen.push(clock.now().as_second());
            }
            seen
        };
        let pairs = async {
            for _ in 0..3 {
                clock.sleep(Duration::from_secs(2)).await;
            }
            clock.now().as_second()
        };
        assert_eq!(tokio::join!(seconds, pairs), (vec![1, 2, 3, 4, 5], 6));
    }

    #[tokio::test]
    async fn a_sleep_that_is_given_up_holds_nothing_back() {
        let clock = FakeClock::at(Timestamp::UNIX_EPOCH);
        tokio::select! {
            () = clock.sleep(Duration::from_secs(1)) => {}
            () = std::future::ready(()) => {}
        }
        clock.sleep(Duration::from_secs(3)).await;
        assert_eq!(clock.now().as_second(), 3);
    }
}
