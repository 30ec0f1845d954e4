//! Writes JSON as the YAML that API servers read: server-side apply takes nothing else, and their reader is no JSON reader.
//!
//! It folds U+0085 to a space, refuses other characters as they are, and looks for the end of a plain key only so far.
//! So nothing but printable ASCII is sent, and long keys are announced.
//!
//! In: JSON · Out: YAML in flow style, on one line · Touches: nothing
//! Source: go-yaml (`is_printable`, simple keys of at most 1024 characters), YAML 1.2 escapes

use std::fmt::Write;

use crate::domain::object::Json;

/// Bytes of a written key from which on it is announced with `? `.
const LONG_KEY: usize = 1_000;

/// The tree as YAML.
pub fn yaml(tree: &Json) -> Vec<u8> {
    let mut out = String::new();
    write(&mut out, tree);
    out.into_bytes()
}

fn write(out: &mut String, tree: &Json) {
    match tree {
        Json::Object(map) => {
            out.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                let mut quoted = String::new();
                quote(&mut quoted, key);
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(if quoted.len() > LONG_KEY { "? " } else { "" });
                out.push_str(&quoted);
                out.push_str(": ");
                write(out, value);
            }
            out.push('}');
        }
        Json::Array(list) => {
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(out, value);
            }
            out.push(']');
        }
        Json::String(text) => quote(out, text),
        Json::Null | Json::Bool(_) | Json::Number(_) => {
            let _ = write!(out, "{tree}"); // writing to a String cannot fail
        }
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        let _ = match letter {
            '"' | '\\' => write!(out, "\\{letter}"),
            ' '..='~' => write!(out, "{letter}"),
            _ if u32::from(letter) <= 0xffff => write!(out, "\\u{:04x}", u32::from(letter)),
            _ => write!(out, "\\U{:08x}", u32::from(letter)),
        };
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_but_printable_ascii_is_written() {
        let tree =
            json!({"a\u{85}b": ["\u{7f}\n\t\"\\", "ä€😀\u{fffe}"], "n": [1, -2.5, true, null], "e": {}});
        let text = String::from_utf8(yaml(&tree)).unwrap();
        assert_eq!(
            text,
            r#"{"a\u0085b": ["\u007f\u000a\u0009\"\\","\u00e4\u20ac\U0001f600\ufffe"],"n": [1,-2.5,true,null],"e": {}}"#
        );
    }

    #[test]
    fn a_yaml_reader_gives_the_same_tree() {
        let long = "k".repeat(1_500);
        let tree =
            json!({"a": {long: "v", "b": ["1", 1, "yes", "~", "", " x "]}, "c": "\u{0}\u{feff}\u{2028}"});
        let text = String::from_utf8(yaml(&tree)).unwrap();
        assert!(text.contains("{? \"kkk"));
        let read: Json = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, tree);
    }
}
