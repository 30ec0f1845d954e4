//! Gives containers other images.
//!
//! In: `Overlay`, `Pile` · Out: the changed `Pile` · Touches: nothing

use regex::Regex;

use crate::engine::policy::node::{Content, Fault, Node, Place};

use super::file::Overlay;
use super::object::Pile;
use super::says::Image;

/// Changes the image of every container and image volume, wherever in an object they are; definitions stay as they are.
pub fn images(overlay: &Overlay, pile: &mut Pile) -> Result<(), Fault> {
    for (index, image) in overlay.says.images.iter().enumerate() {
        let place = overlay.at(&format!("/images/{index}"));
        let pattern = format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
        let unreadable = |_| Fault::new(place, format!("`{}` is no name of an image", image.name));
        let wanted = Wanted { image, place, pattern: Regex::new(&pattern).map_err(unreadable)? };
        for object in &mut pile.objects {
            if object.kind() != "CustomResourceDefinition" {
                wanted.walk(&mut object.node);
                wanted.pods(&mut object.node);
            }
        }
    }
    Ok(())
}

struct Wanted<'a> {
    image: &'a Image,
    place: Place,
    pattern: Regex,
}

impl Wanted<'_> {
    fn walk(&self, node: &mut Node) {
        match &mut node.content {
            Content::Scalar(_) | Content::Empty => {}
            Content::List(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Content::Map(fields) => {
                for field in fields {
                    self.walk(&mut field.value);
                    if let ("containers" | "initContainers", Content::List(containers)) =
                        (field.key.as_str(), &mut field.value.content)
                    {
                        containers
                            .iter_mut()
                            .filter_map(|c| c.get_mut("image"))
                            .for_each(|image| self.set(image));
                    }
                }
            }
        }
    }

    /// Pods and templates once more, and their volumes that are images. So a suffix comes twice, as in kustomize.
    fn pods(&self, object: &mut Node) {
        for path in [&["spec"][..], &["spec", "template", "spec"]] {
            let pod = path.iter().try_fold(&mut *object, |node, name| node.get_mut(name));
            let Some(Node { content: Content::Map(fields), .. }) = pod else { continue };
            for field in fields {
                let Content::List(items) = &mut field.value.content else { continue };
                let image = |item| match field.key.as_str() {
                    "containers" | "initContainers" => Node::get_mut(item, "image"),
                    "volumes" => Node::get_mut(item, "image")?.get_mut("reference"),
                    _ => None,
                };
                items.iter_mut().filter_map(image).for_each(|image| self.set(image));
            }
        }
    }

    fn set(&self, node: &mut Node) {
        let Some(old) = node.as_str().filter(|text| self.pattern.is_match(text)) else { return };
        let (name, mut tag, mut digest) = parts(old);
        let image = self.image;
        let mut new = if image.new_name.is_empty() { name.to_owned() } else { image.new_name.clone() };
        let tagged = format!("{tag}{}", image.tag_suffix);
        if !image.new_tag.is_empty() {
            (tag, digest) = (&image.new_tag, &image.digest);
        } else if !image.digest.is_empty() {
            (tag, digest) = ("", &image.digest);
        } else if !image.tag_suffix.is_empty() {
            (tag, digest) = (&tagged, "");
        }
        for (mark, part) in [(':', tag), ('@', digest)].into_iter().filter(|(_, part)| !part.is_empty()) {
            new.push(mark);
            new.push_str(part);
        }
        *node = Node::scalar(new, self.place);
    }
}

/// Name, tag and digest of an image.
fn parts(image: &str) -> (&str, &str, &str) {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    let from = rest.find('/').unwrap_or(0);
    match rest[from..].find(':') {
        Some(at) => (&rest[..from + at], &rest[from + at + 1..], digest),
        None => (rest, "", digest),
    }
}
