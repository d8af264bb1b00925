//! `/livez`, `/readyz`, `/reload` and `/api/v1/eth2/highWatermark`.

use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use signer::backend::{
    HighWatermark, KeySource, NotReady, Peers, ReloadRefused, ReloadState, ReloadStatus,
};

use crate::support::{Answered, Fake, Server, server};

async fn post(server: &Server, path: &str) -> Answered {
    let request = Request::post(path).header(header::HOST, "localhost");
    server.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_node_that_can_sign_is_alive_and_ready() {
    let server = server(Fake::signing());
    for path in ["/livez", "/readyz"] {
        let answered = server.get(path).await;
        assert_eq!(answered.status, StatusCode::OK, "{path}");
        assert_eq!(answered.content_type.as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(answered.body, "OK", "{path}");
    }
}

#[tokio::test]
async fn what_keeps_a_node_from_signing_makes_it_unready_and_not_dead() {
    let mut no_quorum = Fake::signing();
    no_quorum.health.peers = Some(Peers { connected: 2, operators: 4, quorum: 3 });
    let mut no_disk = Fake::signing();
    no_disk.health.slashing_database = Err("disk full".to_owned());
    let starting = NotReady { reason: "2 of 3 keystores are open".to_owned() };
    let starting = Fake { keys: Err(starting), ..Fake::signing() };
    let mut no_keys = Fake { keys: Ok(Vec::new()), ..Fake::signing() };
    no_keys.health.keys =
        vec![KeySource { id: "config-files-loading", loaded: 0, errors: 3, complete: true }];
    for (backend, line) in [
        (no_quorum, "[-]peers failed: 2 of 4 operators connected, 3 needed"),
        (no_disk, "[-]slashing-database failed: disk full"),
        (starting, "[-]keys failed: 2 of 3 keystores are open"),
        (no_keys, "[-]keys failed: none is loaded, 3 could not be"),
    ] {
        let server = server(backend);
        let answered = server.get("/readyz").await;
        assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE, "{line}");
        assert!(answered.body.lines().any(|found| found == line), "{}", answered.body);
        assert!(answered.body.contains("[+]tasks ok\n"), "{}", answered.body);
        assert_eq!(server.get("/livez").await.status, StatusCode::OK, "{line}");
    }
}

#[tokio::test]
async fn a_key_that_could_not_be_loaded_does_not_make_the_others_unready() {
    let mut backend = Fake::signing();
    backend.health.keys =
        vec![KeySource { id: "config-files-loading", loaded: 1, errors: 1, complete: true }];
    let server = server(backend);
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    assert_eq!(server.get("/healthcheck").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_task_that_ended_makes_a_node_dead_and_unready() {
    let dead = Fake { alive: Err("the node's task has ended".to_owned()), ..Fake::signing() };
    let server = server(dead);
    for path in ["/livez", "/readyz"] {
        let answered = server.get(path).await;
        assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let line = "[-]tasks failed: the node's task has ended";
        assert!(answered.body.lines().any(|found| found == line), "{}", answered.body);
    }
}

#[tokio::test]
async fn reloads_are_answered_in_web3signers_shape() {
    let cases = [
        (
            Ok(()),
            StatusCode::ACCEPTED,
            r#"{"status":"accepted","message":"Reload operation accepted and is running in the background. Use GET /reload to check status."}"#,
        ),
        (
            Err(ReloadRefused::Running),
            StatusCode::CONFLICT,
            r#"{"status":"error","message":"A reload operation is already in progress. Please try again later."}"#,
        ),
        (
            Err(ReloadRefused::Unsupported),
            StatusCode::NOT_IMPLEMENTED,
            r#"{"status":"error","message":"the keys of this node are fixed while it runs; restart it to read them anew"}"#,
        ),
    ];
    for (reload, status, body) in cases {
        let answered = post(&server(Fake { reload, ..Fake::signing() }), "/reload").await;
        assert_eq!((answered.status, answered.body.as_str()), (status, body));
        assert_eq!(answered.content_type.as_deref(), Some("application/json; charset=utf-8"));
    }
}

#[tokio::test]
async fn the_state_of_a_reload_has_a_time_and_an_error_only_where_there_are_any() {
    let at = Some(UNIX_EPOCH + Duration::from_millis(1_763_650_800_250));
    let status = |state, last_operation, last_error: Option<&str>| ReloadStatus {
        state,
        last_operation,
        last_error: last_error.map(str::to_owned),
    };
    for (reload_status, body) in [
        (status(ReloadState::Idle, None, None), r#"{"status":"idle"}"#),
        (
            status(ReloadState::Running, at, None),
            r#"{"status":"running","lastOperationTime":"2025-11-20T15:00:00.25Z"}"#,
        ),
        (
            status(ReloadState::Completed, at, None),
            r#"{"status":"completed","lastOperationTime":"2025-11-20T15:00:00.25Z"}"#,
        ),
        (
            status(ReloadState::CompletedWithErrors, at, Some("1 of 2 files")),
            r#"{"status":"completed_with_errors","lastOperationTime":"2025-11-20T15:00:00.25Z","lastError":"1 of 2 files"}"#,
        ),
        (
            status(ReloadState::Failed, at, Some("no such folder")),
            r#"{"status":"failed","lastOperationTime":"2025-11-20T15:00:00.25Z","lastError":"no such folder"}"#,
        ),
    ] {
        let answered = server(Fake { reload_status, ..Fake::signing() }).get("/reload").await;
        assert_eq!((answered.status, answered.body.as_str()), (StatusCode::OK, body));
    }
}

#[tokio::test]
async fn the_high_watermark_is_two_quoted_numbers_or_empty() {
    let set = HighWatermark { epoch: Some(7.into()), slot: Some(19_998.into()) };
    for (mark, body) in [(set, r#"{"epoch":"7","slot":"19998"}"#), (HighWatermark::default(), "{}")]
    {
        let backend = Fake { high_watermark: Ok(mark), ..Fake::signing() };
        let answered = server(backend).get("/api/v1/eth2/highWatermark").await;
        assert_eq!((answered.status, answered.body.as_str()), (StatusCode::OK, body));
    }
    let closed = NotReady { reason: "the slashing database is closed".to_owned() };
    let backend = Fake { high_watermark: Err(closed), ..Fake::signing() };
    let answered = server(backend).get("/api/v1/eth2/highWatermark").await;
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answered.body, "not ready: the slashing database is closed");
}
