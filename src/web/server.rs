//! The pages of a replica: `/metrics`, `/healthz`, `/readyz`, and `/hook` for Git servers that say what changed.
//!
//! In: `Board` · Out: HTTP · Touches: the network

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::signature::is_genuine;
use crate::ports::clock::Clock;
use crate::reconcile::board::Board;

/// A replica that did not look around for so long hangs.
const ALIVE: Duration = Duration::from_mins(2);

/// The longest body of a webhook.
const BODY: usize = 1 << 20;

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

/// Serves the pages until the process ends.
pub async fn serve(listener: TcpListener, pages: Pages) {
    let router = router(Arc::new(pages));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!("the pages cannot be served any more: {error}");
    }
}

fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/hook", post(hook).layer(DefaultBodyLimit::max(BODY)))
        .with_state(pages)
}

async fn metrics(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], pages.board.metrics())
}

/// Whether the loop still goes round.
async fn healthz(State(pages): State<Arc<Pages>>) -> (StatusCode, String) {
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
async fn readyz(State(pages): State<Arc<Pages>>) -> (StatusCode, String) {
    let health = pages.board.health();
    match (health.alive, health.unready) {
        (Some(_), None) => (StatusCode::OK, "ok\n".into()),
        (_, reason) => {
            let reason = reason.unwrap_or_else(|| "starting".into());
            (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))
        }
    }
}

/// Lets the policy repository be fetched at once.
async fn hook(
    State(pages): State<Arc<Pages>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let Some(secret) = &pages.secret else {
        return (StatusCode::NOT_FOUND, "no webhook secret is set\n");
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !is_genuine(header, &body, secret) {
        return (StatusCode::UNAUTHORIZED, "the signature is missing or wrong\n");
    }
    // Full means that it will be fetched anyway.
    pages.knock.try_send(()).ok();
    (StatusCode::ACCEPTED, "the policy repository will be fetched\n")
}
