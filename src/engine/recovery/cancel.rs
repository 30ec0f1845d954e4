//! Ends a restore that is at work, or one whose process is gone.
//!
//! In: a request's journal · Out: the ended `RestoreRun` · Touches: cluster (read and write), clock

use crate::domain::report::Phase;
use crate::domain::restore_run::RestoreRun;
use crate::engine::journal::{Desk, Error, Shelf, Worker, ask_to_stop, is_silent, read};
use crate::engine::reach::Reach;

/// Cancels the run of a request and waits until it has ended. `None` where the cluster knows no run.
///
/// A worker that is there stops between two objects and writes the end itself. For one that is gone `me` writes it.
///
/// # Errors
/// The journal cannot be used.
pub async fn cancel(
    reach: &Reach<'_>,
    shelf: &Shelf,
    (who, me): (&str, Worker),
    is_gone: &(dyn Fn(&Worker) -> bool + Sync),
) -> Result<Option<RestoreRun>, Error> {
    let Some(entry) = read::<RestoreRun>(reach, shelf).await? else { return Ok(None) };
    if entry.run.phase == Phase::Finished {
        return Ok(Some(entry.run));
    }
    ask_to_stop(reach, shelf, who).await?;
    loop {
        let Some(entry) = read::<RestoreRun>(reach, shelf).await? else { return Ok(None) };
        if entry.run.phase == Phase::Finished {
            return Ok(Some(entry.run));
        }
        if !is_gone(&entry.worker) && !is_silent(reach, shelf, &entry).await? {
            continue;
        }
        let mut run = entry.run.clone();
        run.give_up(&format!("cancelled by {who}; its process was gone"), reach.clock.now());
        match Desk::take(reach, shelf.clone(), me.clone(), Some(&entry), &run).await {
            Ok(_) => return Ok(Some(run)),
            Err(Error::Raced) => {}
            Err(error) => return Err(error),
        }
    }
}
