//! `snapshots` and `show`.
//!
//! In: locations · Out: records, objects · Touches: through `App`

use std::sync::Arc;

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::identity::SnapshotId;
use crate::domain::location::LocationSpec;
use crate::engine::archive::layout;
use crate::engine::saved::open::{self, State, Which};
use crate::ports::bucket::Bucket;

use super::args::{ShowArgs, SnapshotsArgs};
use super::choose;
use super::done::Done;
use super::failure::Failure;
use super::repository;
use super::show_backup::{LocatedSnapshot, SnapshotDetail, SnapshotList};

/// Lists the snapshots of one archive, or of all.
pub async fn list(app: &App, args: &SnapshotsArgs) -> Result<Done, Failure> {
    let set = repository::load(app).await?;
    let cluster = if args.all_clusters { None } else { Some(cluster_name(app).await?) };
    let mut found = Vec::new();
    let mut notes = Vec::new();
    for (name, spec) in archives(&set, args.location.location.as_deref())? {
        let bucket = bucket(app, name, spec).await?;
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
    let which = which(&args.snapshot)?;
    let set = repository::load(app).await?;
    let (name, spec) = choose::archive(&set, args.location.location.as_deref())?;
    let bucket = bucket(app, name, spec).await?;
    let cluster = cluster_name(app).await?;
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

/// The archives that are meant: the named one, or all.
pub fn archives<'a>(
    set: &'a PolicySet,
    name: Option<&str>,
) -> Result<Vec<(&'a str, &'a LocationSpec)>, Failure> {
    if name.is_some() {
        return Ok(vec![choose::archive(set, name)?]);
    }
    let all: Vec<_> =
        set.locations.iter().filter(|(_, s)| s.archive.is_some()).map(|(n, s)| (n.as_str(), s)).collect();
    if all.is_empty() { Err(Failure::usage("there is no archive in the policy repository")) } else { Ok(all) }
}

/// The bucket of an archive.
pub async fn bucket(app: &App, name: &str, spec: &LocationSpec) -> Result<Arc<dyn Bucket>, Failure> {
    let target =
        spec.archive.as_ref().ok_or_else(|| Failure::usage(format!("location {name} is no archive")))?;
    app.bucket(name, spec, target).await.map_err(|e| Failure::of(&e))
}

/// The name of the cluster.
pub async fn cluster_name(app: &App) -> Result<String, Failure> {
    let unknown = |e| Failure::of(&e).hint("or say which cluster is meant: --cluster-name NAME");
    app.cluster_name().await.map_err(unknown)
}

/// A snapshot's name, or `latest`.
pub fn which(text: &str) -> Result<Which, Failure> {
    if text == "latest" {
        return Ok(Which::Latest(None));
    }
    let id = SnapshotId::parse(text)
        .ok_or_else(|| Failure::usage(format!("{text:?} is no name of a snapshot")))?;
    Ok(Which::Id(id))
}
