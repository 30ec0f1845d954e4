//! Compares two objects field by field, by meaning, and hides what is secret before anything is put out.
//!
//! In: two objects in mirror form, `Hidden` · Out: `Change` · Touches: nothing

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::change::{Change, ChangeKind, FieldChange};
use crate::domain::object::{Json, JsonMap, Manifest};
use crate::engine::clean::hide::Hidden;

/// What stands for a secret value.
const MASK: &str = "***";

/// Fields that together name an element of a list, tried in this order; only the first must be there.
const KEYS: [&[&str]; 11] = [
    &["name"],
    &["key"],
    &["type"],
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["mountPath"],
    &["devicePath"],
    &["uid"],
    &["ip"],
    &["topologyKey", "whenUnsatisfiable"],
    &["host"],
];

/// Says how an object differs; `None` when it does not, or when neither side has it.
///
/// List elements are matched by their key (`name`, `key`, `type`, ports…) where every element has one and none
/// occurs twice, else by position after what is equal at both ends. A changed order of keyed elements is a change
/// of the list. Below hidden fields, keys are named and lists are taken as one value.
pub fn compare(before: Option<&Manifest>, after: Option<&Manifest>, hidden: &Hidden) -> Option<Change> {
    let mut walk = Walk { hidden, found: Vec::new() };
    let change = match (before, after) {
        (None, None) => return None,
        (Some(before), Some(after)) => {
            walk.maps("", before.as_json().as_object()?, after.as_json().as_object()?, Sight::Clear);
            ChangeKind::Changed
        }
        (Some(gone), None) => {
            walk.found = whole(gone, hidden).map(|(path, v)| field(path, Some(v), None)).collect();
            ChangeKind::Removed
        }
        (None, Some(new)) => {
            walk.found = whole(new, hidden).map(|(path, v)| field(path, None, Some(v))).collect();
            ChangeKind::Added
        }
    };
    let key = after.or(before)?.key();
    let same = change == ChangeKind::Changed && walk.found.is_empty();
    (!same).then_some(Change { key, change, fields: walk.found })
}

fn field(path: String, before: Option<Json>, after: Option<Json>) -> FieldChange {
    FieldChange { path, before, after }
}

/// All fields of an object that only one side has, without the identity, secrets masked.
fn whole<'a>(object: &'a Manifest, hidden: &'a Hidden) -> impl Iterator<Item = (String, Json)> + 'a {
    let entries = |parent: &'static str, map: Option<&'a JsonMap>, without: &'static [&'static str]| {
        let kept = map.into_iter().flatten().filter(move |(key, _)| !without.contains(&key.as_str()));
        let mut kept: Vec<_> = kept.map(|(key, value)| (parent, key, value)).collect();
        kept.sort_by_key(|(_, key, _)| *key);
        kept
    };
    let metadata = object.at("/metadata").and_then(Json::as_object);
    let mut all = entries("/metadata", metadata, &["name", "namespace"]);
    all.extend(entries("", object.as_json().as_object(), &["apiVersion", "kind", "metadata"]));
    all.into_iter().map(|(parent, key, value)| (join(parent, key), veil(parent, key, value, hidden)))
}

/// The value with everything hidden masked.
fn veil(parent: &str, key: &str, value: &Json, hidden: &Hidden) -> Json {
    if hidden.covers(parent, key) {
        return masked(value);
    }
    match value {
        Json::Object(map) if parent == "/metadata" && key == "annotations" => {
            let path = join(parent, key);
            map.iter().map(|(k, v)| (k.clone(), veil(&path, k, v, hidden))).collect()
        }
        _ => value.clone(),
    }
}

fn masked(value: &Json) -> Json {
    match value {
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), masked(value))).collect(),
        _ => Json::from(MASK),
    }
}

/// Whether values at this place may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    Clear,
    Masked,
}

struct Walk<'a> {
    hidden: &'a Hidden,
    found: Vec<FieldChange>,
}

impl Walk<'_> {
    fn maps(&mut self, path: &str, before: &JsonMap, after: &JsonMap, sight: Sight) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let sight = if self.hidden.covers(path, key) { Sight::Masked } else { sight };
            self.values(&join(path, key), before.get(key), after.get(key), sight);
        }
    }

    fn values(&mut self, path: &str, before: Option<&Json>, after: Option<&Json>, sight: Sight) {
        let empty = JsonMap::new();
        match (before, after) {
            _ if before == after => {}
            (Some(Json::Object(before)), Some(Json::Object(after))) => self.maps(path, before, after, sight),
            (Some(Json::Object(gone)), None) if sight == Sight::Masked && !gone.is_empty() => {
                self.maps(path, gone, &empty, sight);
            }
            (None, Some(Json::Object(new))) if sight == Sight::Masked && !new.is_empty() => {
                self.maps(path, &empty, new, sight);
            }
            (Some(Json::Array(before)), Some(Json::Array(after))) if sight == Sight::Clear => {
                self.lists(path, before, after);
            }
            _ => self.put(path, before, after, sight),
        }
    }

    fn put(&mut self, path: &str, before: Option<&Json>, after: Option<&Json>, sight: Sight) {
        let (before, after) = match (sight, before, after) {
            (Sight::Clear, before, after) => (before.cloned(), after.cloned()),
            (Sight::Masked, Some(_), Some(_)) => (Some("*** (before)".into()), Some("*** (after)".into())),
            (Sight::Masked, before, after) => (before.map(|_| MASK.into()), after.map(|_| MASK.into())),
        };
        self.found.push(field(path.to_owned(), before, after));
    }

    fn lists(&mut self, path: &str, before: &[Json], after: &[Json]) {
        for keys in KEYS {
            if let (Some(old), Some(new)) = (keyed(before, keys), keyed(after, keys)) {
                return self.keyed_lists(path, &old, &new);
            }
        }
        self.plain_lists(path, before, after);
    }

    fn keyed_lists(&mut self, path: &str, before: &[(String, &Json)], after: &[(String, &Json)]) {
        let old: BTreeMap<&str, &Json> = before.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let new: BTreeMap<&str, &Json> = after.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let order = |list: &[(String, &Json)], other: &BTreeMap<&str, &Json>| -> Vec<String> {
            list.iter()
                .filter(|(key, _)| other.contains_key(key.as_str()))
                .map(|(key, _)| key.clone())
                .collect()
        };
        let (was, is) = (order(before, &new), order(after, &old));
        if was != is {
            self.put(path, Some(&Json::from(was)), Some(&Json::from(is)), Sight::Clear);
        }
        let gone = before.iter().filter(|(key, _)| !new.contains_key(key.as_str())).map(|(key, _)| key);
        for key in gone.chain(after.iter().map(|(key, _)| key)) {
            let (old, new) = (old.get(key.as_str()), new.get(key.as_str()));
            self.values(&join(path, key), old.copied(), new.copied(), Sight::Clear);
        }
    }

    /// What is equal at both ends is left aside; the rest is compared by position.
    fn plain_lists(&mut self, path: &str, before: &[Json], after: &[Json]) {
        let start = before.iter().zip(after).take_while(|(old, new)| old == new).count();
        let (before, after) = (&before[start..], &after[start..]);
        let end = before.iter().rev().zip(after.iter().rev()).take_while(|(old, new)| old == new).count();
        let (before, after) = (&before[..before.len() - end], &after[..after.len() - end]);
        for at in 0..before.len().max(after.len()) {
            let path = format!("{path}/{}", start + at);
            self.values(&path, before.get(at), after.get(at), Sight::Clear);
        }
    }
}

/// The elements with their selectors (`name=web`); `None` where an element has none or two are the same.
fn keyed<'a>(list: &'a [Json], keys: &[&str]) -> Option<Vec<(String, &'a Json)>> {
    let mut seen = BTreeSet::new();
    list.iter()
        .map(|element| {
            element.get(keys[0])?;
            let parts = keys.iter().filter_map(|key| element.get(key).map(|value| (key, value)));
            let text: Option<Vec<String>> = parts.map(|(k, v)| Some(format!("{k}={}", scalar(v)?))).collect();
            let selector = text?.join(",");
            seen.insert(selector.clone()).then_some((selector, element))
        })
        .collect()
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

fn join(path: &str, key: &str) -> String {
    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
