//! Names in addresses. The system's resolver is asked before each dial, without a cache of our own:
//! a container that was made anew has another address, and `/etc/hosts` counts.

use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long one name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// The most addresses taken from one name.
const MAX_ADDRESSES_PER_NAME: usize = 4;

/// Whether the address begins with a name.
pub(super) fn has_name(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)))
}

/// Replaces a name at the beginning by what it resolves to: nothing if it does not.
pub(super) async fn resolve(address: Multiaddr) -> Vec<Multiaddr> {
    let (name, v4, v6) = match address.iter().next() {
        Some(Protocol::Dns(name)) => (name.into_owned(), true, true),
        Some(Protocol::Dns4(name)) => (name.into_owned(), true, false),
        Some(Protocol::Dns6(name)) => (name.into_owned(), false, true),
        _ => return vec![address],
    };
    match timeout(LOOKUP_TIMEOUT, lookup_host((name.as_str(), 0))).await {
        Ok(Ok(found)) => found
            .map(|socket| socket.ip())
            .filter(|ip| if ip.is_ipv4() { v4 } else { v6 })
            .take(MAX_ADDRESSES_PER_NAME)
            .filter_map(|ip| address.replace(0, |_| Some(Protocol::from(ip))))
            .collect(),
        Ok(Err(error)) => {
            tracing::debug!(%name, %error, "name does not resolve");
            Vec::new()
        }
        Err(_) => {
            tracing::debug!(%name, "name does not resolve in time");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_become_addresses_and_the_rest_stays() {
        let plain: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let named: Multiaddr = "/dns4/localhost/tcp/2".parse().unwrap();
        assert!(has_name(&named) && !has_name(&plain));
        assert_eq!(resolve(named).await, ["/ip4/127.0.0.1/tcp/2".parse().unwrap()]);
        assert_eq!(resolve(plain.clone()).await, [plain]);
        assert_eq!(resolve("/dns4/no.such.name.invalid/tcp/2".parse().unwrap()).await, []);
    }
}
