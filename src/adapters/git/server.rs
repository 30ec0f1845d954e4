//! Speaks to Git servers over HTTP and SSH.
//!
//! In: a server and how to get in · Out: objects fetched and pushed · Touches: the network

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use git2::{
    AutotagOption, CertificateCheckStatus, ErrorClass, ErrorCode, FetchOptions, Oid, ProxyOptions,
    PushOptions, RemoteCallbacks, RemoteRedirect, Repository,
};

use super::access::{Credentials, Offers};
use super::address::{Scheme, Server};
use super::reference::full_name;
use super::{authorities, failure, known_hosts};
use crate::ports::git::Error;

/// How to get into a server.
#[derive(Clone)]
pub struct Way {
    /// Address without its password, for messages.
    pub url: String,
    /// Who asks.
    pub credentials: Arc<Credentials>,
    /// PEM file with the only certificate authorities that count.
    pub ca_cert: Option<PathBuf>,
}

/// A branch or tag on a server.
pub struct Head {
    /// Full name, such as `refs/heads/main`.
    pub name: String,
    /// What it points at.
    pub id: Oid,
    /// For `HEAD`: the branch it stands for.
    pub stands_for: Option<String>,
}

/// Bytes of a server's words that go into a message.
const MOST_SAID: usize = 2000;

/// What the callbacks saw: libgit2's own errors say less.
#[derive(Default)]
struct Seen {
    denied: Option<String>,
    rejected: Option<String>,
    said: Vec<u8>,
}

/// Fetches all objects of some references, moves none, and says what the server has.
pub fn download(
    repository: &Repository,
    references: &[String],
    (server, way): (&Server, &Way),
) -> Result<Vec<Head>, Error> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut options = FetchOptions::new();
    options.remote_callbacks(callbacks(server, way, &seen)).proxy_options(proxy());
    options.download_tags(AutotagOption::None).update_fetchhead(false);
    options.follow_redirects(redirects(way));
    let header = bearer(way);
    let headers: Vec<_> = header.iter().map(|text| text.as_str()).collect();
    options.custom_headers(&headers);
    let mut remote = repository.remote_anonymous(&server.url).map_err(failure::local)?;
    let specs: Vec<_> = references.iter().map(|name| format!("+{name}:{name}")).collect();
    let fetched = remote.download(&specs, Some(&mut options));
    fetched.map_err(|error| explain(&error, &seen.take(), server, way))?;
    let heads = remote.list().map_err(|error| failure::remote(&way.url, &error))?;
    let heads = heads.iter().map(|head| Head {
        name: head.name().to_owned(),
        id: head.oid(),
        stands_for: head.symref_target().map(str::to_owned),
    });
    Ok(heads.collect())
}

/// Where a branch is now.
pub fn tip(repository: &Repository, branch: &str, to: (&Server, &Way)) -> Result<Option<Oid>, Error> {
    let name = full_name(branch);
    let heads = download(repository, std::slice::from_ref(&name), to)?;
    Ok(heads.iter().find(|head| head.name == name).map(|head| head.id))
}

/// Moves a branch of the server from one commit to another, if it is still there.
pub fn push(
    repository: &Repository,
    branch: &str,
    (from, to): (Option<Oid>, Oid),
    (server, way): (&Server, &Way),
) -> Result<(), Error> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut callbacks = callbacks(server, way, &seen);
    callbacks.push_negotiation(move |updates| {
        let moved = updates.iter().any(|update| update.src() != from.unwrap_or(Oid::ZERO_SHA1));
        if moved { Err(git2::Error::from_str("the branch has moved")) } else { Ok(()) }
    });
    let note = Rc::clone(&seen);
    callbacks.push_update_reference(move |_, refusal| {
        note.borrow_mut().rejected = refusal.map(str::to_owned);
        Ok(())
    });
    let mut options = PushOptions::new();
    options.remote_callbacks(callbacks).proxy_options(proxy()).packbuilder_parallelism(0);
    options.follow_redirects(redirects(way));
    let header = bearer(way);
    let headers: Vec<_> = header.iter().map(|text| text.as_str()).collect();
    options.custom_headers(&headers);
    let mut remote = repository.remote_anonymous(&server.url).map_err(failure::local)?;
    let pushed = remote.push(&[format!("+{to}:{}", full_name(branch))], Some(&mut options));
    drop(options);
    let mut seen = seen.take();
    pushed.map_err(|error| explain(&error, &seen, server, way))?;
    match seen.rejected.take() {
        Some(reason) => {
            let said = String::from_utf8_lossy(&seen.said);
            let lines = said.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
            let reason = [reason.as_str()].into_iter().chain(lines).collect::<Vec<_>>().join("; ");
            Err(Error::Rejected { url: way.url.clone(), reason })
        }
        None => Ok(()),
    }
}

fn callbacks<'a>(server: &'a Server, way: &'a Way, seen: &Rc<RefCell<Seen>>) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    let mut offers = Offers::new(&way.credentials, server);
    let note = Rc::clone(seen);
    callbacks.credentials(move |url, _, kinds| {
        offers.next(url, kinds).map_err(|reason| deny(&note, reason, ErrorCode::Auth))
    });
    let note = Rc::clone(seen);
    callbacks.sideband_progress(move |text| {
        let mut seen = note.borrow_mut();
        let room = MOST_SAID.saturating_sub(seen.said.len());
        seen.said.extend_from_slice(&text[..text.len().min(room)]);
        true
    });
    let note = Rc::clone(seen);
    callbacks.certificate_check(move |certificate, host| match check(certificate, host, server, way) {
        None => Ok(CertificateCheckStatus::CertificatePassthrough),
        Some(Ok(())) => Ok(CertificateCheckStatus::CertificateOk),
        Some(Err(reason)) => Err(deny(&note, reason, ErrorCode::Certificate)),
    });
    callbacks
}

/// Whether the server is the right one; `None` leaves it to libgit2, with the system's authorities or
/// `~/.ssh/known_hosts`.
fn check(
    certificate: &git2::cert::Cert,
    host: &str,
    server: &Server,
    way: &Way,
) -> Option<Result<(), String>> {
    if let Some(key) = certificate.as_hostkey() {
        let known = way.credentials.known_hosts.as_ref()?;
        let Some(key) = key.hostkey() else { return Some(Err("it shows no host key".into())) };
        let checked = known.read().and_then(|text| known_hosts::check(&text, &known.place(), server, key));
        return Some(checked);
    }
    let file = way.ca_cert.as_ref()?;
    let Some(leaf) = certificate.as_x509() else { return Some(Err("it shows no certificate".into())) };
    let port = if host == server.host { server.port } else { 443 };
    Some(authorities::check(leaf.data(), host, port, file))
}

fn deny(seen: &RefCell<Seen>, reason: String, code: ErrorCode) -> git2::Error {
    let error = git2::Error::new(code, ErrorClass::Callback, &reason);
    seen.borrow_mut().denied = Some(reason);
    error
}

fn proxy<'a>() -> ProxyOptions<'a> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}

/// A header would go along to wherever a redirect leads.
fn redirects(way: &Way) -> RemoteRedirect {
    if way.credentials.bearer.is_some() { RemoteRedirect::None } else { RemoteRedirect::Initial }
}

fn bearer(way: &Way) -> Option<zeroize::Zeroizing<String>> {
    let token = way.credentials.bearer.as_ref()?;
    Some(zeroize::Zeroizing::new(format!("Authorization: Bearer {}", token.as_str())))
}

fn explain(error: &git2::Error, seen: &Seen, server: &Server, way: &Way) -> Error {
    let url = way.url.clone();
    if let Some(reason) = &seen.denied {
        return Error::Denied { url, reason: reason.clone() };
    }
    let is_certificate = error.code() == ErrorCode::Certificate || error.message().contains("certificate");
    let reason = match (server.scheme, is_certificate) {
        (Scheme::Ssh, true) => {
            let scan = format!("ssh-keyscan -p {} {}", server.port, server.host);
            format!(
                "~/.ssh/known_hosts has no such host key for {}; compare what `{scan}` prints with what the server's \
                 administrator says, then add it there",
                server.host
            )
        }
        (Scheme::Https, true) => {
            format!("{}; a `caCert` can name its certificate authority", error.message())
        }
        (Scheme::Http, _) | (_, false) => return failure::remote(&url, error),
    };
    Error::Denied { url, reason }
}

#[cfg(test)]
mod tests;
