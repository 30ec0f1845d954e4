//! Takes in policy: what the repository and the custom resources say, and what of it is in force.
//!
//! In: `Repository`, `Listing` · Out: a changed `Desk` · Touches: nothing

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::desk::{AGAIN, Desk, Fallback, LIST};
use super::event::{Listing, Unfetched};
use super::merge::{InForce, Merged, merge};
use super::resource::{Key, REPOSITORY, Resource};
use crate::domain::problem::Problem;
use crate::domain::status::RepositoryStatus;
use crate::engine::policy::repository::Repository;
use crate::engine::retry::after;
use crate::engine::seal::age::Identities;

/// Problems of a revision that are shown.
const SHOWN: usize = 20;

/// The repository was fetched, or could not be.
pub fn fetched(
    desk: &mut Desk,
    fetched: Result<Repository, Unfetched>,
    identities: &Identities,
    now: Timestamp,
) {
    let pause = if std::mem::take(&mut desk.git.knocked) { Duration::ZERO } else { desk.settings.interval };
    desk.git.fetch_at = Some(after(now, pause));
    // Also where it failed: whoever asked is told by the condition, and the next fetch comes anyway.
    desk.git.handled = desk.git.asked.take().or(desk.git.handled.take());
    let repository = match fetched {
        Ok(repository) => repository,
        Err(Unfetched { why, distrusts }) => {
            tracing::warn!("cannot fetch the policy repository: {why}");
            let first = desk.git.unreachable.replace(why).is_none();
            if let Some(commit) = distrusts {
                distrust(desk, &commit, now);
            }
            if first && desk.git.newest.is_none() {
                merge_anew(desk, identities, now);
            }
            return;
        }
    };
    desk.git.unreachable = None;
    desk.git.fetched = Some(now);
    desk.git.doubted = false;
    let newest = desk.git.newest.as_ref();
    if newest.is_some_and(|newest| newest.revision.is_some() && newest.revision == repository.revision) {
        return;
    }
    let same = newest.is_some_and(|newest| newest.files == repository.files);
    let repository = Arc::new(repository);
    desk.git.newest = Some(repository.clone());
    if same {
        renamed(desk, repository);
    } else {
        merge_anew(desk, identities, now);
    }
}

/// Another commit has the same files, as where a mirror is in the same repository: what is in force is called by its name.
fn renamed(desk: &mut Desk, repository: Arc<Repository>) {
    if desk.git.problems.is_empty() && desk.git.good.is_some() {
        Arc::make_mut(&mut desk.force).set.revision.clone_from(&repository.revision);
        desk.git.good = Some(repository);
    }
}

/// The revision that was in force before this process led. It counts only if it can be in force now.
pub fn remembered(
    desk: &mut Desk,
    fetched: Result<Repository, Unfetched>,
    identities: &Identities,
    now: Timestamp,
) {
    let repository = match fetched {
        Ok(repository) => repository,
        Err(Unfetched { why, distrusts }) => {
            tracing::warn!("cannot fetch the revision that was in force: {why}");
            desk.git.recall_at = Some(after(now, AGAIN));
            if let Some(commit) = distrusts {
                distrust(desk, &commit, now);
            }
            return;
        }
    };
    desk.git.doubted = false;
    if desk.git.good.is_some() && desk.git.newest.is_some() {
        return;
    }
    desk.git.good = Some(Arc::new(repository));
    if !merge_anew(desk, identities, now) {
        desk.git.good = None;
    }
}

/// A commit is not signed by anybody who may. If it is the one in force, nothing is any more: the key of its signer no longer counts.
/// If it is a newer one, the one in force is checked again.
fn distrust(desk: &mut Desk, commit: &str, now: Timestamp) {
    let is = |known: &Option<Arc<Repository>>| {
        known.as_ref().is_some_and(|known| known.revision.as_deref() == Some(commit))
    };
    if is(&desk.git.newest) {
        desk.git.newest = None;
    }
    if is(&desk.git.good) {
        tracing::error!(commit, "the revision in force is no longer trusted: nothing is in force");
        (desk.git.good, desk.git.doubted) = (None, false);
        desk.git.remembered = Some(commit.to_owned());
        desk.enforce(InForce::default(), now);
    } else if let Some(good) = &desk.git.good
        && good.revision == desk.force.set.revision
    {
        desk.git.remembered.clone_from(&good.revision);
        (desk.git.doubted, desk.git.recall_at) = (true, Some(now));
    }
}

/// The custom resources were listed, or could not be.
pub fn listed(desk: &mut Desk, listed: Result<Listing, String>, identities: &Identities, now: Timestamp) {
    desk.list_at = Some(after(now, LIST));
    let Listing { mut resources, served, snapshots } = match listed {
        Ok(listed) => listed,
        Err(reason) => return tracing::warn!("cannot list custom resources: {reason}"),
    };
    let theirs = resources.iter().filter(|resource| !resource.is_view);
    desk.theirs = theirs.map(|one| (one.key.clone(), one.held.is_some())).collect();
    if !desk.settings.resources {
        resources.retain(|resource| resource.is_view);
    }
    desk.served = served;
    // What was shown before this list began is in it, or is not as it should be.
    desk.showing.retain(|key| key.kind == "Snapshot");
    desk.shown.extend(snapshots);
    let wanted = |resources: &[Resource]| -> Vec<(Key, i64, bool, Option<String>)> {
        let one = |r: &Resource| (r.key.clone(), r.generation, r.is_view, r.requested.clone());
        resources.iter().map(one).collect()
    };
    let first = desk.resources.is_none();
    desk.forget_replaced(&resources);
    let changed = desk.resources.as_ref().is_none_or(|before| wanted(before) != wanted(&resources));
    desk.resources = Some(resources);
    let view = desk.resource(&Key::new("PolicyRepository", REPOSITORY));
    let asked = view.and_then(|view| view.requested.clone());
    if first {
        let status =
            view.and_then(|view| serde_json::from_value::<RepositoryStatus>(view.status.clone()).ok());
        let status = status.unwrap_or_default();
        (desk.git.remembered, desk.git.handled) = (status.revision, status.last_handled_request);
        desk.git.recall_at = Some(now);
    }
    if asked.is_some() && asked != desk.git.handled && desk.git.fetch_at.is_some() {
        desk.git.fetch_at = Some(now);
    }
    if changed {
        merge_anew(desk, identities, now);
    }
}

/// Makes policy of what is known, and says whether that could be. Before the repository has answered for the first time nothing
/// is in force; where it cannot be reached, the views of its documents stand in for them, or the revision that was in force does.
fn merge_anew(desk: &mut Desk, identities: &Identities, now: Timestamp) -> bool {
    let Some(resources) = &desk.resources else { return false };
    let stand_in: Vec<Resource>;
    let mut newest = desk.git.newest.as_deref();
    let resources = if !desk.settings.git || newest.is_some() {
        resources
    } else if desk.git.unreachable.is_some() && desk.settings.fallback == Fallback::Views {
        let views = resources.iter().filter(|one| one.key.kind != "PolicyRepository");
        stand_in = views.map(|one| Resource { is_view: false, ..one.clone() }).collect();
        &stand_in
    } else if desk.git.unreachable.is_some() && desk.git.is_as_remembered() {
        newest = desk.git.good.as_deref();
        resources
    } else {
        return false;
    };
    let Merged { in_force, rejected, wrong } = merge(newest, desk.git.good.as_deref(), resources, identities);
    desk.git.problems = rejected.iter().take(SHOWN).map(ToString::to_string).collect();
    for problem in &desk.git.problems {
        tracing::error!("the newest revision is not in force: {problem}");
    }
    desk.wrong = wrong.into_iter().map(|(key, problems)| (key, text(&problems))).collect();
    if rejected.is_empty() && desk.git.newest.is_some() {
        desk.git.good.clone_from(&desk.git.newest);
    }
    let Some(force) = in_force else { return false };
    let revision = force.set.revision.clone().unwrap_or_default();
    tracing::info!(revision, policies = force.set.policies.len(), "policy is in force");
    desk.enforce(force, now);
    true
}

fn text(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|one| format!("{}: {}", one.path, one.message)).collect();
    lines.join("; ")
}

#[cfg(test)]
pub(super) mod tests;
