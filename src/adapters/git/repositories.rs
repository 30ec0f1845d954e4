//! The Git adapter: repositories in folders and on servers.
//!
//! In: remotes · Out: repositories at a commit · Touches: the file system, the network

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use git2::{Repository, RepositoryInitOptions};

use super::access::Credentials;
use super::address::{Address, Place, Server};
use super::cache::{Copy, InUse};
use super::failure;
use super::handles::Handles;
use super::patience;
use super::push::Target;
use super::reference::{self, Position};
use super::server::{self, Way};
use super::tree::Tree;
use crate::ports::git::{self, Error, Git, Reference, Remote};

/// Opens repositories; one for each set of credentials.
pub struct Repositories {
    cache: PathBuf,
    credentials: Arc<Credentials>,
}

impl Repositories {
    /// Keeps copies of what is on servers in a folder, which is made when it is needed. Repositories in folders are used
    /// where they are.
    pub fn new(cache: PathBuf, credentials: Credentials) -> Self {
        patience::set();
        Self { cache, credentials: Arc::new(credentials) }
    }
}

/// Makes an empty bare repository with the branch `main` to come, and the folders above it. Leaves an existing one.
pub fn init_bare(folder: &Path) -> Result<(), Error> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).mkpath(true).external_template(false).initial_head("main");
    if Repository::open_bare(folder).is_err() {
        Repository::init_opts(folder, &options).map_err(failure::local)?;
    }
    Ok(())
}

#[async_trait]
impl Git for Repositories {
    async fn open(&self, remote: &Remote) -> Result<Box<dyn git::Tree>, Error> {
        let (cache, credentials, remote) = (self.cache.clone(), self.credentials.clone(), remote.clone());
        let opening = tokio::task::spawn_blocking(move || open(&cache, credentials, &remote));
        let tree = opening.await.map_err(|error| Error::Local(error.to_string()))??;
        Ok(Box::new(tree))
    }
}

fn open(cache: &Path, credentials: Arc<Credentials>, remote: &Remote) -> Result<Tree, Error> {
    let address = Address::parse(&remote.url)?;
    let url = address.shown().to_owned();
    match address.place() {
        Place::Folder(folder) => {
            let repository = Repository::open(folder).map_err(|error| failure::folder(&url, &error))?;
            let position = reference::find(&repository, &remote.reference, &url)?;
            let target = Target { url, branch: position.branch.clone(), server: None };
            Ok(Tree::new(Handles::new(repository), &position, target, None))
        }
        Place::Server(server) => {
            let way =
                Way { url: url.clone(), credentials, ca_cert: remote.ca_cert.as_ref().map(PathBuf::from) };
            let copy = Copy::of(cache, &server.url)?;
            let result = match open_copy(&copy, &remote.reference, (server, &way)) {
                // A damaged copy is no loss: the server has everything.
                Err(Error::Local(_)) if copy.throw_away()? => {
                    open_copy(&copy, &remote.reference, (server, &way))
                }
                result => result,
            };
            let (repository, position, in_use) = result?;
            let target = Target { url, branch: position.branch.clone(), server: Some((server.clone(), way)) };
            Ok(Tree::new(Handles::new(repository), &position, target, Some(in_use)))
        }
    }
}

fn open_copy(
    copy: &Copy,
    reference: &Reference,
    (server, way): (&Server, &Way),
) -> Result<(Repository, Position, InUse), Error> {
    let (repository, in_use) = copy.open()?;
    fetch(&repository, reference, (server, way))?;
    let position = reference::find(&repository, reference, &way.url)?;
    Ok((repository, position, in_use))
}

/// Makes the copy equal to the server in everything the reference may mean.
fn fetch(repository: &Repository, reference: &Reference, to: (&Server, &Way)) -> Result<(), Error> {
    match reference {
        Reference::Default => {
            let heads = server::download(repository, &["HEAD".into()], to)?;
            let head = heads.iter().find(|head| head.name == "HEAD");
            let Some((head, name)) = head.and_then(|head| Some((head, head.stands_for.as_ref()?))) else {
                let missing = "commit on its default branch".into();
                return Err(Error::NoReference { url: to.1.url.clone(), reference: missing });
            };
            set(repository, name, head.id)?;
            repository.set_head(name).map_err(failure::local)
        }
        Reference::Branch(name) | Reference::BranchOrEmpty(name) => {
            let name = reference::full_name(name);
            let heads = server::download(repository, std::slice::from_ref(&name), to)?;
            match heads.iter().find(|head| head.name == name) {
                Some(head) => set(repository, &name, head.id),
                None => forget(repository, |found| found == name),
            }
        }
        Reference::Any(_) => {
            let wanted = ["refs/heads/*".to_owned(), "refs/tags/*".to_owned()];
            let heads = server::download(repository, &wanted, to)?;
            let known = |name: &str| heads.iter().any(|head| head.name == name);
            forget(repository, |found| !known(found))?;
            for head in &heads {
                let is_ours = head.name.starts_with("refs/heads/") || head.name.starts_with("refs/tags/");
                if is_ours && !head.name.ends_with("^{}") {
                    set(repository, &head.name, head.id)?;
                }
            }
            Ok(())
        }
    }
}

fn set(repository: &Repository, name: &str, id: git2::Oid) -> Result<(), Error> {
    if repository.refname_to_id(name).is_ok_and(|found| found == id) {
        return Ok(());
    }
    repository.reference(name, id, true, "backstay: fetch").map(drop).map_err(failure::local)
}

fn forget(repository: &Repository, is_gone: impl Fn(&str) -> bool) -> Result<(), Error> {
    for found in repository.references().map_err(failure::local)? {
        let mut found = found.map_err(failure::local)?;
        if found.name().is_ok_and(&is_gone) {
            found.delete().map_err(failure::local)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
