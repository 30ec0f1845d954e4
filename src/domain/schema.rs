//! How a document may look: the JSON Schema of every kind, made from the Rust types and their doc comments.
//!
//! In: the kinds' specs · Out: JSON Schema · Touches: nothing

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use super::catalog::CatalogSpec;
use super::document::{API_VERSION, Metadata};
use super::hook_template::HookTemplateSpec;
use super::location::LocationSpec;
use super::object::{Json, JsonMap};
use super::policy::PolicySpec;
use super::restore_request::RestoreSpec;

/// The kinds of documents, in the order in which a reader needs them.
pub const KINDS: [&str; 5] = ["BackupPolicy", "BackupLocation", "RestoreRequest", "HookTemplate", "Catalog"];

/// The schema of all kinds: one document is one of them.
///
/// An absent field and an empty one are not the same: no field may be null.
pub fn schema() -> Json {
    let one_of: Vec<Json> = KINDS.iter().map(|kind| json!({"$ref": format!("#/$defs/{kind}")})).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Documents of a Backstay policy repository, {API_VERSION}"),
        "oneOf": one_of,
        "$defs": definitions(),
    })
}

/// The schema of one kind. An unknown kind has the schema that nothing fits.
pub fn schema_of(kind: &str) -> Json {
    if !KINDS.contains(&kind) {
        return Json::Bool(false);
    }
    json!({"$ref": format!("#/$defs/{kind}"), "$defs": definitions()})
}

/// The schema of a type that is no document of Backstay, such as a file of another program.
pub fn schema_of_type<T: JsonSchema>() -> Json {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let top = generator.subschema_for::<T>();
    json!({"$ref": top.get("$ref"), "$defs": plain(generator.take_definitions(true))})
}

/// Every kind and every type they are made of, by name.
pub fn definitions() -> JsonMap {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let metadata = generator.subschema_for::<Metadata>();
    let kinds = [
        document::<PolicySpec>(&mut generator, KINDS[0], &metadata),
        document::<LocationSpec>(&mut generator, KINDS[1], &metadata),
        document::<RestoreSpec>(&mut generator, KINDS[2], &metadata),
        document::<HookTemplateSpec>(&mut generator, KINDS[3], &metadata),
        document::<CatalogSpec>(&mut generator, KINDS[4], &metadata),
    ];
    let mut all = plain(generator.take_definitions(true));
    for (kind, mut schema) in KINDS.into_iter().zip(kinds) {
        schema["description"] = all[name_of(&schema["properties"]["spec"])]["description"].clone();
        all.insert(kind.to_owned(), schema);
    }
    all.sort_keys();
    all
}

fn plain(mut definitions: JsonMap) -> JsonMap {
    for definition in definitions.values_mut() {
        if let Ok(schema) = <&mut Schema>::try_from(definition) {
            Plain.transform(schema);
        }
    }
    definitions
}

fn document<S: JsonSchema>(generator: &mut SchemaGenerator, kind: &str, metadata: &Schema) -> Json {
    let spec = generator.subschema_for::<S>();
    json!({
        "type": "object",
        "properties": {
            "apiVersion": {"description": format!("Always `{API_VERSION}`."), "type": "string", "const": API_VERSION},
            "kind": {"description": format!("Always `{kind}`."), "type": "string", "const": kind},
            "metadata": metadata,
            "spec": spec,
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
    })
}

/// The name of the definition that a schema refers to; empty where it refers to none.
pub fn name_of(schema: &Json) -> &str {
    schema["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/")).unwrap_or_default()
}

/// Says the same in the words that editors, validators and custom resource definitions all understand.
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(map) = schema.as_object_mut() {
            drop_null(map);
            list_values(map);
            lift_actions(map);
            bound_integers(map);
            if map.get("default").is_some_and(Json::is_object) {
                map.remove("default");
            }
        }
        transform_subschemas(self, schema);
    }
}

/// An optional field is left out, never null.
fn drop_null(map: &mut JsonMap) {
    if let Some(Json::Array(types)) = map.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            map["type"] = only.clone();
        }
    }
    let is_null = |schema: &Json| schema["type"] == "null";
    if let Some(Json::Array(any)) = map.get("anyOf")
        && let Some(Json::Object(rest)) = any.iter().find(|schema| !is_null(schema)).cloned()
        && any.len() == 2
        && any.iter().any(is_null)
    {
        map.remove("anyOf");
        for (key, value) in rest {
            map.entry(key).or_insert(value);
        }
    }
}

/// Constants become one `enum`, with their descriptions as a list in the description.
fn list_values(map: &mut JsonMap) {
    let Some(Json::Array(options)) = map.get("oneOf") else { return };
    if !options.iter().all(|option| option["const"].is_string()) {
        return;
    }
    let values: Vec<Json> = options.iter().map(|option| option["const"].clone()).collect();
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let line = |option: &Json| format!("\n- `{}`: {}", text(&option["const"]), text(&option["description"]));
    let lines: Vec<String> = options.iter().map(line).collect();
    let description = map.get("description").map(text).unwrap_or_default() + "\n" + &lines.concat();
    map.remove("oneOf");
    map.insert("type".into(), json!("string"));
    map.insert("enum".into(), values.into());
    map.insert("description".into(), description.into());
}

/// Alternatives that each bring one field become fields of the object, of which exactly one is required.
fn lift_actions(map: &mut JsonMap) {
    let Some(Json::Array(options)) = map.get("oneOf").cloned() else { return };
    let single = |option: &Json| option["properties"].as_object().is_some_and(|fields| fields.len() == 1);
    if !map.contains_key("properties") || !options.iter().all(single) {
        return;
    }
    for option in &options {
        for (name, field) in option["properties"].as_object().into_iter().flatten() {
            let mut field = field.clone();
            field["description"] = option["description"].clone();
            map["properties"][name] = field;
        }
    }
    let one_of = options.iter().map(|option| json!({"required": option["required"]})).collect();
    map.insert("oneOf".into(), Json::Array(one_of));
    map.remove("unevaluatedProperties");
    map.insert("additionalProperties".into(), Json::Bool(false));
}

fn bound_integers(map: &mut JsonMap) {
    let bounds = match map.get("format").and_then(Json::as_str) {
        Some("uint32") => (0, i64::from(u32::MAX)),
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => return,
    };
    map.remove("format");
    map.entry("minimum").or_insert_with(|| bounds.0.into());
    map.entry("maximum").or_insert_with(|| bounds.1.into());
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    #[test]
    fn the_generated_schema_is_what_the_types_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/schema/backstay.dev_v1alpha1.json");
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if env::var_os("BACKSTAY_UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let stale = "stale; run `make schema` and commit the result";
        assert!(fs::read_to_string(&path).unwrap_or_default() == text, "{} is {stale}", path.display());
    }

    #[test]
    fn no_field_may_be_null_and_every_field_is_described() {
        let all = definitions();
        let text = serde_json::to_string(&all).unwrap();
        assert!(!text.contains("\"null\"") && !text.contains("unevaluatedProperties"));
        for (name, definition) in &all {
            for (field, schema) in definition["properties"].as_object().into_iter().flatten() {
                let description = schema["description"].as_str().unwrap_or_default();
                assert!(field == "metadata" || field == "spec" || description.len() > 4, "{name}.{field}");
            }
        }
    }

    #[test]
    fn an_unknown_kind_fits_nothing() {
        assert_eq!(schema_of("Deployment"), Json::Bool(false));
        assert!(KINDS.iter().all(|kind| schema_of(kind)["$defs"][kind].is_object()));
    }
}
