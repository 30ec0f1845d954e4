use std::{env, fs, path::Path};

use super::*;
use crate::domain::schema;

fn text(kind: &Kind) -> String {
    let text = serde_saphyr::to_string(&kind.definition()).unwrap();
    format!("# Made from the source by `make schema`; do not edit.\n{text}")
}

#[test]
fn the_generated_definitions_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/backstay/files/crds");
    for kind in KINDS {
        let path = folder.join(format!("{}.yaml", kind.plural));
        if env::var_os("BACKSTAY_UPDATE").is_some() {
            fs::write(&path, text(&kind)).unwrap();
        }
        let stale = "stale; run `make schema` and commit the result";
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == text(&kind),
            "{} is {stale}",
            path.display()
        );
    }
}

#[test]
fn people_write_the_kinds_of_a_policy_repository_and_no_others() {
    let people = KINDS.iter().filter(|kind| kind.written_by == Author::People).map(|kind| kind.kind);
    assert_eq!(people.collect::<Vec<_>>(), schema::KINDS);
}

fn walk(schema: &Json, at: &str, wrong: &mut Vec<String>) {
    let Some(map) = schema.as_object() else { return wrong.push(format!("{at}: no schema")) };
    let free = map.contains_key("x-kubernetes-preserve-unknown-fields");
    if !map.contains_key("type") && !free {
        wrong.push(format!("{at}: no type"));
    }
    for key in ["$ref", "$defs", "const", "default", "additionalItems", "anyOf", "allOf"] {
        if map.contains_key(key) {
            wrong.push(format!("{at}: {key}"));
        }
    }
    if map.contains_key("properties") && map.contains_key("additionalProperties") {
        wrong.push(format!("{at}: properties beside additionalProperties"));
    }
    for (name, field) in map.get("properties").and_then(Json::as_object).into_iter().flatten() {
        walk(field, &format!("{at}/{name}"), wrong);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get(key) {
            walk(inner, &format!("{at}/{key}"), wrong);
        }
    }
}

#[test]
fn a_document_of_people_says_from_its_first_moment_that_nobody_has_looked_at_it() {
    let said = |kind: &Kind| {
        let schema = &kind.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["status"].get("default").cloned()
    };
    for kind in KINDS {
        let wanted =
            (kind.written_by == Author::People).then(|| serde_json::json!({"observedGeneration": -1}));
        assert_eq!(said(&kind), wanted, "{}", kind.kind);
    }
}

#[test]
fn every_definition_is_structural() {
    let mut wrong = Vec::new();
    for kind in KINDS {
        let mut definition = kind.definition();
        let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
        // A default is looked at by the test above.
        definition.pointer_mut(status).and_then(Json::as_object_mut).unwrap().remove("default");
        walk(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], kind.kind, &mut wrong);
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn short_names_are_not_taken_twice() {
    let mut names: Vec<&str> = KINDS.iter().flat_map(|kind| [kind.short, kind.plural]).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}
