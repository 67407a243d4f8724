//! Hostile bodies against every operation that takes one: each is refused with a problem, none with a 5xx.

use bytes::Bytes;
use hyper::Method;
use serde_json::json;

use crate::support::{Server, filled, operations, request};

#[tokio::test(flavor = "multi_thread")]
async fn every_json_operation_refuses_hostile_bodies() {
    let server = Server::start().await;
    let deep = format!("{{\"reason\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let hostile: [(&str, Vec<u8>); 15] = [
        ("empty", b"".to_vec()),
        ("cut", b"{\"reason\":".to_vec()),
        ("two documents", b"{} {}".to_vec()),
        ("deep", deep.into_bytes()),
        ("duplicate", br#"{"reason":"a","reason":"b"}"#.to_vec()),
        ("duplicate inside", br#"{"reason":{"a":1,"a":2}}"#.to_vec()),
        ("unknown member", br#"{"no_such_member":1}"#.to_vec()),
        ("NUL", br#"{"reason":"a\u0000b"}"#.to_vec()),
        ("lone surrogate", br#"{"reason":"\ud800"}"#.to_vec()),
        ("out of range", br#"{"reason":1e999}"#.to_vec()),
        ("too exact", br#"{"reason":123456789012345678901}"#.to_vec()),
        ("not UTF-8", b"{\"reason\":\"\xff\xfe\"}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a number", b"1".to_vec()),
        ("oversized", format!("{{\"reason\":\"{}\"}}", "x".repeat(1_100_000)).into_bytes()),
    ];
    let mut walked = 0;
    for operation in operations() {
        // A secret is any document, so only what is not JSON is refused there; other documents are text.
        let Some((kind, _)) = operation.body.as_ref().filter(|(kind, _)| kind == "application/json") else {
            continue;
        };
        let path = filled(&operation.path, "x");
        for (name, body) in &hostile {
            if operation.id == "secrets.put" && ["unknown member", "a list", "a number"].contains(name) {
                continue;
            }
            let at = format!("{} with {name}", operation.id);
            let body = Some((kind.as_str(), Bytes::from(body.clone())));
            let answer =
                server.send(request(operation.method.clone(), &path, Some(&server.admin), body)).await;
            let problem = answer.refused(&at);
            if ["duplicate", "duplicate inside", "unknown member"].contains(name) {
                let field = problem["fields"][0]["field"].as_str().unwrap_or_default().to_owned();
                assert!(field.starts_with('/'), "{at} names no field: {problem}");
            }
        }
        for kind in ["application/xml", "application/json; charset=utf-16", "multipart/form-data"] {
            let body = Some((kind, Bytes::from_static(b"{}")));
            let answer =
                server.send(request(operation.method.clone(), &path, Some(&server.admin), body)).await;
            assert_eq!(answer.status, 415, "{} with {kind}: {}", operation.id, answer.text());
        }
        walked += 1;
    }
    assert!(walked >= 14, "{walked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_operation_refuses_hostile_documents() {
    let server = Server::start().await;
    for operation in operations() {
        let Some((kind, _)) = operation.body.as_ref().filter(|(kind, _)| kind != "application/json") else {
            continue;
        };
        let path = filled(&operation.path, "x");
        let bad: [(&str, Vec<u8>); 4] = [
            ("empty", b" \n".to_vec()),
            ("not UTF-8", b"do: \xff".to_vec()),
            ("NUL", b"do: \0".to_vec()),
            ("oversized", vec![b'#'; 1_100_000]),
        ];
        for (name, body) in bad {
            let body = Some((kind.as_str(), Bytes::from(body)));
            let answer =
                server.send(request(operation.method.clone(), &path, Some(&server.admin), body)).await;
            answer.refused(&format!("{} with {name}", operation.id));
        }
    }
    let answer = server
        .send(request(
            Method::POST,
            "/api/v1/workflows",
            Some(&server.admin),
            Some(("application/yaml", Bytes::from_static(b"a: ["))),
        ))
        .await;
    let problem = answer.refused("publish");
    assert_eq!(problem["code"], "OH-1000");
    assert!(problem["problems"][0]["line"].is_u64(), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_name_their_field() {
    let server = Server::start().await;
    let cases = [
        ("/api/v1/goals", json!({"intent": 5}), "/intent"),
        ("/api/v1/goals", json!({"workflow": {"namespace": "a"}}), "/workflow/name"),
        ("/api/v1/goals", json!({"workflow": {"namespace": "a", "name": "b"}, "input": []}), "/input"),
        ("/api/v1/goals", json!({"intent": "x", "mode": "dream"}), "/mode"),
        ("/api/v1/goals", json!({}), "/intent"),
        ("/api/v1/tokens", json!({"principal": "user:x", "roles": ["viewer", 7]}), "/roles/1"),
        ("/api/v1/tokens", json!({"principal": "user:x", "roles": [], "days": -1}), "/days"),
        ("/api/v1/approvals/x/approve", json!({"digest": "d"}), "/reason"),
    ];
    for (path, body, field) in cases {
        let answer = server.post(&server.admin, path, body.clone()).await;
        let problem = answer.refused(&format!("{path} {body}"));
        assert_eq!(
            (answer.status, problem["fields"][0]["field"].as_str()),
            (422, Some(field)),
            "{path} {body}: {problem}"
        );
    }
}
