//! Scales a workload down and back: the record of what was there before stands on the workload itself.
//!
//! In: a workload · Out: a merge patch, or the workload as it was before · Touches: nothing

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::object::{Json, Manifest};

/// The annotation in which a workload that is scaled down carries its [`Record`].
pub const SCALED: &str = "backstay.dev/scaled";

/// Who scaled a workload down, and what was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The policy or restore, such as `policy shop`.
    pub by: String,
    /// Replicas before.
    pub was: u64,
    /// Replicas meanwhile.
    pub to: u64,
}

/// What a workload carries.
pub fn record(workload: &Manifest) -> Option<Record> {
    serde_json::from_str(workload.annotation(SCALED)?).ok()
}

/// The replicas that are asked for; 1 where nobody says a number.
pub fn replicas(workload: &Manifest) -> u64 {
    workload.at("/spec/replicas").and_then(Json::as_u64).unwrap_or(1)
}

/// What scales a workload down, bound to the version it was made for; `None` where nothing has to be done. One that is scaled
/// down already keeps its record, unless somebody has changed its replicas since.
pub fn down(workload: &Manifest, by: &str, to: u64) -> Option<Json> {
    let now = replicas(workload);
    let was = record(workload).filter(|record| record.to == now).map_or(now, |record| record.was);
    if now == to {
        return None;
    }
    let record = Record { by: by.to_owned(), was, to };
    Some(patch(workload, Some(&record), Some(to)))
}

/// What scales a workload back, bound to the version it was made for; `None` where it carries no record. Replicas that somebody
/// changed meanwhile stay.
pub fn back(workload: &Manifest) -> Option<Json> {
    let Record { by: _, was, to } = record(workload)?;
    let ours = replicas(workload) == to;
    Some(patch(workload, None, ours.then_some(was)))
}

fn patch(workload: &Manifest, record: Option<&Record>, replicas: Option<u64>) -> Json {
    let version = workload.at("/metadata/resourceVersion").cloned().unwrap_or_default();
    let text = record.map(|record| json!(record).to_string());
    let mut patch = json!({"metadata": {"resourceVersion": version, "annotations": {SCALED: text}}});
    if let Some(replicas) = replicas {
        patch["spec"] = json!({"replicas": replicas});
    }
    patch
}

/// The workload as it was before it was scaled down; another one is given back unchanged.
#[must_use]
pub fn restored(workload: Manifest) -> Manifest {
    let Some(mut patch) = back(&workload) else { return workload };
    // The version stays as it is, where there was one.
    patch["metadata"].as_object_mut().and_then(|metadata| metadata.shift_remove("resourceVersion"));
    let before = workload.clone();
    let edited = workload.edit(|tree| {
        json_patch::merge(tree, &patch);
        let metadata = tree.get_mut("metadata").and_then(Json::as_object_mut);
        if let Some(metadata) = metadata
            && metadata.get("annotations").and_then(Json::as_object).is_some_and(serde_json::Map::is_empty)
        {
            metadata.shift_remove("annotations");
        }
    });
    edited.unwrap_or(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(replicas: u64) -> Manifest {
        Manifest::parse(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7"}, "spec": {"replicas": replicas}}))
        .unwrap()
    }

    fn patched(workload: &Manifest, patch: &Json) -> Manifest {
        workload.clone().edit(|tree| json_patch::merge(tree, patch)).unwrap()
    }

    #[test]
    fn what_was_scaled_down_is_restored_and_saved_as_it_was() {
        let before = workload(3);
        let patch = down(&before, "policy shop", 0).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let scaled = patched(&before, &patch);
        assert_eq!(scaled.at("/spec/replicas"), Some(&json!(0)));
        assert_eq!(down(&scaled, "policy shop", 0), None);
        assert_eq!(restored(scaled.clone()), before);
        let back = patched(&scaled, &back(&scaled).unwrap());
        assert_eq!(back.at("/spec/replicas"), Some(&json!(3)));
        assert_eq!(restored(before.clone()), before);
    }

    #[test]
    fn a_second_run_does_not_forget_what_the_first_one_knew() {
        let before = workload(3);
        let scaled = patched(&before, &down(&before, "policy shop", 1).unwrap());
        let again = patched(&scaled, &down(&scaled, "policy shop", 0).unwrap());
        assert_eq!(record(&again).unwrap(), Record { by: "policy shop".into(), was: 3, to: 0 });
    }

    #[test]
    fn what_somebody_changed_after_a_crash_is_what_counts_for_the_next_run() {
        let before = workload(2);
        let scaled = patched(&before, &down(&before, "policy one", 0).unwrap());
        let changed = patched(&scaled, &json!({"spec": {"replicas": 3}}));
        let again = patched(&changed, &down(&changed, "policy two", 0).unwrap());
        assert_eq!(record(&again).unwrap(), Record { by: "policy two".into(), was: 3, to: 0 });
    }

    #[test]
    fn replicas_that_somebody_changed_meanwhile_stay() {
        let before = workload(3);
        let scaled = patched(&before, &down(&before, "policy shop", 0).unwrap());
        let changed = patched(&scaled, &json!({"spec": {"replicas": 5}}));
        let back = patched(&changed, &back(&changed).unwrap());
        assert_eq!((back.at("/spec/replicas"), record(&back)), (Some(&json!(5)), None));
    }
}
