//! A hash for long keys that are compared in full anyway: two numbers at a time, multiplied and folded, from seeds that
//! nobody outside this process knows.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes hashers of one map, all with its seeds.
#[derive(Debug, Clone)]
pub(super) struct Seeded(u64, u64);

impl Default for Seeded {
    fn default() -> Self {
        let seeds = RandomState::new();
        Self(seeds.hash_one(1_u8), seeds.hash_one(2_u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folded;
    fn build_hasher(&self) -> Folded {
        Folded { sum: self.0, seed: self.1 }
    }
}

/// See the module.
pub(super) struct Folded {
    sum: u64,
    seed: u64,
}

impl Folded {
    fn pair(&mut self, first: u64, second: u64) {
        let product = u128::from(first ^ self.sum) * u128::from(second ^ self.seed);
        self.sum = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let mut pieces = bytes.chunks_exact(16);
        for piece in &mut pieces {
            self.pair(word(&piece[..8]), word(&piece[8..]));
        }
        let mut last = [0; 16];
        let rest = pieces.remainder();
        last[..rest.len()].copy_from_slice(rest);
        // The length tells a key that ends in zeros from a shorter one.
        self.pair(word(&last[..8]), word(&last[8..]) ^ (bytes.len() as u64).rotate_left(56));
    }

    fn finish(&self) -> u64 {
        let product = u128::from(self.sum) * u128::from(self.seed | 1);
        (product >> 64) as u64 ^ product as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_that_differ_in_anything_hardly_meet() {
        let seeded = Seeded::default();
        let mut keys = vec![vec![0; 0], vec![0; 1], vec![0; 15], vec![0; 16], vec![0; 17], vec![0; 32]];
        for at in 0..40 {
            for bit in 0..8 {
                let mut key = vec![7; 40];
                key[at] ^= 1 << bit;
                keys.push(key);
            }
        }
        let hashes: BTreeSet<u64> = keys.iter().map(|key| seeded.hash_one(key)).collect();
        assert_eq!(hashes.len(), keys.len());
        assert!(keys.iter().all(|key| seeded.hash_one(key) == seeded.hash_one(key.clone())));
        // The low bits and the high ones choose the place in a map.
        let low: BTreeSet<u64> = hashes.iter().map(|hash| hash & 0xff).collect();
        let high: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 56).collect();
        assert!(low.len() > 120 && high.len() > 120, "{} and {}", low.len(), high.len());
        assert_ne!(Seeded::default().hash_one(&keys[9]), seeded.hash_one(&keys[9]));
    }
}
