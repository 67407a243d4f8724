//! A server of messages: WebSockets and streams of events that it feeds, and a description of itself.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

/// A running feed; it ends with the process.
#[derive(Clone)]
pub struct Feed {
    /// Where it listens.
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    address: SocketAddr,
    sent: Vec<Json>,
    received: Mutex<Vec<String>>,
    opened: Mutex<Vec<String>>,
}

impl Feed {
    /// Starts on a free loopback port; sends these messages to whoever listens, and then says nothing.
    pub async fn start(sent: Vec<Json>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let inner = Arc::new(Inner { address, sent, received: Mutex::default(), opened: Mutex::default() });
        let router = Router::new()
            .route("/v1/news", any(news))
            .route("/v1/short", any(short))
            .route("/v1/in", any(take))
            .route("/v1/rude", any(rude))
            .route("/v1/events", get(events))
            .route("/v1/orders/{id}", post(order))
            .route("/{language}", get(description))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// Everything that was sent to it, in order of arrival.
    pub fn received(&self) -> Vec<String> {
        self.inner.received.lock().clone()
    }

    /// `Authorization` of everybody who opened something, in order.
    pub fn opened(&self) -> Vec<String> {
        self.inner.opened.lock().clone()
    }
}

fn open(inner: &Inner, headers: &HeaderMap) {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    inner.opened.lock().push(shown.to_owned());
}

async fn news(State(inner): State<Arc<Inner>>, headers: HeaderMap, socket: WebSocketUpgrade) -> Response {
    open(&inner, &headers);
    socket.on_upgrade(async move |mut socket| {
        feed(&inner, &mut socket).await;
        // It stays open, and says nothing more.
        while let Some(Ok(_)) = socket.recv().await {}
    })
}

async fn short(State(inner): State<Arc<Inner>>, socket: WebSocketUpgrade) -> Response {
    socket.on_upgrade(async move |mut socket| {
        feed(&inner, &mut socket).await;
        drop(socket.send(Message::Close(None)).await);
    })
}

async fn feed(inner: &Inner, socket: &mut WebSocket) {
    for message in &inner.sent {
        if socket.send(Message::text(message.to_string())).await.is_err() {
            return;
        }
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, socket: WebSocketUpgrade) -> Response {
    open(&inner, &headers);
    socket.on_upgrade(async move |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(text) = message {
                inner.received.lock().push(text.to_string());
            }
        }
    })
}

/// Takes the connection, and cuts it when the first message has come.
async fn rude(State(inner): State<Arc<Inner>>, socket: WebSocketUpgrade) -> Response {
    socket.on_upgrade(async move |mut socket| {
        if let Some(Ok(Message::Text(text))) = socket.recv().await {
            inner.received.lock().push(text.to_string());
        }
    })
}

async fn events(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    open(&inner, &headers);
    let lines: Vec<Result<Bytes, Infallible>> =
        inner.sent.iter().map(|message| Ok(Bytes::from(format!(": said\ndata: {message}\n\n")))).collect();
    let body = futures_util::stream::iter(lines).chain(futures_util::stream::pending());
    ([("content-type", "text/event-stream")], axum::body::Body::from_stream(body)).into_response()
}

async fn order(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tag = headers.get("x-tag").and_then(|value| value.to_str().ok()).unwrap_or_default();
    inner.received.lock().push(format!("{id} {kind} {tag} {body}"));
    StatusCode::ACCEPTED
}

async fn description(State(inner): State<Arc<Inner>>, Path(language): Path<String>) -> Response {
    let at = inner.address;
    let message = json!({"correlationId": {"location": "$message.payload#/user"}});
    let document = match language.as_str() {
        "two.json" => json!({"asyncapi": "2.6.0",
            "servers": {"broker": {"url": "kafka.test:9092", "protocol": "kafka"},
                "live": {"url": format!("ws://{at}/v1"), "protocol": "ws"},
                "web": {"url": format!("http://{at}/v1"), "protocol": "http"}},
            "channels": {
                "/news": {"servers": ["live"], "subscribe": {"operationId": "news", "message": message}},
                "/short": {"servers": ["live"], "subscribe": {"operationId": "short"}},
                "/in": {"servers": ["live"], "publish": {"operationId": "tell"}},
                "/rude": {"servers": ["live"], "publish": {"operationId": "rude"}},
                "/events": {"servers": ["web"], "subscribe": {"operationId": "events"}},
                "/orders/{id}": {"servers": ["web"], "parameters": {"id": {"schema": {"type": "string"}}},
                    "publish": {"operationId": "order", "message": {"contentType": "application/vnd.shop+json"}}},
                "/old": {"servers": ["broker"], "publish": {"operationId": "old"}}}}),
        "three.json" => json!({"asyncapi": "3.0.0",
            "servers": {"live": {"host": at.to_string(), "pathname": "/v1", "protocol": "ws"}},
            "channels": {"fresh": {"address": "/news", "messages": {"told": message}}},
            "operations": {"hear": {"action": "send", "channel": {"$ref": "#/channels/fresh"}}}}),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    axum::Json(document).into_response()
}
