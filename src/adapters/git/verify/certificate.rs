//! What an OpenPGP public key says of itself: whose it is, and which part of it may sign at which time.
//!
//! In: ASCII-armored public keys · Out: `Certificate`, `Part` · Touches: nothing
//!
//! Source: RFC 9580, sections 5.2.3 (signature subpackets) and 10.1 (transferable public keys).

use std::cmp::Reverse;

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PublicKey, PublicSubkey, RevocationCode, Signature, SignatureType, SignatureVersion,
    SubpacketData,
};
use pgp::ser::Serialize;
use pgp::types::{
    EcdsaPublicParams, EddsaLegacyPublicParams, Fingerprint, KeyDetails, PublicParams, SignedUser, Tag,
    Timestamp,
};

/// A primary key with all that is said of it. Nothing of it is checked before it is asked for.
pub struct Certificate {
    primary: PublicKey,
    revocations: Vec<Signature>,
    direct: Vec<Signature>,
    users: Vec<SignedUser>,
    subkeys: Vec<SignedPublicSubKey>,
}

/// A key of a certificate.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// The primary key.
    Primary(&'a PublicKey),
    /// One that the primary key has taken on.
    Subkey(&'a PublicSubkey),
}

/// What the owner of a key said of it last.
struct Word {
    flags: KeyFlags,
    ends: Option<u64>,
}

/// Adds the keys of one ASCII-armored block. What two copies of a key say is put together, so that a revocation counts
/// that only one of them has.
///
/// # Errors
/// What is wrong with the block, as a clause.
pub fn add(block: &str, all: &mut Vec<Certificate>) -> Result<(), String> {
    let unreadable = |error: pgp::errors::Error| format!("it is no OpenPGP public key: {error}");
    let (keys, _) = SignedPublicKey::from_string_many(block).map_err(unreadable)?;
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if keys.is_empty() {
        return Err("there is no OpenPGP public key in it".to_owned());
    }
    for SignedPublicKey { primary_key, details, public_subkeys } in keys {
        let print = primary_key.fingerprint();
        if let Some(known) = all.iter_mut().find(|known| known.fingerprint() == print) {
            known.revocations.extend(details.revocation_signatures);
            known.direct.extend(details.direct_signatures);
            known.users.extend(details.users);
            known.subkeys.extend(public_subkeys);
            continue;
        }
        all.push(Certificate {
            primary: primary_key,
            revocations: details.revocation_signatures,
            direct: details.direct_signatures,
            users: details.users,
            subkeys: public_subkeys,
        });
    }
    Ok(())
}

impl Certificate {
    /// Fingerprint of the primary key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.primary.fingerprint()
    }

    /// The keys that a signature may be of, by the issuers it names; all of them where it names none.
    pub fn parts_of(&self, signature: &Signature) -> Vec<Part<'_>> {
        let (prints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        let is_named = |key: &dyn KeyDetails| {
            let (print, id) = (key.fingerprint(), key.legacy_key_id());
            if prints.is_empty() { ids.is_empty() || ids.contains(&&id) } else { prints.contains(&&print) }
        };
        let mut found = Vec::new();
        if is_named(&self.primary) {
            found.push(Part::Primary(&self.primary));
        }
        for (at, subkey) in self.subkeys.iter().enumerate() {
            let is_first = self.subkeys[..at].iter().all(|other| other.key != subkey.key);
            if is_first && is_named(&subkey.key) {
                found.push(Part::Subkey(&subkey.key));
            }
        }
        found
    }

    /// How a key is called in messages: by its fingerprint, and by the user id of its owner.
    pub fn name(&self, part: Part<'_>, now: Timestamp) -> String {
        let key = match self.owner(now) {
            Some(owner) => format!("key {} of {owner}", self.fingerprint()),
            None => format!("key {}", self.fingerprint()),
        };
        match part {
            Part::Primary(_) => key,
            Part::Subkey(subkey) => format!("subkey {} of {key}", subkey.fingerprint()),
        }
    }

    /// The user id that the owner calls the primary one, else the one said last.
    fn owner(&self, now: Timestamp) -> Option<String> {
        let said = self.users.iter().filter_map(|user| {
            let last = self.certifications(user, now).into_iter().max_by_key(|one| one.created())?;
            Some((last.is_primary(), last.created(), user.id.as_str()?))
        });
        let (_, _, name) = said.max()?;
        Some(name.chars().filter(|letter| !letter.is_control()).collect())
    }

    /// Whether a key may sign data at a time. What the owner said last counts, if it is not of the future.
    ///
    /// # Errors
    /// Why not, as a relative clause.
    pub fn may_sign(&self, part: Part<'_>, at: Timestamp, now: Timestamp) -> Result<(), String> {
        match part {
            Part::Primary(_) => self
                .is_alive(at, now)
                .and_then(|word| signs(&word.flags))
                .map_err(|why| format!("which {why}")),
            Part::Subkey(subkey) => {
                self.is_alive(at, now).map_err(|why| format!("whose primary key {why}"))?;
                self.subkey_may_sign(subkey, at, now).map_err(|why| format!("which {why}"))
            }
        }
    }

    fn subkey_may_sign(&self, subkey: &PublicSubkey, at: Timestamp, now: Timestamp) -> Result<(), String> {
        is_read(subkey)?;
        is_strong(subkey)?;
        let signatures = || {
            let same = self.subkeys.iter().filter(|one| one.key == *subkey);
            same.flat_map(|one| &one.signatures)
                .filter(|one| one.verify_subkey_binding(&self.primary, subkey).is_ok())
        };
        let revocations = signatures().filter(|one| one.typ() == Some(SignatureType::SubkeyRevocation));
        not_revoked(revocations, at)?;
        let bindings = signatures().filter(|one| one.typ() == Some(SignatureType::SubkeyBinding));
        let last = bindings.filter(|one| counts(one, now)).max_by_key(|one| one.created()).ok_or(NO_WORD)?;
        within(subkey, ends(subkey, last), at)?;
        if !has_flags(last) {
            return Err(NO_FLAGS.to_owned());
        }
        signs(&last.key_flags())?;
        // Else a person could pass off another one's subkey as an own one.
        let agrees = |back: &Signature| {
            counts(back, now) && back.verify_primary_key_binding(subkey, &self.primary).is_ok()
        };
        match last.embedded_signature() {
            Some(back) if agrees(back) => Ok(()),
            _ => Err("has not signed that it belongs to its primary key".to_owned()),
        }
    }

    /// Whether the primary key can be used at a time, for whatever it may be used.
    fn is_alive(&self, at: Timestamp, now: Timestamp) -> Result<Word, String> {
        is_read(&self.primary)?;
        is_strong(&self.primary)?;
        let revocations = self.revocations.iter().filter(|one| {
            one.typ() == Some(SignatureType::KeyRevocation) && one.verify_key(&self.primary).is_ok()
        });
        not_revoked(revocations, at)?;
        let word = self.word(now)?;
        within(&self.primary, word.ends, at)?;
        Ok(word)
    }

    /// What the owner said last of the primary key, on its own or with a user id.
    ///
    /// # Errors
    /// Nothing that counts was said, or not what the key is for.
    fn word(&self, now: Timestamp) -> Result<Word, &'static str> {
        let of_key = |one: &&Signature| {
            one.typ() == Some(SignatureType::Key) && counts(one, now) && one.verify_key(&self.primary).is_ok()
        };
        let mut said: Vec<&Signature> = self.direct.iter().filter(of_key).collect();
        said.extend(self.users.iter().flat_map(|user| self.certifications(user, now)));
        said.sort_by_key(|one| Reverse(one.created()));
        if said.is_empty() {
            return Err(NO_WORD);
        }
        let flags = said.iter().find(|one| has_flags(one)).ok_or(NO_FLAGS)?.key_flags();
        let of_time = said.iter().find(|one| has_flags(one) || one.key_expiration_time().is_some());
        Ok(Word { flags, ends: of_time.and_then(|one| ends(&self.primary, one)) })
    }

    /// What the owner says of a user id; nothing where that was revoked.
    fn certifications<'a>(&self, user: &'a SignedUser, now: Timestamp) -> Vec<&'a Signature> {
        let own = |one: &&Signature| one.verify_certification(&self.primary, Tag::UserId, &user.id).is_ok();
        let (revoked, said): (Vec<_>, Vec<_>) = user
            .signatures
            .iter()
            .filter(own)
            .partition(|one| one.typ() == Some(SignatureType::CertRevocation));
        let stands = |one: &&Signature| revoked.iter().all(|other| one.created() > other.created());
        said.into_iter().filter(|one| counts(one, now)).filter(stands).collect()
    }
}

const NO_WORD: &str = "has no statement of its owner that counts: one that fits, is not revoked or of the future, and has \
                       SHA-256 or a stronger digest";
const NO_FLAGS: &str = "has no key flags: its owner does not say that it is for signing";
const NOT_FOR_SIGNING: &str = "its owner does not use for signing";

/// Digests nobody makes two texts for; SHA-1 and those before it are not among them.
pub fn is_strong_digest(digest: Option<HashAlgorithm>) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(digest, Some(Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512))
}

/// Whether a signature may be relied on, should it fit: it is of this time, strong, and says nothing that is not
/// understood and yet must be.
fn counts(signature: &Signature, now: Timestamp) -> bool {
    let created = signature.created();
    is_understood(signature)
        && is_strong_digest(signature.hash_alg())
        && created.is_some_and(|created| created <= now)
        && !has_ended(signature, now)
}

/// Whether the signature is of a version in use and everything in it that must be understood is.
pub fn is_understood(signature: &Signature) -> bool {
    let unknown = |data: &SubpacketData| {
        use SubpacketData::{Experimental, Notation, Other};
        matches!(data, Experimental(..) | Other(..) | Notation(_))
    };
    matches!(signature.version(), SignatureVersion::V4 | SignatureVersion::V6)
        && signature.config().is_some_and(|config| {
            config.hashed_subpackets.iter().all(|one| !one.is_critical || !unknown(&one.data))
        })
}

/// Whether the signature was meant to count for a time that is over.
pub fn has_ended(signature: &Signature, now: Timestamp) -> bool {
    let lasts = signature.signature_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    let created = signature.created().map_or(0, |time| u64::from(time.as_secs()));
    lasts > 0 && u64::from(now.as_secs()) >= created + lasts
}

fn has_flags(signature: &Signature) -> bool {
    let is_flags = |data: &SubpacketData| matches!(data, SubpacketData::KeyFlags(_));
    signature.config().is_some_and(|config| config.hashed_subpackets.iter().any(|one| is_flags(&one.data)))
}

/// When a key ends by what a signature says, in seconds since 1970; `None`: never.
fn ends(key: &dyn KeyDetails, signature: &Signature) -> Option<u64> {
    let lasts = signature.key_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    (lasts > 0).then(|| u64::from(key.created_at().as_secs()) + lasts)
}

fn within(key: &dyn KeyDetails, ends: Option<u64>, at: Timestamp) -> Result<(), String> {
    if key.created_at() > at {
        return Err("did not exist yet at that time".to_owned());
    }
    if ends.is_some_and(|ends| u64::from(at.as_secs()) >= ends) {
        return Err("had expired at that time".to_owned());
    }
    Ok(())
}

/// A key that was retired or replaced is good for what it signed before; after any other revocation, it is for nothing.
fn not_revoked<'a>(
    mut revocations: impl Iterator<Item = &'a Signature>,
    at: Timestamp,
) -> Result<(), String> {
    use RevocationCode::{KeyRetired, KeySuperseded};
    let is_soft = |one: &Signature| matches!(one.revocation_reason_code(), Some(KeyRetired | KeySuperseded));
    let applies = |one: &Signature| !is_soft(one) || one.created().is_none_or(|created| created <= at);
    if revocations.any(applies) { Err("is revoked".to_owned()) } else { Ok(()) }
}

fn signs(flags: &KeyFlags) -> Result<(), String> {
    if flags.sign() { Ok(()) } else { Err(NOT_FOR_SIGNING.to_owned()) }
}

/// RSA, Ed25519, Ed448 and the curves of NIST.
///
/// # Errors
/// What the key uses instead, as the rest of a relative clause.
pub fn is_read(key: &dyn KeyDetails) -> Result<(), String> {
    let curve = match key.public_params() {
        PublicParams::RSA(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_)
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
        | PublicParams::ECDSA(
            EcdsaPublicParams::P256 { .. } | EcdsaPublicParams::P384 { .. } | EcdsaPublicParams::P521 { .. },
        ) => return Ok(()),
        PublicParams::ECDSA(EcdsaPublicParams::Secp256k1 { .. }) => " on the curve secp256k1".to_owned(),
        PublicParams::ECDSA(EcdsaPublicParams::Unsupported { curve, .. })
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Unsupported { curve, .. }) => {
            format!(" on the curve {curve}")
        }
        _ => String::new(),
    };
    Err(format!("uses {:?}{curve}: that is not read", key.algorithm()))
}

/// RSA counts from 2048 bits on.
fn is_strong(key: &dyn KeyDetails) -> Result<(), String> {
    let PublicParams::RSA(rsa) = key.public_params() else { return Ok(()) };
    // The first number is the modulus; before it stands how many bits it has.
    let bits = rsa.to_bytes().ok().and_then(|bytes| Some([*bytes.first()?, *bytes.get(1)?]));
    if bits.is_some_and(|bits| u16::from_be_bytes(bits) >= 2048) {
        return Ok(());
    }
    Err("is too weak: RSA counts from 2048 bits on".to_owned())
}
