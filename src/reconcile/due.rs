//! Decides when a policy runs: now, later, or never; and what was missed.
//!
//! In: schedule, what is dealt with, now · Out: `Verdict` · Touches: nothing

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::domain::policy::PolicySpec;
use crate::domain::schedule::{BadSchedule, Schedule};

/// Due times that are counted one by one; after a longer outage the number is this one.
pub const COUNTED: u64 = 1_000;

/// How far in the future a time that is dealt with may lie before the clock must have been wrong.
const TRUST: Duration = Duration::from_hours(24);

/// When a policy is due.
#[derive(Clone, Debug)]
pub struct Timing {
    schedule: Schedule,
    /// What is added to every due time, the same every time.
    offset: Duration,
    /// How late a run may start.
    deadline: Option<Duration>,
    suspended: bool,
}

/// What is known of earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// From when on the schedule counts.
    pub since: Timestamp,
    /// The newest due time that is dealt with.
    pub last_due: Option<Timestamp>,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is due. Runs before it are missed: only the newest one is made up for.
    Run {
        /// When, by the schedule, without jitter.
        due: Timestamp,
        /// Due times before it without a run; at most [`COUNTED`].
        missed: u64,
    },
    /// It was due and will not run: it is suspended, or too late.
    Pass {
        /// The newest due time, which is dealt with now.
        due: Timestamp,
        /// How many were missed, this one included; none while it is suspended.
        missed: u64,
    },
    /// Nothing until then; `None` for ever.
    Wait(Option<Timestamp>),
}

impl Timing {
    /// The timing of a policy; `None` where it runs on request only. `cluster` spreads a fleet that shares one policy.
    ///
    /// # Errors
    /// As [`Schedule::parse`].
    pub fn of(spec: &PolicySpec, name: &str, cluster: &str) -> Result<Option<Self>, BadSchedule> {
        let Some(text) = &spec.schedule else { return Ok(None) };
        let schedule = Schedule::parse(text, spec.time_zone.as_deref())?;
        let jitter = spec.jitter.map_or(0, crate::domain::duration::Duration::as_seconds);
        let offset = Duration::from_secs(share(&format!("{cluster}/{name}"), jitter));
        let deadline = spec.starting_deadline.map(crate::domain::duration::Duration::as_std);
        Ok(Some(Self { schedule, offset, deadline, suspended: spec.suspend }))
    }

    /// Decides. A clock that went back makes nothing run twice, unless it was more than a day in the future before.
    pub fn decide(&self, memory: Memory, now: Timestamp) -> Verdict {
        let base = base(memory, now);
        let reached = earlier(now, self.offset);
        let Some((due, missed)) = self.newest(base, reached) else {
            return Verdict::Wait(self.next(base.max(reached)).filter(|_| !self.suspended));
        };
        if self.suspended {
            return Verdict::Pass { due, missed: 0 };
        }
        let late = reached.duration_since(due).unsigned_abs();
        match self.deadline {
            Some(deadline) if late > deadline => Verdict::Pass { due, missed: missed + 1 },
            Some(_) | None => Verdict::Run { due, missed },
        }
    }

    /// When it runs next after a moment, jitter included.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next(after).map(|due| later(due, self.offset))
    }

    /// When a run of this due time should start.
    pub fn start(&self, due: Timestamp) -> Timestamp {
        later(due, self.offset)
    }

    /// The longest time between two of the next due times: how old the newest snapshot may get.
    pub fn period(&self, now: Timestamp) -> Option<Duration> {
        let mut at = self.schedule.next(now)?;
        let mut longest = Duration::ZERO;
        for _ in 0..64 {
            let next = self.schedule.next(at)?;
            longest = longest.max(next.duration_since(at).unsigned_abs());
            at = next;
        }
        Some(longest)
    }

    /// The newest due time in a span, its beginning left out, and how many came before it.
    fn newest(&self, after: Timestamp, until: Timestamp) -> Option<(Timestamp, u64)> {
        let counted = self.last_of(after, until, COUNTED)?;
        if counted.1 < COUNTED {
            return Some(counted);
        }
        let windows =
            [2, 48, 24 * 70, 24 * 366, 24 * 366 * 9].map(|hours| earlier(until, Duration::from_hours(hours)));
        let found = windows.into_iter().find_map(|from| self.last_of(from.max(after), until, u64::MAX));
        found.map(|(due, _)| (due, COUNTED))
    }

    fn last_of(&self, after: Timestamp, until: Timestamp, limit: u64) -> Option<(Timestamp, u64)> {
        let mut newest = self.schedule.next(after).filter(|due| *due <= until)?;
        let mut before = 0;
        while before < limit
            && let Some(next) = self.schedule.next(newest).filter(|due| *due <= until)
        {
            newest = next;
            before += 1;
        }
        Some((newest, before))
    }
}

/// Everything up to here is dealt with.
fn base(memory: Memory, now: Timestamp) -> Timestamp {
    let limit = later(now, TRUST);
    match memory.last_due {
        Some(last) if last > limit => now,
        Some(last) => last.max(memory.since.min(now)),
        None => memory.since.min(now),
    }
}

fn later(moment: Timestamp, length: Duration) -> Timestamp {
    moment.checked_add(length).unwrap_or(Timestamp::MAX)
}

fn earlier(moment: Timestamp, length: Duration) -> Timestamp {
    moment.checked_sub(length).unwrap_or(Timestamp::MIN)
}

/// A number up to this one, the same every time for one name.
fn share(name: &str, most: u64) -> u64 {
    let hash = Sha256::digest(name.as_bytes());
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    number % most.saturating_add(1)
}

#[cfg(test)]
mod tests;
