//! Reads the policy repository that every command starts from.
//!
//! In: `Settings` · Out: `PolicySet` · Touches: through `App`

use std::path::{Path, PathBuf};

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::rules::Catalog;
use crate::engine::policy::load::{Loaded, load as load_documents};
use crate::engine::policy::origin::Error;
use crate::engine::policy::repository::{self, Repository};

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
            return Err(Failure::usage("--policy-ref needs a Git URL").hint(format!("write file://{place}")));
        }
        if app.settings.allowed_signers.is_some() && !folder.join("HEAD").exists() {
            return Err(Failure::usage("--allowed-signers needs commits, and a folder has none")
                .hint(format!("write file://{place}")));
        }
        if !folder.join("HEAD").exists() {
            return repository::folder(&folder, under).map_err(unreadable);
        }
    }
    let tree = app.policy_tree(reference).await.map_err(|e| Failure::of(&e))?;
    repository::commit(tree.as_ref(), under, &app.policy_place()).map_err(unreadable)
}

/// A path that is no URL; what is not there is a path too, for a clear error.
fn folder(place: &str) -> Option<PathBuf> {
    let is_url =
        place.contains("://") || (place.contains('@') && place.contains(':') && !Path::new(place).exists());
    (!is_url).then(|| PathBuf::from(place))
}
