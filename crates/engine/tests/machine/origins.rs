//! Where values came from, through tasks: loops, and what a person declassified.

use crate::driver::{Actions, Run, document, done, verdict};
use engine::{Input, Judgement};
use model::effect::EffectNumber;
use model::event::{ApprovalDecision, Awaited};
use model::id::ApprovalId;
use model::verdict::{Decision, Quorum};
use model::{Outcome, PrincipalId};
use serde_json::json;

const READ: &str = "read: { call: http, with: { method: get, endpoint: 'http://shop.example/to' } }";
const SEND: &str = "
action: letter-send:1.0.0
effect: write
class: irreversible
data: [ personal ]
recipients: [ /reader ]
run: { call: http, with: { method: post, endpoint: 'http://shop.example/letters', body: '${ . }' } }
";

/// The origins of each argument of an effect.
fn origins(run: &Run, number: u32) -> Vec<(String, Vec<&'static str>)> {
    let effect = run.state.effect(EffectNumber(number)).expect("it is requested");
    effect.arguments.provenance().into_iter().map(|(at, label)| (at, label.names())).collect()
}

fn started(tasks: &str) -> Run {
    let mut run = Run::start(&document(tasks), &Actions::of(&[SEND]), json!({}));
    run.permit_all();
    run.answer(1, 1, done(json!({"to": "eve", "all": ["eve", "ada"]})));
    run
}

fn approve(run: &mut Run, number: u32) {
    let effect = EffectNumber(number);
    let digest = run.state.effect(effect).expect("it is requested").digest;
    let id = ApprovalId::new("a1").expect("an identifier");
    let awaited = Awaited { id: id.clone(), expires_at: run.now.plus(std::time::Duration::from_secs(3600)) };
    let quorum = Quorum { approvers: 1, roles: vec!["operator".into()] };
    let judgement = Judgement::Ask { digest, verdict: verdict(Decision::RequireApproval(quorum)), awaited };
    run.give(Input::Judged(effect, judgement)).expect("it is requested");
    run.give(Input::Decided {
        effect,
        approval: id,
        decision: ApprovalDecision::Approved,
        by: PrincipalId::new("user:bob").expect("an identifier"),
        reason: "read back".into(),
        answer: None,
    })
    .expect("it waits");
}

fn declassify() -> String {
    format!(
        "- {READ}
- keep: {{ set: {{ raw: '${{ .to }}' }}, export: {{ as: '${{ . }}' }} }}
- trust: {{ call: 'declassify:1.0.0@default', with: {{ value: '${{ .raw }}', reason: known, schema: {{ type: string }} }} }}
- send: {{ call: 'letter-send:1.0.0', with: {{ reader: '${{ . }}', note: '${{ $context.raw }}' }} }}"
    )
}

#[test]
fn a_person_makes_one_copy_trusted() {
    let mut run = started(&declassify());
    assert_eq!(run.state.effect(EffectNumber(2)).expect("it is requested").operation, "declassify:1.0.0");
    assert_eq!(origins(&run, 2), [("/value".into(), vec!["external"]), ("/reason".into(), vec![])]);
    approve(&mut run, 2);
    run.permit_all();
    // Whatever the worker answers, the value is the one that was approved.
    run.answer(2, 1, done(json!("mallory")));
    let effect = run.state.effect(EffectNumber(2)).expect("it is kept");
    assert_eq!(effect.outcome, Some(Outcome::Verified));
    let sent = run.state.effect(EffectNumber(3)).expect("it is requested");
    assert_eq!(sent.arguments.to_json(), json!({"reader": "eve", "note": "eve"}));
    assert_eq!(origins(&run, 3), [("/reader".into(), vec!["approved"]), ("/note".into(), vec!["external"])]);
    run.check_replay();
}

#[test]
fn without_a_person_nothing_becomes_trusted() {
    let mut run = started(&declassify());
    run.permit_all();
    run.answer(2, 1, done(json!(null)));
    assert_eq!(origins(&run, 3)[0], ("/reader".into(), vec!["external"]));
    run.check_replay();
}

#[test]
fn what_is_not_of_the_schema_is_asked_of_nobody() {
    let run = started(&declassify().replace("'${ .raw }', reason", "'${ [.raw] }', reason"));
    assert_eq!(run.error().status, 400);
    assert_eq!(run.effects().len(), 1);
}

#[test]
fn an_item_and_its_index_tell_of_the_list() {
    let tasks = format!(
        "- {READ}
- each: {{ for: {{ in: '${{ [.all[] | select(. != \"ada\") | \"fixed\"] }}' }}, do: [ {{ send: {{ call: 'letter-send:1.0.0', with: {{ reader: '${{ $item }}', place: '${{ $index }}' }} }} }} ] }}"
    );
    let run = started(&tasks);
    assert_eq!(origins(&run, 2), [("/reader".into(), vec!["external"]), ("/place".into(), vec!["external"])]);
    run.check_replay();
}
