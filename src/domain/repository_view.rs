//! The policy repository as a custom resource, for people to look at: the `PolicyRepository` object.
//!
//! In: options of `backstay run` · Out: `RepositorySpec` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where policy is fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositorySpec {
    /// Address, without a password.
    pub url: String,
    /// Branch, tag or commit. Absent: the default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Folder in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// How often it is fetched.
    pub interval: String,
    /// Whether commits must be signed.
    #[serde(default)]
    pub verify: bool,
}
