//! The words of compact JSON: texts that are one or two bytes because OmniHub itself says them all the time.
//!
//! The index of a word is stored for ever: words are only ever added at the end, never changed, moved or removed.
//! The first 128 take one byte.

/// The words by index; at most 255.
pub const WORDS: [&str; 237] = [
    "at",
    "event",
    "effect",
    "attempt",
    "digest",
    "answer",
    "output",
    "verdict",
    "approval",
    "permit",
    "epoch",
    "decision",
    "reasons",
    "policy",
    "risk",
    "score",
    "level",
    "factors",
    "name",
    "points",
    "reason",
    "allow",
    "low",
    "judged",
    "effect-started",
    "effect-answered",
    "done",
    "started",
    "ended",
    "woke",
    "tenant",
    "actor",
    "actor_kind",
    "action",
    "resource",
    "correlation",
    "classification",
    "details",
    "system",
    "default",
    "internal",
    "executions/",
    "/effects/1",
    "/effects/2",
    "/effects/3",
    "/effects/4",
    "/effects/5",
    "/effects/6",
    "/effects/7",
    "/effects/8",
    "/effects/9",
    "operation",
    "outcome",
    "unknown",
    "verified",
    "failed",
    "completed",
    "effect.permitted",
    "effect.answered",
    "effect.judged",
    "execution.started",
    "execution.ended",
    "outcome.settled",
    "error",
    "run:shell",
    "status",
    "execution",
    "namespace",
    "version",
    "definition",
    "plan",
    "input",
    "input_label",
    "requester",
    "requester_kind",
    "requester_roles",
    "mode",
    "live",
    "user",
    "service",
    "agent",
    "medium",
    "high",
    "critical",
    "deny",
    "require-approval",
    "approvers",
    "roles",
    "it changes something outside",
    "it can be repeated",
    "allowed",
    "a read of an allowed class",
    "viewer",
    "developer",
    "operator",
    "compliance",
    "admin",
    "workflow",
    "evidence",
    "by",
    "arguments",
    "intent",
    "deadline",
    "expires_at",
    "id",
    "type",
    "title",
    "detail",
    "instance",
    "kind",
    "refused",
    "lost",
    "stored",
    "transient",
    "retry_after_ms",
    "effect-voided",
    "effect-predicted",
    "approval-decided",
    "cancelled",
    "faulted",
    "unreviewed",
    "write",
    "money",
    "delete",
    "permission",
    "pure",
    "read",
    "idempotent",
    "probeable",
    "compensable",
    "irreversible",
    "amount",
    "currency",
    "value",
    "edited",
    "barred",
    "paused",
    "resumed",
    "retried",
    "advisory",
    "approved",
    "rejected",
    "expired",
    "input_blob",
    "address",
    "host",
    "port",
    "sent",
    "received",
    "duration_ms",
    "egress.connected",
    "egress.refused",
    "approval.requested",
    "approval.voted",
    "approval.edited",
    "approval.approved",
    "approval.rejected",
    "approval.expired",
    "given",
    "needed",
    "edited_by",
    "execution.cancelled",
    "execution.paused",
    "execution.resumed",
    "execution.retried",
    "effect.barred",
    "effect.voided",
    "effect.predicted",
    "effect.answered-late",
    "secret.used",
    "found",
    "public",
    "confidential",
    "restricted",
    "blast-radius",
    "untrusted-argument",
    "amount-unknown",
    "currency-unknown",
    "actor-history",
    "data",
    "reviewed",
    "method",
    "uri",
    "headers",
    "body",
    "authentication",
    "http",
    "process",
    "program",
    "code",
    "stdout",
    "stderr",
    "environment",
    "stdin",
    "text",
    "count",
    "status_code",
    "request",
    "response",
    "content",
    "raw",
    "customer",
    "order",
    "orderId",
    "email",
    "url",
    "path",
    "query",
    "role",
    "http:GET",
    "http:POST",
    "http:PUT",
    "http:PATCH",
    "http:DELETE",
    "run:python",
    "run:javascript",
    "result",
    "message",
    "items",
    "state",
    "reference",
    "owner",
    "start",
    "server.started",
    "control.set",
    "scope",
    "operations",
    "workflow.published",
    "action.published",
    "policy.put",
    "policy.deleted",
    "token.created",
    "token.revoked",
    "principal",
    "it moves money",
    "it removes something outside",
    "it changes who may do what",
];

/// Longest word, in bytes: a longer text is not looked up.
const WORD_BYTES_MAX: usize = 32;
/// Slots of the table: a power of two, more than twice as many as there are words.
const SLOTS: usize = 1024;
/// A slot without a word.
const EMPTY: u8 = 255;
/// Index by hash, with the next free slot for what collides.
static TABLE: [u8; SLOTS] = table();
/// The words by index, as they are compared.
static KEYS: [Key; WORDS.len()] = keys();

/// The length of a text, and what it begins and ends with. Up to sixteen bytes nothing else is in it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    length: usize,
    first: u64,
    last: u64,
}

/// The index of a text that is a word.
pub(super) fn index_of(text: &str) -> Option<u8> {
    if text.len() > WORD_BYTES_MAX {
        return None;
    }
    let key = Key::of(text.as_bytes());
    let mut slot = key.slot();
    loop {
        let index = TABLE[slot];
        if index == EMPTY {
            return None;
        }
        let same = KEYS[usize::from(index)] == key;
        if same && (text.len() <= 16 || WORDS[usize::from(index)] == text) {
            return Some(index);
        }
        slot = (slot + 1) % SLOTS;
    }
}

impl Key {
    const fn of(bytes: &[u8]) -> Self {
        let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (bytes.first_chunk(), bytes.last_chunk()) {
                (Some(first), Some(last)) => {
                    (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64)
                }
                _ => (short(bytes), 0),
            },
        };
        Self { length: bytes.len(), first, last }
    }

    /// Mixed and folded to a slot.
    const fn slot(self) -> usize {
        let mixed =
            (self.first ^ self.last.rotate_left(23) ^ self.length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - SLOTS.trailing_zeros())) as usize
    }
}

/// Fewer than four bytes as one number.
const fn short(bytes: &[u8]) -> u64 {
    let mut sum = 0;
    let mut at = 0;
    while at < bytes.len() {
        sum = sum << 8 | bytes[at] as u64;
        at += 1;
    }
    sum
}

const fn keys() -> [Key; WORDS.len()] {
    let mut keys = [Key { length: 0, first: 0, last: 0 }; WORDS.len()];
    let mut index = 0;
    while index < WORDS.len() {
        keys[index] = Key::of(WORDS[index].as_bytes());
        index += 1;
    }
    keys
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "there are at most 255 words, as the first assertion says"
)]
const fn table() -> [u8; SLOTS] {
    assert!(WORDS.len() <= EMPTY as usize, "an index is one byte");
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < WORDS.len() {
        assert!(WORDS[index].len() <= WORD_BYTES_MAX, "a word that is never looked up");
        let mut slot = Key::of(WORDS[index].as_bytes()).slot();
        while table[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = index as u8;
        index += 1;
    }
    table
}
