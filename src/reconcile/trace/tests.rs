use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::adapters::memory::clock::FakeClock;
use crate::domain::report::{LocationReport, Phase};
use crate::engine::archive::owner::Name;
use crate::engine::archive::store::tests::report;
use crate::engine::keep::prune::PruneReport;
use crate::work::stop::Stop;

#[derive(Default)]
struct Kept(Mutex<Vec<Span>>);

#[async_trait]
impl Traces for Kept {
    fn tell(&self, span: Span) {
        self.0.lock().unwrap().push(span);
    }

    async fn close(&self) {}
}

fn open(action: &Action) -> (Arc<Kept>, Open) {
    let kept = Arc::new(Kept::default());
    let now = "2026-11-27T10:00:00Z".parse().unwrap();
    let (name, attributes) = begun(action).unwrap();
    let clock = Arc::new(FakeClock::at(now));
    (kept.clone(), Open { traces: kept, clock, began: now, name, attributes })
}

/// The only span of an action, in one line.
fn told(action: &Action, event: &Event) -> String {
    let (kept, open) = open(action);
    open.end(event);
    line(&kept)
}

fn line(kept: &Kept) -> String {
    let spans = kept.0.lock().unwrap();
    assert_eq!(spans.len(), 1);
    let shown = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Texts(texts) => texts.join(", "),
        Value::Number(number) => number.to_string(),
    };
    let attributes = spans[0].attributes.iter().map(|(name, value)| format!("{name}={}", shown(value)));
    let attributes = attributes.collect::<Vec<_>>().join(" ");
    format!("{}: {attributes}; {}", spans[0].name, spans[0].failure.as_deref().unwrap_or("fine"))
}

fn ran(result: Ran) -> String {
    let due = Some("2026-11-27T10:00:00Z".parse().unwrap());
    let action = Action::Run { policy: "shop".into(), due, name: Name::default(), stop: Stop::never() };
    told(&action, &Event::Ran { policy: "shop".into(), due, started: Timestamp::MIN, result })
}

fn backup(outcome: Outcome) -> Ran {
    let mut report = report("2026-11-27T10:00:00Z", outcome, &[]);
    let detail = "what was written".to_owned();
    report.locations = vec![LocationReport { location: "vault".into(), outcome, detail, bytes: 42 }];
    Ran::Report(Box::new(report))
}

fn restore(outcome: Outcome) -> Event {
    let now = Timestamp::MIN;
    let report = RestoreReport {
        source: "snapshot shop at location vault".into(),
        phase: Phase::Finished,
        outcome,
        started: now,
        finished: now,
        waves: Vec::new(),
        left_out: Vec::new(),
        unpruned: Vec::new(),
        hooks: Vec::new(),
        fixups: Vec::new(),
        owners: Vec::new(),
        mentions: Vec::new(),
        notes: Vec::new(),
    };
    Event::Restored("shop".into(), Ok(Restored::Now(Box::new(report))))
}

#[test]
fn a_span_says_what_an_action_was_about_and_what_came_of_it() {
    let prune = Action::Prune("vault".into());
    let pruned = PruneReport { deleted: Vec::new(), failed: Vec::new() };
    let held = Held { records: Vec::new(), pruned: Some(pruned) };
    let asked = Action::Restore("shop".into(), Stop::never());
    let spans = [
        ran(backup(Outcome::Complete)),
        ran(backup(Outcome::Partial)),
        ran(Ran::Nothing("the policy is not in force any more".into())),
        told(&prune, &Event::Pruned("vault".into(), Ok(held))),
        told(&prune, &Event::Pruned("vault".into(), Err("no answer within 60 s".into()))),
        told(&asked, &restore(Outcome::Complete)),
        told(&asked, &restore(Outcome::Failed)),
        told(&Action::Fetch(Some("3f2a".into())), &Event::Remembered(Err("it is away".to_owned().into()))),
    ];
    insta::assert_snapshot!(spans.join("\n"), @"
    backup: backstay.policy=shop backstay.due=2026-11-27T10:00:00Z backstay.run=shop-20261127t100000z-kwpa backstay.locations=vault Complete backstay.objects=0 backstay.bytes=42 backstay.outcome=Complete; fine
    backup: backstay.policy=shop backstay.due=2026-11-27T10:00:00Z backstay.run=shop-20261127t100000z-kwpa backstay.locations=vault Partial backstay.objects=0 backstay.bytes=42 backstay.outcome=Partial; something is missing, and the report names it
    backup: backstay.policy=shop backstay.due=2026-11-27T10:00:00Z backstay.outcome=Failed; the policy is not in force any more
    prune: backstay.location=vault backstay.snapshots=0 backstay.deleted=0 backstay.outcome=Complete; fine
    prune: backstay.location=vault backstay.outcome=Failed; no answer within 60 s
    restore: backstay.request=shop backstay.source=snapshot shop at location vault backstay.objects=0 backstay.outcome=Complete; fine
    restore: backstay.request=shop backstay.source=snapshot shop at location vault backstay.objects=0 backstay.outcome=Failed; it came to nothing, and the report says why
    policy fetch: backstay.revision=3f2a backstay.outcome=Failed; it is away
    ");
}

#[test]
fn an_action_that_is_given_up_is_told_once_and_texts_are_cut() {
    let (kept, open) = open(&Action::Prune("v".repeat(1000)));
    drop(open);
    let line = line(&kept);
    assert!(line.ends_with("backstay.outcome=GivenUp; it was given up before its end"), "{line}");
    assert!(line.contains(&"v".repeat(TEXT)) && !line.contains(&"v".repeat(TEXT + 1)), "{line}");
    let long = told(&Action::Fetch(None), &Event::Fetched(Err("x".repeat(1000).into())));
    assert!(long.ends_with(&"x".repeat(REASON)) && !long.contains(&"x".repeat(REASON + 1)), "{long}");
}

#[test]
fn nobody_is_told_of_what_a_replica_does_all_the_time() {
    for action in [Action::Lead, Action::Cover, Action::Check("vault".into()), Action::Look("shop".into())] {
        assert!(begun(&action).is_none(), "{action:?}");
    }
}
