//! The key generation ceremony.
