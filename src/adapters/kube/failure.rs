//! Turns what went wrong between Backstay and an API server into the port's error, without contents of objects.
//!
//! In: a status answer, or a failed request · Out: `cluster::Error` · Touches: nothing

use std::error::Error as Cause;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;
use kube::client::AuthError;
use kube::core::Status;

use super::scrub::{self, Content};
use crate::ports::cluster::Error;

/// An answer other than success: the HTTP status, its `Retry-After` and its body.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// HTTP status code.
    pub code: u16,
    /// The `Retry-After` header, in seconds.
    pub after: Option<Duration>,
    /// Body: a `Status` object, or some text of a proxy on the way.
    pub body: &'a [u8],
}

impl Refusal<'_> {
    /// Whether the server serves the kind and has no object of this name.
    ///
    /// For a kind that it does not serve, a 404 names no object.
    pub fn names_absent(&self, name: &str) -> bool {
        self.code == 404 && self.status().details.is_some_and(|details| details.name == name)
    }

    /// The port's error for it.
    pub fn error(&self, content: Content) -> Error {
        let status = self.status();
        let words = || scrub::words(&status, content);
        match self.code {
            401 => Error::Unauthorized(words()),
            403 => Error::Forbidden(words()),
            404 => Error::NotFound(what(&status).unwrap_or_else(words)),
            409 if status.is_already_exists() => Error::AlreadyExists,
            409 => Error::Conflict(words()),
            410 => Error::Expired { next: next(&status) },
            500 if is_about_the_object(&status.message) => Error::Invalid(words()),
            408 | 429 | 500..=599 => Error::Busy { reason: self.reason(words()), after: self.wait(&status) },
            400..=499 => Error::Invalid(words()),
            code => Error::Garbled(format!("HTTP status {code}")),
        }
    }

    /// The `Status` object; where the body is none, one that holds the text.
    fn status(&self) -> Status {
        let text = || String::from_utf8_lossy(self.body).into_owned();
        serde_json::from_slice(self.body).unwrap_or_else(|_| Status::failure(&text(), ""))
    }

    fn reason(&self, words: String) -> String {
        if words.is_empty() { format!("HTTP status {}", self.code) } else { words }
    }

    fn wait(&self, status: &Status) -> Option<Duration> {
        let said = status.details.as_ref().map(|d| d.retry_after_seconds).filter(|seconds| *seconds > 0);
        self.after.or(said.map(|seconds| Duration::from_secs(seconds.into())))
    }
}

/// `configmaps x`, or `deployments.apps web`.
fn what(status: &Status) -> Option<String> {
    let details = status.details.as_ref().filter(|details| !details.name.is_empty())?;
    let dot = if details.group.is_empty() { "" } else { "." };
    Some(format!("{}{dot}{} {}", details.kind, details.group, details.name))
}

fn next(status: &Status) -> Option<String> {
    let token = status.metadata.as_ref()?.continue_.clone()?;
    Some(token).filter(|token| !token.is_empty())
}

/// Refusals for which an API server has no better status than 500.
///
/// Source: `FieldManager.Apply` for the first two, `storage.ErrResourceVersionSetOnCreate`, etcd's `ErrRequestTooLarge`.
fn is_about_the_object(message: &str) -> bool {
    [
        "failed to create typed patch object",
        "failed to create manager for existing fields",
        "field not declared in schema",
        "resourceVersion should not be set on objects to be created",
        "request is too large",
    ]
    .iter()
    .any(|known| message.contains(known))
}

/// The port's error for a request that had no answer.
pub fn unanswered(error: &kube::Error, url: &str) -> Error {
    let chain = || std::iter::successors(Some(error as &(dyn Cause + 'static)), |e| (*e).source());
    if let Some(auth) = chain().find_map(<dyn Cause>::downcast_ref::<AuthError>) {
        return Error::Unauthorized(credentials(auth));
    }
    let deepest = chain().last().map(ToString::to_string).unwrap_or_default();
    let timed_out = chain()
        .filter_map(<dyn Cause>::downcast_ref::<io::Error>)
        .any(|error| error.kind() == io::ErrorKind::TimedOut);
    let reason = if timed_out { "no answer in time".to_owned() } else { deepest };
    let connecting =
        chain().filter_map(<dyn Cause>::downcast_ref::<legacy::Error>).any(legacy::Error::is_connect);
    let text = format!("{url}: {}", scrub::line(&reason, Content::None));
    if connecting { Error::Unreachable(text) } else { Error::Busy { reason: text, after: None } }
}

/// Why there are no credentials. What a plugin printed to its standard output, and its environment, stay out of it.
pub fn credentials(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = scrub::line(said.trim().lines().last().unwrap_or_default(), Content::None);
            let colon = if said.is_empty() { "" } else { ": " };
            format!("the credential plugin ended with {}{colon}{said}", out.status)
        }
        AuthError::AuthExecStart(cause) => format!("the credential plugin does not start: {cause}"),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            "the credential plugin printed no credentials".into()
        }
        other => scrub::line(&other.to_string(), Content::Secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, body: &str) -> Error {
        Refusal { code, after: None, body: body.as_bytes() }.error(Content::Plain)
    }

    fn shown(code: u16, body: &str) -> String {
        format!("{:?}", error(code, body))
    }

    #[test]
    fn each_status_is_one_error() {
        let exists = r#"{"kind":"Status","reason":"AlreadyExists","message":"configmaps \"x\" already exists","code":409}"#;
        let stale = r#"{"reason":"Conflict","message":"the object has been modified","code":409}"#;
        let gone = r#"{"reason":"Expired","message":"too old","metadata":{"continue":"abc"},"code":410}"#;
        for (code, body, expected) in [
            (401, r#"{"message":"Unauthorized"}"#, r#"Unauthorized("Unauthorized")"#),
            (403, r#"{"message":"no"}"#, r#"Forbidden("no")"#),
            (404, "404 page not found\n", r#"NotFound("404 page not found")"#),
            (409, exists, "AlreadyExists"),
            (409, stale, r#"Conflict("the object has been modified")"#),
            (410, gone, r#"Expired { next: Some("abc") }"#),
            (410, "", "Expired { next: None }"),
            (400, r#"{"message":"invalid continue token"}"#, r#"Invalid("invalid continue token")"#),
            (405, r#"{"message":"no such method"}"#, r#"Invalid("no such method")"#),
            (500, "", r#"Busy { reason: "HTTP status 500", after: None }"#),
            (503, "service unavailable\n", r#"Busy { reason: "service unavailable", after: None }"#),
            (
                500,
                r#"{"message":".dat: field not declared in schema"}"#,
                r#"Invalid(".dat: field not declared in schema")"#,
            ),
            (302, "", r#"Garbled("HTTP status 302")"#),
        ] {
            assert_eq!(shown(code, body), expected);
        }
    }

    #[test]
    fn conflicts_name_managers_and_fields() {
        let body = r#"{"reason":"Conflict","code":409,"message":"Apply failed with 1 conflict: conflict with \"helm\" using v1: .data.a",
            "details":{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"helm\" using v1","field":".data.a"}]}}"#;
        assert_eq!(shown(409, body), r#"Conflict(".data.a: conflict with \"helm\" using v1")"#);
    }

    #[test]
    fn a_refused_object_is_described_by_its_fields() {
        let body = r#"{"reason":"Invalid","code":422,"message":"Secret \"s\" is invalid: data[k!]: Invalid value: \"hunter2\"",
            "details":{"name":"s","kind":"Secret","causes":[
              {"reason":"FieldValueInvalid","message":"Invalid value: \"hunter2\": must be a key","field":"data[k!]"},
              {"reason":"FieldValueRequired","message":"Required value","field":"type"}]}}"#;
        assert_eq!(
            shown(422, body),
            r#"Invalid("data[k!]: Invalid value: must be a key; type: Required value")"#
        );
    }

    #[test]
    fn the_header_tells_better_than_the_body_when_to_come_back() {
        let body = br#"{"reason":"TooManyRequests","message":"slow down","details":{"retryAfterSeconds":9}}"#;
        let wait = |after| match (Refusal { code: 429, after, body }).error(Content::None) {
            Error::Busy { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(Some(Duration::from_secs(2))), Some(Duration::from_secs(2)));
        assert_eq!(wait(None), Some(Duration::from_secs(9)));
    }

    #[test]
    fn an_absent_object_is_told_from_an_absent_kind() {
        let absent = r#"{"reason":"NotFound","code":404,"details":{"name":"x","kind":"configmaps"}}"#;
        let refusal = |body: &'static str| Refusal { code: 404, after: None, body: body.as_bytes() };
        assert!(refusal(absent).names_absent("x"));
        assert!(!refusal(r#"{"reason":"NotFound","code":404,"details":{}}"#).names_absent("x"));
        assert!(!refusal("404 page not found").names_absent("x"));
        let nowhere = r#"{"code":404,"details":{"name":"shop","kind":"namespaces"}}"#;
        assert_eq!(shown(404, nowhere), r#"NotFound("namespaces shop")"#);
    }

    #[test]
    fn a_plugin_that_fails_does_not_print_its_token() {
        use std::os::unix::process::ExitStatusExt;
        let out = std::process::Output {
            status: std::process::ExitStatus::from_raw(256),
            stdout: b"token: hunter2".to_vec(),
            stderr: b"trace\nSSO session has expired\n".to_vec(),
        };
        let error = AuthError::AuthExecRun { cmd: "PASSWORD=hunter2 aws".into(), out: Box::new(out) };
        assert_eq!(
            credentials(&error),
            "the credential plugin ended with exit status: 1: SSO session has expired"
        );
    }
}
