//! `keys new` and `keys show`.
//!
//! In: identity files · Out: public keys · Touches: the file system

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::app::wiring::App;
use crate::engine::seal::age;
use crate::work::failure::Failure;

use super::done::{Done, Text};

/// Makes a key pair and prints the recipient.
pub fn new(app: &App, file: &Path) -> Result<Done, Failure> {
    Ok(Done::fine(Text(format!("{}\n", write_new(app, file)?))))
}

/// Prints the recipients of the identities that were given.
pub fn show(app: &App) -> Result<Done, Failure> {
    let identities = app.identities().map_err(|e| Failure::misused(&e))?;
    let recipients: Vec<&str> = identities.recipients().collect();
    if recipients.is_empty() {
        return Err(Failure::usage("no identity was given")
            .hint("name a file: --identity FILE, or make one: backstay keys new FILE"));
    }
    Ok(Done::fine(Text(format!("{}\n", recipients.join("\n")))))
}

/// Makes a key pair; the identity goes to a new file that only its owner may read. Gives the recipient.
pub fn write_new(app: &App, file: &Path) -> Result<String, Failure> {
    let pair = age::generate(app.clock.now());
    let cannot = |e: &std::io::Error| {
        let failure = Failure::usage(format!("cannot write {}: {e}", file.display()));
        if e.kind() == ErrorKind::AlreadyExists {
            failure.hint("choose a new file; a key is never replaced")
        } else {
            failure
        }
    };
    let mut out =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(|e| cannot(&e))?;
    out.write_all(pair.file.as_bytes()).and_then(|()| out.sync_all()).map_err(|e| cannot(&e))?;
    Ok(pair.recipient)
}
