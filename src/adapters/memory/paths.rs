//! Where a field is, as `managedFields` say it, and which lists are merged item by item.
//!
//! In: objects · Out: paths of their fields, merged objects · Touches: nothing

use std::collections::BTreeSet;

use crate::domain::object::{Json, JsonMap};

/// Steps to a field as `fieldsV1` writes them: `f:spec`, `k:{"name":"web"}`, `v:"a"`.
pub type Path = Vec<String>;

/// Lists whose items are merged by a key, by the list's field name; all other lists count as one value.
const KEYED: [(&str, &[&str]); 10] = [
    ("conditions", &["type"]),
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ownerReferences", &["uid"]),
    ("ports", &["port", "containerPort", "protocol"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// Fields that apply and ownership leave alone.
const IDENTITY: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

/// Every field of an object that can have an owner.
pub fn owned(object: &Json) -> BTreeSet<Path> {
    let mut fields = BTreeSet::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if !IDENTITY.contains(&key.as_str()) {
                        let mut path = vec!["f:metadata".to_owned(), format!("f:{key}")];
                        leaves(value, key, &mut path, &mut fields);
                    }
                }
            }
            _ => leaves(value, key, &mut vec![format!("f:{key}")], &mut fields),
        }
    }
    fields
}

fn leaves(value: &Json, name: &str, path: &mut Path, into: &mut BTreeSet<Path>) {
    match (value, keys_of(name, value)) {
        (Json::Object(map), _) if !map.is_empty() => {
            for (key, child) in map {
                path.push(format!("f:{key}"));
                leaves(child, key, path, into);
                path.pop();
            }
        }
        (Json::Array(items), Some(keys)) => {
            for item in items {
                path.push(step_of(item, &keys));
                into.insert(path.clone());
                leaves(item, "", path, into);
                path.pop();
            }
        }
        (Json::Array(items), None) if name == "finalizers" => {
            into.extend(items.iter().map(|item| [&path[..], &[format!("v:{item}")]].concat()));
        }
        _ => {
            into.insert(path.clone());
        }
    }
}

/// The fields that tell items of this list apart; `None` where the list counts as one value.
fn keys_of(name: &str, value: &Json) -> Option<Vec<&'static str>> {
    let items = value.as_array()?;
    let (_, keys) = KEYED.iter().find(|(list, _)| *list == name)?;
    let present = |key: &&&str| items.iter().all(|item| item.get(**key).is_some_and(|v| !v.is_object()));
    let keys: Vec<&str> = keys.iter().filter(present).copied().collect();
    (!items.is_empty() && !keys.is_empty()).then_some(keys)
}

fn step_of(item: &Json, keys: &[&str]) -> String {
    let key: JsonMap = keys.iter().map(|k| ((*k).to_owned(), item[*k].clone())).collect();
    format!("k:{}", Json::Object(key))
}

fn position(items: &[Json], step: &str) -> Option<usize> {
    if let Some(value) = step.strip_prefix("v:") {
        let wanted: Json = serde_json::from_str(value).ok()?;
        return items.iter().position(|item| *item == wanted);
    }
    let wanted: Json = serde_json::from_str(step.strip_prefix("k:")?).ok()?;
    let wanted = wanted.as_object()?;
    items.iter().position(|item| wanted.iter().all(|(key, value)| item.get(key) == Some(value)))
}

/// The value at a path.
pub fn at<'a>(object: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(object, |node, step| match step.strip_prefix("f:") {
        Some(key) => node.get(key),
        None => node.as_array().and_then(|items| items.get(position(items, step)?)),
    })
}

/// Takes the value at a path away, and mappings that become empty.
pub fn remove(object: &mut Json, path: &[String]) {
    let Some((step, rest)) = path.split_first() else { return };
    match (object, step.strip_prefix("f:")) {
        (Json::Object(map), Some(key)) => {
            if rest.is_empty() {
                map.shift_remove(key);
            } else if let Some(child) = map.get_mut(key) {
                remove(child, rest);
                if child.as_object().is_some_and(JsonMap::is_empty)
                    || child.as_array().is_some_and(Vec::is_empty)
                {
                    map.shift_remove(key);
                }
            }
        }
        (Json::Array(items), None) => {
            if let Some(i) = position(items, step) {
                if rest.is_empty() {
                    items.remove(i);
                } else {
                    remove(&mut items[i], rest);
                }
            }
        }
        _ => {}
    }
}

/// Merges what is wanted into what is there; `name` is the name of the field.
pub fn merge(live: &mut Json, wanted: &Json, name: &str) {
    match (live, wanted) {
        (Json::Object(live), Json::Object(wanted)) => {
            for (key, value) in wanted {
                match live.get_mut(key) {
                    Some(child) => merge(child, value, key),
                    None => {
                        live.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Json::Array(items), Json::Array(new)) if name == "finalizers" => {
            for item in new {
                if !items.contains(item) {
                    items.push(item.clone());
                }
            }
        }
        (live, wanted) => match (keys_of(name, wanted), live.as_array_mut()) {
            (Some(keys), Some(items)) => {
                for item in wanted.as_array().into_iter().flatten() {
                    match position(items, &step_of(item, &keys)) {
                        Some(i) => merge(&mut items[i], item, ""),
                        None => items.push(item.clone()),
                    }
                }
            }
            _ => *live = wanted.clone(),
        },
    }
}

/// The path as conflicts name it: `.data.key`, `.spec.containers[{"name":"web"}].image`.
pub fn print(path: &[String]) -> String {
    path.iter()
        .map(|step| match step.strip_prefix("f:") {
            Some(key) => format!(".{key}"),
            None => format!("[{}]", step.split_at(2).1),
        })
        .collect()
}

/// Reads the paths of a `fieldsV1` tree.
pub fn decode(node: Option<&Json>, path: &mut Path, into: &mut BTreeSet<Path>) {
    let Some(map) = node.and_then(Json::as_object).filter(|m| !m.is_empty()) else {
        into.insert(path.clone());
        return;
    };
    for (step, child) in map {
        if step == "." {
            into.insert(path.clone());
            continue;
        }
        path.push(step.clone());
        decode(Some(child), path, into);
        path.pop();
    }
}

/// Writes paths as a `fieldsV1` tree.
pub fn encode(fields: &BTreeSet<Path>) -> Json {
    let mut root = Json::Object(JsonMap::new());
    for path in fields {
        let mut node = &mut root;
        for step in path {
            node = &mut node[step.as_str()];
            if node.is_null() {
                *node = Json::Object(JsonMap::new());
            }
        }
        let below = fields.range(path.clone()..).nth(1).is_some_and(|next| next.starts_with(path));
        if below && let Some(map) = node.as_object_mut() {
            map.insert(".".into(), Json::Object(JsonMap::new()));
        }
    }
    root
}
