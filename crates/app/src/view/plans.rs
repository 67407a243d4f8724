//! Plans as the use cases answer them; those of [`PlannedEffect`] and its parts are stored too.

use model::action::ContractCost;
use model::approval::Vote;
use model::verdict::{Quorum, Risk};
use model::{Digest, ExecutionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::WorkflowName;

/// How a plan is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planning {
    /// Take answers of earlier executions to the same action with the same arguments as stand-ins.
    pub recorded: bool,
    /// Most iterations of a loop whose length nobody can know yet, 1 to 1,000.
    pub iterations: u32,
    /// How many executions the plan is good for, 1 to 100.
    pub uses: u32,
}

impl Default for Planning {
    fn default() -> Self {
        Self { recorded: false, iterations: 100, uses: 1 }
    }
}

/// A plan: what would run, with every effect that can be foreseen.
#[derive(Debug, Clone, Serialize)]
pub struct PlanView {
    /// Names the plan: covers everything that people approve.
    pub digest: Digest,
    /// What executions of it show as their plan: covers workflow version, actions and input.
    pub binding: Digest,
    /// `open`, `signed`, `rejected`, `expired` or `used`.
    pub status: String,
    /// The id that its first execution has.
    pub execution: ExecutionId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// Its title.
    pub title: Option<String>,
    /// The input.
    pub input: Json,
    /// The goal's text.
    pub intent: Option<String>,
    /// Who made it, and alone may run it.
    pub requester: String,
    /// When.
    pub made_at: Timestamp,
    /// When it can no longer be approved or run, nor anything more be done under it.
    pub expires_at: Timestamp,
    /// How many executions it is good for.
    pub uses: u32,
    /// Those that it was used by.
    pub used_by: Vec<PlanUse>,
    /// Every group of people that has to agree.
    pub quorums: Vec<Quorum>,
    /// Votes that are still missing.
    pub missing: u32,
    /// Votes so far.
    pub votes: Vec<Vote>,
    /// The signature, once enough people approved it.
    pub seal: Option<audit::PlanSeal>,
    /// Why this caller may not decide it, when so.
    pub refusal: Option<String>,
    /// Effects in the order in which they are foreseen.
    pub effects: Vec<PlannedEffect>,
    /// Acts of the definition that the forecast does not come to.
    pub not_reached: Vec<NotReached>,
    /// Tasks whose way was chosen by an answer that nobody has yet.
    pub guessed: Vec<String>,
    /// What it costs, by currency.
    pub costs: Vec<Cost>,
    /// Why the forecast ends early, when it does.
    pub note: Option<String>,
}

/// An execution that used a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanUse {
    /// Which.
    pub execution: ExecutionId,
    /// When it began.
    pub at: Timestamp,
}

/// An act that a forecast does not come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReached {
    /// JSON Pointer of the task.
    pub task: String,
    /// For example `refund-create:1.0.0` or `http:GET`.
    pub operation: String,
}

/// Money that using actions costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// ISO 4217 code.
    pub currency: String,
    /// What is foreseen, as a decimal number in text.
    pub amount: String,
    /// The most that it can be, when every loop of unknown length runs as often as the plan lets it.
    pub at_most: String,
}

/// One effect of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedEffect {
    /// JSON Pointer of the task.
    pub task: String,
    /// For example `refund-create:1.0.0` or `http:GET`.
    pub operation: String,
    /// Who is acted upon.
    pub target: String,
    /// False when the target depends on answers that nobody has yet.
    pub target_known: bool,
    /// `read write delete money permission`
    pub effect: String,
    /// `pure read idempotent probeable compensable irreversible`
    pub class: String,
    /// What will be sent, in one line.
    pub predicted: String,
    /// Canonical arguments; `null` where they are unknown.
    pub arguments: Json,
    /// JSON Pointers of arguments that depend on answers that nobody has yet, or on when it runs.
    pub unknown: Vec<String>,
    /// Digest of the arguments, when all are known.
    pub arguments_digest: Option<Digest>,
    /// Digest of the contract.
    pub contract: Digest,
    /// How often it may happen.
    pub uses: u32,
    /// The loop of unknown length that repeats it, by JSON Pointer.
    pub per_iteration_of: Option<String>,
    /// Where the answer comes from that the rest of the plan is made with: `example`, `recorded:<execution>/<effect>`, or
    /// `none`.
    pub stand_in: String,
    /// The action that checks it, when one does.
    pub check: Option<String>,
    /// The action that undoes it, when one does.
    pub undo: Option<String>,
    /// What one use costs.
    pub cost: Option<ContractCost>,
    /// Risk and its factors.
    pub risk: Risk,
    /// `allow`, `deny` or `require-approval`.
    pub decision: String,
    /// Approvals needed.
    pub approvals: u32,
    /// Who may approve.
    pub roles: Vec<String>,
    /// Why.
    pub reasons: Vec<String>,
    /// True when this effect only checks another one.
    pub probe: bool,
}
