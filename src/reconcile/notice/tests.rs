use insta::assert_snapshot;

use super::*;
use crate::domain::receiver::REASONS;
use crate::reconcile::resource::Key;

fn at(text: &str) -> Timestamp {
    format!("2026-11-27T{text}Z").parse().unwrap()
}

fn news(tone: Tone, reason: &'static str, message: &str) -> News {
    News { about: Key::new("BackupPolicy", "daily"), tone, reason, message: message.into() }
}

fn failed() -> News {
    news(Tone::Warning, "BackupFailed", "no snapshot was made: <vault> & more")
}

fn notices(form: &str, on: &str) -> Notices {
    let text = format!("{{name: team, type: {form}, url: 'https://hooks.example.org/hunter2/', on: {on}}}");
    let receiver = serde_saphyr::from_str(&text).unwrap();
    Notices::new("prod", vec![Known { receiver, authorities: None }])
}

fn sent(notices: &mut Notices, news: &News, now: &str) -> String {
    let all = notices.of(news, at(now)).into_iter();
    let pretty = |notice: Notice| {
        let body: Json = serde_json::from_str(&notice.post.body).unwrap();
        format!("{}\n{}", notice.post.url, serde_json::to_string_pretty(&body).unwrap())
    };
    all.map(pretty).collect::<Vec<_>>().join("\n")
}

#[test]
fn slack_gets_a_text_and_blocks_in_which_nothing_is_a_link() {
    assert_snapshot!(sent(&mut notices("slack", "[Warning]"), &failed(), "10:00:00"), @r#"
    https://hooks.example.org/hunter2/
    {
      "text": ":warning: *BackupFailed* BackupPolicy daily in cluster prod: no snapshot was made: &lt;vault&gt; &amp; more",
      "blocks": [
        {
          "type": "section",
          "text": {
            "type": "mrkdwn",
            "text": ":warning: *BackupFailed* BackupPolicy daily in cluster prod"
          }
        },
        {
          "type": "section",
          "text": {
            "type": "plain_text",
            "text": "no snapshot was made: <vault> & more",
            "emoji": false
          }
        }
      ]
    }
    "#);
}

#[test]
fn everybody_else_gets_fields_that_stay() {
    assert_snapshot!(sent(&mut notices("webhook", "[BackupFailed]"), &failed(), "10:00:00"), @r#"
    https://hooks.example.org/hunter2/
    {
      "version": 1,
      "cluster": "prod",
      "kind": "BackupPolicy",
      "name": "daily",
      "reason": "BackupFailed",
      "severity": "warning",
      "message": "no snapshot was made: <vault> & more",
      "time": "2026-11-27T10:00:00Z"
    }
    "#);
}

#[test]
fn an_alertmanager_is_told_the_beginning_and_the_end() {
    let mut notices = notices("alertmanager", "[Warning]");
    assert_snapshot!(sent(&mut notices, &failed(), "10:00:00"), @r#"
    https://hooks.example.org/hunter2/api/v2/alerts
    [
      {
        "labels": {
          "alertname": "BackupFailed",
          "cluster": "prod",
          "kind": "BackupPolicy",
          "name": "daily",
          "severity": "warning"
        },
        "annotations": {
          "summary": "BackupPolicy daily BackupFailed",
          "description": "no snapshot was made: <vault> & more"
        },
        "startsAt": "2026-11-27T10:00:00Z",
        "endsAt": "2026-11-28T10:00:00Z"
      }
    ]
    "#);
    let complete = news(Tone::Normal, "BackupComplete", "snapshot daily-1, 7 objects");
    assert_snapshot!(sent(&mut notices, &complete, "11:00:00"), @r#"
    https://hooks.example.org/hunter2/api/v2/alerts
    [
      {
        "labels": {
          "alertname": "BackupFailed",
          "cluster": "prod",
          "kind": "BackupPolicy",
          "name": "daily",
          "severity": "warning"
        },
        "annotations": {
          "summary": "BackupPolicy daily BackupComplete",
          "description": "snapshot daily-1, 7 objects"
        },
        "endsAt": "2026-11-27T11:00:00Z"
      },
      {
        "labels": {
          "alertname": "BackupPartial",
          "cluster": "prod",
          "kind": "BackupPolicy",
          "name": "daily",
          "severity": "warning"
        },
        "annotations": {
          "summary": "BackupPolicy daily BackupComplete",
          "description": "snapshot daily-1, 7 objects"
        },
        "endsAt": "2026-11-27T11:00:00Z"
      }
    ]
    "#);
    let mut only_missed = self::notices("alertmanager", "[RunMissed]");
    assert_eq!(sent(&mut only_missed, &complete, "11:00:00"), "", "it was not told the beginning");
}

#[test]
fn quiet_news_ends_an_alert_and_disturbs_nobody() {
    let reached = news(Tone::Quiet, "LocationReached", "the location can be reached");
    let told = sent(&mut notices("alertmanager", "[Warning, Normal]"), &reached, "10:00:00");
    assert!(told.contains("LocationUnreachable") && !told.contains("startsAt"), "{told}");
    for form in ["slack", "webhook"] {
        assert_eq!(sent(&mut notices(form, "[Warning, Normal, LocationReached]"), &reached, "10:00:00"), "");
    }
}

#[test]
fn a_receiver_gets_what_it_asks_for() {
    let complete = news(Tone::Normal, "BackupComplete", "snapshot daily-1");
    let gets = |on: &str, news: &News| !notices("webhook", on).of(news, at("10:00:00")).is_empty();
    assert!(gets("[Warning]", &failed()) && !gets("[Warning]", &complete));
    assert!(gets("[Normal]", &complete) && !gets("[Normal]", &failed()));
    assert!(gets("[RunMissed, BackupFailed]", &failed()) && !gets("[RunMissed]", &failed()));
}

#[test]
fn the_same_news_is_sent_once_in_ten_minutes_unless_it_ended_or_was_not_delivered() {
    let mut notices = notices("webhook", "[Warning]");
    let mut times = |news: &News, now: &str| notices.of(news, at(now)).len();
    assert_eq!([times(&failed(), "10:00:00"), times(&failed(), "10:09:59")], [1, 0]);
    assert_eq!(times(&news(Tone::Warning, "BackupFailed", "another reason"), "10:09:59"), 1);
    assert_eq!([times(&failed(), "10:10:00"), times(&failed(), "10:10:01")], [1, 0]);
    times(&news(Tone::Normal, "BackupComplete", "snapshot daily-1"), "10:11:00");
    assert_eq!(times(&failed(), "10:12:00"), 1, "it ended in between");
    notices.failed("team", &failed());
    assert_eq!(notices.of(&failed(), at("10:12:01")).len(), 1, "it was not delivered");
}

#[test]
fn a_notice_shows_no_address_and_its_message_is_bounded() {
    let long = news(Tone::Warning, "BackupFailed", &"x".repeat(5_000));
    let notice = notices("slack", "[Warning]").of(&long, at("10:00:00")).remove(0);
    assert_eq!(format!("{notice:?}"), "Notice(BackupFailed to team)");
    assert!(notice.post.body.len() < 3 * MESSAGE);
}

/// Words after `reason:` or a tone in the rooms of this floor: what news there is.
#[test]
fn every_reason_of_the_reconciler_can_be_asked_for() {
    let mut reasons = std::collections::BTreeSet::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/reconcile")).unwrap() {
        let Ok(text) = std::fs::read_to_string(file.unwrap().path()) else { continue };
        for mark in ["reason: \"", "Tone::Warning, \"", "Tone::Normal, \""] {
            let found = text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
            let words = found.filter(|word| word.chars().all(char::is_alphanumeric));
            reasons.extend(words.map(str::to_owned));
        }
    }
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), REASONS, "domain/receiver.rs lists them");
}
