//! What the objects of a wave say before it, so that an update can tell what it changed.
//!
//! In: a wave · Out: `Fingerprint`s · Touches: cluster (read), clock

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::existing::{Fingerprint, fingerprint};
use crate::domain::object::{ObjectKey, Resource};
use crate::engine::decide::draft::PlannedObject;
use crate::engine::decide::look;
use crate::engine::reach::Reach;

/// What the objects of a wave that may be changed say before anything is written, for those that exist.
///
/// Kinds with more than a few objects are listed, so that an update costs one call per object and not two. What cannot
/// be read is left out: its update is then reported as if the object were new.
pub async fn fingerprints(planned: &[&PlannedObject], reach: &Reach<'_>) -> HashMap<ObjectKey, Fingerprint> {
    let mut kinds: BTreeMap<&Resource, BTreeSet<&ObjectKey>> = BTreeMap::new();
    for object in planned.iter().filter(|object| object.existing.writes() && !object.new_kind) {
        kinds.entry(&object.resource).or_default().insert(&object.key);
    }
    let mut found = HashMap::new();
    for (resource, keys) in kinds {
        found.extend(look::at(reach, resource, &keys, fingerprint).await);
    }
    found
}
