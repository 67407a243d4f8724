//! In line: nothing of an execution begins before a limit gives it a place.

use std::time::Duration;

use engine::{Input, Rejected, Status};
use model::PrincipalId;
use model::event::CancelMode;
use serde_json::json;

use crate::driver::{Actions, Run, document};

fn by() -> PrincipalId {
    PrincipalId::new("user:ops").expect("an identifier")
}

fn waiting() -> Run {
    let tasks = "- nap: { wait: { seconds: 5 } }\n- say: { set: { x: '${ .a }' } }";
    Run::start_in_line(&document(tasks), &Actions::of(&[]), json!({"a": 1}), Duration::from_secs(60))
}

#[test]
fn nothing_begins_before_the_release() {
    let mut run = waiting();
    assert_eq!((run.state.status(), run.state.next_wakeup()), (Status::Pending, None));
    assert_eq!(run.state.requested(), []);
    run.now = run.now.plus(Duration::from_secs(3600));
    run.give(Input::Wake).expect("time may always come");
    run.give(Input::Recover { lease: 1 }).expect("a restart may always come");
    assert_eq!(
        (run.events.len(), run.state.status()),
        (1, Status::Pending),
        "an hour in line changes nothing"
    );
    run.check_replay();
    run.give(Input::Release).expect("it is in line");
    assert_eq!(run.state.status(), Status::Waiting);
    let (at, _) = run.state.next_wakeup().expect("its wait has begun");
    assert_eq!(at, run.now.plus(Duration::from_secs(5)), "from the release, not from the line");
    run.drive(|_| unreachable!("no effects"));
    assert_eq!(run.output(), json!({"x": 1}));
}

#[test]
fn the_time_in_line_does_not_count_towards_the_time_limit() {
    let mut run = waiting();
    run.now = run.now.plus(Duration::from_secs(3600));
    run.give(Input::Release).expect("it is in line");
    run.check_replay();
    assert_eq!(run.state.started.deadline, Some(run.now.plus(Duration::from_secs(60))));
    run.drive(|_| unreachable!("no effects"));
    assert_eq!(run.output(), json!({"x": 1}));
}

#[test]
fn a_place_is_given_once_and_not_to_what_is_held() {
    let mut run = waiting();
    run.give(Input::Pause(by(), "wait".into())).expect("it may be paused");
    assert_eq!(run.state.status(), Status::Suspended);
    assert!(matches!(run.give(Input::Release), Err(Rejected::Nothing(_))));
    run.give(Input::Resume(by(), "go".into())).expect("it is paused");
    assert_eq!(run.state.status(), Status::Pending, "it is in line again");
    run.give(Input::Release).expect("it is in line");
    assert!(matches!(run.give(Input::Release), Err(Rejected::Nothing(_))));
    run.check_replay();
}

#[test]
fn what_is_cancelled_in_line_never_begins() {
    for mode in [CancelMode::Forced, CancelMode::Graceful] {
        let mut run = waiting();
        run.give(Input::Cancel(by(), "no".into(), mode)).expect("it may be cancelled");
        assert_eq!(run.state.status(), Status::Cancelled);
        assert!(matches!(run.give(Input::Release), Err(Rejected::Ended(_))));
        run.check_replay();
    }
}
