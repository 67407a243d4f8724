//! What comes too late: answers after the flow gave up, and time that takes parked work away.

use serde_json::json;
use testkit::Fault;

use crate::shop::{Shop, eventually};

async fn sent(shop: &Shop) {
    while shop.outside.posts() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_the_cancel_is_in_the_log_and_changes_nothing() {
    let shop = Shop::open().await;
    shop.outside.fault(Fault::Hold);
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    sent(&shop).await;
    shop.bob.post(&format!("/executions/{execution}/cancel"), json!({"reason": "enough"})).await.expect(202);
    assert_eq!(shop.status(&execution, "cancelled").await["outcome"], "unknown");
    shop.outside.fault(Fault::None);
    shop.outside.let_go();
    let path = format!("/audit?correlation={execution}&limit=200");
    let log = eventually(&shop.server.admin, &path, |a| a.text.contains("effect.answered-late")).await;
    let late = log.json["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|i| i["record"]["action"] == "effect.answered-late");
    assert_eq!(late.map(|i| i["record"]["details"]["answer"].clone()), Some(json!("done")), "{}", log.text);
    assert_eq!(shop.status(&execution, "cancelled").await["outcome"], "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_closes_when_its_task_times_out_and_stays_closed_as_it_was() {
    let shop = Shop::open().await;
    let (actions, _) = shop.outside.documents();
    let brittle = actions[1].replace("refund-create", "refund-once") + "retries: 0\n";
    shop.server.admin.post_yaml("/actions", &brittle).await.expect(201);
    let workflow = "document: { dsl: '1.0.3', namespace: shop, name: impatient, version: '1.0.0' }\n\
        do:\n  - guarded:\n      try:\n        - refund:\n            call: refund-once:1.0.0\n            timeout: { after: PT3S }\n\
        \x20           with: { orderId: '7', amount: 5, currency: EUR }\n\
        \x20     catch:\n        errors: { with: { status: 408 } }\n        do:\n          - nap: { wait: PT1H }\n";
    shop.server.admin.post_yaml("/workflows", workflow).await.expect(201);
    shop.outside.fault(Fault::Down);
    let goal = json!({"workflow": {"namespace": "shop", "name": "impatient"}, "input": {}});
    let execution = shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    shop.approve(&execution).await.expect(200);
    let letters = eventually(&shop.bob, "/dead-letters", |a| a.json["items"][0]["id"].is_string()).await;
    assert_eq!(letters.str("/items/0/execution_id"), execution);
    eventually(&shop.bob, &format!("/executions/{execution}"), |a| a.str("/blocked_on") == "timer").await;
    let path = format!("/dead-letters/{}", letters.str("/items/0/id"));
    let closed = eventually(&shop.bob, &path, |a| a.json["open"] == json!(false)).await;
    assert!(closed.json["redriven_by"].is_null(), "nobody did it: {}", closed.text);
    shop.bob.post(&format!("/executions/{execution}/cancel"), json!({"reason": "enough"})).await.expect(202);
    let after = shop.status(&execution, "cancelled").await;
    assert_eq!(after["outcome"], "failed", "it was only ever refused");
    assert_eq!(shop.bob.get(&path).await.expect(200).json, closed.json, "a later act does not rewrite it");
}
