//! Who asks for access to servers.
//!
//! In: settings of the user · Out: credentials for libgit2, each tried once · Touches: the file system, ssh-agent

use std::fmt;
use std::fs;
use std::path::PathBuf;

use git2::{Config, Cred, CredentialType, ErrorClass, ErrorCode};
use ssh_key::PrivateKey;
use zeroize::Zeroizing;

use super::address::{Scheme, Server};

/// What opens servers. Everything is optional; `Debug` shows nothing secret.
///
/// Over HTTP: what stands in the address, else these, else the credential helpers of the Git configuration.
/// Over SSH: the key given here, else ssh-agent, else the usual keys in `~/.ssh`.
#[derive(Clone, Default)]
pub struct Credentials {
    /// User.
    pub username: Option<String>,
    /// Password, or a token that stands for one.
    pub password: Option<Zeroizing<String>>,
    /// Token of an `Authorization: Bearer` header. Redirects are not followed with it.
    pub bearer: Option<Zeroizing<String>>,
    /// Private key in OpenSSH form.
    pub ssh_key: Option<Text>,
    /// Passphrase of that key.
    pub passphrase: Option<Zeroizing<String>>,
    /// Host keys of SSH servers. Absent: `~/.ssh/known_hosts`.
    pub known_hosts: Option<Text>,
}

/// A text that stands in a file or came with the settings.
#[derive(Clone)]
pub enum Text {
    /// The file it stands in, read when it is needed.
    File(PathBuf),
    /// The text.
    Given(Zeroizing<String>),
}

impl Text {
    /// The text.
    pub fn read(&self) -> Result<Zeroizing<String>, String> {
        match self {
            Self::File(path) => fs::read_to_string(path)
                .map(Zeroizing::new)
                .map_err(|error| format!("cannot read {}: {error}", path.display())),
            Self::Given(text) => Ok(text.clone()),
        }
    }

    /// Where it stands, for messages.
    pub fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Given(_) => "the given known_hosts".into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Answers libgit2's questions for one connection. It asks until it gets an error, so that nothing may be offered twice.
pub struct Offers<'a> {
    credentials: &'a Credentials,
    server: &'a Server,
    made: usize,
}

impl<'a> Offers<'a> {
    /// Nothing has been offered yet.
    pub fn new(credentials: &'a Credentials, server: &'a Server) -> Self {
        Self { credentials, server, made: 0 }
    }

    /// The next credential, or why there is none.
    pub fn next(&mut self, url: &str, kinds: CredentialType) -> Result<Cred, String> {
        let user = self.user();
        if kinds.contains(CredentialType::USERNAME) {
            return Cred::username(&user).map_err(|error| error.message().to_owned());
        }
        self.made += 1;
        match self.server.scheme {
            Scheme::Ssh => self.over_ssh(&user, kinds),
            Scheme::Http | Scheme::Https if !leads_to(url, self.server) => {
                Err("it redirects to another server or out of TLS, where no credentials go; use that address"
                    .into())
            }
            Scheme::Http | Scheme::Https => self.over_http(&user),
        }
    }

    fn user(&self) -> String {
        let user = self.server.user.as_ref().or(self.credentials.username.as_ref());
        user.map_or("git", String::as_str).to_owned()
    }

    fn over_http(&self, user: &str) -> Result<Cred, String> {
        if self.credentials.bearer.is_some() {
            return Err("the token is wrong, has expired or may not do this".into());
        }
        let password = self.server.password.as_ref().or(self.credentials.password.as_ref());
        let made = match (self.made, password) {
            (1, Some(password)) => Cred::userpass_plaintext(user, password),
            (1, None) => {
                let wanted = self.server.user.as_deref().or(self.credentials.username.as_deref());
                Config::open_default()
                    .and_then(|settings| Cred::credential_helper(&settings, &self.server.url, wanted))
                    .map_err(|_| no("it asks for a user and a password, and none are set (BACKSTAY_GIT_USERNAME and BACKSTAY_GIT_PASSWORD, or credentialsRef)"))
            }
            (_, Some(_)) => Err(no("user or password is wrong, or may not do this")),
            (_, None) => Err(no("what the Git credential helper knows is wrong, or may not do this")),
        };
        made.map_err(|error| error.message().to_owned())
    }

    fn over_ssh(&self, user: &str, kinds: CredentialType) -> Result<Cred, String> {
        let password = self.server.password.as_ref().or(self.credentials.password.as_ref());
        if let (1, Some(password), true) =
            (self.made, password, kinds.contains(CredentialType::USER_PASS_PLAINTEXT))
        {
            return Cred::userpass_plaintext(user, password).map_err(|error| error.message().to_owned());
        }
        let made = match &self.credentials.ssh_key {
            Some(key) if self.made == 1 => {
                let text = key.read()?;
                let parsed = PrivateKey::from_openssh(text.as_bytes());
                if self.credentials.passphrase.is_none() && parsed.is_ok_and(|key| key.is_encrypted()) {
                    return Err("the SSH key is under a passphrase, and none is given".into());
                }
                let passphrase = self.credentials.passphrase.as_ref().map(|text| text.as_str());
                Cred::ssh_key_from_memory(user, None, &text, passphrase)
            }
            Some(_) => Err(no("it does not take this SSH key, or the passphrase is wrong")),
            None if self.made == 1 => Cred::ssh_key_from_agent(user),
            None => match usual_keys().into_iter().nth(self.made - 2) {
                Some(key) => Cred::ssh_key(user, None, &key, None),
                None => Err(no("it takes no key of ssh-agent and none in ~/.ssh; name the key to use")),
            },
        };
        made.map_err(|error| error.message().to_owned())
    }
}

fn no(reason: &str) -> git2::Error {
    git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, reason)
}

/// Whether a redirect has stayed on this server, and has not left TLS.
fn leads_to(url: &str, server: &Server) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let is_here = url.host_str().is_some_and(|host| host.trim_matches(['[', ']']) == server.host);
    is_here && (server.scheme != Scheme::Https || url.scheme() == "https")
}

fn usual_keys() -> Vec<PathBuf> {
    let Ok(home) = etcetera::home_dir() else { return Vec::new() };
    let names = ["id_ed25519", "id_ecdsa", "id_rsa"];
    names.iter().map(|name| home.join(".ssh").join(name)).filter(|path| path.exists()).collect()
}
