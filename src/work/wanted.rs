//! A restore as it is asked for: a request, what it is called, and what tells it from others.
//!
//! In: `RestoreSpec`, `PolicySet` · Out: `Wanted` · Touches: nothing

use crate::domain::document::PolicySet;
use crate::domain::hook_template::HookUse;
use crate::domain::restore_request::RestoreSpec;
use crate::engine::archive::part;
use crate::engine::recovery::claim::Ask;

use super::choose;
use super::failure::Failure;
use super::stage::resolved;

/// A restore as it is asked for.
pub struct Wanted {
    /// Name of the request; absent where it was made of options.
    pub request: Option<String>,
    /// The request.
    pub spec: RestoreSpec,
    /// SHA-256 of the request without its token, lower-case hex.
    pub digest: String,
    /// What the restore is called on the owners it pauses: the same command has the same name.
    pub called: String,
    /// Whether a person typed its names, so that one that matches nothing is a mistake.
    pub typed: bool,
}

impl Wanted {
    /// A request with its token, and what the restore is called; one without a name was made of options that somebody typed.
    ///
    /// From here on, hooks stand in place: what their templates say belongs to the request.
    ///
    /// # Errors
    /// A template that is not there.
    pub fn new(
        set: &PolicySet,
        mut spec: RestoreSpec,
        (request, called): (Option<String>, String),
    ) -> Result<Self, Failure> {
        spec.hooks = resolved(set, &spec.hooks)?.into_iter().map(HookUse::of).collect();
        let token = spec.token.take();
        let bytes = serde_json::to_vec(&spec).map_err(|e| Failure::failed(&e))?;
        spec.token = token;
        let typed = request.is_none();
        Ok(Self { request, spec, digest: part::sha256(&bytes), called, typed })
    }

    /// A request of the policy repository, as it stands there.
    ///
    /// # Errors
    /// There is no such request, or a template of it is not there.
    pub fn request(set: &PolicySet, name: &str) -> Result<Self, Failure> {
        let (name, spec) = choose::restore(set, name)?;
        Self::new(set, spec.clone(), (Some(name.to_owned()), format!("request {name}")))
    }

    /// A restore that nobody asked for by name.
    pub fn unnamed(spec: RestoreSpec, called: String) -> Self {
        Self { request: None, spec, digest: String::new(), called, typed: false }
    }

    /// Name of the request in the journal. One that was made of options gets a name of its content and its source, so that
    /// the same command means the same restore.
    pub fn name(&self, pinned: Option<&str>) -> String {
        let made = || part::sha256(format!("{}/{}", self.digest, pinned.unwrap_or_default()).as_bytes());
        self.request.clone().unwrap_or_else(|| format!("from-{}", &made()[..12]))
    }

    /// What the journal is asked.
    pub fn ask(&self) -> Ask<'_> {
        Ask { token: self.spec.token.as_deref(), digest: &self.digest }
    }
}
