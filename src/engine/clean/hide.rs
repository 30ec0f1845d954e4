//! Knows which fields of an object nobody may see.
//!
//! In: `EncryptRule` · Out: `Marks`, `Hidden` · Touches: nothing

use std::collections::BTreeSet;

use crate::domain::object::{Manifest, Resource};
use crate::domain::pattern::{BadPattern, KindMatcher};
use crate::domain::policy::EncryptRule;

/// The annotation in which kubectl keeps a copy of the whole object, secrets included.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What policies mark as secret besides Secrets.
#[derive(Clone, Debug, Default)]
pub struct Marks(Vec<(KindMatcher, Vec<String>)>);

impl Marks {
    /// Reads the rules of a policy.
    ///
    /// # Errors
    /// The first pattern that cannot be read.
    pub fn new(rules: &[EncryptRule]) -> Result<Self, BadPattern> {
        let compile = |rule: &EncryptRule| Ok((KindMatcher::new(&rule.kinds)?, rule.fields.clone()));
        rules.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// What is hidden in an object of this kind.
    pub fn hidden(&self, resource: &Resource, object: &Manifest) -> Hidden {
        let gvk = &resource.gvk;
        let marked =
            self.0.iter().filter(|(kinds, _)| kinds.matches(&gvk.group, &gvk.kind, &resource.plural));
        Hidden::of(object, marked.flat_map(|(_, fields)| fields.clone()))
    }
}

/// Top-level fields of one object whose values nobody may see, such as `data` of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden(BTreeSet<String>);

impl Hidden {
    /// What is hidden in this object: `data` and `stringData` of a Secret, and `marked` fields.
    pub fn of(object: &Manifest, marked: impl IntoIterator<Item = String>) -> Self {
        let mut fields: BTreeSet<String> = marked.into_iter().collect();
        if object.gvk().group.is_empty() && object.kind() == "Secret" {
            fields.extend(["data".to_owned(), "stringData".to_owned()]);
        }
        Self(fields)
    }

    /// Whether everything below this key is hidden; `parent` is the JSON pointer of the mapping that holds it.
    pub fn covers(&self, parent: &str, key: &str) -> bool {
        (parent.is_empty() && self.0.contains(key))
            || (parent == "/metadata/annotations" && key == LAST_APPLIED)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::object::Gvk;

    #[test]
    fn marked_kinds_hide_their_fields_and_secrets_always_do() {
        let rule = EncryptRule { kinds: vec!["widgets.example.org".into()], fields: vec!["spec".into()] };
        let marks = Marks::new(&[rule]).unwrap();
        let resource = Resource {
            gvk: Gvk::new("example.org/v1", "Widget"),
            plural: "widgets".into(),
            namespaced: true,
            verbs: vec![],
            served: vec![],
        };
        let widget = json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a"}});
        let hidden = marks.hidden(&resource, &Manifest::parse(widget).unwrap());
        assert!(hidden.covers("", "spec") && !hidden.covers("", "data") && !hidden.covers("/spec", "spec"));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
        let hidden = Marks::default().hidden(&resource, &Manifest::parse(secret).unwrap());
        assert!(hidden.covers("", "data") && hidden.covers("/metadata/annotations", LAST_APPLIED));
    }
}
