//! Puts objects into the order in which a cluster can take them.
//!
//! In: the objects to restore, `Catalog` · Out: `Wave`s · Touches: nothing

use std::collections::BTreeMap;

use super::owners::{Member, RulesByKind};
use crate::domain::rule::Ready;
use crate::domain::rules::Catalog;

/// Objects that a restore may apply together.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// Name, as the catalog gives it.
    pub name: String,
    /// What the wave is for, in a few words.
    pub description: String,
    /// Positions of the objects in the list that was given, sorted by key.
    pub members: Vec<usize>,
    /// What the next wave waits for: position of the object and its condition, in the order of `members`.
    pub awaited: Vec<(usize, Ready)>,
}

/// Orders the objects. Waves without objects are left out. Equal input gives equal output.
pub fn waves(members: &[Member<'_>], catalog: &Catalog) -> Vec<Wave> {
    let mut rules = RulesByKind::new(catalog);
    let mut places: BTreeMap<usize, Vec<(usize, Option<Ready>)>> = BTreeMap::new();
    for (position, member) in members.iter().enumerate() {
        let outline = member.outline();
        let kind = rules.of(member.resource);
        places.entry(kind.wave(&outline)).or_default().push((position, kind.ready(&outline).cloned()));
    }
    places
        .into_iter()
        .map(|(place, mut found)| {
            found.sort_by(|(a, _), (b, _)| members[*a].key.cmp(members[*b].key));
            let spec = &catalog.waves()[place];
            Wave {
                name: spec.name.clone(),
                description: spec.description.clone().unwrap_or_default(),
                members: found.iter().map(|(position, _)| *position).collect(),
                awaited: found.into_iter().filter_map(|(position, ready)| Some((position, ready?))).collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
