//! Writes documents as `kustomize build` prints them, byte for byte.
//!
//! In: `Node`s · Out: YAML text · Touches: nothing

use std::cmp::Ordering;

use crate::domain::object::{Json, JsonMap};
use crate::engine::policy::node::Node;

use super::scalar::Page;

/// All documents, with `---` between them.
pub fn emit(documents: &[Node]) -> String {
    let texts: Vec<String> = documents.iter().map(|node| document(&node.to_json())).collect();
    texts.join("---\n")
}

fn document(tree: &Json) -> String {
    let mut page = Page::default();
    block(&mut page, tree, 0);
    page.finish()
}

/// A value that begins where the page is; what does not fit onto this line goes on at the indent.
fn block(page: &mut Page, tree: &Json, indent: usize) {
    match tree {
        Json::Object(fields) if !fields.is_empty() => mapping(page, fields, indent),
        Json::Array(items) if !items.is_empty() => list(page, items, indent),
        Json::Object(_) => page.push("{}"),
        Json::Array(_) => page.push("[]"),
        scalar => page.value(scalar, indent),
    }
}

fn mapping(page: &mut Page, fields: &JsonMap, indent: usize) {
    for (position, key) in sorted(fields.keys().collect()).into_iter().enumerate() {
        if position > 0 {
            page.indent(indent);
        }
        let value = &fields[key];
        let long = key.len() > 128;
        if long {
            page.push("? ");
        }
        page.key(key);
        if long {
            page.indent(indent);
        }
        page.push(":");
        match value {
            Json::Object(inner) if !inner.is_empty() => {
                page.indent(indent + 2);
                mapping(page, inner, indent + 2);
            }
            Json::Array(items) if !items.is_empty() => {
                page.indent(indent);
                list(page, items, indent);
            }
            other => {
                page.push(" ");
                block(page, other, indent + 2);
            }
        }
    }
}

fn list(page: &mut Page, items: &[Json], indent: usize) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            page.indent(indent);
        }
        page.push("- ");
        block(page, item, indent + 2);
    }
}

/// Keys in kustomize's order: digits by their number, other signs before letters.
///
/// That order has circles (`x1z`, `x5`, `x12`), so the standard sort cannot be trusted with it.
fn sorted(mut keys: Vec<&String>) -> Vec<&String> {
    if keys.len() < 2 {
        return keys;
    }
    let right = sorted(keys.split_off(keys.len() / 2));
    let mut left = sorted(keys).into_iter().peekable();
    let mut right = right.into_iter().peekable();
    let mut merged = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if compare(b, a) == Ordering::Less { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

fn compare(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len().cmp(&b.len()) };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let before = a[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let start = u128::from((a[at] == '0' || b[at] == '0') && before);
    let number = |chars: &[char]| {
        let digits = chars[at..].iter().map_while(|c| c.to_digit(10));
        digits.fold((start, 0_usize), |(n, length), digit| {
            (n.saturating_mul(10).saturating_add(u128::from(digit)), length + 1)
        })
    };
    number(&a).cmp(&number(&b)).then_with(|| a[at].cmp(&b[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_by_numbers_and_signs_come_before_letters() {
        let keys: Vec<String> =
            ["k10", "k2", "K", "k_1", "k-1", "k1", "x5", "x12", "é", "k01", "k"].map(str::to_owned).to_vec();
        let sorted: Vec<&str> = sorted(keys.iter().collect()).into_iter().map(String::as_str).collect();
        insta::assert_snapshot!(sorted.join(" "), @"K k k-1 k_1 k1 k01 k2 k10 x5 x12 é");
    }
}
