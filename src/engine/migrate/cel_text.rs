//! Writes CEL: texts, values, fields of the object, and conditions put together.
//!
//! In: pointers and JSON · Out: CEL text · Touches: nothing

use crate::domain::object::Json;
use crate::domain::path::unescaped;

/// Maps whose keys are free, so that a number in a pointer below them is a key and no place in a list.
const FREE_KEYS: [&str; 7] =
    ["labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData", "binaryData"];

/// A text in quotes.
pub fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '\\' | '\'' => format!("\\{c}"),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
        other => other.to_string(),
    });
    format!("'{}'", escaped.collect::<String>())
}

/// A list of texts in quotes.
pub fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// A value as a literal.
pub fn literal(value: &Json) -> String {
    match value {
        Json::Null | Json::Bool(_) => value.to_string(),
        Json::Number(number) if number.is_u64() && !number.is_i64() => format!("{number}u"),
        Json::Number(number) => number.to_string(),
        Json::String(text) => quoted(text),
        Json::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let fields = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), literal(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// All of them; nothing where there is none.
pub fn all(conditions: &[String]) -> Option<String> {
    (!conditions.is_empty()).then(|| conditions.join(" && "))
}

/// At least one of them; in parentheses where there are several.
pub fn any(conditions: &[String]) -> String {
    match conditions {
        [one] => one.clone(),
        several => format!("({})", several.join(" || ")),
    }
}

/// That the field at a pointer has a value. Null also means that its parent is there and the field is not.
///
/// Where a field on the way is missing, the expression asks for a field that the object does not have.
pub fn equals(pointer: &str, value: &Json) -> String {
    let names = unescaped(pointer);
    let (mut field, mut parent) = ("object".to_owned(), String::new());
    let (mut conditions, mut above) = (Vec::new(), "");
    let mut in_list = false;
    for name in &names {
        parent.clone_from(&field);
        in_list = is_index(name) && !FREE_KEYS.contains(&above);
        if in_list {
            conditions.push(format!("size({field}) > {name}"));
            field = format!("{field}[{name}]");
        } else if is_plain(name) {
            field = format!("{field}.{name}");
        } else {
            field = format!("{field}[{}]", quoted(name));
        }
        above = name;
    }
    if value.is_null() && !in_list {
        let absent = format!("!({} in {parent})", quoted(above));
        conditions.push(any(&[absent, format!("{field} == null")]));
    } else {
        conditions.push(format!("{field} == {}", literal(value)));
    }
    conditions.join(" && ")
}

fn is_index(name: &str) -> bool {
    !name.is_empty() && name.len() < 10 && name.chars().all(|c| c.is_ascii_digit())
}

/// Whether a name may stand behind a dot.
fn is_plain(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty()
        && name.chars().all(word)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !["in", "true", "false", "null"].contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::cel::{EvalError, Expression};
    use crate::domain::object::Manifest;

    fn object() -> Manifest {
        let tree = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "labels": {"a/b": "x", "0": "zero"}},
            "spec": {"list": [{"n": 1}, {"n": 2.5}], "big": 18_446_744_073_709_551_615_u64, "less": -1, "nothing": null,
                "in": true, "text": "it's \\ \"so\"\n\u{7}", "map": {"b": [1, "two"], "a": {}}}});
        Manifest::parse(tree).unwrap()
    }

    fn holds(text: &str) -> Result<bool, EvalError> {
        Expression::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).test(&object())
    }

    #[test]
    fn a_field_equals_its_own_value_and_no_other() {
        for pointer in [
            "/metadata/labels/a~1b",
            "/metadata/labels/0",
            "/spec/list/0/n",
            "/spec/list/1/n",
            "/spec/list/1",
            "/spec/list",
            "/spec/big",
            "/spec/less",
            "/spec/in",
            "/spec/text",
            "/spec/map",
            "/spec/nothing",
        ] {
            let text = equals(pointer, object().at(pointer).unwrap());
            assert_eq!(holds(&text), Ok(true), "{text}");
            let text = equals(pointer, &json!({"other": 1}));
            assert_eq!(holds(&text), Ok(false), "{text}");
        }
    }

    #[test]
    fn a_field_that_is_not_there_has_no_value_but_null() {
        assert_eq!(holds(&equals("/spec/absent", &Json::Null)), Ok(true));
        assert_eq!(holds(&equals("/spec/text", &Json::Null)), Ok(false));
        for pointer in ["/spec/absent", "/spec/absent/deep", "/spec/absent/0"] {
            let answer = holds(&equals(pointer, &json!("x")));
            assert!(matches!(answer, Err(EvalError::MissingField(_))), "{pointer}: {answer:?}");
        }
        assert!(matches!(holds(&equals("/spec/absent/deep", &Json::Null)), Err(EvalError::MissingField(_))));
        assert_eq!(holds(&equals("/spec/list/7/n", &json!(1))), Ok(false));
    }
}
