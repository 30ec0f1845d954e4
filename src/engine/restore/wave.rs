//! One wave: writes its objects, several at a time, waits until they can be built upon, and says what is still owed.
//!
//! In: objects of a plan, what the restore stands on · Out: `Finished` · Touches: cluster (read and write), clock, what the
//! state is read from

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::before::fingerprints;
use super::existing::Fingerprint;
use super::finalizers::Held;
use super::inventory::with_inventory;
use super::links::{Link, Uids};
use super::put::{Order, Written, put};
use super::rebind::{Released, rebind, released};
use super::send::{Parcel, parcels};
use super::settle::{Awaited, settle};
use super::status::restore as restore_status;
use super::window::Window;
use crate::domain::object::{Gvk, Json, ObjectKey, OwnerReference, Resource};
use crate::domain::report::{ObjectAction, ObjectReport, WaveReport};
use crate::domain::restore_request::FinalizerRule;
use crate::engine::decide::draft::PlannedObject;
use crate::engine::decide::prepare::Prepared;
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::reach::Reach;
use crate::engine::saved::open::State;
use crate::ports::cluster::Mode;

/// What a wave stands on: the plan, and what earlier waves brought.
pub struct Ground<'a> {
    /// What is done.
    pub plan: &'a RestorePlan,
    /// What is restored.
    pub state: &'a State,
    /// The doors.
    pub reach: &'a Reach<'a>,
    /// Kinds whose definition did not become established.
    pub unserved: BTreeSet<Gvk>,
    /// Namespaces that could not be made, and the webhook that blocked them, if one did.
    pub homeless: BTreeMap<String, Option<String>>,
    /// Uids of what was written.
    pub uids: Uids,
}

/// What became of a wave.
pub struct Finished<'p> {
    /// For people.
    pub report: WaveReport,
    /// Old and new uids.
    pub uids: Vec<(&'p str, String)>,
    /// Objects that have owners.
    pub links: Vec<Link<'p>>,
    /// Objects whose finalizers come back later.
    pub held: Vec<Held<'p>>,
    /// Objects that failed and are there all the same, such as a namespace whose labels nobody may change.
    pub standing: Vec<&'p ObjectKey>,
    /// Objects that failed because a webhook did not answer, and its name.
    pub blocked: Vec<(&'p PlannedObject, String)>,
}

impl<'a> Ground<'a> {
    /// Writes objects of one wave.
    pub async fn wave(&self, name: &str, planned: Vec<&'a PlannedObject>) -> Finished<'a> {
        let reach = self.reach;
        let before = fingerprints(&planned, reach).await;
        let mut wave = Open::new(name, self);
        let mut parcels = std::pin::pin!(parcels(self.plan, &planned, self.state));
        let mut window = Window::new(reach.concurrency);
        let mut writes = FuturesUnordered::new();
        let mut more = true;
        while more || !writes.is_empty() {
            tokio::select! {
                biased;
                Some(done) = writes.next(), if !writes.is_empty() => {
                    let done: Done<'a> = done;
                    window.heard(done.written.pressure);
                    wave.take(done);
                }
                next = parcels.next(), if more && writes.len() < window.open() => match next {
                    Some(parcel) => writes.push(self.write(parcel, &before)),
                    None => more = false,
                },
            }
        }
        wave.close(reach).await
    }

    /// The uid that an object had when it was saved.
    pub fn old_uid(&self, planned: &PlannedObject) -> Option<&'a str> {
        self.state.entries[planned.entry?].uid.as_deref()
    }

    async fn write(&self, parcel: Parcel<'a>, before: &HashMap<ObjectKey, Fingerprint>) -> Done<'a> {
        let Parcel { planned, content, status } = parcel;
        let failed = |reason| Written::told(ObjectAction::Failed, reason, None);
        let home = planned.key.namespace.as_ref().and_then(|name| self.homeless.get_key_value(name));
        if let Some((namespace, webhook)) = home {
            let reason = format!("its namespace {namespace} could not be made");
            return Done::plain(planned, Written { webhook: webhook.clone(), ..failed(reason) });
        }
        if planned.new_kind && self.unserved.contains(&planned.resource.gvk) {
            let gvk = &planned.resource.gvk;
            let reason = format!("{gvk} is not served: its definition is not established");
            return Done::plain(planned, failed(reason));
        }
        match content {
            Err(reason) => Done::plain(planned, failed(reason)),
            Ok(prepared) => {
                let owed = Owed::of(&prepared, self.plan.settings.finalizers());
                let prepared = prepared.owned(self.uids.known(&owed.owners));
                let prepared = prepared.held_by(self.plan.holds.get(&planned.key));
                let released = released(prepared.manifest(), self.plan.settings.volumes());
                let order = Order {
                    resource: &planned.resource,
                    object: prepared.manifest(),
                    merges: prepared.merges_into_existing(),
                    existing: planned.existing,
                    never_recreated: prepared.never_recreated(),
                    before: before.get(&planned.key).copied(),
                    fresh: planned.after.is_some(),
                    mode: Mode::Real,
                };
                let written = put(self.reach, &order).await;
                let written =
                    with_inventory(self.reach, planned, self.plan.settings.catalog(), written).await;
                let written = self.with_status(written, &planned.resource, status).await;
                Done { planned, owed, written: self.with_volume(written, released).await }
            }
        }
    }

    /// Writes the saved status of an object that is as it was saved.
    async fn with_status(&self, written: Written, resource: &Resource, status: Option<Json>) -> Written {
        let Some(status) = status.filter(|_| is_as_saved(written.action)) else { return written };
        let Some(now) = written.stored.as_ref().or(written.live.as_ref()) else { return written };
        match restore_status(self.reach, resource, now, &status).await {
            Ok(()) => written,
            Err(why) => {
                let reason = Some(format!("written, but without {why}"));
                Written { action: ObjectAction::Failed, reason, ..written }
            }
        }
    }

    /// Keeps a released volume for the claim that was written.
    async fn with_volume(&self, written: Written, released: Option<Released<'_>>) -> Written {
        let Some(released) = released.filter(|_| is_as_saved(written.action)) else { return written };
        match rebind(self.reach, released, self.plan.settings.served()).await {
            Ok(told) => Written { reason: Some(told), ..written },
            Err(why) => Written { action: ObjectAction::Failed, reason: Some(why), ..written },
        }
    }
}

/// A wave that is being written.
struct Open<'g, 'p> {
    ground: &'g Ground<'p>,
    awaited: Vec<Awaited<'p>>,
    finished: Finished<'p>,
}

impl<'g, 'p> Open<'g, 'p> {
    fn new(name: &str, ground: &'g Ground<'p>) -> Self {
        let report = WaveReport { wave: name.to_owned(), objects: Vec::new(), not_ready: Vec::new() };
        let finished = Finished {
            report,
            uids: Vec::new(),
            links: Vec::new(),
            held: Vec::new(),
            standing: Vec::new(),
            blocked: Vec::new(),
        };
        Self { ground, awaited: Vec::new(), finished }
    }

    fn take(&mut self, Done { planned, owed, written }: Done<'p>) {
        let Written { action, reason, stored, live, pressure: _, webhook } = written;
        let PlannedObject { key, resource, .. } = planned;
        let report = ObjectReport { key: key.clone(), action, reason };
        match webhook {
            Some(name) => self.finished.blocked.push((planned, name)),
            None => self.ground.reach.progress.object(&report),
        }
        self.finished.report.objects.push(report);
        let stands = live.as_ref().is_some_and(|live| !live.is_deleting());
        self.finished.standing.extend((action == ObjectAction::Failed && stands).then_some(key));
        if let Some(now) = stored.as_ref().or(live.as_ref()) {
            let old = self.ground.old_uid(planned);
            self.finished.uids.extend(old.zip(now.uid().map(str::to_owned)));
            let Owed { owners, finalizers } = if is_as_saved(action) { owed } else { Owed::default() };
            if !owners.is_empty() {
                self.finished.links.push(Link { key, resource, owners, now: now.clone() });
            }
            if !finalizers.is_empty() {
                self.finished.held.push(Held { key, resource, finalizers, now: now.clone() });
            }
        }
        if let Some(ready) = planned.ready.as_ref().filter(|_| action != ObjectAction::Failed) {
            self.awaited.push(Awaited { key, resource, ready, seen: stored.or(live) });
        }
    }

    /// Waits for what the next wave is built upon.
    async fn close(mut self, reach: &Reach<'_>) -> Finished<'p> {
        let report = &mut self.finished.report;
        report.objects.sort_by(|a, b| a.key.cmp(&b.key));
        for (key, reason) in settle(reach, self.awaited).await {
            let found = report.objects.iter().find(|object| object.key == key);
            let action = found.map_or(ObjectAction::Created, |object| object.action);
            report.not_ready.push(ObjectReport { key, action, reason: Some(reason) });
        }
        self.finished
    }
}

/// One object after its write.
struct Done<'p> {
    planned: &'p PlannedObject,
    owed: Owed,
    written: Written,
}

/// What an object may still lack when it is written.
#[derive(Default)]
struct Owed {
    owners: Vec<OwnerReference>,
    finalizers: Vec<String>,
}

impl Owed {
    fn of(prepared: &Prepared, rules: &[FinalizerRule]) -> Self {
        let named = |name: &&String| rules.iter().any(|rule| rule.names(name));
        let finalizers = prepared.finalizers().iter().filter(named).cloned().collect();
        Self { owners: prepared.owners().to_vec(), finalizers }
    }
}

impl<'p> Done<'p> {
    fn plain(planned: &'p PlannedObject, written: Written) -> Self {
        Self { planned, owed: Owed::default(), written }
    }
}

/// Whether an object is now what was saved, so that its owners are those that were saved.
fn is_as_saved(action: ObjectAction) -> bool {
    match action {
        ObjectAction::Created | ObjectAction::Updated | ObjectAction::Recreated | ObjectAction::Unchanged => {
            true
        }
        ObjectAction::Deleted | ObjectAction::Skipped | ObjectAction::Failed => false,
    }
}

#[cfg(test)]
mod tests;
