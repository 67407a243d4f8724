//! Calls of other protocols: what is requested, what a crash means, and that histories and snapshots hold them.

use crate::driver::{Actions, Run, document, done, lost};
use model::effect::{Authentication, EffectNumber};
use model::{EffectKind, Request};
use serde_json::json;

const AGENT: &str = "- ask: { call: a2a, with: { server: { uri: 'https://agent.example/rpc', authentication: { oauth2: { \
    authority: 'https://login.example', client: { id: engine, secret: '${ .secret }' }, scopes: [ ask ] } } }, \
    method: METHOD, parameters: { message: { parts: [ { kind: text, text: '${ .text }' } ] } } } }";

fn ask(method: &str) -> Run {
    let tasks = AGENT.replace("METHOD", method);
    Run::start(&document(&tasks), &Actions::of(&[]), json!({"text": "hello", "secret": "hush-hush"}))
}

#[test]
fn a_call_of_an_agent_is_an_effect_with_its_own_operation() {
    let mut run = ask("message/send");
    run.drive(|_| done(json!({"kind": "message"})));
    assert_eq!(run.output(), json!({"kind": "message"}));
    let effect = &run.effects()[0];
    assert_eq!((effect.operation.as_str(), effect.contract.effect), ("a2a:message/send", EffectKind::Write));
    assert_eq!(effect.request.target(), "agent.example:443");
    let Request::Rpc(call) = &effect.request else { panic!("a call") };
    assert_eq!(call.parameters.to_json()["message"]["parts"][0]["text"], json!("hello"));
    assert!(matches!(&call.authentication, Some(Authentication::OAuth { discover: false, .. })));
    // What people are shown says whose rights are used, and no secret.
    let shown = effect.arguments.to_json();
    assert_eq!(shown["authentication"]["oauth2"]["client"], json!("engine"));
    assert!(!shown.to_string().contains("hush-hush"), "{shown}");
    // What came from the caller is told from what is written.
    let labels = effect.arguments.provenance();
    let of = |place: &str| labels.iter().find(|(at, _)| at == place).map(|(_, label)| *label);
    assert_ne!(of("/body/message/parts/0/text"), of("/method"));
}

#[test]
fn a_lost_write_is_parked_and_a_lost_read_is_asked_again() {
    let mut run = ask("message/send");
    run.drive(|_| lost());
    assert_eq!(run.effects()[0].attempts.len(), 1, "it is not sent again by itself");
    assert!(run.state.outcome().is_none());
    let mut run = ask("tasks/get");
    let mut first = true;
    run.drive(|_| if std::mem::take(&mut first) { lost() } else { done(json!({"id": "t"})) });
    assert_eq!(run.effects()[0].contract.effect, EffectKind::Read);
    assert_eq!((run.effects()[0].number, run.output()), (EffectNumber(1), json!({"id": "t"})));
}

#[test]
fn what_an_expression_makes_of_an_authentication_is_judged_when_it_is_made() {
    let tasks =
        AGENT.replace("METHOD", "message/send").replace("'https://login.example'", "'${ .nowhere // \"\" }'");
    let run =
        Run::start(&document(&tasks), &Actions::of(&[]), json!({"text": "hello", "secret": "hush-hush"}));
    let error = run.error();
    assert_eq!(error.status, 400);
    let told = error.detail.unwrap_or_default();
    assert!(told.contains("`authority` is missing") && !told.contains("hush"), "{told}");
}
