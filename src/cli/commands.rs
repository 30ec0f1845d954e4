//! Starts the runtime and the logs, calls the command, prints its result, and gives the exit code.
//!
//! In: `Cli` · Out: an exit code · Touches: standard output and error

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::app::settings::{Keys, Settings, environment, folders};
use crate::app::wiring::App;
use crate::work::failure::{Exit, Failure};
use crate::work::restore::AGAIN_AND_RESUME;
use crate::work::stop::Stop;

use super::args::{Cli, Command, Global, KeysCommand, LogFormat};
use super::done::{Done, Text};
use super::hooks_args::HooksCommand;
use super::migrate_args::MigrateCommand;
use super::print::Printer;
use super::restore_args::RestoreCommand;
use super::{
    backup, build, compare, completion, coverage, demo, drill, hooks, init, keys, migrate, prune, references,
    restore, restore_runs, resume, run as run_in_cluster, schema, snapshots, validate, verify,
};

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let printer = Printer { format: cli.global.output, quiet: cli.global.quiet };
    let ended = start_logs(&cli).and_then(|()| runtime()).and_then(|runtime| {
        let ended = runtime.block_on(interruptible(cli));
        runtime.shutdown_background();
        ended
    });
    match ended.and_then(|done| print(printer, &done)) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            anstream::eprintln!("{failure}");
            ExitCode::from(failure.exit.code())
        }
    }
}

fn print(printer: Printer, done: &Done) -> Result<Exit, Failure> {
    printer.print(done.result.as_ref()).map_err(|e| Failure::failed(&e))?;
    Ok(done.exit)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| Failure::failed(&e))
}

/// Libraries whose details are never logged.
const LIBRARIES: [&str; 8] =
    ["kube_client", "kube", "tungstenite", "tokio_tungstenite", "hyper", "hyper_util", "reqwest", "h2"];

/// Logs go to standard error, so that results can be piped.
fn start_logs(cli: &Cli) -> Result<(), Failure> {
    let global = &cli.global;
    let usual = match cli.command {
        Command::Run(_) => "info,kube_client=off",
        _ => "warn,kube_client=off",
    };
    let log = global.log.as_deref().unwrap_or(usual);
    let filter = EnvFilter::try_new(log)
        .map_err(|e| Failure::usage(format!("cannot use the log filter {log:?}: {e}")))?;
    // Libraries log addresses and messages as they are, with the arguments of commands and what they print.
    let filter = LIBRARIES.iter().fold(filter, |filter, name| match format!("{name}=info").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    });
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    let started = match global.log_format {
        LogFormat::Text => logs.with_ansi(!plain).try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
    started.map_err(|e| Failure::usage(e.to_string()))
}

/// How long a restore may take to resume what it paused, once it is asked to stop; a drill, to delete its namespaces.
const GRACE: Duration = Duration::from_secs(30);
const DRILL_GRACE: Duration = Duration::from_mins(6);

/// How long the hooks after a backup may take once it is asked to stop.
const HOOKS_GRACE: Duration = Duration::from_mins(2);
/// How long the reconciler may take: it lets runs finish, and then ends them.
const RUN_GRACE: Duration = Duration::from_secs(110);
const HOOKS_OWED: &str =
    "hooks after the run are still owed: `backstay hooks resume`, or the next backup, runs them";

/// Ctrl-C and SIGTERM drop the command where it stands; every `.await` leaves the outside world valid. A restore first
/// resumes what it paused; a second signal drops it as well.
async fn interruptible(cli: Cli) -> Result<Done, Failure> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate()).map_err(|e| Failure::failed(&e))?;
    let ending = match cli.command {
        Command::Restore(RestoreCommand::Apply(_)) => Some((GRACE, AGAIN_AND_RESUME)),
        Command::Backup(_) | Command::Hooks(_) => Some((HOOKS_GRACE, HOOKS_OWED)),
        Command::Run(_) => Some((RUN_GRACE, "runs that were at work go on when another replica leads")),
        Command::Drill(_) => Some((DRILL_GRACE, "delete what is left with `backstay drill --clean`")),
        _ => None,
    };
    let (asks, stop) = Stop::pair();
    let mut command = Box::pin(command(cli, &stop));
    tokio::select! {
        done = &mut command => return done,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    let Some((grace, hint)) = ending else { return Err(interrupted()) };
    asks.send(true).ok();
    let unfinished = || Failure::stopped("interrupted").hint(hint);
    tokio::select! {
        done = command => done,
        _ = tokio::signal::ctrl_c() => Err(unfinished()),
        _ = terminate.recv() => Err(unfinished()),
        () = tokio::time::sleep(grace) => Err(unfinished()),
    }
}

fn interrupted() -> Failure {
    Failure::stopped("interrupted")
        .hint("run the same command again: a backup left nothing behind, a restore goes on where it stopped")
}

async fn command(cli: Cli, stop: &Stop) -> Result<Done, Failure> {
    let app = App::new(settings(&cli.global, &cli.command));
    let progress = !cli.global.quiet && std::io::stderr().is_terminal();
    match cli.command {
        Command::Demo(args) => demo::demo(&args).await,
        Command::Init(args) => init::init(&app, &args),
        Command::Run(args) => run_in_cluster::run(app, &args, stop).await,
        Command::Validate => validate::validate(&app).await,
        Command::Build(args) => build::build(&app, &args).await,
        Command::Plan(args) => backup::plan(&app, &args).await,
        Command::Backup(args) => backup::backup(&app, &args, stop).await,
        Command::Hooks(HooksCommand::List(args)) => hooks::list(&app, &args).await,
        Command::Hooks(HooksCommand::Test(args)) => hooks::test(&app, &args, stop).await,
        Command::Hooks(HooksCommand::Resume) => hooks::resume(&app).await,
        Command::Hooks(HooksCommand::Templates) => hooks::templates(&app).await,
        Command::Snapshots(args) => snapshots::list(&app, &args).await,
        Command::Show(args) => snapshots::show(&app, &args).await,
        Command::Diff(args) => compare::diff(&app, &args).await,
        Command::Restore(RestoreCommand::Plan(args)) => restore::plan(&app, &args).await,
        Command::Restore(RestoreCommand::Status(args)) => restore_runs::status(&app, &args).await,
        Command::Restore(RestoreCommand::Cancel(args)) => restore_runs::cancel(&app, &args).await,
        Command::Restore(RestoreCommand::Apply(args)) => restore::apply(&app, &args, progress, stop).await,
        Command::Restore(RestoreCommand::Resume(args)) => resume::resume(&app, &args).await,
        Command::Drill(args) => drill::drill(&app, &args, progress, stop).await,
        Command::Verify(args) if args.references => references::references(&app, &args).await,
        Command::Verify(args) => verify::verify(&app, &args).await,
        Command::Prune(args) => prune::prune(&app, &args).await,
        Command::Coverage => coverage::coverage(&app).await,
        Command::Migrate(MigrateCommand::Modifiers(args)) => migrate::modifiers(&args),
        Command::Migrate(MigrateCommand::Hooks(args)) => migrate::hooks(&args),
        Command::Keys(KeysCommand::New { file }) => keys::new(&app, &file),
        Command::Keys(KeysCommand::Show) => keys::show(&app),
        Command::Schema => Ok(Done::fine(Text(schema::text()))),
        Command::Completion { shell } => Ok(Done::fine(Text(completion::script(shell)))),
    }
}

fn settings(global: &Global, command: &Command) -> Settings {
    let (cache, state) = folders();
    Settings {
        policy_repo: global.policy_repo.clone().unwrap_or_else(|| ".".to_owned()),
        has_policy_repo: global.policy_repo.is_some(),
        policy_ref: global.policy_ref.clone(),
        policy_path: global.policy_path.clone(),
        cluster_name: global.cluster_name.clone(),
        kubeconfig: global.kubeconfig.clone(),
        context: global.context.clone(),
        namespace: global.namespace.clone(),
        identities: global.identity.clone(),
        cache,
        state,
        keys: if matches!(command, Command::Run(_)) { Keys::Cluster } else { Keys::Folder },
        allowed_signers: global.allowed_signers.clone(),
        variables: environment(),
    }
}
