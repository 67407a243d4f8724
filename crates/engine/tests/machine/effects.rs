//! What an answer, a lost answer, a lie and a crash mean, by effect class.

use crate::driver::{Actions, Run, document, done, lost, refused, verdict};
use engine::{Input, Judgement, Phase};
use model::effect::{Answer, EffectNumber};
use model::event::{ApprovalDecision, Awaited};
use model::id::ApprovalId;
use model::verdict::{Decision, Quorum};
use model::{Outcome, PrincipalId};
use serde_json::json;

const READ: &str = "
action: refund-read:1.0.0
effect: read
class: read
input: { schema: { type: object } }
run: { call: http, with: { method: get, endpoint: 'http://shop.example/refunds/{key}' } }
";

fn create(class: &str) -> String {
    let ensure = "
idempotency: { key: '$workflow.id + \"/\" + .order', header: Idempotency-Key }
ensure: { probe: { call: 'refund-read:1.0.0', with: { key: '${ $action.key }' } }, that: '.status == \"settled\"', every: PT1S, within: PT5S }";
    let more = match class {
        "probeable" => ensure.to_owned(),
        "idempotent" => "\nidempotency: { key: '$workflow.id', header: Idempotency-Key }".to_owned(),
        _ => String::new(),
    };
    format!(
        "
action: refund-create:1.0.0
effect: money
class: {class}
amount: {{ value: /amount, currency: /currency }}
input: {{ schema: {{ type: object }} }}{more}
run: {{ call: http, with: {{ method: post, endpoint: 'http://shop.example/refunds', body: '${{ . }}' }} }}
"
    )
}

fn refund(class: &str) -> Run {
    let actions = Actions::of(&[READ, &create(class)]);
    let tasks = "- refund: { call: 'refund-create:1.0.0', with: { order: '${ .order }', amount: 25, currency: EUR } }";
    Run::start(&document(tasks), &actions, json!({"order": "1042"}))
}

fn creates(run: &Run) -> usize {
    let effects = run.effects();
    let creates = effects.iter().filter(|e| e.operation == "refund-create:1.0.0");
    creates.map(|e| e.attempts.len()).sum()
}

fn bob() -> PrincipalId {
    PrincipalId::new("user:bob").expect("an identifier")
}

#[test]
fn a_checked_answer_is_verified() {
    let mut run = refund("probeable");
    run.drive(
        |e| if e.probe_of.is_some() { done(json!({"status": "settled"})) } else { done(json!({"id": 7})) },
    );
    assert_eq!(run.output(), json!({"id": 7}));
    assert_eq!(run.state.outcome(), Some(Outcome::Verified));
    let first = &run.effects()[0];
    assert_eq!(first.key, "e1/1042");
    let model::Request::Http(http) = &first.request else { panic!("an HTTP request") };
    assert!(http.headers.contains(&("Idempotency-Key".into(), "e1/1042".into())));
}

#[test]
fn a_lie_is_found_out() {
    let mut run = refund("probeable");
    run.drive(
        |e| if e.probe_of.is_some() { done(json!({"status": "none"})) } else { done(json!({"id": 7})) },
    );
    assert_eq!(run.error().status, 412);
    assert_eq!(run.state.outcome(), Some(Outcome::Failed));
    assert_eq!(creates(&run), 1);
}

#[test]
fn a_lost_answer_is_probed_and_not_repeated() {
    let mut run = refund("probeable");
    run.drive(|e| if e.probe_of.is_some() { done(json!({"status": "settled", "id": 7})) } else { lost() });
    assert_eq!(run.output(), json!({"status": "settled", "id": 7}));
    assert_eq!((run.state.outcome(), creates(&run)), (Some(Outcome::Verified), 1));
}

#[test]
fn a_lost_request_that_never_arrived_is_repeated_with_its_key() {
    let mut run = refund("probeable");
    let mut posted = 0;
    run.drive(|e| match (e.probe_of, posted) {
        (Some(_), 2) => done(json!({"status": "settled"})),
        (Some(_), _) => done(json!({"status": "none"})),
        (None, _) => {
            posted += 1;
            if posted == 1 { lost() } else { done(json!({"id": 7})) }
        }
    });
    assert_eq!(run.output(), json!({"id": 7}));
    assert_eq!(creates(&run), 2);
}

#[test]
fn a_lost_answer_of_an_idempotent_effect_is_repeated() {
    let mut run = refund("idempotent");
    let mut posted = 0;
    run.drive(|_| {
        posted += 1;
        if posted == 1 { lost() } else { done(json!({"id": 7})) }
    });
    assert_eq!((run.output(), creates(&run)), (json!({"id": 7}), 2));
    assert_eq!(run.state.outcome(), Some(Outcome::Unknown), "no check, so nobody knows");
}

#[test]
fn a_lost_answer_of_an_irreversible_effect_waits_for_a_human() {
    let mut run = refund("irreversible");
    run.drive(|_| lost());
    assert_eq!((run.state.status().name(), creates(&run)), ("suspended", 1));
    assert!(run.give(Input::Retry(bob(), "again".into())).is_err(), "never blindly repeated");
    run.give(Input::Cancel(bob(), "looked".into(), model::event::CancelMode::Graceful))
        .expect("it can be given up");
    assert_eq!(run.state.outcome(), Some(Outcome::Unknown));
    run.check_replay();
}

#[test]
fn a_target_that_is_down_is_retried_and_parked_and_redriven() {
    let mut run = refund("probeable");
    let began = run.now;
    run.drive(|_| refused(503, true));
    assert_eq!((run.state.status().name(), creates(&run)), ("suspended", 4));
    assert_eq!(run.now.since(began).as_millis(), 1000 + 2000 + 4000 + 4, "the delays, and four answers");
    run.give(Input::Retry(bob(), "it is back".into())).expect("it is parked");
    run.drive(
        |e| if e.probe_of.is_some() { done(json!({"status": "settled"})) } else { done(json!({"id": 7})) },
    );
    assert_eq!((run.output(), run.state.outcome()), (json!({"id": 7}), Some(Outcome::Verified)));
}

#[test]
fn a_crash_in_mid_effect_is_a_lost_answer() {
    let mut run = refund("probeable");
    run.permit_all();
    run.give(Input::Recover { lease: 1 }).expect("recovery is always possible");
    run.drive(
        |e| if e.probe_of.is_some() { done(json!({"status": "settled"})) } else { panic!("sent twice") },
    );
    assert_eq!((run.state.outcome(), creates(&run)), (Some(Outcome::Verified), 1));
}

#[test]
fn a_permit_given_back_is_judged_again() {
    let mut run = refund("probeable");
    run.permit_all();
    run.give(Input::Voided { effect: EffectNumber(1), attempt: 1, reason: "kill switch".into() })
        .expect("it is under way");
    assert_eq!(run.state.requested(), [EffectNumber(1)]);
    run.drive(
        |e| if e.probe_of.is_some() { done(json!({"status": "settled"})) } else { done(json!({"id": 7})) },
    );
    assert_eq!(run.state.outcome(), Some(Outcome::Verified));
}

fn ask(run: &mut Run, id: &str) {
    let quorum = Quorum { approvers: 1, roles: vec!["operator".into()] };
    let digest = run.state.effect(EffectNumber(1)).expect("it is requested").digest;
    let awaited = Awaited {
        id: ApprovalId::new(id).expect("an identifier"),
        expires_at: run.now.plus(std::time::Duration::from_secs(3600)),
    };
    let judgement = Judgement::Ask { digest, verdict: verdict(Decision::RequireApproval(quorum)), awaited };
    run.give(Input::Judged(EffectNumber(1), judgement)).expect("it is requested");
}

#[test]
fn silence_means_no() {
    let mut run = refund("probeable");
    ask(&mut run, "a1");
    assert!(run.state.requested().is_empty());
    assert!(run.jump());
    assert_eq!(run.error().status, 408);
    assert_eq!(creates(&run), 0);
    run.check_replay();
}

#[test]
fn an_edit_changes_the_digest_and_is_judged_again() {
    let mut run = refund("probeable");
    ask(&mut run, "a1");
    let before = run.effects()[0].digest;
    let arguments = model::Value::from_json(
        &json!({"order": "1042", "amount": 20, "currency": "EUR"}),
        model::Label::CALLER,
    );
    run.give(Input::Edit {
        effect: EffectNumber(1),
        approval: ApprovalId::new("a1").expect("an identifier"),
        arguments,
        by: bob(),
    })
    .expect("it waits");
    assert_ne!(run.effects()[0].digest, before);
    assert_eq!(run.state.requested(), [EffectNumber(1)]);
    let stale = Input::Decided {
        effect: EffectNumber(1),
        approval: ApprovalId::new("a1").expect("an identifier"),
        decision: ApprovalDecision::Approved,
        by: bob(),
        reason: String::new(),
        answer: None,
    };
    assert!(run.give(stale).is_err(), "the old approval serves nothing any more");
}

#[test]
fn an_edit_takes_its_key_along_and_leaves_other_origins_alone() {
    let mut run = refund("probeable");
    ask(&mut run, "a1");
    let arguments = model::Value::from_json(
        &json!({"order": "1043", "amount": 25, "currency": "EUR"}),
        model::Label::DEFINITION,
    );
    run.give(Input::Edit {
        effect: EffectNumber(1),
        approval: ApprovalId::new("a1").expect("an identifier"),
        arguments,
        by: bob(),
    })
    .expect("it waits");
    let effect = run.effects()[0].clone();
    assert_eq!(
        effect.key, "e1/1043",
        "a key that names another order would let the outside answer for that one"
    );
    let origins: Vec<(String, Vec<&str>)> =
        effect.arguments.provenance().into_iter().map(|(p, l)| (p, l.names())).collect();
    assert_eq!(
        origins,
        [("/order".into(), vec!["caller"]), ("/amount".into(), vec![]), ("/currency".into(), vec![])]
    );
}

#[test]
fn a_rejection_faults_with_its_own_error() {
    let mut run = refund("probeable");
    ask(&mut run, "a1");
    let no = Input::Decided {
        effect: EffectNumber(1),
        approval: ApprovalId::new("a1").expect("an identifier"),
        decision: ApprovalDecision::Rejected,
        by: bob(),
        reason: "no".into(),
        answer: None,
    };
    run.give(no).expect("it waits");
    assert_eq!(run.error().status, 403);
    assert!(run.error().kind.ends_with("/approval-denied"));
}

#[test]
fn an_answer_counts_once() {
    let mut run = refund("idempotent");
    let under_way = run.permit_all();
    assert_eq!(under_way, [(EffectNumber(1), 1)]);
    run.answer(1, 1, done(json!({"id": 7})));
    let again = Input::Answered {
        effect: EffectNumber(1),
        attempt: 1,
        answer: Answer::Done { output: model::Value::NULL },
    };
    assert!(run.give(again).is_err());
    assert_eq!(run.output(), json!({"id": 7}));
}

#[test]
fn a_paused_execution_starts_nothing() {
    let mut run = refund("probeable");
    run.give(Input::Pause(bob(), "hold".into())).expect("it runs");
    assert!(run.state.requested().is_empty());
    assert_eq!(run.state.status().name(), "suspended");
    run.give(Input::Resume(bob(), "go".into())).expect("it is paused");
    assert_eq!(run.state.requested(), [EffectNumber(1)]);
    assert!(matches!(run.effects()[0].phase, Phase::Requested));
}

#[test]
fn an_inline_act_shows_where_its_parts_came_from_and_whose_rights_it_uses() {
    let tasks = "- look: { call: http, with: { method: get, endpoint: 'http://shop.example/first' } }
- pay: { call: http, with: { method: post, endpoint: { uri: 'http://shop.example/{id}', authentication: { bearer: { use: shop } } }, headers: { x-note: '${ .note }' }, redirect: true } }";
    let document = format!("{}use: {{ secrets: [ shop ] }}\n", document(tasks));
    let mut run = Run::start(&document, &Actions::of(&[]), json!({}));
    let under_way = run.permit_all();
    assert_eq!(under_way, [(EffectNumber(1), 1)]);
    run.answer(1, 1, done(json!({"id": "7", "note": "hello"})));
    let shown = &run.state.effect(EffectNumber(2)).expect("it is requested").arguments;
    let external: Vec<String> =
        shown.provenance().into_iter().filter(|(_, label)| label.untrusted()).map(|(at, _)| at).collect();
    assert_eq!(external, ["/uri", "/headers/x-note"], "{shown}");
    assert_eq!(
        (&shown.to_json()["authentication"], &shown.to_json()["redirect"]),
        (&json!({"secret": "shop"}), &json!(true))
    );
}
