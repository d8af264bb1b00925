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

use crate::backend::Backend;
use crate::error::{self, ApiError, Refusal};
use crate::host::{self, HostAllowList};
use crate::metrics::{self, Metrics};
use crate::routes::{keys, probes, reload, sign, status, watermark};

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
}

/// The signing interface.
pub fn router(app: App) -> Router {
    let hosts = app.hosts.clone();
    let metrics = app.metrics.clone();
    let routes = routes()
        .into_iter()
        .fold(Router::new(), |routes, (path, methods)| routes.route(path, methods))
        .with_state(app);
    surround(routes, hosts, metrics)
}

/// The paths of [`router`], in the spelling of the OpenAPI document.
pub fn served_paths() -> impl Iterator<Item = &'static str> {
    routes().into_iter().map(|(path, _)| path)
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
    surround(metrics::routes(registry), hosts, metrics)
}

/// What every listener's routes have around them.
fn surround(routes: Router, hosts: HostAllowList, metrics: Arc<Metrics>) -> Router {
    let routes = routes.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    // A layer on the routes would run after a route has been chosen.
    let normalised = MapRequestLayer::new(collapse_slashes).layer(routes);
    Router::new().fallback_service(normalised).layer(
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
