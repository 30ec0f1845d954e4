//! Reads the text of a file into documents that know the line and column of each of their fields.
//!
//! In: YAML text · Out: `Node` trees · Touches: nothing

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::node::{Content, Field, Node, Place};
use crate::domain::object::Json;
use crate::engine::yaml;

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { file: 0, line: location.line(), column: location.column() }
    }
}

/// Reads every document of a text; empty ones are left out.
///
/// Takes what [`yaml::reading`] takes, but less of it: what aliases repeat is bounded, because a policy needs none.
pub fn read(text: &str) -> Result<Vec<Node>, yaml::Error> {
    let mut nodes: Vec<Node> = yaml::with_stack(text, |text| {
        serde_saphyr::from_multiple_with_options(text, reading())
            .map_err(|error| plain(yaml::Error::from(&error)))
    })?;
    let lines: Vec<&str> = text.lines().collect();
    for node in &mut nodes {
        tell_empty(node, &lines);
    }
    if let Some(last) = nodes.last_mut().filter(|_| !text.ends_with('\n')) {
        end_with_text(last, &lines);
    }
    Ok(nodes)
}

/// A block of lines that ends with the text has no line end of its own.
fn end_with_text(node: &mut Node, lines: &[&str]) {
    let place = node.place;
    let last = match &mut node.content {
        Content::List(items) => items.last_mut(),
        Content::Map(fields) => fields.last_mut().map(|field| &mut field.value),
        Content::Scalar(Json::String(text)) if text.ends_with('\n') && begins_block(place, lines) => {
            text.pop();
            None
        }
        Content::Scalar(_) | Content::Empty => None,
    };
    if let Some(last) = last {
        end_with_text(last, lines);
    }
}

/// Whether a value is a block: its place is that of its mark, or of its first line.
fn begins_block(place: Place, lines: &[&str]) -> bool {
    let line = usize::try_from(place.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let above = lines.iter().take(line).rev().find(|line| !line.trim().is_empty());
    let marked = |line: &str| {
        let last =
            line.split(" #").next().unwrap_or_default().split_whitespace().next_back().unwrap_or_default();
        last.starts_with(['|', '>']) && last[1..].chars().all(|c| "+-".contains(c) || c.is_ascii_digit())
    };
    rest_of_line(place, lines).starts_with(['|', '>']) || above.is_some_and(|line| marked(line))
}

/// What stands in a line from a place on.
fn rest_of_line<'t>(place: Place, lines: &[&'t str]) -> &'t str {
    let position = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
    let line = lines.get(position(place.line)).copied().unwrap_or_default();
    line.char_indices().nth(position(place.column)).map_or("", |(at, _)| &line[at..])
}

/// Tells nulls that are written from those that are not.
fn tell_empty(node: &mut Node, lines: &[&str]) {
    match &mut node.content {
        Content::Scalar(value) if value.is_null() => {
            let rest = rest_of_line(node.place, lines);
            if !rest.starts_with(['~', '*'])
                && !["null", "Null", "NULL"].iter().any(|null| rest.starts_with(null))
            {
                node.content = Content::Empty;
            }
        }
        Content::Scalar(_) | Content::Empty => {}
        Content::List(items) => items.iter_mut().for_each(|item| tell_empty(item, lines)),
        Content::Map(fields) => fields.iter_mut().for_each(|field| tell_empty(&mut field.value, lines)),
    }
}

fn reading() -> serde_saphyr::Options {
    let mut options = yaml::reading();
    options.alias_limits.max_total_replayed_events = 100_000;
    if let Some(budget) = &mut options.budget {
        budget.max_nodes = 1_000_000;
        budget.max_documents = 10_000;
    }
    options
}

/// The reader's message without what only programmers need.
fn plain(mut error: yaml::Error) -> yaml::Error {
    for (found, said) in [
        ("alias replay limit", "aliases repeat more than 100000 values"),
        ("recursion limit", "it nests too deep"),
        ("nesting", "it nests too deep"),
        ("budget", "it is larger than a policy repository can hold"),
    ] {
        if error.message.contains(found) {
            error.message = said.into();
        }
    }
    if let Some((clause, _)) = error.message.split_once(", set ") {
        error.message.truncate(clause.len());
    }
    error
}

/// Lines and columns before a text that stands in a file as a block: line by line behind one indentation, after a line.
///
/// `None` where it stands there in another form, such as in quotes.
pub fn before_block(file: &str, inside: &str, after: u64) -> Option<Place> {
    let (lines, wanted): (Vec<&str>, Vec<&str>) = (file.lines().collect(), inside.lines().collect());
    let skipped = wanted.iter().position(|line| !line.is_empty())?;
    let indent_at = |at: usize| {
        let indent = lines.get(at + skipped)?.strip_suffix(wanted[skipped])?;
        let same = |(i, line): (usize, &&str)| {
            let whole = lines.get(at + i).copied().unwrap_or_default();
            line.is_empty() && whole.trim().is_empty() || whole.strip_prefix(indent) == Some(line)
        };
        (indent.trim().is_empty() && wanted.iter().enumerate().all(same)).then_some(indent.chars().count())
    };
    let start = usize::try_from(after).ok()?;
    let (line, column) = (start..lines.len()).find_map(|at| Some((at, indent_at(at)?)))?;
    Some(Place { file: 0, line: line as u64, column: column as u64 })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { place: referenced.into(), content: value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Json::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Json::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let value = access.next_value()?;
            fields.push(Field { key: key.value, place: key.referenced.into(), value });
        }
        Ok(Content::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        read(text).unwrap().remove(0)
    }

    fn at(place: Place) -> String {
        format!("{}:{}", place.line, place.column)
    }

    #[test]
    fn every_field_knows_its_place() {
        let node = one("# head\na: 1\nb:\n  - x: 2\n    'y/z': [3, four]\n");
        assert_eq!(node.to_json().to_string(), r#"{"a":1,"b":[{"x":2,"y/z":[3,"four"]}]}"#);
        assert_eq!(at(node.value_at("/a")), "2:4");
        assert_eq!(at(node.key_at("/a")), "2:1");
        assert_eq!(at(node.value_at("/b/0/x")), "4:8");
        assert_eq!(at(node.key_at("/b/0/y~1z")), "5:5");
        assert_eq!(at(node.value_at("/b/0/y~1z/1")), "5:16");
    }

    #[test]
    fn what_is_not_there_has_the_place_of_what_is_above_it() {
        let node = one("a:\n  b: {}\n");
        assert_eq!(at(node.value_at("/a/b/c/d")), "2:6");
        assert_eq!(at(node.key_at("/a/b/c")), "2:3");
    }

    #[test]
    fn lines_count_through_all_documents_of_a_file() {
        let nodes = read("a: 1\n---\n# nothing\n---\nb: 2\n").unwrap();
        let places: Vec<_> = nodes.iter().map(|node| at(node.place)).collect();
        assert_eq!(places, ["1:1", "5:1"]);
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        let node = one("a: &x\n  deep: 1\nb: *x\n");
        assert_eq!(node.to_json().to_string(), r#"{"a":{"deep":1},"b":{"deep":1}}"#);
        assert_eq!(at(node.value_at("/b")), "3:4");
    }

    #[test]
    fn the_tree_is_the_one_that_yaml_reads() {
        for text in [
            "a: 0644\nb: 1e3\nc: yes\nd: ~\ne: '1'\n1: x\ntrue: y\nf: 18446744073709551615\ng: -1\nh: 1.5\n",
            "x: &a {p: 1}\ny:\n  <<: *a\n  q: 2\nz: |\n  one\n  two\nt: !!str 12\n",
            "[1, two, null]",
            "text",
        ] {
            assert_eq!(one(text).to_json(), yaml::parse(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn a_block_at_the_very_end_has_no_line_end() {
        let last = |text: &str| one(text).to_json()["a"].clone();
        assert_eq!(
            (last("a: |\n  x"), last("a: |\n  x\n"), last("a: \"x\\n\"")),
            ("x".into(), "x\n".into(), "x\n".into())
        );
    }

    #[test]
    fn a_null_that_is_not_written_is_told_from_one_that_is() {
        let node = one("a:\nb: null\nc: ~\n");
        let empty = |key: &str| matches!(node.get(key).unwrap().content, Content::Empty);
        assert_eq!((empty("a"), empty("b"), empty("c")), (true, false, false));
    }

    #[test]
    fn bombs_are_refused_and_deep_trees_do_not_end_the_program() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let aliases = vec![format!("*a{}", i - 1); 9].join(",");
            bomb = format!("{bomb}a{i}: &a{i} [{aliases}]\n");
        }
        assert!(read(&bomb).is_err());
        for depth in [150, 5_000] {
            let flow = "[".repeat(depth) + &"]".repeat(depth);
            let block: Vec<String> = (0..depth).map(|i| " ".repeat(i) + "a:\n").collect();
            assert_eq!(
                (read(&flow).is_ok(), read(&block.concat()).is_ok()),
                (depth < 200, depth < 200),
                "{depth}"
            );
        }
    }
}
