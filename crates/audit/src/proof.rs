//! Inclusion and consistency proofs of RFC 6962, made and checked.

use crate::merkle::{EMPTY_ROOT, node_hash};

/// A proof that does not prove what it is said to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead to the tree head")]
pub struct InvalidProof;

/// The audit path of leaf `index` in the tree of `size` leaves, from the leaf up. Empty unless `index < size`.
///
/// `node` answers the hash of the complete subtree at a level (0 are the leaves) and position.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut node: impl FnMut(u32, u64) -> Result<[u8; 32], E>,
) -> Result<Vec<[u8; 32]>, E> {
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while index < size && end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_root(middle, end, &mut node)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, &mut node)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `second` leaves begins with the tree of `first`. Empty unless `0 < first < second`.
pub fn consistency_proof<E>(
    first: u64,
    second: u64,
    mut node: impl FnMut(u32, u64) -> Result<[u8; 32], E>,
) -> Result<Vec<[u8; 32]>, E> {
    let mut path = Vec::new();
    if first == 0 || first >= second {
        return Ok(path);
    }
    let (mut start, mut end) = (0, second);
    while end != first {
        let middle = start + split(end - start);
        if first <= middle {
            path.push(range_root(middle, end, &mut node)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, &mut node)?);
            start = middle;
        }
    }
    // The verifier knows the first root already when the old tree is the whole left edge.
    if start != 0 {
        path.push(range_root(start, end, &mut node)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that the leaf with this hash is at `index` of the tree of `size` leaves with this root.
pub fn verify_inclusion(
    leaf: &[u8; 32],
    index: u64,
    size: u64,
    proof: &[[u8; 32]],
    root: &[u8; 32],
) -> Result<(), InvalidProof> {
    if index >= size {
        return Err(InvalidProof);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(InvalidProof);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            (node, last) = skip_lone(node, last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    accept(last == 0 && hash == *root)
}

/// Checks that the tree of `second` leaves begins with the tree of `first` leaves.
pub fn verify_consistency(
    first: u64,
    first_root: &[u8; 32],
    second: u64,
    second_root: &[u8; 32],
    proof: &[[u8; 32]],
) -> Result<(), InvalidProof> {
    if first > second {
        return Err(InvalidProof);
    }
    if first == second {
        return accept(proof.is_empty() && first_root == second_root);
    }
    if first == 0 {
        return accept(proof.is_empty() && *first_root == EMPTY_ROOT);
    }
    let (seed, rest) = match proof.split_first() {
        _ if first.is_power_of_two() => (first_root, proof),
        Some(parts) => parts,
        None => return Err(InvalidProof),
    };
    let shift = (first - 1).trailing_ones();
    let (mut node, mut last) = ((first - 1) >> shift, (second - 1) >> shift);
    let (mut old, mut new) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return Err(InvalidProof);
        }
        if node & 1 == 1 || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            (node, last) = skip_lone(node, last);
        } else {
            new = node_hash(&new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    accept(last == 0 && old == *first_root && new == *second_root)
}

/// The hash over the leaves from `start` to `end`, where `start` is a multiple of the power of two that covers them.
fn range_root<E>(
    start: u64,
    end: u64,
    node: &mut impl FnMut(u32, u64) -> Result<[u8; 32], E>,
) -> Result<[u8; 32], E> {
    let count = end - start;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return node(level, start >> level);
    }
    let middle = start + split(count);
    let left = range_root(start, middle, node)?;
    let right = range_root(middle, end, node)?;
    Ok(node_hash(&left, &right))
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// A node without a right sibling rises until it is a right child (RFC 9162, 2.1.3.2).
fn skip_lone(mut node: u64, mut last: u64) -> (u64, u64) {
    while node & 1 == 0 && node != 0 {
        node >>= 1;
        last >>= 1;
    }
    (node, last)
}

fn accept(fine: bool) -> Result<(), InvalidProof> {
    if fine { Ok(()) } else { Err(InvalidProof) }
}
