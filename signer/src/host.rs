//! The host allow-list: a web page that points its own name at this machine cannot use the signer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::{ApiError, Refusal};

/// The host names under which the server answers.
#[derive(Debug, Clone)]
pub struct HostAllowList {
    /// Lower case; `None` allows every host.
    hosts: Option<Arc<[String]>>,
}

impl HostAllowList {
    /// Allows the names in `hosts`, in any case; all hosts if `*` is among them.
    pub fn new<H: AsRef<str>>(hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts: Vec<String> =
            hosts.into_iter().map(|host| host.as_ref().trim().to_ascii_lowercase()).collect();
        let any = hosts.iter().any(|host| host == "*");
        Self { hosts: (!any).then(|| hosts.into()) }
    }

    /// Whether `authority` (a host, with or without a port) is allowed.
    fn check(&self, authority: &str) -> Result<(), Refusal> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let host = without_port(authority).to_ascii_lowercase();
        if !host.is_empty() && hosts.contains(&host) {
            Ok(())
        } else {
            Err(Refusal::HostNotAuthorized { host })
        }
    }
}

/// Middleware: refuses requests to other hosts than those of the list, on every path.
///
/// A request may name its host in the target (HTTP/2 always does) and in `Host`: all of them count.
pub async fn check(State(list): State<HostAllowList>, request: Request, next: Next) -> Response {
    match check_request(&list, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => ApiError::from(refusal).into_response(),
    }
}

fn check_request(list: &HostAllowList, request: &Request) -> Result<(), Refusal> {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let mut headers = request.headers().get_all(header::HOST).iter();
    let first = headers.next();
    // RFC 9112 section 3.2: exactly one `Host` in HTTP/1.1.
    if request.version() == Version::HTTP_11 && first.is_none() {
        return Err(Refusal::HostMissing);
    }
    if headers.next().is_some() {
        return Err(Refusal::Malformed("the request has more than one Host header".to_owned()));
    }
    let header = match first {
        Some(value) => Some(
            value
                .to_str()
                .map_err(|_| Refusal::Malformed("the Host header is not text".to_owned()))?,
        ),
        None => None,
    };
    if authority.is_none() && header.is_none() {
        return list.check("");
    }
    authority.into_iter().chain(header).try_for_each(|host| list.check(host))
}

/// `host:port` or `[v6]:port` without the port and the brackets.
fn without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    match authority.split_once(':') {
        // More than one colon and no brackets: a bare IPv6 address.
        Some((_, port)) if port.contains(':') => authority,
        Some((host, _)) => host,
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_left_out_and_case_does_not_matter() {
        let list = HostAllowList::new(["localhost", "Signer.Example", "::1"]);
        for allowed in ["localhost", "LOCALHOST:9000", "signer.example:80", "[::1]:9000", "[::1]"] {
            assert!(list.check(allowed).is_ok(), "{allowed}");
        }
        for refused in ["", ":9000", "localhost.evil", "evil:localhost", "127.0.0.1", "[::2]:9000"]
        {
            assert!(list.check(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_star_allows_every_host() {
        assert!(HostAllowList::new(["localhost", "*"]).check("anything").is_ok());
    }

    #[test]
    fn an_empty_list_allows_no_host() {
        assert!(HostAllowList::new([""; 0]).check("localhost").is_err());
        assert!(HostAllowList::new([""]).check("").is_err());
    }
}
