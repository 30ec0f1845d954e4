//! Decides who is told of news, and in which words: bodies for Slack, Alertmanager and everybody else.
//!
//! In: `News`, receivers, now · Out: `Notice`s · Touches: nothing

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::event::{News, Notice, Tone};
use crate::domain::object::Json;
use crate::domain::receiver::{Form, NORMAL, Receiver, WARNING};
use crate::domain::status::{short, whole};
use crate::engine::retry::after;
use crate::ports::http::Post;

/// News that comes again within this time is sent once.
const ONCE: Duration = Duration::from_mins(10);
/// How long an Alertmanager shows what other news will end.
const UNTIL_ENDED: Duration = Duration::from_hours(24);
/// How long it shows what nothing will end.
const SHORT: Duration = Duration::from_hours(1);
/// Letters of a message that are sent, at most.
const MESSAGE: usize = 2_000;

/// Good news, and the bad news that it ends.
const ENDS: [(&str, &[&str]); 5] = [
    ("BackupComplete", &["BackupFailed", "BackupPartial"]),
    ("Covered", &["NotCovered"]),
    ("LocationReached", &["LocationUnreachable"]),
    ("Pruned", &["PruneFailed"]),
    ("RestoreComplete", &["RestoreFailed", "RestorePartial"]),
];

/// A receiver, and the certificate authorities that it names, as PEM.
#[derive(Clone, Debug)]
pub struct Known {
    /// The receiver.
    pub receiver: Receiver,
    /// Certificate authorities.
    pub authorities: Option<String>,
}

/// Receivers, and what they were sent lately.
pub struct Notices {
    cluster: String,
    receivers: Vec<Known>,
    sent: Vec<(String, Arc<News>, Timestamp)>,
}

impl Notices {
    /// Nothing was sent yet.
    pub fn new(cluster: &str, receivers: Vec<Known>) -> Self {
        Self { cluster: cluster.to_owned(), receivers, sent: Vec::new() }
    }

    /// What is to be sent of news. The same news about the same document comes once within ten minutes, unless it ended
    /// in between.
    pub fn of(&mut self, news: &News, now: Timestamp) -> Vec<Notice> {
        let ended = ended_by(news.reason);
        self.sent.retain(|(_, old, at)| {
            let over = old.about == news.about && ended.contains(&old.reason);
            !over && after(*at, ONCE) > now
        });
        let news = Arc::new(news.clone());
        let mut notices = Vec::new();
        for Known { receiver, authorities } in &self.receivers {
            let known =
                |(name, old, _): &(String, Arc<News>, Timestamp)| *name == receiver.name && *old == news;
            let Some(body) = body(receiver, &self.cluster, &news, now) else { continue };
            if self.sent.iter().any(known) {
                continue;
            }
            self.sent.push((receiver.name.clone(), news.clone(), now));
            let post = Post {
                url: address(receiver),
                headers: receiver.headers.clone(),
                body: body.to_string(),
                authorities: authorities.clone(),
            };
            notices.push(Notice { receiver: receiver.name.clone(), news: news.clone(), post });
        }
        notices
    }

    /// A receiver did not get it: the same news is sent again when it comes again.
    pub fn failed(&mut self, receiver: &str, news: &News) {
        self.sent.retain(|(name, old, _)| name != receiver || old.as_ref() != news);
    }
}

fn ended_by(reason: &str) -> &'static [&'static str] {
    ENDS.iter().find(|(good, _)| *good == reason).map_or(&[], |(_, bad)| bad)
}

fn is_ended(reason: &str) -> bool {
    ENDS.iter().any(|(_, bad)| bad.contains(&reason))
}

/// Whether a receiver wants news of this tone and reason.
fn wants(receiver: &Receiver, tone: Tone, reason: &str) -> bool {
    let tone = match tone {
        Tone::Warning => WARNING,
        Tone::Normal => NORMAL,
        Tone::Quiet => return false,
    };
    receiver.on.iter().any(|word| word == tone || word == reason)
}

/// Alertmanagers are told the end of what they are told the beginning of.
fn body(receiver: &Receiver, cluster: &str, news: &News, now: Timestamp) -> Option<Json> {
    let wanted = wants(receiver, news.tone, news.reason);
    match receiver.form {
        Form::Slack => wanted.then(|| slack(cluster, news)),
        Form::Webhook => wanted.then(|| webhook(cluster, news, now)),
        Form::Alertmanager => {
            let ended = ended_by(news.reason).iter().filter(|bad| wants(receiver, Tone::Warning, bad));
            let begins = wanted.then(|| begins(cluster, news, now));
            let alerts: Vec<Json> =
                begins.into_iter().chain(ended.map(|bad| ends(cluster, news, bad, now))).collect();
            (!alerts.is_empty()).then(|| json!(alerts))
        }
    }
}

fn address(receiver: &Receiver) -> String {
    const PATH: &str = "/api/v2/alerts";
    match receiver.form {
        Form::Slack | Form::Webhook => receiver.url.clone(),
        Form::Alertmanager => {
            let base = receiver.url.trim_end_matches('/');
            format!("{}{PATH}", base.strip_suffix(PATH).unwrap_or(base))
        }
    }
}

fn severity(tone: Tone) -> &'static str {
    match tone {
        Tone::Warning => "warning",
        Tone::Normal | Tone::Quiet => "info",
    }
}

/// Source: docs.slack.dev, "Sending messages using incoming webhooks" and "Formatting message text".
fn slack(cluster: &str, news: &News) -> Json {
    let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mark = match news.tone {
        Tone::Warning => ":warning:",
        Tone::Normal | Tone::Quiet => ":white_check_mark:",
    };
    let title = format!("{mark} *{}* {} in cluster {}", news.reason, news.about, plain(cluster));
    let message = plain(&short(&news.message, MESSAGE));
    json!({
        "text": format!("{title}: {message}"),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": title}},
            {"type": "section", "text": {"type": "plain_text", "text": short(&news.message, MESSAGE), "emoji": false}},
        ],
    })
}

fn webhook(cluster: &str, news: &News, now: Timestamp) -> Json {
    json!({
        "version": 1,
        "cluster": cluster,
        "kind": news.about.kind,
        "name": news.about.name,
        "reason": news.reason,
        "severity": severity(news.tone),
        "message": short(&news.message, MESSAGE),
        "time": whole(now),
    })
}

/// Source: prometheus/alertmanager `api/v2/openapi.yaml`. Alerts that are not sent again end at `endsAt`.
fn begins(cluster: &str, news: &News, now: Timestamp) -> Json {
    let lasts = if is_ended(news.reason) { UNTIL_ENDED } else { SHORT };
    json!({
        "labels": labels(cluster, news, news.reason, severity(news.tone)),
        "annotations": {"summary": format!("{} {}", news.about, news.reason), "description": short(&news.message, MESSAGE)},
        "startsAt": whole(now),
        "endsAt": whole(after(now, lasts)),
    })
}

fn ends(cluster: &str, news: &News, bad: &str, now: Timestamp) -> Json {
    json!({
        "labels": labels(cluster, news, bad, severity(Tone::Warning)),
        "annotations": {"summary": format!("{} {}", news.about, news.reason), "description": short(&news.message, MESSAGE)},
        "endsAt": whole(now),
    })
}

fn labels(cluster: &str, news: &News, reason: &str, severity: &str) -> Json {
    json!({
        "alertname": reason, "cluster": cluster, "kind": news.about.kind, "name": news.about.name, "severity": severity,
    })
}

#[cfg(test)]
mod tests;
