//! The policy that an action is carried out under, and what it needs to know of the desk.
//!
//! In: `Desk`, `Action` · Out: `Under` · Touches: nothing

use std::collections::BTreeMap;
use std::sync::Arc;

use super::desk::Desk;
use super::event::{Action, Telling};
use super::merge::InForce;
use crate::domain::identity::SnapshotId;
use crate::domain::snapshot::SnapshotRecord;
use crate::domain::status::LastVerified;
use crate::engine::keep::retain::Proof;

/// What an action is carried out under.
#[derive(Clone)]
pub struct Under {
    /// Policy.
    pub force: Arc<InForce>,
    /// Snapshots that the list of an archive must have.
    pub expected: Vec<SnapshotId>,
    /// Snapshots that were listed there before.
    pub known: Arc<Vec<SnapshotRecord>>,
    /// What reading back has shown there, by policy.
    pub proofs: BTreeMap<String, Proof>,
    /// Uid of the resource that news is about.
    pub uid: String,
}

impl Under {
    /// Under this policy, with nothing else to know.
    pub fn policy(force: Arc<InForce>) -> Self {
        let (expected, known, proofs) = (Vec::new(), Arc::default(), BTreeMap::new());
        Self { force, expected, known, proofs, uid: String::new() }
    }

    /// Under what is in force now.
    pub fn of(desk: &Desk, action: &Action) -> Self {
        let mut under = Self::policy(desk.force.clone());
        if let Action::Prune(name) = action {
            under.expected = expected(desk, name);
            if let Some(location) = desk.locations.get(name) {
                under.known = location.records.clone();
                under.proofs = proofs(&location.status.verified);
            }
        }
        if let Action::Tell(Telling::Announce(news)) = action {
            under.uid = desk.resource(&news.about).map(|found| found.uid.clone()).unwrap_or_default();
        }
        under
    }
}

/// Snapshots that a list of an archive must have: the last Complete one of every policy that goes there, and did before.
fn expected(desk: &Desk, location: &str) -> Vec<SnapshotId> {
    let counted = desk.locations.get(location).map(|location| &location.status.snapshots);
    let goes_there = |name: &String| {
        let spec = desk.force.set.policies.get(name);
        spec.is_some_and(|spec| spec.locations.iter().any(|one| one == location))
            && counted.is_some_and(|counted| counted.contains_key(name))
    };
    let policies = desk.policies.iter().filter(|(name, _)| goes_there(name));
    policies.filter_map(|(_, policy)| policy.status.last_complete.as_ref()?.snapshot.clone()).collect()
}

/// What prune has to know of the last verifications.
fn proofs(verified: &BTreeMap<String, LastVerified>) -> BTreeMap<String, Proof> {
    let proof = |last: &LastVerified| Proof {
        sound: last.sound_snapshot.clone(),
        damaged: (!last.message.is_empty()).then(|| last.snapshot.clone()),
    };
    verified.iter().map(|(policy, last)| (policy.clone(), proof(last))).collect()
}
