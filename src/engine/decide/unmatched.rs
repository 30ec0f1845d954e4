//! Finds names and patterns of a request that match nothing of what was saved: most often they are misspelt.
//!
//! In: `State`, `RestoreSpec` · Out: sentences · Touches: nothing

use std::collections::BTreeSet;

use super::draft::is_namespace;
use super::prepare::Mapped;
use crate::domain::object::Resource;
use crate::domain::pattern::KindMatcher;
use crate::domain::policy::KindPattern;
use crate::domain::restore_request::RestoreSpec;
use crate::domain::selection::Selection;
use crate::engine::saved::open::State;

/// What matches nothing, a sentence each, in the order of the fields. `mapped` are the names that were met.
pub fn unmatched(
    state: &State,
    spec: &RestoreSpec,
    selection: &Selection,
    mapped: &BTreeSet<Mapped>,
) -> Vec<String> {
    let kinds: BTreeSet<&Resource> = state.entries.iter().map(|entry| &*entry.resource).collect();
    let kinds: Vec<Resource> = kinds.into_iter().cloned().collect();
    let homes: BTreeSet<String> = state.entries.iter().filter_map(|e| e.key.namespace.clone()).collect();
    let own = state.entries.iter().filter(|entry| is_namespace(&entry.key));
    let mut names = homes.clone();
    names.extend(own.map(|entry| entry.key.name.clone()));
    let mut told = selection.unmatched(&kinds, &names.into_iter().collect::<Vec<_>>());
    let strangers = spec.namespace_mapping.keys().filter(|old| !homes.contains(*old));
    told.extend(strangers.map(|old| format!("namespaceMapping: nothing was saved in namespace {old:?}")));
    let idle = |old: &&String, what: fn(String) -> Mapped| !mapped.contains(&what((*old).clone()));
    let classes = spec.storage_class_mapping.keys().filter(|old| idle(old, Mapped::StorageClass));
    told.extend(
        classes.map(|old| {
            format!("storageClassMapping: nothing that is restored names the storage class {old:?}")
        }),
    );
    let images = spec.image_mapping.keys().filter(|old| idle(old, Mapped::Image));
    told.extend(images.map(|old| format!("imageMapping: no image of what is restored begins with {old:?}")));
    let existing_for: Vec<KindPattern> = spec.existing_for.iter().flat_map(|r| r.kinds.clone()).collect();
    let transforms: Vec<KindPattern> = spec.transforms.iter().flat_map(|t| t.kinds.clone()).collect();
    let lists: [(&str, &[KindPattern]); 4] = [
        ("existingFor", &existing_for),
        ("transforms", &transforms),
        ("children", &spec.children),
        ("restoreStatusOf", &spec.restore_status_of),
    ];
    for (field, patterns) in lists {
        // What is no pattern is an error of the plan.
        let Ok(matcher) = KindMatcher::new(patterns) else { continue };
        let kinds = kinds.iter().map(|k| (k.gvk.group.as_str(), k.gvk.kind.as_str(), k.plural.as_str()));
        let idle = matcher.unmatched(kinds);
        told.extend(
            idle.iter().map(|pattern| format!("{field}: {pattern:?} matches no kind that was saved")),
        );
    }
    told
}

#[cfg(test)]
mod tests;
