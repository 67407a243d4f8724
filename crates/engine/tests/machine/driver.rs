//! Drives an execution by hand: a clock that jumps, a gate that permits, an outside that answers from a script.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::plan::Action;
use engine::{End, Execution, Input, Judgement, Snapshot, Step};
use model::effect::{Answer, EffectNumber};
use model::event::{Event, Mode, Started};
use model::id::PermitId;
use model::placing::Placing;
use model::principal::PrincipalKind;
use model::problem::WorkflowError;
use model::verdict::{Decision, Risk, RiskLevel, Verdict};
use model::{ActionRef, Digest, ExecutionId, Label, PrincipalId, TenantId, Timestamp, Value};
use serde_json::{Value as Json, json};

/// Steps of one test at the most.
const STEPS_MAX: usize = 10_000;

pub struct Actions(pub BTreeMap<ActionRef, Arc<Action>>);

impl Actions {
    pub fn of(texts: &[&str]) -> Self {
        let compiled = texts.iter().map(|text| {
            let compiled = dsl::action::compile(text);
            let action = compiled.action.unwrap_or_else(|| panic!("{:#?}", compiled.problems));
            (action.reference.clone(), action)
        });
        Self(compiled.collect())
    }
}

impl dsl::Catalogue for Actions {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.0.get(reference).cloned()
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.0.keys().cloned().collect()
    }
}

/// Snapshots of one history that are restored at the most, about.
const RESTORED_MAX: usize = 100;

fn as_text(snapshot: &Snapshot) -> String {
    String::from_utf8(snapshot.to_bytes().expect("it is plain data")).expect("it is JSON")
}

/// When every run begins.
const BEGIN: Timestamp = Timestamp(1_800_000_000_000);

/// One execution under test.
pub struct Run {
    pub state: Execution,
    pub events: Vec<Event>,
    pub now: Timestamp,
    pub definition: Arc<dsl::Definition>,
    permits: u64,
}

impl Run {
    pub fn start(document: &str, actions: &Actions, input: Json) -> Self {
        Self::start_as(document, actions, input, |started| started)
    }

    /// As [`Run::start`], in line for a place, with a time limit.
    pub fn start_in_line(document: &str, actions: &Actions, input: Json, limit: std::time::Duration) -> Self {
        let placing = Placing { queued: Some("one-at-a-time".into()), ..Placing::default() };
        let deadline = Some(BEGIN.plus(limit));
        Self::start_as(document, actions, input, |started| Started { placing, deadline, ..started })
    }

    pub fn start_as(
        document: &str,
        actions: &Actions,
        input: Json,
        change: impl FnOnce(Started) -> Started,
    ) -> Self {
        let compiled = dsl::compile(document, actions);
        let definition = compiled.definition.unwrap_or_else(|| panic!("{:#?}", compiled.problems));
        let now = BEGIN;
        let started = Started {
            execution: ExecutionId::new("e1").expect("an identifier"),
            tenant: TenantId::new("acme").expect("an identifier"),
            namespace: definition.namespace.clone(),
            name: definition.name.clone(),
            version: definition.version.clone(),
            definition: definition.digest,
            plan: Digest::of(b"plan"),
            input: Value::from_json(&input, Label::CALLER),
            input_blob: None,
            input_label: Label::CALLER,
            requester: PrincipalId::new("user:alice").expect("an identifier"),
            requester_kind: PrincipalKind::User,
            requester_roles: Default::default(),
            mode: Mode::Live,
            intent: None,
            signed: None,
            deadline: None,
            placing: Default::default(),
            scheduled: None,
            origin: None,
            family: Default::default(),
        };
        let (state, step) = Execution::start(Arc::clone(&definition), change(started), now);
        Self::of(state, step.events, now, definition)
    }

    pub fn of(
        state: Execution,
        events: Vec<Event>,
        now: Timestamp,
        definition: Arc<dsl::Definition>,
    ) -> Self {
        Self { state, events, now, definition, permits: 0 }
    }

    /// Number of events so far.
    pub fn version(&self) -> u64 {
        self.events.len() as u64
    }

    pub fn give(&mut self, input: Input) -> Result<(), engine::Rejected> {
        let Step { events } = engine::step(&mut self.state, input, self.now)?;
        self.events.extend(events);
        Ok(())
    }

    /// Permits everything that is requested; answers what then is under way.
    pub fn permit_all(&mut self) -> Vec<(EffectNumber, u32)> {
        while let Some(number) = self.state.requested().first().copied() {
            self.permits += 1;
            let judgement = Judgement::Permit {
                digest: self.state.effect(number).expect("it is requested").digest,
                verdict: verdict(Decision::Allow),
                permit: PermitId::new(format!("p{}", self.permits)).expect("an identifier"),
                epoch: 0,
                lease: 0,
                entry: None,
            };
            self.give(Input::Judged(number, judgement)).expect("it is requested");
        }
        let under_way = self.state.open_effects().filter(|e| e.phase == engine::Phase::Started);
        under_way.map(|e| (e.number, e.attempts.last().expect("it started").number)).collect()
    }

    /// An answer takes a millisecond.
    pub fn answer(&mut self, effect: u32, attempt: u32, answer: Answer) {
        self.now = self.now.plus(std::time::Duration::from_millis(1));
        self.give(Input::Answered { effect: EffectNumber(effect), attempt, answer })
            .expect("it is under way");
    }

    /// Jumps to the next moment that matters; false when there is none.
    pub fn jump(&mut self) -> bool {
        let Some((at, _)) = self.state.next_wakeup() else { return false };
        self.now = self.now.max(at);
        self.give(Input::Wake).expect("time may always come");
        true
    }

    /// Runs to the end (or until it waits for people), answering every effect by `outside`.
    pub fn drive(&mut self, mut outside: impl FnMut(&engine::Effect) -> Answer) {
        for _ in 0..STEPS_MAX {
            let under_way = self.permit_all();
            for (number, attempt) in &under_way {
                let answer = outside(self.state.effect(*number).expect("it is under way"));
                self.answer(number.0, *attempt, answer);
            }
            if self.state.end.is_some() || (under_way.is_empty() && !self.jump()) {
                break;
            }
        }
        self.check_replay();
    }

    /// A replay of the history gives the same state: from its beginning, and from a snapshot after any event.
    pub fn check_replay(&self) {
        let stored = serde_json::to_string(&self.events).expect("events serialize");
        let events: Vec<Event> = serde_json::from_str(&stored).expect("events are read back");
        self.check_same(&self.replay(&events, true));
        let mut replayed = self.replay(&events[..1], false);
        let mut snapshots = Vec::new();
        for position in 1..events.len() {
            // Every place of a short history; of a long one enough of them.
            if events.len() <= RESTORED_MAX || position % (events.len() / RESTORED_MAX) == 0 {
                snapshots.push((position, as_text(&replayed.snapshot())));
            }
            replayed.follow(&events, position);
        }
        assert_eq!(format!("{:?}", replayed.effects), format!("{:?}", self.state.effects));
        self.check_same(&replayed);
        let end = as_text(&replayed.snapshot());
        for (position, snapshot) in snapshots {
            let mut restored = self.restored(&snapshot);
            assert_eq!(as_text(&restored.snapshot()), snapshot);
            (position..events.len()).for_each(|position| restored.follow(&events, position));
            self.check_same(&restored);
            assert_eq!(format!("{:?}", restored.effects), format!("{:?}", replayed.effects));
            assert_eq!(as_text(&restored.snapshot()), end);
        }
    }

    fn check_same(&self, other: &Execution) {
        assert_eq!(other.end, self.state.end);
        assert_eq!(other.outcome(), self.state.outcome());
        assert_eq!(other.next_wakeup(), self.state.next_wakeup());
        assert_eq!(other.status(), self.state.status());
        assert_eq!(other.requested(), self.state.requested());
        assert_eq!(
            (other.version, other.paused, other.pending, other.end_recorded),
            (self.state.version, self.state.paused, self.state.pending, self.state.end_recorded)
        );
    }

    fn replay(&self, events: &[Event], tracing: bool) -> Execution {
        Execution::replay(Arc::clone(&self.definition), events, tracing).expect("it begins with `started`")
    }

    fn restored(&self, text: &str) -> Execution {
        let snapshot = Snapshot::from_bytes(text.as_bytes()).expect("it is a snapshot");
        Execution::restore(Arc::clone(&self.definition), snapshot).expect("it belongs to the definition")
    }

    /// Every effect there ever was; the state itself keeps those that still matter.
    pub fn effects(&self) -> Vec<engine::Effect> {
        self.replay(&self.events, true).effects.iter().cloned().collect()
    }

    pub fn output(&self) -> Json {
        match &self.state.end {
            Some(End::Completed(output)) => output.to_json(),
            other => panic!("not completed: {other:?}"),
        }
    }

    pub fn error(&self) -> WorkflowError {
        match &self.state.end {
            Some(End::Faulted(error)) => error.clone(),
            other => panic!("not faulted: {other:?}"),
        }
    }
}

pub fn verdict(decision: Decision) -> Arc<Verdict> {
    let risk = Risk { score: 0, level: RiskLevel::Low, factors: Vec::new() };
    Arc::new(Verdict { decision, reasons: Vec::new(), policy: Digest::of(b"policy"), risk })
}

pub fn done(output: Json) -> Answer {
    Answer::Done { output: Value::from_json(&output, Label::EXTERNAL) }
}

pub fn refused(status: u16, transient: bool) -> Answer {
    let error =
        WorkflowError::standard("communication", status, "Communication Error", "the outside said no");
    Answer::Refused { error, transient, retry_after_ms: None }
}

pub fn lost() -> Answer {
    Answer::Lost { error: WorkflowError::governed("lost", 504, "Answer Lost", "the line broke") }
}

/// A document around tasks; `tasks` is YAML of the list under `do`, without indentation.
pub fn document(tasks: &str) -> String {
    let indented: String = tasks.lines().map(|line| format!("  {line}\n")).collect();
    format!("document: {{ dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0' }}\ndo:\n{indented}")
}

/// The output of tasks that need no outside.
pub fn output_of(tasks: &str, input: Json) -> Json {
    let mut run = Run::start(&document(tasks), &Actions::of(&[]), input);
    run.drive(|_| done(json!(null)));
    run.output()
}

/// The error of tasks that need no outside.
pub fn error_of(tasks: &str, input: Json) -> WorkflowError {
    let mut run = Run::start(&document(tasks), &Actions::of(&[]), input);
    run.drive(|_| done(json!(null)));
    run.error()
}
