//! What a person may type after `drill`.
//!
//! In: the command line · Out: `DrillArgs` · Touches: nothing

use std::path::PathBuf;

use clap::Args;

/// Options of `drill`.
#[derive(Debug, Args)]
pub struct DrillArgs {
    /// What is restored for trial: LOCATION@SNAPSHOT or LOCATION@COMMIT
    #[arg(long, value_name = "STATE", required_unless_present = "clean")]
    pub from: Option<String>,
    /// Only these namespaces, by name or glob; default: all but those of Kubernetes itself
    #[arg(long, short = 'n', value_name = "NAME")]
    pub only_namespace: Vec<String>,
    /// Lets workloads run and waits for them; without it nothing runs: no replicas, suspended jobs, no load balancers
    #[arg(long)]
    pub run: bool,
    /// Leaves the scratch namespaces there
    #[arg(long)]
    pub keep: bool,
    /// Kubeconfig of a scratch cluster to restore into, under the same names; default: scratch namespaces of this cluster
    #[arg(long, value_name = "FILE")]
    pub into_kubeconfig: Option<PathBuf>,
    /// Context of that kubeconfig
    #[arg(long, value_name = "NAME", requires = "into_kubeconfig")]
    pub into_context: Option<String>,
    /// Deletes the scratch namespaces that earlier drills left, and does nothing else
    #[arg(long, conflicts_with_all = ["from", "run", "keep", "into_kubeconfig"])]
    pub clean: bool,
}
