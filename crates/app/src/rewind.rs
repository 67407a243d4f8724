//! Going back, forking, and the checkpoints to go back to.
//!
//! A state that went back is made of the whole history, so it is made while the execution is held, and takes the place
//! of the one in memory in the batch that records it.

use std::sync::Arc;

use dsl::Definition;
use engine::places::{self, Place};
use engine::{Execution, Input, NoReturn, Rewinding, Step};
use guard::filter::{self, InputLimits};
use model::control::ControlName;
use model::event::{Choice, EditedInput, Event, EventBody, KeptEffect, Mode, Origin, Started};
use model::principal::Permission;
use model::{ExecutionId, Problem, TenantId, Timestamp, Value};

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::executions::{checked_reason, execution_id};
use crate::goals::{check_input, refuse_filtered};
use crate::runner::Change;
use crate::view::{CheckpointView, ExecutionSummary, KeptView, PageOf, ReturnRequest, ReturnView, Target};

/// Named checkpoints of one execution at the most.
const CHECKPOINTS_MAX: usize = 1_000;
/// Characters of a checkpoint's name at the most.
const NAME_CHARS_MAX: usize = 64;
/// Bytes of the events that a fork carries at the most.
const CARRIED_BYTES_MAX: usize = 16 << 20;

/// A history in both its forms.
struct Recorded {
    /// As it is stored.
    stored: Vec<Event>,
    /// With its payloads.
    whole: Vec<Event>,
    definition: Arc<Definition>,
}

impl App {
    /// Places to go back to: named checkpoints, and the places before each effect. In order; at most `limit`, from event
    /// `after` on.
    pub async fn checkpoints(
        &self,
        caller: &Caller,
        id: &str,
        after: u64,
        limit: u32,
    ) -> Result<PageOf<CheckpointView>, Problem> {
        caller.demand(Permission::Read)?;
        let id = execution_id(id)?;
        let recorded = self.recorded(&caller.principal.tenant, &id).await?;
        let limit = limit.clamp(1, 500) as usize;
        let mut shown = places::places(&recorded.definition, &recorded.stored, &recorded.whole)
            .into_iter()
            .filter(|place| place.event > after && (place.checkpoint.is_some() || place.effect.is_some()));
        let items: Vec<CheckpointView> = shown.by_ref().take(limit).map(checkpoint_view).collect();
        let more = shown.next().is_some();
        let next = items.last().filter(|_| more).map(|last| last.event.to_string());
        Ok(PageOf { items, next })
    }

    /// Names the place where the flow stands.
    pub async fn checkpoint(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        name: &str,
        reason: &str,
    ) -> Result<CheckpointView, Problem> {
        caller.demand(Permission::OperateExecution)?;
        let (id, reason) = (execution_id(id)?, checked_reason(reason)?);
        let name = checked_name(name)?;
        let tenant = &caller.principal.tenant;
        let held = self.hold(tenant, &id).await?;
        let digest = match self.new_checkpoint(tenant, &id, &name).await {
            Ok(digest) => digest,
            Err(problem) => {
                self.let_go(held);
                return Err(problem);
            }
        };
        let input = Input::Checkpoint(name.clone(), digest, caller.principal.id.clone(), reason);
        self.go_on(held, Change { input: Some(input), ..Change::default() }, Some(caller)).await?;
        let recorded = self.recorded(tenant, &id).await?;
        let mut all = places::places(&recorded.definition, &recorded.stored, &recorded.whole).into_iter();
        let found = all.find(|place| place.checkpoint.as_ref() == Some(&name));
        found.map(checkpoint_view).ok_or_else(|| Problem::not_found("checkpoint", &name))
    }

    async fn new_checkpoint(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        name: &str,
    ) -> Result<model::Digest, Problem> {
        let stored = self.stored(tenant, id).await?;
        let names: Vec<&String> = stored.iter().filter_map(checkpoint_name).collect();
        if names.iter().any(|taken| *taken == name) {
            let detail = format!("the execution has a checkpoint `{name}` already: choose another name");
            return Err(
                Problem::new(409, 2129, "checkpoint exists", detail).field("/name", "choose another name")
            );
        }
        if names.len() >= CHECKPOINTS_MAX {
            let detail = format!("an execution has {CHECKPOINTS_MAX} named checkpoints at the most");
            return Err(Problem::new(409, 2129, "checkpoint exists", detail));
        }
        Ok(places::history_digest(&stored))
    }

    /// Goes back to an earlier point and on from there, or says what that would mean.
    pub async fn rewind(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        request: ReturnRequest,
    ) -> Result<ReturnView, Problem> {
        caller.demand(Permission::OperateExecution)?;
        let (id, reason) = (execution_id(id)?, checked_reason(&request.reason)?);
        let tenant = &caller.principal.tenant;
        let held = self.hold(tenant, &id).await?;
        let prepared = self.prepare_return(caller, &id, &request, reason).await;
        let (replaced, place) = match prepared {
            Ok(prepared) => prepared,
            Err(problem) => {
                self.let_go(held);
                return Err(problem);
            }
        };
        let kept = kept_in(&replaced.1);
        let row = if request.dry_run {
            self.let_go(held);
            self.row(tenant, &id).await?
        } else {
            let change = Change { replaced: Some(Box::new(replaced)), ..Change::default() };
            Arc::unwrap_or_clone(self.go_on(held, change, Some(caller)).await?.row)
        };
        Ok(return_view(row, &place, kept))
    }

    async fn prepare_return(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        request: &ReturnRequest,
        reason: String,
    ) -> Result<((Execution, Step), Place), Problem> {
        let recorded = self.recorded(&caller.principal.tenant, id).await?;
        let place = recorded.find(&request.to)?;
        let input = edited(caller, &recorded.definition, request)?;
        let rewinding = rewinding(caller, &place, request, input, reason);
        let now = self.clock.now();
        let (definition, whole) = (recorded.definition, recorded.whole);
        // The replays take as long as the history: not on a thread that serves others.
        let done = aside(move || Execution::rewind(&definition, &whole, rewinding, now)).await?;
        let replaced = done.map_err(|no| no_return(&no))?;
        Ok((replaced, place))
    }

    /// Begins an execution of its own that goes on from a point of another one.
    pub async fn fork(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        request: ReturnRequest,
    ) -> Result<ReturnView, Problem> {
        caller.demand(Permission::OperateExecution)?;
        caller.demand(Permission::SubmitGoal)?;
        let (id, reason) = (execution_id(id)?, checked_reason(&request.reason)?);
        let tenant = &caller.principal.tenant;
        if !request.dry_run && self.switches.now().on(ControlName::KillSwitch) {
            let detail = "the kill switch is on: no new work is accepted until an operator turns it off";
            return Err(Problem::new(503, 3001, "kill switch is on", detail));
        }
        let now = self.clock.now();
        let recorded = self.recorded(tenant, &id).await?;
        let place = recorded.find(&request.to)?;
        let input = edited(caller, &recorded.definition, &request)?;
        let started = self.forked(caller, &recorded, &id, &place, input.as_ref(), &request, now)?;
        let forking = rewinding(caller, &place, &request, input, reason);
        let (fork, origin) = (started.execution.clone(), started.origin.clone());
        let size = serde_json::to_vec(&recorded.stored[..prefix_len(&recorded.stored, &place)])
            .map_err(Problem::machine)?;
        if size.len() > CARRIED_BYTES_MAX {
            let detail = format!(
                "the history up to there is larger than {CARRIED_BYTES_MAX} bytes: fork from an earlier point, or start a new execution"
            );
            return Err(Problem::new(409, 2128, "too long to fork", detail));
        }
        if let Some(row) = self.same_fork(tenant, &fork, &request, origin.as_ref()).await? {
            return Ok(return_view(row, &place, Vec::new()));
        }
        let (definition, whole) = (recorded.definition, recorded.whole);
        let made = aside(move || Execution::fork(&definition, &whole, started, forking, now)).await?;
        let made = made.map_err(|no| no_return(&no))?;
        let kept = kept_in(&made.1);
        if request.dry_run {
            return Ok(return_view(self.row(tenant, &id).await?, &place, kept));
        }
        let key = (tenant.clone(), fork.clone());
        if let Some(limit) = self.place_for(&made.0.started)? {
            self.give_back_place(tenant, &fork, false).await;
            let detail = format!(
                "the limit `{limit}` has no place for it, and a fork does not wait in line; try again later"
            );
            return Err(Problem::new(429, 5060, "limit reached", detail).with("limit", limit.into()));
        }
        let (begin, extra) = (Box::new(move |_| Ok(made)), (Vec::new(), Vec::new()));
        let begun = self.begin_execution(Some(caller), key, begin, extra, None).await;
        match begun {
            Ok(advanced) => Ok(return_view(Arc::unwrap_or_clone(advanced.row), &place, kept)),
            // Somebody forked to the same id at the same time: theirs is the answer.
            Err(problem) if problem.status == 409 => {
                match self.same_fork(tenant, &fork, &request, origin.as_ref()).await? {
                    Some(row) => Ok(return_view(row, &place, Vec::new())),
                    None => Err(problem),
                }
            }
            Err(problem) => Err(problem),
        }
    }

    /// Says what becomes of an effect that was kept aside.
    pub async fn choose(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        number: &str,
        choice: Choice,
        reason: &str,
    ) -> Result<ExecutionSummary, Problem> {
        caller.demand(Permission::OperateExecution)?;
        let (id, reason) = (execution_id(id)?, checked_reason(reason)?);
        let effect = crate::resolve::effect_number(number)?;
        let input = Input::Choose { effect, choice, by: caller.principal.id.clone(), reason };
        Ok(Arc::unwrap_or_clone(self.advance(&caller.principal.tenant, &id, input, Some(caller)).await?.row))
    }

    #[expect(clippy::too_many_arguments, reason = "everything that the first event of a fork is made of")]
    fn forked(
        &self,
        caller: &Caller,
        recorded: &Recorded,
        id: &ExecutionId,
        place: &Place,
        input: Option<&EditedInput>,
        request: &ReturnRequest,
        now: Timestamp,
    ) -> Result<Started, Problem> {
        let Some(EventBody::Started(first)) = recorded.whole.first().map(|event| &event.body) else {
            return Err(Problem::machine(format!("history of `{id}`: it does not begin with `started`")));
        };
        let execution = match &request.execution_id {
            Some(id) => ExecutionId::new(id).map_err(|e| {
                Problem::new(422, 4001, "invalid request", e.to_string())
                    .field("/execution_id", e.to_string())
            })?,
            None => ExecutionId::generate(&*self.ids, now),
        };
        let origin = Origin { execution: id.clone(), event: place.event };
        // An input that a rewind edited is the input that the point knows.
        let edited_before =
            recorded.whole[..prefix_len(&recorded.whole, place)].iter().rev().find_map(|event| match &event
                .body
            {
                EventBody::Rewound(rewound) => rewound.input.as_deref(),
                _ => None,
            });
        let replaces = input.or(edited_before).is_some();
        let (value, label) = match input.or(edited_before) {
            Some(input) => (input.value.clone(), input.label),
            None => (first.input.clone(), first.input_label),
        };
        let after = match &recorded.definition.timeout {
            Some(dsl::template::Template::Constant(value)) => {
                Some(dsl::duration::of(value).map_err(|e| Problem::new(422, 1000, "workflow refused", e))?)
            }
            Some(_) | None => None,
        };
        let safe = self.switches.now().on(ControlName::SafeMode);
        Ok(Started {
            execution,
            plan: model::digest_of(&(recorded.definition.digest, &value, &origin)),
            input: value,
            input_blob: None,
            input_label: label,
            requester: caller.principal.id.clone(),
            requester_kind: caller.principal.kind,
            requester_roles: caller.principal.roles.clone(),
            mode: if safe { Mode::Advisory } else { Mode::Live },
            deadline: after.map(|after| now.plus(after)),
            scheduled: None,
            origin: Some(origin),
            placing: model::placing::Placing { queued: None, ..first.placing.clone() },
            // Whoever forks it runs it: it works for no other execution.
            family: model::family::Family {
                parent: None,
                origins: if replaces { Default::default() } else { first.family.origins.clone() },
                latest: first.family.latest.clone(),
            },
            ..(**first).clone()
        })
    }

    /// The execution of the wanted id, when it is this very fork; a conflict when it is something else.
    async fn same_fork(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        request: &ReturnRequest,
        origin: Option<&Origin>,
    ) -> Result<Option<ExecutionSummary>, Problem> {
        if request.execution_id.is_none() || request.dry_run {
            return Ok(None);
        }
        let Some(row) = self.store.execution(tenant, id).await.map_err(|e| store_problem(&e))? else {
            return Ok(None);
        };
        let state = self.brought_back(tenant, id).await?.0;
        if state.started.origin.as_ref() == origin {
            return Ok(Some(row));
        }
        let detail = format!("execution `{id}` exists and is not this fork; choose another id");
        Err(Problem::new(409, 2002, "execution exists", detail))
    }

    async fn stored(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Vec<Event>, Problem> {
        let history = self.store.load(tenant, id).await.map_err(|e| store_problem(&e))?;
        history.map(|history| history.events).ok_or_else(|| Problem::not_found("execution", id.as_str()))
    }

    async fn recorded(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Recorded, Problem> {
        let stored = self.stored(tenant, id).await?;
        let mut whole = stored.clone();
        for event in &mut whole {
            self.inflate(tenant, event).await?;
        }
        let Some(EventBody::Started(started)) = whole.first().map(|event| &event.body) else {
            return Err(Problem::machine(format!("history of `{id}`: it does not begin with `started`")));
        };
        let definition = self.definition(tenant, &started.namespace, &started.name, &started.version).await?;
        if definition.digest != started.definition {
            return Err(Problem::machine(format!(
                "history of `{id}`: its workflow version compiles to another digest than the one it was started with"
            )));
        }
        Ok(Recorded { stored, whole, definition })
    }
}

impl Recorded {
    /// The place that is meant.
    fn find(&self, target: &Target) -> Result<Place, Problem> {
        let all = places::places(&self.definition, &self.stored, &self.whole);
        let nowhere =
            |detail: String| Problem::new(422, 2125, "no such point", detail.clone()).field("/to", detail);
        match target {
            Target::Event(event) => {
                let total = all.len();
                let found = all.into_iter().find(|place| place.event == *event);
                found.ok_or_else(|| {
                    nowhere(format!(
                        "the history has {total} events, so there is no point {event}: give 1 to {total}"
                    ))
                })
            }
            Target::Checkpoint(name) => {
                let found = all.into_iter().find(|place| place.checkpoint.as_ref() == Some(name));
                let place =
                    found.ok_or_else(|| nowhere(format!("the execution has no checkpoint `{name}`")))?;
                if place.recorded != Some(place.digest) {
                    let detail = format!(
                        "the history up to checkpoint `{name}` has another checksum than the one recorded with it: it is damaged, and nothing goes back to it"
                    );
                    return Err(Problem::new(409, 2126, "damaged checkpoint", detail));
                }
                Ok(place)
            }
            Target::Task(task) => {
                let inside = |place: &Place| {
                    place.task.as_deref().is_some_and(|at| {
                        at == task || at.strip_prefix(task.as_str()).is_some_and(|rest| rest.starts_with('/'))
                    })
                };
                let last = all.iter().rposition(&inside).ok_or_else(|| {
                    nowhere(format!(
                        "the flow never waited in a task `{task}`: name one that calls, runs or waits"
                    ))
                })?;
                let same = |place: &Place| {
                    inside(place) && (place.task.as_deref() != Some(task) || place.visit == all[last].visit)
                };
                let first = (0..=last).rev().take_while(|at| same(&all[*at])).last().unwrap_or(last);
                Ok(all[first].clone())
            }
        }
    }
}

/// Runs what takes long on a thread that serves nobody else. A runtime of one thread has none to spare, and decides the
/// whole order of what happens: there it runs at once.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    if tokio::runtime::Handle::current().runtime_flavor() == tokio::runtime::RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(Problem::machine)
}

fn rewinding(
    caller: &Caller,
    place: &Place,
    request: &ReturnRequest,
    input: Option<EditedInput>,
    reason: String,
) -> Rewinding {
    Rewinding {
        to: place.event,
        checkpoint: place.checkpoint.clone(),
        effects: request.effects,
        input,
        by: caller.principal.id.clone(),
        reason,
    }
}

/// The edited input of a request, filtered and checked like any other.
fn edited(
    caller: &Caller,
    definition: &Definition,
    request: &ReturnRequest,
) -> Result<Option<EditedInput>, Problem> {
    let Some(json) = &request.input else { return Ok(None) };
    let label = caller.principal.label();
    let value = Value::from_json(json, label);
    refuse_filtered(&filter::check_input(&value, &InputLimits::default()), "/input")?;
    check_input(definition, json)?;
    let plan = model::digest_of(&(definition.digest, &value));
    Ok(Some(EditedInput { value, blob: None, label, plan }))
}

pub(crate) fn no_return(no: &NoReturn) -> Problem {
    match no {
        NoReturn::Over(_)
        | NoReturn::Told
        | NoReturn::UnderWay(_)
        | NoReturn::Undone(_)
        | NoReturn::InLine
        | NoReturn::Late
        | NoReturn::NotUndoable(_)
        | NoReturn::Undoing(_)
        | NoReturn::Elsewhere
        | NoReturn::TooOften => Problem::new(409, 2124, "no way back", no.to_string()),
        NoReturn::NoPoint { .. } | NoReturn::EndedThere(_) => {
            Problem::new(422, 2125, "no such point", no.to_string()).field("/to", no.to_string())
        }
        NoReturn::InputInside => {
            Problem::new(422, 2125, "no such point", no.to_string()).field("/input", no.to_string())
        }
    }
}

fn checked_name(name: &str) -> Result<String, Problem> {
    let fine = !name.is_empty()
        && name.len() <= NAME_CHARS_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fine {
        return Ok(name.to_owned());
    }
    let detail = format!("a checkpoint's name is 1 to {NAME_CHARS_MAX} characters of A-Z a-z 0-9 . _ -");
    Err(Problem::new(422, 4001, "invalid request", detail.clone()).field("/name", detail))
}

fn checkpoint_name(event: &Event) -> Option<&String> {
    match &event.body {
        EventBody::Checkpoint { name, .. } => Some(name),
        _ => None,
    }
}

fn checkpoint_view(place: Place) -> CheckpointView {
    CheckpointView {
        name: place.checkpoint,
        at: place.at,
        event: place.event,
        task: place.task.map(|task| task.to_string()),
        effect: place.effect.map(|number| number.0),
        bytes: place.bytes,
        sha256: place.digest,
    }
}

fn kept_in(step: &Step) -> Vec<KeptView> {
    let list = step.events.iter().find_map(|event| match &event.body {
        EventBody::Rewound(rewound) => Some(&rewound.kept.list),
        EventBody::Forked(forked) => Some(&forked.kept.list),
        _ => None,
    });
    list.into_iter().flatten().map(kept_view).collect()
}

pub(crate) fn kept_view(kept: &KeptEffect) -> KeptView {
    KeptView {
        effect: kept.effect.0,
        origin: kept.origin.as_ref().map(ToString::to_string),
        task: kept.task.clone(),
        operation: kept.operation.clone(),
        outcome: kept.outcome.name().to_owned(),
        answered: kept.output.is_some(),
        choice: kept.choice.map(|choice| choice_word(choice).to_owned()),
    }
}

fn return_view(execution: ExecutionSummary, place: &Place, kept: Vec<KeptView>) -> ReturnView {
    let task = place.task.as_ref().map(ToString::to_string);
    ReturnView { execution, event: place.event, task, kept }
}

fn prefix_len(events: &[Event], place: &Place) -> usize {
    usize::try_from(place.event).unwrap_or(usize::MAX).min(events.len())
}

/// The choice as the API writes it.
pub(crate) fn choice_word(choice: Choice) -> &'static str {
    match choice {
        Choice::Keep => "keep",
        Choice::Compensate => "compensate",
        Choice::Repeat => "repeat",
    }
}
