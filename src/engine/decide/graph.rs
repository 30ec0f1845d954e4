//! Who owns whom, among the owners that a restore has to do with.
//!
//! In: `Node`s · Out: the owners of an object, and owners in the order outermost first · Touches: nothing

use std::collections::{BTreeSet, HashMap};

use super::owner_nodes::Node;
use crate::domain::object::ObjectKey;
use crate::domain::tool::Claim;

/// Owners, by what objects say of them and by what they say of objects.
pub struct Graph<'a> {
    nodes: &'a [Node],
    by_name: HashMap<(usize, &'a str), Vec<usize>>,
    by_object: HashMap<&'a ObjectKey, Vec<usize>>,
}

impl<'a> Graph<'a> {
    /// Reads the nodes.
    pub fn new(nodes: &'a [Node]) -> Self {
        let mut graph = Self { nodes, by_name: HashMap::new(), by_object: HashMap::new() };
        for (at, node) in nodes.iter().enumerate() {
            graph.by_name.entry((node.tool, node.key.name.as_str())).or_default().push(at);
            for object in node.known.iter().flatten() {
                graph.by_object.entry(object).or_default().push(at);
            }
        }
        graph
    }

    /// Owners that an object names. A name without a namespace means the one owner that knows the object; if none of
    /// several does, all of them.
    pub fn named<'c>(&self, object: &ObjectKey, claims: impl Iterator<Item = &'c Claim>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for claim in claims {
            let named = self.by_name.get(&(claim.tool, claim.owner.name.as_str()));
            let fits = |at: &&usize| {
                let namespace = &self.nodes[**at].key.namespace;
                claim.owner.namespace.is_none() || claim.owner.namespace == *namespace
            };
            let named: Vec<usize> = named.into_iter().flatten().filter(fits).copied().collect();
            let knows =
                |at: &&usize| self.nodes[**at].known.as_ref().is_some_and(|known| known.contains(object));
            let knowing: Vec<usize> = named.iter().filter(knows).copied().collect();
            found.extend(if knowing.is_empty() { named } else { knowing });
        }
        found
    }

    /// Owners of an object: those it names, and those that list it.
    pub fn owners<'c>(&self, object: &ObjectKey, claims: impl Iterator<Item = &'c Claim>) -> BTreeSet<usize> {
        let mut found = self.named(object, claims);
        found.extend(self.by_object.get(object).into_iter().flatten());
        found
    }

    /// Owners of an owner.
    pub fn above(&self, at: usize) -> BTreeSet<usize> {
        let node = &self.nodes[at];
        self.owners(&node.key, node.claims.iter())
    }

    /// These owners and, where `climbs`, the owners above them: each after its own owners. A loop is cut where it closes.
    pub fn outermost_first(
        &self,
        begin: impl Iterator<Item = usize>,
        climbs: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
        let begin: BTreeSet<usize> = begin.collect();
        // Depth first, without recursion: chains are as long as people make them.
        let mut open: Vec<(usize, bool)> = begin.iter().rev().map(|at| (*at, false)).collect();
        while let Some((at, is_done)) = open.pop() {
            if is_done {
                order.push(at);
                continue;
            }
            if !seen.insert(at) {
                continue;
            }
            open.push((at, true));
            let above = self.above(at).into_iter().rev().filter(|up| climbs(at) || begin.contains(up));
            open.extend(above.map(|up| (up, false)));
        }
        order
    }
}

#[cfg(test)]
mod tests;
