//! Whether an HTTPS server is vouched for by the authorities of a PEM file, and by no others.
//!
//! In: a server's certificate, a PEM file · Out: a reason to go away · Touches: the file system, the network
//!
//! libgit2 takes authorities for the whole process only, and shows its caller one certificate without those between it and
//! its authority. So the chain is checked here. Where the file has not all of it, one more handshake asks the server.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore};

const PATIENCE: Duration = Duration::from_secs(30);

/// Checks the certificate that a server has shown.
pub fn check(leaf: &[u8], host: &str, port: u16, file: &Path) -> Result<(), String> {
    let known = read(file)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let leaf = CertificateDer::from(leaf);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(known.iter().cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone());
    let verifier = verifier.build().map_err(|error| format!("{}: {error}", file.display()))?;
    let verify = |between: &[CertificateDer]| {
        verifier.verify_server_cert(&leaf, between, &name, &[], UnixTime::now()).map(drop)
    };
    let verdict = match verify(&known) {
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let config = config.map_err(|error| error.to_string())?;
            let config = config.with_root_certificates(roots).with_no_client_auth();
            chain(config, &name, host, port).and_then(|chain| verify(&chain))
        }
        // Made with `openssl req -x509`: its own authority.
        Err(Error::InvalidCertificate(CertificateError::Other(_))) if known.contains(&leaf) => {
            rustls::client::verify_server_name(
                &rustls::server::ParsedCertificate::try_from(&leaf).map_err(|error| error.to_string())?,
                &name,
            )
        }
        verdict => verdict,
    };
    verdict.map_err(|error| {
        format!("its certificate is not vouched for by {}: {}", file.display(), said(&error))
    })
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable =
        |error: &dyn std::fmt::Display| format!("cannot read certificates from {}: {error}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| unusable(&error))?;
    if found.is_empty() { Err(unusable(&"there are none in it")) } else { Ok(found) }
}

/// The certificates the server sends, if they lead to an authority.
fn chain(
    config: ClientConfig,
    name: &ServerName<'static>,
    host: &str,
    port: u16,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |error: std::io::Error| match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::General(error.to_string()),
    };
    let mut socket = TcpStream::connect((host, port)).map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut connection = ClientConnection::new(Arc::new(config), name.clone())?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(failed)?;
    }
    Ok(connection.peer_certificates().unwrap_or_default().to_vec())
}

fn said(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "another authority has signed it".into()
        }
        error => error.to_string(),
    }
}
