//! Reads the policy repository that every command starts from.
//!
//! In: `Settings` · Out: `PolicySet` · Touches: through `App`

use std::path::{Path, PathBuf};

use url::Url;

use crate::app::wiring::{self, App};
use crate::domain::document::PolicySet;
use crate::domain::rules::Catalog;
use crate::engine::policy::load::{Loaded, load as load_documents};
use crate::engine::policy::origin::Error;
use crate::engine::policy::repository::{self, Repository};
use crate::ports::git;

use super::failure::Failure;

/// The documents of the policy repository, or every error of them at once.
pub async fn load(app: &App) -> Result<PolicySet, Failure> {
    let loaded = read(app).await?;
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    Ok(loaded.set)
}

/// The documents with what was noticed about them.
pub async fn read(app: &App) -> Result<Loaded, Failure> {
    let repository = open(app, policy_path(app)).await?;
    let identities = app.identities().map_err(|e| Failure::of(&e))?;
    load_documents(&repository, &identities).map_err(|invalid| Failure::invalid(&invalid))
}

/// The folder of the policy repository that counts.
pub fn policy_path(app: &App) -> &str {
    app.settings.policy_path.as_deref().unwrap_or_default()
}

/// The built-in catalog and the repository's own.
pub fn catalog(set: &PolicySet) -> Result<Catalog, Failure> {
    Catalog::with(&set.catalogs).map_err(|errors| {
        let list = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Failure::usage(format!("a catalog of the policy repository is wrong: {list}"))
    })
}

/// The files of the policy repository that a folder in it needs (`""`: all of it).
///
/// # Errors
/// It cannot be reached or read.
pub async fn open(app: &App, under: &str) -> Result<Repository, Failure> {
    open_at(app, under, app.settings.policy_ref.as_deref()).await
}

/// The same at a branch, tag or commit.
///
/// # Errors
/// As [`open`].
pub async fn open_at(app: &App, under: &str, reference: Option<&str>) -> Result<Repository, Failure> {
    let place = app.settings.policy_repo.clone();
    let unreadable = |e: Error| match e {
        Error::Missing { .. } => Failure::misused(&e).hint("name a folder of the repository: --policy-path"),
        _ => Failure::misused(&e).hint("name a folder or a Git URL: --policy-repo"),
    };
    if let Some(folder) = folder(&place) {
        if folder.is_file() && !under.is_empty() {
            let hint = "name the repository's folder or its Git URL as --policy-repo";
            return Err(Failure::usage(format!("{place} is a file: there is no `{under}` in it")).hint(hint));
        }
        if reference.is_some() && !folder.join("HEAD").exists() {
            return Err(Failure::usage("--policy-ref needs a Git URL").hint(as_repository(&folder)));
        }
        if app.settings.allowed_signers.is_some() && !folder.join("HEAD").exists() {
            return Err(Failure::usage("--allowed-signers needs commits, and a folder has none")
                .hint(as_repository(&folder)));
        }
        if !folder.join("HEAD").exists() {
            return repository::folder(&folder, under).map_err(unreadable);
        }
    }
    let tree =
        app.policy_tree(reference).await.map_err(|e| refused(&e, app.settings.allowed_signers.as_deref()))?;
    repository::commit(tree.as_ref(), under, &app.policy_place()).map_err(unreadable)
}

/// The next step where a folder is taken as it is, without its commits.
fn as_repository(folder: &Path) -> String {
    let whole = std::path::absolute(folder).ok().and_then(|folder| Url::from_file_path(folder).ok());
    let url = whole.map_or_else(|| "file:///FOLDER".to_owned(), String::from);
    format!("name the Git repository: --policy-repo {url}")
}

/// Why a commit does not count, and how it can.
fn refused(error: &wiring::Error, signers: Option<&Path>) -> Failure {
    let failure = Failure::of(error);
    match (error, signers) {
        (wiring::Error::Git { source: git::Error::Untrusted { .. }, .. }, Some(signers)) => {
            failure.hint(format!("sign the commit, or add the key of who signed it to {}", signers.display()))
        }
        _ => failure,
    }
}

/// A path that is no URL; what is not there is a path too, for a clear error.
fn folder(place: &str) -> Option<PathBuf> {
    let is_url =
        place.contains("://") || (place.contains('@') && place.contains(':') && !Path::new(place).exists());
    (!is_url).then(|| PathBuf::from(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::access;

    #[test]
    fn a_folder_is_named_as_a_repository_by_its_whole_path() {
        let here = std::env::current_dir().unwrap();
        let told =
            |folder: &str| as_repository(Path::new(folder)).replace(&here.display().to_string(), "HERE");
        let cases = [".", "policy", "./my policy", "/srv/policy"].map(told);
        insta::assert_snapshot!(cases.join("\n"), @"
        name the Git repository: --policy-repo file://HERE
        name the Git repository: --policy-repo file://HERE/policy
        name the Git repository: --policy-repo file://HERE/my%20policy
        name the Git repository: --policy-repo file:///srv/policy
        ");
    }

    #[test]
    fn a_commit_or_a_file_of_signers_that_does_not_count_is_told_with_the_next_step() {
        let told = |source: git::Error| {
            let error = wiring::Error::Git { what: "the policy repository".into(), source };
            let failure = refused(&error, Some(Path::new("keys.asc")));
            format!("{failure}\n{:?}", failure.exit)
        };
        let (url, file) = ("https://git.example.org/policy".into(), "keys.asc".into());
        let untrusted =
            git::Error::Untrusted { url, commit: "1234".into(), reason: "it is not signed".into() };
        let next = Some("put the public key there");
        let unread = git::Error::Signers { file, reason: "line 1: it is a private key".into(), next };
        let access =
            [access::Error::BinarySigners("ada.gpg".into()), access::Error::NoSigners("keys".into())];
        let access = access.map(|error| Failure::of(&wiring::Error::Access(error)).to_string());
        let cases = [told(untrusted), told(unread), access.join("\n")];
        insta::assert_snapshot!(cases.join("\n"), @"
        error: cannot open the policy repository
          because: commit 1234 of https://git.example.org/policy is not to be trusted: it is not signed
          next: sign the commit, or add the key of who signed it to keys.asc
        Failed
        error: cannot open the policy repository
          because: cannot use the allowed signers in keys.asc: line 1: it is a private key
          next: put the public key there
        Usage
        error: cannot use the allowed signers in ada.gpg: it is not text
          next: export the keys as text: gpg --export --armor > ada.gpg
        error: cannot use the allowed signers in keys: there is no file in it
          next: put a file with keys there; what begins with a dot does not count
        ");
    }
}
