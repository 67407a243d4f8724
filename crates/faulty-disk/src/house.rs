//! A data directory as the real binary leaves it: goals, approvals, a large payload, and a log that was not folded in.

use std::time::Duration;

use serde_json::{Value as Json, json};
use testkit::{Outside, Server};

/// Refunds that are asked for.
const GOALS: u32 = 6;
/// A program that says more than stays in a history.
const LARGE: &str = "
document: { dsl: '1.0.3', namespace: shop, name: large, version: '1.0.0' }
do:
  - say: { run: { shell: { command: 'head -c 70000 /dev/zero | tr \"\\\\0\" x' } } }
  - rest: { wait: PT0.05S }
";
/// Looks at something that changes by itself, and the pause between two.
const LOOKS_MAX: u32 = 1500;
const LOOK: Duration = Duration::from_millis(20);

/// Runs the binary on a new data directory, works on it, and ends it with `kill -9`. The directory is the server's
/// and goes away with it.
pub async fn real_directory(program: &str) -> Server {
    let outside = Outside::start().await;
    let mut server = Server::start(program, "egress.private = [\"127.0.0.1/32\"]\n", &[]).await;
    let (actions, workflow) = outside.documents();
    for action in &actions {
        server.admin.post_yaml("/actions", action).await.expect(201);
    }
    server.admin.post_yaml("/workflows", &workflow).await.expect(201);
    let alice = server.principal("user:alice", &["developer", "operator"]).await;
    let bob = server.principal("user:bob", &["operator"]).await;
    for number in 0..GOALS {
        let input =
            json!({"orderId": number.to_string(), "amount": 25, "currency": "EUR", "reason": "broken"});
        let goal = json!({
            "workflow": {"namespace": "shop", "name": "refund"},
            "execution_id": format!("refund-{number}"),
            "input": input,
        });
        let key = format!("key-{number}");
        let headers = [("idempotency-key", key.as_str()), ("content-type", "application/json")];
        alice.send("POST", "/api/v1/goals", &headers, goal.to_string().into()).await.expect(202);
    }
    server.admin.post_yaml("/workflows", LARGE).await.expect(201);
    let large =
        json!({"workflow": {"namespace": "shop", "name": "large"}, "execution_id": "large", "input": {}});
    alice.post("/goals", large).await.expect(202);
    for number in 0..GOALS - 1 {
        let path = format!("/approvals?status=pending&execution=refund-{number}");
        let mut approval = Json::Null;
        for _ in 0..LOOKS_MAX {
            approval = bob.get(&path).await.expect(200).json["items"][0].clone();
            if approval["id"].is_string() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let id = approval["id"].as_str().unwrap_or_default().to_owned();
        let body = json!({"digest": approval["digest"], "reason": "looks right"});
        bob.post(&format!("/approvals/{id}/approve"), body).await.expect(200);
    }
    let ends = (0..GOALS - 1).map(|number| format!("refund-{number}")).chain(["large".to_owned()]);
    for execution in ends {
        let mut last = String::new();
        for _ in 0..LOOKS_MAX {
            let now = bob.get(&format!("/executions/{execution}")).await.expect(200);
            last = now.str("/status").to_owned();
            if last == "completed" {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        assert_eq!(last, "completed", "{}", server.log());
    }
    head_is_outside(&server).await;
    server.kill();
    server
}

/// Waits until the newest tree head lies outside the database: what a crash right before it would cut off cannot be
/// told from what a crash cut off.
async fn head_is_outside(server: &Server) {
    for _ in 0..LOOKS_MAX {
        let size = server.admin.get("/audit/head").await.json["size"].as_u64();
        let text = std::fs::read(server.data().join("audit/head.json")).unwrap_or_default();
        let outside: Json = serde_json::from_slice(&text).unwrap_or(Json::Null);
        if size.is_some() && outside["size"].as_u64() == size {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("the head file is never written: {}", server.log());
}
