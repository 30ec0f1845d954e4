//! Carries out one policy: between its hooks, after whatever earlier runs owe.
//!
//! In: `PolicySet`, a policy · Out: `BackupReport` · Touches: through `App`

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::hook_report::HookReport;
use crate::domain::identity::{PolicyRef, SnapshotId};
use crate::domain::ignore::MirrorFilter;
use crate::domain::location::{AccessMode, LocationSpec};
use crate::domain::policy::{BACKUP, PolicySpec};
use crate::domain::report::BackupReport;
use crate::domain::selection::Selection;
use crate::domain::snapshot::SnapshotRecord;
use crate::engine::archive::{layout, part};
use crate::engine::backup::flow::{self, BackupOrder, Occasion};
use crate::engine::backup::target::Target;
use crate::engine::clean::sanitize::{Sanitizer, Wants};
use crate::engine::hooks::around::{Around, Hooks};
use crate::engine::reach::Silent;

use super::archives;
use super::choose;
use super::debts::{held, pay_debts, remembered};
use super::failure::Failure;
use super::repository;
use super::stage::Stage;
use super::stop::Stop;

/// Carries out a policy and leaves one snapshot at each of its locations that works.
///
/// # Errors
/// What is refused before anything happens, and runs that leave nothing to report on.
pub async fn carry_out(
    app: &App,
    set: &PolicySet,
    (name, spec): (&str, &PolicySpec),
    (occasion, stop): (Occasion, &Stop),
) -> Result<BackupReport, Failure> {
    refuse(set, name, spec)?;
    let order = order(app, set, (name, spec), occasion).await?;
    let targets = targets(app, set, spec).await?;
    Box::pin(around(app, (set, (name, spec)), (&order, targets), stop)).await
}

/// The snapshot of a due time at an archive of a policy, if another replica has made it there.
///
/// # Errors
/// The archive cannot be asked.
pub async fn made_before(
    app: &App,
    set: &PolicySet,
    (policy, location): (&str, &str),
    due: Timestamp,
) -> Result<Option<SnapshotRecord>, Failure> {
    let (name, spec) = choose::archive(set, Some(location))?;
    let bucket = archives::bucket(app, name, spec).await?;
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let server = cluster.reader.server().await.map_err(|e| Failure::failed(&e))?;
    let id = SnapshotId::due(policy, due, &server.uid);
    match layout::record(bucket.as_ref(), &cluster.name, &id).await {
        Ok(record) => Ok(Some(record)),
        Err(layout::Error::NoSnapshot { .. }) => Ok(None),
        Err(error) => Err(Failure::failed(&error)),
    }
}

/// The backup between its hooks, after whatever earlier runs owe.
async fn around(
    app: &App,
    (set, policy): (&PolicySet, (&str, &PolicySpec)),
    (order, targets): (&BackupOrder, Vec<Target>),
    stop: &Stop,
) -> Result<BackupReport, Failure> {
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let stage = Stage::policy(set, policy)?;
    let owed = pay_debts(app, set, cluster).await?;
    let owed = owed.into_iter().map(|paid| paid.told_by(&stage.by)).collect();
    let (has, means) = (|name: &str| stage.has(name), |pod: &_| stage.means(pod));
    let doors = stage.doors(app, cluster, &Silent);
    let hooks = Hooks::new(doors, stage.ground(&has, &means), BACKUP).await;
    let debt = remembered(&doors, &hooks).await?;
    let hooks = Indebted { owed: Mutex::new(owed), hooks };
    let work = flow::backup(order, targets, (cluster.reader.as_ref(), &hooks), app.clock.as_ref());
    let (done, late) = Box::pin(held(work, (&hooks.hooks, debt), &doors, stop)).await;
    match done {
        Some(Ok(report)) => Ok(report),
        Some(Err(error)) => {
            Err(Failure::failed(&error).hint("nothing was left behind; run it again").with(&told(&late)))
        }
        None => Err(Failure::stopped("interrupted")
            .hint("run the same command again: a backup left nothing behind")
            .with(&told(&late))),
    }
}

/// What came of hooks that ran after a run that was given up.
fn told(late: &[HookReport]) -> Vec<String> {
    late.iter().map(|hook| format!("hook {} {}: {:?}", hook.name, hook.when, hook.outcome)).collect()
}

/// Hooks, with what earlier runs owed in front of them.
struct Indebted<'a> {
    owed: Mutex<Vec<HookReport>>,
    hooks: Hooks<'a>,
}

#[async_trait(?Send)]
impl Around for Indebted<'_> {
    async fn before(&self) -> Vec<HookReport> {
        let mut reports = std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
        reports.extend(self.hooks.before().await);
        reports
    }

    async fn after(&self) -> Vec<HookReport> {
        self.hooks.after().await
    }

    async fn calm(&self) {
        self.hooks.calm().await;
    }
}

/// What cannot be carried out is refused before anything happens.
fn refuse(set: &PolicySet, name: &str, spec: &PolicySpec) -> Result<(), Failure> {
    for location in &spec.locations {
        let (_, found) = choose::location(set, location)?;
        match found.access_mode {
            AccessMode::ReadWrite => {}
            AccessMode::ReadOnly => {
                let text =
                    format!("policy {name} backs up to location {location}, whose accessMode is ReadOnly");
                return Err(Failure::usage(text).hint("make it ReadWrite, or name another location"));
            }
        }
    }
    Ok(())
}

/// What a policy orders.
pub async fn order(
    app: &App,
    set: &PolicySet,
    (name, spec): (&str, &PolicySpec),
    occasion: Occasion,
) -> Result<BackupOrder, Failure> {
    let catalog = Arc::new(repository::catalog(set)?);
    let wrong = |errors: Vec<crate::domain::field::FieldError>| {
        let list = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Failure::usage(format!("policy {name} is wrong: {list}"))
    };
    // Of the policy as it stands, also where a run has only some of its locations left.
    let whole = set.policies.get(name).unwrap_or(spec);
    let digest = part::sha256(&serde_json::to_vec(whole).map_err(|e| Failure::failed(&e))?);
    let policy = PolicyRef { name: name.to_owned(), digest, revision: set.revision.clone() };
    Ok(BackupOrder {
        policy,
        spec: spec.clone(),
        selection: Selection::compile(&spec.select).map_err(wrong)?,
        sanitizer: Arc::new(Sanitizer {
            catalog: catalog.clone(),
            filter: MirrorFilter::compile(&spec.mirror).map_err(wrong)?,
            wants: wants(set, spec),
        }),
        catalog,
        cluster: app.cluster_name().await.map_err(|e| Failure::of(&e))?,
        occasion,
    })
}

/// What the policy's locations need of each object.
fn wants(set: &PolicySet, spec: &PolicySpec) -> Wants {
    let any = |fits: fn(&LocationSpec) -> bool| {
        spec.locations.iter().filter_map(|l| set.locations.get(l)).any(fits)
    };
    match (any(|l| l.archive.is_some()), any(|l| l.mirror.is_some())) {
        (true, true) => Wants::Both,
        (false, true) => Wants::Mirror,
        (_, false) => Wants::Archive,
    }
}

async fn targets(app: &App, set: &PolicySet, spec: &PolicySpec) -> Result<Vec<Target>, Failure> {
    let (mut targets, mut unusable) = (Vec::new(), Vec::new());
    for name in &spec.locations {
        let (name, location) = choose::location(set, name)?;
        match app.target(name, location, spec).await.map_err(|e| Failure::of(&e)) {
            Ok(target) => targets.extend(target),
            Err(failure) => unusable.push((name.to_owned(), failure)),
        }
    }
    if targets.is_empty() && !unusable.is_empty() {
        return Err(unusable.swap_remove(0).1); // nothing could be kept anywhere
    }
    let told = |(location, failure): (String, Failure)| Target::Unusable { location, reason: failure.line() };
    targets.extend(unusable.into_iter().map(told));
    Ok(targets)
}
