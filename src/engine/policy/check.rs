//! Compares a document with the schema of its kind and says everything that does not fit, for people.
//!
//! In: kind and JSON tree · Out: `Misfit`s · Touches: nothing

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};

use crate::domain::duration::PATTERN;
use crate::domain::field::{FieldError, closest};
use crate::domain::object::Json;
use crate::domain::path::escape;
use crate::domain::schema::{KINDS, name_of, schema_of};

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// What and where.
    pub error: FieldError,
    /// Which part of the field is meant.
    pub part: Part,
    /// What would make the document readable all the same: pointers and their values, `None` to drop.
    pub edits: Vec<(String, Option<Json>)>,
}

/// Which part of a field does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The field should not be there.
    Key,
    /// The value is wrong.
    Value,
    /// Something is missing in it.
    Inside,
    /// Another misfit says it better.
    Said,
}

/// How trees of one kind may look.
pub struct Shape {
    schema: Json,
    validator: Option<Validator>,
}

/// Shapes by kind.
static SHAPES: LazyLock<BTreeMap<&str, Shape>> =
    LazyLock::new(|| KINDS.iter().map(|kind| (*kind, Shape::new(schema_of(kind)))).collect());

/// Everything in a document that does not fit the schema of its kind, sorted by field.
pub fn misfits(kind: &str, tree: &Json) -> Vec<Misfit> {
    SHAPES.get(kind).map(|shape| shape.misfits(tree)).unwrap_or_default()
}

impl Shape {
    /// Reads a schema. Draft 4 is the one in which 3.0 is no integer, as in the Rust types.
    pub fn new(schema: Json) -> Self {
        let validator = jsonschema::draft4::new(&schema).ok();
        Self { schema, validator }
    }

    /// Everything in a tree that does not fit, sorted by field.
    pub fn misfits(&self, tree: &Json) -> Vec<Misfit> {
        let Some(validator) = &self.validator else { return Vec::new() };
        let mut found: Vec<Misfit> =
            validator.iter_errors(tree).flat_map(|error| explain(&error, &self.schema)).collect();
        let strange: Vec<String> = found
            .iter()
            .filter(|m| m.part == Part::Key)
            .map(|m| parent(&m.error.pointer).to_owned())
            .collect();
        for misfit in found.iter_mut().filter(|m| m.error.message.starts_with(EXACTLY_ONE)) {
            if strange.contains(&misfit.error.pointer) {
                misfit.part = Part::Said;
            }
        }
        found.sort_by(|a, b| a.error.cmp(&b.error));
        found.dedup();
        found
    }
}

fn parent(pointer: &str) -> &str {
    pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
}

const EXACTLY_ONE: &str = "needs exactly one of ";

fn explain(error: &ValidationError<'_>, schema: &Json) -> Vec<Misfit> {
    let pointer = error.instance_path().to_string();
    let (value, part) = (error.instance(), part_of(error, schema));
    let wrong =
        |message: String| vec![wrong_value(FieldError::new(&pointer, message), stand_in(part, schema))];
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|name| unknown_field(&pointer, name, part)).collect()
        }
        ValidationErrorKind::Required { property } => {
            vec![missing_field(&pointer, property.as_str().unwrap_or_default(), part, schema)]
        }
        ValidationErrorKind::Type { kind } => vec![wrong_type(&pointer, kind, value, (part, schema))],
        ValidationErrorKind::Enum { options } => vec![wrong_choice(&pointer, options, value)],
        ValidationErrorKind::Pattern { pattern } => wrong(wrong_text(value, pattern)),
        ValidationErrorKind::MinItems { limit } => {
            let error = FieldError::new(&pointer, format!("needs at least {limit} element"));
            vec![Misfit { error, part: Part::Value, edits: Vec::new() }]
        }
        ValidationErrorKind::MinLength { .. } => wrong("is empty".into()),
        ValidationErrorKind::MaxLength { limit } => wrong(format!("is longer than {limit} characters")),
        ValidationErrorKind::Minimum { limit } => wrong(format!("{value} is less than {limit}")),
        ValidationErrorKind::Maximum { limit } => wrong(format!("{value} is more than {limit}")),
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::OneOfMultipleValid { .. } => {
            vec![wrong_number_of_choices(&pointer, value, part, schema)]
        }
        _ => wrong(error.masked().to_string()),
    }
}

/// The part of the schema that an error is about.
fn part_of<'s>(error: &ValidationError<'_>, schema: &'s Json) -> &'s Json {
    let path = error.schema_path().to_string();
    schema.pointer(parent(&path)).unwrap_or(&Json::Null)
}

/// A value that fits a part of the schema, so that a document can be read on.
fn stand_in(part: &Json, schema: &Json) -> Json {
    let definition = name_of(part);
    if !definition.is_empty() {
        return stand_in(&schema["$defs"][definition], schema);
    }
    if let Some(first) = part["enum"].get(0) {
        return first.clone();
    }
    match part["type"].as_str() {
        Some("string") if part["pattern"] == PATTERN => "1m".into(),
        Some("string") => "x".into(),
        Some("array") => Json::Array(Vec::new()),
        Some("integer" | "number") => part.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("boolean") => false.into(),
        Some("object") => {
            let first_choice = part["oneOf"][0]["required"].as_array();
            let required = part["required"].as_array().into_iter().chain(first_choice).flatten();
            let field = |name: &str| (name.to_owned(), stand_in(&part["properties"][name], schema));
            Json::Object(required.filter_map(Json::as_str).map(field).collect())
        }
        _ => Json::Null,
    }
}

fn wrong_value(error: FieldError, instead: Json) -> Misfit {
    let edits = vec![(error.pointer.clone(), Some(instead))];
    Misfit { error, part: Part::Value, edits }
}

fn missing_field(pointer: &str, name: &str, part: &Json, schema: &Json) -> Misfit {
    let error = FieldError::new(pointer, format!("the field `{name}` is missing"));
    let instead = stand_in(&part["properties"][name], schema);
    let edits = vec![(format!("{pointer}/{}", escape(name)), Some(instead))];
    Misfit { error, part: Part::Inside, edits }
}

fn wrong_number_of_choices(pointer: &str, value: &Json, part: &Json, schema: &Json) -> Misfit {
    let options = part["oneOf"].as_array().into_iter().flatten();
    let names: Vec<&str> = options.filter_map(|option| option["required"][0].as_str()).collect();
    let given = names.iter().filter(|name| value.get(**name).is_some()).skip(1);
    let mut edits: Vec<_> = given.map(|name| (format!("{pointer}/{name}"), None)).collect();
    if let (true, Some(first)) = (edits.is_empty(), names.first()) {
        edits.push((format!("{pointer}/{first}"), Some(stand_in(&part["properties"][first], schema))));
    }
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let error = FieldError::new(pointer, format!("{EXACTLY_ONE}{}", list.join(", ")));
    Misfit { error, part: Part::Inside, edits }
}

fn unknown_field(pointer: &str, name: &str, schema: &Json) -> Misfit {
    let at = format!("{pointer}/{}", escape(name));
    let error = FieldError::new(at, format!("there is no field `{name}`"));
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let error = match closest(name, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => error,
        None => error.help(format!("known fields: {}", known.join(", "))),
    };
    let edits = vec![(error.pointer.clone(), None)];
    Misfit { error, part: Part::Key, edits }
}

fn wrong_type(pointer: &str, wanted: &TypeKind, value: &Json, (part, schema): (&Json, &Json)) -> Misfit {
    let wanted = match wanted {
        TypeKind::Single(one) => in_words(one.as_str()),
        TypeKind::Multiple(_) => "of another type",
    };
    let (message, help) = match value {
        Json::Null => ("has no value".to_owned(), Some(format!("write {wanted}, or leave the field out"))),
        Json::Number(_) if part["pattern"] == PATTERN => (wrong_text(value, PATTERN), None),
        Json::Bool(_) | Json::Number(_) if wanted == "a text" => {
            let what = if value.is_boolean() { "a truth value" } else { "a number" };
            (format!("must be a text, not {what}"), Some(format!("put it in quotes: \"{value}\"")))
        }
        Json::String(text) if wanted == "a list" => {
            ("must be a list, not a text".into(), Some(format!("write [{text:?}]")))
        }
        other => (format!("must be {wanted}, not {}", type_of(other)), None),
    };
    wrong_value(FieldError { pointer: pointer.to_owned(), message, help }, stand_in(part, schema))
}

fn in_words(kind: &str) -> &'static str {
    match kind {
        "string" => "a text",
        "array" => "a list",
        "object" => "a mapping",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "empty",
    }
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "empty",
        Json::Bool(_) => "a truth value",
        Json::Number(number) if number.is_f64() => "a decimal",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a mapping",
    }
}

fn wrong_choice(pointer: &str, options: &Json, value: &Json) -> Misfit {
    let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let error = FieldError::new(pointer, format!("{value} is none of {}", options.join(", ")));
    let near = value.as_str().and_then(|text| closest(text, options.iter().copied()));
    let error = match near {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    };
    wrong_value(error, options.first().map_or(Json::Null, |first| (*first).into()))
}

fn wrong_text(value: &Json, pattern: &str) -> String {
    match (pattern, value) {
        (PATTERN, _) => {
            format!("{value} is no duration; write whole numbers with w, d, h, m or s, such as 1h30m")
        }
        (_, Json::String(text)) if text.is_empty() => "is empty".into(),
        _ => {
            format!("{value} is no name: lower-case letters, digits and `-`, letters or digits at both ends")
        }
    }
}

/// A document made readable in spite of its misfits.
#[derive(Debug)]
pub struct Mended {
    /// The tree, with stand-ins.
    pub tree: Json,
    /// Pointers to what is not the document's own.
    touched: Vec<String>,
}

/// Carries out the edits of all misfits.
pub fn mend(tree: &Json, misfits: &[Misfit]) -> Mended {
    let mut tree = tree.clone();
    let edits: Vec<&(String, Option<Json>)> = misfits.iter().flat_map(|misfit| &misfit.edits).collect();
    for (pointer, value) in &edits {
        let key = pointer.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
        match (tree.pointer_mut(parent(pointer)), value) {
            (Some(Json::Object(map)), Some(value)) => drop(map.insert(key, value.clone())),
            (Some(Json::Object(map)), None) => drop(map.shift_remove(&key)),
            (Some(Json::Array(list)), Some(value)) => {
                let element = key.parse().ok().and_then(|index: usize| list.get_mut(index));
                if let Some(element) = element {
                    element.clone_from(value);
                }
            }
            _ => {}
        }
    }
    let wrong = misfits.iter().filter(|misfit| misfit.part == Part::Value);
    let mut touched: Vec<String> = wrong.map(|misfit| misfit.error.pointer.clone()).collect();
    touched.extend(edits.into_iter().map(|(pointer, _)| pointer.clone()));
    Mended { tree, touched }
}

impl Mended {
    /// Whether an error at a pointer may only come from the mending: it is in a touched field or right around one.
    pub fn follows(&self, pointer: &str) -> bool {
        let within = |field: &String| {
            pointer.strip_prefix(field.as_str()).is_some_and(|rest| !rest.starts_with(|c| c != '/'))
        };
        self.touched.iter().any(|field| within(field) || parent(field) == pointer)
    }
}
