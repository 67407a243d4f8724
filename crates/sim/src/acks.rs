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

/// A control that somebody set: numbers of the trace.
#[derive(Debug, Clone)]
pub struct Set {
    /// Which.
    pub name: String,
    /// In force or not.
    pub on: bool,
    /// What the allow-list lists.
    pub operations: Vec<String>,
    /// The reason that was given with it: no two are the same.
    pub reason: String,
    /// Asked for at this number.
    pub asked: u64,
    /// Answered, or beyond answering, at this number.
    pub over: u64,
    /// Whether it was acknowledged.
    pub acknowledged: bool,
}

/// Another set of policies that somebody put in force: numbers of the trace.
#[derive(Debug, Clone)]
pub struct Swap {
    /// Whose.
    pub tenant: TenantId,
    /// Whether it denies whatever moves money.
    pub strict: bool,
    /// Asked for at this number.
    pub asked: u64,
    /// Answered, or beyond answering, at this number.
    pub over: u64,
    /// Whether it was acknowledged.
    pub acknowledged: bool,
}

/// Somebody lost the right to decide, acknowledged at this number of the trace.
#[derive(Debug, Clone)]
pub struct Left {
    /// In which tenant.
    pub tenant: TenantId,
    /// Who.
    pub who: String,
    /// From then on.
    pub number: u64,
}

/// A part was acknowledged as stopped, or somebody asked to let it go: numbers of the trace.
#[derive(Debug, Clone)]
pub struct PartStop {
    /// The part.
    pub scope: model::stop::Scope,
    /// In which tenant; none in all of them.
    pub tenant: Option<TenantId>,
    /// Acknowledged from here on.
    pub from: u64,
    /// Until somebody asked to lift it; nothing is promised from there on.
    pub until: u64,
}

/// A signal that was accepted.
#[derive(Debug, Clone)]
pub struct Told {
    /// Whose.
    pub tenant: TenantId,
    /// To which execution.
    pub execution: ExecutionId,
    /// Its id.
    pub id: String,
    /// What it carried.
    pub data: serde_json::Value,
}

/// Somebody is known to have lost the right to decide: numbers of the trace.
#[derive(Debug, Clone)]
pub struct Disabled {
    /// Whose.
    pub tenant: TenantId,
    /// Who.
    pub who: String,
    /// Acknowledged from here on.
    pub from: u64,
    /// Until somebody asked to give it back.
    pub until: u64,
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
    /// Every control change, acknowledged or not.
    pub sets: Vec<Set>,
    /// Every change of policies, acknowledged or not.
    pub swaps: Vec<Swap>,
    /// Who may not decide any more.
    pub left: Vec<Left>,
    /// Goals that came with a key: whose, and the number in their input.
    pub keyed: Vec<(TenantId, u64)>,
    /// Control changes that were acknowledged.
    pub controls: u64,
    /// Acts on executions that were acknowledged: execution, and the leaf's action.
    pub acts: Vec<(TenantId, ExecutionId, &'static str)>,
    /// Parts that were stopped.
    pub parts: Vec<PartStop>,
    /// Parts that were asked to be let go, by their names: numbers of the trace.
    pub lifts: Vec<(String, u64)>,
    /// Rights that were asked to be given: numbers of the trace.
    pub grants: Vec<(TenantId, u64)>,
    /// Signals that were accepted.
    pub told: Vec<Told>,
    /// People who lost their rights.
    pub disabled: Vec<Disabled>,
    /// Forks that were made.
    pub forks: Vec<(TenantId, ExecutionId)>,
    /// Plans that were acknowledged as signed.
    pub signed: Vec<(TenantId, String)>,
    /// Things that a tenant saw and that are not its own.
    pub foreign: Vec<String>,
    /// What must have been refused, and was heard.
    pub wrong: Vec<String>,
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
