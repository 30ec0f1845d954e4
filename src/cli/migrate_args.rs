//! What a person may type after `migrate`.
//!
//! In: the command line · Out: `MigrateCommand` · Touches: nothing

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is converted.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Velero's resource modifiers, into the `transforms` of a `RestoreRequest`
    Modifiers(ModifiersArgs),
    /// Hooks of a Velero Backup, Schedule or Restore, into the `hooks` of a policy or request
    Hooks(HooksFileArgs),
}

/// Options of `migrate hooks`.
#[derive(Debug, Args)]
pub struct HooksFileArgs {
    /// File with the Backup, Schedule or Restore, or with its `hooks` alone; `-` reads standard input
    pub file: PathBuf,
}

/// Options of `migrate modifiers`.
#[derive(Debug, Args)]
pub struct ModifiersArgs {
    /// File with the rules, or with the `ConfigMap` that holds them; `-` reads standard input
    pub file: PathBuf,
}
