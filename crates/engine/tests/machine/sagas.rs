//! Compensation: what is armed, in which order it is undone, and what a person may do about an undo that fails.

use engine::{Input, Judgement, Phase, Rejected};
use model::effect::{Answer, EffectNumber};
use model::event::CancelMode;
use model::verdict::Decision;
use model::{Outcome, PrincipalId};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done, lost, refused, verdict};

/// Compensable, without a check of its own.
const PUT: &str = "
action: order-put:1.0.0
effect: write
class: compensable
input: { schema: { type: object } }
compensate: { call: 'order-drop:1.0.0', with: '${ $action.arguments }' }
run: { call: http, with: { method: put, endpoint: 'http://shop.example/orders', body: '${ . }' } }
";
/// Compensable, with a check.
const SURE: &str = "
action: order-sure:1.0.0
effect: write
class: compensable
input: { schema: { type: object } }
compensate: { call: 'order-drop:1.0.0', with: '${ $action.arguments }' }
ensure: { probe: { call: 'order-read:1.0.0', with: '${ . }' }, that: '.there', every: PT1S, within: PT2S }
run: { call: http, with: { method: put, endpoint: 'http://shop.example/orders', body: '${ . }' } }
";
/// Its undo needs the answer.
const ODD: &str = "
action: order-odd:1.0.0
effect: write
class: compensable
input: { schema: { type: object } }
compensate: { call: 'order-drop:1.0.0', with: { n: '${ $action.output.id }' } }
run: { call: http, with: { method: put, endpoint: 'http://shop.example/orders', body: '${ . }' } }
";
const DROP: &str = "
action: order-drop:1.0.0
effect: delete
class: idempotent
idempotency: { key: '\"drop-\" + .n', header: Idempotency-Key }
input: { schema: { type: object, properties: { n: { type: string } }, required: [ n ] } }
ensure: { probe: { call: 'order-read:1.0.0', with: '${ . }' }, that: '.gone', every: PT1S, within: PT3S }
run: { call: http, with: { method: delete, endpoint: 'http://shop.example/orders' } }
";
/// An undo that nobody can check.
const VAGUE: &str = "
action: mail-take-back:1.0.0
effect: write
class: irreversible
input: { schema: { type: object } }
run: { call: http, with: { method: post, endpoint: 'http://shop.example/mails' } }
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
    Run::start(&document(tasks.trim()), &Actions::of(&[PUT, SURE, ODD, DROP, VAGUE, READ]), json!({}))
}

fn told(effect: &engine::Effect) -> String {
    let n = effect.arguments.get("n").and_then(|n| n.as_str()).unwrap_or_default();
    let name = effect.operation.split(':').next().unwrap_or_default();
    format!("{} {n}", name.rsplit('-').next().unwrap_or_default())
}

/// Runs as far as it goes. `answer` says what becomes of a write; what it has no answer for succeeds, and probes see
/// whatever is asked for.
fn writes(run: &mut Run, mut answer: impl FnMut(&str) -> Option<Answer>) -> Vec<String> {
    let mut seen = Vec::new();
    run.drive(|effect| {
        let what = told(effect);
        if !what.starts_with("read") {
            seen.push(what.clone());
        }
        let otherwise = done(
            json!({ "gone": true, "there": true, "id": effect.arguments.get("n").map(|n| n.to_json()) }),
        );
        answer(&what).unwrap_or(otherwise)
    });
    seen
}

/// Refuses these writes for good.
fn refusing<'a>(bad: &'a [&str]) -> impl FnMut(&str) -> Option<Answer> + 'a {
    move |what| bad.contains(&what).then(|| refused(422, false))
}

const PUT_A: &str = "{ call: 'order-put:1.0.0', with: { n: a } }";
const PUT_B: &str = "{ call: 'order-put:1.0.0', with: { n: b } }";
const PUT_C: &str = "{ call: 'order-put:1.0.0', with: { n: c } }";
const BAD: &str = "{ call: 'order-put:1.0.0', with: { n: bad } }";
const RAISE: &str = "{ raise: { error: { type: 'https://e.example/e', status: 500 } } }";

/// Tasks, the writes in order, status, outcome.
type Row = (String, &'static [&'static str], &'static str, Outcome);

#[test]
fn what_is_done_is_undone_in_reverse_when_nothing_catches() {
    let (verified, failed, unknown) = (Outcome::Verified, Outcome::Failed, Outcome::Unknown);
    let table: Vec<Row> = vec![
        (format!("- a: {PUT_A}\n- b: {PUT_B}\n- c: {BAD}"), &["put a", "put b", "put bad", "drop b", "drop a"], "faulted", failed),
        (format!("- a: {PUT_A}\n- c: {RAISE}"), &["put a", "drop a"], "faulted", failed),
        // The first fails: there is nothing to undo.
        (format!("- a: {BAD}"), &["put bad"], "faulted", failed),
        // Without a failure nothing is undone; nobody checked, so it is unknown.
        (format!("- a: {PUT_A}"), &["put a"], "completed", unknown),
        // What is caught is not undone, and later failures still undo it.
        (format!("- t: {{ try: [ {{ a: {PUT_A} }}, {{ r: {RAISE} }} ], catch: {{}} }}\n- b: {PUT_B}"), &["put a", "put b"], "completed", unknown),
        (format!("- t: {{ try: [ {{ a: {PUT_A} }}, {{ r: {RAISE} }} ], catch: {{}} }}\n- b: {PUT_B}\n- r: {RAISE}"), &["put a", "put b", "drop b", "drop a"], "faulted", failed),
        (format!("- t: {{ try: [ {{ r: {RAISE} }} ], catch: {{ do: [ {{ a: {PUT_A} }}, {{ r: {RAISE} }} ] }} }}"), &["put a", "drop a"], "faulted", failed),
        // Each iteration of a loop arms its own.
        ("- l: { for: { in: '${ [\"x\", \"y\"] }', each: v }, do: [ { a: { call: 'order-put:1.0.0', with: { n: '${ $v }' } } } ] }\n- r: ".to_owned() + RAISE, &["put x", "put y", "drop y", "drop x"], "faulted", failed),
        // Branches that ended hand their stacks over in declared order.
        (format!("- f: {{ fork: {{ branches: [ {{ x: {{ do: [ {{ w: {{ wait: PT1S }} }}, {{ a: {PUT_A} }} ] }} }}, {{ y: {PUT_B} }} ] }} }}\n- r: {RAISE}"), &["put b", "put a", "drop b", "drop a"], "faulted", failed),
        // The winner keeps its own, the loser has undone its own already.
        (format!("- f: {{ fork: {{ compete: true, branches: [ {{ x: {{ do: [ {{ a: {PUT_A} }}, {{ w: {{ wait: PT9S }} }} ] }} }}, {{ y: {{ do: [ {{ w: {{ wait: PT1S }} }}, {{ b: {PUT_B} }} ] }} }} ] }} }}\n- r: {RAISE}"), &["put a", "put b", "drop a", "drop b"], "faulted", failed),
        // A branch that ends the workflow keeps what it did; who is still at it does not.
        (format!("- f: {{ fork: {{ branches: [ {{ x: {{ do: [ {{ a: {PUT_A} }}, {{ w: {{ wait: PT9S }} }} ] }} }}, {{ y: {{ do: [ {{ w: {{ wait: PT1S }} }}, {{ b: {{ call: 'order-sure:1.0.0', with: {{ n: b }}, then: end }} }} ] }} }} ] }} }}"), &["put a", "sure b", "drop a"], "completed", verified),
        // A time-out over everything.
        (format!("- d: {{ timeout: {{ after: PT5S }}, do: [ {{ a: {PUT_A} }}, {{ w: {{ wait: PT9S }} }} ] }}"), &["put a", "drop a"], "faulted", failed),
        // A time-out over a fork that is caught: the branches are undone, what came before is not.
        (format!("- b: {PUT_B}\n- t: {{ try: [ {{ f: {{ timeout: {{ after: PT5S }}, fork: {{ branches: [ {{ x: {{ do: [ {{ a: {PUT_A} }}, {{ w: {{ wait: PT9S }} }} ] }} }} ] }} }} }} ], catch: {{}} }}"), &["put b", "put a", "drop a"], "completed", unknown),
        // Nested forks: the inner one first, then the branch around it.
        (format!("- f: {{ fork: {{ branches: [ {{ x: {{ do: [ {{ c: {PUT_C} }}, {{ g: {{ fork: {{ branches: [ {{ u: {{ do: [ {{ a: {PUT_A} }}, {{ w: {{ wait: PT9S }} }} ] }} }} ] }} }} }} ] }} }}, {{ y: {{ do: [ {{ w: {{ wait: PT1S }} }}, {{ r: {RAISE} }} ] }} }} ] }} }}"), &["put c", "put a", "drop a", "drop c"], "faulted", failed),
        // A retry around it repeats, and everything that was done is undone in the end.
        (format!("- t: {{ try: [ {{ a: {PUT_A} }}, {{ r: {RAISE} }} ], catch: {{ retry: {{ delay: PT1S, limit: {{ attempt: {{ count: 1 }} }} }} }} }}"), &["put a", "put a", "drop a", "drop a"], "faulted", failed),
        // Savepoints, released pivots, armed actions.
        (format!("- a: {PUT_A}\n- s: {{ call: 'checkpoint:1.0.0', with: {{ name: s }} }}\n- b: {PUT_B}\n- c: {PUT_C}\n- back: {{ call: 'rollback:1.0.0', with: {{ to: s }} }}\n- r: {RAISE}"), &["put a", "put b", "put c", "drop c", "drop b", "drop a"], "faulted", failed),
        (format!("- a: {PUT_A}\n- back: {{ call: 'rollback:1.0.0' }}\n- s: {{ set: {{ x: 1 }} }}"), &["put a", "drop a"], "completed", verified),
        (format!("- a: {PUT_A}\n- p: {{ call: 'release:1.0.0' }}\n- b: {PUT_B}\n- r: {RAISE}"), &["put a", "put b", "drop b"], "faulted", unknown),
        (format!("- a: {PUT_A}\n- s: {{ call: 'checkpoint:1.0.0', with: {{ name: s }} }}\n- b: {PUT_B}\n- p: {{ call: 'release:1.0.0@default', with: {{ to: s }} }}\n- r: {RAISE}"), &["put a", "put b", "drop a"], "faulted", unknown),
        (format!("- o: {{ call: 'on-rollback:1.0.0', with: {{ call: 'order-drop:1.0.0', with: {{ n: '${{ \"o\" }}' }} }} }}\n- b: {PUT_B}\n- r: {RAISE}"), &["put b", "drop b", "drop o"], "faulted", failed),
        // The same savepoint again in a loop: the newest counts.
        (format!("- l: {{ for: {{ in: '${{ [1, 2] }}' }}, do: [ {{ s: {{ call: 'checkpoint:1.0.0', with: {{ name: s }} }} }}, {{ a: {PUT_A} }}, {{ k: {{ call: 'rollback:1.0.0', with: {{ to: s }} }} }} ] }}"), &["put a", "drop a", "put a", "drop a"], "completed", verified),
        // A failure in a branch whose `try` is inside: nobody else notices.
        (format!("- f: {{ fork: {{ branches: [ {{ x: {{ try: [ {{ r: {RAISE} }} ], catch: {{ do: [ {{ a: {PUT_A} }} ] }} }} }}, {{ y: {PUT_B} }} ] }} }}"), &["put b", "put a"], "completed", unknown),
    ];
    for (tasks, expected, status, outcome) in table {
        let mut run = run(&tasks);
        let mut seen = writes(&mut run, refusing(&["put bad"]));
        let mut expected: Vec<String> = expected.iter().map(|w| (*w).to_owned()).collect();
        if tasks.contains("catch: { do: [ { a:") && tasks.contains("fork") {
            // Branches that begin at the same moment are answered in any order.
            seen.sort();
            expected.sort();
        }
        assert_eq!(seen, expected, "{tasks}");
        assert_eq!((run.state.status().name(), run.state.outcome()), (status, Some(outcome)), "{tasks}");
    }
}

#[test]
fn doubt_is_undone_at_once() {
    // The answer is lost: it is undone, and then its error goes on, to a `catch` if there is one.
    let mut caught =
        run(&format!("- t: {{ try: [ {{ a: {PUT_A} }} ], catch: {{}} }}\n- s: {{ set: {{ x: 1 }} }}"));
    let seen = writes(&mut caught, |what| (what == "put a").then(lost));
    assert_eq!(seen, ["put a", "drop a"]);
    assert_eq!((caught.output(), caught.state.outcome()), (json!({"x": 1}), Some(Outcome::Verified)));
    // It said yes and its check says no: it has failed, and is undone as well.
    let sure =
        "- b: { call: 'order-put:1.0.0', with: { n: b } }\n- a: { call: 'order-sure:1.0.0', with: { n: a } }";
    let mut false_check = run(sure);
    let mut undoing = false;
    let seen = writes(&mut false_check, |what| {
        undoing |= what.starts_with("drop");
        (what.starts_with("read") && !undoing).then(|| done(json!({ "there": false })))
    });
    assert_eq!(seen, ["put b", "sure a", "drop a", "drop b"]);
    assert_eq!((false_check.error().status, false_check.state.outcome()), (412, Some(Outcome::Failed)));
}

#[test]
fn an_undo_that_fails_is_parked_and_can_be_tried_again_or_forced() {
    let failures: Vec<(&str, Answer)> =
        vec![("refused", refused(404, false)), ("down", refused(503, true)), ("lost", lost())];
    for (why, answer) in failures {
        for force in [false, true] {
            let mut run = run(&format!("- a: {PUT_A}\n- b: {PUT_B}\n- r: {RAISE}"));
            let seen = writes(&mut run, |what| (what == "drop b").then(|| answer.clone()));
            assert!(!seen.contains(&"drop a".to_owned()), "{why}: nothing behind it is undone");
            assert_eq!(run.state.status().name(), "suspended", "{why}");
            let parked = run.state.open_effects().next().expect("it is parked").number;
            if force {
                let nowhere =
                    run.give(Input::Force { effect: EffectNumber(1), by: bob(), reason: "x".into() });
                assert!(matches!(nowhere, Err(Rejected::Elsewhere { .. })), "{nowhere:?}");
                run.give(Input::Force { effect: parked, by: bob(), reason: "done by hand".into() })
                    .expect("it is parked");
            } else {
                run.give(Input::Retry(bob(), "it is up again".into())).expect("it is parked");
            }
            let seen = writes(&mut run, |_| None);
            assert_eq!(seen.last().map(String::as_str), Some("drop a"), "{why}");
            let expected = if force { Outcome::Unknown } else { Outcome::Failed };
            assert_eq!(
                (run.error().status, run.state.outcome()),
                (500, Some(expected)),
                "{why}, forced: {force}"
            );
            let again = run.give(Input::Retry(bob(), "again".into()));
            assert!(
                matches!(again, Err(Rejected::Nothing(why)) if why.contains("has been undone")),
                "{again:?}"
            );
        }
    }
}

#[test]
fn an_undo_that_policy_denies_waits_for_a_person() {
    let mut run = run(&format!("- a: {PUT_A}\n- r: {RAISE}"));
    let (number, attempt) = run.permit_all()[0];
    run.answer(number.0, attempt, done(json!({})));
    let undo = run.state.requested()[0];
    assert_eq!(run.state.effect(undo).and_then(|e| e.compensates), Some(number));
    let digest = run.state.effect(undo).expect("it is requested").digest;
    run.give(Input::Judged(undo, Judgement::Deny { digest, verdict: verdict(Decision::Deny) }))
        .expect("it is requested");
    assert!(matches!(run.state.effect(undo).map(|e| &e.phase), Some(Phase::Parked { repeatable: true })));
    run.give(Input::Retry(bob(), "the policy is changed".into())).expect("it is parked");
    assert_eq!(writes(&mut run, |_| None), ["drop a"]);
    assert_eq!(run.state.outcome(), Some(Outcome::Failed));
}

#[test]
fn an_undo_that_cannot_be_made_stops_until_a_person_forces_it() {
    let tasks = format!("- a: {PUT_A}\n- o: {{ call: 'order-odd:1.0.0', with: {{ n: o }} }}\n- r: {RAISE}");
    let mut run = run(&tasks);
    let seen = writes(&mut run, |what| (what == "odd o").then(|| done(json!({ "id": 7 }))));
    assert_eq!(seen, ["put a", "odd o"]);
    assert_eq!((run.state.status().name(), run.state.stuck().map(|(n, _)| n.0)), ("suspended", Some(2)));
    run.give(Input::Force { effect: EffectNumber(2), by: bob(), reason: "done by hand".into() })
        .expect("it is stuck");
    assert_eq!(writes(&mut run, |_| None), ["drop a"]);
    assert_eq!((run.state.status().name(), run.state.outcome()), ("faulted", Some(Outcome::Unknown)));
}

#[test]
fn cancelling_undoes_unless_it_is_forced() {
    let tasks = format!("- a: {PUT_A}\n- w: {{ wait: PT1H }}");
    let begin = || {
        let mut run = run(&tasks);
        let (number, attempt) = run.permit_all()[0];
        run.answer(number.0, attempt, done(json!({})));
        run
    };
    let mut graceful = begin();
    graceful.give(Input::Cancel(bob(), "enough".into(), CancelMode::Graceful)).expect("it waits");
    assert!(graceful.state.end.is_none() && graceful.state.is_undoing());
    let twice = graceful.give(Input::Cancel(bob(), "enough".into(), CancelMode::Graceful));
    assert!(matches!(twice, Err(Rejected::Nothing(why)) if why.contains("forced")), "{twice:?}");
    graceful.give(Input::Pause(bob(), "hold".into())).expect("it is undoing");
    assert!(graceful.state.requested().is_empty(), "a pause holds an undo, too");
    graceful.give(Input::Resume(bob(), "go on".into())).expect("it is paused");
    assert_eq!(writes(&mut graceful, |_| None), ["drop a"]);
    assert_eq!(
        (graceful.state.status().name(), graceful.state.outcome()),
        ("cancelled", Some(Outcome::Failed))
    );

    let mut forced = begin();
    forced.give(Input::Cancel(bob(), "now".into(), CancelMode::Forced)).expect("it waits");
    assert_eq!((forced.state.status().name(), forced.state.outcome()), ("cancelled", Some(Outcome::Unknown)));
    assert_eq!(forced.state.armed().len(), 1, "what stays done is told");
    forced.check_replay();
}

#[test]
fn a_history_of_a_time_when_nothing_was_undone_still_ends() {
    let mut old = run(&format!("- a: {PUT_A}\n- r: {RAISE}"));
    let (number, attempt) = old.permit_all()[0];
    old.answer(number.0, attempt, done(json!({})));
    assert!(old.state.end.is_none());
    let digest = model::digest_of(&"error");
    let body = model::EventBody::Ended { status: "faulted".into(), outcome: Outcome::Unknown, digest };
    let event = model::event::Event { at: old.now, body };
    old.state.apply(&event);
    old.events.push(event);
    assert_eq!((old.state.status().name(), old.error().status), ("faulted", 500));
    old.check_replay();
}

#[test]
fn undo_keys_are_stable_and_their_own() {
    let mut run = run(&format!(
        "- o: {{ call: 'on-rollback:1.0.0', with: {{ call: 'mail-take-back:1.0.0', with: {{ n: m }} }} }}\n- a: {PUT_A}\n- r: {RAISE}"
    ));
    writes(&mut run, |_| None);
    let keys: Vec<(String, String)> =
        run.effects().iter().filter(|e| e.probe_of.is_none()).map(|e| (told(e), e.key.clone())).collect();
    let key =
        |what: &str| keys.iter().find(|(w, _)| w == what).map(|(_, key)| key.as_str()).unwrap_or_default();
    assert_eq!(key("drop a"), "drop-a", "the contract's own");
    assert!(key("back m").ends_with("/undo"), "{keys:?}");
    assert_eq!(run.state.outcome(), Some(Outcome::Unknown), "nobody can check that undo");
}

/// Random tasks over puts, raises, waits, loops, tries, forks and savepoints.
fn tasks() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        // Computed, so that no two effects share a constant of the definition: snapshots tell sharing apart.
        4 => (0..1000u32).prop_map(|n| json!({"call": "order-put:1.0.0", "with": {"n": format!("${{ \"n{n}-\" + $workflow.id }}")}})),
        1 => Just(json!({"raise": {"error": {"type": "https://e.example/e", "status": 500}}})),
        1 => (1..4u32).prop_map(|s| json!({"wait": format!("PT{s}S")})),
        1 => Just(json!({"call": "release:1.0.0"})),
        1 => Just(json!({"call": "rollback:1.0.0"})),
    ];
    let named = |tasks: Vec<Json>| -> Json {
        tasks.into_iter().enumerate().map(|(i, task)| json!({ format!("t{i}"): task })).collect()
    };
    let node = leaf.prop_recursive(4, 24, 4, move |inner| {
        let list = proptest::collection::vec(inner, 1..4).prop_map(named);
        prop_oneof![
            list.clone().prop_map(|l| json!({"do": l})),
            (list.clone(), any::<bool>())
                .prop_map(|(l, compete)| json!({"fork": {"branches": l, "compete": compete}})),
            list.clone().prop_map(|l| json!({"try": l, "catch": {"do": [{"c": {"set": {"caught": true}}}]}})),
            list.clone().prop_map(|l| json!({"for": {"in": "${ [1, 2] }"}, "do": l})),
            list.prop_map(|l| json!({"timeout": {"after": "PT2S"}, "do": l})),
        ]
    });
    proptest::collection::vec(node, 1..4).prop_map(named)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happened_is_undone_once_or_parked_or_released(tasks in tasks(), seed in any::<u64>()) {
        let document = json!({"document": {"dsl": "1.0.3", "namespace": "test", "name": "flow", "version": "1.0.0"}, "do": tasks});
        let mut run = Run::start(&document.to_string(), &Actions::of(&[PUT, DROP, READ]), json!({}));
        let mut roll = seed;
        run.drive(|effect| {
            roll = roll.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (told(effect).starts_with("put"), roll >> 60) {
                (true, 0..=2) => refused(422, false),
                (true, 3) => lost(),
                _ => done(json!({ "gone": true })),
            }
        });
        let effects = run.effects();
        // Every undo is of an effect that happened or may have, and no effect is undone twice.
        let mut undone: Vec<u32> = effects.iter().filter_map(|e| e.compensates).map(|n| n.0).collect();
        let count = undone.len();
        undone.sort_unstable();
        undone.dedup();
        prop_assert_eq!(undone.len(), count);
        for effect in effects.iter().filter(|e| told(e).starts_with("put") && !e.attempts.is_empty()) {
            let refused = effect.attempts.iter().all(|a| a.answer == Some("refused"));
            let is_undone = undone.contains(&effect.number.0);
            prop_assert!(!(refused && is_undone), "what did not happen is not undone: {:?}", effect);
            prop_assert_eq!(is_undone, effect.undone_by.is_some());
            if effect.attempts.iter().any(|a| a.answer == Some("lost")) {
                prop_assert!(is_undone, "doubt is undone: {:?}", effect);
            }
        }
        prop_assert!(run.state.end.is_some(), "nothing is left hanging: {:?}", run.state.next_wakeup());
        let released = run.events.len() > 1 && document.to_string().contains("release");
        if run.state.status().name() == "faulted" && !released {
            for effect in effects.iter().filter(|e| told(e).starts_with("put")) {
                let happened = effect.attempts.iter().any(|a| matches!(a.answer, Some("done" | "lost")));
                prop_assert_eq!(happened, effect.undone_by.is_some(), "{:?}", effect);
            }
            prop_assert_eq!(run.state.outcome(), Some(Outcome::Failed));
        }
    }
}
