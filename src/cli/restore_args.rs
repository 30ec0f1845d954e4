//! What a person may type after `restore`.
//!
//! In: the command line · Out: `RestoreCommand` · Touches: nothing

use clap::{Args, Subcommand, ValueEnum};

/// What to do with a restore.
#[derive(Debug, Subcommand)]
pub enum RestoreCommand {
    /// Shows waves, differences and fixups; asks the API server (dry run) and writes nothing
    Plan(RestoreArgs),
    /// Carries it out; killed anywhere, the same command finishes the job
    Apply(ApplyArgs),
    /// Shows how far restores are, or how they ended, as the cluster remembers them
    Status(StatusArgs),
    /// Ends a restore that is at work or was interrupted; what was restored stays
    Cancel(CancelArgs),
    /// Resumes the owners (Flux, Argo CD) that restores left paused
    Resume(ResumeArgs),
}

/// Options of `restore plan` and `restore apply`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Name of a `RestoreRequest` of the policy repository
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub request: Option<String>,
    /// Without a request: LOCATION@SNAPSHOT or LOCATION@COMMIT
    #[arg(long, value_name = "STATE")]
    pub from: Option<String>,
    /// Only these namespaces, by name or glob
    #[arg(long, short = 'n', value_name = "NAME", requires = "from")]
    pub only_namespace: Vec<String>,
    /// Only these kinds and the namespaces they are in, by Kind or resource.group, globs allowed
    #[arg(long, value_name = "KIND", requires = "from")]
    pub only_kind: Vec<String>,
    /// New name of a namespace, as OLD=NEW; may be given more than once
    #[arg(long, value_name = "OLD=NEW", requires = "from")]
    pub map_namespace: Vec<String>,
    /// New name of a storage class, as OLD=NEW; may be given more than once
    #[arg(long, value_name = "OLD=NEW", requires = "from")]
    pub map_storage_class: Vec<String>,
    /// New name of an image, or of what images begin with, as OLD=NEW; may be given more than once
    #[arg(long, value_name = "OLD=NEW", requires = "from")]
    pub map_image: Vec<String>,
    /// What happens to objects that exist already; default: the request's, else skip
    #[arg(long, value_enum)]
    pub existing: Option<ExistingArg>,
    /// Restores objects of this kind even where their controller is restored, such as `ReplicaSet`; may be given more than once
    #[arg(long, value_name = "KIND", requires = "from")]
    pub children: Vec<String>,
    /// Deletes, after the waves, what the snapshot does not have; `plan` shows it
    #[arg(long, requires = "from")]
    pub prune: bool,
    /// Token of the run: with one that was used before, nothing is done; default: the request's
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// What happens to marks of Flux, Argo CD and Helm, and to those who own the objects; default: the request's
    #[arg(long, value_enum)]
    pub owners: Option<OwnersArg>,
    /// Runs no hooks, neither those of the request nor those that pods ask for by annotation
    #[arg(long)]
    pub no_hooks: bool,
}

/// Options of `restore resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Shows which owners are paused, and writes nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `restore apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// What is restored.
    #[command(flatten)]
    pub restore: RestoreArgs,
    /// Deletes what `restore plan` shows as surplus; without it a restore that prunes does nothing
    #[arg(long)]
    pub yes: bool,
    /// Objects written at the same time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}

/// What happens to an object that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExistingArg {
    /// It stays as it is
    Skip,
    /// It is changed to what was saved
    Update,
    /// As update; what cannot be changed in place is deleted and made anew
    Recreate,
    /// It is deleted and made anew wherever a saved field differs
    RecreateAlways,
    /// Nothing is written at all
    Fail,
}

/// Options of `restore status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Name of the request, as `restore status` lists it; default: all
    pub request: Option<String>,
    /// Looks again every two seconds until nothing is at work
    #[arg(long, short = 'w')]
    pub watch: bool,
}

/// Options of `restore cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Name of the request, as `restore status` lists it
    pub request: String,
}

/// What happens to those who own the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OwnersArg {
    /// Marks stay, even in another cluster or namespace
    Keep,
    /// Marks are left out everywhere
    Strip,
    /// The owners are suspended until the end
    Pause,
}
