//! Makes config maps and secrets, and the hashes at the end of their names.
//!
//! In: `Overlay`, `Shelf` · Out: `Object`s in the `Pile` · Touches: nothing

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::domain::object::Json;
use crate::engine::policy::node::{Content, Fault, Node, Place};

use super::file::Overlay;
use super::object::{Object, Pile};
use super::path::resolve;
use super::says::{Behavior, Generator, GeneratorOptions};
use super::shelf::{Shelf, text};

/// Makes everything that a kustomization generates: config maps first.
pub fn generate(overlay: &Overlay, shelf: &dyn Shelf, pile: &mut Pile) -> Result<(), Fault> {
    let says = &overlay.says;
    let config_maps =
        says.config_map_generator.iter().map(|g| ("ConfigMap", "configMapGenerator", g)).enumerate();
    let secrets = says.secret_generator.iter().map(|g| ("Secret", "secretGenerator", g)).enumerate();
    for (index, (kind, field, generator)) in config_maps.chain(secrets) {
        let desk = Desk { overlay, shelf, under: format!("/{field}/{index}") };
        let object = desk.make(kind, generator)?;
        desk.add(pile, object, generator)?;
    }
    Ok(())
}

/// A key with its value and where that is written.
type Pair = (String, Vec<u8>, Place);

struct Desk<'a> {
    overlay: &'a Overlay,
    shelf: &'a dyn Shelf,
    under: String,
}

impl Desk<'_> {
    fn at(&self, pointer: &str) -> Place {
        self.overlay.at(&format!("{}{pointer}", self.under))
    }

    fn make(&self, kind: &str, generator: &Generator) -> Result<Object, Fault> {
        let place = self.at("");
        if generator.name.is_empty() {
            return Err(Fault::new(place, "the generator has no `name`"));
        }
        let options = options(&generator.options, &self.overlay.says.generator_options);
        let mut metadata = Node::map(place);
        metadata.set("name", Node::scalar(generator.name.clone(), self.at("/name")));
        if !generator.namespace.is_empty() {
            metadata.set("namespace", Node::scalar(generator.namespace.clone(), self.at("/namespace")));
        }
        for (field, marks) in [("labels", &options.labels), ("annotations", &options.annotations)] {
            if !marks.is_empty() {
                metadata.set(field, Node::of(&json!(marks), place));
            }
        }
        let mut node = Node::of(&json!({"apiVersion": "v1", "kind": kind}), place);
        node.set("metadata", metadata);
        if kind == "Secret" {
            let given = Some(generator.secret_type.as_str()).filter(|text| !text.is_empty());
            node.set("type", Node::scalar(given.unwrap_or("Opaque"), place));
        }
        self.fill(&mut node, kind, generator)?;
        if options.immutable {
            node.set("immutable", Node::scalar(true, place));
        }
        let mut object = Object::new(node)?;
        object.hashed = !options.disable_name_suffix_hash;
        Ok(object)
    }

    fn fill(&self, node: &mut Node, kind: &str, generator: &Generator) -> Result<(), Fault> {
        let pairs = self.pairs(generator)?;
        let (mut data, mut binary) = (Node::map(node.place), Node::map(node.place));
        for (key, value, place) in pairs {
            if data.get(&key).is_some() || binary.get(&key).is_some() {
                return Err(Fault::new(place, format!("the key `{key}` is there already")));
            }
            match String::from_utf8(value) {
                Ok(text) if kind == "ConfigMap" => data.set(&key, Node::scalar(text, place)),
                Ok(text) => data.set(&key, Node::scalar(base64(text.as_bytes()), place)),
                Err(bytes) if kind == "ConfigMap" => {
                    binary.set(&key, Node::scalar(base64(bytes.as_bytes()), place));
                }
                Err(bytes) => data.set(&key, Node::scalar(base64(bytes.as_bytes()), place)),
            }
        }
        for (field, map) in [("data", data), ("binaryData", binary)] {
            if !map.fields().is_empty() || kind == "Secret" && field == "data" {
                node.set(field, map);
            }
        }
        Ok(())
    }

    /// Keys and values: from files of lines, from the kustomization, from whole files.
    fn pairs(&self, generator: &Generator) -> Result<Vec<Pair>, Fault> {
        let mut pairs = Vec::new();
        let envs = generator.envs.iter().enumerate().map(|(i, env)| (env, format!("/envs/{i}")));
        let old = Some((&generator.env, "/env".to_owned())).filter(|(env, _)| !env.is_empty());
        for (env, pointer) in envs.chain(old) {
            let (file, bytes) = self.read(env, &pointer)?;
            pairs.extend(lines(file, bytes)?);
        }
        for (index, literal) in generator.literals.iter().enumerate() {
            let place = self.at(&format!("/literals/{index}"));
            let wrong = || Fault::new(place, "a literal is written `key=value`");
            let (key, value) =
                literal.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(wrong)?;
            pairs.push((key.to_owned(), unquoted(value).as_bytes().to_vec(), place));
        }
        for (index, source) in generator.files.iter().enumerate() {
            let pointer = format!("/files/{index}");
            let wrong = || Fault::new(self.at(&pointer), "a file is written `path` or `key=path`");
            let (key, path) = match source.split_once('=') {
                None => (source.rsplit('/').next().unwrap_or_default(), source.as_str()),
                Some((key, path)) if !key.is_empty() && !path.is_empty() && !path.contains('=') => {
                    (key, path)
                }
                Some(_) => return Err(wrong()),
            };
            let (file, bytes) = self.read(path, &pointer)?;
            pairs.push((key.to_owned(), bytes.to_vec(), Place { file, line: 1, column: 1 }));
        }
        Ok(pairs)
    }

    fn read(&self, path: &str, pointer: &str) -> Result<(usize, &[u8]), Fault> {
        let place = self.at(pointer);
        text(self.shelf, &resolve(&self.overlay.folder, path, place)?, place)
    }

    /// Adds an object, or lets it change the one that is there.
    fn add(&self, pile: &mut Pile, mut object: Object, generator: &Generator) -> Result<(), Fault> {
        let id = object.id();
        let mut same = pile.objects.iter_mut().filter(|other| other.answers(&id));
        let (first, second) = (same.next(), same.next());
        let place = self.at("/name");
        if second.is_some() {
            return Err(Fault::new(place, format!("there is more than one {}", id.shown())));
        }
        match (first, generator.behavior) {
            (None, Behavior::Create) => pile.append(object),
            (None, Behavior::Merge | Behavior::Replace) => {
                Err(Fault::new(place, format!("there is no {} to merge with or to replace", id.shown())))
            }
            (Some(_), Behavior::Create) => {
                let help = "write `behavior: merge` or `behavior: replace`";
                Err(Fault::new(place, format!("there is a {} already", id.shown())).help(help))
            }
            (Some(old), behavior) => {
                inherit(&mut object, old);
                if behavior == Behavior::Merge {
                    for field in ["data", "binaryData"] {
                        merge(&mut object.node, &old.node, field);
                    }
                }
                *old = object;
                pile.settle()
            }
        }
    }
}

/// Name, past, labels and annotations of the one that was there; the new one's labels and annotations win.
fn inherit(object: &mut Object, old: &Object) {
    object.succeed(old);
    object.hashed &= old.hashed;
    let Some(metadata) = object.node.get_mut("metadata") else { return };
    for field in ["labels", "annotations"] {
        let Some(mut marks) = old.node.find(&["metadata", field]).cloned() else { continue };
        for mark in metadata.get(field).map_or(&[][..], Node::fields) {
            marks.set(&mark.key, mark.value.clone());
        }
        super::marks::texts(&mut marks);
        metadata.set(field, marks);
    }
}

fn merge(node: &mut Node, old: &Node, field: &str) {
    let Some(mut data) = old.get(field).cloned() else { return };
    for entry in node.get(field).map_or(&[][..], Node::fields) {
        data.set(&entry.key, entry.value.clone());
    }
    node.set(field, data);
}

/// The generator's own options, then those of all.
fn options(own: &GeneratorOptions, all: &GeneratorOptions) -> GeneratorOptions {
    let both = |own: &BTreeMap<String, String>, all: &BTreeMap<String, String>| {
        all.clone().into_iter().chain(own.clone()).collect()
    };
    GeneratorOptions {
        labels: both(&own.labels, &all.labels),
        annotations: both(&own.annotations, &all.annotations),
        disable_name_suffix_hash: own.disable_name_suffix_hash || all.disable_name_suffix_hash,
        immutable: own.immutable || all.immutable,
    }
}

/// Lines `KEY=value`; empty ones and comments are left out.
fn lines(file: usize, bytes: &[u8]) -> Result<Vec<Pair>, Fault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let at = |line: usize| Place { file, line: line as u64 + 1, column: 1 };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count() - 1;
        Fault::new(at(line), "the file is not in UTF-8")
    })?;
    let pair = |(index, line): (usize, &str)| {
        let line = line.trim_start();
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let wanted = !key.is_empty() && !line.starts_with('#');
        wanted.then(|| (key.to_owned(), value.as_bytes().to_vec(), at(index)))
    };
    Ok(text.lines().enumerate().filter_map(pair).collect())
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

/// Base64, in lines of 70 where it is longer.
fn base64(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    if text.len() < 70 {
        return text;
    }
    let lines = text.as_bytes().chunks(70).map(String::from_utf8_lossy);
    lines.map(|line| line.into_owned() + "\n").collect()
}

/// Puts the hash of its content behind the name of everything that was generated.
pub fn hash_names(pile: &mut Pile) -> Result<(), Fault> {
    for object in pile.objects.iter_mut().filter(|object| object.hashed) {
        let name = format!("{}-{}", object.name(), hash(&object.node));
        object.remember();
        object.rename(&name, object.node.value_at("/metadata/name"));
    }
    pile.settle()
}

/// Ten letters that stand for the content.
fn hash(node: &Node) -> String {
    let map = |field: &str| node.get(field).filter(|node| matches!(node.content, Content::Map(_)));
    let sorted = |field: &str| map(field).map(|map| sorted(&map.to_json()));
    let secret = node.text("kind") == Some("Secret");
    let mut fields = BTreeMap::from([
        ("kind", json!(node.text("kind"))),
        ("name", json!("")),
        ("data", sorted("data").unwrap_or_else(|| json!(""))),
    ]);
    if secret {
        fields.insert("type", json!(node.text("type").unwrap_or_default()));
    }
    let more = if secret { "stringData" } else { "binaryData" };
    fields.extend(sorted(more).map(|data| (more, data)));
    let text = as_go_writes(&json!(fields).to_string());
    let digest = Sha256::digest(text.as_bytes());
    let digits = digest.iter().take(5).flat_map(|byte| [byte >> 4, byte & 15]);
    let hex = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
    let safe = |c| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.map(safe).collect()
}

fn sorted(tree: &Json) -> Json {
    let fields = tree.as_object().into_iter().flatten();
    json!(fields.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<String, Json>>())
}

/// JSON with the characters escaped that Go escapes and others do not.
fn as_go_writes(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
