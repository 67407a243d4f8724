//! Work for the workers: permitted effects, each with the right to be performed once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::Execution;
use model::action::Contract;
use model::control::Controls;
use model::effect::{Answer, EffectNumber};
use model::event::Mode;
use model::id::PermitId;
use model::placing::Priority;
use model::problem::Code;
use model::sabotage::{self, Bug};
use model::{Clock, Digest, ExecutionId, Problem, Request, TenantId};
use parking_lot::Mutex;
use serde_json::json;
use store::Batch;
use tokio::sync::Notify;

use crate::app::App;
use crate::record;
use crate::runner::Change;
use crate::sabotaged::with_key_of;
use crate::schedule::fair::{FairQueue, Standing, Taken};
use crate::schedule::turns::Step;
use crate::wire::{Fate, Flight, Manifest, Wire};

/// The engine has no place for an input: what it is about is over.
const NOT_POSSIBLE_NOW: Code = Code(2010);
/// How long one attempt of an HTTP effect may take.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long messages are taken when the task does not say, in milliseconds.
const TAKE_MS: u64 = 300_000;
/// Time limit of what is answered without asking anybody.
const DECLASSIFY_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// How urgent its execution is.
    pub priority: Priority,
    /// The worker's place that it holds, once a worker took it.
    pub place: Place,
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

/// The queue between the permit gate and the workers: fair between tenants, by priority inside one, with places kept
/// for other targets than a slow one. The gate looks at [`WorkQueue::has_room`] before it gives a permit, so it is
/// bounded for each tenant, and whoever is beyond that waits without a permit.
pub(crate) struct WorkQueue {
    shared: Arc<Line>,
    given: AtomicBool,
}

struct Line {
    clock: Arc<dyn Clock>,
    /// In boxes: they are moved about while they stand in line.
    queue: Mutex<FairQueue<Box<Work>>>,
    changed: Notify,
    closed: AtomicBool,
    /// Executions that were told there is no room. Bounded by admission, which lets nothing of a tenant in whose line is
    /// full, and by the time keeper, who wakes little of it.
    turned_away: Mutex<TurnedAway>,
    /// Some of them may have room.
    room: Notify,
    tenant_max: usize,
}

/// Executions that were told there is no room, by tenant, in order, each once.
#[derive(Default)]
struct TurnedAway {
    lines: BTreeMap<TenantId, (VecDeque<ExecutionId>, BTreeSet<ExecutionId>)>,
    count: usize,
}

impl TurnedAway {
    fn push(&mut self, tenant: &TenantId, execution: &ExecutionId) {
        let (order, known) = self.lines.entry(tenant.clone()).or_default();
        if known.insert(execution.clone()) {
            order.push_back(execution.clone());
            self.count += 1;
        }
    }

    fn of(&self, tenant: &TenantId) -> usize {
        self.lines.get(tenant).map_or(0, |(order, _)| order.len())
    }

    /// Takes the first ones of each tenant, as many as `free` says.
    fn take(&mut self, free: impl Fn(&TenantId) -> usize) -> Vec<(TenantId, ExecutionId)> {
        let mut found = Vec::new();
        for (tenant, (order, known)) in &mut self.lines {
            for execution in order.drain(..free(tenant).min(order.len())) {
                known.remove(&execution);
                found.push((tenant.clone(), execution));
            }
        }
        self.lines.retain(|_, (order, _)| !order.is_empty());
        self.count -= found.len();
        found
    }
}

impl WorkQueue {
    /// A queue in which so many permitted effects of one tenant may wait.
    pub(crate) fn new(tenant_max: usize, clock: Arc<dyn Clock>) -> Self {
        let shared = Line {
            clock,
            queue: Mutex::default(),
            changed: Notify::new(),
            closed: AtomicBool::new(false),
            turned_away: Mutex::default(),
            room: Notify::new(),
            tenant_max: tenant_max.max(1),
        };
        Self { shared: Arc::new(shared), given: AtomicBool::new(false) }
    }

    /// True when the tenant may have another permitted effect in line. Otherwise the execution is remembered, and comes
    /// out of [`WorkQueue::with_room`] when there is room again.
    pub(crate) fn has_room(&self, tenant: &TenantId, execution: &ExecutionId) -> bool {
        if self.shared.queue.lock().waiting_of(tenant) < self.shared.tenant_max {
            return true;
        }
        let mut turned_away = self.shared.turned_away.lock();
        if sabotage::is(Bug::RoomForgotten) && turned_away.of(tenant) > 0 {
            return false;
        }
        turned_away.push(tenant, execution);
        false
    }

    /// Executions that were told there is no room and have some, in order, as soon as there are any.
    pub(crate) async fn with_room(&self) -> Vec<(TenantId, ExecutionId)> {
        loop {
            let found = self.shared.take_turned_away();
            if !found.is_empty() {
                return found;
            }
            self.shared.room.notified().await;
        }
    }

    /// How many executions of a tenant were told there is no room, and how many in all.
    pub(crate) fn turned_away(&self, tenant: &TenantId) -> (usize, usize) {
        let turned_away = self.shared.turned_away.lock();
        (turned_away.of(tenant), turned_away.count)
    }

    /// Tenants of whom executions were told there is no room.
    pub(crate) fn tenants_turned_away(&self) -> Vec<TenantId> {
        self.shared.turned_away.lock().lines.keys().cloned().collect()
    }

    /// How many permitted effects of a tenant wait for a place, and how many in all.
    pub(crate) fn waiting(&self, tenant: &TenantId) -> (usize, usize) {
        let queue = self.shared.queue.lock();
        (queue.waiting_of(tenant), queue.waiting())
    }

    /// Effects of a tenant that are performed at this moment, and of all.
    pub(crate) fn under_way(&self, tenant: &TenantId) -> (usize, usize) {
        let queue = self.shared.queue.lock();
        (queue.under_way_of(tenant), queue.under_way())
    }

    fn push(&self, work: Work, weight: u32) {
        let standing = Standing {
            tenant: work.tenant.clone(),
            target: work.request.target().into_owned(),
            priority: work.priority,
            weight,
        };
        let now = self.shared.clock.now().0;
        self.shared.queue.lock().push(standing, now, Box::new(work));
        self.shared.changed.notify_one();
    }
}

impl Line {
    /// Called when something left the line: half of it has to be free before others come, so that they come in numbers.
    fn tell_of_room(&self, tenant: &TenantId) {
        let waiting = self.queue.lock().waiting_of(tenant);
        if waiting * 2 <= self.tenant_max && self.turned_away.lock().of(tenant) > 0 {
            self.room.notify_one();
        }
    }

    fn take_turned_away(&self) -> Vec<(TenantId, ExecutionId)> {
        self.turned_away.lock().take(|tenant| {
            let waiting = self.queue.lock().waiting_of(tenant);
            if waiting * 2 <= self.tenant_max { self.tenant_max - waiting } else { 0 }
        })
    }
}

impl Drop for WorkQueue {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.changed.notify_one();
    }
}

/// The workers' end of the queue.
pub struct WorkReceiver {
    shared: Arc<Line>,
    places: usize,
}

impl WorkReceiver {
    /// Performs at most so many effects at once; without it there is no limit.
    #[must_use]
    pub fn with_places(self, places: usize) -> Self {
        Self { places: places.max(1), ..self }
    }

    /// Performs at most so many effects of one tenant at one `host:port` at once; without it there is no limit. Whatever
    /// is beyond that waits in line: sent, it would be refused by whoever keeps targets from being flooded, and that is
    /// a failed attempt.
    #[must_use]
    pub fn with_connections(self, max: usize) -> Self {
        self.shared.queue.lock().bound_connections(max);
        self
    }

    /// The next effect whose turn it is, once a place is free for it; none when the application is gone. The place is
    /// held until [`Place::free`], or until the last copy of the work is dropped.
    pub async fn recv(&mut self) -> Option<Work> {
        loop {
            let now = self.shared.clock.now().0;
            let next = self.shared.queue.lock().take(self.places, now);
            if let Some((mut work, taken)) = next {
                self.shared.tell_of_room(&work.tenant);
                let held = Held { line: Arc::clone(&self.shared), taken: Mutex::new(Some(taken)) };
                work.place = Place(Some(Arc::new(held)));
                return Some(*work);
            }
            if self.shared.closed.load(Ordering::Acquire) {
                return None;
            }
            self.shared.changed.notified().await;
        }
    }
}

/// A worker's place that an effect holds.
#[derive(Clone, Default)]
pub struct Place(Option<Arc<Held>>);

struct Held {
    line: Arc<Line>,
    taken: Mutex<Option<Taken>>,
}

impl Place {
    /// Gives the place up: the effect is no longer performed.
    pub fn free(&self) {
        if let Some(held) = &self.0 {
            held.free();
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.0.is_some()).finish()
    }
}

impl std::fmt::Debug for WorkReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkReceiver").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Held {
    fn free(&self) {
        let Some(taken) = self.taken.lock().take() else { return };
        self.line.queue.lock().done(&taken, self.line.clock.now().0);
        self.line.changed.notify_one();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.free();
    }
}

impl App {
    /// The receiving end of the work queue; none when a worker took it already.
    pub fn take_work(&self) -> Option<WorkReceiver> {
        let taken = self.work.given.swap(true, Ordering::AcqRel);
        (!taken).then(|| WorkReceiver { shared: Arc::clone(&self.work.shared), places: usize::MAX })
    }

    /// A look before the outside: false when a control, a policy or somebody's rights changed since the permit was given.
    pub fn may_start(&self, work: &Work) -> bool {
        self.rights_hold(work) && self.switches.holding(|controls| holds_good(work, controls, None))
    }

    /// As [`App::may_start`], for what prepares an attempt at `target`; nothing is on the wire by that.
    pub fn may_start_at(&self, work: &Work, target: &str) -> bool {
        self.rights_hold(work) && self.switches.holding(|controls| holds_good(work, controls, Some(target)))
    }

    /// The last look: true when the attempt may be sent to `target` now. It is on the wire from here on, and every
    /// stop that is acknowledged later names it.
    pub fn depart(&self, work: &Work, target: Option<&str>) -> bool {
        self.rights_hold(work)
            && self.switches.holding(|controls| {
                let good = sabotage::is(Bug::KillCached) || holds_good(work, controls, target);
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
            && (sabotage::is(Bug::PolicyKept) || self.policies.in_force(&work.tenant, work.policy))
    }

    /// Gives a permit back: the effect is judged again. It was not used, or its program was ended and left nothing.
    pub async fn give_back(self: &Arc<Self>, work: &Work, reason: &str, connections: Vec<Connection>) {
        if sabotage::is(Bug::GiveBackLost) {
            return;
        }
        let input =
            engine::Input::Voided { effect: work.effect, attempt: work.attempt, reason: reason.to_owned() };
        let now = self.clock.now();
        let records = connections.into_iter().map(|connection| connection.record(work, now)).collect();
        let fate = if work.flight.departed() { Fate::Killed } else { Fate::Withdrawn };
        Box::pin(self.report_input(work, input, records)).await;
        work.flight.land(fate);
    }

    /// Reports how an attempt ended, and every connection that it made or was refused; both become durable at once.
    pub async fn report(self: &Arc<Self>, work: &Work, answer: Answer, connections: Vec<Connection>) {
        let fate = match &answer {
            Answer::Done { .. } | Answer::Stored { .. } | Answer::Refused { .. } => Fate::Answered,
            Answer::Child(_) => Fate::Answered,
            Answer::Lost { .. } => Fate::Unknown,
        };
        let input = engine::Input::Answered { effect: work.effect, attempt: work.attempt, answer };
        let now = self.clock.now();
        let records = connections.into_iter().map(|connection| connection.record(work, now)).collect();
        // In a box, so that the tasks of workers, which are copied when they begin, stay small.
        Box::pin(self.report_input(work, input, records)).await;
        work.flight.land(fate);
    }

    /// A step failed to commit, and may be durable all the same: then its permits are consumed in the history, and no
    /// worker ever gets them. Those are given back, once the store says what it holds.
    pub(crate) fn take_back(
        self: &Arc<Self>,
        error: &store::CommitError,
        state: &engine::Execution,
        works: Vec<Work>,
    ) {
        if !matches!(error, store::CommitError::Failed(_)) || sabotage::is(Bug::PermitLost) {
            return;
        }
        for work in works {
            let Some(permit) = state.effect(work.effect).and_then(|effect| effect.permit.clone()) else {
                continue;
            };
            let app = Arc::clone(self);
            tokio::spawn(async move { app.take_back_one(&work, &permit).await });
        }
    }

    /// Tries until the store answers: until then the effect counts as under way, and nothing else moves it.
    async fn take_back_one(self: &Arc<Self>, work: &Work, permit: &PermitId) {
        let mut pause = PAUSE_FIRST;
        while self.leads() {
            let problem = match self.hold(&work.tenant, &work.execution).await {
                Ok(held) => {
                    let effect = held.state().and_then(|state| state.effect(work.effect));
                    // Another permit is another start: that one is in a worker's hands.
                    if !effect.is_some_and(|effect| {
                        effect.phase == engine::Phase::Started && effect.permit.as_ref() == Some(permit)
                    }) {
                        self.let_go(held);
                        return;
                    }
                    let reason = "the store did not say whether the start was recorded, so it was never sent";
                    let (effect, attempt) = (work.effect, work.attempt);
                    let input = engine::Input::Voided { effect, attempt, reason: reason.to_owned() };
                    let change = Change { input: Some(input), ..Change::default() };
                    match self.go_on(held, change, None).await {
                        Ok(_) => return,
                        Err(problem) => problem,
                    }
                }
                Err(problem) => problem,
            };
            // Nothing of this execution is in the store: the step was not durable.
            if problem.status == 404 || problem.code == NOT_POSSIBLE_NOW {
                return;
            }
            tracing::warn!(execution.id = %work.execution, effect.number = work.effect.0, error = %problem, "a permit could not be given back yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }

    async fn report_input(self: &Arc<Self>, work: &Work, input: engine::Input, records: Vec<audit::Record>) {
        let word = word_of(&input);
        let mut pause = PAUSE_FIRST;
        loop {
            let Err(problem) = self.take_report(work, input.clone(), records.clone()).await else { return };
            if problem.code == NOT_POSSIBLE_NOW {
                Box::pin(self.record_late(work, word, records)).await;
                return;
            }
            if problem.status != 503 || pause > PAUSE_LAST || sabotage::is(Bug::AnswerDropped) {
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
        let begun = Instant::now();
        let turn = Some(self.turn(&work.tenant, Step::GoOn).await);
        let held = self.hold(&work.tenant, &work.execution).await?;
        let done =
            self.go_on(held, Change { input: Some(input), records, turn, ..Change::default() }, None).await;
        self.admission.stepped(begun.elapsed());
        done.map(drop)
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

    /// Puts permitted effects in line for a worker.
    pub(crate) fn dispatch(&self, work: Vec<Work>) {
        let busy = |work: &Work| self.work.under_way(&work.tenant).1 > 0;
        let lost = usize::from(sabotage::is(Bug::WorkLost) && work.first().is_some_and(busy));
        for work in work.into_iter().skip(lost) {
            let weight = self.limits.weight(&work.tenant);
            self.work.push(work, weight);
        }
    }
}

/// True when the permit is still good under these controls.
fn holds_good(work: &Work, controls: &Controls, target: Option<&str>) -> bool {
    let subject = work.flight.manifest().subject(target);
    controls.stopped(&subject).is_none()
        && (sabotage::is(Bug::OldEpoch) || controls.honours(work.fence.epoch, &subject))
        && controls.allows(&work.tenant, &work.operation)
}

/// How an attempt ended, in the words of the audit log.
fn word_of(input: &engine::Input) -> &'static str {
    match input {
        engine::Input::Answered { answer: Answer::Done { .. } | Answer::Stored { .. }, .. } => "done",
        engine::Input::Answered { answer: Answer::Refused { .. }, .. } => "refused",
        engine::Input::Answered { answer: Answer::Lost { .. }, .. } => "lost",
        engine::Input::Answered { answer: Answer::Child(end), .. } => end.word(),
        _ => "void",
    }
}

/// The work of an effect that was just permitted; none when no worker performs it.
pub(crate) fn work_of(
    wire: &Arc<Wire>,
    state: &Execution,
    number: EffectNumber,
    fence: Fence,
    revocations: u64,
) -> Option<Work> {
    let effect = state.effect(number)?;
    let timeout = match &effect.request {
        model::Request::Http(_) | model::Request::Grpc(_) => HTTP_TIMEOUT,
        model::Request::Rpc(call) => call.timeout_ms.map_or(HTTP_TIMEOUT, Duration::from_millis),
        // Messages are waited for; the rest of the time is for the way there.
        model::Request::Stream(stream) => match &stream.take {
            Some(take) => HTTP_TIMEOUT + Duration::from_millis(take.for_ms.unwrap_or(TAKE_MS)),
            None => HTTP_TIMEOUT,
        },
        model::Request::Process(process) => Duration::from_millis(process.timeout_ms),
        // Nothing is asked of anybody.
        model::Request::Declassify | model::Request::Approval(_) => DECLASSIFY_TIMEOUT,
        // No worker performs it: a message begins the other execution.
        model::Request::Workflow(_) | model::Request::Unwind(_) => return None,
    };
    let started = &state.started;
    let attempt = effect.attempts.last()?.number;
    let policy = effect.verdict.as_ref()?.policy;
    let request = if sabotage::is(Bug::KeyPerAttempt) {
        with_key_of(attempt, &effect.request)
    } else {
        effect.request.clone()
    };
    let flight = wire.board(Manifest {
        tenant: started.tenant.clone(),
        execution: started.execution.clone(),
        effect: number,
        attempt,
        operation: effect.operation.clone(),
        target: effect.request.target().into_owned(),
        class: effect.contract.class.name(),
        workflow: [started.namespace.as_str(), "/", &started.name].concat(),
        version: started.version.clone(),
        requester: started.requester.clone(),
        program: effect.request.is_program(),
    });
    Some(Work {
        tenant: state.started.tenant.clone(),
        execution: state.started.execution.clone(),
        effect: number,
        attempt,
        flight,
        operation: effect.operation.clone(),
        request,
        contract: Arc::clone(&effect.contract),
        fence,
        revocations,
        policy,
        mode: state.started.mode,
        timeout,
        priority: state.started.placing.priority,
        place: Place::default(),
    })
}
