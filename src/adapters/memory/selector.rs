//! Reads a label selector as the API server does: `app=web,tier in (a, b),!legacy`.
//!
//! In: selector text · Out: whether labels match · Touches: nothing

use crate::domain::object::JsonMap;

/// Whether labels match a selector; `Err` with the part that is no condition.
pub fn matches(selector: &str, labels: Option<&JsonMap>) -> Result<bool, String> {
    for part in parts(selector) {
        if !holds(part, labels)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Cuts at commas outside of brackets.
fn parts(selector: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let cut = |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    };
    selector.split(cut).map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn holds(part: &str, labels: Option<&JsonMap>) -> Result<bool, String> {
    let value = |key: &str| labels.and_then(|l| l.get(key.trim())).and_then(|v| v.as_str());
    if let Some((head, list)) = part.split_once('(') {
        let list: Vec<&str> = list.trim_end_matches(')').split(',').map(str::trim).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next()) {
            (Some(key), Some("in")) => Ok(value(key).is_some_and(|v| list.contains(&v))),
            (Some(key), Some("notin")) => Ok(value(key).is_none_or(|v| !list.contains(&v))),
            _ => Err(part.to_owned()),
        };
    }
    if let Some((key, wanted)) = part.split_once("!=") {
        return Ok(value(key) != Some(wanted.trim()));
    }
    if let Some((key, wanted)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(value(key) == Some(wanted.trim()));
    }
    match part.strip_prefix('!') {
        Some(key) => Ok(value(key).is_none()),
        None if part.contains(char::is_whitespace) => Err(part.to_owned()),
        None => Ok(value(part).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_read_as_the_api_server_reads_them() {
        let labels = json!({"app": "web", "tier": "front"});
        for (selector, wanted) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app in (api, web),tier notin (back)", true),
            ("missing notin (a)", true),
            ("app,!legacy", true),
            ("legacy", false),
            ("app in (api)", false),
            ("app!=web", false),
        ] {
            assert_eq!(matches(selector, labels.as_object()), Ok(wanted), "{selector}");
        }
        assert!(matches("a b", None).is_err());
    }
}
