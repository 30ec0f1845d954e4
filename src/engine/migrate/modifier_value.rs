//! Texts of Velero's resource modifiers as the JSON that Velero makes of them.
//!
//! In: texts of a rule · Out: JSON, pointers · Touches: nothing
//!
//! Velero writes each operation as a line of JSON and puts the texts into it as they are: a value in quotes unless it
//! looks like something else, and nothing escaped.
//!
//! Source: velero `internal/resourcemodifiers/json_patch.go`.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::field::FieldError;
use crate::domain::object::Json;

/// What Go reads as a number in decimal.
#[expect(clippy::unwrap_used, reason = "a constant, compiled by the tests")]
static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$").unwrap());

/// The JSON that Velero takes a value for. Numbers and truth values stand for their texts, as YAML for Velero has them.
///
/// # Errors
/// Values that Velero cannot read, and those that it does not read as they look. No value is repeated.
pub fn value(given: &Json) -> Result<Json, FieldError> {
    match given {
        Json::String(text) => of_text(text),
        Json::Bool(_) | Json::Number(_) => Ok(whole(given.clone())),
        Json::Null => Err(FieldError::new("", "Velero reads a bare null as an empty text")
            .help("write \"null\" in quotes for null, or \"\"")),
        Json::Array(_) | Json::Object(_) => {
            let help = "write the list or mapping as JSON in quotes";
            Err(FieldError::new("", "must be a text that holds JSON").help(help))
        }
    }
}

fn of_text(text: &str) -> Result<Json, FieldError> {
    let json = |kind: &str| {
        let help = "write it as JSON has it, or put it in quotes of its own for a text: '\"...\"'";
        serde_json::from_str(text).map(whole).map_err(|_| {
            FieldError::new("", format!("Velero takes this for {kind}, but it is no JSON")).help(help)
        })
    };
    if text.len() > 1 && text.starts_with('"') && text.ends_with('"') {
        return inside(&text[1..text.len() - 1]).map(Json::String);
    }
    let lower = text.to_lowercase();
    let is_number = NUMBER.is_match(text) && text.parse::<f64>().is_ok_and(f64::is_finite);
    let is_infinite = ["inf", "infinity"].contains(&lower.trim_start_matches(['+', '-'])) || lower == "nan";
    if text == "null" {
        Ok(Json::Null)
    } else if lower == "true" || lower == "false" {
        json("a truth value")
    } else if text.starts_with(['{', '[']) {
        json("a mapping or list")
    } else if is_number || is_infinite {
        json("a number")
    } else {
        inside(text).map(Json::String)
    }
}

/// What stands between the quotes of a JSON text.
fn inside(text: &str) -> Result<String, FieldError> {
    serde_json::from_str(&format!("\"{text}\"")).map_err(|_| {
        let help = "write `\\\"` for a quote, `\\\\` for a backslash and `\\n` for a line end, as JSON does";
        FieldError::new("", "Velero puts this between quotes of JSON, where it cannot stand").help(help)
    })
}

/// Numbers without a fraction as integers, as they leave Velero: the API server takes no 1.0 for an integer.
pub fn whole(value: Json) -> Json {
    match value {
        Json::Number(number) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                (float as i64).into()
            }
            _ => Json::Number(number),
        },
        Json::Array(items) => items.into_iter().map(whole).collect(),
        Json::Object(map) => map.into_iter().map(|(key, value)| (key, whole(value))).collect(),
        other @ (Json::Null | Json::Bool(_) | Json::String(_)) => other,
    }
}

/// A JSON pointer as Velero reads it.
///
/// # Errors
/// What is none, and places counted from the end of a list, which JSON Patch does not have.
pub fn pointer(text: &str) -> Result<String, FieldError> {
    let wrong = |message: &str| FieldError::new("", message.to_owned());
    let path = inside(text)?;
    if path.len() < 2 || !path.starts_with('/') {
        return Err(wrong("a path is a JSON pointer such as /spec/replicas"));
    }
    if !path.split('~').skip(1).all(|rest| rest.starts_with(['0', '1'])) {
        return Err(wrong("in a path ~ is written ~0 and / is written ~1"));
    }
    let from_the_end = |name: &str| name.strip_prefix('-').is_some_and(|rest| rest.parse::<u32>().is_ok());
    if path.split('/').any(from_the_end) {
        return Err(wrong("a place in a list is counted from its beginning").help("write 0 for the first"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(values: &[Json]) -> String {
        let line = |given: &Json| match value(given) {
            Ok(made) => format!("{given}  ->  {made}"),
            Err(error) => format!("{given}  ->  refused: {error}"),
        };
        values.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_value_is_the_json_that_velero_makes_of_it() {
        insta::assert_snapshot!(table(&[
            json!("premium"), json!(""), json!("1"), json!("-1"), json!("1.5"), json!("1e3"), json!("2.0"), json!("null"), json!("true"),
            json!("\"1\""), json!("\"true\""), json!("\"\""), json!("{\"a\": [1, 2.0]}"), json!("[]"), json!("0x1F"), json!("1e999"),
            json!("1.2.3"), json!("12a"), json!("a\\nb"), json!("a\\\"b"), json!("truth"), json!(3), json!(1.0), json!(false),
        ]), @r#"
        "premium"  ->  "premium"
        ""  ->  ""
        "1"  ->  1
        "-1"  ->  -1
        "1.5"  ->  1.5
        "1e3"  ->  1000
        "2.0"  ->  2
        "null"  ->  null
        "true"  ->  true
        "\"1\""  ->  "1"
        "\"true\""  ->  "true"
        "\"\""  ->  ""
        "{\"a\": [1, 2.0]}"  ->  {"a":[1,2]}
        "[]"  ->  []
        "0x1F"  ->  "0x1F"
        "1e999"  ->  "1e999"
        "1.2.3"  ->  "1.2.3"
        "12a"  ->  "12a"
        "a\\nb"  ->  "a\nb"
        "a\\\"b"  ->  "a\"b"
        "truth"  ->  "truth"
        3  ->  3
        1.0  ->  1
        false  ->  false
        "#);
    }

    #[test]
    fn what_velero_cannot_read_is_refused() {
        insta::assert_snapshot!(table(&[
            json!("True"), json!("007"), json!("+1"), json!(".5"), json!("Inf"), json!("-infinity"), json!("nan"), json!("{a: 1}"),
            json!("[1"), json!("a\"b"), json!("a\nb"), json!("a\\b c\\x"), json!("\""), json!(null), json!([1]), json!({"a": 1}),
        ]), @r#"
        "True"  ->  refused: Velero takes this for a truth value, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        "007"  ->  refused: Velero takes this for a number, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        "+1"  ->  refused: Velero takes this for a number, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        ".5"  ->  refused: Velero takes this for a number, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        "Inf"  ->  refused: Velero takes this for a number, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        "-infinity"  ->  refused: Velero takes this for a number, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        "nan"  ->  refused: Velero takes this for a number, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        "{a: 1}"  ->  refused: Velero takes this for a mapping or list, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        "[1"  ->  refused: Velero takes this for a mapping or list, but it is no JSON (write it as JSON has it, or put it in quotes of its own for a text: '"..."')
        "a\"b"  ->  refused: Velero puts this between quotes of JSON, where it cannot stand (write `\"` for a quote, `\\` for a backslash and `\n` for a line end, as JSON does)
        "a\nb"  ->  refused: Velero puts this between quotes of JSON, where it cannot stand (write `\"` for a quote, `\\` for a backslash and `\n` for a line end, as JSON does)
        "a\\b c\\x"  ->  refused: Velero puts this between quotes of JSON, where it cannot stand (write `\"` for a quote, `\\` for a backslash and `\n` for a line end, as JSON does)
        "\""  ->  refused: Velero puts this between quotes of JSON, where it cannot stand (write `\"` for a quote, `\\` for a backslash and `\n` for a line end, as JSON does)
        null  ->  refused: Velero reads a bare null as an empty text (write "null" in quotes for null, or "")
        [1]  ->  refused: must be a text that holds JSON (write the list or mapping as JSON in quotes)
        {"a":1}  ->  refused: must be a text that holds JSON (write the list or mapping as JSON in quotes)
        "#);
    }

    #[test]
    fn a_path_is_a_pointer_into_the_object() {
        assert_eq!(pointer("/metadata/annotations/a~1b").unwrap(), "/metadata/annotations/a~1b");
        assert_eq!(pointer("/spec/containers/-").unwrap(), "/spec/containers/-");
        for text in ["", "/", "spec", "/a~2", "/spec/containers/-1", "/a\"b"] {
            assert!(pointer(text).is_err(), "{text}");
        }
    }
}
