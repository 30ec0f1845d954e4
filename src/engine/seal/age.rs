//! Seals bytes to public keys and opens them with private ones.
//!
//! In: recipients, identities, bytes · Out: age files, plain or armored · Touches: nothing

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use ::age::armor::{ArmoredReader, ArmoredWriter, Format};
use ::age::secrecy::ExposeSecret;
use ::age::stream::{StreamReader, StreamWriter};
use ::age::{DecryptError, Decryptor, EncryptError, Encryptor, ssh, x25519};
use jiff::Timestamp;
use zeroize::Zeroizing;

/// Why something cannot be sealed or opened. No message holds a private key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nobody to seal for.
    #[error("cannot encrypt without a recipient")]
    NoRecipient,
    /// A public key cannot be used.
    #[error("cannot use the recipient {recipient}: {reason}")]
    BadRecipient {
        /// The key as it was written, or what it looks like where it may be secret.
        recipient: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to open with.
    #[error("cannot decrypt without an identity")]
    NoIdentity,
    /// A private key cannot be used.
    #[error("cannot use the identity in {place}: {reason}")]
    BadIdentity {
        /// File or variable it came from, with the line.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// None of the identities belongs to a recipient. The caller knows the recipients and names them.
    #[error("cannot decrypt with the given identities: it was encrypted to other recipients")]
    WrongIdentity,
    /// The bytes are no age file, or they were changed.
    #[error("cannot decrypt: {0}")]
    Broken(&'static str),
    /// Reading or writing failed.
    #[error("cannot read or write encrypted bytes")]
    Io(#[from] io::Error),
}

/// Public keys to seal for: at least one, sorted by name, none twice.
#[derive(Clone)]
pub struct Recipients(Vec<Recipient>);

#[derive(Clone)]
struct Recipient {
    name: String,
    key: Key,
}

#[derive(Clone)]
enum Key {
    X25519(x25519::Recipient),
    Ssh(ssh::Recipient),
}

impl Key {
    fn as_dyn(&self) -> &dyn ::age::Recipient {
        match self {
            Self::X25519(key) => key,
            Self::Ssh(key) => key,
        }
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Recipients {
    /// Reads public keys: `age1…`, `ssh-ed25519 …`, `ssh-rsa …` (a comment after the key is dropped).
    ///
    /// # Errors
    /// [`Error::BadRecipient`] names the first key that cannot be used; a private key is never repeated.
    pub fn parse(texts: &[String]) -> Result<Self, Error> {
        let mut keys = texts.iter().map(|text| recipient(text.trim())).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        keys.dedup_by(|a, b| a.name == b.name);
        if keys.is_empty() { Err(Error::NoRecipient) } else { Ok(Self(keys)) }
    }

    /// The keys in their canonical text, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|r| r.name.as_str())
    }

    /// Seals what is written to it; the age file is whole after [`Sealer::finish`].
    pub fn seal<W: Write>(&self, out: W) -> Result<Sealer<W>, Error> {
        let encryptor = Encryptor::with_recipients(self.0.iter().map(|r| r.key.as_dyn()));
        Ok(Sealer(encryptor.map_err(cannot_seal)?.wrap_output(out)?))
    }

    /// Seals a small secret once for each recipient, as SOPS does: name and armored age file.
    pub fn armor_each(&self, secret: &[u8]) -> Result<Vec<(String, String)>, Error> {
        self.0.iter().map(|r| Ok((r.name.clone(), armor(r.key.as_dyn(), secret)?))).collect()
    }
}

fn recipient(text: &str) -> Result<Recipient, Error> {
    let bad = |recipient: &str, reason: &str| {
        Err(Error::BadRecipient { recipient: recipient.into(), reason: reason.into() })
    };
    if text.contains("PRIVATE KEY") || text.to_ascii_uppercase().contains("AGE-SECRET-KEY") {
        return bad("(not shown)", "it is a private key, give its public half");
    }
    if ["age1pq1", "age1tag1", "age1tagpq1"].iter().any(|kind| text.starts_with(kind)) {
        return bad(text, "post-quantum and hardware keys are not supported yet");
    }
    if let Some(rest) = text.strip_prefix("age1") {
        return match text.parse::<x25519::Recipient>() {
            Ok(key) => Ok(Recipient { name: key.to_string(), key: Key::X25519(key) }),
            Err(_) if rest.contains('1') => bad(text, "age plugins are not supported"),
            Err(reason) => bad(text, reason),
        };
    }
    match text.parse::<ssh::Recipient>() {
        Ok(key) => Ok(Recipient { name: key.to_string(), key: Key::Ssh(key) }),
        Err(ssh::ParseRecipientKeyError::RsaModulusTooSmall) => bad(text, "RSA keys need 2048 bits or more"),
        Err(ssh::ParseRecipientKeyError::RsaModulusTooLarge) => {
            bad(text, "RSA keys may have 4096 bits at most")
        }
        Err(ssh::ParseRecipientKeyError::Unsupported(kind)) => {
            bad(text, &format!("keys of type {kind} cannot encrypt"))
        }
        Err(_) => bad(text, "expected age1…, ssh-ed25519 … or ssh-rsa …"),
    }
}

fn cannot_seal(error: EncryptError) -> Error {
    match error {
        EncryptError::Io(error) => Error::Io(error),
        EncryptError::MissingRecipients => Error::NoRecipient,
        other => Error::Io(io::Error::other(other.to_string())),
    }
}

fn armor(key: &dyn ::age::Recipient, secret: &[u8]) -> Result<String, Error> {
    let encryptor = Encryptor::with_recipients(std::iter::once(key)).map_err(cannot_seal)?;
    let mut out = encryptor.wrap_output(ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?)?;
    out.write_all(secret)?;
    let text = out.finish()?.finish()?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Encrypts what is written to it.
pub struct Sealer<W: Write>(StreamWriter<W>);

impl<W: Write> Sealer<W> {
    /// Writes the rest and gives the output back. Without it the file is cut short and does not open.
    pub fn finish(self) -> Result<W, Error> {
        Ok(self.0.finish()?)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Private keys to open with; `Debug` prints how many.
#[derive(Clone, Default)]
pub struct Identities(Vec<PrivateKey>);

#[derive(Clone)]
struct PrivateKey {
    key: Arc<dyn ::age::Identity + Send + Sync>,
    recipient: String,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl Identities {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The public keys, in the order in which the private ones were added.
    pub fn recipients(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.recipient.as_str())
    }

    /// Adds the private keys of a text: an age identity file, keys between white space, or an OpenSSH or PEM private key.
    ///
    /// `place` is the file or variable, for messages.
    ///
    /// # Errors
    /// [`Error::BadIdentity`] for what holds no key, for keys behind a passphrase, and for plugins.
    pub fn add(&mut self, place: &str, text: &str) -> Result<(), Error> {
        let bad = |reason: &str| Error::BadIdentity { place: place.into(), reason: reason.into() };
        if text.contains("PRIVATE KEY-----") {
            self.0.push(ssh_identity(place, text)?);
            return Ok(());
        }
        if text.starts_with("age-encryption.org/") || text.contains("BEGIN AGE ENCRYPTED FILE") {
            return Err(bad("it is locked with a passphrase, unlock it first with `age -d`"));
        }
        let before = self.0.len();
        for (number, line) in text.lines().enumerate() {
            for word in line.split('#').next().unwrap_or_default().split_whitespace() {
                let at = format!("{place} line {}", number + 1);
                self.0.push(age_identity(&at, word)?);
            }
        }
        if self.0.len() == before { Err(bad("there is no key in it")) } else { Ok(()) }
    }

    /// Opens an age file, plain or armored. Reading fails when the file was changed or cut short.
    pub fn open<R: Read>(&self, sealed: R) -> Result<Opener<R>, Error> {
        if self.0.is_empty() {
            return Err(Error::NoIdentity);
        }
        let file = Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(cannot_open)?;
        let keys = self.0.iter().map(|key| key.key.as_ref() as &dyn ::age::Identity);
        Ok(Opener(file.decrypt(keys).map_err(cannot_open)?))
    }

    /// Opens a small age file whole.
    pub fn open_bytes(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut plain = Zeroizing::new(Vec::new());
        self.open(sealed)?.read_to_end(&mut plain)?;
        Ok(plain)
    }
}

fn age_identity(place: &str, word: &str) -> Result<PrivateKey, Error> {
    let reason = match word.parse::<x25519::Identity>() {
        Ok(key) => return Ok(PrivateKey { recipient: key.to_public().to_string(), key: Arc::new(key) }),
        Err(_) if word.starts_with("AGE-PLUGIN-") => "age plugins are not supported",
        Err(_) if word.starts_with("AGE-SECRET-KEY-PQ-") => "post-quantum keys are not supported yet",
        Err(_) if word.starts_with("age1") || word.starts_with("ssh-") => {
            "it is a public key, the private half is needed"
        }
        Err(_) => "expected AGE-SECRET-KEY-1… or an SSH private key",
    };
    Err(Error::BadIdentity { place: place.into(), reason: reason.into() })
}

fn ssh_identity(place: &str, text: &str) -> Result<PrivateKey, Error> {
    let reason = match ssh::Identity::from_buffer(text.as_bytes(), None) {
        Ok(key @ ssh::Identity::Unencrypted(_)) => match ssh::Recipient::try_from(key.clone()) {
            Ok(public) => return Ok(PrivateKey { recipient: public.to_string(), key: Arc::new(key) }),
            Err(_) => "only ssh-ed25519 and ssh-rsa keys can decrypt",
        },
        Ok(ssh::Identity::Encrypted(_)) => {
            "it is locked with a passphrase, unlock a copy with `ssh-keygen -p`"
        }
        Ok(ssh::Identity::Unsupported(_)) => "only unlocked ssh-ed25519 and ssh-rsa keys can decrypt",
        Err(_) => "it is no OpenSSH or PEM private key",
    };
    Err(Error::BadIdentity { place: place.into(), reason: reason.into() })
}

fn cannot_open(error: DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys => Error::WrongIdentity,
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::Broken("the file is cut short")
        }
        DecryptError::Io(error) => Error::Io(error),
        DecryptError::ExcessiveWork { .. } | DecryptError::KeyDecryptionFailed => {
            Error::Broken("it is locked with a passphrase, not with keys")
        }
        DecryptError::UnknownFormat => Error::Broken("it is in a newer age format"),
        DecryptError::InvalidHeader => Error::Broken("it is no age file"),
        _ => Error::Broken("the file was changed after it was encrypted"),
    }
}

/// Decrypts what is read from it.
pub struct Opener<R: Read>(StreamReader<ArmoredReader<BufReader<R>>>);

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

/// A new pair of keys.
pub struct KeyPair {
    /// The public key, `age1…`.
    pub recipient: String,
    /// The identity file, as `age-keygen` writes it.
    pub file: Zeroizing<String>,
}

/// Draws a new pair of keys.
pub fn generate(now: Timestamp) -> KeyPair {
    let key = x25519::Identity::generate();
    let recipient = key.to_public().to_string();
    let secret = key.to_string();
    let file = format!(
        "# created: {}\n# public key: {recipient}\n{}\n",
        now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        secret.expose_secret()
    );
    KeyPair { recipient, file: Zeroizing::new(file) }
}

#[cfg(test)]
mod tests;
