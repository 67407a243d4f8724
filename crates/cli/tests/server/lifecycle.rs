//! Lifecycle events: derived from histories, under the specification's names, the same whenever they are read.

use serde_json::{Value as Json, json};
use testkit::{Answer, Server};

use crate::shop::{eventually, text};

fn types(answer: &Answer) -> Vec<String> {
    let items = answer.json["items"].as_array().cloned().unwrap_or_default();
    let short = |item: &Json| {
        let kind = text(&item["event"]["type"]).to_owned();
        let kind = kind.trim_start_matches("io.serverlessworkflow.").trim_end_matches(".v1").to_owned();
        match item["event"]["data"]["task"].as_str() {
            Some(task) => format!("{kind} {task}"),
            None => kind,
        }
    };
    items.iter().map(short).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_tells_its_life_the_same_before_and_after_a_crash() {
    let mut server = Server::start(env!("CARGO_BIN_EXE_omnihub"), "", &[]).await;
    let document = json!({"dsl": "1.0.3", "namespace": "test", "name": "hear", "version": "1.0.0"});
    let tasks = json!([{"greet": {"set": {"n": 1}}}, {"hear": {"listen": {"to": {"one": {"with": {"type": "go"}}}}}}]);
    server.admin.post("/workflows", json!({"document": document, "do": tasks})).await.expect(201);
    let goal = json!({"workflow": {"namespace": "test", "name": "hear"}, "input": {}});
    let id = server.admin.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let shown = format!("/executions/{id}");
    eventually(&server.admin, &shown, |a| a.str("/blocked_on") == "event:go").await;
    let path = format!("/executions/{id}/lifecycle");
    let before = server.admin.get(&path).await.expect(200);
    assert_eq!(
        types(&before),
        [
            "workflow.started",
            "task.created /do/0/greet",
            "task.started /do/0/greet",
            "task.completed /do/0/greet",
            "task.created /do/1/hear",
            "task.started /do/1/hear",
            "workflow.correlation-started",
            "workflow.status-changed",
        ]
    );
    let first = &before.json["items"][0]["event"];
    assert_eq!((text(&first["id"]), text(&first["specversion"])), (&*format!("{id}/0.0"), "1.0"));
    assert_eq!(text(&first["source"]), format!("/api/v1/executions/{id}"));
    let data = &first["data"];
    assert_eq!(text(&data["name"]), format!("hear-{id}.test"));
    assert_eq!(data["definition"], json!({"name": "hear", "namespace": "test", "version": "1.0.0"}));
    assert_eq!(data["startedAt"], first["time"]);
    server.kill();
    server.start_again().await;
    assert_eq!(server.admin.get(&path).await.expect(200).json, before.json);
    let sent = json!({"specversion": "1.0", "type": "go", "source": "/tests", "id": "1", "data": 7});
    let headers = [("content-type", "application/cloudevents+json")];
    server.admin.send("POST", "/api/v1/events", &headers, sent.to_string().into()).await.expect(202);
    eventually(&server.admin, &shown, |a| a.str("/status") == "completed").await;
    server.kill();
    server.start_again().await;
    let whole = server.admin.get(&path).await.expect(200);
    let count = before.json["items"].as_array().expect("a list").len();
    let items = whole.json["items"].as_array().expect("a list");
    assert_eq!(items[..count], before.json["items"].as_array().expect("a list")[..]);
    assert_eq!(
        types(&whole)[count..],
        [
            "workflow.correlation-completed",
            "task.completed /do/1/hear",
            "workflow.status-changed",
            "workflow.completed"
        ]
    );
    assert_eq!(items[items.len() - 1]["event"]["data"]["output"], json!([7]));
    // Read in pieces it is the same.
    let (mut pieces, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let page = server.admin.get(&format!("{path}?after={after}&limit=5")).await.expect(200);
        pieces.extend(page.json["items"].as_array().cloned().expect("a list"));
        match page.json["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(&pieces, items);
    let stranger = server.principal_in("rival", "user:eve", "user", &["admin"]).await;
    stranger.get(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_stops_are_told_with_their_errors() {
    let server = Server::start(env!("CARGO_BIN_EXE_omnihub"), "", &[]).await;
    let publish = async |name: &str, tasks: Json| {
        let document = json!({"dsl": "1.0.3", "namespace": "test", "name": name, "version": "1.0.0"});
        server.admin.post("/workflows", json!({"document": document, "do": tasks})).await.expect(201);
        let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": {}});
        server.admin.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
    };
    let error = json!({"type": "https://x.y/z", "status": 418, "title": "Teapot"});
    let broken = publish("broken", json!([{"pour": {"raise": {"error": error}}}])).await;
    eventually(&server.admin, &format!("/executions/{broken}"), |a| a.str("/status") == "faulted").await;
    let told = server.admin.get(&format!("/executions/{broken}/lifecycle")).await.expect(200);
    assert_eq!(
        types(&told)[2..],
        ["task.started /do/0/pour", "task.faulted /do/0/pour", "workflow.status-changed", "workflow.faulted"]
    );
    for kind in ["task.faulted", "workflow.faulted"] {
        let items = told.json["items"].as_array().expect("a list");
        let found = items.iter().find(|item| text(&item["event"]["type"]).contains(kind)).expect(kind);
        assert_eq!(found["event"]["data"]["error"]["status"], json!(418), "{}", told.text);
    }
    let held = publish("held", json!([{"nap": {"wait": "PT1H"}}])).await;
    let path = format!("/executions/{held}");
    eventually(&server.admin, &path, |a| a.str("/status") == "waiting").await;
    let why = json!({"reason": "a test"});
    server.admin.post(&format!("{path}/pause"), why.clone()).await.expect(202);
    server.admin.post(&format!("{path}/resume"), why.clone()).await.expect(202);
    server.admin.post(&format!("{path}/cancel"), why).await.expect(202);
    eventually(&server.admin, &path, |a| a.str("/status") == "cancelled").await;
    let told = server.admin.get(&format!("{path}/lifecycle")).await.expect(200);
    let kinds = types(&told);
    for kind in ["workflow.suspended", "workflow.resumed", "task.cancelled /do/0/nap", "workflow.cancelled"] {
        assert!(kinds.iter().any(|told| told == kind), "{kind}: {kinds:?}");
    }
    assert_eq!(kinds.last().map(String::as_str), Some("workflow.cancelled"));
}
