//! Signed plans under attack: what is said later, branches and loops do nothing that nobody signed.

use serde_json::{Value as Json, json};

use crate::shop::{Shop, text};

/// Pays whatever it is told while it listens.
const TOLD: &str = "
document: { dsl: '1.0.3', namespace: shop, name: told, version: '1.0.0' }
do:
  - handle:
      listen: { to: { one: { with: { type: pay, omnihubupdate: true } } } }
      foreach:
        do:
          - pay: { call: 'refund-create:1.0.0', with: { orderId: '${ $item.order }', amount: '${ $item.amount }', currency: EUR } }
        output: { as: '${ .status }' }
";

/// Pays in two branches, and then for each of a list.
const MANY: &str = "
document: { dsl: '1.0.3', namespace: shop, name: many, version: '1.0.0' }
do:
  - both:
      fork:
        branches:
          - one: { call: 'refund-create:1.0.0', with: { orderId: 'a', amount: 5, currency: EUR } }
          - two: { call: 'refund-create:1.0.0', with: { orderId: 'b', amount: 5, currency: EUR } }
  - each:
      for: { in: '${ $workflow.input.orders }' }
      do: [ { pay: { call: 'refund-create:1.0.0', with: { orderId: '${ $item }', amount: 5, currency: EUR } } } ]
";

async fn signed(shop: &Shop, name: &str, input: Json) -> Json {
    let goal = json!({"workflow": {"namespace": "shop", "name": name}, "mode": "plan", "input": input});
    let plan = shop.alice.post("/goals", goal).await.expect(200).json;
    shop.decide_plan(&shop.bob, "approve", &plan).await.expect(200);
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_signed_execution_was_not_signed() {
    let shop = Shop::open().await;
    shop.server.admin.post_yaml("/workflows", TOLD).await.expect(201);
    let plan = signed(&shop, "told", json!({})).await;
    assert_eq!(plan["effects"], json!([]), "nobody can foresee what it will be told: {plan:#}");
    let accepted = shop.run_plan(&shop.alice, &plan).await.expect(202);
    let execution = accepted.str("/execution_id").to_owned();
    let body = json!({"data": {"order": "x", "amount": 5}, "id": "p1", "wait_for": "accepted"});
    let path = format!("/executions/{execution}/updates/pay");
    shop.alice.post(&path, body.clone()).await.expect(202);
    let approval = shop.approval_of(&execution).await;
    assert!(text(&approval["reasons"][0]).starts_with("not in the signed plan"), "{approval:#}");
    // Asking again changes neither the effect nor the question; nor does whoever asked answer it.
    shop.alice.post(&path, body).await.expect(202);
    let own = shop.decide(&shop.alice, "approve", &approval).await.expect(403);
    assert_eq!(own.str("/code"), "OH-3011", "{}", own.text);
    assert_eq!(shop.outside.posts(), 0);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    let done = shop.status(&execution, "completed").await;
    assert_eq!(done["outcome"], "verified", "{done:#}");
    assert_eq!(shop.outside.posts(), 1);
    let answer = shop.alice.get(&format!("{path}/p1")).await.expect(200);
    assert_eq!(answer.str("/status"), "completed", "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_and_loops_do_what_was_signed_and_once() {
    let shop = Shop::open().await;
    shop.server.admin.post_yaml("/workflows", MANY).await.expect(201);
    let plan = signed(&shop, "many", json!({"orders": ["c", "d"]})).await;
    assert_eq!(plan["effects"].as_array().map(Vec::len), Some(4), "{plan:#}");
    // The digest that was signed says what is paid: another list is another plan, which nobody signed.
    let goal = json!({"workflow": {"namespace": "shop", "name": "many"}, "mode": "plan", "input": {"orders": ["c", "d", "e"]}});
    let other = shop.alice.post("/goals", goal).await.expect(200).json;
    assert_ne!(other["digest"], plan["digest"]);
    let refused = shop.run_plan(&shop.alice, &other).await.expect(409);
    assert_eq!(refused.str("/code"), "OH-3042");
    let accepted = shop.run_plan(&shop.alice, &plan).await.expect(202);
    let done = shop.status(accepted.str("/execution_id"), "completed").await;
    assert_eq!(done["outcome"], "verified", "{done:#}");
    assert_eq!(shop.outside.refunds().len(), 4);
    assert_eq!(shop.outside.posts(), 4);
    let again = shop.run_plan(&shop.alice, &plan).await.expect(409);
    assert_eq!(again.str("/code"), "OH-3044");
    assert_eq!(shop.outside.posts(), 4);
}
