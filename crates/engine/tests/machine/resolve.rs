//! Resolution: what a person found out about an effect of unknown outcome, and what the flow makes of it.

use engine::{Input, Phase, Rejected, Resolvable};
use model::effect::{Answer, EffectNumber};
use model::event::{EventBody, Resolved};
use model::{Label, Outcome, PrincipalId, Value};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done, lost, refused};

const SEND: &str = "
action: mail-send:1.0.0
effect: write
class: irreversible
input: { schema: { type: object } }
output: { schema: { document: { type: object, required: [id] } } }
run: { call: http, with: { method: post, endpoint: 'http://shop.example/mails' } }
";
const PUT: &str = "
action: order-put:1.0.0
effect: write
class: idempotent
idempotency: { key: '$workflow.id', header: Idempotency-Key }
input: { schema: { type: object } }
run: { call: http, with: { method: put, endpoint: 'http://shop.example/orders' } }
";

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks.trim()), &Actions::of(&[SEND, PUT]), json!({}))
}

fn word(effect: u32, outcome: Outcome, evidence: &str, output: Option<Json>) -> Resolved {
    Resolved {
        effect: EffectNumber(effect),
        outcome,
        evidence: evidence.to_owned(),
        output: output.map(|json| Value::from_json(&json, Label::EXTERNAL)),
        output_blob: None,
        by: PrincipalId::new("user:bob").expect("an identifier"),
        reason: String::new(),
    }
}

/// As the shell does it: the whole history is asked first.
fn say(run: &mut Run, resolved: Resolved) -> Result<(), Rejected> {
    let whole = engine::Execution::replay(std::sync::Arc::clone(&run.definition), &run.events, true)
        .expect("it replays");
    let change = whole.resolvable(&resolved)?;
    if change == Resolvable::Same {
        return Ok(());
    }
    let looked_up = change == Resolvable::Settled;
    run.give(Input::Resolve { resolved: Box::new(resolved), looked_up })
}

/// One effect whose answer was lost, parked.
fn parked(tasks: &str) -> Run {
    let mut run = run(tasks);
    let (number, attempt) = run.permit_all()[0];
    run.answer(number.0, attempt, lost());
    assert_eq!(run.state.effect(number).map(|e| e.phase.clone()), Some(Phase::Parked { repeatable: false }));
    run
}

const MAIL: &str = "- mail: { call: 'mail-send:1.0.0', with: {} }";

#[test]
fn what_is_real_lets_the_flow_go_on_with_the_stated_output() {
    let mut run = parked(MAIL);
    say(&mut run, word(1, Outcome::Verified, "seen in the outbox", Some(json!({"id": 7}))))
        .expect("it is parked");
    assert_eq!(run.output(), json!({"id": 7}));
    assert_eq!(run.state.outcome(), Some(Outcome::Verified));
    run.check_replay();
}

#[test]
fn without_an_output_the_contract_speaks() {
    let mut run = parked(MAIL);
    say(&mut run, word(1, Outcome::Verified, "seen", None)).expect("it is parked");
    assert_eq!(run.state.outcome(), Some(Outcome::Verified));
    run.check_replay();
}

#[test]
fn what_is_not_real_raises_the_error_of_the_effect() {
    let mut plain = parked(MAIL);
    say(&mut plain, word(1, Outcome::Failed, "not in the outbox", None)).expect("it is parked");
    assert_eq!((plain.error().status, plain.state.outcome()), (504, Some(Outcome::Failed)));
    plain.check_replay();
    let tasks = "
- guarded:
    try:
      - mail: { call: 'mail-send:1.0.0', with: {} }
    catch:
      do:
        - note: { set: { gave: up } }";
    let mut caught = parked(tasks);
    say(&mut caught, word(1, Outcome::Failed, "not in the outbox", None)).expect("it is parked");
    assert_eq!((caught.output(), caught.state.outcome()), (json!({"gave": "up"}), Some(Outcome::Verified)));
    caught.check_replay();
}

#[test]
fn a_failed_one_may_be_tried_again() {
    let mut run = parked("- mail: { call: 'mail-send:1.0.0', with: { to: '${ .to }' } }");
    say(&mut run, word(1, Outcome::Failed, "not in the outbox", None)).expect("it is parked");
    let bob = PrincipalId::new("user:bob").expect("an identifier");
    run.give(Input::Retry(bob, "it was not sent".into())).expect("nothing happened, so nothing is repeated");
    run.drive(|_| done(json!({"id": 8})));
    assert_eq!(run.output(), json!({"id": 8}));
}

#[test]
fn the_same_word_again_changes_nothing_and_another_is_refused() {
    let mut run = parked(MAIL);
    let said = word(1, Outcome::Verified, "seen", Some(json!({"id": 7})));
    say(&mut run, said.clone()).expect("it is parked");
    let events = run.events.len();
    say(&mut run, said).expect("it is the same word");
    assert_eq!(run.events.len(), events);
    let table = [
        word(1, Outcome::Failed, "seen", None),
        word(1, Outcome::Verified, "seen elsewhere", Some(json!({"id": 7}))),
        word(1, Outcome::Verified, "seen", Some(json!({"id": 8}))),
        word(1, Outcome::Verified, "seen", None),
    ];
    for other in table {
        assert_eq!(say(&mut run, other.clone()), Err(Rejected::Resolved(EffectNumber(1))), "{other:?}");
    }
    run.check_replay();
}

#[test]
fn what_is_not_in_doubt_is_refused() {
    let no = |run: &mut Run, resolved| match say(run, resolved) {
        Err(Rejected::Settled { why, .. }) => why.to_owned(),
        Err(Rejected::BadArguments(why)) => why,
        other => panic!("{other:?}"),
    };
    let real = |effect| word(effect, Outcome::Verified, "seen", None);
    let mut run = run(MAIL);
    assert!(no(&mut run, real(1)).contains("still under way"), "requested");
    assert_eq!(say(&mut run, real(2)), Err(Rejected::NoEffect(EffectNumber(2))));
    let (number, attempt) = run.permit_all()[0];
    assert!(no(&mut run, real(1)).contains("still under way"), "on the wire");
    run.answer(number.0, attempt, refused(422, false));
    assert!(no(&mut run, real(1)).contains("known outcome"), "refused");
    let mut run = parked(MAIL);
    assert!(
        no(&mut run, word(1, Outcome::Verified, "seen", Some(json!({"no": "id"})))).contains("id"),
        "shape"
    );
    assert!(no(&mut run, word(1, Outcome::Failed, "seen", Some(json!({"id": 1})))).contains("no output"));
    assert!(no(&mut run, word(1, Outcome::Unknown, "seen", None)).contains("verified"));
    run.check_replay();
}

/// Two unverified effects and a wait behind them, so that both are forgotten by the state that runs.
const TWO: &str = "
- one: { call: 'order-put:1.0.0', with: {} }
- two: { call: 'order-put:1.0.0', with: {} }
- nap: { wait: PT1S }
- three: { call: 'order-put:1.0.0', with: {} }";

#[test]
fn what_settled_unknown_is_upgraded_and_so_is_the_end() {
    let mut run = run(TWO);
    run.drive(|_| done(json!({"id": 1})));
    assert_eq!(run.state.outcome(), Some(Outcome::Unknown));
    for (effect, expected) in [(1, Outcome::Unknown), (2, Outcome::Unknown), (3, Outcome::Verified)] {
        say(&mut run, word(effect, Outcome::Verified, "seen", None)).expect("its outcome is unknown");
        assert_eq!(run.state.outcome(), Some(expected), "after effect {effect}");
        run.check_replay();
    }
    let ends: Vec<Outcome> = run
        .events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Ended { outcome, .. } => Some(*outcome),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [Outcome::Unknown, Outcome::Verified], "an end that changed is told once more");
    assert!(run.effects().iter().all(|e| e.outcome == Some(Outcome::Verified)));
    say(&mut run, word(1, Outcome::Verified, "seen", None)).expect("the same word again");
    assert!(say(&mut run, word(1, Outcome::Failed, "seen", None)).is_err());
}

#[test]
fn what_was_taken_for_real_and_is_not_fails_the_execution() {
    let mut run = run(TWO);
    for _ in 0..2 {
        let (number, attempt) = run.permit_all()[0];
        run.answer(number.0, attempt, done(json!({"id": 1})));
    }
    say(&mut run, word(1, Outcome::Failed, "the shop has no such order", None))
        .expect("its outcome is unknown");
    assert!(run.state.end.is_none(), "the flow went on long ago");
    run.drive(|_| done(json!({"id": 1})));
    for effect in [2, 3] {
        say(&mut run, word(effect, Outcome::Verified, "seen", None)).expect("its outcome is unknown");
    }
    assert_eq!(run.output(), json!({"id": 1}));
    assert_eq!(run.state.outcome(), Some(Outcome::Failed), "one of its effects is not real");
    run.check_replay();
}

#[test]
fn an_output_for_what_nobody_waits_for_is_refused() {
    let mut run = run(TWO);
    run.drive(|_| done(json!({"id": 1})));
    let said = word(1, Outcome::Verified, "seen", Some(json!({"id": 2})));
    assert!(matches!(say(&mut run, said), Err(Rejected::BadArguments(_))));
}

#[test]
fn whatever_is_parked_can_be_resolved() {
    let mut run = run("- put: { call: 'order-put:1.0.0', with: {} }");
    for _ in 0..4 {
        if run.state.requested().is_empty() {
            run.jump();
        }
        let Some((number, attempt)) = run.permit_all().first().copied() else { break };
        run.answer(number.0, attempt, Answer::clone(&refused(503, true)));
    }
    assert!(run.state.open_effects().any(|e| matches!(e.phase, Phase::Parked { repeatable: true })));
    say(&mut run, word(1, Outcome::Verified, "done by hand", Some(json!("by hand")))).expect("it is parked");
    assert_eq!(run.output(), json!("by hand"));
    run.check_replay();
}
