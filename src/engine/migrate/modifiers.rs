//! Converts Velero's resource modifiers into the transforms of a restore request.
//!
//! In: the text of a file · Out: `Converted` · Touches: nothing
//!
//! Both look at the object as it was saved and change it in the order of the file. Two things are not the same: an object
//! that a patch does not fit is not restored, where Velero restores it unchanged; and Velero's conditions see what its
//! plug-ins made of the object, not what was saved.

use serde::Serialize;

use super::cel_text;
use super::group_resource::{Kinds, Reach, kinds};
use super::modifier_conditions::conditions;
use super::modifier_file::{ModifierFile, Modifiers, Rule};
use super::modifier_patches::{Change, Changes, changes};
use crate::domain::field::FieldError;
use crate::domain::problem::Problem;
use crate::domain::transform::{Transform, TransformSpec};
use crate::engine::policy::check::Part;

/// Transforms, and what the reader should know about them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Converted {
    /// In the order of the rules; every one compiles.
    pub transforms: Vec<TransformSpec>,
    /// Rules that were left out or mean something unexpected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Converts the rules of a file, or of the `ConfigMap` in it.
///
/// # Errors
/// Everything that is wrong, sorted by place; nothing is converted then.
pub fn convert(file: &str, text: &str) -> Result<Converted, Vec<Problem>> {
    let opened = ModifierFile::open(file, text).map_err(|problem| vec![problem])?;
    let reading = opened.read();
    let (mut converted, mut errors) = (Converted::default(), Vec::new());
    if let Some(Modifiers { version, resource_modifier_rules }) = &reading.modifiers {
        if !version.eq_ignore_ascii_case("v1") {
            errors.push(
                FieldError::new("/version", format!("{version:?} is no version that Velero knows"))
                    .help("write `v1`"),
            );
        }
        let mut touched = Vec::new();
        for (index, rule) in resource_modifier_rules.iter().enumerate() {
            let at = format!("/resourceModifierRules/{index}");
            match transforms(rule, index + 1, &mut touched) {
                Ok(of_rule) => {
                    converted.transforms.extend(of_rule.transforms);
                    converted.notes.extend(of_rule.notes);
                }
                Err(wrong) => errors.extend(wrong.into_iter().map(|error| error.under(&at))),
            }
        }
    }
    errors.retain(|error| !reading.is_said(&error.pointer));
    let mut problems = reading.problems;
    problems.extend(errors.into_iter().map(|error| opened.problem(error, Part::Value)));
    problems.sort();
    problems.dedup();
    if problems.is_empty() { Ok(converted) } else { Err(problems) }
}

/// The transforms of one rule; `touched` points to what earlier rules change, and gets what this one does.
fn transforms(rule: &Rule, number: usize, touched: &mut Vec<String>) -> Result<Converted, Vec<FieldError>> {
    let resource = &rule.conditions.group_resource;
    let mut errors = Vec::new();
    let kinds =
        kinds(resource).map_err(|e| errors.push(e.under("/conditions/groupResource"))).unwrap_or_default();
    let asked = conditions(&rule.conditions);
    let asked = asked
        .map_err(|wrong| errors.extend(wrong.into_iter().map(|e| e.under("/conditions"))))
        .unwrap_or_default();
    let numbered = |wrong: Vec<FieldError>| wrong.into_iter().map(|error| with_number(error, number));
    let found = changes(rule, touched).map_err(|wrong| errors.extend(numbered(wrong))).unwrap_or_default();
    touched.extend(found.touched.iter().cloned());
    let named = Named { number, resource, several: found.changes.len() > 1 };
    let specs = specs(&named, &kinds, &asked, found);
    if errors.is_empty() {
        // What is wrong here is too long: everything else has been looked at.
        errors.extend(
            specs
                .iter()
                .filter_map(|spec| Transform::compile(spec).err())
                .flatten()
                .map(|e| FieldError::new("", e)),
        );
    }
    match (errors.is_empty(), kinds.reach) {
        (false, _) => Err(errors),
        (true, Reach::Nothing) => {
            let note =
                format!("rule {number} is left out: Velero modifies no namespaces, and a transform does");
            Ok(Converted { transforms: Vec::new(), notes: vec![note] })
        }
        (true, Reach::Objects) => {
            Ok(Converted { transforms: specs, notes: note(number, resource).into_iter().collect() })
        }
    }
}

/// A strategic patch is mostly refused as a whole rule, which people count from one.
fn with_number(mut error: FieldError, number: usize) -> FieldError {
    if error.pointer.starts_with("/strategicPatches") {
        error.message.insert_str(0, &format!("rule {number}: "));
    }
    error
}

/// Velero's documentation promises more of this one than Velero does.
fn note(number: usize, resource: &str) -> Option<String> {
    let text = "means groups with one part, such as apps and batch; the core group and networking.k8s.io are not among them";
    (resource == "*.*").then(|| format!("rule {number}: for Velero `*.*` {text}"))
}

/// What the transforms of a rule are named after.
struct Named<'a> {
    number: usize,
    resource: &'a str,
    several: bool,
}

impl Named<'_> {
    fn name(&self, index: usize) -> String {
        let wild = super::glob::is_wild(self.resource);
        let resource = if wild { String::new() } else { format!("-{}", self.resource) };
        let part = if self.several { format!("-{}", index + 1) } else { String::new() };
        format!("rule-{}{resource}{part}", self.number)
    }
}

fn specs(named: &Named<'_>, kinds: &Kinds, asked: &[String], found: Changes) -> Vec<TransformSpec> {
    let when: Vec<String> = kinds.when.iter().chain(asked).chain(&found.when).cloned().collect();
    let spec = |(index, change)| {
        let (json, on_failed_test, merge) = match change {
            Change::Json(steps, on_failed_test) => (Some(steps), on_failed_test, None),
            Change::Merge(patch) => (None, None, Some(patch)),
        };
        let kinds = kinds.patterns.clone();
        TransformSpec {
            name: named.name(index),
            kinds,
            when: cel_text::all(&when),
            json,
            merge,
            on_failed_test,
        }
    };
    found.changes.into_iter().enumerate().map(spec).collect()
}

#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod tests;
