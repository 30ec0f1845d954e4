//! Deletes what no retention rule keeps at one archive, or plans to.
//!
//! In: `PolicySet`, an archive · Out: `PrunePlan`, `PruneReport` · Touches: through `App`

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::identity::SnapshotId;
use crate::domain::location::LocationSpec;
use crate::domain::snapshot::SnapshotRecord;
use crate::engine::archive::layout::{self, Listing};
use crate::engine::archive::owner;
use crate::engine::keep::prune::{GRACE, PrunePlan, PruneReport, plan, prune};
use crate::engine::keep::retain::{Proof, Rule};

use super::archives;
use super::choose;
use super::failure::Failure;

/// Whether a plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is only shown.
    Show,
    /// It is, for a person who has seen it.
    Carry,
    /// It is, without anybody looking: only by the cluster with this uid, which writes under the name, and only where the list
    /// has these snapshots, because one that lacks them is wrong.
    Trust(String, Vec<SnapshotId>),
}

/// An archive, what would be deleted there, and what was.
pub struct Pruned {
    /// Snapshots before anything was deleted, oldest first.
    pub records: Vec<SnapshotRecord>,
    /// What no rule keeps.
    pub plan: PrunePlan,
    /// What was done; absent where nothing was to be.
    pub report: Option<PruneReport>,
}

/// Plans for the snapshots of this cluster, and carries the plan out if asked. `known` are records that were read before.
///
/// # Errors
/// The archive cannot be listed wholly, or the list cannot be trusted; nothing is deleted then.
pub async fn prune_archive(
    app: &App,
    (name, spec): (&str, &LocationSpec),
    rules: &BTreeMap<String, Rule>,
    (deed, known): (&Deed, &[SnapshotRecord]),
) -> Result<Pruned, Failure> {
    let cluster = archives::cluster_name(app).await?;
    let bucket = archives::bucket(app, name, spec).await?;
    let listing =
        layout::list_anew(bucket.as_ref(), Some(&cluster), known).await.map_err(|e| Failure::failed(&e))?;
    let owner = owner::current(bucket.as_ref(), &cluster).await.map_err(|e| Failure::failed(&e))?;
    let uid = owner.as_ref().map(|(owner, _)| owner.uid.as_str());
    let plan = plan(&listing, (rules, GRACE), uid, app.clock.now());
    let agreed = match deed {
        Deed::Show => false,
        Deed::Carry => true,
        Deed::Trust(ours, expected) => {
            trust(name, &listing, expected)?;
            uid == Some(ours)
        }
    };
    let report = if agreed {
        let done = prune(&plan, spec.access_mode, bucket.as_ref()).await;
        Some(done.map_err(|e| Failure::failed(&e))?)
    } else {
        None
    };
    Ok(Pruned { records: listing.records, plan, report })
}

/// A list that lacks what was written there is wrong: an empty bucket, another one, a list cut short.
fn trust(location: &str, listing: &Listing, expected: &[SnapshotId]) -> Result<(), Failure> {
    let there = |id: &SnapshotId| listing.records.iter().any(|record| record.id == *id);
    match expected.iter().find(|id| !there(id)) {
        None => Ok(()),
        Some(id) => Err(Failure::stopped(format!(
            "nothing is deleted at location {location}: its list lacks snapshot {id}, which was written there"
        ))
        .hint("look at the location; if the snapshot was deleted by hand, the next complete one ends this")),
    }
}

/// The rules of one policy, or of all; snapshots of other policies are kept.
pub fn rules(set: &PolicySet, policy: Option<&str>) -> Result<BTreeMap<String, Rule>, Failure> {
    let chosen: Vec<_> = match policy {
        Some(name) => vec![choose::policy(set, Some(name))?],
        None => set.policies.iter().map(|(name, spec)| (name.as_str(), spec)).collect(),
    };
    let rule = |(name, spec): (&str, &crate::domain::policy::PolicySpec)| {
        let zone = spec.time_zone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(zone).map_err(|e| Failure::usage(format!("policy {name}: {e}")))?;
        let retention = spec.retention.clone().unwrap_or_default();
        Ok((name.to_owned(), Rule { retention, zone, proof: Proof::default() }))
    };
    chosen.into_iter().map(rule).collect()
}

/// The same rules, with what reading back has shown of each policy's snapshots.
pub fn proven(mut rules: BTreeMap<String, Rule>, proofs: &BTreeMap<String, Proof>) -> BTreeMap<String, Rule> {
    for (policy, rule) in &mut rules {
        rule.proof = proofs.get(policy).cloned().unwrap_or_default();
    }
    rules
}
