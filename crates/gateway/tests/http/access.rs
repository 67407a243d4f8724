//! Who may call: no token, a wrong token, a role that is too weak, another tenant.

use bytes::Bytes;
use hyper::Method;
use serde_json::json;

use crate::support::{Server, filled, operations, request};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_done_or_told() {
    let server = Server::start().await;
    for operation in operations() {
        let path = filled(&operation.path, "x");
        let at = format!("{} {path}", operation.method);
        let body = operation.body.as_ref().map(|(kind, text)| (kind.as_str(), Bytes::from(text.clone())));
        for token in [None, Some("omh_nonsense"), Some("x")] {
            let answer = server.send(request(operation.method.clone(), &path, token, body.clone())).await;
            let problem = answer.refused(&at);
            assert_eq!((answer.status, problem["code"].as_str()), (401, Some("OH-4010")), "{at}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{at}");
        }
    }
    for path in ["/api", "/api/v1", "/api/v1/nothing", "/api/v2/goals", "/apix"] {
        let answer = server.send(request(Method::PATCH, path, None, None)).await;
        assert_eq!(answer.status, 401, "{path}");
        answer.refused(path);
    }
    // A body is not even looked at.
    let huge = Bytes::from(vec![b'x'; 100_000]);
    let answer =
        server.send(request(Method::POST, "/api/v1/goals", None, Some(("application/json", huge)))).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_routes_tell_little_without_a_token() {
    let server = Server::start().await;
    let get = |path: &'static str| request(Method::GET, path, None, None);
    assert_eq!(server.send(get("/health")).await.json(), json!({"status": "ok"}));
    assert!([200, 503].contains(&server.send(get("/ready")).await.status));
    let deep = server.send(get("/health/deep")).await;
    assert!(deep.json().get("dependencies").is_none(), "{}", deep.text());
    assert!(server.get(&server.admin, "/health/deep").await.json()["dependencies"].is_array());
    assert_eq!(server.send(get("/health/omn")).await.json().as_object().map(|o| o.len()), Some(1));
    assert_eq!(server.send(get("/openapi.json")).await.json()["openapi"], "3.1.0");
    let schema = server.send(get("/schemas/workflow.json")).await;
    assert_eq!((schema.status, schema.json()), (200, dsl::json_schema::workflow()));
    let page = server.send(get("/errors/OH-1002")).await;
    assert!(page.status == 200 && page.text().contains("<h1>OH-1002"), "{}", page.text());
    assert_eq!(server.send(get("/errors/OH-9999")).await.status, 404);
    assert_eq!(server.send(get("/nothing")).await.refused("/nothing")["code"], "OH-4040");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_need_a_role_that_watches() {
    let server = Server::start().await;
    assert_eq!(server.send(request(Method::GET, "/metrics", None, None)).await.status, 401);
    let viewer = server.token("user:eve", &["viewer"]).await;
    assert_eq!(server.get(&viewer, "/metrics").await.status, 403);
    for role in ["operator", "compliance"] {
        let token = server.token(&format!("user:{role}"), &[role]).await;
        assert_eq!(server.get(&token, "/metrics").await.status, 200, "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_changes_nothing() {
    let server = Server::start().await;
    let viewer = server.token("user:eve", &["viewer"]).await;
    // These judge, check or are planned: they change nothing.
    let harmless = [
        "policies.evaluate",
        "policies.test",
        "workflows.validate",
        "policies.simulate",
        "events.publish",
        "retention.preview",
    ];
    let planned = ["executions.rewind", "executions.fork", "executions.signal"];
    let mut walked = 0;
    for operation in operations() {
        if operation.method == Method::GET
            || harmless.contains(&&*operation.id)
            || planned.contains(&&*operation.id)
        {
            continue;
        }
        let path = filled(&operation.path, "x");
        let body = operation.body.as_ref().map(|(kind, text)| (kind.as_str(), Bytes::from(text.clone())));
        let answer = server.send(request(operation.method.clone(), &path, Some(&viewer), body)).await;
        assert_eq!(answer.status, 403, "{}: {}", operation.id, answer.text());
        assert_eq!(answer.refused(&operation.id)["code"], "OH-4030", "{}", operation.id);
        walked += 1;
    }
    assert!(walked >= 18, "{walked}");
    for path in
        ["/api/v1/tokens", "/api/v1/secrets", "/api/v1/tenants", "/api/v1/audit", "/api/v1/audit/export"]
    {
        assert_eq!(server.get(&viewer, path).await.status, 403, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_listed_without_its_secret_and_can_be_revoked() {
    let server = Server::start().await;
    let body = json!({"principal": "service:ci", "kind": "service", "roles": ["developer"], "days": 1});
    let made = server.post(&server.admin, "/api/v1/tokens", body).await.json();
    let (id, secret) = (made["token"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(made["token"]["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{made}");
    let me = server.get(secret, "/api/v1/whoami").await.json();
    assert_eq!(
        (&me["principal"], &me["kind"], &me["roles"]),
        (&json!("service:ci"), &json!("service"), &json!(["developer"]))
    );
    let list = server.get(&server.admin, "/api/v1/tokens").await;
    assert!(list.text().contains(id) && !list.text().contains(secret));
    let revoke = request(Method::DELETE, &format!("/api/v1/tokens/{id}"), Some(&server.admin), None);
    assert_eq!(server.send(revoke).await.status, 204);
    assert_eq!(server.get(secret, "/api/v1/whoami").await.status, 401);
}
