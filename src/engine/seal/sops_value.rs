//! One value of a SOPS document, `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, and the digest over all of them.
//!
//! AES-256-GCM with nonces of 32 bytes; the value's place (`data:password:`) is authenticated with it.
//!
//! In: JSON leaves, data key · Out: encrypted text and back, MAC · Touches: nothing
//! Source: getsops/sops, `aes/cipher.go` and `sops.go`, version 3.13.

use std::borrow::Cow;

use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::consts::{U12, U32};
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::RngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::domain::object::Json;

const NONCE: usize = 32;
const TAG: usize = 16;

/// Why an encrypted value cannot be opened. No value is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not in the format.
    #[error("it is not in the format of SOPS")]
    Format,
    /// Value, place or key do not belong together.
    #[error("it was changed or moved after it was encrypted")]
    Changed,
    /// The plain value is not of the type that was noted with it.
    #[error("its type is not known or does not fit")]
    Type,
}

/// The key that encrypts the values of one document.
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// Draws a new key.
    pub fn random() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(key.as_mut());
        Self(key)
    }

    /// Takes 32 bytes; `None` for any other count.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, to be sealed.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Encrypts a leaf. Null and empty text are left as they are, as SOPS does.
    pub fn seal(&self, leaf: &Json, place: &str) -> Json {
        match plain(leaf) {
            Some((bytes, kind)) if !bytes.is_empty() => self.seal_bytes(&bytes, kind, place).into(),
            _ => leaf.clone(),
        }
    }

    /// Encrypts a text; the MAC's place is the time of the last change.
    pub fn seal_text(&self, text: &str, place: &str) -> String {
        self.seal_bytes(text.as_bytes(), "str", place)
    }

    fn seal_bytes(&self, bytes: &[u8], kind: &str, place: &str) -> String {
        let mut nonce = [0; NONCE];
        OsRng.fill_bytes(&mut nonce);
        let mut data = bytes.to_vec();
        let tag = AesGcm::<Aes256, U32>::new(GenericArray::from_slice(self.bytes()))
            .encrypt_in_place_detached(GenericArray::from_slice(&nonce), place.as_bytes(), &mut data)
            .expect("a value is far smaller than the cipher's 64 GiB");
        let [data, iv, tag] = [&data[..], &nonce, &tag].map(|bytes| BASE64.encode(bytes));
        format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{kind}]")
    }

    /// Decrypts what [`DataKey::seal`] or SOPS itself wrote. Empty text stays empty.
    pub fn open(&self, sealed: &str, place: &str) -> Result<Json, Error> {
        if sealed.is_empty() {
            return Ok(Json::from(""));
        }
        let parts = Parts::parse(sealed).ok_or(Error::Format)?;
        let mut data = Zeroizing::new(decode(parts.data)?);
        let (iv, tag) = (decode(parts.iv)?, decode(parts.tag)?);
        if tag.len() != TAG {
            return Err(Error::Format);
        }
        let key = GenericArray::from_slice(self.bytes());
        let tag = GenericArray::from_slice(&tag);
        match iv.len() {
            NONCE => AesGcm::<Aes256, U32>::new(key).decrypt_in_place_detached(
                GenericArray::from_slice(&iv),
                place.as_bytes(),
                &mut data,
                tag,
            ),
            12 => AesGcm::<Aes256, U12>::new(key).decrypt_in_place_detached(
                GenericArray::from_slice(&iv),
                place.as_bytes(),
                &mut data,
                tag,
            ),
            _ => return Err(Error::Format),
        }
        .map_err(|_| Error::Changed)?;
        typed(&data, parts.kind)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    BASE64.decode(text).map_err(|_| Error::Format)
}

fn typed(bytes: &[u8], kind: &str) -> Result<Json, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Type)?;
    match kind {
        "str" | "bytes" | "time" => Ok(text.into()),
        "int" => text
            .parse::<i64>()
            .map(Json::from)
            .or_else(|_| text.parse::<u64>().map(Json::from))
            .map_err(|_| Error::Type),
        "float" => {
            let number = text.parse::<f64>().map_err(|_| Error::Type)?;
            if number.is_finite() { Ok(number.into()) } else { Err(Error::Type) }
        }
        "bool" => match text {
            "True" | "true" | "TRUE" | "t" | "T" | "1" => Ok(true.into()),
            "False" | "false" | "FALSE" | "f" | "F" | "0" => Ok(false.into()),
            _ => Err(Error::Type),
        },
        _ => Err(Error::Type),
    }
}

struct Parts<'a> {
    data: &'a str,
    iv: &'a str,
    tag: &'a str,
    kind: &'a str,
}

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix("ENC[AES256_GCM,data:")?.strip_suffix(']')?;
        let (data, rest) = inner.split_once(",iv:")?;
        let (iv, rest) = rest.split_once(",tag:")?;
        let (tag, kind) = rest.split_once(",type:")?;
        Some(Self { data, iv, tag, kind })
    }
}

/// Whether a leaf reveals nothing: it is encrypted, null or empty.
pub fn is_sealed(leaf: &Json) -> bool {
    match leaf {
        Json::Null => true,
        Json::String(text) => text.is_empty() || looks_sealed(text),
        _ => false,
    }
}

/// Whether a text is an encrypted value by its looks: every part is there and is base64.
pub fn looks_sealed(text: &str) -> bool {
    Parts::parse(text).is_some_and(|p| {
        let size = |part: &str| BASE64.decode(part).ok().map(|bytes| bytes.len());
        size(p.data).is_some() && size(p.tag) == Some(TAG) && matches!(size(p.iv), Some(NONCE | 12))
    })
}

/// Bytes of a leaf as SOPS hashes and encrypts them, and its type; `None` for null.
fn plain(leaf: &Json) -> Option<(Cow<'_, [u8]>, &'static str)> {
    match leaf {
        Json::Null | Json::Array(_) | Json::Object(_) => None,
        Json::String(text) => Some((Cow::Borrowed(text.as_bytes()), "str")),
        Json::Bool(truth) => Some((Cow::Borrowed(if *truth { b"True" } else { b"False" }), "bool")),
        Json::Number(number) => Some(match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => (Cow::Owned(float.to_string().into_bytes()), "float"),
            None => (Cow::Owned(number.to_string().into_bytes()), "int"),
        }),
    }
}

/// What SOPS hashes first where only encrypted values count: SHA-256 of `sops`.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// The digest over the plain leaves of a file, in order.
pub struct Mac(Sha512);

impl Mac {
    /// A digest over every leaf.
    pub fn of_all() -> Self {
        Self(Sha512::new())
    }

    /// A digest over the encrypted leaves.
    pub fn of_encrypted() -> Self {
        Self(Sha512::new().chain_update(ONLY_ENCRYPTED))
    }

    /// Takes in a plain leaf.
    pub fn add(&mut self, leaf: &Json) {
        if let Some((bytes, _)) = plain(leaf) {
            self.0.update(&bytes);
        }
    }

    /// The digest in upper-case hex.
    pub fn text(self) -> String {
        format!("{:X}", self.0.finalize())
    }
}
