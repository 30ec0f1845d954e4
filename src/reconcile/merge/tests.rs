use serde_json::json;

use super::*;
use crate::domain::document::API_VERSION;
use crate::domain::object::Json;
use crate::engine::policy::origin::FileContent;
use crate::engine::policy::repository::{Role, SourceFile};

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn location(url: &str) -> Json {
    json!({"archive": {"url": url}, "recipients": [RECIPIENT]})
}

fn document(kind: &str, name: &str, spec: &Json) -> String {
    json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
}

fn repository(revision: &str, documents: &[String]) -> Repository {
    let file = |(number, text): (usize, &String)| SourceFile {
        path: format!("{number}.yaml"),
        content: FileContent::Bytes(text.clone().into_bytes()),
        part: Role::Plain,
    };
    Repository {
        place: "test".into(),
        files: documents.iter().enumerate().map(file).collect(),
        revision: Some(revision.into()),
        ..Repository::default()
    }
}

fn resource(kind: &'static str, name: &str, spec: Json) -> Resource {
    Resource {
        key: Key::new(kind, name),
        uid: String::new(),
        generation: 1,
        is_view: false,
        held: None,
        requested: None,
        spec,
        status: Json::Null,
    }
}

fn good() -> Repository {
    repository(
        "good",
        &[
            document("BackupLocation", "vault", &location("s3://vault")),
            document("BackupPolicy", "nightly", &json!({"locations": ["vault"]})),
        ],
    )
}

fn bad() -> Repository {
    let typo = document("BackupPolicy", "nightly", &json!({"locations": ["volt"]}));
    repository("bad", &[document("BackupLocation", "vault", &location("s3://vault")), typo])
}

fn told(merged: &Merged) -> String {
    let revision = merged.in_force.as_ref().map(|force| {
        let policies: Vec<&str> = force.set.policies.keys().map(String::as_str).collect();
        format!("{} {policies:?}", force.set.revision.as_deref().unwrap_or("-"))
    });
    let wrong: Vec<String> = merged.wrong.keys().map(ToString::to_string).collect();
    format!("{revision:?}, {} rejected, wrong {wrong:?}", merged.rejected.len())
}

fn merged(newest: Option<&Repository>, last: Option<&Repository>, resources: &[Resource]) -> Merged {
    merge(newest, last, resources, &Identities::default())
}

#[test]
fn a_broken_revision_changes_nothing_and_says_where_it_is_broken() {
    let result = merged(Some(&bad()), Some(&good()), &[]);
    assert_eq!(told(&result), r#"Some("good [\"nightly\"]"), 1 rejected, wrong []"#);
    let problem = &result.rejected[0];
    assert_eq!((problem.file.as_str(), problem.path.as_str()), ("1.yaml", "spec.locations[0]"));
}

#[test]
fn without_a_good_revision_a_broken_one_leaves_things_as_they_are() {
    assert_eq!(told(&merged(Some(&bad()), None, &[])), "None, 1 rejected, wrong []");
}

#[test]
fn a_custom_resource_comes_before_a_document_of_the_same_name_in_git() {
    let other = resource("BackupPolicy", "nightly", json!({"locations": ["vault"], "schedule": "@daily"}));
    let result = merged(Some(&good()), None, &[other]).in_force.unwrap();
    assert_eq!(result.set.policies["nightly"].schedule.as_deref(), Some("@daily"));
    let key = Key::new("BackupPolicy", "nightly");
    assert_eq!((result.origins[&key], result.shadowed.contains(&key)), (Origin::Resource, true));
    assert_eq!(result.origins[&Key::new("BackupLocation", "vault")], Origin::Git);
}

#[test]
fn documents_of_both_sources_name_each_other() {
    let weekly = resource("BackupPolicy", "weekly", json!({"locations": ["vault"]}));
    let result = merged(Some(&good()), None, &[weekly]);
    assert_eq!(told(&result), r#"Some("good [\"nightly\", \"weekly\"]"), 0 rejected, wrong []"#);
}

#[test]
fn a_wrong_custom_resource_stands_alone() {
    let wrong = resource("BackupPolicy", "weekly", json!({"locations": ["nowhere"]}));
    let fine = resource("BackupPolicy", "hourly", json!({"locations": ["vault"]}));
    let result = merged(Some(&good()), None, &[wrong, fine]);
    assert_eq!(
        told(&result),
        r#"Some("good [\"hourly\", \"nightly\"]"), 0 rejected, wrong ["BackupPolicy weekly"]"#
    );
}

#[test]
fn a_location_that_is_wrong_takes_the_policies_along_that_need_it() {
    let location =
        resource("BackupLocation", "mine", json!({"archive": {"url": "ftp://x"}, "recipients": [RECIPIENT]}));
    let policy = resource("BackupPolicy", "weekly", json!({"locations": ["mine"]}));
    let result = merged(Some(&good()), None, &[location, policy]);
    assert_eq!(
        told(&result),
        r#"Some("good [\"nightly\"]"), 0 rejected, wrong ["BackupLocation mine", "BackupPolicy weekly"]"#
    );
}

#[test]
fn views_of_git_documents_are_no_source() {
    let view =
        Resource { is_view: true, ..resource("BackupPolicy", "gone", json!({"locations": ["vault"]})) };
    assert_eq!(
        told(&merged(Some(&good()), None, &[view])),
        r#"Some("good [\"nightly\"]"), 0 rejected, wrong []"#
    );
}

#[test]
fn custom_resources_alone_are_enough() {
    let location = resource("BackupLocation", "vault", location("s3://vault"));
    let policy = resource("BackupPolicy", "weekly", json!({"locations": ["vault"]}));
    let result = merged(None, None, &[location, policy]);
    assert_eq!(told(&result), r#"Some("- [\"weekly\"]"), 0 rejected, wrong []"#);
    assert!(merged(None, None, &[]).in_force.unwrap().origins.is_empty());
}
