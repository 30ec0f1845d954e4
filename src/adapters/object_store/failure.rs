//! Says in plain words what an error of object storage means.
//!
//! In: errors of the library · Out: errors of the port · Touches: nothing

use std::error::Error as StdError;

use ::object_store::Error as StoreError;

use crate::ports::bucket::Error;

/// What the message can name.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// `s3://bucket/prefix`.
    pub url: String,
    /// Bucket, container or folder.
    pub bucket: String,
    /// Host that is asked, where it is known.
    pub endpoint: String,
}

/// What a code of the storage means for the person who set it up.
const MEANINGS: [(&[&str], &str); 13] = [
    (&["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"], "the credentials have expired"),
    (&["InvalidAccessKeyId"], "the access key id is not known there"),
    (&["SignatureDoesNotMatch"], "the secret key does not belong to the access key id"),
    (&["InvalidToken", "InvalidClientTokenId"], "the session token is not valid"),
    (&["RequestTimeTooSkewed", "RequestExpired"], "the clock of this machine is wrong"),
    (&["AuthenticationFailed"], "the account key or token is wrong or has expired"),
    (&["AuthorizationHeaderMalformed", "PermanentRedirect"], "the region of the location is wrong"),
    (&["AccountProblem", "AccountIsDisabled", "AllAccessDisabled"], "the account is disabled"),
    (
        &["AccessDenied", "AuthorizationPermissionMismatch", "AuthorizationFailure"],
        "the credentials lack the permission",
    ),
    (&["BlobImmutableDueToPolicy", "ObjectLocked"], "the object is locked by a retention rule"),
    (&["QuotaExceeded", "InsufficientStorage"], "the storage is full"),
    (&["SlowDown", "ServerBusy", "TooManyRequests"], "the storage is overloaded, try again later"),
    (&["NotImplemented"], "the storage does not offer what is needed"),
];

/// Codes that say the bucket itself is missing, which the library cannot tell from a missing key.
const NO_BUCKET: [&str; 4] =
    ["NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "InvalidBucketName"];

/// Turns an error of the library into one of the port; `key` is what was asked for.
pub(super) fn explain(error: &StoreError, key: &str, place: &Place) -> Error {
    let text = whole_text(error);
    let code = between(&text, "<Code>", "</Code>").or_else(|| between(&text, "\"code\": \"", "\""));
    let code = code.or_else(|| known_code(&text)).unwrap_or_default();
    if NO_BUCKET.contains(&code) || text.contains("specified bucket does not exist") {
        return Error::Unavailable(format!("{} does not exist in {}", place.bucket, place.endpoint));
    }
    let meaning = MEANINGS.iter().find(|(codes, _)| codes.contains(&code)).map(|(_, meaning)| *meaning);
    let locked = ["object lock", "WORM"].iter().any(|word| text.contains(word));
    let meaning = if locked { Some("the object is locked by a retention rule") } else { meaning };
    match (error, meaning) {
        (StoreError::NotFound { .. }, _) => Error::NotFound(key.to_owned()),
        (StoreError::AlreadyExists { .. }, _) => Error::AlreadyExists(key.to_owned()),
        (StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }, meaning) => {
            Error::Denied(format!("{}: {}", place.url, meaning.unwrap_or(permission(code))))
        }
        (_, Some(meaning)) if locked || is_about_access(code) => {
            Error::Denied(format!("{}: {meaning}", place.url))
        }
        (_, Some(meaning)) => Error::Unavailable(format!("{}: {meaning}", place.url)),
        (_, None) => Error::Unavailable(format!("{}: {}", place.url, transport(&text, error, place))),
    }
}

/// An end that nobody waited for any longer.
pub(super) fn timed_out(place: &Place, seconds: u64) -> Error {
    Error::Unavailable(format!("{}: no answer from {} within {seconds} s", place.url, place.endpoint))
}

fn is_about_access(code: &str) -> bool {
    let words = [
        "Expired",
        "Token",
        "AccessKey",
        "Signature",
        "Auth",
        "Account",
        "Locked",
        "Immutable",
        "Skewed",
        "AccessDenied",
    ];
    words.iter().any(|word| code.contains(word)) && code != "AuthorizationHeaderMalformed"
}

fn permission(code: &str) -> &str {
    if code.is_empty() { "the credentials are not accepted or lack the permission" } else { code }
}

/// What went wrong before any answer came.
fn transport(text: &str, error: &StoreError, place: &Place) -> String {
    let endpoint = &place.endpoint;
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["UnknownIssuer", "unknown issuer", "self-signed", "CaUsedAsEndEntity"]) {
        return format!("the certificate of {endpoint} is not signed by a known authority; set caCert");
    }
    if has(&["NotValidForName", "certificate not valid for name"]) {
        return format!("the certificate of {endpoint} is made out to another name");
    }
    if has(&["certificate expired", "invalid peer certificate: Expired"]) {
        return format!("the certificate of {endpoint} has expired");
    }
    if has(&["InvalidContentType", "received corrupt message", "wrong version number"]) {
        return format!("{endpoint} does not speak TLS");
    }
    if has(&["dns error", "failed to lookup address"]) {
        return format!("the name of {endpoint} cannot be resolved");
    }
    if has(&["Connection refused"]) {
        return format!("{endpoint} refuses the connection");
    }
    if has(&["operation timed out", "deadline has elapsed", "timed out"]) {
        return format!("{endpoint} does not answer");
    }
    if has(&["Received redirect without LOCATION"]) {
        return "the region of the location is wrong".into();
    }
    innermost(error)
}

/// The last cause, on one line and without addresses, which may hold tokens.
fn innermost(error: &StoreError) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let line = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let clean: Vec<&str> = line.split(' ').filter(|word| !word.contains("://")).collect();
    clean.join(" ").chars().take(300).collect()
}

/// Texts of an error and all its causes, for searching only.
fn whole_text(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push('\n');
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(&rest[..rest.find(end)?])
}

/// A known code somewhere in the text: bulk deletes give it without markup.
fn known_code(text: &str) -> Option<&'static str> {
    let codes = MEANINGS.iter().flat_map(|(codes, _)| codes.iter()).chain(&NO_BUCKET);
    codes.copied().find(|code| text.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: &str, body: &str) -> String {
        let place = Place {
            url: "s3://b/p".into(),
            bucket: "bucket b".into(),
            endpoint: "https://s3.example".into(),
        };
        let source = format!("Error performing GET https://s3.example/b?sig=hunter2 in 1ms - {body}").into();
        let path = "k".to_owned();
        let error = match status {
            "403" => StoreError::PermissionDenied { path, source },
            "404" => StoreError::NotFound { path, source },
            _ => StoreError::Generic { store: "S3", source },
        };
        explain(&error, "k", &place).to_string()
    }

    #[test]
    fn every_answer_of_the_storage_is_said_in_plain_words() {
        let cases = [
            ("404", "<Code>NoSuchKey</Code>"),
            ("404", "<Code>NoSuchBucket</Code>"),
            ("403", "<Code>SignatureDoesNotMatch</Code>"),
            ("403", "<Code>InvalidAccessKeyId</Code>"),
            ("403", "<Code>AccessDenied</Code>"),
            (
                "",
                "DeleteObjects request failed for key k: Access Denied because object protected by object lock. (code: AccessDenied)",
            ),
            ("403", "<Code>RequestTimeTooSkewed</Code>"),
            ("403", ""),
            ("400", "<Code>ExpiredToken</Code>"),
            ("400", "<Code>AuthorizationHeaderMalformed</Code>"),
            ("", "invalid peer certificate: UnknownIssuer"),
            ("", "invalid peer certificate: certificate not valid for name \"x\""),
            ("", "dns error: failed to lookup address information"),
            ("", "tcp connect error: Connection refused (os error 111)"),
            ("", "operation timed out"),
            ("", "something new at https://s3.example/?sig=hunter2"),
        ];
        let lines: Vec<String> = cases.iter().map(|(status, body)| meaning(status, body)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        k is not there
        cannot use the storage: bucket b does not exist in https://s3.example
        access denied: s3://b/p: the secret key does not belong to the access key id
        access denied: s3://b/p: the access key id is not known there
        access denied: s3://b/p: the credentials lack the permission
        access denied: s3://b/p: the object is locked by a retention rule
        access denied: s3://b/p: the clock of this machine is wrong
        access denied: s3://b/p: the credentials are not accepted or lack the permission
        access denied: s3://b/p: the credentials have expired
        cannot use the storage: s3://b/p: the region of the location is wrong
        cannot use the storage: s3://b/p: the certificate of https://s3.example is not signed by a known authority; set caCert
        cannot use the storage: s3://b/p: the certificate of https://s3.example is made out to another name
        cannot use the storage: s3://b/p: the name of https://s3.example cannot be resolved
        cannot use the storage: s3://b/p: https://s3.example refuses the connection
        cannot use the storage: s3://b/p: https://s3.example does not answer
        cannot use the storage: s3://b/p: Error performing GET in 1ms - something new at
        "#);
        assert!(!lines.concat().contains("hunter2"));
    }
}
