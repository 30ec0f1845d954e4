//! Carries out the patches of a kustomization.
//!
//! In: `Overlay`, `Shelf`, `Pile` · Out: the changed `Pile` · Touches: nothing

use crate::engine::policy::node::{Content, Fault, Node, Place};
use crate::engine::policy::source;

use super::file::Overlay;
use super::json_patch;
use super::marks;
use super::merge::merge;
use super::object::{Object, Pile};
use super::path::resolve;
use super::says::{Patch, PatchOptions};
use super::select::Chosen;
use super::shelf::{Shelf, text};

/// Strategic merge patches under their old name.
pub fn strategic(overlay: &Overlay, shelf: &dyn Shelf, pile: &mut Pile) -> Result<(), Fault> {
    for (index, entry) in overlay.says.patches_strategic_merge.iter().enumerate() {
        let pointer = format!("/patchesStrategicMerge/{index}");
        let place = overlay.at(&pointer);
        let inline = entry.contains('\n') || entry.contains(": ");
        let documents = if inline {
            Desk { overlay, shelf }.inline(entry, &pointer)?
        } else {
            shelf_documents(shelf, &resolve(&overlay.folder, entry, place)?, place)?
        };
        let patches = objects(documents, place)?;
        for patch in patches {
            let target = target_of(pile, &patch)?;
            sweep(pile, &[target], &patch, PatchOptions::default())?;
        }
    }
    Ok(())
}

/// Patches of both kinds.
pub fn patches(overlay: &Overlay, shelf: &dyn Shelf, pile: &mut Pile) -> Result<(), Fault> {
    for (index, patch) in overlay.says.patches.iter().enumerate() {
        let pointer = format!("/patches/{index}");
        let documents = Desk { overlay, shelf }.load(patch, &pointer)?;
        let place = overlay.at(&pointer);
        let chosen = patch
            .target
            .as_ref()
            .map(|target| Chosen::read(target, overlay.at(&format!("{pointer}/target"))));
        let chosen = chosen.transpose()?;
        if let [Node { content: Content::List(operations), .. }] = documents.as_slice() {
            let help = "add `target` with kind and name";
            let chosen = chosen.ok_or_else(|| Fault::new(place, "a JSON patch needs a target").help(help))?;
            operate(pile, &chosen, operations, Memory::Kept)?;
            continue;
        }
        let patches = objects(documents, place)?;
        match (chosen, patches.as_slice()) {
            (Some(chosen), [one]) => {
                let found: Vec<usize> =
                    (0..pile.objects.len()).filter(|i| chosen.takes(&pile.objects[*i])).collect();
                sweep(pile, &found, one, patch.options)?;
            }
            (Some(_), _) => {
                let message = "a patch with a target is one document";
                return Err(Fault::new(place, message).help("write an entry in `patches` for each"));
            }
            (None, all) => {
                for one in all {
                    let target = target_of(pile, one)?;
                    let changes = patch.options.allow_name_change || patch.options.allow_kind_change;
                    let fields = if changes { &["annotations"][..] } else { &[] };
                    apply(pile, target, &with_texts(one.node.clone(), fields)?, patch.options)?;
                }
                pile.settle()?;
            }
        }
    }
    Ok(())
}

/// JSON patches under their old name.
pub fn json6902(overlay: &Overlay, shelf: &dyn Shelf, pile: &mut Pile) -> Result<(), Fault> {
    for (index, patch) in overlay.says.patches_json6902.iter().enumerate() {
        let pointer = format!("/patchesJson6902/{index}");
        let place = overlay.at(&pointer);
        let documents = Desk { overlay, shelf }.load(patch, &pointer)?;
        let target = patch.target.as_ref().filter(|target| !target.name.is_empty());
        let target = target.ok_or_else(|| Fault::new(place, "a JSON patch needs a target with a name"))?;
        let chosen = Chosen::read(target, overlay.at(&format!("{pointer}/target")))?;
        let [Node { content: Content::List(operations), .. }] = documents.as_slice() else {
            return Err(Fault::new(place, "this is no JSON patch: it is not one list of operations"));
        };
        operate(pile, &chosen, operations, Memory::Lost)?;
    }
    Ok(())
}

struct Desk<'a> {
    overlay: &'a Overlay,
    shelf: &'a dyn Shelf,
}

impl Desk<'_> {
    /// The documents of a patch, from its file or its text.
    fn load(&self, patch: &Patch, pointer: &str) -> Result<Vec<Node>, Fault> {
        let place = self.overlay.at(pointer);
        let documents = match (patch.path.as_str(), patch.patch.trim()) {
            ("", "") => return Err(Fault::new(place, "a patch needs `path` or `patch`")),
            (file, "") => {
                let place = self.overlay.at(&format!("{pointer}/path"));
                shelf_documents(self.shelf, &resolve(&self.overlay.folder, file, place)?, place)?
            }
            ("", _) => self.inline(patch.patch.trim(), &format!("{pointer}/patch"))?,
            _ => return Err(Fault::new(place, "a patch has `path` or `patch`, not both")),
        };
        let list = documents.iter().find(|node| matches!(node.content, Content::List(_)));
        if let (Some(list), true) = (list, documents.len() > 1) {
            return Err(Fault::new(list.place, "a JSON patch stands alone in its file"));
        }
        Ok(documents)
    }

    /// The documents in a text of the kustomization, with places in its file where they can be told.
    fn inline(&self, inside: &str, pointer: &str) -> Result<Vec<Node>, Fault> {
        let at = self.overlay.at(pointer);
        let file = self.overlay.file.as_str();
        let bytes = self.shelf.file(file, at)?.map_or(&[][..], |(_, bytes)| bytes);
        let before = std::str::from_utf8(bytes).ok().and_then(|text| {
            source::before_block(text, inside.trim_end(), at.line.saturating_sub(1))
                .or_else(|| source::before_block(text, inside.trim_end(), at.line))
        });
        let moved = |line: u64, column: u64| match before {
            Some(before) => Place { file: at.file, line: line + before.line, column: column + before.column },
            None => at,
        };
        let mut documents = source::read(inside).map_err(|error| {
            let place = if error.line == 0 { at } else { moved(error.line, error.column) };
            Fault::new(place, format!("cannot read the patch: {}", error.message))
        })?;
        for document in &mut documents {
            document.relocate(&|place| *place = moved(place.line, place.column));
        }
        Ok(documents)
    }
}

fn shelf_documents(shelf: &dyn Shelf, path: &str, asked: Place) -> Result<Vec<Node>, Fault> {
    text(shelf, path, asked)?;
    shelf.documents(path)
}

fn objects(documents: Vec<Node>, place: Place) -> Result<Vec<Object>, Fault> {
    if documents.is_empty() {
        return Err(Fault::new(place, "the patch is empty"));
    }
    documents.into_iter().map(Object::new).collect()
}

/// The only object that a patch without target means.
fn target_of(pile: &Pile, patch: &Object) -> Result<usize, Fault> {
    let id = patch.id();
    let mut found = (0..pile.objects.len()).filter(|index| pile.objects[*index].answers(&id));
    let place = patch.node.value_at("/metadata/name");
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        (Some(_), Some(_)) => Err(Fault::new(place, format!("there is more than one {}", id.shown()))),
        (None, _) => {
            let message = format!("there is no {} that this patch could change", id.shown());
            Err(Fault::new(place, message)
                .help("apiVersion, kind, name and namespace must be those of the base, or give a target"))
        }
    }
}

/// Merges a patch into chosen objects; its labels and annotations are texts then.
fn sweep(pile: &mut Pile, chosen: &[usize], patch: &Object, options: PatchOptions) -> Result<(), Fault> {
    let prepared = with_texts(patch.node.clone(), &["labels", "annotations"])?;
    for index in chosen {
        let mut own = prepared.clone();
        if let Some(version) = pile.objects[*index].node.get("apiVersion").cloned() {
            own.set("apiVersion", version);
        }
        apply(pile, *index, &own, options)?;
    }
    pile.settle()
}

/// Turns labels or annotations of a patch into texts, as kustomize does; ones that are null say nothing then.
fn with_texts(mut patch: Node, fields: &[&str]) -> Result<Node, Fault> {
    let Some(metadata) = patch.get_mut("metadata") else { return Ok(patch) };
    for field in fields {
        let Some(map) = metadata.get_mut(field) else { continue };
        if let Some(null) = map.fields().iter().find(|field| field.value.is_null()) {
            let message =
                format!("kustomize would write the text `null` here: this patch cannot delete {field}");
            return Err(Fault::new(null.place, message).help("write a JSON patch with `op: remove`"));
        }
        marks::texts(map);
        if map.fields().is_empty() {
            metadata.remove(field);
        }
    }
    Ok(patch)
}

/// Merges a patch into one object; one that it deletes stays as an empty one until the end.
fn apply(pile: &mut Pile, index: usize, patch: &Node, options: PatchOptions) -> Result<(), Fault> {
    let object = &mut pile.objects[index];
    if options.allow_name_change || options.allow_kind_change {
        object.remember();
    }
    let old = object.node.clone();
    let place = old.place;
    let empty = Node { place, content: Content::Empty };
    object.node = merge(old.clone(), patch)?.unwrap_or(empty);
    if let Some(kind) =
        old.get("kind").filter(|_| !options.allow_kind_change && !object.node.fields().is_empty())
    {
        object.node.set("kind", kind.clone());
    }
    let meta = |field: &str| old.find(&["metadata", field]).cloned();
    if !options.allow_name_change {
        object.restore("name", meta("name"));
    }
    object.restore("namespace", meta("namespace"));
    Ok(())
}

/// Whether an object's name before a JSON patch still means it afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Kept,
    Lost,
}

fn operate(pile: &mut Pile, chosen: &Chosen, operations: &[Node], memory: Memory) -> Result<(), Fault> {
    for object in pile.objects.iter_mut().filter(|object| chosen.takes(object)) {
        if memory == Memory::Kept {
            object.remember();
        }
        object.node = json_patch::apply(object.node.clone(), operations)?;
    }
    pile.settle()
}
