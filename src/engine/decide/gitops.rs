//! Decides what a restore does about the tools that manage its objects: who is paused, who may fight, what is pruned later.
//!
//! In: `RestorePlan`, `Node`s, who claims what lives · Out: `PausePlan` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::draft::PlannedObject;
use super::graph::Graph;
use super::hold::{self, Hold, Mark};
use super::owner_nodes::Node;
use super::restore_plan::RestorePlan;
use crate::domain::object::{ObjectKey, Resource};
use crate::domain::owners::{Owners, SuspendSpec};
use crate::domain::tool::{Claim, OwnerName, Tool};

/// What a restore does about owners. [`crate::engine::restore::pause`] follows it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PausePlan {
    /// The restore, as the record on a paused owner names it.
    pub restore: String,
    /// Owners it has to do with, outermost first: an owner before those that it applies.
    pub owners: Vec<PlannedOwner>,
    /// What the reader should know.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// How owners that come back are kept quiet.
    #[serde(skip)]
    pub holds: BTreeMap<ObjectKey, Hold>,
}

/// One owner, and what happens to it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedOwner {
    /// Identity.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Objects of the restore that it manages.
    pub objects: usize,
    /// Owners of this list that it applies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applies: Vec<ObjectKey>,
    /// What happens to it.
    pub action: OwnerPlan,
    /// Kind.
    #[serde(skip)]
    pub resource: Arc<Resource>,
    /// What suspends it.
    #[serde(skip)]
    pub suspend: Option<SuspendSpec>,
}

/// What happens to an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OwnerPlan {
    /// It is at work: paused before the first write, resumed at the end.
    Pause,
    /// An earlier run of this restore paused it and did not end: resumed at the end.
    TakeOver,
    /// It comes back with the restore: quiet until the end.
    Hold,
    /// Somebody else suspended it, and it stays so.
    Stays,
    /// It is at work and stays so: it may revert what is restored.
    Works,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What the request says.
    pub owners: Option<Owners>,
    /// The restore, such as `request move-the-shop`.
    pub restore: &'a str,
}

/// Decides. `nodes` are the owners that live and those that the plan brings back; `claimed` says who claims what lives.
pub fn decide(
    plan: &RestorePlan,
    nodes: &[Node],
    claimed: &BTreeMap<ObjectKey, Vec<Claim>>,
    asked: Asked<'_>,
) -> PausePlan {
    let graph = Graph::new(nodes);
    let tools = plan.settings.catalog().tools();
    let mut counts = vec![0; nodes.len()];
    for object in plan.waves.iter().flat_map(|wave| &wave.objects) {
        let live = claimed.get(&object.key).into_iter().flatten();
        let claims = object.managed.claims.iter().chain(live);
        graph.owners(&object.key, claims).into_iter().for_each(|at| counts[at] += 1);
    }
    let run = Run { graph, nodes, tools, counts, asked };
    let owners = run.owners();
    let mut told = run.warnings(&owners);
    told.extend(run.left_paused());
    told.extend(run.elsewhere(plan, claimed));
    told.extend(run.pruning(plan));
    PausePlan { restore: asked.restore.to_owned(), holds: run.holds(&owners, plan), owners, notes: told }
}

struct Run<'a> {
    graph: Graph<'a>,
    nodes: &'a [Node],
    tools: &'a [Tool],
    /// Objects of the plan that each node manages.
    counts: Vec<usize>,
    asked: Asked<'a>,
}

impl Run<'_> {
    fn suspend(&self, node: &Node) -> Option<&SuspendSpec> {
        self.tools[node.tool].suspend.as_ref()
    }

    fn is_suspended(&self, node: &Node) -> bool {
        let live = node.live.as_ref().zip(self.suspend(node));
        live.is_some_and(|(live, by)| hold::is_suspended(live, by))
    }

    /// Whether an earlier run of this restore paused it.
    fn is_ours(&self, node: &Node) -> bool {
        let mark = node.live.as_ref().map_or(Mark::None, hold::mark);
        matches!(mark, Mark::Of(record) if record.restore == self.asked.restore)
    }

    /// What happens to an owner that manages something of the restore, or owns such an owner.
    fn action(&self, node: &Node) -> OwnerPlan {
        let pauses = self.asked.owners == Some(Owners::Pause);
        match (&node.live, self.is_suspended(node)) {
            (None, _) => OwnerPlan::Hold,
            (Some(_), true) if self.is_ours(node) => OwnerPlan::TakeOver,
            (Some(_), true) => OwnerPlan::Stays,
            (Some(_), false) if pauses && self.suspend(node).is_some() => OwnerPlan::Pause,
            (Some(_), false) if self.is_ours(node) => OwnerPlan::TakeOver,
            (Some(_), false) => OwnerPlan::Works,
        }
    }

    fn owners(&self) -> Vec<PlannedOwner> {
        let pauses = self.asked.owners == Some(Owners::Pause);
        let begin = self.nodes.iter().enumerate().filter(|(at, node)| match &node.live {
            Some(_) => self.counts[*at] > 0 || self.is_ours(node),
            None => pauses && self.suspend(node).is_some(),
        });
        // Only who is held quiet can be woken up by its own owner.
        let climbs = |at: usize| match self.action(&self.nodes[at]) {
            OwnerPlan::Pause | OwnerPlan::TakeOver | OwnerPlan::Hold => pauses,
            OwnerPlan::Stays | OwnerPlan::Works => false,
        };
        let order = self.graph.outermost_first(begin.map(|(at, _)| at), climbs);
        let mut applies: BTreeMap<usize, Vec<ObjectKey>> = BTreeMap::new();
        for inner in &order {
            for above in self.graph.above(*inner).into_iter().filter(|above| above != inner) {
                applies.entry(above).or_default().push(self.nodes[*inner].key.clone());
            }
        }
        let mut owner = |at: usize| {
            let node = &self.nodes[at];
            PlannedOwner {
                key: node.key.clone(),
                objects: self.counts[at],
                applies: applies.remove(&at).unwrap_or_default(),
                action: self.action(node),
                resource: node.resource.clone(),
                suspend: self.suspend(node).cloned(),
            }
        };
        order.iter().map(|at| owner(*at)).collect()
    }

    fn warnings(&self, owners: &[PlannedOwner]) -> Vec<String> {
        let mut notes = Vec::new();
        for owner in owners.iter().filter(|owner| owner.action == OwnerPlan::Works && owner.objects > 0) {
            let next = match (self.asked.owners, &owner.suspend) {
                (_, None) => "nothing is known that suspends it, so stop it yourself",
                (_, Some(_)) => "use `owners: Pause`",
            };
            let (name, objects) = (short(&owner.key), owner.objects);
            notes.push(format!("{name} applies {objects} of these objects and may revert them: {next}"));
        }
        notes
    }

    /// Owners that carry a pause that is not ours to end.
    fn left_paused(&self) -> Vec<String> {
        let note = |node: &Node| match hold::mark(node.live.as_ref()?) {
            Mark::None => None,
            Mark::Of(record) if record.restore == self.asked.restore => None,
            Mark::Of(record) => Some(format!(
                "{} is paused by another restore ({}); if that one does not run any more: backstay restore resume",
                short(&node.key),
                record.restore
            )),
            Mark::Unreadable => Some(unreadable(&node.key)),
        };
        self.nodes.iter().filter_map(note).collect()
    }

    /// Owners that objects name, now or after the restore, and that this cluster does not have.
    fn elsewhere(&self, plan: &RestorePlan, claimed: &BTreeMap<ObjectKey, Vec<Claim>>) -> Vec<String> {
        let mut absent: BTreeMap<&Claim, usize> = BTreeMap::new();
        for object in plan.waves.iter().flat_map(|wave| &wave.objects) {
            let live = claimed.get(&object.key).into_iter().flatten();
            let claims: BTreeSet<&Claim> = object.managed.stays.iter().chain(live).collect();
            let nowhere = |claim: &&Claim| {
                self.tools[claim.tool].has_owners()
                    && self.graph.named(&object.key, std::iter::once(*claim)).is_empty()
            };
            claims.into_iter().filter(nowhere).for_each(|claim| *absent.entry(claim).or_default() += 1);
        }
        let more = absent.len().saturating_sub(NAMED);
        let note = |(claim, count): (&Claim, usize)| {
            let OwnerName { namespace, name } = &claim.owner;
            let place = namespace.as_ref().map_or(name.clone(), |namespace| format!("{namespace}/{name}"));
            let tool = &self.tools[claim.tool].name;
            format!(
                "{count} of these objects name {place} ({tool}) as their owner, which is not in this cluster: if it runs \
                elsewhere, it cannot be paused from here"
            )
        };
        let notes = absent.into_iter().take(NAMED).map(note);
        notes.chain((more > 0).then(|| format!("{more} more owners are not in this cluster"))).collect()
    }

    /// What happens later to objects that carry an owner's mark and that it does not know.
    fn pruning(&self, plan: &RestorePlan) -> Vec<String> {
        let mut unknown: BTreeMap<usize, Vec<&ObjectKey>> = BTreeMap::new();
        for object in plan.waves.iter().flat_map(|wave| &wave.objects) {
            for at in self.strangers(object) {
                unknown.entry(at).or_default().push(&object.key);
            }
        }
        let note = |(at, objects): (usize, Vec<&ObjectKey>)| {
            let node = &self.nodes[at];
            let (name, number, some) = (short(&node.key), objects.len(), named(&objects));
            if node.prunes_unknown {
                return format!(
                    "{name} would prune {number} of these objects: they carry its mark and it does not know them: {some}"
                );
            }
            if node.known.is_none() && node.live.is_none() {
                return format!(
                    "{name} comes back without its inventory, so it would never prune {number} of these objects"
                );
            }
            format!(
                "{name} would never prune {number} of these objects: they carry its mark and are not in its inventory: {some}"
            )
        };
        unknown.into_iter().map(note).collect()
    }

    /// Owners whose mark an object carries after the restore and that do not know it.
    fn strangers(&self, object: &PlannedObject) -> Vec<usize> {
        let ignorant = |at: &usize| {
            let node = &self.nodes[*at];
            let knows = node.known.as_ref().is_some_and(|known| known.contains(&object.key));
            !knows && (node.prunes_unknown || self.tools[node.tool].prunes_by_inventory())
        };
        self.graph.named(&object.key, object.managed.stays.iter()).into_iter().filter(ignorant).collect()
    }

    fn holds(&self, owners: &[PlannedOwner], plan: &RestorePlan) -> BTreeMap<ObjectKey, Hold> {
        if self.asked.owners != Some(Owners::Pause) {
            return BTreeMap::new();
        }
        let comes: BTreeSet<&ObjectKey> =
            plan.waves.iter().flat_map(|wave| &wave.objects).map(|object| &object.key).collect();
        let quiet: BTreeSet<&ObjectKey> = owners.iter().map(|owner| &owner.key).collect();
        let mut holds = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| comes.contains(&node.key)) {
            let Some(by) = self.suspend(node) else { continue };
            if !quiet.contains(&node.key) && !self.is_suspended(node) {
                continue;
            }
            let live = node.live.clone().map(|live| hold::asleep(live, by, self.asked.restore));
            let hold = Hold { suspend: by.clone(), restore: self.asked.restore.to_owned(), live };
            holds.insert(node.key.clone(), hold);
        }
        holds
    }
}

/// Kind and place of an owner, as its users call it.
pub fn short(key: &ObjectKey) -> String {
    format!("{} {}", key.kind, key.place())
}

/// What is said of an owner whose record nobody can read.
pub fn unreadable(key: &ObjectKey) -> String {
    let (name, annotation) = (short(key), hold::PAUSED);
    format!(
        "{name} carries an annotation {annotation} that cannot be read: look whether it is suspended, and take it off"
    )
}

/// How many objects a note names.
const NAMED: usize = 5;

fn named(objects: &[&ObjectKey]) -> String {
    let some: Vec<String> = objects.iter().take(NAMED).map(ToString::to_string).collect();
    let more = objects.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    some.join(", ") + &rest
}

impl fmt::Display for PausePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for owner in &self.owners {
            let what = match owner.action {
                OwnerPlan::Pause => "is paused until the end",
                OwnerPlan::TakeOver => "was paused by an earlier run of this restore; resumed at the end",
                OwnerPlan::Hold => "comes back, paused until the end",
                OwnerPlan::Stays => "is suspended already, and stays so",
                OwnerPlan::Works => "stays at work",
            };
            let objects = (owner.objects > 0).then(|| format!("{} of these objects", owner.objects));
            let parts = objects.into_iter().chain(owner.applies.iter().map(short));
            let parts: Vec<String> = parts.collect();
            let applies =
                if parts.is_empty() { String::new() } else { format!(" (applies {})", parts.join(", ")) };
            writeln!(f, "owner {}{applies}: {what}", short(&owner.key))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
