//! The HTTP contract of the signer.
