//! Sends a notice: three attempts, longer and longer apart.
//!
//! In: `Notice` · Out: whether it was taken · Touches: http, clock

use std::time::Duration;

use futures::future::{Either, select};

use super::event::Notice;
use crate::ports::clock::Clock;
use crate::ports::http::Http;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses between attempts.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Sends it until the receiver takes it; gives up after three attempts, or at once where another one would not help.
///
/// # Errors
/// What the last attempt came to, without the address.
pub async fn deliver(http: &dyn Http, clock: &dyn Clock, notice: &Notice) -> Result<(), String> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let (reason, again) = match select(http.post(&notice.post), clock.sleep(TIMEOUT)).await {
            Either::Left((Ok(answer), _)) if (200..300).contains(&answer.status) => return Ok(()),
            Either::Left((Ok(answer), _)) => {
                let again = matches!(answer.status, 408 | 429 | 500..);
                (format!("the answer was {}", answer.status), again)
            }
            Either::Left((Err(error), _)) => (error.to_string(), true),
            Either::Right(_) => (format!("no answer within {} s", TIMEOUT.as_secs()), true),
        };
        match pauses.next().filter(|_| again) {
            Some(pause) => clock.sleep(pause).await,
            None => return Err(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    use super::*;
    use crate::adapters::clock::SystemClock;
    use crate::adapters::http::Client;
    use crate::adapters::memory::clock::FakeClock;
    use crate::domain::hook::HttpHook;
    use crate::ports::http::{Answer, Post, Unanswered};
    use crate::reconcile::event::{News, Tone};
    use crate::reconcile::resource::Key;

    /// Answers with these statuses, one after the other; 0 is no answer.
    struct Script(std::sync::Mutex<Vec<u16>>);

    #[async_trait::async_trait]
    impl Http for Script {
        async fn call(&self, _: &HttpHook) -> Result<Answer, Unanswered> {
            Err(Unanswered("nobody asks".into()))
        }

        async fn post(&self, _: &Post) -> Result<Answer, Unanswered> {
            let status = self.0.lock().unwrap().remove(0);
            match status {
                0 => Err(Unanswered("connection refused".into())),
                1 => std::future::pending().await,
                status => Ok(Answer { status }),
            }
        }
    }

    fn notice(url: String) -> Notice {
        let about = Key::new("BackupPolicy", "daily");
        let news = News { about, tone: Tone::Warning, reason: "BackupFailed", message: "why".into() };
        let post = Post { url, headers: [].into(), body: "{\"a\":1}".into(), authorities: None };
        Notice { receiver: "team".into(), news: Arc::new(news), post }
    }

    /// What came of it, and how many answers were left.
    async fn after(statuses: &[u16]) -> String {
        let clock = FakeClock::at("2026-11-27T10:00:00Z".parse().unwrap());
        let script = Script(std::sync::Mutex::new(statuses.to_vec()));
        let result = deliver(&script, &clock, &notice(String::new())).await;
        let left = script.0.lock().unwrap().len();
        format!("{}, {left} left", result.err().unwrap_or_else(|| "taken".into()))
    }

    #[tokio::test]
    async fn it_is_tried_three_times_where_that_may_help() {
        assert_eq!(after(&[200, 200]).await, "taken, 1 left");
        assert_eq!(after(&[503, 0, 204]).await, "taken, 0 left");
        assert_eq!(after(&[0, 429, 502, 200]).await, "the answer was 502, 1 left");
        assert_eq!(after(&[404, 200]).await, "the answer was 404, 1 left");
        assert_eq!(after(&[1, 1, 1, 200]).await, "no answer within 10 s, 1 left");
    }

    #[tokio::test]
    async fn a_server_gets_the_body() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/v2/alerts", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut seen, mut buffer) = (Vec::new(), [0; 1024]);
            while !seen.ends_with(b"{\"a\":1}") {
                let count = stream.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8(seen).unwrap()
        });
        assert_eq!(deliver(&Client, &SystemClock, &notice(url)).await, Ok(()));
        assert!(asked.join().unwrap().starts_with("POST /api/v2/alerts HTTP/1.1\r\n"));
    }
}
