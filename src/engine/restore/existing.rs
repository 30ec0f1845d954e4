//! Compares an object that exists with one that is wanted.
//!
//! In: two objects · Out: whether one holds the other, what it lacks, a `Fingerprint` · Touches: nothing

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::domain::object::{Json, JsonMap, Manifest};

/// A number for the content of an object: equal content, equal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// What an object says, without status and without what the server counts up at every write.
pub fn fingerprint(object: &Manifest) -> Fingerprint {
    let mut tree = object.as_json().clone();
    if let Some(map) = tree.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Json::as_object_mut) {
            for field in ["managedFields", "resourceVersion", "generation"] {
                metadata.remove(field);
            }
        }
    }
    tree.sort_all_objects();
    Fingerprint(Sha256::digest(tree.to_string()).into())
}

/// Whether everything that is wanted is there with the same value; what else is there does not count.
///
/// A list must have the same length and hold its elements in the same order. Of the metadata, only labels and
/// annotations count.
pub fn holds(live: &Manifest, wanted: &Manifest) -> bool {
    wishes(wanted).iter().all(|(key, value)| within(live.as_json().get(key), value))
}

/// What has to be added to an object so that nothing wanted is missing, as a merge patch; `None` when nothing is.
///
/// Values that are there stay as they are. Lists get the elements they lack; elements with a `name` are told apart by it.
/// The patch is bound to the version of the object it was made for.
pub fn additions(live: &Manifest, wanted: &Manifest) -> Option<Json> {
    let mut patch = missing(live.as_json(), &Json::Object(wishes(wanted)))?;
    if let Some(version) = live.at("/metadata/resourceVersion") {
        let map = patch.as_object_mut()?;
        let metadata = map.entry("metadata").or_insert_with(|| json!({}));
        metadata.as_object_mut()?.insert("resourceVersion".into(), version.clone());
    }
    Some(patch)
}

/// The parts of an object that a person can wish for.
fn wishes(wanted: &Manifest) -> JsonMap {
    let mut wishes = wanted.as_json().as_object().cloned().unwrap_or_default();
    for field in ["apiVersion", "kind", "status"] {
        wishes.remove(field);
    }
    if let Some(metadata) = wishes.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.retain(|key, _| key == "labels" || key == "annotations");
    }
    wishes
}

fn within(live: Option<&Json>, wanted: &Json) -> bool {
    match (live, wanted) {
        (None, Json::Null) => true,
        (None, Json::Object(map)) => map.values().all(|value| within(None, value)),
        (None, Json::Array(list)) => list.is_empty(),
        (Some(Json::Object(live)), Json::Object(wanted)) => {
            wanted.iter().all(|(key, value)| within(live.get(key), value))
        }
        (Some(Json::Array(live)), Json::Array(wanted)) => {
            live.len() == wanted.len()
                && live.iter().zip(wanted).all(|(live, wanted)| within(Some(live), wanted))
        }
        (Some(live), wanted) => live == wanted,
        (None, _) => false,
    }
}

fn missing(live: &Json, wanted: &Json) -> Option<Json> {
    match (live, wanted) {
        (Json::Object(live), Json::Object(wanted)) => {
            let lacks = wanted.iter().filter_map(|(key, value)| {
                let lack = match live.get(key) {
                    None => (!within(None, value)).then(|| value.clone()),
                    Some(there) => missing(there, value),
                };
                Some((key.clone(), lack?))
            });
            let lacks: JsonMap = lacks.collect();
            (!lacks.is_empty()).then(|| Json::Object(lacks))
        }
        (Json::Array(live), Json::Array(wanted)) => {
            let name = |element: &Json| element.get("name").cloned();
            let there = |element: &Json| match name(element) {
                Some(named) => live.iter().any(|other| name(other).as_ref() == Some(&named)),
                None => live.contains(element),
            };
            let lacks: Vec<Json> = wanted.iter().filter(|element| !there(element)).cloned().collect();
            (!lacks.is_empty()).then(|| live.iter().cloned().chain(lacks).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(rest: &Json) -> Manifest {
        let mut tree = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "shop", "resourceVersion": "7", "uid": "u"}});
        json_patch::merge(&mut tree, rest);
        Manifest::parse(tree).unwrap()
    }

    #[test]
    fn what_the_server_adds_does_not_make_a_difference() {
        let wanted = account(
            &json!({"metadata": {"labels": {"a": "1"}, "resourceVersion": "1"}, "spec": {"x": [{"n": 1}], "empty": {}, "none": null}}),
        );
        let live = account(
            &json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"x": [{"n": 1, "default": true}]}, "status": {"y": 1}}),
        );
        assert!(holds(&live, &wanted));
        assert!(!holds(&wanted, &live));
        assert!(!holds(&account(&json!({"spec": {"x": []}})), &wanted));
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let live =
            account(&json!({"metadata": {"labels": {"a": "live"}}, "imagePullSecrets": [{"name": "one"}]}));
        let wanted = account(
            &json!({"metadata": {"labels": {"a": "saved", "b": "2"}}, "imagePullSecrets": [{"name": "two"}, {"name": "one"}], "automountServiceAccountToken": false}),
        );
        let patch = additions(&live, &wanted).unwrap();
        assert_eq!(
            patch,
            json!({"metadata": {"labels": {"b": "2"}, "resourceVersion": "7"}, "imagePullSecrets": [{"name": "one"}, {"name": "two"}], "automountServiceAccountToken": false})
        );
        assert_eq!(additions(&wanted, &live), None);
    }

    #[test]
    fn a_fingerprint_sees_content_only() {
        let one = account(&json!({"data": 1, "status": {"a": 1}, "metadata": {"generation": 1}}));
        let other = account(
            &json!({"status": {"a": 2}, "metadata": {"generation": 2, "resourceVersion": "8"}, "data": 1}),
        );
        assert_eq!(fingerprint(&one), fingerprint(&other));
        assert_ne!(fingerprint(&one), fingerprint(&account(&json!({"data": 2}))));
    }
}
