//! Writes a policy repository to start from: one policy, two locations, a restore request, and an age key beside it.
//!
//! In: a folder · Out: files · Touches: the file system

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::app::wiring::App;
use crate::engine::seal::age::Identities;
use crate::work::failure::Failure;

use super::args::InitArgs;
use super::done::Done;
use super::keys;
use super::print::Show;

const FILES: [(&str, &str); 4] = [
    ("policy.yaml", include_str!("../../examples/init/policy.yaml")),
    ("locations.yaml", include_str!("../../examples/init/locations.yaml")),
    ("restore.yaml", include_str!("../../examples/init/restore.yaml")),
    (".gitignore", "*.agekey\n"),
];

/// What `init` wrote.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Folder of the policy repository.
    pub repository: PathBuf,
    /// File of the identity.
    pub key: PathBuf,
    /// Public key of the identity.
    pub recipient: String,
    /// Bare Git repository of the mirror.
    pub mirror: PathBuf,
    /// Folder of the archive.
    pub archive: PathBuf,
}

impl Show for Made {
    fn show(&self, out: &mut dyn Write, quiet: bool) -> std::io::Result<()> {
        writeln!(out, "policy repository  {}", self.repository.display())?;
        writeln!(out, "mirror             {}", self.mirror.display())?;
        writeln!(out, "archive            {}", self.archive.display())?;
        writeln!(out, "private key        {}  (keep it safe, and not in the cluster)", self.key.display())?;
        writeln!(out, "public key         {}", self.recipient)?;
        if !quiet {
            writeln!(
                out,
                "\nnext: cd {} && backstay validate && backstay backup",
                self.repository.display()
            )?;
        }
        Ok(())
    }
}

/// Writes everything, or nothing where one of the files is there already.
pub fn init(app: &App, args: &InitArgs) -> Result<Done, Failure> {
    let repository = std::path::absolute(&args.dir).map_err(|e| Failure::failed(&e))?;
    let beside = |suffix: &str| with_suffix(&repository, suffix);
    let made_key = args.key.clone().unwrap_or_else(|| beside(".agekey"));
    let (mirror, archive) = (beside("-mirror.git"), beside("-archive"));
    if let Some((name, _)) = FILES.iter().find(|(name, _)| repository.join(name).exists()) {
        let file = repository.join(name);
        return Err(
            Failure::usage(format!("{} is there already", file.display())).hint("choose an empty folder")
        );
    }
    fs::create_dir_all(&repository).map_err(|e| cannot(&repository, &e))?;
    let recipient = if made_key.exists() { public_key(&made_key)? } else { keys::write_new(app, &made_key)? };
    app.init_bare(&mirror).map_err(|e| Failure::failed(&e))?;
    for (name, text) in FILES {
        let text = text
            .replace("${RECIPIENT}", &recipient)
            .replace("${MIRROR}", &mirror.display().to_string())
            .replace("${ARCHIVE}", &archive.display().to_string());
        let file = repository.join(name);
        fs::write(&file, text).map_err(|e| cannot(&file, &e))?;
    }
    Ok(Done::fine(Made { repository, key: made_key, recipient, mirror, archive }))
}

fn with_suffix(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    folder.with_file_name(name)
}

fn public_key(file: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(file).map_err(|e| cannot(file, &e))?;
    let mut identities = Identities::default();
    identities.add(&file.display().to_string(), &text).map_err(|e| Failure::misused(&e))?;
    let recipient = identities.recipients().next().map(str::to_owned);
    recipient.ok_or_else(|| Failure::usage(format!("{} holds no age identity", file.display())))
}

fn cannot(file: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {error}", file.display()))
}
