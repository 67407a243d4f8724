//! Paths, methods and query parameters that do not exist.

use bytes::Bytes;
use hyper::Method;

use crate::support::{Server, filled, operations, request};

#[tokio::test(flavor = "multi_thread")]
async fn impossible_and_unknown_names_do_not_exist() {
    let server = Server::start().await;
    let planned = ["executions.rewind", "executions.fork", "executions.signal"];
    let long = "x".repeat(5_000);
    for operation in operations() {
        if !operation.path.contains('{') || planned.contains(&&*operation.id) {
            continue;
        }
        for name in ["a%20b", "%ff", "%00", "%2e%2e%2f", "%3Cscript%3E", &long] {
            let path = filled(&operation.path, name);
            let body = operation.body.as_ref().map(|(kind, text)| (kind.as_str(), Bytes::from(text.clone())));
            let answer =
                server.send(request(operation.method.clone(), &path, Some(&server.admin), body)).await;
            assert_eq!(answer.status, 404, "{} with {name:.20}: {}", operation.id, answer.text());
            answer.refused(&operation.id);
        }
        if operation.method == Method::GET {
            let answer = server.get(&server.admin, &filled(&operation.path, "no-such-thing")).await;
            assert_eq!(answer.status, 404, "{}: {}", operation.id, answer.text());
        }
    }
    assert_eq!(server.get(&server.admin, "/api/v1/nothing").await.refused("unknown")["code"], "OH-4040");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_not_there_is_told_which_are() {
    let server = Server::start().await;
    for (method, path, allowed) in [
        (Method::DELETE, "/api/v1/goals", "POST"),
        (Method::POST, "/api/v1/overview", "GET,HEAD"),
        (Method::PATCH, "/api/v1/controls/kill-switch", "GET,HEAD,PUT"),
        (Method::POST, "/health", "GET,HEAD"),
    ] {
        let answer = server.send(request(method, path, Some(&server.admin), None)).await;
        assert_eq!(answer.refused(path)["code"], "OH-4050", "{path}");
        let mut given: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        given.sort_unstable();
        assert_eq!((answer.status, given.join(",").as_str()), (405, allowed), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_malformed_parameters_are_refused_by_name() {
    let server = Server::start().await;
    for operation in operations() {
        let path = filled(&operation.path, "x");
        let body = operation.body.as_ref().map(|(kind, text)| (kind.as_str(), Bytes::from(text.clone())));
        let path = format!("{path}?bogus=1");
        let answer = server.send(request(operation.method.clone(), &path, Some(&server.admin), body)).await;
        let problem = answer.refused(&operation.id);
        assert_eq!(
            (answer.status, problem["fields"][0]["field"].as_str()),
            (400, Some("bogus")),
            "{}",
            operation.id
        );
    }
    for (path, name) in [
        ("/executions?limit=0", "limit"),
        ("/executions?limit=501", "limit"),
        ("/executions?limit=x", "limit"),
        ("/executions?limit=1&limit=2", "limit"),
        ("/executions?status=running,odd", "status"),
        ("/executions?outcome=odd", "outcome"),
        ("/executions?after=yesterday", "after"),
        ("/executions?q=%ff", "q"),
        ("/approvals?status=odd", "status"),
        ("/approvals?execution=a%20b", "execution"),
        ("/audit?order=odd", "order"),
        ("/audit?from=-1", "from"),
        ("/dead-letters?open=maybe", "open"),
        ("/audit/consistency?first=1&second=", "second"),
    ] {
        let answer = server.get(&server.admin, &format!("/api/v1{path}")).await;
        let problem = answer.refused(path);
        assert_eq!(
            (answer.status, problem["fields"][0]["field"].as_str()),
            (400, Some(name)),
            "{path}: {problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_and_the_security_headers() {
    let server = Server::start().await;
    let mut asked = request(Method::GET, "/api/v1/whoami", Some(&server.admin), None);
    asked.headers_mut().insert("x-request-id", "my-request.1".parse().unwrap());
    let answer = server.send(asked).await;
    assert_eq!(answer.header("x-request-id"), "my-request.1");
    for path in ["/health", "/nothing", "/api/v1/whoami"] {
        let answer = server.send(request(Method::GET, path, None, None)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}
