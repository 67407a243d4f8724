//! The admin port: metrics and health without a token, and nothing else.

use hyper::Method;

use crate::support::{Server, request};

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_port_shows_metrics_and_health_only() {
    let server = Server::admin().await;
    let metrics = server.send(request(Method::GET, "/metrics", None, None)).await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert_eq!(server.send(request(Method::GET, "/health", None, None)).await.status, 200);
    for path in ["/api/v1/whoami", "/console", "/openapi.json"] {
        let answer = server.send(request(Method::GET, path, Some(&server.admin), None)).await;
        assert_eq!(answer.refused(path)["code"], "OH-4040", "{path}");
    }
}
