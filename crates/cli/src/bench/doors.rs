//! The front door and the gate: `POST /goals` over HTTP, and one policy decision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::bench::Figure;
use crate::bench::house::{House, failed};
use crate::bench::steps;
use crate::exit::Failure;

/// Connections that submit goals at once.
const CONNECTIONS: u64 = 16;

/// Latency of `POST /goals` on kept connections.
pub(super) async fn goals(each: Duration) -> Result<Vec<Figure>, Failure> {
    let house = House::open().await?;
    house.publish(steps::DOCUMENT).await?;
    let new = app::view::NewToken {
        owner: None,
        principal: "service:bench".into(),
        kind: "service".into(),
        tenant: None,
        roles: vec!["developer".into()],
        days: None,
    };
    let token = house.app.create_token(&house.caller, new).await.map_err(failed)?.secret;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let settings = gateway::Settings {
        rate_per_second: 1_000_000,
        rate_burst: 1_000_000,
        ..gateway::Settings::default()
    };
    let state = gateway::State::new(Arc::clone(&house.app), settings, None);
    let server =
        tokio::spawn(gateway::serve(listener, gateway::router(state.clone()), state, std::future::pending()));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let token = token.clone();
        tasks.push(tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
            tokio::spawn(connection);
            let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(failed)?;
            while begun.elapsed() < each {
                let body = r#"{"workflow":{"namespace":"bench","name":"five","version":"1.0.0"},"input":{"order":"1042"}}"#;
                let request = Request::post("/api/v1/goals")
                    .header("host", address.to_string())
                    .header("authorization", format!("Bearer {token}"))
                    .header("content-type", "application/json")
                    .body(Full::new(Bytes::from_static(body.as_bytes())))
                    .map_err(failed)?;
                let one = Instant::now();
                let answer = sender.send_request(request).await.map_err(failed)?;
                let status = answer.status();
                answer.into_body().collect().await.map_err(failed)?;
                if status != 202 {
                    return Err(failed(format!("POST /goals answered {status}")));
                }
                took.saturating_record(u64::try_from(one.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            Ok::<_, Failure>(took)
        }));
    }
    let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(failed)?;
    for task in tasks {
        took.add(task.await.map_err(failed)??).map_err(failed)?;
    }
    server.abort();
    let figure = |name: &str, value: f64, unit| Figure {
        group: "goals",
        name: name.to_owned(),
        value,
        unit,
        limit: None,
    };
    Ok(vec![
        figure("POST /goals, 16 connections, p50", took.value_at_quantile(0.5) as f64 / 1000.0, "ms"),
        figure("POST /goals, 16 connections, p99", took.value_at_quantile(0.99) as f64 / 1000.0, "ms"),
        figure("POST /goals, 16 connections", took.len() as f64 / begun.elapsed().as_secs_f64(), "goals/s"),
    ])
}

/// One decision of the default policy.
pub(super) fn policy(each: Duration) -> Result<Vec<Figure>, Failure> {
    let bundle = guard::policy::default_bundle().map_err(failed)?;
    let mut evaluator = bundle.evaluator();
    let input = serde_json::json!({
        "tenant": "default", "principal": {"id": "user:alice", "kind": "user", "roles": ["developer"]},
        "workflow": {"namespace": "shop", "name": "refund", "version": "1.0.0"}, "task": "/do/0/refund",
        "action": {"operation": "refund-create:1.0.0", "reviewed": true, "effect": "money", "class": "probeable",
            "blast_radius": {"scope": "customer", "max": 1, "unit": "order"}, "data": ["personal"], "target": "shop:443"},
        "arguments": {"orderId": "1042", "amount": 25, "currency": "EUR"}, "amount": {"value": 25, "currency": "EUR"},
        "provenance": [{"pointer": "/orderId", "origins": ["intent"], "untrusted": false}, {"pointer": "/amount", "origins": ["intent"], "untrusted": false}],
        "risk": {"score": 47, "level": "medium", "factors": []}, "mode": "live"
    });
    let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(failed)?;
    let begun = Instant::now();
    while begun.elapsed() < each {
        let one = Instant::now();
        evaluator.decide(&input).map_err(failed)?;
        took.saturating_record(u64::try_from(one.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    let figure = |name: &str, quantile: f64| Figure {
        group: "policy",
        name: name.to_owned(),
        value: took.value_at_quantile(quantile) as f64 / 1000.0,
        unit: "µs",
        limit: None,
    };
    Ok(vec![
        figure("decision of the default policy, p50", 0.5),
        figure("decision of the default policy, p99", 0.99),
    ])
}
