//! Finds the archives that are meant, and their buckets.
//!
//! In: `PolicySet`, `App` · Out: buckets, names · Touches: through `App`

use std::sync::Arc;

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::identity::SnapshotId;
use crate::domain::location::LocationSpec;
use crate::engine::saved::open::Which;
use crate::ports::bucket::Bucket;

use super::choose;
use super::failure::Failure;

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
