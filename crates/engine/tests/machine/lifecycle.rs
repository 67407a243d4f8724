//! What an execution tells of its life: in order, the same each time, and nothing that did not happen.

use engine::lifecycle::{Moment, TaskEvent, What, lifecycle};
use engine::{Input, Signalled};
use model::event::CancelMode;
use model::{Label, PrincipalId, Value};
use serde_json::json;

use crate::driver::{Actions, Run};

fn word(moment: &Moment) -> String {
    match &moment.what {
        What::Task(pointer, event) => {
            let event = match event {
                TaskEvent::Faulted(error) => format!("faulted {}", error.status),
                other => format!("{other:?}").to_lowercase(),
            };
            format!("{event} {pointer}")
        }
        What::Faulted(error) => format!("faulted {}", error.status),
        What::Completed(output) => format!("completed {}", output.to_json()),
        What::StatusChanged(status) => format!("status {}", status.name()),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// What is told of a run, the task that is created and begins as one word.
fn told(run: &Run) -> Vec<String> {
    let all = lifecycle(run.definition.clone(), &run.events, 0, usize::MAX).expect("a history");
    // However it is cut, it is the same; and every moment has a name of its own.
    for size in [1, 3] {
        let mut cut = Vec::new();
        while let Some(page) = lifecycle(run.definition.clone(), &run.events, cut.len() as u64, size) {
            if page.is_empty() {
                break;
            }
            cut.extend(page);
        }
        assert_eq!(cut, all);
    }
    let mut names: Vec<_> = all.iter().map(|moment| (moment.sequence, moment.number)).collect();
    assert!(names.is_sorted());
    names.dedup();
    assert_eq!(names.len(), all.len());
    // A longer history tells the same of its beginning.
    for length in 1..run.events.len() {
        let part =
            lifecycle(run.definition.clone(), &run.events[..length], 0, usize::MAX).expect("a history");
        assert_eq!(part[..], all[..part.len()], "after {length} events");
    }
    let words: Vec<String> = all.iter().map(word).collect();
    words.into_iter().filter(|word| !word.starts_with("created ")).collect()
}

fn document(tasks: &str) -> String {
    format!("document: {{ dsl: '1.0.3', namespace: n, name: w, version: '1.0.0' }}\ndo:\n{tasks}")
}

fn start(tasks: &str) -> Run {
    Run::start(&document(tasks), &Actions::of(&[]), json!({}))
}

#[test]
fn a_run_tells_its_tasks_in_the_order_in_which_they_began_and_ended() {
    let run = start(
        "  - outer:\n      do:\n        - a: { set: { x: 1 } }\n        - never: { if: '${ false }', set: { x: 2 } }\n        - b: { set: { x: 3 } }\n",
    );
    assert_eq!(
        told(&run),
        [
            "started",
            "started /do/0/outer",
            "started /do/0/outer/do/0/a",
            "completed /do/0/outer/do/0/a",
            "started /do/0/outer/do/2/b",
            "completed /do/0/outer/do/2/b",
            "completed /do/0/outer",
            "status completed",
            "completed {\"x\":3}",
        ]
    );
}

#[test]
fn errors_retries_and_waits_are_told_where_they_happen() {
    let mut run = start(
        "  - guarded:\n      try:\n        - broken: { raise: { error: { type: 'https://x.y/z', status: 418, title: t } } }\n      catch:\n        retry: { delay: PT5S, limit: { attempt: { count: 1 } } }\n        do:\n          - after: { set: { ok: true } }\n",
    );
    assert!(run.jump());
    assert_eq!(
        told(&run),
        [
            "started",
            "started /do/0/guarded",
            "started /do/0/guarded/try/0/broken",
            "faulted 418 /do/0/guarded/try/0/broken",
            "retried /do/0/guarded",
            "status waiting",
            "started /do/0/guarded/try/0/broken",
            "faulted 418 /do/0/guarded/try/0/broken",
            "started /do/0/guarded/catch/do/0/after",
            "completed /do/0/guarded/catch/do/0/after",
            "completed /do/0/guarded",
            "status completed",
            "completed {\"ok\":true}",
        ]
    );
    let run = start("  - broken: { raise: { error: { type: 'https://x.y/z', status: 418, title: t } } }\n");
    assert_eq!(
        told(&run),
        ["started", "started /do/0/broken", "faulted 418 /do/0/broken", "status faulted", "faulted 418"]
    );
}

#[test]
fn who_holds_it_and_who_stops_it_is_told_and_what_stood_there_is_given_up() {
    let mut run = start("  - nap: { wait: PT1H }\n");
    let bob = || PrincipalId::new("user:bob").expect("an identifier");
    run.give(Input::Pause(bob(), "wait".into())).expect("it waits");
    run.give(Input::Resume(bob(), "go on".into())).expect("it is held");
    run.give(Input::Cancel(bob(), "enough".into(), CancelMode::Forced)).expect("it waits");
    assert_eq!(
        told(&run),
        [
            "started",
            "started /do/0/nap",
            "status waiting",
            "suspended /do/0/nap",
            "suspended",
            "status suspended",
            "resumed",
            "resumed /do/0/nap",
            "status waiting",
            "cancelled /do/0/nap",
            "status cancelled",
            "cancelled",
        ]
    );
}

#[test]
fn a_listen_correlates() {
    let mut run = start("  - hear: { listen: { to: { one: { with: { type: go } } } } }\n");
    let data = Value::from_json(&json!(1), Label::CALLER);
    let by = PrincipalId::new("user:bob").expect("an identifier");
    let go =
        Signalled { id: "1".into(), name: "go".into(), data, label: Label::CALLER, by, attributes: None };
    run.give(Input::Signal(go)).expect("it listens");
    assert_eq!(
        told(&run),
        [
            "started",
            "started /do/0/hear",
            "correlationstarted",
            "status waiting",
            "correlationcompleted",
            "completed /do/0/hear",
            "status completed",
            "completed [1]",
        ]
    );
}
