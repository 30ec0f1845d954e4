//! What an error of libgit2 means.
//!
//! In: libgit2's errors · Out: the port's errors · Touches: nothing

use git2::{ErrorClass, ErrorCode};

use crate::ports::git::Error;

/// An error while a server was spoken to.
pub fn remote(url: &str, error: &git2::Error) -> Error {
    let reason = error.message().trim().to_owned();
    let url = url.to_owned();
    let says = |text: &str| reason.contains(text);
    match (error.class(), error.code()) {
        (_, ErrorCode::Auth | ErrorCode::Certificate) => Error::Denied { url, reason },
        (ErrorClass::Ssl, _) if says("certificate") => Error::Denied { url, reason },
        (ErrorClass::Http, _) if says("code: 401") || says("code: 403") || says("replays") => {
            Error::Denied { url, reason }
        }
        (ErrorClass::Http, _) if says("code: 404") => {
            let reason = "the server knows no such repository, or does not show it to this user".into();
            Error::Unreachable { url, reason }
        }
        (ErrorClass::Ssh, _) if says("authenticat") || says("username") => Error::Denied { url, reason },
        (
            ErrorClass::Odb
            | ErrorClass::Object
            | ErrorClass::Zlib
            | ErrorClass::Reference
            | ErrorClass::NoMemory,
            _,
        ) => Error::Local(reason),
        _ => Error::Unreachable { url, reason },
    }
}

/// An error in a repository of this machine.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub fn local(error: git2::Error) -> Error {
    Error::Local(error.message().trim().to_owned())
}

/// A folder that cannot be opened as a repository.
pub fn folder(url: &str, error: &git2::Error) -> Error {
    let url = url.to_owned();
    match error.code() {
        ErrorCode::Owner => {
            let reason = "the folder belongs to another user; \
                `git config --global --add safe.directory` with its full path allows it";
            Error::Denied { url, reason: reason.into() }
        }
        ErrorCode::NotFound => {
            Error::Unreachable { url, reason: "there is no Git repository in this folder".into() }
        }
        _ => Error::Unreachable { url, reason: error.message().trim().to_owned() },
    }
}
