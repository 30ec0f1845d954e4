//! The scratch namespaces of drills: which there are, and their end.
//!
//! In: names of drills · Out: what is left · Touches: cluster (read and write), clock

use std::time::Duration;

use super::drill::LABEL;
use crate::domain::fixup::Propagation;
use crate::domain::object::{Gvk, Manifest, Resource};
use crate::engine::gather::listing;
use crate::engine::reach::Reach;
use crate::engine::retry::{after, persist};
use crate::ports::cluster::{Error, Place, Scope};

/// How long namespaces may take to go.
const GONE: Duration = Duration::from_mins(5);

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Scratch namespaces of one drill, or of all; sorted.
///
/// # Errors
/// They cannot be listed.
pub async fn find(reach: &Reach<'_>, drill: Option<&str>) -> Result<Vec<String>, Error> {
    let labels = drill.map_or_else(|| LABEL.to_owned(), |name| format!("{LABEL}={name}"));
    let call = async || {
        let mut names = Vec::new();
        let take = |object: Manifest| names.push(object.name().to_owned());
        listing::each(reach.reader, &namespaces(), &Scope::All, &labels, take).await?;
        Ok(names)
    };
    let mut names = persist(reach.clock, reach.patience, call).await.result?;
    names.sort();
    Ok(names)
}

/// Deletes scratch namespaces with all that is in them, and waits until they are gone. Gives back what is left, and why.
///
/// # Errors
/// They cannot be listed or deleted.
pub async fn clean(reach: &Reach<'_>, drill: Option<&str>) -> Result<Vec<String>, Error> {
    for name in find(reach, drill).await? {
        let place = Place { namespace: None, name: &name, subresource: "" };
        let call = async || reach.writer.delete(&namespaces(), place, Propagation::Background).await;
        match persist(reach.clock, reach.patience, call).await.result {
            Ok(()) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let deadline = after(reach.clock.now(), GONE);
    loop {
        let left = find(reach, drill).await?;
        if left.is_empty() || reach.clock.now() >= deadline {
            return Ok(left);
        }
        reach.progress.waiting(&format!("the end of namespace {}", left.join(", ")));
        reach.clock.sleep(LOOK).await;
    }
}

fn namespaces() -> Resource {
    Resource {
        gvk: Gvk::new("v1", "Namespace"),
        plural: "namespaces".to_owned(),
        namespaced: false,
        verbs: Vec::new(),
        served: vec!["v1".to_owned()],
    }
}
