//! An outside system with a ledger: it refunds, knows idempotency keys, can be probed, and can misbehave.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    None,
    /// Refunds, then never answers the first time.
    LoseAnswer,
    /// Answers 201 and does nothing.
    Lie,
    /// Answers 503.
    Down,
    /// Refunds, and answers only when [`Outside::let_go`] says so.
    Hold,
    /// Refunds, and says `pending` to whoever reads it.
    Pending,
    /// Answers reads of orders only when [`Outside::let_go`] says so.
    HoldReads,
}

/// A running outside.
#[derive(Clone)]
pub struct Outside {
    /// Where it listens.
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<Ledger>,
    go: Notify,
}

#[derive(Default)]
struct Ledger {
    fault: Option<Fault>,
    refunds: BTreeMap<String, Json>,
    posts: u32,
    reads: u32,
    orders: BTreeMap<String, u32>,
    arrivals: Vec<(Instant, String)>,
    lost: bool,
}

impl Outside {
    /// Starts on a free loopback port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let inner = Arc::new(Inner { state: Mutex::new(Ledger::default()), go: Notify::new() });
        let router = Router::new()
            .route("/refunds", post(refund))
            .route("/refunds/{key}", get(read))
            .route("/orders/{id}", get(order))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// Changes how it misbehaves.
    pub fn fault(&self, fault: Fault) {
        self.inner.state.lock().fault = Some(fault);
    }

    /// Lets held answers go.
    pub fn let_go(&self) {
        self.inner.go.notify_waiters();
    }

    /// Refunds in the ledger.
    pub fn refunds(&self) -> Vec<Json> {
        self.inner.state.lock().refunds.values().cloned().collect()
    }

    /// Requests to refund that arrived.
    pub fn posts(&self) -> u32 {
        self.inner.state.lock().posts
    }

    /// Requests to read that arrived.
    pub fn reads(&self) -> u32 {
        self.inner.state.lock().reads
    }

    /// How often each order was read.
    pub fn orders(&self) -> BTreeMap<String, u32> {
        self.inner.state.lock().orders.clone()
    }

    /// Reads of orders in the order of their arrival: when, and which order.
    pub fn arrivals(&self) -> Vec<(Instant, String)> {
        self.inner.state.lock().arrivals.clone()
    }

    /// The actions and the workflow that use it, ready to be published, in this order.
    pub fn documents(&self) -> (Vec<String>, String) {
        let at = self.address;
        let read = format!(
            "action: refund-read:1.0.0\ntitle: Read a refund\neffect: read\nclass: read\nhosts: ['{at}']\n\
             input: {{ schema: {{ type: object, required: [key] }} }}\n\
             run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/refunds/{{key}}' }} }}\n"
        );
        let create = format!(
            "action: refund-create:1.0.0\ntitle: Refund an order\neffect: money\nclass: probeable\nhosts: ['{at}']\n\
             blastRadius: {{ scope: customer, max: 1, unit: order }}\namount: {{ value: /amount, currency: /currency }}\n\
             input: {{ schema: {{ type: object, required: [orderId, amount, currency] }} }}\n\
             idempotency: {{ key: '$workflow.id + \"-\" + .orderId', header: Idempotency-Key }}\n\
             ensure: {{ probe: {{ call: 'refund-read:1.0.0', with: {{ key: '${{ $action.key }}' }} }}, that: '.status == \"settled\"', every: PT0.2S, within: PT2S }}\n\
             run: {{ call: http, with: {{ method: post, endpoint: 'http://{at}/refunds', body: '${{ . }}' }} }}\n"
        );
        let workflow = "document: { dsl: '1.0.3', namespace: shop, name: refund, version: '1.0.0', title: Refund an order, \
             metadata: { omnihub: { owner: shop-team, intents: ['refund order {order}, {amount}, {reason}'], \
             slots: { order: { type: id, into: /orderId }, amount: { type: money, into: { amount: /amount, currency: /currency } }, \
             reason: { type: text, required: false, into: /reason } } } } }\n\
             input: { schema: { document: { type: object, required: [orderId, amount, currency], properties: { orderId: { type: string }, \
             amount: { type: number, exclusiveMinimum: 0 }, currency: { type: string }, reason: { type: string } } } } }\n\
             do:\n  - refund:\n      call: refund-create:1.0.0\n      with: { orderId: '${ .orderId }', amount: '${ .amount }', currency: '${ .currency }', reason: '${ .reason }' }\n"
            .to_owned();
        (vec![read, create], workflow)
    }
}

async fn refund(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: axum::Json<Json>) -> Response {
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (fault, answer) = {
        let mut ledger = inner.state.lock();
        ledger.posts += 1;
        let fault = ledger.fault.unwrap_or(Fault::None);
        if fault == Fault::Down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let number = ledger.refunds.len() + 1;
        let refund = json!({"id": number, "key": key, "status": "settled", "refund": body.0});
        let kept =
            if fault == Fault::Lie { refund } else { ledger.refunds.entry(key).or_insert(refund).clone() };
        let lose = fault == Fault::LoseAnswer && !std::mem::replace(&mut ledger.lost, true);
        (if lose { Fault::LoseAnswer } else { fault }, kept)
    };
    match fault {
        Fault::LoseAnswer => {
            // A body that breaks off: the head says more bytes than ever come.
            let broken = futures_stream();
            Response::builder().status(201).header("content-length", "1000").body(broken).expect("a response")
        }
        Fault::Hold => {
            inner.go.notified().await;
            (StatusCode::CREATED, axum::Json(answer)).into_response()
        }
        Fault::None | Fault::Lie | Fault::Down | Fault::Pending | Fault::HoldReads => {
            (StatusCode::CREATED, axum::Json(answer)).into_response()
        }
    }
}

fn futures_stream() -> axum::body::Body {
    axum::body::Body::new(http_body_util::StreamBody::new(Broken))
}

/// A body that fails at once, so that the connection is cut.
struct Broken;

impl futures_core::Stream for Broken {
    type Item = Result<hyper::body::Frame<bytes::Bytes>, std::io::Error>;
    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(Some(Err(std::io::Error::other("the line broke"))))
    }
}

async fn read(State(inner): State<Arc<Inner>>, Path(key): Path<String>) -> Response {
    let mut ledger = inner.state.lock();
    ledger.reads += 1;
    match ledger.refunds.get(&key) {
        Some(_) if ledger.fault == Some(Fault::Pending) => {
            axum::Json(json!({"status": "pending"})).into_response()
        }
        Some(refund) => axum::Json(refund.clone()).into_response(),
        None => axum::Json(json!({"status": "none"})).into_response(),
    }
}

async fn order(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> Response {
    let released = inner.go.notified();
    tokio::pin!(released);
    // From here on no release is missed.
    released.as_mut().enable();
    let hold = {
        let mut ledger = inner.state.lock();
        ledger.reads += 1;
        *ledger.orders.entry(id.clone()).or_default() += 1;
        ledger.arrivals.push((Instant::now(), id.clone()));
        ledger.fault == Some(Fault::HoldReads)
    };
    if hold {
        released.await;
    }
    axum::Json(json!({"id": id, "total": 89.0, "currency": "EUR"})).into_response()
}
