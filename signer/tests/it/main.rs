//! The HTTP interface from outside: through the router as a value, and over real sockets.

// `cfg(test)` is always on here; it tells clippy that the helpers are test code too.
#[cfg(test)]
mod block_proof;
#[cfg(test)]
mod config;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod key_manager;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sign;
#[cfg(test)]
mod status;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod vectors;
