//! Inline functions: called by name with arguments, and trusted by nobody.

use model::action::{EffectClass, EffectKind};
use serde_json::json;

use crate::driver::{Actions, Run, done, refused};

const LOOK: &str = "
action: look:1.0.0
effect: read
class: read
input: { schema: { type: object, required: [ key ] } }
run: { call: http, with: { method: get, endpoint: 'https://shop.example/refunds/{key}' } }
";

fn document(functions: &str, tasks: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: a, name: b, version: '1.0.0' }}\nuse: {{ functions: {functions} }}\ndo:\n{tasks}\n"
    )
}

const PET: &str = "{ pet: { input: { schema: { document: { type: object, properties: { id: { type: integer } }, required: [ id ] } } }, call: http, with: { method: get, endpoint: 'https://pets.example/{id}' }, output: { as: '{ name, asked: $input.id }' } } }";

fn run(functions: &str, tasks: &str) -> Run {
    Run::start(&document(functions, tasks), &Actions::of(&[LOOK]), json!({ "wanted": 7 }))
}

#[test]
fn a_function_sees_its_arguments_and_nothing_else() {
    let tasks =
        "- a: { call: pet, with: { id: '${ .wanted }' }, output: { as: '{ got: ., of: $input.wanted }' } }";
    let mut run = run(PET, tasks);
    run.drive(|effect| {
        assert_eq!((effect.operation.as_str(), &*effect.task), ("http:GET", "/do/0/a/call"));
        assert_eq!(effect.function.as_deref(), Some("pet"));
        // What only looks, as it says, is taken for a write of which nothing is known.
        assert_eq!(
            (effect.contract.effect, effect.contract.class),
            (EffectKind::Write, EffectClass::Irreversible)
        );
        assert!(!effect.contract.reviewed);
        assert_eq!(effect.arguments.get("uri").and_then(|uri| uri.as_str()), Some("https://pets.example/7"));
        done(json!({ "name": "Milou", "age": 3 }))
    });
    assert_eq!(run.output(), json!({ "got": { "name": "Milou", "asked": 7 }, "of": 7 }));
}

#[test]
fn arguments_that_do_not_fit_are_an_error_of_the_call() {
    let mut run = run(PET, "- a: { call: pet, with: { id: seven } }");
    run.drive(|_| done(json!({})));
    assert_eq!((run.error().status, run.error().instance.as_deref()), (400, Some("/do/0/a/call")));
    let mut run = self::run(PET, "- a: { call: pet }");
    run.drive(|_| done(json!({})));
    assert_eq!(run.error().status, 400, "without `with` there are no arguments");
    // Loop variables and the data of the caller are none of its own.
    let compiled = dsl::compile(
        &document(
            "{ f: { call: http, with: { method: get, endpoint: 'https://a.example', body: '${ $item }' } } }",
            "- a: { for: { in: '[1]' }, do: [ { b: { call: f } } ] }",
        ),
        &Actions::of(&[]),
    );
    assert!(compiled.problems.iter().any(|problem| problem.code == "OH-1021"), "{:?}", compiled.problems);
}

#[test]
fn each_call_is_an_act_of_its_own() {
    let tasks = "- both: { fork: { branches: [ { a: { call: pet, with: { id: 1 } } }, { b: { call: pet, with: { id: 2 } } } ] } }\n- again: { for: { in: '[3, 4]' }, do: [ { c: { call: pet, with: { id: '${ $item }' } } } ] }";
    let mut run = run(PET, tasks);
    run.drive(|effect| done(json!({ "name": effect.task.to_string() })));
    let keys: std::collections::BTreeSet<String> =
        run.effects().into_iter().map(|effect| effect.key).collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert_eq!(run.output()["name"], json!("/do/1/again/do/0/c/call"));
}

#[test]
fn functions_call_actions_and_each_other() {
    let functions = "{ outer: { call: inner, with: { key: '${ .id }' }, output: { as: .status } }, inner: { call: 'look:1.0.0', with: { key: '${ .key }' } } }";
    let mut run = run(
        functions,
        "- a: { try: [ { b: { call: outer, with: { id: r1 } } } ], catch: { do: [ { c: { set: { caught: '${ $error.status }' } } } ] } }",
    );
    let mut saw = Vec::new();
    run.drive(|effect| {
        saw.push((effect.operation.clone(), effect.task.to_string(), effect.arguments.to_json()));
        assert_eq!(effect.function.as_deref(), Some("inner"));
        // What was reviewed keeps what was promised about it; people are asked all the same.
        assert_eq!(effect.contract.class, EffectClass::Read);
        done(json!({ "status": "settled" }))
    });
    let place = "/do/0/a/try/0/b/call/call".to_owned();
    assert_eq!(saw, [("look:1.0.0".to_owned(), place, json!({ "key": "r1" }))]);
    assert_eq!(run.output(), json!("settled"));
    let mut run = self::run(
        functions,
        "- a: { try: [ { b: { call: outer, with: { id: r1 } } } ], catch: { do: [ { c: { set: { caught: '${ $error.status }' } } } ] } }",
    );
    run.drive(|_| refused(404, false));
    assert_eq!(run.output(), json!({ "caught": 404 }));
}

#[test]
fn what_cannot_be_a_function_is_told() {
    let chain: String = (0..9)
        .map(|n| format!("f{n}: {{ call: f{} }}, ", n + 1))
        .chain(["f9: { call: 'look:1.0.0', with: { key: a } }".to_owned()])
        .collect();
    let wide = format!(
        "{{ f: {{ call: http, with: {{ method: post, endpoint: 'https://a.example', body: [ {} ] }} }} }}",
        "1, ".repeat(2_000)
    );
    let often: String = (0..60).map(|n| format!("- t{n}: {{ call: f }}\n")).collect();
    for (functions, tasks, told) in [
        ("{ f: { call: f } }".to_owned(), "- a: { call: f }".to_owned(), "OH-2103 `f` calls itself"),
        (
            "{ f: { call: g }, g: { call: f } }".to_owned(),
            "- a: { set: { x: 1 } }".to_owned(),
            "OH-2103 `f` calls itself",
        ),
        (format!("{{ {chain} }}"), "- a: { call: f0 }".to_owned(), "OH-2103 more than 8 functions"),
        (wide, often, "OH-2103 with its functions at the places"),
        (
            "{ f: { set: { x: 1 } } }".to_owned(),
            "- a: { call: f }".to_owned(),
            "OH-2103 this `set` cannot be a function",
        ),
        (
            "{ f: { do: [ { a: { set: { x: 1 } } } ] } }".to_owned(),
            "- a: { call: f }".to_owned(),
            "OH-2103 this `do`",
        ),
        (
            "{ f: { run: { workflow: { namespace: a, name: b, version: '1.0.0' } } } }".to_owned(),
            "- a: { call: f }".to_owned(),
            "OH-2103 this `run`",
        ),
        (
            "{ f: { call: 'approval:1.0.0', with: { ask: a } } }".to_owned(),
            "- a: { call: f }".to_owned(),
            "OH-2103 the word `approval:1.0.0`",
        ),
        (
            "{ http: { run: { shell: { command: ls } } } }".to_owned(),
            "- a: { set: { x: 1 } }".to_owned(),
            "OH-2103 `http` cannot be the name",
        ),
        (
            "{ 'look:1.0.0': { run: { shell: { command: ls } } } }".to_owned(),
            "- a: { set: { x: 1 } }".to_owned(),
            "OH-2103 `look:1.0.0` cannot be the name",
        ),
        (
            "{ f: { call: 'look:1.0.0' } }".to_owned(),
            "- a: { call: 'on-rollback:1.0.0', with: { call: f } }".to_owned(),
            "OH-2103 `f` is a function of the document",
        ),
        ("{ f: { call: 'lock:1.0.0' } }".to_owned(), "- a: { set: { x: 1 } }".to_owned(), "OH-1036"),
        (
            "{ f: { run: { shell: { command: ls } }, then: nowhere } }".to_owned(),
            "- a: { set: { x: 1 } }".to_owned(),
            "OH-1030",
        ),
    ] {
        let compiled = dsl::compile(&document(&functions, &tasks), &Actions::of(&[LOOK]));
        let found: Vec<String> =
            compiled.problems.iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect();
        assert!(
            compiled.definition.is_none() && found.iter().any(|problem| problem.starts_with(told)),
            "{told}: {found:?}"
        );
    }
}
