//! The audit log: leaves, Merkle tree, signed tree heads, proofs, verification.
//!
//! The tree is that of RFC 6962 over SHA-256. This crate reads no clock, file or random number, so that an outsider
//! can review it alone: bytes and keys come in, hashes, signatures and reports go out.

pub mod head;
pub mod merkle;
pub mod proof;
pub mod record;
mod seal;
pub mod sealed;
pub mod verify;

pub use head::{SignedHead, SigningKey, VerifyingKey};
pub use merkle::{EMPTY_ROOT, Frontier, leaf_hash, node_hash};
pub use proof::{InvalidProof, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};
pub use record::{Classification, Correlation, Entry, Leaf, Record, leaf_bytes, read_leaf};
pub use seal::PlanSeal;
pub use sealed::Seal;
pub use verify::{Report, Verifier, verify_log};
