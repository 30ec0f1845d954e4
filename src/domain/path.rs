//! Where in an object: a JSON pointer (RFC 6901) whose segments may hold the glob `*`.
//!
//! In: text such as `/spec/ports/*/nodePort` · Out: `FieldPath` · Touches: nothing

use std::fmt;

use super::object::{Json, JsonMap};

/// Fields of an object, by pointer. `*` stands for any characters within one segment, a lone `*` also for list elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Name(String),
    Glob(Vec<String>),
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// No leading slash, or nothing behind it.
    #[error("a field path is a JSON pointer such as /spec/replicas, not {0:?}")]
    NotAPointer(String),
    /// A tilde that is neither `~0` nor `~1`.
    #[error("in a field path ~ is written ~0 and / is written ~1: {0:?}")]
    BadEscape(String),
    /// The path would take away what makes an object.
    #[error("the field path {0:?} would remove the identity of the object")]
    Identity(String),
}

impl FieldPath {
    /// Reads a pointer. A literal `*` in a name cannot be written.
    ///
    /// # Errors
    /// [`BadPath`]; also for paths that reach apiVersion, kind, the metadata as a whole, name or namespace.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let rest = text.strip_prefix('/').filter(|r| !r.is_empty());
        let rest = rest.ok_or_else(|| BadPath::NotAPointer(text.into()))?;
        let segments = rest.split('/').map(|s| segment(s, text)).collect::<Result<Vec<_>, _>>()?;
        let path = Self { segments };
        let identity = ["/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace"];
        if identity.iter().any(|taken| path.matches(taken)) {
            return Err(BadPath::Identity(text.into()));
        }
        Ok(path)
    }

    /// Removes the fields and says how many there were. A map of labels or annotations that becomes empty goes as well.
    pub fn remove(&self, value: &mut Json) -> usize {
        remove(&self.segments, value)
    }

    /// Sets the fields where their parent exists, and says how many were set.
    ///
    /// A segment with a glob reaches only what is there; a plain last segment is added to a mapping that lacks it.
    pub fn set(&self, value: &mut Json, to: &Json) -> usize {
        set(&self.segments, value, to)
    }

    /// As [`set`](Self::set), but leaves alone what is there.
    pub fn fill(&self, value: &mut Json, with: &Json) {
        let Some((Segment::Name(name), parents)) = self.segments.split_last() else { return };
        each(parents, value, &mut |parent| {
            if let Some(map) = parent.as_object_mut() {
                map.entry(name).or_insert_with(|| with.clone());
            }
        });
    }

    /// Gives the fields another name, where there is none of that name yet.
    pub fn rename(&self, value: &mut Json, to: &str) {
        let Some((Segment::Name(name), parents)) = self.segments.split_last() else { return };
        each(parents, value, &mut |parent| {
            if let Some(map) = parent.as_object_mut().filter(|map| !map.contains_key(to))
                && let Some(field) = map.shift_remove(name)
            {
                map.insert(to.to_owned(), field);
            }
        });
    }

    /// Hands every field at this path to a function.
    pub fn each(&self, value: &mut Json, then: &mut dyn FnMut(&mut Json)) {
        each(&self.segments, value, then);
    }

    /// Shows every field at this path to a function: its pointer, the mapping or list it is in, and its value.
    pub fn find<'v>(&self, value: &'v Json, then: &mut dyn FnMut(&str, &'v Json, &'v Json)) {
        find(&self.segments, "", value, then);
    }

    /// Whether anything is at this path.
    pub fn exists(&self, value: &Json) -> bool {
        exists(&self.segments, value)
    }

    /// Whether the pointer names one of these fields.
    pub fn matches(&self, pointer: &str) -> bool {
        let names = unescaped(pointer);
        names.len() == self.segments.len() && self.starts(&names)
    }

    /// Whether the pointer names one of these fields or something inside one.
    pub fn covers(&self, pointer: &str) -> bool {
        let names = unescaped(pointer);
        names.len() >= self.segments.len() && self.starts(&names)
    }

    fn starts(&self, names: &[String]) -> bool {
        self.segments.iter().zip(names).all(|(segment, name)| segment.takes(name))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Name(name) => write!(f, "/{}", escape(name)),
            Segment::Glob(parts) => {
                write!(f, "/{}", parts.iter().map(|p| escape(p)).collect::<Vec<_>>().join("*"))
            }
        })
    }
}

/// Writes a name as a segment of a JSON pointer.
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl Segment {
    fn takes(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Glob(parts) => glob(parts, name),
        }
    }
}

/// Whether the text is the parts with anything between them.
fn glob(parts: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        let Some(at) = rest.find(part.as_str()) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last.as_str())
}

fn segment(raw: &str, path: &str) -> Result<Segment, BadPath> {
    let well_escaped = raw.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !well_escaped {
        return Err(BadPath::BadEscape(path.into()));
    }
    let name = unescape(raw);
    Ok(if name.contains('*') {
        Segment::Glob(name.split('*').map(Into::into).collect())
    } else {
        Segment::Name(name)
    })
}

fn unescape(raw: &str) -> String {
    raw.replace("~1", "/").replace("~0", "~")
}

/// The segments of a pointer, as the names they stand for.
pub fn unescaped(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(unescape).collect()
}

fn remove(path: &[Segment], value: &mut Json) -> usize {
    let Some((segment, rest)) = path.split_first() else { return 0 };
    if rest.is_empty() {
        return remove_here(segment, value);
    }
    let mut removed = 0;
    for_each(segment, value, &mut |child| removed += remove(rest, child));
    if removed > 0
        && let Segment::Name(name) = segment
        && (name == "labels" || name == "annotations")
        && let Some(map) = value.as_object_mut()
        && map.get(name).and_then(Json::as_object).is_some_and(JsonMap::is_empty)
    {
        map.shift_remove(name);
    }
    removed
}

fn remove_here(segment: &Segment, value: &mut Json) -> usize {
    match (value, segment) {
        (Json::Object(map), Segment::Name(name)) => usize::from(map.shift_remove(name).is_some()),
        (Json::Object(map), Segment::Glob(parts)) => {
            let before = map.len();
            map.retain(|key, _| !glob(parts, key));
            before - map.len()
        }
        (Json::Array(list), _) => {
            let before = list.len();
            let mut index = 0;
            list.retain(|_| {
                index += 1;
                !segment.takes(&(index - 1).to_string())
            });
            before - list.len()
        }
        _ => 0,
    }
}

fn set(path: &[Segment], value: &mut Json, to: &Json) -> usize {
    let Some((segment, rest)) = path.split_first() else { return 0 };
    let mut done = 0;
    if !rest.is_empty() {
        for_each(segment, value, &mut |child| done += set(rest, child, to));
        return done;
    }
    if let (Json::Object(map), Segment::Name(name)) = (&mut *value, segment) {
        map.insert(name.clone(), to.clone());
        return 1;
    }
    for_each(segment, value, &mut |child| {
        *child = to.clone();
        done += 1;
    });
    done
}

fn each(path: &[Segment], value: &mut Json, then: &mut dyn FnMut(&mut Json)) {
    match path.split_first() {
        None => then(value),
        Some((segment, rest)) => for_each(segment, value, &mut |child| each(rest, child, then)),
    }
}

fn find<'v>(path: &[Segment], place: &str, value: &'v Json, then: &mut dyn FnMut(&str, &'v Json, &'v Json)) {
    let Some((segment, rest)) = path.split_first() else { return };
    let mut child = |name: &str, child: &'v Json| {
        let place = format!("{place}/{}", escape(name));
        if rest.is_empty() { then(&place, value, child) } else { find(rest, &place, child, then) }
    };
    match (value, segment) {
        (Json::Object(map), Segment::Name(name)) => {
            if let Some(value) = map.get(name) {
                child(name, value);
            }
        }
        (Json::Object(map), Segment::Glob(parts)) => {
            map.iter().filter(|(key, _)| glob(parts, key)).for_each(|(key, value)| child(key, value));
        }
        (Json::Array(list), _) => {
            let numbered = list.iter().enumerate().map(|(index, value)| (index.to_string(), value));
            numbered
                .filter(|(index, _)| segment.takes(index))
                .for_each(|(index, value)| child(&index, value));
        }
        _ => {}
    }
}

fn exists(path: &[Segment], value: &Json) -> bool {
    let Some((segment, rest)) = path.split_first() else { return true };
    match (value, segment) {
        (Json::Object(map), Segment::Name(name)) => map.get(name).is_some_and(|child| exists(rest, child)),
        (Json::Object(map), Segment::Glob(parts)) => {
            map.iter().any(|(key, child)| glob(parts, key) && exists(rest, child))
        }
        (Json::Array(list), _) => {
            list.iter().enumerate().any(|(i, child)| segment.takes(&i.to_string()) && exists(rest, child))
        }
        _ => false,
    }
}

fn for_each(segment: &Segment, value: &mut Json, then: &mut dyn FnMut(&mut Json)) {
    match (value, segment) {
        (Json::Object(map), Segment::Name(name)) => {
            if let Some(child) = map.get_mut(name) {
                then(child);
            }
        }
        (Json::Object(map), Segment::Glob(parts)) => {
            map.iter_mut().filter(|(key, _)| glob(parts, key)).for_each(|(_, child)| then(child));
        }
        (Json::Array(list), _) => {
            for (index, child) in list.iter_mut().enumerate() {
                if segment.takes(&index.to_string()) {
                    then(child);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
