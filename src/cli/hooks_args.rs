//! What may be typed after `hooks`.
//!
//! In: the command line · Out: `HooksCommand` · Touches: nothing

use clap::{Args, Subcommand};

/// Commands about hooks.
#[derive(Clone, Debug, Subcommand)]
pub enum HooksCommand {
    /// Shows what would run around a backup, where, and why; runs nothing
    List(HooksArgs),
    /// Runs the hooks of a policy without a backup, those before and those after
    Test(HooksTestArgs),
    /// Runs what interrupted runs still owe: hooks after the run, and workloads to be scaled back
    Resume,
    /// Shows the built-in hook templates and those of the policy repository, with their parameters
    Templates,
}

/// Whose hooks.
#[derive(Clone, Debug, Args)]
pub struct HooksArgs {
    /// Name of the policy; default: the only one
    #[arg(value_name = "POLICY")]
    pub policy: Option<String>,
}

/// Which hooks are run.
#[derive(Clone, Debug, Args)]
pub struct HooksTestArgs {
    /// Name of the policy; default: the only one
    #[arg(value_name = "POLICY")]
    pub policy: Option<String>,
    /// Only the hook of this name; may be given more than once
    #[arg(long = "hook", value_name = "NAME")]
    pub only: Vec<String>,
}
