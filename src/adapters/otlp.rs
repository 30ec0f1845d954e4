//! Sends spans to an OpenTelemetry collector over OTLP/HTTP, as protobuf.
//!
//! In: spans · Out: requests to `/v1/traces` · Touches: the network
//!
//! Spans wait in a queue of bounded length for a thread that sends them in batches. A collector that is slow or away costs
//! spans, never time. Source: the OpenTelemetry specification, "OTLP Exporter" and "Batching processor".

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use opentelemetry::trace::{Span as _, Status, Tracer, TracerProvider};
use opentelemetry::{Array, Context, KeyValue, StringValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

use super::http;
use crate::ports::clock::Clock;
use crate::ports::trace::{Span, Traces, Value};

/// Spans that wait, at most.
const QUEUE: usize = 2048;
/// What is added to an address.
const PATH: &str = "/v1/traces";
/// How long one request may take, with all attempts.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last spans may take once the process ends.
const LAST: Duration = Duration::from_secs(3);
/// How often a collector that does not answer is spoken of.
const COMPLAIN: Duration = Duration::from_mins(1);

/// Why no collector can be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be used. It is not shown: it may hold a password.
    #[error("cannot use the address of the OpenTelemetry collector in {by}: {fault}")]
    Address {
        /// The option or variable that says it.
        by: &'static str,
        /// Why not.
        fault: Fault,
    },
    /// No certificate authority can be read from the file.
    #[error(
        "cannot use the certificate authorities in {0}, which OTEL_EXPORTER_OTLP_CERTIFICATE names: it holds no certificate as PEM"
    )]
    Authorities(String),
    /// No client can be made.
    #[error("cannot set up the client for the OpenTelemetry collector: {0}")]
    Client(String),
}

impl Error {
    /// What to do about it.
    pub fn next(&self) -> &'static str {
        match self {
            Self::Address { fault: Fault::NoUrl, .. } => "name a collector as http://HOST:4318",
            Self::Address { fault: Fault::Query, .. } => {
                "leave out what begins with ? or #; what it is for may be said in OTEL_EXPORTER_OTLP_HEADERS"
            }
            Self::Address { fault: Fault::Path, .. } => "leave out /v1/traces: it is added",
            Self::Authorities(_) => {
                "name a file with certificates as PEM, or unset the variable to trust the system's"
            }
            Self::Client(_) => "look at the variables of the environment that begin with OTEL_EXPORTER_OTLP_",
        }
    }
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// Nothing can be sent there.
    #[error("it is no http or https URL with a host")]
    NoUrl,
    /// Nothing can be added to it.
    #[error("it has a query or a fragment")]
    Query,
    /// It has what is added.
    #[error("it ends with /v1/traces")]
    Path,
}

/// Where spans go, as it was said.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The option or variable that says it.
    pub by: &'static str,
    /// What it says.
    pub address: Address,
}

/// An address, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// `/v1/traces` is added.
    Base(String),
    /// Taken as it stands.
    Whole(String),
}

impl Endpoint {
    /// The address that requests go to.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn url(&self) -> Result<reqwest::Url, Error> {
        let wrong = |fault| Error::Address { by: self.by, fault };
        let (Address::Base(text) | Address::Whole(text)) = &self.address;
        // Else the parser takes the first part of a path for the host that is not there.
        let has_host = text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with('/'));
        let url = reqwest::Url::parse(text).ok().filter(|url| has_host && url.has_host());
        let mut url =
            url.filter(|url| ["http", "https"].contains(&url.scheme())).ok_or(wrong(Fault::NoUrl))?;
        if matches!(self.address, Address::Whole(_)) {
            return Ok(url);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(Fault::Query));
        }
        let base = url.path().trim_end_matches('/').to_owned();
        if base.ends_with(PATH) {
            return Err(wrong(Fault::Path));
        }
        url.set_path(&format!("{base}{PATH}"));
        Ok(url)
    }
}

/// Who is told, and who tells.
#[derive(Clone)]
pub struct Collector {
    /// Its address.
    pub endpoint: Endpoint,
    /// A file and the certificate authorities in it, as PEM; absent: the system's.
    pub authorities: Option<(String, String)>,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the replica.
    pub replica: String,
}

/// Sends spans.
pub struct Exporter {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Exporter {
    /// Starts the thread that sends. Connects to nothing yet; needs a runtime.
    ///
    /// # Errors
    /// The address or the certificate authorities cannot be used.
    pub fn start(to: &Collector, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let url = to.endpoint.url()?;
        let builder = match &to.authorities {
            Some((file, pem)) => http::trusting(Some(pem)).map_err(|_| Error::Authorities(file.clone()))?,
            None => http::trusting(None).map_err(|error| Error::Client(error.0))?,
        };
        let client = builder.timeout(PATIENCE).build();
        let client = client.map_err(|error| Error::Client(http::unanswered(&error).0))?;
        let sender = Sender { client, url, runtime: Handle::current(), clock, complained: Mutex::new(None) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            // The sender knows the address. What stands here is never asked, and cannot tell a password.
            .with_endpoint("http://collector/v1/traces")
            .build()
            .map_err(|error| Error::Client(error.to_string()))?;
        let batches = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let about = [
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", to.replica.clone()),
            KeyValue::new("k8s.cluster.name", to.cluster.clone()),
        ];
        let resource = Resource::builder().with_service_name("backstay").with_attributes(about).build();
        let provider =
            SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource).build();
        let tracer = provider.tracer("backstay");
        Ok(Self { provider, tracer })
    }
}

#[async_trait]
impl Traces for Exporter {
    fn tell(&self, span: Span) {
        let Span { name, began, ended, attributes, failure } = span;
        let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name, plain(value)));
        let builder = self.tracer.span_builder(name).with_start_time(SystemTime::from(began));
        let builder = builder.with_attributes(attributes.collect::<Vec<_>>());
        let mut open = self.tracer.build_with_context(builder, &Context::new());
        if let Some(failure) = failure {
            open.set_status(Status::error(failure));
        }
        open.end_with_timestamp(SystemTime::from(ended));
    }

    async fn close(&self) {
        let provider = self.provider.clone();
        let closing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST));
        if !matches!(closing.await, Ok(Ok(()))) {
            tracing::warn!("the last spans did not reach the OpenTelemetry collector");
        }
    }
}

fn plain(value: Value) -> opentelemetry::Value {
    match value {
        Value::Text(text) => text.into(),
        Value::Texts(texts) => {
            opentelemetry::Value::Array(Array::String(texts.into_iter().map(StringValue::from).collect()))
        }
        Value::Number(number) => i64::try_from(number).unwrap_or(i64::MAX).into(),
    }
}

/// Sends requests on the process's runtime; the thread that wants them sent has none.
struct Sender {
    client: reqwest::Client,
    url: reqwest::Url,
    runtime: Handle,
    clock: Arc<dyn Clock>,
    complained: Mutex<Option<Timestamp>>,
}

/// Shows neither the address nor a header.
impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(
        &self,
        request: ::http::Request<Bytes>,
    ) -> Result<::http::Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let call = self.client.request(head.method, self.url.clone()).headers(head.headers).body(body);
        // Also its timer belongs to the runtime: nothing of the call may begin on this thread.
        let answer = match self.runtime.spawn(async move { call.send().await }).await? {
            Ok(answer) => answer,
            Err(error) => {
                let why = http::unanswered(&error).to_string();
                self.complain(&why);
                return Err(why.into());
            }
        };
        let status = answer.status();
        if !status.is_success() {
            self.complain(&format!("it answers {}", status.as_u16()));
        }
        let mut short = ::http::Response::new(Bytes::new());
        *short.status_mut() = status;
        let later = answer.headers().get(::http::header::RETRY_AFTER);
        short.headers_mut().extend(later.map(|value| (::http::header::RETRY_AFTER, value.clone())));
        Ok(short)
    }
}

impl Sender {
    fn complain(&self, why: &str) {
        let now = self.clock.now();
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.duration_since(last).unsigned_abs() >= COMPLAIN) {
            *last = Some(now);
            tracing::warn!("spans do not reach the OpenTelemetry collector: {why}");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
