//! Copies values from one object into others, as `replacements` say.
//!
//! In: `Overlay`, `Shelf`, `Pile` · Out: the changed `Pile` · Touches: nothing

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::object::Json;
use crate::domain::schema::schema_of_type;
use crate::engine::policy::check::{Part, Shape};
use crate::engine::policy::node::{Content, Fault, Node, Place};
use crate::engine::yaml;

use super::fields::split;
use super::file::Overlay;
use super::object::{Object, Pile};
use super::path::resolve;
use super::says::{Cut, Replacement, Source, Target};
use super::select::Chosen;
use super::shelf::{Shelf, text};

/// Carries out all replacements in their order.
pub fn replacements(overlay: &Overlay, shelf: &dyn Shelf, pile: &mut Pile) -> Result<(), Fault> {
    for (index, replacement) in overlay.says.replacements.iter().enumerate() {
        let pointer = format!("/replacements/{index}");
        let place = overlay.at(&pointer);
        if replacement.path.is_empty() {
            let at = |inner: &str| overlay.at(&format!("{pointer}{inner}"));
            replace(replacement, &at, pile)?;
            continue;
        }
        if replacement.source.is_some() || !replacement.targets.is_empty() {
            return Err(Fault::new(place, "a replacement has `path`, or `source` and `targets`"));
        }
        let path = resolve(&overlay.folder, &replacement.path, place)?;
        text(shelf, &path, place)?;
        for document in shelf.documents(&path)? {
            let single = std::slice::from_ref(&document);
            for node in if matches!(document.content, Content::List(_)) { document.items() } else { single } {
                replace(&read(node)?, &|inner: &str| node.value_at(inner), pile)?;
            }
        }
    }
    Ok(())
}

static SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::new(schema_of_type::<Replacement>()));

/// A replacement from a file of its own.
fn read(node: &Node) -> Result<Replacement, Fault> {
    let tree = node.to_json();
    if let Some(misfit) = SHAPE.misfits(&tree).into_iter().find(|misfit| misfit.part != Part::Said) {
        let place = node.value_at(&misfit.error.pointer);
        return Err(Fault { place, message: misfit.error.message, help: misfit.error.help });
    }
    serde_json::from_value(tree).map_err(|error| Fault::new(node.place, error.to_string()))
}

fn replace(replacement: &Replacement, at: &dyn Fn(&str) -> Place, pile: &mut Pile) -> Result<(), Fault> {
    let value = match (&replacement.source, &replacement.source_value) {
        (Some(source), None) => source_of(source, at("/source"), pile)?,
        (None, Some(text)) => Node::scalar(text.clone(), at("/sourceValue")),
        _ => return Err(Fault::new(at(""), "a replacement needs exactly one of `source` and `sourceValue`")),
    };
    if replacement.targets.is_empty() {
        return Err(Fault::new(at(""), "a replacement needs `targets`"));
    }
    for (index, target) in replacement.targets.iter().enumerate() {
        put(target, &value, at(&format!("/targets/{index}")), pile)?;
    }
    Ok(())
}

const NAME: &str = "metadata.name";

/// The value of the only object that a source means.
fn source_of(source: &Source, place: Place, pile: &Pile) -> Result<Node, Fault> {
    let mut found = pile.objects.iter().filter(|object| means(source, object));
    let object = match (found.next(), found.next()) {
        (Some(object), None) => object,
        (Some(_), Some(_)) => return Err(Fault::new(place, "more than one object is this source")),
        (None, _) => return Err(Fault::new(place, "no object is this source")),
    };
    let path = if source.field_path.is_empty() { NAME } else { &source.field_path };
    let mut value = None;
    let mut copy = object.node.clone();
    let way = Way { names: &names(path), path, create: None, place };
    walk(&mut copy, way, &mut |node| {
        value.get_or_insert_with(|| node.clone());
        Ok(())
    })?;
    let value = value.filter(|node| !node.is_null());
    let value = value.ok_or_else(|| Fault::new(place, format!("the source has no field `{path}`")))?;
    let Cut { delimiter, index, .. } = &source.options;
    if delimiter.is_empty() {
        return Ok(value);
    }
    let text =
        value.plain().ok_or_else(|| Fault::new(place, format!("`{path}` is no text that could be cut")))?;
    let part = usize::try_from(*index).ok().and_then(|index| text.split(delimiter.as_str()).nth(index));
    let part = part.ok_or_else(|| Fault::new(place, format!("`{path}` has no part {index}")))?;
    Ok(Node::scalar(part, value.place))
}

fn means(source: &Source, object: &Object) -> bool {
    let Source { group, version, kind, name, namespace, .. } = source;
    let fits = |wanted: &String, found: &str| wanted.is_empty() || wanted == found;
    let here = if object.namespace().is_empty() { "default".into() } else { object.namespace() };
    let ids = object.past().into_iter().map(|id| (id.gvk, id.name, id.namespace));
    ids.chain([(object.gvk(), object.name(), here)]).any(|(gvk, found, place)| {
        fits(group, &gvk.group)
            && fits(version, &gvk.version)
            && fits(kind, &gvk.kind)
            && fits(name, &found)
            && fits(namespace, &place)
    })
}

fn put(target: &Target, value: &Node, place: Place, pile: &mut Pile) -> Result<(), Fault> {
    let select = target.select.as_ref().ok_or_else(|| Fault::new(place, "a target needs `select`"))?;
    let chosen = Chosen::read(select, place)?;
    let rejected: Vec<Chosen> =
        target.reject.iter().map(|r| Chosen::read(r, place)).collect::<Result<_, _>>()?;
    let name = [NAME.to_owned()];
    let paths = if target.field_paths.is_empty() { &name[..] } else { &target.field_paths };
    for object in pile.objects.iter_mut().filter(|object| is_target(object, &chosen, &rejected)) {
        for path in paths {
            let mut changed = 0_usize;
            let create = target.options.create.then_some(value);
            let way = Way { names: &names(path), path, create, place };
            walk(&mut object.node, way, &mut |node| {
                changed += 1;
                write(node, value, &target.options)
            })?;
            if changed == 0 {
                let message = format!("{} has no field `{path}`", object.id().shown());
                return Err(
                    Fault::new(place, message).help("add it to the object, or say `options: {create: true}`")
                );
            }
        }
    }
    pile.settle()
}

fn is_target(object: &Object, chosen: &Chosen, rejected: &[Chosen]) -> bool {
    let mut ids: Vec<_> = object.past().into_iter().map(|id| (id.gvk, id.name, id.namespace)).collect();
    ids.insert(0, (object.gvk(), object.name(), object.namespace()));
    let any = |chosen: &Chosen| ids.iter().any(|(gvk, name, namespace)| chosen.means(gvk, name, namespace));
    let out = |no: &Chosen| no.asks_for_marks() && no.marked(object) || no.asks_for_names() && any(no);
    chosen.marked(object) && any(chosen) && !rejected.iter().any(out)
}

/// Writes a value into a field; a plain field keeps its type.
fn write(node: &mut Node, value: &Node, options: &Cut) -> Result<(), Fault> {
    let Content::Scalar(old) = &node.content else {
        *node = value.clone();
        return Ok(());
    };
    let kept = |what: &str| Fault::new(value.place, format!("{what} cannot take the place of a plain value"));
    let text = value.plain().ok_or_else(|| kept("a list or mapping"))?;
    let text = if options.delimiter.is_empty() { text } else { spliced(node, &text, options)? };
    let typed = match old {
        Json::String(_) => Json::String(text),
        _ => yaml::parse(&text)
            .ok()
            .filter(|new| kind(new) == kind(old))
            .ok_or_else(|| kept(&format!("`{text}`")))?,
    };
    *node = Node { place: value.place, content: Content::Scalar(typed) };
    Ok(())
}

fn kind(value: &Json) -> u8 {
    match value {
        Json::Null => 0,
        Json::Bool(_) => 1,
        Json::Number(_) => 2,
        Json::String(_) | Json::Array(_) | Json::Object(_) => 3,
    }
}

/// The field's text with one of its parts replaced; before the first and behind the last one, with a part more.
fn spliced(node: &Node, text: &str, options: &Cut) -> Result<String, Fault> {
    let old = node.plain().ok_or_else(|| Fault::new(node.place, "only a text can be cut"))?;
    let mut parts: Vec<&str> = old.split(options.delimiter.as_str()).collect();
    match usize::try_from(options.index) {
        Err(_) => parts.insert(0, text),
        Ok(index) => match parts.get_mut(index) {
            Some(part) => *part = text,
            None => parts.push(text),
        },
    }
    Ok(parts.join(&options.delimiter))
}

/// A path of field names, positions, `*` and `[name=value]`.
#[derive(Clone, Copy)]
struct Way<'a> {
    names: &'a [String],
    path: &'a str,
    /// The value for which missing fields are made.
    create: Option<&'a Node>,
    place: Place,
}

type Change<'a> = &'a mut dyn FnMut(&mut Node) -> Result<(), Fault>;

/// The names of a path with dots between; dots in brackets belong to the name.
fn names(path: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut open: Option<String> = None;
    for part in split(path, '.') {
        let whole = match open.take() {
            Some(before) => format!("{before}.{part}"),
            None => part,
        };
        if whole.starts_with('[') && !whole.ends_with(']') {
            open = Some(whole);
        } else {
            names.push(whole);
        }
    }
    names.extend(open);
    let plain = |name: String| {
        let is_plain = name.contains('=') || !name.contains('.');
        if is_plain { name } else { name.trim_matches(['[', ']']).to_owned() }
    };
    names.into_iter().map(plain).collect()
}

fn walk(node: &mut Node, way: Way<'_>, change: Change<'_>) -> Result<(), Fault> {
    let Some((name, rest)) = way.names.split_first() else { return change(node) };
    let way = Way { names: rest, ..way };
    let wrong = |what: &str| Fault::new(way.place, format!("`{}` leads to no {what} at `{name}`", way.path));
    if let Some(inner) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return elements(node, inner, way, change);
    }
    let is_position = name.chars().all(|c| c.is_ascii_digit());
    match &mut node.content {
        Content::List(items) if name == "*" => items.iter_mut().try_for_each(|item| walk(item, way, change)),
        Content::List(items) if is_position => {
            let index: usize = name.parse().map_err(|_| wrong("element"))?;
            if let (true, Some(value)) = (index == items.len(), way.create) {
                items.push(made(way, value));
            }
            walk(items.get_mut(index).ok_or_else(|| wrong("element"))?, way, change)
        }
        Content::Map(_) => {
            if let (None, Some(value)) = (node.get(name), way.create) {
                node.set(name, made(way, value));
            }
            node.get_mut(name).map_or(Ok(()), |field| walk(field, way, change))
        }
        Content::Scalar(Json::String(_)) => {
            let help = "kustomize would change the text inside; write the whole text with a patch";
            Err(wrong("field").help(help))
        }
        Content::List(_) => Err(wrong("field")),
        Content::Scalar(_) | Content::Empty => Ok(()),
    }
}

/// Elements of a list by the value of a field, or by their own.
fn elements(node: &mut Node, inner: &str, way: Way<'_>, change: Change<'_>) -> Result<(), Fault> {
    let wrong = || Fault::new(way.place, format!("`{}` has a wrong condition `[{inner}]`", way.path));
    let (field, wanted) = inner.split_once('=').ok_or_else(wrong)?;
    let wanted = wanted.trim_matches(['"', '\'']);
    let regex = Regex::new(wanted).map_err(|_| wrong())?;
    let Content::List(items) = &mut node.content else {
        return if node.is_null() { Ok(()) } else { Err(wrong()) };
    };
    let text =
        |item: &Node| if field.is_empty() { item.plain() } else { item.get(field).and_then(Node::plain) };
    let fits = |item: &Node| text(item).is_some_and(|text| regex.is_match(&text));
    if let (true, Some(value)) = (way.create.is_some() && !items.iter().any(fits), way.create) {
        let mut element = Node::scalar(wanted, value.place);
        if !field.is_empty() {
            element = Node::map(value.place);
            element.set(field, Node::scalar(wanted, value.place));
        }
        items.push(element);
    }
    items.iter_mut().filter(|item| fits(item)).try_for_each(|item| walk(item, way, change))
}

/// What is made for the next name of a path.
fn made(way: Way<'_>, value: &Node) -> Node {
    let content = match way.names.first() {
        None => match &value.content {
            Content::Scalar(_) | Content::Empty => Content::Scalar(String::new().into()),
            Content::List(_) => Content::List(Vec::new()),
            Content::Map(_) => Content::Map(Vec::new()),
        },
        Some(next) if next.starts_with('[') || next.chars().all(|c| c.is_ascii_digit()) => {
            Content::List(Vec::new())
        }
        Some(_) => Content::Map(Vec::new()),
    };
    Node { place: value.place, content }
}
