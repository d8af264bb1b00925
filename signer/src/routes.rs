//! The routes, one file per resource. Each extracts, calls the backend, and answers.

pub(crate) mod keys;
pub(crate) mod probes;
pub(crate) mod reload;
pub(crate) mod sign;
pub(crate) mod status;
pub(crate) mod watermark;
