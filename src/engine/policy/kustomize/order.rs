//! Puts objects into the order in which kustomize prints them.
//!
//! In: `Pile` · Out: the ordered `Pile` · Touches: nothing

use std::cmp::Reverse;

use crate::domain::object::Gvk;
use crate::engine::policy::node::{Fault, Place};

use super::object::{Object, Pile};
use super::says::{LegacySort, SortOptions, SortOrder};

/// Kinds that come first, where the kustomization does not say it.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Kinds that come last.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Orders by kind and name, unless the kustomization wants the objects as they appear.
pub fn order(options: Option<&SortOptions>, place: Place, pile: &mut Pile) -> Result<(), Fault> {
    let known = LegacySort {
        order_first: FIRST.map(str::to_owned).to_vec(),
        order_last: LAST.map(str::to_owned).to_vec(),
    };
    let sort = match options {
        Some(SortOptions { order: SortOrder::Fifo, legacy_sort_options: None }) => return Ok(()),
        Some(SortOptions { order: SortOrder::Fifo, .. }) => {
            return Err(Fault::new(place, "`legacySortOptions` is for `order: legacy` only"));
        }
        Some(SortOptions { legacy_sort_options: Some(given), .. }) => given,
        Some(SortOptions { legacy_sort_options: None, .. }) | None => &known,
    };
    pile.objects.sort_by_cached_key(|object| key(object, sort));
    Ok(())
}

/// Rank of the kind, then group, version and kind, then namespace and name; empty ones last.
fn key(object: &Object, sort: &LegacySort) -> (i64, Result<String, Reverse<String>>, String) {
    let gvk = object.gvk();
    let or = |text: &str, empty: &str| if text.is_empty() { empty.to_owned() } else { text.to_owned() };
    let kind = format!("{}_{}_{}", or(&gvk.group, "~G"), or(&gvk.version, "~V"), or(&gvk.kind, "~K"));
    let name = format!("{}|{}", or(&object.namespace(), "~X"), or(&object.name(), "~N"));
    let kind = if gvk.kind == "Namespace" { Err(Reverse(kind)) } else { Ok(kind) };
    (rank(&gvk, sort), kind, name)
}

fn rank(gvk: &Gvk, sort: &LegacySort) -> i64 {
    let at = |kinds: &[String]| {
        kinds.iter().rposition(|kind| *kind == gvk.kind).map(|at| i64::try_from(at).unwrap_or(0))
    };
    let length = i64::try_from(sort.order_first.len()).unwrap_or(0);
    at(&sort.order_last).map(|at| at + 1).or_else(|| at(&sort.order_first).map(|at| at - length)).unwrap_or(0)
}
