//! Puts all objects into one namespace.
//!
//! In: `Overlay`, `Pile` · Out: the changed `Pile` · Touches: nothing

use crate::engine::policy::node::{Content, Fault, Node, Place};

use super::facts::is_cluster_scoped;
use super::fields::{Make, Way, visit};
use super::file::Overlay;
use super::object::{Object, Pile};

/// Sets the namespace of every object that can have one, and the fields that follow it.
pub fn namespace(overlay: &Overlay, pile: &mut Pile) -> Result<(), Fault> {
    let namespace = &overlay.says.namespace;
    if namespace.is_empty() {
        return Ok(());
    }
    let place = overlay.at("/namespace");
    for object in &mut pile.objects {
        object.remember();
        set(object, namespace, place)?;
    }
    pile.settle()
}

fn set(object: &mut Object, namespace: &str, place: Place) -> Result<(), Fault> {
    let gvk = object.gvk();
    let mut text = |path: &str, make: Make| {
        visit(&mut object.node, Way { path, make, place }, &mut |node| {
            if matches!(node.content, Content::Map(_) | Content::List(_)) {
                return Err(Fault::new(node.place, "a namespace must be a text"));
            }
            *node = Node::scalar(namespace, place);
            Ok(())
        })
    };
    if !is_cluster_scoped(&gvk) {
        text("metadata/namespace", Make::Text)?;
    }
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Namespace") if gvk.version == "v1" => text("metadata/name", Make::Text),
        ("apiregistration.k8s.io", "APIService") => text("spec/service/namespace", Make::Text),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            text("spec/conversion/webhook/clientConfig/service/namespace", Make::Nothing)
        }
        (_, "RoleBinding" | "ClusterRoleBinding") => {
            subjects(object, namespace, place);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Subjects called `default` are the service accounts of the namespace.
fn subjects(object: &mut Object, namespace: &str, place: Place) {
    let Some(Node { content: Content::List(subjects), .. }) = object.node.get_mut("subjects") else { return };
    for subject in subjects.iter_mut().filter(|subject| subject.text("name") == Some("default")) {
        subject.set("namespace", Node::scalar(namespace, place));
    }
}
