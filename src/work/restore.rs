//! Carries out a restore: once per token, resumed where it was interrupted, owners resumed however it ends.
//!
//! In: `Wanted`, `PolicySet` · Out: `Ended` · Touches: through `App`

use futures::future::select;

use crate::app::process;
use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::hook_report::HookReport;
use crate::domain::report::{OwnerAction, OwnerReport, RestoreReport};
use crate::domain::restore_run::RestoreRun;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::journal::{Book, Shelf};
use crate::engine::reach::Reach;
use crate::engine::recovery::hooked::undo;
use crate::engine::recovery::run::{self, Broken, Job, Log, run};
use crate::engine::recovery::turn::{self, Ticket, Turn, begin};
use crate::engine::restore::pause;

use super::failure::Failure;
use super::restore_job::prepare;
use super::stage::Stage;
use super::stop::Stop;
use super::wanted::Wanted;

/// How a restore ended.
pub enum Ended {
    /// The request was carried out with its token before.
    Before(Box<RestoreRun>),
    /// It was carried out.
    Now(Box<RestoreReport>),
}

/// Carries a restore out, its fixups after the waves. Owners that it pauses are resumed however it ends.
///
/// # Errors
/// Nothing was restored, or the restore was interrupted; the message says which.
pub async fn carry_out(
    app: &App,
    (set, wanted): (&PolicySet, &Wanted),
    (allowed, stop): (Deletions, &Stop),
    reach: &Reach<'_>,
) -> Result<Ended, Failure> {
    let begun = stop.before(Box::pin(set_out(app, (set, wanted), allowed, reach))).await;
    let begun = begun.ok_or_else(|| Failure::stopped("interrupted; nothing was restored"))?;
    let (job, mut log) = match begun? {
        Way::Done(run) => return Ok(Ended::Before(run)),
        Way::Open(job, log) => (job, log),
    };
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let stage = Stage::restore(set, &wanted.spec, &wanted.called)?;
    let hooks = stage.hooks(stage.doors(app, cluster, reach.progress));
    let ended = {
        let mut work = Box::pin(run(&job, (reach, Some(hooks)), &mut log));
        let ended = stop.before(&mut work).await;
        if ended.is_none() {
            // A command that was begun would go on, whatever is undone.
            hooks.doors.calm.ask();
            select(work, Box::pin(hooks.doors.calm.idle(reach.clock))).await;
            hooks.doors.calm.again();
        }
        ended
    };
    let Some(ended) = ended else {
        let owners = pause::resume(&job.pause, reach).await;
        let scaled = undo(hooks, *reach, &job.plan).await;
        return Err(interrupted(&owners, &scaled));
    };
    ended.map(|report| Ended::Now(Box::new(report))).map_err(|e| broken(&e))
}

/// What helps after a restore that could not end in order.
pub const AGAIN_AND_RESUME: &str = "run the same command again: it goes on where it stopped; or `backstay restore resume` for owners that are still paused";

fn broken(broken: &Broken) -> Failure {
    let failure = match &broken.error {
        run::Error::Pause(error) => Failure::failed(error).hint(error.next()),
        run::Error::Apply(error) => Failure::closed(error),
        error @ (run::Error::Hooks(_) | run::Error::Hook(..)) => {
            Failure::failed(error).hint("look at the hook, or restore with --no-hooks")
        }
    };
    let mut told = still_paused(&broken.owners);
    told.extend(undone(&broken.hooks));
    failure.with(&told)
}

/// What was scaled back, each with how it went.
fn undone(hooks: &[HookReport]) -> Vec<String> {
    hooks.iter().map(|hook| format!("hook {}: {:?}", hook.name, hook.outcome)).collect()
}

/// Owners that could not be resumed, each with the reason.
fn still_paused(owners: &[OwnerReport]) -> Vec<String> {
    let still = owners.iter().filter(|owner| owner.action == OwnerAction::StillPaused);
    let told = |owner: &OwnerReport| {
        format!("{} is still paused: {}", owner.key, owner.reason.as_deref().unwrap_or_default())
    };
    still.map(told).collect()
}

fn interrupted(owners: &[OwnerReport], hooks: &[HookReport]) -> Failure {
    let resumed = owners.iter().filter(|owner| owner.action == OwnerAction::Resumed).count();
    let text = match resumed {
        0 => "interrupted".to_owned(),
        1 => "interrupted; 1 owner resumed".to_owned(),
        some => format!("interrupted; {some} owners resumed"),
    };
    let mut told = still_paused(owners);
    told.extend(undone(hooks));
    let failure = Failure::stopped(text).with(&told);
    failure.hint("run the same command again: it goes on where it stopped")
}

/// Whether there is anything to do.
enum Way {
    /// The request was carried out with its token.
    Done(Box<RestoreRun>),
    /// A decided restore, and its journal.
    Open(Box<Job>, Box<Log>),
}

/// Whether a person has agreed to what `prune` deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletions {
    /// Somebody has.
    Allowed,
    /// Nobody has.
    Refused,
}

impl Deletions {
    fn check(self, plan: &RestorePlan) -> Result<(), Failure> {
        let surplus = plan.surplus.iter().flat_map(|surplus| &surplus.objects).map(|one| one.key.to_string());
        let named: Vec<String> = surplus.collect();
        match (self, named.split_first()) {
            (Self::Allowed, _) | (Self::Refused, None) => Ok(()),
            (Self::Refused, Some((first, others))) => {
                let more =
                    if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
                let text = format!("cannot prune without your word: it would delete {first}{more}");
                Err(Failure::usage(text).hint("look at all of them with `restore plan`, then say --yes"))
            }
        }
    }
}

/// Everything that is read and decided before anything of the restore is written. Named requests ask their journal first,
/// because it may hold the snapshot they began with.
async fn set_out(
    app: &App,
    (set, wanted): (&PolicySet, &Wanted),
    deletions: Deletions,
    reach: &Reach<'_>,
) -> Result<Way, Failure> {
    let early = match &wanted.request {
        Some(name) => match ours(app, name, wanted, reach).await? {
            Turn::Done(run) => return Ok(Way::Done(run)),
            Turn::Ours(ticket) => Some(*ticket),
        },
        None => None,
    };
    let pinned = early.as_ref().and_then(Ticket::pinned).map(str::to_owned);
    let job = prepare(app, (set, wanted), pinned.as_deref(), reach).await?;
    deletions.check(&job.plan)?;
    let name = wanted.name(job.state.pinned());
    let ticket = match early {
        Some(ticket) => ticket,
        None => match ours(app, &name, wanted, reach).await? {
            Turn::Done(run) => return Ok(Way::Done(run)),
            Turn::Ours(ticket) => *ticket,
        },
    };
    let run = fresh(&job, wanted, &ticket, app);
    let desk = (Shelf::of(Book::Restores, &name, &app.settings.namespace), process::this());
    let log = begin(reach, ticket, desk, run).await.map_err(|e| refused_turn(&e))?;
    Ok(Way::Open(Box::new(job), Box::new(log)))
}

async fn ours(app: &App, name: &str, wanted: &Wanted, reach: &Reach<'_>) -> Result<Turn, Failure> {
    let shelf = Shelf::of(Book::Restores, name, &app.settings.namespace);
    turn::turn(reach, &shelf, &wanted.ask(), &process::is_gone).await.map_err(|e| refused_turn(&e))
}

fn fresh(job: &Job, wanted: &Wanted, ticket: &Ticket, app: &App) -> RestoreRun {
    let name = wanted.name(job.state.pinned());
    RestoreRun {
        token: wanted.spec.token.clone(),
        digest: wanted.digest.clone(),
        pinned: job.state.pinned().map(str::to_owned),
        notes: ticket.notes(),
        ..RestoreRun::new(name, &job.plan.source, job.plan.waves.len(), app.clock.now())
    }
}

fn refused_turn(error: &turn::Error) -> Failure {
    match error {
        turn::Error::Held { request, .. } => Failure::failed(error)
            .hint(format!("watch it with `backstay restore status {request} --watch`, or end it: backstay restore cancel {request}")),
        turn::Error::Journal(_) => Failure::failed(error)
            .hint("the account needs get, create and patch on ConfigMaps in Backstay's namespace (--namespace)"),
    }
}
