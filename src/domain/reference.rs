//! The policy reference for people: one page of Markdown about every kind and field.
//!
//! In: the JSON Schema of the documents · Out: Markdown · Touches: nothing

use std::collections::BTreeSet;
use std::fmt::Write;

use super::document::API_VERSION;
use super::duration::PATTERN;
use super::object::Json;
use super::schema::{KINDS, definitions, name_of};

/// Writes the page: first each kind with its fields, then each type they use, in the order of use.
pub fn reference() -> String {
    let all = Json::Object(definitions());
    let mut page = format!(
        "# Policy reference\n\nDocuments of a policy repository, `apiVersion: {API_VERSION}`. Made from the source by `make schema`; \
         do not edit.\n\nA field that is not marked as required may be left out. \
         No field may be empty (`null`), and an unknown field is an error.\n"
    );
    let mut queue = vec!["Metadata".to_owned()];
    for kind in KINDS {
        let spec = name_of(&all[kind]["properties"]["spec"]);
        section(&mut page, "##", kind, &all[spec], &mut queue);
    }
    page.push_str("\n## Types\n");
    let mut done = BTreeSet::new();
    let mut next = 0;
    while let Some(name) = queue.get(next).cloned() {
        next += 1;
        if done.insert(name.clone()) {
            section(&mut page, "###", &name, &all[&name], &mut queue);
        }
    }
    page
}

/// One type: its description, then a table of its fields. Types it uses are put into the queue.
fn section(page: &mut String, level: &str, name: &str, schema: &Json, queue: &mut Vec<String>) {
    let description = schema["description"].as_str().unwrap_or_default();
    let _ = write!(page, "\n{level} {name}\n\n{description}\n");
    let Some(fields) = schema["properties"].as_object() else { return };
    page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    for (field, schema) in fields {
        let star = if required.contains(&field.as_str()) { " **required**" } else { "" };
        let meaning =
            schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(page, "| `{field}`{star} | {} | {meaning} |", type_of(schema, queue));
    }
}

/// The type of a field in words, with links to types of their own.
fn type_of(schema: &Json, queue: &mut Vec<String>) -> String {
    let name = name_of(schema);
    if !name.is_empty() {
        queue.push(name.to_owned());
        return format!("[{name}](#{})", name.to_lowercase());
    }
    match schema["type"].as_str() {
        Some("string") if schema["pattern"] == PATTERN => "duration".into(),
        Some("string") => "text".into(),
        Some("array") => format!("list of {}", type_of(&schema["items"], queue)),
        Some("object") => format!("mapping to {}", type_of(&schema["additionalProperties"], queue)),
        Some(other) => other.into(),
        None => "anything".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    #[test]
    fn the_generated_policy_reference_is_what_the_types_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy-reference.md");
        let text = reference();
        if env::var_os("BACKSTAY_UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let stale = "stale; run `make schema` and commit the result";
        assert!(fs::read_to_string(&path).unwrap_or_default() == text, "{} is {stale}", path.display());
    }
}
