//! The state of one execution.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use dsl::Definition;
use dsl::plan::{Action, Task};
use model::action::{Contract, EffectClass};
use model::effect::EffectNumber;
use model::event::{Event, EventBody, KeptEffect, Started};
use model::id::{ApprovalId, PermitId};
use model::problem::WorkflowError;
use model::verdict::Verdict;
use model::{Digest, ExecutionId, Outcome, Request, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::flow::Signal;
use crate::foresight::Foresight;
use crate::fork::Forking;
use crate::kept::Effects;
use crate::listen::{Inbox, Listening};
use crate::rewind::Points;
use crate::tasks::TaskVar;
use crate::thread::{Thread, ThreadId};
use crate::trace::TraceEntry;
use crate::unwind::Undone;

/// Where an execution stands, in the language's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Accepted, and in line for a place.
    Pending,
    /// An effect is under way or about to be.
    Running,
    /// Waits for time or people.
    Waiting,
    /// Held by an operator, or parked as a dead letter.
    Suspended,
    /// Stopped for good by an operator.
    Cancelled,
    /// Ended by an error that nothing caught.
    Faulted,
    /// Ended with an output.
    Completed,
}

impl Status {
    /// The word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::Faulted => "faulted",
            Self::Completed => "completed",
        }
    }
}

/// How an execution ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// With an output.
    Completed(Value),
    /// With an error that nothing caught.
    Faulted(WorkflowError),
    /// By an operator, with the reason.
    Cancelled(String),
}

/// One execution, rebuilt from its history.
#[derive(Debug, Clone)]
pub struct Execution {
    /// What runs.
    pub definition: Arc<Definition>,
    /// The first event.
    pub started: Arc<Started>,
    /// When it began.
    pub started_at: Timestamp,
    /// Number of events applied.
    pub version: u64,
    /// Time of the last event.
    pub now: Timestamp,
    /// The effects that are still kept.
    pub effects: Effects,
    /// Settled effects whose outcome is unknown, that nobody resolved, and that are not undone for certain.
    pub(crate) unknown: u32,
    /// Whether an effect that the flow took for real was found not to be.
    pub(crate) refuted: bool,
    /// What was undone, in order (the first 10,000).
    pub undone: Vec<Undone>,
    /// Whether the fault that ended it, or is about to, undid something.
    pub(crate) undid: bool,
    /// How it ended, when it has.
    pub end: Option<End>,
    /// Whether the end is recorded as an event.
    pub end_recorded: bool,
    /// Held by an operator.
    pub paused: bool,
    /// In line for a place that a limit gives: nothing of it has begun.
    pub pending: bool,
    /// Tasks as they ran, when tracing is on.
    pub trace: Option<Vec<TraceEntry>>,
    /// What became of tasks in this step, when the life of the execution is told. Not part of the state.
    pub(crate) told: Option<crate::lifecycle::Told>,
    /// What had to be assumed, when this is a forecast. Not part of the state.
    pub foresight: Option<Foresight>,
    /// Which entries of the signed plan its effects have used, each by the names of its uses (see `entry_use`).
    pub entries: BTreeMap<u32, BTreeSet<String>>,
    /// Events that it published, with the number of events behind which each stands. Not part of the state: whoever commits a
    /// step publishes those of it.
    pub(crate) emitted: Vec<(u64, Value)>,
    /// Executions that it asked for so far.
    pub(crate) children: u32,
    /// The effect of the parent for which it undoes, or undid, what it did after it had completed.
    pub(crate) undo_for: Option<EffectNumber>,
    /// Signals that came.
    pub(crate) inbox: Inbox,
    /// Updates that came.
    pub(crate) updates: crate::updates::Updates,
    /// `$workflow`
    pub(crate) workflow_var: Value,
    /// `$runtime`
    pub(crate) runtime_var: Value,
    /// The thread that is worked on: the first one, between two events.
    pub(crate) live: Thread,
    /// The other threads.
    pub(crate) threads: BTreeMap<ThreadId, Thread>,
    /// Threads that ever began; the number of the next one.
    pub(crate) threads_begun: u32,
    /// What threads go on with once the live one is blocked; empty between two events.
    pub(crate) ready: VecDeque<(ThreadId, Signal)>,
    /// Effects that are not settled.
    pub(crate) open: Vec<EffectNumber>,
    /// Transitions of the present step.
    pub(crate) transitions: u32,
    /// What the expressions of the present step used.
    pub(crate) meter: crate::meter::Meter,
    /// What effects behind a point did that the flow went back to, or was forked from.
    pub(crate) behind: Vec<KeptEffect>,
    /// Who edited the input: as much an author of every effect as who asked for it.
    pub(crate) editor: Option<model::PrincipalId>,
}

/// Something on the stack.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// Runs the tasks of a list.
    List(ListFrame),
    /// A task that has begun.
    Task(Box<TaskFrame>),
}

/// Position in a task list.
#[derive(Debug, Clone)]
pub(crate) struct ListFrame {
    /// The task that owns the list; the workflow when none.
    pub(crate) owner: Option<Arc<Task>>,
    /// Which of the owner's lists.
    pub(crate) part: Part,
    /// The next or present task.
    pub(crate) position: usize,
    /// What the next task gets.
    pub(crate) data: Value,
}

/// Which list of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// `do` or `try`
    Body,
    /// `catch.do`
    Catch,
    /// One branch of a `fork`
    Branch,
}

/// A task that has begun.
#[derive(Debug, Clone)]
pub(crate) struct TaskFrame {
    pub(crate) task: Arc<Task>,
    /// When it began.
    pub(crate) begun_at: Timestamp,
    /// `input` applied.
    pub(crate) input: Value,
    /// `$task`
    pub(crate) var: TaskVar,
    /// When its time-out strikes.
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) doing: Doing,
    pub(crate) trace: Option<usize>,
}

/// What a begun task is doing.
#[derive(Debug, Clone)]
pub(crate) enum Doing {
    /// Runs a list.
    Do,
    /// Runs a list for each item.
    For { items: Arc<Vec<Value>>, index: usize, item_var: Value, index_var: Value },
    /// Tries a list.
    Try(Box<Trying>),
    /// Waits for time.
    Wait { until: Timestamp },
    /// Waits for an effect.
    Effect(EffectNumber),
    /// Waits for branches.
    Fork(Box<Forking>),
    /// Waits for signals.
    Listen(Box<Listening>),
}

/// Where a `try` stands.
#[derive(Debug, Clone)]
pub(crate) struct Trying {
    pub(crate) retries: u32,
    pub(crate) first_at: Timestamp,
    pub(crate) phase: TryPhase,
    /// `$error`, from the first caught error on.
    pub(crate) error_var: Value,
    /// Visits when the try began, so that retries use the same idempotency keys.
    pub(crate) visits: BTreeMap<Arc<str>, u32>,
}

/// The three phases of a `try`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TryPhase {
    /// Running the body; the attempt's own time limit.
    Body { deadline: Option<Timestamp> },
    /// Waiting before a retry.
    Waiting { until: Timestamp },
    /// Running `catch.do`.
    Catching,
}

/// One outside act.
#[derive(Debug, Clone)]
pub struct Effect {
    /// From 1.
    pub number: EffectNumber,
    /// JSON Pointer of the task.
    pub task: Arc<str>,
    /// `refund-create:1.0.0`, `http:POST`, `run:shell`, `run:javascript`
    pub operation: String,
    /// The action, when it is catalogued.
    pub action: Option<Arc<Action>>,
    /// What is promised about it.
    pub contract: Arc<Contract>,
    /// The canonical arguments, labelled.
    pub arguments: Value,
    /// The concrete act.
    pub request: Request,
    /// The idempotency key; stable over attempts.
    pub key: String,
    /// Digest of tenant, execution, task, arguments, request, target, contract and plan version.
    pub digest: Digest,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Tries so far.
    pub attempts: Vec<Attempt>,
    /// Transient failures since the last redrive.
    pub failures: u32,
    /// The last verdict.
    pub verdict: Option<Arc<Verdict>>,
    /// The approval that is or was awaited.
    pub approval: Option<ApprovalId>,
    /// What the gate judged last: the effect's digest and the policy's.
    pub judged: Option<Digest>,
    /// The judged digest that people approved.
    pub approved: Option<Digest>,
    /// Until when that approval may be used.
    pub approved_until: Option<Timestamp>,
    /// The permit of the last attempt.
    pub permit: Option<PermitId>,
    /// Whether it is real, once that is known.
    pub outcome: Option<Outcome>,
    /// Why.
    pub evidence: Option<String>,
    /// What it answered (or what stands in for a lost answer).
    pub output: Option<Value>,
    /// The effect that this one checks.
    pub probe_of: Option<EffectNumber>,
    /// Probes that checked this one.
    pub probes: u32,
    /// When its outcome was known.
    pub settled_at: Option<Timestamp>,
    /// False when the flow no longer waits for it (its task timed out).
    pub awaited: bool,
    /// When it was last parked, or ended the execution with its error.
    pub parked_at: Option<Timestamp>,
    /// Who edited its arguments last.
    pub edited_by: Option<model::PrincipalId>,
    /// The thread that requested it.
    pub(crate) thread: ThreadId,
    /// True while it stands on a compensation stack.
    pub armed: bool,
    /// True when it undoes something.
    pub undo: bool,
    /// The effect that it undoes; none for an action that `on-rollback` armed.
    pub compensates: Option<EffectNumber>,
    /// The effect that undid this one.
    pub undone_by: Option<EffectNumber>,
    /// How often the flow had come to its task.
    pub visit: u32,
    /// The effect that did it in its place, and of which execution when that is another one.
    pub reused: Option<(EffectNumber, Option<ExecutionId>)>,
    /// What a person found out about it.
    pub resolved: Option<Box<crate::Resolution>>,
    /// The inline function that it is a part of.
    pub function: Option<Arc<str>>,
    /// What people said to the question that it is.
    pub granted: Option<Box<crate::Granted>>,
}

/// One try.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// The leadership lease of the process that started it.
    pub lease: u64,
    /// When the answer came.
    pub ended_at: Option<Timestamp>,
    /// `done`, `refused` or `lost`.
    pub answer: Option<&'static str>,
    /// What went wrong.
    pub error: Option<WorkflowError>,
}

/// Where an effect stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Wants to be judged.
    Requested,
    /// Waits for people.
    AwaitingApproval {
        /// When silence becomes no.
        expires_at: Timestamp,
    },
    /// Under way.
    Started,
    /// Waits before the next attempt.
    Backoff {
        /// When it is over.
        until: Timestamp,
    },
    /// Is being checked.
    Verifying(Verification),
    /// Waits for a human; the reason is in the evidence.
    Parked {
        /// True when the same request may simply be tried again.
        repeatable: bool,
    },
    /// Not permitted.
    Denied,
    /// Its outcome is known.
    Settled,
}

/// How far the check of an effect is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The probe under way, if one is.
    pub probe: Option<EffectNumber>,
    /// When to probe next.
    pub next_at: Option<Timestamp>,
    /// When to give up.
    pub until: Timestamp,
    /// True when the answer was lost, so that the probe decides whether it happened at all.
    pub lost: bool,
    /// True once some probe answered.
    pub answered: bool,
}

impl Effect {
    /// What counts as one use of an entry of a signed plan. Repeating what is harmless to repeat, with the same key, is
    /// the same use; anything else is one use for each effect.
    pub fn entry_use(&self) -> String {
        match self.contract.class {
            EffectClass::Pure | EffectClass::Read | EffectClass::Idempotent | EffectClass::Probeable => {
                self.key.clone()
            }
            EffectClass::Compensable | EffectClass::Irreversible => {
                format!("{}#{}", self.key, self.number.0)
            }
        }
    }
}

impl Execution {
    /// Rebuilds an execution from its history. None when the first event is not `started`.
    pub fn replay(definition: Arc<Definition>, events: &[Event], tracing: bool) -> Option<Self> {
        let (first, rest) = events.split_first()?;
        let EventBody::Started(started) = &first.body else { return None };
        let mut state = Self::begin(definition, Arc::new((**started).clone()), first.at, tracing, None);
        let mut points = Points::of(events);
        points.reached(&state);
        for event in rest {
            if let EventBody::Rewound(rewound) = &event.body {
                state = points.back(state, event, rewound);
            } else {
                state.apply(event);
            }
            points.reached(&state);
        }
        Some(state)
    }

    /// Where the execution stands.
    pub fn status(&self) -> Status {
        match &self.end {
            Some(End::Completed(_)) => return Status::Completed,
            Some(End::Faulted(_)) => return Status::Faulted,
            Some(End::Cancelled(_)) => return Status::Cancelled,
            None => {}
        }
        if self.is_held() {
            return Status::Suspended;
        }
        if self.pending {
            return Status::Pending;
        }
        let open = || self.open.iter().map(|n| &self.effect_ref(*n).phase);
        if self.stuck().is_some() || open().any(|p| matches!(p, Phase::Parked { .. })) {
            return Status::Suspended;
        }
        // Another execution runs; this one waits for it.
        let runs = |effect: &Effect| match effect.phase {
            Phase::Requested => true,
            Phase::Started => !effect.request.is_execution(),
            _ => false,
        };
        if self.open.iter().any(|n| runs(self.effect_ref(*n))) { Status::Running } else { Status::Waiting }
    }

    /// Whether the effects are real; none before the end.
    pub fn outcome(&self) -> Option<Outcome> {
        let end = self.end.as_ref()?;
        Some(match end {
            _ if self.unknown > 0 => Outcome::Unknown,
            _ if self.refuted => Outcome::Failed,
            End::Completed(_) => Outcome::Verified,
            End::Faulted(_) | End::Cancelled(_) => Outcome::Failed,
        })
    }

    /// An effect by number; none when it was never requested, or is settled and forgotten.
    pub fn effect(&self, number: EffectNumber) -> Option<&Effect> {
        self.effects.get(number)
    }

    /// Effects that want to be judged now.
    pub fn requested(&self) -> Vec<EffectNumber> {
        if self.is_held() || self.end.is_some() {
            return Vec::new();
        }
        self.open.iter().copied().filter(|n| self.effect_ref(*n).phase == Phase::Requested).collect()
    }

    /// Effects that are not settled, oldest first.
    pub fn open_effects(&self) -> impl Iterator<Item = &Effect> {
        self.open.iter().map(|n| self.effect_ref(*n))
    }

    /// `$context` of the workflow's own tasks; branches have theirs until they are joined.
    pub fn context(&self) -> &Value {
        &self.live.context
    }

    /// True when the state must never be asked to do more.
    pub fn is_over(&self) -> bool {
        matches!(self.end, Some(End::Completed(_) | End::Cancelled(_)))
    }

    /// An effect that is known to be kept: an open one, or the one the flow stands at.
    pub(crate) fn effect_ref(&self, number: EffectNumber) -> &Effect {
        &self.effects.kept[&number]
    }

    pub(crate) fn effect_mut(&mut self, number: EffectNumber) -> &mut Effect {
        self.effects.kept.get_mut(&number).expect("an open effect, or the one the flow stands at, is kept")
    }
}
