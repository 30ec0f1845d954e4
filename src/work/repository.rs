//! Reads the policy repository that every command starts from.
//!
//! In: `Settings` · Out: `PolicySet` · Touches: through `App`

use std::path::{Path, PathBuf};

use crate::app::wiring::App;
use crate::domain::document::PolicySet;
use crate::domain::rules::Catalog;
use crate::engine::policy::load::{Loaded, load as load_documents};
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
    let repository = open(app).await?;
    let identities = app.identities().map_err(|e| Failure::of(&e))?;
    load_documents(&repository, &identities).map_err(|invalid| Failure::invalid(&invalid))
}

/// The built-in catalog and the repository's own.
pub fn catalog(set: &PolicySet) -> Result<Catalog, Failure> {
    Catalog::with(&set.catalogs).map_err(|errors| {
        let list = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Failure::usage(format!("a catalog of the policy repository is wrong: {list}"))
    })
}

/// The files of the policy repository.
///
/// # Errors
/// It cannot be reached or read.
pub async fn open(app: &App) -> Result<Repository, Failure> {
    open_at(app, app.settings.policy_ref.as_deref()).await
}

/// The files of the policy repository at a branch, tag or commit.
///
/// # Errors
/// As [`open`].
pub async fn open_at(app: &App, reference: Option<&str>) -> Result<Repository, Failure> {
    let place = app.settings.policy_repo.clone();
    let unreadable =
        |e: repository::Error| Failure::misused(&e).hint("name a folder or a Git URL: --policy-repo");
    if let Some(folder) = folder(&place) {
        if reference.is_some() && !folder.join("HEAD").exists() {
            return Err(Failure::usage("--policy-ref needs a Git URL").hint(format!("write file://{place}")));
        }
        if !folder.join("HEAD").exists() {
            return repository::folder(&folder).map_err(unreadable);
        }
    }
    let tree = app.policy_tree(reference).await.map_err(|e| Failure::of(&e))?;
    repository::commit(tree.as_ref(), "", &app.policy_place()).map_err(unreadable)
}

/// A path that is no URL; what is not there is a path too, for a clear error.
fn folder(place: &str) -> Option<PathBuf> {
    let is_url =
        place.contains("://") || (place.contains('@') && place.contains(':') && !Path::new(place).exists());
    (!is_url).then(|| PathBuf::from(place))
}
