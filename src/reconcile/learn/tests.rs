use serde_json::{Value, json};

use super::*;
use crate::domain::object::Json;
use crate::engine::policy::origin::FileContent;
use crate::engine::policy::repository::{Role, SourceFile};
use crate::reconcile::desk::Settings;
use crate::reconcile::event::Action;
use crate::reconcile::lease;
use crate::reconcile::next::next;

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn now() -> Timestamp {
    "2026-11-27T10:00:00Z".parse().unwrap()
}

fn location() -> Value {
    json!({"archive": {"url": "s3://vault"}, "recipients": [RECIPIENT]})
}

/// A leader that has not heard of its repository yet.
fn leader(fallback: Fallback) -> Desk {
    let settings = Settings {
        replica: "a".into(),
        git: true,
        resources: true,
        interval: Duration::from_mins(1),
        restores: true,
        runs: 2,
        cluster: "prod".into(),
        fallback,
    };
    let mut desk = Desk::new(settings, now());
    desk.leads_until = Some(after(now(), lease::TRUST));
    desk
}

fn view(kind: &'static str, name: &str, (spec, status): (Json, Json)) -> Resource {
    Resource {
        key: Key::new(kind, name),
        uid: name.into(),
        generation: 1,
        is_view: true,
        held: None,
        requested: None,
        spec,
        status,
    }
}

/// The views of a repository that was in force at `good`.
fn views() -> Listing {
    let policy = json!({"locations": ["vault"], "schedule": "0 2 * * *"});
    Listing {
        served: true,
        resources: vec![
            view("PolicyRepository", REPOSITORY, (json!({}), json!({"revision": "good"}))),
            view("BackupLocation", "vault", (location(), Json::Null)),
            view("BackupPolicy", "shown", (policy, Json::Null)),
        ],
        ..Listing::default()
    }
}

fn good() -> Repository {
    let document = |kind: &str, name: &str, spec: Value| {
        let document = json!({
            "apiVersion": "backstay.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let content = FileContent::Bytes(document.to_string().into_bytes());
        SourceFile { path: format!("{name}.yaml"), content, part: Role::Plain }
    };
    let files = vec![
        document("BackupLocation", "vault", location()),
        document("BackupPolicy", "signed", json!({"locations": ["vault"]})),
    ];
    Repository { files, revision: Some("good".into()), ..Repository::default() }
}

fn in_force(desk: &Desk) -> Vec<&str> {
    desk.force.set.policies.keys().map(String::as_str).collect()
}

fn untrusted(commit: &str) -> Unfetched {
    Unfetched { why: "it is not to be trusted".into(), distrusts: Some(commit.into()) }
}

/// The newest commit is not signed by anybody who may.
fn distrusted(desk: &mut Desk, commit: &str) {
    fetched(desk, Err(untrusted(commit)), &Identities::default(), now());
}

fn refuse(desk: &mut Desk) {
    listed(desk, Ok(views()), &Identities::default(), now());
    distrusted(desk, "newer");
}

#[test]
fn views_stand_in_for_a_repository_only_where_they_may() {
    let mut desk = leader(Fallback::Views);
    refuse(&mut desk);
    assert_eq!(in_force(&desk), ["shown"]);
    // Whoever can write custom resources could have made these.
    let mut desk = leader(Fallback::Revision);
    refuse(&mut desk);
    assert_eq!(in_force(&desk), [""; 0]);
}

#[test]
fn where_they_may_not_the_revision_that_was_in_force_does() {
    let mut desk = leader(Fallback::Revision);
    refuse(&mut desk);
    let asks = |action: &Action| matches!(action, Action::Fetch(Some(revision)) if revision == "good");
    assert!(next(&mut desk, now()).iter().any(asks));
    remembered(&mut desk, Ok(good()), &Identities::default(), now());
    assert_eq!(in_force(&desk), ["signed"]);
    assert!(!next(&mut desk, after(now(), AGAIN)).iter().any(asks), "it is at hand");
    // What one that led before knew of Git is no longer in force where another revision is remembered.
    let mut desk = leader(Fallback::Revision);
    desk.git.good = Some(Arc::new(Repository { revision: Some("older".into()), ..good() }));
    refuse(&mut desk);
    assert_eq!(in_force(&desk), [""; 0]);
    assert!(next(&mut desk, now()).iter().any(asks));
}

/// A leader with a signed revision in force.
pub(in crate::reconcile) fn signed() -> Desk {
    let mut desk = leader(Fallback::Signed);
    listed(&mut desk, Ok(views()), &Identities::default(), now());
    fetched(&mut desk, Ok(good()), &Identities::default(), now());
    assert_eq!(in_force(&desk), ["signed"]);
    desk
}

fn asks_for_good(desk: &mut Desk) -> bool {
    let asks = |action: &Action| matches!(action, Action::Fetch(Some(revision)) if revision == "good");
    next(desk, now()).iter().any(asks)
}

#[test]
fn the_revision_of_a_signer_who_no_longer_counts_is_in_force_no_more() {
    let mut desk = signed();
    distrusted(&mut desk, "good");
    assert_eq!(in_force(&desk), [""; 0]);
    listed(&mut desk, Ok(Listing { served: true, ..Listing::default() }), &Identities::default(), now());
    assert_eq!(in_force(&desk), [""; 0]);
    // The signer counts again.
    fetched(&mut desk, Ok(good()), &Identities::default(), now());
    assert_eq!(in_force(&desk), ["signed"]);
}

#[test]
fn behind_a_newer_commit_that_is_not_trusted_the_one_in_force_is_checked_again() {
    let mut desk = signed();
    assert!(!asks_for_good(&mut desk));
    distrusted(&mut desk, "newer");
    assert_eq!(in_force(&desk), ["signed"]);
    assert!(asks_for_good(&mut desk));
    remembered(&mut desk, Err(Unfetched::from("no answer".to_owned())), &Identities::default(), now());
    assert_eq!(in_force(&desk), ["signed"], "nothing is known against it");
    remembered(&mut desk, Ok(good()), &Identities::default(), now());
    assert!(!asks_for_good(&mut desk), "it was checked");
    distrusted(&mut desk, "newer");
    remembered(&mut desk, Err(untrusted("good")), &Identities::default(), now());
    assert_eq!(in_force(&desk), [""; 0]);
}

#[test]
fn a_replica_that_leads_again_takes_no_signed_revision_from_memory() {
    for (fallback, wanted) in [(Fallback::Signed, &[][..]), (Fallback::Revision, &["signed"])] {
        let mut desk = signed();
        desk.settings.fallback = fallback;
        desk.step_down(now());
        desk.leads_until = Some(after(now(), lease::TRUST));
        listed(&mut desk, Ok(views()), &Identities::default(), now());
        fetched(&mut desk, Err(Unfetched::from("no answer".to_owned())), &Identities::default(), now());
        assert_eq!(in_force(&desk), wanted, "{fallback:?}");
    }
}

#[test]
fn a_commit_with_the_same_files_is_the_revision_in_force() {
    let mut desk = signed();
    let amended = Repository { revision: Some("amended".into()), ..good() };
    let views = desk.views.clone();
    fetched(&mut desk, Ok(amended), &Identities::default(), now());
    assert_eq!(desk.force.set.revision.as_deref(), Some("amended"));
    assert_eq!(desk.git.good.as_ref().unwrap().revision.as_deref(), Some("amended"));
    assert!(Arc::ptr_eq(&views, &desk.views), "nothing was made anew");
    assert_eq!(in_force(&desk), ["signed"]);
}

#[test]
fn a_commit_with_the_same_errors_changes_nothing() {
    let mut desk = signed();
    let mut broken = good();
    broken.files.remove(0);
    for revision in ["broken", "still-broken"] {
        let broken = Repository { revision: Some(revision.into()), ..broken.clone() };
        fetched(&mut desk, Ok(broken), &Identities::default(), now());
        assert_eq!(desk.force.set.revision.as_deref(), Some("good"));
        assert_eq!(desk.git.good.as_ref().unwrap().revision.as_deref(), Some("good"));
        assert!(!desk.git.problems.is_empty());
    }
}
