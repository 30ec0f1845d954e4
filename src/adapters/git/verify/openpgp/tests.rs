use pgp::composed::{DsaKeySize, KeyType};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Notation, PublicSubkey, RevocationCode, SecretSubkey, Subpacket, SubpacketData};
use pgp::types::{Duration, KeyDetails, KeyVersion, Password};

use super::person::*;
use super::*;

#[test]
fn a_commit_that_gnupg_signed_is_trusted() {
    let (ring, commit) = (include_str!("../fixtures/ada.asc"), include_bytes!("../fixtures/commit"));
    let signature = include_str!("../fixtures/commit.asc");
    insta::assert_snapshot!(said(commit, signature, &[ring]), @"subkey 15ee69e39131d248bf71e1745276f2b2baf4da64 of key 7d927ce150c78df474bff774496af6f6988bf956 of Ada Lovelace <ada@example.org>");
    insta::assert_snapshot!(said(b"another", signature, &[ring]), @"no: its signature by subkey 15ee69e39131d248bf71e1745276f2b2baf4da64 of key 7d927ce150c78df474bff774496af6f6988bf956 of Ada Lovelace <ada@example.org> does not fit its content");
    insta::assert_snapshot!(said(commit, signature, &[]), @"no: it is signed by OpenPGP key 15ee69e39131d248bf71e1745276f2b2baf4da64, which is no allowed signer");
}

#[test]
fn keys_and_subkeys_of_every_kind_in_use_are_trusted() {
    let kinds = [
        (KeyType::Ed25519Legacy, KeyVersion::V4),
        (KeyType::Rsa(2048), KeyVersion::V4),
        (KeyType::ECDSA(ECCCurve::P256), KeyVersion::V4),
        (KeyType::ECDSA(ECCCurve::P384), KeyVersion::V4),
        (KeyType::ECDSA(ECCCurve::P521), KeyVersion::V4),
        (KeyType::Ed25519, KeyVersion::V4),
        (KeyType::Ed25519, KeyVersion::V6),
        (KeyType::Ed448, KeyVersion::V6),
    ];
    for (kind, version) in kinds {
        let (ada, eve) = (Person::with("Ada", &kind, version), Person::new("Eve"));
        assert_eq!(ada.told(), "key ADA of Ada\nsubkey SUB of key ADA of Ada", "{kind:?}");
        let text = sign(&ada.subkey, says(SignatureType::Text, "2026-06-01", vec![]));
        assert!(said(b"commit\r\n", &text, &[&eve.ring(), &ada.ring()]).starts_with("subkey "), "{kind:?}");
        let binary = sign(&ada.subkey, document("2026-06-01"));
        assert!(
            said(b"commit\r\n", &binary, &[&ada.ring()]).ends_with("does not fit its content"),
            "{kind:?}"
        );
    }
}

#[test]
fn a_signature_that_cannot_count_is_refused() {
    let (ada, eve) = (Person::new("Ada"), Person::new("Eve"));
    let rsa = Person::with("Ada", &KeyType::Rsa(2048), KeyVersion::V4);
    let weak = |digest| rsa.said(&sign(&rsa.key, Says { digest: Some(digest), ..document("2026-06-01") }));
    let mut unread = document("2026-06-01").by(&ada.key);
    let notation = Notation { readable: true, name: "for@example.org".into(), value: "else".into() };
    unread.hashed_subpackets.push(Subpacket::critical(SubpacketData::Notation(notation)).unwrap());
    let unread = unread.sign(&ada.key, &Password::empty(), &b"commit\n"[..]).unwrap();
    let other = says(SignatureType::Standalone, "2026-06-01", vec![]).by(&ada.key);
    let bytes = unread.signature().unwrap().clone();
    let other = Signature::from_config(other, [0, 0], bytes).unwrap();
    let short = SubpacketData::SignatureExpirationTime(Duration::from_secs(60));
    let cases = [
        ada.said(&sign(&eve.key, document("2026-06-01"))),
        ada.said(&sign(&ada.key, document("2026-12-24"))),
        ada.said(&sign(&ada.key, document("2025-12-24"))),
        ada.said(&sign(&ada.subkey, document("2025-12-24"))),
        ada.said(&sign(&ada.key, says(SignatureType::Binary, "2026-06-01", vec![short]))),
        ada.said(&armored(unread)),
        ada.said(&armored(other)),
        ada.said("-----BEGIN PGP SIGNATURE-----\n\nbm90aGluZw==\n-----END PGP SIGNATURE-----\n"),
        ada.said(&ada.ring()),
        weak(HashAlgorithm::Sha1),
        weak(HashAlgorithm::Md5),
        weak(HashAlgorithm::Ripemd160),
    ];
    let prints = [eve.key.fingerprint().to_string()];
    insta::assert_snapshot!(cases.join("\n").replace(&prints[0], "EVE"), @"
    no: it is signed by OpenPGP key EVE, which is no allowed signer
    no: its signature is of the future: 2026-12-24T10:00:00Z
    no: it is signed by key ADA of Ada, which did not exist yet at that time
    no: it is signed by subkey SUB of key ADA of Ada, whose primary key did not exist yet at that time
    no: its signature by key ADA of Ada was for a time that is over
    no: its OpenPGP signature is of a version or has a part that is not known
    no: its OpenPGP signature is not one of a document
    no: its OpenPGP signature cannot be read
    no: its OpenPGP signature cannot be read
    no: its signature is made with the digest SHA1, which can be forged
    no: its signature is made with the digest MD5, which can be forged
    no: its signature is made with the digest RIPEMD160, which can be forged
    ");
}

#[test]
fn a_block_with_two_signatures_is_refused() {
    let ada = Person::new("Ada");
    let mut both = Vec::new();
    for _ in 0..2 {
        let one = document("2026-06-01").by(&ada.key).sign(&ada.key, &Password::empty(), &b"commit\n"[..]);
        pgp::ser::Serialize::to_writer(&DetachedSignature::new(one.unwrap()), &mut both).unwrap();
    }
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, both);
    let text = format!("-----BEGIN PGP SIGNATURE-----\n\n{text}\n-----END PGP SIGNATURE-----\n");
    assert_eq!(ada.said(&text), "no: it has more than one OpenPGP signature");
}

fn certified(day: &str, more: Vec<SubpacketData>) -> Person {
    Person::changed(|ada| ada.certifications = vec![ada.certifies(day, more)])
}

fn revoked(day: &str, code: RevocationCode) -> Person {
    Person::changed(|ada| {
        ada.revocations = vec![ada.of_key(SignatureType::KeyRevocation, day, vec![reason(code)])];
    })
}

#[test]
fn a_key_that_cannot_be_used_at_that_time_is_refused() {
    let cut_short = Person::changed(|ada| {
        ada.certifications.push(ada.certifies("2026-02-01", vec![flags("CS"), days(60)]));
    });
    let ended_on_its_own = Person::changed(|ada| {
        ada.direct = vec![ada.of_key(SignatureType::Key, "2026-02-01", vec![days(60)])];
    });
    let no_user_id = Person::changed(|ada| {
        ada.certifications.push(ada.of_user(says(SignatureType::CertRevocation, "2026-02-01", vec![])));
    });
    let cases = [
        ("expired", certified("2026-01-01", vec![flags("CS"), days(30)])),
        ("cut short", cut_short),
        ("ended on its own", ended_on_its_own),
        ("compromised later", revoked("2026-08-01", RevocationCode::KeyCompromised)),
        ("replaced before", revoked("2026-05-01", RevocationCode::KeySuperseded)),
        ("only certifies", certified("2026-01-01", vec![flags("C")])),
        ("says nothing", certified("2026-01-01", vec![])),
        ("speaks in the future", certified("2026-12-24", vec![flags("CS")])),
        ("no user id any more", no_user_id),
    ];
    let told = cases.map(|(what, ada)| format!("{what}:\n{}", ada.told()));
    insta::assert_snapshot!(told.join("\n"), @"
    expired:
    no: it is signed by key ADA of Ada <ada@example.org>, which had expired at that time
    no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, whose primary key had expired at that time
    cut short:
    no: it is signed by key ADA of Ada <ada@example.org>, which had expired at that time
    no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, whose primary key had expired at that time
    ended on its own:
    no: it is signed by key ADA of Ada <ada@example.org>, which had expired at that time
    no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, whose primary key had expired at that time
    compromised later:
    no: it is signed by key ADA of Ada <ada@example.org>, which is revoked
    no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, whose primary key is revoked
    replaced before:
    no: it is signed by key ADA of Ada <ada@example.org>, which is revoked
    no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, whose primary key is revoked
    only certifies:
    no: it is signed by key ADA of Ada <ada@example.org>, which its owner does not use for signing
    subkey SUB of key ADA of Ada <ada@example.org>
    says nothing:
    no: it is signed by key ADA of Ada <ada@example.org>, which has no key flags: its owner does not say that it is for signing
    no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, whose primary key has no key flags: its owner does not say that it is for signing
    speaks in the future:
    no: it is signed by key ADA, which has no statement of its owner that counts: one that fits, is not revoked or of the future, and has SHA-256 or a stronger digest
    no: it is signed by subkey SUB of key ADA, whose primary key has no statement of its owner that counts: one that fits, is not revoked or of the future, and has SHA-256 or a stronger digest
    no user id any more:
    no: it is signed by key ADA, which has no statement of its owner that counts: one that fits, is not revoked or of the future, and has SHA-256 or a stronger digest
    no: it is signed by subkey SUB of key ADA, whose primary key has no statement of its owner that counts: one that fits, is not revoked or of the future, and has SHA-256 or a stronger digest
    ");
}

#[test]
fn a_subkey_that_cannot_be_used_at_that_time_is_refused() {
    let eve = Person::new("Eve");
    let bound =
        |more: Vec<SubpacketData>| Person::changed(|ada| ada.bindings = vec![ada.binds("2026-01-01", more)]);
    let without_back = |back: Option<SubpacketData>| {
        Person::changed(|ada| {
            let more = [flags("S")].into_iter().chain(back).collect();
            ada.bindings = vec![ada.of_subkey(says(SignatureType::SubkeyBinding, "2026-01-01", more))];
        })
    };
    let cases = [
        ("expired", bound(vec![flags("S"), days(30)])),
        ("for encryption", bound(vec![flags("E")])),
        ("says nothing", bound(vec![])),
        ("without its consent", without_back(None)),
        ("with another one's consent", without_back(Some(eve.back(&eve.subkey)))),
        (
            "revoked later",
            Person::changed(|ada| {
                ada.bindings.push(ada.of_subkey(says(SignatureType::SubkeyRevocation, "2026-08-01", vec![])));
            }),
        ),
        (
            "bound later, and to encryption",
            Person::changed(|ada| {
                ada.bindings.push(ada.binds("2026-02-01", vec![flags("E")]));
            }),
        ),
    ];
    let told =
        cases.map(|(what, ada)| format!("{what}: {}", ada.said(&sign(&ada.subkey, document("2026-06-01")))));
    insta::assert_snapshot!(told.join("\n"), @"
    expired: no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, which had expired at that time
    for encryption: no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, which its owner does not use for signing
    says nothing: no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, which has no key flags: its owner does not say that it is for signing
    without its consent: no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, which has not signed that it belongs to its primary key
    with another one's consent: no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, which has not signed that it belongs to its primary key
    revoked later: no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, which is revoked
    bound later, and to encryption: no: it is signed by subkey SUB of key ADA of Ada <ada@example.org>, which its owner does not use for signing
    ");
    let mut thief = Person::new("Eve");
    let ada = Person::new("Ada");
    thief.subkey = ada.subkey.clone();
    thief.bindings =
        vec![thief.of_subkey(says(SignatureType::SubkeyBinding, "2026-01-01", vec![flags("S")]))];
    let stolen = thief.said(&sign(&ada.subkey, document("2026-06-01")));
    assert!(stolen.ends_with("which has not signed that it belongs to its primary key"), "{stolen}");
}

#[test]
fn what_an_owner_says_with_a_weak_digest_does_not_count() {
    let sha1 = |says: Says| Says { digest: Some(HashAlgorithm::Sha1), ..says };
    let mut ada = Person::with("Ada", &KeyType::Rsa(2048), KeyVersion::V4);
    let good = ada.bindings.clone();
    let back = ada.back(&ada.subkey);
    ada.bindings =
        vec![ada.of_subkey(sha1(says(SignatureType::SubkeyBinding, "2026-01-01", vec![flags("S"), back])))];
    insta::assert_snapshot!(ada.told(), @"
    key ADA of Ada
    no: it is signed by subkey SUB of key ADA of Ada, which has no statement of its owner that counts: one that fits, is not revoked or of the future, and has SHA-256 or a stronger digest
    ");
    ada.bindings = good;
    ada.certifications =
        vec![ada.of_user(sha1(says(SignatureType::CertPositive, "2026-01-01", vec![flags("CS")])))];
    insta::assert_snapshot!(ada.told(), @"
    no: it is signed by key ADA, which has no statement of its owner that counts: one that fits, is not revoked or of the future, and has SHA-256 or a stronger digest
    no: it is signed by subkey SUB of key ADA, whose primary key has no statement of its owner that counts: one that fits, is not revoked or of the future, and has SHA-256 or a stronger digest
    ");
}

#[test]
fn an_algorithm_that_is_not_read_is_named() {
    let bitcoin = Person::with("Ada", &KeyType::ECDSA(ECCCurve::Secp256k1), KeyVersion::V4);
    let dsa = Person::with("Ada", &KeyType::Dsa(DsaKeySize::B1024), KeyVersion::V4);
    insta::assert_snapshot!([bitcoin.told(), dsa.told()].join("\n"), @"
    no: it is signed by key ADA of Ada, which uses ECDSA on the curve secp256k1: that is not read
    no: it is signed by subkey SUB of key ADA of Ada, which uses ECDSA on the curve secp256k1: that is not read
    no: it is signed by key ADA of Ada, which uses DSA: that is not read
    no: it is signed by subkey SUB of key ADA of Ada, which uses DSA: that is not read
    ");
    let mut subkey = Person::new("Ada");
    let (public, secret) = inner(&KeyType::ECDSA(ECCCurve::Secp256k1), KeyVersion::V4, at("2026-01-01"));
    subkey.subkey = SecretSubkey::new(PublicSubkey::from_inner(public).unwrap(), secret).unwrap();
    subkey.bindings = vec![subkey.binds("2026-01-01", vec![flags("S")])];
    insta::assert_snapshot!(subkey.told(), @"
    key ADA of Ada
    no: it is signed by subkey SUB of key ADA of Ada, which uses ECDSA on the curve secp256k1: that is not read
    ");
}

#[test]
fn a_key_that_gnupg_made_on_a_curve_that_is_not_read_is_named() {
    let (ring, signature) = (include_str!("../fixtures/eve.asc"), include_str!("../fixtures/eve.sig.asc"));
    let commit = include_bytes!("../fixtures/commit");
    insta::assert_snapshot!(said(commit, signature, &[ring]), @"no: it is signed by key c6bde85fb696a993e3ac858d1fafacb588407c20, which uses ECDSA on the curve brainpoolP256r1: that is not read");
}

#[test]
fn a_short_rsa_key_is_refused() {
    let ada = Person::with("Ada", &KeyType::Rsa(1024), KeyVersion::V4);
    insta::assert_snapshot!(ada.told(), @"
    no: it is signed by key ADA of Ada, which is too weak: RSA counts from 2048 bits on
    no: it is signed by subkey SUB of key ADA of Ada, whose primary key is too weak: RSA counts from 2048 bits on
    ");
}

#[test]
fn a_key_that_was_replaced_or_expired_later_is_trusted_for_what_it_signed_before() {
    let trusted = "key ADA of Ada <ada@example.org>\nsubkey SUB of key ADA of Ada <ada@example.org>";
    let replaced = Person::changed(|ada| {
        let why = vec![reason(RevocationCode::KeySuperseded)];
        ada.revocations = vec![ada.of_key(SignatureType::KeyRevocation, "2026-08-01", why.clone())];
        ada.bindings.push(ada.of_subkey(says(SignatureType::SubkeyRevocation, "2026-08-01", why)));
    });
    assert_eq!(replaced.told(), trusted);
    let expired = Person::changed(|ada| {
        ada.certifications = vec![ada.certifies("2026-01-01", vec![flags("CS"), days(200)])];
        ada.bindings = vec![ada.binds("2026-01-01", vec![flags("S"), days(200)])];
    });
    assert_eq!(expired.told(), trusted);
    let prolonged = Person::changed(|ada| {
        ada.certifications = vec![
            ada.certifies("2026-01-01", vec![flags("CS"), days(30)]),
            ada.certifies("2026-07-01", vec![flags("CS"), days(300)]),
        ];
    });
    assert_eq!(prolonged.told(), trusted);
}

#[test]
fn a_revocation_counts_that_only_one_copy_of_a_key_has_and_one_of_a_stranger_does_not() {
    let (mut ada, eve) = (Person::new("Ada"), Person::new("Eve"));
    let (old, signature) = (ada.ring(), sign(&ada.subkey, document("2026-06-01")));
    ada.revocations = vec![eve.of_key(SignatureType::KeyRevocation, "2026-02-01", vec![])];
    assert!(said(b"commit\n", &signature, &[&ada.ring()]).starts_with("subkey "));
    ada.revocations = vec![ada.of_key(SignatureType::KeyRevocation, "2026-02-01", vec![])];
    for rings in [[&old, &ada.ring()], [&ada.ring(), &old]] {
        let said = said(b"commit\n", &signature, &rings.map(String::as_str));
        assert!(said.ends_with("whose primary key is revoked"), "{said}");
    }
}
