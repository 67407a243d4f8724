//! The front door and the gate: whole executions through `POST /goals`, and one policy decision.

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
const CONNECTIONS: u64 = 64;

/// Whole executions started by `POST /goals` on kept connections, each of which waits for the end of its own before it
/// asks for the next. `in_process` are executions a second of the same workflow at as many at once, without HTTP.
pub(super) async fn goals(each: Duration, in_process: Option<f64>) -> Result<Vec<Figure>, Failure> {
    let house = Arc::new(House::open().await?);
    house.publish(steps::DOCUMENT).await?;
    let new = app::view::NewToken {
        principal: "service:bench".into(),
        kind: "service".into(),
        tenant: None,
        roles: vec!["developer".into()],
        days: None,
        owner: None,
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
    let client = |house: Arc<House>| {
        let token = token.clone();
        async move {
            let mut connection = Submitter::connect(address, token).await?;
            let mut took = histogram()?;
            while begun.elapsed() < each {
                let one = Instant::now();
                let id = connection.submit().await?;
                record(&mut took, one);
                house.ended(id).await?;
            }
            Ok::<_, Failure>(took)
        }
    };
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(client(Arc::clone(&house)))).collect();
    let mut took = histogram()?;
    for client in clients {
        took.add(client.await.map_err(failed)??).map_err(failed)?;
    }
    let executions = took.len() as f64 / begun.elapsed().as_secs_f64();
    server.abort();
    let figure = |name: &str, value: f64, unit, limit| Figure {
        group: "goals",
        name: format!("{name}, {CONNECTIONS} connections"),
        value,
        unit,
        limit,
    };
    let quantile = |at: f64| took.value_at_quantile(at) as f64 / 1000.0;
    Ok(vec![
        figure("POST /goals, p50", quantile(0.5), "ms", None),
        figure("POST /goals, p99", quantile(0.99), "ms", None),
        figure(
            "executions of 5 steps through HTTP",
            executions,
            "executions/s",
            in_process.map(|limit| (limit, "in process")),
        ),
    ])
}

/// A kept connection that submits goals.
struct Submitter {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
}

impl Submitter {
    async fn connect(address: std::net::SocketAddr, token: String) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string(), authorization: format!("Bearer {token}") })
    }

    /// Submits a goal and answers the execution's id.
    async fn submit(&mut self) -> Result<String, Failure> {
        let body =
            r#"{"workflow":{"namespace":"bench","name":"five","version":"1.0.0"},"input":{"order":"1042"}}"#;
        let request = Request::post("/api/v1/goals")
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .map_err(failed)?;
        let answer = self.sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(failed)?.to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&body).map_err(failed)?;
        match document["execution_id"].as_str() {
            Some(id) if status == 202 => Ok(id.to_owned()),
            _ => Err(failed(format!("POST /goals answered {status}"))),
        }
    }
}

fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(failed)
}

fn record(took: &mut Histogram<u64>, since: Instant) {
    took.saturating_record(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
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
    let mut took = histogram()?;
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
