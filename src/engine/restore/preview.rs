//! Tries a restore plan: the server checks every object and says what would change; nothing is written.
//!
//! In: `RestorePlan`, `State` · Out: `RestorePreview` · Touches: cluster (read, and write as dry run), clock, what the
//! state is read from

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use serde::Serialize;

use super::existing::fingerprint;
use super::put::{Order, Written, put};
use super::rebind::released;
use super::send::{Parcel, parcels};
use crate::domain::change::Change;
use crate::domain::conflict::Existing;
use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::domain::report::{ObjectAction, ObjectReport};
use crate::engine::clean::hide::Marks;
use crate::engine::clean::sanitize::normalise;
use crate::engine::decide::draft::PlannedObject;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::decide::versions::Recast;
use crate::engine::difference::diff::compare;
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::engine::saved::open;
use crate::engine::saved::open::State;
use crate::ports::cluster::{Conflicts, Mode};

/// What a restore would do to the cluster as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestorePreview {
    /// What would be restored.
    pub source: String,
    /// Waves in order.
    pub waves: Vec<PreviewedWave>,
    /// How many objects exist under `existing: Fail`. One is enough: nothing would be written.
    pub blocked: usize,
}

/// What one wave would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedWave {
    /// Name.
    pub wave: String,
    /// Objects, sorted by key.
    pub objects: Vec<PreviewedObject>,
}

/// What would happen to one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedObject {
    /// Identity, what would happen, and why where it is not plain.
    #[serde(flatten)]
    pub report: ObjectReport,
    /// For an object that exists: how what would be stored differs from it. For one that stays as it is: how an update
    /// would change it. Secrets are masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

impl RestorePreview {
    /// How many objects would see this.
    pub fn count(&self, action: ObjectAction) -> usize {
        let objects = self.waves.iter().flat_map(|wave| &wave.objects);
        objects.filter(|object| object.report.action == action).count()
    }
}

/// Tries every object of a plan. The same plan and the same functions as a real restore; only the server's dry run differs.
///
/// # Errors
/// A state that cannot be used. An object that the server refuses is an entry.
pub async fn preview(
    plan: &RestorePlan,
    state: &State,
    marks: &Marks,
    reach: &Reach<'_>,
) -> Result<RestorePreview, open::Error> {
    let entries = plan.waves.iter().flat_map(|wave| &wave.objects).filter_map(|object| object.entry);
    state.check(entries).await?;
    let mut waves = Vec::new();
    let blocked = AtomicUsize::new(0);
    let trial = Trial { plan, marks, reach, blocked: &blocked };
    for wave in &plan.waves {
        reach.progress.wave(&wave.name, wave.objects.len());
        let planned: Vec<&PlannedObject> = wave.objects.iter().collect();
        let parcels = parcels(plan, &planned, state);
        let tried = parcels.map(|parcel| trial.object(parcel)).buffer_unordered(reach.concurrency.max(1));
        let mut objects: Vec<PreviewedObject> =
            tried.inspect(|o| reach.progress.object(&o.report)).collect().await;
        objects.sort_by(|a, b| a.report.key.cmp(&b.report.key));
        waves.push(PreviewedWave { wave: wave.name.clone(), objects });
    }
    Ok(RestorePreview { source: plan.source.clone(), waves, blocked: blocked.into_inner() })
}

struct Trial<'a> {
    plan: &'a RestorePlan,
    marks: &'a Marks,
    reach: &'a Reach<'a>,
    blocked: &'a AtomicUsize,
}

impl Trial<'_> {
    async fn object(&self, parcel: Parcel<'_>) -> PreviewedObject {
        let Parcel { planned, content, status } = parcel;
        let key = planned.key.clone();
        let plain = |action, reason: Option<String>| PreviewedObject {
            report: ObjectReport { key: key.clone(), action, reason },
            change: None,
        };
        let prepared = match content {
            Ok(prepared) => prepared,
            Err(reason) => return plain(ObjectAction::Failed, Some(reason)),
        };
        let kept = released(prepared.manifest(), self.plan.settings.volumes());
        let kept =
            kept.map(|released| format!("its released volume {} is kept for it again", released.volume));
        let recast = planned.recast.as_ref().map(Recast::note);
        let status = status.map(|_| "its saved status is written too".to_owned());
        if let Some(after) = &planned.after {
            let early = format!("the server cannot check it yet: {after} comes earlier in this plan");
            let told: Vec<String> = [early].into_iter().chain(kept).chain(recast).chain(status).collect();
            return plain(ObjectAction::Created, Some(told.join("; ")));
        }
        let live = match self.live(&planned.resource, &key).await {
            Ok(live) => live,
            Err(reason) => return plain(ObjectAction::Failed, Some(reason)),
        };
        if live.is_some() && planned.existing == Existing::Fail {
            self.blocked.fetch_add(1, Ordering::Relaxed);
            return plain(ObjectAction::Failed, Some("it exists, so nothing would be written".to_owned()));
        }
        let order = Order {
            resource: &planned.resource,
            object: prepared.manifest(),
            merges: prepared.merges_into_existing(),
            existing: planned.existing,
            never_recreated: prepared.never_recreated(),
            before: live.as_ref().map(fingerprint),
            fresh: false,
            mode: Mode::DryRun,
        };
        let Written { action, reason, stored, live: _, pressure: _, webhook: _ } =
            put(self.reach, &order).await;
        let written = !matches!(action, ObjectAction::Skipped | ObjectAction::Failed);
        let also = recast.into_iter().chain(status.filter(|_| written));
        let told: Vec<String> = reason.or(kept).into_iter().chain(also).collect();
        let reason = (!told.is_empty()).then(|| told.join("; "));
        let stored = match (action, stored) {
            (ObjectAction::Skipped, None) => self.updated(&order).await,
            (_, stored) => stored,
        };
        let change = live.zip(stored).and_then(|(live, stored)| self.change(&planned.resource, live, stored));
        PreviewedObject { report: ObjectReport { key, action, reason }, change }
    }

    async fn live(&self, resource: &Resource, key: &ObjectKey) -> Result<Option<Manifest>, String> {
        let reach = self.reach;
        let call = async || reach.reader.get(resource, key.namespace.as_deref(), &key.name).await;
        persist(reach.clock, reach.patience, call).await.result.map_err(|error| error.to_string())
    }

    /// What an update would store in place of an object that stays as it is.
    async fn updated(&self, order: &Order<'_>) -> Option<Manifest> {
        let writer = self.reach.writer;
        let call = async || writer.apply(order.resource, order.object, Conflicts::Force, Mode::DryRun).await;
        persist(self.reach.clock, self.reach.patience, call).await.result.ok()
    }

    fn change(&self, resource: &Resource, live: Manifest, stored: Manifest) -> Option<Change> {
        let rules = self.plan.settings.catalog().kind(resource);
        let hidden = self.marks.hidden(resource, &live);
        compare(Some(&normalise(live, &rules)), Some(&normalise(stored, &rules)), &hidden)
    }
}

#[cfg(test)]
mod tests;
