//! Known vectors of certificate transparency, and properties of the tree for every small size.

use std::convert::Infallible;

use audit::{
    EMPTY_ROOT, Frontier, consistency_proof, inclusion_proof, leaf_hash, node_hash, verify_consistency,
    verify_inclusion,
};

const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hashes(count: u64) -> Vec<[u8; 32]> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// The definition of RFC 6962, word for word, as the thing to compare with.
fn root_of(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => EMPTY_ROOT,
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

fn node_of(leaves: &[[u8; 32]]) -> impl Fn(u32, u64) -> Result<[u8; 32], Infallible> {
    |level, index| {
        let start = usize::try_from(index << level).expect("small");
        Ok(root_of(&leaves[start..start + (1 << level)]))
    }
}

#[test]
fn roots_are_those_of_the_known_tree() {
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root(), EMPTY_ROOT);
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        frontier.append(leaf_hash(&hex::decode(leaf).expect("hex")), |_, _, _| {});
        assert_eq!(hex::encode(frontier.root()), root);
    }
}

#[test]
fn paths_are_those_of_the_known_tree() {
    let leaves: Vec<_> = LEAVES.iter().map(|leaf| leaf_hash(&hex::decode(leaf).expect("hex"))).collect();
    let text =
        |path: Vec<[u8; 32]>| path.iter().map(|hash| hex::encode(hash)[..8].to_owned()).collect::<Vec<_>>();
    let inclusion = |index, size| text(inclusion_proof(index, size, node_of(&leaves)).expect("infallible"));
    let consistency =
        |first, second| text(consistency_proof(first, second, node_of(&leaves)).expect("infallible"));
    assert_eq!(inclusion(0, 8), ["96a296d2", "5f083f0a", "6b47aaf2"]);
    assert_eq!(inclusion(5, 8), ["bc1a0643", "ca854ea1", "d37ee418"]);
    assert_eq!(inclusion(2, 3), ["fac54203"]);
    assert_eq!(consistency(1, 8), ["96a296d2", "5f083f0a", "6b47aaf2"]);
    assert_eq!(consistency(6, 8), ["0ebc5d34", "ca854ea1", "d37ee418"]);
    assert_eq!(consistency(2, 5), ["5f083f0a", "bc1a0643"]);
}

#[test]
fn frontier_loads_appends_and_reports_complete_nodes() {
    let leaves = hashes(130);
    let mut frontier = Frontier::default();
    for size in 0..130usize {
        assert_eq!(frontier.root(), root_of(&leaves[..size]));
        assert_eq!(Frontier::load(size as u64, node_of(&leaves)), Ok(frontier.clone()));
        frontier.append(leaves[size], |level, index, hash| {
            assert_eq!(Ok(*hash), node_of(&leaves)(level, index));
        });
    }
}

#[test]
fn every_inclusion_proof_holds_and_no_other_does() {
    let leaves = hashes(130);
    for size in 1..130u64 {
        let root = root_of(&leaves[..size as usize]);
        for index in 0..size {
            let leaf = &leaves[index as usize];
            let proof = inclusion_proof(index, size, node_of(&leaves)).expect("infallible");
            assert_eq!(verify_inclusion(leaf, index, size, &proof, &root), Ok(()));
            let refused = |leaf: &[u8; 32], index, size, proof: &[[u8; 32]], root: &[u8; 32]| {
                assert!(verify_inclusion(leaf, index, size, proof, root).is_err());
            };
            refused(&[7; 32], index, size, &proof, &root);
            refused(leaf, index, size, &proof, &[7; 32]);
            refused(leaf, size, size, &proof, &root);
            refused(leaf, index, size, &[proof.clone(), vec![[7; 32]]].concat(), &root);
            if size > 1 {
                refused(leaf, (index + 1) % size, size, &proof, &root);
                refused(leaf, index, size, &proof[1..], &root);
                let mut bent = proof.clone();
                bent[proof.len() / 2][3] ^= 1;
                refused(leaf, index, size, &bent, &root);
            }
        }
    }
}

#[test]
fn every_consistency_proof_holds_and_no_other_does() {
    let leaves = hashes(130);
    let roots: Vec<_> = (0..130).map(|size| root_of(&leaves[..size])).collect();
    for second in 0..130u64 {
        for first in 0..=second {
            let proof = consistency_proof(first, second, node_of(&leaves)).expect("infallible");
            let (old, new) = (&roots[first as usize], &roots[second as usize]);
            assert_eq!(verify_consistency(first, old, second, new, &proof), Ok(()), "{first} {second}");
            assert!(verify_consistency(first, &[7; 32], second, new, &proof).is_err());
            assert!(
                verify_consistency(first, old, second, new, &[proof.clone(), vec![[7; 32]]].concat())
                    .is_err()
            );
            if first > 0 {
                assert!(verify_consistency(first, old, second, &[7; 32], &proof).is_err());
            }
            if !proof.is_empty() {
                assert!(verify_consistency(first, old, second, new, &proof[1..]).is_err());
                let mut bent = proof.clone();
                bent[proof.len() / 2][3] ^= 1;
                assert!(verify_consistency(first, old, second, new, &bent).is_err());
            }
        }
    }
    assert!(verify_consistency(3, &roots[3], 2, &roots[2], &[]).is_err());
}
