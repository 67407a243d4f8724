//! Signals: an inbox in which nothing is lost, and who takes what from it.

use engine::{Input, Rejected, Signalled};
use model::event::CancelMode;
use model::{Label, PrincipalId, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done};

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks), &Actions::of(&[]), json!({ "wanted": 7 }))
}

fn sent(id: &str, name: &str, data: Json) -> Input {
    let label = Label::MODEL;
    let data = Value::from_json(&data, label);
    Input::Signal(Signalled { id: id.into(), name: name.into(), data, label, by: bob(), attributes: None })
}

/// A filter for one signal, with more attributes.
fn filter(name: &str, more: &str) -> String {
    format!("{{ with: {{ type: {name}, omnihubexecution: '${{ $workflow.id }}'{more} }} }}")
}

fn listen(to: &str) -> String {
    format!("- l: {{ listen: {{ to: {to} }} }}")
}

/// Sends signals `(name, data)` with ids 1, 2, …; a replay and a restore must agree after each.
fn give_all(run: &mut Run, signals: &[(&str, Json)]) {
    for (number, (name, data)) in signals.iter().enumerate() {
        run.give(sent(&(number + 1).to_string(), name, data.clone())).expect("it may come");
        run.check_replay();
    }
}

/// A workflow, the signals that come, its output, and the names that stay in the inbox.
type Case<'a> = (String, Vec<(&'a str, Json)>, Json, &'a [&'a str]);

#[test]
fn a_listen_takes_what_it_waits_for_and_leaves_the_rest() {
    let go = |more: &str| filter("go", more);
    let both = format!("[{}, {}]", go(""), filter("stop", ""));
    let table: Vec<Case<'_>> = vec![
        (listen(&format!("{{ one: {} }}", go(""))), vec![("go", json!({"n": 1}))], json!([{"n": 1}]), &[]),
        // Others stay in the inbox, in their order.
        (
            listen(&format!("{{ one: {} }}", go(""))),
            vec![("x", json!(1)), ("y", json!(2)), ("go", json!(3))],
            json!([3]),
            &["x", "y"],
        ),
        (listen(&format!("{{ any: {both} }}")), vec![("stop", json!(null))], json!([null]), &[]),
        // `all` needs one for each, whatever the order; a second one is not for it.
        (
            listen(&format!("{{ all: {both} }}")),
            vec![("stop", json!(1)), ("stop", json!(2)), ("go", json!(3))],
            json!([1, 3]),
            &["stop"],
        ),
        // A condition on the data; what cannot be evaluated does not fit.
        (
            listen(&format!("{{ one: {} }}", go(", data: '${ .n > 2 }'"))),
            vec![("go", json!({"n": 1})), ("go", json!("text")), ("go", json!({"n": 3}))],
            json!([{"n": 3}]),
            &["go", "go"],
        ),
        (
            listen(&format!("{{ one: {} }}", go(", data: { n: '${ .wanted }' }"))),
            vec![("go", json!({"n": 1})), ("go", json!({"n": 7}))],
            json!([{"n": 7}]),
            &["go"],
        ),
        // Attributes are compared with what the task sees.
        (
            listen(&format!("{{ one: {} }}", go(", id: '${ \"2\" }', source: 'user:bob'"))),
            vec![("go", json!(1)), ("go", json!(2))],
            json!([2]),
            &["go"],
        ),
        (
            listen(&format!("{{ any: {both}, until: 'length == 3' }}")),
            vec![
                ("go", json!(1)),
                ("other", json!(0)),
                ("stop", json!(2)),
                ("go", json!(3)),
                ("x", json!(1)),
            ],
            json!([1, 2, 3]),
            &["other"],
        ),
        (
            format!("- l: {{ listen: {{ to: {{ one: {} }}, read: raw }} }}", go("")),
            vec![("go", json!({"b": 1, "a": [2]}))],
            json!(["{\"a\":[2],\"b\":1}"]),
            &[],
        ),
        // Two in a row take two, the older first.
        (
            format!(
                "- w: {{ wait: PT1H }}\n{}\n- m: {{ listen: {{ to: {{ one: {} }} }}, output: {{ as: '${{ $input + . }}' }} }}",
                listen(&format!("{{ one: {} }}", go(""))),
                go("")
            ),
            vec![("go", json!(1)), ("go", json!(2))],
            json!([1, 2]),
            &[],
        ),
        // Branches share the inbox: each takes one.
        (
            format!(
                "- f: {{ fork: {{ branches: [ {{ a: {{ listen: {{ to: {{ one: {0} }} }} }} }}, {{ b: {{ listen: {{ to: {{ one: {0} }} }} }} }} ] }} }}",
                go("")
            ),
            vec![("go", json!(1)), ("go", json!(2))],
            json!([[1], [2]]),
            &[],
        ),
    ];
    for (tasks, signals, output, left) in table {
        let mut run = run(&tasks);
        // What comes behind the end is refused.
        let count = signals.len() - usize::from(signals.last().is_some_and(|(name, _)| *name == "x"));
        give_all(&mut run, &signals[..count]);
        run.drive(|_| done(json!(null)));
        assert_eq!(run.output(), output, "{tasks}");
        assert_eq!(run.state.inbox().collect::<Vec<_>>(), left, "{tasks}");
        let late = run.give(sent("late", "go", json!(1)));
        assert_eq!(late, Err(Rejected::Ended("completed")), "{tasks}");
    }
}

#[test]
fn an_envelope_has_the_attributes_and_the_label_of_its_sender() {
    let tasks = format!("- l: {{ listen: {{ to: {{ one: {} }}, read: envelope }} }}", filter("go", ""));
    let mut run = run(&tasks);
    assert_eq!(run.state.listens_for().into_iter().collect::<Vec<_>>(), ["go"]);
    give_all(&mut run, &[("go", json!({"n": 1}))]);
    let event = run.output()[0].clone();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(
        (&event["id"], &event["source"], &event["type"]),
        (&json!("1"), &json!("user:bob"), &json!("go"))
    );
    assert_eq!(event["omnihubexecution"], "e1");
    assert_eq!(event["data"], json!({"n": 1}));
    let Some(engine::End::Completed(output)) = &run.state.end else { panic!("it completed") };
    let leaves = output.provenance();
    assert!(leaves.iter().all(|(_, label)| label.untrusted()), "{leaves:?}");
    assert!(run.state.listens_for().is_empty());
}

#[test]
fn the_same_signal_counts_once_and_another_of_its_id_is_refused() {
    let mut run = run(&listen(&format!("{{ all: [{0}, {0}] }}", filter("go", ""))));
    run.give(sent("a", "go", json!(1))).expect("it may come");
    let before = run.events.len();
    run.give(sent("a", "go", json!(1))).expect("it is the same");
    assert_eq!(run.events.len(), before, "a double leaves no event");
    for (name, data) in [("go", json!(2)), ("stop", json!(1))] {
        assert_eq!(run.give(sent("a", name, data)), Err(Rejected::SignalReused("a".into())));
    }
    run.check_replay();
    run.give(sent("b", "go", json!(1))).expect("another id is another signal");
    assert_eq!(run.output(), json!([1, 1]));
    // Known behind the end, too: whoever repeats it is told that it came.
    assert_eq!(run.give(sent("a", "go", json!(1))), Ok(()));
}

#[test]
fn a_full_inbox_refuses_what_nobody_waits_for() {
    let mut run = run(&listen(&format!(
        "{{ any: [{}, {}], until: 'length == 2' }}",
        filter("go", ""),
        filter("x", ", subject: never")
    )));
    for number in 0..engine::INBOX_MAX {
        run.give(sent(&format!("n{number}"), "noise", json!(number))).expect("there is room");
    }
    assert_eq!(run.give(sent("more", "noise", json!(0))), Err(Rejected::InboxFull));
    run.check_replay();
    // What is listened for gets in all the same.
    run.give(sent("a", "go", json!(1))).expect("it is listened for");
    run.give(sent("b", "go", json!(2))).expect("it is listened for");
    assert_eq!(run.output(), json!([1, 2]));
    run.check_replay();
}

#[test]
fn time_limits_errors_and_operators_end_a_listen() {
    let tasks = format!(
        "- t:\n    try:\n      - l: {{ listen: {{ to: {{ one: {} }} }}, timeout: {{ after: PT5M }} }}\n    catch: {{ errors: {{ with: {{ status: 408 }} }}, do: [ {{ c: {{ set: {{ late: true }} }} }} ] }}",
        filter("go", "")
    );
    let mut late = run(&tasks);
    late.drive(|_| done(json!(null)));
    assert_eq!(late.output(), json!({"late": true}));

    // `until` fails on what was sent: an error of the task. Tried again, it finds the same in the inbox, and fails again.
    let mut broken = run(&listen(&format!("{{ any: [{}], until: '.[0].n > \"\" + 1' }}", filter("go", ""))));
    give_all(&mut broken, &[("go", json!({"n": 1}))]);
    assert_eq!(broken.error().status, 400);
    broken.give(Input::Retry(bob(), "again".into())).expect("it may be tried again");
    broken.check_replay();
    assert_eq!(broken.error().status, 400);
    assert_eq!(broken.state.inbox().count(), 0);

    // A filter of the author's that cannot be evaluated fails at once, and can be tried again.
    let wrong = run(&listen(&format!("{{ one: {} }}", filter("go", ", subject: '${ .wanted.x }'"))));
    assert_eq!(wrong.error().status, 400);

    for mode in [CancelMode::Graceful, CancelMode::Forced] {
        let mut run = run(&listen(&format!("{{ one: {} }}", filter("go", ""))));
        run.give(Input::Cancel(bob(), "enough".into(), mode)).expect("it may be cancelled");
        assert_eq!(run.give(sent("a", "go", json!(1))), Err(Rejected::Ended("cancelled")));
        run.check_replay();
    }
}

#[test]
fn a_branch_that_lost_takes_nothing() {
    let tasks = format!(
        "- f: {{ fork: {{ compete: true, branches: [ {{ a: {{ listen: {{ to: {{ one: {} }} }} }} }}, {{ b: {{ listen: {{ to: {{ one: {} }} }} }} }} ] }} }}\n- m: {{ listen: {{ to: {{ one: {} }} }} }}",
        filter("slow", ""),
        filter("fast", ""),
        filter("slow", ""),
    );
    let mut run = run(&tasks);
    give_all(&mut run, &[("fast", json!(1)), ("slow", json!(2))]);
    assert_eq!(run.output(), json!([2]));
}

#[test]
fn what_stands_in_line_keeps_its_signals() {
    let tasks = listen(&format!("{{ one: {} }}", filter("go", "")));
    let limit = std::time::Duration::from_secs(60);
    let mut run = Run::start_in_line(&document(&tasks), &Actions::of(&[]), json!({}), limit);
    give_all(&mut run, &[("go", json!(1))]);
    run.give(Input::Release).expect("it is in line");
    run.check_replay();
    assert_eq!(run.output(), json!([1]));
}

proptest! {
    /// Whatever comes, in whatever order: every signal is taken once or waits, none is lost and none counts twice.
    #[test]
    fn signals_are_kept_once_each(names in prop::collection::vec((0..4_u8, 0..3_u8), 1..40)) {
        let tasks = format!(
            "- f: {{ fork: {{ branches: [ {{ a: {{ for: {{ in: '${{ [1, 2, 3] }}' }}, do: [ {{ l: {{ listen: {{ to: {{ one: {} }} }}, export: {{ as: '${{ $context + {{ a: (($context.a // []) + .) }} }}' }} }} }} ] }} }}, {{ b: {{ listen: {{ to: {{ any: [{}, {}], until: 'length >= 4' }} }}, export: {{ as: '${{ $context + {{ b: . }} }}' }} }} }} ] }}, output: {{ as: '${{ $context }}' }} }}\n- e: {{ set: '${{ $context }}' }}\n- z: {{ listen: {{ to: {{ one: {} }} }}, output: {{ as: '${{ $context }}' }} }}",
            filter("n0", ""), filter("n0", ""), filter("n1", ""), filter("end", "")
        );
        let mut run = run(&tasks);
        let mut kept = 0;
        for (position, (name, repeat)) in names.iter().enumerate() {
            for _ in 0..=*repeat {
                run.give(sent(&position.to_string(), &format!("n{name}"), json!(position))).expect("it may come");
            }
            kept += 1;
        }
        let waiting = run.state.inbox().count();
        run.check_replay();
        // `a` takes three of n0, `b` four of n0 and n1; a branch that is not whole yet has what it took with it.
        let count = |name: u8| names.iter().filter(|(n, _)| *n == name).count();
        let (n0, n1) = (count(0), count(1));
        let strangers = kept - n0 - n1;
        prop_assert!(waiting >= strangers);
        let taken = kept - waiting;
        prop_assert!(taken <= 7.min(n0 + n1));
        // Nothing that somebody waits for is left lying.
        let open = run.state.listens_for();
        let left: Vec<&str> = run.state.inbox().collect();
        prop_assert!(left.iter().all(|name| !open.contains(*name)), "{open:?} {left:?}");
        if open.contains("end") {
            run.give(sent("end", "end", json!(null))).expect("it may come");
            let output = run.output();
            let mut all: Vec<u64> = ["a", "b"].iter().flat_map(|part| output[*part].as_array().cloned().unwrap_or_default()).filter_map(|v| v.as_u64()).collect();
            all.sort_unstable();
            let before = all.len();
            all.dedup();
            prop_assert_eq!(all.len(), before, "none twice");
            prop_assert_eq!(before, 7);
        }
    }
}
