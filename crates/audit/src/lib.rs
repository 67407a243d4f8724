//! The audit log: leaves, Merkle tree, signed tree heads, proofs, verification.

pub mod record;

pub use record::{Classification, Record};
