//! Which objects a patch or a replacement is for.
//!
//! In: `Selector`, `Object` · Out: whether it matches · Touches: nothing

use regex::Regex;

use crate::domain::object::Gvk;
use crate::engine::policy::node::{Fault, Place};

use super::object::{Id, Object};
use super::says::Selector;

/// A selector, read.
#[derive(Debug)]
pub struct Chosen {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Vec<Condition>,
    annotations: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    key: String,
    wants: Wants,
}

#[derive(Debug)]
enum Wants {
    There,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Chosen {
    /// Reads a selector that was written at a place.
    pub fn read(selector: &Selector, place: Place) -> Result<Self, Fault> {
        let Selector { group, version, kind, name, namespace, label_selector, annotation_selector } =
            selector;
        let regex = |text: &String| match text.as_str() {
            "" => Ok(None),
            text => Regex::new(&format!("^(?:{text})$"))
                .map(Some)
                .map_err(|_| Fault::new(place, format!("`{text}` is no regular expression"))),
        };
        let conditions = |text: &String| {
            let wrong = || Fault::new(place, format!("`{text}` is no selector, such as `a=b,c in (d,e),!f`"));
            conditions(text).ok_or_else(wrong)
        };
        Ok(Self {
            group: regex(group)?,
            version: regex(version)?,
            kind: regex(kind)?,
            name: regex(name)?,
            namespace: regex(namespace)?,
            labels: conditions(label_selector)?,
            annotations: conditions(annotation_selector)?,
        })
    }

    /// Whether a patch is for an object, by its first or present name.
    pub fn takes(&self, object: &Object) -> bool {
        let (now, first) = (object.id(), object.origin());
        let either = |regex: &Option<Regex>, field: &dyn Fn(&Id) -> &str| {
            fits(regex.as_ref(), field(&first)) || fits(regex.as_ref(), field(&now))
        };
        either(&self.namespace, &|id| &id.namespace)
            && either(&self.name, &|id| &id.name)
            && self.of_kind(&now.gvk)
            && self.marked(object)
    }

    /// Whether a replacement means this name of an object; its namespace is the one that is written.
    pub fn means(&self, gvk: &Gvk, name: &str, namespace: &str) -> bool {
        self.of_kind(gvk) && fits(self.name.as_ref(), name) && fits(self.namespace.as_ref(), namespace)
    }

    /// Whether labels and annotations fit.
    pub fn marked(&self, object: &Object) -> bool {
        let hold = |conditions: &[Condition], field: &str| {
            let marks = object.marks(field);
            let value = |key: &str| marks.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
            conditions.iter().all(|condition| condition.holds(value(&condition.key)))
        };
        hold(&self.labels, "labels") && hold(&self.annotations, "annotations")
    }

    /// Whether it names labels or annotations.
    pub fn asks_for_marks(&self) -> bool {
        !self.labels.is_empty() || !self.annotations.is_empty()
    }

    /// Whether it names a kind, a name or a namespace.
    pub fn asks_for_names(&self) -> bool {
        [&self.group, &self.version, &self.kind, &self.name, &self.namespace]
            .iter()
            .any(|regex| regex.is_some())
    }

    fn of_kind(&self, gvk: &Gvk) -> bool {
        fits(self.group.as_ref(), &gvk.group)
            && fits(self.version.as_ref(), &gvk.version)
            && fits(self.kind.as_ref(), &gvk.kind)
    }
}

fn fits(regex: Option<&Regex>, text: &str) -> bool {
    regex.is_none_or(|regex| regex.is_match(text))
}

impl Condition {
    fn holds(&self, value: Option<&str>) -> bool {
        let among = |values: &[String]| value.is_some_and(|value| values.iter().any(|v| v == value));
        match &self.wants {
            Wants::There => value.is_some(),
            Wants::Absent => value.is_none(),
            Wants::In(values) => among(values),
            Wants::NotIn(values) => !among(values),
        }
    }
}

/// Conditions with commas between; `None` for a text that is none.
fn conditions(text: &str) -> Option<Vec<Condition>> {
    let mut depth = 0_i32;
    let parts = text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty() || !text.trim().is_empty()).map(condition).collect()
}

fn condition(text: &str) -> Option<Condition> {
    let list = |values: &str| {
        let inner = values.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect::<Vec<_>>())
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    let (key, wants) = if let Some(key) = text.strip_prefix('!') {
        (key, Wants::Absent)
    } else if let Some((key, values)) = text.split_once(" notin ") {
        (key, Wants::NotIn(list(values)?))
    } else if let Some((key, values)) = text.split_once(" in ") {
        (key, Wants::In(list(values)?))
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Wants::NotIn(one(value)))
    } else if let Some((key, value)) = text.split_once('=') {
        (key, Wants::In(one(value.strip_prefix('=').unwrap_or(value))))
    } else {
        (text, Wants::There)
    };
    let key = key.trim();
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let values = match &wants {
        Wants::In(values) | Wants::NotIn(values) => values.as_slice(),
        Wants::There | Wants::Absent => &[],
    };
    let is_condition = !key.is_empty() && plain(key) && values.iter().all(|value| plain(value));
    is_condition.then(|| Condition { key: key.to_owned(), wants })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_kubectl_reads_them() {
        let holds = |text: &str, value: Option<&str>| {
            conditions(text).map(|all| all.iter().all(|condition| condition.holds(value)))
        };
        let b = Some("b");
        for text in ["a=b", "a==b", "a in (x, b)", "a != c", "a notin (c)", "a", "", "a=b,a in (b),a"] {
            assert_eq!(holds(text, b), Some(true), "{text}");
        }
        for text in ["!a", "a=c", "a in (c)", "a=b,!a"] {
            assert_eq!(holds(text, b), Some(false), "{text}");
        }
        assert_eq!((holds("a!=b", None), holds("!a", None)), (Some(true), Some(true)));
        for text in ["a in b", "a=b c", "a>1", "=b", "a b", ","] {
            assert_eq!(holds(text, b), None, "{text}");
        }
    }
}
