//! What the policy time machine is asked, and what it answers.

use std::collections::BTreeMap;
use std::fmt;

use model::{Digest, ExecutionId, Timestamp};
use serde::{Deserialize, Serialize};

/// A candidate policy and the history that it is to judge.
#[derive(Debug, Clone, Default)]
pub struct SimulationRequest {
    /// The bundle that the candidate replaces, or the name under which it is added; `default` when absent.
    pub name: Option<String>,
    /// Its files; absent: as if the bundle were deleted.
    pub modules: Option<BTreeMap<String, String>>,
    /// Only this execution.
    pub execution: Option<String>,
    /// Only executions of this workflow: `namespace/name`, or `name`.
    pub workflow: Option<String>,
    /// Only executions started at or after.
    pub since: Option<Timestamp>,
    /// Only executions started before.
    pub until: Option<Timestamp>,
    /// Executions at the most.
    pub limit: Option<u32>,
    /// The `next` of the answer before.
    pub cursor: Option<String>,
}

/// What a candidate would have decided.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// The bundle that the candidate replaces or adds.
    pub name: String,
    /// Digest of the whole set with the candidate.
    pub candidate: Digest,
    /// Digest of the set in force.
    pub active: Digest,
    /// Executions that were looked at.
    pub executions: u64,
    /// Decisions that were made again.
    pub decisions: u64,
    /// Decisions that would be others.
    pub changed: u64,
    /// Executions with a changed decision.
    pub changed_executions: u64,
    /// Executions of which only the candidate denies an effect.
    pub stopped_executions: u64,
    /// How many decisions change from what to what, most frequent first.
    pub transitions: Vec<Transition>,
    /// Approvals that were asked for.
    pub approvals_before: u64,
    /// Approvals that the candidate would ask for.
    pub approvals_after: u64,
    /// Approvals a day, before and after; none without decisions.
    pub approvals_per_day: (f64, f64),
    /// Time of the first decision that was made again.
    pub from: Option<Timestamp>,
    /// Time of the last one.
    pub until: Option<Timestamp>,
    /// Requesters of changed decisions, with their number.
    pub requesters: BTreeMap<String, u64>,
    /// Workflows of changed decisions, with their number.
    pub workflows: BTreeMap<String, u64>,
    /// Roles that would be asked more often, with the number of decisions.
    pub approver_roles: BTreeMap<String, u64>,
    /// Changed decisions; the first 500.
    pub changes: Vec<ChangedDecision>,
    /// Changed executions; the first 500.
    pub execution_changes: Vec<ChangedExecution>,
    /// Inputs on which the candidate fails, which means deny.
    pub failures: u64,
    /// Executions whose history cannot be read.
    pub unreadable: u64,
    /// The first of both, in words.
    pub listed_failures: Vec<String>,
    /// Where the next call goes on; none when all of history was looked at.
    pub next: Option<String>,
}

impl Default for Simulation {
    fn default() -> Self {
        let none = Digest::of(b"");
        Self {
            name: String::new(),
            candidate: none,
            active: none,
            executions: 0,
            decisions: 0,
            changed: 0,
            changed_executions: 0,
            stopped_executions: 0,
            transitions: Vec::new(),
            approvals_before: 0,
            approvals_after: 0,
            approvals_per_day: (0.0, 0.0),
            from: None,
            until: None,
            requesters: BTreeMap::new(),
            workflows: BTreeMap::new(),
            approver_roles: BTreeMap::new(),
            changes: Vec::new(),
            execution_changes: Vec::new(),
            failures: 0,
            unreadable: 0,
            listed_failures: Vec::new(),
            next: None,
        }
    }
}

/// Decisions that change alike.
#[derive(Debug, Clone)]
pub struct Transition {
    /// For example `allow` or `require-approval (2)`.
    pub from: String,
    /// As `from`.
    pub to: String,
    /// How many.
    pub count: u64,
}

/// A decision in few words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerdictSummary {
    /// `allow`, `deny` or `require-approval`.
    pub decision: String,
    /// Approvals needed; 0 when none.
    pub approvers: u32,
    /// Who may approve.
    pub roles: Vec<String>,
    /// Why.
    pub reasons: Vec<String>,
    /// False for a prediction of safe mode, which does not record how many people it would have needed.
    pub quorum_known: bool,
}

impl VerdictSummary {
    /// True when nobody would notice a difference: the decision, and who has to agree.
    pub fn same_as(&self, other: &Self) -> bool {
        let quorum = !(self.quorum_known && other.quorum_known)
            || (self.approvers == other.approvers && self.roles == other.roles);
        self.decision == other.decision && quorum
    }
}

impl fmt::Display for VerdictSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.approvers {
            0 | 1 => f.write_str(&self.decision),
            several => write!(f, "{} ({several})", self.decision),
        }
    }
}

/// One decision that would be another.
#[derive(Debug, Clone)]
pub struct ChangedDecision {
    /// The execution.
    pub execution: ExecutionId,
    /// Its effect.
    pub effect: u32,
    /// When it was judged.
    pub at: Timestamp,
    /// `namespace/name:version`
    pub workflow: String,
    /// The operation.
    pub operation: String,
    /// Who asked.
    pub requester: String,
    /// The amount of money and its currency, when there is one.
    pub amount: Option<(f64, Option<String>)>,
    /// As recorded.
    pub from: VerdictSummary,
    /// As the candidate decides.
    pub to: VerdictSummary,
    /// False when the candidate denies an earlier effect of the execution, so that this one might not have come up.
    pub reached: bool,
}

/// An execution that would have gone another way.
#[derive(Debug, Clone)]
pub struct ChangedExecution {
    /// The execution.
    pub execution: ExecutionId,
    /// `namespace/name:version`
    pub workflow: String,
    /// Who asked.
    pub requester: String,
    /// Its decisions.
    pub decisions: u32,
    /// Those that change.
    pub changed: u32,
    /// Approvals more (or fewer) than were asked for.
    pub more_approvals: i64,
    /// The first effect whose decision changes.
    pub first_effect: u32,
    /// What was decided about it.
    pub from: VerdictSummary,
    /// What the candidate decides about it.
    pub to: VerdictSummary,
    /// The first effect that only the candidate denies.
    pub denied_at: Option<u32>,
}

/// A candidate that is judged beside the policies in force. It does not enforce.
#[derive(Debug, Clone)]
pub struct ShadowView {
    /// The bundle that it would replace or add.
    pub name: String,
    /// Rises with every change.
    pub version: u64,
    /// Digest of its modules.
    pub digest: String,
    /// File name to Rego text.
    pub modules: BTreeMap<String, String>,
    /// Who put it.
    pub by: String,
    /// When; the figures begin here.
    pub at: Timestamp,
    /// Live decisions that it judged, too.
    pub judged: u64,
    /// Those on which it agrees with the policies in force.
    pub agreed: u64,
    /// Those on which it does not.
    pub differed: u64,
    /// Those on which it failed, which would mean deny.
    pub failed: u64,
    /// Live decisions that it did not judge: too many at once, or it was suspended.
    pub missed: u64,
    /// True when it failed so often that it is no longer asked; put it again.
    pub suspended: bool,
    /// The newest decisions on which it does not agree, oldest first; at most 200.
    pub cases: Vec<ShadowCase>,
}

/// A live decision on which a shadow does not agree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShadowCase {
    /// The execution.
    pub execution: ExecutionId,
    /// Its effect.
    pub effect: u32,
    /// When it was judged.
    pub at: Timestamp,
    /// The operation.
    pub operation: String,
    /// Who asked.
    pub requester: String,
    /// What was decided, and holds.
    pub from: VerdictSummary,
    /// What the shadow would have decided.
    pub to: VerdictSummary,
}
