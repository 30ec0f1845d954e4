//! Puts policy in force: what is known of documents that stay is kept, new ones begin with what their custom resources remember.
//!
//! In: `InForce` · Out: a changed `Desk` · Touches: nothing

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::desk::{Desk, Location, Policy, Recall, Restore};
use super::due::Timing;
use super::merge::{InForce, Origin, documents, keys};
use super::resource::{Key, Resource};
use crate::domain::policy::PolicySpec;
use crate::domain::status::PolicyStatus;

impl Desk {
    /// Puts another policy in force. What is known of documents that stay is kept; new ones begin with what their custom
    /// resources remember.
    pub fn enforce(&mut self, force: InForce, now: Timestamp) {
        let known: BTreeSet<Key> = keys(&force.set).into_iter().collect();
        self.policies
            .retain(|name, policy| known.contains(&Key::new("BackupPolicy", name)) || policy.run.is_some());
        self.locations.retain(|name, _| known.contains(&Key::new("BackupLocation", name)));
        self.restores
            .retain(|name, restore| known.contains(&Key::new("RestoreRequest", name)) || restore.busy);
        self.cover.soon(now);
        let mut views = documents(&force.set);
        let shown = |key: &Key| force.origins.get(key) == Some(&Origin::Git) && !force.sealed.contains(key);
        views.retain(|key, _| shown(key));
        self.views = Arc::new(views);
        self.settled = !self.settings.git || self.git.newest.is_some();
        let before = std::mem::replace(&mut self.force, Arc::new(force));
        let force = self.force.clone();
        // Another place: nothing that is known of the old one counts.
        self.locations.retain(|name, _| before.set.locations.get(name) == force.set.locations.get(name));
        for (name, spec) in &force.set.policies {
            self.policy(name, spec, now);
        }
        for name in force.set.locations.keys() {
            let resource = self.resource(&Key::new("BackupLocation", name)).cloned();
            let entry = self.locations.entry(name.clone()).or_insert_with(|| Location {
                status: remembered(resource.as_ref()),
                check_at: Some(now),
                prune_at: Some(now),
                verify_at: Some(now),
                listed: force.set.locations[name].archive.is_none(),
                ..Location::default()
            });
            entry.generation = resource.as_ref().map_or(0, |resource| resource.generation);
        }
        for name in force.set.restores.keys() {
            let resource = self.resource(&Key::new("RestoreRequest", name)).cloned();
            let entry = self
                .restores
                .entry(name.clone())
                .or_insert_with(|| Restore { status: remembered(resource.as_ref()), ..Restore::default() });
            entry.generation = resource.as_ref().map_or(0, |resource| resource.generation);
        }
    }

    fn policy(&mut self, name: &str, spec: &PolicySpec, now: Timestamp) {
        let resource = self.resource(&Key::new("BackupPolicy", name)).cloned();
        let timing = Timing::of(spec, name, &self.settings.cluster).ok().flatten();
        let entry = self.policies.entry(name.to_owned()).or_insert_with(|| {
            let status: PolicyStatus = remembered(resource.as_ref());
            let recall = if status.scheduled_since.is_some() { Recall::Done } else { Recall::Needed };
            Policy {
                missed_before: status.missed_runs,
                generation: 0,
                timing: None,
                period: None,
                status,
                recall,
                recall_at: None,
                run: None,
                requested: None,
            }
        });
        entry.generation = resource.as_ref().map_or(0, |resource| resource.generation);
        entry.requested = resource.and_then(|resource| resource.requested);
        entry.period = timing.as_ref().and_then(|timing| timing.period(now));
        entry.timing = timing;
        let zone = spec.time_zone.as_deref().unwrap_or("UTC");
        let text = spec.schedule.as_ref().map(|schedule| format!("{schedule} {zone}"));
        if entry.recall == Recall::Done && entry.status.schedule != text {
            entry.status.scheduled_since = Some(now);
        }
        entry.status.schedule = text;
    }
}

/// What a custom resource remembers; nothing where it cannot be read.
fn remembered<T: Default + serde::de::DeserializeOwned>(resource: Option<&Resource>) -> T {
    resource.and_then(|resource| serde_json::from_value(resource.status.clone()).ok()).unwrap_or_default()
}
