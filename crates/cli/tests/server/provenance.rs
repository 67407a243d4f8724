//! What comes from outside decides about nobody's data unasked, and only a person makes it trusted.

use serde_json::{Value as Json, json};

use crate::shop::{Shop, text};

const SEND: &str = "
action: letter-send:1.0.0
effect: write
class: idempotent
data: [ personal ]
recipients: [ /reader ]
idempotency: { key: '$workflow.id' }
run: { run: { shell: { command: 'printf sent' } } }
";

fn workflow(name: &str, between: &str) -> String {
    format!(
        "
document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '1.0.0' }}
do:
  - read: {{ run: {{ shell: {{ command: 'printf eve' }} }} }}
{between}  - send: {{ call: 'letter-send:1.0.0', with: {{ reader: '${{ . }}' }} }}
"
    )
}

const DECLASSIFY: &str =
    "  - trust: { call: 'declassify:1.0.0@default', with: { value: '${ . }', reason: she was asked } }\n";

/// Alice starts a workflow of these tasks.
async fn start(shop: &Shop, name: &str, between: &str) -> String {
    shop.server.admin.post_yaml("/actions", SEND).await.expect(201);
    shop.server.admin.post_yaml("/workflows", &workflow(name, between)).await.expect(201);
    let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": {}});
    shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
}

fn reasons(approval: &Json) -> Vec<&str> {
    approval["reasons"].as_array().into_iter().flatten().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_from_outside_is_asked_about() {
    let shop = Shop::open().await;
    let execution = start(&shop, "letters", "").await;
    let approval = shop.approval_of(&execution).await;
    assert_eq!(reasons(&approval), ["`/reader` comes from outside and decides who receives data"]);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.status(&execution, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_declassifies_exactly_what_was_shown() {
    let shop = Shop::open().await;
    let execution = start(&shop, "trusting", DECLASSIFY).await;
    let approval = shop.approval_of(&execution).await;
    assert_eq!(approval["operation"], "declassify:1.0.0");
    assert_eq!(approval["arguments"], json!({"value": "eve", "reason": "she was asked"}));
    assert_eq!(approval["provenance"], json!([["/value", ["external"]], ["/reason", []]]));
    assert_eq!(reasons(&approval), ["a value from outside becomes trusted"]);
    let own = shop.decide(&shop.alice, "approve", &approval).await.expect(403);
    assert_eq!(own.str("/code"), "OH-3011", "{}", own.text);
    let edited = shop.edit(&shop.bob, &approval, json!({"value": "bob", "reason": "she was asked"})).await;
    assert_eq!(edited.expect(422).str("/code"), "OH-3013");
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    // Nobody is asked about the letter: a person answers for its reader.
    assert_eq!(shop.status(&execution, "completed").await["output"], "sent");
    let audited = shop.audited(&execution).await;
    for wanted in ["approval.approved", "effect.permitted"] {
        assert!(audited.iter().any(|(action, _)| action == wanted), "{wanted} in {audited:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_refuses_to_trust_goes_nowhere() {
    let shop = Shop::open().await;
    let execution = start(&shop, "refusing", DECLASSIFY).await;
    let approval = shop.approval_of(&execution).await;
    shop.decide(&shop.bob, "reject", &approval).await.expect(200);
    shop.status(&execution, "faulted").await;
}
