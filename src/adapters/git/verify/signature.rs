//! Checks who signed a commit, with SSH or OpenPGP, against files of those who may.
//!
//! In: a signed commit, files of allowed signers · Out: who signed · Touches: nothing

use jiff::Timestamp;

use super::certificate::{self, Certificate};
use super::ssh::Wrong;
use super::{openpgp, ssh};
use crate::ports::git::{Error, Signers};

/// A commit without its signature, and when it was made.
pub struct Signed<'a> {
    /// What was signed.
    pub content: &'a [u8],
    /// The signature, as text.
    pub signature: &'a str,
    /// The committer's time.
    pub time: Timestamp,
}

/// Those who may sign, of all files.
pub struct Allowed {
    lines: Vec<ssh::Signer>,
    keys: Vec<Certificate>,
}

/// Who signed a commit.
///
/// # Errors
/// Why the commit is not to be trusted, as a clause.
pub fn signer(commit: &Signed<'_>, allowed: &Allowed, now: Timestamp) -> Result<String, String> {
    let Allowed { lines, keys } = allowed;
    if commit.signature.starts_with(openpgp::BEGIN) {
        return openpgp::signer(commit.content, commit.signature, now, keys);
    }
    ssh::signer(commit.content, commit.signature, commit.time, lines)
}

/// Reads files of allowed signers. A file may be empty, but not all of them: then every commit would be refused.
///
/// # Errors
/// [`Error::Signers`].
pub fn read(allowed: &[Signers]) -> Result<Allowed, Error> {
    let (mut lines, mut keys) = (Vec::new(), Vec::new());
    for Signers { file, text } in allowed {
        let wrong = |Wrong { why, next }| Error::Signers { file: file.clone(), reason: why, next };
        let (rest, blocks) = split(text).map_err(wrong)?;
        lines.extend(ssh::read(&rest).map_err(wrong)?);
        for (line, block) in blocks {
            let at = |why: String| wrong(format!("line {line}: {why}").into());
            certificate::add(&block, &mut keys).map_err(at)?;
        }
    }
    if lines.is_empty() && keys.is_empty() {
        let file = allowed.iter().map(|one| one.file.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::Signers { file, reason: "there is no key in it".to_owned(), next: Some(A_KEY) });
    }
    Ok(Allowed { lines, keys })
}

const A_KEY: &str = "add a line for an SSH key, such as ada@example.org ssh-ed25519 …, or an OpenPGP key: gpg --export --armor";
const PUBLIC: &str = "take it out and put the public key there: ssh-keygen -y, gpg --export --armor";

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// The lines outside of OpenPGP keys, each at its place, and the keys with the numbers of their first lines.
fn split(text: &str) -> Result<(String, Vec<(usize, String)>), Wrong> {
    let (mut rest, mut blocks, mut open) = (String::new(), Vec::new(), None::<(usize, String)>);
    for (number, line) in text.lines().map(str::trim_end).enumerate() {
        if line == BEGIN && open.is_none() {
            open = Some((number + 1, String::new()));
        }
        let Some((_, block)) = &mut open else {
            if line.trim_start().starts_with("-----BEGIN") {
                return Err(no_key(number + 1, line));
            }
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        block.push_str(line);
        block.push('\n');
        rest.push('\n');
        if line == END {
            blocks.extend(open.take());
        }
    }
    match open {
        Some((line, _)) => Err(format!("line {line}: the OpenPGP key has no end").into()),
        None => Ok((rest, blocks)),
    }
}

/// What begins as no public key does.
fn no_key(number: usize, line: &str) -> Wrong {
    if line.contains("PRIVATE KEY") {
        return Wrong { why: format!("line {number}: it is a private key"), next: Some(PUBLIC) };
    }
    format!("line {number}: only public keys may stand here").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        let allowed = [Signers { file: "signers".to_owned(), text: text.to_owned() }];
        match read(&allowed) {
            Ok(Allowed { lines, keys }) => format!("{} SSH, {} OpenPGP", lines.len(), keys.len()),
            Err(error @ Error::Signers { next: Some(next), .. }) => format!("{error}; next: {next}"),
            Err(error) => error.to_string(),
        }
    }

    const SSH: &str =
        "ada@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxJCMFEd0Wy3OfXF3ZiyF1KvXVrVnyO4IyBRgFRTGnj\n";

    #[test]
    fn ssh_lines_and_openpgp_keys_may_stand_in_one_file() {
        let key = include_str!("fixtures/ada.asc");
        assert_eq!(why(&format!("{SSH}{key}\n# and\n\n{SSH}")), "2 SSH, 1 OpenPGP");
        assert_eq!(why(&format!("{key}{key}")), "0 SSH, 1 OpenPGP");
        assert_eq!(why(&key.replace('\n', "\r\n")), "0 SSH, 1 OpenPGP");
    }

    #[test]
    fn what_cannot_be_read_is_named_by_file_and_line() {
        let key = include_str!("fixtures/ada.asc");
        let cases = [
            why(&format!("{key}nobody\n")),
            why(&key.replace(END, "")),
            why("\n-----BEGIN PGP PRIVATE KEY BLOCK-----\n"),
            why(&format!("{BEGIN}\n\n{END}\n")),
            why(&format!("{SSH}{BEGIN}\n\nbm90aGluZw==\n{END}\n")),
            why("# nobody\n"),
            why(SSH.split_once(' ').unwrap().1),
            why(&format!("{SSH}-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0 secret=secret\n")),
            why("-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n"),
        ];
        insta::assert_snapshot!(cases.join("\n"), @"
        cannot use the allowed signers in signers: line 21: there is no key in it
        cannot use the allowed signers in signers: line 1: the OpenPGP key has no end
        cannot use the allowed signers in signers: line 2: it is a private key; next: take it out and put the public key there: ssh-keygen -y, gpg --export --armor
        cannot use the allowed signers in signers: line 1: there is no OpenPGP public key in it
        cannot use the allowed signers in signers: line 2: it is no OpenPGP public key: IO error: unknown packet header version 1101110
        cannot use the allowed signers in signers: there is no key in it; next: add a line for an SSH key, such as ada@example.org ssh-ed25519 …, or an OpenPGP key: gpg --export --armor
        cannot use the allowed signers in signers: line 1: nobody stands in front of the key; next: put who signs in front of the key: ada@example.org ssh-ed25519 …
        cannot use the allowed signers in signers: line 2: it is a private key; next: take it out and put the public key there: ssh-keygen -y, gpg --export --armor
        cannot use the allowed signers in signers: line 1: it is a private key; next: take it out and put the public key there: ssh-keygen -y, gpg --export --armor
        ");
    }
}
