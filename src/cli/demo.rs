//! `demo`: the whole way on a small cluster in memory, with real Git, real encryption and real files.
//!
//! In: a folder · Out: a told story · Touches: that folder only

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::app::demo_cluster;
use crate::app::settings::{Keys, Settings};
use crate::app::wiring::App;
use crate::work::failure::{Exit, Failure};
use crate::work::stop::Stop;

use super::args::{
    BackupArgs, DemoArgs, DiffArgs, Format, InitArgs, LocationArgs, PolicyArgs, SnapshotsArgs, VerifyArgs,
};
use super::done::{Done, Text};
use super::print::Printer;
use super::restore_args::{ApplyArgs, RestoreArgs};
use super::{backup, compare, init, restore, snapshots, verify};

/// The restore request of the demo: a namespace comes back, and another one gets its label again.
const MEND: &str = include_str!("../../examples/demo/restore.yaml");

/// Tells the story; every command that a person would have typed is shown before its result.
pub async fn demo(args: &DemoArgs) -> Result<Done, Failure> {
    let folder = Folder::new(args)?;
    let app = demo_cluster::filled(settings(folder.path())).await.map_err(|e| Failure::failed(&e))?;
    begin(&app, folder.path()).await?;
    change(&app).await?;
    let proven = restore(&app).await?;
    if !proven {
        return Err(Failure::stopped("the restored cluster is not equal to what was saved"));
    }
    Ok(Done::fine(Text(format!("\nThe cluster is equal to what was saved. {}\n", folder.farewell()))))
}

async fn begin(app: &App, folder: &Path) -> Result<(), Failure> {
    says("A small cluster with a shop in it. First a policy repository, and a key.");
    let made = init::init(app, &InitArgs { dir: folder.join("policy"), key: None })?;
    command("backstay init policy", &made)?;
    let file = folder.join("policy/mend.yaml");
    fs::write(&file, MEND).map_err(|e| Failure::stopped(format!("cannot write {}: {e}", file.display())))?;
    says("A first backup: one commit in the mirror, one sealed copy in the archive.");
    command("backstay backup", &backup::backup(app, &everything(), &Stop::never()).await?)
}

async fn change(app: &App) -> Result<(), Failure> {
    says("Somebody changes a password, edits a page and deletes a service. A second backup.");
    demo_cluster::damage(app).await.map_err(|e| Failure::failed(&e))?;
    command("backstay backup", &backup::backup(app, &everything(), &Stop::never()).await?)?;
    let every =
        SnapshotsArgs { location: LocationArgs { location: None }, policy: None, all_clusters: false };
    command("backstay snapshots", &snapshots::list(app, &every).await?)?;
    says("What changed between the two commits? The password is named, its value is not shown.");
    command("backstay diff mirror@main~1 mirror@main", &diff(app, "mirror@main~1", "mirror@main").await?)
}

/// Loses the shop and gets it back; tells whether the cluster is equal to the snapshot then.
async fn restore(app: &App) -> Result<bool, Failure> {
    says("Now the whole namespace is lost, and the ingress loses the label that a network policy looks for.");
    demo_cluster::lose(app).await.map_err(|e| Failure::failed(&e))?;
    let mend = || RestoreArgs {
        no_hooks: false,
        request: Some("mend".into()),
        from: None,
        only_namespace: Vec::new(),
        only_kind: Vec::new(),
        map_namespace: Vec::new(),
        map_storage_class: Vec::new(),
        map_image: Vec::new(),
        existing: None,
        children: Vec::new(),
        prune: false,
        token: None,
        owners: None,
    };
    command("backstay restore plan mend", &restore::plan(app, &mend()).await?)?;
    let apply = ApplyArgs { restore: mend(), yes: false, concurrency: 16 };
    command("backstay restore apply mend", &restore::apply(app, &apply, false, &Stop::never()).await?)?;
    says("Is everything as it was saved, and is what was saved sound?");
    let equal = diff(app, "archive@latest", "cluster").await?;
    let sound = verify::verify(
        app,
        &VerifyArgs { snapshot: None, location: LocationArgs { location: None }, references: false },
    )
    .await?;
    let proven = equal.exit == Exit::Fine && sound.exit == Exit::Fine;
    command("backstay diff archive@latest cluster", &equal)?;
    command("backstay verify", &sound)?;
    Ok(proven)
}

fn everything() -> BackupArgs {
    BackupArgs { policy: PolicyArgs { policy: None }, dry_run: false, take_over: false }
}

async fn diff(app: &App, before: &str, after: &str) -> Result<Done, Failure> {
    let (before, after) = (before.to_owned(), after.to_owned());
    compare::diff(app, &DiffArgs { before, after, only_namespace: Vec::new(), only_kind: Vec::new() }).await
}

fn says(text: &str) {
    anstream::println!("\n\u{1b}[1m{text}\u{1b}[0m");
}

fn command(typed: &str, done: &Done) -> Result<(), Failure> {
    anstream::println!("\n\u{1b}[36m$ {typed}\u{1b}[0m");
    let printer = Printer { format: Format::Text, quiet: false };
    printer.print(done.result.as_ref()).map_err(|e| Failure::failed(&e))?;
    std::io::stdout().flush().map_err(|e| Failure::failed(&e))
}

/// Settings that know the folder and nothing of the person's environment.
fn settings(folder: &Path) -> Settings {
    Settings {
        policy_repo: folder.join("policy").display().to_string(),
        has_policy_repo: true,
        policy_ref: None,
        policy_path: None,
        cluster_name: Some("demo".into()),
        kubeconfig: None,
        context: None,
        namespace: "backstay".into(),
        identities: vec![folder.join("policy.agekey")],
        cache: folder.join("cache"),
        state: folder.join("state"),
        keys: Keys::Folder,
        allowed_signers: None,
        variables: BTreeMap::new(),
    }
}

/// Where the demo writes.
enum Folder {
    /// Goes away at the end.
    Temporary(TempDir),
    /// Stays.
    Kept(PathBuf),
}

impl Folder {
    fn new(args: &DemoArgs) -> Result<Self, Failure> {
        if let Some(dir) = &args.dir {
            let cannot = |e| Failure::usage(format!("cannot use {}: {e}", dir.display()));
            fs::create_dir_all(dir).map_err(cannot)?;
            let dir = fs::canonicalize(dir).map_err(cannot)?;
            if fs::read_dir(&dir).map_err(cannot)?.next().is_some() {
                return Err(
                    Failure::usage(format!("{} is not empty", dir.display())).hint("name a new folder")
                );
            }
            return Ok(Self::Kept(dir));
        }
        let made = tempfile::Builder::new().prefix("backstay-demo-").tempdir();
        let made = made.map_err(|e| Failure::failed(&e))?;
        Ok(if args.keep { Self::Kept(made.keep()) } else { Self::Temporary(made) })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    fn farewell(&self) -> String {
        match self {
            Self::Temporary(_) => "Everything the demo wrote is gone again; keep it with --keep.".into(),
            Self::Kept(dir) => format!("Look around in {}.", dir.display()),
        }
    }
}
