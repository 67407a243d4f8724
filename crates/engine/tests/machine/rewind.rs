//! Going back and forking: the flow stands where it stood, and nothing outside is silently done twice.

use std::sync::Arc;

use engine::{End, Execution, Input, NoReturn, Phase, Rewinding, Status};
use model::effect::{Answer, EffectNumber};
use model::event::{Choice, EditedInput, EventBody, Origin, Started};
use model::{Digest, ExecutionId, Label, Outcome, PrincipalId, Value};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done, lost, refused};

fn action(name: &str, class: &str, more: &str) -> String {
    format!(
        "action: {name}:1.0.0\neffect: {}\nclass: {class}\ninput: {{ schema: {{ type: object }} }}\n{more}\
         run: {{ call: http, with: {{ method: {}, endpoint: 'http://shop.example/{name}' }} }}\n",
        if class == "read" { "read" } else { "write" },
        if class == "read" { "get" } else { "post" }
    )
}

fn actions() -> Actions {
    let keyed = "idempotency: { key: '\"key-\" + .n', header: Idempotency-Key }\n";
    let own = "idempotency: { key: '$workflow.id + \"/\" + .n', header: Idempotency-Key }\n";
    let all = [
        action("look", "read", ""),
        action("put", "idempotent", own),
        action("pay", "irreversible", keyed),
        action("send", "irreversible", ""),
    ];
    Actions::of(&all.each_ref().map(String::as_str))
}

fn run(tasks: &str, input: Json) -> Run {
    Run::start(&document(tasks.trim()), &actions(), input)
}

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

fn to(point: u64, effects: Option<Choice>) -> Rewinding {
    Rewinding { to: point, checkpoint: None, effects, input: None, by: bob(), reason: "once more".into() }
}

fn keep(point: u64) -> Rewinding {
    to(point, Some(Choice::Keep))
}

impl Run {
    pub(crate) fn rewind(&mut self, rewinding: Rewinding) -> Result<(), NoReturn> {
        let (state, step) = Execution::rewind(&self.definition, &self.events, rewinding, self.now)?;
        self.state = state;
        self.events.extend(step.events);
        self.check_replay();
        Ok(())
    }

    pub(crate) fn fork(&self, forking: Rewinding) -> Result<Run, NoReturn> {
        let EventBody::Started(first) = &self.events[0].body else { panic!("it begins with `started`") };
        let execution = ExecutionId::new("e2").expect("an identifier");
        let origin = Origin { execution: first.execution.clone(), event: forking.to };
        let input = forking.input.as_ref().map_or_else(|| first.input.clone(), |input| input.value.clone());
        let started = Started {
            execution,
            plan: Digest::of(b"fork"),
            input,
            origin: Some(origin),
            ..(**first).clone()
        };
        let (state, step) = Execution::fork(&self.definition, &self.events, started, forking, self.now)?;
        let run = Run::of(state, step.events, self.now, Arc::clone(&self.definition));
        run.check_replay();
        Ok(run)
    }

    /// The event at which an effect was judged the first time.
    pub(crate) fn before(&self, effect: u32) -> u64 {
        let places = engine::places::places(&self.definition, &self.events, &self.events);
        places.iter().find(|place| place.effect == Some(EffectNumber(effect))).expect("it was judged").event
    }

    /// Answers everything with its own number; counts what was sent by operation.
    fn finish(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        self.drive(|effect| {
            sent.push(effect.operation.clone());
            done(json!({ "n": effect.arguments.get("n").map(Value::to_json), "by": effect.number.0 }))
        });
        sent
    }

    fn reused(&self) -> Vec<(u32, u32)> {
        let of = |event: &model::Event| match &event.body {
            EventBody::EffectReused { effect, of, .. } => Some((effect.0, of.0)),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }
}

const FOUR: &str = "
- look: { call: 'look:1.0.0', with: { n: '${ \"a\" }' }, export: { as: '${ {look: .by} }' } }
- put: { call: 'put:1.0.0', with: { n: '${ \"b\" }' }, output: { as: '${ $workflow.input } ' } }
- pay: { call: 'pay:1.0.0', with: { n: '${ \"c\" }' } }
- send: { call: 'send:1.0.0', with: { n: '${ \"d\" }' } }
- nap: { wait: PT1S }
- last: { call: 'send:1.0.0', with: { n: '${ \"e\" }' } }";

/// All but the last answered.
fn four() -> Run {
    let mut run = run(FOUR, json!({}));
    while run.state.effects.requested() < 5 {
        for (number, attempt) in run.permit_all() {
            run.answer(number.0, attempt, done(json!({ "by": number.0 })));
        }
        run.jump();
    }
    run
}

#[test]
fn what_was_done_answers_again_wherever_the_flow_goes_back_to() {
    let end = four().version();
    for point in 1..=end {
        let mut run = four();
        run.rewind(keep(point)).unwrap_or_else(|no| panic!("to {point}: {no}"));
        let sent = run.finish();
        assert_eq!(sent, ["send:1.0.0"], "to {point}: only the last was not done yet");
        assert_eq!(run.output()["n"], json!("e"), "to {point}");
        run.check_replay();
    }
}

#[test]
fn what_was_never_answered_or_failed_is_asked_again() {
    let mut run = run(
        "- one: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }\n- two: { call: 'send:1.0.0', with: { n: '${ \"b\" }' } }",
        json!({}),
    );
    let (number, attempt) = run.permit_all()[0];
    run.answer(number.0, attempt, done(json!(1)));
    let (number, attempt) = run.permit_all()[0];
    run.answer(number.0, attempt, refused(422, false));
    assert_eq!(run.state.status(), Status::Faulted);
    run.rewind(keep(1)).expect("what faulted goes back");
    assert_eq!(run.finish(), ["send:1.0.0"]);
    assert_eq!(run.reused(), [(3, 1)]);
}

#[test]
fn another_input_asks_people_about_what_it_does_otherwise() {
    let tasks = "- one: { call: 'put:1.0.0', with: { n: '${ \"a\" }' } }\n- two: { call: 'send:1.0.0', with: { n: '${ $workflow.input.to }' } }\n- three: { call: 'look:1.0.0', with: { n: '${ $workflow.input.to }' } }\n- nap: { wait: PT1H }";
    let mut run = run(tasks, json!({ "to": "x" }));
    for _ in 0..3 {
        let (number, attempt) = run.permit_all()[0];
        run.answer(number.0, attempt, done(json!({ "by": number.0 })));
    }
    let value = Value::from_json(&json!({ "to": "y" }), Label::CALLER);
    let input = EditedInput { value, blob: None, label: Label::CALLER, plan: Digest::of(b"edited") };
    let inside = Rewinding { input: Some(input.clone()), ..keep(2) };
    assert_eq!(run.rewind(inside), Err(NoReturn::InputInside));
    run.rewind(Rewinding { input: Some(input), ..keep(1) }).expect("it waits");
    assert_eq!((run.reused(), run.state.started.plan), (vec![(4, 1)], Digest::of(b"edited")));
    let asked = run.state.requested()[0];
    let caution = run.state.caution(asked).expect("people decide");
    assert!(caution.contains("effect 2 may have done this with other arguments"), "{caution}");
    assert_eq!(
        run.state.effect(asked).and_then(|e| e.edited_by.clone()),
        Some(bob()),
        "who edits is an author"
    );
    let (number, attempt) = run.permit_all()[0];
    run.answer(number.0, attempt, done(json!({ "by": 5 })));
    let read = run.state.requested()[0];
    assert_eq!(run.state.caution(read), None, "reads change nothing");
}

#[test]
fn what_may_have_happened_is_never_silently_sent_again() {
    let cautious = |class: &str, answers: &[Answer]| {
        let mut run =
            run(&format!("- one: {{ call: '{class}:1.0.0', with: {{ n: '${{ \"a\" }}' }} }}"), json!({}));
        for answer in answers {
            if run.state.requested().is_empty() {
                run.jump();
            }
            let (number, attempt) = run.permit_all()[0];
            run.answer(number.0, attempt, answer.clone());
        }
        run.rewind(keep(1)).expect("nothing is on the wire");
        let number = run.state.requested()[0];
        (run.state.caution(number), run.state.outcome())
    };
    assert!(cautious("send", &[lost()]).0.is_some_and(|why| why.contains("may have done the very same")));
    assert!(cautious("pay", &[lost()]).0.is_some_and(|why| why.contains("may have done the very same")));
    assert_eq!(cautious("put", &[lost()]).0, None, "the same key may be sent again");
    assert_eq!(cautious("send", &[refused(503, true)]).0, None, "nothing happened");
    assert_eq!(cautious("look", &[lost()]).0, None);
}

#[test]
fn what_is_on_the_wire_is_awaited_first() {
    for (class, refused) in [("send", true), ("put", true), ("pay", true), ("look", false)] {
        let mut run =
            run(&format!("- one: {{ call: '{class}:1.0.0', with: {{ n: '${{ \"a\" }}' }} }}"), json!({}));
        run.permit_all();
        let no = run.rewind(keep(1)).err();
        assert_eq!(no, refused.then_some(NoReturn::UnderWay(1)), "{class}");
    }
}

#[test]
fn doubt_stays_until_somebody_settles_it() {
    let mut run =
        run("- one: { call: 'send:1.0.0', with: { n: '${ $workflow.input.n }' } }", json!({ "n": "x" }));
    let (number, attempt) = run.permit_all()[0];
    run.answer(number.0, attempt, lost());
    let value = Value::from_json(&json!({ "n": "y" }), Label::CALLER);
    let input = EditedInput { value, blob: None, label: Label::CALLER, plan: Digest::of(b"edited") };
    run.rewind(Rewinding { input: Some(input), ..keep(1) }).expect("it is parked");
    run.finish();
    assert_eq!(run.state.outcome(), Some(Outcome::Unknown));
    for effect in [1, 2] {
        let resolved = model::event::Resolved {
            effect: EffectNumber(effect),
            outcome: Outcome::Verified,
            evidence: "seen".into(),
            output: None,
            output_blob: None,
            by: bob(),
            reason: String::new(),
        };
        run.give(Input::Resolve { resolved: Box::new(resolved), looked_up: true }).expect("nobody knows");
    }
    assert_eq!(run.state.outcome(), Some(Outcome::Verified));
    run.check_replay();
}

#[test]
fn a_person_is_asked_about_each_before_anything_goes_on() {
    let mut run = four();
    run.rewind(to(1, None)).expect("it waits");
    assert_eq!(
        (run.state.status(), run.state.requested(), run.state.next_wakeup()),
        (Status::Suspended, vec![], None)
    );
    let choose = |effect, choice| Input::Choose {
        effect: EffectNumber(effect),
        choice,
        by: bob(),
        reason: "so".into(),
    };
    for (effect, choice) in [(1, Choice::Repeat), (2, Choice::Keep), (3, Choice::Repeat)] {
        run.give(choose(effect, choice)).expect("it is asked about");
        assert!(run.state.requested().is_empty(), "effect 4 is still open");
        run.give(choose(effect, choice)).expect("the same again is fine");
        let other = if choice == Choice::Keep { Choice::Repeat } else { Choice::Keep };
        assert!(run.give(choose(effect, other)).is_err());
    }
    assert!(run.give(choose(9, Choice::Keep)).is_err());
    run.give(choose(4, Choice::Keep)).expect("it is asked about");
    let mut sent = Vec::new();
    let mut cautions = Vec::new();
    for _ in 0..20 {
        for number in run.state.requested() {
            cautions.push((
                run.state.effect(number).expect("open").operation.clone(),
                run.state.caution(number).is_some(),
            ));
        }
        for (number, attempt) in run.permit_all() {
            sent.push(run.state.effect(number).expect("open").operation.clone());
            run.answer(number.0, attempt, done(json!({ "by": number.0 })));
        }
        run.jump();
    }
    assert_eq!(sent, ["look:1.0.0", "pay:1.0.0", "send:1.0.0"]);
    assert_eq!(cautions[..2], [("look:1.0.0".to_owned(), false), ("pay:1.0.0".to_owned(), true)]);
    run.check_replay();
}

#[test]
fn it_goes_back_again_and_again() {
    let mut run = four();
    let points = [run.before(3), 1, run.before(2), run.before(4), 2];
    for point in points {
        run.rewind(keep(point)).expect("it waits");
        run.check_replay();
    }
    // Back into what a return had already left behind.
    let middle = run.version() - 2;
    run.rewind(keep(middle)).expect("it waits");
    assert_eq!(run.finish(), ["send:1.0.0"]);
    assert!(run.effects().iter().filter(|e| e.reused.is_none() && e.attempts.len() == 1).count() == 5);
}

#[test]
fn loops_and_rounds_find_their_own_answers() {
    let tasks = "
- each:
    for: { each: item, in: '[\"a\", \"b\", \"c\"]' }
    do:
      - pay: { call: 'pay:1.0.0', with: { n: '${ $item }' } }
- over: { call: 'send:1.0.0', with: { n: '${ \"z\" }' } }";
    let mut run = run(tasks, json!({}));
    for _ in 0..3 {
        let (number, attempt) = run.permit_all()[0];
        run.answer(number.0, attempt, done(json!({ "by": number.0 })));
    }
    run.rewind(keep(run.before(2))).expect("it waits");
    assert_eq!(run.reused(), [(5, 2), (6, 3)]);
    assert_eq!(run.finish(), ["send:1.0.0"]);
}

#[test]
fn time_begins_again_with_the_task() {
    let mut run =
        run("- nap: { wait: PT1H }\n- over: { call: 'send:1.0.0', with: { n: '${ \"z\" }' } }", json!({}));
    run.jump();
    run.now = run.now.plus(std::time::Duration::from_secs(7200));
    run.rewind(keep(1)).expect("it waits");
    let (at, _) = run.state.next_wakeup().expect("it naps again");
    assert_eq!(at, run.now.plus(std::time::Duration::from_secs(3600)));
}

#[test]
fn what_has_ended_for_good_is_forked_instead() {
    let mut ended = four();
    ended.finish();
    assert_eq!(ended.rewind(keep(1)), Err(NoReturn::Over("completed")));
    let mut cancelled = four();
    cancelled.give(Input::Cancel(bob(), "no".into(), model::event::CancelMode::Forced)).expect("it waits");
    assert_eq!(cancelled.rewind(keep(1)), Err(NoReturn::Over("cancelled")));
    for total in [0, ended.version() + 1] {
        assert!(matches!(four().rewind(keep(total)), Err(NoReturn::NoPoint { .. })), "{total}");
    }
    let end = ended.version();
    assert_eq!(ended.fork(keep(end)).err(), Some(NoReturn::EndedThere(end)));
    for point in 1..end - 1 {
        let mut fork = ended.fork(keep(point)).unwrap_or_else(|no| panic!("from {point}: {no}"));
        assert!(fork.finish().is_empty(), "from {point}: everything was done");
        assert_eq!(fork.output(), ended.output(), "from {point}");
        assert_eq!(fork.state.started.execution.as_str(), "e2");
    }
}

#[test]
fn a_fork_has_keys_of_its_own_and_repeats_nothing() {
    let mut origin = four();
    let mut fork = origin.fork(keep(origin.before(2))).expect("it waits");
    assert_eq!(fork.finish(), ["send:1.0.0"]);
    let keys = |run: &Run| run.effects().iter().map(|e| e.key.clone()).collect::<Vec<_>>();
    let theirs = keys(&origin);
    let own: Vec<String> = keys(&fork).into_iter().filter(|key| !key.starts_with("key-")).collect();
    assert!(!own.is_empty() && own.iter().all(|key| !theirs.contains(key)), "{own:?}");
    // The origin goes on as if nothing had been.
    assert_eq!(origin.finish(), ["send:1.0.0"]);
}

#[test]
fn a_fork_with_another_input_asks_about_what_it_does_otherwise() {
    let tasks = "- one: { call: 'pay:1.0.0', with: { n: '${ .n }' } }\n- two: { call: 'send:1.0.0', with: { n: '${ \"b\" }' } }";
    let mut origin = run(tasks, json!({ "n": "x" }));
    origin.finish();
    let value = Value::from_json(&json!({ "n": "y" }), Label::CALLER);
    let input = EditedInput { value, blob: None, label: Label::CALLER, plan: Digest::of(b"edited") };
    let mut fork = origin.fork(Rewinding { input: Some(input), ..keep(1) }).expect("it ended");
    let asked = fork.state.requested()[0];
    assert!(
        fork.state.caution(asked).is_some_and(|why| why.contains("`e1`") && why.contains("other arguments"))
    );
    assert_eq!(fork.finish(), ["pay:1.0.0"]);
    assert!(matches!(fork.state.end, Some(End::Completed(_))));
}

#[test]
fn a_held_one_stays_held_and_time_that_struck_is_over() {
    let mut run = four();
    run.give(Input::Pause(bob(), "wait".into())).expect("it waits");
    run.rewind(keep(1)).expect("it is only held");
    assert!(run.state.paused && run.reused().is_empty());
    run.give(Input::Resume(bob(), "go".into())).expect("it is held");
    assert_eq!(run.reused().len(), 4);
    run.check_replay();
}

#[test]
fn parked_work_is_settled_by_going_back() {
    let mut run = run("- one: { call: 'send:1.0.0', with: { n: '${ \"a\" }' } }", json!({}));
    let (number, attempt) = run.permit_all()[0];
    run.answer(number.0, attempt, lost());
    assert!(run.state.open_effects().any(|e| matches!(e.phase, Phase::Parked { .. })));
    run.rewind(keep(1)).expect("it is parked");
    let first = run.state.effect(EffectNumber(1)).expect("parked effects are kept");
    assert_eq!((first.outcome, run.state.status()), (Some(Outcome::Unknown), Status::Running));
}

#[test]
fn places_know_their_digests() {
    let mut run = four();
    let digest = engine::places::history_digest(&run.events);
    run.give(Input::Checkpoint("here".into(), digest, bob(), "a good place".into())).expect("it waits");
    let place = |run: &Run| {
        let places = engine::places::places(&run.definition, &run.events, &run.events);
        places.into_iter().find(|place| place.checkpoint.as_deref() == Some("here")).expect("it is named")
    };
    let whole = place(&run);
    assert_eq!((Some(whole.digest), whole.event), (whole.recorded, run.version()));
    for damaged in 0..run.events.len() - 1 {
        let mut events = run.events.clone();
        events[damaged].at = events[damaged].at.plus(std::time::Duration::from_millis(1));
        std::mem::swap(&mut run.events, &mut events);
        let found = place(&run);
        assert_ne!(Some(found.digest), found.recorded, "event {damaged}");
        run.events = events;
    }
    run.rewind(keep(whole.event)).expect("it waits");
    assert_eq!(run.finish(), ["send:1.0.0"]);
}

#[test]
fn what_was_said_is_not_lost_by_going_back() {
    let go = "{ with: { type: go, omnihubexecution: '${ $workflow.id }' } }";
    let tasks = format!(
        "- w: {{ wait: PT1S }}\n- a: {{ listen: {{ to: {{ any: [{go}], until: 'length == 2' }} }} }}\n- h: {{ wait: PT1H }}\n- b: {{ listen: {{ to: {{ one: {go} }} }}, output: {{ as: '${{ $input + . }}' }} }}"
    );
    let say = |run: &mut Run, n: i64| {
        let data = Value::from_json(&json!(n), Label::CALLER);
        let signal = engine::Signalled {
            id: n.to_string(),
            name: "go".into(),
            data,
            label: Label::CALLER,
            by: bob(),
            attributes: None,
        };
        run.give(Input::Signal(signal)).expect("it may come");
        run.check_replay();
    };
    let mut run = run(&tasks, json!({}));
    say(&mut run, 1);
    assert!(run.jump());
    // 1 is taken, 2 completes the first task, 3 comes early for the second.
    say(&mut run, 2);
    say(&mut run, 3);
    assert_eq!(run.events.len(), 5);
    let mut fork = run.fork(keep(3)).expect("there is such a point");
    for point in [3, 2, 4, 1] {
        run.rewind(keep(point)).expect("there is such a point");
        while run.state.inbox().count() > 1 {
            assert!(run.jump(), "the first wait is over some time");
        }
        assert_eq!(run.state.inbox().collect::<Vec<_>>(), ["go"], "back to {point}");
    }
    run.check_replay();
    say(&mut run, 3);
    assert!(run.jump());
    assert_eq!(run.output(), json!([1, 2, 3]));
    // What was said to the other one later was not said to the fork.
    assert_eq!(fork.state.listens_for().into_iter().collect::<Vec<_>>(), ["go"]);
    say(&mut fork, 7);
    say(&mut fork, 8);
    assert!(fork.jump());
    assert_eq!(fork.output(), json!([1, 7, 8]));
}
