//! Signed heads, and what the verification of a log says about each way to tamper with it.

use audit::{Frontier, SignedHead, SigningKey, VerifyingKey, leaf_hash, verify_log};
use model::Timestamp;

struct Log {
    leaves: Vec<(u64, Vec<u8>, [u8; 32])>,
    heads: Vec<SignedHead>,
    key: VerifyingKey,
}

/// Ten leaves; heads at 0, 3, 6 and 10.
fn log() -> Log {
    let key = SigningKey::from_bytes(&[5; 32]);
    let mut frontier = Frontier::default();
    let mut heads = vec![key.sign(0, frontier.root(), Timestamp(0))];
    let leaves: Vec<_> = (0..10u64)
        .map(|n| {
            let bytes = [n.to_be_bytes().as_slice(), format!("{{\"n\":{n}}}").as_bytes()].concat();
            let hash = leaf_hash(&bytes);
            frontier.append(hash, |_, _, _| {});
            if [3, 6, 10].contains(&frontier.size()) {
                heads.push(key.sign(frontier.size(), frontier.root(), Timestamp(1_000)));
            }
            (n, bytes, hash)
        })
        .collect();
    Log { leaves, heads, key: key.verifying_key() }
}

fn first_bad(log: &Log) -> Option<u64> {
    verify_log(log.leaves.clone(), &log.heads, &log.key).first_bad.map(|(index, _)| index)
}

#[test]
fn a_whole_log_passes() {
    let log = log();
    let report = verify_log(log.leaves.clone(), &log.heads, &log.key);
    assert_eq!((report.size, report.root, report.first_bad), (10, log.heads[3].root, None));
}

#[test]
fn every_flipped_byte_is_named() {
    for leaf in 0..10usize {
        for at in 0..log().leaves[leaf].1.len() {
            let mut log = log();
            log.leaves[leaf].1[at] ^= 0x10;
            assert_eq!(first_bad(&log), Some(leaf as u64), "byte {at}");
        }
        let mut log = log();
        log.leaves[leaf].2[leaf] ^= 1;
        assert_eq!(first_bad(&log), Some(leaf as u64));
    }
}

#[test]
fn deleted_swapped_and_cut_leaves_are_named() {
    for leaf in 0..10usize {
        let mut deleted = log();
        deleted.leaves.remove(leaf);
        assert_eq!(first_bad(&deleted), Some(leaf as u64));
        let mut cut = log();
        cut.leaves.truncate(leaf);
        assert_eq!(first_bad(&cut), Some(leaf as u64));
    }
    let mut swapped = log();
    let (a, b) = (swapped.leaves[2].clone(), swapped.leaves[7].clone());
    swapped.leaves[2] = (2, b.1, b.2);
    swapped.leaves[7] = (7, a.1, a.2);
    assert_eq!(first_bad(&swapped), Some(2));
}

#[test]
fn a_leaf_altered_with_its_hash_is_narrowed_to_the_heads_around_it() {
    let mut log = log();
    log.leaves[4].1[10] ^= 1;
    log.leaves[4].2 = leaf_hash(&log.leaves[4].1);
    assert_eq!(first_bad(&log), Some(3));
}

#[test]
fn heads_must_be_signed_and_must_cover_everything() {
    let mut forged = log();
    forged.heads[2].at = Timestamp(2_000);
    assert_eq!(first_bad(&forged), Some(3));
    let mut uncovered = log();
    uncovered.heads.pop();
    assert_eq!(first_bad(&uncovered), Some(6));
    let mut headless = log();
    headless.heads.clear();
    assert_eq!(first_bad(&headless), Some(0));
    let mut other_key = log();
    other_key.key = SigningKey::from_bytes(&[6; 32]).verifying_key();
    assert_eq!(first_bad(&other_key), Some(0));
}

#[test]
fn the_signed_text_can_be_rebuilt_by_hand() {
    let key = SigningKey::from_bytes(&[5; 32]);
    let head = key.sign(3, [0xab; 32], Timestamp(1_700_000_000_123));
    let expected = format!(
        "omnihub audit tree head v1\n{}\n3\n{}\n1700000000123\n",
        key.verifying_key().id(),
        "ab".repeat(32)
    );
    assert_eq!(head.text(), expected);
    assert!(key.verifying_key().accepts(&head));
    let parsed: SignedHead =
        serde_json::from_str(&serde_json::to_string(&head).expect("json")).expect("json");
    assert_eq!(parsed, head);
    assert_eq!(VerifyingKey::parse(&key.verifying_key().to_string()), Ok(key.verifying_key()));
}

#[test]
fn leaves_of_both_forms_are_read_and_others_are_not() {
    let text = br#"{"at":7,"tenant":"acme","actor":"system","actor_kind":"system","action":"effect.answered",
        "resource":"executions/01936b2a-7c3d-7000-8000-0123456789ab/effects/3",
        "correlation":"01936b2a-7c3d-7000-8000-0123456789ab","details":{"attempt":1,"answer":"done"}}"#;
    let old = [9u64.to_be_bytes().as_slice(), text].concat();
    let (sequence, record) = audit::read_leaf(&old).expect("a leaf of JSON text");
    let new = audit::leaf_bytes(9, &record).expect("is written");
    assert_eq!(audit::read_leaf(&new), Some((sequence, record)));
    assert!(new.len() * 3 < old.len(), "{} bytes", new.len());
    for cut in 0..new.len() {
        assert_eq!(audit::read_leaf(&new[..cut]), None, "cut at {cut}");
    }
    assert_eq!(audit::read_leaf(&[new.as_slice(), &[0]].concat()), None);
}
