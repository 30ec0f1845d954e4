//! Finds the owners that a restore has to do with: those that live, and those that it brings back.
//!
//! In: a cluster, `RestorePlan` · Out: `Node`s, and who claims the objects that live · Touches: cluster (read), clock

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::look;
use super::owners::RulesByKind;
use super::restore_plan::RestorePlan;
use crate::domain::object::{Json, Manifest, ObjectKey, Resource};
use crate::domain::rules::Catalog;
use crate::domain::tool::{Claim, Tool, claims};
use crate::engine::gather::listing;
use crate::engine::reach::Reach;
use crate::engine::retry::persist;
use crate::ports::cluster::{self, Scope};

/// It could not be found out which owners live.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {kind}")]
pub struct Error {
    /// Full name of the kind.
    pub kind: String,
    /// Why not.
    #[source]
    pub source: cluster::Error,
}

/// One owner, and what it is told by.
#[derive(Clone, Debug)]
pub struct Node {
    /// Position of its tool in the catalog.
    pub tool: usize,
    /// Identity.
    pub key: ObjectKey,
    /// Kind.
    pub resource: Arc<Resource>,
    /// The owner as it lives, without status; absent where the restore brings it.
    pub live: Option<Manifest>,
    /// Its own owners, as it names them.
    pub claims: Vec<Claim>,
    /// What it lists as its own; absent where it has no list.
    pub known: Option<BTreeSet<ObjectKey>>,
    /// Whether it deletes what carries its mark and is not on the list.
    pub prunes_unknown: bool,
}

/// Every owner that lives, sorted by key. Kinds that nobody can list are no owners' kinds.
///
/// # Errors
/// The first kind whose list fails.
pub async fn live(catalog: &Catalog, served: &[Resource], reach: &Reach<'_>) -> Result<Vec<Node>, Error> {
    let mut nodes = Vec::new();
    for resource in served.iter().filter(|resource| resource.can("list")) {
        let tools = catalog.tools().iter().enumerate();
        let Some((at, tool)) = tools.into_iter().find(|(_, tool)| tool.owns_as(resource)) else { continue };
        let shared = Arc::new(resource.clone());
        let call = async || {
            let mut found = Vec::new();
            listing::each(reach.reader, resource, &Scope::All, "", |owner| {
                found.push(node((at, tool), &shared, owner, catalog.tools()));
            })
            .await?;
            Ok(found)
        };
        let found = persist(reach.clock, reach.patience, call).await.result;
        nodes.extend(found.map_err(|source| Error { kind: resource.full_name(), source })?);
    }
    nodes.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(nodes)
}

fn node((at, tool): (usize, &Tool), resource: &Arc<Resource>, owner: Manifest, tools: &[Tool]) -> Node {
    let list = tool.inventory.as_ref().and_then(|inventory| owner.at(&inventory.path));
    Node {
        tool: at,
        key: owner.key(),
        resource: resource.clone(),
        claims: claims(tools, &owner),
        known: list.map(|list| tool.listed(list)),
        prunes_unknown: tool.prunes_unknown(&owner),
        live: Some(without_status(owner)),
    }
}

/// Statuses of owners are long, and only their inventory counts.
fn without_status(owner: Manifest) -> Manifest {
    let whole = owner.clone();
    let removed = owner.edit(|tree| {
        tree.as_object_mut().and_then(|map| map.shift_remove("status"));
    });
    removed.unwrap_or(whole)
}

/// The owners that a plan brings back and that do not live, in the order of the plan.
pub fn planned(plan: &RestorePlan, live: &[Node]) -> Vec<Node> {
    let there: BTreeSet<&ObjectKey> = live.iter().map(|node| &node.key).collect();
    let mut rules = RulesByKind::new(plan.settings.catalog());
    let tools = plan.settings.catalog().tools();
    let mut nodes = Vec::new();
    for object in plan.waves.iter().flat_map(|wave| &wave.objects).filter(|o| !there.contains(&o.key)) {
        let Some(tool) = rules.of(&object.resource).tool() else { continue };
        let Some(at) = tools.iter().position(|other| other.name == tool.name) else { continue };
        nodes.push(Node {
            tool: at,
            key: object.key.clone(),
            resource: object.resource.clone(),
            live: None,
            claims: object.managed.claims.clone(),
            known: object.managed.inventory.as_ref().map(|list: &Json| tool.listed(list)),
            prunes_unknown: false,
        });
    }
    nodes
}

/// Who claims the objects that a restore may change, as they live. What cannot be read claims nothing.
pub async fn claimed(plan: &RestorePlan, reach: &Reach<'_>) -> BTreeMap<ObjectKey, Vec<Claim>> {
    let mut kinds: BTreeMap<&Resource, BTreeSet<&ObjectKey>> = BTreeMap::new();
    let objects = plan.waves.iter().flat_map(|wave| &wave.objects);
    for object in objects.filter(|object| object.existing.writes() && !object.new_kind) {
        kinds.entry(&object.resource).or_default().insert(&object.key);
    }
    let tools = plan.settings.catalog().tools();
    let mut found = BTreeMap::new();
    for (resource, keys) in kinds {
        let claims = look::at(reach, resource, &keys, |live| claims(tools, live)).await;
        found.extend(claims.into_iter().filter(|(_, claims)| !claims.is_empty()));
    }
    found
}
