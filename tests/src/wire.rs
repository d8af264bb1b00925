//! One connection, down to the bytes: for requests that no client library would send, and for answers
//! whose headers matter.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::PATIENCE;

/// Longest answer that a test expects: 10,000 public keys are a tenth of it.
const MAX_ANSWER: usize = 10 * 1024 * 1024;

/// An HTTP/1.1 connection that is kept.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What was received and belongs to later answers.
    received: Vec<u8>,
}

/// An answer with its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, such as 200.
    pub status: u16,
    /// Names in lower case, in the order of the answer.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is not.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// The reason of a refusal with this status, in either form.
    ///
    /// # Panics
    /// It is another answer, or gives no reason.
    #[must_use]
    #[track_caller]
    pub fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status, status, "another answer: {}", self.body);
        let reason = match self.header("content-type") {
            Some("application/json; charset=utf-8") => {
                self.json()["error"].as_str().unwrap_or_default().to_owned()
            }
            Some("text/plain; charset=utf-8") => self.body.clone(),
            other => panic!("content type {other:?}"),
        };
        assert!(!reason.trim().is_empty(), "no reason: {self:?}");
        reason
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens there.
    pub async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// The connection is closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a request with `Host: localhost` and waits for its answer. `headers` are whole lines
    /// without their ends; a body goes out with its length.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[&str], body: &str) -> Reply {
        self.send(request(method, path, headers, body)).await;
        self.answer().await
    }

    /// The next answer.
    ///
    /// # Panics
    /// There is none, or none that could be understood.
    pub async fn answer(&mut self) -> Reply {
        self.answer_to("GET").await
    }

    /// The next answer, to a request with this method: one to `HEAD` has no body.
    ///
    /// # Panics
    /// There is none, or none that could be understood.
    pub async fn answer_to(&mut self, method: &str) -> Reply {
        let end = loop {
            let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            match end {
                Some(end) => break end,
                None => assert!(self.receive().await > 0, "closed before an answer"),
            }
        };
        let head: Vec<u8> = self.received.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap();
        assert!(status.starts_with("HTTP/1."), "{status}");
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: String::new() };
        assert_eq!(reply.header("transfer-encoding"), None, "answers have their length");
        if method != "HEAD" {
            let length: usize = reply.header("content-length").unwrap_or("0").parse().unwrap();
            assert!(length <= MAX_ANSWER, "{length} bytes");
            while self.received.len() < length {
                assert!(self.receive().await > 0, "closed in mid-answer");
            }
            let body = self.received.drain(..length).collect();
            reply.body = String::from_utf8(body).unwrap();
        }
        reply
    }

    /// Waits until the other side closes; returns what it still sent.
    ///
    /// # Panics
    /// It does not.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        while self.receive().await > 0 {}
        std::mem::take(&mut self.received)
    }

    /// How many bytes came; none at the end. A connection that was reset has ended, too.
    async fn receive(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.received);
        let read =
            tokio::time::timeout(PATIENCE, read).await.expect("something within the patience");
        read.unwrap_or(0)
    }
}

/// The bytes of a request with `Host: localhost`.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() || method == "POST" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text
}
