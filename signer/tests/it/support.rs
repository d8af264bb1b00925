//! A signer that does as it is told, and short ways to ask the router.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{PublicKey, Root, Signature};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use prometheus::Registry;
use signer::backend::{
    Backend, Health, HighWatermark, KeySource, NotReady, Peers, ReloadRefused, ReloadStatus,
    SignError,
};
use signer::block_proof::BlockRule;
use signer::host::HostAllowList;
use signer::keymanager::token::ApiToken;
use signer::keymanager::{KeyManager, KeyManagerApi};
use signer::metrics::Metrics;
use signer::router::{App, metrics_router, router};
use tower::ServiceExt;

use crate::key_manager::FakeKeys;

/// The only key that [`Fake`] lists.
pub(crate) const KEY: &str = "0x989d34725a2bfc3f15105f3f5fc8741f436c25ee1ee4f948e425d6bcb8c56bce6e06c269635b7e985a7ffa639e2409bf";

/// What [`Fake`] answers to a request.
type Answer =
    dyn Fn(PublicKey, Duty) -> BoxFuture<'static, Result<Signature, SignError>> + Send + Sync;

/// A backend that answers as a test says.
pub(crate) struct Fake {
    /// What it answers to `sign`.
    pub(crate) answer: Box<Answer>,
    /// What it answers to `public_keys`.
    pub(crate) keys: Result<Vec<PublicKey>, NotReady>,
    /// What it answers to `health`.
    pub(crate) health: Health,
    /// What it answers to `alive`.
    pub(crate) alive: Result<(), String>,
    /// What it answers to `reload`.
    pub(crate) reload: Result<(), ReloadRefused>,
    /// What it answers to `reload_status`.
    pub(crate) reload_status: ReloadStatus,
    /// What it answers to `high_watermark`.
    pub(crate) high_watermark: Result<HighWatermark, NotReady>,
    /// What it says of blocks.
    pub(crate) block_rule: BlockRule,
    /// The duties it was asked to sign.
    pub(crate) asked: Mutex<Vec<Duty>>,
}

impl Fake {
    /// Signs everything, with a signature that repeats the signing root three times.
    pub(crate) fn signing() -> Self {
        Self::answering(|_, duty| {
            let signature = signature_naming(duty.signing_root());
            futures::future::ready(Ok(signature)).boxed()
        })
    }

    /// Refuses everything with the errors that `error` makes.
    pub(crate) fn refusing(error: impl Fn() -> SignError + Send + Sync + 'static) -> Self {
        Self::answering(move |_, _| futures::future::ready(Err(error())).boxed())
    }

    pub(crate) fn answering(
        answer: impl Fn(PublicKey, Duty) -> BoxFuture<'static, Result<Signature, SignError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let key_source =
            KeySource { id: "cluster-keystores-loading", loaded: 1, errors: 0, complete: true };
        Self {
            answer: Box::new(answer),
            keys: Ok(vec![KEY.parse().unwrap()]),
            health: Health {
                keys: vec![key_source],
                slashing_database: Ok(()),
                peers: Some(Peers { connected: 4, operators: 4, quorum: 3 }),
            },
            alive: Ok(()),
            reload: Ok(()),
            reload_status: ReloadStatus::default(),
            high_watermark: Ok(HighWatermark::default()),
            block_rule: BlockRule::default(),
            asked: Mutex::default(),
        }
    }
}

impl Backend for Fake {
    fn public_keys(&self) -> Result<Vec<PublicKey>, NotReady> {
        self.keys.clone()
    }

    fn sign(
        &self,
        validator: PublicKey,
        duty: Duty,
    ) -> BoxFuture<'_, Result<Signature, SignError>> {
        self.asked.lock().unwrap().push(duty.clone());
        (self.answer)(validator, duty)
    }

    fn block_rule(&self, _: &PublicKey) -> BlockRule {
        self.block_rule
    }

    fn health(&self) -> Health {
        self.health.clone()
    }

    fn alive(&self) -> Result<(), String> {
        self.alive.clone()
    }

    fn reload(&self) -> Result<(), ReloadRefused> {
        self.reload
    }

    fn reload_status(&self) -> ReloadStatus {
        self.reload_status.clone()
    }

    fn high_watermark(&self) -> BoxFuture<'_, Result<HighWatermark, NotReady>> {
        futures::future::ready(self.high_watermark.clone()).boxed()
    }
}

/// The signature by which [`Fake::signing`] tells the root it was asked for.
pub(crate) fn signature_naming(root: Root) -> Signature {
    Signature::try_from(root.as_bytes().repeat(3).as_slice()).unwrap()
}

/// The token of the key manager API.
pub(crate) const TOKEN: &str = "api-token-0x0123456789";

/// The routes before a backend, with what tests look at afterwards.
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) metrics_router: Router,
    pub(crate) backend: Arc<Fake>,
}

/// The routes before `backend`, for a network that is built in.
pub(crate) fn server_on(network: &str, backend: Fake) -> Server {
    server_managing(network, backend, Arc::new(FakeKeys::default()))
}

/// As [`server_on`], with these keys behind the key manager API.
pub(crate) fn server_managing(network: &str, backend: Fake, keys: Arc<dyn KeyManager>) -> Server {
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::register(&registry).unwrap());
    let hosts = HostAllowList::new(["localhost", "127.0.0.1"]);
    let backend = Arc::new(backend);
    let network = Network::by_name(network).unwrap();
    let mut app = App::new(backend.clone(), network, metrics.clone());
    app.key_manager = Some(KeyManagerApi::new(keys, ApiToken::new(TOKEN.as_bytes())));
    Server {
        router: router(app),
        metrics_router: metrics_router(registry, metrics, hosts),
        backend,
    }
}

/// The routes before `backend`, for hoodi.
pub(crate) fn server(backend: Fake) -> Server {
    server_on("hoodi", backend)
}

/// An answer, read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) body: String,
}

impl Answered {
    /// The reason in a JSON error.
    pub(crate) fn error(&self) -> String {
        let answer: api_spec::ErrorAnswer = serde_json::from_str(&self.body).unwrap();
        answer.error
    }
}

impl Server {
    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        send(&self.router, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        let request = Request::get(path).header(header::HOST, "localhost:9000");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Asks for a signature by [`KEY`], with JSON as the answer.
    pub(crate) async fn sign(&self, body: impl Into<Body>) -> Answered {
        let request = sign_request(KEY).header(header::ACCEPT, "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// The value of a metric, with its labels as they are written.
    pub(crate) async fn metric(&self, series: &str) -> Option<String> {
        let request = Request::get("/metrics").header(header::HOST, "localhost:9001");
        let answered = send(&self.metrics_router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answered.status, StatusCode::OK);
        let line = answered.body.lines().find_map(|line| line.strip_prefix(series));
        line.map(|value| value.trim().to_owned())
    }
}

/// A signing request without its body.
pub(crate) fn sign_request(identifier: &str) -> axum::http::request::Builder {
    Request::post(format!("/api/v1/eth2/sign/{identifier}"))
        .header(header::HOST, "localhost:9000")
        .header(header::CONTENT_TYPE, "application/json")
}

async fn send(router: &Router, request: Request<Body>) -> Answered {
    Answered::read(router.clone().oneshot(request).await.unwrap()).await
}

impl Answered {
    /// Reads a response to its end.
    pub(crate) async fn read(response: Response) -> Self {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Self { status, content_type, body: String::from_utf8(bytes.to_vec()).unwrap() }
    }
}

/// A request that every test network of these tests signs, with another `epoch` field's value.
pub(crate) fn randao(epoch: u64) -> serde_json::Value {
    serde_json::json!({
        "type": "RANDAO_REVEAL",
        "fork_info": hoodi_fork_info(),
        "randao_reveal": { "epoch": epoch.to_string() },
    })
}

/// The fork of hoodi at [`EPOCH`].
pub(crate) fn hoodi_fork_info() -> serde_json::Value {
    let network = Network::by_name("hoodi").unwrap();
    let version = network.fork_version_at(EPOCH.into()).unwrap().to_string();
    serde_json::json!({
        "fork": { "previous_version": version, "current_version": version, "epoch": "0" },
        "genesis_validators_root": network.genesis_validators_root().to_string(),
    })
}

/// An epoch of hoodi in Fulu.
pub(crate) const EPOCH: u64 = 60_000;
