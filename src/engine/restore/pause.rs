//! Pauses owners before the first write of a restore, and puts each back to what it was.
//!
//! In: `PausePlan` · Out: `OwnerReport`s · Touches: cluster (read and write), clock

use std::collections::BTreeMap;

use crate::domain::object::{Json, Manifest, ObjectKey, Resource};
use crate::domain::owners::{Owners, SuspendSpec};
use crate::domain::report::{OwnerAction, OwnerReport};
use crate::domain::rules::Catalog;
use crate::engine::decide::gitops::{self, Asked, OwnerPlan, PausePlan, PlannedOwner};
use crate::engine::decide::graph::Graph;
use crate::engine::decide::hold::{self, Mark};
use crate::engine::decide::owner_nodes::{self, Node};
use crate::engine::decide::restore_plan::RestorePlan;
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{self, Mode, Patch, Place};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be found out who manages the objects.
    #[error("cannot find out who manages the objects; nothing was written")]
    Look(#[from] owner_nodes::Error),
    /// The cluster does not let an owner be paused.
    #[error("cannot pause {owner}; nothing was restored")]
    Pause {
        /// The owner.
        owner: Box<ObjectKey>,
        /// Full name of its kind.
        kind: String,
        /// Why not.
        #[source]
        source: cluster::Error,
    },
}

impl Error {
    /// What a person can do next.
    pub fn next(&self) -> String {
        match self {
            Self::Look(owner_nodes::Error { kind, .. }) => {
                format!("grant get, list and patch on {kind}, or leave `owners: Pause` out")
            }
            Self::Pause { kind, source: cluster::Error::Forbidden(_), .. } => {
                format!("grant patch on {kind}, or suspend it yourself and restore again")
            }
            Self::Pause { .. } => "suspend it yourself and restore again".to_owned(),
        }
    }
}

/// Finds the owners of what a plan restores, decides what happens to them, and lets the plan know.
///
/// # Errors
/// Owners that cannot be listed, where they shall be paused; else that is a note of the plan.
pub async fn look(plan: &mut RestorePlan, asked: Asked<'_>, reach: &Reach<'_>) -> Result<PausePlan, Error> {
    let nodes = match owner_nodes::live(plan.settings.catalog(), plan.settings.served(), reach).await {
        Ok(nodes) => nodes,
        Err(error) if asked.owners == Some(Owners::Pause) => return Err(error.into()),
        Err(owner_nodes::Error { kind, source }) => {
            plan.notes
                .push(format!("cannot list {kind}, so nobody says who may revert this restore: {source}"));
            Vec::new()
        }
    };
    let claimed = if nodes.is_empty() { BTreeMap::new() } else { owner_nodes::claimed(plan, reach).await };
    let coming = owner_nodes::planned(plan, &nodes);
    let nodes: Vec<Node> = nodes.into_iter().chain(coming).collect();
    let decided = gitops::decide(plan, &nodes, &claimed, asked);
    plan.notes.extend(decided.notes.iter().cloned());
    plan.holds = decided.holds.clone();
    Ok(decided)
}

/// Pauses every owner that the plan says, outermost first; before the first one the server is asked about all of them.
///
/// # Errors
/// The first owner that cannot be paused. Those before it stay paused until [`resume`].
pub async fn pause(plan: &PausePlan, reach: &Reach<'_>) -> Result<(), Error> {
    for mode in [Mode::DryRun, Mode::Real] {
        for owner in plan.owners.iter().filter(|owner| owner.action == OwnerPlan::Pause) {
            let Some(by) = &owner.suspend else { continue };
            reach.progress.waiting(&format!("pausing {}", gitops::short(&owner.key)));
            let way = |live: &Manifest| hold::pause(live, by, &plan.restore);
            let result = match change(reach, (&owner.resource, &owner.key), mode, way).await {
                Ok(Some(stored)) if !hold::is_suspended(&stored, by) => {
                    Err(cluster::Error::Invalid(format!("the server does not keep {}", by.path)))
                }
                other => other,
            };
            result.map_err(|source| Error::Pause {
                owner: Box::new(owner.key.clone()),
                kind: owner.resource.full_name(),
                source,
            })?;
        }
    }
    Ok(())
}

/// Puts every owner back that carries the record of this restore, outermost first: so an owner has put those it applies
/// right before they start to work.
pub async fn resume(plan: &PausePlan, reach: &Reach<'_>) -> Vec<OwnerReport> {
    let mut reports = Vec::new();
    for PlannedOwner { key, resource, suspend, action, .. } in &plan.owners {
        let Some(by) = suspend else { continue };
        match action {
            OwnerPlan::Stays | OwnerPlan::Works => continue,
            OwnerPlan::Pause | OwnerPlan::TakeOver | OwnerPlan::Hold => {}
        }
        let ours = |live: &Manifest| match hold::mark(live) {
            Mark::Of(record) if record.restore == plan.restore => hold::resume(live, by),
            Mark::None | Mark::Of(_) | Mark::Unreadable => None,
        };
        reports.extend(resumed(reach, (resource, key), ours).await);
    }
    reports
}

/// Owners that any restore paused, outermost first.
#[derive(Debug)]
pub struct Paused {
    nodes: Vec<(Node, Mark, SuspendSpec)>,
}

impl Paused {
    /// Each with the restore that paused it; `None` where its record cannot be read.
    pub fn list(&self) -> Vec<(&ObjectKey, Option<&str>)> {
        let mut list = Vec::new();
        for (node, mark, _) in &self.nodes {
            list.push(match mark {
                Mark::Of(record) => (&node.key, Some(record.restore.as_str())),
                Mark::None | Mark::Unreadable => (&node.key, None),
            });
        }
        list
    }
}

/// Looks for owners that a restore left paused.
///
/// # Errors
/// A kind of owners that cannot be listed.
pub async fn paused(
    catalog: &Catalog,
    served: &[Resource],
    reach: &Reach<'_>,
) -> Result<Paused, owner_nodes::Error> {
    let nodes = owner_nodes::live(catalog, served, reach).await?;
    let marks: Vec<Mark> =
        nodes.iter().map(|node| node.live.as_ref().map_or(Mark::None, hold::mark)).collect();
    let begin = marks.iter().enumerate().filter(|(_, mark)| **mark != Mark::None).map(|(at, _)| at);
    let order = Graph::new(&nodes).outermost_first(begin, |_| false);
    let one = |at: usize| {
        let by = catalog.tools()[nodes[at].tool].suspend.clone()?;
        Some((nodes[at].clone(), marks[at].clone(), by))
    };
    Ok(Paused { nodes: order.into_iter().filter_map(one).collect() })
}

/// Puts them back, whichever restore paused them.
pub async fn resume_all(paused: &Paused, reach: &Reach<'_>) -> Vec<OwnerReport> {
    let mut reports = Vec::new();
    for (Node { key, resource, .. }, mark, by) in &paused.nodes {
        if *mark == Mark::Unreadable {
            let (key, reason) = (key.clone(), Some(gitops::unreadable(key)));
            reports.push(OwnerReport { key, action: OwnerAction::StillPaused, reason });
            continue;
        }
        reports.extend(resumed(reach, (resource, key), |live| hold::resume(live, by)).await);
    }
    reports
}

/// Puts one owner back; `None` where there was nothing to do.
async fn resumed(
    reach: &Reach<'_>,
    owner: (&Resource, &ObjectKey),
    way: impl Fn(&Manifest) -> Option<Json>,
) -> Option<OwnerReport> {
    reach.progress.waiting(&format!("resuming {}", gitops::short(owner.1)));
    let key = owner.1.clone();
    match change(reach, owner, Mode::Real, way).await {
        Ok(None) => None,
        Ok(Some(_)) => Some(OwnerReport { key, action: OwnerAction::Resumed, reason: None }),
        Err(error) => {
            let reason = Some(format!("{error}; backstay restore resume"));
            Some(OwnerReport { key, action: OwnerAction::StillPaused, reason })
        }
    }
}

/// Reads an owner and patches it, again when somebody else was quicker. Gives it as it is then, or nothing where there was
/// nothing to do.
async fn change(
    reach: &Reach<'_>,
    (resource, key): (&Resource, &ObjectKey),
    mode: Mode,
    way: impl Fn(&Manifest) -> Option<Json>,
) -> Result<Option<Manifest>, cluster::Error> {
    let place = Place { namespace: key.namespace.as_deref(), name: &key.name, subresource: "" };
    let mut was_sent = false;
    let call = async || {
        let Some(live) = reach.reader.get(resource, place.namespace, place.name).await? else {
            return Ok(None);
        };
        let Some(patch) = way(&live) else { return Ok(was_sent.then_some(live)) };
        was_sent = mode == Mode::Real;
        reach.writer.patch(resource, place, &Patch::Merge(patch), mode).await.map(Some)
    };
    match persist(reach.clock, reach.patience, call).await.result {
        Err(cluster::Error::NotFound(_)) => Ok(None),
        other => other,
    }
}

#[cfg(test)]
pub(crate) mod tests;
