//! The HTTP interface from outside: through the router as a value, and over real sockets.

mod config;
mod hostile;
mod openapi;
mod refused;
mod server;
mod sign;
mod status;
mod support;
mod vectors;
