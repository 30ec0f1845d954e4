//! Reads the text of a file into documents that know the line and column of each of their fields.
//!
//! In: YAML text · Out: `Node` trees · Touches: nothing

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::domain::object::{Json, JsonMap};
use crate::engine::yaml;

/// Where something stands in a file. Both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    place: Place,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Scalar(Json),
    List(Vec<Node>),
    Map(Vec<(String, Place, Node)>),
}

/// Reads every document of a text; empty ones are left out.
///
/// Takes what [`yaml::reading`] takes, but less of it: what aliases repeat is bounded, because a policy needs none.
pub fn read(text: &str) -> Result<Vec<Node>, yaml::Error> {
    yaml::with_stack(text, |text| {
        serde_saphyr::from_multiple_with_options(text, reading())
            .map_err(|error| plain(yaml::Error::from(&error)))
    })
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

impl Node {
    /// Where the value begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The tree without places.
    pub fn to_json(&self) -> Json {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(fields) => {
                let fields = fields.iter().map(|(key, _, value)| (key.clone(), value.to_json()));
                Json::Object(fields.collect::<JsonMap>())
            }
        }
    }

    /// The text at a top-level field, if there is one.
    pub fn text(&self, field: &str) -> Option<&str> {
        match &self.field(field)?.1.content {
            Content::Scalar(value) => value.as_str(),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// Where the value at a JSON pointer stands; where there is none, the nearest one above it.
    pub fn value_at(&self, pointer: &str) -> Place {
        self.descend(pointer).0
    }

    /// Where the key of the field at a JSON pointer stands; for list elements, the value.
    pub fn key_at(&self, pointer: &str) -> Place {
        self.descend(pointer).1
    }

    fn descend(&self, pointer: &str) -> (Place, Place) {
        let (mut node, mut key_place) = (self, self.place);
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let next = match &node.content {
                Content::Scalar(_) => None,
                Content::List(items) => {
                    segment.parse::<usize>().ok().and_then(|i| items.get(i)).map(|item| (item.place, item))
                }
                Content::Map(_) => node.field(&segment),
            };
            let Some((place, value)) = next else { break };
            (node, key_place) = (value, place);
        }
        (node.place, key_place)
    }

    fn field(&self, name: &str) -> Option<(Place, &Node)> {
        let Content::Map(fields) = &self.content else { return None };
        fields.iter().find(|(key, _, _)| key == name).map(|(_, place, value)| (*place, value))
    }
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
            fields.push((key.value, key.referenced.into(), access.next_value()?));
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
        let places: Vec<_> = nodes.iter().map(|node| at(node.place())).collect();
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
