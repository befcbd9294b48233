//! What happened, in an append-only file of JSON lines with a chain of hashes.

pub mod entry;
