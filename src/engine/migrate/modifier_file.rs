//! Velero's resource modifiers as they stand in a file: the rules, or the `ConfigMap` that holds them.
//!
//! In: the text of a file · Out: `ModifierFile`, `Modifiers` · Touches: nothing
//!
//! Source: velero `internal/resourcemodifiers` and its documentation, page "Restore Resource Modifiers".

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::field::FieldError;
use crate::domain::labels::LabelSelector;
use crate::domain::object::Json;
use crate::domain::path::escape;
use crate::domain::problem::Problem;
use crate::domain::schema::schema_of_type;
use crate::engine::policy::check::{Mended, Part, Shape, mend};
use crate::engine::policy::node::{Node, Place};
use crate::engine::policy::source;
use crate::engine::yaml;

/// The document: a version and rules.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Modifiers {
    /// Always `v1`.
    pub version: String,
    /// Rules, carried out in this order.
    #[schemars(length(min = 1))]
    pub resource_modifier_rules: Vec<Rule>,
}

/// One rule: which objects, and one of the three lists of patches.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Which objects.
    pub conditions: Conditions,
    /// JSON Patch: operations.
    #[serde(default)]
    pub patches: Vec<Step>,
    /// JSON merge patches.
    #[serde(default)]
    pub merge_patches: Vec<PatchData>,
    /// Strategic merge patches.
    #[serde(default)]
    pub strategic_patches: Vec<PatchData>,
}

/// Which objects a rule is for: all of this must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conditions {
    /// Namespaces the objects were saved in, by name or glob. Empty: all. Cluster-scoped objects are in all of them.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Resource and group, a glob.
    pub group_resource: String,
    /// Regular expression that the name contains.
    #[serde(default)]
    pub resource_name_regex: String,
    /// Labels.
    #[serde(default)]
    pub label_selector: Option<LabelSelector>,
    /// Fields and their values.
    #[serde(default)]
    pub matches: Vec<Match>,
}

/// A field and its value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// JSON pointer.
    pub path: String,
    /// Value, as in [`Step`].
    #[serde(default)]
    pub value: Option<Json>,
}

/// One operation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// One of `add`, `remove`, `replace`, `move`, `copy`, `test`.
    pub operation: String,
    /// JSON pointer, for `move` and `copy`.
    #[serde(default)]
    pub from: String,
    /// JSON pointer.
    pub path: String,
    /// A text that holds JSON, or is a text.
    #[serde(default)]
    pub value: Option<Json>,
}

/// A patch as a text of YAML or JSON.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchData {
    /// The text.
    pub patch_data: String,
}

static SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::new(schema_of_type::<Modifiers>()));

/// A file with modifiers in it, that knows its lines.
#[derive(Debug)]
pub struct ModifierFile {
    name: String,
    node: Node,
    /// Lines and columns of the file before the document, where that is a text in a `ConfigMap`.
    before: Place,
}

/// The modifiers as far as they can be read, and what of them is not their own.
#[derive(Debug)]
pub struct Reading {
    /// The modifiers; absent where nothing can be read.
    pub modifiers: Option<Modifiers>,
    /// What does not fit.
    pub problems: Vec<Problem>,
    mended: Mended,
}

impl Reading {
    /// Whether an error at a pointer only comes from a field that is named as wrong already.
    pub fn is_said(&self, pointer: &str) -> bool {
        self.mended.follows(pointer)
    }
}

impl ModifierFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// A text that is no YAML, another document, or a `ConfigMap` with other than one key.
    pub fn open(name: &str, text: &str) -> Result<Self, Problem> {
        let node = one(name, text)?;
        let tree = node.to_json();
        let file = Self { name: name.to_owned(), node, before: Place::default() };
        match tree.get("kind").and_then(Json::as_str) {
            None => Ok(file),
            Some("ConfigMap") => file.unpack(&tree, text),
            Some(kind) => {
                let message = format!("a {kind} holds no resource modifiers");
                let help = "give the rules (`version: v1` and `resourceModifierRules`) or the ConfigMap that holds them";
                Err(file.problem(FieldError::new("/kind", message).help(help), Part::Value))
            }
        }
    }

    /// The document in the only key of a `ConfigMap`.
    fn unpack(self, tree: &Json, text: &str) -> Result<Self, Problem> {
        let data = tree.get("data").and_then(Json::as_object);
        let mut entries = data.into_iter().flatten();
        let (Some((key, inside)), None) = (entries.next(), entries.next()) else {
            let message = "a ConfigMap with resource modifiers has exactly one key in `data`";
            return Err(self.problem(FieldError::new("/data", message), Part::Key));
        };
        let pointer = format!("/data/{}", escape(key));
        let Some(inside) = inside.as_str() else {
            return Err(self.problem(FieldError::new(pointer, "must be a text"), Part::Value));
        };
        let before = source::before_block(text, inside, self.node.key_at(&pointer).line);
        let name = if before.is_some() { self.name } else { format!("{} ({key})", self.name) };
        match one(&name, inside) {
            Ok(node) => Ok(Self { name, node, before: before.unwrap_or_default() }),
            Err(problem) => Err(shifted(problem, before.unwrap_or_default())),
        }
    }

    /// Reads the modifiers.
    pub fn read(&self) -> Reading {
        let tree = self.node.to_json();
        let misfits = SHAPE.misfits(&tree);
        let mended = mend(&tree, &misfits);
        let said = misfits.iter().filter(|misfit| misfit.part != Part::Said);
        let mut problems: Vec<Problem> = said.map(|m| self.problem(m.error.clone(), m.part)).collect();
        let modifiers = serde_json::from_value(mended.tree.clone());
        if let (Err(reason), true) = (&modifiers, problems.is_empty()) {
            problems.push(self.problem(FieldError::new("", reason), Part::Inside));
        }
        Reading { modifiers: modifiers.ok(), problems, mended }
    }

    /// The problem of a field.
    pub fn problem(&self, error: FieldError, part: Part) -> Problem {
        let tree = self.node.to_json();
        let scalar =
            tree.pointer(&error.pointer).is_some_and(|value| !value.is_object() && !value.is_array());
        let place = match part {
            Part::Value if scalar => self.node.value_at(&error.pointer),
            Part::Value | Part::Key | Part::Inside | Part::Said => self.node.key_at(&error.pointer),
        };
        shifted(Problem::field(&self.name, (place.line, place.column), error), self.before)
    }
}

/// The only document of a text.
fn one(name: &str, text: &str) -> Result<Node, Problem> {
    let unreadable =
        |e: yaml::Error| Problem::file(name, format!("cannot read YAML: {}", e.message)).at(e.line, e.column);
    let mut nodes = source::read(text).map_err(unreadable)?;
    match (nodes.pop(), nodes.is_empty()) {
        (Some(node), true) => Ok(node),
        (None, _) => Err(Problem::file(name, "there is no document in it")),
        (Some(second), false) => {
            let place = second.place;
            Err(Problem::file(name, "there is more than one document in it").at(place.line, place.column))
        }
    }
}

fn shifted(problem: Problem, before: Place) -> Problem {
    if problem.line == 0 {
        return problem;
    }
    let (line, column) = (problem.line + before.line, problem.column + before.column);
    problem.at(line, column)
}
