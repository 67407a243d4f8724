//! Workflows that run others: what the one that runs them asks for, and what it makes of each end.

use engine::{End, Execution, Input, Phase, Rejected, Status};
use model::effect::{Answer, EffectNumber};
use model::event::{CancelMode, EventBody, Started};
use model::family::{ChildAnswer, ChildStatus, Family, Origins, Parent};
use model::problem::WorkflowError;
use model::{ExecutionId, Label, Outcome, PrincipalId, Request, Value};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done};

const PUT: &str = "
action: order-put:1.0.0
effect: write
class: compensable
input: { schema: { type: object } }
compensate: { call: 'order-drop:1.0.0', with: '${ $action.arguments }' }
run: { call: http, with: { method: put, endpoint: 'http://shop.example/orders', body: '${ . }' } }
";
const DROP: &str = "
action: order-drop:1.0.0
effect: delete
class: idempotent
idempotency: { key: '\"drop-\" + .n', header: Idempotency-Key }
input: { schema: { type: object } }
run: { call: http, with: { method: delete, endpoint: 'http://shop.example/orders' } }
";
const LEG: &str = "- leg: { run: { workflow: { namespace: test, name: leg, version: '1.2.0', input: { to: '${ .city }' } } } }";

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

fn actions() -> Actions {
    Actions::of(&[PUT, DROP])
}

fn run(tasks: &str, input: Json) -> Run {
    Run::start(&document(tasks.trim()), &actions(), input)
}

fn ended(run: &Run, effect: u32, status: ChildStatus, outcome: Outcome) -> ChildAnswer {
    let state = &run.state;
    let execution = state.effect(EffectNumber(effect)).and_then(|effect| state.execution_of(effect));
    let failed = matches!(status, ChildStatus::Faulted | ChildStatus::Cancelled);
    ChildAnswer {
        execution: execution.expect("the effect is an execution"),
        status,
        outcome,
        output: (!failed).then(|| Value::from_json(&json!({ "seat": "4A" }), Label::DEFINITION)),
        output_blob: None,
        origins: Origins::default(),
        error: failed.then(|| WorkflowError {
            kind: "https://test.example/errors/full".into(),
            status: 409,
            title: Some("Full".into()),
            detail: None,
            instance: Some("/do/0/inner".into()),
        }),
    }
}

fn tell(run: &mut Run, effect: u32, status: ChildStatus, outcome: Outcome) {
    let answer = ended(run, effect, status, outcome);
    run.permit_all();
    run.answer(effect, 1, Answer::Child(Box::new(answer)));
}

fn child_of(run: &Run, effect: u32) -> ExecutionId {
    run.state.child_of(EffectNumber(effect))
}

#[test]
fn it_waits_and_goes_on_with_the_output() {
    let mut run =
        run(&format!("{LEG}\n- after: {{ set: {{ got: '${{ .seat }}' }} }}"), json!({"city": "Rome"}));
    let requested = run.state.requested();
    let effect = run.state.effect(requested[0]).expect("it is requested").clone();
    assert_eq!(effect.operation, "workflow:test/leg:1.2.0");
    assert_eq!(effect.request.target(), "workflow:test/leg");
    assert_eq!(
        effect.arguments.to_json(),
        json!({"workflow": {"namespace": "test", "name": "leg", "version": "1.2.0"}, "input": {"to": "Rome"}})
    );
    run.permit_all();
    assert_eq!(run.state.status(), Status::Waiting, "another execution runs, not this one");
    // A restart loses no answer: nobody in this process was to give one.
    run.give(Input::Recover { lease: 1 }).expect("it may always come");
    assert_eq!(run.state.effect(EffectNumber(1)).expect("it is open").phase, Phase::Started);
    tell(&mut run, 1, ChildStatus::Completed, Outcome::Verified);
    assert_eq!(run.output(), json!({"got": "4A"}));
    assert_eq!(run.state.outcome(), Some(Outcome::Verified));
    run.check_replay();
}

#[test]
fn origins_travel_in_and_out() {
    let mut run = run(LEG, json!({"city": "Rome"}));
    let requested = run.state.requested();
    let effect = run.state.effect(requested[0]).expect("it is requested");
    let input = effect.arguments.get("input").expect("it has one");
    assert_eq!(Origins::of(input).parts, [("/to".to_owned(), Label::CALLER)]);
    run.permit_all();
    let output = Value::object([
        ("own", Value::string("x")),
        ("said", Value::string("y").with_label_everywhere(Label::MODEL)),
    ]);
    let answer = ChildAnswer {
        origins: Origins::of(&output),
        output: Some(Value::from_json(&output.to_json(), Label::DEFINITION)),
        ..ended(&run, 1, ChildStatus::Completed, Outcome::Verified)
    };
    run.answer(1, 1, Answer::Child(Box::new(answer)));
    let Some(End::Completed(came)) = &run.state.end else { panic!("not completed: {:?}", run.state.end) };
    assert_eq!(came.provenance(), output.provenance());
    run.check_replay();
}

#[test]
fn its_fault_is_caught_by_its_type_and_tried_again_as_another_one() {
    let tasks = "
- all:
    try:
      - leg: { run: { workflow: { namespace: test, name: leg, version: '1.2.0' } } }
    catch:
      errors: { with: { type: 'https://test.example/errors/full' } }
      retry: { limit: { attempt: { count: 1 } } }
      do: [ { sorry: { set: { sorry: true } } } ]
";
    let mut run = run(tasks, json!({}));
    let first = child_of(&run, 1);
    tell(&mut run, 1, ChildStatus::Faulted, Outcome::Failed);
    let second = child_of(&run, 2);
    assert_ne!(first, second);
    tell(&mut run, 2, ChildStatus::Faulted, Outcome::Failed);
    assert_eq!(run.output(), json!({"sorry": true}));
    run.check_replay();
}

#[test]
fn an_uncaught_fault_is_raised_as_it_was_and_what_is_unknown_stays_so() {
    let mut run = run(LEG, json!({}));
    tell(&mut run, 1, ChildStatus::Faulted, Outcome::Unknown);
    assert_eq!(run.error().kind, "https://test.example/errors/full");
    assert_eq!(run.error().instance.as_deref(), Some("/do/0/inner"));
    assert_eq!(run.state.outcome(), Some(Outcome::Unknown));
    run.check_replay();
}

#[test]
fn one_that_completed_is_undone_as_a_whole_newest_first() {
    let tasks = "
- put: { call: 'order-put:1.0.0', with: { n: a } }
- leg: { run: { workflow: { namespace: test, name: leg, version: '1.2.0' } } }
- no: { raise: { error: { type: 'https://test.example/errors/no', status: 400 } } }
";
    let mut run = run(tasks, json!({}));
    run.permit_all();
    run.answer(1, 1, done(json!({})));
    let child = child_of(&run, 2);
    tell(&mut run, 2, ChildStatus::Completed, Outcome::Verified);
    run.permit_all();
    let undo = run.state.effect(EffectNumber(3)).expect("the undo").clone();
    let Request::Unwind(unwind) = &undo.request else { panic!("{:?}", undo.request) };
    assert_eq!((&unwind.execution, undo.operation.as_str()), (&child, "undo-workflow:test/leg:1.2.0"));
    assert_eq!(undo.compensates, Some(EffectNumber(2)));
    assert!(run.state.effect(EffectNumber(4)).is_none(), "what is below waits for it");
    tell(&mut run, 3, ChildStatus::Undone, Outcome::Verified);
    run.permit_all();
    assert_eq!(run.state.effect(EffectNumber(4)).expect("the next undo").operation, "order-drop:1.0.0");
    run.answer(4, 1, done(json!({})));
    assert_eq!(run.error().kind, "https://test.example/errors/no");
    let undone: Vec<_> = run.state.undone.iter().map(|item| item.operation.clone()).collect();
    assert_eq!(undone, ["workflow:test/leg:1.2.0", "order-put:1.0.0"]);
    run.check_replay();
}

#[test]
fn an_undo_that_another_execution_cannot_do_is_parked_and_can_be_forced() {
    let tasks =
        format!("{LEG}\n- no: {{ raise: {{ error: {{ type: 'https://e.example/no', status: 400 }} }} }}");
    let mut run = run(&tasks, json!({}));
    tell(&mut run, 1, ChildStatus::Completed, Outcome::Verified);
    tell(&mut run, 2, ChildStatus::Faulted, Outcome::Unknown);
    assert_eq!(run.state.status(), Status::Suspended);
    run.give(Input::Force { effect: EffectNumber(2), by: bob(), reason: "looked".into() })
        .expect("it is parked");
    assert_eq!((run.state.status(), run.state.outcome()), (Status::Faulted, Some(Outcome::Unknown)));
    run.check_replay();
}

#[test]
fn whoever_is_cancelled_waits_until_those_it_runs_have_stopped() {
    let tasks = "
- put: { call: 'order-put:1.0.0', with: { n: a } }
- leg: { run: { workflow: { namespace: test, name: leg, version: '1.2.0' } } }
";
    for status in [ChildStatus::Cancelled, ChildStatus::Completed] {
        let mut run = run(tasks, json!({}));
        run.permit_all();
        run.answer(1, 1, done(json!({})));
        run.permit_all();
        run.give(Input::Cancel(bob(), "enough".into(), CancelMode::Graceful)).expect("it runs");
        let child = child_of(&run, 2);
        assert_eq!(run.state.children_under_way(), [(EffectNumber(2), child, false)]);
        assert!(run.state.requested().is_empty(), "nothing is undone before it has stopped");
        tell(&mut run, 2, status, Outcome::Verified);
        run.permit_all();
        let mut next = 3;
        if status == ChildStatus::Completed {
            // It was faster: now it is undone.
            tell(&mut run, 3, ChildStatus::Undone, Outcome::Verified);
            run.permit_all();
            next = 4;
        }
        assert_eq!(run.state.effect(EffectNumber(next)).expect("an undo").operation, "order-drop:1.0.0");
        run.answer(next, 1, done(json!({})));
        assert_eq!(run.state.status(), Status::Cancelled);
        run.check_replay();
    }
}

#[test]
fn nobody_waits_for_one_that_is_only_begun() {
    let tasks = "
- leg: { run: { workflow: { namespace: test, name: leg, version: '1.2.0' }, await: false } }
- no: { raise: { error: { type: 'https://e.example/no', status: 400 } } }
";
    let mut run = run(tasks, json!({}));
    run.permit_all();
    assert!(run.state.children_under_way().is_empty());
    tell(&mut run, 1, ChildStatus::Started, Outcome::Verified);
    assert_eq!(run.error().status, 400);
    assert!(run.state.undone.is_empty(), "it is on its own");
    run.check_replay();
}

#[test]
fn a_time_limit_lets_go_of_it() {
    let tasks = "
- all:
    try: [ { leg: { run: { workflow: { namespace: test, name: leg, version: '1.2.0' } }, timeout: { after: PT1H } } } ]
    catch: { errors: { with: { status: 408 } } }
- after: { wait: PT10H }
";
    let mut run = run(tasks, json!({}));
    run.permit_all();
    assert!(run.jump());
    let child = child_of(&run, 1);
    assert_eq!(run.state.children_under_way(), [(EffectNumber(1), child, false)]);
    tell(&mut run, 1, ChildStatus::Cancelled, Outcome::Failed);
    run.drive(|_| done(json!({})));
    assert_eq!(run.state.status(), Status::Completed);
}

#[test]
fn latest_is_what_it_was_when_it_began() {
    let tasks = "- leg: { run: { workflow: { namespace: test, name: leg, version: latest } } }";
    let unknown = run(tasks, json!({}));
    assert_eq!(unknown.error().status, 404);
    let latest = [("test/leg".to_owned(), "3.1.0".to_owned())].into();
    let family = Family { latest, ..Family::default() };
    let known =
        Run::start_as(&document(tasks), &actions(), json!({}), |started| Started { family, ..started });
    let requested = known.state.requested();
    assert_eq!(
        known.state.effect(requested[0]).expect("it is requested").operation,
        "workflow:test/leg:3.1.0"
    );
    known.check_replay();
}

fn parent(waits: bool, levels: usize) -> Family {
    let id = |n: usize| ExecutionId::new(format!("p{n}")).expect("an identifier");
    let caller = |n| model::family::Ancestor { execution: id(n), workflow: "test/up:1.0.0".into() };
    let callers = (0..levels).map(caller).collect();
    let parent =
        Parent { execution: id(levels - 1), effect: EffectNumber(7), waits, callers, editor: Some(bob()) };
    Family { parent: Some(parent), ..Family::default() }
}

#[test]
fn one_that_is_run_keeps_its_stack_and_undoes_itself_when_asked() {
    let tasks = "- put: { call: 'order-put:1.0.0', with: { n: a } }";
    let mut run = Run::start_as(&document(tasks), &actions(), json!({}), |started| Started {
        family: parent(true, 1),
        ..started
    });
    let effect = run.state.effect(EffectNumber(1)).expect("it is requested");
    assert_eq!(effect.edited_by, Some(bob()), "who edited the input is an author of what follows");
    run.drive(|_| done(json!({})));
    let told = run.state.child_answer().expect("it ended");
    assert_eq!((told.status, run.state.tells()), (ChildStatus::Completed, Some(EffectNumber(7))));
    assert_eq!(run.state.armed().len(), 1);
    run.give(Input::Undo(EffectNumber(9))).expect("it completed");
    assert!(run.state.child_answer().is_none());
    assert_eq!(
        run.give(Input::Undo(EffectNumber(9))),
        Err(Rejected::Nothing("it has not completed, or is undoing what it did already"))
    );
    run.drive(|effect| {
        assert_eq!(effect.operation, "order-drop:1.0.0");
        done(json!({}))
    });
    let told = run.state.child_answer().expect("it ended again");
    // Nobody checked the undo, so nobody says that it is real.
    assert_eq!((told.status, told.outcome), (ChildStatus::Undone, Outcome::Unknown));
    assert_eq!((run.state.tells(), run.state.status()), (Some(EffectNumber(9)), Status::Cancelled));
    let ends = run.events.iter().filter(|event| matches!(event.body, EventBody::Ended { .. })).count();
    assert_eq!(ends, 2);
    run.check_replay();
}

#[test]
fn what_was_told_is_not_taken_back() {
    let tasks = "- no: { raise: { error: { type: 'https://e.example/no', status: 400 } } }";
    let started = |family: Family| {
        Run::start_as(&document(tasks), &actions(), json!({}), |started| Started { family, ..started })
    };
    let mut run = started(parent(true, 1));
    assert!(run.give(Input::Retry(bob(), "again".into())).is_err());
    let rewinding = engine::Rewinding {
        to: 1,
        checkpoint: None,
        effects: None,
        input: None,
        by: bob(),
        reason: "again".into(),
    };
    let back = Execution::rewind(&run.definition, &run.events, rewinding, run.now);
    assert_eq!(back.err(), Some(engine::NoReturn::Told));
    let mut alone = started(parent(false, 1));
    alone.give(Input::Retry(bob(), "again".into())).expect("nobody waits for it");
}

#[test]
fn nobody_runs_itself_for_ever() {
    for (levels, fine) in [(engine::FAMILY_DEPTH_MAX - 2, true), (engine::FAMILY_DEPTH_MAX - 1, false)] {
        let run = Run::start_as(&document(LEG), &actions(), json!({}), |started| Started {
            family: parent(true, levels),
            ..started
        });
        assert_eq!(run.state.requested().len() == 1, fine, "{levels}");
        if !fine {
            assert!(run.error().kind.ends_with("too-deep"), "{:?}", run.error());
        }
    }
}
