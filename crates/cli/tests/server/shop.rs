//! A server with a shop to refund at, and the people around it.

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Outside, Server};

/// Looks at something that changes by itself at the most this often, 50 ms apart.
const LOOKS_MAX: u32 = 600;

pub struct Shop {
    pub server: Server,
    pub outside: Outside,
    /// Asks for refunds.
    pub alice: Client,
    /// Decides about them.
    pub bob: Client,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    pub async fn open_with(environment: &[(&str, &str)]) -> Self {
        let outside = Outside::start().await;
        let configuration = "egress.private = [\"127.0.0.1/32\"]\n";
        let server = Server::start(env!("CARGO_BIN_EXE_omnihub"), configuration, environment).await;
        let (actions, workflow) = outside.documents();
        for action in &actions {
            server.admin.post_yaml("/actions", action).await.expect(201);
        }
        server.admin.post_yaml("/workflows", &workflow).await.expect(201);
        let alice = server.principal("user:alice", &["developer", "operator"]).await;
        let bob = server.principal("user:bob", &["operator"]).await;
        Self { server, outside, alice, bob }
    }

    /// Alice asks for a refund in words; answers the execution's id.
    pub async fn ask(&self) -> String {
        let goal = json!({"intent": "refund order 1042, 25.00 EUR, the cup arrived broken"});
        let accepted = self.alice.post("/goals", goal).await.expect(202);
        accepted.str("/execution_id").to_owned()
    }

    /// The pending approval of an execution.
    pub async fn approval_of(&self, execution: &str) -> Json {
        let path = format!("/approvals?status=pending&execution={execution}");
        eventually(&self.bob, &path, |a| a.json["items"][0]["id"].is_string()).await.json["items"][0].clone()
    }

    pub async fn approve(&self, execution: &str) -> Answer {
        let approval = self.approval_of(execution).await;
        let body = json!({"digest": approval["digest"], "reason": "looks right"});
        self.bob.post(&format!("/approvals/{}/approve", text(&approval["id"])), body).await
    }

    pub async fn status(&self, execution: &str, wanted: &str) -> Json {
        eventually(&self.bob, &format!("/executions/{execution}"), |a| a.str("/status") == wanted).await.json
    }
}

pub fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

/// Looks until it is so; panics with the last answer when it never is.
pub async fn eventually(client: &Client, path: &str, so: impl Fn(&Answer) -> bool) -> Answer {
    let mut last = None;
    for _ in 0..LOOKS_MAX {
        if let Ok(answer) = client.try_send("GET", &format!("/api/v1{path}"), &[], Default::default()).await {
            if so(&answer) {
                return answer;
            }
            last = Some(answer);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{path} never got there: {}", last.map(|a| a.text).unwrap_or_default());
}
