//! A command's end of the control socket.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::expected::Expected;
use super::server::{ERROR_TRAILER, TOTALS_TRAILER};
use super::socket::{self, SOCKET_FILE};
use super::wire::{
    ExportRequest, ExportTotals, Failure, HighChange, HighReport, ImportEvent, RaiseReport,
    RaiseRequest, ShowRequest, WatermarksShown, paths,
};

/// How much of a file is sent at a time.
const UPLOAD_CHUNK: usize = 64 * 1024;

/// The longest answer that is kept in memory: the watermarks of 65,536 validators.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The longest line of an import's answer; it names one validator and a reason.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// A request's body.
type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why a running signer did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Its socket is there and cannot be used.
    #[error("cannot talk to the signer that runs with this data directory, through {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the running signer (process {pid}) ended the connection")]
    Broken {
        /// The signer.
        pid: Pid,
        /// How it broke.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer ended before it was complete.
    #[error("the running signer (process {pid}) stopped before it was done; {advice}")]
    Unfinished {
        /// The signer.
        pid: Pid,
        /// What to do.
        advice: &'static str,
    },
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// Something that only another version of this program sends.
    #[error(
        "the running signer (process {pid}) sent an answer that this program does not understand; is it of another version?"
    )]
    NotUnderstood {
        /// The signer.
        pid: Pid,
    },
    /// The command's own side failed.
    #[error("{what}")]
    Local {
        /// What could not be done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A process id, where the system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pid(Option<i32>);

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "{pid}"),
            None => f.write_str("unknown"),
        }
    }
}

/// A connection to a running signer. It serves one request.
#[derive(Debug)]
pub struct ControlClient {
    runtime: Runtime,
    stream: UnixStream,
    pid: Pid,
    expected: Expected,
}

impl ControlClient {
    /// Connects to the signer that runs with `data_dir`; `None` if none answers there.
    ///
    /// # Errors
    /// The socket is there and cannot be used.
    pub fn connect(data_dir: &Path) -> Result<Option<Self>, ControlError> {
        let failed = |source| ControlError::Connect { path: data_dir.join(SOCKET_FILE), source };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let entered = runtime.enter();
        let stream = socket::connect(data_dir).map_err(failed)?;
        drop(entered);
        Ok(stream.map(|stream| {
            let pid = Pid(stream.peer_cred().ok().and_then(|peer| peer.pid()));
            Self { runtime, stream, pid, expected: Expected::default() }
        }))
    }

    /// The signer's process.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Has the signer refuse what is asked of it if it is not the expected one.
    #[must_use]
    pub fn expecting(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    /// Sends a file to be imported. `sent` is called with the bytes that are on their way, `event` with
    /// each step.
    ///
    /// # Errors
    /// It was not imported; or the end of it was not heard.
    pub fn import(
        self,
        file: File,
        length: u64,
        sent: impl FnMut(u64) + Send + 'static,
        mut event: impl FnMut(ImportEvent),
    ) -> Result<(), ControlError> {
        let body = upload(file, sent);
        let pid = self.pid;
        self.exchange(paths::IMPORT, body, Some(length), async move |response| {
            let mut body = response.into_body();
            let mut line = Vec::new();
            let mut ended = false;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| broken(pid, error))?;
                let Ok(data) = frame.into_data() else { continue };
                for part in data.split_inclusive(|byte| *byte == b'\n') {
                    line.extend_from_slice(part);
                    if line.len() > MAX_LINE_BYTES {
                        return Err(ControlError::NotUnderstood { pid });
                    }
                    if line.ends_with(b"\n") {
                        let step: ImportEvent = understood(pid, &line)?;
                        ended |= matches!(step, ImportEvent::Done(_) | ImportEvent::Failed { .. });
                        event(step);
                        line.clear();
                    }
                }
            }
            if ended {
                return Ok(());
            }
            Err(ControlError::Unfinished {
                pid,
                advice: "validators that were finished stay; import the file again when it is back",
            })
        })
    }

    /// Writes an export to `to`. `received` is called with the bytes written so far.
    ///
    /// # Errors
    /// What was written is not to be used.
    pub fn export(
        self,
        request: &ExportRequest,
        to: &mut dyn Write,
        mut received: impl FnMut(u64),
    ) -> Result<ExportTotals, ControlError> {
        let pid = self.pid;
        let body = json(request)?;
        self.exchange(paths::EXPORT, body, None, async move |response| {
            let mut body = response.into_body();
            let (mut written, mut totals) = (0, None);
            while let Some(frame) = body.frame().await {
                match frame.map_err(|error| broken(pid, error))?.into_data() {
                    Ok(data) => {
                        to.write_all(&data).map_err(|source| ControlError::Local {
                            what: "cannot write the interchange file",
                            source,
                        })?;
                        written += data.len() as u64;
                        received(written);
                    }
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        if let Some(error) = trailers.get(ERROR_TRAILER) {
                            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                            return Err(ControlError::Refused(text));
                        }
                        totals = trailers.get(TOTALS_TRAILER).cloned();
                    }
                }
            }
            match totals {
                Some(totals) => understood(pid, totals.as_bytes()),
                None => Err(ControlError::Unfinished { pid, advice: "export again" }),
            }
        })
    }

    /// The watermarks.
    ///
    /// # Errors
    /// They were not told.
    pub fn show(self, request: &ShowRequest) -> Result<WatermarksShown, ControlError> {
        self.ask(paths::SHOW, request)
    }

    /// Raises watermarks.
    ///
    /// # Errors
    /// They were not raised.
    pub fn raise(self, request: &RaiseRequest) -> Result<RaiseReport, ControlError> {
        self.ask(paths::RAISE, request)
    }

    /// Sets or removes the high watermark.
    ///
    /// # Errors
    /// It stays as it was.
    pub fn change_high(self, change: HighChange) -> Result<HighReport, ControlError> {
        self.ask(paths::HIGH, &change)
    }

    /// A small question with a small answer.
    fn ask<T: DeserializeOwned>(
        self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<T, ControlError> {
        let pid = self.pid;
        let body = json(request)?;
        self.exchange(path, body, None, async move |response| {
            understood(pid, &whole(pid, response).await?)
        })
    }

    /// Sends a request and lets `read` have the answer, if it is not a refusal.
    fn exchange<T>(
        self,
        path: &str,
        body: Body,
        length: Option<u64>,
        read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let Self { runtime, stream, pid, expected } = self;
        let (name, value) = expected.header().ok_or_else(|| ControlError::Local {
            what: "cannot say which signer this command is for",
            source: io::Error::new(io::ErrorKind::InvalidInput, "the network's name is unusable"),
        })?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            // Without it the server would keep the trailers to itself.
            .header(header::TE, "trailers")
            .header(name, value);
        if let Some(length) = length {
            request = request.header(header::CONTENT_LENGTH, length);
        }
        let request = request.body(body).map_err(|error| broken(pid, error))?;
        runtime.block_on(async {
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(pid, error))?;
            let connection = tokio::spawn(connection);
            let response =
                sender.send_request(request).await.map_err(|error| broken(pid, error))?;
            let outcome = if response.status() == StatusCode::OK {
                read(response).await
            } else {
                let failure: Failure = understood(pid, &whole(pid, response).await?)?;
                Err(ControlError::Refused(failure.error))
            };
            connection.abort();
            outcome
        })
    }
}

/// A file as a body, read as it is sent.
fn upload(file: File, sent: impl FnMut(u64) + Send + 'static) -> Body {
    let state = (file, sent, 0_u64);
    let parts = futures::stream::try_unfold(state, |(mut file, mut sent, before)| async move {
        let mut part = vec![0; UPLOAD_CHUNK];
        // This thread has nothing else to do.
        let length = file.read(&mut part)?;
        if length == 0 {
            return Ok(None);
        }
        part.truncate(length);
        let now = before + length as u64;
        sent(now);
        Ok(Some((Frame::data(Bytes::from(part)), (file, sent, now))))
    });
    UnsyncBoxBody::new(StreamBody::new(parts.boxed()))
}

fn json(request: &impl Serialize) -> Result<Body, ControlError> {
    let bytes = serde_json::to_vec(request).map_err(|error| ControlError::Local {
        what: "cannot write the request",
        source: error.into(),
    })?;
    Ok(UnsyncBoxBody::new(Full::new(Bytes::from(bytes)).map_err(|never| match never {})))
}

/// A whole answer, within a bound.
async fn whole(pid: Pid, response: Response<Incoming>) -> Result<Bytes, ControlError> {
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    Ok(body
        .collect()
        .await
        .map_err(|error| ControlError::Broken { pid, source: error })?
        .to_bytes())
}

fn understood<T: DeserializeOwned>(pid: Pid, bytes: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(bytes).map_err(|_| ControlError::NotUnderstood { pid })
}

fn broken(pid: Pid, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ControlError {
    ControlError::Broken { pid, source: source.into() }
}
