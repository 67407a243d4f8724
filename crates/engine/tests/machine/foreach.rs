//! `foreach` of a `listen`: one event after the other, and none lost while one is worked on.

use engine::{INBOX_MAX, Input, Signalled};
use model::event::EventBody;
use model::{Label, PrincipalId, Value};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document};

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks.trim()), &Actions::of(&[]), json!({"wanted": 7}))
}

/// An event that is addressed to nobody.
fn event(kind: &str, id: &str, data: Json) -> Input {
    let attributes = json!({"specversion": "1.0", "type": kind, "source": "/s", "id": id});
    Input::Signal(Signalled {
        id: format!("/s {id}"),
        name: kind.into(),
        data: Value::from_json(&data, Label::MODEL),
        label: Label::MODEL,
        by: PrincipalId::new("user:bob").expect("an identifier"),
        attributes: Some(Value::from_json(&attributes, Label::MODEL)),
    })
}

fn say(run: &mut Run, kind: &str, id: &str, data: Json) {
    run.give(event(kind, id, data)).expect("an event may always come");
}

#[test]
fn each_event_is_worked_on_and_the_list_has_what_that_gave() {
    let tasks = "
- heard:
    listen: { to: { any: [ { with: { type: n } } ], until: { one: { with: { type: end } } } } }
    foreach:
      item: event
      at: i
      do:
        - twice: { set: { n: '${ $event.n * 2 }', i: '${ $i }', wanted: '${ $input.wanted }' } }
        - more: { set: { n: '${ .n + 1 }', i: '${ .i }', wanted: '${ .wanted }' } }
      output: { as: '${ { n, i, wanted, raw: $event.n } }' }
      export: { as: '${ $context + { sum: (($context.sum // 0) + .n) } }' }
- all: { set: { list: '${ . }', sum: '${ $context.sum }' } }
";
    let mut run = run(tasks);
    for (n, kind) in [(1, "n"), (2, "n"), (0, "other"), (3, "n"), (0, "end"), (4, "n")] {
        if run.state.end.is_none() {
            say(&mut run, kind, &format!("{kind}{n}"), json!({ "n": n }));
        }
        run.check_replay();
    }
    let one = |n: i64, i: i64| json!({"n": n * 2 + 1, "i": i, "wanted": 7, "raw": n});
    assert_eq!(run.output(), json!({"list": [one(1, 0), one(2, 1), one(3, 2)], "sum": 15}));
    let Some(engine::End::Completed(output)) = &run.state.end else { panic!("it completed") };
    assert!(output.label_of_all().join(Label::MODEL) == output.label_of_all(), "it knows where it came from");
}

#[test]
fn without_tasks_the_event_itself_is_shaped() {
    let tasks = "
- heard:
    listen: { to: { all: [ { with: { type: a } }, { with: { type: b } } ] }, read: envelope }
    foreach: { output: { as: '${ .type + .id }' } }
";
    let mut run = run(tasks);
    for (kind, id) in [("b", "1"), ("b", "2"), ("a", "3")] {
        say(&mut run, kind, id, json!(null));
    }
    assert_eq!(run.output(), json!(["b1", "a3"]));
    run.check_replay();
}

#[test]
fn what_comes_meanwhile_waits_in_order() {
    let tasks = "
- heard:
    listen: { to: { any: [ { with: { type: n } } ], until: { one: { with: { type: end } } } } }
    foreach: { item: event, do: [ { rest: { wait: PT1M } }, { it: { set: '${ { n: $event } }' } } ] }
";
    let mut run = run(tasks);
    for n in 1..=3 {
        say(&mut run, "n", &n.to_string(), json!(n));
        run.check_replay();
    }
    say(&mut run, "end", "end", json!(null));
    say(&mut run, "n", "4", json!(4));
    say(&mut run, "stranger", "s", json!(0));
    assert_eq!(run.state.inbox().collect::<Vec<_>>(), ["n", "n", "end", "n"], "and no stranger");
    assert!(run.state.listens_for().is_empty(), "it works on an event");
    assert!(run.state.listens_outside().is_some(), "and is brought others meanwhile");
    for _ in 0..3 {
        assert!(run.jump());
        run.check_replay();
    }
    assert_eq!(run.output(), json!([{"n": 1}, {"n": 2}, {"n": 3}]));
    assert_eq!(run.state.inbox().collect::<Vec<_>>(), ["n"], "what came behind the end is left");
}

#[test]
fn the_last_event_of_a_strategy_is_known_while_it_is_worked_on() {
    let tasks = "
- heard:
    listen: { to: { one: { with: { type: n } } } }
    foreach: { do: [ { rest: { wait: PT1M } } ] }
";
    let mut run = run(tasks);
    say(&mut run, "n", "1", json!(1));
    let version = run.version();
    say(&mut run, "n", "2", json!(2));
    assert_eq!(run.version(), version, "one was wanted");
    assert!(run.jump());
    assert_eq!(run.output().as_array().map(Vec::len), Some(1));
}

#[test]
fn a_full_inbox_asks_for_no_more_and_then_again() {
    let tasks = "
- heard:
    listen: { to: { any: [ { with: { type: n } } ], until: { one: { with: { type: end } } } } }
    foreach: { do: [ { rest: { wait: PT1M } } ] }
";
    let mut run = run(tasks);
    let asked = run.state.listens_outside();
    assert!(asked.is_some());
    let mut n = 0;
    while run.state.listens_outside().is_some() {
        say(&mut run, "n", &n.to_string(), json!(n));
        n += 1;
        assert!(n <= INBOX_MAX + 1, "the inbox has an end");
    }
    assert_eq!(n, INBOX_MAX + 1, "one is worked on");
    assert!(run.state.clone().subscriptions().is_empty());
    // What is brought all the same, because it was on its way, is taken in.
    say(&mut run, "n", "late", json!(0));
    while run.state.listens_outside().is_none() {
        assert!(run.jump());
    }
    assert_eq!(run.state.inbox().count(), INBOX_MAX / 2);
    assert_ne!(run.state.listens_outside(), asked, "so that it looks back at what came since");
    run.check_replay();
}

#[test]
fn strategies_may_end_each_other() {
    // `n` until: `stop` is heard again and again until `sure` was.
    let tasks = "
- heard:
    listen:
      to:
        any: [ { with: { type: n } } ]
        until: { any: [ { with: { type: stop } } ], until: { one: { with: { type: sure } } } }
";
    let mut run = run(tasks);
    for (position, kind) in ["n", "stop", "n", "stop", "n", "sure"].into_iter().enumerate() {
        assert!(run.state.end.is_none(), "only `sure` ends it");
        say(&mut run, kind, &position.to_string(), json!(position));
        run.check_replay();
    }
    assert_eq!(run.output(), json!([0, 2, 4]));
    let counted = "
- heard:
    listen:
      to: { any: [ { with: { type: n } } ], until: { any: [ { with: { type: stop } } ], until: 'map(.n) | add >= 5' } }
";
    let mut run = self::run(counted);
    for (id, kind, n) in [("1", "n", 9), ("2", "stop", 2), ("3", "n", 8), ("4", "stop", 3)] {
        say(&mut run, kind, id, json!({ "n": n }));
        run.check_replay();
    }
    assert_eq!(run.output(), json!([{"n": 9}, {"n": 8}]), "it counts its own events only");
}

#[test]
fn an_outer_listen_keeps_its_events_while_an_inner_one_waits() {
    let tasks = "
- outer:
    listen: { to: { any: [ { with: { type: order } } ], until: { one: { with: { type: close } } } } }
    foreach:
      item: order
      do:
        - paid:
            listen: { to: { one: { with: { type: paid }, correlate: { order: { from: .data, expect: '${ $order }' } } } } }
            foreach: { item: paid, do: [ { both: { set: { order: '${ $order }', paid: '${ $paid }' } } } ] }
      output: { as: '.[0]' }
";
    let mut run = run(tasks);
    for (kind, id, data) in [
        ("order", "1", "a"),
        ("order", "2", "b"),
        ("paid", "3", "b"),
        ("paid", "4", "a"),
        ("close", "5", ""),
        ("paid", "6", "b"),
    ] {
        say(&mut run, kind, id, json!(data));
        run.check_replay();
    }
    let both = |name: &str| json!({"order": name, "paid": name});
    assert_eq!(run.output(), json!([both("a"), both("b")]));
    let kinds: Vec<&str> = run
        .events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Signalled { id, .. } => Some(&**id),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, ["/s 1", "/s 2", "/s 4", "/s 5", "/s 6"], "what nobody could take then is not here");
}

#[test]
fn an_error_ends_it_and_a_second_try_does_not_repeat_what_was_done() {
    let tasks = "
- heard:
    listen: { to: { any: [ { with: { type: n } } ], until: '(length) == 3' } }
    foreach: { item: n, do: [ { sum: { set: '${ 10 / $n | { n: . } }' } } ], output: { as: '${ .n }' } }
";
    let mut run = run(tasks);
    say(&mut run, "n", "1", json!(5));
    say(&mut run, "n", "2", json!(0));
    assert_eq!(run.error().status, 400);
    run.check_replay();
    // The task that failed may be tried again; it fails again, and nothing before it is repeated.
    let by = PrincipalId::new("user:bob").expect("an identifier");
    run.give(Input::Retry(by, "again".into())).expect("it failed inside");
    assert_eq!(run.error().status, 400);
    run.check_replay();
    let broken = tasks.replace("as: '${ .n }'", "as: '${ .n.m }'");
    let mut run = self::run(&broken);
    say(&mut run, "n", "1", json!(5));
    let by = PrincipalId::new("user:bob").expect("an identifier");
    let refused = run.give(Input::Retry(by, "again".into())).expect_err("its tasks are done");
    assert!(refused.to_string().contains("would repeat them"), "{refused}");
}
