//! Going back and undoing what is behind the point: newest first, before anything goes on, whatever happens meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::{End, Input, NoReturn, Phase, Rewinding, Status};
use model::effect::EffectNumber;
use model::event::{CancelMode, Choice, EditedInput, EventBody};
use model::{Digest, Label, Outcome, PrincipalId, Value};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done, lost, refused};

const PUT: &str = "
action: put:1.0.0
effect: write
class: compensable
input: { schema: { type: object } }
compensate: { call: 'drop:1.0.0', with: { n: '${ $action.arguments.n }', was: '${ $workflow.input.to }' } }
ensure: { probe: { call: 'look:1.0.0', with: '${ . }' }, that: '.there', every: PT1S, within: PT2S }
run: { call: http, with: { method: put, endpoint: 'http://shop.example/things', body: '${ . }' } }
";
const DROP: &str = "
action: drop:1.0.0
effect: delete
class: idempotent
idempotency: { key: '\"drop-\" + .n', header: Idempotency-Key }
input: { schema: { type: object } }
ensure: { probe: { call: 'look:1.0.0', with: '${ . }' }, that: '.there | not', every: PT1S, within: PT2S }
run: { call: http, with: { method: delete, endpoint: 'http://shop.example/things' } }
";
const LOOK: &str = "
action: look:1.0.0
effect: read
class: read
input: { schema: { type: object } }
run: { call: http, with: { method: get, endpoint: 'http://shop.example/things' } }
";
const SEND: &str = "
action: send:1.0.0
effect: write
class: irreversible
input: { schema: { type: object } }
run: { call: http, with: { method: post, endpoint: 'http://shop.example/mails' } }
";

const THREE: &str = "
- a: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }
- see: { call: 'look:1.0.0', with: { n: '${ \"a\" }' } }
- b: { call: 'put:1.0.0', with: { n: '${ \"b\" }' } }
- free: { call: 'release:1.0.0' }
- nap: { wait: PT1S }
- c: { call: 'put:1.0.0', with: { n: '${ \"c\" }' } }
- hold: { wait: PT1H }";

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

fn undo(point: u64) -> Rewinding {
    let effects = Some(Choice::Compensate);
    Rewinding { to: point, checkpoint: None, effects, input: None, by: bob(), reason: "not like this".into() }
}

fn begin(tasks: &str) -> Run {
    Run::start(&document(tasks.trim()), &Actions::of(&[PUT, DROP, LOOK, SEND]), json!({ "to": "x" }))
}

/// What is outside, and every write that changed it.
#[derive(Default)]
struct Ledger {
    there: BTreeSet<String>,
    writes: Vec<String>,
}

impl Ledger {
    fn act(&mut self, effect: &engine::Effect) -> Json {
        let n = effect.arguments.get("n").and_then(|n| n.as_str()).unwrap_or_default().to_owned();
        let verb = effect.operation.split(':').next().unwrap_or_default();
        if verb != "look" {
            self.writes.push(format!("{verb} {n}"));
        }
        match verb {
            "put" => assert!(self.there.insert(n.clone()), "`{n}` was put twice: {:?}", self.writes),
            "drop" => assert!(self.there.remove(&n), "`{n}` was dropped twice: {:?}", self.writes),
            _ => {}
        }
        json!({ "there": self.there.contains(&n) })
    }

    /// Answers one round; false when only a far time or people could go on.
    fn round(&mut self, run: &mut Run) -> bool {
        let under_way = run.permit_all();
        for (number, attempt) in &under_way {
            let answer = self.act(run.state.effect(*number).expect("it is under way"));
            run.answer(number.0, *attempt, done(answer));
            run.check_replay();
        }
        let soon = run.now.plus(Duration::from_secs(60));
        let moved =
            !under_way.is_empty() || (run.state.next_wakeup().is_some_and(|(at, _)| at < soon) && run.jump());
        moved && run.state.end.is_none()
    }

    fn settle(&mut self, run: &mut Run) {
        assert!((0..200).any(|_| !self.round(run)), "it comes to rest");
    }
}

fn settled(tasks: &str) -> (Run, Ledger) {
    let (mut run, mut ledger) = (begin(tasks), Ledger::default());
    ledger.settle(&mut run);
    ledger.writes.clear();
    (run, ledger)
}

fn choose(effect: u32, choice: Choice) -> Input {
    Input::Choose { effect: EffectNumber(effect), choice, by: bob(), reason: "so".into() }
}

/// The number of the effect that put this.
fn put(run: &Run, n: &str) -> u32 {
    let is_it = |e: &&engine::Effect| {
        e.operation == "put:1.0.0" && e.arguments.get("n").and_then(|n| n.as_str()) == Some(n)
    };
    run.effects().iter().find(is_it).expect("it was put").number.0
}

#[test]
fn whatever_is_behind_the_point_is_undone_newest_first_and_done_again() {
    let (run, _) = settled(THREE);
    let before: Vec<u64> = ["b", "c"].map(|n| run.before(put(&run, n))).to_vec();
    for point in 1..=run.version() {
        let (mut run, mut ledger) = settled(THREE);
        run.rewind(undo(point)).unwrap_or_else(|no| panic!("to {point}: {no}"));
        ledger.settle(&mut run);
        let half = ledger.writes.len() / 2;
        let (undone, again) = ledger.writes.split_at(half);
        let turned: Vec<String> = undone.iter().rev().map(|w| w.replace("drop", "put")).collect();
        assert_eq!(again, turned, "to {point}: all undone before anything is done");
        assert_eq!(ledger.there.len(), 3, "to {point}");
        let expected = match point {
            point if point <= 1 => 3,
            point if point <= before[0] => half.clamp(2, 3),
            point if point <= before[1] => half.clamp(1, 2),
            _ => half.min(1),
        };
        assert_eq!(half, expected, "to {point}: {:?}", ledger.writes);
        assert!(run.state.kept_aside().is_empty() && run.state.returning_is_over(), "to {point}");
        run.now = run.now.plus(Duration::from_secs(7200));
        run.give(Input::Wake).expect("time may come");
        assert!(matches!(run.state.end, Some(End::Completed(_))), "to {point}: {:?}", run.state.end);
        assert_eq!(run.state.outcome(), Some(Outcome::Verified), "to {point}");
        run.check_replay();
    }
}

/// True when nothing is left of the undoing.
trait Over {
    fn returning_is_over(&self) -> bool;
}

impl Over for engine::Execution {
    fn returning_is_over(&self) -> bool {
        !self.is_undoing()
    }
}

#[test]
fn what_cannot_be_undone_is_named_and_nothing_changes() {
    let tasks = "- a: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }
- mail: { call: 'send:1.0.0', with: { n: '${ \"m\" }' } }
- hold: { wait: PT1H }";
    let (mut run, mut ledger) = settled(tasks);
    let (version, mail) = (run.version(), 3);
    let no = run.rewind(undo(1)).expect_err("a mail stays sent");
    assert_eq!(no, NoReturn::NotUndoable(format!("{mail} (`send:1.0.0`)")));
    assert_eq!(run.version(), version);
    assert_eq!(run.fork(undo(1)).err(), Some(NoReturn::Elsewhere));
    run.rewind(undo(version)).expect("nothing is behind the end");
    ledger.settle(&mut run);
    assert!(ledger.writes.is_empty(), "{:?}", ledger.writes);
}

#[test]
fn a_parked_undo_holds_the_flow_until_it_is_retried_or_forced() {
    for force in [false, true] {
        let (mut run, mut ledger) = settled(THREE);
        run.rewind(undo(1)).expect("it waits");
        let (number, attempt) = run.permit_all()[0];
        run.answer(number.0, attempt, refused(422, false));
        let parked = run.state.effect(number).expect("it is open");
        assert!(parked.undo && matches!(parked.phase, Phase::Parked { .. }));
        assert_eq!((run.state.status(), run.state.requested()), (Status::Suspended, vec![]));
        assert_eq!(run.rewind(undo(1)), Err(NoReturn::Undoing(number.0)));
        run.now = run.now.plus(Duration::from_secs(7200));
        run.give(Input::Wake).expect("time may come");
        assert!(run.state.requested().is_empty(), "time does not begin what is held");
        run.check_replay();
        if force {
            let forced = Input::Force { effect: number, by: bob(), reason: "leave it".into() };
            run.give(forced).expect("it is parked");
        } else {
            run.give(Input::Retry(bob(), "again".into())).expect("it is parked");
        }
        while ledger.there.len() > usize::from(force) {
            assert!(ledger.round(&mut run));
        }
        assert_eq!(
            ledger.writes,
            if force { vec!["drop b", "drop a"] } else { vec!["drop c", "drop b", "drop a"] }
        );
        run.check_replay();
        if force {
            // What is there still is not silently put again.
            let cautious = (0..100).any(|_| {
                let asked = run.state.requested().into_iter().find_map(|number| run.state.caution(number));
                asked.is_some_and(|why| why.contains("may have done the very same"))
                    || !ledger.round(&mut run)
            });
            assert!(cautious && !ledger.writes.contains(&"put c".to_owned()), "{:?}", ledger.writes);
        } else {
            ledger.settle(&mut run);
            assert_eq!(ledger.there.len(), 3);
        }
    }
}

#[test]
fn a_lost_act_that_waits_for_people_is_undone_too() {
    let mut run = begin(
        "- a: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }\n- mail: { call: 'send:1.0.0', with: {} }",
    );
    let mut ledger = Ledger::default();
    while run.state.effects.requested() < 3 {
        ledger.round(&mut run);
    }
    let (number, attempt) = run.permit_all()[0];
    run.answer(number.0, attempt, lost());
    assert_eq!(
        run.rewind(undo(1)),
        Err(NoReturn::NotUndoable(format!("{} (`send:1.0.0`)", number.0))),
        "it may have been sent"
    );
}

#[test]
fn an_edited_input_is_in_force_only_once_all_is_undone() {
    let tasks = "- a: { call: 'put:1.0.0', with: { n: '${ $workflow.input.to }' } }\n- hold: { wait: PT1H }";
    let (mut run, mut ledger) = settled(tasks);
    let value = Value::from_json(&json!({ "to": "y" }), Label::CALLER);
    let input = EditedInput { value, blob: None, label: Label::CALLER, plan: Digest::of(b"edited") };
    run.rewind(Rewinding { input: Some(input), ..undo(1) }).expect("it waits");
    let undo = run.state.requested()[0];
    let was = run.state.effect(undo).and_then(|e| e.arguments.get("was").map(|v| v.to_json()));
    assert_eq!(was, Some(json!("x")), "undone as it was done");
    ledger.settle(&mut run);
    assert_eq!(ledger.writes, ["drop x", "put y"]);
    assert_eq!(run.state.started.plan, Digest::of(b"edited"));
}

#[test]
fn a_person_chooses_what_is_undone_and_the_order_is_kept() {
    let (mut run, mut ledger) = settled(THREE);
    run.rewind(Rewinding { effects: None, ..undo(1) }).expect("it waits");
    let [a, b, c] = ["a", "b", "c"].map(|n| put(&run, n));
    let look = run.state.kept_aside().iter().find(|k| k.operation == "look:1.0.0").expect("it read").effect.0;
    run.give(choose(a, Choice::Compensate)).expect("it is asked about");
    run.give(choose(b, Choice::Keep)).expect("it is asked about");
    let read = run.give(choose(look, Choice::Compensate)).expect_err("a read has nothing to undo");
    assert!(read.to_string().contains("look:1.0.0"), "{read}");
    run.give(choose(look, Choice::Repeat)).expect("it is asked about");
    run.check_replay();
    assert!(run.state.requested().is_empty(), "one is still open");
    run.give(choose(c, Choice::Compensate)).expect("it is asked about");
    ledger.settle(&mut run);
    assert_eq!(ledger.writes, ["drop c", "drop a", "put a", "put c"]);
    let reused = run.events.iter().filter(|e| matches!(e.body, EventBody::EffectReused { .. })).count();
    assert_eq!((reused, ledger.there.len()), (1, 3));
}

#[test]
fn who_cancels_meanwhile_ends_it_with_everything_undone() {
    for (mode, left) in [(CancelMode::Graceful, 0), (CancelMode::Forced, 3)] {
        let (mut run, mut ledger) = settled(&THREE.replace("- free: { call: 'release:1.0.0' }\n", ""));
        let point = run.before(put(&run, "b"));
        run.rewind(undo(point)).expect("it waits");
        run.give(Input::Cancel(bob(), "enough".into(), mode)).expect("it undoes");
        run.check_replay();
        ledger.settle(&mut run);
        assert!(matches!(run.state.end, Some(End::Cancelled(_))), "{:?}", run.state.end);
        assert_eq!(ledger.there.len(), left, "{:?}", ledger.writes);
        if left == 0 {
            assert_eq!(ledger.writes, ["drop c", "drop b", "drop a"]);
        }
    }
}

#[test]
fn a_pause_holds_the_undoing_and_branches_stand_still() {
    let tasks = "
- both:
    fork:
      branches:
        - one:
            do:
              - a: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }
              - hold: { wait: PT1H }
        - two:
            do:
              - b: { call: 'put:1.0.0', with: { n: '${ \"b\" }' } }
              - hold: { wait: PT1H }";
    let (run, _) = settled(tasks);
    for point in 1..=run.version() {
        let (mut run, mut ledger) = settled(tasks);
        run.give(Input::Pause(bob(), "wait".into())).expect("it waits");
        run.rewind(undo(point)).unwrap_or_else(|no| panic!("to {point}: {no}"));
        assert!(run.state.requested().is_empty());
        run.give(Input::Resume(bob(), "go".into())).expect("it is paused");
        ledger.settle(&mut run);
        assert_eq!(ledger.there.len(), 2, "to {point}");
        let half = ledger.writes.len() / 2;
        assert!(ledger.writes[..half].iter().all(|w| w.starts_with("drop")), "{:?}", ledger.writes);
        assert!(ledger.writes[half..].iter().all(|w| w.starts_with("put")), "{:?}", ledger.writes);
        assert_eq!(run.state.branches().len(), 2, "to {point}");
    }
}

const FAILS: &str = "- a: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }
- no: { raise: { error: { type: 'https://shop.example/no', status: 500 } } }";

/// The number of events with which the first effect was on the wire.
fn under_way(run: &Run) -> u64 {
    let starts = |event: &model::Event| matches!(event.body, EventBody::EffectStarted { .. });
    run.events.iter().position(starts).expect("something started") as u64 + 1
}

#[test]
fn what_was_on_the_wire_at_the_point_and_is_over_is_not_waited_for() {
    // It was undone since: a failure after the return undoes what the flow did again, and ends.
    let (mut run, mut ledger) = settled(FAILS);
    assert!(matches!(run.state.end, Some(End::Faulted(_))), "{:?}", run.state.end);
    run.rewind(to(under_way(&run), Some(Choice::Keep))).expect("a way back");
    ledger.settle(&mut run);
    assert_eq!(ledger.writes, ["put a", "drop a"]);
    assert!(matches!(run.state.end, Some(End::Faulted(_))), "{:?}", run.state.end);
    // It failed since.
    let mut run = begin(FAILS);
    run.permit_all();
    run.answer(1, 1, refused(400, false));
    assert!(matches!(run.state.end, Some(End::Faulted(_))), "{:?}", run.state.end);
    run.rewind(to(under_way(&run), Some(Choice::Keep))).expect("a way back");
    let mut ledger = Ledger::default();
    ledger.settle(&mut run);
    assert_eq!(ledger.writes, ["put a", "drop a"]);
    assert!(matches!(run.state.end, Some(End::Faulted(_))), "{:?}", run.state.end);
}

#[test]
fn what_was_on_the_wire_at_the_point_and_stands_in_is_undone_once() {
    let tasks = "- a: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }
- nap: { wait: PT1H }
- no: { raise: { error: { type: 'https://shop.example/no', status: 500 } } }";
    let (mut run, mut ledger) = settled(tasks);
    run.rewind(to(under_way(&run), Some(Choice::Keep))).expect("a way back");
    ledger.settle(&mut run);
    assert_eq!(ledger.writes, [""; 0], "what was put stands in");
    run.now = run.now.plus(Duration::from_secs(7200));
    run.give(Input::Wake).expect("time may come");
    ledger.settle(&mut run);
    assert_eq!(ledger.writes, ["drop a"]);
    assert!(matches!(run.state.end, Some(End::Faulted(_))), "{:?}", run.state.end);
}

fn to(point: u64, effects: Option<Choice>) -> Rewinding {
    Rewinding { to: point, checkpoint: None, effects, input: None, by: bob(), reason: "once more".into() }
}

#[test]
fn what_stands_in_for_an_effect_before_the_point_is_not_behind_it() {
    let (mut run, mut ledger) = settled(THREE);
    let point = run.before(put(&run, "c"));
    run.rewind(Rewinding { effects: Some(Choice::Keep), ..undo(1) }).expect("it waits");
    ledger.settle(&mut run);
    assert!(ledger.writes.is_empty(), "all of it stands in: {:?}", ledger.writes);
    run.rewind(undo(point)).expect("it waits");
    ledger.settle(&mut run);
    assert_eq!(ledger.writes, ["drop c", "put c"], "what the point relies on is left alone");
    // Every event of this happened in one moment, and nothing that is armed was forgotten in it.
    run.rewind(Rewinding { effects: Some(Choice::Keep), ..undo(1) }).expect("it waits");
    run.rewind(Rewinding { effects: Some(Choice::Keep), ..undo(point) }).expect("it waits");
    run.give(Input::Cancel(bob(), "enough".into(), CancelMode::Graceful)).expect("it undoes");
    ledger.settle(&mut run);
    run.check_replay();
}

const ONE: &str = "
- a: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }
- bad: { raise: { error: { type: 'https://shop.example/errors/bad', status: 400, title: Bad } } }";

#[test]
fn an_undo_that_was_sent_and_given_up_is_never_taken_for_none() {
    let (mut run, mut ledger) = (begin(ONE), Ledger::default());
    let parked = |run: &Run| {
        let undo = run.state.open_effects().find(|effect| effect.undo);
        undo.is_some_and(|effect| matches!(effect.phase, Phase::Parked { .. }))
    };
    for round in 0.. {
        if parked(&run) {
            break;
        }
        assert!(round < 100, "it comes to rest");
        for (number, attempt) in run.permit_all() {
            let effect = run.state.effect(number).expect("it is under way");
            let answer = match effect.operation.as_str() {
                "drop:1.0.0" => lost(),
                "look:1.0.0" if ledger.writes.len() == 2 => refused(503, true),
                _ => done(ledger.act(effect)),
            };
            if answer == lost() {
                ledger.writes.push("drop a, perhaps".to_owned());
            }
            run.answer(number.0, attempt, answer);
        }
        run.jump();
    }
    run.rewind(Rewinding { effects: Some(Choice::Keep), ..undo(1) }).expect("the undo waits for people");
    let kept =
        run.state.kept_aside().iter().find(|kept| kept.operation == "put:1.0.0").expect("it is listed");
    assert_eq!((kept.outcome, kept.choice), (Outcome::Unknown, Some(Choice::Repeat)));
    let asked = run.state.requested().into_iter().find_map(|number| run.state.caution(number));
    assert!(asked.is_some_and(|why| why.contains("may have done the very same")), "people decide");
    run.check_replay();
}

#[test]
fn an_undo_without_an_answer_looks_for_the_whole_window_when_its_effect_had_none() {
    for known in [false, true] {
        let drop = DROP.replace("class: idempotent", "class: probeable");
        let tasks = "- a: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }\n- hold: { wait: PT1H }";
        let mut run = Run::start(&document(tasks), &Actions::of(&[PUT, &drop, LOOK]), json!({ "to": "x" }));
        let (mut looks, mut rounds, mut dropped) = (0, 0, false);
        while run.state.end.is_none() {
            for (number, attempt) in run.permit_all() {
                let effect = run.state.effect(number).expect("it is under way");
                let answer = match effect.operation.as_str() {
                    "put:1.0.0" if known => done(json!({})),
                    "look:1.0.0" if dropped => {
                        looks += 1;
                        done(json!({ "there": false }))
                    }
                    "look:1.0.0" => done(json!({ "there": true })),
                    operation => {
                        dropped |= operation == "drop:1.0.0";
                        lost()
                    }
                };
                run.answer(number.0, attempt, answer);
            }
            // What is not known to have happened is undone by itself.
            if known && !dropped && run.state.open_effects().next().is_none() {
                run.give(Input::Cancel(bob(), "enough".into(), CancelMode::Graceful)).expect("it undoes");
            } else if run.state.requested().is_empty() {
                run.jump();
            }
            run.check_replay();
            rounds += 1;
            assert!(rounds < 100, "it comes to rest");
        }
        // Once a second while another look fits into the two seconds; or once, when it was there before and is gone.
        assert_eq!(looks, if known { 1 } else { 2 }, "known: {known}");
        assert!(run.state.armed().is_empty() && run.state.open_effects().next().is_none());
    }
}
