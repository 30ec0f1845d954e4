//! What may be typed after `run`.
//!
//! In: the command line · Out: `RunArgs` · Touches: nothing

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::domain::duration::Duration;

/// Where policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicySource {
    /// The policy repository
    Git,
    /// Custom resources in Backstay's namespace
    Resources,
    /// Both; a custom resource comes before a document of the same name in Git
    Both,
}

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Where policy comes from; default: both, or `resources` where no --policy-repo is given
    #[arg(long, env = "BACKSTAY_POLICY_SOURCE", value_enum)]
    pub policy_source: Option<PolicySource>,
    /// How often the policy repository is fetched
    #[arg(long, env = "BACKSTAY_INTERVAL", default_value = "1m", value_name = "DURATION")]
    pub interval: Duration,
    /// Address of /metrics, /healthz, /readyz and /hook
    #[arg(long, env = "BACKSTAY_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// File with the secret that Git servers sign webhooks with; without it /hook is closed
    #[arg(long, env = "BACKSTAY_WEBHOOK_SECRET", value_name = "FILE")]
    pub webhook_secret: Option<PathBuf>,
    /// File with the receivers of notifications: Slack, webhooks, Alertmanager; read once, at the start
    #[arg(long, env = "BACKSTAY_NOTIFY", value_name = "FILE")]
    pub notify: Option<PathBuf>,
    /// Address of an OpenTelemetry collector, such as `http://collector:4318`: each run, restore and the like is a span, sent over
    /// OTLP/HTTP; default: `$OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `$OTEL_EXPORTER_OTLP_ENDPOINT/v1/traces`, else none is sent
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Name of this replica in the Lease; default: the host's name and four random letters
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity_of_replica: Option<String>,
    /// Carries out restore requests whose `when` is `EmptyCluster` or `Always`
    #[arg(long, env = "BACKSTAY_RESTORE")]
    pub restore: bool,
    /// Policies that run at the same time, at most
    #[arg(long, env = "BACKSTAY_MAX_RUNS", default_value = "4", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_runs: u16,
}
