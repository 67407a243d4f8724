//! Snapshots, and what a long execution keeps in memory. That restoring is as good as replaying is checked at every
//! event of every test here: see `Run::check_replay`.

use std::sync::Arc;

use engine::{Execution, Input, Phase, Snapshot, SnapshotError};
use model::PrincipalId;
use model::effect::{Answer, EffectNumber};
use model::event::{Event, EventBody};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done, lost, refused};

/// Iterations of the long loop.
const ITERATIONS: u32 = 500;

const LOOP: &str = "
- each:
    for: { each: n, in: '${ .list }' }
    do:
      - ask: { call: http, with: { method: get, endpoint: 'http://example.com/a' }, output: { as: '${ {list: $input.list, sum: ($input.sum + .one)} }' } }";

fn looped(iterations: u32) -> Run {
    let list: Vec<u32> = (0..iterations).collect();
    Run::start(&document(LOOP.trim()), &Actions::of(&[]), json!({"list": list, "sum": 0}))
}

/// One effect of the loop, answered.
fn round(run: &mut Run) {
    let under_way = run.permit_all();
    for (number, attempt) in under_way {
        run.answer(number.0, attempt, done(json!({"one": 1.5})));
    }
}

fn image(run: &Run) -> Json {
    let bytes = run.state.snapshot().to_bytes().expect("it is plain data");
    serde_json::from_slice(&bytes).expect("it is JSON")
}

fn restored(run: &Run, image: &Json) -> Result<Execution, SnapshotError> {
    Execution::restore(Arc::clone(&run.definition), Snapshot::from_bytes(image.to_string().as_bytes())?)
}

#[test]
fn a_long_loop_keeps_little() {
    let mut run = looped(ITERATIONS);
    let mut sizes = Vec::new();
    for _ in 0..ITERATIONS {
        assert!(run.state.effects.iter().count() <= 2, "the present one, and the one before it");
        sizes.push(image(&run).to_string().len());
        round(&mut run);
    }
    assert_eq!(run.output()["sum"].as_f64(), Some(1.5 * f64::from(ITERATIONS)));
    assert_eq!(run.state.effects.requested(), ITERATIONS);
    assert!(
        sizes[sizes.len() - 1] < sizes[1] + 200,
        "the state does not grow: {} to {}",
        sizes[1],
        sizes[sizes.len() - 1]
    );
    assert_eq!(run.effects().len(), ITERATIONS as usize, "a view still sees them all");
    run.check_replay();
}

#[test]
fn what_a_history_says_of_a_settled_effect_changes_nothing() {
    let mut run = looped(4);
    for _ in 0..3 {
        round(&mut run);
    }
    let before = format!("{:?}", run.state.effects.iter().collect::<Vec<_>>());
    let late = EventBody::EffectAnswered {
        effect: EffectNumber(1),
        attempt: 1,
        answer: Answer::Done { output: model::Value::NULL },
    };
    run.state.apply(&Event { at: run.now, body: late });
    assert_eq!(format!("{:?}", run.state.effects.iter().collect::<Vec<_>>()), before);
    let error = run
        .give(Input::Answered { effect: EffectNumber(1), attempt: 1, answer: lost() })
        .expect_err("it is settled");
    assert_eq!(error.to_string(), "effect 1 is not open any more");
    let error = run
        .give(Input::Answered { effect: EffectNumber(9), attempt: 1, answer: lost() })
        .expect_err("there is none");
    assert_eq!(error.to_string(), "the execution has no effect 9");
}

#[test]
fn what_was_parked_stays() {
    let mut run = looped(6);
    round(&mut run);
    for _ in 0..4 {
        let under_way = run.permit_all();
        under_way.iter().for_each(|(number, attempt)| run.answer(number.0, *attempt, refused(503, true)));
        run.jump();
    }
    assert_eq!(run.state.status().name(), "suspended");
    assert!(matches!(run.state.effect(EffectNumber(2)).map(|e| &e.phase), Some(Phase::Parked { .. })));
    run.give(Input::Retry(PrincipalId::new("user:bob").expect("an identifier"), "it is back".into()))
        .expect("it is parked");
    run.drive(|_| done(json!({"one": 1})));
    let kept: Vec<u32> = run.state.effects.iter().map(|effect| effect.number.0).collect();
    assert_eq!(kept, [2, 6], "its dead letter may have to be closed; and the last one");
}

#[test]
fn an_unknown_outcome_is_not_forgotten() {
    let tasks = "
- send: { call: http, with: { method: post, endpoint: 'http://example.com/a', body: {} } }
- one: { call: http, with: { method: get, endpoint: 'http://example.com/b' } }
- two: { call: http, with: { method: get, endpoint: 'http://example.com/b' } }";
    let mut run = Run::start(&document(tasks.trim()), &Actions::of(&[]), json!({}));
    run.drive(|_| done(json!({})));
    assert!(run.state.effect(EffectNumber(1)).is_none(), "it is settled long ago");
    assert_eq!(run.state.outcome(), Some(model::Outcome::Unknown));
}

#[test]
fn every_kind_of_frame_is_restored() {
    let tasks = "
- outer:
    try:
      - inner:
          for: { each: n, in: '${ .list }' }
          do:
            - nap: { wait: PT1S }
            - ask: { call: http, with: { method: get, endpoint: 'http://example.com/a' }, timeout: { after: PT10M } }
    catch:
      as: problem
      retry: { delay: PT2S, limit: { attempt: { count: 2 } } }
      do:
        - rest: { wait: PT1S }
        - say: { set: { status: '${ $problem.status }', first: 0.1 } }
        - last: { call: http, with: { method: post, endpoint: 'http://example.com/b', body: '${ . }' } }";
    let mut run = Run::start(&document(tasks.trim()), &Actions::of(&[]), json!({"list": [{"a": 1.25}, 2]}));
    run.drive(
        |effect| if effect.task.contains("last") { done(json!({"ok": true})) } else { refused(404, false) },
    );
    assert_eq!(run.output(), json!({"ok": true}));
}

#[test]
fn a_snapshot_that_does_not_fit_is_refused() {
    let mut run = looped(4);
    round(&mut run);
    let good = image(&run);
    assert!(restored(&run, &good).is_ok());
    let with = |pointer: &str, value: Json| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there: {good:#}")) = value;
        restored(&run, &bad).expect_err(pointer)
    };
    assert_eq!(with("/format", json!(99)), SnapshotError::Format(99));
    assert_eq!(with("/definition", json!(model::Digest::of(b"other"))), SnapshotError::Definition);
    assert_eq!(with("/threads/0/context", json!(999)), SnapshotError::Value(999));
    assert_eq!(with("/values/0/l", json!([[0, 700]])), SnapshotError::Value(0));
    assert_eq!(with("/open", json!([3])), SnapshotError::Effect(EffectNumber(3)));
    assert_eq!(
        with("/threads/0/stack/1/task/task", json!("/do/0/other")),
        SnapshotError::Place("/do/0/other".into())
    );
    assert_eq!(with("/threads/0/stack/2/list/position", json!(7)), SnapshotError::Place("/do/0/each".into()));
    assert_eq!(
        with("/threads/0/stack/2/list/part", json!("catch")),
        SnapshotError::Place("/do/0/each".into())
    );
    assert!(matches!(with("/version", json!("x")), SnapshotError::Unreadable(_)));
    assert!(matches!(Snapshot::from_bytes(b"{"), Err(SnapshotError::Unreadable(_))));
}
