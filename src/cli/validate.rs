//! `validate`: every error of a policy repository at once.
//!
//! In: a policy repository · Out: what is in it · Touches: through `App`

use std::io::{self, Write};

use crate::app::wiring::App;
use crate::work::failure::Failure;
use crate::work::repository;

use super::done::Done;
use super::print::{Show, count};

/// What a valid repository holds.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Valid {
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    files: usize,
    policies: Vec<String>,
    locations: Vec<String>,
    restores: Vec<String>,
    hooks: Vec<String>,
    catalogs: Vec<String>,
    notes: Vec<String>,
}

impl Show for Valid {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        if quiet {
            return Ok(());
        }
        let path = self.path.as_ref().map_or(String::new(), |path| format!(", {path}"));
        writeln!(out, "valid: {}{path} ({})", self.place, count(self.files as u64, "file"))?;
        let kinds = [
            ("policies", &self.policies),
            ("locations", &self.locations),
            ("restore requests", &self.restores),
            ("hooks", &self.hooks),
            ("catalogs", &self.catalogs),
        ];
        for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            writeln!(out, "  {kind}: {}", names.join(", "))?;
        }
        for note in &self.notes {
            writeln!(out, "  note: {note}")?;
        }
        Ok(())
    }
}

/// Checks the policy repository.
pub async fn validate(app: &App) -> Result<Done, Failure> {
    let loaded = repository::read(app).await?;
    repository::catalog(&loaded.set)?;
    let names = |keys: Vec<&String>| keys.into_iter().cloned().collect();
    Ok(Done::fine(Valid {
        place: app.policy_place(),
        path: app.settings.policy_path.clone(),
        files: loaded.files,
        policies: names(loaded.set.policies.keys().collect()),
        locations: names(loaded.set.locations.keys().collect()),
        restores: names(loaded.set.restores.keys().collect()),
        hooks: names(loaded.set.hooks.keys().collect()),
        catalogs: names(loaded.set.catalogs.keys().collect()),
        notes: loaded.notes,
    }))
}
