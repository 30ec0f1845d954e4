//! Reads whole lists, page by page.
//!
//! In: a kind and a place, or a `Target` · Out: objects · Touches: cluster (read)

use crate::domain::fixup::Target;
use crate::domain::labels::LabelSelector;
use crate::domain::object::{Manifest, Resource};
use crate::ports::cluster::{Error, ListRequest, Reader, Scope};

/// Objects per page.
const PAGE: u32 = 500;

/// Hands every object of a list to a function. One page is in memory at a time. Retries nothing: a caller that does
/// starts over, and sees objects again.
pub async fn each(
    reader: &dyn Reader,
    resource: &Resource,
    scope: &Scope,
    labels: &str,
    mut take: impl FnMut(Manifest),
) -> Result<(), Error> {
    let mut request = ListRequest { labels: labels.to_owned(), ..ListRequest::new(scope.clone(), PAGE) };
    loop {
        let page = reader.list(resource, &request).await?;
        page.objects.into_iter().for_each(&mut take);
        request.token = page.next;
        if request.token.is_none() {
            return Ok(());
        }
    }
}

/// All objects that a target means now.
pub async fn targets(
    reader: &dyn Reader,
    resource: &Resource,
    target: &Target,
) -> Result<Vec<Manifest>, Error> {
    let namespace = target.namespace.as_deref();
    if let Some(name) = &target.name {
        let object = reader.get(resource, namespace, name).await?;
        let selected = |object: &Manifest| {
            target.label_selector.as_ref().is_none_or(|selector| selector.matches(|key| object.label(key)))
        };
        return Ok(object.into_iter().filter(selected).collect());
    }
    let scope = namespace.map_or(Scope::All, |namespace| Scope::Namespace(namespace.to_owned()));
    let labels = target.label_selector.as_ref().map(LabelSelector::query).unwrap_or_default();
    let mut found = Vec::new();
    each(reader, resource, &scope, &labels, |object| found.push(object)).await?;
    Ok(found)
}
