//! What is not known stays unknown: lost answers that later answers do not explain, and work that is given up.

use engine::{Input, Rejected};
use model::effect::Answer;
use model::event::EventBody;
use model::{Outcome, PrincipalId};
use serde_json::json;

use crate::driver::{Actions, Run, document, done, lost, refused};

const PUT: &str = "
action: order-put:1.0.0
effect: write
class: idempotent
idempotency: { key: '$workflow.id', header: Idempotency-Key }
input: { schema: { type: object } }
run: { call: http, with: { method: put, endpoint: 'http://shop.example/orders' } }
";
const SEND: &str = "
action: mail-send:1.0.0
effect: write
class: irreversible
input: { schema: { type: object } }
run: { call: http, with: { method: post, endpoint: 'http://shop.example/mails' } }
";

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks.trim()), &Actions::of(&[PUT, SEND]), json!({}))
}

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

/// Answers one attempt after the other; time passes between them, and not after the last.
fn answer_all(run: &mut Run, answers: &[Answer]) {
    for answer in answers {
        if run.state.requested().is_empty() {
            assert!(run.jump(), "it waits for its next attempt");
        }
        let (number, attempt) = run.permit_all()[0];
        run.answer(number.0, attempt, answer.clone());
    }
}

#[test]
fn a_lost_answer_is_not_explained_by_a_later_refusal() {
    let table = [
        (vec![lost(), refused(422, false)], Outcome::Unknown),
        (vec![refused(503, true), refused(422, false)], Outcome::Failed),
        (vec![lost(), lost(), refused(503, true), refused(422, false)], Outcome::Unknown),
    ];
    for (answers, expected) in table {
        let mut run = run("- put: { call: 'order-put:1.0.0', with: {} }");
        answer_all(&mut run, &answers);
        assert_eq!(run.error().status, 422, "{answers:?}");
        assert_eq!(run.state.outcome(), Some(expected), "{answers:?}");
        run.check_replay();
    }
}

#[test]
fn a_caught_failure_whose_answers_were_lost_is_unknown() {
    let tasks = "
- guarded:
    try:
      - put: { call: 'order-put:1.0.0', with: {} }
    catch:
      do:
        - note: { set: { gave: up } }";
    let mut run = run(tasks);
    run.drive(|_| lost());
    assert_eq!(run.output(), json!({"gave": "up"}));
    assert_eq!(run.state.outcome(), Some(Outcome::Unknown));
}

#[test]
fn what_is_given_up_before_its_next_attempt_may_have_happened_in_the_last() {
    let table = [(lost(), Outcome::Unknown), (refused(503, true), Outcome::Failed)];
    for (answer, expected) in table {
        let mut run = run("- put: { call: 'order-put:1.0.0', with: {} }");
        answer_all(&mut run, std::slice::from_ref(&answer));
        run.give(Input::Cancel(bob(), "enough".into(), model::event::CancelMode::Graceful))
            .expect("it waits before its next attempt");
        assert_eq!(run.state.outcome(), Some(expected), "{answer:?}");
        run.check_replay();
    }
}

#[test]
fn parked_work_that_was_only_refused_did_not_happen() {
    let mut run = run("- send: { call: 'mail-send:1.0.0', with: {} }");
    run.drive(|_| refused(503, true));
    assert_eq!(run.state.status().name(), "suspended");
    run.give(Input::Cancel(bob(), "not needed".into(), model::event::CancelMode::Graceful))
        .expect("it is parked");
    assert_eq!(run.state.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_faulted_execution_that_is_cancelled_ends_as_cancelled() {
    let mut run = run("- bad: { raise: { error: { type: 'https://example.com/e', status: 500 } } }");
    assert_eq!(run.state.status().name(), "faulted");
    run.give(Input::Cancel(bob(), "not needed".into(), model::event::CancelMode::Graceful))
        .expect("a faulted execution may be cancelled");
    let ends: Vec<&str> = run
        .events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Ended { status, .. } => Some(status.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(ends, ["faulted", "cancelled"]);
    run.check_replay();
}

#[test]
fn an_effect_that_cannot_be_repeated_is_not_repeated_by_a_retry() {
    let tasks = "- send: { call: 'mail-send:1.0.0', with: {}, output: { as: '${ error }' } }";
    let mut run = run(tasks);
    run.drive(|_| done(json!({"sent": true})));
    assert_eq!(run.state.status().name(), "faulted");
    let retried = run.give(Input::Retry(bob(), "again".into()));
    assert!(
        matches!(retried, Err(Rejected::Nothing(why)) if why.contains("cannot be repeated")),
        "{retried:?}"
    );
}

#[test]
fn a_retry_never_repeats_what_is_done() {
    let call = "call: 'mail-send:1.0.0', with: {}";
    let table = [
        format!("- all: {{ do: [ {{ send: {{ {call} }} }} ], output: {{ as: '${{ error }}' }} }}"),
        format!(
            "- each: {{ for: {{ in: '${{ [1, 2] }}' }}, while: 'if $index == 1 then error else true end', do: [ {{ send: {{ {call} }} }} ] }}"
        ),
    ];
    for tasks in table {
        let mut run = run(&tasks);
        run.drive(|_| done(json!({})));
        assert_eq!(run.state.status().name(), "faulted", "{tasks}");
        let retried = run.give(Input::Retry(bob(), "again".into()));
        assert!(
            matches!(retried, Err(Rejected::Nothing(why)) if why.contains("would repeat them")),
            "{tasks}: {retried:?}"
        );
    }
    let document =
        format!("{}\noutput: {{ as: '${{ error }}' }}", document(&format!("- send: {{ {call} }}")));
    let mut run = Run::start(&document, &Actions::of(&[PUT, SEND]), json!({}));
    run.drive(|_| done(json!({})));
    let retried = run.give(Input::Retry(bob(), "again".into()));
    assert!(
        matches!(retried, Err(Rejected::Nothing(why)) if why.contains("start a new execution")),
        "{retried:?}"
    );
}

#[test]
fn keys_of_different_executions_and_iterations_differ_in_128_bits() {
    let mut run = run(
        "- each: { for: { in: '${ [1, 2] }' }, do: [ { send: { call: 'mail-send:1.0.0', with: {} } } ] }",
    );
    run.drive(|_| done(json!({})));
    let keys: Vec<String> = run.effects().iter().map(|effect| effect.key.clone()).collect();
    assert_eq!(keys.len(), 2);
    for (key, visit) in keys.iter().zip(["-1", "-2"]) {
        assert!(key.len() == 34 && key.ends_with(visit), "{key}");
    }
    assert_ne!(keys[0][..32], keys[1][..32]);
}
