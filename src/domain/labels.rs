//! Label selectors, as Kubernetes knows them: read, checked, compared, and written for the API server.
//!
//! In: YAML through serde · Out: `LabelSelector` and its answers · Touches: nothing

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::FieldError;
use super::path::escape;

/// A Kubernetes label selector: all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels with these exact values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelCondition>,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelCondition {
    /// The label's key.
    pub key: String,
    /// How its value is compared.
    pub operator: LabelOperator,
    /// Values for `In` and `NotIn`; must be absent for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The value is one of the given ones.
    In,
    /// The label is absent, or its value is none of the given ones.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether labels, read through a function from key to value, fulfil every condition. An empty selector matches all.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.match_labels.iter().all(|(key, value)| label(key) == Some(value.as_str()))
            && self.match_expressions.iter().all(|condition| condition.holds(label(&condition.key)))
    }

    /// The text the API server takes as `labelSelector`; empty for all.
    pub fn query(&self) -> String {
        let equal = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        equal.chain(self.match_expressions.iter().map(LabelCondition::query)).collect::<Vec<_>>().join(",")
    }

    /// Everything that is wrong with the selector.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.match_labels.is_empty() && self.match_expressions.is_empty() {
            errors.push(FieldError::new("", "a label selector needs `matchLabels` or `matchExpressions`"));
        }
        for (key, value) in &self.match_labels {
            let pointer = format!("/matchLabels/{}", escape(key));
            errors.extend(wrong_key(key).map(|e| FieldError::new(&pointer, e)));
            errors.extend(wrong_value(value).map(|e| FieldError::new(&pointer, e)));
        }
        for (index, condition) in self.match_expressions.iter().enumerate() {
            let place = format!("/matchExpressions/{index}");
            errors.extend(condition.check().into_iter().map(|error| error.under(&place)));
        }
        errors
    }
}

impl LabelCondition {
    fn holds(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|value| self.values.iter().any(|v| v == value));
        match self.operator {
            LabelOperator::In => listed(),
            LabelOperator::NotIn => !listed(),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }

    fn query(&self) -> String {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            LabelOperator::In => format!("{key} in ({values})"),
            LabelOperator::NotIn => format!("{key} notin ({values})"),
            LabelOperator::Exists => key.clone(),
            LabelOperator::DoesNotExist => format!("!{key}"),
        }
    }

    fn check(&self) -> Vec<FieldError> {
        let mut errors: Vec<_> =
            wrong_key(&self.key).map(|e| FieldError::new("/key", e)).into_iter().collect();
        let wants = matches!(self.operator, LabelOperator::In | LabelOperator::NotIn);
        if wants && self.values.is_empty() {
            errors.push(FieldError::new("", format!("`{:?}` needs `values`", self.operator)));
        }
        if !wants && !self.values.is_empty() {
            errors.push(FieldError::new("/values", format!("`{:?}` takes no values", self.operator)));
        }
        for (index, value) in self.values.iter().enumerate() {
            errors.extend(wrong_value(value).map(|e| FieldError::new(format!("/values/{index}"), e)));
        }
        errors
    }
}

/// Why a text is no label or annotation key, if so: an optional DNS prefix with `/`, then a name of at most 63 characters.
pub fn wrong_key(key: &str) -> Option<String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let dns = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if prefix.is_some_and(|p| p.is_empty() || p.len() > 253 || !p.chars().all(dns)) {
        return Some(format!("{key:?} is no label key: before `/` stands a DNS name"));
    }
    let fine = !name.is_empty() && is_label_text(name);
    (!fine).then(|| format!("{key:?} is no label key: 1 to 63 letters, digits, `-`, `_` or `.`, letters or digits at both ends"))
}

/// Why a text is no label value, if so: empty, or at most 63 characters.
pub fn wrong_value(value: &str) -> Option<String> {
    (!is_label_text(value)).then(|| {
        format!("{value:?} is no label value: at most 63 letters, digits, `-`, `_` or `.`, letters or digits at both ends")
    })
}

fn is_label_text(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && text.chars().all(inside) && end(text.chars().next()) && end(text.chars().last())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selector(value: crate::domain::object::Json) -> LabelSelector {
        serde_json::from_value(value).unwrap()
    }

    fn matches(selector: &LabelSelector, labels: &[(&str, &str)]) -> bool {
        selector.matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
    }

    #[test]
    fn every_condition_must_hold() {
        let shop = selector(json!({"matchLabels": {"app": "shop"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["web", "db"]}, {"key": "old", "operator": "DoesNotExist"}]}));
        assert!(matches(&shop, &[("app", "shop"), ("tier", "db")]));
        assert!(!matches(&shop, &[("app", "shop"), ("tier", "cache")]));
        assert!(!matches(&shop, &[("app", "shop"), ("tier", "db"), ("old", "")]));
        assert!(!matches(&shop, &[("tier", "db")]));
        assert_eq!(shop.query(), "app=shop,tier in (web,db),!old");
        assert!(shop.check().is_empty());
    }

    #[test]
    fn not_in_matches_what_has_no_such_label() {
        let not = selector(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}));
        assert!(matches(&not, &[]) && matches(&not, &[("a", "2")]) && !matches(&not, &[("a", "1")]));
    }

    #[test]
    fn a_selector_that_says_nothing_or_nonsense_is_refused() {
        assert_eq!(selector(json!({})).check().len(), 1);
        let bad = selector(json!({"matchLabels": {"a/b/c": "x y"}, "matchExpressions": [
            {"key": "k", "operator": "In"}, {"key": "k", "operator": "Exists", "values": ["v"]}]}));
        let pointers: Vec<_> = bad.check().into_iter().map(|e| e.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/matchLabels/a~1b~1c",
                "/matchLabels/a~1b~1c",
                "/matchExpressions/0",
                "/matchExpressions/1/values"
            ]
        );
    }
}
