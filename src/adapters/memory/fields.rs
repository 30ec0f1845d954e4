//! Who owns which field: `managedFields`, and server-side apply as a merge with owners.
//!
//! In: the object as it is and as it is wanted · Out: the merged object · Touches: nothing

use std::collections::BTreeSet;

use serde_json::json;

use crate::domain::object::{Json, JsonMap};

/// Steps to a field as `fieldsV1` writes them: `f:spec`, `k:{"name":"web"}`, `v:"a"`.
type Path = Vec<String>;

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// Field manager.
    pub name: &'a str,
    /// `apiVersion` of what it writes.
    pub version: &'a str,
    /// `""`, `"status"` or `"scale"`.
    pub subresource: &'a str,
    /// Time of the write.
    pub time: &'a str,
}

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

/// Merges what a manager applies into an object: fields it no longer names and nobody else owns go away.
///
/// # Errors
/// Without `force`, the managers that own fields it wants to change, with those fields.
pub fn apply(live: &Json, wanted: &Json, by: Manager<'_>, force: bool) -> Result<Json, Vec<String>> {
    let named = owned(wanted);
    let mut entries = entries(live);
    let mut conflicts = Vec::new();
    for entry in entries.iter_mut().filter(|e| !e.is(by, "Apply")) {
        let taken: BTreeSet<Path> = entry
            .fields
            .iter()
            .filter(|p| named.contains(*p) && at(live, p) != at(wanted, p))
            .cloned()
            .collect();
        if !force && !taken.is_empty() {
            let fields = taken.iter().map(|p| print(p)).collect::<Vec<_>>().join(", ");
            conflicts.push(format!("\"{}\" owns {fields}", entry.manager));
        }
        entry.fields.retain(|p| !taken.contains(p));
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let mut merged = live.clone();
    merge(&mut merged, wanted, "");
    let mine = entries.iter().position(|e| e.is(by, "Apply"));
    let before = mine.map(|i| entries.remove(i).fields).unwrap_or_default();
    for path in before.difference(&named) {
        if !entries.iter().any(|e| e.fields.contains(path)) {
            remove(&mut merged, path);
        }
    }
    entries.push(Entry::new(by, "Apply", named));
    write(&mut merged, entries);
    Ok(merged)
}

/// Notes who changed which field in a write that is no apply.
pub fn record(before: Option<&Json>, after: &mut Json, by: Manager<'_>) {
    let mut entries = before.map(entries).unwrap_or_default();
    let now = owned(after);
    let changed: BTreeSet<Path> =
        now.iter().filter(|p| before.is_none_or(|b| at(b, p) != at(after, p))).cloned().collect();
    for entry in &mut entries {
        let mine = entry.is(by, "Update");
        entry.fields.retain(|p| now.contains(p) && (mine || !changed.contains(p)));
    }
    match entries.iter_mut().find(|e| e.is(by, "Update")) {
        Some(entry) => {
            if !changed.is_subset(&entry.fields) {
                by.time.clone_into(&mut entry.time);
            }
            entry.fields.extend(changed);
        }
        None if changed.is_empty() => {}
        None => entries.push(Entry::new(by, "Update", changed)),
    }
    write(after, entries);
}

struct Entry {
    manager: String,
    operation: String,
    subresource: String,
    version: String,
    time: String,
    fields: BTreeSet<Path>,
}

impl Entry {
    fn new(by: Manager<'_>, operation: &str, fields: BTreeSet<Path>) -> Self {
        Self {
            manager: by.name.into(),
            operation: operation.into(),
            subresource: by.subresource.into(),
            version: by.version.into(),
            time: by.time.into(),
            fields,
        }
    }

    fn is(&self, by: Manager<'_>, operation: &str) -> bool {
        self.manager == by.name && self.operation == operation && self.subresource == by.subresource
    }
}

fn entries(object: &Json) -> Vec<Entry> {
    let list = object.pointer("/metadata/managedFields").and_then(Json::as_array);
    let text = |e: &Json, field: &str| e.get(field).and_then(Json::as_str).unwrap_or_default().to_owned();
    list.into_iter()
        .flatten()
        .map(|e| {
            let mut fields = BTreeSet::new();
            decode(e.get("fieldsV1"), &mut Vec::new(), &mut fields);
            Entry {
                manager: text(e, "manager"),
                operation: text(e, "operation"),
                subresource: text(e, "subresource"),
                version: text(e, "apiVersion"),
                time: text(e, "time"),
                fields,
            }
        })
        .collect()
}

fn write(object: &mut Json, mut entries: Vec<Entry>) {
    entries.retain(|e| !e.fields.is_empty());
    entries.sort_by(|a, b| {
        (&a.operation, &a.manager, &a.subresource).cmp(&(&b.operation, &b.manager, &b.subresource))
    });
    let list = entries.iter().map(|e| {
        let mut entry = json!({
            "manager": e.manager, "operation": e.operation, "apiVersion": e.version, "time": e.time,
            "fieldsType": "FieldsV1", "fieldsV1": encode(&e.fields),
        });
        if !e.subresource.is_empty() {
            entry["subresource"] = Json::from(e.subresource.as_str());
        }
        entry
    });
    object["metadata"]["managedFields"] = list.collect();
}

fn decode(node: Option<&Json>, path: &mut Path, into: &mut BTreeSet<Path>) {
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

fn encode(fields: &BTreeSet<Path>) -> Json {
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

/// Every field of an object that can have an owner.
fn owned(object: &Json) -> BTreeSet<Path> {
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

fn at<'a>(object: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(object, |node, step| match step.strip_prefix("f:") {
        Some(key) => node.get(key),
        None => node.as_array().and_then(|items| items.get(position(items, step)?)),
    })
}

fn remove(object: &mut Json, path: &[String]) {
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

fn merge(live: &mut Json, wanted: &Json, name: &str) {
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

fn print(path: &[String]) -> String {
    path.iter()
        .map(|step| match step.strip_prefix("f:") {
            Some(key) => format!(".{key}"),
            None => format!("[{}]", step.split_at(2).1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECTL: Manager<'_> = Manager { name: "kubectl", version: "v1", subresource: "", time: "t" };
    const BACKSTAY: Manager<'_> = Manager { name: "backstay", version: "v1", subresource: "", time: "t" };

    fn made(by: Manager<'_>, object: Json) -> Json {
        let mut object = object;
        record(None, &mut object, by);
        object
    }

    #[test]
    fn a_field_of_another_manager_is_a_conflict_that_names_both() {
        let live = made(KUBECTL, json!({"metadata": {"name": "a"}, "data": {"k": "1", "other": "x"}}));
        let wanted = json!({"metadata": {"name": "a"}, "data": {"k": "2"}});
        assert_eq!(apply(&live, &wanted, BACKSTAY, false), Err(vec!["\"kubectl\" owns .data.k".to_owned()]));
        let forced = apply(&live, &wanted, BACKSTAY, true).unwrap();
        assert_eq!(forced["data"], json!({"k": "2", "other": "x"}));
        assert_eq!(
            forced["metadata"]["managedFields"][0]["fieldsV1"],
            json!({"f:data": {"f:k": {}}}),
            "backstay owns what it applied"
        );
    }

    #[test]
    fn an_equal_value_is_shared_without_conflict() {
        let live = made(KUBECTL, json!({"metadata": {"name": "a"}, "data": {"k": "1"}}));
        let both = apply(&live, &json!({"data": {"k": "1"}}), BACKSTAY, false).unwrap();
        let owners = both["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(owners.len(), 2);
        let without = apply(&both, &json!({"data": {"n": "1"}}), BACKSTAY, false).unwrap();
        assert_eq!(without["data"], json!({"k": "1", "n": "1"}), "kubectl still owns k");
    }

    #[test]
    fn a_field_no_longer_applied_goes_away() {
        let live = json!({"metadata": {"name": "a"}});
        let first = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
        let one = apply(&live, &first, BACKSTAY, false).unwrap();
        let second = json!({"spec": {"containers": [{"name": "a", "image": "2"}]}});
        let two = apply(&one, &second, BACKSTAY, false).unwrap();
        assert_eq!(two["spec"], second["spec"]);
        assert_eq!(
            two["metadata"]["managedFields"][0]["fieldsV1"],
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}, "f:name": {}, ".": {}}}}})
        );
    }
}
