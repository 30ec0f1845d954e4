//! Decides in which version an object is sent when the cluster does not serve the one it was saved in, and makes it one of that.
//!
//! In: what is offered, a prepared object · Out: `Recast`, the object in another version · Touches: nothing

use std::sync::Arc;

use super::definition::{Conversion, Definition};
use crate::domain::object::{Gvk, Json, Malformed, Manifest, Resource};
use crate::domain::rule::Way;
use crate::domain::version::priority;
use crate::engine::clean::rewrite::{Surroundings, rewrite};

/// A version that is served, and how the object becomes one of it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The kind in the version that is sent.
    pub resource: Resource,
    /// The steps; none where only `apiVersion` changes.
    pub way: Option<Way>,
    /// Name of the definition that must be restored first.
    pub definition: Option<String>,
}

/// How an object becomes one of another version, last of all changes.
#[derive(Clone, Debug)]
pub struct Recast {
    /// The kind as it was saved: what rules and conditions go by.
    pub saved: Arc<Resource>,
    to: String,
    way: Option<Way>,
}

impl Recast {
    /// To this offer.
    pub fn new(saved: Resource, offer: &Offer) -> Self {
        Self { saved: Arc::new(saved), to: offer.resource.gvk.api_version(), way: offer.way.clone() }
    }

    /// `apiVersion` that is sent.
    pub fn api_version(&self) -> &str {
        &self.to
    }

    /// What the reader should know.
    pub fn note(&self) -> String {
        format!("saved as {}, sent as {}", self.saved.gvk.api_version(), self.to)
    }

    /// Whether fields change as well, so that what was saved of the status may have another form.
    pub fn changes_fields(&self) -> bool {
        self.way.as_ref().is_some_and(Way::edits)
    }

    /// The object in the new version.
    ///
    /// # Errors
    /// [`Malformed`] when a rule of the policy repository left no object behind.
    pub fn change(&self, object: Manifest) -> Result<Manifest, Malformed> {
        let changed = object.edit(|tree| {
            if let Some(way) = &self.way {
                take(way, tree);
            }
            if let Some(map) = tree.as_object_mut() {
                map.insert("apiVersion".into(), Json::String(self.to.clone()));
            }
        });
        changed.map(Manifest::sorted)
    }
}

fn take(way: &Way, tree: &mut Json) {
    let Way { from: _, to: _, rename, rewrite: rewriters, drop, defaults } = way;
    for (path, name) in rename {
        path.rename(tree, name);
    }
    for rewriter in rewriters {
        rewrite(*rewriter, tree, &Surroundings::default());
    }
    for path in drop {
        path.remove(tree);
    }
    for (path, value) in defaults {
        path.fill(tree, value);
    }
}

/// The offer that is taken: a version that the other cluster served as well before others, then as Kubernetes orders versions.
pub fn best<'o>(saved: &Gvk, served_there: &[String], offers: &'o [Offer]) -> Option<&'o Offer> {
    offers.iter().max_by_key(|offer| {
        let to = &offer.resource.gvk;
        let known = to.group == saved.group && served_there.contains(&to.version);
        (known, priority(&to.version))
    })
}

/// Whether only `apiVersion` has to change between any two versions: every definition that is known says so, and one is.
///
/// # Errors
/// Names the webhook that alone can convert, or is empty where nothing is known.
pub fn labels_only(definitions: &[&Definition]) -> Result<(), Option<String>> {
    let webhook = definitions.iter().find_map(|definition| match &definition.conversion {
        Conversion::Label => None,
        Conversion::Webhook(what) => Some(format!("{} converts by webhook ({what})", definition.name)),
    });
    match webhook {
        Some(webhook) => Err(Some(webhook)),
        None if definitions.is_empty() => Err(None),
        None => Ok(()),
    }
}

/// Why an object cannot be sent in any version, and what can be done.
pub fn no_way(saved: &Gvk, served: &[String], webhook: Option<&str>) -> String {
    let there = format!(
        "it was saved as {}, and of this kind the cluster serves only {}",
        saved.api_version(),
        served.join(", ")
    );
    let version = &saved.version;
    match webhook {
        Some(webhook) => format!(
            "{there}; its definition {webhook}, which only the API server asks, and only between versions that it serves: let it \
             serve {version} until the object is back, then restore again"
        ),
        None => format!(
            "{there}; no rule says how it becomes one of those: write one (`versions` in a catalog of the policy repository), then \
             restore again"
        ),
    }
}

#[cfg(test)]
mod tests;
