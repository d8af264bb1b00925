//! The crate from outside: requests as clients send them, and duties as nodes send them.

// `cfg(test)` is always on here; it tells clippy that the helpers are test code too.
#[cfg(test)]
mod codec;
#[cfg(test)]
mod duty;
#[cfg(test)]
mod json;
#[cfg(test)]
mod network;
#[cfg(test)]
mod object_roots;
#[cfg(test)]
mod sign_requests;
#[cfg(test)]
mod support;
#[cfg(test)]
mod vectors;
