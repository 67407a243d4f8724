//! How long it takes to bring a long execution back: from its whole history, and from a snapshot and the rest.
//!
//! `cargo run -p engine --example replay_speed`

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use dsl::plan::Action;
use engine::{Execution, Input, Judgement, Snapshot};
use model::effect::Answer;
use model::event::{Event, Mode, Started};
use model::id::PermitId;
use model::principal::PrincipalKind;
use model::verdict::{Decision, Risk, RiskLevel, Verdict};
use model::{ActionRef, Digest, ExecutionId, Label, PrincipalId, TenantId, Timestamp, Value};
use serde_json::json;

/// Each makes an effect of three events: judged, started, answered.
const ITERATIONS: u32 = 3334;
/// Events behind the snapshot, as a server has them at the most.
const REST: usize = 200;

const DOCUMENT: &str = "
document: { dsl: '1.0.3', namespace: examples, name: long, version: '1.0.0' }
do:
  - each:
      for: { each: n, in: '${ .list }' }
      do:
        - ask: { call: http, with: { method: get, endpoint: 'http://example.com/a' }, output: { as: '${ {list: $input.list, sum: ($input.sum + .one)} }' } }
";

struct NoActions;

impl dsl::Catalogue for NoActions {
    fn action(&self, _: &ActionRef) -> Option<Arc<Action>> {
        None
    }
    fn actions(&self) -> Vec<ActionRef> {
        Vec::new()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let compiled = dsl::compile(DOCUMENT, &NoActions);
    let definition = compiled.definition.ok_or_else(|| format!("{:#?}", compiled.problems))?;
    let (events, snapshot) = history(&definition)?;
    let stored = serde_json::to_vec(&events)?;
    let rest = serde_json::to_vec(&events[events.len() - REST..])?;
    println!("{} events, {} KiB; snapshot {} KiB", events.len(), stored.len() / 1024, snapshot.len() / 1024);

    let begun = Instant::now();
    let read: Vec<Event> = serde_json::from_slice(&stored)?;
    let replayed =
        Execution::replay(Arc::clone(&definition), &read, false).ok_or("it does not begin with `started`")?;
    println!("whole history:                {:>8.1} ms", begun.elapsed().as_secs_f64() * 1e3);

    let begun = Instant::now();
    let mut restored = Execution::restore(Arc::clone(&definition), Snapshot::from_bytes(&snapshot)?)?;
    let read: Vec<Event> = serde_json::from_slice(&rest)?;
    read.iter().for_each(|event| restored.apply(event));
    println!("snapshot and {REST} events:      {:>8.1} ms", begun.elapsed().as_secs_f64() * 1e3);

    let same = replayed.snapshot().to_bytes()? == restored.snapshot().to_bytes()?;
    println!(
        "effects kept of {}: {}; both states the same: {same}",
        restored.effects.requested(),
        restored.effects.iter().count()
    );
    if same { Ok(()) } else { Err("a snapshot and the rest differ from the whole history".into()) }
}

/// A history of about 10,000 events, and the snapshot of the state before the last of them.
fn history(definition: &Arc<dsl::Definition>) -> Result<(Vec<Event>, Vec<u8>), Box<dyn std::error::Error>> {
    let mut now = Timestamp(1_800_000_000_000);
    let (mut state, step) = Execution::start(Arc::clone(definition), started(definition)?, now);
    let mut events = step.events;
    let risk = Risk { score: 0, level: RiskLevel::Low, factors: Vec::new() };
    while let Some(number) = state.requested().first().copied() {
        now = now.plus(std::time::Duration::from_millis(7));
        let digest = state.effect(number).ok_or("it is requested")?.digest;
        // Another reason each time: the same verdict twice would leave no event.
        let reasons = vec![format!("rule {}", number.0)];
        let verdict = Arc::new(Verdict {
            decision: Decision::Allow,
            reasons,
            policy: Digest::of(b"policy"),
            risk: risk.clone(),
        });
        let judgement = Judgement::Permit {
            digest,
            verdict,
            permit: PermitId::new(format!("p{}", number.0))?,
            epoch: 0,
            lease: 0,
            entry: None,
        };
        events.extend(engine::step(&mut state, Input::Judged(number, judgement), now)?.events);
        let answer = Answer::Done { output: Value::from_json(&json!({"one": 1}), Label::EXTERNAL) };
        events.extend(
            engine::step(&mut state, Input::Answered { effect: number, attempt: 1, answer }, now)?.events,
        );
    }
    let first = Execution::replay(Arc::clone(definition), &events[..events.len() - REST], false)
        .ok_or("it does not begin with `started`")?;
    let snapshot = first.snapshot().to_bytes()?;
    Ok((events, snapshot))
}

fn started(definition: &dsl::Definition) -> Result<Started, Box<dyn std::error::Error>> {
    let list: Vec<u32> = (0..ITERATIONS).collect();
    Ok(Started {
        execution: ExecutionId::new("e1")?,
        tenant: TenantId::new("acme")?,
        namespace: definition.namespace.clone(),
        name: definition.name.clone(),
        version: definition.version.clone(),
        definition: definition.digest,
        plan: Digest::of(b"plan"),
        input: Value::from_json(&json!({"list": list, "sum": 0}), Label::CALLER),
        input_blob: None,
        input_label: Label::CALLER,
        requester: PrincipalId::new("user:alice")?,
        requester_kind: PrincipalKind::User,
        requester_roles: BTreeSet::new(),
        mode: Mode::Live,
        intent: None,
        signed: None,
        deadline: None,
        placing: Default::default(),
        scheduled: None,
        origin: None,
        family: Default::default(),
    })
}
