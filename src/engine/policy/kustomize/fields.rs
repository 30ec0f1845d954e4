//! Walks to a field of an object, through lists, and makes it where that is asked for.
//!
//! In: `Node`, a path · Out: the changed `Node` · Touches: nothing

use crate::engine::policy::node::{Content, Fault, Node, Place};

/// A path to a field, and what is done on the way.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// Names between `/`; a `/` in a name is written `\/`. `[]` behind a name: nothing is made for it.
    pub path: &'a str,
    /// What is made at its end where nothing is.
    pub make: Make,
    /// Where the field was asked for.
    pub place: Place,
}

/// What is made where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// Nothing.
    Nothing,
    /// A mapping.
    Map,
    /// A text.
    Text,
}

/// What happens to a field.
pub type Change<'a> = &'a mut dyn FnMut(&mut Node) -> Result<(), Fault>;

/// Changes the field at the end of the way, in every element of the lists on it.
///
/// # Errors
/// A plain value in the middle of the way, and what the change says.
pub fn visit(node: &mut Node, way: Way<'_>, change: Change<'_>) -> Result<(), Fault> {
    let names = split(way.path, '/');
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    walk(node, &names, way, change)
}

fn walk(node: &mut Node, names: &[&str], way: Way<'_>, change: Change<'_>) -> Result<(), Fault> {
    let Some((name, rest)) = names.split_first() else { return change(node) };
    if node.is_null() {
        return Ok(());
    }
    match &mut node.content {
        Content::List(items) => items.iter_mut().try_for_each(|item| walk(item, names, way, change)),
        Content::Map(_) => enter(node, (name, rest), way, change),
        Content::Scalar(_) | Content::Empty => {
            let message = format!("`{}` leads through a plain value here", way.path.replace('/', "."));
            Err(Fault::new(node.place, message))
        }
    }
}

fn enter(
    node: &mut Node,
    (name, rest): (&str, &[&str]),
    way: Way<'_>,
    change: Change<'_>,
) -> Result<(), Fault> {
    let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
    let made = match way.make {
        Make::Nothing => None,
        _ if is_list => None,
        Make::Text if rest.is_empty() => Some(Content::Scalar(String::new().into())),
        Make::Map | Make::Text => Some(Content::Map(Vec::new())),
    };
    let instead = if is_list { Some(Content::List(Vec::new())) } else { made.clone() };
    match (node.get_mut(name), made, instead) {
        (Some(field), _, Some(instead)) if field.is_null() => field.content = instead,
        (None, Some(made), _) => node.set(name, Node { place: way.place, content: made }),
        (None, None, _) => return Ok(()),
        (Some(_), _, _) => {}
    }
    node.get_mut(name).map_or(Ok(()), |field| walk(field, rest, way, change))
}

/// The names of a path; a separator behind a backslash belongs to the name.
pub fn split(path: &str, separator: char) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut parts = path.split(separator);
    let mut first = parts.next().unwrap_or_default();
    if first.is_empty() && path.len() > 1 {
        first = parts.next().unwrap_or_default();
    }
    names.push(first.to_owned());
    for part in parts {
        match names.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(separator);
                last.push_str(part);
            }
            _ => names.push(part.to_owned()),
        }
    }
    names
}
