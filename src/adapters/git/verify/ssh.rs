//! Checks who signed a commit with an SSH key, as `git verify-commit` does with `gpg.ssh.allowedSignersFile`.
//!
//! In: a signed commit, lines of allowed signers · Out: who signed · Touches: nothing
//!
//! Source: ssh-keygen(1), "ALLOWED SIGNERS".

use globset::Glob;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use ssh_key::{PublicKey, SshSig};

/// The purpose that Git signs for.
const PURPOSE: &str = "git";
/// Bits of an RSA key, at least: as with OpenPGP.
const RSA_BITS: usize = 2048;

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
    purposes: Option<Vec<String>>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Signer {
    fn allows(&self, time: Timestamp) -> bool {
        self.purposes.as_ref().is_none_or(|purposes| is_one_of(PURPOSE, purposes))
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
    let (principals, rest) = word(line);
    if rest.is_empty() {
        return Err("there is no key in it".to_owned());
    }
    let (options, key) = options_and_key(rest).ok_or("it is not `PRINCIPALS [OPTIONS] KEYTYPE KEY`")?;
    let bits = key.key_data().rsa().map(|rsa| rsa.n.as_positive_bytes().map_or(0, <[u8]>::len) * 8);
    if bits.is_some_and(|bits| bits < RSA_BITS) {
        return Err(format!("its RSA key has fewer than {RSA_BITS} bits"));
    }
    let principals = principals.trim_matches('"').to_owned();
    let mut signer = Signer { principals, key, purposes: None, after: None, before: None };
    let mut seen: Vec<String> = Vec::new();
    for option in split(options, |c| c == ',') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches('"'));
        if seen.contains(&name) {
            return Err(format!("the option {name} is given twice"));
        }
        match name.as_str() {
            "namespaces" => signer.purposes = Some(patterns(value)?),
            "valid-after" => signer.after = Some(moment(value)?),
            "valid-before" => signer.before = Some(moment(value)?),
            "cert-authority" => return Err("certificates are not read; name the key itself".to_owned()),
            _ => return Err(format!("there is no option {name:?}")),
        }
        seen.push(name);
    }
    Ok(signer)
}

fn options_and_key(text: &str) -> Option<(&str, PublicKey)> {
    if let Ok(key) = PublicKey::from_openssh(text) {
        return Some(("", key));
    }
    let (options, key) = word(text);
    Some((options, PublicKey::from_openssh(key).ok()?))
}

/// The first word, and what follows it; what stands in quotes is not cut.
fn word(text: &str) -> (&str, &str) {
    let word = split(text.trim(), char::is_whitespace).next().unwrap_or_default();
    (word, text.trim()[word.len()..].trim_start())
}

/// Parts between separators that are not in quotes; none that is empty.
fn split(text: &str, is_separator: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let cut = move |c: char| {
        quoted ^= c == '"';
        !quoted && is_separator(c)
    };
    text.split(cut).map(str::trim).filter(|part| !part.is_empty())
}

/// Patterns between commas, of which those with `!` before them take away.
fn patterns(text: &str) -> Result<Vec<String>, String> {
    let all: Vec<String> = text.split(',').map(|one| one.trim().to_owned()).collect();
    let plain = |pattern: &String| {
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.@:/*?!".contains(c));
        !pattern.is_empty() && !pattern.contains(odd)
    };
    if all.iter().all(plain) { Ok(all) } else { Err(format!("{text:?} is no list of namespaces")) }
}

/// Whether a pattern fits, and none that takes away does. `*` and `?` are wild: ssh-keygen(1), `match_pattern_list`.
fn is_one_of(name: &str, patterns: &[String]) -> bool {
    let fits = |pattern: &str| Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(name));
    let (against, any): (Vec<&String>, Vec<&String>) =
        patterns.iter().partition(|pattern| pattern.starts_with('!'));
    any.into_iter().any(|pattern| fits(pattern)) && !against.into_iter().any(|pattern| fits(&pattern[1..]))
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
        for options in [
            "",
            "namespaces=\"git\"",
            "valid-after=\"20260101\",valid-before=\"20270101Z\"",
            "namespaces=\"file, git\"",
            "NAMESPACES=\"g*\",Valid-After=20260101",
            "namespaces=\"*,!file\"",
        ] {
            let signers = format!("# people\n\n{}\n", ada.line(options));
            assert_eq!(said(b"commit", &signature, &signers), "ada@example.org", "{options}");
        }
    }

    #[test]
    fn who_signs_may_stand_in_quotes() {
        let ada = Person::new();
        let line = ada.line("").replacen("ada@example.org", "\"ada@example.org,ada@home.example.org\"", 1);
        let told = said(b"commit", &ada.sign("git", b"commit"), &line);
        assert_eq!(told, "ada@example.org,ada@home.example.org");
    }

    /// 1,024 bits.
    const SHORT: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCiwRRi3nmIxNZ5dj/rIovNzIGDtJaVLkXhV5YkiZic6aAUkwfX57Ez9vMapGElH85iLHkGsX+C3Qc+3C49LA1BFJRYT9K1EtPCaH9fX1pf0z3fD/H4ws6n0uh+YhgEyMjatV5fTRnw1tRjZXR9erAbsb5ej7yEz79UA52CVPaqzw==";

    #[test]
    fn a_short_rsa_key_is_refused() {
        assert!(read(&Person::with(Algorithm::Rsa { hash: None }).line("")).is_ok(), "the usual length");
        let why = read(&format!("ada@example.org {SHORT}")).err().expect("it is too short").why;
        assert_eq!(why, "line 1: its RSA key has fewer than 2048 bits");
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
            (said(b"commit", &good, &ada.line("namespaces=\"*,!g?t\"")), "not allowed for Git"),
            (said(b"commit", &good, &ada.line("namespaces=\"\"")), "line 1: \"\" is no list of namespaces"),
            (
                said(b"commit", &good, &ada.line("namespaces=\"file\",namespaces=\"git\"")),
                "line 1: the option namespaces is given twice",
            ),
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
