//! Parses the command line, starts tracing, hands over and turns the result into an exit code.

use std::process::ExitCode;

use backstay::cli::args::Cli;
use backstay::cli::commands;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One TLS provider for the whole process: the Kubernetes client and object storage agree on it.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    commands::run(Cli::typed())
}
