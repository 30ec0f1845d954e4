//! Checks who signed a commit with an SSH key, as `git verify-commit` does with `gpg.ssh.allowedSignersFile`.
//!
//! In: a signed commit, lines of allowed signers · Out: who signed · Touches: nothing
//!
//! Source: ssh-keygen(1), "ALLOWED SIGNERS".

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use ssh_key::authorized_keys::ConfigOpts;
use ssh_key::{PublicKey, SshSig};

/// The purpose that Git signs for.
const PURPOSE: &str = "git";

/// Who signed a commit: the principals that the allowed signers have for the key.
///
/// `signed` is the commit without its signature. A key counts when its line allows the purpose `git`, and its time the time of
/// the commit.
///
/// # Errors
/// Why the commit is not to be trusted, as a clause.
pub fn signer(signed: &[u8], signature: &str, time: Timestamp, signers: &[Signer]) -> Result<String, String> {
    let signature =
        SshSig::from_pem(signature).map_err(|_| "its signature is no SSH signature".to_owned())?;
    let key = PublicKey::from(signature.public_key().clone());
    let lines: Vec<&Signer> = signers.iter().filter(|line| line.key.key_data() == key.key_data()).collect();
    if lines.is_empty() {
        let print = key.fingerprint(ssh_key::HashAlg::Sha256);
        return Err(format!("it is signed by {print}, which is no allowed signer"));
    }
    let Some(line) = lines.iter().find(|line| line.allows(time)) else {
        let principals = &lines[0].principals;
        return Err(format!("it is signed by {principals}, whose key is not allowed for Git at that time"));
    };
    let checked = key.verify(PURPOSE, signed, &signature);
    checked.map_err(|_| format!("its signature by {} does not fit its content", line.principals))?;
    Ok(line.principals.clone())
}

/// A line of the allowed signers.
pub struct Signer {
    principals: String,
    key: PublicKey,
    purposes: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Signer {
    fn allows(&self, time: Timestamp) -> bool {
        let purpose = |all: &String| all.split(',').any(|one| one.trim() == PURPOSE);
        self.purposes.as_ref().is_none_or(purpose)
            && self.after.is_none_or(|after| time >= after)
            && self.before.is_none_or(|before| time < before)
    }
}

/// Why a file cannot be read.
#[derive(Debug)]
pub struct Wrong {
    /// The line, and what is wrong with it. Nothing of a private key is in it.
    pub why: String,
    /// What to do about it, where that is known.
    pub next: Option<&'static str>,
}

impl From<String> for Wrong {
    fn from(why: String) -> Self {
        Self { why, next: None }
    }
}

/// Reads the allowed signers of a file.
///
/// # Errors
/// The first line that cannot be read, by its number.
pub fn read(text: &str) -> Result<Vec<Signer>, Wrong> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = |(number, line)| {
        let at = |why| format!("line {}: {why}", number + 1);
        if PublicKey::from_openssh(line).is_ok() {
            let why = at("nobody stands in front of the key".to_owned());
            return Err(Wrong { why, next: Some(WHO) });
        }
        one(line).map_err(|why| Wrong::from(at(why)))
    };
    lines.map(read).collect()
}

const WHO: &str = "put who signs in front of the key: ada@example.org ssh-ed25519 …";

fn one(line: &str) -> Result<Signer, String> {
    let (principals, rest) = line.split_once(char::is_whitespace).ok_or("there is no key in it")?;
    let (options, key) =
        options_and_key(rest.trim()).ok_or("it is not `PRINCIPALS [OPTIONS] KEYTYPE KEY`")?;
    let mut signer =
        Signer { principals: principals.to_owned(), key, purposes: None, after: None, before: None };
    for option in options.iter() {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name {
            "namespaces" => signer.purposes = Some(value.to_owned()),
            "valid-after" => signer.after = Some(moment(value)?),
            "valid-before" => signer.before = Some(moment(value)?),
            "cert-authority" => return Err("certificates are not read; name the key itself".to_owned()),
            _ => return Err(format!("there is no option {name:?}")),
        }
    }
    Ok(signer)
}

fn options_and_key(text: &str) -> Option<(ConfigOpts, PublicKey)> {
    if let Ok(key) = PublicKey::from_openssh(text) {
        return Some((ConfigOpts::default(), key));
    }
    let (options, key) = text.split_once(char::is_whitespace)?;
    Some((ConfigOpts::new(options).ok()?, PublicKey::from_openssh(key.trim()).ok()?))
}

/// `YYYYMMDD`, with hours, minutes and seconds if wanted, and `Z`; all are taken as UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    let digits = text.strip_suffix('Z').unwrap_or(text);
    let parsed = match digits.len() {
        8 => civil::Date::strptime("%Y%m%d", digits).map(|date| date.to_datetime(civil::Time::midnight())),
        12 => DateTime::strptime("%Y%m%d%H%M", digits),
        14 => DateTime::strptime("%Y%m%d%H%M%S", digits),
        _ => return Err(format!("{text:?} is no time: write YYYYMMDD")),
    };
    let zoned = parsed.and_then(|time| time.to_zoned(TimeZone::UTC));
    zoned.map(|zoned| zoned.timestamp()).map_err(|_| format!("{text:?} is no time: write YYYYMMDD"))
}

#[cfg(test)]
mod tests {
    use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey};

    use super::*;

    struct Person {
        key: PrivateKey,
    }

    impl Person {
        fn new() -> Self {
            Self::with(Algorithm::Ed25519)
        }

        fn with(kind: Algorithm) -> Self {
            Self { key: PrivateKey::random(&mut rand::rngs::OsRng, kind).unwrap() }
        }

        fn line(&self, options: &str) -> String {
            format!("ada@example.org {options} {}", self.key.public_key().to_openssh().unwrap())
        }

        fn sign(&self, purpose: &str, text: &[u8]) -> String {
            self.key.sign(purpose, HashAlg::Sha512, text).unwrap().to_pem(LineEnding::LF).unwrap()
        }
    }

    fn said(signed: &[u8], signature: &str, signers: &str) -> String {
        let time = "2026-11-27T10:00:00Z".parse().unwrap();
        let lines = read(signers).map_err(|wrong| wrong.why);
        let told = lines.and_then(|lines| signer(signed, signature, time, &lines));
        told.unwrap_or_else(|why| format!("no: {why}"))
    }

    #[test]
    fn a_commit_of_an_allowed_signer_is_trusted() {
        let ada = Person::new();
        let signature = ada.sign("git", b"commit");
        for options in ["", "namespaces=\"git\"", "valid-after=\"20260101\",valid-before=\"20270101Z\""] {
            let signers = format!("# people\n\n{}\n", ada.line(options));
            assert_eq!(said(b"commit", &signature, &signers), "ada@example.org", "{options}");
        }
    }

    #[test]
    fn a_key_on_any_curve_of_nist_is_trusted() {
        use EcdsaCurve::{NistP256, NistP384, NistP521};
        for curve in [NistP256, NistP384, NistP521] {
            let ada = Person::with(Algorithm::Ecdsa { curve });
            let signature = ada.sign("git", b"commit");
            assert_eq!(said(b"commit", &signature, &ada.line("")), "ada@example.org", "{curve:?}");
            assert!(said(b"another", &signature, &ada.line("")).ends_with("does not fit its content"));
        }
    }

    #[test]
    fn any_other_is_not_and_the_reason_is_told() {
        let (ada, eve) = (Person::new(), Person::new());
        let good = ada.sign("git", b"commit");
        let cases = [
            (said(b"another", &good, &ada.line("")), "does not fit its content"),
            (said(b"commit", &eve.sign("git", b"commit"), &ada.line("")), "which is no allowed signer"),
            (said(b"commit", &ada.sign("file", b"commit"), &ada.line("")), "does not fit its content"),
            (said(b"commit", &good, &ada.line("namespaces=\"file\"")), "not allowed for Git"),
            (said(b"commit", &good, &ada.line("valid-before=\"20260101\"")), "not allowed for Git"),
            (said(b"commit", &good, &ada.line("cert-authority")), "line 1: certificates are not read"),
            (said(b"commit", &good, "ada@example.org"), "line 1: there is no key"),
            (
                said(b"commit", &good, &format!("\n{}", ada.line("valid-after=\"soon\""))),
                "line 2: \"soon\" is no time",
            ),
            (said(b"commit", "", &ada.line("")), "no SSH signature"),
        ];
        for (said, wanted) in cases {
            assert!(said.starts_with("no: ") && said.contains(wanted), "{said:?} has no {wanted:?}");
        }
    }
}
