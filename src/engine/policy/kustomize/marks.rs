//! Puts labels and annotations onto objects.
//!
//! In: `Overlay`, `Pile` · Out: the changed `Pile` · Touches: nothing

use std::collections::BTreeMap;

use crate::domain::object::Gvk;
use crate::engine::policy::node::{Content, Fault, Node, Place};

use super::facts::{Spec, fields};
use super::fields::{Make, Way, visit};
use super::file::Overlay;
use super::object::{Object, Pile};
use super::says::{LabelField, Labels};

/// Labels of all objects: `labels` in their order, then `commonLabels`.
pub fn labels(overlay: &Overlay, pile: &mut Pile) -> Result<(), Fault> {
    for (index, labels) in overlay.says.labels.iter().enumerate() {
        let place = overlay.at(&format!("/labels/{index}/pairs"));
        let own: Vec<Field<'_>> = labels.fields.iter().map(Field::of).collect();
        let fields = with_default(own, labels);
        put(pile, &labels.pairs, &fields, &|key| at(overlay, &format!("/labels/{index}/pairs"), key, place))?;
    }
    let all = fields().selectors.iter().chain(&fields().templates).map(Field::known).collect::<Vec<_>>();
    let under = "/commonLabels";
    put(pile, &overlay.says.common_labels, &all, &|key| at(overlay, under, key, overlay.at(under)))
}

/// Annotations of all objects.
pub fn annotations(overlay: &Overlay, pile: &mut Pile) -> Result<(), Fault> {
    let all: Vec<Field<'_>> = fields().annotations.iter().map(Field::known).collect();
    let under = "/commonAnnotations";
    put(pile, &overlay.says.common_annotations, &all, &|key| at(overlay, under, key, overlay.at(under)))
}

fn at(overlay: &Overlay, under: &str, key: &str, otherwise: Place) -> Place {
    let place = overlay.at(&format!("{under}/{}", crate::domain::path::escape(key)));
    if place.line == 0 { otherwise } else { place }
}

/// A field of some kinds, of a kustomization or built in.
struct Field<'a> {
    path: &'a str,
    create: bool,
    selects: Box<dyn Fn(&Gvk) -> bool + 'a>,
}

impl<'a> Field<'a> {
    fn known(spec: &'a Spec) -> Self {
        Self { path: &spec.path, create: spec.create, selects: Box::new(|gvk| spec.selects(gvk)) }
    }

    fn of(field: &'a LabelField) -> Self {
        let LabelField { path, create, group, version, kind } = field;
        let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let selects =
            move |gvk: &Gvk| fits(group, &gvk.group) && fits(version, &gvk.version) && fits(kind, &gvk.kind);
        Self { path, create: *create, selects: Box::new(selects) }
    }
}

fn with_default<'a>(mut own: Vec<Field<'a>>, labels: &Labels) -> Vec<Field<'a>> {
    let known = fields();
    let selectors = known.selectors.iter().filter(|_| labels.include_selectors);
    let plain =
        |spec: &&Spec| labels.include_selectors || labels.include_templates || spec.path == "metadata/labels";
    own.extend(selectors.chain(known.templates.iter().filter(plain)).map(Field::known));
    own
}

fn put(
    pile: &mut Pile,
    marks: &BTreeMap<String, String>,
    fields: &[Field<'_>],
    place: &dyn Fn(&str) -> Place,
) -> Result<(), Fault> {
    for Object { node, .. } in &mut pile.objects {
        for (key, value) in marks {
            let gvk =
                Gvk::new(node.text("apiVersion").unwrap_or_default(), node.text("kind").unwrap_or_default());
            let place = place(key);
            for field in fields.iter().filter(|field| (field.selects)(&gvk)) {
                let make = if field.create { Make::Map } else { Make::Nothing };
                visit(node, Way { path: field.path, make, place }, &mut |map| set(map, (key, value), place))?;
            }
        }
    }
    Ok(())
}

fn set(map: &mut Node, (key, value): (&str, &str), place: Place) -> Result<(), Fault> {
    if !matches!(map.content, Content::Map(_)) {
        return Err(Fault::new(map.place, format!("`{key}` cannot be set here: this is no mapping")));
    }
    map.set(key, Node::scalar(value, place));
    Ok(())
}

/// What kustomize does to annotations at the end: values become texts, and none at all are left out.
pub fn tidy(object: &mut Object) {
    let Some(metadata) = object.node.get_mut("metadata") else { return };
    let Some(annotations) = metadata.get_mut("annotations") else { return };
    if annotations.fields().is_empty() {
        metadata.remove("annotations");
        return;
    }
    texts(annotations);
}

/// Turns the plain values of a mapping into texts.
pub fn texts(map: &mut Node) {
    let Content::Map(fields) = &mut map.content else { return };
    for field in fields {
        if let Some(text) = field.value.plain() {
            field.value.content = Content::Scalar(text.into());
        }
    }
}
