//! Event streams, and what becomes of them when the server stops.

use bytes::Bytes;
use gateway::Settings;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Response};

use crate::support::{Server, request};

/// Nothing takes so long.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);

const WORKFLOW: &str = "document: { dsl: '1.0.0', namespace: test, name: hello, version: '1.0.0' }\ndo:\n  - greet:\n      set: { text: hello }\n";

async fn follow(server: &Server, path: &str) -> Response<Incoming> {
    let response = server.open(request(Method::GET, path, Some(&server.admin), None)).await;
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

/// Reads until the text is there; answers everything read.
async fn until(stream: &mut Response<Incoming>, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let frame = tokio::time::timeout(LONG, stream.frame())
            .await
            .unwrap_or_else(|_| panic!("nothing more came, and no `{text}`: {seen}"))
            .unwrap_or_else(|| panic!("the stream ended before `{text}`: {seen}"))
            .unwrap();
        seen.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default()));
    }
    seen
}

async fn publish(server: &Server) {
    let body = Some(("application/yaml", Bytes::from_static(WORKFLOW.as_bytes())));
    let answer = server.send(request(Method::POST, "/api/v1/workflows", Some(&server.admin), body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), "/api/v1/workflows/test/hello/1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_followed_live() {
    let server = Server::start().await;
    let mut live = follow(&server, "/api/v1/live").await;
    until(&mut live, "event: open").await;
    publish(&server).await;
    let seen = until(&mut live, "event: workflow").await;
    assert!(seen.contains("\"topic\":\"workflow\""), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_every_execution_is_told_as_it_happens_once() {
    let server = Server::start().await;
    publish(&server).await;
    let begin = async |id: &str| {
        let goal =
            serde_json::json!({"workflow": {"namespace": "test", "name": "hello"}, "execution_id": id});
        let answer = server.post(&server.admin, "/api/v1/goals?wait=PT20S", goal).await;
        assert_eq!(answer.json()["status"], "completed");
    };
    begin("before").await;
    let mut told = follow(&server, "/api/v1/lifecycle").await;
    let mut seen = until(&mut told, "event: open").await;
    begin("e-1").await;
    begin("e-2").await;
    seen.push_str(&until(&mut told, "id: e-2/0.5\n").await);
    for id in ["e-1", "e-2"] {
        for kind in ["workflow.started", "task.started", "task.completed", "workflow.completed"] {
            let event = format!("event: io.serverlessworkflow.{kind}.v1");
            assert!(seen.contains(&event), "{kind}: {seen}");
        }
        let first = format!("id: {id}/0.0\n");
        assert_eq!(seen.matches(&first).count(), 1, "{seen}");
    }
    assert!(!seen.contains("id: before/"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_followed_to_its_end_and_from_any_place() {
    let server = Server::start().await;
    publish(&server).await;
    let goal = serde_json::json!({"workflow": {"namespace": "test", "name": "hello"}, "execution_id": "e-1"});
    let answer = server.post(&server.admin, "/api/v1/goals?wait=PT20S", goal).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["status"], "completed");

    let whole = follow(&server, "/api/v1/executions/e-1/events")
        .await
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    let whole = String::from_utf8(whole.to_vec()).unwrap();
    assert!(whole.contains("id: 0\n") && whole.contains("event: started\n"), "{whole}");
    assert!(whole.contains("event: ended\n") && whole.trim_end().ends_with("data: {}"), "{whole}");

    let mut again = request(Method::GET, "/api/v1/executions/e-1/events", Some(&server.admin), None);
    again.headers_mut().insert("last-event-id", "0".parse().unwrap());
    let rest = server.send(again).await.text();
    assert!(!rest.contains("id: 0\n") && rest.contains("event: end\n"), "{rest}");

    let history = server.get(&server.admin, "/api/v1/executions/e-1/history?limit=1").await.json();
    assert_eq!((&history["items"][0]["sequence"], &history["next"]), (&0.into(), &"1".into()));
    assert_eq!(server.get(&server.admin, "/api/v1/executions/none/events").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_for_each_principal() {
    let server = Server::with(Settings { streams_per_principal_max: 1, ..Settings::default() }).await;
    let first = follow(&server, "/api/v1/live").await;
    assert_eq!(server.get(&server.admin, "/api/v1/live").await.refused("second")["code"], "OH-4291");
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_streams_and_takes_no_more_requests() {
    let mut server = Server::start().await;
    let mut live = follow(&server, "/api/v1/live").await;
    until(&mut live, "event: open").await;
    server.stop().await;
    assert!(live.frame().await.is_none_or(|frame| frame.is_ok()), "the stream ends in order");
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
}
