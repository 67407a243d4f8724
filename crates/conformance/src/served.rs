//! In the binary: the program as a process of its own, through its HTTP API, a tenant for each scenario.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Server};

use crate::house::{House, Refused, Seen, Workflow};
use crate::outside::Outside;

/// Longest time that a scenario may let pass, since the machine's own clock has to.
const PASS_MAX: Duration = Duration::from_secs(5);

/// The program, running.
pub struct Program {
    server: Server,
    scenarios: usize,
    _authority: tempfile::NamedTempFile,
}

impl Program {
    /// Starts the program on an empty directory.
    pub async fn start(program: &str, outside: &Outside) -> Result<Self, Refused> {
        let authority = tempfile::NamedTempFile::new().map_err(Refused::unasked)?;
        std::fs::write(authority.path(), &outside.authority).map_err(Refused::unasked)?;
        let configuration = format!(
            "egress.allow = [{:?}]\negress.private = [\"127.0.0.1/32\", \"::1/128\"]\negress.extra_ca = {:?}\n\
             limits.rate = 1000000\nlimits.burst = 1000000\n",
            outside.host,
            authority.path()
        );
        let server = Server::start(program, &configuration, &[]).await;
        Ok(Self { server, scenarios: 0, _authority: authority })
    }

    /// A house for one scenario: a tenant that is empty.
    pub async fn house(&mut self) -> Served<'_> {
        self.scenarios += 1;
        let tenant = format!("kit-{}", self.scenarios);
        let author = self.server.principal_in(&tenant, "user:author", "user", &["admin"]).await;
        let approver = self.server.principal_in(&tenant, "user:approver", "user", &["operator"]).await;
        Served { program: self, author, approver }
    }
}

/// One tenant of the program.
pub struct Served<'p> {
    program: &'p mut Program,
    author: Client,
    approver: Client,
}

/// The answer, when the program said yes.
fn taken(answer: Answer) -> Result<Answer, Refused> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let own = std::iter::once(answer.str("/code").to_owned());
    let told = answer.json["problems"].as_array().cloned().unwrap_or_default();
    let codes = told.iter().filter_map(|one| one["code"].as_str().map(str::to_owned));
    Err(Refused { codes: own.chain(codes).collect(), text: answer.text })
}

fn text(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

#[async_trait]
impl House for Served<'_> {
    async fn publish_action(&mut self, text: &str) -> Result<(), Refused> {
        taken(self.author.post_yaml("/actions", text).await).map(drop)
    }

    async fn publish(&mut self, text: &str) -> Result<(), Refused> {
        taken(self.author.post_yaml("/workflows", text).await).map(drop)
    }

    async fn start(&mut self, workflow: &Workflow, id: &str, input: &Json) -> Result<(), Refused> {
        let name =
            json!({"namespace": workflow.namespace, "name": workflow.name, "version": workflow.version});
        let goal = json!({"workflow": name, "input": input, "execution_id": id});
        taken(self.author.post("/goals", goal).await).map(drop)
    }

    async fn look(&mut self, id: &str) -> Result<Seen, Refused> {
        let found = taken(self.author.get(&format!("/executions/{id}")).await)?.json;
        let tasks = found["tasks"].as_array().cloned().unwrap_or_default();
        let ran = tasks.iter().filter(|task| task["status"] != "skipped");
        Ok(Seen {
            status: text(&found["status"]).unwrap_or_default(),
            blocked_on: text(&found["blocked_on"]),
            output: found.get("output").filter(|output| !output.is_null()).cloned(),
            error: found.get("error").filter(|error| !error.is_null()).cloned(),
            overdue: false,
            ran: ran.filter_map(|task| text(&task["name"])).collect(),
        })
    }

    async fn signal(&mut self, id: &str, name: &str, signal: &str, data: &Json) -> Result<(), Refused> {
        let body = json!({"id": signal, "data": data});
        taken(self.author.post(&format!("/executions/{id}/signals/{name}"), body).await).map(drop)
    }

    async fn update(&mut self, id: &str, name: &str, update: &str, data: &Json) -> Result<Json, Refused> {
        let body = json!({"id": update, "data": data});
        let path = format!("/executions/{id}/updates/{name}?wait=PT30S");
        let answer = taken(self.author.post(&path, body).await)?.json;
        match text(&answer["status"]).as_deref() {
            Some("completed") => Ok(answer["output"].clone()),
            _ => Err(Refused::unasked(&answer["error"])),
        }
    }

    async fn event(&mut self, event: &Json) -> Result<(), Refused> {
        let headers = [("content-type", "application/cloudevents+json")];
        let body = event.to_string().into();
        taken(self.author.send("POST", "/api/v1/events", &headers, body).await).map(drop)
    }

    async fn decide(&mut self, id: &str, yes: bool, answer: Option<&Json>) -> Result<(), Refused> {
        let blocked = self.look(id).await?.blocked_on.unwrap_or_default();
        let Some(approval) = blocked.strip_prefix("approval:") else {
            return Err(Refused::unasked(format!("no approval is waited for, but `{blocked}`")));
        };
        let digest =
            taken(self.approver.get(&format!("/approvals/{approval}")).await)?.json["digest"].clone();
        let word = if yes { "approve" } else { "reject" };
        let mut body = json!({"digest": digest, "reason": "the kit says so"});
        if let Some(answer) = answer {
            body["answer"] = answer.clone();
        }
        taken(self.approver.post(&format!("/approvals/{approval}/{word}"), body).await).map(drop)
    }

    async fn cancel(&mut self, id: &str) -> Result<(), Refused> {
        let body = json!({"reason": "the kit says so"});
        taken(self.author.post(&format!("/executions/{id}/cancel"), body).await).map(drop)
    }

    async fn advance(&mut self, by: Duration) -> Result<(), Refused> {
        if by > PASS_MAX {
            let told = format!("{by:?} would have to pass in truth; tag the scenario with `@clock`");
            return Err(Refused::unasked(told));
        }
        tokio::time::sleep(by).await;
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), Refused> {
        self.program.server.kill();
        self.program.server.start_again().await;
        self.author.address = self.program.server.admin.address;
        self.approver.address = self.program.server.admin.address;
        Ok(())
    }
}
