//! Connects to an API server, as kubectl would: a kubeconfig file and a context, or the service account of a pod.
//!
//! Requests are not repeated here: whoever asks decides that. Connections are kept and used again, one for each
//! request in flight.
//!
//! In: `Access` · Out: `ApiServer` · Touches: kubeconfig files, environment, credential plugins

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::failure;

/// How long setting up a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the server may be silent within an answer. It gives up by itself after 60 seconds and says so.
const SILENCE: Duration = Duration::from_secs(65);

/// Why there is no connection. No message holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kubeconfig file cannot be read.
    #[error("cannot read kubeconfig {path}", path = .path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A kubeconfig file is not understood; its text is not repeated.
    #[error("cannot understand the kubeconfig{0}")]
    Parse(String),
    /// Neither a kubeconfig nor a pod.
    #[error(
        "found no kubeconfig (flag, $KUBECONFIG, ~/.kube/config), and this is not a pod with a service account"
    )]
    Nowhere,
    /// There is no such context.
    #[error("the kubeconfig has no context {wanted}; it has: {known}")]
    NoContext {
        /// Asked for.
        wanted: String,
        /// The ones there are.
        known: String,
    },
    /// None was asked for and the file names none.
    #[error("the kubeconfig names no current context; it has: {0}")]
    NoCurrentContext(String),
    /// The file contradicts itself, or a certificate or key in it is unusable.
    #[error("cannot use the kubeconfig: {0}")]
    Unusable(String),
    /// No credentials.
    #[error("cannot log in: {0}")]
    Credentials(String),
    /// The pod's service account is incomplete.
    #[error("cannot use the pod's service account: {0}")]
    Pod(String),
}

/// Which cluster, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A kubeconfig file; default: the files in `$KUBECONFIG`, then `~/.kube/config`, then the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// A context in it; default: its current one.
    pub context: Option<String>,
}

/// A connection to an API server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct ApiServer {
    pub(super) client: Client,
    pub(super) url: String,
    context: Option<String>,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiServer({})", self.url)
    }
}

impl ApiServer {
    /// Finds the configuration and prepares the connection; a credential plugin is run, nothing is sent yet.
    ///
    /// # Errors
    /// Says what is missing, or which part of the configuration cannot be used.
    pub async fn connect(access: &Access) -> Result<Self, Error> {
        let Some(file) = kubeconfig(access)? else { return Self::in_pod(access).await };
        let context = chosen(&file, access.context.as_deref())?;
        let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(file, &options).await.map_err(unusable)?;
        Self::over(config, Some(context)).await
    }

    async fn in_pod(access: &Access) -> Result<Self, Error> {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() || access.context.is_some() {
            return Err(Error::Nowhere);
        }
        let config = Config::incluster().map_err(|error| Error::Pod(error.to_string()))?;
        Self::over(config, None).await
    }

    /// A connection over a ready configuration; `context` is the name it goes by.
    pub(super) async fn over(config: Config, context: Option<String>) -> Result<Self, Error> {
        let url = address(&config.cluster_url);
        let config = tuned(config);
        // A plugin is waited for without a pause, so this is done where blocking is allowed.
        let made = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
        let client = match made {
            Ok(Ok(client)) => client,
            Ok(Err(kube::Error::Auth(error))) => {
                return Err(Error::Credentials(failure::credentials(&error)));
            }
            Ok(Err(kube::Error::InferKubeconfig(error))) => return Err(unusable(error)),
            Ok(Err(error)) => return Err(Error::Unusable(error.to_string())),
            Err(error) => return Err(Error::Credentials(error.to_string())),
        };
        Ok(Self { client, url, context })
    }

    /// Name of the context in the kubeconfig; absent in a pod.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn kubeconfig(access: &Access) -> Result<Option<Kubeconfig>, Error> {
    let named = access.kubeconfig.is_some() || std::env::var_os("KUBECONFIG").is_some_and(|v| !v.is_empty());
    let read = match &access.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    match read {
        Ok(file) => Ok(Some(file)),
        Err(KubeconfigError::FindPath) => Ok(None),
        Err(KubeconfigError::ReadConfig(source, _))
            if !named && source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(unusable(error)),
    }
}

fn chosen(file: &Kubeconfig, wanted: Option<&str>) -> Result<String, Error> {
    let mut known: Vec<&str> = file.contexts.iter().map(|context| context.name.as_str()).collect();
    known.sort_unstable();
    let listed = || if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let current = file.current_context.as_deref().filter(|name| !name.is_empty());
    let Some(name) = wanted.or(current) else { return Err(Error::NoCurrentContext(listed())) };
    if !known.contains(&name) {
        return Err(Error::NoContext { wanted: name.into(), known: listed() });
    }
    Ok(name.into())
}

/// The error without any text of the file: that could be a token.
fn unusable(error: KubeconfigError) -> Error {
    match error {
        KubeconfigError::ReadConfig(source, path) => Error::Read { path, source },
        KubeconfigError::Parse(error) => Error::Parse(match error.location() {
            Some(place) => format!(": line {}, column {}", place.line(), place.column()),
            None => String::new(),
        }),
        other => Error::Unusable(other.to_string()),
    }
}

fn tuned(mut config: Config) -> Config {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = config.read_timeout.or(Some(SILENCE));
    config.reset_reader_on_write = true;
    config.disable_compression = true;
    let agent = HeaderValue::from_static(concat!("backstay/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    config
}

/// Scheme, host and port alone.
fn address(url: &http::Uri) -> String {
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
}

#[cfg(test)]
mod tests;
