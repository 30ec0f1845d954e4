//! `hooks list`, `hooks test`, `hooks resume`, `hooks templates`.
//!
//! In: a policy by name · Out: `HookList`, `HookRuns`, `Templates` · Touches: through `App`

use crate::app::wiring::App;
use crate::domain::field::closest;
use crate::domain::hook_library;
use crate::domain::hook_report::HookReport;
use crate::domain::policy::BACKUP;
use crate::engine::hooks::around::{Around, Hooks};
use crate::engine::hooks::moment;
use crate::engine::reach::Silent;
use crate::work::debts::{held, pay_debts, remembered};
use crate::work::failure::{Exit, Failure};
use crate::work::stage::Stage;
use crate::work::stop::Stop;
use crate::work::{choose, repository};

use super::done::Done;
use super::hooks_args::{HooksArgs, HooksTestArgs};
use super::show_hooks::{HookList, HookRuns, ListedHook, ListedTemplate, Templates};

/// Shows what would run.
pub async fn list(app: &App, args: &HooksArgs) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let policy = choose::policy(&set, args.policy.as_deref())?;
    let stage = Stage::policy(&set, policy)?;
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let (has, means) = (|name: &str| stage.has(name), |pod: &_| stage.means(pod));
    let doors = stage.doors(app, cluster, &Silent);
    let ground = stage.ground(&has, &means);
    let mut hooks = Vec::new();
    for when in BACKUP {
        let planned = moment::plan(&doors, &ground, when).await.map_err(Failure::stopped)?;
        hooks.extend(planned.iter().map(|planned| ListedHook::of(planned, when)));
    }
    Ok(Done::fine(HookList { policy: policy.0.to_owned(), hooks }))
}

/// Runs the hooks of a policy, those before and those after, without a backup in between.
pub async fn test(app: &App, args: &HooksTestArgs, stop: &Stop) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let policy = choose::policy(&set, args.policy.as_deref())?;
    let mut stage = Stage::policy(&set, policy)?;
    if !args.only.is_empty() {
        known(&stage, &args.only)?;
        stage.only(&args.only);
    }
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let owed = pay_debts(app, &set, cluster).await?;
    let mut reports: Vec<HookReport> = owed.into_iter().map(|paid| paid.told_by(&stage.by)).collect();
    let (has, means) = (|name: &str| stage.has(name), |pod: &_| stage.means(pod));
    let doors = stage.doors(app, cluster, &Silent);
    let hooks = Hooks::new(doors, stage.ground(&has, &means), BACKUP).await;
    let debt = remembered(&doors, &hooks).await?;
    let work = async {
        let mut reports = hooks.before().await;
        reports.extend(hooks.after().await);
        reports
    };
    let (done, late) = held(work, (&hooks, debt), &doors, stop).await;
    let stopped = done.is_none();
    reports.extend(done.unwrap_or_default());
    reports.extend(late);
    let exit = if stopped { Exit::Failed } else { exit(&reports) };
    Ok(Done::new(exit, HookRuns { hooks: reports }))
}

fn known(stage: &Stage, only: &[String]) -> Result<(), Failure> {
    let names = || stage.hooks.iter().map(|hook| hook.name.as_str());
    let Some(unknown) = only.iter().find(|name| !names().any(|known| known == name.as_str())) else {
        return Ok(());
    };
    let failure = Failure::usage(format!("{} has no hook {unknown:?}", stage.by));
    Err(match closest(unknown, names()) {
        Some(near) => failure.hint(format!("did you mean {near:?}?")),
        None => failure.hint(format!("it has: {}", names().collect::<Vec<_>>().join(", "))),
    })
}

/// Pays what interrupted runs still owe.
pub async fn resume(app: &App) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let paid = pay_debts(app, &set, cluster).await?;
    let hooks: Vec<HookReport> = paid.into_iter().map(|paid| paid.report).collect();
    Ok(Done::new(exit(&hooks), HookRuns { hooks }))
}

/// Shows all templates.
pub async fn templates(app: &App) -> Result<Done, Failure> {
    let built_in = hook_library::all().iter().map(|(name, template)| {
        (name.clone(), ListedTemplate { built_in: true, template: template.clone() })
    });
    let mut all: std::collections::BTreeMap<_, _> = built_in.collect();
    // Without a policy repository there are the built-in ones.
    if let Ok(set) = repository::load(app).await {
        let own = set.hooks.into_iter();
        all.extend(own.map(|(name, template)| (name, ListedTemplate { built_in: false, template })));
    }
    Ok(Done::fine(Templates(all)))
}

fn exit(reports: &[HookReport]) -> Exit {
    if reports.iter().any(|report| report.outcome.spoils()) { Exit::Different } else { Exit::Fine }
}
