//! Which snapshots are shown as custom resources, and what they say. Made anew only when a location was listed.
//!
//! In: records by location · Out: views by name · Touches: nothing

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::domain::object::Json;
use crate::domain::snapshot::SnapshotRecord;
use crate::domain::snapshot_view::view;

/// Snapshots of one policy that are shown, the newest ones.
const SHOWN: usize = 20;

/// Snapshots of this cluster at each location, as last listed.
type Listed = BTreeMap<String, Arc<Vec<SnapshotRecord>>>;

/// The views that were made last, and what of. Thousands of snapshots are not looked through every second.
#[derive(Default)]
pub struct SnapshotViews {
    of: Listed,
    made: Arc<BTreeMap<String, Json>>,
}

impl SnapshotViews {
    /// The views of these snapshots: `spec` and `status` by name.
    pub fn of(&mut self, listed: Listed) -> Arc<BTreeMap<String, Json>> {
        let same = |(a, b): (&String, &String)| a == b && Arc::ptr_eq(&self.of[a], &listed[b]);
        if self.of.len() != listed.len() || !self.of.keys().zip(listed.keys()).all(same) {
            self.made = Arc::new(make(&listed));
            self.of = listed;
        }
        self.made.clone()
    }
}

fn make(listed: &Listed) -> BTreeMap<String, Json> {
    let mut found: BTreeMap<String, (Vec<String>, &SnapshotRecord)> = BTreeMap::new();
    for (location, records) in listed {
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        for record in records.iter().rev() {
            let count = counted.entry(&record.policy.name).or_default();
            *count += 1;
            if *count <= SHOWN {
                let (locations, _) =
                    found.entry(record.id.to_string()).or_insert_with(|| (Vec::new(), record));
                locations.push(location.clone());
            }
        }
    }
    let shown = |(locations, record): (Vec<String>, &SnapshotRecord)| {
        let (spec, status) = view(record, locations);
        json!({"spec": spec, "status": status})
    };
    found.into_iter().map(|(name, found)| (name, shown(found))).collect()
}
