//! Finds where the old names of namespaces and storage classes still stand in an object that is sent.
//!
//! A bare word proves nothing: a namespace may be called `default` or `test`. The name counts where its surroundings say
//! what it is: [`Form`] has the list. Secrets are decoded to be looked into; nothing of any value is given away.
//!
//! In: an object as it is sent, `Mapping`, the index of the state · Out: `Mention`s · Touches: nothing

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::prepare::Mapping;
use crate::domain::mention::{Form, Mention, Renamed};
use crate::domain::object::{Json, JsonMap, Manifest};
use crate::domain::path::escape;
use crate::engine::saved::open::StateEntry;

/// It repeats the object as it once was.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// Fields that say which object it is, and were mapped.
const IDENTITY: [&str; 4] = ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"];

/// How far before a name the word may stand that says what it is.
const NEAR: usize = 16;

/// The old names of a restore, and what gives them away.
pub struct OldNames<'a> {
    names: Vec<OldName<'a>>,
}

struct OldName<'a> {
    of: Renamed,
    old: &'a str,
    new: &'a str,
    /// Services that the namespace had.
    services: HashSet<&'a str>,
    /// Names of everything it had.
    objects: HashSet<&'a str>,
}

impl<'a> OldNames<'a> {
    /// What to look for; nothing where nothing gets a new name.
    ///
    /// An old name that something else gets as its new name is left out: where it stands, it may be right.
    pub fn new(mapping: &'a Mapping, entries: &'a [StateEntry]) -> Option<Self> {
        let mut names = Vec::new();
        for (of, renamed) in
            [(Renamed::Namespace, &mapping.namespaces), (Renamed::StorageClass, &mapping.storage_classes)]
        {
            let taken: HashSet<&String> = renamed.values().collect();
            for (old, new) in renamed.iter().filter(|(old, _)| !taken.contains(old)) {
                let inside = entries.iter().filter(|entry| {
                    of == Renamed::Namespace && entry.key.namespace.as_deref() == Some(old.as_str())
                });
                let inside: Vec<_> = inside.map(|entry| &entry.key).collect();
                let is_service = |kind: &str, group: &str| kind == "Service" && group.is_empty();
                let services = inside.iter().filter(|key| is_service(&key.kind, &key.group));
                names.push(OldName {
                    of,
                    old,
                    new,
                    services: services.map(|key| key.name.as_str()).collect(),
                    objects: inside.iter().map(|key| key.name.as_str()).collect(),
                });
            }
        }
        (!names.is_empty()).then_some(Self { names })
    }

    /// Every field of an object in which an old name still stands, each once for a name, sorted.
    pub fn find(&self, object: &Manifest) -> Vec<Mention> {
        let is_secret = object.gvk().group.is_empty() && object.kind() == "Secret";
        let mut walk = Walk { names: &self.names, object, is_secret, found: Vec::new() };
        walk.value("", "", object.as_json());
        walk.found.sort();
        walk.found.dedup_by(|a, b| (a.of, &a.old, &a.field) == (b.of, &b.old, &b.field));
        walk.found
    }
}

struct Walk<'w> {
    names: &'w [OldName<'w>],
    object: &'w Manifest,
    is_secret: bool,
    found: Vec<Mention>,
}

impl Walk<'_> {
    /// Looks at a value; `called` is what says what it holds: its key, the name of the variable, the option before it.
    fn value(&mut self, place: &str, called: &str, value: &Json) {
        match value {
            Json::String(text) if self.is_secret && place.starts_with("/data/") => {
                let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                if let Some(text) = decoded {
                    self.text(place, called, &text);
                }
            }
            Json::String(text) if !IDENTITY.contains(&place) && place != LAST_APPLIED => {
                self.text(place, called, text);
            }
            Json::Object(map) => self.mapping(place, map),
            Json::Array(values) => {
                let mut option = None;
                for (index, value) in values.iter().enumerate() {
                    self.value(&format!("{place}/{index}"), option.unwrap_or(called), value);
                    option = value.as_str().filter(|text| text.starts_with('-'));
                }
            }
            _ => {}
        }
    }

    fn mapping(&mut self, place: &str, map: &JsonMap) {
        let variable = map.get("name").and_then(Json::as_str).filter(|_| map.contains_key("value"));
        for (key, value) in map {
            let place = format!("{place}/{}", escape(key));
            for name in self.names {
                if let Some(form) = name.in_key(key) {
                    self.mention(name, &place, form);
                }
            }
            let called = variable.filter(|_| key == "value").unwrap_or(key);
            self.value(&place, called, value);
        }
    }

    fn text(&mut self, place: &str, called: &str, text: &str) {
        for name in self.names {
            if let Some(form) = name.form(called, text) {
                self.mention(name, place, form);
            }
        }
    }

    fn mention(&mut self, name: &OldName<'_>, place: &str, form: Form) {
        let OldName { of, old, new, services: _, objects: _ } = name;
        let (old, new) = ((*old).to_owned(), (*new).to_owned());
        self.found.push(Mention { of: *of, old, new, key: self.object.key(), field: place.to_owned(), form });
    }
}

impl OldName<'_> {
    /// How the name stands in a value, if it does.
    fn form(&self, called: &str, text: &str) -> Option<Form> {
        if text.trim() == self.old {
            return self.says(called).then_some(Form::WholeValue);
        }
        self.words(text).find_map(|(before, after)| match self.of {
            Renamed::Namespace => self.namespace(called, before, after),
            Renamed::StorageClass => {
                quota(after).or_else(|| self.after_its_kind(before).then_some(Form::AfterItsKind))
            }
        })
    }

    /// How the name stands in the key of a mapping, if it does.
    fn in_key(&self, key: &str) -> Option<Form> {
        self.words(key).find_map(|(_, after)| match self.of {
            Renamed::Namespace => dns(after),
            Renamed::StorageClass => quota(after),
        })
    }

    /// What stands before and after the name, wherever it is a word of its own.
    fn words<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
        let places = text.match_indices(self.old).map(|(at, _)| (&text[..at], &text[at + self.old.len()..]));
        places.filter(|(before, after)| !before.ends_with(in_name) && !after.starts_with(in_name))
    }

    fn namespace(&self, called: &str, before: &str, after: &str) -> Option<Form> {
        let account = before.ends_with("system:serviceaccounts:")
            || before.ends_with("system:serviceaccount:") && after.starts_with(':');
        let flag =
            before.trim_end_matches([' ', '=']).strip_suffix("-n").filter(|rest| !rest.ends_with(in_name));
        if let Some(form) = dns(after) {
            Some(form)
        } else if account {
            Some(Form::Account)
        } else if self.is_service(before, after) {
            Some(Form::ServiceName)
        } else if !called.to_lowercase().ends_with("image") && self.is_object(before, after) {
            Some(Form::ObjectName)
        } else if self.after_its_kind(before) || flag.is_some_and(|rest| rest.len() + 2 < before.len()) {
            Some(Form::AfterItsKind)
        } else {
            None
        }
    }

    /// `db.shop`, and nothing that makes it a longer domain.
    fn is_service(&self, before: &str, after: &str) -> bool {
        let Some(host) = before.strip_suffix('.') else { return false };
        let longer = after.strip_prefix('.').is_some_and(|rest| rest.starts_with(in_name));
        !longer && self.services.contains(last_word(host, in_name))
    }

    /// `shop/db`, and no part of a path, an address or an image.
    fn is_object(&self, before: &str, after: &str) -> bool {
        let Some(rest) = after.strip_prefix('/') else { return false };
        let end = rest.find(|c: char| !in_name(c) && c != '.').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let path = before.ends_with(['/', '.', ':', '@']) || rest.starts_with(['/', ':', '@']);
        !path && self.objects.contains(name.trim_end_matches('.'))
    }

    /// Whether the word before the name says what it is.
    fn after_its_kind(&self, before: &str) -> bool {
        let between = |c: char| " \t\r\n\"'=:/[-".contains(c);
        let rest = before.trim_end_matches(between);
        let word = last_word(rest, |c| in_name(c) || c == '.');
        rest.len() < before.len() && before.len() - rest.len() <= NEAR && self.says_last(word)
    }

    /// Whether a field of this name holds names of the kind.
    fn says(&self, called: &str) -> bool {
        let plain = plain(called);
        match self.of {
            Renamed::Namespace => plain.contains("namespace") || plain == "ns" || called == "-n",
            Renamed::StorageClass => plain.contains("storageclass"),
        }
    }

    fn says_last(&self, word: &str) -> bool {
        let plain = plain(word);
        let kinds: &[&str] = match self.of {
            Renamed::Namespace => &["namespace", "namespaces"],
            Renamed::StorageClass => &["storageclass", "storageclasses", "storageclassname"],
        };
        kinds.iter().any(|kind| plain.ends_with(kind))
    }
}

/// `.svc` behind the name.
fn dns(after: &str) -> Option<Form> {
    let rest = after.strip_prefix(".svc")?;
    (!rest.starts_with(in_name)).then_some(Form::DnsName)
}

fn quota(after: &str) -> Option<Form> {
    after.starts_with(".storageclass.storage.k8s.io").then_some(Form::Quota)
}

/// Whether a character belongs to a word, so that a name beside it is only a part of one.
fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

/// The last characters for which the test is true.
fn last_word(text: &str, inside: impl Fn(char) -> bool) -> &str {
    let start = text.char_indices().rev().take_while(|(_, c)| inside(*c)).last();
    start.map_or("", |(at, _)| &text[at..])
}

/// Lower-case letters and digits only.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests;
