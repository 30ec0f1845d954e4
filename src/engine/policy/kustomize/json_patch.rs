//! Carries out a JSON patch (RFC 6902) and keeps the places of what it puts in.
//!
//! In: `Node`, operations · Out: the changed `Node` · Touches: nothing

use crate::domain::path::unescaped;
use crate::engine::policy::node::{Content, Fault, Node};

/// Carries out all operations, or says which one cannot be.
pub fn apply(mut object: Node, operations: &[Node]) -> Result<Node, Fault> {
    for operation in operations {
        step(&mut object, operation)?;
    }
    Ok(object)
}

fn step(object: &mut Node, operation: &Node) -> Result<(), Fault> {
    let text = |field: &str| {
        let missing = || Fault::new(operation.place, format!("the operation has no `{field}`"));
        operation.get(field).ok_or_else(missing).and_then(|node| {
            let wrong = || Fault::new(node.place, format!("`{field}` must be a text"));
            node.as_str().ok_or_else(wrong)
        })
    };
    let value = || {
        let missing = || Fault::new(operation.place, "the operation has no `value`");
        operation.get("value").cloned().ok_or_else(missing)
    };
    let path = pointer(text("path")?, operation, "path")?;
    let lost = |path: &[String]| {
        let at = operation.get("path").map_or(operation.place, |node| node.place);
        Fault::new(at, format!("there is no `/{}` in the object", path.join("/")))
    };
    match text("op")? {
        "add" => add(object, &path, value()?).ok_or_else(|| lost(&path)),
        "replace" => replace(object, &path, value()?).ok_or_else(|| lost(&path)),
        "remove" => remove(object, &path).map(drop).ok_or_else(|| lost(&path)),
        "move" => {
            let from = pointer(text("from")?, operation, "from")?;
            let value = remove(object, &from).ok_or_else(|| lost(&from))?;
            add(object, &path, value).ok_or_else(|| lost(&path))
        }
        "copy" => {
            let from = pointer(text("from")?, operation, "from")?;
            let value = at(object, &from).ok_or_else(|| lost(&from))?.clone();
            add(object, &path, value).ok_or_else(|| lost(&path))
        }
        "test" => {
            let wanted = operation.get("value").map(Node::to_json).unwrap_or_default();
            let found = at(object, &path).map(|node| node.to_json()).unwrap_or_default();
            let differs = || Fault::new(operation.place, format!("the test of `/{}` failed", path.join("/")));
            (wanted == found).then_some(()).ok_or_else(differs)
        }
        other => {
            let at = operation.get("op").map_or(operation.place, |node| node.place);
            Err(Fault::new(at, format!("there is no operation `{other}`")))
        }
    }
}

/// The unescaped names of a pointer.
fn pointer(text: &str, operation: &Node, field: &str) -> Result<Vec<String>, Fault> {
    if text.starts_with('/') {
        return Ok(unescaped(text));
    }
    let place = operation.get(field).map_or(operation.place, |node| node.place);
    Err(Fault::new(place, format!("`{field}` must be a JSON pointer, such as `/spec/schedule`")))
}

fn at<'n>(node: &'n mut Node, path: &[String]) -> Option<&'n mut Node> {
    path.iter().try_fold(node, |node, name| match &mut node.content {
        Content::List(items) => index(name).and_then(|index| items.get_mut(index)),
        Content::Map(fields) => {
            fields.iter_mut().find(|field| field.key == *name).map(|field| &mut field.value)
        }
        Content::Scalar(_) | Content::Empty => None,
    })
}

fn add(object: &mut Node, path: &[String], value: Node) -> Option<()> {
    let (last, above) = path.split_last()?;
    let parent = at(object, above)?;
    match &mut parent.content {
        Content::List(items) if last == "-" => items.push(value),
        Content::List(items) => {
            let index = index(last).filter(|index| *index <= items.len())?;
            items.insert(index, value);
        }
        Content::Map(_) => parent.set(last, value),
        Content::Scalar(_) | Content::Empty => return None,
    }
    Some(())
}

fn remove(object: &mut Node, path: &[String]) -> Option<Node> {
    let (last, above) = path.split_last()?;
    let parent = at(object, above)?;
    match &mut parent.content {
        Content::List(items) => {
            let index = index(last).filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        Content::Map(_) => parent.remove(last),
        Content::Scalar(_) | Content::Empty => None,
    }
}

/// As in kustomize, a field that is missing is added; an element of a list must be there.
fn replace(object: &mut Node, path: &[String], value: Node) -> Option<()> {
    let (last, above) = path.split_last()?;
    let parent = at(object, above)?;
    match &mut parent.content {
        Content::List(items) => *index(last).and_then(|index| items.get_mut(index))? = value,
        Content::Map(_) => parent.set(last, value),
        Content::Scalar(_) | Content::Empty => return None,
    }
    Some(())
}

/// A position in a list: digits, no zero before others.
fn index(name: &str) -> Option<usize> {
    let digits = !name.is_empty() && name.chars().all(|c| c.is_ascii_digit());
    (digits && (name == "0" || !name.starts_with('0'))).then(|| name.parse().ok()).flatten()
}
