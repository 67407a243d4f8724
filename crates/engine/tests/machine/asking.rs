//! `approval`: people are asked by the workflow itself, and what they say is what it goes on with.

use std::time::Duration;

use engine::{ANSWER_BYTES_MAX, Input, Judgement, Rejected};
use model::effect::EffectNumber;
use model::event::{ApprovalDecision, Awaited};
use model::id::ApprovalId;
use model::verdict::{Decision, Quorum};
use model::{Label, PrincipalId, Request, Value};
use serde_json::{Value as Json, json};

use crate::driver::{Actions, Run, document, done, verdict};

const FORM: &str = "{ type: object, properties: { limit: { type: integer } }, required: [ limit ] }";

fn run(tasks: &str) -> Run {
    Run::start(&document(tasks), &Actions::of(&[]), json!({ "order": "1042" }))
}

fn asking(with: &str) -> String {
    format!(
        "- sure: {{ call: 'approval:1.0.0', with: {{ ask: 'Pay it out?', data: '${{ .order }}', {with} }} }}\n- after: {{ set: '${{ {{ said: ., by: .by }} }}' }}"
    )
}

fn id() -> ApprovalId {
    ApprovalId::new("a1").expect("an identifier")
}

fn asked(run: &mut Run) {
    let effect = EffectNumber(1);
    let found = run.state.effect(effect).expect("it is requested");
    let Request::Approval(request) = &found.request else { panic!("{:?}", found.request) };
    let (digest, quorum) = (found.digest, request.quorum.clone());
    let expires_at = run.now.plus(Duration::from_millis(request.deadline_ms));
    let awaited = Awaited { id: id(), expires_at };
    let judgement = Judgement::Ask { digest, verdict: verdict(Decision::RequireApproval(quorum)), awaited };
    run.give(Input::Judged(effect, judgement)).expect("it is requested");
}

fn said(run: &mut Run, decision: ApprovalDecision, answer: Option<Json>) -> Result<(), Rejected> {
    run.give(Input::Decided {
        effect: EffectNumber(1),
        approval: id(),
        decision,
        by: PrincipalId::new("user:bob").expect("an identifier"),
        reason: "seen".to_owned(),
        answer: answer.map(|answer| Value::from_json(&answer, Label::CALLER)),
    })
}

#[test]
fn what_people_say_is_what_the_flow_goes_on_with() {
    let mut run = run(&asking(&format!("form: {FORM}, approvers: 2, roles: [ admin ], deadline: PT2H")));
    asked(&mut run);
    let effect = run.effects()[0].clone();
    let Request::Approval(request) = &effect.request else { panic!("{:?}", effect.request) };
    assert_eq!((effect.operation.as_str(), &*effect.request.target()), ("approval:1.0.0", "people"));
    assert_eq!(effect.arguments.to_json(), json!({ "ask": "Pay it out?", "data": "1042" }));
    assert_eq!(request.quorum, Quorum { approvers: 2, roles: vec!["admin".to_owned()] });
    assert_eq!(run.state.next_wakeup().map(|(at, _)| at), Some(run.now.plus(Duration::from_secs(7200))));
    said(&mut run, ApprovalDecision::Approved, Some(json!({ "limit": 5 }))).expect("it waits");
    run.permit_all();
    // Whatever the worker answers, people have said what they said.
    run.answer(1, 1, done(json!({ "by": "user:eve", "answer": { "limit": 500 } })));
    let said = json!({ "by": "user:bob", "reason": "seen", "answer": { "limit": 5 } });
    assert_eq!(run.output(), json!({ "said": said, "by": "user:bob" }));
    let output = run.effects()[0].output.clone().expect("it was answered");
    assert_eq!(
        output.get("answer").and_then(|answer| answer.get("limit")).map(|v| v.label),
        Some(Label::CALLER)
    );
    run.check_replay();
}

#[test]
fn without_a_form_nothing_is_filled_in() {
    let mut run = run(&asking(""));
    asked(&mut run);
    let expected = run.now.plus(Duration::from_secs(3600));
    assert_eq!(run.state.next_wakeup().map(|(at, _)| at), Some(expected), "an hour, when nothing is written");
    let given = said(&mut run, ApprovalDecision::Approved, Some(json!({ "limit": 5 })));
    assert_eq!(
        given,
        Err(Rejected::BadArguments("nothing is to be filled in: leave `answer` out".to_owned()))
    );
    said(&mut run, ApprovalDecision::Approved, None).expect("it waits");
    run.permit_all();
    run.answer(1, 1, done(Json::Null));
    assert_eq!(run.output()["said"], json!({ "by": "user:bob", "reason": "seen", "answer": null }));
}

#[test]
fn a_form_is_filled_in_as_it_says() {
    let mut run = run(&asking(&format!("form: {FORM}")));
    asked(&mut run);
    let large = json!({ "limit": 1, "note": "x".repeat(ANSWER_BYTES_MAX) });
    for answer in [None, Some(json!({})), Some(json!({ "limit": "five" })), Some(json!(5)), Some(large)] {
        let shown = answer.as_ref().map(Json::to_string).unwrap_or_default();
        let wrong = said(&mut run, ApprovalDecision::Approved, answer);
        assert!(matches!(wrong, Err(Rejected::BadArguments(_))), "{shown:.40}: {wrong:?}");
    }
    said(&mut run, ApprovalDecision::Approved, Some(json!({ "limit": 1 }))).expect("it waits");
    run.check_replay();
}

#[test]
fn a_no_and_silence_are_errors_that_can_be_caught() {
    let caught = "- guarded: { try: [ { sure: { call: 'approval:1.0.0', with: { ask: Really? } } } ], catch: { errors: { with: { type: 'https://omnihub.dev/errors/approval-denied' } }, do: [ { no: { set: { status: '${ $error.status }' } } } ] } }";
    for (silent, status) in [(false, 403), (true, 408)] {
        for (tasks, catches) in [(asking(""), false), (caught.to_owned(), true)] {
            let mut run = run(&tasks);
            asked(&mut run);
            if silent {
                assert!(run.jump());
            } else {
                said(&mut run, ApprovalDecision::Rejected, None).expect("it waits");
            }
            if catches {
                assert_eq!(run.output(), json!({ "status": status }));
            } else {
                let error = run.error();
                assert_eq!(
                    (error.status, error.kind.as_str()),
                    (status, "https://omnihub.dev/errors/approval-denied")
                );
                assert_eq!(error.instance.as_deref(), Some("/do/0/sure"));
            }
            run.check_replay();
        }
    }
}

#[test]
fn a_permit_without_a_yes_answers_nothing() {
    let mut run = run(&asking(""));
    run.drive(|_| done(Json::Null));
    assert_eq!(run.error().status, 403, "no gate lets it pass; if one did, nobody has said yes");
}

#[test]
fn what_is_wrong_with_a_question_is_told() {
    for (with, told) in [
        ("{ data: 1 }", "OH-2101 `approval` needs `ask`"),
        ("{ ask: ' ' }", "OH-2101 `approval` needs `ask`"),
        ("{ ask: 7 }", "OH-2101 `approval` needs `ask`"),
        ("{ ask: a, approvers: 0 }", "OH-2101 `approvers` is a whole number from 1 to 20"),
        ("{ ask: a, approvers: two }", "OH-2101 `approvers` is a whole number"),
        ("{ ask: a, roles: operator }", "OH-2101 `roles` is a list"),
        ("{ ask: a, roles: [] }", "OH-2101 nobody could answer"),
        ("{ ask: a, roles: [ viewer ] }", "OH-2101 this is no role that decides approvals"),
        ("{ ask: a, form: { type: wrong } }", "OH-1035"),
        ("{ ask: a, deadline: soon }", "OH-1034"),
        ("{ ask: a, deadline: PT0S }", "OH-2101 `deadline` of `approval` is from one second"),
        ("{ ask: a, quorum: 2 }", "OH-2101 `approval:1.0.0` does not take `quorum`"),
    ] {
        let tasks = format!("- sure: {{ call: 'approval:1.0.0', with: {with} }}");
        let compiled = dsl::compile(&document(&tasks), &Actions::of(&[]));
        let found: Vec<String> =
            compiled.problems.iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect();
        assert!(compiled.definition.is_none());
        assert!(found.iter().any(|problem| problem.starts_with(told)), "{with}: {found:?}");
    }
    // What only shows when it runs is an error of the task.
    for with in ["ask: '${ .order | length }'", "ask: '${ \"\" }'", "ask: a, deadline: '${ \"PT0S\" }'"] {
        let run = run(&format!("- sure: {{ call: 'approval:1.0.0', with: {{ {with} }} }}"));
        assert_eq!(run.error().status, 400, "{with}");
    }
}
