//! Events: which of them an execution takes, and those that it publishes.

use engine::{Input, Signalled};
use model::event::EventBody;
use model::{Label, PrincipalId, Value};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done};

fn run(tasks: &str, input: Json) -> Run {
    Run::start(&document(tasks.trim()), &Actions::of(&[]), input)
}

fn envelope(kind: &str, id: &str, data: &Json) -> Json {
    json!({"specversion": "1.0", "type": kind, "source": "/s", "id": id, "data": data})
}

fn say(run: &mut Run, kind: &str, id: &str, data: Json) {
    let mut attributes = envelope(kind, id, &data);
    attributes.as_object_mut().expect("an object").remove("data");
    let signal = Signalled {
        id: format!("/s {id}"),
        name: kind.into(),
        data: Value::from_json(&data, Label::MODEL),
        label: Label::MODEL,
        by: PrincipalId::new("user:bob").expect("an identifier"),
        attributes: Some(Value::from_json(&attributes, Label::MODEL)),
    };
    run.give(Input::Signal(signal)).expect("an event may always come");
}

fn wants(run: &Run, kind: &str, id: &str, data: Json) -> bool {
    let event = Value::from_json(&envelope(kind, id, &data), Label::DEFINITION);
    run.state.clone().subscriptions().iter().any(|one| one.may_take(&event))
}

#[test]
fn correlation_tells_which_execution_is_meant() {
    let tasks = "
- wait:
    listen:
      to:
        one: { with: { type: paid }, correlate: { order: { from: .data.order, expect: '${ .order }' } } }
";
    let mut run = run(tasks, json!({"order": "a"}));
    assert!(run.state.listens_outside().is_some());
    assert!(wants(&run, "paid", "1", json!({"order": "a"})));
    assert!(!wants(&run, "paid", "1", json!({"order": "b"})));
    assert!(!wants(&run, "placed", "1", json!({"order": "a"})));
    say(&mut run, "paid", "1", json!({"order": "b"}));
    assert_eq!(run.version(), 1, "what it does not want is no part of its history");
    say(&mut run, "paid", "2", json!({"order": "a"}));
    assert_eq!(run.output(), json!([{"order": "a"}]));
    let Some(engine::End::Completed(output)) = &run.state.end else { panic!("it completed") };
    assert_eq!(output.label_of_all(), Label::MODEL, "whoever sent it is remembered");
    run.check_replay();
}

#[test]
fn an_event_may_end_it() {
    let tasks = "
- wait: { listen: { to: { any: [ { with: { type: n } } ], until: { all: [ { with: { type: a } }, { with: { type: b } } ] } } } }
";
    let mut run = run(tasks, json!({}));
    for (kind, id) in [("a", "1"), ("n", "2"), ("n", "2"), ("a", "3"), ("n", "4"), ("b", "5"), ("n", "6")] {
        if run.state.end.is_none() {
            say(&mut run, kind, id, json!(id));
        }
    }
    assert_eq!(run.output(), json!(["2", "4"]));
    run.check_replay();
}

#[test]
fn nothing_in_particular_is_everything() {
    let mut whole = run("- wait: { listen: { to: { any: [] }, read: envelope } }", json!({}));
    assert!(wants(&whole, "whatever", "1", json!(null)));
    say(&mut whole, "whatever", "1", json!(7));
    assert_eq!(whole.output(), json!([envelope("whatever", "1", &json!(7))]));
    whole.check_replay();
    let mut until = run("- wait: { listen: { to: { any: [], until: 'length == 2' } } }", json!({}));
    for id in ["1", "2"] {
        say(&mut until, "x", id, json!(id));
    }
    assert_eq!(until.output(), json!(["1", "2"]));
    until.check_replay();
}

#[test]
fn what_is_published_is_the_output_and_always_the_same() {
    let tasks = "
- twice:
    for: { in: '[1, 2]' }
    do: [ { say: { emit: { event: { with: { type: t, source: 'https://a.example', data: { n: '${ $item }' } } } } } } ]
";
    let run = run(tasks, json!({}));
    let emitted: Vec<Json> = run.state.emitted_since(0).map(Value::to_json).collect();
    let numbers: Vec<&Json> = emitted.iter().map(|event| &event["data"]["n"]).collect();
    assert_eq!(numbers, [&json!(1), &json!(2)]);
    assert_ne!(emitted[0]["id"], emitted[1]["id"]);
    assert_eq!(run.output(), emitted[1]);
    assert_eq!(run.state.emitted_since(1).count(), 0, "what an earlier step published is published");
    run.check_replay();
    for wrong in ["{ source: a, type: '${ 1 }' }", "{ source: a, type: t, specversion: '0.3' }"] {
        let run = self::run(&format!("- say: {{ emit: {{ event: {{ with: {wrong} }} }} }}"), json!({}));
        assert_eq!(run.error().status, 400, "{wrong}");
        assert_eq!(run.state.emitted_since(0).count(), 0);
    }
}

#[test]
fn what_was_heard_is_heard_again_after_going_back() {
    let tasks = "
- wait: { listen: { to: { one: { with: { type: a } } } } }
- then: { wait: PT1H }
";
    let mut run = run(tasks, json!({}));
    say(&mut run, "a", "1", json!(1));
    let rewinding = engine::Rewinding {
        to: 1,
        checkpoint: None,
        effects: None,
        input: None,
        by: PrincipalId::new("user:bob").expect("an identifier"),
        reason: "again".into(),
    };
    let (state, step) =
        engine::Execution::rewind(&run.definition, &run.events, rewinding, run.now).expect("it may go back");
    let mut events = run.events.clone();
    events.extend(step.events);
    assert!(matches!(events.last().map(|event| &event.body), Some(EventBody::Rewound(_))));
    let mut back = Run::of(state, events, run.now, run.definition.clone());
    back.drive(|_| done(json!(null)));
    assert_eq!(back.output(), json!([1]));
}

#[test]
fn ten_thousand_listeners_are_told_apart_at_once() {
    let tasks = "
- wait: { listen: { to: { one: { with: { type: paid }, correlate: { order: { from: .data.order, expect: '${ .n }' } } } } } }
";
    let first = run(tasks, json!({"n": 0}));
    let all: Vec<_> = (0..10_000)
        .map(|n| {
            let mut started = (*first.state.started).clone();
            started.input = Value::from_json(&json!({"n": n}), Label::CALLER);
            engine::Execution::start(first.definition.clone(), started, first.now).0.subscriptions()
        })
        .collect();
    let event = Value::from_json(&envelope("paid", "1", &json!({"order": 4_242})), Label::DEFINITION);
    let begun = std::time::Instant::now();
    let found: Vec<usize> = all
        .iter()
        .enumerate()
        .filter(|(_, subs)| subs.iter().any(|s| s.may_take(&event)))
        .map(|(n, _)| n)
        .collect();
    let took = begun.elapsed();
    assert_eq!(found, [4_242]);
    assert!(took < std::time::Duration::from_secs(5), "{took:?}, and this is not even a release build");
}
