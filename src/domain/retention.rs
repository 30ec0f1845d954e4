//! How long snapshots are kept: rules, of which any one keeps.
//!
//! In: serde · Out: `Retention` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::field::FieldError;

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

impl Retention {
    /// Everything that is wrong with it: rules that keep nothing.
    pub fn check(&self) -> Vec<FieldError> {
        let counts = [
            self.keep_last,
            self.keep_hourly,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
        ];
        if self.ttl.is_some_and(|ttl| ttl.as_seconds() == 0) {
            return vec![
                FieldError::new("/ttl", "a `ttl` of 0s keeps nothing").help("leave it out, or write 30d"),
            ];
        }
        if self.ttl.is_none() && counts.iter().all(Option::is_none) {
            return vec![
                FieldError::new("", "a retention needs at least one rule").help("leave it out to keep all"),
            ];
        }
        if self.ttl.is_none() && counts.into_iter().flatten().all(|count| count == 0) {
            let help = "one count of at least 1, or a `ttl`";
            return vec![FieldError::new("", "a retention of zeros keeps nothing").help(help)];
        }
        Vec::new()
    }
}
