//! A document that knows where each of its fields was written, also once files were merged into it.
//!
//! In: values and places · Out: `Node` trees · Touches: nothing

use crate::domain::object::{Json, JsonMap};

/// Where something stands. Line and column count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which file, by its position among all that are read together.
    pub file: usize,
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// The value.
    pub content: Content,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A text, a number, true, false or null.
    Scalar(Json),
    /// A null that is not written: nothing stands where a value could.
    Empty,
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Field>),
}

/// A field of a mapping.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// A value that somebody asked for at a place.
    pub fn scalar(value: impl Into<Json>, place: Place) -> Self {
        Self { place, content: Content::Scalar(value.into()) }
    }

    /// An empty mapping.
    pub fn map(place: Place) -> Self {
        Self { place, content: Content::Map(Vec::new()) }
    }

    /// A whole tree that somebody asked for at a place.
    pub fn of(tree: &Json, place: Place) -> Self {
        let content = match tree {
            Json::Array(items) => Content::List(items.iter().map(|item| Self::of(item, place)).collect()),
            Json::Object(fields) => {
                let field = |(key, value): (&String, &Json)| Field {
                    key: key.clone(),
                    place,
                    value: Self::of(value, place),
                };
                Content::Map(fields.iter().map(field).collect())
            }
            scalar => Content::Scalar(scalar.clone()),
        };
        Self { place, content }
    }

    /// The tree without places.
    pub fn to_json(&self) -> Json {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Empty => Json::Null,
            Content::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(fields) => {
                let fields = fields.iter().map(|field| (field.key.clone(), field.value.to_json()));
                Json::Object(fields.collect::<JsonMap>())
            }
        }
    }

    /// Another tree at the places of this one; what this one does not have stands where its parent does.
    #[must_use]
    pub fn filled(&self, tree: &Json) -> Self {
        let content = match (tree, &self.content) {
            (Json::Array(items), Content::List(nodes)) => {
                let at = |(index, item): (usize, &Json)| {
                    nodes.get(index).map_or_else(|| Self::of(item, self.place), |node| node.filled(item))
                };
                Content::List(items.iter().enumerate().map(at).collect())
            }
            (Json::Object(fields), Content::Map(_)) => {
                let field = |(key, value): (&String, &Json)| match self.field(key) {
                    Some(old) => Field { value: old.value.filled(value), ..old.clone() },
                    None => Field { key: key.clone(), place: self.place, value: Self::of(value, self.place) },
                };
                Content::Map(fields.iter().map(field).collect())
            }
            _ => return Self::of(tree, self.place),
        };
        Self { place: self.place, content }
    }

    /// Changes the place of every value and every field.
    pub fn relocate(&mut self, change: &dyn Fn(&mut Place)) {
        change(&mut self.place);
        match &mut self.content {
            Content::Scalar(_) | Content::Empty => {}
            Content::List(items) => items.iter_mut().for_each(|item| item.relocate(change)),
            Content::Map(fields) => {
                for field in fields {
                    change(&mut field.place);
                    field.value.relocate(change);
                }
            }
        }
    }

    /// The text at a top-level field, if there is one.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_str()
    }

    /// The value as a text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(value) => value.as_str(),
            Content::Empty | Content::List(_) | Content::Map(_) => None,
        }
    }

    /// A plain value as the text it is written with; `None` for lists and mappings.
    pub fn plain(&self) -> Option<String> {
        match &self.content {
            Content::Scalar(Json::String(text)) => Some(text.clone()),
            Content::Scalar(value) => Some(value.to_string()),
            Content::Empty => Some("null".into()),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Json::Null) | Content::Empty)
    }

    /// The fields of a mapping; none of anything else.
    pub fn fields(&self) -> &[Field] {
        match &self.content {
            Content::Map(fields) => fields,
            Content::Scalar(_) | Content::Empty | Content::List(_) => &[],
        }
    }

    /// The elements of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            Content::Scalar(_) | Content::Empty | Content::Map(_) => &[],
        }
    }

    /// A field with its name's place.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.key == key)
    }

    /// The value of a field.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.field(key).map(|field| &field.value)
    }

    /// The value at the end of a path of fields.
    pub fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The value of a field, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Content::Map(fields) = &mut self.content else { return None };
        fields.iter_mut().find(|field| field.key == key).map(|field| &mut field.value)
    }

    /// Gives a field another value; a field that is not there comes last. Only for mappings; does nothing else.
    pub fn set(&mut self, key: &str, value: Node) {
        let Content::Map(fields) = &mut self.content else { return };
        let place = value.place;
        match fields.iter_mut().find(|field| field.key == key) {
            Some(field) => (field.place, field.value) = (place, value),
            None => fields.push(Field { key: key.to_owned(), place, value }),
        }
    }

    /// Takes a field away.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let Content::Map(fields) = &mut self.content else { return None };
        let at = fields.iter().position(|field| field.key == key)?;
        Some(fields.remove(at).value)
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
                Content::Scalar(_) | Content::Empty => None,
                Content::List(items) => {
                    segment.parse::<usize>().ok().and_then(|i| items.get(i)).map(|item| (item.place, item))
                }
                Content::Map(_) => node.field(&segment).map(|field| (field.place, &field.value)),
            };
            let Some((place, value)) = next else { break };
            (node, key_place) = (value, place);
        }
        (node.place, key_place)
    }
}

/// What is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// One lower-case clause.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
}

impl Fault {
    /// Says what is wrong at a place.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
