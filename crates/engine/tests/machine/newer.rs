//! What the language has since 1.1.0: `catch.then`, lists that are written out, `schedule.read`.

use dsl::plan::Read;
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, done};

fn document(version: &str, rest: &str) -> String {
    format!("document: {{ dsl: '{version}', namespace: a, name: b, version: '1.0.0' }}\n{rest}\n")
}

fn output(rest: &str, input: Json) -> Json {
    let mut run = Run::start(&document("1.1.0", rest), &Actions::of(&[]), input);
    run.drive(|_| done(Json::Null));
    run.output()
}

/// A `try` whose error is caught, with tasks behind it that tell where the flow went.
fn caught(catch: &str) -> String {
    format!(
        "do:
  - risky:
      try: [ {{ stop: {{ if: .stop, raise: {{ error: {{ type: 'https://example.com/e', status: 500 }} }} }} }} ]
      catch: {{ {catch} }}
      output: {{ as: '. + {{ tried: true }}' }}
      then: usual
  - between: {{ set: {{ between: true }} }}
  - usual: {{ set: '${{ . + {{ usual: true }} }}', then: end }}
  - handled: {{ set: '${{ . + {{ handled: true }} }}' }}"
    )
}

#[test]
fn the_flow_goes_where_the_catch_says_once_it_caught() {
    for (catch, wanted) in [
        ("then: handled", json!({ "stop": true, "tried": true, "handled": true })),
        (
            "do: [ { fix: { set: { fixed: true } } } ], then: handled",
            json!({ "fixed": true, "tried": true, "handled": true }),
        ),
        // `exit` of a task inside leaves the list inside, and then it was caught.
        (
            "do: [ { fix: { set: { fixed: true }, then: exit } }, { no: { set: { no: 1 } } } ], then: handled",
            json!({ "fixed": true, "tried": true, "handled": true }),
        ),
        ("then: end", json!({ "stop": true, "tried": true })),
        ("then: exit", json!({ "stop": true, "tried": true })),
        ("then: continue", json!({ "between": true, "usual": true })),
        ("do: [ { fix: { set: { fixed: true } } } ]", json!({ "fixed": true, "tried": true, "usual": true })),
        // Retries that are spent are caught, too.
        (
            "retry: { delay: PT1S, limit: { attempt: { count: 2 } } }, then: handled",
            json!({ "stop": true, "tried": true, "handled": true }),
        ),
    ] {
        assert_eq!(output(&caught(catch), json!({ "stop": true })), wanted, "{catch}");
        let usual = json!({ "stop": false, "tried": true, "usual": true });
        assert_eq!(output(&caught(catch), json!({ "stop": false })), usual, "nothing was caught: {catch}");
    }
    // What the catch lets pass goes nowhere.
    let passes = caught("errors: { with: { status: 404 } }, then: handled");
    let mut run = Run::start(&document("1.1.0", &passes), &Actions::of(&[]), json!({ "stop": true }));
    run.drive(|_| done(Json::Null));
    assert_eq!(run.error().status, 500);
}

#[test]
fn a_list_may_be_written_out() {
    let each = |list: &str, body: &str| {
        format!(
            "do:\n  - each: {{ for: {{ each: pet, in: {list} }}, do: [ {{ keep: {{ set: '{body}' }} }} ] }}"
        )
    };
    let sum = "${ { n: (.n + $pet.n), at: $index } }";
    assert_eq!(output(&each("[ { n: 2 }, { n: 5 } ]", sum), json!({ "n": 1 })), json!({ "n": 8, "at": 1 }));
    let made = "[ { n: '${ .n }' }, { n: 5 } ]";
    assert_eq!(
        output(&each(made, sum), json!({ "n": 1 })),
        json!({ "n": 7, "at": 1 }),
        "it is data, with expressions"
    );
    assert_eq!(output(&each("[]", sum), json!({ "n": 1 })), json!({ "n": 1 }));
    assert_eq!(output(&each("'${ [ { n: 3 } ] }'", sum), json!({ "n": 1 })), json!({ "n": 4, "at": 0 }));
}

#[test]
fn an_event_that_begins_an_execution_is_read_as_said() {
    let event =
        model::Value::from_json(&json!({ "id": "1", "data": { "b": 1, "a": 2 } }), model::Label::EXTERNAL);
    for (version, read, wanted, seen) in [
        ("1.0.3", "", Read::Envelope, json!({ "id": "1", "data": { "b": 1, "a": 2 } })),
        ("1.1.0", "", Read::Data, json!({ "b": 1, "a": 2 })),
        ("1.1.0", ", read: data", Read::Data, json!({ "b": 1, "a": 2 })),
        ("1.1.0", ", read: envelope", Read::Envelope, json!({ "id": "1", "data": { "b": 1, "a": 2 } })),
        ("1.1.0", ", read: raw", Read::Raw, json!("{\"a\":2,\"b\":1}")),
    ] {
        let rest = format!(
            "schedule: {{ on: {{ one: {{ with: {{ type: t }} }} }}{read} }}\ndo: [ {{ a: {{ set: {{ x: 1 }} }} }} ]"
        );
        let compiled = dsl::compile(&document(version, &rest), &Actions::of(&[]));
        let definition = compiled.definition.unwrap_or_else(|| panic!("{:#?}", compiled.problems));
        let schedule = definition.schedule.as_ref().expect("it has one");
        assert_eq!(schedule.read, wanted, "{version}{read}");
        assert_eq!(schedule.read.of(&event).to_json(), seen, "{version}{read}");
    }
}

#[test]
fn documents_of_1_0_are_told_which_version_has_it() {
    let set = "do: [ { a: { set: { x: 1 } } } ]";
    let on = "on: { one: { with: { type: t } } }";
    for (version, rest, told) in [
        ("1.0.3", caught("then: handled"), "OH-1044 `catch.then` is of version 1.1.0"),
        (
            "1.0.3",
            "do: [ { a: { for: { in: [ { n: 1 } ] }, do: [ { b: { set: { x: 1 } } } ] } } ]".to_owned(),
            "OH-1044 a list that is written out",
        ),
        (
            "1.0.0",
            format!("schedule: {{ {on}, read: data }}\n{set}"),
            "OH-1044 `schedule.read` is of version 1.1.0",
        ),
        (
            "1.1.0",
            format!("schedule: {{ every: PT1M, read: data }}\n{set}"),
            "OH-1043 `read` is about events",
        ),
        ("1.1.0", format!("schedule: {{ {on}, read: some }}\n{set}"), "OH-1013"),
        ("1.1.0", caught("then: nowhere"), "OH-1030 there is no task `nowhere`"),
        ("1.1.0", caught("then: stop"), "OH-1042 the task `stop` is in another list"),
        (
            "1.1.0",
            "do: [ { a: { for: { in: [ 1 ] }, do: [ { b: { set: { x: 1 } } } ] } } ]".to_owned(),
            "OH-1012",
        ),
        ("1.2.0", set.to_owned(), "OH-1037"),
    ] {
        let compiled = dsl::compile(&document(version, &rest), &Actions::of(&[]));
        let found: Vec<String> =
            compiled.problems.iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect();
        assert!(
            compiled.definition.is_none() && found.iter().any(|problem| problem.starts_with(told)),
            "{told}: {found:?}"
        );
    }
}
