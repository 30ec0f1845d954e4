//! Whether an SSH server is the one that is known.
//!
//! In: a `known_hosts` text, a host key · Out: a reason to go away · Touches: nothing

use hmac::{Hmac, Mac};
use sha1::Sha1;
use ssh_key::known_hosts::{HostPatterns, KnownHosts, Marker};

use super::address::Server;

/// Compares a host key with the known ones. `place` names the file in the reason.
///
/// Reads plain, hashed and negated patterns as OpenSSH does; a line it cannot read knows nothing. Certificate authorities
/// for host keys are not supported.
pub fn check(known: &str, place: &str, server: &Server, key: &[u8]) -> Result<(), String> {
    let (host, port) = (&server.host, server.port);
    let name = if port == 22 { host.clone() } else { format!("[{host}]:{port}") };
    let mut kinds = Vec::new();
    for entry in KnownHosts::new(known).flatten() {
        if !is_meant(entry.host_patterns(), &name) || entry.marker() == Some(&Marker::CertAuthority) {
            continue;
        }
        let is_same = entry.public_key().to_bytes().is_ok_and(|known| known == key);
        match entry.marker() {
            Some(Marker::Revoked) if is_same => return Err(format!("its host key is revoked in {place}")),
            None if is_same => return Ok(()),
            Some(_) => {}
            None => kinds.push(entry.public_key().algorithm().as_str().to_owned()),
        }
    }
    let scan = format!("ssh-keyscan -p {port} {host}");
    let offered = kind_of(key);
    if kinds.is_empty() {
        return Err(format!(
            "{place} does not know the host key of {name}; compare what `{scan}` prints with what the server's \
             administrator says, then add it there"
        ));
    }
    if kinds.contains(&offered) {
        return Err(format!(
            "the {offered} host key of {name} is another than in {place}: somebody may be listening in; if the server \
             has really got a new key, replace it with what `{scan}` prints"
        ));
    }
    Err(format!(
        "the server shows a host key of kind {offered}, and {place} knows {name} by {}; add what `{scan}` prints",
        kinds.join(", ")
    ))
}

/// The first field of a key in the wire format is its kind.
fn kind_of(key: &[u8]) -> String {
    let length = key.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    let kind = key.get(4..).and_then(|rest| rest.get(..length)).unwrap_or_default();
    String::from_utf8_lossy(kind).into_owned()
}

fn is_meant(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let mac = Hmac::<Sha1>::new_from_slice(salt);
            mac.is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok())
        }
        HostPatterns::Patterns(patterns) => {
            let fits = |pattern: &str| matches(pattern.as_bytes(), name.as_bytes());
            let (not, yes): (Vec<_>, Vec<_>) =
                patterns.iter().map(String::as_str).partition(|pattern| pattern.starts_with('!'));
            yes.into_iter().any(fits) && !not.into_iter().any(|pattern| fits(&pattern[1..]))
        }
    }
}

/// Globs of OpenSSH: `*` and `?`, in any case; brackets stand for themselves.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => matches(rest, name),
        (Some((b'*', rest)), Some((_, after))) => matches(rest, name) || matches(pattern, after),
        (Some((b'?', rest)), Some((_, after))) => matches(rest, after),
        (Some((a, rest)), Some((b, after))) => a.eq_ignore_ascii_case(b) && matches(rest, after),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::super::address::Scheme;
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIIwn5Rg58G2sO6Cc8zigBpy5Dcs5LoxdWU1oo5AtTBf+";

    fn says(known: &str, host: &str, port: u16) -> String {
        let server = Server {
            url: String::new(),
            scheme: Scheme::Ssh,
            host: host.into(),
            port,
            user: None,
            password: None,
        };
        let key = BASE64_STANDARD.decode(KEY).unwrap();
        let known = known.replace("KEY", &format!("ssh-ed25519 {KEY}"));
        let known = known.replace("OTHER", &format!("ssh-ed25519 {OTHER}"));
        check(&known, "known_hosts", &server, &key).map_or_else(|reason| reason, |()| "known".into())
    }

    #[test]
    fn a_host_is_known_by_its_name_and_port() {
        assert_eq!(says("# mine\ngit.example.com,10.0.0.1 KEY", "10.0.0.1", 22), "known");
        assert_eq!(says("*.example.com,!bad.example.com KEY", "git.Example.com", 22), "known");
        assert_eq!(says("[git.example.com]:2222 KEY me@here", "git.example.com", 2222), "known");
        assert_eq!(says("garbage\n\nssh OTHER\nssh KEY", "ssh", 22), "known");
        for known in ["", "git KEY", "[ssh]:22 KEY", "*,![ssh]:2222 KEY", "@cert-authority ssh KEY"] {
            assert!(says(known, "ssh", 2222).contains("known_hosts does not know"), "{known}");
        }
        assert!(says("", "ssh", 2222).contains("`ssh-keyscan -p 2222 ssh`"));
    }

    #[test]
    fn hashed_names_are_found() {
        // Made by `ssh-keygen -H`.
        let known = "|1|9lxoWaL6LvEU1OQ9Kh5bnH8V5rM=|SWNXcw8ZLy/fSMZZcO/e81ayzCg= KEY";
        assert_eq!(says(known, "git.example.com", 22), "known");
        assert!(says(known, "example.com", 22).contains("does not know"));
    }

    #[test]
    fn another_key_a_revoked_key_and_another_kind_are_told_apart() {
        assert!(says("ssh OTHER", "ssh", 22).contains("is another than in known_hosts"));
        assert!(says("@revoked ssh KEY\nssh KEY", "ssh", 22).contains("is revoked"));
        let ecdsa = "ssh ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
        assert!(says(ecdsa, "ssh", 22).contains("knows ssh by ecdsa-sha2-nistp256"));
    }
}
