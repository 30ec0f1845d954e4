//! What a human wants saved: the `BackupPolicy` document.
//!
//! In: YAML through serde · Out: `PolicySpec` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::hook::HookUse;
use super::retention::Retention;
use super::schedule::ConcurrencyPolicy;
use super::selection::SelectSpec;

/// What is backed up, when, for how long, and to which locations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// When to run: cron with five fields (`30 2 * * *`) or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    /// Absent: only on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// IANA time zone of the schedule, such as `Europe/Berlin`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Stops the schedule; runs on demand still work. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How late a run may start before it counts as missed. Absent: any time, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_deadline: Option<Duration>,
    /// Spreads the starts of many policies over this length, the same every time for one policy. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Duration>,
    /// What happens when a run is due while another is unfinished. Default: Forbid.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// Which objects. Absent: every object that can be restored, of both scopes.
    #[serde(default)]
    pub select: SelectSpec,
    /// Names of the locations every snapshot goes to, at least one.
    #[schemars(length(min = 1))]
    pub locations: Vec<String>,
    /// Hooks around the run, by name or in place. Until hooks are carried out, a policy with hooks is refused by `backup`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookUse>,
    /// Which snapshots are kept. Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// What the Git mirror leaves out or takes in.
    #[serde(default)]
    pub mirror: MirrorRules,
    /// What is encrypted in the mirror besides Secrets. The archive is always encrypted as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encrypt: Vec<EncryptRule>,
    /// The run is Failed after this long. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// What the mirror leaves out or takes in, besides what the catalog says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MirrorRules {
    /// Fields that would only make noise in Git.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
    /// Controller-made objects to mirror all the same. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<KindPattern>,
}

/// A pattern for kinds: a Kind (`Deployment`) or `resource.group` (`deployments.apps`), globs `*`, `?`, `[abc]` allowed.
pub type KindPattern = String;

/// Fields of some kinds that the mirror leaves out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IgnoreRule {
    /// Kinds the rule is for.
    #[schemars(length(min = 1))]
    pub kinds: Vec<KindPattern>,
    /// JSON pointers into the object; `*` stands for every list element or key. Absent: the whole object is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// Fields of some kinds that are encrypted in the mirror.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptRule {
    /// Kinds the rule is for.
    #[schemars(length(min = 1))]
    pub kinds: Vec<KindPattern>,
    /// Top-level fields whose whole content is encrypted, such as `data` or `spec`.
    #[schemars(length(min = 1))]
    pub fields: Vec<String>,
}

/// The length a run may take when the policy says nothing.
pub const DEFAULT_TIMEOUT: Duration = Duration::seconds(3_600);
