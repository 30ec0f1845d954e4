//! The patches of a rule of Velero's resource modifiers as changes of transforms.
//!
//! In: `Rule` · Out: `Changes` · Touches: nothing

use serde_json::json;

use super::cel_text::equals;
use super::modifier_conditions::never_there;
use super::modifier_file::{PatchData, Rule, Step};
use super::modifier_value::{pointer, value, whole};
use crate::domain::field::{FieldError, closest};
use crate::domain::object::{Json, JsonMap};
use crate::domain::path::escape;
use crate::domain::transform::OnFailedTest;
use crate::engine::yaml;

/// What a rule changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// One for each transform, in order.
    pub changes: Vec<Change>,
    /// Conditions that the operations hold.
    pub when: Vec<String>,
    /// Pointers to what is changed.
    pub touched: Vec<String>,
}

/// What one transform changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Operations, and what a test among them means.
    Json(Vec<Json>, Option<OnFailedTest>),
    /// A merge patch.
    Merge(Json),
}

const OPERATIONS: [&str; 6] = ["add", "remove", "replace", "move", "copy", "test"];

/// Reads the one list of patches that a rule has. `before` points to what earlier rules change.
///
/// # Errors
/// Everything that is wrong, with pointers below the rule.
pub fn changes(rule: &Rule, before: &[String]) -> Result<Changes, Vec<FieldError>> {
    let Rule { conditions: _, patches, merge_patches, strategic_patches } = rule;
    match (patches.as_slice(), merge_patches.as_slice(), strategic_patches.as_slice()) {
        (steps, [], []) if !steps.is_empty() => operations(steps, before),
        ([], merges, []) if !merges.is_empty() => all(merges, "/mergePatches", merge),
        ([], [], strategic) if !strategic.is_empty() => all(strategic, "/strategicPatches", strategic_merge),
        _ => {
            let message = "needs exactly one of `patches`, `mergePatches`, `strategicPatches`";
            Err(vec![FieldError::new("", message)])
        }
    }
}

fn all(
    patches: &[PatchData],
    list: &str,
    read: fn(&Json) -> Vec<FieldError>,
) -> Result<Changes, Vec<FieldError>> {
    let (mut found, mut errors) = (Changes::default(), Vec::new());
    for (index, patch) in patches.iter().enumerate() {
        let at = format!("{list}/{index}/patchData");
        match data(&patch.patch_data) {
            Err(error) => errors.push(error.under(&at)),
            Ok(tree) => {
                let wrong = identity(&tree).into_iter().chain(read(&tree));
                errors.extend(wrong.map(|error| error.under(&at)));
                leaves(&tree, "", &mut found.touched);
                found.changes.push(Change::Merge(tree));
            }
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// The mapping in a text.
fn data(text: &str) -> Result<Json, FieldError> {
    match yaml::parse(text) {
        Ok(tree @ Json::Object(_)) => Ok(whole(tree)),
        Ok(_) => Err(FieldError::new("", "a patch is a mapping")),
        Err(e) => {
            Err(FieldError::new("", format!("cannot read YAML in line {} of it: {}", e.line, e.message)))
        }
    }
}

/// Velero's merge patches drop nulls in lists, which the standard keeps.
fn merge(tree: &Json) -> Vec<FieldError> {
    let mut errors = Vec::new();
    each(tree, "", &mut |pointer, value| {
        if value.is_array() && holds_null(value) {
            let message = format!("has null in the list at {pointer}");
            errors.push(FieldError::new("", message).help("leave what is null out of the list"));
        }
    });
    errors
}

/// Without lists and directives, a strategic merge patch means the same as a merge patch.
fn strategic_merge(tree: &Json) -> Vec<FieldError> {
    let mut errors = Vec::new();
    each(tree, "", &mut |pointer, value| {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        if name.starts_with('$') {
            let message = format!("has the directive {pointer}, which only strategic merge patches know");
            errors.push(FieldError::new("", message).help(INSTEAD));
        } else if value.is_array() {
            let message = format!("merges the list at {pointer}, which only strategic merge patches can");
            errors.push(FieldError::new("", message).help(INSTEAD));
        }
    });
    errors
}

const INSTEAD: &str = "write `patches` with the place in the list, such as {operation: replace, path: /spec/containers/0/image, \
    value: ...}, or `mergePatches` with the whole list";

/// Hands every field to a function, not those in lists.
fn each(tree: &Json, at: &str, then: &mut dyn FnMut(&str, &Json)) {
    for (key, value) in tree.as_object().into_iter().flatten() {
        let pointer = format!("{at}/{}", escape(key));
        then(&pointer, value);
        each(value, &pointer, then);
    }
}

fn holds_null(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.iter().any(holds_null),
        Json::Object(map) => map.values().any(holds_null),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn leaves(tree: &Json, at: &str, found: &mut Vec<String>) {
    match tree.as_object() {
        Some(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| leaves(value, &format!("{at}/{}", escape(key)), found));
        }
        _ => found.push(at.to_owned()),
    }
}

const IDENTITY: [&str; 4] = ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"];

/// What a merge patch says about which object it is.
fn identity(tree: &Json) -> Vec<FieldError> {
    let said = IDENTITY.into_iter().filter(|pointer| tree.pointer(pointer).is_some());
    let whole = tree.get("metadata").is_some_and(|metadata| !metadata.is_object()).then_some("/metadata");
    said.chain(whole).map(kept).collect()
}

fn kept(pointer: &str) -> FieldError {
    let error =
        FieldError::new("", format!("cannot change {pointer}: a transform never makes another object"));
    error.help(if pointer == "/metadata/namespace" {
        "use `namespaceMapping` of the request"
    } else {
        "leave it out"
    })
}

fn operations(steps: &[Step], before: &[String]) -> Result<Changes, Vec<FieldError>> {
    let (mut found, mut errors, mut json) = (Changes::default(), Vec::new(), Vec::new());
    for (index, step) in steps.iter().enumerate() {
        let touched: Vec<&String> = before.iter().chain(&found.touched).collect();
        match operation(step, &touched) {
            Err(wrong) => errors.extend(wrong.into_iter().map(|e| e.under(&format!("/patches/{index}")))),
            Ok(Operation::Condition(text)) => found.when.push(text),
            Ok(Operation::Step(step)) => json.push(step),
        }
        found.touched.extend(touches(step));
    }
    let tests = json.iter().filter(|step| step["op"] == "test").count();
    if errors.is_empty() && tests == json.len() {
        errors.push(FieldError::new("/patches", "changes nothing: every operation is a `test`"));
    }
    found.changes.push(Change::Json(json, (tests > 0).then_some(OnFailedTest::Skip)));
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

enum Operation {
    /// As JSON Patch has it.
    Step(Json),
    /// A condition on the object as it was saved.
    Condition(String),
}

fn operation(step: &Step, touched: &[&String]) -> Result<Operation, Vec<FieldError>> {
    let name = step.operation.as_str();
    if !OPERATIONS.contains(&name) {
        let error = FieldError::new("/operation", format!("{name:?} is none of {}", OPERATIONS.join(", ")));
        return Err(vec![match closest(name, OPERATIONS) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        }]);
    }
    let (moves, copies, tests) = (name == "move", name == "copy", name == "test");
    let mut errors = Vec::new();
    let mut read = |text: &str, at: &str, changed: bool| {
        let found = pointer(text)
            .and_then(|path| if changed && is_identity(&path) { Err(kept(&path)) } else { Ok(path) });
        found.map_err(|error| errors.push(error.under(at))).unwrap_or_default()
    };
    let path = read(&step.path, "/path", !tests);
    let from = if moves || copies { read(&step.from, "/from", moves) } else { String::new() };
    let mut made = JsonMap::new();
    made.insert("op".into(), json!(name));
    if moves || copies {
        made.insert("from".into(), json!(from));
    }
    made.insert("path".into(), json!(path));
    if matches!(name, "add" | "replace" | "test") {
        match value(step.value.as_ref().unwrap_or(&json!(""))) {
            Err(error) => errors.push(error.under("/value")),
            Ok(value) => drop(made.insert("value".into(), value)),
        }
    }
    if tests {
        errors.extend(never_there(&path).err().map(|error| error.under("/path")));
    }
    match made.get("value") {
        _ if !errors.is_empty() => Err(errors),
        Some(Json::Null) if tests => absent(&path, touched).map(Operation::Condition).map_err(|e| vec![e]),
        _ => Ok(Operation::Step(Json::Object(made))),
    }
}

/// For Velero, null is also the value of a field that is not there; JSON Patch tells the two apart, so that a condition asks.
fn absent(path: &str, touched: &[&String]) -> Result<String, FieldError> {
    let related = |other: &&&String| within(path, other) || within(other, path);
    match touched.iter().find(related) {
        None => Ok(equals(path, &Json::Null)),
        Some(other) => {
            let message = format!("cannot ask whether {path} is null after {other} was changed");
            Err(FieldError::new("/value", message)
                .help("ask in `matches` of the conditions, which see the object as it was"))
        }
    }
}

fn within(pointer: &str, outer: &str) -> bool {
    pointer.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_identity(path: &str) -> bool {
    path == "/metadata" || IDENTITY.iter().any(|kept| within(path, kept))
}

/// What an operation changes; a place in a list moves those behind it, so that the list counts.
fn touches(step: &Step) -> Vec<String> {
    let moved = (step.operation == "move").then_some(&step.from);
    let changed = (step.operation != "test").then_some(&step.path);
    let list = |path: &String| match path.rsplit_once('/') {
        Some((list, place)) if place == "-" || place.parse::<u32>().is_ok() => list.to_owned(),
        _ => path.clone(),
    };
    moved.into_iter().chain(changed).map(list).collect()
}
