//! What no policy covers, and why.
//!
//! In: verdicts · Out: `Coverage` · Touches: nothing

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// What policies cover of a cluster, and what they do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// How many there are of each.
    pub seen: BTreeMap<What, u64>,
    /// What no policy covers, although nobody left it out on purpose; by what it is, and name.
    pub uncovered: Vec<Gap>,
    /// What is left out on purpose; by what it is, and name.
    pub left_out: Vec<Gap>,
    /// Namespaces that policies cover, but not all of what is in them.
    pub in_part: Vec<Gap>,
    /// `group/version` whose kinds are not known, and why.
    pub unknown: BTreeMap<String, String>,
}

/// What can be covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// A namespace.
    Namespace,
    /// A kind that can be restored.
    Kind,
    /// A `PersistentVolumeClaim`.
    Claim,
}

/// One thing that is not covered, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// What it is.
    pub what: What,
    /// Its name; of a kind `resource.group`, of a claim `namespace/name`.
    pub name: String,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Why something is not covered: the reason nearest to being covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all_fields = "camelCase")]
pub enum Reason {
    /// No policy selects it.
    NoPolicy,
    /// Only a policy whose schedule is suspended selects it.
    Suspended {
        /// The policy.
        policy: String,
    },
    /// Only a policy without a schedule selects it.
    OnRequest {
        /// The policy.
        policy: String,
    },
    /// Only a policy that may write nowhere selects it.
    ReadOnly {
        /// The policy.
        policy: String,
    },
    /// A policy takes objects of this kind only where others need them.
    OnlyNeeded {
        /// The policy.
        policy: String,
    },
    /// A policy that selects the namespace does not take it.
    NotTaken {
        /// The policy.
        policy: String,
        /// In its own words.
        why: String,
    },
    /// Of these kinds, not every object in it is selected.
    InPart {
        /// `resource.group`, sorted.
        kinds: Vec<String>,
    },
    /// A policy excludes it: on purpose.
    Excluded {
        /// The policy.
        policy: String,
    },
    /// It has a label that leaves it out: on purpose.
    Labelled {
        /// Its key.
        label: String,
    },
    /// Its namespace has one: on purpose.
    NamespaceLabelled {
        /// Its key.
        label: String,
    },
}

/// Names in one sentence, at most.
const NAMED: usize = 8;

impl Coverage {
    /// How many of these no policy covers.
    pub fn count(&self, what: What) -> u64 {
        self.uncovered.iter().filter(|gap| gap.what == what).count() as u64
    }
}

/// What is not covered in one sentence, with a few names.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.uncovered.len();
        if number == 0 {
            return f
                .write_str("policies cover every namespace, kind and claim that is not left out on purpose");
        }
        let verb = if number == 1 { "is" } else { "are" };
        write!(f, "{number} {verb} covered by no policy: ")?;
        let named: Vec<String> = self.uncovered.iter().take(NAMED).map(ToString::to_string).collect();
        f.write_str(&named.join("; "))?;
        match number.saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more: `backstay coverage` lists them"),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.what, self.name, self.reason)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Namespace => "namespace",
            Self::Kind => "kind",
            Self::Claim => "claim",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => f.write_str("no policy selects it"),
            Self::Suspended { policy } => write!(f, "only policy {policy} selects it, which is suspended"),
            Self::OnRequest { policy } => {
                write!(f, "only policy {policy} selects it, which runs on request only")
            }
            Self::ReadOnly { policy } => {
                write!(f, "only policy {policy} selects it, whose locations are ReadOnly")
            }
            Self::OnlyNeeded { policy } => {
                write!(f, "policy {policy} takes only those that its objects need")
            }
            Self::NotTaken { policy, why } => write!(f, "policy {policy} does not take it: {why}"),
            Self::InPart { kinds } => {
                let more = match kinds.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more kinds"),
                };
                let named = kinds.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                write!(f, "no policy takes all of its {named}{more}")
            }
            Self::Excluded { policy } => write!(f, "policy {policy} excludes it"),
            Self::Labelled { label } => write!(f, "it has the label {label}=true"),
            Self::NamespaceLabelled { label } => write!(f, "its namespace has the label {label}=true"),
        }
    }
}
