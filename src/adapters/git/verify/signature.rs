//! Checks who signed a commit, with SSH or OpenPGP, against files of those who may.
//!
//! In: a signed commit, files of allowed signers · Out: who signed · Touches: nothing

use jiff::Timestamp;

use super::certificate::{self, Certificate};
use super::{openpgp, ssh};
use crate::ports::git::Signers;

/// A commit without its signature, and when it was made.
pub struct Signed<'a> {
    /// What was signed.
    pub content: &'a [u8],
    /// The signature, as text.
    pub signature: &'a str,
    /// The committer's time.
    pub time: Timestamp,
}

/// Who signed a commit.
///
/// # Errors
/// Why the commit is not to be trusted, or which file cannot be read, as a clause.
pub fn signer(commit: &Signed<'_>, allowed: &[Signers], now: Timestamp) -> Result<String, String> {
    let (lines, keys) = read(allowed)?;
    if commit.signature.starts_with(openpgp::BEGIN) {
        return openpgp::signer(commit.content, commit.signature, now, &keys);
    }
    ssh::signer(commit.content, commit.signature, commit.time, &lines)
}

fn read(allowed: &[Signers]) -> Result<(Vec<ssh::Signer>, Vec<Certificate>), String> {
    let (mut lines, mut keys) = (Vec::new(), Vec::new());
    for Signers { file, text } in allowed {
        let wrong = |why: String| format!("the allowed signers in {file} cannot be read: {why}");
        let (rest, blocks) = split(text).map_err(wrong)?;
        lines.extend(ssh::read(&rest).map_err(wrong)?);
        for (line, block) in blocks {
            let at = |why: String| wrong(format!("line {line}: {why}"));
            certificate::add(&block, &mut keys).map_err(at)?;
        }
    }
    Ok((lines, keys))
}

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// The lines outside of OpenPGP keys, each at its place, and the keys with the numbers of their first lines.
fn split(text: &str) -> Result<(String, Vec<(usize, String)>), String> {
    let (mut rest, mut blocks, mut open) = (String::new(), Vec::new(), None::<(usize, String)>);
    for (number, line) in text.lines().map(str::trim_end).enumerate() {
        if line == BEGIN && open.is_none() {
            open = Some((number + 1, String::new()));
        }
        let Some((_, block)) = &mut open else {
            if line.starts_with(openpgp::BEGIN) {
                return Err(format!("line {}: only public keys may stand here", number + 1));
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
        Some((line, _)) => Err(format!("line {line}: the OpenPGP key has no end")),
        None => Ok((rest, blocks)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        let allowed = [Signers { file: "signers".to_owned(), text: text.to_owned() }];
        match read(&allowed) {
            Ok((lines, keys)) => format!("{} SSH, {} OpenPGP", lines.len(), keys.len()),
            Err(why) => why,
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
        assert_eq!(why(""), "0 SSH, 0 OpenPGP");
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
        ];
        insta::assert_snapshot!(cases.join("\n"), @"
        the allowed signers in signers cannot be read: line 21: there is no key in it
        the allowed signers in signers cannot be read: line 1: the OpenPGP key has no end
        the allowed signers in signers cannot be read: line 2: only public keys may stand here
        the allowed signers in signers cannot be read: line 1: there is no OpenPGP public key in it
        the allowed signers in signers cannot be read: line 2: it is no OpenPGP public key: IO error: unknown packet header version 1101110
        ");
    }
}
