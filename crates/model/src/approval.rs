//! A human decision on one effect.

use serde::{Deserialize, Serialize};

use crate::action::{BlastRadius, EffectClass, EffectKind};
use crate::canonical::Digest;
use crate::effect::EffectNumber;
use crate::id::{ApprovalId, ExecutionId, PrincipalId, TenantId};
use crate::time::Timestamp;
use crate::value::{Label, Value};
use crate::verdict::{Quorum, Risk};

/// Where an approval stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalStatus {
    /// Waiting for people.
    Pending,
    /// Enough people agreed.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Nobody decided in time, which means no.
    Expired,
    /// The execution ended, or the arguments were edited into a new approval.
    Withdrawn,
}

impl ApprovalStatus {
    /// The word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One person's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub by: PrincipalId,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Everything a person needs to decide, and what was decided. Stored as one document.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// Its identifier.
    pub id: ApprovalId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The execution that waits.
    pub execution: ExecutionId,
    /// The effect that waits.
    pub effect: EffectNumber,
    /// Workflow as `namespace/name:version`.
    pub workflow: String,
    /// JSON Pointer of the task.
    pub task: String,
    /// The operation, for example `refund-create:1.0.0` or `http:POST`.
    pub operation: String,
    /// Who is acted upon.
    pub target: String,
    /// Binds the decision to exactly this effect.
    pub digest: Digest,
    /// The exact canonical arguments.
    pub arguments: Value,
    /// The label of each argument, by JSON Pointer.
    pub provenance: Vec<(String, Label)>,
    /// What will be sent, in one line.
    pub predicted: String,
    /// What it does.
    pub effect_kind: EffectKind,
    /// What a crash would mean.
    pub class: EffectClass,
    /// How much it can touch.
    pub blast_radius: BlastRadius,
    /// The risk and its factors.
    pub risk: Risk,
    /// Why approval is needed.
    pub reasons: Vec<String>,
    /// Who asked for the execution: may not approve.
    pub requester: PrincipalId,
    /// How many and who.
    pub quorum: Quorum,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// Who said what.
    pub votes: Vec<Vote>,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// When silence becomes no.
    pub expires_at: Timestamp,
    /// When it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// Who edited the arguments into this approval, if anybody; may not approve it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_by: Option<PrincipalId>,
    /// JSON Schema of what everybody who says yes fills in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<serde_json::Value>,
    /// What the first who said yes filled in: whoever follows says the same, or says no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}
