//! What the objects of a wave say before it, so that an update can tell what it changed.
//!
//! In: a wave · Out: `Fingerprint`s · Touches: cluster (read), clock

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt, stream};

use super::existing::{Fingerprint, fingerprint};
use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::engine::decide::draft::PlannedObject;
use crate::engine::decide::listing;
use crate::engine::decide::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::Scope;

/// Up to so many objects of a kind are looked up one by one, more are listed.
const FEW: usize = 10;

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
        if keys.len() <= FEW {
            let reads = stream::iter(keys).map(|key| async move {
                let call = async || reach.reader.get(resource, key.namespace.as_deref(), &key.name).await;
                persist(reach.clock, reach.patience, call).await.result.ok().flatten()
            });
            let reads: Vec<Option<Manifest>> = reads.buffered(reach.concurrency.max(1)).collect().await;
            found.extend(reads.into_iter().flatten().map(|live| (live.key(), fingerprint(&live))));
            continue;
        }
        for scope in scopes(&keys) {
            let call = async || {
                let mut of_kind = Vec::new();
                listing::each(reach.reader, resource, &scope, "", |live| {
                    let key = live.key();
                    if keys.contains(&key) {
                        of_kind.push((key, fingerprint(&live)));
                    }
                })
                .await?;
                Ok(of_kind)
            };
            found.extend(persist(reach.clock, reach.patience, call).await.result.unwrap_or_default());
        }
    }
    found
}

/// The namespaces the objects are in, if they are few; else everything.
fn scopes(keys: &BTreeSet<&ObjectKey>) -> Vec<Scope> {
    let namespaces: BTreeSet<Option<&String>> = keys.iter().map(|key| key.namespace.as_ref()).collect();
    if namespaces.len() > FEW {
        return vec![Scope::All];
    }
    let scope =
        |namespace: Option<&String>| namespace.map_or(Scope::All, |name| Scope::Namespace(name.clone()));
    namespaces.into_iter().map(scope).collect()
}
