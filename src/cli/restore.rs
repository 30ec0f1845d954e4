//! `restore plan` and `restore apply`.
//!
//! In: a request by name, or options · Out: plan with preview, `RestoreReport` · Touches: through `App`

use futures::future::select;

use crate::app::process;
use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::hook_report::HookReport;
use crate::domain::report::{Outcome, OwnerAction, OwnerReport, Phase};
use crate::domain::restore_run::RestoreRun;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::journal::{self, Book, Shelf};
use crate::engine::mend::fixups;
use crate::engine::reach::{Progress, Reach, Silent};
use crate::engine::recovery::hooked::{self, undo};
use crate::engine::recovery::run::{self, Broken, Job, Log, run};
use crate::engine::recovery::turn::{self, Ticket, Turn, begin};
use crate::engine::restore::{pause, preview};

use super::done::Done;
use super::doors::reach;
use super::failure::{Exit, Failure};
use super::hooks_stage::Stage;
use super::print::count;
use super::progress::Bar;
use super::repository;
use super::restore_args::{ApplyArgs, RestoreArgs};
use super::restore_job::{marks, prepare};
use super::restore_runs::Ran;
use super::restore_spec::{Wanted, wanted};
use super::show_hooks::ListedHook;
use super::show_plan::Shown;
use super::stop::Stop;

/// Shows what a restore would do; exit code 1 when that is anything.
pub async fn plan(app: &App, args: &RestoreArgs) -> Result<Done, Failure> {
    let reach = reach(app, &Silent).await?;
    let set = repository::load(app).await?;
    let wanted = wanted(&set, args)?;
    let mut job = prepare(app, (&set, &wanted), None, &reach).await?;
    job.plan.notes.extend(known(app, &wanted, &job, &reach).await);
    let marks = marks(&set)?;
    let looked = preview::preview(&job.plan, &job.state, &marks, &reach).await;
    let preview = looked.map_err(|e| Failure::closed(&e))?;
    let fixups = fixups::preview(&job.fixups, &reach).await;
    let hooks = listed(app, (&set, &wanted), &job.plan).await?;
    let shown = Shown { plan: job.plan, owners: job.pause, preview, hooks, fixups };
    Ok(Done::new(if shown.changes_nothing() { Exit::Fine } else { Exit::Different }, shown))
}

/// The hooks that the restore would run, and for whom as the cluster is now.
async fn listed(
    app: &App,
    (set, wanted): (&PolicySet, &Wanted),
    plan: &RestorePlan,
) -> Result<Vec<ListedHook>, Failure> {
    let stage = Stage::restore(set, &wanted.spec, &wanted.called)?;
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let hooks = stage.hooks(stage.doors(app, cluster, &Silent));
    let planned = hooked::preview(hooks, plan).await.map_err(Failure::stopped)?;
    Ok(planned.iter().map(|(when, planned)| ListedHook::of(planned, *when)).collect())
}

/// Carries a restore out, its fixups after the waves. Owners that it pauses are resumed however it ends.
pub async fn apply(app: &App, args: &ApplyArgs, progress: bool, stop: &Stop) -> Result<Done, Failure> {
    let bar = progress.then(Bar::default);
    let heard: &dyn Progress = match &bar {
        Some(bar) => bar,
        None => &Silent,
    };
    let reach = Reach { concurrency: usize::from(args.concurrency), ..reach(app, heard).await? };
    let set = repository::load(app).await?;
    let wanted = wanted(&set, &args.restore)?;
    let allowed = if args.yes { Deletions::Allowed } else { Deletions::Refused };
    let begun = stop.before(Box::pin(set_out(app, (&set, &wanted), allowed, &reach))).await;
    let begun = begun.ok_or_else(|| Failure::stopped("interrupted; nothing was restored"))?;
    let (job, mut log) = match begun? {
        Way::Done(run) => return Ok(Done::new(exit(run.outcome), Ran::again(*run))),
        Way::Open(job, log) => (job, log),
    };
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let stage = Stage::restore(&set, &wanted.spec, &wanted.called)?;
    let hooks = stage.hooks(stage.doors(app, cluster, heard));
    let ended = {
        let mut work = Box::pin(run(&job, (&reach, Some(hooks)), &mut log));
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
        let owners = pause::resume(&job.pause, &reach).await;
        let scaled = undo(hooks, reach, &job.plan).await;
        drop(bar);
        return Err(interrupted(&owners, &scaled));
    };
    drop(bar);
    let report = ended.map_err(|e| broken(&e))?;
    Ok(Done::new(exit(Some(report.outcome)), report))
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
        some => format!("interrupted; {} resumed", count(some as u64, "owner")),
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
#[derive(Clone, Copy)]
enum Deletions {
    Allowed,
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

/// What the journal says of a request that is only planned.
async fn known(app: &App, wanted: &Wanted, job: &Job, reach: &Reach<'_>) -> Option<String> {
    let shelf = Shelf::of(Book::Restores, &wanted.name(job.state.pinned()), &app.settings.namespace);
    let run: RestoreRun = journal::read(reach, &shelf).await.ok()??.run;
    let used = wanted.spec.token.as_ref().filter(|token| run.used_up().contains(token));
    match (run.phase, used) {
        (Phase::Finished, Some(token)) => {
            Some(format!("token {token:?} was used already: `apply` will do nothing"))
        }
        (Phase::Finished, None) => None,
        (Phase::Pending | Phase::Running, _) => Some(format!(
            "a run that was begun at {} is not finished: see `backstay restore status`",
            run.started
        )),
    }
}

fn exit(outcome: Option<Outcome>) -> Exit {
    match outcome {
        Some(Outcome::Complete) => Exit::Fine,
        Some(Outcome::Partial) => Exit::Different,
        Some(Outcome::Failed) | None => Exit::Failed,
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
