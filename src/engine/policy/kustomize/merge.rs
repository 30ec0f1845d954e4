//! Merges a strategic merge patch into an object.
//!
//! Mappings are merged field by field, null takes a field away, lists are replaced, except those that kustomize knows
//! how to merge. `$patch: delete`, `replace` and `merge` are followed.
//!
//! In: two `Node`s, `Shape` · Out: `Node` · Touches: nothing

use crate::domain::object::Gvk;
use crate::engine::policy::node::{Content, Fault, Field, Node};

use super::facts::{Rule, Shape, shape, shape_of};

type Rules = Option<&'static Shape>;

/// What becomes of an object under a patch; `None` where the patch deletes it.
///
/// # Errors
/// Values of different types, and lists whose elements cannot be told apart.
pub fn merge(object: Node, patch: &Node) -> Result<Option<Node>, Fault> {
    both(object, patch, None)
}

/// What is left of a value that a patch changes.
fn both(old: Node, patch: &Node, rules: Rules) -> Result<Option<Node>, Fault> {
    if patch.is_null() {
        return Ok(None);
    }
    if old.is_null() {
        return fresh(patch.clone(), rules);
    }
    let rules = rules.or_else(|| known(&old)).or_else(|| known(patch));
    match (old.content, &patch.content) {
        (Content::Map(fields), Content::Map(_)) => match directive(patch)? {
            Directive::Delete => Ok(None),
            Directive::Replace => fresh(patch.clone(), rules),
            Directive::Merge => {
                let fields = mappings(fields, patch.fields(), rules)?;
                Ok(Some(Node { place: old.place, content: Content::Map(fields) }))
            }
        },
        (Content::List(_), Content::List(items)) => replaced(items).map(|()| Some(patch.clone())),
        (Content::Scalar(_), Content::Scalar(_)) => Ok(Some(patch.clone())),
        (before, after) => {
            let message = format!("{} cannot be merged into {}", kind(after), kind(&before));
            Err(Fault::new(patch.place, message)
                .help("a strategic merge patch keeps types; set it to null first, or write a JSON patch"))
        }
    }
}

fn mappings(old: Vec<Field>, patch: &[Field], rules: Rules) -> Result<Vec<Field>, Fault> {
    let mut fields = Vec::new();
    for mut field in old {
        let rule = rules.and_then(|rules| rules.get(&field.key));
        let merged = match patch.iter().find(|p| p.key == field.key) {
            None => swept(field.value, rule),
            Some(change) => {
                let scalar = matches!(change.value.content, Content::Scalar(_));
                field.place = if scalar { change.place } else { field.place };
                by_rule(field.value, &change.value, rule)?
            }
        };
        fields.extend(merged.map(|value| Field { value, ..field }));
    }
    let known: Vec<String> = fields.iter().map(|field| field.key.clone()).collect();
    for change in patch.iter().filter(|p| p.key != DIRECTIVE && !known.contains(&p.key)) {
        let rule = rules.and_then(|rules| rules.get(&change.key));
        let value = added(change.value.clone(), rule)?;
        fields.extend(value.map(|value| Field { value, ..change.clone() }));
    }
    Ok(fields)
}

fn by_rule(old: Node, patch: &Node, rule: Option<&'static Rule>) -> Result<Option<Node>, Fault> {
    let Some(Rule::List { by, of }) = rule else { return both(old, patch, inside(rule)) };
    let (Content::List(items), Content::List(changes)) = (&old.content, &patch.content) else {
        return if old.is_null() { added(patch.clone(), rule) } else { both(old, patch, None) };
    };
    let (directive, changes) = list_directive(changes)?;
    let elements = of.as_deref().and_then(shape);
    let merged = match directive {
        Directive::Delete => return Ok(None),
        Directive::Replace => elements_of(Vec::new(), &changes, by, elements)?,
        Directive::Merge if by.is_empty() => set(items, &changes),
        Directive::Merge => elements_of(items.clone(), &changes, by, elements)?,
    };
    Ok(Some(Node { place: old.place, content: Content::List(merged) }))
}

/// The patch's elements first, merged with the old ones of the same key, then the other old ones.
///
/// Elements that only several keys tell apart stay where they were.
fn elements_of(old: Vec<Node>, patch: &[Node], by: &[String], rules: Rules) -> Result<Vec<Node>, Fault> {
    if by.is_empty() {
        return Ok(set(&[], patch));
    }
    let has = |key: &&String| old.iter().chain(patch).any(|element| value(element, key).is_some());
    let keys: Vec<&String> = by.iter().filter(has).collect();
    let named = |element: &Node| -> Result<Vec<String>, Fault> {
        let missing = |key: &&String| {
            let message =
                format!("an element of this list has no `{key}`, by which kustomize tells elements apart");
            Fault::new(element.place, message).help("write it in the base and in the patch")
        };
        keys.iter().map(|key| value(element, key).ok_or_else(|| missing(key))).collect()
    };
    let key = &by[0];
    if keys.is_empty()
        && let Some(element) = old.iter().chain(patch).next()
    {
        let message =
            format!("the elements of this list have no `{key}`, by which kustomize tells them apart");
        return Err(Fault::new(patch.first().unwrap_or(element).place, message));
    }
    let mut rest = Vec::new();
    for element in old {
        rest.push((named(&element)?, Some(element)));
    }
    let in_place = keys.len() > 1;
    let (mut first, mut seen) = (Vec::new(), Vec::new());
    for change in patch {
        let name = named(change)?;
        if seen.contains(&name) {
            return Err(Fault::new(
                change.place,
                format!("the patch has the element `{}` twice", name.join(", ")),
            ));
        }
        match rest.iter_mut().find(|(other, element)| *other == name && element.is_some()) {
            Some((_, slot)) => {
                let merged = slot.take().map_or(Ok(None), |element| element_of(element, change, rules))?;
                if in_place {
                    *slot = merged;
                } else {
                    first.extend(merged);
                }
            }
            None => first.extend(fresh(change.clone(), rules)?),
        }
        seen.push(name);
    }
    first.extend(rest.into_iter().filter_map(|(_, element)| element));
    Ok(first)
}

fn element_of(element: Node, change: &Node, rules: Rules) -> Result<Option<Node>, Fault> {
    if directive(change)? == Directive::Replace {
        let message = "`$patch: replace` does nothing to an element of a list in kustomize";
        let place = change.field(DIRECTIVE).map_or(change.place, |field| field.place);
        return Err(
            Fault::new(place, message).help("delete the element with one patch, and add it with another")
        );
    }
    both(element, change, rules)
}

/// Plain values, each once: the patch's first.
fn set(old: &[Node], patch: &[Node]) -> Vec<Node> {
    let mut values: Vec<Node> = Vec::new();
    for node in patch.iter().chain(old) {
        if !values.iter().any(|other| other.plain() == node.plain()) {
            values.push(node.clone());
        }
    }
    values
}

/// A value that only the patch has: without nulls, directives followed.
fn fresh(mut node: Node, rules: Rules) -> Result<Option<Node>, Fault> {
    let rules = rules.or_else(|| known(&node));
    if node.is_null() {
        return Ok(None);
    }
    if matches!(node.content, Content::Map(_)) && directive(&node)? == Directive::Delete {
        return Ok(None);
    }
    if let Content::Map(fields) = &mut node.content {
        let mut kept = Vec::new();
        for field in std::mem::take(fields).into_iter().filter(|field| field.key != DIRECTIVE) {
            let value = added(field.value.clone(), rules.and_then(|rules| rules.get(&field.key)))?;
            kept.extend(value.map(|value| Field { value, ..field }));
        }
        *fields = kept;
    } else if let Content::List(items) = &node.content {
        replaced(items)?;
    }
    Ok(Some(node))
}

fn added(node: Node, rule: Option<&'static Rule>) -> Result<Option<Node>, Fault> {
    match (rule, &node.content) {
        (Some(Rule::List { .. }), Content::List(_)) => {
            let empty = Node { place: node.place, content: Content::List(Vec::new()) };
            by_rule(empty, &node, rule)
        }
        _ => fresh(node, inside(rule)),
    }
}

/// A value that the patch does not mention: kustomize drops fields that were left empty.
fn swept(mut node: Node, rule: Option<&'static Rule>) -> Option<Node> {
    let rules = inside(rule).or_else(|| known(&node));
    match &mut node.content {
        Content::Empty => return None,
        Content::Scalar(_) => {}
        Content::List(items) => {
            let merged = matches!(rule, Some(Rule::List { by, .. }) if !by.is_empty());
            if let (true, Some(Rule::List { of, .. })) = (merged, rule) {
                let elements = of.as_deref().and_then(shape);
                for item in items {
                    sweep(item, elements);
                }
            }
        }
        Content::Map(_) => sweep(&mut node, rules),
    }
    Some(node)
}

fn sweep(node: &mut Node, rules: Rules) {
    let Content::Map(fields) = &mut node.content else { return };
    let kept = std::mem::take(fields).into_iter().filter_map(|field| {
        let rule = rules.and_then(|rules| rules.get(&field.key));
        swept(field.value.clone(), rule).map(|value| Field { value, ..field })
    });
    *fields = kept.collect();
}

const DIRECTIVE: &str = "$patch";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Node) -> Result<Directive, Fault> {
    let Some(said) = patch.get(DIRECTIVE) else { return Ok(Directive::Merge) };
    match said.as_str().unwrap_or_default() {
        "merge" => Ok(Directive::Merge),
        "replace" => Ok(Directive::Replace),
        "delete" => Ok(Directive::Delete),
        _ => Err(Fault::new(said.place, "`$patch` must be `merge`, `replace` or `delete`")),
    }
}

/// What an element with nothing but `$patch` says of its list, and the other elements.
fn list_directive(patch: &[Node]) -> Result<(Directive, Vec<Node>), Fault> {
    let alone = |element: &&Node| element.fields().len() == 1 && element.get(DIRECTIVE).is_some();
    let said = patch.iter().find(alone).map_or(Ok(Directive::Merge), directive)?;
    Ok((said, patch.iter().filter(|element| !alone(element)).cloned().collect()))
}

/// A list that takes the place of another is taken as it is: a directive in it would be kept as a field.
fn replaced(items: &[Node]) -> Result<(), Fault> {
    let Some(field) = items.iter().find_map(|item| item.field(DIRECTIVE)) else { return Ok(()) };
    let message = "`$patch` has no meaning here: kustomize replaces this list as a whole";
    Err(Fault::new(field.place, message).help("write the whole list, or a JSON patch"))
}

fn inside(rule: Option<&'static Rule>) -> Rules {
    match rule {
        Some(Rule::Of(name)) => shape(name),
        Some(Rule::List { .. }) | None => None,
    }
}

/// The rules of an object, also of one inside of another.
fn known(node: &Node) -> Rules {
    shape_of(&Gvk::new(node.text("apiVersion")?, node.text("kind")?))
}

fn value(element: &Node, key: &str) -> Option<String> {
    element.get(key).filter(|node| !node.is_null()).and_then(Node::plain).filter(|text| !text.is_empty())
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::Scalar(_) | Content::Empty => "a plain value",
        Content::List(_) => "a list",
        Content::Map(_) => "a mapping",
    }
}
