use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue as Pair, any_value};
use prost::Message;
use tokio::net::TcpListener;

use super::*;
use crate::adapters::clock::SystemClock;

type Bodies = Arc<Mutex<Vec<Bytes>>>;
type Heads = Arc<Mutex<Vec<HeaderMap>>>;

/// A collector that keeps what it is sent, and answers with one status.
pub struct Fake {
    pub address: String,
    pub bodies: Bodies,
    headers: Heads,
}

impl Fake {
    pub async fn new(status: StatusCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let fake = Self { address, bodies: Bodies::default(), headers: Heads::default() };
        let take =
            async move |State((bodies, heads)): State<(Bodies, Heads)>, head: HeaderMap, body: Bytes| {
                heads.lock().unwrap().push(head);
                bodies.lock().unwrap().push(body);
                status
            };
        let kept = (fake.bodies.clone(), fake.headers.clone());
        let router = Router::new().route("/v1/traces", post(take)).with_state(kept);
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    /// The resource and the spans of everything that came, one line each.
    pub fn told(&self) -> String {
        let mut lines = Vec::new();
        for body in self.bodies.lock().unwrap().iter() {
            for group in ExportTraceServiceRequest::decode(body.clone()).unwrap().resource_spans {
                let about = group.resource.unwrap().attributes;
                lines.push(format!(
                    "resource: {}",
                    shown(about.iter().filter(|one| !one.key.starts_with("telemetry.")))
                ));
                for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    let seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000_000_000;
                    let failure = span.status.map(|status| status.message).unwrap_or_default();
                    let attributes = shown(span.attributes.iter());
                    lines.push(
                        format!("{} {seconds} s {attributes} {failure}", span.name).trim_end().to_owned(),
                    );
                }
            }
        }
        lines.join("\n")
    }
}

fn shown<'a>(pairs: impl Iterator<Item = &'a Pair>) -> String {
    let mut all: Vec<String> = pairs.map(|pair| format!("{}={}", pair.key, value(pair))).collect();
    all.sort();
    all.join(" ")
}

fn value(pair: &Pair) -> String {
    let plain = |value: &Option<any_value::Value>| match value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
        any_value::Value::ArrayValue(all) => {
            format!("[{}]", all.values.iter().map(|one| plain(&one.value)).collect::<Vec<_>>().join(", "))
        }
        other => plain(&Some(other.clone())),
    }
}

pub fn exporter(url: &str) -> Result<Exporter, Error> {
    let to = Collector {
        endpoint: Endpoint { by: "--otlp-endpoint", address: Address::Whole(url.to_owned()) },
        authorities: None,
        cluster: "prod".into(),
        replica: "backstay-0".into(),
    };
    Exporter::start(&to, Arc::new(SystemClock))
}

fn span() -> Span {
    Span {
        name: "backup",
        began: "2026-11-27T10:00:00Z".parse().unwrap(),
        ended: "2026-11-27T10:00:42Z".parse().unwrap(),
        attributes: vec![
            ("backstay.policy", Value::Text("nightly".into())),
            ("backstay.locations", Value::Texts(vec!["vault Complete".into(), "mirror Failed".into()])),
            ("backstay.objects", Value::Number(7)),
        ],
        failure: Some("something is missing".into()),
    }
}

#[tokio::test]
async fn a_collector_is_sent_spans_with_their_resource_and_no_password() {
    let fake = Fake::new(StatusCode::OK).await;
    let exporter = exporter(&format!("http://user:hunter2@{}/v1/traces", fake.address)).unwrap();
    exporter.tell(span());
    exporter.tell(Span { failure: None, attributes: vec![], ..span() });
    exporter.close().await;
    let version = env!("CARGO_PKG_VERSION");
    insta::assert_snapshot!(fake.told().replace(version, "VERSION"), @"
    resource: k8s.cluster.name=prod service.instance.id=backstay-0 service.name=backstay service.version=VERSION
    backup 42 s backstay.locations=[vault Complete, mirror Failed] backstay.objects=7 backstay.policy=nightly something is missing
    backup 42 s
    ");
    let headers = fake.headers.lock().unwrap()[0].clone();
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["authorization"], "Basic dXNlcjpodW50ZXIy");
    let bodies = fake.bodies.lock().unwrap();
    assert!(bodies.iter().all(|body| !body.windows(7).any(|part| part == b"hunter2")));
}

#[tokio::test]
async fn what_is_no_address_is_refused_without_being_shown() {
    for url in ["", "collector:4317", "ftp://user:hunter2@host/", "http://user:hunter2@"] {
        let error = exporter(url).err().unwrap().to_string();
        let wanted = "cannot use the address of the OpenTelemetry collector in --otlp-endpoint: it is no http or https URL \
                      with a host";
        assert_eq!(error, wanted, "{url}");
    }
}

#[tokio::test]
async fn certificate_authorities_that_are_none_are_told_by_their_file_and_variable() {
    let endpoint = Endpoint { by: "--otlp-endpoint", address: Address::Base("https://collector".into()) };
    let authorities = Some(("/etc/ca.pem".into(), "geheim".into()));
    let to = Collector { endpoint, authorities, cluster: "prod".into(), replica: "backstay-0".into() };
    let error = Exporter::start(&to, Arc::new(SystemClock)).err().unwrap();
    insta::assert_snapshot!(error, @"cannot use the certificate authorities in /etc/ca.pem, which OTEL_EXPORTER_OTLP_CERTIFICATE names: it holds no certificate as PEM");
}

/// Counts the warnings, and keeps their text.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Warnings {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_takes_no_time_and_is_spoken_of_once() {
    // Nobody accepts on this one: what is sent to it stays without an answer.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [silent.local_addr().unwrap(), away.local_addr().unwrap()]
        .map(|to| format!("http://u:hunter2@{to}/"));
    drop(away);
    for url in urls {
        let exporter = exporter(&url).unwrap();
        let began = std::time::Instant::now();
        for _ in 0..3 * QUEUE {
            exporter.tell(span());
        }
        assert!(began.elapsed() < Duration::from_secs(1), "telling waits for nobody: {:?}", began.elapsed());
        exporter.close().await;
        assert!(began.elapsed() < LAST + Duration::from_secs(2), "nor does closing: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_collector_that_refuses_is_spoken_of_once_a_minute() {
    let warnings = Warnings::default();
    let writer = warnings.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let sender = Sender {
        client: reqwest::Client::new(),
        url: "http://user:hunter2@127.0.0.1:1/".parse().unwrap(),
        runtime: Handle::current(),
        clock: Arc::new(Minutes(AtomicUsize::new(0))),
        complained: Mutex::new(None),
    };
    let _guard = tracing::subscriber::set_default(subscriber);
    for _ in 0..4 {
        let request = ::http::Request::post("http://collector/").body(Bytes::new()).unwrap();
        sender.send_bytes(request).await.unwrap_err();
    }
    let text = String::from_utf8(warnings.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("do not reach the OpenTelemetry collector") && !text.contains("hunter2"), "{text}");
}

/// Half a minute passes each time somebody looks.
struct Minutes(AtomicUsize);

#[async_trait]
impl Clock for Minutes {
    fn now(&self) -> Timestamp {
        let looks = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_second(i64::try_from(looks).unwrap() * 30).unwrap()
    }

    async fn sleep(&self, _: Duration) {}

    fn letters(&self) -> String {
        "aaaa".into()
    }
}
