//! The events of a history: only what cannot be recomputed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::canonical::Digest;
use crate::effect::{Answer, EffectNumber, Outcome};
use crate::id::{ApprovalId, ExecutionId, PermitId, PrincipalId, TenantId};
use crate::placing::Placing;
use crate::time::Timestamp;
use crate::value::{Label, Value};
use crate::verdict::Verdict;

/// One fact in the life of an execution. The stored form: names and shapes must stay readable for ever.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When it was decided.
    pub at: Timestamp,
    /// What was decided.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What an execution does with its effects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Performs them.
    Live,
    /// Performs reads, predicts the rest (safe mode was on at the start).
    Advisory,
}

/// The kinds of facts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventBody {
    /// The execution began.
    Started(Box<Started>),
    /// The permit gate judged an effect.
    Judged {
        /// Which effect.
        effect: EffectNumber,
        /// What exactly was judged.
        digest: Digest,
        /// What was decided, by which policy, at which risk.
        verdict: Arc<Verdict>,
        /// The approval that is now awaited, when one is needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<Awaited>,
    },
    /// A control or the allow-list refused an effect.
    Barred {
        /// Which effect.
        effect: EffectNumber,
        /// Why, naming the operation.
        reason: String,
    },
    /// People decided, or silence did.
    ApprovalDecided {
        /// Which effect.
        effect: EffectNumber,
        /// Which approval.
        approval: ApprovalId,
        /// What was decided.
        decision: ApprovalDecision,
        /// Who decided last; nobody when it expired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<PrincipalId>,
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// An approver changed the arguments; the effect is judged again.
    Edited {
        /// Which effect.
        effect: EffectNumber,
        /// The approval that is withdrawn.
        approval: ApprovalId,
        /// The new arguments.
        arguments: Value,
        /// Who.
        by: PrincipalId,
    },
    /// A permit was consumed: the effect may be performed from here on.
    EffectStarted {
        /// Which effect.
        effect: EffectNumber,
        /// From 1.
        attempt: u32,
        /// What exactly may be performed.
        digest: Digest,
        /// The permit that was consumed.
        permit: PermitId,
        /// The fencing epoch of the controls.
        epoch: u64,
        /// The leadership lease of the process that gave the permit; 0 in histories from before there were leases.
        #[serde(default, skip_serializing_if = "is_zero")]
        lease: u64,
        /// The entry of the signed plan that allowed it, from 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry: Option<u32>,
        /// The approval that granted it, when there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
    },
    /// Safe mode: the effect was predicted, nothing was sent.
    EffectPredicted {
        /// Which effect.
        effect: EffectNumber,
        /// What the catalogue says it would answer.
        output: Value,
    },
    /// An attempt ended.
    EffectAnswered {
        /// Which effect.
        effect: EffectNumber,
        /// Which attempt.
        attempt: u32,
        /// How.
        answer: Answer,
    },
    /// A permit was given back unused: nothing was sent.
    EffectVoided {
        /// Which effect.
        effect: EffectNumber,
        /// Which attempt.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// Time passed that something waited for.
    Woke,
    /// A limit gave it a place: what stood in line begins.
    Released,
    /// An operator asked to stop for good.
    Cancelled {
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
        /// Whether what was done is undone first.
        #[serde(default, skip_serializing_if = "CancelMode::is_forced")]
        mode: CancelMode,
    },
    /// An operator gave up on an undo, so that undoing goes on.
    Forced {
        /// The undo; or the effect whose undo cannot even be made.
        effect: EffectNumber,
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// An operator asked to hold.
    Paused {
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// An operator let it go on.
    Resumed {
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// A faulted execution, or a parked effect, is tried again.
    Retried {
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// The execution came to its end; recorded so that a replay can be checked against it.
    Ended {
        /// `completed`, `faulted` or `cancelled`.
        status: String,
        /// Whether its effects are real.
        outcome: Outcome,
        /// Digest of output or error.
        digest: Digest,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How an execution is cancelled. Histories that do not say were written when nothing was undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CancelMode {
    /// What was done is undone first.
    Graceful,
    /// At once; what was done stays.
    #[default]
    Forced,
}

impl CancelMode {
    fn is_forced(&self) -> bool {
        *self == Self::Forced
    }

    /// The word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Graceful => "graceful",
            Self::Forced => "forced",
        }
    }
}

/// An approval that an effect waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Awaited {
    /// Which.
    pub id: ApprovalId,
    /// When silence becomes no.
    pub expires_at: Timestamp,
}

/// How an approval ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalDecision {
    /// Enough people agreed.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Nobody decided in time.
    Expired,
}

/// Everything the first event holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Started {
    /// The execution.
    pub execution: ExecutionId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Workflow namespace.
    pub namespace: String,
    /// Workflow name.
    pub name: String,
    /// Workflow version.
    pub version: String,
    /// Digest of the compiled definition with its pinned actions.
    pub definition: Digest,
    /// Digest of the plan: definition and input.
    pub plan: Digest,
    /// The input, as given.
    pub input: Value,
    /// Digest of the input's JSON in the blob store, when it is too large for the history (`input` is then `null`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_blob: Option<Digest>,
    /// Where the input came from.
    pub input_label: Label,
    /// Who asked.
    pub requester: PrincipalId,
    /// What sort of actor that is.
    pub requester_kind: crate::principal::PrincipalKind,
    /// What the requester may do.
    #[serde(default)]
    pub requester_roles: std::collections::BTreeSet<crate::principal::Role>,
    /// Live or advisory.
    pub mode: Mode,
    /// The text of the goal, when it was text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Digest of the signed plan that it may not leave without asking, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Digest>,
    /// When the whole execution must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How it stands in line with others.
    #[serde(default, skip_serializing_if = "Placing::is_usual")]
    pub placing: Placing,
}
