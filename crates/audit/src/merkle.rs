//! The Merkle tree of RFC 6962: hashes, and the compact form that appends need.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The hash of a leaf: SHA-256 of a zero byte and the leaf's bytes.
pub fn leaf_hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// The hash of an inner node: SHA-256 of a one byte and both children.
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The right edge of a tree: the roots of its complete subtrees, largest first. Enough to append and to know the root.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<[u8; 32]>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves; `node` answers the hash of the complete subtree at a level (0 are the
    /// leaves) and position. Asks for at most 64 hashes.
    pub fn load<E>(size: u64, mut node: impl FnMut(u32, u64) -> Result<[u8; 32], E>) -> Result<Self, E> {
        let mut subtrees = Vec::with_capacity(size.count_ones() as usize);
        let mut start = 0;
        for level in (0..u64::BITS).rev() {
            if size & (1 << level) != 0 {
                subtrees.push(node(level, start >> level)?);
                start += 1 << level;
            }
        }
        Ok(Self { size, subtrees })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf's hash. `completed` hears of every inner node (level from 1, position) that became complete.
    pub fn append(&mut self, leaf: [u8; 32], mut completed: impl FnMut(u32, u64, &[u8; 32])) {
        let mut hash = leaf;
        for level in 0..self.size.trailing_ones() {
            // The size has one bit set for each complete subtree, so there is one to take for each trailing one.
            let Some(left) = self.subtrees.pop() else { break };
            hash = node_hash(&left, &hash);
            completed(level + 1, self.size >> (level + 1), &hash);
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> [u8; 32] {
        self.subtrees
            .iter()
            .copied()
            .rev()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or(EMPTY_ROOT)
    }
}
