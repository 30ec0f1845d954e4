//! Puts prefixes and suffixes onto names.
//!
//! In: `Overlay`, `Pile` · Out: the changed `Pile` · Touches: nothing

use super::file::Overlay;
use super::object::{Object, Pile};

/// Renames every object but those whose names mean something to the API server.
pub fn rename(overlay: &Overlay, pile: &mut Pile) {
    let (prefix, suffix) = (&overlay.says.name_prefix, &overlay.says.name_suffix);
    let fixed = |object: &Object| {
        let gvk = object.origin().gvk;
        ["CustomResourceDefinition", "Namespace"].contains(&gvk.kind.as_str())
            || gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io"
    };
    for object in pile.objects.iter_mut().filter(|object| !fixed(object)) {
        if !prefix.is_empty() {
            object.prefixes.push(prefix.clone());
            object.remember();
            object.rename(&format!("{prefix}{}", object.name()), overlay.at("/namePrefix"));
        }
        if !suffix.is_empty() {
            object.suffixes.push(suffix.clone());
            object.remember();
            object.rename(&format!("{}{suffix}", object.name()), overlay.at("/nameSuffix"));
        }
    }
}
