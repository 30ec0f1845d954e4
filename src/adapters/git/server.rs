//! Speaks to Git servers over HTTP and SSH.
//!
//! In: a server and how to get in · Out: objects fetched and pushed · Touches: the network

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use git2::{
    AutotagOption, ErrorClass, ErrorCode, FetchOptions, Oid, ProxyOptions, PushOptions, RemoteCallbacks,
    RemoteRedirect, Repository,
};

use super::access::{Credentials, Offers};
use super::address::Server;
use super::failure;
use super::reference::full_name;
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

/// What the callbacks saw: libgit2's own errors say less.
#[derive(Default)]
struct Seen {
    denied: Option<String>,
    rejected: Option<String>,
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
    fetched.map_err(|error| explain(&error, &seen.take(), way))?;
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
    pushed.map_err(|error| explain(&error, &seen, way))?;
    match seen.rejected.take() {
        Some(reason) => Err(Error::Rejected { url: way.url.clone(), reason }),
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
    callbacks
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

fn explain(error: &git2::Error, seen: &Seen, way: &Way) -> Error {
    let url = way.url.clone();
    if let Some(reason) = &seen.denied {
        return Error::Denied { url, reason: reason.clone() };
    }
    failure::remote(&url, error)
}
