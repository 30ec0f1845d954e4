//! `restore resume`.
//!
//! In: options · Out: the owners that were paused, and what became of them · Touches: through `App`

use std::io::{self, Write};

use serde::Serialize;

use crate::app::wiring::App;
use crate::domain::object::ObjectKey;
use crate::domain::report::{OwnerAction, OwnerReport};
use crate::engine::reach::Reach;
use crate::engine::restore::pause;
use crate::engine::retry::persist;
use crate::work::failure::{Exit, Failure};
use crate::work::repository;

use super::done::Done;
use super::print::Show;
use super::restore_args::ResumeArgs;
use super::show_restore::show_owner;

/// Owners that restores left paused.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Left {
    /// Those that were found, outermost first.
    paused: Vec<LeftOwner>,
    /// What became of them; nothing under `--dry-run`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owners: Vec<OwnerReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftOwner {
    #[serde(flatten)]
    key: ObjectKey,
    /// The restore that paused it; absent where its record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    restore: Option<String>,
}

/// Resumes every owner that a restore paused, or shows them; exit code 1 when that leaves something to do.
pub async fn resume(app: &App, args: &ResumeArgs) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let catalog = repository::catalog(&set)?;
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let reach = Reach::new(cluster.reader.as_ref(), cluster.writer.as_ref(), app.clock.as_ref());
    let discovery = persist(reach.clock, reach.patience, async || reach.reader.discover().await).await;
    let served = discovery.result.map_err(|e| Failure::failed(&e))?.resources;
    let paused = pause::paused(&catalog, &served, &reach).await;
    let paused = paused.map_err(|e| Failure::failed(&e).hint(format!("grant list on {}", e.kind)))?;
    let found = paused.list().into_iter();
    let found = found.map(|(key, by)| LeftOwner { key: key.clone(), restore: by.map(str::to_owned) });
    let mut left = Left { paused: found.collect(), owners: Vec::new() };
    if !args.dry_run {
        left.owners = pause::resume_all(&paused, &reach).await;
    }
    Ok(Done::new(left.exit(args), left))
}

impl Left {
    fn exit(&self, args: &ResumeArgs) -> Exit {
        let still = self.owners.iter().filter(|owner| owner.action == OwnerAction::StillPaused).count();
        match still {
            0 if args.dry_run && !self.paused.is_empty() => Exit::Different,
            0 => Exit::Fine,
            all if all == self.owners.len() => Exit::Failed,
            _ => Exit::Different,
        }
    }
}

impl Show for Left {
    fn show(&self, out: &mut dyn Write, _quiet: bool) -> io::Result<()> {
        if self.paused.is_empty() {
            return writeln!(out, "no owner is paused");
        }
        for LeftOwner { key, restore } in &self.paused {
            let by = restore.as_deref().unwrap_or("nobody knows");
            writeln!(out, "paused {key} (by: {by})")?;
        }
        self.owners.iter().try_for_each(|owner| show_owner(owner, out))
    }
}
