//! Looks at the live cluster for what no policy covers.
//!
//! In: `PolicySet`, `App` · Out: `Coverage` · Touches: through `App`

use std::sync::Arc;

use crate::app::wiring::App;
use crate::domain::coverage::Coverage;
use crate::domain::document::PolicySet;
use crate::domain::object::{Manifest, Placed, Resource};
use crate::engine::gather::listing::each;
use crate::engine::keep::coverage::Watch;
use crate::ports::cluster::{Reader, Scope};

use super::failure::Failure;
use super::repository;

/// Compares what policies select with the namespaces, kinds and claims of the cluster. One page of objects is in memory.
///
/// # Errors
/// The cluster does not answer, or does not list namespaces or claims: nothing is told then, because it could be wrong.
pub async fn coverage(app: &App, set: &PolicySet) -> Result<Coverage, Failure> {
    let catalog = Arc::new(repository::catalog(set)?);
    let reader = app.cluster().await.map_err(|e| Failure::of(&e))?.reader.as_ref();
    let served = reader.discover().await.map_err(|e| Failure::failed(&e))?;
    let mut watch = Watch::new(set, catalog, &served);
    let namespaces = Resource::well_known("v1", "Namespace", "namespaces", Placed::InCluster);
    list(reader, &namespaces, |namespace| watch.namespace(&namespace)).await?;
    if let Some(claims) = watch.claims().cloned() {
        list(reader, &claims, |claim| watch.claim(&claim)).await?;
    }
    Ok(watch.finish())
}

async fn list(reader: &dyn Reader, kind: &Resource, take: impl FnMut(Manifest)) -> Result<(), Failure> {
    each(reader, kind, &Scope::All, "", take)
        .await
        .map_err(|error| Failure::failed(&error).with(&[format!("cannot list {}", kind.full_name())]))
}
