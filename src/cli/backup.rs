//! `plan` and `backup`.
//!
//! In: a policy by name · Out: `BackupPlan`, `BackupReport` · Touches: through `App`

use crate::app::wiring::App;
use crate::domain::report::Outcome;
use crate::engine::archive::owner::Name;
use crate::engine::backup::flow::{self, Occasion};
use crate::work::backup::{carry_out, order};
use crate::work::failure::{Exit, Failure};
use crate::work::stop::Stop;
use crate::work::{choose, repository};

use super::args::{BackupArgs, PolicyArgs};
use super::done::Done;

/// Shows what a backup would collect.
pub async fn plan(app: &App, args: &PolicyArgs) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let policy = choose::policy(&set, args.policy.as_deref())?;
    let order = order(app, &set, policy, Occasion::default()).await?;
    let reader = &app.cluster().await.map_err(|e| Failure::of(&e))?.reader;
    let plan = flow::plan_backup(&order, reader.as_ref()).await.map_err(|e| Failure::failed(&e))?;
    Ok(Done::fine(plan))
}

/// Carries out a policy.
pub async fn backup(app: &App, args: &BackupArgs, stop: &Stop) -> Result<Done, Failure> {
    if args.dry_run {
        return plan(app, &args.policy).await;
    }
    let set = repository::load(app).await?;
    let policy = choose::policy(&set, args.policy.policy.as_deref())?;
    let name = if args.take_over { Name::TakeOver(app.clock.now()) } else { Name::Respect };
    let occasion = Occasion { due: None, name };
    let report = Box::pin(carry_out(app, &set, policy, (occasion, stop))).await?;
    let exit = match report.outcome {
        Outcome::Complete => Exit::Fine,
        Outcome::Partial => Exit::Different,
        Outcome::Failed => Exit::Failed,
    };
    Ok(Done::new(exit, report))
}
