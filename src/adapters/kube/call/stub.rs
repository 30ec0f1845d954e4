//! An API server that answers as it is told, for tests of faults.
//!
//! In: a function from request to answer · Out: an `ApiServer` connected to it · Touches: a local port

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use kube::Config;

use super::super::connect::ApiServer;

/// A request: its line (`GET /api`), its headers in lower case, its body.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `GET /api`.
    pub line: String,
    /// One a line.
    pub headers: String,
    /// Body.
    pub body: String,
}

/// An answer: status, headers (each ending in `\r\n`), body.
pub type Told = (u16, &'static str, String);

/// Answers with JSON or text and no further headers.
pub fn told(code: u16, body: &str) -> Told {
    (code, "", body.to_owned())
}

/// A connection to a server that answers with the function, and everything that it was asked.
///
/// Status 0 means: close without an answer. Status 1: say nothing for a second.
///
/// # Panics
/// Where this machine has no free port.
pub async fn stub(
    answer: impl Fn(&Asked) -> Told + Send + Sync + 'static,
) -> (ApiServer, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            thread::spawn(move || serve(&stream, &seen, &*answer));
        }
    });
    let mut config = Config::new(url.parse().unwrap());
    config.read_timeout = Some(Duration::from_millis(300));
    (ApiServer::over(config, None).await.unwrap(), asked)
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Told) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        let (code, headers, body) = answer(&asked);
        seen.lock().unwrap().push(asked);
        match code {
            0 => return,
            1 => thread::sleep(Duration::from_secs(1)),
            code => {
                let head = format!("HTTP/1.1 {code} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
                let mut stream = stream;
                if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err()
                {
                    return;
                }
            }
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut asked = Asked::default();
    reader.read_line(&mut asked.line).ok().filter(|n| *n > 0)?;
    asked.line = asked.line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        asked.headers.push_str(&header.to_lowercase().replace('\r', ""));
    }
    let length = asked.headers.lines().find_map(|h| h.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |l| l.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8(body).unwrap();
    Some(asked)
}
