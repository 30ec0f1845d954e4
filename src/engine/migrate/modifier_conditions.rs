//! The conditions of a rule of Velero's resource modifiers as a condition of a transform.
//!
//! In: `Conditions` · Out: CEL text · Touches: nothing

use regex::Regex;
use serde_json::json;

use super::cel_text::{any, equals, list, quoted};
use super::glob::{Dots, is_wild, regex};
use super::modifier_file::{Conditions, Match};
use super::modifier_value::{pointer, value};
use crate::domain::field::FieldError;
use crate::domain::labels::{LabelCondition, LabelOperator, LabelSelector};
use crate::domain::pattern::wrong_name;

/// Fields that Velero takes away before it looks: a condition on them never holds there.
const TAKEN: [&str; 10] = [
    "/status",
    "/metadata/generateName",
    "/metadata/selfLink",
    "/metadata/uid",
    "/metadata/resourceVersion",
    "/metadata/generation",
    "/metadata/creationTimestamp",
    "/metadata/deletionTimestamp",
    "/metadata/deletionGracePeriodSeconds",
    "/metadata/ownerReferences",
];

/// Everything but the kinds, one CEL expression for each condition.
///
/// # Errors
/// Everything that is wrong, with pointers below the conditions.
pub fn conditions(of: &Conditions) -> Result<Vec<String>, Vec<FieldError>> {
    let Conditions { namespaces, group_resource: _, resource_name_regex, label_selector, matches } = of;
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    match in_namespaces(namespaces) {
        Ok(condition) => found.extend(condition),
        Err(wrong) => errors.extend(wrong),
    }
    match named(resource_name_regex) {
        Ok(condition) => found.extend(condition),
        Err(wrong) => errors.push(wrong),
    }
    if let Some(selector) = label_selector.as_ref().filter(|s| **s != LabelSelector::default()) {
        errors.extend(selector.check().into_iter().map(|error| error.under("/labelSelector")));
        found.extend(labels(selector));
    }
    for (index, one) in matches.iter().enumerate() {
        match matching(one) {
            Ok(condition) => found.push(condition),
            Err(wrong) => errors.push(wrong.under(&format!("/matches/{index}"))),
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// Velero compares the namespace an object was saved in; one without a namespace is in all of them.
fn in_namespaces(namespaces: &[String]) -> Result<Option<String>, Vec<FieldError>> {
    let (mut plain, mut wild, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let field = "object.metadata.namespace";
    for (index, name) in namespaces.iter().enumerate() {
        let wrong = |reason: String| FieldError::new(format!("/namespaces/{index}"), reason);
        if !is_wild(name) {
            errors.extend(wrong_name(name).map(wrong));
            plain.push(name.clone());
            continue;
        }
        match regex(name, Dots::Matched) {
            Ok(pattern) => wild.push(format!("{field}.matches({})", quoted(&format!("^{pattern}$")))),
            Err(reason) => errors.push(wrong(format!("{name:?} {reason}"))),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if namespaces.is_empty() || namespaces.iter().any(|name| name.chars().all(|c| c == '*')) {
        return Ok(None);
    }
    let mut either = vec![format!("!has({field})")];
    match plain.as_slice() {
        [] => {}
        [one] => either.push(format!("{field} == {}", quoted(one))),
        several => either.push(format!("{field} in {}", list(several))),
    }
    either.extend(wild);
    Ok(Some(any(&either)))
}

/// Velero's regular expressions are those of Go; what Rust reads of them means the same for names.
fn named(pattern: &str) -> Result<Option<String>, FieldError> {
    let at = "/resourceNameRegex";
    match Regex::new(pattern) {
        Err(regex::Error::CompiledTooBig(_)) => {
            Err(FieldError::new(at, "the regular expression is too large"))
        }
        Err(_) => Err(FieldError::new(at, format!("{pattern:?} is no regular expression that can be used"))
            .help("write it as for Go's `regexp`, without \\Q, \\C or look-around")),
        Ok(_) if ["", ".*", "^.*$"].contains(&pattern) => Ok(None),
        Ok(_) => Ok(Some(format!("object.metadata.name.matches({})", quoted(pattern)))),
    }
}

/// An object without labels, or without this one, fulfils `NotIn` and `DoesNotExist`.
fn labels(selector: &LabelSelector) -> Vec<String> {
    let equal = |(key, value): (&String, &String)| format!("{} == {}", label(key), quoted(value));
    let mut all: Vec<String> = selector.match_labels.iter().map(equal).collect();
    all.extend(selector.match_expressions.iter().map(|condition| {
        let LabelCondition { key, operator, values } = condition;
        let there = format!("{} in object.metadata.labels", quoted(key));
        let found = format!("has(object.metadata.labels) && {there}");
        match operator {
            LabelOperator::In => format!("{} in {}", label(key), list(values)),
            LabelOperator::NotIn => format!("!({found} && {} in {})", label(key), list(values)),
            LabelOperator::Exists => there,
            LabelOperator::DoesNotExist => format!("!({found})"),
        }
    }));
    all
}

fn label(key: &str) -> String {
    format!("object.metadata.labels[{}]", quoted(key))
}

fn matching(of: &Match) -> Result<String, FieldError> {
    let path = pointer(&of.path).map_err(|error| error.under("/path"))?;
    let value = value(of.value.as_ref().unwrap_or(&json!(""))).map_err(|error| error.under("/value"))?;
    never_there(&path).map_err(|error| error.under("/path"))?;
    Ok(equals(&path, &value))
}

/// Refuses to ask for a field that Velero takes away before.
pub fn never_there(path: &str) -> Result<(), FieldError> {
    let within =
        |taken: &str| path.strip_prefix(taken).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match TAKEN.into_iter().find(|taken| within(taken)) {
        None => Ok(()),
        Some(taken) => {
            let message = format!("Velero takes {taken} away before it looks, so that this never holds");
            Err(FieldError::new("", message).help("leave the rule out, or ask for another field"))
        }
    }
}

#[cfg(test)]
mod tests;
