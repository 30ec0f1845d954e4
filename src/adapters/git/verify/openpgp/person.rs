//! People with OpenPGP keys, and what is said of a commit that they sign.
//!
//! In: what their signatures say · Out: keys, signatures, verdicts · Touches: chance

use pgp::composed::{ArmorOptions, KeyType, SignedKeyDetails, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PubKeyInner, PublicKey, PublicSubkey, RevocationCode, SecretKey, SecretSubkey, SignatureConfig,
    Subpacket, SubpacketData, UserId,
};
use pgp::types::{
    Duration, KeyDetails, KeyVersion, PacketHeaderVersion, Password, SignedUser, SigningKey, Tag,
};
use rand::rngs::OsRng;

use super::super::certificate;
use super::*;

pub fn at(day: &str) -> Seconds {
    seconds(format!("{day}T10:00:00Z").parse().unwrap())
}

/// What a signature says beside what it signs.
#[derive(Clone)]
pub struct Says {
    pub typ: SignatureType,
    pub made: Seconds,
    /// Absent: the one that the key recommends.
    pub digest: Option<HashAlgorithm>,
    pub more: Vec<SubpacketData>,
}

pub fn says(typ: SignatureType, day: &str, more: Vec<SubpacketData>) -> Says {
    Says { typ, made: at(day), digest: None, more }
}

impl Says {
    pub fn by(self, key: &impl SigningKey) -> SignatureConfig {
        let mut config = SignatureConfig::from_key(OsRng, key, self.typ).unwrap();
        config.hash_alg = self.digest.unwrap_or(config.hash_alg);
        let own = [
            SubpacketData::SignatureCreationTime(self.made),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ];
        let all = own.into_iter().chain(self.more);
        config.hashed_subpackets = all.map(|data| Subpacket::regular(data).unwrap()).collect();
        config
    }
}

pub fn flags(letters: &str) -> SubpacketData {
    let mut flags = KeyFlags::default();
    flags.set_certify(letters.contains('C'));
    flags.set_sign(letters.contains('S'));
    flags.set_encrypt_storage(letters.contains('E'));
    SubpacketData::KeyFlags(flags)
}

pub fn days(number: u32) -> SubpacketData {
    SubpacketData::KeyExpirationTime(Duration::from_secs(number * 86400))
}

pub fn reason(code: RevocationCode) -> SubpacketData {
    SubpacketData::RevocationReason(code, "".into())
}

pub fn inner(kind: &KeyType, version: KeyVersion, made: Seconds) -> (PubKeyInner, pgp::types::SecretParams) {
    let (public, secret) = kind.generate(OsRng).unwrap();
    (PubKeyInner::new(version, kind.to_alg(), made, None, public).unwrap(), secret)
}

pub fn armored(signature: Signature) -> String {
    DetachedSignature::new(signature).to_armored_string(ArmorOptions::default()).unwrap()
}

pub fn sign(key: &impl SigningKey, says: Says) -> String {
    armored(says.by(key).sign(key, &Password::empty(), &b"commit\n"[..]).unwrap())
}

pub fn document(day: &str) -> Says {
    says(SignatureType::Binary, day, vec![])
}

/// A person with a key and a subkey, both of 2026-01-01, both for signing.
pub struct Person {
    pub key: SecretKey,
    pub subkey: SecretSubkey,
    pub user: UserId,
    pub revocations: Vec<Signature>,
    pub direct: Vec<Signature>,
    pub certifications: Vec<Signature>,
    pub bindings: Vec<Signature>,
}

impl Person {
    pub fn new(name: &str) -> Self {
        Self::with(name, &KeyType::Ed25519Legacy, KeyVersion::V4)
    }

    pub fn with(name: &str, kind: &KeyType, version: KeyVersion) -> Self {
        let (public, secret) = inner(kind, version, at("2026-01-01"));
        let key = SecretKey::new(PublicKey::from_inner(public).unwrap(), secret).unwrap();
        let (public, secret) = inner(kind, version, at("2026-01-01"));
        let subkey = SecretSubkey::new(PublicSubkey::from_inner(public).unwrap(), secret).unwrap();
        let user = UserId::from_str(PacketHeaderVersion::default(), name).unwrap();
        let (revocations, direct) = (vec![], vec![]);
        let mut person =
            Self { key, subkey, user, revocations, direct, certifications: vec![], bindings: vec![] };
        person.certifications = vec![person.certifies("2026-01-01", vec![flags("CS")])];
        person.bindings = vec![person.binds("2026-01-01", vec![flags("S")])];
        person
    }

    pub fn certifies(&self, day: &str, more: Vec<SubpacketData>) -> Signature {
        self.of_user(says(SignatureType::CertPositive, day, more))
    }

    pub fn of_user(&self, says: Says) -> Signature {
        let (config, key) = (says.by(&self.key), self.key.public_key());
        config.sign_certification(&self.key, &key, &Password::empty(), Tag::UserId, &self.user).unwrap()
    }

    pub fn of_key(&self, typ: SignatureType, day: &str, more: Vec<SubpacketData>) -> Signature {
        let (config, key) = (says(typ, day, more).by(&self.key), self.key.public_key());
        config.sign_key(&self.key, &Password::empty(), &key).unwrap()
    }

    pub fn of_subkey(&self, says: Says) -> Signature {
        let (config, key) = (says.by(&self.key), self.key.public_key());
        config.sign_subkey_binding(&self.key, &key, &Password::empty(), &self.subkey.public_key()).unwrap()
    }

    pub fn back(&self, by: &SecretSubkey) -> SubpacketData {
        let config = says(SignatureType::KeyBinding, "2026-01-01", vec![]).by(by);
        let key = self.key.public_key();
        let back = config.sign_primary_key_binding(by, &by.public_key(), &Password::empty(), &key);
        SubpacketData::EmbeddedSignature(Box::new(back.unwrap()))
    }

    pub fn binds(&self, day: &str, mut more: Vec<SubpacketData>) -> Signature {
        more.push(self.back(&self.subkey));
        self.of_subkey(says(SignatureType::SubkeyBinding, day, more))
    }

    pub fn ring(&self) -> String {
        let user = SignedUser::new(self.user.clone(), self.certifications.clone());
        let details =
            SignedKeyDetails::new(self.revocations.clone(), self.direct.clone(), vec![user], vec![]);
        let subkey = SignedPublicSubKey::new(self.subkey.public_key().clone(), self.bindings.clone());
        let key = SignedPublicKey::new(self.key.public_key().clone(), details, vec![subkey]);
        key.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// What is said of a commit of 2026-06-01 by the key and by the subkey; fingerprints are called by whose they are.
    pub fn told(&self) -> String {
        let of_key = self.said(&sign(&self.key, document("2026-06-01")));
        let of_subkey = self.said(&sign(&self.subkey, document("2026-06-01")));
        format!("{of_key}\n{of_subkey}")
    }

    pub fn said(&self, signature: &str) -> String {
        let said = said(b"commit\n", signature, &[&self.ring()]);
        said.replace(&self.key.fingerprint().to_string(), "ADA")
            .replace(&self.subkey.fingerprint().to_string(), "SUB")
    }

    pub fn changed(change: impl FnOnce(&mut Self)) -> Self {
        let mut person = Self::new("Ada <ada@example.org>");
        change(&mut person);
        person
    }
}

pub fn said(content: &[u8], signature: &str, rings: &[&str]) -> String {
    let mut all = Vec::new();
    for ring in rings {
        certificate::add(ring, &mut all).unwrap();
    }
    let now = "2026-11-27T10:00:00Z".parse().unwrap();
    signer(content, signature, now, &all).unwrap_or_else(|why| format!("no: {why}"))
}
