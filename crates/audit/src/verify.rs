//! Checks a whole log against its signed tree heads, and names the first leaf that is wrong.

use crate::head::{SignedHead, VerifyingKey};
use crate::merkle::{EMPTY_ROOT, Frontier, leaf_hash};
use crate::record::SEQUENCE_BYTES;

/// What a check of the log found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Number of leaves that were read before the end or the first bad one.
    pub size: u64,
    /// Root over these leaves.
    pub root: [u8; 32],
    /// Index of the first bad leaf and why; none when the log is whole.
    pub first_bad: Option<(u64, String)>,
}

/// Checks leaves as they come, in order, against tree heads given beforehand.
#[derive(Debug)]
pub struct Verifier {
    frontier: Frontier,
    heads: Vec<SignedHead>,
    key: VerifyingKey,
    next_head: usize,
    covered: u64,
    bad: Option<(u64, String)>,
}

impl Verifier {
    /// Begins a check. `heads` are all heads that are known, in any order; each must be met by the log.
    pub fn new(mut heads: Vec<SignedHead>, key: VerifyingKey) -> Self {
        heads.sort_by_key(|head| head.size);
        let mut this =
            Self { frontier: Frontier::default(), heads, key, next_head: 0, covered: 0, bad: None };
        this.meet_heads();
        this
    }

    /// Takes the next leaf: its number, the bytes that were hashed, and the hash stored beside them.
    /// Answers false when the log is known to be bad, so that reading may stop.
    pub fn push(&mut self, sequence: u64, bytes: &[u8], stored: &[u8; 32]) -> bool {
        let expected = self.frontier.size();
        if self.bad.is_none() {
            match problem_of(expected, sequence, bytes, stored) {
                Some(problem) => self.bad = Some((expected, problem)),
                None => {
                    self.frontier.append(*stored, |_, _, _| {});
                    self.meet_heads();
                }
            }
        }
        self.bad.is_none()
    }

    /// Condemns the leaf that was pushed last for a reason that only the caller can see.
    pub fn refuse_last(&mut self, reason: String) {
        if self.bad.is_none() {
            self.bad = Some((self.frontier.size().saturating_sub(1), reason));
        }
    }

    /// Ends the check: every head must have been met, and every leaf must be under a head.
    pub fn finish(mut self) -> Report {
        let size = self.frontier.size();
        if self.bad.is_none() {
            self.bad = if let Some(head) = self.heads.get(self.next_head) {
                Some((size, format!("missing: a signed head says that there are {} leaves", head.size)))
            } else if self.covered < size {
                Some((self.covered, "under no signed head".to_owned()))
            } else if self.heads.is_empty() {
                Some((0, "there is no signed head".to_owned()))
            } else {
                None
            };
        }
        Report { size, root: self.frontier.root(), first_bad: self.bad }
    }

    /// Compares the tree with every head of the present size.
    fn meet_heads(&mut self) {
        let size = self.frontier.size();
        while let Some(head) =
            self.heads.get(self.next_head).filter(|head| head.size == size && self.bad.is_none())
        {
            let root = if size == 0 { EMPTY_ROOT } else { self.frontier.root() };
            if !self.key.accepts(head) {
                let reason = format!("the head of {size} leaves is not signed by key `{}`", self.key.id());
                self.bad = Some((self.covered, reason));
            } else if head.root != root {
                let reason = format!(
                    "a leaf from here to {} differs from the signed head of {size}",
                    size.saturating_sub(1)
                );
                self.bad = Some((self.covered, reason));
            } else {
                self.covered = size;
                self.next_head += 1;
            }
        }
    }
}

/// Checks a log at once; see [`Verifier`].
pub fn verify_log<B: AsRef<[u8]>>(
    leaves: impl IntoIterator<Item = (u64, B, [u8; 32])>,
    heads: &[SignedHead],
    key: &VerifyingKey,
) -> Report {
    let mut verifier = Verifier::new(heads.to_vec(), key.clone());
    for (sequence, bytes, hash) in leaves {
        if !verifier.push(sequence, bytes.as_ref(), &hash) {
            break;
        }
    }
    verifier.finish()
}

fn problem_of(expected: u64, sequence: u64, bytes: &[u8], stored: &[u8; 32]) -> Option<String> {
    if sequence != expected {
        return Some(format!("missing: the next leaf has number {sequence}"));
    }
    match bytes.first_chunk::<SEQUENCE_BYTES>().map(|own| u64::from_be_bytes(*own)) {
        None => return Some("shorter than its sequence number".to_owned()),
        Some(own) if own != expected => return Some(format!("holds the bytes of leaf {own}")),
        Some(_) => {}
    }
    (leaf_hash(bytes) != *stored).then(|| "its bytes do not have the stored hash".to_owned())
}
