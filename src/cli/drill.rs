//! `drill`: restores a saved state for trial, compares, and cleans up.
//!
//! In: options · Out: `DrillReport` · Touches: through `App`

use crate::app::settings::Settings;
use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::pattern::NameMatcher;
use crate::domain::report::{ObjectAction, Outcome};
use crate::domain::restore_request::RestoreSource;
use crate::domain::restore_run::RestoreRun;
use crate::engine::decide::missing::missing;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::decide::survey::survey;
use crate::engine::reach::{Progress, Reach, Silent};
use crate::engine::recovery::drill::{Ground, Meant, Workloads, request};
use crate::engine::recovery::run::{Job, Log, run};
use crate::engine::recovery::scratch;
use crate::engine::restore::preview::{PreviewedObject, preview};
use crate::engine::saved::open::State;
use crate::ports::cluster;
use crate::work::doors::reach;
use crate::work::failure::{Exit, Failure};
use crate::work::restore_job::{marks, prepare};
use crate::work::states::{self, Search};
use crate::work::stop::Stop;
use crate::work::wanted::Wanted;
use crate::work::{archives, repository};

use super::done::Done;
use super::drill_args::DrillArgs;
use super::progress::Bar;
use super::restore_spec::source;
use super::show_drill::{Cleaned, DrillReport};

/// Carries out a drill, or cleans up after earlier ones.
pub async fn drill(app: &App, args: &DrillArgs, progress: bool, stop: &Stop) -> Result<Done, Failure> {
    let bar = progress.then(Bar::default);
    let heard: &dyn Progress = bar.as_ref().map_or(&Silent, |bar| bar);
    let ground = scratch_cluster(app, args);
    let reach = reach(ground.as_ref().unwrap_or(app), heard).await?;
    if args.clean {
        return clean(&reach).await;
    }
    let name = format!("drill-{}", app.clock.letters());
    let trial = stop.before(Box::pin(trial(app, args, &name, &reach))).await;
    let stays = ground.is_some() || args.keep && matches!(trial, Some(Ok(_)));
    let left = if stays {
        scratch::find(&reach, Some(&name)).await
    } else {
        scratch::clean(&reach, Some(&name)).await
    };
    drop(bar);
    let report = trial.unwrap_or_else(|| Err(Failure::stopped("interrupted")));
    let report = report.map_err(|failure| failure.hint(end(ground.is_some(), &left)))?;
    let left = left.map_err(|e| Failure::failed(&e).hint(CLEAN))?;
    let exit = match report.outcome {
        Outcome::Complete if left.is_empty() || args.keep => Exit::Fine,
        Outcome::Complete | Outcome::Partial => Exit::Different,
        Outcome::Failed => Exit::Failed,
    };
    Ok(Done::new(exit, DrillReport { left, ..report }))
}

/// What helps where scratch namespaces may be left.
const CLEAN: &str = "delete what is left with `backstay drill --clean`";

/// What a drill that failed leaves behind.
fn end(elsewhere: bool, left: &Result<Vec<String>, cluster::Error>) -> &'static str {
    match left {
        _ if elsewhere => "the scratch cluster holds what was restored until then",
        Ok(left) if left.is_empty() => "what was restored for trial is deleted again",
        Ok(_) | Err(_) => CLEAN,
    }
}

/// The wiring of the cluster that is restored into, if that is another one.
fn scratch_cluster(app: &App, args: &DrillArgs) -> Option<App> {
    let kubeconfig = Some(args.into_kubeconfig.clone()?);
    let settings = Settings {
        kubeconfig,
        context: args.into_context.clone(),
        cluster_name: Some("scratch".into()),
        ..app.settings.clone()
    };
    Some(App::new(settings))
}

async fn clean(reach: &Reach<'_>) -> Result<Done, Failure> {
    let before = scratch::find(reach, None).await.map_err(|e| Failure::failed(&e))?;
    let left = scratch::clean(reach, None).await.map_err(|e| Failure::failed(&e))?;
    let deleted = before.into_iter().filter(|name| !left.contains(name)).collect();
    let exit = if left.is_empty() { Exit::Fine } else { Exit::Different };
    Ok(Done::new(exit, Cleaned { deleted, left }))
}

/// Restores for trial and compares.
async fn trial(app: &App, args: &DrillArgs, name: &str, reach: &Reach<'_>) -> Result<DrillReport, Failure> {
    let started = app.clock.now();
    let set = repository::load(app).await?;
    let from = source(&set, args.from.as_deref().unwrap_or_default())?;
    let state = open(app, &set, &from).await?;
    let meant = meant(&state, args)?;
    let ground = match &args.into_kubeconfig {
        Some(_) => Ground::Cluster,
        None => Ground::Namespaces(name.to_owned()),
    };
    if ground == Ground::Cluster {
        refuse_others(&state, &meant.found, reach).await?;
    }
    let workloads = if args.run { Workloads::Run } else { Workloads::Still };
    let spec = request(pinned(from, &state), &meant, &ground, workloads);
    let wanted = Wanted::unnamed(spec, name.to_owned());
    let mut job = prepare(app, (&set, &wanted), None, reach).await?;
    // The drill's own patterns are for every cluster.
    let RestorePlan { notes, unmatched, .. } = &mut job.plan;
    notes.retain(|note| !unmatched.contains(note));
    let mut log = Log { run: unwritten(name, &job, app), desk: None };
    let restore = run(&job, (reach, None), &mut log).await.map_err(|e| Failure::closed(&e.error))?;
    let different = different(app, (&set, &wanted), reach).await?;
    let references =
        missing(&job.state, &repository::catalog(&set)?).await.map_err(|e| Failure::closed(&e))?;
    Ok(DrillReport {
        drill: name.to_owned(),
        outcome: DrillReport::judge(&restore, &different),
        started,
        finished: app.clock.now(),
        namespaces: wanted.spec.namespace_mapping,
        restore,
        different,
        references,
        left: Vec::new(),
    })
}

async fn open(app: &App, set: &PolicySet, from: &RestoreSource) -> Result<State, Failure> {
    let cluster = archives::cluster_name(app).await?;
    let search = Search { app, set, served: &[], sealed: false, cluster };
    let named = from.snapshot.as_deref().or(from.commit.as_deref()).unwrap_or("latest");
    Ok(states::at(&search, &from.location, named).await?.state)
}

/// The very state that was opened, whatever `latest` means by then.
fn pinned(from: RestoreSource, state: &State) -> RestoreSource {
    let Some(pinned) = state.pinned().map(str::to_owned) else { return from };
    match from.snapshot {
        Some(_) => RestoreSource { snapshot: Some(pinned), ..from },
        None => RestoreSource { commit: Some(pinned), ..from },
    }
}

/// The namespaces that are restored for trial; at least one.
fn meant(state: &State, args: &DrillArgs) -> Result<Meant, Failure> {
    let only = NameMatcher::new(&args.only_namespace).map_err(|e| Failure::misused(&e))?;
    let meant = Meant::of(state, |name| only.is_empty() || only.matches(name));
    if meant.found.is_empty() {
        return Err(Failure::usage(format!("{} has no namespace that the drill means", state.describe)));
    }
    Ok(meant)
}

/// A cluster where something of this name is at work is no scratch cluster.
async fn refuse_others(state: &State, found: &[String], reach: &Reach<'_>) -> Result<(), Failure> {
    let survey = survey(reach).await.map_err(|e| Failure::failed(&e))?;
    if state.record.as_ref().is_some_and(|record| record.cluster.uid == survey.server.uid) {
        return Err(Failure::usage("that is the cluster the snapshot was made of")
            .hint("name a scratch cluster, or leave --into-kubeconfig out"));
    }
    let there = |name: &&String| {
        *name != "default" && survey.namespaces.as_ref().is_some_and(|all| all.contains_key(*name))
    };
    match found.iter().find(there) {
        Some(name) => {
            Err(Failure::usage(format!("that is no scratch cluster: it has a namespace {name} already")))
        }
        None => Ok(()),
    }
}

/// A drill keeps no journal: nobody takes one up.
fn unwritten(name: &str, job: &Job, app: &App) -> RestoreRun {
    RestoreRun::new(name.to_owned(), &job.plan.source, job.plan.waves.len(), app.clock.now())
}

/// What a second restore would still change: that is not as it was saved.
async fn different(
    app: &App,
    wanted: (&PolicySet, &Wanted),
    reach: &Reach<'_>,
) -> Result<Vec<PreviewedObject>, Failure> {
    let again = prepare(app, wanted, None, reach).await?;
    let looked = preview(&again.plan, &again.state, &marks(wanted.0)?, reach).await;
    let waves = looked.map_err(|e| Failure::closed(&e))?.waves.into_iter();
    let differs = |object: &PreviewedObject| match object.report.action {
        ObjectAction::Created | ObjectAction::Updated | ObjectAction::Recreated => true,
        ObjectAction::Skipped => object.change.is_some(),
        ObjectAction::Unchanged | ObjectAction::Deleted | ObjectAction::Failed => false,
    };
    Ok(waves.flat_map(|wave| wave.objects).filter(differs).collect())
}
