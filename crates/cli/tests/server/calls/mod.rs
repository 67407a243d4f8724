//! Calls of the language beyond plain HTTP, against real servers on the loopback.

mod asyncapi;
mod authentication;
mod grpc;
mod programs;
mod rpc;

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Server};

use crate::shop::eventually;

/// A server that may reach some hosts, and somebody who decides.
pub struct House {
    pub server: Server,
    pub bob: Client,
}

impl House {
    /// One that may reach these hosts, all on the loopback.
    pub async fn near(hosts: &[String]) -> Self {
        Self::near_with(hosts, "").await
    }

    /// As [`House::near`], with more of the configuration.
    pub async fn near_with(hosts: &[String], more: &str) -> Self {
        let configuration =
            format!("egress.private = [\"127.0.0.1/32\", \"::1/128\"]\negress.allow = {hosts:?}\n{more}");
        let server = Server::start(env!("CARGO_BIN_EXE_omnihub"), &configuration, &[]).await;
        let bob = server.principal("user:bob", &["operator"]).await;
        Self { server, bob }
    }

    pub async fn publish(&self, name: &str, secrets: &[&str], tasks: &Json) -> Answer {
        self.publish_version(name, "1.0.0", secrets, tasks).await
    }

    pub async fn publish_version(&self, name: &str, version: &str, secrets: &[&str], tasks: &Json) -> Answer {
        let document = json!({"dsl": "1.0.3", "namespace": "test", "name": name, "version": version});
        let body = json!({"document": document, "use": {"secrets": secrets}, "do": tasks});
        self.server.admin.post("/workflows", body).await
    }

    pub async fn secret(&self, name: &str, value: Json) {
        let answer = self.server.admin.put(&format!("/secrets/{name}"), value).await;
        assert!([200, 201, 204].contains(&answer.status), "{name}: {}", answer.text);
    }

    /// Runs a workflow to its end, or until an effect is parked; every approval is given.
    pub async fn run(&self, name: &str, input: Json) -> Json {
        let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": input});
        let started = self.server.admin.post("/goals", goal).await;
        assert_eq!(started.status, 202, "{name}: {}", started.text);
        let path = format!("/executions/{}", started.str("/execution_id"));
        let over = |a: &Answer| {
            ["completed", "faulted", "cancelled"].contains(&a.str("/status"))
                || a.str("/blocked_on").starts_with("dead-letter:")
        };
        let mut seen = Vec::<String>::new();
        loop {
            let now = eventually(&self.bob, &path, |a| {
                let blocked = a.str("/blocked_on");
                over(a) || (blocked.starts_with("approval:") && !seen.iter().any(|known| known == blocked))
            })
            .await;
            if over(&now) {
                return now.json;
            }
            seen.push(now.str("/blocked_on").to_owned());
            let id = now.str("/blocked_on").trim_start_matches("approval:").to_owned();
            let approval = self.bob.get(&format!("/approvals/{id}")).await.expect(200);
            let body = json!({"digest": approval.json["digest"], "reason": "it is a test"});
            self.bob.post(&format!("/approvals/{id}/approve"), body).await.expect(200);
        }
    }

    /// Everything that is stored and told of an execution, as text.
    pub async fn everything(&self, execution: &Json) -> String {
        let id = execution["execution_id"].as_str().unwrap_or_default();
        let history = self.server.admin.get(&format!("/executions/{id}/history")).await.expect(200).text;
        let audit = self.server.admin.get("/audit?limit=100").await.expect(200).text;
        format!("{execution}{history}{audit}{}", self.server.log())
    }
}
