//! Lets hooks that are at work come to an end: a command that was begun goes on when nobody listens any more.
//!
//! In: a wish to stop · Out: `Calm` · Touches: clock

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::ports::clock::Clock;

/// How often it is looked whether something has changed.
const PULSE: Duration = Duration::from_millis(100);

/// Whether hooks should end, and how many are at work.
#[derive(Debug, Default)]
pub struct Calm {
    stop: AtomicBool,
    busy: AtomicUsize,
}

/// One hook at work on one target, until it is dropped.
#[derive(Debug)]
pub struct Busy<'a>(&'a Calm);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Calm {
    /// Asks everything to end.
    pub fn ask(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Lets hooks run again: those that undo what was done.
    pub fn again(&self) {
        self.stop.store(false, Ordering::SeqCst);
    }

    /// Whether everything should end.
    pub fn is_asked(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Something is at work.
    pub fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self)
    }

    /// Ends once everything should end.
    pub async fn asked(&self, clock: &dyn Clock) {
        while !self.is_asked() {
            clock.sleep(PULSE).await;
        }
    }

    /// Ends once nothing is at work.
    pub async fn idle(&self, clock: &dyn Clock) {
        while self.busy.load(Ordering::SeqCst) > 0 {
            clock.sleep(PULSE).await;
        }
    }
}
