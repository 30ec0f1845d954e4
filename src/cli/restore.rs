//! `restore plan` and `restore apply`.
//!
//! In: a request by name, or options · Out: plan with preview, `RestoreReport` · Touches: through `App`

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::report::{Outcome, Phase};
use crate::domain::restore_run::RestoreRun;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::journal::{self, Book, Shelf};
use crate::engine::mend::fixups;
use crate::engine::reach::{Progress, Reach, Silent};
use crate::engine::recovery::hooked;
use crate::engine::recovery::run::Job;
use crate::engine::restore::preview;
use crate::work::doors::reach;
use crate::work::failure::{Exit, Failure};
use crate::work::repository;
use crate::work::restore::{Deletions, Ended, carry_out};
use crate::work::restore_job::{marks, prepare};
use crate::work::stage::Stage;
use crate::work::stop::Stop;
use crate::work::wanted::Wanted;

use super::done::Done;
use super::progress::Bar;
use super::restore_args::{ApplyArgs, RestoreArgs};
use super::restore_runs::Ran;
use super::restore_spec::wanted;
use super::show_hooks::ListedHook;
use super::show_plan::Shown;

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
    let ended = carry_out(app, (&set, &wanted), (allowed, stop), &reach).await;
    drop(bar);
    Ok(match ended? {
        Ended::Before(run) => Done::new(exit(run.outcome), Ran::again(*run)),
        Ended::Now(report) => Done::new(exit(Some(report.outcome)), *report),
    })
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
