//! `snapshots` and `show`.
//!
//! In: locations · Out: records, objects · Touches: through `App`

use crate::app::wiring::App;
use crate::engine::archive::layout;
use crate::engine::saved::open::{self, State};
use crate::work::failure::Failure;
use crate::work::{archives, choose, repository};

use super::args::{ShowArgs, SnapshotsArgs};
use super::done::Done;
use super::show_backup::{LocatedSnapshot, SnapshotDetail, SnapshotList};

/// Lists the snapshots of one archive, or of all.
pub async fn list(app: &App, args: &SnapshotsArgs) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let cluster = if args.all_clusters { None } else { Some(archives::cluster_name(app).await?) };
    let mut found = Vec::new();
    let mut notes = Vec::new();
    for (name, spec) in archives::archives(&set, args.location.location.as_deref())? {
        let bucket = archives::bucket(app, name, spec).await?;
        let listing =
            layout::list(bucket.as_ref(), cluster.as_deref()).await.map_err(|e| Failure::failed(&e))?;
        notes.extend(
            listing.unreadable.iter().map(|u| format!("{} at {name} cannot be read: {}", u.id, u.reason)),
        );
        let wanted = |policy: &str| args.policy.as_deref().is_none_or(|p| p == policy);
        let records = listing.records.into_iter().filter(|record| wanted(&record.policy.name));
        found.extend(records.map(|record| LocatedSnapshot { location: name.to_owned(), record }));
    }
    found.sort_by(|a, b| (a.record.started, &a.location).cmp(&(b.record.started, &b.location)));
    for note in notes {
        tracing::warn!("{note}");
    }
    Ok(Done::fine(SnapshotList(found)))
}

/// Shows one snapshot.
pub async fn show(app: &App, args: &ShowArgs) -> Result<Done, Failure> {
    let which = archives::which(&args.snapshot)?;
    let set = repository::load(app).await?;
    let (name, spec) = choose::archive(&set, args.location.location.as_deref())?;
    let bucket = archives::bucket(app, name, spec).await?;
    let cluster = archives::cluster_name(app).await?;
    if !args.objects {
        let record = open::find(bucket.as_ref(), &cluster, &which).await.map_err(|e| Failure::failed(&e))?;
        return Ok(Done::fine(SnapshotDetail { record, contents: None }));
    }
    let identities = app.identities().map_err(|e| Failure::of(&e))?;
    let state =
        State::archive(bucket, &cluster, &which, identities).await.map_err(|e| Failure::closed(&e))?;
    let contents = state.entries.iter().map(|entry| entry.key.to_string()).collect();
    let record = state.record.ok_or_else(|| Failure::stopped("the snapshot has no record"))?;
    Ok(Done::fine(SnapshotDetail { record, contents: Some(contents) }))
}
