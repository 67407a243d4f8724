//! Limits, priorities, lines and retention, as people use them.

use serde_json::{Value as Json, json};
use testkit::{Client, Fault, Server};

use crate::shop::{Shop, eventually, text};

/// Does nothing but wait, so that it holds its place until somebody cancels it.
const LONG: &str = "
document:
  dsl: '1.0.3'
  namespace: test
  name: long
  version: '1.0.0'
  metadata: { omnihub: { concurrencyKey: '${ .customer }' } }
do:
  - nap: { wait: { hours: 1 } }
";

async fn server() -> Server {
    let server = Server::start(env!("CARGO_BIN_EXE_omnihub"), "", &[]).await;
    server.admin.post_yaml("/workflows", LONG).await.expect(201);
    server
}

fn long(id: &str, customer: &str) -> Json {
    json!({"workflow": {"namespace": "test", "name": "long"}, "execution_id": id, "input": {"customer": customer}})
}

async fn limit(admin: &Client, name: &str, mut document: Json) {
    document["reason"] = json!("a test");
    let set = admin.put(&format!("/limits/{name}"), document).await.expect(200);
    assert_eq!(set.json["in_force"], true, "{}", set.text);
}

async fn status(admin: &Client, id: &str) -> (String, String) {
    let seen = admin.get(&format!("/executions/{id}")).await.expect(200);
    (seen.str("/status").to_owned(), text(&seen.json["blocked_on"]).to_owned())
}

async fn cancel(admin: &Client, id: &str) {
    admin.post(&format!("/executions/{id}/cancel"), json!({"reason": "its time is over"})).await.expect(202);
}

async fn begins(admin: &Client, id: &str) {
    eventually(admin, &format!("/executions/{id}"), |a| a.str("/status") == "waiting").await;
}

fn in_line() -> (String, String) {
    ("pending".to_owned(), "limit:one".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_in_order_even_after_a_crash() {
    let mut server = server().await;
    limit(
        &server.admin,
        "one",
        json!({"scope": {"workflow": "test/long"}, "concurrency": 1, "on_excess": "queue"}),
    )
    .await;
    for id in ["a", "b", "c"] {
        server.admin.post("/goals", long(id, "ada")).await.expect(202);
    }
    let mut urgent = long("urgent", "ada");
    urgent["priority"] = json!("critical");
    server.admin.post("/goals", urgent).await.expect(202);
    assert_eq!(status(&server.admin, "a").await.0, "waiting");
    for id in ["b", "c", "urgent"] {
        assert_eq!(status(&server.admin, id).await, in_line(), "{id}");
    }
    let found = server.admin.get("/executions?blocked_on=limit").await.expect(200);
    assert_eq!(found.json["items"].as_array().map(Vec::len), Some(3), "{}", found.text);
    let seen = server.admin.get("/overview").await.expect(200);
    let counted = seen.json["blocked_on"].as_array().expect("counts").clone();
    assert!(counted.contains(&json!({"name": "limit:one", "count": 3})), "{}", seen.text);

    server.kill();
    server.start_again().await;
    for id in ["b", "c", "urgent"] {
        assert_eq!(status(&server.admin, id).await, in_line(), "{id} after a crash");
    }
    let mut order = vec!["a"];
    for next in ["urgent", "b", "c"] {
        cancel(&server.admin, order.last().expect("one runs")).await;
        begins(&server.admin, next).await;
        order.push(next);
        let running = server.admin.get("/executions?status=waiting").await.expect(200);
        assert_eq!(running.json["items"].as_array().map(Vec::len), Some(1), "{next}: {}", running.text);
    }
    let history = server.admin.get("/executions/urgent/history").await.expect(200);
    assert_eq!(history.str("/items/1/kind"), "released", "{}", history.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_or_held_in_line_does_not_begin() {
    let server = server().await;
    limit(
        &server.admin,
        "one",
        json!({"scope": {"tenant": "default"}, "concurrency": 1, "on_excess": "queue"}),
    )
    .await;
    for id in ["a", "b", "c", "d"] {
        server.admin.post("/goals", long(id, "ada")).await.expect(202);
    }
    cancel(&server.admin, "b").await;
    assert_eq!(status(&server.admin, "b").await.0, "cancelled");
    server.admin.post("/executions/c/pause", json!({"reason": "not now"})).await.expect(202);
    cancel(&server.admin, "a").await;
    begins(&server.admin, "d").await;
    assert_eq!(status(&server.admin, "c").await, ("suspended".to_owned(), "operator:paused".to_owned()));
    server.admin.post("/executions/c/resume", json!({"reason": "now"})).await.expect(202);
    assert_eq!(status(&server.admin, "c").await, in_line());
    cancel(&server.admin, "d").await;
    begins(&server.admin, "c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_places_of_its_own_and_a_full_one_refuses() {
    let server = server().await;
    limit(
        &server.admin,
        "each",
        json!({"scope": {"key": "test/long"}, "concurrency": 1, "on_excess": "refuse"}),
    )
    .await;
    server.admin.post("/goals", long("a", "ada")).await.expect(202);
    server.admin.post("/goals", long("b", "bob")).await.expect(202);
    let refused = server.admin.post("/goals", long("c", "ada")).await.expect(429);
    assert_eq!((refused.str("/code"), refused.str("/limit")), ("OH-5060", "each"), "{}", refused.text);
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u64>().is_ok_and(|s| s >= 1)));
    server.admin.get("/executions/c").await.expect(404);
    let bad = json!({"workflow": {"namespace": "test", "name": "long"}, "input": {"customer": ["ada"]}});
    assert_eq!(server.admin.post("/goals", bad).await.expect(422).str("/code"), "OH-5064");
    cancel(&server.admin, "a").await;
    server.admin.post("/goals", long("c", "ada")).await.expect(202);
    assert_eq!(status(&server.admin, "c").await.0, "waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_counts_what_runs_already_and_lets_go_when_it_is_gone() {
    let server = server().await;
    for id in ["a", "b"] {
        server.admin.post("/goals", long(id, "ada")).await.expect(202);
    }
    limit(&server.admin, "one", json!({"scope": {"key": "*"}, "concurrency": 2, "on_excess": "queue"})).await;
    server.admin.post("/goals", long("c", "ada")).await.expect(202);
    assert_eq!(status(&server.admin, "c").await, in_line());
    let shown = server.admin.get("/limits/one").await.expect(200);
    assert_eq!((&shown.json["under_way"], &shown.json["waiting"]), (&json!(2), &json!(1)), "{}", shown.text);
    let gone = [("content-type", "application/json")];
    let reason = bytes::Bytes::from(json!({"reason": "enough"}).to_string());
    server.admin.send("DELETE", "/api/v1/limits/one", &gone, reason).await.expect(204);
    begins(&server.admin, "c").await;
    server.admin.get("/limits/one").await.expect(404);
    let audit = server.admin.get("/audit?action=limit").await.expect(200);
    assert!(audit.text.contains("limit.set") && audit.text.contains("limit.removed"), "{}", audit.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_belong_to_administrators_and_their_tenant() {
    let server = server().await;
    let developer = server.principal("user:alice", &["developer", "operator"]).await;
    let one = json!({"scope": {"tenant": "default"}, "concurrency": 1, "on_excess": "queue", "reason": "x"});
    developer.put("/limits/one", one.clone()).await.expect(403);
    assert_eq!(developer.get("/limits").await.expect(200).json["items"], json!([]));
    for (change, field) in [
        (json!({"scope": {"tenant": "nobody"}}), 404),
        (json!({"scope": {}}), 422),
        (json!({"scope": {"workflow": "x"}}), 422),
        (json!({"concurrency": 0}), 422),
        (json!({"rate": {"count": 1, "per": "P1M"}}), 422),
        (json!({"surprise": 1}), 422),
    ] {
        let mut wrong = one.clone();
        wrong.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        server.admin.put("/limits/one", wrong).await.expect(field);
    }
    assert_eq!(
        server.admin.get("/limits").await.expect(200).json["items"],
        json!([]),
        "nothing came of that"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_beyond_its_limit_waits_without_a_permit() {
    let shop = Shop::open().await;
    let document = json!({"scope": {"action": "refund-create"}, "concurrency": 1, "on_excess": "queue"});
    limit(&shop.server.admin, "one", document).await;
    shop.outside.fault(Fault::Hold);
    let first = shop.ask().await;
    shop.approve(&first).await.expect(200);
    eventually(&shop.bob, &format!("/executions/{first}"), |a| a.str("/blocked_on").starts_with("effect:"))
        .await;
    let second = shop.ask().await;
    shop.approve(&second).await.expect(200);
    let held =
        eventually(&shop.bob, &format!("/executions/{second}"), |a| a.str("/blocked_on") == "limit:one")
            .await;
    assert_eq!((held.str("/status"), held.str("/effects/0/state")), ("waiting", "held"), "{}", held.text);
    assert_eq!(held.json["effects"][0]["permit"], Json::Null, "{}", held.text);
    shop.outside.fault(Fault::None);
    shop.outside.let_go();
    for execution in [&first, &second] {
        assert_eq!(shop.status(execution, "completed").await["outcome"], "verified");
    }
    assert_eq!(shop.outside.refunds().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_executions_go_and_their_leaves_stay() {
    let server = server().await;
    for id in ["old", "running"] {
        server.admin.post("/goals", long(id, "ada")).await.expect(202);
    }
    cancel(&server.admin, "old").await;
    let rule = json!({"after": "PT0S", "workflow": "test/long", "reason": "a test"});
    let preview = server.admin.post("/retention/preview", rule.clone()).await.expect(200);
    assert_eq!(
        (&preview.json["count"], preview.str("/executions/0")),
        (&json!(1), "old"),
        "{}",
        preview.text
    );
    server.admin.get("/executions/old").await.expect(200);
    let developer = server.principal("user:alice", &["developer", "operator"]).await;
    developer.put("/retention/all", rule.clone()).await.expect(403);
    server.admin.put("/retention/all", rule).await.expect(200);
    let ran = eventually(&server.admin, "/retention", |a| a.json["items"][0]["removed"] == json!(1)).await;
    assert_eq!(ran.str("/items/0/name"), "all");
    server.admin.get("/executions/old").await.expect(404);
    server.admin.get("/executions/running").await.expect(200);
    let leaves = server.admin.get("/audit?correlation=old&limit=100").await.expect(200);
    for action in ["execution.started", "execution.cancelled", "execution.removed"] {
        assert!(leaves.text.contains(action), "{action}: {}", leaves.text);
    }
    server.admin.post("/goals", long("old", "ada")).await.expect(202);
    assert_eq!(status(&server.admin, "old").await.0, "waiting", "its id is free again");
}
