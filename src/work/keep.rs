//! Deletes what no retention rule keeps at one archive, or plans to.
//!
//! In: `PolicySet`, an archive · Out: `PrunePlan`, `PruneReport` · Touches: through `App`

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::location::LocationSpec;
use crate::engine::archive::{layout, owner};
use crate::engine::keep::prune::{GRACE, PrunePlan, PruneReport, Rule, plan, prune};

use super::archives;
use super::choose;
use super::failure::Failure;

/// Whether a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is only shown.
    Show,
    /// It is.
    Carry,
}

/// Plans for the snapshots of this cluster, and carries the plan out if asked.
///
/// # Errors
/// The archive cannot be listed wholly; nothing is deleted then.
pub async fn prune_archive(
    app: &App,
    (name, spec): (&str, &LocationSpec),
    rules: &BTreeMap<String, Rule>,
    deed: Deed,
) -> Result<(PrunePlan, Option<PruneReport>), Failure> {
    let cluster = archives::cluster_name(app).await?;
    let bucket = archives::bucket(app, name, spec).await?;
    let listing = layout::list(bucket.as_ref(), Some(&cluster)).await.map_err(|e| Failure::failed(&e))?;
    let owner = owner::current(bucket.as_ref(), &cluster).await.map_err(|e| Failure::failed(&e))?;
    let uid = owner.as_ref().map(|(owner, _)| owner.uid.as_str());
    let plan = plan(&listing, (rules, GRACE), uid, app.clock.now());
    let report = match deed {
        Deed::Show => None,
        Deed::Carry => {
            let done = prune(&plan, spec.access_mode, bucket.as_ref()).await;
            Some(done.map_err(|e| Failure::failed(&e))?)
        }
    };
    Ok((plan, report))
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
        Ok((name.to_owned(), Rule { retention: spec.retention.clone().unwrap_or_default(), zone }))
    };
    chosen.into_iter().map(rule).collect()
}
