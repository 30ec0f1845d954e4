//! How long snapshots are kept: rules, of which any one keeps.
//!
//! In: serde · Out: `Retention` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;

/// A snapshot is kept while any rule keeps it; the newest Complete one is always kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// Keeps every snapshot that is younger than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// Keeps this many of the newest Complete snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// Keeps the newest snapshot of each of so many hours that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_hourly: Option<u32>,
    /// Keeps the newest snapshot of each of so many days that have one, cut in the policy's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_daily: Option<u32>,
    /// Keeps the newest snapshot of each of so many ISO weeks that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_weekly: Option<u32>,
    /// Keeps the newest snapshot of each of so many months that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_monthly: Option<u32>,
    /// Keeps the newest snapshot of each of so many years that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_yearly: Option<u32>,
}
