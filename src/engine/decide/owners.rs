//! Decides which objects stay out of a restore because the controller that made them comes back.
//!
//! In: the objects of a state that are meant, `Catalog` · Out: one `Verdict` for each · Touches: nothing

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::object::{Manifest, ObjectKey, Owner, Resource};
use crate::domain::pattern::KindMatcher;
use crate::domain::rules::{Catalog, KindRules};

/// One object of a saved state, as its index knows it.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Identity.
    pub key: &'a ObjectKey,
    /// Kind.
    pub resource: &'a Resource,
    /// Uid in the cluster it came from.
    pub uid: Option<&'a str>,
    /// Labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its controller, if it has one.
    pub controller: Option<&'a Owner>,
    /// Whether it comes back although its controller does, because a hook changes it.
    pub wanted: bool,
}

impl Member<'_> {
    /// What catalog rules see of it.
    pub fn outline(&self) -> Manifest {
        Manifest::outline(&self.resource.gvk, self.key, self.labels, self.controller)
    }
}

/// Whether an object is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Restore,
    /// It is, although it has a controller, and why.
    RestoreOwned(String),
    /// Its controller is restored and makes it again.
    Leave(String),
}

/// The rules of the kinds of many objects, each kind asked for once.
pub struct RulesByKind<'c> {
    catalog: &'c Catalog,
    known: BTreeMap<Resource, KindRules<'c>>,
}

impl<'c> RulesByKind<'c> {
    /// Nothing known yet.
    pub fn new(catalog: &'c Catalog) -> Self {
        Self { catalog, known: BTreeMap::new() }
    }

    /// The rules of a kind.
    pub fn of(&mut self, resource: &Resource) -> &KindRules<'c> {
        if !self.known.contains_key(resource) {
            self.known.insert(resource.clone(), self.catalog.kind(resource));
        }
        &self.known[resource]
    }
}

/// Judges every object, in the order given. `members` are the objects the restore means, and no others.
///
/// A controller counts as restored when it is among the members, by uid or by kind, namespace and name. Objects whose
/// catalog rules say `evenIfOwned` are restored all the same: a controller could not make them again as they were. So are
/// those of the kinds that `asked` names: they come before their controllers, which adopt them.
pub fn owners(members: &[Member<'_>], catalog: &Catalog, asked: &KindMatcher) -> Vec<Verdict> {
    let there = There::new(members);
    let mut rules = RulesByKind::new(catalog);
    let is_asked = |kind: &Resource| asked.matches(&kind.gvk.group, &kind.gvk.kind, &kind.plural);
    let mut judge = |member: &Member<'_>| {
        let Some(owner) = member.controller else { return Verdict::Restore };
        let Some(maker) = there.find(member, owner) else {
            let maker = owner.key(member.key.namespace.as_deref());
            return Verdict::RestoreOwned(format!(
                "its controller {maker} is not among the restored objects"
            ));
        };
        if rules.of(member.resource).even_if_owned(&member.outline()) {
            return Verdict::RestoreOwned(format!(
                "made by {maker}, which could not make it again as it was"
            ));
        }
        if member.wanted || is_asked(member.resource) {
            return Verdict::RestoreOwned(format!("made by {maker}, which adopts it"));
        }
        Verdict::Leave(format!("made by {maker}"))
    };
    members.iter().map(&mut judge).collect()
}

/// The members by what an owner reference says of them.
struct There<'m> {
    uids: HashMap<&'m str, &'m ObjectKey>,
    keys: HashSet<&'m ObjectKey>,
}

impl<'m> There<'m> {
    fn new(members: &'m [Member<'m>]) -> Self {
        let uids = members.iter().filter_map(|m| Some((m.uid?, m.key))).filter(|(uid, _)| !uid.is_empty());
        Self { uids: uids.collect(), keys: members.iter().map(|m| m.key).collect() }
    }

    /// The owner among the members: by uid, or where that is unknown by name, in the namespace or cluster-scoped.
    fn find(&self, member: &Member<'_>, owner: &Owner) -> Option<&'m ObjectKey> {
        let by_name = |namespace| self.keys.get(&owner.key(namespace)).copied();
        let found = self.uids.get(owner.uid.as_str()).copied();
        let found = found.or_else(|| by_name(member.key.namespace.as_deref())).or_else(|| by_name(None));
        found.filter(|key| *key != member.key)
    }
}

#[cfg(test)]
mod tests;
