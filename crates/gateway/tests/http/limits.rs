//! How much is taken in: requests a second, heads, origins.

use gateway::Settings;
use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Server, request};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_asks_too_often_waits_and_no_other_does() {
    let server = Server::with(Settings { rate_per_second: 1, rate_burst: 3, ..Settings::default() }).await;
    let other = server.token("user:other", &["viewer"]).await;
    let mut refused = None;
    for _ in 0..20 {
        let answer = server.get(&server.admin, "/api/v1/whoami").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200);
    }
    let refused =
        refused.expect("20 requests at once pass a bucket of 3 only when each takes a third of a second");
    assert_eq!(refused.refused("rate")["code"], "OH-4290");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    assert_eq!(refused.header("ratelimit"), format!("\"requests\";r=0;t={}", refused.header("retry-after")));
    assert_eq!(server.get(&other, "/api/v1/whoami").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_of_requests_load_is_shed() {
    let server = Server::with(Settings { requests_max: 0, ..Settings::default() }).await;
    let answer = server.send(request(Method::GET, "/health", None, None)).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("OH-5002")));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let many: String = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(100_000));
    for (name, headers) in [("many", many), ("long", long)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ =
            stream.write_all(format!("GET /health HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 431", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_configured_origins_may_call() {
    let origins = vec!["https://ops.example.com".to_owned()];
    let server = Server::with(Settings { origins, ..Settings::default() }).await;
    for (origin, allowed) in
        [("https://ops.example.com", "https://ops.example.com"), ("https://evil.example", "")]
    {
        let mut preflight = request(Method::OPTIONS, "/api/v1/goals", None, None);
        preflight.headers_mut().insert("origin", origin.parse().unwrap());
        preflight.headers_mut().insert("access-control-request-method", "POST".parse().unwrap());
        let answer = server.send(preflight).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin}");
    }
}
