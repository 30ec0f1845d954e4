//! When a policy runs: cron text and time zone, parsed once.
//!
//! In: text · Out: `Schedule` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens when a run is due while another run of the policy is unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// The due run is skipped and counted as missed.
    #[default]
    Forbid,
    /// The unfinished run is ended and the due one starts.
    Replace,
}
