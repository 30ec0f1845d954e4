//! Reconciles until it is asked to stop: decides, acts, hears, tells. One loop owns everything that is at work.
//!
//! In: `App`, `Settings` · Out: statuses, snapshots, restores · Touches: through `App`

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc};

use super::act::Hands;
use super::board::Board;
use super::desk::{Desk, Settings};
use super::event::{Action, Event, Telling, Tone};
use super::hear::hear;
use super::lease::Watch;
use super::next::{next, pause};
use super::notice::{Known, Notices};
use super::tell::tell;
use super::trace::{loaded, traced};
use super::under::Under;
use crate::app::wiring::App;
use crate::domain::object::Json;
use crate::engine::retry::after;
use crate::engine::seal::age::Identities;
use crate::work::failure::Failure;
use crate::work::stop::Stop;

/// How long runs may go on once the process is asked to stop; then they are asked to end as well.
const DRAIN: Duration = Duration::from_mins(1);
/// How often it is looked whether there is something to tell.
const TELL: Duration = Duration::from_secs(1);
/// How long the last statuses may take to be written.
const LAST: Duration = Duration::from_secs(5);
/// How long they may take to end.
const END: Duration = Duration::from_secs(40);

/// What the reconciler is connected to besides the cluster.
pub struct Lines {
    /// What the pages show.
    pub board: Arc<Board>,
    /// Somebody says that the policy repository has changed.
    pub knocks: mpsc::Receiver<()>,
    /// Somebody asks the process to end.
    pub stop: Stop,
    /// Who is told of news outside of the cluster.
    pub receivers: Vec<Known>,
    /// What is shown of the policy repository; absent where there is none.
    pub repository: Option<Json>,
}

/// A replica at work.
struct Helm {
    desk: Desk,
    hands: Hands,
    identities: Arc<Identities>,
    work: FuturesUnordered<LocalBoxFuture<'static, Event>>,
    board: Arc<Board>,
    notices: Notices,
    /// Notices that are being sent.
    sending: usize,
    led: bool,
    /// Whether the leader is to be told that the policy repository has changed.
    knocked: bool,
    /// When it was last looked whether there is something to tell.
    told: Timestamp,
}

/// Works until it is asked to stop; then runs may finish for a minute, and the lead is left to another replica.
///
/// Losing the lead drops everything that is at work: nothing that was begun as leader goes on.
///
/// # Errors
/// Identities that cannot be read, or no cluster to connect to. Everything later is shown in statuses, events and metrics.
pub async fn run(app: Arc<App>, settings: Settings, mut lines: Lines) -> Result<(), Failure> {
    let identities = app.identities().map_err(|e| Failure::of(&e))?;
    app.cluster().await.map_err(|e| Failure::of(&e))?;
    let now = app.clock.now();
    let hands =
        Hands { replica: settings.replica.clone(), watch: Arc::new(Mutex::new(Watch::default())), app };
    let mut desk = Desk::new(settings, now);
    desk.repository_view = lines.repository.take();
    let notices = Notices::new(&desk.settings.cluster, std::mem::take(&mut lines.receivers));
    let mut helm = Helm {
        desk,
        hands,
        identities,
        work: FuturesUnordered::new(),
        board: lines.board.clone(),
        notices,
        sending: 0,
        led: false,
        knocked: false,
        told: Timestamp::MIN,
    };
    let mut draining: Option<Timestamp> = None;
    loop {
        let now = helm.hands.app.clock.now();
        if let Some(since) = draining {
            if helm.is_idle() || now >= after(since, DRAIN + END) {
                break;
            }
            if now >= after(since, DRAIN) {
                helm.end_runs();
            }
        }
        let wait = helm.look(now);
        let clock = helm.hands.app.clock.clone();
        tokio::select! {
            Some(event) = helm.work.next() => helm.take_in(event),
            () = clock.sleep(wait) => {}
            Some(()) = lines.knocks.recv() => helm.knock(),
            _ = lines.stop.before(std::future::pending::<()>()), if draining.is_none() => {
                tracing::info!("asked to stop: no new run begins");
                helm.desk.draining = true;
                draining = Some(helm.hands.app.clock.now());
            }
        }
    }
    helm.leave().await;
    Ok(())
}

impl Helm {
    /// Decides and begins everything that is due; gives back how long to wait.
    fn look(&mut self, now: Timestamp) -> Duration {
        self.check_seat(now);
        let leads = self.desk.leads(now);
        self.led = leads;
        let mut actions = next(&mut self.desk, now);
        // Statuses and pages may be a second late; what they are made of is not looked through after every event.
        if now >= after(self.told, TELL) || now < self.told {
            self.told = now;
            if leads {
                actions.extend(tell(&mut self.desk, now).into_iter().map(Action::Tell));
            } else if std::mem::take(&mut self.knocked) {
                actions.push(Action::Tell(Telling::Knock));
            }
            self.board.post(&self.desk, now);
        }
        for action in actions {
            self.begin(action);
        }
        pause(&self.desk, now)
    }

    /// Whoever leads now may be at the same work: it ends here, before anything else is heard.
    fn check_seat(&mut self, now: Timestamp) {
        if self.led && !self.desk.leads(now) {
            tracing::warn!("this replica leads no longer");
            self.work = FuturesUnordered::new();
            self.sending = 0;
            self.desk.step_down(now);
            self.desk.lead_at = Some(now);
            self.led = false;
        }
    }

    /// Somebody says that the policy repository has changed: the leader fetches it, another replica tells the leader, once a second
    /// at most.
    fn knock(&mut self) {
        if self.led {
            self.desk.knock();
        } else {
            self.knocked = true;
        }
    }

    fn begin(&mut self, action: Action) {
        let under = Under::of(&self.desk, &action);
        if let Action::Tell(Telling::Announce(news)) = &action {
            for notice in self.notices.of(news, self.hands.app.clock.now()) {
                let notify = Action::Tell(Telling::Notify(notice));
                self.work.push(traced(&self.hands, under.clone(), notify));
                self.sending += 1;
            }
            if news.tone == Tone::Quiet {
                return;
            }
        }
        self.work.push(traced(&self.hands, under, action));
    }

    fn take_in(&mut self, event: Event) {
        self.board.count(&event);
        if let Event::Notified(notice, told) = &event {
            self.sending = self.sending.saturating_sub(1);
            if told.is_err() {
                self.notices.failed(&notice.receiver, &notice.news);
            }
        }
        let now = self.hands.app.clock.now();
        self.check_seat(now);
        let before = self.desk.git.newest.clone();
        let actions = hear(&mut self.desk, event, &self.identities, now);
        let newest = self.desk.git.newest.as_ref();
        if newest.is_some_and(|newest| before.is_none_or(|before| !Arc::ptr_eq(&before, newest))) {
            loaded(&self.hands, now, &self.desk.git);
        }
        for action in actions {
            self.begin(action);
        }
    }

    fn is_idle(&self) -> bool {
        let runs = self.desk.policies.values().any(|policy| policy.run.is_some());
        !runs && self.sending == 0 && !self.desk.restores.values().any(|restore| restore.busy)
    }

    fn end_runs(&mut self) {
        for run in self.desk.policies.values_mut().filter_map(|policy| policy.run.as_mut()) {
            run.stopping = true;
            run.stop.send(true).ok();
        }
        for stop in self.desk.restores.values_mut().filter_map(|restore| restore.stop.take()) {
            stop.send(true).ok();
        }
    }

    /// Writes what is still to be written, and leaves the seat.
    async fn leave(&mut self) {
        let now = self.hands.app.clock.now();
        if !self.desk.leads(now) {
            return;
        }
        let until = after(now, LAST);
        self.desk.again.clear();
        loop {
            let now = self.hands.app.clock.now();
            for telling in tell(&mut self.desk, now) {
                self.begin(Action::Tell(telling));
            }
            let waits = self.desk.written.values().any(Option::is_none) || !self.desk.showing.is_empty();
            if !waits || now >= until {
                break;
            }
            let clock = self.hands.app.clock.clone();
            tokio::select! {
                Some(event) = self.work.next() => self.take_in(event),
                () = clock.sleep(Duration::from_secs(1)) => {}
            }
        }
        self.hands.leave().await;
        tracing::info!("the lead is left to another replica");
    }
}

#[cfg(test)]
mod followed;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod views;
#[cfg(test)]
mod world;
