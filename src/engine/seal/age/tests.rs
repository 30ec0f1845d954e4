use super::*;

fn sealed(recipients: &Recipients, plain: &[u8]) -> Vec<u8> {
    let mut out = recipients.seal(Vec::new()).unwrap();
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn pair() -> (Recipients, Identities) {
    let pair = generate("2026-11-21T06:30:00Z".parse().unwrap());
    let mut identities = Identities::default();
    identities.add("key.txt", &pair.file).unwrap();
    (Recipients::parse(&[pair.recipient]).unwrap(), identities)
}

fn ssh_pair(algorithm: ssh_key::Algorithm) -> (String, String) {
    let key = ssh_key::PrivateKey::random(&mut rand::rngs::OsRng, algorithm).unwrap();
    let private = key.to_openssh(ssh_key::LineEnding::LF).unwrap().to_string();
    (key.public_key().to_openssh().unwrap(), private)
}

#[test]
fn what_is_sealed_opens_with_any_of_the_identities() {
    let (ssh_public, ssh_private) = ssh_pair(ssh_key::Algorithm::Ed25519);
    let key = generate("2026-11-21T06:30:00Z".parse().unwrap());
    let both =
        Recipients::parse(&[format!("{ssh_public} someone@somewhere"), key.recipient.clone()]).unwrap();
    let file = sealed(&both, b"cargo");
    for text in [key.file.as_str(), ssh_private.as_str()] {
        let mut identities = Identities::default();
        identities.add("key", text).unwrap();
        assert_eq!(identities.open_bytes(&file).unwrap().as_slice(), b"cargo");
    }
    assert_eq!(both.names().collect::<Vec<_>>(), [key.recipient.as_str(), ssh_public.as_str()]);
}

#[test]
fn a_secret_is_armored_once_for_each_recipient() {
    let (first, identities) = pair();
    let (second, _) = pair();
    let texts: Vec<String> = first.names().chain(second.names()).map(str::to_owned).collect();
    let armored = Recipients::parse(&texts).unwrap().armor_each(b"data key").unwrap();
    assert_eq!(armored.len(), 2);
    for (name, text) in armored {
        assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
        let opened = identities.open_bytes(text.as_bytes());
        assert_eq!(opened.is_ok(), first.names().any(|n| n == name));
    }
}

#[test]
fn a_wrong_identity_is_told_from_a_broken_file() {
    let (recipients, identities) = pair();
    let (_, other) = pair();
    let file = sealed(&recipients, &vec![7; 200_000]);
    assert!(matches!(other.open_bytes(&file), Err(Error::WrongIdentity)));
    assert!(matches!(Identities::default().open_bytes(&file), Err(Error::NoIdentity)));
    for cut in [0, 10, file.len() / 2, file.len() - 1] {
        assert!(identities.open_bytes(&file[..cut]).is_err(), "cut at {cut}");
    }
    for at in (0..file.len()).step_by(997) {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert!(identities.open_bytes(&flipped).is_err(), "flipped at {at}");
    }
}

#[test]
fn bad_recipients_are_named_but_private_keys_are_not_repeated() {
    let (_, key) = ssh_pair(ssh_key::Algorithm::Ecdsa { curve: ssh_key::EcdsaCurve::NistP256 });
    let secret = generate("2026-11-21T06:30:00Z".parse().unwrap()).file.lines().last().unwrap().to_owned();
    let said = |text: &str| Recipients::parse(&[text.to_owned()]).unwrap_err().to_string();
    insta::assert_snapshot!(
        [said("age1qqq"), said("age1pq1abc"), said("age1yubikey1q2w"), said(&secret), said(&key), said("x"), said("")].join("\n"),
        @r"
    cannot use the recipient age1qqq: invalid Bech32 encoding
    cannot use the recipient age1pq1abc: post-quantum and hardware keys are not supported yet
    cannot use the recipient age1yubikey1q2w: age plugins are not supported
    cannot use the recipient (not shown): it is a private key, give its public half
    cannot use the recipient (not shown): it is a private key, give its public half
    cannot use the recipient x: expected age1…, ssh-ed25519 … or ssh-rsa …
    cannot use the recipient : expected age1…, ssh-ed25519 … or ssh-rsa …
    ");
    assert!(matches!(Recipients::parse(&[]), Err(Error::NoRecipient)));
}

/// One plain key of 32,768 begins with the letters of a hardware key; only those have a `1` after them.
#[test]
fn a_plain_key_that_begins_like_a_hardware_key_is_a_plain_key() {
    let key = "age1tag94pf65s9fdlk4ey24j84zm9l8wwcv5swq2wd8r0u5mxcsupvs9qu8ev".to_owned();
    assert_eq!(
        Recipients::parse(std::slice::from_ref(&key)).unwrap().names().collect::<Vec<_>>(),
        [key.as_str()]
    );
    let hardware = Recipients::parse(&["age1tag1qqq".to_owned()]).unwrap_err().to_string();
    assert!(hardware.contains("hardware keys"), "{hardware}");
}

#[test]
fn bad_identities_are_placed_but_not_repeated() {
    let said = |text: &str| Identities::default().add("SOPS_AGE_KEY", text).unwrap_err().to_string();
    let public = pair().0.names().next().unwrap().to_owned();
    let locked = "age-encryption.org/v1\n-> scrypt abc 18\n";
    insta::assert_snapshot!(
        [said(""), said("# c\nAGE-SECRET-KEY-1HUNTER2"), said(&public), said("AGE-PLUGIN-YUBIKEY-1Q"), said("AGE-SECRET-KEY-PQ-1X"), said(locked),
         said("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n")].join("\n"),
        @r"
    cannot use the identity in SOPS_AGE_KEY: there is no key in it
    cannot use the identity in SOPS_AGE_KEY line 2: expected AGE-SECRET-KEY-1… or an SSH private key
    cannot use the identity in SOPS_AGE_KEY line 1: it is a public key, the private half is needed
    cannot use the identity in SOPS_AGE_KEY line 1: age plugins are not supported
    cannot use the identity in SOPS_AGE_KEY line 1: post-quantum keys are not supported yet
    cannot use the identity in SOPS_AGE_KEY: it is locked with a passphrase, unlock it first with `age -d`
    cannot use the identity in SOPS_AGE_KEY: it is no OpenSSH or PEM private key
    ");
}

#[test]
fn many_keys_in_one_variable_are_all_used() {
    let (recipients, _) = pair();
    let key = |_| generate("2026-11-21T06:30:00Z".parse().unwrap());
    let keys: Vec<KeyPair> = (0..2).map(key).collect();
    let words: Vec<&str> = keys.iter().map(|k| k.file.lines().last().unwrap()).collect();
    let mut identities = Identities::default();
    identities.add("SOPS_AGE_KEY", &words.join(" ")).unwrap();
    for key in &keys {
        let file = sealed(&Recipients::parse(std::slice::from_ref(&key.recipient)).unwrap(), b"x");
        assert!(identities.open_bytes(&file).is_ok());
    }
    assert!(identities.open_bytes(&sealed(&recipients, b"x")).is_err());
}

#[test]
fn debug_shows_no_key() {
    let (recipients, identities) = pair();
    assert_eq!(format!("{identities:?}"), "Identities(1)");
    assert!(format!("{recipients:?}").starts_with("[\"age1"));
}
