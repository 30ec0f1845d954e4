//! A backup's hooks from the first to the last: what earlier runs owe, those before, those after, and those after although the
//! run was given up.
//!
//! In: `Stage`, some work · Out: its result, `HookReport`s · Touches: through `App`

use std::future::Future;

use futures::future::{Either, select};

use crate::app::process;
use crate::app::wiring::{App, Connected};
use crate::domain::document::PolicySet;
use crate::domain::hook_report::{HookOutcome, HookReport};
use crate::domain::policy::BACKUP;
use crate::engine::hooks::around::{Hooks, pay, stays_owed};
use crate::engine::hooks::debt::{self, Debt, Owed};
use crate::engine::hooks::doors::Doors;
use crate::engine::journal::{self, Worker};
use crate::engine::reach::{Reach, Silent};
use crate::ports::cluster;

use super::failure::Failure;
use super::stage::Stage;
use super::stop::Stop;

/// What is owed, remembered before the first hook runs; `None` where nothing is.
pub async fn remembered(doors: &Doors<'_>, hooks: &Hooks<'_>) -> Result<Option<Debt>, Failure> {
    let owed = hooks.owed();
    if owed.is_nothing() {
        return Ok(None);
    }
    let desk = (doors.home, process::this());
    debt::begin(&doors.reach, desk, owed, &process::is_gone).await.map(Some).map_err(|e| refused(&e))
}

fn refused(error: &debt::Error) -> Failure {
    let failure = Failure::failed(error);
    match error {
        debt::Error::Held { .. } => failure.hint("wait for it, or stop it"),
        debt::Error::Journal(_) => failure.hint(
            "the account needs get, list, create and patch on ConfigMaps in Backstay's namespace (--namespace), \
             because these hooks have to be undone also after a crash",
        ),
    }
}

/// Does the work while the debt shows signs of life, and settles the hooks however it ends. The reports are those of hooks that
/// ran because the work was given up.
pub async fn held<T>(
    work: impl Future<Output = T>,
    (hooks, debt): (&Hooks<'_>, Option<Debt>),
    doors: &Doors<'_>,
    stop: &Stop,
) -> (Option<T>, Vec<HookReport>) {
    let all = async {
        let mut work = Box::pin(work);
        let done = stop.before(&mut work).await;
        if done.is_none() {
            // A command that was begun would go on: it is ended before anything is undone.
            select(work, Box::pin(hooks.calm())).await;
        }
        doors.calm.again();
        (done, hooks.settle().await)
    };
    let (done, late) = alive(all, debt.as_ref(), doors).await;
    if let Some(debt) = debt
        && !hooks.still_owes()
    {
        // Where that fails, the next start looks whether there is still something to do.
        debt.close(&doors.reach).await.ok();
    }
    (done, late)
}

/// Does some work while its debt shows signs of life.
async fn alive<T>(work: impl Future<Output = T>, debt: Option<&Debt>, doors: &Doors<'_>) -> T {
    let keep = Box::pin(async {
        match debt {
            Some(debt) => debt.keep(&doors.reach).await,
            None => std::future::pending().await,
        }
    });
    match select(Box::pin(work), keep).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => match never {},
    }
}

/// What came of a debt, or why it is still one.
pub struct Paid {
    /// The run that owed it, such as `policy shop`.
    pub run: String,
    /// What ran, or did not.
    pub report: HookReport,
}

impl Paid {
    /// Its report in that of another command: a debt of another run is told, and does not make this one Partial.
    pub fn told_by(self, run: &str) -> HookReport {
        let Self { run: owner, report } = self;
        let lenient = owner != run && report.outcome.spoils();
        if lenient { HookReport { outcome: HookOutcome::Warned, ..report } } else { report }
    }
}

/// Pays what runs whose processes are gone still owe, before anything else happens. An account that may not look has no debts.
pub async fn pay_debts(app: &App, set: &PolicySet, cluster: &Connected) -> Result<Vec<Paid>, Failure> {
    let reach = Reach::new(cluster.reader.as_ref(), cluster.writer.as_ref(), app.clock.as_ref());
    let found = debt::open(&reach, &app.settings.namespace, &process::is_gone).await;
    let open = match found {
        Ok(open) => open,
        Err(journal::Error::Cluster { source: cluster::Error::Forbidden(_), .. }) => return Ok(Vec::new()),
        Err(error) => return Err(Failure::failed(&error)),
    };
    let one = |owed: &Owed, report| Paid { run: owed.run.clone(), report };
    let held = open.held.iter().map(|entry| one(&entry.run, at_work(&entry.run, &entry.worker)));
    let mut reports: Vec<Paid> = held.collect();
    for left in open.left {
        let owed = left.1.run.clone();
        let name = owed.run.strip_prefix("policy ").unwrap_or_default();
        let Some(spec) = set.policies.get(name) else {
            reports.push(one(&owed, stranger(&owed, &app.settings.namespace)));
            continue;
        };
        let stage = Stage::policy(set, (name, spec))?.within(owed.namespaces.clone());
        let me: Worker = process::this();
        let debt = match debt::take_over(&reach, me, left).await {
            Ok(debt) => debt,
            // Somebody else pays it.
            Err(journal::Error::Raced) => continue,
            // An account that may write nothing leaves it to another one.
            Err(error) => {
                reports.push(one(&owed, unpayable(&owed, &error)));
                continue;
            }
        };
        let paid = paid(app, &stage, cluster, debt).await?;
        reports.extend(paid.into_iter().map(|report| one(&owed, report)));
    }
    Ok(reports)
}

/// A run that is between its hooks now: what it owes is its own.
fn at_work(owed: &Owed, worker: &Worker) -> HookReport {
    let reason = format!("{worker} is at work, since {}; it owes {}", owed.started, owed.told());
    let [_, after] = BACKUP;
    HookReport::not_run(&owed.run, after, reason)
}

/// What this account cannot take over.
fn unpayable(owed: &Owed, error: &journal::Error) -> HookReport {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let reason = format!(
        "a run of {} owes {}, and this account cannot pay it: {error}{cause}",
        owed.started,
        owed.told()
    );
    let [_, after] = BACKUP;
    HookReport::not_run(&owed.run, after, reason)
}

/// What a policy owes that this repository does not have: another repository may.
fn stranger(owed: &Owed, namespace: &str) -> HookReport {
    let reason = format!(
        "a run of {}, which was interrupted, owes {}, and this policy repository does not have it: where no other one does, run them by hand and delete ConfigMap backstay-hooks-{} in namespace {namespace}",
        owed.started,
        owed.told(),
        owed.run.replace(' ', "-")
    );
    let [_, after] = BACKUP;
    HookReport::not_run(&owed.run, after, reason)
}

/// Pays one debt with the hooks that the repository has now.
async fn paid(app: &App, stage: &Stage, cluster: &Connected, debt: Debt) -> Result<Vec<HookReport>, Failure> {
    let (has, means) = (|name: &str| stage.has(name), |pod: &_| stage.means(pod));
    let doors = stage.doors(app, cluster, &Silent);
    let [_, after] = BACKUP;
    let ground = stage.ground(&has, &means);
    let reports = alive(pay(&doors, &ground, &debt.owed, after), Some(&debt), &doors).await;
    if !stays_owed(&reports) {
        debt.close(&doors.reach).await.map_err(|e| Failure::failed(&e))?;
    }
    Ok(reports)
}
