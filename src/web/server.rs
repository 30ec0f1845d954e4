//! The pages of a replica: `/metrics`, `/healthz`, `/readyz`, and `/hook` for Git servers that say what changed.
//!
//! In: `Board` · Out: HTTP · Touches: the network

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use zeroize::Zeroizing;

use super::signature::{Claim, claim, is_genuine};
use crate::ports::clock::Clock;
use crate::reconcile::board::Board;

/// A replica that did not look around for so long hangs.
const ALIVE: Duration = Duration::from_mins(2);

/// The longest body of a webhook.
const BODY: usize = 1 << 20;
/// Bodies that are read at once: they are in memory.
const BODIES: usize = 8;
/// The longest header of a request.
const HEAD: usize = 16 << 10;
/// How long a sender may take for a header, and for a body.
const SLOW: Duration = Duration::from_secs(10);
/// How long to wait where no connection can be taken.
const PAUSE: Duration = Duration::from_millis(200);

/// What the pages are made of.
pub struct Pages {
    /// Metrics and health.
    pub board: Arc<Board>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What Git servers sign with; absent: nobody may knock.
    pub secret: Option<Zeroizing<Vec<u8>>>,
    /// Tells the reconciler that the policy repository has changed.
    pub knock: mpsc::Sender<()>,
}

/// Opens the door at an address.
///
/// # Errors
/// The address cannot be used.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves the pages until the process ends. Whoever sends slowly, or more than is asked for, is cut off.
pub async fn serve(listener: TcpListener, pages: Pages) {
    serve_within(listener, pages, SLOW).await;
}

async fn serve_within(listener: TcpListener, pages: Pages, slow: Duration) {
    let door = Door { pages, bodies: Semaphore::new(BODIES), slow };
    let router = router(Arc::new(door));
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(slow).max_buf_size(HEAD);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a connection to the pages cannot be taken: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (http, service) = (http.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("a connection to the pages has ended: {error}");
            }
        });
    }
}

/// The pages, and room for what is sent to them.
struct Door {
    pages: Pages,
    bodies: Semaphore,
    slow: Duration,
}

fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/hook", post(hook))
        .with_state(door)
}

async fn metrics(State(door): State<Arc<Door>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], door.pages.board.metrics())
}

/// Whether the loop still goes round.
async fn healthz(State(door): State<Arc<Door>>) -> (StatusCode, String) {
    let pages = &door.pages;
    let silent =
        pages.board.health().alive.map(|alive| pages.clock.now().duration_since(alive).unsigned_abs());
    match silent {
        Some(silent) if silent < ALIVE => (StatusCode::OK, "ok\n".into()),
        Some(silent) => {
            let text = format!("the reconciler did not look around for {} s\n", silent.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        None => (StatusCode::OK, "starting\n".into()),
    }
}

/// Whether the replica can lead, or knows who does.
async fn readyz(State(door): State<Arc<Door>>) -> (StatusCode, String) {
    let health = door.pages.board.health();
    match (health.alive, health.unready) {
        (Some(_), None) => (StatusCode::OK, "ok\n".into()),
        (_, reason) => {
            let reason = reason.unwrap_or_else(|| "starting".into());
            (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))
        }
    }
}

/// Lets the policy repository be fetched at once. Of a sender who proves nothing, no body is read.
async fn hook(State(door): State<Arc<Door>>, request: Request) -> (StatusCode, &'static str) {
    let Some(secret) = &door.pages.secret else {
        return (StatusCode::NOT_FOUND, "no webhook secret is set\n");
    };
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let body = match claim(header, secret) {
        Claim::Proven => Vec::new(),
        Claim::Signed => match read(&door, body).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        },
        Claim::Nothing => return UNPROVEN,
    };
    if !is_genuine(header, &body, secret) {
        return UNPROVEN;
    }
    // Full means that it will be fetched anyway.
    door.pages.knock.try_send(()).ok();
    (StatusCode::ACCEPTED, "the policy repository will be fetched\n")
}

const UNPROVEN: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, "the signature is missing or wrong\n");

/// Reads a body, a few at once, each for a short time.
async fn read(door: &Door, body: Body) -> Result<Vec<u8>, (StatusCode, &'static str)> {
    let Ok(_room) = door.bodies.try_acquire() else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "too many webhooks at once\n"));
    };
    let long = (StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 1 MiB, or broke off\n");
    if body.size_hint().lower() > BODY as u64 {
        return Err(long);
    }
    match tokio::time::timeout(door.slow, to_bytes(body, BODY)).await {
        Ok(Ok(body)) => Ok(body.into()),
        Ok(Err(_)) => Err(long),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body took too long\n")),
    }
}

#[cfg(test)]
mod tests;
