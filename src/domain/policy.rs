//! What a human wants saved: the `BackupPolicy` document.
//!
//! In: YAML through serde · Out: `PolicySpec` · Touches: nothing

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::field::FieldError;
use super::hook::{HookAnnotations, HookWhen};
use super::hook_template::{HookUse, check_uses};
use super::path::FieldPath;
use super::pattern::KindMatcher;
use super::retention::Retention;
use super::schedule::{ConcurrencyPolicy, Schedule, zone_named};
use super::selection::{SelectSpec, Selection};

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
    /// What runs before objects are read (`PreBackup`) and after (`PostBackup`): templates by name, or hooks written in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookUse>,
    /// Whether pods of the selection may ask for hooks by Velero's annotations, such as `pre.hook.backup.velero.io/command`.
    /// Default: Velero: they may.
    #[serde(default)]
    pub hook_annotations: HookAnnotations,
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

/// When hooks of a policy run.
pub const BACKUP: [HookWhen; 2] = [HookWhen::PreBackup, HookWhen::PostBackup];

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

impl PolicySpec {
    /// Everything that is wrong with it, but for the documents it names.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = self.check_schedule();
        let select = Selection::compile(&self.select).err().unwrap_or_default();
        errors.extend(select.into_iter().map(|e| e.under("/select")));
        for (index, name) in self.locations.iter().enumerate() {
            if self.locations[..index].contains(name) {
                errors
                    .push(FieldError::new(format!("/locations/{index}"), format!("`{name}` is named twice")));
            }
        }
        errors.extend(check_uses(&self.hooks, BACKUP).into_iter().map(|e| e.under("/hooks")));
        let retention = self.retention.iter().flat_map(Retention::check);
        errors.extend(retention.map(|e| e.under("/retention")));
        errors.extend(self.mirror.check().into_iter().map(|e| e.under("/mirror")));
        for (index, rule) in self.encrypt.iter().enumerate() {
            errors.extend(rule.check().into_iter().map(|e| e.under(&format!("/encrypt/{index}"))));
        }
        if self.timeout.is_some_and(|t| t.as_seconds() == 0) {
            errors.push(FieldError::new("/timeout", "a timeout must be longer than 0s"));
        }
        errors
    }

    fn check_schedule(&self) -> Vec<FieldError> {
        let zone = self.time_zone.as_deref();
        let result = match &self.schedule {
            Some(text) => Schedule::parse(text, zone).map(drop),
            None => zone.map_or(Ok(()), |zone| zone_named(zone).map(drop)),
        };
        let mut errors = Vec::new();
        if let Err(error) = result {
            let at = if error.is_zone() { "/timeZone" } else { "/schedule" };
            errors.push(FieldError::new(at, &error).help(error.help()));
        }
        let needs =
            [("/startingDeadline", self.starting_deadline.is_some()), ("/jitter", self.jitter.is_some())];
        for (at, _) in needs.into_iter().filter(|(_, given)| *given && self.schedule.is_none()) {
            errors.push(FieldError::new(at, "has no meaning without a `schedule`"));
        }
        errors
    }
}

impl MirrorRules {
    /// Everything that is wrong with the patterns and pointers.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = check_kinds("/include", &self.include);
        for (index, rule) in self.ignore.iter().enumerate() {
            errors.extend(check_kinds(&format!("/ignore/{index}/kinds"), &rule.kinds));
            for (field, text) in rule.fields.iter().enumerate() {
                let at = format!("/ignore/{index}/fields/{field}");
                if let Err(error) = FieldPath::parse(text) {
                    errors.push(FieldError::new(at, error));
                } else if ["/apiVersion", "/kind", "/metadata", "/metadata/name"].contains(&text.as_str()) {
                    errors.push(FieldError::new(at, format!("`{text}` is what an object is found by")));
                }
            }
        }
        errors
    }
}

impl EncryptRule {
    /// Everything that is wrong with the patterns and field names.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = check_kinds("/kinds", &self.kinds);
        for (index, field) in self.fields.iter().enumerate() {
            let at = format!("/fields/{index}");
            if ["apiVersion", "kind", "metadata"].contains(&field.as_str()) {
                errors.push(FieldError::new(at, format!("`{field}` must stay readable")));
            } else if field.is_empty() || field.contains('/') {
                let help = "write `spec`; all of it is encrypted then";
                errors.push(FieldError::new(at, format!("{field:?} is no top-level field")).help(help));
            }
        }
        errors
    }
}

/// Everything that is wrong with a list of kind patterns.
pub fn check_kinds(pointer: &str, patterns: &[KindPattern]) -> Vec<FieldError> {
    let each = patterns.iter().enumerate();
    each.filter_map(|(index, text)| {
        let error = KindMatcher::new(std::slice::from_ref(text)).err()?;
        Some(FieldError::new(format!("{pointer}/{index}"), error))
    })
    .collect()
}
