//! Builds a folder with a kustomization into documents, as `kustomize build` does.
//!
//! In: a folder, `Shelf` · Out: documents that know where each field was written · Touches: nothing

use std::cell::Cell;

use crate::engine::policy::node::{Content, Fault, Node, Place};

use super::file::Overlay;
use super::object::{Object, Pile};
use super::path::{holds, resolve, shown};
use super::shelf::{Shelf, kustomization};
use super::{generate, images, marks, namespace, order, patch, references, rename, replace};

/// Builds a folder.
///
/// # Errors
/// Everything that is wrong with one of its kustomizations, or the first thing that cannot be done.
pub fn build(folder: &str, shelf: &dyn Shelf) -> Result<Vec<Node>, Vec<Fault>> {
    let top = open(folder, shelf, Place::default())?;
    let builder = Builder { shelf, opened: Cell::new(0) };
    let mut pile = builder.accumulate(&top, Pile::default(), &[folder.to_owned()])?;
    let last = || -> Result<(), Fault> {
        generate::hash_names(&mut pile)?;
        references::follow(&mut pile)?;
        pile.objects.retain(|object| !is_local(object));
        order::order(top.says.sort_options.as_ref(), top.at("/sortOptions"), &mut pile)?;
        pile.objects.iter_mut().for_each(marks::tidy);
        Ok(())
    };
    one(last)?;
    Ok(pile.objects.into_iter().map(|object| object.node).collect())
}

fn one<T>(step: impl FnOnce() -> Result<T, Fault>) -> Result<T, Vec<Fault>> {
    step().map_err(|fault| vec![fault])
}

/// Objects for tools that read the folder, not for the cluster.
fn is_local(object: &Object) -> bool {
    object
        .marks("annotations")
        .iter()
        .any(|(key, value)| key == "config.kubernetes.io/local-config" && value != "false")
}

/// Reads the kustomization of a folder that was named at a place.
fn open(folder: &str, shelf: &dyn Shelf, named: Place) -> Result<Overlay, Vec<Fault>> {
    let missing = || {
        let message =
            format!("there is no file `{0}`, and no kustomization in a folder `{0}`", shown(folder));
        vec![Fault::new(named, message)]
    };
    let (path, index) = one(|| kustomization(shelf, folder))?.ok_or_else(missing)?;
    let mut documents = one(|| shelf.documents(&path))?;
    let place = Place { file: index, line: 1, column: 1 };
    match (documents.pop(), documents.first()) {
        (Some(node), None) => Overlay::open(folder, &path, node),
        (None, _) => Err(vec![Fault::new(place, "the kustomization is empty")]),
        (Some(second), Some(_)) => Err(vec![Fault::new(second.place, "a kustomization is one document")]),
    }
}

struct Builder<'a> {
    shelf: &'a dyn Shelf,
    /// How many kustomizations were opened.
    opened: Cell<usize>,
}

/// How many kustomizations one build opens at most, each as often as it is named.
const MOST: usize = 2_000;

/// How deep kustomizations may name each other.
const DEEPEST: usize = 40;

impl Builder<'_> {
    /// Adds what a kustomization names and makes to a pile, and changes all that is in the pile then.
    fn accumulate(&self, overlay: &Overlay, mut pile: Pile, above: &[String]) -> Result<Pile, Vec<Fault>> {
        for (field, list) in [("resources", &overlay.says.resources), ("bases", &overlay.says.bases)] {
            for (index, path) in list.iter().enumerate() {
                let place = overlay.at(&format!("/{field}/{index}"));
                self.resource(overlay, (path, place), &mut pile, above)?;
            }
        }
        one(|| generate::generate(overlay, self.shelf, &mut pile))?;
        for (index, path) in overlay.says.components.iter().enumerate() {
            let place = overlay.at(&format!("/components/{index}"));
            let folder = one(|| resolve(&overlay.folder, path, place))?;
            let (component, chain) = self.enter(&folder, place, above)?;
            if !component.is_component() {
                return Err(vec![Fault::new(
                    place,
                    format!("`{path}` is no component: its kind is not `Component`"),
                )]);
            }
            pile = self.accumulate(&component, pile, &chain)?;
        }
        one(|| {
            patch::strategic(overlay, self.shelf, &mut pile)?;
            patch::patches(overlay, self.shelf, &mut pile)?;
            namespace::namespace(overlay, &mut pile)?;
            rename::rename(overlay, &mut pile);
            marks::labels(overlay, &mut pile)?;
            marks::annotations(overlay, &mut pile)?;
            patch::json6902(overlay, self.shelf, &mut pile)?;
            images::images(overlay, &mut pile)?;
            replace::replacements(overlay, self.shelf, &mut pile)?;
            pile.settle()
        })?;
        Ok(pile)
    }

    /// Adds the documents of a file, or all that a folder builds.
    fn resource(
        &self,
        overlay: &Overlay,
        (path, place): (&str, Place),
        pile: &mut Pile,
        above: &[String],
    ) -> Result<(), Vec<Fault>> {
        let target = one(|| resolve(&overlay.folder, path, place))?;
        if one(|| self.shelf.file(&target, place))?.is_some() {
            return one(|| {
                let documents = self.shelf.documents(&target)?;
                flat(documents)?.into_iter().try_for_each(|node| pile.append(Object::new(node)?))
            });
        }
        let (base, chain) = self.enter(&target, place, above)?;
        if base.is_component() {
            let message = format!("`{path}` is a component: name it in `components`");
            return Err(vec![Fault::new(place, message)]);
        }
        let built = self.accumulate(&base, Pile::default(), &chain)?;
        one(|| pile.absorb(built))
    }

    /// Opens another folder, and the chain of folders down to it.
    fn enter(
        &self,
        folder: &str,
        place: Place,
        above: &[String],
    ) -> Result<(Overlay, Vec<String>), Vec<Fault>> {
        if let Some(visited) = above.iter().find(|visited| holds(folder, visited)) {
            let (folder, visited) = (shown(folder), shown(visited));
            let message = if folder == visited {
                format!("the kustomizations go in a circle: `{folder}` is being built already")
            } else {
                format!("`{folder}` holds `{visited}`, which is being built: a base cannot hold its overlays")
            };
            return Err(vec![Fault::new(place, message)]);
        }
        if above.len() >= DEEPEST {
            return Err(vec![Fault::new(
                place,
                format!("kustomizations name each other more than {DEEPEST} deep"),
            )]);
        }
        self.opened.set(self.opened.get() + 1);
        if self.opened.get() > MOST {
            return Err(vec![Fault::new(place, format!("more than {MOST} kustomizations are named"))]);
        }
        let chain = above.iter().cloned().chain([folder.to_owned()]).collect();
        Ok((open(folder, self.shelf, place)?, chain))
    }
}

/// Lists taken apart: their elements come last.
fn flat(documents: Vec<Node>) -> Result<Vec<Node>, Fault> {
    let mut queue: std::collections::VecDeque<Node> = documents.into();
    let mut flat = Vec::new();
    while let Some(mut node) = queue.pop_front() {
        let is_list = node.text("kind").is_some_and(|kind| kind.ends_with("List"));
        match node.get_mut("items").filter(|_| is_list).map(|items| (items.place, &mut items.content)) {
            None => flat.push(node),
            Some((_, Content::List(items))) => queue.extend(std::mem::take(items)),
            Some((_, Content::Empty | Content::Scalar(crate::domain::object::Json::Null))) => {}
            Some((place, _)) => return Err(Fault::new(place, "`items` must be a list")),
        }
    }
    Ok(flat)
}

#[cfg(test)]
mod tests;
