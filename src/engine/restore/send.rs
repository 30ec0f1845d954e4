//! Reads the objects of a wave out of a saved state, prepared as they are sent.
//!
//! In: `RestorePlan`, objects of one wave, `State` · Out: a stream of `Parcel`s · Touches: what the state is read from

use std::collections::HashMap;

use futures::stream::{self, Stream, StreamExt};
use serde_json::json;

use crate::domain::object::{Json, Manifest};
use crate::engine::decide::draft::PlannedObject;
use crate::engine::decide::owners::RulesByKind;
use crate::engine::decide::prepare::{Destination, Mapping, Preparation, Prepared, prepare};
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::saved::open::State;

/// One planned object with what is sent, or why it cannot be.
pub struct Parcel<'a> {
    /// The object of the plan.
    pub planned: &'a PlannedObject,
    /// What is sent.
    pub content: Result<Prepared, String>,
    /// The status that is written after it.
    pub status: Option<Json>,
}

/// Every object, once; in the order in which the state gives them. Memory is bounded by the state's reader.
///
/// Where the state cannot be read to the end, the objects that are left come with the reason.
pub fn parcels<'a>(
    plan: &'a RestorePlan,
    planned: &[&'a PlannedObject],
    state: &'a State,
) -> impl Stream<Item = Parcel<'a>> + Send + use<'a> {
    let left: HashMap<usize, &'a PlannedObject> =
        planned.iter().filter_map(|object| Some((object.entry?, *object))).collect();
    let made = planned.iter().copied().filter(|object| object.entry.is_none());
    let made: Vec<Parcel<'a>> =
        made.map(|planned| Parcel { planned, content: bare(plan, planned), status: None }).collect();
    let wanted: Vec<usize> = left.keys().copied().collect();
    let read = Reading { plan, left, rules: RulesByKind::new(plan.settings.catalog()) };
    let objects = state.objects(wanted).map(Some).chain(stream::iter([None]));
    let parcels = objects.scan(read, |read, object| {
        let parcels: Vec<Parcel<'a>> = match object {
            Some(Ok((at, manifest))) => read.open(at, manifest).into_iter().collect(),
            Some(Err(error)) => read.rest(&format!("cannot read it: {error}")),
            None => read.rest("the saved state does not have it any more"),
        };
        std::future::ready(Some(stream::iter(parcels)))
    });
    stream::iter(made).chain(parcels.flatten())
}

struct Reading<'a> {
    plan: &'a RestorePlan,
    left: HashMap<usize, &'a PlannedObject>,
    rules: RulesByKind<'a>,
}

impl<'a> Reading<'a> {
    fn open(&mut self, at: usize, manifest: Manifest) -> Option<Parcel<'a>> {
        let planned = self.left.remove(&at)?;
        let rules = self.rules.of(planned.saved_as());
        let status = status_of(self.plan, planned, &manifest);
        let content = match prepare(manifest, rules, &self.plan.settings.destination()) {
            Ok(Preparation::Send(prepared)) => recast(planned, prepared),
            Ok(Preparation::Leave(reason)) => Err(reason),
            Err(error) => Err(error.to_string()),
        };
        Some(Parcel { planned, content, status })
    }

    fn rest(&mut self, reason: &str) -> Vec<Parcel<'a>> {
        let left = self.left.drain();
        let lost = |planned| Parcel { planned, content: Err(reason.to_owned()), status: None };
        left.map(|(_, planned)| lost(planned)).collect()
    }
}

/// The object in the version it is sent in.
fn recast(planned: &PlannedObject, prepared: Prepared) -> Result<Prepared, String> {
    let Some(recast) = &planned.recast else { return Ok(prepared) };
    prepared
        .changed(|object| recast.change(object))
        .map_err(|error| format!("cannot send it as {}: {error}", recast.api_version()))
}

/// What was saved of its status, if that is written too. In another form of the kind it would be another status.
fn status_of(plan: &RestorePlan, planned: &PlannedObject, saved: &Manifest) -> Option<Json> {
    let wanted = plan.settings.wants_status(planned.saved_as(), saved);
    let fits = planned.recast.as_ref().is_none_or(|recast| !recast.changes_fields());
    saved.at("/status").filter(|_| wanted && fits).cloned()
}

/// A namespace that the state does not have.
fn bare(plan: &RestorePlan, planned: &PlannedObject) -> Result<Prepared, String> {
    let tree = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": planned.key.name}});
    let manifest = Manifest::parse(tree).map_err(|error| error.to_string())?;
    let rules = plan.settings.catalog().kind(&planned.resource);
    // The name is the new one already: nothing is mapped.
    let none = Mapping::default();
    let to = Destination { mapping: &none, ..plan.settings.destination() };
    match prepare(manifest, &rules, &to) {
        Ok(Preparation::Send(prepared)) => Ok(prepared),
        Ok(Preparation::Leave(reason)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}
