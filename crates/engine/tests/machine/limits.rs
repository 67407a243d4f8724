//! Time limits and `try`: where an error goes, what it sees, and where a retry by hand begins.

use std::time::Duration;

use engine::{Input, Rejected};
use model::PrincipalId;
use serde_json::json;

use crate::driver::{Actions, Run, document, done, error_of, output_of, refused};

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks.trim()), &Actions::of(&[]), json!({}))
}

const RAISE: &str = "raise: { error: { type: 'https://example.com/e', status: 503 } }";

#[test]
fn an_error_whose_retries_are_spent_is_not_swallowed() {
    let tasks = format!(
        "
- guarded:
    try:
      - bad: {{ {RAISE} }}
    catch:
      retry: {{ delay: PT1S, limit: {{ attempt: {{ count: 2 }} }} }}"
    );
    let mut run = run(&tasks);
    let began = run.now;
    run.drive(|_| done(json!(null)));
    assert_eq!(run.error().status, 503);
    assert_eq!(run.now.since(began).as_secs(), 2);
    let swallowed = format!("- guarded: {{ try: [ {{ bad: {{ {RAISE} }} }} ], catch: {{}} }}");
    assert_eq!(
        output_of(&swallowed, json!({"kept": 1})),
        json!({"kept": 1}),
        "a `catch` of nothing but errors drops them"
    );
}

#[test]
fn an_error_in_catch_do_goes_to_the_next_try_outside() {
    let tasks = format!(
        "
- outer:
    try:
      - inner:
          try:
            - bad: {{ {RAISE} }}
          catch:
            do:
              - worse: {{ raise: {{ error: {{ type: 'https://example.com/f', status: 418 }} }} }}
    catch:
      do:
        - note: {{ set: {{ caught: '${{ $error.status }}', at: '${{ $error.instance }}' }} }}"
    );
    assert_eq!(
        output_of(tasks.trim(), json!({})),
        json!({"caught": 418, "at": "/do/0/outer/try/0/inner/catch/do/0/worse"})
    );
}

#[test]
fn a_catch_sees_the_variables_of_its_own_place() {
    let tasks = format!(
        "
- outer:
    for: {{ in: '${{ [\"outer\"] }}' }}
    do:
      - guarded:
          try:
            - inner:
                for: {{ in: '${{ [\"inner\"] }}' }}
                do:
                  - bad: {{ {RAISE} }}
          catch:
            when: '$item == \"outer\"'
            do:
              - note: {{ set: {{ item: '${{ $item }}' }} }}"
    );
    assert_eq!(output_of(tasks.trim(), json!({})), json!({"item": "outer"}));
}

#[test]
fn a_catch_that_cannot_be_evaluated_catches_nothing() {
    let tasks = format!(
        "- guarded: {{ try: [ {{ bad: {{ {RAISE} }} }} ], catch: {{ when: '.no | error', do: [ {{ note: {{ set: {{ a: 1 }} }} }} ] }} }}"
    );
    let error = error_of(&tasks, json!({}));
    assert!(error.kind.ends_with("/expression"), "{error:?}");
    assert_eq!(error.instance.as_deref(), Some("/do/0/guarded"));
}

#[test]
fn the_nearest_try_decides_who_retries() {
    let tasks = "
- outer:
    try:
      - inner:
          try:
            - get: { call: http, with: { method: get, endpoint: 'http://example.com/a' } }
          catch:
            do:
              - note: { set: { gave: up } }
    catch:
      retry: { delay: PT1S, limit: { attempt: { count: 2 } } }";
    let mut run = run(tasks);
    run.drive(|_| refused(503, true));
    assert_eq!(run.output(), json!({"gave": "up"}));
    assert_eq!(
        run.effects()[0].attempts.len(),
        4,
        "the retries of a `try` that never gets the error do not count"
    );
}

#[test]
fn a_retry_after_a_time_out_goes_on_where_it_stopped() {
    let tasks = "
- limited:
    timeout: { after: PT10S }
    do:
      - first: { call: http, with: { method: get, endpoint: 'http://example.com/a' } }
      - nap: { wait: PT8S }
      - second: { call: http, with: { method: get, endpoint: 'http://example.com/b' } }
      - rest: { wait: PT3S }";
    let mut run = run(tasks);
    let mut asked = Vec::new();
    run.drive(|effect| {
        asked.push(effect.task.to_string());
        done(json!({}))
    });
    assert_eq!(run.error().status, 408);
    run.now = run.now.plus(Duration::from_secs(3600));
    run.give(Input::Retry(bob(), "slow today".into())).expect("it is faulted");
    run.drive(|effect| {
        asked.push(effect.task.to_string());
        done(json!({}))
    });
    assert_eq!(run.state.status().name(), "completed");
    assert_eq!(asked, ["/do/0/limited/do/0/first", "/do/0/limited/do/2/second"], "nothing ran twice");
}

#[test]
fn an_attempt_has_its_own_limit() {
    let tasks = "
- guarded:
    try:
      - nap: { wait: PT1H }
    catch:
      errors: { with: { status: 408 } }
      retry: { delay: PT1S, limit: { attempt: { count: 2, duration: PT5S } } }
      do:
        - note: { set: { gave: up } }";
    let mut run = run(tasks);
    let began = run.now;
    run.drive(|_| done(json!(null)));
    assert_eq!(run.output(), json!({"gave": "up"}));
    assert_eq!(run.now.since(began).as_secs(), 5 + 1 + 5 + 1 + 5);
}

#[test]
fn nothing_starts_after_a_time_limit_whatever_comes_first() {
    let tasks = "
- limited:
    timeout: { after: PT10S }
    do:
      - first: { call: http, with: { method: get, endpoint: 'http://example.com/a' } }
      - second: { call: http, with: { method: get, endpoint: 'http://example.com/b' } }";
    let mut late = run(tasks);
    let (number, attempt) = late.permit_all()[0];
    late.now = late.now.plus(Duration::from_secs(11));
    late.answer(number.0, attempt, done(json!({})));
    assert!(late.state.requested().is_empty());
    assert_eq!(late.error().status, 408);
    late.check_replay();

    let mut paused = run(tasks);
    let (number, attempt) = paused.permit_all()[0];
    paused.give(Input::Pause(bob(), "look".into())).expect("it runs");
    paused.answer(number.0, attempt, done(json!({})));
    paused.now = paused.now.plus(Duration::from_secs(11));
    paused.give(Input::Resume(bob(), "fine".into())).expect("it is paused");
    assert!(paused.state.requested().is_empty());
    assert_eq!(paused.error().status, 408);
    paused.check_replay();
}

#[test]
fn what_cannot_succeed_any_more_is_not_tried_again() {
    let mut run = Run::start(
        &format!("{}\ninput: {{ from: '${{ error }}' }}", document("- a: { set: { a: 1 } }")),
        &Actions::of(&[]),
        json!({}),
    );
    let retried = run.give(Input::Retry(bob(), "again".into()));
    assert!(matches!(retried, Err(Rejected::Nothing(_))), "{retried:?}");
}

#[test]
fn the_innermost_variable_of_a_name_is_the_one_that_is_seen() {
    let loops = "
- outer:
    for: { in: '${ [1, 2] }' }
    do:
      - inner:
          for: { in: '${ [\"a\", \"b\"] }' }
          do:
            - note: { set: { seen: '${ .seen + [$item] }' } }";
    assert_eq!(output_of(loops.trim(), json!({"seen": []})), json!({"seen": ["a", "b", "a", "b"]}));
    let caught = format!(
        "
- outer:
    try: [ {{ bad: {{ {RAISE} }} }} ]
    catch:
      do:
        - inner:
            try: [ {{ worse: {{ raise: {{ error: {{ type: 'https://example.com/f', status: 418 }} }} }} }} ]
            catch:
              do:
                - note: {{ set: {{ status: '${{ $error.status }}' }} }}"
    );
    assert_eq!(output_of(caught.trim(), json!({})), json!({"status": 418}));
}

#[test]
fn every_round_of_a_try_is_judged_by_its_own_error() {
    let tasks = "
- guarded:
    try:
      - get: { call: http, with: { method: get, endpoint: 'http://example.com/a' } }
    catch:
      when: '$error.status == 404'
      retry: { delay: PT1S, limit: { attempt: { count: 5 } } }";
    let mut run = run(tasks);
    run.drive(|effect| refused(if effect.number.0 == 1 { 404 } else { 422 }, false));
    assert_eq!(run.error().status, 422);
    assert_eq!(run.effects().len(), 2, "the second error is not the first");
}

#[test]
fn a_task_is_described_to_its_own_expressions() {
    let tasks = "
- first:
    if: '$task.name == \"first\" and $task.reference == \"/do/0/first\"'
    input: { from: '${ {asked: $task.input.a, by: $task.name} }' }
    set: { in: '${ . }', raw: '${ $task.input }', sets: '${ $task.definition.set | keys }' }
    output: { as: '${ . + {out: ($task.output | keys)} }' }
    export: { as: '${ {raw: ($task.output | keys), after: (. | keys)} }' }
- second: { set: { data: '${ . }', context: '${ $context }' } }";
    assert_eq!(
        output_of(tasks.trim(), json!({"a": 1})),
        json!({
            "data": {"in": {"asked": 1, "by": "first"}, "raw": {"a": 1}, "sets": ["in", "raw", "sets"], "out": ["in", "raw", "sets"]},
            "context": {"raw": ["in", "raw", "sets"], "after": ["in", "out", "raw", "sets"]},
        })
    );
}
