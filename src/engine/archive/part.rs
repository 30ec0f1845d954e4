//! The format of the files of a snapshot: tar or JSON, compressed, sealed, and known by digest.
//!
//! `age -d -i key.txt objects-0001.tar.zst.age | zstd -d | tar t` lists a part. Reading trusts nothing: neither sizes nor
//! names nor the number of bytes that come out of the compression.
//!
//! In: objects as bytes, recipients or identities · Out: sealed files, objects · Touches: nothing

use std::io::{self, BufReader, BufWriter, Read, Write};

use bytes::{Buf, Bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::domain::snapshot::PartRef;
use crate::engine::seal::age::{self, Identities, Opener, Recipients, Sealer};

/// The largest object, as JSON, that is stored or read.
pub const OBJECT_BYTES: u64 = 32 << 20;
/// A part is cut when it holds this much before compression, so that a reader can set a limit.
const PLAIN_CUT: u64 = 256 << 20;
/// The most that a reader takes out of one file.
const PLAIN_LIMIT: u64 = 1 << 30;
/// The most a decompressor may remember: 16 MiB.
const WINDOW_LOG: u32 = 24;
const LEVEL: i32 = 3;
const BLOCK: usize = 512;
const LONGEST_PATH: u64 = 4_096;

/// Why a file of a snapshot cannot be written or read. The caller names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Compressing or sealing failed.
    #[error("cannot seal it")]
    Seal(#[source] age::Error),
    /// The stored bytes are not those that were written.
    #[error("it was changed after it was written: {0}")]
    Changed(String),
    /// It cannot be decrypted.
    #[error("cannot open it")]
    Open(#[source] age::Error),
    /// What comes out after decryption makes no sense.
    #[error("it is damaged: {0}")]
    Broken(String),
}

fn broken(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Broken("it is cut short".into()),
        _ => Error::Broken(error.to_string()),
    }
}

/// A header that makes no sense; what stands in it is not repeated.
fn no_header<E>(_: E) -> Error {
    Error::Broken("the header of an entry makes no sense".into())
}

fn cannot_seal(error: io::Error) -> Error {
    Error::Seal(age::Error::Io(error))
}

/// A file ready to be stored.
#[derive(Debug)]
pub struct Sealed {
    /// What is stored.
    pub bytes: Bytes,
    /// SHA-256 of it, lower-case hex.
    pub sha256: String,
}

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares stored bytes with what the record says of them.
///
/// # Errors
/// [`Error::Changed`].
pub fn check(bytes: &[u8], part: &PartRef) -> Result<(), Error> {
    if bytes.len() as u64 != part.bytes {
        let change = format!("it has {} bytes instead of {}", bytes.len(), part.bytes);
        return Err(Error::Changed(change));
    }
    let found = sha256(bytes);
    if found == part.sha256 {
        Ok(())
    } else {
        Err(Error::Changed(format!("its SHA-256 is {found} instead of {}", part.sha256)))
    }
}

/// Keeps bytes and their digest.
struct Hashing {
    bytes: Vec<u8>,
    digest: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what goes into the sealer, which is nearly what comes out.
struct Counted {
    sealer: Sealer<Hashing>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.sealer.write(bytes)?;
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sealer.flush()
    }
}

type Compressor = zstd::Encoder<'static, Counted>;

fn compressor(recipients: &Recipients) -> Result<Compressor, Error> {
    let sealer =
        recipients.seal(Hashing { bytes: Vec::new(), digest: Sha256::new() }).map_err(Error::Seal)?;
    let mut compressor = zstd::Encoder::new(Counted { sealer, bytes: 0 }, LEVEL).map_err(cannot_seal)?;
    compressor.include_checksum(true).map_err(cannot_seal)?;
    Ok(compressor)
}

fn seal_rest(compressor: Compressor) -> Result<Sealed, Error> {
    let counted = compressor.finish().map_err(cannot_seal)?;
    let hashing = counted.sealer.finish().map_err(Error::Seal)?;
    Ok(Sealed { bytes: hashing.bytes.into(), sha256: hex(&hashing.digest.finalize()) })
}

/// Writes one part: objects go in one after the other.
pub struct PartWriter {
    tar: tar::Builder<Compressor>,
    plain: u64,
}

impl PartWriter {
    /// An empty part.
    pub fn begin(recipients: &Recipients) -> Result<Self, Error> {
        Ok(Self { tar: tar::Builder::new(compressor(recipients)?), plain: 0 })
    }

    /// Adds a file; equal input gives an equal entry: no owner, no time, mode 0600.
    pub fn add(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.plain += content.len() as u64 + 2 * BLOCK as u64;
        self.tar.append_data(&mut header, path, content).map_err(cannot_seal)
    }

    /// Whether it has reached a size, give or take what the compressor still holds.
    pub fn is_full(&self, sealed_bytes: u64) -> bool {
        self.tar.get_ref().get_ref().bytes >= sealed_bytes || self.plain >= PLAIN_CUT
    }

    /// Closes the part.
    pub fn finish(self) -> Result<Sealed, Error> {
        seal_rest(self.tar.into_inner().map_err(cannot_seal)?)
    }
}

/// Seals a value as JSON.
pub fn seal_json(value: &impl Serialize, recipients: &Recipients) -> Result<Sealed, Error> {
    let mut out = BufWriter::with_capacity(1 << 16, compressor(recipients)?);
    serde_json::to_writer(&mut out, value).map_err(|error| cannot_seal(error.into()))?;
    out.write_all(b"\n").map_err(cannot_seal)?;
    seal_rest(out.into_inner().map_err(|error| cannot_seal(error.into_error()))?)
}

/// A value as JSON for people, which stands in the clear.
pub fn plain_json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| cannot_seal(error.into()))?;
    text.push(b'\n');
    Ok(text)
}

type Plain = BufReader<io::Take<zstd::Decoder<'static, BufReader<Opener<bytes::buf::Reader<Bytes>>>>>>;

fn open(sealed: Bytes, identities: &Identities) -> Result<Plain, Error> {
    let opened = identities.open(sealed.reader()).map_err(Error::Open)?;
    let mut decoder = zstd::Decoder::new(opened).map_err(|error| broken(&error))?;
    decoder.window_log_max(WINDOW_LOG).map_err(|error| broken(&error))?;
    Ok(BufReader::with_capacity(1 << 16, decoder.take(PLAIN_LIMIT)))
}

/// Opens a value that was sealed as JSON.
pub fn open_json<T: DeserializeOwned>(sealed: Bytes, identities: &Identities) -> Result<T, Error> {
    let mut plain = open(sealed, identities)?;
    let value = serde_json::from_reader(&mut plain);
    let value = value.map_err(|error| Error::Broken(format!("it is not the JSON it should be: {error}")))?;
    drain(plain)?;
    Ok(value)
}

/// Reads to the end, so that a file that was cut short is noticed.
fn drain(mut plain: Plain) -> Result<(), Error> {
    io::copy(&mut plain, &mut io::sink()).map_err(|error| broken(&error))?;
    if plain.get_ref().limit() == 0 { Err(too_much()) } else { Ok(()) }
}

fn too_much() -> Error {
    Error::Broken(format!("more than {PLAIN_LIMIT} bytes come out of it"))
}

/// Reads one part, object after object.
pub struct PartReader(Option<Plain>);

impl PartReader {
    /// Opens a part whose digest was checked.
    pub fn open(sealed: Bytes, identities: &Identities) -> Result<Self, Error> {
        Ok(Self(Some(open(sealed, identities)?)))
    }

    /// The next file that is wanted, or `None` at the end, up to which everything is read.
    pub fn next(&mut self, wanted: impl Fn(&str) -> bool) -> Result<Option<(String, Vec<u8>)>, Error> {
        let Some(plain) = &mut self.0 else { return Ok(None) };
        let mut long_path = None;
        while let Some(header) = read_header(plain)? {
            let size = header.entry_size().map_err(no_header)?;
            match header.entry_type() {
                tar::EntryType::GNULongName => long_path = Some(read_long_path(plain, size)?),
                tar::EntryType::Regular => {
                    let short = || String::from_utf8_lossy(&header.path_bytes()).into_owned();
                    let path = long_path.take().unwrap_or_else(short);
                    if wanted(&path) {
                        return Ok(Some((path, read_content(plain, size, OBJECT_BYTES)?)));
                    }
                    skip(plain, padded(size))?;
                }
                other => return Err(Error::Broken(format!("it holds an entry of type {other:?}"))),
            }
        }
        self.0.take().map_or(Ok(()), drain)?;
        Ok(None)
    }
}

/// The next header, or `None` at the block of zeros that ends a tar file.
fn read_header(plain: &mut Plain) -> Result<Option<tar::Header>, Error> {
    let mut header = tar::Header::new_old();
    plain.read_exact(header.as_mut_bytes()).map_err(|error| match plain.get_ref().limit() {
        0 => too_much(),
        _ => broken(&error),
    })?;
    if header.as_bytes().iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let told = header.cksum().map_err(no_header)?;
    let counted: u32 = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
    let field: u32 = header.as_bytes()[148..156].iter().map(|byte| u32::from(*byte)).sum();
    if told == counted - field + 8 * u32::from(b' ') {
        Ok(Some(header))
    } else {
        Err(Error::Broken("the checksum of an entry is wrong".into()))
    }
}

fn read_long_path(plain: &mut Plain, size: u64) -> Result<String, Error> {
    let bytes = read_content(plain, size, LONGEST_PATH)?;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

fn read_content(plain: &mut Plain, size: u64, limit: u64) -> Result<Vec<u8>, Error> {
    if size > limit {
        return Err(Error::Broken(format!("an entry has {size} bytes, more than {limit}")));
    }
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    plain.take(size).read_to_end(&mut content).map_err(|error| broken(&error))?;
    if (content.len() as u64) < size {
        return Err(Error::Broken("an entry is cut short".into()));
    }
    skip(plain, padded(size) - size)?;
    Ok(content)
}

fn skip(plain: &mut Plain, bytes: u64) -> Result<(), Error> {
    let skipped = io::copy(&mut plain.take(bytes), &mut io::sink()).map_err(|error| broken(&error))?;
    if skipped == bytes { Ok(()) } else { Err(Error::Broken("it is cut short".into())) }
}

/// The size of an entry with the zeros that fill its last block.
fn padded(size: u64) -> u64 {
    size.saturating_add(BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64
}

/// The path of an object in a part: `<resource.group>/{namespaces/<ns>|cluster}/<name>.json`.
///
/// Characters other than letters, digits, `.`, `_` and `-` are written as `%3A`, so that the path can be unpacked anywhere
/// and turned back.
pub fn path(full_name: &str, namespace: Option<&str>, name: &str) -> String {
    let (kind, name) = (escaped(full_name), escaped(name));
    match namespace {
        Some(namespace) => format!("{kind}/namespaces/{}/{name}.json", escaped(namespace)),
        None => format!("{kind}/cluster/{name}.json"),
    }
}

fn escaped(text: &str) -> String {
    use std::fmt::Write;
    let only_dots = text.bytes().all(|byte| byte == b'.');
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        let safe = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || byte == b'.' && !only_dots;
        if safe {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests;
