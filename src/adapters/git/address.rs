//! Where a repository is: a folder of this machine or a server.
//!
//! In: the text of a remote · Out: `Address` · Touches: nothing

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

use crate::ports::git::Error;

/// An address without its password, and what it leads to.
#[derive(Clone)]
pub struct Address {
    shown: String,
    place: Place,
}

/// What an address leads to.
#[derive(Clone)]
pub enum Place {
    /// A repository in a folder.
    Folder(PathBuf),
    /// A repository on a server.
    Server(Server),
}

/// A server, and who wants in.
#[derive(Clone)]
pub struct Server {
    /// What libgit2 is given: without a password, and over HTTP without a user.
    pub url: String,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Name or number, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User that stood in the address.
    pub user: Option<String>,
    /// Password that stood in the address.
    pub password: Option<Zeroizing<String>>,
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP.
    Http,
    /// HTTPS.
    Https,
    /// SSH.
    Ssh,
}

impl Address {
    /// Reads `https://`, `http://`, `ssh://`, `git@host:path`, `file://` and paths.
    ///
    /// As with Git, a text with a colon before its first slash is `host:path`, unless a file has that name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some((scheme, rest)) = text.split_once("://") {
            return Self::of_url(text, scheme, rest);
        }
        match text.split_once(':') {
            Some((host, _)) if !host.contains('/') && !host.is_empty() && !Path::new(text).exists() => {
                Ok(Self::of_ssh_shorthand(text))
            }
            _ if text.is_empty() => Err(unusable(text, "the address is empty")),
            _ => Ok(Self { shown: text.to_owned(), place: Place::Folder(text.into()) }),
        }
    }

    fn of_url(text: &str, scheme: &str, rest: &str) -> Result<Self, Error> {
        let shown = format!("{scheme}://{}", after_userinfo(rest));
        let mut url = Url::parse(text).map_err(|error| unusable(&shown, &error.to_string()))?;
        if scheme == "file" {
            let folder = url.to_file_path();
            let folder = folder.map_err(|()| unusable(&shown, "this is no folder of this machine"))?;
            return Ok(Self { shown, place: Place::Folder(folder) });
        }
        let (scheme, port) = match scheme {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "ssh" => (Scheme::Ssh, 22),
            _ => return Err(unusable(&shown, "only https, http, ssh, file and paths are understood")),
        };
        let Some(host) = url.host_str().map(|h| h.trim_matches(['[', ']']).to_owned()) else {
            return Err(unusable(&shown, "the address names no server"));
        };
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        let password = url.password().map(|p| Zeroizing::new(decoded(p)));
        let stripped = match scheme {
            Scheme::Ssh => url.set_password(None),
            Scheme::Http | Scheme::Https => url.set_password(None).and_then(|()| url.set_username("")),
        };
        stripped.map_err(|()| unusable(&shown, "the address names no server"))?;
        let port = url.port().unwrap_or(port);
        let server = Server { url: url.into(), scheme, host, port, user, password };
        Ok(Self { shown: server.url.clone(), place: Place::Server(server) })
    }

    fn of_ssh_shorthand(text: &str) -> Self {
        let (user, rest) = text.split_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
        let host = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((number, _)) => number,
            None => rest.split(':').next().unwrap_or_default(),
        };
        let server = Server {
            url: text.to_owned(),
            scheme: Scheme::Ssh,
            host: host.to_owned(),
            port: 22,
            user: user.map(str::to_owned),
            password: None,
        };
        Self { shown: text.to_owned(), place: Place::Server(server) }
    }

    /// The address without its password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What it leads to.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn unusable(shown: &str, reason: &str) -> Error {
    Error::Unreachable { url: shown.to_owned(), reason: reason.to_owned() }
}

/// `user:password@host/path` without what stands before the host.
fn after_userinfo(rest: &str) -> String {
    let end = rest.find('/').unwrap_or(rest.len());
    rest[..end].rfind('@').map_or(rest, |at| &rest[at + 1..]).to_owned()
}

/// Undoes the per cent signs of a URL's user or password.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match Address::parse(text) {
            Err(error) => error.to_string(),
            Ok(Address { shown, place: Place::Folder(folder) }) => {
                format!("{shown} -> {}", folder.display())
            }
            Ok(Address { shown, place: Place::Server(s) }) => {
                let password = s.password.as_deref().map_or("", |p| p.as_str());
                let user = s.user.unwrap_or_default();
                format!("{shown} -> {:?} {user}:{password}@{}:{} {}", s.scheme, s.host, s.port, s.url)
            }
        }
    }

    #[test]
    fn every_way_to_write_an_address_is_understood() {
        let texts = [
            "/srv/mirror.git",
            "mirror.git",
            "./a:b",
            "file:///srv/my%20mirror.git",
            "https://git.example.com/a/b",
            "http://u:p%40ss@[::1]:8080/a",
            "ssh://git@example.com:2222/a",
            "git@example.com:a/b.git",
            "git@[::1]:a",
            "example:a",
        ];
        insta::assert_snapshot!(texts.map(read).join("\n"), @"
        /srv/mirror.git -> /srv/mirror.git
        mirror.git -> mirror.git
        ./a:b -> ./a:b
        file:///srv/my%20mirror.git -> /srv/my mirror.git
        https://git.example.com/a/b -> Https :@git.example.com:443 https://git.example.com/a/b
        http://[::1]:8080/a -> Http u:p@ss@::1:8080 http://[::1]:8080/a
        ssh://git@example.com:2222/a -> Ssh git:@example.com:2222 ssh://git@example.com:2222/a
        git@example.com:a/b.git -> Ssh git:@example.com:22 git@example.com:a/b.git
        git@[::1]:a -> Ssh git:@::1:22 git@[::1]:a
        example:a -> Ssh :@example:22 example:a
        ");
    }

    #[test]
    fn what_leads_nowhere_is_refused_without_its_password() {
        let texts = ["", "ftp://u:geheim@h/a", "https://u:geheim@:1:2/x", "file://host/x", "ssh:///x"];
        insta::assert_snapshot!(texts.map(read).join("\n"), @"
        cannot reach : the address is empty
        cannot reach ftp://h/a: only https, http, ssh, file and paths are understood
        cannot reach https://:1:2/x: empty host
        cannot reach file://host/x: this is no folder of this machine
        cannot reach ssh:///x: the address names no server
        ");
    }
}
