//! Looks at many objects of one kind by their keys: few one by one, many by lists.
//!
//! In: a kind and keys · Out: something of each that is there · Touches: cluster (read), clock

use std::collections::BTreeSet;

use futures::{StreamExt, stream};

use crate::domain::object::{Manifest, ObjectKey, Resource};
use crate::engine::gather::listing;
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::Scope;

/// Up to so many objects of a kind are looked up one by one, more are listed.
const FEW: usize = 10;

/// A part of every object that is there. What cannot be read is left out.
pub async fn at<T>(
    reach: &Reach<'_>,
    resource: &Resource,
    keys: &BTreeSet<&ObjectKey>,
    part: impl Fn(&Manifest) -> T,
) -> Vec<(ObjectKey, T)> {
    if keys.len() <= FEW {
        let reads = stream::iter(keys).map(|key| async move {
            let call = async || reach.reader.get(resource, key.namespace.as_deref(), &key.name).await;
            persist(reach.clock, reach.patience, call).await.result.ok().flatten()
        });
        let reads: Vec<Option<Manifest>> = reads.buffered(reach.concurrency.max(1)).collect().await;
        return reads.into_iter().flatten().map(|live| (live.key(), part(&live))).collect();
    }
    let mut found = Vec::new();
    for scope in scopes(keys) {
        let call = async || {
            let mut of_kind = Vec::new();
            listing::each(reach.reader, resource, &scope, "", |live| {
                let key = live.key();
                if keys.contains(&key) {
                    of_kind.push((key, part(&live)));
                }
            })
            .await?;
            Ok(of_kind)
        };
        found.extend(persist(reach.clock, reach.patience, call).await.result.unwrap_or_default());
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
