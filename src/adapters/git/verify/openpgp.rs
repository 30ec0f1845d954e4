//! Checks who signed a commit with an OpenPGP key, as `git verify-commit` does with GnuPG, but with no more keys than
//! it is given.
//!
//! In: a signed commit, public keys · Out: who signed · Touches: nothing
//!
//! Source: RFC 9580, section 5.2.

use jiff::Timestamp;
use pgp::composed::{Deserializable, DetachedSignature};
use pgp::packet::{Signature, SignatureType};
use pgp::types::Timestamp as Seconds;

use super::certificate::{Certificate, Part, has_ended, is_read, is_strong_digest, is_understood};

/// What a signature starts with.
pub const BEGIN: &str = "-----BEGIN PGP";

/// A signature of a commit is shorter; what is longer is not read.
const LONGEST: usize = 64 << 10;

/// How far the clock of a person may be ahead.
const AHEAD: u32 = 60;

/// Who signed a commit: the key, with the user id of its owner.
///
/// `signed` is the commit without its signature. A key counts if it could be used for signing at the time of the signature.
///
/// # Errors
/// Why the commit is not to be trusted, as a clause.
pub fn signer(signed: &[u8], signature: &str, now: Timestamp, all: &[Certificate]) -> Result<String, String> {
    let signature = read(signature)?;
    let now = seconds(now);
    let at = made(&signature, now)?;
    let mut refused = None;
    for certificate in all {
        for part in certificate.parts_of(&signature) {
            match check((certificate, part), (&signature, at), signed, now) {
                Ok(name) => return Ok(name),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
    }
    Err(refused.unwrap_or_else(|| stranger(&signature)))
}

/// The one signature of a block.
fn read(text: &str) -> Result<Signature, String> {
    let unreadable = || "its OpenPGP signature cannot be read".to_owned();
    if text.len() > LONGEST {
        return Err(unreadable());
    }
    let (found, _) = DetachedSignature::from_string_many(text).map_err(|_| unreadable())?;
    let mut found = found.collect::<Result<Vec<_>, _>>().map_err(|_| unreadable())?;
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one.signature),
        (Some(_), false) => Err("it has more than one OpenPGP signature".to_owned()),
        (None, _) => Err(unreadable()),
    }
}

/// When the signature was made, if it can count at all.
fn made(signature: &Signature, now: Seconds) -> Result<Seconds, String> {
    if !is_understood(signature) {
        return Err("its OpenPGP signature is of a version or has a part that is not known".to_owned());
    }
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err("its OpenPGP signature is not one of a document".to_owned());
    }
    let digest = signature.hash_alg();
    if !is_strong_digest(digest) {
        let digest = digest.map_or_else(String::new, |digest| format!(" {digest}"));
        return Err(format!("its signature is made with the digest{digest}, which can be forged"));
    }
    let Some(made) = signature.created() else {
        return Err("its OpenPGP signature does not say when it was made".to_owned());
    };
    if made.as_secs() > now.as_secs().saturating_add(AHEAD) {
        let when = Timestamp::from_second(i64::from(made.as_secs())).unwrap_or(Timestamp::MAX);
        return Err(format!("its signature is of the future: {when}"));
    }
    Ok(made)
}

fn check(
    (certificate, part): (&Certificate, Part<'_>),
    (signature, at): (&Signature, Seconds),
    signed: &[u8],
    now: Seconds,
) -> Result<String, String> {
    let name = certificate.name(part, now);
    let of_key = |why: String| format!("it is signed by {name}, which {why}");
    let fits = match part {
        Part::Primary(key) => is_read(key).map(|()| signature.verify(key, signed)),
        Part::Subkey(key) => is_read(key).map(|()| signature.verify(key, signed)),
    };
    let fits = fits.map_err(of_key)?;
    fits.map_err(|_| format!("its signature by {name} does not fit its content"))?;
    if has_ended(signature, now) {
        return Err(format!("its signature by {name} was for a time that is over"));
    }
    certificate.may_sign(part, at, now).map_err(|why| format!("it is signed by {name}, {why}"))?;
    Ok(name)
}

fn stranger(signature: &Signature) -> String {
    let print = signature.issuer_fingerprint().first().map(ToString::to_string);
    let id = || signature.issuer_key_id().first().map(|id| format!("{id}"));
    match print.or_else(id) {
        Some(key) => format!("it is signed by OpenPGP key {key}, which is no allowed signer"),
        None => "it is signed by an OpenPGP key that is no allowed signer".to_owned(),
    }
}

/// As OpenPGP counts time, which ends in 2106.
fn seconds(time: Timestamp) -> Seconds {
    let seconds = time.as_second().clamp(0, i64::from(u32::MAX));
    Seconds::from_secs(u32::try_from(seconds).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod person;
#[cfg(test)]
mod tests;
