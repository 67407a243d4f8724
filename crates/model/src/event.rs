//! The events of a history: only what cannot be recomputed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::canonical::Digest;
use crate::effect::{Answer, EffectNumber, Outcome};
use crate::family::Family;
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
        /// What they filled in, when they were asked to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Value>,
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
    /// A signal came: it waits in the inbox until a `listen` takes it.
    Signalled {
        /// Unique in the execution.
        id: String,
        /// Its name; the `type` of the event that a `listen` sees.
        name: String,
        /// What it carries.
        #[serde(default = "null", skip_serializing_if = "Value::is_null")]
        data: Value,
        /// Where that came from.
        label: Label,
        /// Who sent it.
        by: PrincipalId,
        /// The attributes of the event that it is, when it was not sent as a signal; `id` is then its source and its id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attributes: Option<Box<Value>>,
    },
    /// A faulted execution, or a parked effect, is tried again.
    Retried {
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// A person who looked outside says what became of an effect whose outcome nobody knew.
    Resolved(Box<Resolved>),
    /// An operator named the place where the flow stands, to return to it.
    Checkpoint {
        /// Its name, unique in the execution.
        name: String,
        /// Digest of the history up to here, so that a damaged one is not returned to.
        digest: Digest,
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// The flow went back to an earlier point; what it did since is kept aside.
    Rewound(Box<Rewound>),
    /// The flow of another execution goes on here, from one of its points.
    Forked(Box<Forked>),
    /// A person chose what becomes of an effect that was kept aside.
    Chosen {
        /// Which effect, of this execution or of the one it was forked from.
        effect: EffectNumber,
        /// What becomes of it.
        choice: Choice,
        /// Who.
        by: PrincipalId,
        /// Why.
        reason: String,
    },
    /// What an effect kept aside did stands in for this one: nothing was sent.
    EffectReused {
        /// Which effect.
        effect: EffectNumber,
        /// The one that did it.
        of: EffectNumber,
        /// The execution that did it, when it was another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<ExecutionId>,
    },
    /// The execution that runs this one asks it, after it completed, to undo what it did.
    UndoAsked {
        /// Who asks.
        parent: ExecutionId,
        /// Its effect that this is.
        effect: EffectNumber,
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

fn null() -> Value {
    Value::NULL
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

/// What a person found out about an effect whose outcome was unknown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Resolved {
    /// Which effect.
    pub effect: EffectNumber,
    /// `verified` or `failed`.
    pub outcome: Outcome,
    /// What was seen, where.
    pub evidence: String,
    /// What the flow goes on with, when a person knows it and the flow still waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Digest of the output's JSON in the blob store, when it is too large for the history (`output` is then absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_blob: Option<Digest>,
    /// Who.
    pub by: PrincipalId,
    /// Why it was settled by hand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What becomes of effects behind the point that a flow goes back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// What it did stays, and stands in when the flow asks for the very same again.
    Keep,
    /// It is undone first, by its contract.
    Compensate,
    /// The flow may ask for it again, and the gate judges it as a new one.
    Repeat,
}

/// A return to an earlier point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rewound {
    /// Number of events that make the point.
    pub to: u64,
    /// The checkpoint that names it, when one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// What becomes of the effects behind the point; none asks about each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Choice>,
    /// What the effects behind the point did.
    pub kept: KeptEffects,
    /// An edited input, with which the flow begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<EditedInput>>,
    /// Who.
    pub by: PrincipalId,
    /// Why.
    pub reason: String,
}

/// Another input in place of the first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EditedInput {
    /// The input.
    pub value: Value,
    /// Digest of its JSON in the blob store, when it is too large for the history (`value` is then `null`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Digest>,
    /// Where it came from.
    pub label: Label,
    /// Digest of the plan that it makes.
    pub plan: Digest,
}

/// Where an execution goes on from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Forked {
    /// The other execution's events up to the point.
    pub events: Vec<Event>,
    /// Digest of their JSON in the blob store, when they are too many for one event (`events` is then empty).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_blob: Option<Digest>,
    /// What becomes of the effects behind the point; none asks about each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Choice>,
    /// What the other execution's effects behind the point did.
    pub kept: KeptEffects,
    /// Who.
    pub by: PrincipalId,
    /// Why.
    pub reason: String,
}

/// Where an execution was forked from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The other execution.
    pub execution: ExecutionId,
    /// Number of its events that make the point.
    pub event: u64,
}

/// What effects behind a point did.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeptEffects {
    /// In the order in which they were requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<KeptEffect>,
    /// Digest of the list's JSON in the blob store, when it is too large for the history (`list` is then empty).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Digest>,
}

/// What one effect behind a point did, or may have done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeptEffect {
    /// Its number.
    pub effect: EffectNumber,
    /// The execution that it belongs to, when that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ExecutionId>,
    /// JSON Pointer of its task.
    pub task: String,
    /// How often the flow had come to the task.
    pub visit: u32,
    /// What was done.
    pub operation: String,
    /// Digest of operation, arguments, target and contract: what has the same is the same act.
    pub likeness: Digest,
    /// Its idempotency key; none when it belongs to another execution, whose keys are never used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `verified` or `unknown`.
    pub outcome: Outcome,
    /// What it answered; none when no answer is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<KeptOutput>,
    /// What becomes of it; none until a person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
}

/// What a kept effect answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeptOutput {
    /// The answer.
    pub value: Value,
    /// Where its parts came from, all together.
    pub label: Label,
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
    /// The moment of its workflow's schedule that it stands for, when it began by schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Timestamp>,
    /// How it stands in line with others.
    #[serde(default, skip_serializing_if = "Placing::is_usual")]
    pub placing: Placing,
    /// The execution that it was forked from, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What it has to do with other executions.
    #[serde(default, skip_serializing_if = "Family::is_none")]
    pub family: Family,
}

impl Started {
    /// The input with where it came from.
    pub fn labelled_input(&self) -> Value {
        self.family.origins.onto(&self.input.with_label_everywhere(self.input_label))
    }

    /// True when another execution waits for the end of this one.
    pub fn is_awaited(&self) -> bool {
        self.family.parent.as_ref().is_some_and(|parent| parent.waits)
    }
}
