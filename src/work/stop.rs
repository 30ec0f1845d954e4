//! Ctrl-C and SIGTERM, for commands that have to put something in order before they end.
//!
//! In: a signal · Out: `Stop` · Touches: nothing

use std::future::Future;

use tokio::sync::watch;

/// Whether the command was asked to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// One end asks, the other hears it.
    pub fn pair() -> (watch::Sender<bool>, Self) {
        let (asks, hears) = watch::channel(false);
        (asks, Self(hears))
    }

    /// Nobody asks.
    pub fn never() -> Self {
        Self::pair().1
    }

    /// Does some work, or drops it where it stands and gives nothing, once the command is asked to stop.
    pub async fn before<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut hears = self.0.clone();
        let asked = async {
            if hears.wait_for(|asked| *asked).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = asked => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_until_somebody_asks_to_stop() {
        let (asks, stop) = Stop::pair();
        assert_eq!(stop.before(async { 1 }).await, Some(1));
        asks.send(true).unwrap();
        assert_eq!(stop.before(std::future::pending::<u8>()).await, None);
        assert_eq!(stop.before(async { 1 }).await, None);
        assert_eq!(Stop::never().before(async { 1 }).await, Some(1));
    }
}
