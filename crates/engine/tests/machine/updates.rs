//! Updates: weighed before they come in, handled once, and answered.

use engine::{Input, Rejected, Signalled, UPDATES_OPEN_MAX, Updated};
use model::event::CancelMode;
use model::{Label, PrincipalId, Value};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document};

const HANDLER: &str = "
- handle:
    listen:
      to:
        any: [ { with: { type: move, omnihubupdate: true, data: '${ .to != null }' } } ]
        until: { one: { with: { type: close, omnihubexecution: '${ $workflow.id }' } } }
    foreach:
      item: wanted
      do:
        - done: { set: { at: '${ $wanted.to }', was: '${ $context.at }' } }
      export: { as: '${ $context + { at: .at } }' }
";

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks.trim()), &Actions::of(&[]), json!({}))
}

fn update(id: &str, name: &str, data: Json) -> Input {
    let (label, by) = (Label::MODEL, bob());
    let data = Value::from_json(&data, label);
    let attributes = Some(Signalled::update_attributes());
    Input::Signal(Signalled { id: id.into(), name: name.into(), data, label, by, attributes })
}

fn signal(id: &str, name: &str) -> Input {
    let (label, by) = (Label::MODEL, bob());
    Input::Signal(Signalled {
        id: id.into(),
        name: name.into(),
        data: Value::NULL,
        label,
        by,
        attributes: None,
    })
}

/// What an update was answered with, once a replay and a restore agree about it.
fn answer(run: &Run, id: &str) -> Result<Json, String> {
    run.check_replay();
    match run.state.update(id) {
        Some((_, Updated::Answered(Ok(value)))) => Ok(value.to_json()),
        Some((_, Updated::Answered(Err(error)))) => Err(error.detail.unwrap_or(error.kind)),
        other => panic!("`{id}` is answered: {other:?}"),
    }
}

#[test]
fn an_update_is_answered_with_what_its_handler_gave() {
    let mut run = run(HANDLER);
    run.give(update("u1", "move", json!({"to": "a"}))).expect("it listens");
    assert_eq!(answer(&run, "u1"), Ok(json!({"at": "a", "was": null})));
    run.give(update("u2", "move", json!({"to": "b"}))).expect("it listens again");
    assert_eq!(answer(&run, "u2"), Ok(json!({"at": "b", "was": "a"})));
    // The very same changes nothing, whatever has become of the rest.
    let version = run.version();
    run.give(update("u1", "move", json!({"to": "a"}))).expect("it is known");
    assert_eq!(run.version(), version);
    let reused = run.give(update("u1", "move", json!({"to": "z"}))).expect_err("it is another");
    assert_eq!(reused, Rejected::UpdateReused("u1".into()));
    assert_eq!(answer(&run, "u1"), Ok(json!({"at": "a", "was": null})));
    run.give(signal("s", "close")).expect("it may come");
    assert_eq!(run.output(), json!([{"at": "a", "was": null}, {"at": "b", "was": "a"}]));
    assert_eq!(answer(&run, "u2"), Ok(json!({"at": "b", "was": "a"})), "the answer outlives the execution");
    run.give(update("u2", "move", json!({"to": "b"}))).expect("it is known still");
    assert!(matches!(run.give(update("u3", "move", json!({"to": "c"}))), Err(Rejected::Ended(_))));
    assert!(run.state.update("u3").is_none());
}

#[test]
fn what_is_refused_leaves_nothing() {
    let mut run = run(HANDLER);
    let before = run.version();
    let refused = |run: &mut Run, name: &str, data: Json| {
        run.give(update("u", name, data)).expect_err("nobody takes it")
    };
    let unknown = refused(&mut run, "turn", json!({"to": "a"}));
    assert_eq!(unknown, Rejected::UpdateUnknown { name: "turn".into(), known: "`move`".into() });
    let invalid = refused(&mut run, "move", json!({"from": "a"}));
    assert!(matches!(&invalid, Rejected::UpdateRefused { name, .. } if name == "move"), "{invalid}");
    let broken = refused(&mut run, "move", json!("text"));
    assert!(matches!(&broken, Rejected::UpdateRefused { why, .. } if why.contains("string")), "{broken}");
    // `close` is a signal here.
    assert!(matches!(refused(&mut run, "close", json!(null)), Rejected::UpdateUnknown { .. }));
    assert_eq!(run.version(), before);
    assert!(run.state.update("u").is_none());
    // And a signal of the update's name is no update.
    run.give(signal("s", "move")).expect("it may come");
    assert_eq!(run.state.inbox().collect::<Vec<_>>(), ["move"]);
    run.give(update("u", "move", json!({"to": "a"}))).expect("its id is free");
    assert!(answer(&run, "u").is_ok());
}

#[test]
fn before_it_listens_is_not_now() {
    let mut run = run(&format!("- first: {{ wait: PT1M }}\n{}", HANDLER.trim()));
    let early = run.give(update("u", "move", json!({"to": "a"}))).expect_err("it waits");
    assert_eq!(early, Rejected::UpdateNotNow("move".into()));
    assert!(run.state.takes_updates().is_empty());
    assert!(run.jump());
    assert_eq!(run.state.takes_updates().into_iter().collect::<Vec<_>>(), ["move"]);
    run.give(update("u", "move", json!({"to": "a"}))).expect("it listens");
}

/// A handler that takes a minute for each.
fn slow() -> Run {
    let rest = "        - rest: { wait: PT1M }\n        - done:";
    run(&HANDLER.replace("        - done:", rest))
}

#[test]
fn what_is_accepted_meanwhile_is_handled_in_order_and_once() {
    let mut run = slow();
    for n in 0..=UPDATES_OPEN_MAX {
        run.give(update(&n.to_string(), "move", json!({ "to": n }))).expect("there is room");
    }
    let full = run.give(update("more", "move", json!({"to": 0}))).expect_err("there is none");
    assert_eq!(full, Rejected::UpdatesFull);
    run.check_replay();
    assert!(matches!(run.state.update("7"), Some(("move", Updated::Accepted))));
    for n in 0..=UPDATES_OPEN_MAX {
        assert!(matches!(run.state.update(&n.to_string()), Some((_, Updated::Accepted))));
        assert!(run.jump());
        assert!(matches!(run.state.update(&n.to_string()), Some((_, Updated::Answered(Ok(_))))));
    }
    run.give(signal("s", "close")).expect("it may come");
    let output = run.output();
    let moved: Vec<u64> =
        output.as_array().expect("a list").iter().filter_map(|one| one["at"].as_u64()).collect();
    assert_eq!(moved, (0..=UPDATES_OPEN_MAX as u64).collect::<Vec<_>>());
}

#[test]
fn what_was_accepted_is_handled_though_it_would_be_refused_by_then() {
    let tasks = HANDLER
        .replace(".to != null", "$context.at != .to")
        .replace("        - done:", "        - rest: { wait: PT1M }\n        - done:");
    let mut run = run(&tasks);
    run.give(update("u1", "move", json!({"to": "a"}))).expect("it is elsewhere");
    run.give(update("u2", "move", json!({"to": "a"}))).expect("it is elsewhere still");
    assert!(run.jump());
    let late = run.give(update("u3", "move", json!({"to": "a"}))).expect_err("it is there");
    assert!(matches!(late, Rejected::UpdateRefused { .. }), "{late}");
    assert!(run.jump());
    assert_eq!(answer(&run, "u2"), Ok(json!({"at": "a", "was": "a"})));
}

#[test]
fn an_error_of_the_handler_is_the_answer() {
    let failing = HANDLER.replace("$wanted.to", "10 / $wanted.to");
    let caught = format!(
        "- attempt:\n    try:\n{}\n    catch: {{ do: [ {{ sorry: {{ set: {{ sorry: true }} }} }} ] }}",
        failing.trim().lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
    );
    let mut run = run(&caught);
    run.give(update("u", "move", json!({"to": 0}))).expect("it listens");
    let error = answer(&run, "u").expect_err("it cannot be divided");
    assert!(error.contains("divided") || error.contains("zero"), "{error}");
    assert_eq!(run.output(), json!({"sorry": true}));
    // Not caught, it is the execution's end, and the answer says so.
    let mut run = self::run(&failing);
    run.give(update("u", "move", json!({"to": 0}))).expect("it listens");
    assert_eq!(run.error().status, 400);
    let error = answer(&run, "u").expect_err("it cannot be divided");
    assert!(error.contains("the execution faulted"), "{error}");
}

#[test]
fn what_ends_without_answering_says_so() {
    let mut run = slow();
    run.give(update("u1", "move", json!({"to": "a"}))).expect("it listens");
    run.give(update("u2", "move", json!({"to": "b"}))).expect("it will");
    run.give(Input::Cancel(bob(), "enough".into(), CancelMode::Forced)).expect("it may be cancelled");
    for id in ["u1", "u2"] {
        let why = answer(&run, id).expect_err("nobody answered");
        assert!(why.contains("ended first (cancelled)"), "{why}");
    }
    // A time limit of the task that would have answered.
    let mut run = self::run(
        "
- attempt:
    try:
      - handle:
          listen: { to: { one: { with: { type: move, omnihubupdate: true } } } }
          foreach: { do: [ { rest: { wait: PT1H } } ] }
          timeout: { after: PT1M }
    catch: { do: [ { on: { wait: PT1H } } ] }
",
    );
    run.give(update("u", "move", json!(1))).expect("it listens");
    assert!(run.jump());
    assert!(run.state.end.is_none());
    let why = answer(&run, "u").expect_err("its handler was given up");
    assert!(why.contains("time-out"), "{why}");
    // The branch that would have answered lost.
    let mut run = self::run(
        "
- race:
    fork:
      compete: true
      branches:
        - handler:
            listen: { to: { one: { with: { type: move, omnihubupdate: true } } } }
            foreach: { do: [ { rest: { wait: PT1H } } ] }
        - quick: { wait: PT1M }
- on: { wait: PT1H }
",
    );
    run.give(update("u", "move", json!(1))).expect("it listens");
    assert!(run.jump());
    let why = answer(&run, "u").expect_err("its branch lost");
    assert!(why.contains("gave up"), "{why}");
}

#[test]
fn a_large_answer_is_refused() {
    let mut run = run(&HANDLER.replace("$wanted.to", "$wanted.to * 9000"));
    run.give(update("u", "move", json!({"to": "ab"}))).expect("it listens");
    assert_eq!(run.error().status, 400);
    assert!(answer(&run, "u").expect_err("too large").contains("16384 bytes"));
}

#[test]
fn going_back_lets_the_updates_since_wait_for_a_handler() {
    let mut run = run(HANDLER);
    run.give(update("u1", "move", json!({"to": "a"}))).expect("it listens");
    run.give(update("u2", "move", json!({"to": "b"}))).expect("it listens");
    let rewinding = engine::Rewinding {
        to: 2,
        checkpoint: None,
        effects: None,
        input: None,
        by: bob(),
        reason: "again".into(),
    };
    let (state, step) =
        engine::Execution::rewind(&run.definition, &run.events, rewinding, run.now).expect("it may go back");
    let mut events = run.events.clone();
    events.extend(step.events);
    let back = Run::of(state, events, run.now, run.definition.clone());
    for id in ["u1", "u2"] {
        assert!(matches!(back.state.update(id), Some((_, Updated::Answered(Ok(_))))), "{id}");
    }
    assert_eq!(back.state.context().to_json()["at"], json!("b"));
}
