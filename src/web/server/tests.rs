//! Who gets through the door, and how long it is held open.

use std::net::Ipv4Addr;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::adapters::memory::clock::FakeClock;

/// A server with a secret, for senders that may take so long.
struct Served {
    address: SocketAddr,
    knocks: mpsc::Receiver<()>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn served(secret: Option<&str>, slow: Duration) -> Served {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (knock, knocks) = mpsc::channel(1);
    let pages = Pages {
        board: Arc::default(),
        clock: Arc::new(FakeClock::at("2026-11-27T10:00:00Z".parse().unwrap())),
        secret: secret.map(|secret| Zeroizing::new(secret.as_bytes().to_vec())),
        knock,
    };
    Served { address, knocks, server: tokio::spawn(serve_within(listener, pages, slow)) }
}

/// What comes back for what is sent, until the server closes or a body like the usual ones has come.
async fn sent(to: &Served, text: &str) -> String {
    let mut stream = TcpStream::connect(to.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn posted(header: &str, length: usize, body: &str) -> String {
    format!(
        "POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn signed(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(body.as_bytes());
    let hex = mac.finalize().into_bytes().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("X-Hub-Signature-256: sha256={hex}\r\n")
}

#[tokio::test]
async fn who_knows_the_secret_knocks() {
    let mut served = served(Some("secret"), SLOW).await;
    for [header, body] in [[signed("{}").as_str(), "{}"], ["X-Gitlab-Token: secret\r\n", "{}"]] {
        let answer = sent(&served, &posted(header, body.len(), body)).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        assert!(served.knocks.try_recv().is_ok(), "{header}");
    }
    for header in [signed("{ }").as_str(), "X-Gitlab-Token: secre\r\n", ""] {
        let answer = sent(&served, &posted(header, 2, "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{header}: {answer}");
        assert!(served.knocks.try_recv().is_err(), "{header}");
    }
}

/// These would wait for a body of which only a byte comes.
#[tokio::test]
async fn who_proves_nothing_is_answered_before_the_body() {
    for (secret, header, status) in [
        (None, signed("x"), "404"),
        (Some("secret"), String::new(), "401"),
        (Some("secret"), "X-Gitlab-Token: wrong\r\n".to_owned(), "401"),
        (Some("secret"), "X-Gitlab-Token: secret\r\n".to_owned(), "202"),
    ] {
        let served = served(secret, Duration::from_hours(1)).await;
        let answer = sent(&served, &posted(&header, 1000, "x")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{header}: {answer}");
    }
}

#[tokio::test]
async fn who_sends_slowly_is_cut_off() {
    let served = served(Some("secret"), Duration::from_millis(200)).await;
    let answer = sent(&served, &posted(&signed("x"), 1000, "x")).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = sent(&served, "POST /hook HTTP/1.1\r\nHost:").await;
    assert!(!answer.contains(" 202 "), "{answer}");
}

#[tokio::test]
async fn few_bodies_are_in_memory_at_once_and_none_is_long() {
    let served = served(Some("secret"), Duration::from_secs(2)).await;
    let mut waiting = Vec::new();
    for _ in 0..BODIES {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(posted(&signed("x"), 1000, "x").as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    let mut answers = Vec::new();
    for _ in 0..20 {
        let answer = sent(&served, &posted(&signed("{}"), 2, "{}")).await;
        answers.push(answer[9..12].to_owned());
        if answer.starts_with("HTTP/1.1 503") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(answers.contains(&"503".to_owned()), "{answers:?}");
    let health = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(sent(&served, health).await.starts_with("HTTP/1.1 200"), "whoever asks for health is answered");
    drop(waiting);
    let long = posted(&signed("x"), BODY + 1, "x");
    let mut answer = sent(&served, &long).await;
    for _ in 0..100 {
        if !answer.starts_with("HTTP/1.1 503") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = sent(&served, &long).await;
    }
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}
