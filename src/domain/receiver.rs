//! Who is told when something happens: the file of `run --notify`.
//!
//! In: YAML through serde · Out: `Receiver` · Touches: nothing

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::field::{FieldError, closest};

/// The file: a list of receivers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receivers {
    /// Receivers, at least one.
    #[schemars(length(min = 1))]
    pub receivers: Vec<Receiver>,
}

/// One receiver. Its address and headers are secrets: its `Debug` shows the name only.
#[derive(Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receiver {
    /// Name in metrics and logs.
    pub name: String,
    /// What it understands.
    #[serde(rename = "type")]
    pub form: Form,
    /// Address, `http` or `https`; of an Alertmanager the one before `/api/v2/alerts`.
    pub url: String,
    /// What is sent: reasons such as `BackupFailed`, `Warning` for all bad news, `Normal` for all good news. Default: `[Warning]`.
    #[serde(default = "warnings")]
    pub on: Vec<String>,
    /// Headers of each request by name, such as `Authorization`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// PEM file with the certificate authorities of an HTTPS server. Absent: the system's.
    #[serde(default)]
    pub ca_cert: Option<String>,
}

/// What a receiver understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Incoming webhooks of Slack, and of what takes the same: Mattermost, Rocket.Chat, Discord behind `/slack`.
    Slack,
    /// A JSON object of our own.
    Webhook,
    /// An Alertmanager of Prometheus, API v2.
    Alertmanager,
}

/// All bad news.
pub const WARNING: &str = "Warning";
/// All good news.
pub const NORMAL: &str = "Normal";

/// Reasons of news, as events have them.
pub const REASONS: [&str; 14] = [
    "BackupComplete",
    "BackupFailed",
    "BackupPartial",
    "Covered",
    "LocationReached",
    "LocationUnreachable",
    "NotCovered",
    "PruneFailed",
    "Pruned",
    "RestoreComplete",
    "RestoreFailed",
    "RestorePartial",
    "RunMissed",
    "VerifyFailed",
];

fn warnings() -> Vec<String> {
    vec![WARNING.to_owned()]
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({})", self.name)
    }
}

impl Receivers {
    /// Everything that is wrong with it. No message holds an address or a header's value.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, receiver) in self.receivers.iter().enumerate() {
            let at = |field: &str| format!("/receivers/{index}/{field}");
            if self.receivers[..index].iter().any(|other| other.name == receiver.name) {
                let message = format!("there is a receiver {:?} already", receiver.name);
                errors.push(FieldError::new(at("name"), message));
            }
            let web = Url::parse(&receiver.url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
            if !web {
                let error = FieldError::new(at("url"), "it is no address of the web");
                errors.push(error.help("write it whole, with `https://`"));
            }
            for (place, word) in receiver.on.iter().enumerate() {
                errors.extend(unknown(word).map(|error| error.under(&at(&format!("on/{place}")))));
            }
            let letters = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            for name in receiver.headers.keys().filter(|name| name.is_empty() || !letters(name)) {
                errors.push(FieldError::new(at("headers"), format!("{name:?} is no name of a header")));
            }
        }
        errors
    }
}

fn unknown(word: &str) -> Option<FieldError> {
    let words = || REASONS.into_iter().chain([WARNING, NORMAL]);
    if words().any(|known| known == word) {
        return None;
    }
    let error = FieldError::new("", format!("nothing is told as {word:?}"));
    Some(match closest(word, words()) {
        Some(near) => error.help(format!("did you mean {near:?}?")),
        None => error.help(format!("there are: {}", words().collect::<Vec<_>>().join(", "))),
    })
}
