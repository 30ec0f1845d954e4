//! Who owns which field: `managedFields`, and server-side apply as a merge with owners.
//!
//! In: the object as it is and as it is wanted · Out: the merged object · Touches: nothing

use std::collections::BTreeSet;

use serde_json::json;

use super::paths::{Path, at, decode, encode, merge, owned, print, remove};
use crate::domain::object::Json;

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
