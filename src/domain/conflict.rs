//! What a restore does with objects that exist already.
//!
//! In: YAML through serde · Out: `Existing`, for each kind by `ExistingRules` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::object::Resource;
use super::pattern::{BadPattern, KindMatcher};
use super::policy::KindPattern;

/// What happens to an object that exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Existing {
    /// It stays as it is; the report says whether it differs.
    #[default]
    Skip,
    /// It is changed to what was saved, by server-side apply.
    Update,
    /// As `Update`; where the server says that a field cannot be changed in place, it is deleted and made anew. Never done
    /// to what holds data or other objects: namespaces, volumes, claims, definitions.
    Recreate,
    /// It is deleted and made anew wherever a saved field differs; the exceptions of `Recreate` are updated.
    RecreateAlways,
    /// Nothing is written at all; the report names every object that exists.
    Fail,
}

/// What happens to existing objects of some kinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingFor {
    /// Kinds, such as `Secret` or `jobs.batch`.
    #[schemars(length(min = 1))]
    pub kinds: Vec<KindPattern>,
    /// What happens to them.
    pub existing: Existing,
}

/// The answer for every kind.
#[derive(Clone, Debug, Default)]
pub struct ExistingRules {
    some: Vec<(KindMatcher, Existing)>,
    others: Existing,
}

impl ExistingRules {
    /// Reads the patterns.
    ///
    /// # Errors
    /// A pattern that cannot be read.
    pub fn new(others: Existing, some: &[ExistingFor]) -> Result<Self, BadPattern> {
        let compile = |rule: &ExistingFor| Ok((KindMatcher::new(&rule.kinds)?, rule.existing));
        Ok(Self { some: some.iter().map(compile).collect::<Result<_, _>>()?, others })
    }

    /// What happens to existing objects of a kind.
    pub fn of(&self, kind: &Resource) -> Existing {
        let fits = |m: &KindMatcher| m.matches(&kind.gvk.group, &kind.gvk.kind, &kind.plural);
        self.some.iter().find(|(kinds, _)| fits(kinds)).map_or(self.others, |(_, existing)| *existing)
    }
}

impl Existing {
    /// Whether an object that exists may be changed or replaced.
    pub fn writes(self) -> bool {
        match self {
            Self::Update | Self::Recreate | Self::RecreateAlways => true,
            Self::Skip | Self::Fail => false,
        }
    }
}
