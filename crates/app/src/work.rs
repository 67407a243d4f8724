//! Work for the workers: permitted effects, each with the right to be performed once.

use std::sync::Arc;
use std::time::Duration;

use model::action::Contract;
use model::control::Controls;
use model::effect::{Answer, EffectNumber};
use model::event::Mode;
use model::problem::Code;
use model::{Digest, ExecutionId, Problem, Request, TenantId};
use parking_lot::Mutex;
use serde_json::json;
use store::Batch;
use tokio::sync::mpsc;

use crate::app::App;
use crate::record;
use crate::runner::Change;
use crate::wire::{Fate, Flight};

/// The engine has no place for an input: what it is about is over.
const NOT_POSSIBLE_NOW: Code = Code(2010);

/// What outdates a permit: a newer leader, or a newer state of the controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence {
    /// The leadership lease of the process that gave the permit; rises at each start.
    pub lease: u64,
    /// The epoch of the controls; rises with each change of one.
    pub epoch: u64,
}

impl Fence {
    /// One number that never falls from permit to permit, for outside systems that refuse older ones: the lease in the
    /// upper half, the epoch in the lower.
    pub fn token(self) -> u64 {
        (self.lease << 32) | (self.epoch & 0xffff_ffff)
    }
}

/// A permitted attempt.
#[derive(Debug, Clone)]
pub struct Work {
    /// Whose.
    pub tenant: TenantId,
    /// Which execution.
    pub execution: ExecutionId,
    /// Which effect.
    pub effect: EffectNumber,
    /// Which attempt.
    pub attempt: u32,
    /// For example `refund-create:1.0.0`.
    pub operation: String,
    /// What to do.
    pub request: Request,
    /// What is promised; `hosts` is what it may connect to.
    pub contract: Arc<Contract>,
    /// What the permit is fenced by.
    pub fence: Fence,
    /// How many tokens had been revoked when the permit was given.
    pub revocations: u64,
    /// The policies that the permit was given under.
    pub policy: Digest,
    /// Live, or reads only.
    pub mode: Mode,
    /// How long the attempt may take.
    pub timeout: Duration,
    /// Its place on the wire.
    pub flight: Arc<Flight>,
}

/// Pauses before a report is tried again while the store does not take it: from the first, doubled, to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(30);

/// An outbound connection of an attempt, allowed or refused.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Whether the guard let it through.
    pub allowed: bool,
    /// Host, port, address, bytes, status, reason.
    pub details: serde_json::Value,
}

impl Connection {
    fn record(self, work: &Work, now: model::Timestamp) -> audit::Record {
        let action = if self.allowed { "egress.connected" } else { "egress.refused" };
        let resource = format!("executions/{}/effects/{}", work.execution, work.effect.0);
        record::by_system(&work.tenant, now, action, resource, work.execution.as_str(), self.details)
    }
}

/// The queue between the permit gate and the workers.
#[derive(Debug)]
pub(crate) struct WorkQueue {
    sender: mpsc::Sender<Work>,
    receiver: Mutex<Option<mpsc::Receiver<Work>>>,
}

impl WorkQueue {
    pub(crate) fn new(work_max: usize) -> Self {
        let (sender, receiver) = mpsc::channel(work_max);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl App {
    /// The receiving end of the work queue; none when a worker took it already.
    pub fn take_work(&self) -> Option<mpsc::Receiver<Work>> {
        self.work.receiver.lock().take()
    }

    /// A look before the outside: false when a control, a policy or somebody's rights changed since the permit was given.
    pub fn may_start(&self, work: &Work) -> bool {
        self.rights_hold(work) && self.switches.holding(|controls| holds_good(work, controls, None))
    }

    /// The last look: true when the attempt may be sent to `target` now. It is on the wire from here on, and every
    /// stop that is acknowledged later names it.
    pub fn depart(&self, work: &Work, target: Option<&str>) -> bool {
        self.rights_hold(work)
            && self.switches.holding(|controls| {
                let good = holds_good(work, controls, target);
                if good {
                    work.flight.depart(self.clock.now());
                }
                good
            })
    }

    /// What a permit rests on besides the controls.
    fn rights_hold(&self, work: &Work) -> bool {
        self.leads()
            && work.fence.lease == self.lease
            && work.revocations == self.standing.revocations()
            && self.policies.in_force(&work.tenant, work.policy)
    }

    /// Gives a permit back: the effect is judged again. It was not used, or its program was ended and left nothing.
    pub async fn give_back(self: &Arc<Self>, work: &Work, reason: &str, connections: Vec<Connection>) {
        let input =
            engine::Input::Voided { effect: work.effect, attempt: work.attempt, reason: reason.to_owned() };
        let now = self.clock.now();
        let records = connections.into_iter().map(|connection| connection.record(work, now)).collect();
        let fate = if work.flight.departed() { Fate::Killed } else { Fate::Withdrawn };
        self.report_input(work, input, records).await;
        work.flight.land(fate);
    }

    /// Reports how an attempt ended, and every connection that it made or was refused; both become durable at once.
    pub async fn report(self: &Arc<Self>, work: &Work, answer: Answer, connections: Vec<Connection>) {
        let fate = match &answer {
            Answer::Done { .. } | Answer::Stored { .. } | Answer::Refused { .. } => Fate::Answered,
            Answer::Lost { .. } => Fate::Unknown,
        };
        let input = engine::Input::Answered { effect: work.effect, attempt: work.attempt, answer };
        let now = self.clock.now();
        let records = connections.into_iter().map(|connection| connection.record(work, now)).collect();
        self.report_input(work, input, records).await;
        work.flight.land(fate);
    }

    async fn report_input(self: &Arc<Self>, work: &Work, input: engine::Input, records: Vec<audit::Record>) {
        let word = word_of(&input);
        let mut pause = PAUSE_FIRST;
        loop {
            let Err(problem) = self.take_report(work, input.clone(), records.clone()).await else { return };
            if problem.code == NOT_POSSIBLE_NOW {
                self.record_late(work, word, records).await;
                return;
            }
            if problem.status != 503 || pause > PAUSE_LAST {
                // The attempt stays under way in the history; a restart treats its answer as lost, by class.
                tracing::error!(
                    execution.id = %work.execution, effect.number = work.effect.0, error = %problem,
                    internal = problem.internal, "an answer could not be recorded"
                );
                return;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn take_report(
        self: &Arc<Self>,
        work: &Work,
        input: engine::Input,
        records: Vec<audit::Record>,
    ) -> Result<(), Problem> {
        let held = self.hold(&work.tenant, &work.execution).await?;
        self.go_on(held, Change { input: Some(input), records, ..Change::default() }, None).await.map(drop)
    }

    /// The flow gave up on the attempt before its answer came (time-out, cancellation): its outcome stays as it was
    /// recorded, and the log tells what the outside said after all.
    async fn record_late(&self, work: &Work, word: &'static str, mut records: Vec<audit::Record>) {
        let details = json!({ "operation": work.operation, "attempt": work.attempt, "answer": word });
        let resource = format!("executions/{}/effects/{}", work.execution, work.effect.0);
        records.push(record::by_system(
            &work.tenant,
            self.clock.now(),
            "effect.answered-late",
            resource,
            work.execution.as_str(),
            details,
        ));
        if let Err(problem) = self.commit_one(Batch { records, ..Batch::default() }).await {
            tracing::error!(execution.id = %work.execution, error = %problem, "a late answer could not be recorded");
        }
    }

    pub(crate) async fn dispatch(&self, work: Vec<Work>) {
        for work in work {
            // The queue outlives the workers only while the process ends; the history has the effect as started.
            if self.work.sender.send(work).await.is_err() {
                tracing::warn!("no worker takes work any more");
            }
        }
    }
}

/// True when the permit is still good under these controls.
fn holds_good(work: &Work, controls: &Controls, target: Option<&str>) -> bool {
    let subject = work.flight.manifest().subject(target);
    controls.stopped(&subject).is_none()
        && controls.honours(work.fence.epoch, &subject)
        && controls.allows(&work.tenant, &work.operation)
}

/// How an attempt ended, in the words of the audit log.
fn word_of(input: &engine::Input) -> &'static str {
    match input {
        engine::Input::Answered { answer: Answer::Done { .. } | Answer::Stored { .. }, .. } => "done",
        engine::Input::Answered { answer: Answer::Refused { .. }, .. } => "refused",
        engine::Input::Answered { answer: Answer::Lost { .. }, .. } => "lost",
        _ => "void",
    }
}
