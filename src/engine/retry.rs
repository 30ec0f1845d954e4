//! Tries a call to the API server again while that makes sense, longer and longer apart, up to a deadline.
//!
//! In: a call · Out: its last answer · Touches: clock

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::ports::clock::Clock;
use crate::ports::cluster::{Error, Retry};

/// How long calls are tried again, and how far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Pause after the first failure; it doubles with every further one.
    pub first: Duration,
    /// The longest pause that is not asked for by the server.
    pub most: Duration,
    /// From the first failure until no further attempt is made.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            most: Duration::from_secs(10),
            total: Duration::from_mins(2),
        }
    }
}

/// An answer, and how many attempts it took.
#[derive(Debug)]
pub struct Answer<T> {
    /// What the last attempt gave.
    pub result: Result<T, Error>,
    /// From 1. More than one means that an earlier write may have been carried out without an answer.
    pub attempts: u32,
    /// Whether the server could not answer one of them, or asked to come back later.
    pub pressed: bool,
}

/// Repeats a call that failed with 429, 5xx, a conflict or a lost connection.
///
/// A `Retry-After` of the server is waited for, where the deadline allows it. An expired list is not repeated: its
/// caller has to start over.
pub async fn persist<T>(
    clock: &dyn Clock,
    patience: Patience,
    mut call: impl AsyncFnMut() -> Result<T, Error>,
) -> Answer<T> {
    let mut pace = Pace::new(patience);
    let (mut attempts, mut pressed) = (0, false);
    loop {
        attempts += 1;
        let result = call().await;
        let Err(error) = &result else { return Answer { result, attempts, pressed } };
        pressed |= matches!(error, Error::Busy { .. });
        let Some(pause) = pace.pause(clock.now(), error) else { return Answer { result, attempts, pressed } };
        clock.sleep(pause).await;
    }
}

/// The pauses between attempts, for callers that repeat a call themselves.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    patience: Patience,
    pause: Duration,
    deadline: Option<Timestamp>,
}

impl Pace {
    /// Nothing has failed yet.
    pub fn new(patience: Patience) -> Self {
        Self { patience, pause: patience.first, deadline: None }
    }

    /// How long to wait after this failure; `None` when another attempt makes no sense.
    pub fn pause(&mut self, now: Timestamp, error: &Error) -> Option<Duration> {
        let deadline = *self.deadline.get_or_insert_with(|| after(now, self.patience.total));
        let wait = asked(error).unwrap_or(self.pause);
        if !worth_it(error) || after(now, wait) > deadline {
            return None;
        }
        self.pause = (self.pause * 2).min(self.patience.most);
        Some(wait)
    }
}

/// The moment so long after another.
pub fn after(now: Timestamp, length: Duration) -> Timestamp {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    now.checked_add(length).unwrap_or(Timestamp::MAX)
}

fn worth_it(error: &Error) -> bool {
    match error {
        Error::Expired { .. } => false,
        Error::Unreachable(_) => true,
        other => other.retry() == Retry::Soon,
    }
}

fn asked(error: &Error) -> Option<Duration> {
    if let Error::Busy { after, .. } = error { *after } else { None }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;

    struct Still(Mutex<(Timestamp, Vec<u128>)>);

    #[async_trait]
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            self.0.lock().unwrap().0
        }

        async fn sleep(&self, length: Duration) {
            let mut state = self.0.lock().unwrap();
            state.0 = after(state.0, length);
            state.1.push(length.as_millis());
        }

        fn letters(&self) -> String {
            "aaaa".into()
        }
    }

    fn run(answers: Vec<Result<u32, Error>>) -> (String, Vec<u128>) {
        let clock = Still(Mutex::new((Timestamp::UNIX_EPOCH, Vec::new())));
        let mut answers = answers.into_iter();
        let patience = Patience { total: Duration::from_secs(5), ..Patience::default() };
        let answer = futures::executor::block_on(persist(&clock, patience, async || answers.next().unwrap()));
        let shown = match answer.result {
            Ok(value) => format!("{value} after {}", answer.attempts),
            Err(error) => format!("{error} after {}", answer.attempts),
        };
        (shown, clock.0.into_inner().unwrap().1)
    }

    fn busy(after: Option<u64>) -> Result<u32, Error> {
        Err(Error::Busy { reason: "etcd".into(), after: after.map(Duration::from_secs) })
    }

    #[test]
    fn pauses_double_and_what_the_server_asks_for_is_kept() {
        let lost = Err(Error::Unreachable("reset".into()));
        let (shown, pauses) = run(vec![lost, busy(None), busy(Some(1)), Ok(7)]);
        assert_eq!((shown.as_str(), pauses), ("7 after 4", vec![200, 400, 1000]));
    }

    #[test]
    fn what_will_not_change_is_asked_once() {
        for error in
            [Error::Forbidden("no".into()), Error::Invalid("spec".into()), Error::NotFound("x".into())]
        {
            let (shown, pauses) = run(vec![Err(error)]);
            assert!(shown.ends_with("after 1") && pauses.is_empty(), "{shown}");
        }
    }

    #[test]
    fn the_deadline_ends_it() {
        let (shown, pauses) = run(std::iter::repeat_with(|| busy(None)).take(9).collect());
        assert_eq!(shown, "the API server cannot answer now: etcd after 5");
        assert_eq!(pauses, [200, 400, 800, 1600]);
    }

    #[test]
    fn a_server_that_asks_for_more_than_the_deadline_is_not_waited_for() {
        assert_eq!(run(vec![busy(Some(60))]).1, Vec::<u128>::new());
    }
}
