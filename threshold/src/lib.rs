//! The async side of a node.
