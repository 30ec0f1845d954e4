//! Whether a webhook comes from whom it says: the signatures of GitHub, GitLab, Gitea, and Flux's generic one.
//!
//! In: headers, body, secret · Out: whether to believe it · Touches: nothing

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Headers that carry an HMAC-SHA256 of the body in hex, with or without `sha256=` before it.
const SIGNATURES: [&str; 3] = ["x-hub-signature-256", "x-gitea-signature", "x-signature"];

/// Header in which GitLab sends the secret itself.
const TOKEN: &str = "x-gitlab-token";

/// What the headers of a webhook prove before its body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The sender knows the secret.
    Proven,
    /// It says that its body is signed.
    Signed,
    /// Nothing.
    Nothing,
}

/// What the headers prove. An empty secret is known by nobody.
pub fn claim<'a>(header: impl Fn(&str) -> Option<&'a str>, secret: &[u8]) -> Claim {
    if secret.is_empty() {
        return Claim::Nothing;
    }
    if header(TOKEN).is_some_and(|token| is_same(token.as_bytes(), secret)) {
        return Claim::Proven;
    }
    if SIGNATURES.iter().any(|name| header(name).is_some()) { Claim::Signed } else { Claim::Nothing }
}

/// Whether any header proves that the sender of this body knows the secret.
pub fn is_genuine<'a>(header: impl Fn(&str) -> Option<&'a str>, body: &[u8], secret: &[u8]) -> bool {
    match claim(&header, secret) {
        Claim::Proven => true,
        Claim::Signed => {
            SIGNATURES.iter().filter_map(|name| header(name)).any(|text| is_signed(text, body, secret))
        }
        Claim::Nothing => false,
    }
}

fn is_signed(text: &str, body: &[u8], secret: &[u8]) -> bool {
    let hex = text.trim().strip_prefix("sha256=").unwrap_or(text.trim());
    let (Some(signature), Ok(mut mac)) = (bytes(hex), Hmac::<Sha256>::new_from_slice(secret)) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

/// Compares by their digests, so that the time it takes tells nothing.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let digest = |text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(other).ok()?;
        mac.update(text);
        Some(mac)
    };
    match (digest(one), digest(other)) {
        (Some(one), Some(other)) => one.verify_slice(&other.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"Hello, World!";
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    /// The example of GitHub's documentation, "Validating webhook deliveries".
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn says(name: &'static str, value: &'static str, secret: &[u8]) -> bool {
        is_genuine(|asked| (asked == name).then_some(value), BODY, secret)
    }

    #[test]
    fn who_knows_the_secret_is_believed() {
        let github: &'static str = format!("sha256={SIGNATURE}").leak();
        assert!(says("x-hub-signature-256", github, SECRET));
        assert!(says("x-signature", github, SECRET));
        assert!(says("x-gitea-signature", SIGNATURE, SECRET));
        assert!(says("x-gitlab-token", "It's a Secret to Everybody", SECRET));
    }

    #[test]
    fn nobody_else_is() {
        let other: &'static str = SIGNATURE.replace('7', "8").leak();
        for (name, value) in [
            ("x-hub-signature-256", other),
            ("x-hub-signature-256", "sha256="),
            ("x-hub-signature-256", "sha256=ü"),
            ("x-hub-signature", SIGNATURE),
            ("x-gitlab-token", "It's a Secret"),
            ("x-gitlab-token", ""),
        ] {
            assert!(!says(name, value, SECRET), "{name}: {value}");
        }
        assert!(!says("x-gitlab-token", "", b""), "without a secret nobody can know it");
    }
}
