//! `run`: reconciles in a cluster until it is asked to stop.
//!
//! In: options · Out: nothing but what it did · Touches: through `App`, the network

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::app::process;
use crate::app::wiring::App;
use crate::domain::object::Json;
use crate::domain::receiver::Receiver;
use crate::domain::repository_view::RepositorySpec;
use crate::engine::policy::receivers;
use crate::reconcile::board::Board;
use crate::reconcile::desk::{Fallback, Settings};
use crate::reconcile::notice::Known;
use crate::reconcile::run::{Lines, run as reconcile};
use crate::web::server::{Pages, listen, serve};
use crate::work::failure::Failure;
use crate::work::stop::Stop;

use super::done::{Done, Text};
use super::run_args::{PolicySource, RunArgs};

/// Reconciles until it is asked to stop.
pub async fn run(mut app: App, args: &RunArgs, stop: &Stop) -> Result<Done, Failure> {
    let settings = settings(&app, args).await?;
    let followed = app.trace(args.otlp_endpoint.as_deref(), &settings.cluster, &settings.replica);
    followed.map_err(|e| Failure::of(&e))?;
    let secret = secret(args)?;
    let receivers = args.notify.as_deref().map(receivers).transpose()?.unwrap_or_default();
    let listener = listen(args.listen).await.map_err(|error| {
        Failure::failed(&error).hint(format!("another address than {} is set with --listen", args.listen))
    })?;
    let app = Arc::new(app);
    let board = Arc::new(Board::default());
    let (knock, knocks) = mpsc::channel(1);
    let pages = Pages { board: board.clone(), clock: app.clock.clone(), secret, knock: knock.clone() };
    let server = tokio::spawn(serve(listener, pages));
    tracing::info!(replica = settings.replica, cluster = settings.cluster, listen = %args.listen, "at work");
    let repository = settings.git.then(|| view(&app, args));
    let lines = Lines { board, knocks, stop: stop.clone(), receivers, repository };
    let traces = app.traces.clone();
    let ended = reconcile(app, settings, lines).await;
    if let Some(traces) = traces {
        traces.close().await;
    }
    // The sender lives as long as the loop, which would otherwise hear that nobody can knock any more.
    drop(knock);
    server.abort();
    ended.map(|()| Done::fine(Text(String::new())))
}

async fn settings(app: &App, args: &RunArgs) -> Result<Settings, Failure> {
    let given = app.settings.has_policy_repo;
    let source =
        args.policy_source.unwrap_or(if given { PolicySource::Both } else { PolicySource::Resources });
    if source != PolicySource::Resources && !given {
        return Err(Failure::usage("there is no policy repository to take policy from")
            .hint("name it: --policy-repo URL, or say --policy-source resources"));
    }
    let unknown = |e| Failure::of(&e).hint("say how the cluster is called in archives: --cluster-name NAME");
    Ok(Settings {
        replica: replica(args, app),
        git: source != PolicySource::Resources,
        resources: source != PolicySource::Git,
        interval: args.interval.as_std().max(std::time::Duration::from_secs(1)),
        restores: args.restore,
        runs: usize::from(args.max_runs),
        cluster: app.cluster_name().await.map_err(unknown)?,
        fallback: match (&app.settings.allowed_signers, source) {
            (Some(_), _) => Fallback::Signed,
            (None, PolicySource::Both) => Fallback::Views,
            (None, PolicySource::Git | PolicySource::Resources) => Fallback::Revision,
        },
    })
}

/// The name of this replica: two processes on one host are two replicas.
fn replica(args: &RunArgs, app: &App) -> String {
    let own = || format!("{}-{}", process::name(), app.clock.letters());
    args.identity_of_replica.clone().unwrap_or_else(own)
}

fn secret(args: &RunArgs) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let Some(file) = &args.webhook_secret else { return Ok(None) };
    let text = fs::read(file).map(Zeroizing::new);
    let text = text.map_err(|error| {
        Failure::failed(&error).hint(format!("--webhook-secret {} must be a readable file", file.display()))
    })?;
    let end = text.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
    if end == 0 {
        return Err(Failure::usage(format!("{} is empty: anybody could knock", file.display())));
    }
    Ok(Some(Zeroizing::new(text[..end].to_vec())))
}

/// The receivers of a file, and the certificate authorities that they name.
fn receivers(file: &Path) -> Result<Vec<Known>, Failure> {
    let place = file.display().to_string();
    let text = fs::read_to_string(file).map(Zeroizing::new).map_err(|error| {
        Failure::misused(&error).hint(format!("--notify {place} must be a readable file"))
    })?;
    let all = receivers::read(&place, &text).map_err(|problems| {
        let lines = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Failure::usage(format!("the file of receivers cannot be used\n{lines}"))
    })?;
    let with_authorities = |receiver: Receiver| {
        let authorities = receiver.ca_cert.as_ref().map(fs::read_to_string).transpose();
        let authorities = authorities.map_err(|error| {
            Failure::misused(&error)
                .hint(format!("caCert of receiver {} in {place} must be a readable file", receiver.name))
        })?;
        Ok(Known { receiver, authorities })
    };
    all.into_iter().map(with_authorities).collect()
}

fn view(app: &App, args: &RunArgs) -> Json {
    json!(RepositorySpec {
        url: app.policy_place(),
        reference: app.settings.policy_ref.clone(),
        path: app.settings.policy_path.clone().unwrap_or_default(),
        interval: args.interval.to_string(),
        verify: app.settings.allowed_signers.is_some(),
    })
}
