//! The HTTP interface as a value: routes and what surrounds them.
//!
//! From the outside in: refusals get their form and are logged and counted ([`error::report`]), the
//! host is checked ([`host::check`]), doubled slashes in the path are collapsed, then the routes.

use std::sync::Arc;

use api_spec::paths;
use axum::Router;
use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::routing::{MethodRouter, get, post};
use eth_types::network::Network;
use prometheus::Registry;
use tower::util::MapRequestLayer;
use tower::{Layer, ServiceBuilder};

use crate::access_log;
use crate::backend::Backend;
use crate::error::{self, ApiError, Refusal};
use crate::host::{self, HostAllowList};
use crate::keymanager::{self, KeyManagerApi};
use crate::limits::RequestLimits;
use crate::metrics::{self, Metrics};
use crate::origin::{self, AllowedOrigins};
use crate::routes::keys::{self, ListedKeys};
use crate::routes::{probes, reload, sign, status, watermark};
use crate::tls::ServerTls;

/// What the routes work with.
#[derive(Clone)]
pub struct App {
    /// Who signs.
    pub backend: Arc<dyn Backend>,
    /// The network whose duties are signed.
    pub network: Network,
    /// Where outcomes are counted.
    pub metrics: Arc<Metrics>,
    /// The host names under which the server answers.
    pub hosts: HostAllowList,
    /// The origins whose web pages are let in.
    pub origins: AllowedOrigins,
    /// How much is taken on at once.
    pub limits: RequestLimits,
    /// TLS, which reloads with the keys.
    pub tls: Option<ServerTls>,
    /// Log every request.
    pub access_log: bool,
    /// The key manager API, if it is served.
    pub key_manager: Option<KeyManagerApi>,
    /// What `publicKeys` answers.
    pub(crate) listed_keys: ListedKeys,
}

impl App {
    /// An interface as it is without options: for the loopback's names, no web pages, without TLS.
    pub fn new(backend: Arc<dyn Backend>, network: Network, metrics: Arc<Metrics>) -> Self {
        Self {
            backend,
            network,
            metrics,
            hosts: HostAllowList::new(["localhost", "127.0.0.1"]),
            origins: AllowedOrigins::default(),
            limits: RequestLimits::default(),
            tls: None,
            access_log: false,
            key_manager: None,
            listed_keys: ListedKeys::default(),
        }
    }
}

/// The signing interface.
pub fn router(app: App) -> Router {
    let (hosts, metrics, access_log) = (app.hosts.clone(), app.metrics.clone(), app.access_log);
    let origins = app.origins.clone();
    let key_manager = keymanager::router(app.key_manager.clone(), app.metrics.clone());
    let routes = routes()
        .into_iter()
        .fold(Router::new(), |routes, (path, methods)| routes.route(path, methods))
        .with_state(app)
        .merge(key_manager);
    let mut routes = collapsed(routes);
    if let Some(cors) = origins.layer() {
        routes = routes.layer(cors);
    }
    let routes = routes.layer(axum::middleware::from_fn_with_state(origins, origin::check));
    let surrounded = surround(routes, hosts, metrics);
    if access_log {
        return surrounded.layer(axum::middleware::from_fn(access_log::log));
    }
    surrounded
}

/// The paths of [`router`], in the spelling of the OpenAPI document.
pub fn served_paths() -> impl Iterator<Item = &'static str> {
    routes().into_iter().map(|(path, _)| path).chain(keymanager::PATHS)
}

fn routes() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        (paths::SIGN, post(sign::sign)),
        (paths::PUBLIC_KEYS, get(keys::public_keys)),
        (paths::HIGH_WATERMARK, get(watermark::high_watermark)),
        (paths::RELOAD, get(reload::status).post(reload::start)),
        (paths::UPCHECK, get(status::upcheck)),
        (paths::HEALTHCHECK, get(status::healthcheck)),
        (paths::LIVEZ, get(probes::livez)),
        (paths::READYZ, get(probes::readyz)),
        (paths::OPENAPI, get(status::openapi)),
    ]
}

/// The metrics interface, for a listener of its own.
pub fn metrics_router(registry: Registry, metrics: Arc<Metrics>, hosts: HostAllowList) -> Router {
    surround(collapsed(metrics::routes(registry)), hosts, metrics)
}

/// The routes for paths in which slashes may be doubled, and answers for paths that are none.
fn collapsed(routes: Router) -> Router {
    let routes = routes.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    // A layer on the routes would run after a route has been chosen.
    Router::new().fallback_service(MapRequestLayer::new(collapse_slashes).layer(routes))
}

/// What every listener's routes have around them.
fn surround(routes: Router, hosts: HostAllowList, metrics: Arc<Metrics>) -> Router {
    routes.layer(
        ServiceBuilder::new()
            .layer(axum::middleware::from_fn_with_state(metrics, error::report))
            .layer(axum::middleware::from_fn_with_state(hosts, host::check)),
    )
}

async fn not_found(uri: Uri) -> ApiError {
    Refusal::NotFound(uri.path().to_owned()).into()
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    Refusal::MethodNotAllowed { method: method.to_string(), path: uri.path().to_owned() }.into()
}

/// Makes `//api` `/api`: Prysm and Lodestar append paths to a base URL that may end in a slash.
fn collapse_slashes(mut request: Request) -> Request {
    let path = request.uri().path();
    if !path.contains("//") {
        return request;
    }
    let mut collapsed = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !collapsed.ends_with('/') {
            collapsed.push(c);
        }
    }
    if let Some(query) = request.uri().query() {
        collapsed.push('?');
        collapsed.push_str(query);
    }
    // The characters were those of a valid path; if it is refused all the same, no route will match.
    if let Ok(uri) = collapsed.parse() {
        *request.uri_mut() = uri;
    }
    request
}
