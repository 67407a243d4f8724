//! `governed`, which lists what a document needs, and `verify`, which asks until something is so.

use engine::Input;
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done, refused};

const LOOK: &str = "
action: look:1.0.0
effect: read
class: read
input: { schema: { type: object, required: [ key ] } }
run: { call: http, with: { method: get, endpoint: 'https://shop.example/refunds/{key}' } }
";
const CHANGE: &str = "
action: change:1.0.0
effect: write
class: irreversible
run: { call: http, with: { method: post, endpoint: 'https://shop.example/refunds' } }
";

fn actions() -> Actions {
    Actions::of(&[LOOK, CHANGE])
}

fn verify(with: &str) -> String {
    format!(
        "- check: {{ call: 'verify:1.0.0', with: {with} }}\n- after: {{ set: {{ saw: '${{ .status }}' }} }}"
    )
}

const SETTLED: &str = "{ probe: { call: 'look:1.0.0', with: { key: '${ .id }' } }, that: '.status == $input.wanted', every: PT10S, within: PT30S }";

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks), &actions(), json!({ "id": "r1", "wanted": "settled" }))
}

/// What the probe answers, one after the other; the last stands for all that follow.
fn answering(tasks: &str, answers: &[Json]) -> (Run, usize) {
    let mut run = run(tasks);
    let mut asked = 0;
    run.drive(|_| {
        asked += 1;
        done(answers[(asked - 1).min(answers.len() - 1)].clone())
    });
    (run, asked)
}

#[test]
fn verify_asks_until_it_is_so_and_gives_on_what_the_probe_saw() {
    let (run, asked) = answering(&verify(SETTLED), &[json!({ "status": "settled" })]);
    assert_eq!((run.output(), asked), (json!({ "saw": "settled" }), 1));
    let later = [json!({ "status": "pending" }), json!({}), json!({ "status": "settled" })];
    let mut timed = self::run(&verify(SETTLED));
    let began = timed.now;
    let mut asked = 0;
    timed.drive(|effect| {
        assert_eq!((effect.operation.as_str(), &*effect.task), ("look:1.0.0", "/do/0/check/with/probe"));
        assert_eq!(effect.arguments.to_json(), json!({ "key": "r1" }));
        asked += 1;
        done(later[asked - 1].clone())
    });
    assert_eq!((timed.output(), asked), (json!({ "saw": "settled" }), 3));
    assert_eq!(timed.now.since(began).as_secs(), 20);
}

#[test]
fn verify_that_never_holds_is_an_error_and_never_a_warning() {
    let (run, asked) = answering(&verify(SETTLED), &[json!({ "status": "pending" })]);
    let error = run.error();
    assert_eq!((error.kind.as_str(), error.status), ("https://omnihub.dev/errors/postcondition", 412));
    assert_eq!(error.instance.as_deref(), Some("/do/0/check"));
    assert_eq!(error.detail.as_deref(), Some("the check `.status == $input.wanted` does not hold"));
    // At once, after ten and after twenty seconds; answers take time, so that a look after thirty would come too late.
    assert_eq!(asked, 3);
    // Who waits for it may catch it.
    let caught = format!(
        "- guarded: {{ try: [ {{ check: {{ call: 'verify:1.0.0', with: {SETTLED} }} }} ], catch: {{ errors: {{ with: {{ status: 412 }} }}, do: [ {{ no: {{ set: {{ settled: false }} }} }} ] }} }}"
    );
    let (run, _) = answering(&caught, &[json!({ "status": "pending" })]);
    assert_eq!(run.output(), json!({ "settled": false }));
}

#[test]
fn a_probe_that_cannot_answer_is_asked_again_and_its_own_error_is_told() {
    let mut run = run(&verify(SETTLED));
    run.drive(|_| refused(404, false));
    assert_eq!(run.error().status, 404);
    let mut again = self::run(&verify(SETTLED));
    let mut asked = 0;
    again.drive(|_| {
        asked += 1;
        if asked == 1 { refused(500, false) } else { done(json!({ "status": "settled" })) }
    });
    assert_eq!((again.output(), asked), (json!({ "saw": "settled" }), 2));
    assert!(again.give(Input::Wake).is_ok());
}

fn problems(tasks: &str) -> Vec<String> {
    let compiled = dsl::compile(&document(tasks), &actions());
    let told = compiled.problems.into_iter().map(|problem| format!("{} {}", problem.code, problem.message));
    let told: Vec<String> = told.collect();
    assert_eq!(compiled.definition.is_none(), !told.is_empty(), "{told:?}");
    told
}

#[test]
fn what_is_wrong_with_a_word_is_told() {
    for (with, told) in [
        ("{ that: 'true' }", "OH-2101 `verify` needs `probe: { call }`"),
        ("{ probe: { call: 'look:1.0.0', with: { key: a } } }", "OH-2101 `verify` needs `that`"),
        (
            "{ probe: { call: 'look:1.0.0', with: { key: a } }, that: 'true', each: PT1S }",
            "OH-2101 `verify:1.0.0` does not take `each`",
        ),
        (
            "{ probe: { call: 'look:1.0.0', with: { key: a }, every: PT1S }, that: 'true' }",
            "OH-2101 a probe does not take `every`",
        ),
        ("{ probe: { call: 'change:1.0.0' }, that: 'true' }", "OH-1068 `change:1.0.0` is not a read"),
        (
            "{ probe: { call: 'look:1.0.0' }, that: 'true' }",
            "OH-1072 `look:1.0.0` does not take these arguments",
        ),
        (
            "{ probe: { call: 'nothing:1.0.0' }, that: 'true' }",
            "OH-1036 the catalogue has no action `nothing:1.0.0`",
        ),
        ("{ probe: { call: 'look:1.0.0', with: { key: a } }, that: '.a ==' }", "OH-1020"),
        ("{ probe: { call: 'look:1.0.0', with: { key: a } }, that: 'true', every: soon }", "OH-1034"),
    ] {
        let found = problems(&verify(with));
        assert!(found.iter().any(|problem| problem.starts_with(told)), "{with}: {found:?}");
    }
    let first = |needs: &str| {
        format!("- needs: {{ call: 'governed:1.0.0', with: {{ needs: {needs} }} }}\n{}", verify(SETTLED))
    };
    assert_eq!(problems(&first("[ 'verify:1.0.0' ]")), [""; 0]);
    for (tasks, told) in [
        (first("[]"), "OH-2101 the document calls `verify:1.0.0`, which `needs` does not list"),
        (first("[ 'verify:1.0.0', 'agent:1.0.0' ]"), "OH-2101 `agent:1.0.0` is not in force on this server"),
        (first("all"), "OH-2101 `governed` needs a list of `needs`"),
        (
            "- a: { set: { x: 1 } }\n- needs: { call: 'governed:1.0.0', with: { needs: [] } }".to_owned(),
            "OH-2101 `governed` must be the first",
        ),
    ] {
        let found = problems(&tasks);
        assert!(found.iter().any(|problem| problem.starts_with(told)), "{tasks}: {found:?}");
    }
}

#[test]
fn governed_gives_on_what_it_gets() {
    let tasks = format!(
        "- needs: {{ call: 'governed:1.0.0', with: {{ needs: [ 'verify:1.0.0' ] }} }}\n{}",
        verify(SETTLED).replace("/do/0", "/do/1")
    );
    let (run, _) = answering(&tasks, &[json!({ "status": "settled" })]);
    assert_eq!(run.output(), json!({ "saw": "settled" }));
}
