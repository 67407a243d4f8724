//! `fork`: branches at the same time, joined in declared order; what ends them early.

use engine::{Input, Phase};
use model::event::CancelMode;
use model::{Outcome, PrincipalId};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done, error_of, lost, output_of, refused};

const PUT: &str = "
action: order-put:1.0.0
effect: write
class: compensable
input: { schema: { type: object } }
compensate: { call: 'order-drop:1.0.0', with: '${ $action.arguments }' }
run: { call: http, with: { method: put, endpoint: 'http://shop.example/orders', body: '${ . }' } }
";
const DROP: &str = "
action: order-drop:1.0.0
effect: delete
class: idempotent
idempotency: { key: '\"drop-\" + .n', header: Idempotency-Key }
input: { schema: { type: object } }
ensure: { probe: { call: 'order-read:1.0.0', with: '${ . }' }, that: '.gone', every: PT1S, within: PT3S }
run: { call: http, with: { method: delete, endpoint: 'http://shop.example/orders' } }
";
const READ: &str = "
action: order-read:1.0.0
effect: read
class: read
input: { schema: { type: object } }
run: { call: http, with: { method: get, endpoint: 'http://shop.example/orders' } }
";

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks.trim()), &Actions::of(&[PUT, DROP, READ]), json!({}))
}

/// What an effect was about: `put a`, `drop a`, `get http://…`.
fn told(effect: &engine::Effect) -> String {
    let n = effect.arguments.get("n").and_then(|n| n.as_str()).unwrap_or_default().to_owned();
    match effect.operation.as_str() {
        "order-put:1.0.0" => format!("put {n}"),
        "order-drop:1.0.0" => format!("drop {n}"),
        "order-read:1.0.0" => format!("look {n}"),
        other => other.to_owned(),
    }
}

/// Runs to the end; puts of `refusing` are refused, everything else succeeds. Gives the writes in order.
fn writes(run: &mut Run, refusing: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    run.drive(|effect| {
        let what = told(effect);
        if what.starts_with("look") {
            return done(json!({ "gone": true }));
        }
        seen.push(what.clone());
        if refusing.iter().any(|n| what == format!("put {n}")) {
            refused(422, false)
        } else {
            done(json!({ "ok": what }))
        }
    });
    seen
}

fn put(n: &str) -> String {
    format!("{{ call: 'order-put:1.0.0', with: {{ n: {n} }} }}")
}

#[test]
fn branches_are_joined_in_declared_order() {
    let table: &[(&str, Json)] = &[
        (
            "- f: { fork: { branches: [ { a: { set: { x: 1 } } }, { b: { set: { x: 2 } } } ] } }",
            json!([{"x": 1}, {"x": 2}]),
        ),
        // The slower one is first, all the same.
        (
            "- f: { fork: { branches: [ { a: { do: [ { w: { wait: PT2S } }, { s: { set: { x: 1 } } } ] } }, { b: { set: { x: 2 } } } ] } }",
            json!([{"x": 1}, {"x": 2}]),
        ),
        // Nested.
        (
            "- f: { fork: { branches: [ { a: { fork: { branches: [ { c: { set: { x: 3 } } }, { d: { set: { x: 4 } } } ] } } }, { b: { set: { x: 2 } } } ] } }",
            json!([[{"x": 3}, {"x": 4}], {"x": 2}]),
        ),
        // A fork in a loop sees its variables, and a loop in a fork has its own.
        (
            "- l: { for: { in: '${ [1, 2] }', each: n }, do: [ { f: { fork: { branches: [ { a: { set: { n: '${ $n }', at: '${ $index }' } } } ] } } } ] }",
            json!([{"n": 2, "at": 1}]),
        ),
        (
            "- f: { fork: { branches: [ { a: { for: { in: '${ [1, 2] }', each: n }, do: [ { s: { set: { n: '${ $n }' } } } ] } } ] } }",
            json!([{"n": 2}]),
        ),
        // Skipped branches give their input, `exit` ends the branch.
        (
            "- s: { set: { i: 1 } }\n- f: { fork: { branches: [ { a: { if: 'false', set: { x: 1 } } }, { b: { do: [ { c: { set: { x: 2 }, then: exit } }, { d: { set: { x: 3 } } } ] } } ] } }",
            json!([{"i": 1}, {"x": 2}]),
        ),
        // Contexts are snapshots, merged in declared order.
        (
            "- s: { set: { x: 0 }, export: { as: { base: 1, both: 0 } } }\n- f: { fork: { branches: [ { a: { do: [ { w: { wait: PT1S } }, { e: { set: { y: '${ $context.both }' }, export: { as: '${ $context + { a: 1, both: 1 } }' } } } ] } }, { b: { set: { z: '${ $context }' }, export: { as: '${ $context + { b: 2, both: 2 } }' } } } ] } }\n- r: { set: '${ $context }' }",
            json!({"base": 1, "both": 2, "a": 1, "b": 2}),
        ),
        // The first success wins.
        (
            "- f: { fork: { compete: true, branches: [ { a: { do: [ { w: { wait: PT2S } }, { s: { set: { x: 1 } } } ] } }, { b: { do: [ { w: { wait: PT1S } }, { s: { set: { x: 2 } } } ] } } ] } }",
            json!({"x": 2}),
        ),
        // A failure does not win.
        (
            "- f: { fork: { compete: true, branches: [ { a: { raise: { error: { type: 'https://e.example/a', status: 500 } } } }, { b: { do: [ { w: { wait: PT1S } }, { s: { set: { x: 2 } } } ] } } ] } }",
            json!({"x": 2}),
        ),
        // What a branch raises is caught around the fork, after the others stopped.
        (
            "- t: { try: [ { f: { fork: { branches: [ { a: { raise: { error: { type: 'https://e.example/a', status: 500 } } } }, { b: { wait: PT1H } } ] } } } ], catch: { as: e, do: [ { s: { set: { s: '${ $e.status }', at: '${ $e.instance }' } } } ] } }",
            json!({"s": 500, "at": "/do/0/t/try/0/f/fork/branches/0/a"}),
        ),
        // A time-out over a fork.
        (
            "- t: { try: [ { f: { timeout: { after: PT5S }, fork: { branches: [ { a: { wait: PT1H } }, { b: { wait: PT1H } } ] } } } ], catch: { as: e, do: [ { s: { set: { s: '${ $e.status }' } } } ] } }",
            json!({"s": 408}),
        ),
        // `end` in a branch ends the workflow, whoever else is at it.
        (
            "- f: { fork: { branches: [ { a: { do: [ { s: { set: { x: 1 }, then: end } } ] } }, { b: { wait: PT1H } } ] } }\n- n: { set: { never: true } }",
            json!({"x": 1}),
        ),
        (
            "- f: { fork: { branches: [ { o: { fork: { branches: [ { a: { set: { x: 1 }, then: end } } ] } } }, { b: { wait: PT1H } } ] } }\n- n: { set: { never: true } }",
            json!({"x": 1}),
        ),
    ];
    for (tasks, expected) in table {
        assert_eq!(output_of(tasks, json!({})), *expected, "{tasks}");
    }
}

#[test]
fn errors_of_forks() {
    let raise = |status: u16| {
        format!("{{ raise: {{ error: {{ type: 'https://e.example/a', status: {status} }} }} }}")
    };
    let (a, b) = (raise(501), raise(502));
    let both = format!("- f: {{ fork: {{ compete: true, branches: [ {{ a: {a} }}, {{ b: {b} }} ] }} }}");
    assert_eq!(error_of(&both, json!({})).status, 501, "all fault: the first in declared order tells");
    let one = format!("- f: {{ fork: {{ branches: [ {{ a: {{ set: {{ x: 1 }} }} }}, {{ b: {b} }} ] }} }}");
    let error = error_of(&one, json!({}));
    assert_eq!((error.status, error.instance.as_deref()), (502, Some("/do/0/f/fork/branches/1/b")));
}

#[test]
fn effects_of_branches_are_under_way_at_the_same_time() {
    let tasks = format!(
        "- f: {{ fork: {{ branches: [ {{ a: {} }}, {{ b: {} }}, {{ c: {} }} ] }} }}",
        put("a"),
        put("b"),
        put("c")
    );
    let mut run = run(&tasks);
    let under_way = run.permit_all();
    assert_eq!(under_way.len(), 3);
    for (number, attempt) in under_way.into_iter().rev() {
        run.answer(number.0, attempt, done(json!({ "n": number.0 })));
    }
    assert_eq!(run.output(), json!([{"n": 1}, {"n": 2}, {"n": 3}]));
    run.check_replay();
}

#[test]
fn a_thousand_branches() {
    let branches: String = (0..1000)
        .map(|n| {
            format!(
                "\n      - b{n}: {{ call: http, with: {{ method: get, endpoint: 'http://a.example/{n}' }} }}"
            )
        })
        .collect();
    let mut run =
        run(&format!("- f:\n    fork:\n      branches:{}", branches.replace("\n      ", "\n        ")));
    assert_eq!(run.permit_all().len(), 1000);
    let mut count = 0;
    run.drive(|_| {
        count += 1;
        done(json!(1))
    });
    assert_eq!((count, run.output().as_array().map(Vec::len)), (1000, Some(1000)));
}

#[test]
fn a_branch_that_fails_stops_the_others_and_all_are_undone() {
    let tasks = format!(
        "- before: {}\n- f: {{ fork: {{ branches: [ {{ a: {} }}, {{ b: {{ do: [ {{ w: {{ wait: PT1S }} }}, {{ c: {} }} ] }} }}, {{ d: {{ wait: PT1H }} }} ] }} }}",
        put("one"),
        put("a"),
        put("bad")
    );
    let mut run = run(&tasks);
    assert_eq!(writes(&mut run, &["bad"]), ["put one", "put a", "put bad", "drop a", "drop one"]);
    assert_eq!(run.error().status, 422);
    assert_eq!(run.state.outcome(), Some(Outcome::Failed), "everything is undone, and that is verified");
    let report: Vec<Option<u32>> = run.state.undone.iter().map(|u| u.effect.map(|n| n.0)).collect();
    assert_eq!(report, [Some(2), Some(1)]);
}

#[test]
fn a_caught_failure_of_a_branch_undoes_the_fork_and_nothing_around_it() {
    let tasks = format!(
        "- before: {}\n- t: {{ try: [ {{ f: {{ fork: {{ branches: [ {{ a: {} }}, {{ b: {{ do: [ {{ w: {{ wait: PT1S }} }}, {{ c: {} }} ] }} }} ] }} }} }} ], catch: {{ do: [ {{ s: {{ set: {{ went: on }} }} }} ] }} }}",
        put("one"),
        put("a"),
        put("bad")
    );
    let mut run = run(&tasks);
    assert_eq!(writes(&mut run, &["bad"]), ["put one", "put a", "put bad", "drop a"]);
    assert_eq!(run.output(), json!({"went": "on"}));
}

#[test]
fn a_retry_around_a_fork_uses_the_same_keys_again() {
    let tasks = format!(
        "- t: {{ try: [ {{ f: {{ fork: {{ branches: [ {{ a: {} }}, {{ b: {} }} ] }} }} }} ], catch: {{ retry: {{ delay: PT1S, limit: {{ attempt: {{ count: 1 }} }} }} }} }}",
        put("a"),
        put("b")
    );
    let mut run = run(&tasks);
    let mut refusals = 0;
    run.drive(|effect| match told(effect).as_str() {
        "put b" if refusals == 0 => {
            refusals += 1;
            refused(422, false)
        }
        "look a" => done(json!({ "gone": true })),
        _ => done(json!({})),
    });
    assert_eq!(run.state.status().name(), "completed");
    let keys =
        |n: &str| run.effects().iter().filter(|e| told(e) == n).map(|e| e.key.clone()).collect::<Vec<_>>();
    let (a, b) = (keys("put a"), keys("put b"));
    assert_eq!((a.len(), b.len()), (2, 2));
    assert!(a[0] == a[1] && b[0] == b[1] && a[0] != b[0], "{a:?} {b:?}");
}

#[test]
fn a_fork_in_a_loop_has_new_keys_in_each_iteration() {
    let tasks = format!(
        "- l: {{ for: {{ in: '${{ [1, 2] }}' }}, do: [ {{ f: {{ fork: {{ branches: [ {{ a: {} }} ] }} }} }} ] }}",
        put("a")
    );
    let mut run = run(&tasks);
    writes(&mut run, &[]);
    let keys: Vec<String> = run.effects().iter().map(|effect| effect.key.clone()).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn losers_are_stopped_and_undone_before_the_flow_goes_on() {
    let tasks = format!(
        "- f: {{ fork: {{ compete: true, branches: [ {{ a: {{ do: [ {{ x: {} }}, {{ w: {{ wait: PT1H }} }} ] }} }}, {{ b: {{ do: [ {{ w: {{ wait: PT1S }} }}, {{ y: {} }} ] }} }} ] }} }}\n- after: {}",
        put("loser"),
        put("winner"),
        put("after")
    );
    let mut run = run(&tasks);
    assert_eq!(writes(&mut run, &[]), ["put loser", "put winner", "drop loser", "put after"]);
    assert_eq!(run.state.status().name(), "completed");
}

#[test]
fn an_undo_never_overtakes_what_it_undoes() {
    let tasks = format!(
        "- f: {{ fork: {{ compete: true, branches: [ {{ a: {} }}, {{ b: {{ set: {{ quick: true }} }} }} ] }} }}",
        put("slow")
    );
    // The quick branch wins at once: the slow one is stopped before it was sent.
    let mut unsent = run(&tasks);
    assert_eq!(writes(&mut unsent, &[]), Vec::<String>::new());
    assert_eq!(unsent.output(), json!({"quick": true}));

    let tasks = tasks.replace("{ set: { quick: true } }", "{ wait: PT1S }");
    let answers = [
        (done(json!({})), vec!["order-drop:1.0.0"]),
        (refused(422, false), vec![]),
        (lost(), vec!["order-drop:1.0.0"]),
    ];
    for (answer, expected) in answers {
        let mut run = run(&tasks);
        let (number, attempt) = run.permit_all()[0];
        assert!(run.jump(), "the other branch wins");
        assert!(run.state.end.is_none(), "it waits for what is on the wire");
        assert!(run.state.requested().is_empty(), "nothing is undone yet");
        run.answer(number.0, attempt, answer.clone());
        let undos: Vec<String> = run
            .state
            .requested()
            .iter()
            .filter_map(|n| run.state.effect(*n))
            .map(|e| e.operation.clone())
            .collect();
        assert_eq!(undos, expected, "{answer:?}");
        run.drive(|_| done(json!({ "gone": true })));
        assert_eq!(run.state.status().name(), "completed");
        run.check_replay();
    }
}

#[test]
fn transient_failures_of_a_competing_branch_do_not_park_it() {
    let tasks = format!(
        "- f: {{ fork: {{ compete: true, branches: [ {{ a: {} }}, {{ b: {{ wait: PT1H }} }} ] }} }}",
        put("a")
    );
    let mut run = run(&tasks);
    run.drive(|_| refused(503, true));
    assert_eq!(run.output(), json!({}), "the other branch wins");
}

#[test]
fn a_parked_branch_suspends_and_a_cancel_stops_all() {
    let tasks = format!("- f: {{ fork: {{ branches: [ {{ a: {} }}, {{ b: {} }} ] }} }}", put("a"), put("b"));
    let mut run = run(&tasks);
    run.drive(|effect| if told(effect) == "put a" { refused(503, true) } else { done(json!({})) });
    assert_eq!(run.state.status().name(), "suspended");
    run.give(Input::Cancel(bob(), "enough".into(), CancelMode::Graceful)).expect("it is parked");
    run.drive(
        |effect| {
            if told(effect).starts_with("look") { done(json!({ "gone": true })) } else { done(json!({})) }
        },
    );
    assert_eq!((run.state.status().name(), run.state.outcome()), ("cancelled", Some(Outcome::Failed)));
    assert!(run.effects().iter().any(|e| told(e) == "drop b" && e.phase == Phase::Settled));
}
