//! The signer's end of the control socket.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use slashing_db::interchange::{ExportOptions, Progress};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::expected::Expected;
use super::socket::ControlSocket;
use super::wire::{
    ExportRequest, ExportTotals, Failure, HighChange, ImportEvent, RaiseRequest, ShowRequest, paths,
};
use super::work::{Maintenance, WorkError};
use crate::server::SHUTDOWN_GRACE;
use crate::server::lingering::{Lingering, UntilClientEnds};

/// Commands at once; a person starts them one by one.
const MAX_CONNECTIONS: usize = 16;

/// The longest request that is not a file: the keys of 65,536 validators, the most a lock can hold.
const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;

/// The longest file that is taken: the whole history of 10,000 validators over years. It waits on the
/// disk, not in memory.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// What has to stay free on the disk besides the file and the records that come of it: a full disk stops
/// all signing.
const RESERVED_BYTES: u64 = 16 * 1024 * 1024;

/// A command that takes or sends nothing for so long is stopped or gone; an export in progress holds the
/// database's background work up.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Parts of an answer that wait for the command.
const ANSWER_QUEUE: usize = 8;

/// How much of an export is sent at a time.
const EXPORT_CHUNK: usize = 64 * 1024;

/// Trailer of a finished export: its [`ExportTotals`] as JSON.
pub(super) const TOTALS_TRAILER: HeaderName = HeaderName::from_static("synod-totals");
/// Trailer of an export that failed half way: why.
pub(super) const ERROR_TRAILER: HeaderName = HeaderName::from_static("synod-error");

/// What the routes work with.
#[derive(Debug, Clone)]
struct Control {
    work: Maintenance,
    data_dir: Arc<Path>,
    /// Held by the import that is received or merged: two must not count on the same free bytes.
    importing: Arc<Mutex<()>>,
}

/// The control interface as a value. Files wait in `data_dir` while they are imported, without a name.
pub fn router(work: Maintenance, data_dir: PathBuf) -> Router {
    let control = Control { work, data_dir: data_dir.into(), importing: Arc::default() };
    Router::new()
        .route(paths::EXPORT, post(export))
        .route(paths::SHOW, post(show))
        .route(paths::RAISE, post(raise))
        .route(paths::HIGH, post(change_high))
        .layer(from_fn(receive))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        // Its body has bounds of its own.
        .route(paths::IMPORT, post(import))
        .route_layer(from_fn_with_state(control.clone(), compare))
        .with_state(control)
}

/// Serves until `stop` completes; what runs then gets [`SHUTDOWN_GRACE`] to finish.
pub async fn serve(socket: ControlSocket, app: Router, stop: impl Future<Output = ()>) {
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = socket.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok(stream) => {
                    let service = TowerToHyperService::new(app.clone());
                    let stream = Lingering::new(stream, UntilClientEnds);
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        // A command asks once.
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), service);
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "control connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept control connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    // Nobody new comes in while the others finish.
    drop(socket);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, finished).await.is_err() {
        tracing::warn!("a command on the slashing database was cut off by the shutdown");
    }
}

/// Refuses a command that is for another signer, before anything of its body is read.
async fn compare(State(control): State<Control>, request: Request, next: Next) -> Response {
    let expected = match Expected::of(request.headers()) {
        Ok(expected) => expected,
        Err(error) => return failure(StatusCode::BAD_REQUEST, error.to_string()),
    };
    if let Err(error) = expected.check(control.work.db().identity(), &control.data_dir) {
        tracing::warn!(%error, "a command that is for another signer was refused");
        return failure(StatusCode::CONFLICT, error.to_string());
    }
    next.run(request).await
}

/// Receives a request that is not a file before it is looked at: whoever stops half way does not keep one
/// of the connections.
async fn receive(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let received = tokio::time::timeout(STALLED_AFTER, to_bytes(body, MAX_REQUEST_BYTES)).await;
    match received {
        Ok(Ok(body)) => next.run(Request::from_parts(head, body.into())).await,
        Ok(Err(_)) => failure(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request was cut off, or has more than {MAX_REQUEST_BYTES} bytes"),
        ),
        Err(_) => failure(
            StatusCode::REQUEST_TIMEOUT,
            format!("the request was not complete after {} s", STALLED_AFTER.as_secs()),
        ),
    }
}

async fn show(State(control): State<Control>, Json(request): Json<ShowRequest>) -> Response {
    answer(blocking(move || control.work.show(&request)).await)
}

async fn raise(State(control): State<Control>, Json(request): Json<RaiseRequest>) -> Response {
    let report = blocking(move || control.work.raise(&request)).await;
    if let Ok(report) = &report {
        let (lines, refused) = (report.lines.len(), report.refused());
        tracing::info!(lines, refused, "watermarks raised by command");
    }
    answer(report)
}

async fn change_high(State(control): State<Control>, Json(change): Json<HighChange>) -> Response {
    let report = blocking(move || control.work.change_high(change)).await;
    if let Ok(report) = &report {
        tracing::info!(before = %report.before, after = %report.after, "high watermark changed by command");
    }
    answer(report)
}

/// Spools the file, then merges it. A command that goes away before its file is complete changes nothing;
/// one that goes away later is not missed.
async fn import(State(control): State<Control>, headers: HeaderMap, body: Body) -> Response {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    // Before the body is read: what is not received yet waits with the command.
    let turn = Arc::clone(&control.importing).lock_owned().await;
    let (events, queue) = mpsc::channel(ANSWER_QUEUE);
    // On a task of its own, which goes on if the command goes away: what became of its file is logged then.
    let taking = tokio::spawn(async move {
        let spooled = spool(&control.data_dir, announced, body).await;
        let file = spooled.inspect_err(|error| {
            tracing::warn!(%error, "an import by command was not taken");
        })?;
        tokio::task::spawn_blocking(move || {
            merge(&control.work, file, &events);
            drop(turn);
        });
        Ok::<_, SpoolError>(())
    });
    match taking.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return failure(error.status(), error.to_string()),
        Err(error) => {
            tracing::error!(%error, "taking an import ended badly");
            let said = "internal error, of which the log has more".to_owned();
            return failure(StatusCode::INTERNAL_SERVER_ERROR, said);
        }
    }
    let lines = stream(queue).map(|event: ImportEvent| {
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
enum SpoolError {
    #[error("a file to import has to come with its length (content-length)")]
    NoLength,
    #[error("the file has more than the {MAX_FILE_BYTES} bytes that are taken")]
    TooLong,
    #[error(
        "{free} bytes are free on the disk of the data directory, {needed} are needed to import the file \
         and go on signing"
    )]
    NoRoom { free: u64, needed: u64 },
    #[error("nothing came for {} s", STALLED_AFTER.as_secs())]
    Stalled,
    #[error("what came is not the file as it was announced; nothing of it was taken")]
    CutOff,
    #[error("cannot keep the file in the data directory meanwhile: {0}")]
    Io(#[from] io::Error),
}

impl SpoolError {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NoLength => StatusCode::LENGTH_REQUIRED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom { .. } => StatusCode::INSUFFICIENT_STORAGE,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::CutOff => StatusCode::BAD_REQUEST,
            Self::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The body in a file without a name, which is gone as soon as it is closed, however that happens.
async fn spool(dir: &Path, announced: Option<u64>, body: Body) -> Result<File, SpoolError> {
    let announced = announced.ok_or(SpoolError::NoLength)?;
    if announced > MAX_FILE_BYTES {
        return Err(SpoolError::TooLong);
    }
    let disk = rustix::fs::statvfs(dir).map_err(io::Error::from)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    // The file, and its records in the write-ahead log and in the database.
    let needed = announced.saturating_mul(3).saturating_add(RESERVED_BYTES);
    if free < needed {
        return Err(SpoolError::NoRoom { free, needed });
    }
    let file = tempfile::tempfile_in(dir)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut received = 0_u64;
    let mut parts = body.into_data_stream();
    loop {
        let next = tokio::time::timeout(STALLED_AFTER, parts.next());
        match next.await.map_err(|_| SpoolError::Stalled)? {
            None => break,
            Some(Err(_)) => return Err(SpoolError::CutOff),
            Some(Ok(part)) => {
                received = received.saturating_add(part.len() as u64);
                // The room was looked at for what was announced.
                if received > announced {
                    return Err(SpoolError::CutOff);
                }
                tokio::io::AsyncWriteExt::write_all(&mut file, &part).await?;
            }
        }
    }
    if received < announced {
        return Err(SpoolError::CutOff);
    }
    tokio::io::AsyncWriteExt::flush(&mut file).await?;
    let mut file = file.into_std().await;
    file.rewind()?;
    Ok(file)
}

/// Merges a file and tells how that goes, to whoever still listens.
fn merge(work: &Maintenance, mut file: File, events: &mpsc::Sender<ImportEvent>) {
    let mut percent = None;
    let mut progress = |Progress { done, total }| {
        let now = done.saturating_mul(100).checked_div(total);
        if percent != now {
            percent = now;
            // A full queue has older news than this, but news.
            let _ = events.try_send(ImportEvent::Progress { done, total });
        }
    };
    match work.import(&mut file, &mut progress) {
        Ok(imported) => {
            let totals = imported.totals;
            tracing::info!(
                validators = totals.validators,
                refused = totals.refused,
                added = totals.added,
                "slashing protection imported by command"
            );
            for line in imported.lines {
                if !sent(events, ImportEvent::Validator(line)) {
                    return;
                }
            }
            sent(events, ImportEvent::Done(totals));
        }
        Err(error) => {
            let error = with_cause(&error);
            tracing::warn!(error, "an import by command failed");
            sent(events, ImportEvent::Failed { error });
        }
    }
}

/// An answer that is written by a thread which may wait for the disk.
async fn export(State(control): State<Control>, Json(request): Json<ExportRequest>) -> Response {
    let work = control.work.clone();
    let options = match blocking(move || work.exportable(&request)).await {
        Ok(options) => options,
        Err(error) => return refuse(&error),
    };
    let (parts, queue) = mpsc::channel(ANSWER_QUEUE);
    tokio::task::spawn_blocking(move || write_export(&control.work, &options, parts));
    let trailers = format!("{TOTALS_TRAILER}, {ERROR_TRAILER}");
    (
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::TRAILER, trailers)],
        Body::new(StreamBody::new(stream(queue).map(Ok::<_, Infallible>))),
    )
        .into_response()
}

fn write_export(work: &Maintenance, options: &ExportOptions, parts: mpsc::Sender<Frame<Bytes>>) {
    let mut to = BufWriter::with_capacity(EXPORT_CHUNK, Parts(parts));
    let totals = work.export(&mut to, options, &mut |_| {});
    let Ok(Parts(parts)) = to.into_inner() else { return };
    let (name, value) = match totals {
        Ok(totals) => {
            let ExportTotals { validators, blocks, attestations } = totals;
            tracing::info!(
                validators,
                blocks,
                attestations,
                "slashing protection exported by command"
            );
            (TOTALS_TRAILER, serde_json::to_string(&totals).unwrap_or_default())
        }
        Err(error) => {
            let error = with_cause(&error);
            tracing::warn!(error, "an export by command failed");
            (ERROR_TRAILER, error)
        }
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        sent(&parts, Frame::trailers(HeaderMap::from_iter([(name, value)])));
    }
}

/// What is written goes into the answer.
struct Parts(mpsc::Sender<Frame<Bytes>>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if sent(&self.0, Frame::data(Bytes::copy_from_slice(bytes))) {
            Ok(bytes.len())
        } else {
            Err(io::Error::new(io::ErrorKind::BrokenPipe, "the command is gone or takes nothing"))
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends from a thread that may wait, but not for somebody who has stopped; whether it went.
fn sent<T>(to: &mpsc::Sender<T>, item: T) -> bool {
    let sending = tokio::time::timeout(STALLED_AFTER, to.send(item));
    matches!(Handle::current().block_on(sending), Ok(Ok(())))
}

/// The receiving end as a stream.
fn stream<T>(queue: mpsc::Receiver<T>) -> impl futures::Stream<Item = T> {
    futures::stream::unfold(queue, |mut queue| async {
        queue.recv().await.map(|item| (item, queue))
    })
}

/// Runs what may wait for the disk on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WorkError> + Send + 'static,
) -> Result<T, WorkError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(%error, "a command's work ended badly");
            Err(slashing_db::TaskError::Closed.into())
        }
    }
}

fn answer<T: Serialize>(outcome: Result<T, WorkError>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &WorkError) -> Response {
    let status = match error {
        WorkError::NotOurs(_) | WorkError::NothingRecorded(_) => StatusCode::NOT_FOUND,
        WorkError::Watermark(_) => StatusCode::CONFLICT,
        WorkError::Export(_) => StatusCode::INTERNAL_SERVER_ERROR,
        WorkError::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    failure(status, with_cause(error))
}

fn failure(status: StatusCode, error: String) -> Response {
    (status, Json(Failure { error })).into_response()
}

/// The error and what caused it, in one line.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_whose_rest_does_not_come_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let begun = tokio::time::Instant::now();
        let parts = futures::stream::iter([Ok::<_, Infallible>("{\"met")])
            .chain(futures::stream::pending());
        let error = spool(dir.path(), Some(1000), Body::from_stream(parts)).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT, "{error}");
        assert_eq!(begun.elapsed().as_secs(), STALLED_AFTER.as_secs());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_that_is_not_as_long_as_announced_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["short", "longer than announced"] {
            let error = spool(dir.path(), Some(10), Body::from(text)).await.unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{error}");
        }
        let mut file = spool(dir.path(), Some(5), Body::from("whole")).await.unwrap();
        assert_eq!(io::read_to_string(&mut file).unwrap(), "whole");
    }
}
