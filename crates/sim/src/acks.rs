//! What clients, approvers and operators were told: the words that must hold whatever happens later.

use model::{ExecutionId, TenantId};
use parking_lot::Mutex;

/// A goal that was accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Whose.
    pub tenant: TenantId,
    /// The execution that was promised.
    pub execution: ExecutionId,
    /// Digest of the plan that was promised.
    pub plan: model::Digest,
    /// The idempotency key that came with it.
    pub key: Option<String>,
}

/// A decision that was acknowledged.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Whose.
    pub tenant: TenantId,
    /// Which approval.
    pub approval: String,
    /// Whether it was a yes.
    pub yes: bool,
    /// Whether the arguments were edited, which asks anew.
    pub edited: bool,
    /// Who decided.
    pub by: String,
    /// True when the words were a wrong decision that must never be accepted.
    pub wrong: Option<&'static str>,
}

/// The kill switch was acknowledged as on, or somebody asked to turn it off: numbers of the trace.
#[derive(Debug, Clone, Copy)]
pub enum Kill {
    /// Acknowledged as on at this number.
    On(u64),
    /// Asked to be off at this number; from here on nothing is promised.
    Off(u64),
}

/// Everything that was promised.
#[derive(Debug, Default)]
pub struct Acks {
    inner: Mutex<Inner>,
}

/// The promises, in the order in which they were made.
#[derive(Debug, Default, Clone)]
pub struct Inner {
    /// Goals.
    pub accepted: Vec<Accepted>,
    /// Decisions.
    pub decided: Vec<Decided>,
    /// Kill switch.
    pub kills: Vec<Kill>,
    /// Control changes that were acknowledged.
    pub controls: u64,
    /// Acts on executions that were acknowledged: execution, and the leaf's action.
    pub acts: Vec<(TenantId, ExecutionId, &'static str)>,
    /// Things that a tenant saw and that are not its own.
    pub foreign: Vec<String>,
    /// Internal errors that somebody was shown.
    pub internal: Vec<String>,
}

impl Acks {
    /// Adds a promise.
    pub fn add(&self, promise: impl FnOnce(&mut Inner)) {
        promise(&mut self.inner.lock());
    }

    /// All of them.
    pub fn all(&self) -> Inner {
        self.inner.lock().clone()
    }
}
