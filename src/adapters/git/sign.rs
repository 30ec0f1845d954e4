//! Signs commits with an SSH key, as `gpg.format = ssh` does.
//!
//! In: a commit without signature, a key file · Out: the signature · Touches: the file system

use std::fs;
use std::path::Path;

use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use crate::ports::git::Error;

/// Signature of a commit, armoured; `git verify-commit` takes it.
///
/// Ed25519 and ECDSA P-256 keys sign. Keys under a passphrase and RSA keys, which `ssh-key` 0.6 takes apart wrongly, are
/// refused.
pub fn sign(commit: &[u8], key: &Path) -> Result<String, Error> {
    let text = fs::read(key).map(Zeroizing::new);
    let text = text.map_err(|error| unusable(key, &format!("cannot be read: {error}")))?;
    let parsed = PrivateKey::from_openssh(text.as_slice());
    let parsed = parsed.map_err(|_| unusable(key, "is no private key in OpenSSH form"))?;
    if parsed.is_encrypted() {
        let help = "is under a passphrase; make a copy without one with `ssh-keygen -p -N '' -f COPY`";
        return Err(unusable(key, help));
    }
    let kind = parsed.algorithm();
    if !matches!(kind, Algorithm::Ed25519 | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }) {
        let help =
            format!("is a key of kind {kind}, which cannot sign; make one with `ssh-keygen -t ed25519`");
        return Err(unusable(key, &help));
    }
    let signature = parsed.sign("git", HashAlg::Sha512, commit);
    let signature = signature.map_err(|error| unusable(key, &format!("cannot sign: {error}")))?;
    signature.to_pem(LineEnding::LF).map_err(|error| unusable(key, &format!("cannot sign: {error}")))
}

fn unusable(key: &Path, what: &str) -> Error {
    Error::Sign(format!("{} {what}", key.display()))
}
