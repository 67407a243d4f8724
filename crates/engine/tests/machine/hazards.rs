//! Every hazard in every place where an expression may stand: an ordinary error, in time, and the same on replay.

use std::time::{Duration, Instant};

use engine::{End, Execution, Status};
use model::effect::Answer;
use model::event::Event;
use serde_json::json;

use crate::driver::{Actions, Run, document, done};

/// Expressions that try to hang, to grow, to sink, or to see what is not theirs; those that are refused when a document
/// is checked are marked.
const HAZARDS: &[(&str, bool)] = &[
    ("def f: f; f", false),
    ("def f: 1 + f; f", false),
    ("[repeat(1)]", false),
    ("until(false; .)", false),
    ("[range(1e9)]", false),
    ("\"x\" * 3e9", false),
    ("reduce range(60) as $i ([1]; . + .)", false),
    ("reduce range(60) as $i ([1]; [., .]) | tojson", false),
    ("until(false; [.])", false),
    ("\"x\" * 4000000 | gsub(\"x\"; \"yyyy\")", false),
    ("try until(false; .) catch 1", false),
    ("until(false; .)? // 1", false),
    ("error(\"of its own\")", false),
    ("empty", false),
    ("1, 2", false),
    ("env", true),
    ("$ENV", true),
    ("halt", true),
    ("input", true),
    ("now", true),
    ("debug", true),
    ("$secrets.token", true),
    ("$__prog_args", true),
    ("import \"x\" as x; 1", true),
    ("def f: (", true),
];

/// One place takes this long at the most, a debug build on a busy machine included.
const IN_TIME: Duration = Duration::from_secs(20);

/// What becomes of a hazard in a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    /// The execution faults by an expression error, or by what its result is good for.
    Fault,
    /// The flow goes on: the place decides whether something else happens.
    Any,
    /// It goes on listening: what cannot be evaluated does not fit.
    Listens,
}

use Ends::{Any, Fault, Listens};

/// Workflow tasks with `@` for a whole data field (`${ }` in quotes) or `#` for a bare expression field.
const PLACES: &[(&str, Ends)] = &[
    ("- a: { set: @ }", Fault),
    ("- a: { set: { x: [ { y: @ } ] } }", Fault),
    ("- a: { if: #, set: { x: 1 } }", Fault),
    ("- a: { set: { x: 1 }, input: { from: # } }", Fault),
    ("- a: { set: { x: 1 }, input: { from: { deep: @ } } }", Fault),
    ("- a: { set: { x: 1 }, output: { as: # } }", Fault),
    ("- a: { set: { x: 1 }, output: { as: { deep: @ } } }", Fault),
    ("- a: { set: { x: 1 }, export: { as: # } }", Fault),
    ("- a: { set: { x: 1 }, export: { as: { deep: @ } } }", Fault),
    ("- a: { wait: PT1S, timeout: { after: @ } }", Fault),
    ("- a: { wait: @ }", Fault),
    ("- a: { switch: [ { x: { when: #, then: end } } ] }", Fault),
    ("- a: { for: { in: # }, do: [ { b: { set: { x: 1 } } } ] }", Fault),
    ("- a: { for: { in: '[1]' }, while: #, do: [ { b: { set: { x: 1 } } } ] }", Fault),
    ("- a: { for: { in: '[1]' }, do: [ { b: { set: { x: @ } } } ] }", Fault),
    ("- a: { fork: { branches: [ { b: { set: { x: @ } } }, { c: { set: { x: 1 } } } ] } }", Fault),
    ("- a: { fork: { compete: true, branches: [ { b: { set: { x: @ } } } ] } }", Fault),
    ("- a: { try: [ { b: { set: { x: @ } } } ], catch: { errors: { with: { status: 418 } } } }", Fault),
    (
        "- a: { try: [ { b: { raise: { error: { type: 'https://x.example/e', status: 500 } } } } ], catch: { when: # } }",
        Fault,
    ),
    (
        "- a: { try: [ { b: { raise: { error: { type: 'https://x.example/e', status: 500 } } } } ], catch: { exceptWhen: # } }",
        Fault,
    ),
    (
        "- a: { try: [ { b: { raise: { error: { type: 'https://x.example/e', status: 500 } } } } ], catch: { retry: { when: # } } }",
        Any,
    ),
    (
        "- a: { try: [ { b: { raise: { error: { type: 'https://x.example/e', status: 500 } } } } ], catch: { retry: { exceptWhen: # } } }",
        Any,
    ),
    (
        "- a: { try: [ { b: { raise: { error: { type: 'https://x.example/e', status: 500 } } } } ], catch: { retry: { delay: @ } } }",
        Any,
    ),
    (
        "- a: { try: [ { b: { raise: { error: { type: 'https://x.example/e', status: 500 } } } } ], catch: { retry: { jitter: { from: PT0S, to: @ } } } }",
        Any,
    ),
    (
        "- a: { try: [ { b: { raise: { error: { type: 'https://x.example/e', status: 500 } } } } ], catch: { retry: { limit: { duration: @ } } } }",
        Any,
    ),
    (
        "- a: { try: [ { b: { wait: PT1S } } ], catch: { retry: { limit: { attempt: { duration: @ } } } } }",
        Any,
    ),
    (
        "- a: { try: [ { b: { raise: { error: { type: 'https://x.example/e', status: 500 } } } } ], catch: { do: [ { c: { set: { x: @ } } } ] } }",
        Fault,
    ),
    ("- a: { raise: { error: { type: @, status: 500 } } }", Fault),
    ("- a: { raise: { error: { type: 'https://x.example/e', status: @ } } }", Fault),
    ("- a: { raise: { error: { type: 'https://x.example/e', status: 500, title: @ } } }", Fault),
    ("- a: { raise: { error: { type: 'https://x.example/e', status: 500, detail: @ } } }", Fault),
    ("- a: { raise: { error: { type: 'https://x.example/e', status: 500, instance: @ } } }", Fault),
    ("- a: { emit: { event: { with: { source: 'https://x.example', type: t, data: @ } } } }", Fault),
    ("- a: { emit: { event: { with: { source: @, type: t } } } }", Fault),
    ("- a: { emit: { event: { with: { source: 'https://x.example', type: @ } } } }", Fault),
    ("- a: { emit: { event: { with: { source: 'https://x.example', type: t, extra: @ } } } }", Fault),
    ("- a: { listen: { to: { one: { with: { type: go, subject: @ } } } } }", Any),
    ("- a: { listen: { to: { one: { with: { type: go, data: @ } } } } }", Listens),
    (
        "- a: { listen: { to: { one: { with: { type: go }, correlate: { k: { from: #, expect: '1' } } } } } }",
        Listens,
    ),
    (
        "- a: { listen: { to: { one: { with: { type: go }, correlate: { k: { from: .n, expect: # } } } } } }",
        Any,
    ),
    ("- a: { listen: { to: { any: [ { with: { type: go } } ], until: # } } }", Any),
    ("- a: { call: http, with: { method: get, endpoint: @ } }", Fault),
    ("- a: { call: http, with: { method: get, endpoint: { uri: @ } } }", Fault),
    ("- a: { call: http, with: { method: get, endpoint: 'https://x.example', headers: { h: @ } } }", Fault),
    ("- a: { call: http, with: { method: get, endpoint: 'https://x.example', headers: @ } }", Fault),
    ("- a: { call: http, with: { method: get, endpoint: 'https://x.example', query: { q: @ } } }", Fault),
    ("- a: { call: http, with: { method: get, endpoint: 'https://x.example', query: @ } }", Fault),
    ("- a: { call: http, with: { method: post, endpoint: 'https://x.example', body: { b: @ } } }", Fault),
    (
        "- a: { call: http, with: { method: get, endpoint: { uri: 'https://x.example', authentication: { basic: { username: @, password: p } } } } }",
        Fault,
    ),
    (
        "- a: { call: http, with: { method: get, endpoint: { uri: 'https://x.example', authentication: { basic: { username: u, password: @ } } } } }",
        Fault,
    ),
    (
        "- a: { call: http, with: { method: get, endpoint: { uri: 'https://x.example', authentication: { bearer: { token: @ } } } } }",
        Fault,
    ),
    ("- a: { run: { shell: { command: @ } } }", Fault),
    ("- a: { run: { shell: { command: ls, arguments: [ @ ] } } }", Fault),
    ("- a: { run: { shell: { command: ls, stdin: @ } } }", Fault),
    ("- a: { run: { shell: { command: ls, environment: { E: @ } } } }", Fault),
    ("- a: { run: { script: { language: python, code: @ } } }", Fault),
    ("- a: { run: { script: { language: python, code: 'x', arguments: [ @ ] } } }", Fault),
    (
        "- a: { run: { workflow: { namespace: test, name: other, version: '1.0.0', input: { x: @ } } } }",
        Fault,
    ),
    ("- a: { call: 'plain:1.0.0', with: { x: @ } }", Fault),
    ("- a: { call: 'on-rollback:1.0.0', with: { call: 'plain:1.0.0', with: { x: @ } } }", Fault),
    ("- a: { call: 'declassify:1.0.0', with: { value: @, reason: why } }", Fault),
    ("- a: { call: 'declassify:1.0.0', with: { value: 1, reason: @ } }", Fault),
];

/// Around the tasks of a workflow.
const AROUND: &[&str] = &["input: { from: # }", "output: { as: # }", "output: { as: { deep: @ } }"];

/// Places of an action document.
const ACTIONS: &[&str] = &[
    "run: { call: http, with: { method: post, endpoint: @ } }\nhosts: [ x.example ]\nclass: irreversible",
    "run: { call: http, with: { method: post, endpoint: 'https://x.example', headers: { h: @ } } }\nclass: irreversible",
    "run: { call: http, with: { method: post, endpoint: 'https://x.example', query: { q: @ } } }\nclass: irreversible",
    "run: { call: http, with: { method: post, endpoint: 'https://x.example', body: { b: @ } } }\nclass: irreversible",
    "run: { run: { shell: { command: ls, arguments: [ @ ] } } }\nclass: irreversible",
    "run: { call: http, with: { method: post, endpoint: 'https://x.example' } }\noutput: { as: # }\nclass: irreversible",
    "run: { call: http, with: { method: post, endpoint: 'https://x.example' } }\nidempotency: { key: #, header: Key }\nclass: idempotent",
    "run: { call: http, with: { method: post, endpoint: 'https://x.example' } }\nensure: { probe: { call: 'look:1.0.0', with: { x: @ } }, that: 'true', every: PT1S, within: PT3S }\nclass: probeable",
    "run: { call: http, with: { method: post, endpoint: 'https://x.example' } }\nensure: { probe: { call: 'look:1.0.0' }, that: #, every: PT1S, within: PT3S }\nclass: probeable",
    "run: { call: http, with: { method: post, endpoint: 'https://x.example' } }\ncompensate: { call: 'look:1.0.0', with: { x: @ } }\nclass: compensable",
];

const PLAIN: &str = "action: plain:1.0.0\neffect: write\nclass: irreversible\nrun: { call: http, with: { method: post, endpoint: 'https://x.example' } }\n";
const LOOK: &str = "action: look:1.0.0\neffect: read\nclass: read\nrun: { call: http, with: { method: get, endpoint: 'https://x.example' } }\n";

/// Puts an expression into a place: `@` as a whole `${ }`, `#` bare, both in quotes.
fn placed(place: &str, hazard: &str) -> String {
    let quoted = |text: String| format!("'{}'", text.replace('\'', "''"));
    place.replace('@', &quoted(format!("${{ {hazard} }}"))).replace('#', &quoted(hazard.to_owned()))
}

/// How a document with a hazard in it ends.
enum Ended {
    Refused(Vec<String>),
    Ran(Box<Run>),
}

/// Compiles and runs, on a stack as small as a server's.
fn run(document: String, actions: Vec<String>) -> Ended {
    let work = move || {
        let mut known = Actions(Default::default());
        for text in &actions {
            let compiled = dsl::action::compile(text);
            match compiled.action {
                Some(action) => known.0.insert(action.reference.clone(), action),
                None => {
                    return Ended::Refused(
                        compiled.problems.into_iter().map(|problem| problem.code).collect(),
                    );
                }
            };
        }
        let compiled = dsl::compile(&document, &known);
        if compiled.definition.is_none() {
            return Ended::Refused(compiled.problems.into_iter().map(|problem| problem.code).collect());
        }
        let mut run = Run::start(&document, &known, json!({ "n": 1 }));
        for _ in 0..20 {
            let under_way = run.permit_all();
            for (number, attempt) in &under_way {
                run.answer(number.0, *attempt, Answer::Done { output: model::Value::NULL });
            }
            if run.state.status() == Status::Waiting && under_way.is_empty() {
                let signal = engine::Signalled {
                    id: format!("s{}", run.version()),
                    name: "go".into(),
                    data: model::Value::from_json(&json!({ "n": 1 }), model::Label::EXTERNAL),
                    label: model::Label::EXTERNAL,
                    by: model::PrincipalId::new("user:bob").expect("an identifier"),
                    attributes: None,
                };
                let _ = run.give(engine::Input::Signal(signal));
            }
            if run.state.end.is_some() || (under_way.is_empty() && !run.jump()) {
                break;
            }
        }
        Ended::Ran(Box::new(run))
    };
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(work);
    thread.expect("a thread starts").join().expect("the work does not panic")
}

/// The same end from the stored history.
fn replays(run: &Run) -> bool {
    let stored = serde_json::to_string(&run.events).expect("events serialize");
    let events: Vec<Event> = serde_json::from_str(&stored).expect("events are read back");
    let again = Execution::replay(run.definition.clone(), &events, false).expect("it begins");
    again.end == run.state.end && again.status() == run.state.status()
}

fn check(what: &str, refused: bool, wanted: Ends, ended: Ended) -> Result<(), String> {
    match (ended, refused) {
        (Ended::Refused(codes), true) => {
            let fine = codes.iter().any(|code| matches!(code.as_str(), "OH-1020" | "OH-1021" | "OH-1022"));
            fine.then_some(()).ok_or_else(|| format!("{what}: refused otherwise: {codes:?}"))
        }
        // A place may take no expression of this kind at all.
        (Ended::Refused(codes), false) => Err(format!("{what}: refused: {codes:?}")),
        (Ended::Ran(_), true) => Err(format!("{what}: was not refused")),
        (Ended::Ran(run), false) => {
            if !replays(&run) {
                return Err(format!("{what}: a replay ends elsewhere"));
            }
            let fine = match (&run.state.end, wanted) {
                (Some(End::Faulted(error)), Fault) => {
                    // The place may also find a result of the wrong kind.
                    ["expression", "validation", "runtime", "e", "timeout"]
                        .iter()
                        .any(|kind| error.kind.ends_with(kind))
                }
                (None, Listens) => run.state.status() == Status::Waiting,
                (_, Any) => true,
                _ => false,
            };
            // Values may be good enough for a place: `error("…")` ends, `1, 2` is an error everywhere.
            fine.then_some(()).ok_or_else(|| format!("{what}: {:?} {:?}", run.state.status(), run.state.end))
        }
    }
}

fn timed(
    what: &str,
    refused: bool,
    ends: Ends,
    document: String,
    actions: Vec<String>,
) -> Result<(), String> {
    let began = Instant::now();
    let ended = run(document, actions);
    let took = began.elapsed();
    check(what, refused, ends, ended)?;
    if took > IN_TIME { Err(format!("{what}: took {took:?}")) } else { Ok(()) }
}

/// Runs all pairs on two threads; the lines of those that went wrong.
fn all(pairs: Vec<(String, bool, Ends, String, Vec<String>)>) -> Vec<String> {
    let half = pairs.len().div_ceil(2);
    std::thread::scope(|scope| {
        let parts: Vec<_> = pairs
            .chunks(half)
            .map(|part| {
                scope.spawn(move || {
                    let ended = part.iter().map(|(what, refused, ends, document, actions)| {
                        timed(what, *refused, *ends, document.clone(), actions.clone())
                    });
                    ended.filter_map(Result::err).collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    })
}

#[test]
fn every_hazard_in_every_place_of_a_workflow_is_an_ordinary_error() {
    let mut pairs = Vec::new();
    for (hazard, refused) in HAZARDS {
        for (place, ends) in PLACES {
            let document = document(&placed(place, hazard));
            let actions = vec![PLAIN.to_owned(), LOOK.to_owned()];
            pairs.push((format!("`{hazard}` in {place}"), *refused, *ends, document, actions));
        }
        for around in AROUND {
            let document = format!("{}{}\n", document("- a: { set: { x: 1 } }"), placed(around, hazard));
            pairs.push((format!("`{hazard}` in {around}"), *refused, Fault, document, Vec::new()));
        }
    }
    let count = pairs.len();
    let wrong = all(pairs);
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_hazard_in_every_place_of_an_action_is_an_ordinary_error() {
    let mut pairs = Vec::new();
    for (hazard, refused) in HAZARDS {
        for place in ACTIONS {
            let action = format!("action: odd:1.0.0\neffect: write\n{}\n", placed(place, hazard));
            let tasks = "- a: { call: 'odd:1.0.0' }\n- b: { raise: { error: { type: 'https://x.example/e', status: 500 } } }";
            // What cannot be undone, checked or named parks, faults or stays unknown: an ordinary end in any case.
            let actions = vec![LOOK.to_owned(), action];
            pairs.push((format!("`{hazard}` in {place}"), *refused, Any, document(tasks), actions));
        }
    }
    let count = pairs.len();
    let wrong = all(pairs);
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Each expression keeps its own budget; a loop of many does not get past the step's.
#[test]
fn a_loop_of_costly_expressions_ends_in_time() {
    for tasks in [
        "- a: { for: { in: '[range(90000)]' }, do: [ { b: { set: { x: '${ last(range(200000)) }' } } } ] }",
        "- a: { for: { in: '[range(90000)]' }, do: [ { b: { set: { x: '${ \"x\" * 1000000 | length }' } } } ] }",
        "- a: { try: [ { b: { set: { x: '${ last(range(900000)) }' }, then: b } } ], catch: { do: [ { c: { set: { y: 1 }, then: c } } ] } }",
    ] {
        let began = Instant::now();
        let mut run = Run::start(&document(tasks), &Actions::of(&[]), json!({}));
        run.drive(|_| done(json!(null)));
        let error = run.error();
        assert!(error.title.as_deref() == Some("Budget Spent"), "{tasks}: {error:?}");
        assert!(began.elapsed() < Duration::from_secs(120), "{tasks}: {:?}", began.elapsed());
    }
    // What people write stays far below it.
    let tasks = "- a: { for: { in: '[range(10000)]' }, do: [ { b: { set: { list: '${ (.list // []) + [$index] }' } } } ] }";
    let mut run = Run::start(&document(tasks), &Actions::of(&[]), json!({}));
    run.drive(|_| done(json!(null)));
    assert_eq!(run.output()["list"].as_array().map(Vec::len), Some(10_000));
}
