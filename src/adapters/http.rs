//! Asks HTTP services for hooks.
//!
//! In: a request · Out: its status · Touches: the network

use async_trait::async_trait;

use crate::domain::hook::{HttpHook, HttpMethod};
use crate::ports::http::{Answer, Http, Post, Unanswered};

/// A client, set up for each request: hooks are few.
#[derive(Clone, Debug, Default)]
pub struct Client;

#[async_trait]
impl Http for Client {
    async fn call(&self, request: &HttpHook) -> Result<Answer, Unanswered> {
        let client = builder().build().map_err(|error| unanswered(&error))?;
        let method = match request.method.unwrap_or_default() {
            HttpMethod::Get => reqwest::Method::GET,
            HttpMethod::Post => reqwest::Method::POST,
            HttpMethod::Put => reqwest::Method::PUT,
            HttpMethod::Patch => reqwest::Method::PATCH,
            HttpMethod::Delete => reqwest::Method::DELETE,
        };
        let mut call = client.request(method, &request.url);
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        if let Some(body) = &request.body {
            call = call.body(body.clone());
        }
        send(call).await
    }

    async fn post(&self, post: &Post) -> Result<Answer, Unanswered> {
        let builder = trusting(post.authorities.as_deref())?;
        let client = builder.build().map_err(|error| unanswered(&error))?;
        let mut call = client.post(&post.url).header("content-type", "application/json");
        for (name, value) in &post.headers {
            call = call.header(name, value);
        }
        send(call.body(post.body.clone())).await
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("backstay/", env!("CARGO_PKG_VERSION")))
}

/// A client that trusts these certificate authorities, as PEM; absent: the system's.
pub fn trusting(authorities: Option<&str>) -> Result<reqwest::ClientBuilder, Unanswered> {
    let Some(pem) = authorities else { return Ok(builder()) };
    let unreadable = || Unanswered("the certificate authorities cannot be read".into());
    let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| unreadable())?;
    if authorities.is_empty() {
        return Err(unreadable());
    }
    Ok(builder().tls_certs_only(authorities))
}

async fn send(call: reqwest::RequestBuilder) -> Result<Answer, Unanswered> {
    let answer = call.send().await.map_err(|error| unanswered(&error))?;
    Ok(Answer { status: answer.status().as_u16() })
}

/// The deepest cause; the address, which may hold a password, is not in it.
pub fn unanswered(error: &reqwest::Error) -> Unanswered {
    if error.is_builder() {
        return Unanswered("the address, a header or the method cannot be used".into());
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    let plain = deepest.to_string();
    let told = if deepest.is::<reqwest::Error>() { "the request failed".to_owned() } else { plain };
    Unanswered(told)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers once, and gives back what it was asked.
    fn serves(answer: &'static str) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:hunter2@{}/flush", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut buffer = [0; 1024];
            while !seen.windows(4).any(|w| w == b"\r\n\r\n") || !seen.ends_with(b"body") {
                let count = stream.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(seen).unwrap()
        });
        (url, asked)
    }

    fn request(url: String) -> HttpHook {
        let headers = BTreeMap::from([("x-token".to_owned(), "hunter2".to_owned())]);
        HttpHook { url, method: Some(HttpMethod::Put), headers, body: Some("body".into()) }
    }

    #[tokio::test]
    async fn a_request_is_sent_as_it_was_written_and_its_status_comes_back() {
        let (url, asked) =
            serves("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nno");
        let answer = Client.call(&request(url)).await.unwrap();
        assert_eq!(answer, Answer { status: 302 });
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("PUT /flush HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("x-token: hunter2") && asked.contains("authorization: Basic"), "{asked}");
    }

    #[tokio::test]
    async fn a_post_carries_its_headers_and_says_that_it_is_json() {
        let (url, asked) = serves("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        let headers = BTreeMap::from([("authorization".to_owned(), "Bearer hunter2".to_owned())]);
        let url = url.replace("user:hunter2@", "");
        let mut post = Post { url, headers, body: "\"body".into(), authorities: None };
        assert_eq!(Client.post(&post).await.unwrap(), Answer { status: 200 });
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("POST /flush HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer hunter2"), "{asked}");
        assert!(asked.contains("content-type: application/json"), "{asked}");
        post.authorities = Some("no certificate".into());
        let error = Client.post(&post).await.unwrap_err().to_string();
        assert_eq!(error, "no answer: the certificate authorities cannot be read");
    }

    #[tokio::test]
    async fn what_is_not_answered_tells_no_secret() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:hunter2@{}/", listener.local_addr().unwrap());
        drop(listener);
        for url in [url, "http://user:hunter2@[".to_owned()] {
            let error = Client.call(&request(url)).await.unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("user"), "{error}");
        }
    }
}
