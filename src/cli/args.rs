//! What a person may type: commands, options and their environment variables.
//!
//! In: the command line · Out: `Cli` · Touches: nothing

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::drill_args::DrillArgs;
use super::hooks_args::HooksCommand;
use super::migrate_args::MigrateCommand;
use super::restore_args::RestoreCommand;
use super::run_args::RunArgs;

/// GitOps-native backup and restore for Kubernetes.
///
/// Exit codes: 0 fine, 1 differences or a Partial outcome, 2 usage or a bad document, 3 failed.
#[derive(Debug, Parser)]
#[command(name = "backstay", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What the person typed and the environment says. Ends the process with help, or with what is wrong.
    pub fn typed() -> Self {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let matches = without(Self::command(), &is_empty).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Variables that are empty count as not given: a template that has no value for one writes it so.
fn without(command: clap::Command, is_empty: &dyn Fn(&OsStr) -> bool) -> clap::Command {
    let given = |arg: Arg| if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg };
    command.mut_args(given).mut_subcommands(|one| without(one, is_empty))
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Policy repository: a folder or a Git URL (file, https, ssh); default: the current folder
    #[arg(long, global = true, env = "BACKSTAY_POLICY_REPO", value_name = "PATH|URL")]
    pub policy_repo: Option<String>,
    /// Branch, tag or commit of the policy repository; default: its default branch
    #[arg(long, global = true, env = "BACKSTAY_POLICY_REF", value_name = "REF")]
    pub policy_ref: Option<String>,
    /// Folder of the policy repository, such as `clusters/prod`: plain files or a kustomize overlay; default: all of it
    #[arg(long, global = true, env = "BACKSTAY_POLICY_PATH", value_name = "PATH")]
    pub policy_path: Option<String>,
    /// Keys of those who may sign commits of the policy repository: a file with SSH keys (`ssh-keygen` calls it
    /// allowed signers), ASCII-armored OpenPGP public keys or both, or a folder of such files; an unsigned commit is
    /// refused then
    #[arg(long, global = true, env = "BACKSTAY_ALLOWED_SIGNERS", value_name = "PATH")]
    pub allowed_signers: Option<PathBuf>,
    /// Name of the cluster in mirrors and archives; default: the name of the kubeconfig context
    #[arg(long, global = true, env = "BACKSTAY_CLUSTER_NAME", value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Kubeconfig file; default: $KUBECONFIG, ~/.kube/config, or the service account of the pod
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace of Backstay, where credential Secrets are read from
    #[arg(long, global = true, env = "BACKSTAY_NAMESPACE", default_value = "backstay", value_name = "NAME")]
    pub namespace: String,
    /// File with age identities or an SSH private key; may be given more than once
    #[arg(
        long,
        short = 'i',
        global = true,
        env = "BACKSTAY_IDENTITY",
        value_delimiter = ':',
        value_name = "FILE"
    )]
    pub identity: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Prints results and errors only
    #[arg(long, short = 'q', global = true)]
    pub quiet: bool,
    /// Log filter, such as `info` or `backstay=debug`; logs go to standard error. Default: `info` for `run`, else `warn`
    #[arg(long, global = true, env = "BACKSTAY_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Form of the log lines
    #[arg(long, global = true, env = "BACKSTAY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the whole way on a small built-in cluster: no network, no configuration
    Demo(DemoArgs),
    /// Writes a policy repository to start from, and an age key
    Init(InitArgs),
    /// Works in a cluster: takes policy from Git and custom resources, backs up when it is due, restores what is asked for
    Run(RunArgs),
    /// Checks a policy repository and names every error at once
    Validate,
    /// Prints what a kustomize overlay of the policy repository builds, as `kustomize build` does
    Build(BuildArgs),
    /// Shows what a backup would collect and why the rest stays out
    Plan(PolicyArgs),
    /// Carries out a policy now and leaves one snapshot at each of its locations
    Backup(BackupArgs),
    /// Shows, tries and resumes hooks
    #[command(subcommand)]
    Hooks(HooksCommand),
    /// Lists the snapshots of archives
    Snapshots(SnapshotsArgs),
    /// Shows one snapshot; with the identity also its objects
    Show(ShowArgs),
    /// Shows what changed between two states
    Diff(DiffArgs),
    /// Puts a state back, or shows what that would do
    #[command(subcommand)]
    Restore(RestoreCommand),
    /// Restores a saved state for trial, compares, and cleans up
    Drill(DrillArgs),
    /// Checks every part of a snapshot; with the identity also every object
    Verify(VerifyArgs),
    /// Deletes the snapshots that no retention rule keeps, after showing them
    Prune(PruneArgs),
    /// Shows which namespaces, kinds and claims of the live cluster no policy covers, and why
    Coverage,
    /// Converts what was written for another backup tool
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Makes an age key pair, or shows the public keys of identities
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Prints the JSON Schema of policy documents
    Schema,
    /// Prints a completion script for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for everything the demo writes; default: a temporary one
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Keeps the folder afterwards; a folder given with --dir is always kept
    #[arg(long)]
    pub keep: bool,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder of the new policy repository
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the age key goes; it is made if it is not there, readable for you alone
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Options of `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Folder of the policy repository; default: the one of --policy-path, or its top
    pub path: Option<String>,
}

/// A policy by name.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// Name of the policy; may be left out when there is only one
    pub policy: Option<String>,
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Which policy.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Prints the plan that would be carried out
    #[arg(long)]
    pub dry_run: bool,
    /// Takes the cluster's name over from another cluster, which is gone: this one stands in its place from now on
    #[arg(long)]
    pub take_over: bool,
}

/// A location by name.
#[derive(Debug, Args)]
pub struct LocationArgs {
    /// Name of the location; may be left out when there is only one of the needed kind
    #[arg(long, short = 'l', value_name = "NAME")]
    pub location: Option<String>,
}

/// Options of `snapshots`.
#[derive(Debug, Args)]
pub struct SnapshotsArgs {
    /// Which location; default: every archive.
    #[command(flatten)]
    pub location: LocationArgs,
    /// Only snapshots of this policy
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Snapshots of every cluster, not only of this one
    #[arg(long)]
    pub all_clusters: bool,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Snapshot name or `latest`
    pub snapshot: String,
    /// Which location.
    #[command(flatten)]
    pub location: LocationArgs,
    /// Lists every object; needs the identity
    #[arg(long)]
    pub objects: bool,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Earlier state: LOCATION@SNAPSHOT, LOCATION@COMMIT, `cluster`, or a folder of manifests
    pub before: String,
    /// Later state; default: the live cluster
    #[arg(default_value = "cluster")]
    pub after: String,
    /// Only these namespaces, by name or glob
    #[arg(long, short = 'n', value_name = "NAME")]
    pub only_namespace: Vec<String>,
    /// Only these kinds, by Kind or resource.group, globs allowed
    #[arg(long, value_name = "KIND")]
    pub only_kind: Vec<String>,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Snapshot name or `latest`; default: all snapshots of this cluster
    pub snapshot: Option<String>,
    /// Which location.
    #[command(flatten)]
    pub location: LocationArgs,
    /// Finds what objects name and the snapshot lacks; needs the identity. Default snapshot: `latest`; LOCATION@COMMIT
    /// looks at a mirror
    #[arg(long)]
    pub references: bool,
}

/// Options of `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Only snapshots of this policy
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Which location; default: every writable archive.
    #[command(flatten)]
    pub location: LocationArgs,
    /// Carries the plan out; without it the plan is only shown
    #[arg(long)]
    pub yes: bool,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Makes a key pair: the identity goes to a file readable for you alone, the recipient is printed
    New {
        /// File of the identity; it must not exist
        file: PathBuf,
    },
    /// Prints the public keys (recipients) of the identities given with --identity
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_empty_variable_counts_as_not_given() {
        let empty = ["BACKSTAY_ALLOWED_SIGNERS", "BACKSTAY_INTERVAL"];
        let command = without(Cli::command(), &|name| empty.iter().any(|one| name == *one));
        let run = command.find_subcommand("run").unwrap();
        let asked = command.get_arguments().chain(run.get_arguments()).filter_map(Arg::get_env);
        let asked: Vec<String> = asked.map(|name| name.to_string_lossy().into_owned()).collect();
        assert!(
            asked.contains(&"BACKSTAY_POLICY_REPO".to_owned())
                && asked.contains(&"BACKSTAY_LISTEN".to_owned())
        );
        assert!(empty.iter().all(|one| !asked.contains(&(*one).to_owned())), "{asked:?}");
    }
}
