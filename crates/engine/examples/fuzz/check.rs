//! What must hold of any text: it is read, formatted, drawn, compiled and run, or refused, and each way agrees with the next.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dsl::expr::{Budget, Expr, Vars};
use dsl::plan::Action;
use engine::{Execution, Input, Judgement, Signalled, Snapshot};
use model::effect::{Answer, EffectNumber};
use model::event::{Event, Mode, Started};
use model::id::PermitId;
use model::principal::PrincipalKind;
use model::verdict::{Decision, Risk, RiskLevel, Verdict};
use model::{ActionRef, Digest, ExecutionId, Label, PrincipalId, TenantId, Timestamp, Value};
use serde_json::{Value as Json, json};

use crate::mutate::Subject;

/// Inputs that an execution is given at the most.
const STEPS_MAX: usize = 40;

/// How far the cases came.
#[derive(Default)]
pub struct Tally {
    parsed: u64,
    evaluated: u64,
    read: u64,
    shaped: u64,
    compiled: u64,
    ended: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expressions: {} parsed, {} gave a value; documents: {} read, {} of the right shape, {} compiled and run, {} ended",
            self.parsed, self.evaluated, self.read, self.shaped, self.compiled, self.ended
        )
    }
}

struct Refund(BTreeMap<ActionRef, Arc<Action>>);

impl dsl::Catalogue for Refund {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.0.get(reference).cloned()
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.0.keys().cloned().collect()
    }
}

/// The actions of the example.
fn catalogue() -> Refund {
    let texts = [
        include_str!("../../../../examples/refund/actions/order-read.yaml"),
        include_str!("../../../../examples/refund/actions/refund-create.yaml"),
        include_str!("../../../../examples/refund/actions/refund-read.yaml"),
    ];
    let actions = texts.iter().filter_map(|text| dsl::action::compile(text).action);
    Refund(actions.map(|action| (action.reference.clone(), action)).collect())
}

/// The error says what does not hold.
pub fn check(subject: &Subject, tally: &mut Tally) -> Result<(), String> {
    match subject {
        Subject::Expression { text, input } => expression(text, input, tally),
        Subject::Document(text) => document(text, tally),
    }
}

fn expression(text: &str, input: &Json, tally: &mut Tally) -> Result<(), String> {
    let expr = match Expr::parse(text) {
        Ok(expr) => expr,
        Err(error) if error.message.is_empty() || error.offset > text.len() => {
            return Err(format!("is refused without words, or outside itself ({})", error.offset));
        }
        Err(_) => return Ok(()),
    };
    tally.parsed += 1;
    let input = Value::from_json(input, Label::CALLER);
    let one = Value::from_json(&json!([1]), Label::MODEL);
    let given: Vec<(&str, &Value)> = expr.variables().map(|name| (name, &one)).collect();
    let eval = || expr.eval(&input, &Vars(&given), &mut Budget::default());
    let (first, second) = (eval(), eval());
    let same = match (&first, &second) {
        (Ok(a), Ok(b)) => printed(a) == printed(b),
        (Err(a), Err(b)) => a.message == b.message,
        _ => false,
    };
    tally.evaluated += u64::from(first.is_ok());
    if same { Ok(()) } else { Err("gives another result the second time".to_owned()) }
}

fn document(text: &str, tally: &mut Tally) -> Result<(), String> {
    let read = dsl::data::read(text);
    tally.read += u64::from(read.is_ok());
    match (&read, dsl::format::format(text)) {
        (Err(_), Err(_)) => {}
        (Err(_), Ok(_)) => return Err("is formatted but cannot be read".to_owned()),
        (Ok(_), Err(problems)) => return Err(format!("cannot be formatted: {problems:?}")),
        (Ok(meaning), Ok(written)) => {
            let again = dsl::data::read(&written)
                .map_err(|problems| format!("is written so that it cannot be read: {problems:?}"))?;
            if printed(&again) != printed(meaning) {
                return Err("means something else once it is formatted".to_owned());
            }
            if dsl::format::format(&written).as_deref() != Ok(&*written) {
                return Err(format!("is formatted otherwise the second time:\n{written}"));
            }
        }
    }
    let shaped = dsl::picture::draw(text, dsl::picture::Frame::File).is_ok();
    tally.shaped += u64::from(shaped);
    dsl::json_schema::problems(text);
    dsl::action::compile(text);
    let compiled = dsl::compile(text, &catalogue());
    if compiled.definition.is_some() && !shaped {
        return Err("is accepted but cannot be drawn".to_owned());
    }
    if compiled.problems.iter().any(|problem| problem.line == 0 || problem.message.is_empty()) {
        return Err("has a problem without a place or words".to_owned());
    }
    let Some(definition) = compiled.definition else { return Ok(()) };
    tally.compiled += 1;
    run(&definition, tally)
}

fn run(definition: &Arc<dsl::Definition>, tally: &mut Tally) -> Result<(), String> {
    let id = |text: &str| PrincipalId::new(text).map_err(|error| error.to_string());
    let mut now = Timestamp(1_800_000_000_000);
    let started = Started {
        execution: ExecutionId::new("fuzz").map_err(|error| error.to_string())?,
        tenant: TenantId::new("fuzz").map_err(|error| error.to_string())?,
        namespace: definition.namespace.clone(),
        name: definition.name.clone(),
        version: definition.version.clone(),
        definition: definition.digest,
        plan: Digest::of(b"plan"),
        input: Value::from_json(&json!({ "x": 1, "list": [1, 2, 3], "orderId": "7" }), Label::CALLER),
        input_blob: None,
        input_label: Label::CALLER,
        requester: id("user:alice")?,
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
    let (mut state, step) = Execution::start(Arc::clone(definition), started, now);
    let mut events = step.events;
    for round in 0..STEPS_MAX {
        let input = match (
            state.requested().first().copied(),
            state.open_effects().find(|e| e.phase == engine::Phase::Started),
        ) {
            (Some(number), _) => Input::Judged(number, permit(&state, number, round)?),
            (None, Some(effect)) if !effect.request.is_execution() => {
                let attempt = effect.attempts.last().map_or(1, |attempt| attempt.number);
                let output = Value::from_json(
                    &json!({ "n": round, "status": "settled", "currency": "EUR" }),
                    Label::EXTERNAL,
                );
                Input::Answered { effect: effect.number, attempt, answer: Answer::Done { output } }
            }
            _ if state.end.is_some() => break,
            _ => match state.next_wakeup() {
                Some((at, _)) => {
                    now = now.max(at);
                    Input::Wake
                }
                None => Input::Signal(Signalled {
                    id: round.to_string(),
                    name: "go".into(),
                    data: Value::from_json(&json!({ "n": round }), Label::EXTERNAL),
                    label: Label::EXTERNAL,
                    by: id("user:bob")?,
                    attributes: None,
                }),
            },
        };
        match engine::step(&mut state, input, now) {
            Ok(step) => events.extend(step.events),
            Err(_) => break,
        }
    }
    tally.ended += u64::from(state.end.is_some());
    same_again(definition, &state, &events)
}

fn permit(state: &Execution, number: EffectNumber, round: usize) -> Result<Judgement, String> {
    let effect = state.effect(number).ok_or("requests an effect that it does not have")?;
    let risk = Risk { score: 0, level: RiskLevel::Low, factors: Vec::new() };
    Ok(Judgement::Permit {
        digest: effect.digest,
        verdict: Arc::new(Verdict {
            decision: Decision::Allow,
            reasons: Vec::new(),
            policy: Digest::of(b"fuzz"),
            risk,
        }),
        permit: PermitId::new(format!("p{round}")).map_err(|error| error.to_string())?,
        epoch: 0,
        lease: 0,
        entry: None,
    })
}

/// From the stored history, and from a snapshot in its middle.
fn same_again(definition: &Arc<dsl::Definition>, state: &Execution, events: &[Event]) -> Result<(), String> {
    let stored = serde_json::to_string(events).map_err(|error| format!("cannot be stored: {error}"))?;
    let read: Vec<Event> = serde_json::from_str(&stored)
        .map_err(|error| format!("is stored so that it cannot be read: {error}"))?;
    let whole =
        Execution::replay(Arc::clone(definition), &read, false).ok_or("has a history that does not begin")?;
    if whole.end != state.end
        || whole.status() != state.status()
        || whole.next_wakeup() != state.next_wakeup()
    {
        return Err("is replayed to another state".to_owned());
    }
    let middle = read.len() / 2;
    let Some(mut half) = Execution::replay(Arc::clone(definition), &read[..middle.max(1)], false) else {
        return Ok(());
    };
    let bytes = half.snapshot().to_bytes().map_err(|error| format!("has no snapshot: {error}"))?;
    let snapshot = Snapshot::from_bytes(&bytes)
        .map_err(|error| format!("has a snapshot that cannot be read: {error}"))?;
    half = Execution::restore(Arc::clone(definition), snapshot)
        .map_err(|error| format!("is not restored: {error}"))?;
    for position in middle.max(1)..read.len() {
        half.follow(&read, position);
    }
    if half.end != state.end || half.status() != state.status() {
        return Err("is restored to another state".to_owned());
    }
    Ok(())
}

/// With the order of members, which comparing values would not see.
fn printed(value: &Value) -> String {
    value.to_json().to_string()
}
