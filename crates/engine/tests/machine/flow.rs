//! The flow of tasks that need no outside: data, branches, loops, errors, time.

use crate::driver::{Actions, Run, document, done, error_of, output_of, refused};
use serde_json::json;

#[test]
fn set_replaces_the_data() {
    assert_eq!(
        output_of("- a: { set: { shape: circle, size: '${ .n }' } }", json!({"n": 6, "x": 1})),
        json!({"shape": "circle", "size": 6})
    );
}

#[test]
fn tasks_follow_each_other_or_jump() {
    let tasks = "
- red: { set: { colors: '${ .colors + [\"red\"] }' }, then: green }
- blue: { set: { colors: '${ .colors + [\"blue\"] }' }, then: end }
- green: { set: { colors: '${ .colors + [\"green\"] }' }, then: blue }";
    assert_eq!(output_of(tasks.trim(), json!({})), json!({"colors": ["red", "green", "blue"]}));
}

#[test]
fn a_switch_chooses_and_falls_back() {
    let tasks = "
- which:
    switch:
      - big: { when: '.n > 10', then: large }
      - small: { when: '.n > 0', then: little }
      - default: { then: nothing }
- large: { set: { size: large }, then: exit }
- little: { set: { size: little }, then: exit }
- nothing: { set: { size: none } }";
    for (n, size) in [(11, "large"), (1, "little"), (0, "none")] {
        assert_eq!(output_of(tasks.trim(), json!({"n": n})), json!({"size": size}));
    }
}

#[test]
fn a_loop_chains_its_outputs() {
    let tasks = "
- each:
    for: { each: color, in: .colors, at: i }
    do:
      - mark: { set: { done: '${ (.done // []) + [{c: $color, i: $i}] }' } }";
    let expected = json!({"done": [{"c": "red", "i": 0}, {"c": "blue", "i": 1}]});
    assert_eq!(output_of(tasks.trim(), json!({"colors": ["red", "blue"]})), expected);
    assert_eq!(
        output_of(tasks.trim(), json!({"colors": [], "kept": true})),
        json!({"colors": [], "kept": true})
    );
}

#[test]
fn a_loop_stops_when_its_condition_fails_and_exit_ends_an_iteration() {
    let tasks = "
- each:
    for: { each: n, in: .ns }
    while: (.sum // 0) < 10
    do:
      - skip: { if: '$n == 2', set: '${ . }', then: exit }
      - add: { set: { sum: '${ (.sum // 0) + $n }' } }";
    assert_eq!(output_of(tasks.trim(), json!({"ns": [5, 2, 4, 3, 100]})), json!({"sum": 12}));
}

#[test]
fn a_false_condition_skips_and_keeps_the_data() {
    assert_eq!(
        output_of(
            "- a: { if: .no, set: { x: 1 }, then: end }\n- b: { set: { y: '${ .no }' } }",
            json!({"no": false})
        ),
        json!({"y": false})
    );
}

#[test]
fn context_is_exported_and_replaced() {
    let tasks = "
- a: { set: { n: 1 }, export: { as: '{ seen: .n }' } }
- b: { set: { n: 2 } }
- c: { set: { n: '${ $context.seen }' } }";
    assert_eq!(output_of(tasks.trim(), json!({})), json!({"n": 1}));
}

#[test]
fn inputs_and_outputs_are_transformed_and_checked() {
    let tasks = "
- a:
    input: { from: .user.name }
    set: { name: '${ . }', input: '${ $input }' }
    output: { as: '{ name: .name, from: $input }' }";
    assert_eq!(
        output_of(tasks.trim(), json!({"user": {"name": "Ada"}})),
        json!({"name": "Ada", "from": "Ada"})
    );
    let checked = "
- a:
    input: { schema: { document: { type: object, required: [name] } } }
    set: { ok: true }";
    let error = error_of(checked.trim(), json!({}));
    assert_eq!((error.status, error.instance.as_deref()), (400, Some("/do/0/a")));
    assert!(error.kind.ends_with("/validation"), "{error:?}");
}

#[test]
fn a_raised_error_is_echoed_with_its_place() {
    let tasks = "- bad: { raise: { error: { type: 'https://serverlessworkflow.io/errors/types/compliance', status: 400, title: Compliance Error } } }";
    let error = error_of(tasks, json!({}));
    assert_eq!(error.kind, "https://serverlessworkflow.io/errors/types/compliance");
    assert_eq!(
        (error.status, error.title.as_deref(), error.instance.as_deref()),
        (400, Some("Compliance Error"), Some("/do/0/bad"))
    );
}

#[test]
fn a_try_catches_what_it_names_and_lets_the_rest_pass() {
    let tasks = |status: u16| {
        format!(
            "
- guarded:
    try:
      - bad: {{ raise: {{ error: {{ type: 'https://example.com/e', status: {status} }} }} }}
    catch:
      errors: {{ with: {{ status: 404 }} }}
      as: problem
      do:
        - note: {{ set: {{ caught: '${{ $problem.status }}', at: '${{ $problem.instance }}' }} }}"
        )
    };
    assert_eq!(
        output_of(tasks(404).trim(), json!({})),
        json!({"caught": 404, "at": "/do/0/guarded/try/0/bad"})
    );
    assert_eq!(error_of(tasks(500).trim(), json!({})).status, 500);
}

#[test]
fn a_try_retries_with_growing_delays_before_it_catches() {
    let tasks = "
- guarded:
    try:
      - bad: { raise: { error: { type: 'https://example.com/e', status: 503 } } }
    catch:
      retry: { delay: PT1S, backoff: { exponential: {} }, limit: { attempt: { count: 3 } } }
      do:
        - note: { set: { gave: up } }";
    let mut run = Run::start(&document(tasks.trim()), &Actions::of(&[]), json!({}));
    let began = run.now;
    run.drive(|_| done(json!(null)));
    assert_eq!(run.output(), json!({"gave": "up"}));
    assert_eq!(run.now.since(began).as_secs(), 1 + 2 + 4);
}

#[test]
fn a_wait_takes_its_time() {
    let mut run = Run::start(
        &document("- nap: { wait: PT30S }\n- b: { set: { ok: true } }"),
        &Actions::of(&[]),
        json!({}),
    );
    assert_eq!(run.state.status().name(), "waiting");
    assert!(run.jump());
    assert_eq!(run.output(), json!({"ok": true}));
    assert_eq!(run.now.0 - run.state.started_at.0, 30_000);
    run.check_replay();
}

#[test]
fn a_task_times_out_and_can_be_caught() {
    let tasks = "
- guarded:
    try:
      - slow: { wait: PT1H, timeout: { after: PT5S } }
    catch:
      errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/timeout', status: 408 } }
      do:
        - note: { set: { late: true } }";
    assert_eq!(output_of(tasks.trim(), json!({})), json!({"late": true}));
}

#[test]
fn a_flow_that_never_ends_is_stopped() {
    let error = error_of("- a: { set: { x: 1 }, then: b }\n- b: { set: { x: 2 }, then: a }", json!({}));
    assert_eq!(error.title.as_deref(), Some("Budget Spent"));
}

#[test]
fn an_expression_error_is_an_ordinary_error() {
    let error = error_of("- a: { set: { x: '${ .a + {} }' } }", json!({"a": 1}));
    assert!(error.kind.ends_with("/expression"), "{error:?}");
    assert_eq!(error.instance.as_deref(), Some("/do/0/a"));
}

#[test]
fn a_faulted_execution_is_tried_again_where_it_stopped() {
    let tasks = "
- first: { call: http, with: { method: get, endpoint: 'http://example.com/a' } }
- second: { call: http, with: { method: get, endpoint: 'http://example.com/b' } }";
    let mut run = Run::start(&document(tasks.trim()), &Actions::of(&[]), json!({}));
    let mut asked = Vec::new();
    run.drive(|effect| {
        asked.push(effect.task.to_string());
        if effect.number.0 == 2 { refused(404, false) } else { done(json!({"ok": effect.number.0})) }
    });
    assert_eq!(run.error().status, 404);
    run.give(engine::Input::Retry(
        model::PrincipalId::new("user:bob").expect("an identifier"),
        "fixed".into(),
    ))
    .expect("it is faulted");
    run.drive(|effect| {
        asked.push(effect.task.to_string());
        done(json!({"ok": effect.number.0}))
    });
    assert_eq!(run.output(), json!({"ok": 3}));
    assert_eq!(asked, ["/do/0/first", "/do/1/second", "/do/1/second"]);
    assert_eq!(run.effects()[1].key, run.effects()[2].key, "a retry keeps the idempotency key");
}
